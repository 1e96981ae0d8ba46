"""A course directory: its assignments, their sources, and nbgrader's own API for it."""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.apps import NbGraderAPI
from traitlets.config.loader import Config, PyFileConfigLoader

from vaelib.tools.grader import GraderError

CONFIG = "nbgrader_config.py"


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
