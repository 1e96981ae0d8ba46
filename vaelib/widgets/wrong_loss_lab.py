"""The lab of notebook 10: choose a mistake, and see its curves, images and latent map beside the right ones."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.teaching.plots import tile
from vaelib.widgets.controls import Menu, Slider, Toggle
from vaelib.widgets.lab import Lab, packed

# One meaning per colour, here and in the notebook.
WRONG, RIGHT = COLOURS["vermillion"], COLOURS["blue"]
ROWS = ("test", "its copy", "new")
CURVES = ("reconstruction", "kl")
SHOWN_CODES = 600
ALT = (
    "A model with a mistake and the right one: held-out reconstruction and KL over the epochs; what the loss reports "
    "and what the networks are worth; test images, their copies, new images; codes of test images by class, and the "
    "circle of two standard deviations of the prior."
)


def numbers_of(pair, epoch=None, zoom=False):
    """Return all numbers of the picture of a Pair.

    Args:
        pair: a Pair.
        epoch: where the curves are read, from 1; a shorter run is read at its end, as are both by default.
        zoom: whether the axes of the curves hold the wrong run's alone.
    Returns:
        By name; of two values the first is the wrong run's, the second the right one's. Nats, but for epochs, units
        active, `spread` (root mean square of the codes) and `reach` (half the width of each map).
    """
    runs = (pair.wrong, pair.right)
    numbers = {"notice": pair.notice}
    for name in (*CURVES, "loss"):
        curves = [_finite(run.curves[f"val_{name}"]) for run in runs]
        at = [min(epoch or len(curve), len(curve)) for curve in curves]
        numbers["epoch"] = at
        numbers[f"{name}_at"] = [curve[k - 1] for curve, k in zip(curves, at, strict=True)]
        if name in CURVES:
            numbers[f"{name}_wrong"], numbers[f"{name}_right"] = curves
            numbers[f"{name}_range"] = _padded(curves[0] if zoom else np.concatenate(curves))
    numbers["reported"] = [_finite(run.curves["val_loss"])[-1] for run in runs]
    numbers["worth"] = [run.nelbo for run in runs]
    numbers["worth_range"] = _padded([*numbers["reported"], *numbers["worth"]], 0.2)
    numbers["active"] = [run.active_units for run in runs]
    codes = [_codes_of(run).astype(float) for run in runs]
    numbers["spread"] = [np.sqrt(np.mean(z**2)) for z in codes]
    # The prior's own size where it can be seen: a shrunken or a blown-up cloud then shows as one.
    numbers["reach"] = [max(3.5, 1.1 * np.abs(z).max()) for z in codes]
    return numbers


def wrong_beside_right(pair, now, figure=None):
    """Draw a Pair: a run with a mistake (vermillion) and the right one (blue).

    Args:
        pair: a Pair. now: its numbers.
        figure: an empty matplotlib Figure; a new one by default.

    Returns:
        The Figure.
    """
    figure = figure or plt.figure(figsize=(10, 5.2))
    axes = figure.subplot_mosaic("awW\nawW\nbwW\nbrR\nnrR\nnrR", width_ratios=[2.6, 3.6, 2.2])
    for ax, name, title in ((axes["a"], "reconstruction", "reconstruction"), (axes["b"], "kl", "KL")):
        for k, (which, colour, style) in enumerate((("wrong", WRONG, "--"), ("right", RIGHT, "-"))):
            values = now[f"{name}_{which}"]
            ax.plot(np.arange(1, len(values) + 1), values, style, marker=".", color=colour, label=which)
            ax.plot(now["epoch"][k], now[f"{name}_at"][k], "o", color=colour, markersize=7)
        ax.set(title=f"reported {title}, nats", ylim=now[f"{name}_range"])
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_formatter(_short)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes["b"].set_xlabel("epoch")
    axes["a"].legend(loc="best")
    _worth(axes["n"], now)
    runs = ((pair.wrong, "wrong", WRONG, "w", "W"), (pair.right, "right", RIGHT, "r", "R"))
    for (run, title, colour, pictures, plane), reach in zip(runs, now["reach"], strict=True):
        _images(axes[pictures], run.images)
        axes[pictures].set_title(title, color=colour, fontweight="bold")
        _codes(axes[plane], run, reach)
    return figure


class WrongLossLab(Lab):
    """The lab: a menu of mistakes; a slider moves a marker over the epochs and tells the values there.

    Nothing is computed but where the axes end: the runs travel as arrays, images in 256 greys, each array once.

    Args:
        pairs: by the mistake's name, a Pair.

    Raises:
        ValueError: pairs is empty, or a run's nelbo is not finite.
    """

    def __init__(self, pairs):
        if not pairs:
            raise ValueError("pairs must hold at least one mistake; received none.")
        self.pairs = dict(pairs)
        arrays, runs, places = _Once(packed), [], {}
        for pair in self.pairs.values():
            for run in (pair.wrong, pair.right):
                if id(run) not in places:
                    places[id(run)] = len(runs)
                    runs.append(_described(run, arrays))
        last = max(len(_finite(run.curves["val_loss"])) for pair in self.pairs.values() for run in pair[:2])
        super().__init__(
            "wrong_loss",
            {
                "mistake": Menu("the mistake", tuple(self.pairs)),
                "epoch": Slider("epoch", 1, max(last, 2), 1, max(last, 2)),
                "zoom": Toggle("curves: the wrong run alone"),
            },
            {
                "pairs": {
                    name: [places[id(pair.wrong)], places[id(pair.right)], pair.notice]
                    for name, pair in self.pairs.items()
                },
                "runs": runs,
                "arrays": arrays.kept,
                "rows": list(ROWS),
                "colours": CLASS_COLOURS,
            },
            alt=ALT,
        )

    def compute(self, mistake, epoch, zoom):
        return numbers_of(self.pairs[mistake], epoch, zoom)

    def draw(self, now, values):
        return wrong_beside_right(self.pairs[values["mistake"]], now)


class _Once:
    """A list that takes each array once and says where it stands."""

    def __init__(self, pack):
        self.pack, self.kept, self.places = pack, [], {}

    def __call__(self, array):
        array = np.ascontiguousarray(array)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self.places:
            self.places[key] = len(self.kept)
            self.kept.append(self.pack(array))
        return self.places[key]


def _described(run, arrays):
    """A run as JSON, its arrays by their places."""
    if not np.isfinite(run.nelbo):
        raise ValueError(f"a run's nelbo must be finite to be drawn; received {run.nelbo}. Train it for fewer epochs.")
    images = (255 * np.nan_to_num(run.images).clip(0, 1) + 0.5).astype("uint8")
    return {
        **{name: _finite(run.curves[f"val_{name}"]).tolist() for name in (*CURVES, "loss")},
        "reported": float(_finite(run.curves["val_loss"])[-1]),
        "worth": float(run.nelbo),
        "active": int(run.active_units),
        "dims": int(run.codes.shape[1]),
        "codes": arrays(_codes_of(run)),
        "labels": arrays(_labels_of(run)),
        "images": [arrays(row) for row in images],
    }


def _finite(curve):
    """A curve up to where it leaves the finite numbers; at least one value."""
    curve = np.asarray(curve, float)
    ends = np.flatnonzero(~np.isfinite(curve))
    return np.nan_to_num(curve[: max(1, ends[0])]) if len(ends) else curve


def _codes_of(run):
    z = np.asarray(run.codes[:SHOWN_CODES, :2], "float32")
    return np.nan_to_num(z, posinf=0, neginf=0)


def _labels_of(run):
    return (np.asarray(run.labels[:SHOWN_CODES]) % 10).astype("uint8")


def _padded(values, share=0.06):
    """The ends of an axis that holds all values."""
    low, high = float(np.min(values)), float(np.max(values))
    margin = share * (high - low) or max(1.0, 0.1 * abs(high))
    return [low - margin, high + margin]


def _short(number, place=None):
    """A tick's text: from 10,000 on in thousands."""
    return (f"{number / 1000:g}k" if abs(number) >= 1e4 else f"{number:g}").replace("-", "−")


