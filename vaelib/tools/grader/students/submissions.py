"""What the students handed in: which file is which assignment."""

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from vaelib.tools.grader.students.lateness import FILE as TIMESTAMP
from vaelib.tools.grader.students.lateness import read_timestamp
from vaelib.tools.grader.students.names import Names
from vaelib.tools.grader.students.roster import Person, Roster

LARGEST = 50 * 10**6  # bytes of a notebook
COMPANIONS = (TIMESTAMP, "submission_secret.txt")  # that nbgrader itself puts beside a submission
NEW_CELLS = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}


@dataclass(eq=False)
class Submission:
    """One student's notebook for one assignment, or the place where it should be.

    `remarks` are about the notebook and are kept with its grade; `notes` are about this run.
    """

    student: str
    assignment: str
    path: Path | None = None
    notebook: nbformat.NotebookNode | None = None
    status: str = "graded"
    remarks: list[str] = field(default_factory=list)
    cost: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    handed_in: datetime.datetime | None = None  # in UTC
    person: Person | None = None  # on the roster
    shown: str = ""  # what its feedback page was written from


def find_submissions(
    folder: str | os.PathLike,
    sources: Mapping[str, nbformat.NotebookNode],
    names: Names | None = None,
    roster: Roster | None = None,
) -> list[Submission]:
    """Look through a folder that holds one folder per student, with notebooks at any depth in it.

    Args:
        folder: FOLDER/STUDENT/….ipynb; nbgrader's FOLDER/STUDENT/ASSIGNMENT/….ipynb is a case of it.
        sources: dictionary from the name of an assignment to its source notebook.
        names: what the folders became so far; it learns the new ones.
        roster: who takes the course: they are all in the list, whether they handed in anything or not.

    Returns:
        List of Submission, for every student one per assignment that anybody handed in.
    """
    paths = sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    folders, people = _students(paths, names or Names(), roster)
    found = []
    for student, theirs in folders.items():
        found += _of_one_student(student, theirs, sources)
    handed_in = {submission.assignment for submission in found if submission.path}
    complete = []
    for student in folders:
        of_student = [submission for submission in found if submission.student == student]
        named = {submission.assignment for submission in of_student}
        complete += [submission for submission in of_student if submission.path]
        remarks = [remark for submission in of_student if not submission.path for remark in submission.remarks]
        for assignment in sorted(handed_in - named) or ([] if named - {""} else [""]):
            complete.append(Submission(student, assignment, status="missing", remarks=remarks))
    for submission in complete:
        submission.person = people.get(submission.student)
        if roster and submission.person is None:
            submission.notes.append("not on the roster")
    return complete


def _students(
    paths: Sequence[Path], names: Names, roster: Roster | None
) -> tuple[dict[str, list[Path]], dict[str, Person]]:
    """From a student to the folders, none for who handed in nothing, and from a student to the line of the roster."""
    everybody = roster.people if roster else []
    ids = names.add(person.id for person in everybody)
    owners = {path.name: roster.find(path.name) if roster else None for path in paths}
    called = {}
    for name, person in owners.items():
        # What a folder became before there was a roster it stays: marks are kept under that name.
        if student := names.known(name) or (ids[person.id] if person else None):
            called[name] = student
    called |= names.add(name for name in owners if name not in called)
    people = {called[name]: person for name, person in owners.items() if person}
    came = set(people.values())
    people |= {ids[person.id]: person for person in everybody if person not in came}
    folders: dict[str, list[Path]] = {}
    for path in paths:
        folders.setdefault(called[path.name], []).append(path)
    for student in people:
        folders.setdefault(student, [])
    return folders, people


def _of_one_student(
    student: str, folders: Sequence[Path], sources: Mapping[str, nbformat.NotebookNode]
) -> list[Submission]:
    if not folders:
        return [Submission(student, "", status="missing", remarks=["handed in nothing"])]
    submissions: dict[str, Submission] = {}
    others: list[str] = []
    paths = {
        path: folder
        for folder in folders
        for path in folder.rglob("*")
        if not path.is_dir() and not _is_hidden(path.relative_to(folder)) and path.name not in COMPANIONS
    }
    # The right name counts most, then the newest file.
    for path in sorted(paths, key=lambda path: (path.stem in sources, path.lstat().st_mtime), reverse=True):
        if path.suffix != ".ipynb" and path.stem not in sources:
            others.append(printable(path.name))
            continue
        submission = _read(student, path, sources)
        earlier = submissions.get(submission.assignment)
        if earlier and (earlier.notebook or not submission.notebook):
            earlier.remarks.append(f"{printable(path.name)} was handed in too and was not graded")
        else:
            submissions[submission.assignment] = submission
            submission.remarks += earlier.remarks if earlier else []
    for submission in submissions.values():
        if submission.path:
            submission.handed_in, doubt = read_timestamp(submission.path, paths[submission.path])
            submission.notes += [doubt] if doubt else []
    unknown = submissions.pop("", None)
    if unknown and unknown.path:
        others.append(f"{printable(unknown.path.name)} ({'; '.join(unknown.remarks)})")
    if not submissions or others:
        note = [f"not recognised: {', '.join(sorted(others))}"] if others else ["the folder is empty"]
        if submissions:
            next(iter(submissions.values())).remarks += note
        else:
            submissions[""] = Submission(student, "", status="missing", remarks=note)
    return list(submissions.values())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(student: str, path: Path, sources: Mapping[str, nbformat.NotebookNode]) -> Submission:
    """Recognise a file by its cells first, then by its name."""
    by_folder = path.parent.name if path.parent.name in sources else ""
    named = path.stem if path.stem in sources else by_folder
    try:
        # A link could lead to another student's work, a pipe would never end.
        if path.is_symlink() or not path.is_file():
            raise ValueError("it is a link or a device, and no file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it holds {path.stat().st_size / 1e6:.0f} MB, and may hold {LARGEST / 1e6:.0f}")
        read = nbformat.read(path, as_version=4)
        notebook = nbformat.v4.new_notebook(cells=[_clean(cell) for cell in read.cells])
        ids = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells}
    except Exception as error:  # whatever a file may hold
        says = (str(error).splitlines() or [type(error).__name__])[0][:120]
        reason = printable(f"{path.name} cannot be read as a notebook: {says}")
        return Submission(student, named, path, None, "not a notebook", [reason])
    overlap = {name: len(ids & set(grader_cells(source))) for name, source in sources.items()}
    best = max(overlap, key=overlap.__getitem__)
    assignment = best if overlap[best] else named
    submission = Submission(student, assignment, path, notebook)
    if not assignment:
        submission.remarks.append("a notebook of something else")
    elif path.name != f"{assignment}.ipynb":
        submission.remarks.append(
            f"renamed: it came as {printable(path.name)}, recognised by its {'cells' if overlap[best] else 'folder'}"
        )
    return submission


def _clean(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The cell as it counts: its text, its pictures, its name. What else a file holds may well be invalid."""
    clean = NEW_CELLS.get(cell.cell_type, nbformat.v4.new_raw_cell)(printable(str(cell.source)))
    metadata = cell.get("metadata", {}).get("nbgrader")
    if isinstance(metadata, dict):
        clean.metadata["nbgrader"] = metadata
    if "attachments" in cell and cell.cell_type == "markdown":
        clean.attachments = cell.attachments
    return clean


def printable(text: str) -> str:
    """Return a text that any file can hold: what is no character becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def grader_cells(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """Return the cells that nbgrader knows, by their names."""
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
