"""Run the chosen notebooks, several at once: a line for each, and the report written anew after each."""

import contextlib
import functools
import os
import re
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vaelib.files import only_writer
from vaelib.tools.runner.at_once import run_all
from vaelib.tools.runner.cluster import run_on_cluster
from vaelib.tools.runner.execution import execute
from vaelib.tools.runner.notebooks import Notebook
from vaelib.tools.runner.report import result_line, write_report
from vaelib.tools.runner.sweep_runs import Run

_TRAINS = re.compile(r"^\s*(import|from) (keras|tensorflow)\b", re.MULTILINE)


def run_notebooks(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    *,
    timeout: float | None = None,
    jobs: int = 1,
    training_jobs: int = 1,
    scheduler: str | None = None,
    save: Callable[[Notebook, dict[str, Any]], str | None] = lambda notebook, result: None,
) -> int:
    """Run notebooks; print a line for each; write the executed copies and the report.

    Args:
        notebooks: which, in this order.
        parameters: those of each, by its name.
        output: folder for the executed copies and the report.
        timeout: seconds that one cell may take; None for no limit.
        jobs: how many at once; each then runs in a process of its own.
        training_jobs: how many at once of those that import Keras: one training takes several processors already.
        scheduler: address of a Dask scheduler, whose workers run them all; None to run them here.
        save: called after each with the notebook and its result; returns a sentence where it did not save.

    Returns:
        Exit status: 0 when all passed and were saved, 1 when not, 130 after an interrupt.

    Raises:
        BlockingIOError: another run writes into that folder.
        CourseError: the cluster cannot do it; nothing has run then.
    """
    with only_writer(output):
        return _run(notebooks, parameters, output, timeout, scheduler or (jobs, training_jobs), save)


def _run(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    timeout: float | None,
    jobs: tuple[int, int] | str,
    save: Callable[[Notebook, dict[str, Any]], str | None],
) -> int:
    results: list[dict[str, Any]] = []
    interrupted, unsaved = False, 0
    width = max(len(notebook.name) for notebook in notebooks)
    # papermill adds a cell for the parameters.
    cells = {notebook.name: notebook.num_code_cells + bool(parameters[notebook.name]) for notebook in notebooks}
    order = {notebook.name: n for n, notebook in enumerate(notebooks)}
    # Every chosen notebook stands in the report from the start: whatever ends this process, none is forgotten.
    waiting = [notebook.name for notebook in notebooks]
    report = write_report(output, results, waiting)
    # Silent unless someone watches: a log keeps the lines, not the bar.
    with tqdm(total=sum(cells.values()), unit="cell", disable=None, leave=False) as bar:
        run = _all_of(notebooks, parameters, output, timeout, jobs, bar)
        try:
            with contextlib.closing(run) as finished:
                for notebook, result in finished:
                    results.append(result)
                    results.sort(key=lambda result: order[result["name"]])
                    waiting.remove(notebook.name)
                    # A notebook that failed stopped short.
                    bar.n = sum(number for name, number in cells.items() if name not in waiting)
                    # After each one, so that nothing that ran is lost.
                    report = write_report(output, results, waiting)
                    bar.write(result_line(notebook.name, result, width))
                    if reason := save(notebook, result):
                        unsaved += 1
                        bar.write(reason)
                    if result["status"] == "interrupted":
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            interrupted = True
    print(f"{report['headline']}. Report: {output / 'report.html'}")
    return 130 if interrupted else 0 if report["passed"] and not unsaved else 1


def _all_of(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    timeout: float | None,
    jobs: tuple[int, int] | str,
    bar: tqdm,
) -> Generator[tuple[Notebook, dict[str, Any]], None, None]:
    """Yield notebooks and their results: those without Keras first, where several run at once; or all on a cluster."""
    if isinstance(jobs, str):
        yield from _side_by_side(notebooks, parameters, output, lambda runs: run_on_cluster(runs, jobs, timeout))
        return
    if max(jobs) == 1:
        yield from _one_by_one(notebooks, parameters, output, timeout, bar)
        return
    for trains, number in zip((False, True), jobs, strict=True):
        group = [notebook for notebook in notebooks if bool(_TRAINS.search(_code_of(notebook))) is trains]
        if min(number, len(group)) > 1:
            start = functools.partial(run_all, jobs=number, timeout=timeout)
            yield from _side_by_side(group, parameters, output, start)
        else:
            yield from _one_by_one(group, parameters, output, timeout, bar)


def _code_of(notebook: Notebook) -> str:
    return "\n".join(cell.source for cell in notebook.content.cells if cell.cell_type == "code")


def _one_by_one(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    timeout: float | None,
    bar: tqdm,
) -> Generator[tuple[Notebook, dict[str, Any]], None, None]:
    """Yield each notebook and its result; the bar moves with its cells."""
    for notebook in notebooks:
        bar.set_description(notebook.name)
        copy = output / notebook.path.name
        yield notebook, execute(notebook, parameters[notebook.name], copy, timeout=timeout, on_cell=bar.update)


def _side_by_side(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    start: Callable[[Sequence[Run]], Generator[tuple[Run, dict[str, Any]], None, None]],
) -> Generator[tuple[Notebook, dict[str, Any]], None, None]:
    """Yield notebooks and their results as they end."""
    with tempfile.TemporaryDirectory(prefix=".running-", dir=output, ignore_cleanup_errors=True) as scratch:
        runs = [Run(notebook, parameters[notebook.name], Path(scratch) / notebook.name) for notebook in notebooks]
        for notebook in notebooks:  # what an earlier run left is no copy of this one
            (output / notebook.path.name).unlink(missing_ok=True)
        with contextlib.closing(start(runs)) as finished:
            for run, result in finished:
                copy = run.folder / run.notebook.path.name
                if copy.exists():
                    os.replace(copy, output / copy.name)
                yield run.notebook, result
