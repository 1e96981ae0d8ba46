"""What nbgrader needs in a submission: each of its cells once, with its metadata."""

import copy

import nbformat
from nbgrader.utils import is_solution

from vaelib.tools.grader.students.submissions import NEW_CELLS, Submission, grader_cells


def mend(submission: Submission, released: nbformat.NotebookNode) -> None:
    """Put back what nbgrader needs: lost cells (as they were handed out), the metadata of the others, each cell once.

    Args:
        submission: its notebook is changed in place, and its remarks name the cells that were lost.
        released: the student version of the assignment.
    """
    assert submission.notebook is not None, "a submission without a notebook has no cells to mend"
    cells, wanted = submission.notebook.cells, grader_cells(released)
    present = _identify(cells, wanted)
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


def _identify(
    cells: list[nbformat.NotebookNode], wanted: dict[str, nbformat.NotebookNode]
) -> dict[str, nbformat.NotebookNode]:
    """Give each cell of the assignment its metadata and its type again; return those that are there, by name."""
    by_text = {(cell.cell_type, cell.source): name for name, cell in wanted.items()}
    present: dict[str, nbformat.NotebookNode] = {}
    for number, cell in reversed(list(enumerate(cells))):  # of two copies the later one counts, as in nbgrader
        name = cell.metadata.pop("nbgrader", {}).get("grade_id")
        if name not in wanted:  # a tool that drops metadata leaves the text
            name = by_text.get((cell.cell_type, cell.source))
        if name and name not in present:
            if cell.cell_type != wanted[name].cell_type:
                cell = cells[number] = NEW_CELLS[wanted[name].cell_type](cell.source)
            cell.metadata["nbgrader"] = copy.deepcopy(wanted[name].metadata.nbgrader)
            present[name] = cell
    return present
