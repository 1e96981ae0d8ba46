"""Steps that nbgrader runs in addition to its own; assignments/nbgrader_config.py names them."""

import re
import time
from typing import Any

import nbformat
from nbconvert.filters import strip_ansi
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor
from nbgrader.preprocessors import Execute as NbGraderExecute
from nbgrader.utils import is_grade

from vaelib.tools.kernels import KERNEL_START, KernelProcess, watched_kernel

_FAILED_LINE = re.compile(r"Cell In\s*\[\d+\], line (\d+)")


class Execute(NbGraderExecute):
    """Run the notebook on the interpreter that grades, whatever kernels the machine has, with TensorFlow quiet.

    The notebook's metadata then say how long that took and how much memory the kernel held at most.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._process = KernelProcess()
        ours = {"kernel_manager_class": watched_kernel(self._process), "startup_timeout": KERNEL_START}
        super().__init__(*args, **{**ours, **kwargs})

    def preprocess(
        self, nb: nbformat.NotebookNode, resources: dict, km: Any = None
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Run, and note the cost."""
        started = time.monotonic()
        nb, resources = super().preprocess(nb, resources, km)
        seconds, megabytes = time.monotonic() - started, self._process.peak / 1e6
        nb.metadata["grading"] = {"seconds": round(seconds, 1), "megabytes": round(megabytes)}
        return nb, resources


class AllowStderr(NbGraderPreprocessor):
    """Turn stderr into stdout: nbgrader would take every point away for a mere warning."""

    def preprocess_cell(
        self, cell: nbformat.NotebookNode, resources: dict, cell_index: int
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Rename the stream."""
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.name = "stdout"
        return cell, resources


class HideHiddenTests(ClearHiddenTests):
    """Take hidden tests out of the feedback page; of an error leave the message, which is written for students."""

    def preprocess_cell(
        self, cell: nbformat.NotebookNode, resources: dict, cell_index: int
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Clear the source, and the outputs that would show it."""
        if cell.cell_type != "code" or not is_grade(cell):
            return cell, resources
        lines = cell.source.split("\n")
        begins = [number for number, line in enumerate(lines, 1) if self.begin_test_delimeter in line]
        self._remove_hidden_test_region(cell)
        cell.source = cell.source.rstrip()
        # What a test printed may show its inputs.
        cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
        for output in cell.outputs:
            failed = _FAILED_LINE.search(strip_ansi("\n".join(output.traceback)))
            hidden = failed and begins and int(failed[1]) > begins[0]
            output.traceback = [("In a hidden test: " if hidden else "") + f"{output.ename}: {output.evalue}"]
        return cell, resources
