"""What the students handed in: which file is which assignment."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

LARGEST = 50 * 10**6  # bytes of a notebook
NEW_CELLS = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}


@dataclass(eq=False)
class Submission:
    """One student's notebook for one assignment, or the place where it should be."""

    student: str
    assignment: str
    path: Path | None = None
    notebook: nbformat.NotebookNode | None = None
    status: str = "graded"
    remarks: list[str] = field(default_factory=list)
    cost: dict[str, float] = field(default_factory=dict)


def find_submissions(folder: str | os.PathLike, sources: Mapping[str, nbformat.NotebookNode]) -> list[Submission]:
    """Look through a folder that holds one folder per student, with notebooks at any depth in it.

    Args:
        folder: FOLDER/STUDENT/….ipynb; nbgrader's FOLDER/STUDENT/ASSIGNMENT/….ipynb is a case of it.
        sources: dictionary from the name of an assignment to its source notebook.

    Returns:
        List of Submission, for every student one per assignment that anybody handed in.
    """
    folders = sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    found = []
    for student, path in zip(_ids(folders), folders, strict=True):
        found += _of_one_student(student, path, sources)
    handed_in = {submission.assignment for submission in found if submission.path}
    complete = []
    for student in dict.fromkeys(submission.student for submission in found):
        theirs = [submission for submission in found if submission.student == student]
        named = {submission.assignment for submission in theirs}
        complete += [submission for submission in theirs if submission.path]
        remarks = [remark for submission in theirs if not submission.path for remark in submission.remarks]
        for assignment in sorted(handed_in - named) or ([] if named - {""} else [""]):
            complete.append(Submission(student, assignment, status="missing", remarks=remarks))
    return complete


def _ids(folders: Sequence[Path]) -> list[str]:
    """A student is named by the folder; letters that nbgrader cannot have in a name become an underscore."""
    ids: list[str] = []
    for folder in folders:
        name = re.sub(r"[^\w.@ -]", "_", folder.name).strip()
        ids.append(name if name not in ids else f"{name}_{len(ids)}")
    return ids


def _of_one_student(student: str, folder: Path, sources: Mapping[str, nbformat.NotebookNode]) -> list[Submission]:
    submissions: dict[str, Submission] = {}
    others: list[str] = []
    paths = [path for path in folder.rglob("*") if not path.is_dir() and not _is_hidden(path.relative_to(folder))]
    # The right name counts most, then the newest file.
    for path in sorted(paths, key=lambda path: (path.stem in sources, path.lstat().st_mtime), reverse=True):
        if path.suffix != ".ipynb" and path.stem not in sources:
            others.append(printable(path.name))
            continue
        submission = _read(student, path, sources)
        earlier = submissions.get(submission.assignment)
        if earlier and (earlier.notebook or not submission.notebook):
            earlier.remarks.append(f"{printable(path.name)} was handed in too and was not graded")
        else:
            submissions[submission.assignment] = submission
            submission.remarks += earlier.remarks if earlier else []
    unknown = submissions.pop("", None)
    if unknown and unknown.path:
        others.append(f"{printable(unknown.path.name)} ({'; '.join(unknown.remarks)})")
    if not submissions or others:
        note = [f"not recognised: {', '.join(sorted(others))}"] if others else ["the folder is empty"]
        if submissions:
            next(iter(submissions.values())).remarks += note
        else:
            submissions[""] = Submission(student, "", status="missing", remarks=note)
    return list(submissions.values())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(student: str, path: Path, sources: Mapping[str, nbformat.NotebookNode]) -> Submission:
    """Recognise a file by its cells first, then by its name."""
    by_folder = path.parent.name if path.parent.name in sources else ""
    named = path.stem if path.stem in sources else by_folder
    try:
        # A link could lead to another student's work, a pipe would never end.
        if path.is_symlink() or not path.is_file():
            raise ValueError("it is a link or a device, and no file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it holds {path.stat().st_size / 1e6:.0f} MB, and may hold {LARGEST / 1e6:.0f}")
        read = nbformat.read(path, as_version=4)
        notebook = nbformat.v4.new_notebook(cells=[_clean(cell) for cell in read.cells])
        ids = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells}
    except Exception as error:  # whatever a file may hold
        says = (str(error).splitlines() or [type(error).__name__])[0][:120]
        reason = printable(f"{path.name} cannot be read as a notebook: {says}")
        return Submission(student, named, path, None, "not a notebook", [reason])
    overlap = {name: len(ids & set(grader_cells(source))) for name, source in sources.items()}
    best = max(overlap, key=overlap.__getitem__)
    assignment = best if overlap[best] else named
    submission = Submission(student, assignment, path, notebook)
    if not assignment:
        submission.remarks.append("a notebook of something else")
    elif path.name != f"{assignment}.ipynb":
        submission.remarks.append(
            f"renamed: it came as {printable(path.name)}, recognised by its {'cells' if overlap[best] else 'folder'}"
        )
    return submission


def _clean(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The cell as it counts: its text, its pictures, its name. What else a file holds may well be invalid."""
    clean = NEW_CELLS.get(cell.cell_type, nbformat.v4.new_raw_cell)(printable(str(cell.source)))
    metadata = cell.get("metadata", {}).get("nbgrader")
    if isinstance(metadata, dict):
        clean.metadata["nbgrader"] = metadata
    if "attachments" in cell and cell.cell_type == "markdown":
        clean.attachments = cell.attachments
    return clean


def printable(text: str) -> str:
    """Return a text that any file can hold: what is no character becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def grader_cells(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """Return the cells that nbgrader knows, by their names."""
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