def _worth(ax, now):
    for k, colour in enumerate((WRONG, RIGHT)):
        ends = now["reported"][k], now["worth"][k]
        ax.plot(ends[0], 1 - k, "|", color=colour, markersize=14, markeredgewidth=2)
        if abs(ends[1] - ends[0]) > 0.03 * np.ptp(now["worth_range"]):  # longer than its head
            look = {"arrowstyle": "-|>", "color": colour, "lw": 2}
            ax.annotate("", (ends[1], 1 - k), (ends[0], 1 - k), arrowprops=look)
        ax.text(ends[0], 1.18 - k, _number(ends[0]), ha="center", fontsize=8)
        ax.text(ends[1], 0.65 - k, _number(ends[1]), ha="center", fontsize=8)
    ax.set(yticks=[1, 0], yticklabels=["wrong", "right"], ylim=(-0.6, 1.6), xlim=now["worth_range"])
    ax.set_title("reported | → worth, nats", fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(_short)


def _number(nats):
    return (f"{nats:,.1f}" if abs(nats) < 1e4 else f"{nats / 1000:,.0f}k").replace("-", "−")


def _images(ax, images):
    ax.imshow(tile(images.reshape(-1, *images.shape[2:]), rows=len(images)), vmin=0, vmax=1, cmap="gray")
    height = images.shape[2] + 1
    ax.set_yticks((np.arange(len(images)) + 0.5) * height, ROWS)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _codes(ax, run, reach):
    ax.scatter(*_codes_of(run).T, s=4, c=[CLASS_COLOURS[label] for label in _labels_of(run)], linewidths=0)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    turn = np.linspace(0, 2 * np.pi, 100)
    ax.plot(2 * np.cos(turn), 2 * np.sin(turn), color=COLOURS["grey"], linewidth=1)
