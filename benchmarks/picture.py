"""The picture of a benchmark: who is how fast, and how cost grows."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from vaelib import plots

LABELS = {"batch_size": "batch size", "units": "hidden units", "num_examples": "images"}
LINE_COLOURS = {
    "vaelib fit": "blue",
    "JAX, scanned epoch": "green",
    "PyTorch, eager": "orange",
    "Keras fit": "purple",
}


def draw(report, path):
    """Draw the parts that the report holds and return the path of the picture."""
    plots.use_style()
    grown = [field for field in LABELS if any(row["changed"] == field for row in report.get("growth", []))]
    num_axes = ("epoch" in report) + len(grown)
    fig, axes = plt.subplots(1, num_axes, figsize=(3.4 * num_axes, 3.2), squeeze=False, layout="constrained")
    axes = list(axes[0])
    if "epoch" in report:
        draw_epoch(axes.pop(0), report["epoch"]["results"])
    for ax, field in zip(axes, grown, strict=True):
        draw_growth(ax, [row for row in report["growth"] if row["changed"] == field], field)
    if axes:
        axes[0].legend(fontsize="small")
    fig.savefig(path, dpi=110)
    plt.close(fig)
    return path


def draw_epoch(ax, results):
    """Bars: seconds per epoch as a multiple of ours, the fastest on top."""
    rows = sorted(((row["seconds"], name) for name, row in results.items() if "seconds" in row), reverse=True)
    ours = results["vaelib fit"]["seconds"]
    special = {"vaelib fit": "blue", "matrix products alone": "grey"}
    colours = [plots.COLOURS[special.get(name, "sky")] for _, name in rows]
    bars = ax.barh([name for _, name in rows], [seconds / ours for seconds, _ in rows], color=colours)
    ax.bar_label(bars, [f"{seconds / ours:.2f}" for seconds, _ in rows], padding=3)
    ax.margins(x=0.15)
    ax.set(xlabel="time per epoch, ours = 1", title="One epoch of MNIST")


def draw_growth(ax, rows, field):
    """Lines: seconds per epoch against one setting, both on logarithmic axes."""
    for name, colour in LINE_COLOURS.items():
        points = [(row["setting"][field], row["results"].get(name, {}).get("seconds")) for row in rows]
        points = [point for point in points if point[1] is not None]
        if points:
            ax.plot(*zip(*points, strict=True), "o-", color=plots.COLOURS[colour], label=name)
    ax.set(xscale="log", yscale="log", xlabel=LABELS[field], ylabel="seconds per epoch")
    values = [row["setting"][field] for row in rows]
    ax.set_xticks(values, [f"{value:,}" for value in values])
    ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
