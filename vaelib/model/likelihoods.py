"""Likelihoods p(x|z): what the decoder's output means."""

import math

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.posteriors import as_floats, normal_log_prob


class Likelihood(keras.layers.Layer):
    """What the likelihoods share: the shape of one example and the way between it and a flat row of parameters.

    A subclass names `params_per_value` and gives `log_prob`, `mean` and `sample`.

    Args:
        data_shape: shape of one example, for example (28, 28).
        seed: seed of the noise that `sample` draws.
    """

    params_per_value = 1

    def __init__(self, data_shape, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.data_shape = checks.data_shape("data_shape", data_shape)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    @property
    def num_values(self):
        """Numbers in one example."""
        return math.prod(self.data_shape)

    @property
    def params_size(self):
        """Numbers per example that the decoder must give."""
        return self.params_per_value * self.num_values

    def check(self, x, name="x"):
        """Return x as a float32 array of shape (n, *data_shape), or raise ValueError saying what is wrong with it."""
        return checks.batch(name, x, self.data_shape).astype("float32", copy=False)

    def _flat(self, x):
        x = as_floats(x)
        if tuple(x.shape[-len(self.data_shape) :]) != self.data_shape or len(x.shape) == len(self.data_shape):
            expected = ", ".join(["batch", *map(str, self.data_shape)])
            raise ValueError(f"x must have shape ({expected}); received {tuple(x.shape)}.")
        leading = ops.shape(x)[: len(x.shape) - len(self.data_shape)]
        return ops.reshape(x, (*leading, self.num_values))

    def _shaped(self, values):
        return ops.reshape(values, (*ops.shape(values)[:-1], *self.data_shape))

    def _checked(self, params):
        params = as_floats(params)
        checks.trailing_size("params", params, self.params_size, f"params_size of {self.name}")
        return params

    def get_config(self):
        return {**super().get_config(), "data_shape": self.data_shape, "seed": self.seed}


@keras.saving.register_keras_serializable(package="vaelib")
class Bernoulli(Likelihood):
    """Independent Bernoulli pixels, parameterised by logits.

    Its parameters are one tensor of logits, shape (batch, number of pixels). Grey pixels in [0, 1] are taken as
    probabilities: then `log_prob` is the negative cross-entropy of the recipe, not the log-density of a grey image.
    Source: Kingma and Welling 2014, appendix C.1.

    Args:
        data_shape: shape of one example, for example (28, 28).
        seed: seed of the noise that `sample` draws.
    """

    def check(self, x, name="x"):
        """Return x as a float32 array in [0, 1] of shape (n, *data_shape).

        Raises:
            ValueError: wrong shape, no example, NaN, integers, or pixels outside [0, 1].
        """
        x = checks.batch(name, x, self.data_shape)
        low, high = x.min(), x.max()
        advice = " Divide by 255." if 1 < high <= 255 and low >= 0 else " Rescale it."
        if x.dtype.kind != "f":
            raise ValueError(
                f"{name} must hold floating-point numbers in [0, 1] for a {type(self).__name__} likelihood; "
                f"received dtype {x.dtype} with values from {low} to {high}."
                + (advice if high > 1 or low < 0 else f" Call {name}.astype('float32').")
            )
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} must be scaled to [0, 1] for a {type(self).__name__} likelihood; "
                f"received values from {low:g} to {high:g}.{advice}"
            )
        return x

    def log_prob(self, x, params):
        """Return log p(x|z), summed over the pixels.

        Args:
            x: tensor of shape (batch, *data_shape), pixels in [0, 1].
            params: logits, shape (..., batch, number of pixels).

        Returns:
            Log-probabilities in nats, shape (..., batch).

        Raises:
            ValueError: a wrong shape, integers, or an array with pixels outside [0, 1].
        """
        if isinstance(x, np.ndarray):
            x = self.check(x)
        x = ops.convert_to_tensor(x)
        if not keras.backend.is_float_dtype(x.dtype):  # the values of a tensor may not be known yet
            raise ValueError(f"x must hold floating-point numbers in [0, 1]; received a tensor of {x.dtype}.")
        x, logits = self._flat(x), self._checked(params)
        # x log p + (1 - x) log(1 - p) with p = sigmoid(logits): no logarithm of a rounded-off zero.
        return ops.sum(x * logits - ops.softplus(logits), axis=-1)

    def mean(self, params):
        """Return the pixels' probabilities sigmoid(logits), shape (..., batch, *data_shape)."""
        return self._shaped(ops.sigmoid(self._checked(params)))

    def sample(self, params):
        """Draw black-and-white images, shape (..., batch, *data_shape), entries 0 or 1."""
        probabilities = self.mean(params)
        uniform = keras.random.uniform(ops.shape(probabilities), seed=self.seed_generator)
        return ops.cast(uniform < probabilities, "float32")


