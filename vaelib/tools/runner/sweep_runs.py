"""The runs of a sweep: one for each point of the grid, each with a folder for what came of it.

The folder is named by a hash of the parameters, of the notebook's code, of vaelib's version and of which data the
lessons would find. What stands there as passed is never run again.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vaelib
from vaelib.data import frey_face, mnist
from vaelib.data.download import DataError, expects_real
from vaelib.tools.results import write_json
from vaelib.tools.runner.notebooks import CourseError, Notebook
from vaelib.tools.runner.parameters import assign_parameters


@dataclass(frozen=True)
class Run:
    """One point of the grid, and the folder that holds what came of it."""

    notebook: Notebook
    parameters: dict[str, Any]
    folder: Path

    @property
    def label(self) -> str:
        """The parameters in words."""
        return " ".join(f"{name}={value}" for name, value in self.parameters.items()) or "as it comes"

    def result(self) -> dict[str, Any] | None:
        """Return what came of it, an entry as in the course report; None when it has not been run."""
        try:
            result = json.loads((self.folder / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return result if _is_result(result) else None

    def passed(self) -> bool:
        """Return whether it has been run and passed."""
        return bool((self.result() or {}).get("passed"))

    def keep(self, result: dict[str, Any]) -> None:
        """Write the result."""
        write_json(self.folder / "result.json", {"vaelib": version(), **result})


def runs_of(notebook: Notebook, grid: Mapping[str, Sequence], output: Path) -> list[Run]:
    """Return every combination of the grid's values as a Run, the last parameter changing fastest.

    Raises:
        CourseError: the notebook has no such parameter, or VAELIB_DATA names no folder.
    """
    assign_parameters([notebook], grid)
    code = [cell.source for cell in notebook.content.cells if cell.cell_type == "code"]
    data, runs = data_found(), []
    for values in itertools.product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        identity = json.dumps([notebook.name, code, parameters, version(), data], sort_keys=True).encode()
        runs.append(Run(notebook, parameters, output / "runs" / hashlib.sha256(identity).hexdigest()[:16]))
    return runs


def data_found() -> dict[str, bool]:
    """Return of each set of data whether the lessons would find the real one.

    Raises:
        CourseError: VAELIB_DATA names no folder.
    """
    try:
        return {dataset.name: expects_real(dataset) for dataset in (mnist.DATASET, frey_face.DATASET)}
    except DataError as error:
        raise CourseError(str(error)) from error


def version() -> str:
    """Return vaelib's version."""
    return getattr(vaelib, "__version__", "unknown")


def _is_result(value: Any) -> bool:
    """Whether a file holds what a run leaves, and not what something else wrote there."""
    if not isinstance(value, dict) or not isinstance(value.get("passed"), bool):
        return False
    numbers = all(isinstance(value.get(key), int | float) for key in ("seconds", "peak_rss_mb"))
    tables = all(isinstance(value.get(key), dict) for key in ("figures", "units"))
    return (
        numbers and tables and isinstance(value.get("error"), dict | None) and isinstance(value.get("data", []), list)
    )
