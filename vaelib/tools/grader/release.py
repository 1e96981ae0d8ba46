"""The student versions of the assignments, built by nbgrader from a course directory, and shown to leak nothing."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.apps import NbGraderAPI
from traitlets.config.loader import Config, PyFileConfigLoader

from vaelib.tools.grader import GraderError

CONFIG = "nbgrader_config.py"
_REGIONS = {"BEGIN SOLUTION": "END SOLUTION", "BEGIN HIDDEN TESTS": "END HIDDEN TESTS"}


def assignment_names(course: str | os.PathLike) -> list[str]:
    """Return the names of the assignments in a course directory, sorted.

    Raises:
        GraderError: there is none.
    """
    names = sorted(path.stem for path in Path(course, "source").glob("*/*.ipynb") if path.stem == path.parent.name)
    if not names:
        raise GraderError(f"No assignment in {course}: expected source/NAME/NAME.ipynb there.")
    return names


def source_notebook(course: str | os.PathLike, name: str) -> nbformat.NotebookNode:
    """Read the source of an assignment, solutions and hidden tests included."""
    return nbformat.read(Path(course, "source", name, f"{name}.ipynb"), as_version=4)


def open_course(root: str | os.PathLike, options: dict[str, dict[str, Any]] | None = None) -> NbGraderAPI:
    """Return nbgrader's own API for a course directory, with the configuration that lies in it.

    Args:
        root: the course directory.
        options: settings beside those, by class and name.
    """
    config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
    config.merge(Config(options or {}))
    config.CourseDirectory.root = str(Path(root).resolve())
    # nbgrader calls `alembic` by its bare name: find the one of this environment, though nobody activated it.
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = beside + os.pathsep + os.environ["PATH"]
    return NbGraderAPI(config=config)


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
    secret = _secret_lines(source)
    cells = nbformat.read(released, as_version=4).cells
    lines = [line.strip() for cell in cells for line in cell.source.splitlines()]
    marks = [line for line in lines if any(mark in line for pair in _REGIONS.items() for mark in pair)]
    return marks + [line for line in lines if line in secret] + [str(o) for c in cells for o in c.get("outputs", [])]


def _secret_lines(source: nbformat.NotebookNode) -> set[str]:
    """The lines that stand in solutions and hidden tests alone."""
    secret: set[str] = set()
    public: set[str] = set()
    for cell in source.cells:
        end = None
        for line in map(str.strip, cell.source.splitlines()):
            begun = next((mark for mark in _REGIONS if mark in line), None)
            if begun:
                end = _REGIONS[begun]
            elif end and end in line:
                end = None
            else:
                (secret if end else public).add(line)
    # A line such as `import numpy as np` may rightly stand in both.
    return {line for line in secret - public if re.search(r"\w", line)}
