"""The roster: who takes the course, and which folder is whose."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.students.names import composed

FILE = "roster.csv"  # in the folder of the grades: the last one that was given


class Person(NamedTuple):
    """One line of a roster, in the words of nbgrader's gradebook."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_user_id: str = ""


# What each of these is called: by nbgrader (`nbgrader db student import`), and in the tables that platforms export.
# Of several columns the first one that is filled in counts.
_KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "Canvas": {
        "name": ("student",), "id": ("sis login id", "sis user id", "id"), "lms_user_id": ("id",),
        "email": ("email",),
    },
    "Moodle": {
        "first_name": ("first name",), "last_name": ("last name", "surname"),
        "id": ("username", "id number", "email address"), "email": ("email address",), "lms_user_id": ("id number",),
    },
    "nbgrader": {field: (field,) for field in Person._fields},
}  # fmt: skip
_EXPECTED = (
    "Expected the columns id,first_name,last_name,email,lms_user_id (only id must be there), or a gradebook exported "
    "from Canvas, or a list of participants exported from Moodle."
)


class Roster:
    """Everybody who takes the course.

    Args:
        people: each with an id of their own.
    """

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = list(people)
        self._by_key: dict[str, set[Person]] = {}
        for person in people:
            full = (f"{person.first_name} {person.last_name}", f"{person.last_name} {person.first_name}")
            canvas = re.sub(r"[\W_]", "", person.last_name + person.first_name)  # as it calls the files it exports
            for key in {_key(text) for text in (person.email, person.lms_user_id, *full, canvas)} - {""}:
                self._by_key.setdefault(key, set()).add(person)
        self._by_id = {_key(person.id): person for person in people}

    def find(self, *names: str) -> Person | None:
        """Return the one person whom the first telling name means: an id, an e-mail address, a full name, or the
        platform's number. None where it may be several, or nobody."""
        for name in names:
            if person := self._by_id.get(_key(name)):
                return person
            if len(found := self._by_key.get(_key(name), set())) == 1:
                return next(iter(found))
        return None

    def namesakes(self, name: str) -> int:
        """Return how many people a name may mean."""
        return len(self._by_key.get(_key(name), ()))


def read_roster(path: str | os.PathLike) -> Roster:
    """Read a roster: nbgrader's own columns, or a table as Canvas or Moodle export it.

    Raises:
        GraderError: it is no such table, or two lines have one id; the message names the line.
    """
    path = Path(path)
    columns, rows = read_table(path)
    kind = (
        "Canvas" if {"student", "id", "section"} <= set(columns)
        else "Moodle" if {"first name", "email address"} & set(columns)
        else "nbgrader"
    )  # fmt: skip
    fields = _KINDS[kind]
    if not set(fields["id"]) & set(columns):
        raise GraderError(f"{path}, line 1: no column for an id among {', '.join(columns)}. {_EXPECTED}")
    people: dict[str, tuple[int, Person]] = {}
    for number, row in rows:
        if kind == "Canvas" and (
            row["student"].strip() in ("Points Possible", "") or row["student"] == "Student, Test"
        ):
            continue  # Canvas's own lines
        values = {
            field: next(filter(None, (row.get(name, "").strip() for name in names)), "")
            for field, names in fields.items()
        }
        last, comma, first = values.pop("name", "").partition(",")
        if last:
            before, _, after = last.strip().rpartition(" ")
            values["first_name"], values["last_name"] = (first.strip(), last.strip()) if comma else (before, after)
        person = Person(**{field: composed(value) for field, value in values.items()})
        if not person.id:
            raise GraderError(f"{path}, line {number}: no id. Give this student one in the column {fields['id'][0]}.")
        if _key(person.id) in people:
            earlier = people[_key(person.id)][0]
            raise GraderError(
                f"{path}, line {number}: the id {person.id} stands in line {earlier} too. Give each student an id of "
                "their own, or take one of the lines away."
            )
        people[_key(person.id)] = number, person
    if not people:
        raise GraderError(f"{path} names nobody. {_EXPECTED}")
    return Roster([person for _, person in people.values()])


def read_table(path: str | os.PathLike) -> tuple[list[str], list[tuple[int, Mapping[str, str]]]]:
    """Read a CSV file with commas, semicolons or tabs.

    Returns:
        (columns, rows): the header in lower case; for each line its number in the file and its cells by column.

    Raises:
        GraderError: it cannot be read; the message names the line and says what to do.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GraderError(f"{path} cannot be read: {error.strerror or error}. Name a CSV file.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise GraderError(f"{path}, line {line}: not UTF-8. Save it as CSV UTF-8, as every spreadsheet can.") from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    rows: list[tuple[int, Mapping[str, str]]] = []
    columns: list[str] = []
    try:
        for cells in reader:
            number = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().casefold() for cell in cells]
                if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
                    raise GraderError(f"{path}, line {number}: two columns are called {twice[0]}. Keep one of them.")
                continue
            if len(cells) > len(columns):
                raise GraderError(
                    f"{path}, line {number}: {len(cells)} cells for {len(columns)} columns. Put a cell that holds a "
                    f"{delimiter!r} between quotation marks."
                )
            rows.append((number, dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True))))
    except csv.Error as error:
        raise GraderError(f"{path}, line {reader.line_num}: {error}. Is a quotation mark missing?") from error
    if not columns:
        raise GraderError(f"{path} is empty. {_EXPECTED}")
    return columns, rows


def _key(text: str) -> str:
    return " ".join(composed(text).casefold().split())
