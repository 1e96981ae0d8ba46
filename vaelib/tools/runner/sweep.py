"""A sweep: one notebook over a grid of parameters, each run in a process of its own, resumable, gathered in one table.

`python -m vaelib.tools.runner sweep --help` is the way in.
"""

import contextlib
import functools
import os
import signal
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from vaelib.files import only_writer
from vaelib.tools.jobs import Ended, run_jobs
from vaelib.tools.processes import on_signals
from vaelib.tools.runner.notebooks import Notebook
from vaelib.tools.runner.report import result_line
from vaelib.tools.runner.sweep_results import draw, mixed, write_table
from vaelib.tools.runner.sweep_runs import Run, runs_of
from vaelib.tools.runner.sweep_worker import start, take_log

MEMORY_OF_A_RUN = 1.5e9  # bytes: TensorFlow, the data and a few models, with room to spare
GRACE = 20  # seconds that a run has to end its kernel after Ctrl-C


def default_jobs() -> int:
    """Return how many runs at once: half the processors, and no more than memory holds."""
    memory = psutil.virtual_memory().available
    return max(1, min((os.cpu_count() or 1) // 2, int(memory / MEMORY_OF_A_RUN)))


def sweep(
    notebook: Notebook,
    grid: Mapping[str, Sequence],
    output: str | os.PathLike,
    *,
    jobs: int | None = None,
    timeout: float | None = None,
) -> int:
    """Run a notebook over a grid; print a line per run; write results.csv and sweep.png.

    Args:
        notebook: Notebook.
        grid: dict of parameter to list of values, as `parse_grid` returns it.
        output: folder for the results; finished runs found in it are kept.
        jobs: how many runs at once; by default as many as processors and memory allow.
        timeout: seconds that one cell may take; None for no limit.

    Returns:
        Exit status: 0 when every run passed, 1 when one failed, 130 after an interrupt.

    Raises:
        CourseError: the notebook has no such parameter; nothing has run then.
        BlockingIOError: another sweep writes into that folder.
    """
    runs = runs_of(notebook, grid, Path(output))
    with only_writer(output):
        return _sweep(notebook, grid, runs, Path(output), jobs, timeout)


def _sweep(
    notebook: Notebook,
    grid: Mapping[str, Sequence],
    runs: list[Run],
    output: Path,
    jobs: int | None,
    timeout: float | None,
) -> int:
    waiting = [run for run in runs if not run.passed()]
    jobs = min(jobs or default_jobs(), max(1, len(waiting)))
    finished = len(runs) - len(waiting)
    print(f"{notebook.name}: {len(runs)} runs, {finished} of them finished before; {jobs} at a time.")
    width = max(len(run.label) for run in runs)
    interrupted = False
    # Silent unless someone watches: a log keeps the lines, not the bar.
    with tqdm(total=len(runs), initial=finished, unit="run", disable=None, leave=False) as bar:
        try:
            with contextlib.closing(_run_all(waiting, jobs, timeout)) as ended:
                for run, result in ended:
                    bar.update()
                    bar.write(result_line(run.label, result, width))
                    write_table(output, runs)  # after each, so that nothing that ran is lost
        except KeyboardInterrupt:
            interrupted = True
    write_table(output, runs)
    if warning := mixed(runs):
        print(warning)
    draw(output / "sweep.png", grid, [(run.parameters, run.result()) for run in runs], notebook.name)
    passed, missing = sum(run.passed() for run in runs), sum(run.result() is None for run in runs)
    cut = f" Interrupted: {missing} not run; the same command goes on from here." if interrupted else ""
    print(f"{passed} of {len(runs)} runs passed.{cut} Results: {output / 'results.csv'}, {output / 'sweep.png'}")
    return 130 if interrupted else 0 if passed == len(runs) else 1


def _run_all(runs: list[Run], jobs: int, timeout: float | None) -> Generator[tuple[Run, dict[str, Any]], None, None]:
    """Yield (run, result) as runs finish; end them all when the generator is left before its end."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    # SIGTERM ends a sweep as Ctrl-C does: in good order.
    with on_signals(stop, signal.SIGINT, signal.SIGTERM):
        started = run_jobs(functools.partial(start, timeout=timeout), runs, num_workers=jobs, grace=GRACE)
        with contextlib.closing(started):
            for ended in started:
                yield ended.job, _outcome(ended)


def _outcome(ended: Ended) -> dict[str, Any]:
    """The result of a run whose process has ended; one that left none, because it crashed, has failed."""
    run, said = ended.job, take_log(ended.job)
    result = run.result()
    if result is None:
        message = f"the run's process ended with status {ended.status}. {said.strip()[-300:]}".strip()
        error = {"cell": None, "execution_count": None, "name": "Crash", "message": message, "traceback": said}
        result = {"passed": False, "status": "failed", "seconds": 0.0, "peak_rss_mb": 0.0, "figures": {}, "units": {}}
        result |= {"name": run.notebook.name, "parameters": run.parameters, "claims": [], "error": error}
        run.keep(result)
    return result
