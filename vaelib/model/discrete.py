"""Discrete latents: draws of K classes, and priors over them and over zeros and ones.

The posterior of zeros and ones is the Bernoulli of `likelihoods`: a role, not another class.
"""

import keras
import numpy as np
from keras import ops

from vaelib.model.distributions import Distribution, Tensor, as_floats, as_shape, register_kl
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.numerics import softplus
from vaelib.model.priors import Prior

LEAST_UNIFORM = 1e-20  # a uniform draw of exactly 0 would make infinite noise


class _Classes(Distribution):
    """What distributions over independent draws of K classes share: one-hot values, and Gumbel noise."""

    support = "one-hot"
    reparameterized = False

    def __init__(self, event_shape, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        if self.num_classes < 2:
            raise ValueError(
                "event_shape must end with the number of classes, at least 2, for example (20, 10) for 20 draws of 10 "
                f"classes; received {self.event_shape}."
            )

    @property
    def num_classes(self):
        """How many classes each draw chooses from: the last axis of event_shape."""
        return self.event_shape[-1]

    def by_class(self, values: Tensor) -> Tensor:
        """Return numbers (..., num_values) with an axis for the classes, shape (..., draws, num_classes)."""
        draws = self.num_values // self.num_classes
        return ops.reshape(values, (*ops.shape(values)[:-1], draws, self.num_classes))

    def flattened(self, values: Tensor) -> Tensor:
        """Undo `by_class`."""
        return ops.reshape(values, (*ops.shape(values)[:-2], self.num_values))

    def noise(self, num=()):
        """Draw Gumbel noise -log(-log u), shape (*num, *event_shape)."""
        u = keras.random.uniform((*as_shape(num), *self.event_shape), LEAST_UNIFORM, 1.0, seed=self.seed_generator)
        return -ops.log(-ops.log(u))

    def check(self, x, name="x"):
        x = super().check(x, name)
        off = np.abs(x.sum(axis=-1) - 1).max()
        if off > 1e-3:
            raise ValueError(
                f"{name} must sum to 1 along its last axis, the {self.num_classes} classes, one-hot or as "
                f"probabilities; one is off by {off:.3g}."
            )
        return x

    def _perturbed(self, logits, noise):
        noise = self.flat(ops.convert_to_tensor(noise), "noise")
        return self.by_class(logits) + self.by_class(noise)

    def _hard(self, logits, noise):
        chosen = ops.argmax(self._perturbed(logits, noise), axis=-1)
        return self.shaped(self.flattened(ops.one_hot(chosen, self.num_classes, dtype=keras.config.floatx())))

    def _log_prob(self, value, logits):
        log_pi = self.flattened(ops.log_softmax(self.by_class(logits), axis=-1))
        return ops.sum(self.flat(value) * log_pi, axis=-1)

    def _mean(self, logits):
        return self.shaped(self.flattened(ops.softmax(self.by_class(logits), axis=-1)))


@keras.saving.register_keras_serializable(package="vaelib")
class Categorical(_Classes):
    """Independent draws of one of K classes, one-hot: Categorical((20, 10)) is 20 draws of 10 classes.

    Its parameters are one tensor of logits, shape (batch, num_values). A draw is the argmax of logits plus Gumbel
    noise; `relaxed` puts a softmax in the argmax's place.
    Source: Jang et al. 2017, equations 1 and 2; Maddison et al. 2017.

    Args:
        event_shape: shape of one value, the number of classes last.
        seed: seed of the noise.

    Raises:
        ValueError: event_shape holds anything but positive whole numbers, or fewer than two classes.
    """

    @property
    def params_size(self):
        """Logits per example that a network must give: num_values."""
        return self.num_values

    def sample(self, params=None, noise=None, num=()):
        """Draw one-hot values, shape (*num, batch, *event_shape); no gradient flows through them."""
        return self._hard(self.checked(params), self.noise_for(params, noise, num))

    def relaxed(self, params, noise, temperature):
        """Return softmax((logits + noise) / temperature), whose argmax is the draw of `sample` from the same noise.

        Args:
            params: logits, shape (batch, num_values).
            noise: what `noise` returns, with leading axes (*num, batch).
            temperature: a number above 0, or a variable.

        Returns:
            Points inside the simplex, shape (*num, batch, *event_shape); the gradient flows through them.
        """
        soft = ops.softmax(self._perturbed(self.checked(params), noise) / temperature, axis=-1)
        return self.shaped(self.flattened(soft))

    def log_prob(self, value, params=None):
        """Return the log-probability of one-hot values, summed over the draws.

        Args:
            value: tensor of shape (..., *event_shape).
            params: logits, shape (batch, num_values).

        Returns:
            Nats, shape (..., batch).

        Raises:
            ValueError: the last axes of value or params have another shape.
        """
        return self._log_prob(value, self.checked(params))

    def mean(self, params=None):
        """Return the probabilities, shape (..., *event_shape)."""
        return self._mean(self.checked(params))


@keras.saving.register_keras_serializable(package="vaelib")
class CategoricalPrior(_Classes, Prior):
    """A prior of independent draws of one of K classes, whose logits are learned; uniform at first.

    Args:
        event_shape: shape of one code, the number of classes last.
        seed: seed of the noise that `sample` draws.

    Raises:
        ValueError: event_shape holds anything but positive whole numbers, or fewer than two classes.
    """

    def __init__(self, event_shape, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.logits = self.add_weight(name="logits", shape=(self.num_values,), initializer="zeros")

    def sample(self, params=None, noise=None, num=()):
        """Draw one-hot codes, shape (*num, *event_shape)."""
        return self._hard(as_floats(self.logits), self.noise_for(params, noise, num))

    def log_prob(self, value, params=None):
        """Return log p(z), summed over the draws, nats, shape (...); value has shape (..., *event_shape)."""
        return self._log_prob(value, as_floats(self.logits))

    def mean(self, params=None):
        """Return the probabilities, shape event_shape."""
        return self._mean(as_floats(self.logits))


@keras.saving.register_keras_serializable(package="vaelib")
class BernoulliPrior(Prior):
    """A prior of independent zeros and ones, whose logits are learned; fair coins at first.

    Args:
        event_shape: shape of one code; a number is a number of latent units.
        seed: seed of the noise that `sample` draws.
    """

    support = "binary"
    reparameterized = False

    def __init__(self, event_shape, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.logits = self.add_weight(name="logits", shape=(self.num_values,), initializer="zeros")

    def noise(self, num=()):
        """Draw independent uniform numbers between 0 and 1, shape (*num, *event_shape)."""
        return keras.random.uniform((*as_shape(num), *self.event_shape), seed=self.seed_generator)

    def sample(self, params=None, noise=None, num=()):
        """Draw codes of zeros and ones, shape (*num, *event_shape)."""
        uniform = self.flat(self.noise_for(params, noise, num), "noise")
        return self.shaped(ops.cast(uniform < ops.sigmoid(as_floats(self.logits)), keras.config.floatx()))

    def log_prob(self, value, params=None):
        """Return log p(z), summed over the units, nats, shape (...); value has shape (..., *event_shape)."""
        logits = as_floats(self.logits)
        return ops.sum(self.flat(value) * logits - softplus(logits), axis=-1)

    def mean(self, params=None):
        """Return the probabilities, shape event_shape."""
        return self.shaped(ops.sigmoid(as_floats(self.logits)))


@register_kl(Categorical, CategoricalPrior)
def kl_categorical(q, q_params, p, p_params=None):
    """Return KL(q || p), the sum of pi (log pi - log p) over classes and draws, nats, shape (batch,).

    Against the uniform prior the last logarithm is -log K: that is the K of log(K pi).
    """
    log_q = ops.log_softmax(q.by_class(q.checked(q_params)), axis=-1)
    log_p = ops.log_softmax(p.by_class(as_floats(p.logits)), axis=-1)
    return ops.sum(ops.exp(log_q) * (log_q - log_p), axis=(-2, -1))


@register_kl(Bernoulli, BernoulliPrior)
def kl_bernoulli(q, q_params, p, p_params=None):
    """Return KL(q || p) of independent zeros and ones, summed over the units, nats, shape (batch,)."""
    a, b = q.checked(q_params), as_floats(p.logits)
    return ops.sum(ops.sigmoid(a) * (a - b) + softplus(b) - softplus(a), axis=-1)