@keras.saving.register_keras_serializable(package="vaelib")
class ContinuousBernoulli(Bernoulli):
    """Independent grey pixels in [0, 1] with density proportional to lambda^x (1 - lambda)^(1 - x).

    The Bernoulli recipe for grey pixels plus the normaliser that it lacks, which makes it a density on [0, 1].
    Its parameters are one tensor of logits of lambda, shape (batch, number of pixels); lambda is not the mean.
    Source: Loaiza-Ganem and Cunningham 2019, equations 5 and 7.

    Args:
        data_shape: shape of one example, for example (28, 28).
        seed: seed of the noise that `sample` draws.
    """

    def log_prob(self, x, params):
        """Return log p(x|z), summed over the pixels.

        Args:
            x: tensor of shape (batch, *data_shape), pixels in [0, 1].
            params: logits, shape (..., batch, number of pixels).

        Returns:
            Log-densities in nats, shape (..., batch).

        Raises:
            ValueError: a wrong shape, integers, or an array with pixels outside [0, 1].
        """
        return super().log_prob(x, params) + ops.sum(self.log_normaliser(params), axis=-1)

    def log_normaliser(self, params):
        """Return log C(lambda) of each pixel in nats, at least log 2, shape (..., batch, number of pixels)."""
        logits = self._checked(params)
        far = self._far_from_half(logits)
        # The integral of exp(logits * x) over [0, 1] is (exp(logits) - 1) / logits. Near zero both its quotient and
        # its gradient lose their digits, so a Taylor series, exact to float32, takes over.
        square = ops.square(ops.clip(logits, -0.5, 0.5))
        near_zero = 0.5 * logits + square * (1 / 24 - square * (1 / 2880 - square / 181440))
        elsewhere = ops.relu(logits) + ops.log(-ops.expm1(-far) / far)
        return ops.softplus(logits) - ops.where(ops.abs(logits) < 0.5, near_zero, elsewhere)

    def mean(self, params):
        """Return the pixels' means, which are not sigmoid(logits), shape (..., batch, *data_shape)."""
        logits = self._checked(params)
        far, near = self._far_from_half(logits), ops.clip(logits, -0.5, 0.5)
        square = ops.square(near)
        near_zero = 0.5 + near * (1 / 12 - square * (1 / 720 - square / 30240))
        low = 1 / far + ops.exp(-far) / ops.expm1(-far)
        return self._shaped(ops.where(ops.abs(logits) < 0.5, near_zero, ops.where(logits < 0, low, 1 - low)))

    def sample(self, params):
        """Draw grey images by the inverse of the distribution function, shape (..., batch, *data_shape)."""
        logits = self._checked(params)
        uniform = keras.random.uniform(ops.shape(logits), seed=self.seed_generator)
        steepness = ops.maximum(ops.abs(logits), 1e-5)  # below it the density is flat to float32
        dark = ops.clip(-ops.log1p(uniform * ops.expm1(-steepness)) / steepness, 0.0, 1.0)
        return self._shaped(ops.where(logits < 0, dark, 1 - dark))

    @staticmethod
    def _far_from_half(logits):
        # Where the series is used, any number that keeps the unused branch and its gradient finite.
        return ops.maximum(ops.abs(logits), 0.5)


