"""The course runner: finds the notebooks, runs them headless, reports on them, saves their outputs.

Command line: `python -m vaelib.course --help`. Needs the extra `course`: `pip install vaelib[course]`.
"""

from vaelib.course.execution import execute
from vaelib.course.notebooks import CourseError, Notebook, choose, find_notebooks, parse_parameter
from vaelib.course.report import write_report

__all__ = ["CourseError", "Notebook", "choose", "execute", "find_notebooks", "parse_parameter", "write_report"]
