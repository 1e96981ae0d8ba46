"""A term in one file: when each assignment is due, who has longer, and what being late costs."""

import datetime
import difflib
import os
import re
import tomllib
import zoneinfo
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.students.names import composed

FILE = "term.toml"  # in the folder of the grades: the last one that was given
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_RATE = re.compile(
    r"(?P<amount>\d+(\.\d+)?) ?(?P<of>%|points?) (?:an?|per) (?P<every>hour|day|week)"
    r"(?:, at most (?P<most>\d+(\.\d+)?) ?(?P<most_of>%|points?))?"
)
_GRACE = re.compile(r"(?P<count>\d+(\.\d+)?) (?P<unit>minute|hour|day)s?")


class Policy(NamedTuple):
    """What being late costs.

    Args:
        method: "none", "zero", or "rate" for the rest.
        share: of the points that were earned, for every unit of time begun.
        points: that many points instead.
        every: seconds of a unit.
        most: of share or points, whatever the time; infinity for no bound.
        grace: seconds that cost nothing; after them the time counts from the due date.
    """

    method: str = "none"
    share: float = 0.0
    points: float = 0.0
    every: float = 86400.0
    most: float = float("inf")
    grace: float = 0.0


class Term(NamedTuple):
    """Times are in UTC and say so nowhere, as nbgrader keeps them.

    Args:
        due: from an assignment to a time.
        extended: from an assignment and a student to a time.
        policy: what being late costs.
        zone: that the file's times are in, and that the tables show.
        assumed: whether the file names no zone.
    """

    due: dict[str, datetime.datetime]
    extended: dict[tuple[str, str], datetime.datetime]
    policy: Policy
    zone: datetime.tzinfo
    assumed: bool

    def local(self, time: datetime.datetime) -> str:
        """Return a time of the gradebook as the teacher's clock showed it."""
        there = time.replace(tzinfo=datetime.UTC).astimezone(self.zone)
        return there.isoformat(" ", "seconds")


def read_term(path: str | os.PathLike, assignments: Iterable[str]) -> Term:
    """Read the file of a term.

    Args:
        path: of the file.
        assignments: those that it may name.

    Raises:
        GraderError: it cannot be read; the message names the line or the entry, and says what to write.
    """
    path, assignments = Path(path), list(assignments)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise GraderError(f"{path} cannot be read: {error.strerror or error}. Name a term's file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GraderError(f"{path}: {error}. Write it as assignments/README.md shows.") from error
    known = ("time_zone", "late", "grace", "due", "extended")
    if foreign := sorted(set(content) - set(known)):
        raise GraderError(f"{path}: {foreign[0]} means nothing here. Expected some of {', '.join(known)}.")
    name = content.get("time_zone", "UTC")
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise GraderError(
            f'{path}: no time zone is called {name!r}. Write one such as "Europe/Berlin" or "America/New_York".'
        ) from error
    due = {
        assignment: _time(value, zone, f"{path}, [due] {assignment}")
        for assignment, value in _table(content, "due", path).items()
    }
    extended = {}
    for assignment, students in _table(content, "extended", path).items():
        if not isinstance(students, dict):
            raise GraderError(f"{path}: write [extended.{assignment}], and below it one line STUDENT = TIME each.")
        for student, value in students.items():
            place = f"{path}, [extended.{assignment}] {student}"
            if assignment not in due:
                raise GraderError(f"{place}: {assignment} has no date in [due]. Give it one.")
            extended[assignment, composed(student)] = _time(value, zone, place)
    for assignment in due:
        if assignment not in assignments:
            raise GraderError(f"{path}: no assignment is called {assignment}. Expected {', '.join(assignments)}.")
    policy = _policy(content.get("late", "none"), content.get("grace", "0 minutes"), path)
    return Term(due, extended, policy, zone, "time_zone" not in content)


def require_known(term: Term, students: Iterable[str]) -> None:
    """See that whoever has longer is a student: a slip of the pen would cost them points.

    Raises:
        GraderError: somebody is not.
    """
    known = set(students)
    for assignment, student in term.extended:
        if student not in known:
            near = difflib.get_close_matches(student, known, n=3, cutoff=0.0)
            raise GraderError(
                f"[extended.{assignment}] in the term's file names {student}, and no student is called so. Write a "
                f"name as in the column student of submissions.csv, such as {', '.join(near)}."
            )


def _table(content: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise GraderError(f"{path}: {name} must be a table, came {table!r}. Write [{name}] and the lines below it.")
    return table


def _time(value: object, zone: datetime.tzinfo, place: str) -> datetime.datetime:
    try:
        time = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise GraderError(f'{place}: {value!r} is no time. Write it as "2027-01-31 23:59".') from error
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime) or _is_day(value):
        raise GraderError(f'{place}: {value!s} has no hour. Write it as "2027-01-31 23:59".')
    there = time if time.tzinfo else time.replace(tzinfo=zone)
    return there.astimezone(datetime.UTC).replace(tzinfo=None)


def _is_day(value: object) -> bool:
    return isinstance(value, str) and ":" not in value


def _policy(late: object, grace: object, path: Path) -> Policy:
    waits = _GRACE.fullmatch(str(grace).strip())
    if not waits:
        raise GraderError(f'{path}: grace = {grace!r} is no span of time. Write it as "15 minutes" or "2 hours".')
    seconds = float(waits["count"]) * _SECONDS[waits["unit"]]
    if late in ("none", "zero"):
        return Policy(str(late), grace=seconds)
    rate = _RATE.fullmatch(" ".join(str(late).split()))
    if not rate or (rate["most_of"] and (rate["most_of"] == "%") != (rate["of"] == "%")):
        raise GraderError(
            f'{path}: late = {late!r} is no penalty. Write "none", "zero", "10% a day", "1% an hour, at most 50%" or '
            '"5 points a day".'
        )
    percent = rate["of"] == "%"
    unit = 0.01 if percent else 1.0
    amount, most = float(rate["amount"]) * unit, float(rate["most"] or "inf") * unit
    return Policy("rate", amount * percent, amount * (not percent), _SECONDS[rate["every"]], most, seconds)
