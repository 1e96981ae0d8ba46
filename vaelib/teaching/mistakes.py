"""Classic mistakes in the loss of a VAE, each as a part that takes the place of the right one. DELIBERATELY WRONG.

Each class differs from its right parent in one line, so that a model with the mistake is the ordinary composition with
one other name in it:

    VAE(encoder, decoder, DiagonalNormal(2), MeanOverPixels((28, 28)), StandardNormal(2))

`cured` puts the networks of such a model back into right parts. `diagnosis` finds the mistake in a model.
"""

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.likelihoods import Bernoulli, Normal
from vaelib.model.posteriors import LOG_2PI, DiagonalNormal
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.teaching.runs import Run

register = keras.saving.register_keras_serializable(package="vaelib.mistakes")


@register
class MeanOverPixels(Bernoulli):
    """WRONG: the log-probabilities of the pixels are averaged where they should be summed.

    What a stock cross-entropy does. The KL then weighs as many times more as there are pixels.
    """

    def log_prob(self, x, params):
        return super().log_prob(x, params) / self.num_values


@register
class SwappedCrossEntropy(Bernoulli):
    """WRONG: cross-entropy with its arguments swapped: the image stands as the prediction, the prediction as the truth.

    The logarithm of a black pixel is minus infinity; as stock cross-entropies do, pixels are kept 1e-7 from 0 and 1.
    """

    def log_prob(self, x, params):
        probabilities = ops.sigmoid(self._checked(params))
        x = ops.clip(self._flat(x), 1e-7, 1 - 1e-7)
        return ops.sum(probabilities * ops.log(x) + (1 - probabilities) * ops.log(1 - x), axis=-1)


@register
class NoLogTwoPi(Normal):
    """WRONG, mildly: the constant log(2 pi) / 2 of each pixel is dropped from the log-density."""

    def log_prob(self, x, params):
        return super().log_prob(x, params) + 0.5 * self.num_values * LOG_2PI


@register
class NoLogVar(Normal):
    """WRONG: the squared error over the variance alone; log(2 pi) and the log-variance are both dropped.

    Then a larger variance costs nothing.
    """

    def log_prob(self, x, params):
        mean, log_var = self.split(params)
        return -0.5 * ops.sum(ops.square(self._flat(x) - mean) * ops.exp(-log_var), axis=-1)


@register
class LogVarAsSigma(DiagonalNormal):
    """WRONG: the sampler takes for sigma what the KL takes for log sigma^2."""

    def sample(self, params, eps=None):
        mu, log_var = self.split(params)
        return mu + log_var * self._noise_for(mu, eps)


@register
class FrozenNoise(DiagonalNormal):
    """WRONG: the noise is drawn once and used for every example in every epoch.

    A generator that is made afresh from a whole number at each call does this: it starts from the same place.
    """

    def noise(self, shape):
        eps = np.random.default_rng(self.seed or 0).standard_normal((1, self.latent_dim))
        return ops.broadcast_to(eps.astype("float32"), shape)


@register
class SharedNoise(DiagonalNormal):
    """WRONG, mildly: one draw per call, of shape (1, latent_dim), shared by all examples of the batch."""

    def noise(self, shape):
        return ops.broadcast_to(keras.random.normal((1, self.latent_dim), seed=self.seed_generator), shape)


@register
class FixedBatchNoise(DiagonalNormal):
    """WRONG: the noise has the shape of a full batch, whatever the batch at hand.

    Args:
        latent_dim: number of latent dimensions.
        batch_size: the only batch size that works.
        seed: seed of the noise.
    """

    def __init__(self, latent_dim, batch_size=100, seed=None, **kwargs):
        super().__init__(latent_dim, seed=seed, **kwargs)
        self.batch_size = checks.positive_int("batch_size", batch_size)

    def noise(self, shape):
        return keras.random.normal((self.batch_size, self.latent_dim), seed=self.seed_generator)

    def get_config(self):
        return {**super().get_config(), "batch_size": self.batch_size}


@register
class NegativeKL(StandardNormal):
    """WRONG: the KL with its sign turned: the loss rewards distance from the prior."""

    def kl(self, posterior, params, z=None):
        return -super().kl(posterior, params, z)


@register
class MeanOverLatentDims(StandardNormal):
    """WRONG: the KL is averaged over the latent dimensions where it should be summed: beta = 1 / latent_dim."""

    def kl(self, posterior, params, z=None):
        return super().kl(posterior, params, z) / self.latent_dim


@register
class NoiselessEvaluation(VAE):
    """WRONG: outside training the code is the posterior's mean, so that the evaluated loss bounds nothing."""

    def call(self, x, eps=None, training=None):
        if eps is None and not training:
            eps = ops.zeros((1, self.latent_dim))
        return super().call(x, eps=eps, training=training)


def cured(vae, likelihood=None):
    """Put the networks of a model into right parts: each mistake gives way to the class that it distorts.

    Args:
        vae: a VAE, with mistakes or without.
        likelihood: another likelihood that reads the decoder's output; by default the right one of the same kind.

    Returns:
        A VAE with beta = 1 that shares its encoder and decoder with vae.
    """

    def right(part):
        kind = next(kind for kind in type(part).__mro__ if kind.__module__ != __name__)
        return kind.from_config(kind.get_config(part))

    return VAE(vae.encoder, vae.decoder, right(vae.posterior), likelihood or right(vae.likelihood), right(vae.prior))


def record(vae, curves, x, labels, likelihood=None, num_images=8):
    """Keep what the wrong-loss lab shows of a trained model as arrays, so that the model itself can go.

    Args:
        vae: the trained model, with mistakes or without.
        curves: the `history` dictionary of its training, with validation on x.
        x: held-out images, shape (n, *data_shape).
        labels: their classes, shape (n,), for the colours of the map.
        likelihood: as for `cured`.
        num_images: images to show.

    Returns:
        A Run; its `nelbo` is what the same networks are worth in right parts, mean over x, nats.
    """
    right, chosen = cured(vae, likelihood), x[:num_images]
    # The same draws for every run: new images then differ by the model alone.
    z = np.random.default_rng(0).standard_normal((num_images, vae.latent_dim)).astype("float32")
    codes = vae.encode(x)
    return Run(
        curves={name: np.asarray(values, float) for name, values in curves.items()},
        codes=codes,
        labels=np.asarray(labels),
        images=np.stack([chosen, vae.reconstruct(chosen), vae.decode(z)]),
        nelbo=float(-right.elbo(x, num_samples=10).mean()),
        active_units=int((codes.var(axis=0) > 0.01).sum()),
    )
