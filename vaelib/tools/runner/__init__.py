"""The course runner: finds the notebooks, runs them headless, reports on them, saves their outputs.

Command line: `python -m vaelib.tools.runner --help`. Needs the extra `course`: `pip install vaelib[course]`.
"""

from vaelib.tools.runner.execution import execute
from vaelib.tools.runner.notebooks import CourseError, Notebook, choose, find_notebooks, parse_parameter
from vaelib.tools.runner.report import write_report

__all__ = ["CourseError", "Notebook", "choose", "execute", "find_notebooks", "parse_parameter", "write_report"]
