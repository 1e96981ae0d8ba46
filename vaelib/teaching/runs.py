"""What is kept of a trained model when the model itself goes: arrays for the pictures, numbers for the text."""

from typing import NamedTuple

import numpy as np


class Run(NamedTuple):
    """What is kept of a trained model, as arrays.

    Attributes:
        curves: the training's history by name, each of shape (epochs,): loss, reconstruction, kl and val_ of each, as
            the model's own loss, right or wrong, reports them; nats.
        codes: posterior means of held-out images, shape (n, latent_dim).
        labels: their classes, shape (n,).
        images: shape (3, k, height, width): held-out images, their reconstructions, decoded draws from the prior.
        nelbo: what the networks are worth in right parts, mean over the held-out images, nats.
        active_units: latent dimensions whose posterior mean varies with the image.
    """

    curves: dict
    codes: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    nelbo: float
    active_units: int

    @property
    def reported(self):
        """What the model's own loss says of the held-out images after the last epoch, nats."""
        return float(self.curves["val_loss"][-1])


class Pair(NamedTuple):
    """A run with a mistake, the right run to hold it against, and how to notice the mistake, a sentence."""

    wrong: Run
    right: Run
    notice: str
