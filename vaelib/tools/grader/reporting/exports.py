"""Grades as Canvas and Moodle import them: export plugins of nbgrader.

nbgrader export --exporter=vaelib.tools.grader.reporting.exports.CanvasExport --to canvas.csv
"""

from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin
from traitlets import Bool

from vaelib.tools.grader import GraderError
from vaelib.tools.results import write_csv


class GradesExport(ExportPlugin):
    """A table with a line for each student and a column for each assignment.

    A cell holds the points with the late penalty taken off. It is empty, and the platform's own entry stays, where
    nothing was handed in or something waits to be marked by hand.
    """

    zeros = Bool(False, help="Write 0 where nothing was handed in.").tag(config=True)
    unmarked = Bool(False, help="Write points that lack what waits to be marked.").tag(config=True)
    default_file = "grades.csv"

    def export(self, gradebook: Gradebook) -> None:
        """Write the table to the file `to`."""
        assignments = [one for one in gradebook.assignments if not self.assignment or one.name in self.assignment]
        self.waiting: dict[str, int] = {}  # from an assignment to how many submissions are not marked
        wanted = set(map(str, self.student))
        students = [student for student in gradebook.students if not wanted or student.id in wanted]
        students.sort(key=lambda student: (student.last_name or "", student.first_name or "", student.id))
        rows = [
            [*self.person(student), *(self._points(gradebook, one, student) for one in assignments)]
            for student in students
        ]
        header, above = self.header([(one.name, one.max_score) for one in assignments])
        write_csv(self.to or self.default_file, header, [*above, *rows])
        for name, count in self.waiting.items():
            self.log.warning("%s: %s submissions wait to be marked by hand; their cells are empty", name, count)

    def header(self, assignments: list[tuple[str, float]]) -> tuple[list[str], list[list[Any]]]:
        """Return the columns, and lines that stand above the students.

        Args:
            assignments: the name and the most points of each.
        """
        raise NotImplementedError

    def person(self, student: Any) -> list[str]:
        """Return the cells that say who a student is.

        Args:
            student: nbgrader's.
        """
        raise NotImplementedError

    def _points(self, gradebook: Gradebook, assignment: Any, student: Any) -> float | str:
        try:
            submission = gradebook.find_submission(assignment.name, student.id)
        except MissingEntry:
            return 0.0 if self.zeros else ""
        open_questions = any(
            grade.auto_score is None and grade.manual_score is None
            for notebook in submission.notebooks
            for grade in notebook.grades
        )
        if open_questions and not self.unmarked:
            self.waiting[assignment.name] = self.waiting.get(assignment.name, 0) + 1
            return ""
        return round(max(0.0, submission.score - (submission.late_submission_penalty or 0.0)), 4)


class CanvasExport(GradesExport):
    """For Canvas: Grades, Import. It knows a student by ID, its own number, or else by the login."""

    default_file = "canvas.csv"

    def header(self, assignments: list[tuple[str, float]]) -> tuple[list[str], list[list[Any]]]:
        """Return Canvas's columns, and its line of points."""
        columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
        points = ["    Points Possible", "", "", "", "", *(most for _, most in assignments)]
        return [*columns, *(name for name, _ in assignments)], [points]

    def person(self, student: Any) -> list[str]:
        """Return the name as Canvas sorts it, and what it knows the student by."""
        name = ", ".join(filter(None, (student.last_name, student.first_name))) or student.id
        return [name, student.lms_user_id or "", "", student.id, ""]


class MoodleExport(GradesExport):
    """For Moodle: Grades, Import, CSV file. Map from "Email address" to "Email address", or from "Username"."""

    default_file = "moodle.csv"

    def header(self, assignments: list[tuple[str, float]]) -> tuple[list[str], list[list[Any]]]:
        """Return Moodle's columns."""
        columns = ["First name", "Last name", "ID number", "Email address", "Username"]
        return [*columns, *(f"Assignment: {name} (Real)" for name, _ in assignments)], []

    def person(self, student: Any) -> list[str]:
        """Return the name and what Moodle may know the student by."""
        fields = (student.first_name, student.last_name, student.lms_user_id, student.email, student.id)
        return [field or "" for field in fields]


EXPORTS: dict[str, type[GradesExport]] = {"canvas": CanvasExport, "moodle": MoodleExport}


def export(root: Path, platform: str, to: str = "", **settings: bool) -> tuple[str, dict[str, int]]:
    """Write a table for a platform from a folder of grades.

    Args:
        root: with the gradebook.
        platform: one of EXPORTS.
        to: file to write; by default PLATFORM.csv in the folder.
        settings: `zeros` and `unmarked` of GradesExport.

    Returns:
        (path, waiting): of the file, and from an assignment to how many submissions wait to be marked.

    Raises:
        GraderError: the folder holds no gradebook.
    """
    with Gradebook(gradebook_of(root)) as gradebook:
        plugin = EXPORTS[platform](to=to or str(root / EXPORTS[platform].default_file), **settings)
        plugin.export(gradebook)
    return plugin.to, plugin.waiting


def gradebook_of(root: Path) -> str:
    """Return the address of the gradebook in a folder of grades.

    Raises:
        GraderError: there is none.
    """
    path = root / "gradebook.db"
    if not path.exists():
        raise GraderError(f"{root} holds no gradebook: name the folder that `make grade` wrote, its GRADES.")
    return f"sqlite:///{path.resolve()}"
