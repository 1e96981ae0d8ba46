"""Plots that the notebooks share: arrays in, Axes out, one style for the whole course."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtr, ndtri

from vaelib.checks import positive_int
from vaelib.teaching.figures import DPI, SHOWN_DPI, install
from vaelib.teaching.figures import show as show
from vaelib.teaching.palette import CLASS_COLOURS, COLOURS

STYLE = {
    "figure.figsize": (7, 3.6),
    "figure.dpi": SHOWN_DPI,
    "savefig.dpi": DPI,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "axes.prop_cycle": mpl.rcsetup.cycler(color=list(COLOURS.values())[:6]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "font.size": 10,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "image.interpolation_stage": "data",  # as grey values and not as four colours: a third of the memory
}


def use_style():
    """Give every figure of this kernel the style of the course, and a text of its own for those who do not see it."""
    mpl.rcParams.update(STYLE)
    install()


def show_image(image, ax=None, title=None):
    """Draw one image, grey or in colour.

    Args:
        image: array of shape (height, width), optionally with a last axis of 1 or 3 channels, pixels in [0, 1].
        ax: the Axes to draw in; a new one by default.
        title: a short text above the image.

    Returns:
        The Axes.

    Raises:
        ValueError: image has another shape.
    """
    image = _one_image(image)
    ax = ax or plt.subplots()[1]
    ax.imshow(image, vmin=0, vmax=1, cmap="gray")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title, loc="center")
    return ax


def image_row(rows, labels=None, size=0.75):
    """Draw rows of images under each other, for example originals above their reconstructions.

    Args:
        rows: list of arrays, each of shape (n, height, width), optionally with a last axis of 1 or 3 channels, pixels
            in [0, 1].
        labels: one text per row, written to its left.
        size: width of one image, inches.

    Returns:
        Array of Axes of shape (len(rows),).

    Raises:
        ValueError: a row has another shape than described, or the rows or labels differ in number.
    """
    strips = [tile(row, rows=1) for row in rows]
    if any(strip.shape != strips[0].shape for strip in strips):
        raise ValueError(f"rows must hold as many images of one size each; received {[np.shape(r) for r in rows]}.")
    height, width = strips[0].shape[:2]
    count = len(rows[0])
    fig, axes = plt.subplots(
        len(rows),
        1,
        figsize=(size * count + (1.3 if labels else 0), size * count * height / width * len(rows) + 0.1),
    )
    axes = np.atleast_1d(axes)
    for ax, strip, label in zip(axes, strips, labels or [None] * len(rows), strict=True):
        ax.imshow(strip, vmin=0, vmax=1, cmap="gray", aspect="equal")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if label:
            ax.set_ylabel(label, rotation=0, ha="right", va="center")
    return axes


def tile(images, rows=None, gap=1):
    """Put images side by side in one large image.

    Args:
        images: array of shape (n, height, width), optionally with a last axis of 1 or 3 channels, pixels in [0, 1].
        rows: number of rows; about the square root of n by default.
        gap: white pixels between two images.

    Returns:
        Array of shape (rows * (height + gap) - gap, columns * (width + gap) - gap), with 3 channels if images have.

    Raises:
        ValueError: images has another shape, or holds no image.
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)) or len(images) == 0:
        raise ValueError(
            "images must have shape (n, height, width), optionally with a last axis of 1 or 3 channels, and n >= 1; "
            f"received {images.shape}."
        )
    n, height, width = images.shape[:3]
    channels = (3,) if images.shape[3:] == (3,) else ()
    images = images.reshape(n, height, width, *channels)
    rows = positive_int("rows", rows) if rows is not None else int(np.sqrt(n))
    columns = -(-n // rows)
    canvas = np.ones((rows * columns, height + gap, width + gap, *channels), images.dtype)
    canvas[:n, :height, :width] = images
    canvas = canvas.reshape(rows, columns, height + gap, width + gap, *channels).swapaxes(1, 2)
    canvas = canvas.reshape(rows * (height + gap), columns * (width + gap), *channels)
    return canvas[: canvas.shape[0] - gap or None, : canvas.shape[1] - gap or None]


def training_curves(history, axes=None):
    """Draw what the objective reported over the epochs: for ELBO the loss, the reconstruction and the KL.

    Args:
        history: a Keras History, or its `history` dictionary from names to nats per example; learning rates are left
            out.
        axes: one Axes for each name; a new row by default.

    Returns:
        Array of the Axes.
    """
    curves = getattr(history, "history", history)
    names = [name for name in curves if not name.startswith(("val_", "learning_rate"))]
    first = ["loss", "reconstruction", "kl"]  # Keras gives them in the order of the alphabet
    names.sort(key=lambda name: first.index(name) if name in first else len(first))
    if axes is None:
        axes = plt.subplots(1, len(names), figsize=(9.5, 3), squeeze=False)[1][0]
    titles = {"loss": "NELBO = reconstruction + KL" if _is_nelbo(curves, names) else "loss", "kl": "KL"}
    for ax, name in zip(axes, names, strict=True):
        epochs = np.arange(1, len(curves[name]) + 1)
        ax.plot(epochs, curves[name], label="training", color=COLOURS["blue"])
        if f"val_{name}" in curves:
            ax.plot(epochs, curves[f"val_{name}"], label="validation", color=COLOURS["orange"], linestyle="--")
        ax.set(title=titles.get(name, name), xlabel="epoch")
    axes[0].set_ylabel("nats per example")
    axes[0].legend()
    return axes


def _is_nelbo(curves, names):
    """Whether the loss is the sum of its two parts: a beta other than 1, or a critic, makes it something else."""
    return set(names) == {"loss", "reconstruction", "kl"} and np.allclose(
        curves["loss"], np.add(curves["reconstruction"], curves["kl"]), rtol=1e-3
    )


def latent_scatter(z, labels=None, *, times=None, ax=None, size=4):
    """Draw codes in the latent plane, coloured by class or by time.

    Args:
        z: array of shape (n, 2), usually posterior means.
        labels: integer classes, shape (n,): a legend of classes is added.
        times: numbers, shape (n,), for example frame numbers: a colour bar is added.
        ax: the Axes; a new one by default.
        size: marker area, points squared.

    Returns:
        The Axes.

    Raises:
        ValueError: z is not of shape (n, 2), or labels have another length.
    """
    z = np.asarray(z)
    if z.ndim != 2 or z.shape[1] != 2:
        raise ValueError(f"z must have shape (n, 2) for a scatter in the plane; received {z.shape}.")
    for name, values in {"labels": labels, "times": times}.items():
        if values is not None and np.shape(values) != (len(z),):
            raise ValueError(f"{name} must have shape ({len(z)},), one per row of z; received {np.shape(values)}.")
    ax = ax or plt.subplots(figsize=(6, 5))[1]
    if times is not None:
        points = ax.scatter(*z.T, c=times, s=size, cmap="viridis", linewidths=0)
        ax.figure.colorbar(points, ax=ax, label="frame")
    elif labels is not None:
        for i, value in enumerate(np.unique(labels)):
            chosen = z[np.asarray(labels) == value]
            ax.scatter(*chosen.T, s=size, color=CLASS_COLOURS[i % 10], label=str(value), linewidths=0, alpha=0.85)
        ax.legend(title="class", markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        ax.scatter(*z.T, s=size, color=COLOURS["blue"], linewidths=0, alpha=0.7)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    return ax


def manifold_codes(per_side=15, coverage=0.98):
    """Lay a square grid of codes over the latent plane that is even under the standard normal prior.

    The grid is even in probability; the inverse normal CDF takes it to the plane, so that each picture stands for
    the same prior mass (Kingma and Welling 2014, figure 4).

    Args:
        per_side: number of codes along each axis.
        coverage: the probability between the first and the last code of an axis, in (0, 1).

    Returns:
        Array of shape (per_side ** 2, 2), row by row from the top: z_1 grows to the right, z_2 upwards.

    Raises:
        ValueError: per_side is not a positive integer, or coverage not between 0 and 1.
    """
    per_side = positive_int("per_side", per_side)
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be a probability between 0 and 1; received {coverage!r}.")
    edge = (1 - coverage) / 2
    quantiles = ndtri(np.linspace(edge, 1 - edge, per_side)) if per_side > 1 else np.zeros(1)
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])
    return np.stack([z1.ravel(), z2.ravel()], axis=1).astype("float32")


