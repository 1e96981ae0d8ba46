"""EpochScrubber: a training to run through by hand, codes, posteriors and manifold, beside a twin; in the browser."""

import numpy as np
import traitlets

from vaelib.checks import batch
from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.widgets import bundles
from vaelib.widgets.cells import replace_widgets_of_this_cell
from vaelib.widgets.plane import LatentPlane

# What a page should carry. 30 epochs of two runs with 400 codes and 100 small images are under 2 MB.
MAX_BYTES = 4_000_000
MAX_SIDE = 14  # pixels of one image of the manifold: the page shows ten side by side


class EpochScrubber(LatentPlane):
    """The latent plane and the manifold of one training or several, side by side, under a slider over the epochs.

    Each run shows its last checkpoint up to that epoch, and says which: a shorter run stands still at its end.

    Args:
        runs: dictionary from the name of a run to its checkpoints, a `vaelib.training.checkpoints.LatentCheckpoints`
            after training, or anything with its attributes. All of the same examples and number of codes.
        labels: classes of the examples, shape (n,), for their colours.
        ellipses: the q(z|x) of the first so many examples are drawn as ellipses of one standard deviation.
        names: one name per latent dimension; z1, z2, ... by default.
        shown: the two dimensions that the planes show.
        alt: what one image of the manifold shows, in words.

    Attributes:
        at: which of `epochs` is shown, counted from 0, at first the last; set it, or `observe` it.
        epochs: the epochs under the slider, a tuple.

    Raises:
        ValueError: the runs do not fit together, are not finite, or are too large to travel.
        traitlets.TraitError: `at` is no place in `epochs`.
    """

    _esm = bundles.module("epoch_scrubber")
    _css = bundles.style("epoch_scrubber")

    codes = traitlets.Bytes(read_only=True).tag(sync=True)  # of each run: mu, then log_var, (k, n, latent_dim) each
    images = traitlets.Bytes(read_only=True).tag(sync=True)
    kinds = traitlets.Bytes(read_only=True).tag(sync=True)
    at = traitlets.Int(0).tag(sync=True)

    def __init__(self, runs, labels=None, ellipses=10, names=None, shown=(0, 1), alt="decoded codes"):
        if not runs or not all(run.epochs for run in runs.values()):
            raise ValueError("runs must hold at least one run, each with checkpoints; train with the callback first.")
        arrays = {name: _checked_run(name, run) for name, run in runs.items()}
        shapes = {name: (mu.shape[1:], images.shape[1:]) for name, (mu, _, images) in arrays.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"runs must hold the same examples, codes and shapes of images; received {shapes}.")
        ((num_examples, latent_dim), (num_images, *shape)), *_ = shapes.values()
        per_side = round(num_images**0.5)
        if per_side**2 != num_images:
            raise ValueError(f"the decoded codes must form a square, such as 10 x 10; received {num_images}.")
        self.epochs = tuple(sorted({epoch for run in runs.values() for epoch in run.epochs}))
        every_mu = np.concatenate([mu.reshape(-1, latent_dim) for mu, _, _ in arrays.values()])
        plane = self.set_plane(
            latent_dim, names=names, points=None, labels=None, shown=shown, reach=None, dtype="float32", path=every_mu
        )
        kinds, class_names = np.zeros(num_examples, "uint8"), []
        if labels is not None:
            if np.shape(labels) != (num_examples,):
                raise ValueError(f"labels must have shape ({num_examples},); received {np.shape(labels)}.")
            values, kinds = np.unique(labels, return_inverse=True)
            class_names = [str(value) for value in values]
        sheets = [_small(images) for _, _, images in arrays.values()]
        codes = b"".join(a.astype("<f4").tobytes() for mu, log_var, _ in arrays.values() for a in (mu, log_var))
        pixels = b"".join(sheet.tobytes() for sheet in sheets)
        if len(codes) + len(pixels) > MAX_BYTES:
            raise ValueError(
                f"the checkpoints hold {(len(codes) + len(pixels)) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB "
                "travel to the browser. Keep fewer epochs, examples or codes."
            )
        self.set_trait("codes", codes)
        self.set_trait("images", pixels)
        self.set_trait("kinds", kinds.astype("uint8").tobytes())
        self.set_trait(
            "spec",
            {
                **plane,
                "runs": [{"name": str(name), "epochs": [int(e) for e in run.epochs]} for name, run in runs.items()],
                "epochs": list(self.epochs),
                "examples": num_examples,
                "ellipses": min(int(ellipses), num_examples),
                "colours": list(CLASS_COLOURS if labels is not None else [COLOURS["blue"]]),
                "class_names": class_names,
                "per_side": per_side,
                "height": sheets[0].shape[2],
                "width": sheets[0].shape[3],
                "channels": 3 if len(shape) == 3 and shape[2] == 3 else 1,
                "alt": str(alt),
            },
        )
        self.at = len(self.epochs) - 1
        super().__init__()
        replace_widgets_of_this_cell(self)

    @traitlets.validate("at")
    def _check_at(self, proposal):
        if not 0 <= proposal["value"] < len(self.epochs):
            raise traitlets.TraitError(f"at must be a place in epochs, 0 to {len(self.epochs) - 1}.")
        return proposal["value"]


def _checked_run(name, run):
    """Return mu and log_var, each (k, n, latent_dim), and the images as uint8, (k, m, height, width[, 3])."""
    k = len(run.epochs)
    mu, log_var = (np.asarray(a, "float32") for a in (run.mu, run.log_var))
    images = np.asarray(run.images)
    if images.ndim == 5 and images.shape[-1] == 1:
        images = images[..., 0]
    if mu.ndim != 3 or mu.shape != log_var.shape or len(mu) != k or len(images) != k or images.ndim not in (4, 5):
        raise ValueError(
            f"run {name!r} must hold, for each of its {k} epochs, mu and log_var of shape (n, latent_dim) and images "
            f"of shape (m, height, width); received {mu.shape}, {log_var.shape} and {images.shape}."
        )
    batch(f"mu of run {name!r}", mu, mu.shape[1:])
    batch(f"log_var of run {name!r}", log_var, mu.shape[1:])
    return mu, log_var, images


def _small(images):
    """Halve the images, by the mean of four pixels, until they are small enough to stand ten in a row."""
    images = images.astype("float32")
    while max(images.shape[2:4]) > MAX_SIDE and min(images.shape[2:4]) > 1:
        height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
        images = images[:, :, :height, :width]
        images = (images[:, :, ::2] + images[:, :, 1::2]) / 2
        images = (images[:, :, :, ::2] + images[:, :, :, 1::2]) / 2
    return (images + 0.5).astype("uint8")
