"""A sweep: one notebook over a grid of parameters, each run in a process of its own, resumable, gathered in one table.

`python -m vaelib.tools.runner sweep --help` is the way in.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from vaelib.files import only_writer
from vaelib.tools.runner.at_once import default_jobs, run_all
from vaelib.tools.runner.cluster import run_on_cluster
from vaelib.tools.runner.notebooks import Notebook
from vaelib.tools.runner.report import result_line
from vaelib.tools.runner.sweep_results import draw, mixed, write_table
from vaelib.tools.runner.sweep_runs import Run, runs_of


def sweep(
    notebook: Notebook,
    grid: Mapping[str, Sequence],
    output: str | os.PathLike,
    *,
    jobs: int | None = None,
    timeout: float | None = None,
    scheduler: str | None = None,
) -> int:
    """Run a notebook over a grid; print a line per run; write results.csv and sweep.png.

    Args:
        notebook: Notebook.
        grid: dict of parameter to list of values, as `parse_grid` returns it.
        output: folder for the results; finished runs found in it are kept.
        jobs: how many runs at once; by default as many as processors and memory allow.
        timeout: seconds that one cell may take; None for no limit.
        scheduler: address of a Dask scheduler, whose workers do the runs; None to run them here.

    Returns:
        Exit status: 0 when every run passed, 1 when one failed, 130 after an interrupt.

    Raises:
        CourseError: the notebook has no such parameter, or the cluster cannot do it; nothing has run then.
        BlockingIOError: another sweep writes into that folder.
    """
    runs = runs_of(notebook, grid, Path(output))
    with only_writer(output):
        return _sweep(notebook, grid, runs, Path(output), jobs, timeout, scheduler)


def _sweep(
    notebook: Notebook,
    grid: Mapping[str, Sequence],
    runs: list[Run],
    output: Path,
    jobs: int | None,
    timeout: float | None,
    scheduler: str | None,
) -> int:
    waiting = [run for run in runs if not run.passed()]
    jobs = min(jobs or default_jobs(each=2), max(1, len(waiting)))
    finished = len(runs) - len(waiting)
    where = f"on {scheduler}" if scheduler else f"{jobs} at a time"
    print(f"{notebook.name}: {len(runs)} runs, {finished} of them finished before; {where}.")
    started = run_on_cluster(waiting, scheduler, timeout) if scheduler else run_all(waiting, jobs, timeout)
    width = max(len(run.label) for run in runs)
    interrupted = False
    # Silent unless someone watches: a log keeps the lines, not the bar.
    with tqdm(total=len(runs), initial=finished, unit="run", disable=None, leave=False) as bar:
        try:
            with contextlib.closing(started) as ended:
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