def manifold(decode, per_side=15, coverage=0.98, ax=None):
    """Draw what the decoder makes of the whole latent plane, through the inverse normal CDF, in one batched decode.

    Args:
        decode: function from codes (n, 2) to images (n, height, width), for example `vae.decode`.
        per_side: number of images along each side.
        coverage: the prior probability that each axis spans.
        ax: the Axes; a new one by default.

    Returns:
        The Axes.
    """
    z = manifold_codes(per_side, coverage)
    images = np.asarray(decode(z))
    if ax is None:
        height, width = images.shape[1:3]
        ax = plt.subplots(figsize=(6.5 * width / max(height, width), 6.5 * height / max(height, width)))[1]
    ax.imshow(tile(images, rows=per_side, gap=0), vmin=0, vmax=1, cmap="gray", extent=(0, per_side, 0, per_side))
    ax.set_aspect(images.shape[1] / images.shape[2])
    # Whole numbers, each where its own probability is: a code stands in the middle of its image.
    last = int(z.max())
    codes = np.arange(-last, last + 1)
    places = 0.5 + (per_side - 1) * (ndtr(codes) - (1 - coverage) / 2) / coverage
    names = [str(code).replace("-", "\N{MINUS SIGN}") for code in codes]
    ax.set_xticks(places, names)
    ax.set_yticks(places, names)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    return ax


def _one_image(image):
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(
            "image must have shape (height, width), optionally with a last axis of 1 or 3 channels; "
            f"received {image.shape}."
        )
    return image[..., 0] if image.shape[2:] == (1,) else image
