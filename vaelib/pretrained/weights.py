"""The trained networks that ship with the package.

`python -m vaelib.pretrained.train` made them; the JSON beside each says from what and how.
"""

import json
import pathlib
from typing import NamedTuple

import numpy as np

from vaelib.pretrained.networks import NumpyDecoder, NumpyEncoder, bernoulli_mean, dense_steps

FOLDER = pathlib.Path(__file__).parent


class Pretrained(NamedTuple):
    """A trained variational autoencoder: diagonal normal posterior, Bernoulli likelihood, standard normal prior.

    Attributes:
        encoder: NumpyEncoder from images (n, 28, 28) to mu and log_var, each (n, latent_dim).
        decoder: NumpyDecoder from codes (n, latent_dim) to images (n, 28, 28).
        record: dictionary of how it was made: data and their hash, seed, epochs, NELBO, versions.
    """

    encoder: NumpyEncoder
    decoder: NumpyDecoder
    record: dict

    def nelbo(self, x, seed=0):
        """Return the NELBO of each image with one sample of z, nats, shape (n,): reconstruction + KL.

        Args:
            x: images of shape (n, 28, 28), pixels in [0, 1].
            seed: of the noise, so that two calls agree.
        """
        mu, log_var = (params.astype("float64") for params in self.encoder(x))
        z = mu + np.exp(log_var / 2) * np.random.default_rng(seed).standard_normal(mu.shape)
        logits = self.decoder.params(z).astype("float64")
        reconstruction = np.sum(np.logaddexp(logits, 0) - np.reshape(x, (len(x), -1)) * logits, axis=-1)
        return reconstruction + 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=-1)


def load(name="mnist", folder=FOLDER):
    """Load a pretrained encoder and decoder.

    Args:
        name: "mnist", handwritten digits in two latent dimensions; "iwae_1", "iwae_5" and "iwae_50", black-and-white
            digits in fifty, trained on importance-weighted bounds (`vaelib.pretrained.importance`).
        folder: where its two files lie, by default in the package.

    Returns:
        Pretrained, with `encoder`, `decoder` and `record`.

    Raises:
        ValueError: there is no such network.
    """
    folder = pathlib.Path(folder)
    known = sorted(path.stem for path in folder.glob("*.npz"))
    if name not in known:
        raise ValueError(f"name must be one of {known}; received {name!r}.")
    record = json.loads((folder / f"{name}.json").read_text("utf-8"))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        weights = {key: file[key].astype("float32") for key in file}
    data_shape, latent_dim = tuple(record["data_shape"]), record["latent_dim"]
    encoder = NumpyEncoder(_steps(weights, "encoder", record), data_shape, latent_dim)
    decoder = NumpyDecoder(_steps(weights, "decoder", record), bernoulli_mean, data_shape, latent_dim)
    return Pretrained(encoder, decoder, record)


def _steps(weights, part, record):
    """Return the steps of one network; `part`_kernel_0, `part`_bias_0, `part`_kernel_1, ... name its weights."""
    count = sum(key.startswith(f"{part}_kernel") for key in weights)
    arrays = [(weights[f"{part}_kernel_{i}"], weights[f"{part}_bias_{i}"]) for i in range(count)]
    return dense_steps(arrays, record["activation"])
