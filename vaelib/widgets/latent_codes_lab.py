"""The lab of notebook 01: one point moves through the latent planes of two models, side by side."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.widgets.figure_lab import FigureLab

REACH = 3.0  # standard deviations of a model's codes on each side


def latent_codes_lab(models, x, labels, image_shape):
    """Make a lab that decodes the same place in the latent plane of several models.

    The sliders count in standard deviations of each model's own codes, since an autoencoder's have no scale.

    Args:
        models: by name, objects with `encode`, (n, pixels) to (n, 2), and `decode`, (n, 2) to (n, pixels).
        x: images, shape (n, pixels), in [0, 1]. labels: their classes, shape (n,).
        image_shape: (height, width) of an image.

    Returns:
        A Lab with the sliders z1 and z2; the readout names the code and the training image that looks most alike.

    Raises:
        ValueError: a model's codes are not of two dimensions.
    """
    figure, axes = plt.subplots(1, 2 * len(models), figsize=(4.6 * len(models), 2.7), width_ratios=[3, 2] * len(models))
    parts = []
    for i, (name, model) in enumerate(models.items()):
        parts.append(_Part(name, model, x, image_shape, axes[2 * i], axes[2 * i + 1], labels))

    def update(z1, z2):
        return "\n".join(part.move(z1, z2, x, labels) for part in parts)

    moving = [artist for part in parts for artist in (part.marker, part.picture)]
    sliders = {"z1": (-REACH, REACH, 0.05, 0.0), "z2": (-REACH, REACH, 0.05, 0.0)}
    names = {"z1": "z₁, in standard deviations", "z2": "z₂, in standard deviations"}
    alt = (
        "For each model its codes in the latent plane, coloured by digit, with one place marked, and the image decoded "
        f"from that place. Left to right: {', '.join(models)}."
    )
    return FigureLab(figure, update, moving, sliders, labels=names, alt=alt)


class _Part:
    """One model's half of the picture."""

    def __init__(self, name, model, x, image_shape, plane, image_axes, labels):
        self.name, self.model, self.image_shape = name, model, image_shape
        codes = model.encode(x)
        if codes.shape != (len(x), 2):
            raise ValueError(f"models[{name!r}] must encode to shape ({len(x)}, 2); it gave {codes.shape}.")
        self.mean, self.std = codes.mean(axis=0), codes.std(axis=0)
        plane.scatter(*codes.T, s=3, c=[CLASS_COLOURS[label % 10] for label in labels], linewidths=0)
        low, high = self.mean - REACH * self.std, self.mean + REACH * self.std
        plane.set(title=name, xlabel="$z_1$", ylabel="$z_2$")
        plane.set(xlim=_widened(low[0], high[0]), ylim=_widened(low[1], high[1]))
        (self.marker,) = plane.plot(*self.mean, "o", ms=10, mfc="none", mec=COLOURS["black"], mew=2)
        self.picture = image_axes.imshow(np.zeros(image_shape), vmin=0, vmax=1, cmap="gray")
        image_axes.set(title="decoded", xticks=[], yticks=[])

    def move(self, z1, z2, x, labels):
        z = self.mean + self.std * (z1, z2)
        image = self.model.decode(z)
        self.marker.set_data([z[0]], [z[1]])
        self.picture.set_data(image.reshape(self.image_shape))
        distance = np.sqrt(((x - image) ** 2).sum(axis=1))
        return (
            f"{self.name}: z = ({z[0]:.2f}, {z[1]:.2f}); the training image most like it is a "
            f"{labels[distance.argmin()]}, {distance.min():.2f} away".replace("-", "−")
        )


def _widened(low, high, by=0.04):
    return low - by * (high - low), high + by * (high - low)
