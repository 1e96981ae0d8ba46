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
from vaelib.model.distributions import LOG_2PI, as_shape, log_prob_diagonal, register_kl
from vaelib.model.likelihoods import Bernoulli, Normal
from vaelib.model.objectives import ELBO
from vaelib.model.posteriors import DiagonalNormal
from vaelib.model.priors import StandardNormal, kl_diagonal_standard
from vaelib.model.vae import VAE
from vaelib.teaching.runs import Run

register = keras.saving.register_keras_serializable(package="vaelib.mistakes")


@register
class MeanOverPixels(Bernoulli):
    """WRONG: the log-probabilities of the pixels are averaged where they should be summed.

    What a stock cross-entropy does. The KL then weighs as many times more as there are pixels.
    """

    def log_prob(self, value, params=None):
        return super().log_prob(value, params) / self.num_values


@register
class SwappedCrossEntropy(Bernoulli):
    """WRONG: cross-entropy with its arguments swapped: the image stands as the prediction, the prediction as the truth.

    The logarithm of a black pixel is minus infinity; as stock cross-entropies do, pixels are kept 1e-7 from 0 and 1.
    """

    def log_prob(self, value, params=None):
        probabilities = ops.sigmoid(self.checked(params))
        x = ops.clip(self.flat(value, "x"), 1e-7, 1 - 1e-7)
        return ops.sum(probabilities * ops.log(x) + (1 - probabilities) * ops.log(1 - x), axis=-1)


@register
class Inverted(Bernoulli):
    """WRONG: the likelihood of the image's negative, as when ink and paper changed places while the data were loaded.

    It adds up to 1, and it is of the right size: the decoder learns negatives.
    """

    def log_prob(self, value, params=None):
        return super().log_prob(1 - ops.convert_to_tensor(value), params)


@register
class DoubleSigmoid(Bernoulli):
    """WRONG: the loss takes probabilities for logits, so that the pixels it scores are never surer than 73 to 27.

    It adds up to 1. `mean` and `sample` show the probabilities themselves.
    """

    def log_prob(self, value, params=None):
        return super().log_prob(value, ops.sigmoid(self.checked(params)))


def with_sigmoid(decoder):
    """WRONG, in the network: a decoder that ends in a sigmoid, for a likelihood that takes its output for logits.

    Args:
        decoder: a keras.Model, built.

    Returns:
        A keras.Model whose outputs lie between 0 and 1: every part agrees that no pixel is darker than one half.
    """
    return keras.Sequential([keras.Input(decoder.input_shape[1:]), decoder, keras.layers.Activation("sigmoid")])


@register
class ExpIsSigma(Normal):
    """WRONG: the loss reads exp(log_var), the variance, as the standard deviation. It integrates to 1 all the same."""

    def log_prob(self, value, params=None):
        mean, log_var = self.split(params)
        return log_prob_diagonal(self.flat(value, "x"), mean, 2 * log_var)


@register
class NoLogTwoPi(Normal):
    """WRONG, mildly: the constant log(2 pi) / 2 of each pixel is dropped from the log-density."""

    def log_prob(self, value, params=None):
        return super().log_prob(value, params) + 0.5 * self.num_values * LOG_2PI


@register
class NoLogVar(Normal):
    """WRONG: the squared error over the variance alone; log(2 pi) and the log-variance are both dropped.

    Then a larger variance costs nothing.
    """

    def log_prob(self, value, params=None):
        mean, log_var = self.split(params)
        return -0.5 * ops.sum(ops.square(self.flat(value, "x") - mean) * ops.exp(-log_var), axis=-1)


@register
class LogVarAsSigma(DiagonalNormal):
    """WRONG: the sampler takes for sigma what the KL takes for log sigma^2."""

    def sample(self, params=None, noise=None, num=()):
        mu, log_var = self.split(params)
        return self.shaped(mu + log_var * self.flat(self.noise_for(params, noise, num), "noise"))


@register
class VarianceAsSigma(DiagonalNormal):
    """WRONG: the one half is forgotten: the sampler takes the variance exp(log_var) for the standard deviation."""

    def sample(self, params=None, noise=None, num=()):
        mu, log_var = self.split(params)
        return self.shaped(mu + ops.exp(log_var) * self.flat(self.noise_for(params, noise, num), "noise"))


