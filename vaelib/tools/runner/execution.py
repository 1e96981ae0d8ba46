"""Run one notebook in a kernel of its own, watch its memory, and say what came of it."""

import contextlib
import functools
import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from vaelib.files import replace_file
from vaelib.tools.kernels import KERNEL_START, KernelProcess, watched_kernel
from vaelib.tools.processes import on_signals
from vaelib.tools.runner.evidence import collect_evidence, hash_widgets, record_widgets
from vaelib.tools.runner.notebooks import Notebook


def execute(
    notebook: Notebook,
    parameters: dict[str, Any],
    output: str | os.PathLike,
    *,
    timeout: float | None = None,
    on_cell: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Run one notebook from its own folder and write the executed copy.

    Args:
        notebook: Notebook to run; its file is left as it is.
        parameters: dict for the cell after the one tagged `parameters`.
        output: path of the executed copy, also written when the notebook fails.
        timeout: seconds that one cell may take; None for no limit.
        on_cell: called after each code cell that ran.

    Returns:
        dict, one entry of the course report. `status` is "passed", "failed" or "interrupted".
    """
    output = Path(output).resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    process, started, widgets = KernelProcess(), time.monotonic(), hash_widgets()
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would say stands in the report
    with tempfile.TemporaryFile() as messages:
        run = functools.partial(
            papermill.execute_notebook,
            _no_template(notebook.path.resolve()),
            _no_template(output),
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            coalesce_streams=True,  # where the pieces of one stream split is chance
            cwd=notebook.path.resolve().parent,
            start_timeout=KERNEL_START,
            execution_timeout=timeout,
            kernel_manager_class=watched_kernel(process, messages),
            on_cell_start=lambda **_: process.sample(),
            on_cell_executed=lambda **_: on_cell(),
        )
        failure = _failure_of(run, process)
        seconds = time.monotonic() - started
        executed = Notebook(output).content
        messages.seek(0)
        said = messages.read().decode(errors="replace")
    if output.exists():
        record_widgets(executed, widgets)
        with replace_file(output) as half:
            nbformat.write(executed, half)
    evidence = collect_evidence(executed)
    error = _describe(failure, executed, said) if failure is not None else _left_early(executed)
    error = error or _broken_claims(evidence["claims"])
    interrupted = isinstance(failure, KeyboardInterrupt)
    return {
        "name": notebook.name,
        "passed": error is None,
        "status": "interrupted" if interrupted else "passed" if error is None else "failed",
        "seconds": round(seconds, 2),
        "peak_rss_mb": round(process.peak / 1e6, 1),
        **evidence,
        "title": notebook.title,
        "parameters": parameters,
        "executed": output.name if output.exists() else None,
        "error": error,
    }


def _failure_of(run: Callable[[], object], process: KernelProcess) -> BaseException | None:
    """Run; return what stopped it, None where it came to its end."""
    failure: BaseException | None = None
    try:
        with _ctrl_c_kills(process):
            run()
    except (Exception, KeyboardInterrupt) as error:
        failure = error
    finally:
        process.kill()
    return KeyboardInterrupt() if process.unwanted else failure


@contextlib.contextmanager
def _ctrl_c_kills(process: KernelProcess) -> Iterator[None]:
    """Let Ctrl-C, or a signal that ends the runner, end the notebook in good order; a second one ends the runner.

    A KeyboardInterrupt would strike anywhere in the client's event loop, and may leave a kernel behind.
    """

    def on_interrupt(number: int, frame: Any) -> None:
        if process.unwanted:
            raise KeyboardInterrupt
        process.unwanted = True
        process.kill()

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # not every system has all of them
    with on_signals(on_interrupt, *(getattr(signal, name) for name in names if hasattr(signal, name))):
        yield


def _describe(failure: BaseException, executed: nbformat.NotebookNode, said: str) -> dict[str, Any]:
    """Where and why a notebook failed, in plain text."""
    from nbconvert.filters import strip_ansi  # costs an eighth of a second, so only where something failed

    name, message, traceback = type(failure).__name__, str(failure), said[-10_000:]
    if isinstance(failure, PapermillExecutionError):
        name, message, traceback = failure.ename, failure.evalue, "\n".join(failure.traceback)
    elif isinstance(failure, KeyboardInterrupt):
        message, traceback = "interrupted from the keyboard", ""
    # papermill stops at the cell that fails, so it is the last one it started. It also adds cells of its own.
    position, cell, count = 0, None, None
    for candidate in executed.cells:
        tags = candidate.metadata.get("tags", [])
        position += not {"injected-parameters", "papermill-error-cell-tag"} & set(tags)
        if candidate.cell_type == "code" and candidate.metadata.get("papermill", {}).get("start_time"):
            cell, count = position, candidate.execution_count
    plain = {"name": name, "message": message, "traceback": traceback}
    return {"cell": cell, "execution_count": count, **{key: strip_ansi(text) for key, text in plain.items()}}


def _left_early(executed: nbformat.NotebookNode) -> dict[str, Any] | None:
    """A cell that left the notebook is a failure, though papermill takes `sys.exit(0)` for its end."""
    code = [
        (position, cell)
        for position, cell in enumerate(_own_cells(executed), start=1)
        if cell.cell_type == "code" and cell.source.strip()
    ]
    for i, (position, cell) in enumerate(code):
        exits = [o for o in cell.outputs if o.output_type == "error" and o.ename == "SystemExit"]
        not_run = [str(other) for other, later in code[i + 1 :] if later.execution_count is None]
        if exits or (not_run and code[i + 1][1].execution_count is None):
            name, value = ("SystemExit", exits[0].evalue) if exits else ("Stopped", "")
            rest = f"cells not run: {', '.join(not_run)}" if not_run else "it was the last cell"
            message = f"{value or 'the notebook ended here'}; {rest}. A lesson must run to its end: take the exit out."
            count = cell.execution_count
            return {"cell": position, "execution_count": count, "name": name, "message": message, "traceback": ""}
    return None


def _own_cells(executed: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells without those that papermill has added."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    return [cell for cell in executed.cells if not added & set(cell.metadata.get("tags", []))]


def _broken_claims(claims: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A claim that failed is a failure, even where a cell caught its error."""
    broken = [claim["text"] for claim in claims if not claim["passed"]]
    if not broken:
        return None
    message = f"{len(broken)} failed and did not stop the notebook: {'; '.join(broken)}"
    return {"cell": None, "execution_count": None, "name": "ClaimError", "message": message, "traceback": ""}


def _no_template(path: Path) -> str:
    """A path that papermill takes as it is: braces would be filled in with parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")
