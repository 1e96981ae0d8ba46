"""The lab of notebook 01: one point moves through the latent planes of two models, side by side."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.theory.autoencoders import Autoencoder
from vaelib.widgets.controls import Slider
from vaelib.widgets.lab import Lab, packed

REACH = 3.0  # standard deviations of a model's codes on each side
Z1 = Slider("z₁, in standard deviations", -REACH, REACH, 0.01, 0.0, key=0.1)
Z2 = Slider("z₂, in standard deviations", -REACH, REACH, 0.01, 0.0, key=0.1)
# A training image travels in so many steps of grey; 16 divides them, so that the small digits' 17 levels lose nothing.
LEVELS = 240


class LatentCodesLab(Lab):
    """The lab: drag the point in either plane; both planes move, and each model decodes its own code there.

    The point counts in standard deviations of each model's own codes, since an autoencoder's have no scale. Beside
    each decoded image stands the training image that is most like it.

    Args:
        models: by name, models of `vaelib.theory.autoencoders` with latent_dim 2.
        x: images, shape (n, pixels), in [0, 1]. labels: their classes, whole numbers from 0 to 9, shape (n,).
        image_shape: (height, width) of an image.

    Raises:
        TypeError: a model of another kind.
        ValueError: a model's codes are not of two dimensions, or the labels are no classes from 0 to 9.
    """

    def __init__(self, models, x, labels, image_shape):
        self.models, self.image_shape = dict(models), tuple(image_shape)
        self.images = np.round(LEVELS * np.asarray(x)).astype(np.uint8)
        self.labels = np.asarray(labels)
        if self.labels.shape != self.images.shape[:1] or not np.isin(self.labels, np.arange(10)).all():
            raise ValueError(f"labels must be {len(self.images)} whole numbers from 0 to 9; received {labels!r}.")
        self.codes, described = {}, []
        for name, model in self.models.items():
            if not isinstance(model, Autoencoder):
                raise TypeError(f"models[{name!r}] must be an Autoencoder; received {type(model).__name__}.")
            codes = self.codes[name] = model.encode(x)
            if codes.shape != (len(x), 2):
                raise ValueError(f"models[{name!r}] must encode to shape ({len(x)}, 2); it gave {codes.shape}.")
            low, high = _ends(codes)
            described.append(
                {
                    "name": name,
                    "mean": codes.mean(axis=0).tolist(),
                    "std": codes.std(axis=0).tolist(),
                    "low": low.tolist(),
                    "high": high.tolist(),
                    "codes": packed(codes.astype(np.float32)),  # to be drawn, not to be computed with
                    "decoder": [packed(weights) for weights in model.weights[4:]],
                }
            )
        super().__init__(
            "latent_codes",
            {"z1": Z1, "z2": Z2},
            {
                "models": described,
                "images": packed(self.images),
                "levels": LEVELS,
                "labels": packed(self.labels.astype(np.uint8)),
                "shape": list(self.image_shape),
                "colours": CLASS_COLOURS,
            },
            alt="For each model its codes in the latent plane, coloured by digit, with one place marked, the image "
            f"decoded from there, and the training image most like it. From top to bottom: {', '.join(self.models)}.",
        )

    def compute(self, z1, z2):
        found = [self.answer(name, np.array([z1, z2])) for name in self.models]
        return {name: [each[name] for each in found] for name in ("z", "image", "nearest", "label", "distance")}

    def answer(self, name, place):
        """Return what one model answers at a place in standard deviations: its code, image and nearest image."""
        mean, std = self.codes[name].mean(axis=0), self.codes[name].std(axis=0)
        z = mean + std * place
        image = self.models[name].decode(z)
        distance = np.sqrt(((self.images / LEVELS - image) ** 2).sum(axis=1))
        nearest = int(distance.argmin())
        label = int(self.labels[nearest])
        return {"z": z, "image": image, "nearest": nearest, "label": label, "distance": float(distance[nearest])}

    def draw(self, now, values):
        rows = len(self.models)
        figure, axes = plt.subplots(rows, 3, figsize=(8.5, 3.6 * rows), width_ratios=[2, 1, 1], squeeze=False)
        for row, (name, (plane, decoded, nearest)) in enumerate(zip(self.models, axes, strict=True)):
            codes, z = self.codes[name], now["z"][row]
            for digit in np.unique(self.labels):
                here = codes[self.labels == digit]
                plane.scatter(*here.T, s=4, color=CLASS_COLOURS[digit], linewidths=0, label=str(digit))
            plane.plot(*z, "o", ms=10, mfc="none", mec=COLOURS["black"], mew=2)
            low, high = _ends(codes)
            plane.set(title=name, xlabel="$z_1$", ylabel="$z_2$", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
            training = self.images[now["nearest"][row]] / LEVELS
            for ax, image in ((decoded, now["image"][row]), (nearest, training)):
                ax.imshow(np.reshape(image, self.image_shape), vmin=0, vmax=1, cmap="gray")
                ax.set(xticks=[], yticks=[])
            decoded.set(title="decoded")
            nearest.set(title="nearest training image")
            nearest.set_xlabel(f"a {now['label'][row]}, {now['distance'][row]:.2f} away")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=10, markerscale=3)
        return figure


def _ends(codes):
    """The plane's lower left and upper right corners: a little beyond the sliders' reach, and beyond every code."""
    reach, middle = 1.04 * REACH * codes.std(axis=0), codes.mean(axis=0)
    margin = 0.02 * np.ptp(codes, axis=0)
    low, high = codes.min(axis=0) - margin, codes.max(axis=0) + margin
    return np.minimum(middle - reach, low), np.maximum(middle + reach, high)
