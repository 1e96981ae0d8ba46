"""The gradebook: enter what one submission earned, and read everything."""

import datetime
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import nbformat
from nbgrader.api import Gradebook
from nbgrader.utils import is_grade
from sqlalchemy.exc import SAWarning

from vaelib.tools.grader.students.roster import Person

# nbgrader's own way to enter a submission makes SQLAlchemy warn, to no effect.
warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")

QUESTION_COLUMNS = ["student", "assignment", "question", "score", "max_score", "graded"]
SUBMISSION_COLUMNS = [
    "student",
    "name",
    "assignment",
    "status",
    "score",
    "max_score",
    "to_mark",
    "submitted",
    "days_late",
    "penalty",
    "final",
    "seconds",
    "megabytes",
    "remarks",
]


def enter_scores(gradebook_url: str, private_url: str, student: str, assignment: str) -> None:
    """Copy the scores of the tests from a submission's own gradebook into the teacher's; marks given by hand stay."""
    with Gradebook(private_url) as private, Gradebook(gradebook_url) as gradebook:
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(assignment, student)
        for notebook in private.find_submission(assignment, student).notebooks:
            for grade in notebook.grades:
                mine = gradebook.find_grade(grade.name, notebook.name, assignment, student)
                mine.auto_score, mine.needs_manual_grade = grade.auto_score, grade.needs_manual_grade
            for comment in notebook.comments:
                mine = gradebook.find_comment(comment.name, notebook.name, assignment, student)
                mine.auto_comment = comment.auto_comment
        gradebook.db.commit()


def enter_zero(gradebook_url: str, student: str, assignment: str) -> None:
    """Enter a submission that could not be graded; marks given by hand stay."""
    with Gradebook(gradebook_url) as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(assignment, student)
        for grade in [grade for notebook in submission.notebooks for grade in notebook.grades]:
            grade.auto_score, grade.needs_manual_grade = 0, False
        gradebook.db.commit()


def read_scores(gradebook_url: str, order: Mapping[str, nbformat.NotebookNode]) -> list[dict[str, Any]]:
    """Read every score in a gradebook.

    Args:
        gradebook_url: as in nbgrader's configuration.
        order: dictionary from an assignment to its source notebook, whose order the questions get.

    Returns:
        List of dictionaries with QUESTION_COLUMNS, in this order; `score` is "" where nobody has marked yet, and
        `graded` is "tests", "by hand" or "to mark".
    """
    rows = []
    with Gradebook(gradebook_url) as gradebook:
        for assignment in gradebook.assignments:
            if assignment.name not in order:
                continue
            places = [cell.metadata.nbgrader.grade_id for cell in order[assignment.name].cells if is_grade(cell)]
            for submission in sorted(assignment.submissions, key=lambda submission: submission.student_id):
                grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                for grade in sorted(grades, key=lambda grade: places.index(grade.name)):
                    open_question = grade.auto_score is None and grade.manual_score is None
                    by_hand = grade.manual_score is not None
                    score = "" if open_question else grade.score
                    graded = "to mark" if open_question else "by hand" if by_hand else "tests"
                    values = [submission.student_id, assignment.name, grade.name, score, grade.max_score, graded]
                    rows.append(dict(zip(QUESTION_COLUMNS, values, strict=True)))
    return rows


class Lateness(NamedTuple):
    """When a submission came (UTC), how many seconds late, and the points that costs."""

    submitted: datetime.datetime | None
    seconds: float
    penalty: float


def read_lateness(gradebook_url: str) -> dict[tuple[str, str], Lateness]:
    """Return what the gradebook says of the time of every submission, by (student, assignment)."""
    with Gradebook(gradebook_url) as gradebook:
        return {
            (one.student_id, assignment.name): Lateness(
                one.timestamp, one.total_seconds_late, one.late_submission_penalty or 0.0
            )
            for assignment in gradebook.assignments
            for one in assignment.submissions
        }


def shown(gradebook_url: str, student: str, assignment: str) -> str:
    """Return a digest of what a feedback page takes from the gradebook: points, comments and the late penalty."""
    with Gradebook(gradebook_url) as gradebook:
        submission = gradebook.find_submission(assignment, student)
        marks = [
            (
                notebook.name, notebook.late_submission_penalty,
                sorted((grade.name, grade.score, grade.max_score) for grade in notebook.grades),
                sorted((comment.name, comment.comment or "") for comment in notebook.comments),
            )
            for notebook in submission.notebooks
        ]  # fmt: skip
    return hashlib.sha256(repr(marks).encode("utf-8", "replace")).hexdigest()


def enter_people(gradebook_url: str, people: Mapping[str, Person]) -> None:
    """Enter everybody on the roster, with names and addresses: who handed in nothing is then in nbgrader's lists too.

    Args:
        gradebook_url: its address.
        people: dictionary from a student to the line of the roster.
    """
    with Gradebook(gradebook_url) as gradebook:
        for student, person in people.items():
            gradebook.update_or_create_student(
                student, **{k: v or None for k, v in person._asdict().items() if k != "id"}
            )


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Return (score, max_score, number of questions to mark) by (student, assignment), from rows of `read_scores`."""
    held: dict[tuple[str, str], tuple[float, float, int]] = {}
    for row in rows:
        score, most, to_mark = held.get((row["student"], row["assignment"]), (0, 0, 0))
        held[row["student"], row["assignment"]] = (
            score + (row["score"] or 0), most + row["max_score"], to_mark + (row["graded"] == "to mark")
        )  # fmt: skip
    return held
