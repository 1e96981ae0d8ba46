"""Run the chosen notebooks one after the other: a line for each, and the report written anew after each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vaelib.files import only_writer
from vaelib.tools.runner.execution import execute
from vaelib.tools.runner.notebooks import Notebook
from vaelib.tools.runner.report import result_line, write_report


def run_notebooks(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    *,
    timeout: float | None = None,
    save: Callable[[Notebook, dict[str, Any]], str | None] = lambda notebook, result: None,
) -> int:
    """Run notebooks; print a line for each; write the executed copies and the report.

    Args:
        notebooks: which, in this order.
        parameters: those of each, by its name.
        output: folder for the executed copies and the report.
        timeout: seconds that one cell may take; None for no limit.
        save: called after each with the notebook and its result; returns a sentence where it did not save.

    Returns:
        Exit status: 0 when all passed and were saved, 1 when not, 130 after an interrupt.

    Raises:
        BlockingIOError: another run writes into that folder.
    """
    with only_writer(output):
        return _run(notebooks, parameters, output, timeout, save)


def _run(
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, dict[str, Any]],
    output: Path,
    timeout: float | None,
    save: Callable[[Notebook, dict[str, Any]], str | None],
) -> int:
    results: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    interrupted, unsaved = False, 0
    width = max(len(notebook.name) for notebook in notebooks)
    # papermill adds a cell for the parameters.
    cells = [notebook.num_code_cells + bool(parameters[notebook.name]) for notebook in notebooks]
    # Every chosen notebook stands in the report from the start: whatever ends this process, none is forgotten.
    write_report(output, [], [notebook.name for notebook in notebooks])
    # Silent unless someone watches: a log keeps the lines, not the bar.
    with tqdm(total=sum(cells), unit="cell", disable=None, leave=False) as bar:
        for notebook in notebooks:
            bar.set_description(notebook.name)
            copy = output / notebook.path.name
            result = execute(notebook, parameters[notebook.name], copy, timeout=timeout, on_cell=bar.update)
            results.append(result)
            bar.n = sum(cells[: len(results)])  # a notebook that failed stopped short
            interrupted = result["status"] == "interrupted"
            # After each one, so that nothing that ran is lost.
            report = write_report(output, results, [other.name for other in notebooks[len(results) :]])
            bar.write(result_line(notebook.name, result, width))
            if reason := save(notebook, result):
                unsaved += 1
                bar.write(reason)
            if interrupted:
                break
    print(f"{report['headline']}. Report: {output / 'report.html'}")
    return 130 if interrupted else 0 if report["passed"] and not unsaved else 1
