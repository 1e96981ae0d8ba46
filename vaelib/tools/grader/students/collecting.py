"""What a learning platform exports, made into a folder for each student by nbgrader's zip_collect."""

import io
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbgrader.apps.zipcollectapp import ZipCollectApp
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import FileNameCollectorPlugin
from nbgrader.utils import unzip
from traitlets import Instance, Unicode
from traitlets.config import Config

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.students.archives import BYTES, ENTRIES, SafeExtractor, is_hidden, unfit
from vaelib.tools.grader.students.names import composed
from vaelib.tools.grader.students.roster import Roster
from vaelib.tools.grader.students.worksheet import Worksheet

ARCHIVES = (".zip", ".gz")

# How platforms call what one student handed in; `rest` is the student's own name for the file.
PATTERNS = {
    "Moodle": r"(?P<student_id>.+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<rest>.*))?$",
    "Canvas": r"(?P<student_id>[^_]+)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<rest>.+)$",
    "flat": r"(?P<student_id>.+)_{assignment}(?: ?\(\d+\)|-\d+)?(?:\.ipynb)?$",
}


class Collected(NamedTuple):
    """What came of an export.

    Args:
        students: dictionary from a folder that was written to the files in it.
        remarks: what was left out, and what a teacher should know.
    """

    students: dict[str, list[str]]
    remarks: list[str]


def collect(
    export: str | os.PathLike,
    assignment: str,
    submitted: str | os.PathLike,
    roster: Roster | None = None,
    worksheet: Mapping[str, Worksheet] | None = None,
    regexp: str = "",
) -> Collected:
    """Sort an export into SUBMITTED/STUDENT/ASSIGNMENT/, with the time it came where that is known.

    Args:
        export: a zip file, or a folder with what was in one: a folder, a notebook or an archive for each student.
        assignment: which one it is.
        submitted: folder to write to; what a student in the export handed in earlier for this assignment is replaced.
        roster: tells who is meant by a name, an address or a platform's number.
        worksheet: Moodle's, by a participant's number (see `read_worksheet`).
        regexp: for another platform, nbgrader's `named_regexp`, held against the name of each student's file or folder:
            groups student_id and file_id, perhaps timestamp.

    Returns:
        Collected.

    Raises:
        GraderError: the export cannot be read, is too large to be one, or holds nobody's notebook.
    """
    try:
        if regexp and not {"student_id", "file_id"} <= set(re.compile(regexp).groupindex):
            raise GraderError(f"The regexp {regexp!r} must have groups (?P<student_id>...) and (?P<file_id>...).")
    except re.error as error:
        raise GraderError(f"{regexp!r} is no regular expression: {error}.") from error
    export, submitted = Path(export), Path(submitted).resolve()
    with tempfile.TemporaryDirectory(prefix="vaelib-collecting-") as root:
        archive = Path(root, "downloaded", assignment, "archive")
        if export.is_dir():
            shutil.copytree(export, archive, symlinks=True)
        else:
            archive.mkdir(parents=True)
            if problem := unfit(export, ENTRIES, BYTES):
                raise GraderError(f"{export} was not unpacked: {problem}. Name a platform's zip file, or a folder.")
            try:
                unzip(str(export), str(archive), zip_ext=[export.suffix])
            except Exception as error:  # whatever an archive may hold
                raise GraderError(f"{export} cannot be unpacked: {error}. Download it again.") from error
        app = _app(Path(root), submitted, assignment, regexp)
        log = io.StringIO()
        app.init_logging(logging.StreamHandler, [log], color=False)
        app.coursedir = CourseDirectory(parent=app)
        app.init_plugins()
        collector, extractor = app.collector_plugin_inst, app.extractor_plugin_inst
        collector.roster, collector.worksheet = roster, worksheet
        collector.extracted = app._format_collect_path(app.extracted_directory)
        try:
            app.extract_archive_files()
            collector.look_ahead()
            app.process_extracted_files()
        except SystemExit as error:  # nbgrader's way to say no
            raise GraderError(f"nbgrader did not collect {export}: {log.getvalue().strip()[-500:]}") from error
        finally:
            app.deinit_logging()
    remarks = [*extractor.remarks, *collector.remarks]
    if not collector.found:
        heard = "; ".join(remarks[:5])
        raise GraderError(
            f"{export} holds no notebook of anybody. Expected names as Moodle or Canvas give them, or "
            f"STUDENT_{assignment}.ipynb; for another platform add --regexp.{' ' if heard else ''}{heard}"
        )
    return Collected(dict(sorted(collector.found.items())), remarks)


