"""Likelihoods p(x|z): what the decoder's output means."""

import keras
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution, as_shape, in_range
from vaelib.model.posteriors import DiagonalNormal


class Pixels(Distribution):
    """What distributions over independent pixels share: one logit each, and uniform noise.

    Args:
        event_shape: shape of one example, for example (28, 28).
        seed: seed of the noise that `sample` draws.
    """

    @property
    def params_size(self):
        """Logits per example that the decoder must give: one per pixel."""
        return self.num_values

    def noise(self, num=()):
        """Draw independent uniform numbers between 0 and 1, shape (*num, *event_shape)."""
        return keras.random.uniform((*as_shape(num), *self.event_shape), seed=self.seed_generator)


@keras.saving.register_keras_serializable(package="vaelib")
class Bernoulli(Pixels):
    """Independent Bernoulli pixels, parameterised by logits.

    Its parameters are one tensor of logits, shape (batch, number of pixels). Grey pixels in [0, 1] are taken as
    probabilities: then `log_prob` is the negative cross-entropy of the recipe, not the log-density of a grey image.
    Source: Kingma and Welling 2014, appendix C.1.

    Args:
        event_shape: shape of one example, for example (28, 28).
        seed: seed of the noise that `sample` draws.
    """

    support = "binary"
    reparameterized = False

    def sample(self, params=None, noise=None, num=()):
        """Draw black-and-white images, shape (*num, batch, *event_shape), entries 0 or 1."""
        logits, uniform = self.checked(params), self.flat(self.noise_for(params, noise, num), "noise")
        return self.shaped(ops.cast(uniform < ops.sigmoid(logits), keras.config.floatx()))

    def relaxed(self, params, noise, temperature):
        """Return sigmoid((logits + logistic noise) / temperature): above 1/2 where `sample`, given the noise, draws 1.

        Args:
            params: logits, shape (batch, number of pixels).
            noise: what `noise` returns, with leading axes (*num, batch).
            temperature: a number above 0, or a variable.

        Returns:
            Numbers between 0 and 1, shape (*num, batch, *event_shape); the gradient flows through them.
            Source: Maddison et al. 2017, appendix C.
        """
        u = ops.clip(self.flat(noise, "noise"), 1e-7, 1 - 1e-7)
        return self.shaped(ops.sigmoid((self.checked(params) - ops.log(u) + ops.log1p(-u)) / temperature))

    def log_prob(self, value, params=None):
        """Return log p(x|z), summed over the pixels.

        Args:
            value: tensor of shape (..., *event_shape), pixels in [0, 1].
            params: logits, shape (..., batch, number of pixels).

        Returns:
            Log-probabilities in nats, shape (..., batch).

        Raises:
            ValueError: a wrong shape, integers, or an array with pixels outside [0, 1].
        """
        x, logits = self.flat(value, "x"), self.checked(params)
        # x log p + (1 - x) log(1 - p) with p = sigmoid(logits): no logarithm of a rounded-off zero.
        return ops.sum(x * logits - ops.softplus(logits), axis=-1)

    def mean(self, params=None):
        """Return the pixels' probabilities sigmoid(logits), shape (..., batch, *event_shape)."""
        return self.shaped(ops.sigmoid(self.checked(params)))


