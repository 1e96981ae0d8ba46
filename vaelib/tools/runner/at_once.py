"""Several runs at once, each in a process of its own."""

import contextlib
import functools
import os
import signal
from collections.abc import Generator, Sequence
from typing import Any

import psutil

from vaelib.tools.jobs import run_jobs
from vaelib.tools.processes import on_signals
from vaelib.tools.runner.sweep_runs import Run
from vaelib.tools.runner.sweep_worker import start, take_log

MEMORY_OF_A_RUN = 1.5e9  # bytes: TensorFlow, the data and a few models, with room to spare
GRACE = 20  # seconds that a run has to end its kernel after Ctrl-C


def default_jobs(each: int = 1) -> int:
    """Return how many runs at once: what the processors carry, and no more than memory holds.

    Args:
        each: how many processors one run takes.
    """
    memory = psutil.virtual_memory().available
    return max(1, min((os.cpu_count() or 1) // each, int(memory / MEMORY_OF_A_RUN)))


def run_all(runs: Sequence[Run], jobs: int, timeout: float | None) -> Generator[tuple[Run, dict[str, Any]], None, None]:
    """Yield (run, result) as runs finish; end them all when the generator is left before its end.

    Args:
        runs: what to run, each in its own folder.
        jobs: how many at once.
        timeout: seconds that one cell may take; None for no limit.

    Raises:
        KeyboardInterrupt: this process was told to end, by Ctrl-C or SIGTERM.
    """

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    # SIGTERM ends them as Ctrl-C does: in good order.
    with on_signals(stop, signal.SIGINT, signal.SIGTERM):
        started = run_jobs(functools.partial(start, timeout=timeout), runs, num_workers=jobs, grace=GRACE)
        with contextlib.closing(started):
            for ended in started:
                yield ended.job, outcome(ended.job, f"the run's process ended with status {ended.status}")


def outcome(run: Run, otherwise: str) -> dict[str, Any]:
    """Return the result of a run that has ended; one that left none, because it crashed, has failed.

    Args:
        run: what has ended.
        otherwise: what to say where it left no result.
    """
    said = take_log(run)
    result = run.result()
    if result is None:
        message = f"{otherwise}. {said.strip()[-300:]}".strip()
        error = {"cell": None, "execution_count": None, "name": "Crash", "message": message, "traceback": said}
        result = {"passed": False, "status": "failed", "seconds": 0.0, "peak_rss_mb": 0.0, "figures": {}, "units": {}}
        result |= {"name": run.notebook.name, "parameters": run.parameters, "claims": [], "error": error}
        result |= {"title": run.notebook.title, "executed": None, "data": []}
        run.keep(result)
    return result
