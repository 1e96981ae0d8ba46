"""Late submissions: nbgrader's own penalties, by the policy of the term."""

import contextlib
import datetime
import math
import re
from pathlib import Path

import nbformat
from dateutil import parser, tz
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import parse_utc
from traitlets import Enum, Float
from traitlets.config import Config

from vaelib.tools.grader.students.terms import Policy, Term

FILE = "timestamp.txt"  # nbgrader's own, beside a submission: when it came, in UTC unless it says otherwise


class LatePenalty(LateSubmissionPlugin):
    """nbgrader's plugin for late submissions, with a penalty that grows with time."""

    penalty_method = Enum(("none", "zero", "rate"), default_value="none", help="rate: by the rest.").tag(config=True)
    share = Float(0.0, help="Of the points earned, for every unit of time begun.").tag(config=True)
    points = Float(0.0, help="Points, for every unit of time begun.").tag(config=True)
    every = Float(86400.0, help="Seconds of a unit of time.").tag(config=True)
    most = Float(float("inf"), help="The largest penalty, in the same measure.").tag(config=True)
    grace = Float(0.0, help="Seconds that cost nothing.").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Return the points that a notebook loses; nbgrader never takes more than it earned."""
        if total_seconds_late <= self.grace:
            return None
        if self.penalty_method != "rate":
            return super().late_submission_penalty(student_id, score, total_seconds_late)
        units = math.ceil(total_seconds_late / self.every)
        return min(units * (self.share or self.points), self.most) * (score if self.share else 1.0)


def read_timestamp(notebook: Path, folder: Path) -> tuple[datetime.datetime | None, str]:
    """Return when a submission came, in UTC, and a remark where a file is there that does not say.

    Args:
        notebook: that was handed in.
        folder: of its student. The file nearest to it counts: deeper ones may be the student's own.
    """
    for place in reversed(notebook.relative_to(folder).parents):
        path = folder / place / FILE
        if path.is_symlink() or not path.is_file():
            continue
        text = ""
        with contextlib.suppress(OSError, ValueError, OverflowError):
            with open(path, encoding="utf-8") as file:
                text = file.read(100).strip()
            return _utc(text)
        return None, f"{FILE} holds no time but {text!r}, so nothing is late. Write one such as 2027-01-31 23:59:00 UTC"
    return None, ""


def _utc(text: str) -> tuple[datetime.datetime, str]:
    """A time in UTC, and a doubt: of an offset nbgrader would make seconds, and of an unknown zone UTC, silently."""
    zone = text.split(" ")[2] if text.count(" ") == 2 else ""
    if re.fullmatch(r"[+-]\d\d:?\d\d", zone):
        return parse_utc(parser.parse(text)), ""
    doubt = f"{FILE} names the time zone {zone}, which is not known: it was taken as UTC"
    return parse_utc(text), doubt if zone and tz.gettz(zone) is None else ""


def enter_term(gradebook_url: str, term: Term) -> None:
    """Enter the due dates in a gradebook, for every assignment in it."""
    with Gradebook(gradebook_url) as gradebook:
        for assignment in gradebook.assignments:
            assignment.duedate = term.due.get(assignment.name)
        gradebook.db.commit()


def settle(
    gradebook_url: str, term: Term | None, student: str, assignment: str, handed_in: datetime.datetime | None
) -> None:
    """Enter when a submission came, and let nbgrader say what it costs; marks by hand count with the rest.

    Args:
        gradebook_url: address of the gradebook, which holds the submission and the due date.
        term: None leaves earlier penalties as they are.
        student: who.
        assignment: what.
        handed_in: in UTC.
    """
    with Gradebook(gradebook_url) as gradebook:
        try:
            submission = gradebook.find_submission(assignment, student)
        except MissingEntry:
            return
        submission.timestamp = handed_in
        if term:
            longer = term.extended.get((assignment, student))
            submission.extension = longer - term.due[assignment] if longer else None
        gradebook.db.commit()
        changes = submission.total_seconds_late > 0 or submission.late_submission_penalty
        notebooks = [notebook.name for notebook in submission.notebooks]
    if term and changes:
        assign = AssignLatePenalties(config=penalty_config(term.policy))
        for notebook in notebooks:
            place = {"notebook": notebook, "assignment": assignment, "student": student, "db_url": gradebook_url}
            assign.preprocess(nbformat.v4.new_notebook(), {"nbgrader": place})


def penalty_config(policy: Policy) -> Config:
    """Return nbgrader's settings for a policy."""
    values = policy._asdict()
    plugin = {"penalty_method": values.pop("method"), **values}
    return Config({"AssignLatePenalties": {"plugin_class": LatePenalty}, "LatePenalty": plugin})
