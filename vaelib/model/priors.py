"""Priors p(z): where codes come from when nothing is encoded."""

import math

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution, as_shape, in_full, in_range, log_prob_diagonal, register_kl
from vaelib.model.posteriors import DiagonalNormal, FullNormal


class Prior(Distribution):
    """What priors share: they have weights of their own, or none, and no network gives them parameters."""

    @property
    def params_size(self):
        """No network gives a prior its parameters: 0."""
        return 0


@keras.saving.register_keras_serializable(package="vaelib")
class StandardNormal(Prior):
    """The prior N(0, I).

    Args:
        event_shape: shape of one code; a number is a number of latent dimensions.
        seed: seed of the noise that `sample` draws.
    """

    def sample(self, params=None, noise=None, num=()):
        """Draw codes, shape (*num, *event_shape): the noise itself."""
        return self.shaped(self.flat(self.noise_for(params, noise, num), "noise"))

    def log_prob(self, value, params=None):
        """Return log p(z), summed over the latent dimensions.

        Args:
            value: codes, tensor of shape (..., *event_shape).
            params: nothing.

        Returns:
            Log-densities in nats, shape (...).

        Raises:
            ValueError: the last axes of value have another shape.
        """
        return log_prob_diagonal(self.flat(value, "z"), 0.0, 0.0)

    def mean(self, params=None):
        """Return the mean, zeros of shape event_shape."""
        return ops.zeros(self.event_shape)


