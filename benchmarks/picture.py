"""The picture of a benchmark: who is how fast, and how cost grows."""

import matplotlib
import matplotlib.ticker

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from contenders import BOUND, OURS

from vaelib import plots

LABELS = {
    "batch_size": "batch size",
    "units": "hidden units",
    "depth": "hidden layers",
    "filters": "filters",
    "latent_dim": "latent dimensions",
    "num_samples": "latent samples",
    "num_examples": "images",
}
LINE_COLOURS = {
    OURS: "blue",
    "JAX, scanned epoch": "green",
    "PyTorch, eager": "orange",
    "Keras fit": "purple",
}


def draw(report, folder):
    """Draw what the report holds: bench.png with one epoch, growth.png with the curves; return the paths."""
    plots.use_style()
    paths = []
    if "epoch" in report:
        fig, ax = plt.subplots(figsize=(3.4, 3.2), layout="constrained")
        draw_epoch(ax, report["epoch"]["results"])
        paths.append(_saved(fig, folder / "bench.png"))
    if "growth" in report:
        paths.append(_saved(draw_growth(report["growth"]), folder / "growth.png"))
    return paths


def draw_epoch(ax, results):
    """Bars: seconds per epoch as a multiple of ours, the fastest on top."""
    rows = sorted(((row["seconds"], name) for name, row in results.items() if "seconds" in row), reverse=True)
    ours = results[OURS]["seconds"]
    special = {OURS: "blue", BOUND: "grey"}
    colours = [plots.COLOURS[special.get(name, "sky")] for _, name in rows]
    bars = ax.barh([name for _, name in rows], [seconds / ours for seconds, _ in rows], color=colours)
    ax.bar_label(bars, [f"{seconds / ours:.2f}" for seconds, _ in rows], padding=3)
    ax.margins(x=0.15)
    ax.set(xlabel="time per epoch, ours = 1", title="One epoch of MNIST")


def draw_growth(report):
    """Lines, one panel for each size: seconds per epoch against it, on logarithmic axes; above them the exponents."""
    panels = list(dict.fromkeys((row["network"], row["changed"]) for row in report["races"]))
    columns, rows = 4, -(-len(panels) // 4)
    size = dict(figsize=(11, 2.7 * rows), layout="constrained")
    fig, axes = plt.subplots(rows, columns, sharey=True, squeeze=False, **size)
    for ax, panel in zip(axes.flat, panels, strict=False):
        races = [row for row in report["races"] if (row["network"], row["changed"]) == panel]
        fitted = [row for row in report["exponents"] if (row["network"], row["changed"]) == panel]
        _panel(ax, races, {row["name"]: row["exponent"] for row in fitted}, *panel)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    handles = {line.get_label(): line for ax in axes.flat for line in ax.get_lines()}
    shown = {name: handles[name] for name in LINE_COLOURS if name in handles}
    fig.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown), frameon=False)
    return fig


def _panel(ax, races, exponents, network, field):
    ax.set_title(f"{network}: {LABELS[field]}", loc="left", fontsize="medium", pad=18)
    for i, (name, colour) in enumerate(LINE_COLOURS.items()):
        points = [(row["setting"][field], row["results"].get(name, {}).get("seconds")) for row in races]
        points = [point for point in points if point[1] is not None]
        if points:
            ax.plot(*zip(*points, strict=True), "o-", color=plots.COLOURS[colour], label=name)
        if name in exponents:
            said = dict(color=plots.COLOURS[colour], fontsize="small", transform=ax.transAxes)
            ax.text(0.25 * i, 1.03, f"{exponents[name]:+.2f}", **said)
    ax.set(xscale="log", yscale="log")
    values = [row["setting"][field] for row in races]
    ax.set_xticks(values, [f"{value:,}" for value in values])
    ax.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    if ax.get_subplotspec().is_first_col():
        ax.set_ylabel("seconds per epoch")


def _saved(fig, path):
    fig.savefig(path, dpi=150)
    plt.close(fig)
    return path
