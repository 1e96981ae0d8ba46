"""The runs of a sweep: one for each point of the grid, each with a folder for what came of it.

The folder is named by a hash of the parameters and of the notebook's code. What stands there as passed is never run
again.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelib.tools.results import write_json
from vaelib.tools.runner.notebooks import Notebook
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
            return json.loads((self.folder / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def passed(self) -> bool:
        """Return whether it has been run and passed."""
        return bool((self.result() or {}).get("passed"))

    def keep(self, result: dict[str, Any]) -> None:
        """Write the result."""
        write_json(self.folder / "result.json", result)


def runs_of(notebook: Notebook, grid: Mapping[str, Sequence], output: Path) -> list[Run]:
    """Return every combination of the grid's values as a Run, the last parameter changing fastest.

    Raises:
        CourseError: the notebook has no such parameter.
    """
    assign_parameters([notebook], grid)
    code = [cell.source for cell in notebook.content.cells if cell.cell_type == "code"]
    runs = []
    for values in itertools.product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        identity = json.dumps([notebook.name, code, parameters], sort_keys=True).encode()
        runs.append(Run(notebook, parameters, output / "runs" / hashlib.sha256(identity).hexdigest()[:16]))
    return runs