@keras.saving.register_keras_serializable(package="vaelib")
class ContinuousBernoulli(Pixels):
    """Independent grey pixels in [0, 1] with density proportional to lambda^x (1 - lambda)^(1 - x).

    The Bernoulli recipe for grey pixels plus the normaliser that it lacks, which makes it a density on [0, 1].
    Its parameters are one tensor of logits of lambda, shape (batch, number of pixels); lambda is not the mean.
    Source: Loaiza-Ganem and Cunningham 2019, equations 5 and 7.

    Args:
        event_shape: shape of one example, for example (28, 28).
        seed: seed of the noise that `sample` draws.
    """

    support = "unit"

    def sample(self, params=None, noise=None, num=()):
        """Draw grey images by the inverse of the distribution function, shape (*num, batch, *event_shape)."""
        logits, uniform = self.checked(params), self.flat(self.noise_for(params, noise, num), "noise")
        steepness = ops.maximum(ops.abs(logits), 1e-5)  # below it the density is flat to float32
        dark = ops.clip(-ops.log1p(uniform * ops.expm1(-steepness)) / steepness, 0.0, 1.0)
        return self.shaped(ops.where(logits < 0, dark, 1 - dark))

    def log_prob(self, value, params=None):
        """Return log p(x|z), summed over the pixels.

        Args:
            value: tensor of shape (..., *event_shape), pixels in [0, 1].
            params: logits, shape (..., batch, number of pixels).

        Returns:
            Log-densities in nats, shape (..., batch).

        Raises:
            ValueError: a wrong shape, integers, or an array with pixels outside [0, 1].
        """
        x, logits = self.flat(value, "x"), self.checked(params)
        return ops.sum(x * logits - ops.softplus(logits) + self.log_normaliser(logits), axis=-1)

    def log_normaliser(self, params):
        """Return log C(lambda) of each pixel in nats, at least log 2, shape (..., batch, number of pixels)."""
        logits = self.checked(params)
        far = self._far_from_half(logits)
        # The integral of exp(logits * x) over [0, 1] is (exp(logits) - 1) / logits. Near zero both its quotient and
        # its gradient lose their digits, so a Taylor series, exact to float32, takes over.
        square = ops.square(ops.clip(logits, -0.5, 0.5))
        near_zero = 0.5 * logits + square * (1 / 24 - square * (1 / 2880 - square / 181440))
        elsewhere = ops.relu(logits) + ops.log(-ops.expm1(-far) / far)
        return ops.softplus(logits) - ops.where(ops.abs(logits) < 0.5, near_zero, elsewhere)

    def mean(self, params=None):
        """Return the pixels' means, which are not sigmoid(logits), shape (..., batch, *event_shape)."""
        logits = self.checked(params)
        far, near = self._far_from_half(logits), ops.clip(logits, -0.5, 0.5)
        square = ops.square(near)
        near_zero = 0.5 + near * (1 / 12 - square * (1 / 720 - square / 30240))
        low = 1 / far + ops.exp(-far) / ops.expm1(-far)
        return self.shaped(ops.where(ops.abs(logits) < 0.5, near_zero, ops.where(logits < 0, low, 1 - low)))

    @staticmethod
    def _far_from_half(logits):
        # Where the series is used, any number that keeps the unused branch and its gradient finite.
        return ops.maximum(ops.abs(logits), 0.5)


@keras.saving.register_keras_serializable(package="vaelib")
class Normal(DiagonalNormal):
    """Independent normal pixels with a learned mean in [0, 1] and a learned, clipped variance each.

    Its parameters are one tensor of shape (batch, 2 * number of pixels): first the logits of the means, then the
    log-variances, which are clipped: without a floor the density of a well-fitted pixel grows without bound.
    Source: Kingma and Welling 2014, appendix C.2.

    Args:
        event_shape: shape of one example, for example (28, 20).
        log_var_range: the lowest and the highest log-variance.
        seed: seed of the noise that `sample` draws.

    Raises:
        ValueError: log_var_range is not a finite, increasing pair.
    """

    def __init__(self, event_shape, log_var_range=(-5.0, 5.0), seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.log_var_range = checks.increasing_pair("log_var_range", log_var_range)

    @property
    def data_support(self):
        """Pixels in [0, 1]: a sample may lie beside them, but no mean can follow it there."""
        return "unit"

    def split(self, params):
        """Split the parameters into the pixels' means in [0, 1] and their clipped log-variances.

        Args:
            params: tensor of shape (..., 2 * number of pixels).

        Returns:
            mean and log_var, each of shape (..., number of pixels).
        """
        logits, log_var = super().split(params)
        return ops.sigmoid(logits), ops.clip(log_var, *self.log_var_range)

    def get_config(self):
        return {**super().get_config(), "log_var_range": self.log_var_range}


@keras.saving.register_keras_serializable(package="vaelib")
class IsotropicNormal(DiagonalNormal):
    """Independent normal values of any range, whose one learned variance they all share.

    Its parameters are the means themselves, one tensor of shape (batch, number of values). The log-variance is a weight
    of this part and trains with the networks. With a linear decoder the model is probabilistic PCA.
    Source: Tipping and Bishop 1999, equation 2.

    Args:
        event_shape: shape of one example, for example (28, 20).
        seed: seed of the noise that `sample` draws.
    """

    def __init__(self, event_shape, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.log_var = self.add_weight(name="log_var", shape=(), initializer="zeros")

    @property
    def params_size(self):
        """Numbers per example that the decoder must give: one mean per value."""
        return self.num_values

    def split(self, params):
        """Return the means, shape (..., number of values), and the one log-variance, a scalar."""
        return self.checked(params), in_range(ops.convert_to_tensor(self.log_var))
