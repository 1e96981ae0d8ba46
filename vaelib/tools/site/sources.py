"""Which copy of each notebook a page is made from: an executed one where there is one that fits, else the committed."""

import ast
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from vaelib.tools.runner.evidence import collect_evidence, hash_widgets, recorded_widgets
from vaelib.tools.runner.notebooks import Notebook, find_notebooks

# What runs in the browser: its state is in an executed copy alone, for the committed notebooks hold no widgets.
EXPLORERS = re.compile(r"\b(LatentPad|DrawDigit|EpochScrubber)\(")


@dataclass(frozen=True)
class Source:
    """One page's source.

    Attributes:
        notebook: the committed Notebook.
        content: the notebook that is shown, with its outputs.
        executed: path of the executed copy that it comes from; None for the committed notebook.
        has_explorers: whether its code makes widgets that run in the browser.
    """

    notebook: Notebook
    content: nbformat.NotebookNode
    executed: Path | None
    has_explorers: bool

    @property
    def needs_run(self) -> bool:
        """Whether only a run can fill the page: the explorers' state, or the outputs altogether, are missing."""
        return self.executed is None and (self.has_explorers or not any(_outputs(self.content)))


def find_sources(
    notebooks: str | os.PathLike = "notebooks",
    executed: Iterable[str | os.PathLike] = ("build/course", "build/site-runs"),
) -> list[Source]:
    """Choose the source of every page.

    An executed copy is taken when it ran to its end with the code of the committed notebook and the default
    parameters. Where explorers live on the page, it must also have run with the code that they have now: no
    committed notebook holds their state. Elsewhere a run on stand-in data does not push out committed outputs that
    come from real data.

    Args:
        notebooks: folder of the committed notebooks.
        executed: folders with executed copies, the first that fits wins.

    Returns:
        list of Source, in the order of the course.

    Raises:
        CourseError: the folder holds no notebook.
    """
    folders, widgets = [Path(folder) for folder in executed], hash_widgets()
    found = []
    for notebook in find_notebooks(notebooks):
        content = notebook.content
        has_explorers = any(c.cell_type == "code" and EXPLORERS.search(c.source) for c in content.cells)
        copies = [folder / notebook.path.name for folder in folders]
        needed = widgets if has_explorers else None
        copy = next((path for path in copies if _fits(path, content, needed)), None)
        found.append(Source(notebook, Notebook(copy).content if copy else content, copy, has_explorers))
    return found


def is_stripped_widget(cell: nbformat.NotebookNode) -> bool:
    """Return whether a committed cell made a widget: it ends with a name or with `.show()`, and yet has no output."""
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError:
        return False
    if cell.outputs or not statements or not isinstance(statements[-1], ast.Expr):
        return False
    value = statements[-1].value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "show":
        return ast.unparse(value.func) not in ("plt.show", "figures.show")
    return isinstance(value, ast.Name)


def _fits(path: Path, content: nbformat.NotebookNode, widgets: str | None) -> bool:
    """Whether an executed copy may be shown; `widgets` is what it must have recorded, None for a page without."""
    if not path.is_file():
        return False
    ran = Notebook(path).content
    # papermill adds a cell for parameters and one for an error: such a copy is another notebook.
    if [cell.source for cell in ran.cells] != [cell.source for cell in content.cells]:
        return False
    if not all(c.execution_count for c in ran.cells if c.cell_type == "code" and c.source.strip()):
        return False
    if any(output.output_type == "error" for output in _outputs(ran)):
        return False
    if widgets is not None:
        return recorded_widgets(ran) == widgets
    return not (_on_stand_ins(ran) and any(_outputs(content)) and not _on_stand_ins(content))


def _outputs(content: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in content.cells if cell.cell_type == "code" for output in cell.outputs]


def _on_stand_ins(content: nbformat.NotebookNode) -> bool:
    return any(source["stand_in"] for source in collect_evidence(content)["data"])