class Collector(FileNameCollectorPlugin):
    """nbgrader's collector, which knows the names that Moodle and Canvas give, and asks the roster who is meant."""

    assignment = Unicode(help="Which assignment is collected.").tag(config=True)
    roster: Any = Instance(Roster, allow_none=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.worksheet: Mapping[str, Worksheet] | None = None
        self.extracted = ""
        self.remarks: list[str] = []
        self.found: dict[str, list[str]] = {}
        self._numbers: dict[str, set[str]] = {}
        self._owners: dict[str, str] = {}

    def look_ahead(self) -> None:
        """See which names stand for several people: to be called before the first file is collected."""
        for path in Path(self.extracted).rglob("*.ipynb"):
            if parts := self._parts(str(path)):
                self._numbers.setdefault(parts["student_id"], set()).add(parts.get("number") or "")

    def collect(self, submitted_file: str) -> dict | None:
        """Return whose a file is, what it is called, and when it came."""
        place = Path(submitted_file).relative_to(self.extracted).as_posix()
        if Path(place).suffix not in self.valid_ext or is_hidden(Path(place)):
            return None
        parts = self._parts(submitted_file)
        if parts is None:
            self.remarks.append(f"{place}: nobody's, by its name")
            return None
        student, handed_in = self._who(parts)
        if parts.get("late"):
            self._say(f"{student}: Canvas calls it late")
        files = self.found.setdefault(student, [])
        stem, number = parts["file_id"], 2
        file_id = stem
        while file_id in files:
            file_id, number = f"{number}/{stem}", number + 1
        files.append(file_id)
        return {"student_id": student, "file_id": file_id} | ({"timestamp": handed_in} if handed_in else {})

    def _parts(self, submitted_file: str) -> dict[str, str] | None:
        # The platform names what is on top; what lies below has a student's own names, which prove nothing.
        first, _, below = composed(Path(submitted_file).relative_to(self.extracted).as_posix()).partition("/")
        patterns = {"regexp": self.named_regexp} if self.named_regexp else PATTERNS
        for kind, pattern in patterns.items():
            match = re.match(pattern.replace("{assignment}", re.escape(self.assignment)), first)
            if match:
                found = {name: text for name, text in match.groupdict().items() if text} | {"kind": kind}
                flat = found.get("file_id") or found.get("rest") or f"{self.assignment}.ipynb"
                return found | {"file_id": below or flat} if "student_id" in found else None
        return {"student_id": first, "file_id": below} if below else None

    def _who(self, parts: Mapping[str, str]) -> tuple[str, str]:
        """The folder of a student, and when the work came."""
        name, number = parts["student_id"].strip(), parts.get("number") or ""
        line = (self.worksheet or {}).get(number)
        handed_in = parts.get("timestamp") or (line.handed_in if line else "")
        # Moodle's number is another one for each assignment; Canvas's stays.
        telling = [
            line.email if line else "",
            number if parts.get("kind") == "Canvas" else "",
            line.name if line else "",
        ]
        person = self.roster.find(*filter(None, [*telling, name])) if self.roster else None
        if person:
            return _folder(person.id), handed_in
        if self.roster and self.roster.namesakes(name) > 1:
            self._say(f"{name} ({number}): several on the roster are called so. Add --worksheet, or rename the folder")
        elif self.roster:
            self._say(f"{name}: not on the roster")
        if len(self._numbers.get(parts["student_id"], ())) > 1:  # two people of one name
            name = f"{name}_{number}"
        folder = _folder(name)
        while self._owners.setdefault(folder, name) != name:
            folder += "_"
        return folder, handed_in

    def _say(self, remark: str) -> None:
        if remark not in self.remarks:
            self.remarks.append(remark)


def _app(root: Path, submitted: Path, assignment: str, regexp: str) -> ZipCollectApp:
    config = Config({
        "CourseDirectory": {"root": str(root), "submitted_directory": str(submitted), "assignment_id": assignment},
        "ZipCollectApp": {
            "log_level": "ERROR", "force": True, "extractor_plugin": SafeExtractor, "collector_plugin": Collector
        },
        "ExtractorPlugin": {"zip_ext": list(ARCHIVES)},
        "Collector": {"assignment": assignment, "named_regexp": regexp},
    })  # fmt: skip
    return ZipCollectApp(config=config)


def _folder(name: str) -> str:
    return re.sub(r"[/\\\0]", "_", name).strip(" .")[:100] or "_"
