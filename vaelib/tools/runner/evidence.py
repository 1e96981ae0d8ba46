"""What an executed notebook says of itself: claims, figures, data, and which code of the widgets it shows."""

import hashlib
from pathlib import Path
from typing import Any

import nbformat

import vaelib
from vaelib.mime import CLAIM_MIME, DATA_MIME, FIGURE_MIME

_WIDGETS = Path(vaelib.__file__).parent / "widgets"


def collect_evidence(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Collect what the cells recorded.

    Returns:
        dict with `claims`, `data` (lists of dicts), `figures` (name to value) and `units` (name to unit).
    """
    claims, figures, units, data = [], {}, {}, []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            copies = output.get("data", {})
            claims += [
                {key: claim.get(key) for key in ("text", "passed", "difference", "tolerance")}
                for claim in claims_of(copies)
            ]
            if FIGURE_MIME in copies:
                figure = copies[FIGURE_MIME]
                figures[figure["name"]], units[figure["name"]] = figure["value"], figure.get("unit", "")
            if DATA_MIME in copies:
                source = {key: copies[DATA_MIME].get(key) for key in ("name", "origin", "stand_in")}
                data += [source] if source not in data else []
    return {"data": data, "claims": claims, "figures": figures, "units": units}


def claims_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the claims in the data of one output: all of its cell, or one alone, as an earlier run wrote it."""
    claims = data.get(CLAIM_MIME, [])
    return claims if isinstance(claims, list) else [claims]


def hash_widgets() -> str:
    """Return the SHA-256 of the code of `vaelib.widgets`, Python and bundled JavaScript, in hexadecimal digits.

    An executed copy holds the widgets as they were. File times do not tell whether their code has changed since:
    a checkout sets them anew.
    """
    digest = hashlib.sha256()
    for path in sorted(_WIDGETS.rglob("*")):
        if path.is_file() and not {"__pycache__", "js"} & set(path.parts):
            digest.update(f"{path.relative_to(_WIDGETS).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def record_widgets(notebook: nbformat.NotebookNode, digest: str) -> None:
    """Write into an executed notebook's metadata which code of the widgets it ran with, as `hash_widgets` says."""
    notebook.metadata["vaelib"] = {"widgets": digest}


def recorded_widgets(notebook: nbformat.NotebookNode) -> str | None:
    """Return what `record_widgets` wrote; None where it wrote nothing."""
    return notebook.metadata.get("vaelib", {}).get("widgets")
