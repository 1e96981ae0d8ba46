"""Likelihoods p(x|z): what the decoder's output means."""

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution, as_floats, as_shape, in_range
from vaelib.model.numerics import bernoulli_log_prob, softplus
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
        return bernoulli_log_prob(x, logits)

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
        return ops.sum(x * logits - softplus(logits) + self.log_normaliser(logits), axis=-1)

    def log_normaliser(self, params):
        """Return log C(lambda) of each pixel in nats, at least log 2, shape (..., batch, number of pixels)."""
        logits = self.checked(params)
        far = self._far_from_half(logits)
        # The integral of exp(logits * x) over [0, 1] is (exp(logits) - 1) / logits. Near zero both its quotient and
        # its gradient lose their digits, so a Taylor series, exact to float32, takes over.
        square = ops.square(ops.clip(logits, -0.5, 0.5))
        near_zero = 0.5 * logits + square * (1 / 24 - square * (1 / 2880 - square / 181440))
        elsewhere = ops.relu(logits) + ops.log(-ops.expm1(-far) / far)
        return softplus(logits) - ops.where(ops.abs(logits) < 0.5, near_zero, elsewhere)

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


LOG_LIMIT = 15.0  # of means and dispersions: from 3e-7 to 3 million
MOST_COUNT = 100_000  # at which a draw of a count ends
LEAST_TERM = -18.0  # log of the last probability that is added up for a draw
SHIFT = 8  # from where on the series of the gamma function is exact to float32


class Counts(Distribution):
    """What distributions over independent counts share: one log-mean each, and draws by the inverse of the sums.

    Args:
        event_shape: shape of one example; a number is a number of features.
        seed: seed of the noise that `sample` draws.
    """

    support = "count"
    reparameterized = False

    @property
    def params_size(self):
        """Numbers per example that the decoder must give: one log-mean per feature."""
        return self.num_values

    def split(self, params):
        """Return the log-means and the logs of the dispersion, or None for a dispersion without end (Poisson)."""
        raise NotImplementedError

    def noise(self, num=()):
        """Draw independent uniform numbers between 0 and 1, shape (*num, *event_shape)."""
        return keras.random.uniform((*as_shape(num), *self.event_shape), seed=self.seed_generator)

    def sample(self, params=None, noise=None, num=()):
        """Draw counts, shape (*num, batch, *event_shape): the first whose summed probability passes the noise.

        The last hundred-thousandth of the probability is left out, as 32 bits cannot add it up.
        """
        params = self.checked(params)
        uniform = self.flat(ops.convert_to_tensor(self.noise_for(params, noise, num)), "noise")
        return self.shaped(_inverse(ops.minimum(uniform, 1 - 1e-5), *self.split(params)))

    def log_prob(self, value, params=None):
        """Return log p(x|z), summed over the features.

        Args:
            value: tensor of shape (..., *event_shape), counts.
            params: what the decoder gave, shape (..., batch, params_size).

        Returns:
            Log-probabilities in nats, shape (..., batch).

        Raises:
            ValueError: a wrong shape, or an array with a number below 0.
        """
        return ops.sum(_log_pmf(self.flat(value, "x"), *self.split(params)), axis=-1)

    def mean(self, params=None):
        """Return the means, shape (..., batch, *event_shape)."""
        return self.shaped(ops.exp(self.split(params)[0]))

    def check(self, x, name="x"):
        x = super().check(x, name)
        if np.any(x != np.floor(x)):
            raise ValueError(self._no_counts(name, x[x != np.floor(x)].flat[0]))
        return x

    def _check_range(self, x, name, support):
        # A gradient may want the formula between two counts: only `check` asks for whole numbers.
        if x.min() < 0:
            raise ValueError(self._no_counts(name, x.min()))

    def _no_counts(self, name, bad):
        return (
            f"{name} must hold counts, whole numbers of at least 0, for a {type(self).__name__} likelihood; "
            f"received {bad:g}. Pass the counts themselves, neither scaled nor their logarithm."
        )


@keras.saving.register_keras_serializable(package="vaelib")
class Poisson(Counts):
    """Independent counts with the Poisson law, whose variance is the mean.

    Its parameters are the logs of the means, one tensor of shape (batch, number of features).

    Args:
        event_shape: shape of one example; a number is a number of features.
        seed: seed of the noise that `sample` draws.
    """

    def split(self, params):
        return ops.clip(self.checked(params), -LOG_LIMIT, LOG_LIMIT), None


