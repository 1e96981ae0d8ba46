"""Put the outputs of a run back into the course's notebooks, so that they read well without a kernel."""

import os
from pathlib import Path
from typing import Any

import nbformat

from vaelib.files import replace_file
from vaelib.mime import LAB_MIME
from vaelib.tools.folding import mark

_WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
_KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def refusal(result: dict[str, Any], allow_stand_in: bool = False) -> str | None:
    """Return why the outputs of a run must not be saved, as a sentence; None when they may be."""
    if not result["passed"]:
        what = "was interrupted" if result["status"] == "interrupted" else "failed"
        return f"{result['name']} is left as it was: it {what}."
    stand_ins = [source["name"] for source in result["data"] if source["stand_in"]]
    if stand_ins and not allow_stand_in:
        return (
            f"{result['name']} is left as it was: it ran on a stand-in ({', '.join(stand_ins)}), and the "
            "committed outputs come from real data. Set VAELIB_DATA to it, or pass --allow-stand-in."
        )
    return None


def save_outputs(path: str | os.PathLike, executed: str | os.PathLike) -> None:
    """Write the outputs of an executed copy, run with default parameters, into the notebook itself.

    Sources, cell ids and metadata stay as they are, but for the marks of the cells that only check, which are folded.
    Execution counts run from 1. Widgets leave no output, for a page without a kernel cannot show them; of a lab
    everything but the widget's own view stays.

    Raises:
        ValueError: when the notebook's code has changed since it was executed.
    """
    path = Path(path)
    notebook = nbformat.read(path, as_version=4)
    ran = nbformat.read(executed, as_version=4)
    if [cell.source for cell in notebook.cells] != [cell.source for cell in ran.cells]:
        raise ValueError(f"{path.name} has changed since it was run. Run it again.")
    count = 0
    for cell, done in zip(notebook.cells, ran.cells, strict=True):
        cell.metadata.pop("papermill", None)
        if cell.cell_type != "code":
            continue
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        cell.outputs = _tidy(done.outputs, cell.execution_count)
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    mark(notebook)
    notebook.metadata["kernelspec"] = dict(_KERNELSPEC)
    notebook.metadata.setdefault("language_info", {"name": "python"})
    nbformat.validate(notebook)
    with replace_file(path) as half:
        nbformat.write(notebook, half)


def _tidy(outputs: list[nbformat.NotebookNode], count: int | None) -> list[nbformat.NotebookNode]:
    """Without widgets but for labs."""
    tidy: list[nbformat.NotebookNode] = []
    for output in outputs:
        data = output.get("data", {})
        if LAB_MIME in data:  # all that a page needs to bring it to life, and a picture for the places that cannot
            data.pop(_WIDGET_MIME, None)
        elif _WIDGET_MIME in data:
            continue
        if output.output_type == "execute_result":
            output.execution_count = count
        tidy.append(output)
    return tidy
