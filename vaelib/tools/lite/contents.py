"""The lessons and their images, as JupyterLite can show and run them."""

import re
from collections.abc import Sequence
from pathlib import Path

import nbformat

from vaelib.tools import links
from vaelib.tools.lite.pyodide import LiteError

KERNEL = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
_LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb\)")
_IMPORT = re.compile(r"^(?:import|from) keras\b", re.MULTILINE)
_HEADING = re.compile(r"^##? ", re.MULTILINE)


def find_lessons(notebooks: Path, numbers: Sequence[str]) -> list[Path]:
    """Return the notebooks whose names begin with these numbers.

    Raises:
        LiteError: there is none, or more than one, for a number.
    """
    lessons = []
    for number in numbers:
        found = list(notebooks.glob(f"{number}_*.ipynb"))
        if len(found) != 1:
            raise LiteError(f"{notebooks} must hold one notebook whose name begins with {number}_; found {len(found)}.")
        lessons += found
    return lessons


def write_contents(lessons: Sequence[Path], images: Path, output: Path) -> None:
    """Write the lessons to notebooks/ and the images that they show to images/, as they lie in the repository."""
    (output / "notebooks").mkdir(parents=True)
    (output / "images").mkdir()
    aboard = {path.stem for path in lessons}
    for path in lessons:
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(for_browser(notebook, aboard), output / "notebooks" / path.name)
    for path in sorted(images.glob("*.svg")):
        # JupyterLite spoils any character beyond Latin-1 in an SVG file; a reference to it comes through.
        (output / "images" / path.name).write_bytes(path.read_text("utf-8").encode("ascii", "xmlcharrefreplace"))


def for_browser(notebook: nbformat.NotebookNode, aboard: set[str]) -> nbformat.NotebookNode:
    """Change a lesson into one for the browser's kernel.

    A link to a lesson that is not aboard leads to Binder. In a section that imports Keras, each code cell imports it
    first, so that each says what is missing, and not only the first of them.

    Args:
        notebook: the lesson; it is changed.
        aboard: names of the lessons that run in the browser.
    """
    notebook.metadata["kernelspec"] = dict(KERNEL)
    in_keras = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _LINK.sub(lambda link: _link(link[1], aboard), cell.source)
            if _HEADING.search(cell.source):
                in_keras = False
        elif cell.cell_type == "code":
            if _IMPORT.search(cell.source):
                in_keras = True
            elif in_keras:
                cell.source = f"import keras\n\n{cell.source}"
    return notebook


def _link(name: str, aboard: set[str]) -> str:
    return f"]({name}.ipynb)" if name in aboard else f"]({links.binder_link(f'notebooks/{name}.ipynb')})"
