"""The lab of notebook 09: choose a mistake, and see its curves, images and latent map beside the right ones."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator
from PIL import Image

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.teaching.plots import STYLE, tile
from vaelib.teaching.runs import describe
from vaelib.widgets.panel import Panel, StaticPicture
from vaelib.widgets.png import png_bytes

# One meaning per colour, here and in the notebook.
WRONG, RIGHT = COLOURS["vermillion"], COLOURS["blue"]
ROWS = ("test", "its copy", "new")
SHOWN_CODES = 600
WIDTH = 800
ALT = (
    "A model with a mistake and the right one: held-out reconstruction and KL over the epochs; test images, their "
    "copies, new images; codes of test images by class, and the circle of two standard deviations of the prior."
)


def wrong_beside_right(wrong, right, figure=None):
    """Draw held-out curves, images and latent maps of a run with a mistake (vermillion) and of the right one (blue).

    Args:
        wrong, right: the two runs.
        figure: an empty matplotlib Figure; a new one by default.

    Returns:
        The Figure.
    """
    figure = figure or plt.figure(figsize=(10, 4.6))
    axes = figure.subplot_mosaic("awW\nbrR", width_ratios=[2.6, 3.6, 2.2])
    for ax, curve, name in ((axes["a"], "val_reconstruction", "reconstruction"), (axes["b"], "val_kl", "KL")):
        _curves(ax, curve, wrong, right)
        ax.set_title(f"reported {name}, nats")
    axes["b"].set_xlabel("epoch")
    for run, title, colour, pictures, plane in ((wrong, "wrong", WRONG, "w", "W"), (right, "right", RIGHT, "r", "R")):
        _images(axes[pictures], run.images)
        axes[pictures].set_title(title, color=colour, fontweight="bold")
        _codes(axes[plane], run)
    return figure


def picture(pair):
    """Return the picture of a pair as an ordinary output of a cell, with its numbers as text."""
    return StaticPicture(_png(_pixels(pair)), f"{ALT} {_readout(pair)}", WIDTH)


class WrongLossLab(Panel):
    """A menu of mistakes over one picture; each picture is drawn once, when first asked for, and then kept.

    Args:
        pairs: by the mistake's name, a Pair.

    Raises:
        ValueError: pairs is empty.
    """

    def __init__(self, pairs):
        if not pairs:
            raise ValueError("pairs must hold at least one mistake; received none.")
        self.pairs, self._drawn = dict(pairs), {}
        super().__init__({"mistake": list(self.pairs)}, {"mistake": "the mistake"}, WIDTH, ALT)
        self.open()

    def static(self, mistake):
        """Return the picture of one mistake as an ordinary output of a cell."""
        return picture(self.pairs[self.checked({"mistake": mistake}, {})["mistake"]])

    def draw(self, values):
        name = values["mistake"]
        if name not in self._drawn:
            self._drawn[name] = _pixels(self.pairs[name])
        return self._drawn[name], _readout(self.pairs[name])

    @staticmethod
    def png(pixels):
        return _png(pixels)


def _readout(pair):
    return f"wrong: {describe(pair.wrong)}\nright: {describe(pair.right)}\nHow to notice: {pair.notice}"


def _pixels(pair):
    with mpl.rc_context(STYLE):
        canvas = FigureCanvasAgg(mpl.figure.Figure(figsize=(10, 4.6)))
        wrong_beside_right(pair.wrong, pair.right, canvas.figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba())


def _png(pixels):
    # A palette: a third of the bytes, and a notebook holds many of these pictures.
    return png_bytes(Image.fromarray(pixels).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=0))


def _curves(ax, name, wrong, right):
    scale = 0.0
    for run, colour, style, label in ((right, RIGHT, "-", "right"), (wrong, WRONG, "--", "wrong")):
        values = np.asarray(run.curves[name], float)
        ax.plot(np.arange(1, len(values) + 1), values, style, marker=".", color=colour, label=label)
        scale = max(scale, np.abs(values).max() / max(np.abs(values[-1]), 1e-9))
    last = [abs(float(run.curves[name][-1])) for run in (wrong, right)]
    if scale > 100 or max(last) > 20 * min(last):  # neither curve may lie flat on the axis
        ax.set_yscale("symlog", linthresh=10 ** np.floor(np.log10(max(min(last), 1e-2))))
        ax.yaxis.get_major_locator().set_params(numticks=5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if name == "val_reconstruction":
        ax.legend(loc="best")


def _images(ax, images):
    ax.imshow(tile(images.reshape(-1, *images.shape[2:]), rows=len(images)), vmin=0, vmax=1, cmap="gray")
    height = images.shape[2] + 1
    ax.set_yticks((np.arange(len(images)) + 0.5) * height, ROWS)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _codes(ax, run):
    z = run.codes[:SHOWN_CODES, :2]
    ax.scatter(*z.T, s=4, c=[CLASS_COLOURS[label % 10] for label in run.labels[:SHOWN_CODES]], linewidths=0)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    # The prior's own size where it can be seen: a shrunken or a blown-up cloud then shows as one.
    reach = max(3.5, 1.1 * float(np.abs(z).max()))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    turn = np.linspace(0, 2 * np.pi, 100)
    ax.plot(2 * np.cos(turn), 2 * np.sin(turn), color=COLOURS["grey"], linewidth=1)
