"""Runs on a Dask cluster: a notebook goes to a worker as text and comes back as files."""

import json
import signal
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import nbformat

from vaelib.tools.cluster import ClusterError, ended_there, run_on_workers
from vaelib.tools.processes import on_signals
from vaelib.tools.runner.at_once import outcome
from vaelib.tools.runner.notebooks import CourseError, Notebook
from vaelib.tools.runner.sweep_runs import Run, data_found, version
from vaelib.tools.runner.sweep_worker import start


def run_on_cluster(
    runs: Sequence[Run], scheduler: str, timeout: float | None
) -> Generator[tuple[Run, dict[str, Any]], None, None]:
    """Yield (run, result) as workers finish; end them all when the generator is left before its end.

    Args:
        runs: what to run; what comes of each is written into its own folder, here.
        scheduler: address of the Dask scheduler.
        timeout: seconds that one cell may take; None for no limit.

    Raises:
        CourseError: the cluster cannot do it; see `run_on_workers`.
        KeyboardInterrupt: this process was told to end, by Ctrl-C or SIGTERM.
    """

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    tasks = ((run, (run.notebook.name, nbformat.writes(run.notebook.content), run.parameters, timeout)) for run in runs)
    with on_signals(stop, signal.SIGINT, signal.SIGTERM):
        try:
            for run, files in run_on_workers(scheduler, _there, tasks, _identity):
                run.folder.mkdir(parents=True, exist_ok=True)
                (run.folder / "result.json").unlink(missing_ok=True)  # of an earlier time
                for name, content in files.items() if isinstance(files, dict) else ():
                    (run.folder / name).write_bytes(content)
                yield run, outcome(run, f"its worker says {files!r}")
        except ClusterError as error:
            raise CourseError(f"--scheduler: {error}") from error


def _identity() -> dict[str, Any]:
    return {"version of vaelib": version(), "choice of data": json.dumps(data_found())}


def _there(call: str, name: str, text: str, parameters: dict[str, Any], timeout: float | None) -> dict[str, bytes]:
    """Run one notebook on a worker; return the files that it left, by name."""
    with tempfile.TemporaryDirectory(prefix="vaelib-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, f"{name}.ipynb")
        path.write_text(text, "utf-8")
        run = Run(Notebook(path), parameters, Path(folder, "run"))
        ended = ended_there(call, lambda: start(run, timeout))
        outcome(run, f"the run's process ended with status {ended.status}")
        return {file.name: file.read_bytes() for file in run.folder.iterdir() if file.name != "task.json"}
