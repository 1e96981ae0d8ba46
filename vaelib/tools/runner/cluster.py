"""Runs on a Dask cluster: a notebook goes to a worker as text and comes back as files, so no disk need be shared.

`dask scheduler` on one machine, `dask worker tcp://HOST:8786 --nthreads 1` on each, and `--scheduler tcp://HOST:8786`.
"""

import contextlib
import json
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import nbformat

from vaelib.tools.jobs import run_jobs
from vaelib.tools.processes import on_signals
from vaelib.tools.runner.at_once import outcome
from vaelib.tools.runner.notebooks import CourseError, Notebook
from vaelib.tools.runner.sweep_runs import Run, data_found, version
from vaelib.tools.runner.sweep_worker import start

PATIENCE = 30  # seconds for the scheduler to answer, and for a first worker
_processes: dict[str, list[subprocess.Popen]] = {}  # on a worker: of each sweep, so that Ctrl-C reaches them


def run_on_cluster(
    runs: Sequence[Run], scheduler: str, timeout: float | None
) -> Generator[tuple[Run, dict[str, Any]], None, None]:
    """Yield (run, result) as workers finish; end them all when the generator is left before its end.

    A worker that dies costs nothing but time: Dask gives its run to another.

    Args:
        runs: what to run; what comes of each is written into its own folder, here.
        scheduler: address of the Dask scheduler, such as "tcp://10.0.0.7:8786".
        timeout: seconds that one cell may take; None for no limit.

    Raises:
        CourseError: Dask is not installed, no scheduler or worker answers, or a worker would run something else: it
            has another version of vaelib, or finds other data.
        KeyboardInterrupt: this process was told to end, by Ctrl-C or SIGTERM.
    """
    try:
        import distributed
    except ImportError as error:
        raise CourseError(
            "--scheduler needs Dask: `pip install distributed`, here and where the workers run."
        ) from error

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    sweep = uuid.uuid4().hex
    with on_signals(stop, signal.SIGINT, signal.SIGTERM), _connected(scheduler) as client:
        _require_same(client.run(_identity))
        futures = {}
        for run in runs:
            what = (sweep, run.notebook.name, nbformat.writes(run.notebook.content), run.parameters, timeout)
            futures[client.submit(_there, *what, pure=False)] = run
        try:
            for future in distributed.as_completed(list(futures), loop=client.loop):
                run = futures.pop(future)
                run.folder.mkdir(parents=True, exist_ok=True)
                if future.status == "finished":
                    for name, content in future.result().items():
                        (run.folder / name).write_bytes(content)
                    result = run.result()
                else:
                    result = None
                yield run, result or outcome(run, f"its worker says {future.exception()!r}")
        finally:
            if futures:
                client.cancel(list(futures))
                client.run(_stop, sweep)


@contextlib.contextmanager
def _connected(scheduler: str) -> Generator[Any, None, None]:
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CourseError(f"No Dask scheduler answers at {scheduler}. Start one with `dask scheduler`.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            tip = f"`dask worker {scheduler} --nthreads 1`"
            raise CourseError(f"The Dask scheduler at {scheduler} has no worker. Start some with {tip}.") from error
        yield client


def _require_same(workers: dict[str, dict[str, Any]]) -> None:
    """Every worker must run what would run here."""
    here = _identity()
    for address, there in workers.items():
        for what, mine in here.items():
            if there[what] != mine:
                raise CourseError(f"The worker at {address} has another {what}: {there[what]}; here it is {mine}. "
                                  "All rows of one table must come from the same.")  # fmt: skip


def _identity() -> dict[str, Any]:
    return {"version of vaelib": version(), "choice of data": json.dumps(data_found())}


def _there(sweep: str, name: str, text: str, parameters: dict[str, Any], timeout: float | None) -> dict[str, bytes]:
    """Run one notebook on a worker; return the files that it left, by name."""

    def begin(run: Run) -> subprocess.Popen:
        process = start(run, timeout)
        _processes.setdefault(sweep, []).append(process)
        return process

    with tempfile.TemporaryDirectory(prefix="vaelib-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, f"{name}.ipynb")
        path.write_text(text, "utf-8")
        run = Run(Notebook(path), parameters, Path(folder, "run"))
        with contextlib.closing(run_jobs(begin, [run], num_workers=1)) as ended:
            for one in ended:
                outcome(run, f"the run's process ended with status {one.status}")
        return {file.name: file.read_bytes() for file in run.folder.iterdir() if file.name != "task.json"}


def _stop(sweep: str) -> None:
    """On a worker: end what it still runs of a sweep, in good order."""
    for process in _processes.pop(sweep, []):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
