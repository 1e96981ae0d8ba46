"""What a teacher should know of a notebook that ran: what it lacked, what it cost, which tests failed."""

import os

import nbformat
from nbgrader.api import Gradebook


def look_at(autograded: str | os.PathLike) -> tuple[list[str], dict[str, float]]:
    """Return what a teacher should know of a notebook that ran.

    Args:
        autograded: path of the executed notebook.

    Returns:
        (remarks, cost): cells out of time or memory and packages it lacked, a list of sentences; and a dictionary
        with the seconds it took and the most megabytes its kernel held.
    """
    notebook, remarks = nbformat.read(autograded, as_version=4), []
    for number, cell in enumerate(notebook.cells, 1):
        place = cell.metadata.get("nbgrader", {}).get("grade_id") or f"cell {number}"
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if output.ename == "CellTimeoutError":
                remarks.append(f"out of time in {place}")
            elif output.ename in ("MemoryError", "_ArrayMemoryError"):  # Python's own, and NumPy's
                remarks.append(f"out of memory in {place}")
            elif output.ename == "ModuleNotFoundError":
                remarks.append(f"{output.evalue} in {place}")
    return remarks, dict(notebook.metadata.get("grading", {}))


def failed_tests(autograded: str | os.PathLike, gradebook_url: str, student: str, assignment: str) -> list[str]:
    """Return one line for each autograded question that did not earn all its points, with the error it met."""
    with Gradebook(gradebook_url) as gradebook:
        grades = [g for notebook in gradebook.find_submission(assignment, student).notebooks for g in notebook.grades]
        short = {g.name: g for g in grades if g.auto_score is not None and g.auto_score < g.max_score}
        lines = {name: f"{name}: {grade.auto_score:g} of {grade.max_score:g} points" for name, grade in short.items()}
    for cell in nbformat.read(autograded, as_version=4).cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        for output in cell.get("outputs", []):
            if output.output_type == "error" and name in lines:
                lines[name] += f" ({output.ename}: {output.evalue})"
    return list(lines.values())
