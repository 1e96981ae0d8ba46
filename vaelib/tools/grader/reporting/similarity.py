"""Which answers resemble each other: copydetect's report, on what students wrote themselves.

It is the method of MOSS: Schleimer, Wilkerson and Aiken, Winnowing: local algorithms for document fingerprinting
(SIGMOD 2003). Names, spaces and comments do not count; what the student version already holds does not either.
"""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import nbformat
from copydetect import CopyDetector

from vaelib.tools.grader import GraderError
from vaelib.tools.results import write_csv

COLUMNS = ["assignment", "student", "other", "share", "other_share", "tokens"]
SHORTEST = 25  # characters, without names and spaces, that must agree before anything counts: copydetect's own figure
LEAST = 200  # characters of code that a student wrote: less is too little to be compared


class Pair(NamedTuple):
    """Two students, the share of each one's code that stands in the other's too, and how long that is."""

    assignment: str
    student: str
    other: str
    share: float
    other_share: float
    tokens: int


def write_similarity(root: Path, threshold: float = 0.5) -> list[Pair]:
    """Write similarity.csv and similarity/ASSIGNMENT.html.

    Args:
        root: folder of the grades, with submitted/ and release/.
        threshold: the share of one's code from which a pair is named.

    Returns:
        List of Pair, the most alike first.

    Raises:
        GraderError: nothing was graded there.
    """
    found: list[Pair] = []
    assignments = sorted(path.name for path in (root / "release").glob("*") if path.is_dir())
    if not assignments:
        raise GraderError(f"{root} holds nothing to compare: name the folder that `make grade` wrote, its GRADES.")
    for name in assignments:
        released = nbformat.read(root / "release" / name / f"{name}.ipynb", as_version=4)
        paths = sorted((root / "submitted").glob(f"*/{name}/{name}.ipynb"))
        answers = {path.parts[-3]: own_code(nbformat.read(path, as_version=4)) for path in paths}
        given = "\n".join(cell.source for cell in released.cells if cell.cell_type == "code")
        page, pairs = compare(name, answers, given, threshold)
        found += pairs
        if page:
            (root / "similarity").mkdir(exist_ok=True)
            (root / "similarity" / f"{name}.html").write_text(page, encoding="utf-8")
    # A short answer stands whole in many a longer one: the smaller of the two shares tells more.
    found.sort(key=lambda pair: (min(pair.share, pair.other_share), pair.tokens), reverse=True)
    rows = [[*pair[:3], round(pair.share, 3), round(pair.other_share, 3), pair.tokens] for pair in found]
    write_csv(root / "similarity.csv", COLUMNS, rows)
    return found


def own_code(notebook: nbformat.NotebookNode) -> str:
    """Return the code of the cells that students write in: answers, and cells of their own."""
    kinds = [(cell, cell.metadata.get("nbgrader", {})) for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(cell.source for cell, kind in kinds if not kind.get("grade") and not kind.get("locked")) + "\n"


def compare(assignment: str, answers: Mapping[str, str], given: str, threshold: float) -> tuple[str, list[Pair]]:
    """Compare everybody's code with everybody else's.

    Args:
        assignment: its name.
        answers: dictionary from a student to code.
        given: code that all of them were given.
        threshold: the share from which a pair is named.

    Returns:
        (page, pairs): copydetect's report in HTML, "" where fewer than two wrote enough; and what it names.
    """
    long_enough = {student: code for student, code in answers.items() if len(code) >= LEAST}
    if len(long_enough) < 2:
        return "", []
    plt.switch_backend("agg")  # the report holds pictures, and no window is to open
    with tempfile.TemporaryDirectory(prefix="vaelib-similarity-") as folder:
        detector = CopyDetector(
            noise_t=SHORTEST, guarantee_t=SHORTEST, display_t=threshold, silent=True, autoopen=False,
            force_language="python",
        )  # fmt: skip
        boilerplate = Path(folder, "given.py")
        boilerplate.write_text(given, encoding="utf-8")
        detector.add_file(str(boilerplate), type="boilerplate")
        for student, code in long_enough.items():
            path = Path(folder, "students", f"{student}.py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(code, encoding="utf-8")
            detector.add_file(str(path), type="testref")
        detector.run()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # how copydetect reads its own template
            page = detector.generate_html_report(output_mode="return").replace(f"{folder}/students/", "")
        copied = detector.get_copied_code_list()
    pairs = [
        Pair(assignment, Path(one).stem, Path(other).stem, float(share), float(back), int(tokens))
        for share, back, one, other, _, _, tokens in copied
    ]
    return page, pairs
