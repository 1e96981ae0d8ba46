"""What a sweep leaves behind: a table with a row per run, and a picture of every figure over the swept parameters."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaelib.files import replace_file
from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.tools.results import write_csv
from vaelib.tools.runner.report import place
from vaelib.tools.runner.sweep_runs import Run

COLUMNS = 3
LINES = [*list(COLOURS.values())[:6], *CLASS_COLOURS]  # the classes are made for points: some are pale
MEASURES = {"seconds": ("seconds", ""), "peak_rss_mb": ("peak memory", "MB")}


def write_table(output: Path, runs: Sequence[Run]) -> None:
    """Write results.csv: a row per run of the grid, empty where it has not been run.

    Columns: the parameters; passed, seconds, peak_memory_mb; every recorded figure with its unit; data and vaelib,
    what it ran on; error and run, the name of its folder below runs/.
    """
    results = [run.result() or {} for run in runs]
    parameters = list(runs[0].parameters)
    figures: dict[str, str] = {}  # name to column, in the order of the notebook
    for result in results:
        for name in result.get("figures", {}):
            unit = result["units"].get(name)
            figures.setdefault(name, f"{name} ({unit})" if unit else f"figure {name}" if name in parameters else name)
    header = [*parameters, "passed", "seconds", "peak_memory_mb", *figures.values(), "data", "vaelib", "error", "run"]
    rows = []
    for run, result in zip(runs, results, strict=True):
        values = [json.dumps(v) if isinstance(v, list | dict) else v for v in run.parameters.values()]
        rows.append([
            *values, *(result.get(key, "") for key in ("passed", "seconds", "peak_rss_mb")),
            *(result.get("figures", {}).get(name, "") for name in figures),
            data_of(result), result.get("vaelib", ""),
            place(result["error"]) if result.get("error") else "", run.folder.name,
        ])  # fmt: skip
    write_csv(output / "results.csv", header, rows)


def data_of(result: Mapping[str, Any]) -> str:
    """Return what a run learned from, in words: names, and whether something stands in."""
    return "; ".join(f"{d['name']} (stand-in)" if d["stand_in"] else d["name"] for d in result.get("data", []))


def mixed(runs: Sequence[Run]) -> str:
    """Return a sentence where the rows are not of one kind: other data, or another vaelib; else nothing."""
    passed = [result for run in runs if (result := run.result()) and result["passed"]]
    kinds = {"data": {data_of(result) for result in passed}, "vaelib": {result.get("vaelib", "") for result in passed}}
    differ = [f"{name} ({', '.join(sorted(map(str, kind)))})" for name, kind in kinds.items() if len(kind) > 1]
    return f"The rows differ in {' and '.join(differ)}: compare only those that agree in it." if differ else ""


def draw(
    path: Path,
    grid: Mapping[str, Sequence],
    runs: Sequence[tuple[dict[str, Any], dict[str, Any] | None]],
    title: str,
) -> tuple[str | None, str | None]:
    """Draw one panel per figure: dots are runs, lines their mean.

    Across goes the first parameter that has several values, seeds last; colour tells the second. Any further one, such
    as the seed, makes several dots at one place.

    Args:
        path: the PNG file.
        grid: dict of parameter to list of values.
        runs: list of (parameters, result); result is None for a run that is missing.
        title: above the panels.

    Returns:
        (across, by): the names of the two parameters, None where there is none.
    """
    across, by, rest = _roles(grid)
    passed = [(parameters, result) for parameters, result in runs if result and result["passed"]]
    panels = {name: (name, result["units"].get(name, "")) for _, result in passed for name in result["figures"]}
    panels |= MEASURES
    rows = math.ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 2.8 * rows + 0.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for ax, (key, (name, unit)) in zip(axes, panels.items(), strict=False):
        measured = [(parameters, _value(result, key)) for parameters, result in passed]
        _panel(ax, grid, across, by, [(parameters, value) for parameters, value in measured if value is not None])
        ax.set_title(name if len(name) < 45 else name[:42] + "…", fontsize=10, loc="left")
        ax.set(xlabel=across or "", ylabel=unit)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    if by is not None:
        axes[0].legend(title=by, fontsize=8, title_fontsize=8)
    means = f"; lines: means over {', '.join(rest)}" if rest else ""
    figure.suptitle(f"{title}: {len(passed)} of {len(runs)} runs passed; dots: runs{means}", fontsize=11)
    with replace_file(path) as half:
        figure.savefig(half, format="png")
    return across, by


def _roles(grid: Mapping[str, Sequence]) -> tuple[str | None, str | None, list[str]]:
    """The parameter that goes across, the one that colour tells, and the rest."""
    swept = sorted((name for name, values in grid.items() if len(values) > 1), key=lambda name: name == "seed")
    across = swept[0] if swept else next(iter(grid), None)
    by = swept[1] if len(swept) > 1 and swept[1] != "seed" else None
    return across, by, [name for name in swept if name not in (across, by)]


def _value(result: dict[str, Any], key: str) -> float | None:
    return result[key] if key in MEASURES else result["figures"].get(key)


def _panel(
    ax: Axes,
    grid: Mapping[str, Sequence],
    across: str | None,
    by: str | None,
    measured: Sequence[tuple[dict[str, Any], float]],
) -> None:
    """Draw one figure: a series for each value of `by`, from (parameters, value) of each run."""
    values = grid[across] if across else [None]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    places = dict(zip(map(repr, values), values if numeric else range(len(values)), strict=True))
    for i, series in enumerate(grid[by] if by else [None]):
        colour = LINES[i % len(LINES)]
        points: dict[float, list[float]] = {}
        for parameters, value in measured:
            if by is None or repr(parameters[by]) == repr(series):
                points.setdefault(places[repr(parameters[across] if across else None)], []).append(value)
        x = sorted(points)
        ax.plot([at for at in x for _ in points[at]], [v for at in x for v in points[at]], "o", color=colour, ms=4)
        ax.plot(x, [np.mean(points[at]) for at in x], color=colour, lw=1.5, label=str(series))
    ax.set_xticks(list(places.values()), [str(value) for value in values])
