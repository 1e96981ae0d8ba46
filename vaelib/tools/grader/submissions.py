"""What the students handed in: which file is which assignment, and what is missing from it."""

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbgrader.utils import is_solution

_CELLS = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}


@dataclass
class Submission:
    """One student's notebook for one assignment, or the place where it should be."""

    student: str
    assignment: str
    path: Path | None = None
    notebook: object = None
    status: str = "graded"
    remarks: list = field(default_factory=list)
    cost: dict = field(default_factory=dict)


def find_submissions(folder, sources):
    """Look through a folder that holds one folder per student, with notebooks at any depth in it.

    Args:
        folder: FOLDER/STUDENT/….ipynb; nbgrader's FOLDER/STUDENT/ASSIGNMENT/….ipynb is a case of it.
        sources: dictionary from the name of an assignment to its source notebook.
    Returns:
        List of Submission, for every student one per assignment that anybody handed in.
    """
    folders = sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    found = []
    for student, path in zip(_ids(folders), folders, strict=True):
        found += _of_one_student(student, path, sources)
    handed_in = {submission.assignment for submission in found if submission.path}
    complete = []
    for student in dict.fromkeys(submission.student for submission in found):
        theirs = [submission for submission in found if submission.student == student]
        named = {submission.assignment for submission in theirs}
        complete += [submission for submission in theirs if submission.path]
        remarks = [remark for submission in theirs if not submission.path for remark in submission.remarks]
        for assignment in sorted(handed_in - named) or ([] if named - {""} else [""]):
            complete.append(Submission(student, assignment, status="missing", remarks=remarks))
    return complete


def _ids(folders):
    """A student is named by the folder; letters that nbgrader cannot have in a name become an underscore."""
    ids = []
    for folder in folders:
        name = re.sub(r"[^\w.@ -]", "_", folder.name).strip()
        ids.append(name if name not in ids else f"{name}_{len(ids)}")
    return ids


def _of_one_student(student, folder, sources):
    submissions, others = {}, []
    paths = [path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder))]
    # The right name counts most, then the newest file.
    for path in sorted(paths, key=lambda path: (path.stem in sources, path.stat().st_mtime), reverse=True):
        if path.suffix != ".ipynb" and path.stem not in sources:
            others.append(path.name)
            continue
        submission = _read(student, path, sources)
        earlier = submissions.get(submission.assignment)
        if earlier and (earlier.notebook or not submission.notebook):
            earlier.remarks.append(f"{path.name} was handed in too and was not graded")
        else:
            submissions[submission.assignment] = submission
            submission.remarks += earlier.remarks if earlier else []
    unknown = submissions.pop("", None)
    if unknown:
        others.append(f"{unknown.path.name} ({'; '.join(unknown.remarks)})")
    if not submissions or others:
        note = [f"not recognised: {', '.join(sorted(others))}"] if others else ["the folder is empty"]
        if submissions:
            next(iter(submissions.values())).remarks += note
        else:
            submissions[""] = Submission(student, "", status="missing", remarks=note)
    return list(submissions.values())


def _is_hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _read(student, path, sources):
    """Recognise a file by its cells first, then by its name."""
    by_folder = path.parent.name if path.parent.name in sources else ""
    named = path.stem if path.stem in sources else by_folder
    try:
        read = nbformat.read(path, as_version=4)
        notebook = nbformat.v4.new_notebook(cells=[_clean(cell) for cell in read.cells])
        ids = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells}
    except Exception as error:  # whatever a file may hold
        reason = f"{path.name} cannot be read as a notebook: {str(error).splitlines()[0][:120]}"
        return Submission(student, named, path, None, "not a notebook", [reason])
    overlap = {name: len(ids & set(_grader_cells(source))) for name, source in sources.items()}
    best = max(overlap, key=overlap.get)
    assignment = best if overlap[best] else named
    submission = Submission(student, assignment, path, notebook)
    if not assignment:
        submission.remarks.append("a notebook of something else")
    elif path.name != f"{assignment}.ipynb":
        submission.remarks.append(
            f"renamed: it came as {path.name}, recognised by its {'cells' if overlap[best] else 'folder'}"
        )
    return submission


def _clean(cell):
    """The cell as it counts: its text, its pictures, its name. What else a file holds may well be invalid."""
    clean = _CELLS.get(cell.cell_type, nbformat.v4.new_raw_cell)(str(cell.source))
    metadata = cell.get("metadata", {}).get("nbgrader")
    if isinstance(metadata, dict):
        clean.metadata["nbgrader"] = metadata
    if "attachments" in cell and cell.cell_type == "markdown":
        clean.attachments = cell.attachments
    return clean


def _grader_cells(notebook):
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def mend(submission, released):
    """Put back what nbgrader needs: lost cells (as they were handed out), the metadata of the others, each cell once.

    Args:
        submission: its notebook is changed in place, and its remarks name the cells that were lost.
        released: the student version of the assignment.
    """
    cells = submission.notebook.cells
    wanted = _grader_cells(released)
    by_text = {(cell.cell_type, cell.source): name for name, cell in wanted.items()}
    present = {}
    for number, cell in reversed(list(enumerate(cells))):  # of two copies the later one counts, as in nbgrader
        name = cell.metadata.pop("nbgrader", {}).get("grade_id")
        if name not in wanted:  # a tool that drops metadata leaves the text
            name = by_text.get((cell.cell_type, cell.source))
        if name and name not in present:
            if cell.cell_type != wanted[name].cell_type:
                cell = cells[number] = _CELLS[wanted[name].cell_type](cell.source)
            cell.metadata["nbgrader"] = copy.deepcopy(wanted[name].metadata.nbgrader)
            present[name] = cell
    position, lost = 0, []
    for name, original in wanted.items():
        if name in present:
            position = next(number for number, cell in enumerate(cells) if cell is present[name]) + 1
            continue
        lost.append(name)
        # A lost answer may stand in a cell of the student's own, which the empty one would overrule.
        if original.cell_type != "code" or not is_solution(original):
            cells.insert(position, copy.deepcopy(original))
            position += 1
    if lost:
        submission.remarks.append(f"lost its cells: {', '.join(lost)}")
    for number, cell in enumerate(cells):  # a cell put back may have the id of another
        cell["id"] = f"cell-{number:03d}"
