"""What a latent space looks like while it is being learned: q(z|x) and a grid of decoded codes, epoch after epoch."""

import keras
import numpy as np


class LatentCheckpoints(keras.callbacks.Callback):
    """Keep, at some epochs of a training, q(z|x) of some examples and what some codes decode to.

    Only these are kept, not the weights: a few megabytes for 30 epochs.

    Args:
        x: examples, shape (n, *data_shape).
        codes: codes to decode, shape (m, latent_dim).
        epochs: after which epochs to look; 0 is before the first step.
        vae: the VAE to look at; by default the model that trains. Another model may train the same networks.

    Attributes:
        epochs: the epochs that were kept so far, a list of ints.
        mu, log_var: of q(z|x), lists of arrays of shape (n, latent_dim), one per epoch.
        images: decoded codes, a list of uint8 arrays of shape (m, *data_shape).

    Raises:
        ValueError: epochs are not whole numbers of at least 0.
        AttributeError: when training starts, the VAE's posterior has no mean and log-variance (`split`).
    """

    def __init__(self, x, codes, epochs, vae=None):
        super().__init__()
        self.vae = vae
        self.x, self.codes = np.asarray(x, "float32"), np.asarray(codes, "float32")
        self._wanted = {int(epoch) for epoch in epochs}
        if not self._wanted or min(self._wanted) < 0 or self._wanted != set(epochs):
            raise ValueError(f"epochs must be whole numbers of at least 0; received {sorted(epochs)}.")
        self._forget()

    def on_train_begin(self, logs=None):
        self._forget()
        self._look(0)

    def on_epoch_end(self, epoch, logs=None):
        self._look(epoch + 1)

    def _forget(self):
        self.epochs, self.mu, self.log_var, self.images = [], [], [], []

    def _look(self, epoch):
        if epoch not in self._wanted:
            return
        vae = self.model if self.vae is None else self.vae
        mu, log_var = vae.posterior.split(vae.encoder(self.x))
        self.epochs.append(epoch)
        self.mu.append(keras.ops.convert_to_numpy(mu))
        self.log_var.append(keras.ops.convert_to_numpy(log_var))
        images = keras.ops.convert_to_numpy(vae.likelihood.mean(vae.decoder(self.codes)))
        self.images.append((255 * images.clip(0, 1) + 0.5).astype("uint8"))


def spread_epochs(last, count=30):
    """Return up to `count` epochs from 0 to `last`, close together at first, when most happens.

    Args:
        last: the last epoch.
        count: at most how many.
    """
    epochs = {0, last}
    steps = 2
    while len(epochs) < min(count, last + 1) and steps < 50 * count:
        found = {0, *np.unique(np.round(np.geomspace(1, last, steps)).astype(int)).tolist()}
        if len(found) > count:
            break
        epochs, steps = found, steps + 1
    return sorted(epochs)