@keras.saving.register_keras_serializable(package="vaelib")
class MixturePrior(Prior):
    """A learned mixture of diagonal normals.

    Its weights train with the networks: the mixing logits, and the mean and the log-variance of each component. They
    start as components of variance 1 with equal shares, around means drawn from N(0, I).

    Args:
        event_shape: shape of one code; a number is a number of latent dimensions.
        num_components: number of components.
        seed: seed of the first means and of the noise that `sample` draws.

    Raises:
        ValueError: event_shape or num_components is not made of positive whole numbers.
    """

    reparameterized = False

    def __init__(self, event_shape, num_components=10, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.num_components = checks.positive_int("num_components", num_components)
        shape = (self.num_components, self.num_values)
        self.logits = self.add_weight(name="logits", shape=(self.num_components,), initializer="zeros")
        # Means that all start at zero would share every gradient and never part.
        start = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        self.means = self.add_weight(name="means", shape=shape, initializer=start)
        self.log_vars = self.add_weight(name="log_vars", shape=shape, initializer="zeros")

    def noise(self, num=()):
        """Draw what a code is made of: `component`, uniform, shape (*num,), and `eps`, normal, (*num, *event_shape)."""
        component = keras.random.uniform(as_shape(num), seed=self.seed_generator)
        return {"component": component, "eps": super().noise(num)}

    def sample(self, params=None, noise=None, num=()):
        """Draw codes, shape (*num, *event_shape)."""
        noise = self.noise_for(params, noise, num)
        chosen = chosen_component(ops.softmax(ops.convert_to_tensor(self.logits)), noise["component"])
        mu, log_var = ops.take(self.means, chosen, axis=0), ops.take(in_range(self.log_vars), chosen, axis=0)
        return self.shaped(mu + ops.exp(0.5 * log_var) * self.flat(noise["eps"], "noise"))

    def log_prob(self, value, params=None):
        """Return log p(z), the log of the weighted sum of the components' densities.

        Args:
            value: codes, tensor of shape (..., *event_shape).
            params: nothing.

        Returns:
            Log-densities in nats, shape (...).

        Raises:
            ValueError: the last axes of value have another shape.
        """
        components = log_prob_diagonal(self.flat(value, "z")[..., None, :], self.means, in_range(self.log_vars))
        return ops.logsumexp(ops.log_softmax(ops.convert_to_tensor(self.logits)) + components, axis=-1)

    def mean(self, params=None):
        """Return the mean of the mixture, shape event_shape."""
        shares = ops.softmax(ops.convert_to_tensor(self.logits))
        return ops.reshape(ops.sum(shares[:, None] * self.means, axis=0), self.event_shape)

    def get_config(self):
        return {**super().get_config(), "num_components": self.num_components}


@keras.saving.register_keras_serializable(package="vaelib")
class VampPrior(Prior):
    """The mixture of the posteriors of learned pseudo-inputs, p(z) = mean over k of q(z|u_k).

    The VAE that receives this prior connects it to its own encoder and posterior, so that there is nothing to pass:
    the pseudo-inputs are the prior's only weights, and the encoder's are shared, trained and saved once.
    Source: Tomczak and Welling 2018, equation 9.

    Args:
        event_shape: shape of one code; a number is a number of latent dimensions.
        num_components: number of pseudo-inputs.
        initial: where the pseudo-inputs start, array of shape (num_components, *data_shape), for example
            x_train[:50]; uniform noise by default. Not part of the configuration: a saved model holds what they became.
        value_range: the lowest and the highest value of a pseudo-input; each step clips them to it.
        seed: seed of the first pseudo-inputs and of the noise that `sample` draws.

    Raises:
        ValueError: a size is not a positive integer, value_range is not a finite, increasing pair, or initial does not
            fit them.
    """

    reparameterized = False

    def __init__(self, event_shape, num_components=50, initial=None, value_range=(0.0, 1.0), seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.num_components = checks.positive_int("num_components", num_components)
        self.value_range = checks.increasing_pair("value_range", value_range)
        self._connected, self._initial = None, None
        if initial is not None:
            self._initial = checks.batch("initial", initial, np.shape(initial)[1:])
            received = f"received {len(initial)} with values from {np.min(initial):g} to {np.max(initial):g}."
            low, high = self.value_range
            if len(initial) != self.num_components or np.min(initial) < low or np.max(initial) > high:
                raise ValueError(
                    f"initial must hold num_components = {self.num_components} examples with values in value_range = "
                    f"[{low:g}, {high:g}]; {received}"
                )

    def connect(self, encoder, posterior):
        """Share the encoder and the posterior of a VAE, and make the pseudo-inputs: VAE calls this when it is built.

        Args:
            encoder: keras.Model from (batch, *data_shape) to (batch, posterior.params_size).
            posterior: the Distribution that reads the encoder's output.

        Raises:
            ValueError: the prior serves another encoder or posterior already, initial has another shape than the
                encoder's input, or the encoder has more inputs than one.
        """
        if self._connected is not None:
            if self._connected()[0] is encoder and self._connected()[1] is posterior:
                return
            raise ValueError(f"{self.name} serves another encoder or posterior already; make a new VampPrior.")
        if len(encoder.inputs) != 1:
            raise ValueError(f"{self.name} needs an encoder of one input; received one of {len(encoder.inputs)}.")
        shape = (self.num_components, *encoder.inputs[0].shape[1:])
        low, high = self.value_range
        start = keras.initializers.RandomUniform(low, high, seed=self.seed)
        if self._initial is not None:
            if self._initial.shape != shape:
                raise ValueError(
                    f"initial must have shape {shape}, num_components times the encoder's input; "
                    f"received {self._initial.shape}."
                )
            start = keras.initializers.Constant(self._initial)
        self.pseudo_inputs = self.add_weight(
            name="pseudo_inputs", shape=shape, initializer=start, constraint=lambda u: ops.clip(u, low, high)
        )
        # Behind a function Keras does not take the encoder for a part of the prior, to be counted and saved twice.
        self._connected, self._initial = (lambda: (encoder, posterior)), None

    def components(self):
        """Return the posterior and its parameters at the pseudo-inputs, shape (num_components, params_size).

        Raises:
            ValueError: no VAE holds this prior yet.
        """
        if self._connected is None:
            raise ValueError(f"{self.name} has no encoder yet: give it to a VAE, or call connect(encoder, posterior).")
        encoder, posterior = self._connected()
        return posterior, in_full(encoder(ops.convert_to_tensor(self.pseudo_inputs)))

    def noise(self, num=()):
        """Draw what a code is made of: `component`, uniform, shape (*num,), and `posterior`, the posterior's noise."""
        component = keras.random.uniform(as_shape(num), seed=self.seed_generator)
        return {"component": component, "posterior": self.components()[0].noise(num)}

    def sample(self, params=None, noise=None, num=()):
        """Draw codes, shape (*num, *event_shape)."""
        posterior, components = self.components()
        noise = self.noise_for(params, noise, num)
        shares = ops.ones(self.num_components) / self.num_components
        chosen = chosen_component(shares, noise["component"])
        return posterior.sample(ops.take(components, chosen, axis=0), noise["posterior"])

    def log_prob(self, value, params=None):
        """Return log p(z), the log of the mean over the pseudo-inputs of q(z|u_k).

        Args:
            value: codes, tensor of shape (..., *event_shape).
            params: nothing.

        Returns:
            Log-densities in nats, shape (...).

        Raises:
            ValueError: the last axes of value have another shape, or no VAE holds this prior yet.
        """
        posterior, components = self.components()
        self.flat(value, "z")  # names a wrong shape
        each = ops.expand_dims(ops.convert_to_tensor(value), -1 - len(self.event_shape))
        log_probs = posterior.log_prob(each, components)
        return ops.logsumexp(log_probs, axis=-1) - math.log(self.num_components)

    def mean(self, params=None):
        """Return the mean of the mixture, shape event_shape."""
        posterior, components = self.components()
        return ops.mean(posterior.mean(components), axis=0)

    def get_config(self):
        return {**super().get_config(), "num_components": self.num_components, "value_range": self.value_range}


def chosen_component(shares, uniform):
    """Return the component that each uniform number falls to: the inverse of the shares' distribution function.

    Args:
        shares: the components' probabilities, shape (num_components,).
        uniform: numbers between 0 and 1, shape (*num,).

    Returns:
        Whole numbers below num_components, shape (*num,).
    """
    # The last border is 1 up to rounding, and left out: no number may fall behind it.
    borders = ops.cumsum(shares)[:-1]
    return ops.sum(ops.cast(ops.expand_dims(uniform, -1) > borders, "int32"), axis=-1)


@register_kl(DiagonalNormal, StandardNormal)
def kl_diagonal_standard(q, q_params, p, p_params=None):
    """Return KL(N(mu, diag(exp(log_var))) || N(0, I)) in nats, shape (batch,).

    Source: Kingma and Welling 2014, appendix B.
    """
    mu, log_var = q.split(q_params)
    return 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1.0 - log_var, axis=-1)


@register_kl(FullNormal, StandardNormal)
def kl_full_standard(q, q_params, p, p_params=None):
    """Return KL(N(mu, L L^T) || N(0, I)) in nats, shape (batch,).

    It is (|mu|^2 + tr(L L^T) - log det(L L^T) - n) / 2.
    Source: Kingma and Welling 2014, appendix B, for a full covariance.
    """
    mu, log_squares, below = q.blocks(q_params)
    diagonal = ops.sum(ops.square(mu) + ops.exp(log_squares) - 1.0 - log_squares, axis=-1)
    return 0.5 * (diagonal + ops.sum(ops.square(below), axis=-1))


@register_kl(DiagonalNormal, DiagonalNormal)
def kl_diagonal_diagonal(q, q_params, p, p_params=None):
    """Return KL between two diagonal normals in nats, shape (batch,).

    Source: Kingma and Welling 2014, appendix B, after shifting and scaling so that p becomes N(0, I).
    """
    (mu_q, log_var_q), (mu_p, log_var_p) = q.split(q_params), p.split(p_params)
    ratio = log_var_q - log_var_p
    distance = ops.square((mu_q - mu_p) * ops.exp(-0.5 * log_var_p))
    return 0.5 * ops.sum(distance + ops.exp(ratio) - 1.0 - ratio, axis=-1)