@keras.saving.register_keras_serializable(package="vaelib")
class Normal(Likelihood):
    """Independent normal pixels with a learned mean in [0, 1] and a learned, clipped variance each.

    Its parameters are one tensor of shape (batch, 2 * number of pixels): first the logits of the means, then the
    log-variances, which are clipped: without a floor the density of a well-fitted pixel grows without bound.
    Source: Kingma and Welling 2014, appendix C.2.

    Args:
        data_shape: shape of one example, for example (28, 20).
        log_var_range: the lowest and the highest log-variance.
        seed: seed of the noise that `sample` draws.

    Raises:
        ValueError: log_var_range is not a finite, increasing pair.
    """

    params_per_value = 2

    def __init__(self, data_shape, log_var_range=(-5.0, 5.0), seed=None, **kwargs):
        super().__init__(data_shape, seed=seed, **kwargs)
        self.log_var_range = checks.increasing_pair("log_var_range", log_var_range)

    def split(self, params):
        """Split the parameters into the pixels' means in [0, 1] and their clipped log-variances.

        Args:
            params: tensor of shape (..., 2 * number of pixels).

        Returns:
            mean and log_var, each of shape (..., number of pixels).
        """
        params = self._checked(params)
        mean = ops.sigmoid(params[..., : self.num_values])
        return mean, ops.clip(params[..., self.num_values :], *self.log_var_range)

    def log_prob(self, x, params):
        """Return log p(x|z), summed over the pixels.

        Args:
            x: tensor of shape (batch, *data_shape).
            params: tensor of shape (..., batch, 2 * number of pixels).

        Returns:
            Log-densities in nats, shape (..., batch).
        """
        if isinstance(x, np.ndarray):
            x = self.check(x)
        return normal_log_prob(self._flat(x), *self.split(params))

    def mean(self, params):
        """Return the pixels' means, shape (..., batch, *data_shape)."""
        return self._shaped(self.split(params)[0])

    def sample(self, params):
        """Draw images with pixel noise, shape (..., batch, *data_shape)."""
        mean, log_var = self.split(params)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return self._shaped(mean + ops.exp(0.5 * log_var) * noise)

    def get_config(self):
        return {**super().get_config(), "log_var_range": self.log_var_range}


@keras.saving.register_keras_serializable(package="vaelib")
class SharedNormal(Likelihood):
    """Independent normal values of any range, whose one learned variance they all share.

    Its parameters are the means themselves, one tensor of shape (batch, number of values). The log-variance is a weight
    of this part and trains with the networks. With a linear decoder the model is probabilistic PCA.
    Source: Tipping and Bishop 1999, equation 2.

    Args:
        data_shape: shape of one example, for example (28, 20).
        seed: seed of the noise that `sample` draws.
    """

    def __init__(self, data_shape, seed=None, **kwargs):
        super().__init__(data_shape, seed=seed, **kwargs)
        self.log_var = self.add_weight(name="log_var", shape=(), initializer="zeros")

    def log_prob(self, x, params):
        """Return log p(x|z), summed over the values.

        Args:
            x: tensor of shape (batch, *data_shape).
            params: the means, shape (..., batch, number of values).

        Returns:
            Log-densities in nats, shape (..., batch).
        """
        if isinstance(x, np.ndarray):
            x = self.check(x)
        return normal_log_prob(self._flat(x), self._checked(params), self.log_var)

    def mean(self, params):
        """Return the means, shape (..., batch, *data_shape)."""
        return self._shaped(self._checked(params))

    def sample(self, params):
        """Draw examples with noise, shape (..., batch, *data_shape)."""
        mean = self.mean(params)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * self.log_var) * noise