@keras.saving.register_keras_serializable(package="vaelib")
class NegativeBinomial(Counts):
    """Independent counts with mean mu and variance mu + mu^2 / theta: a Poisson law whose rate is gamma distributed.

    Its parameters are the logs of the means and, where the network gives the dispersion, the logs of theta behind them.
    Source: Lopez et al. 2018, Deep generative modeling for single-cell transcriptomics, methods.

    Args:
        event_shape: shape of one example; a number is a number of features.
        dispersion: "feature", one theta per feature, a weight of this part; or "network", one per example and feature.
        seed: seed of the noise that `sample` draws.

    Raises:
        ValueError: dispersion is neither.
    """

    def __init__(self, event_shape, dispersion="feature", seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        if dispersion not in ("feature", "network"):
            raise ValueError(f'dispersion must be "feature" or "network"; received {dispersion!r}.')
        self.dispersion = dispersion
        if dispersion == "feature":
            self.log_dispersion = self.add_weight(name="log_dispersion", shape=(self.num_values,), initializer="zeros")

    @property
    def params_size(self):
        """Numbers per example that the decoder must give: one per feature, or two."""
        return self.num_values * (2 if self.dispersion == "network" else 1)

    def split(self, params):
        """Return the logs of the means and of theta, of shapes that broadcast to (..., number of features)."""
        params = self.checked(params)
        log_mean = ops.clip(params[..., : self.num_values], -LOG_LIMIT, LOG_LIMIT)
        own = as_floats(self.log_dispersion) if self.dispersion == "feature" else params[..., self.num_values :]
        return log_mean, ops.clip(own, -LOG_LIMIT, LOG_LIMIT)

    def get_config(self):
        return {**super().get_config(), "dispersion": self.dispersion}


def _log_pmf(x, log_mean, log_dispersion):
    """The log-probability of each count, nats."""
    one = ops.ones_like(log_mean)
    if log_dispersion is None:
        return x * log_mean - ops.exp(log_mean) - log_rising(one, x)
    theta, ratio = ops.exp(log_dispersion), log_mean - log_dispersion
    # log(1 + mu / theta) and log(mu / (theta + mu)), without a sum that swallows the smaller part.
    more = ops.softplus(ratio)
    return log_rising(theta, x) - log_rising(one, x) - theta * more + x * (ratio - more)


def log_rising(a, x):
    """Return log(Gamma(a + x) / Gamma(a)), for a above 0 and x of at least 0: for a = 1 the log of x factorial.

    Keras has no log-gamma function, and a difference of two would lose the digits that a large a takes.
    Source: Stirling's series behind a shift by 8, Abramowitz and Stegun 1964, 6.1.15 and 6.1.41.
    """
    low, high = a + SHIFT, a + x + SHIFT
    series = lambda t: (1 / 12 - (1 / 360 - 1 / (1260 * t * t)) / (t * t)) / t  # noqa: E731
    far = (low - 0.5) * ops.log1p(x / low) + x * ops.log(high) - x + series(high) - series(low)
    for i in range(SHIFT):
        far = far - ops.log1p(x / (a + i))
    return far


def _inverse(u, log_mean, log_dispersion):
    """The smallest counts whose summed probability reaches u."""
    log_mean = ops.broadcast_to(log_mean, ops.shape(u))
    if log_dispersion is None:
        log_p = -ops.exp(log_mean)
        step = lambda k: log_mean - ops.log(k + 1)  # noqa: E731
    else:
        theta, ratio = ops.exp(log_dispersion), log_mean - log_dispersion
        more = ops.softplus(ratio)
        log_p = -theta * more
        step = lambda k: ops.log((theta + k) / (k + 1)) + ratio - more  # noqa: E731

    mean = ops.exp(log_mean)

    def short_of(k, log_p, total):
        # Beyond the mean a term too small to count ends the search: 32 bits may add up to a little less than u.
        return ops.logical_and(total < u, ops.logical_or(k < mean, log_p > LEAST_TERM))

    def go_on(k, log_p, total, counts):
        return ops.logical_and(k < MOST_COUNT, ops.any(short_of(k, log_p, total)))

    def further(k, log_p, total, counts):
        counts = ops.where(short_of(k, log_p, total), k + 1, counts)
        log_p = log_p + step(k)
        return k + 1, log_p, total + ops.exp(log_p), counts

    start = ops.zeros((), dtype=u.dtype)
    log_p = ops.broadcast_to(log_p, ops.shape(u))
    return ops.while_loop(go_on, further, (start, log_p, ops.exp(log_p), ops.zeros_like(u)))[-1]
