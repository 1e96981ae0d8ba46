"""What the marker needs beside formgrader: every question that is marked by hand, its guide and its model answer."""

import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbgrader.utils import is_grade

FILE = "marking_guide.ipynb"
_MARKS = re.compile(r"### (BEGIN|END) SOLUTION\n?")
_HEAD = """# Marking guide

Every question that is marked by hand, as the students have it; below it how it is marked, and a model answer.
Keep it from students."""


def write_guide(root: Path, sources: Mapping[str, nbformat.NotebookNode]) -> None:
    """Write the marking guide as a notebook, which opens in the JupyterLab where formgrader runs.

    Args:
        root: folder for marking_guide.ipynb.
        sources: the source notebook of each assignment.
    """
    texts = [_HEAD]
    for name, source in sources.items():
        texts.append(f"# Assignment `{name}`")
        for question, answer in zip(source.cells, source.cells[1:], strict=False):
            if answer.cell_type == "markdown" and is_grade(answer):
                texts += [question.source, _MARKS.sub("", answer.source).strip()]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    nbformat.write(notebook, root / FILE)
