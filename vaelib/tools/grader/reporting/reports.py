"""What grading leaves for the teacher: two tables, written as it goes, and a journal from which a new run goes on."""

import datetime
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import nbformat

from vaelib.tools.grader.reporting import scores
from vaelib.tools.grader.students.submissions import Submission
from vaelib.tools.results import write_csv

Sources = Mapping[str, nbformat.NotebookNode]  # name of an assignment to its source notebook
SHARE = 20  # of the time that grading takes, one part goes into writing the tables meanwhile


class Report:
    """scores.csv, one line per question, and submissions.csv, one line per submission.

    Args:
        root: folder for the two.
        gradebook: its address.
        sources: in the order of the questions.
        submissions: one line each.
        local: how a time of the gradebook, in UTC, is written.
    """

    def __init__(
        self,
        root: Path,
        gradebook: str,
        sources: Sources,
        submissions: Sequence[Submission],
        local: Callable[[datetime.datetime], str] = lambda time: f"{time.isoformat(' ', 'seconds')}+00:00",
    ) -> None:
        self._local = local
        self._root, self.gradebook, self._sources, self._submissions = root, gradebook, sources, submissions
        self._next = time.monotonic()
        self.waiting: set[Submission] = set()  # those whose turn has not come

    def write_now_and_then(self) -> None:
        """Write, unless that was done a moment ago: whoever looks in sees how far it has come."""
        begun = time.monotonic()
        if begun >= self._next:
            self.write()
            self._next = time.monotonic() + SHARE * (time.monotonic() - begun)

    def write(self) -> None:
        """Write both."""
        rows = scores.read_scores(self.gradebook, self._sources)
        write_csv(self._root / "scores.csv", scores.QUESTION_COLUMNS, [list(row.values()) for row in rows])
        totals, lateness = scores.totals(rows), scores.read_lateness(self.gradebook)
        lines = []
        for one in self._submissions:
            score, most, to_mark = totals.get((one.student, one.assignment), (0, 0, 0))
            late = lateness.get((one.student, one.assignment), scores.Lateness(None, 0, 0))
            lines.append([
                one.student, f"{one.person.first_name} {one.person.last_name}".strip() if one.person else "",
                one.assignment, "waiting" if one in self.waiting else one.status, score, most, to_mark,
                self._local(late.submitted) if late.submitted else "", round(late.seconds / 86400, 2),
                late.penalty, score - late.penalty, *(one.cost.get(name, "") for name in ("seconds", "megabytes")),
                "; ".join([*one.remarks, *one.notes]),
            ])  # fmt: skip
        write_csv(self._root / "submissions.csv", scores.SUBMISSION_COLUMNS, lines)


class Journal:
    """What has been graded, one line each: a run that was broken off does not begin again.

    Args:
        root: folder of the journal.
        sources: the assignments; what was graded by another version counts no more.
        fresh: begin a new one.
    """

    def __init__(self, root: Path, sources: Sources, fresh: bool = False) -> None:
        self._path = root / "graded.jsonl"
        self._versions = {name: _digest(version("vaelib"), source) for name, source in sources.items()}
        if fresh:
            self._path.unlink(missing_ok=True)
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        self._known = {}
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # a line that the end of the run cut short
                continue
            self._known[entry["student"], entry["assignment"]] = entry

    def recall(self, one: Submission) -> bool:
        """Fill in what is known of a submission; return whether it is, and has not changed since."""
        entry = self._known.get((one.student, one.assignment))
        if entry is None or entry["digest"] != self._digest(one):
            return False
        one.status, one.remarks, one.cost = entry["status"], entry["remarks"], entry["cost"]
        one.shown = entry.get("shown", "")
        return True

    def record(self, one: Submission) -> None:
        """Add a submission that has been graded."""
        entry = {
            "student": one.student, "assignment": one.assignment, "digest": self._digest(one),
            "status": one.status, "remarks": one.remarks, "cost": one.cost, "shown": one.shown,
        }  # fmt: skip
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def _digest(self, one: Submission) -> str:
        content = hashlib.sha256()
        if one.path is not None and one.path.is_file() and not one.path.is_symlink():
            with open(one.path, "rb") as file:
                content = hashlib.file_digest(file, "sha256")
        return f"{self._versions[one.assignment]} {content.hexdigest()}"


def _digest(grader: str, source: nbformat.NotebookNode) -> str:
    text = grader + nbformat.writes(source)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
