"""What each student is called in the gradebook: one name for one person, the same all term.

nbgrader's folders cannot hold every letter that a name has, and what stands for the others must not make two people
one. So a table keeps which folder became which student.
"""

import csv
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from vaelib.tools.grader import GraderError
from vaelib.tools.results import write_csv

TABLE = "students.csv"
COLUMNS = ["folder", "student"]
LONGEST = 128  # characters that nbgrader's gradebook holds
RESERVED = ("model_solution",)  # stands where a student's name stands


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in characters that any file can hold."""
    return unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace").decode()


class Names:
    """The table from what a student's folder is called to what the student is called.

    Args:
        path: of the table, which need not exist yet; None to keep none.

    Raises:
        GraderError: the table cannot be read; the message names the line.
    """

    def __init__(self, path: str | os.PathLike | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._known = _read(self._path) if self._path and self._path.exists() else {}

    def known(self, folder: str) -> str | None:
        """Return what a folder became; None where it is new."""
        return self._known.get(composed(folder))

    def add(self, folders: Iterable[str]) -> dict[str, str]:
        """Give every folder its student.

        Args:
            folders: their names, or what a roster calls their owners.

        Returns:
            Dictionary from a folder's name to a student; the same person for two spellings of one name, and for
            nothing else.
        """
        spelled = {folder: composed(folder) for folder in folders}
        held = {student.casefold() for student in (*self._known.values(), *RESERVED)}
        # Whoever needs no other name comes first, or `a+b` would take the name of `a_b`.
        new = sorted(set(spelled.values()) - set(self._known), key=lambda folder: (_plain(folder) != folder, folder))
        for folder in new:
            plain, number = _plain(folder), 2
            student = plain
            while student.casefold() in held:  # a disk may not tell capitals apart
                student, number = f"{plain}-{number}", number + 1
            held.add(student.casefold())
            self._known[folder] = student
        return {folder: self._known[name] for folder, name in spelled.items()}

    def students(self) -> set[str]:
        """Return everybody in the table."""
        return set(self._known.values())

    def write(self) -> None:
        """Keep the table."""
        if self._path:
            write_csv(self._path, COLUMNS, sorted(self._known.items()))


def _plain(folder: str) -> str:
    """The letters that nbgrader can have in a name."""
    return re.sub(r"[^\w.@ -]", "_", folder).strip(" .")[: LONGEST - 8] or "_"


def _read(path: Path) -> dict[str, str]:
    known: dict[str, str] = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows: Sequence[list[str]] = list(csv.reader(file))
    if not rows or rows[0] != COLUMNS:
        raise GraderError(f"{path} must begin with the line {','.join(COLUMNS)}. Take it away to have it made anew.")
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != 2 or not all(row) or _plain(row[1]) != row[1]:
            raise GraderError(f"{path}, line {number}: expected a folder and a student, came {row}. Mend the line.")
        known[composed(row[0])] = row[1]
    return known
