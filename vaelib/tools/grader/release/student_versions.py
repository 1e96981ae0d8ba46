"""The student versions of the assignments, built by nbgrader from a course directory, and shown to leak nothing."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbgrader.apps import NbGraderAPI

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.release.course import CONFIG, open_course, source_notebook

_REGIONS = {"BEGIN SOLUTION": "END SOLUTION", "BEGIN HIDDEN TESTS": "END HIDDEN TESTS"}


class Secret(NamedTuple):
    """What students may not see of one cell.

    Args:
        name: what it is, in words.
        lines: its lines, without those that stand elsewhere in the notebook for everybody to read.
        is_code: whether it is a solution in code, which a lesson may rightly resemble.
    """

    name: str
    lines: frozenset[str]
    is_code: bool


def build_release(course: str | os.PathLike, root: str | os.PathLike, names: Iterable[str]) -> NbGraderAPI:
    """Copy the sources into another folder, enter them in its gradebook and write the student versions there.

    Args:
        course: the course directory, with `source/` and nbgrader_config.py.
        root: the folder to build in; its `release/` will hold the student versions.
        names: the assignments to build.

    Returns:
        nbgrader's API for the new folder.

    Raises:
        GraderError: nbgrader refused, or a solution or a hidden test is left in a student version.
    """
    root, names = Path(root), list(names)
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(course, CONFIG), root / CONFIG)
    for name in names:
        shutil.rmtree(root / "source" / name, ignore_errors=True)
        ignored = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
        shutil.copytree(Path(course, "source", name), root / "source" / name, ignore=ignored)
    api = open_course(root)
    for name in names:
        result = api.generate_assignment(name)
        if not result["success"]:
            raise GraderError(f"nbgrader could not build {name}:\n{result.get('log', '')}\n{result['error']}")
        if leaks := find_leaks(source_notebook(course, name), root / "release" / name / f"{name}.ipynb"):
            raise GraderError(f"The student version of {name} still shows:\n" + "\n".join(leaks))
    return api


def find_leaks(source: nbformat.NotebookNode, released: str | os.PathLike) -> list[str]:
    """Return the lines of solutions and hidden tests, and the outputs, that a student version shows.

    Args:
        source: the source notebook.
        released: path of the student version.
    """
    secret = {line for part in secrets(source) for line in part.lines}
    cells = nbformat.read(released, as_version=4).cells
    lines = [line.strip() for cell in cells for line in cell.source.splitlines()]
    marks = [line for line in lines if any(mark in line for pair in _REGIONS.items() for mark in pair)]
    return marks + [line for line in lines if line in secret] + [str(o) for c in cells for o in c.get("outputs", [])]


def secrets(source: nbformat.NotebookNode) -> list[Secret]:
    """Return the solutions and the hidden tests of a source notebook, cell by cell."""
    found: list[tuple[nbformat.NotebookNode, str, set[str]]] = []
    public: set[str] = set()
    for cell in source.cells:
        lines = list(map(str.strip, cell.source.splitlines()))
        is_answer = cell.metadata.get("nbgrader", {}).get("solution")
        if is_answer and not any(mark in line for line in lines for mark in _REGIONS):
            found.append((cell, "END SOLUTION", set(lines)))  # nbgrader takes the whole cell away
            continue
        end = None
        for line in lines:
            begun = next((mark for mark in _REGIONS if mark in line), None)
            if begun:
                end = _REGIONS[begun]
                found.append((cell, end, set()))
            elif end and end in line:
                end = None
            elif end:
                found[-1][2].add(line)
            else:
                public.add(line)
    parts = []
    for cell, end, hidden in found:
        # A line such as `import numpy as np` may rightly stand in both.
        kept = frozenset(line for line in hidden - public if re.search(r"\w", line))
        kind = end.removeprefix("END ").lower()
        name = f"the {kind} of {cell.metadata.get('nbgrader', {}).get('grade_id', 'a cell')}"
        if kept:
            parts.append(Secret(name, kept, kind == "solution" and cell.cell_type == "code"))
    return parts
