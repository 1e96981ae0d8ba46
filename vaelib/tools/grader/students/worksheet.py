"""The grading worksheet of a Moodle assignment: who a participant's number is, and when the work came."""

import datetime
import os
import re
from typing import NamedTuple

from dateutil import parser
from nbgrader.utils import parse_utc

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.students.names import composed
from vaelib.tools.grader.students.roster import read_table


class Worksheet(NamedTuple):
    """A line of Moodle's grading worksheet: who a participant's number is, and when the work came."""

    name: str
    email: str
    handed_in: str


def read_worksheet(path: str | os.PathLike, zone: datetime.tzinfo) -> dict[str, Worksheet]:
    """Read the grading worksheet of a Moodle assignment.

    Args:
        path: of the CSV file.
        zone: the time zone of its times.

    Returns:
        Dictionary from a participant's number to a Worksheet.

    Raises:
        GraderError: it is none, or a time in it cannot be read; the message names the line.
    """
    columns, rows = read_table(path)
    if "identifier" not in columns:
        raise GraderError(
            f"{path}, line 1: no column Identifier. Expected the grading worksheet of a Moodle assignment."
        )
    lines = {}
    for number, row in rows:
        participant = re.search(r"\d+", row["identifier"])
        if not participant:
            raise GraderError(f"{path}, line {number}: no number in {row['identifier']!r}, such as Participant 123.")
        said, handed_in = row.get("last modified (submission)", "").strip(), ""
        if said not in ("", "-"):
            try:
                if re.match(r"\d{1,2}[/.]\d", said):
                    raise ValueError("its day could be its month")
                time = parser.parse(said)
            except (ValueError, OverflowError) as error:
                raise GraderError(
                    f"{path}, line {number}: {said!r} is no time in English. Export the worksheet with English as "
                    "Moodle's language, or leave the cell empty."
                ) from error
            handed_in = parse_utc(time if time.tzinfo else time.replace(tzinfo=zone)).isoformat(" ")
        name, email = (composed(row.get(column, "").strip()) for column in ("full name", "email address"))
        lines[participant[0]] = Worksheet(name, email, handed_in)
    return lines