@register
class StoppedGradient(DiagonalNormal):
    """WRONG: no gradient passes the draw, as when z is made by NumPy and comes back as a number.

    Every value is right. The encoder learns from the KL alone.
    """

    def sample(self, params=None, noise=None, num=()):
        return ops.stop_gradient(super().sample(params, noise, num))


@register
class SignOfLogVar(DiagonalNormal):
    """WRONG, in its KL: plus log sigma^2 where minus belongs. The less noise, the lower the loss, without end."""


@register
class NumpyNoise(DiagonalNormal):
    """WRONG: the noise comes from NumPy, which a compiled program calls once, while it is made.

    Called step by step it is new each time; in `fit` and `evaluate` it is the same for ever.
    """

    def noise(self, num=()):
        shape = [size if isinstance(size, int) else 1 for size in as_shape(num)]  # a size may be unknown in a program
        eps = np.random.standard_normal((*shape, *self.event_shape))  # noqa: NPY002 - the mistake itself
        return ops.broadcast_to(eps.astype("float32"), (*as_shape(num), *self.event_shape))


@register
class FrozenNoise(DiagonalNormal):
    """WRONG: the noise is drawn once and used for every example in every epoch.

    A generator that is made afresh from a whole number at each call does this: it starts from the same place.
    """

    def noise(self, num=()):
        eps = np.random.default_rng(self.seed or 0).standard_normal(self.event_shape)
        return ops.broadcast_to(eps.astype("float32"), (*as_shape(num), *self.event_shape))


@register
class SharedNoise(DiagonalNormal):
    """WRONG, mildly: one draw per call, of shape (1, latent_dim), shared by all examples of the batch."""

    def noise(self, num=()):
        eps = keras.random.normal(self.event_shape, seed=self.seed_generator)
        return ops.broadcast_to(eps, (*as_shape(num), *self.event_shape))


@register
class FixedBatchNoise(DiagonalNormal):
    """WRONG: the noise has the shape of a full batch, whatever the batch at hand.

    Args:
        event_shape: number of latent dimensions.
        batch_size: the only batch size that works.
        seed: seed of the noise.
    """

    def __init__(self, event_shape, batch_size=100, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.batch_size = checks.positive_int("batch_size", batch_size)

    def noise(self, num=()):
        return keras.random.normal((self.batch_size, *self.event_shape), seed=self.seed_generator)

    def get_config(self):
        return {**super().get_config(), "batch_size": self.batch_size}


# Their KL is the right one: a closed form belongs to exactly one class, and each of these must ask for it.
for _kind in (
    LogVarAsSigma,
    VarianceAsSigma,
    StoppedGradient,
    NumpyNoise,
    FrozenNoise,
    SharedNoise,
    FixedBatchNoise,
):
    register_kl(_kind, StandardNormal)(kl_diagonal_standard)


@register_kl(SignOfLogVar, StandardNormal)
def _kl_with_a_wrong_sign(q, q_params, p, p_params=None):
    mu, log_var = q.split(q_params)
    return 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1.0 + log_var, axis=-1)


class WrongKL(ELBO):
    """What mistakes in the KL share: the term that they distort, in place of the right one."""

    def losses(self, vae, x, y=None, noise=None, training=False):
        terms = super().losses(vae, x, y, noise, training)
        kl = self.distorted(terms["kl"], vae)
        return {"loss": terms["reconstruction"] + self.beta * kl, "reconstruction": terms["reconstruction"], "kl": kl}


@register
class NegativeKL(WrongKL):
    """WRONG: the KL with its sign turned: the loss rewards distance from the prior."""

    def distorted(self, kl, vae):
        return -kl


@register
class MeanOverLatentDims(WrongKL):
    """WRONG: the KL is averaged over the latent dimensions where it should be summed: beta = 1 / latent_dim."""

    def distorted(self, kl, vae):
        return kl / vae.latent_dim


@register
class NoiselessEvaluation(ELBO):
    """WRONG: outside training the code is the posterior's mean, so that the evaluated loss bounds nothing."""

    def losses(self, vae, x, y=None, noise=None, training=False):
        if noise is None and not training:
            noise = ops.zeros((1, *vae.posterior.event_shape))
        return super().losses(vae, x, y, noise, training)


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
