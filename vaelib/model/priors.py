"""Priors p(z): where codes come from when nothing is encoded."""

import math

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.posteriors import as_floats, normal_log_prob


class Prior(keras.layers.Layer):
    """What the priors share: a size, a noise generator, and the Monte Carlo estimate of the KL.

    A subclass gives `log_prob` and `sample`, and its own `kl` where a closed form exists.

    Args:
        latent_dim: number of latent dimensions.
        seed: seed of the noise that `sample` draws.

    Raises:
        ValueError: latent_dim is not a positive integer.
    """

    def __init__(self, latent_dim, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = checks.positive_int("latent_dim", latent_dim)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def kl(self, posterior, params, z):
        """Estimate KL(q(z|x) || p(z)) by log q(z|x) - log p(z) at the sample z.

        Args:
            posterior: the Posterior that reads params.
            params: the encoder's output, shape (batch, posterior.params_size).
            z: samples of q(z|x), shape (batch, latent_dim).

        Returns:
            One estimate per example in nats, shape (batch,): unbiased, and negative at times.
        """
        return posterior.log_prob(z, params) - self.log_prob(z)

    def connect(self, encoder, posterior):
        """Receive the encoder and the posterior of the VAE that holds this prior; most priors need neither."""

    def _codes(self, z):
        z = as_floats(z)
        checks.trailing_size("z", z, self.latent_dim, f"latent_dim of {self.name}")
        return z

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim, "seed": self.seed}


@keras.saving.register_keras_serializable(package="vaelib")
class StandardNormal(Prior):
    """The prior N(0, I).

    Args:
        latent_dim: number of latent dimensions.
        seed: seed of the noise that `sample` draws.
    """

    def log_prob(self, z):
        """Return log p(z), summed over the latent dimensions.

        Args:
            z: tensor of shape (..., latent_dim).

        Returns:
            Log-densities in nats, shape (...).

        Raises:
            ValueError: the last axis of z has another size.
        """
        return normal_log_prob(self._codes(z), 0.0, 0.0)

    def sample(self, n):
        """Draw n codes, shape (n, latent_dim)."""
        return keras.random.normal((n, self.latent_dim), seed=self.seed_generator)

    def kl(self, posterior, params, z=None):
        """Return KL(q(z|x) || N(0, I)), in closed form when the posterior offers one (`kl_standard_normal`).

        Args:
            posterior: the Posterior that reads params.
            params: the encoder's output, shape (batch, posterior.params_size).
            z: samples of q(z|x), shape (batch, latent_dim); needed only where there is no closed form.

        Returns:
            One value per example in nats, shape (batch,).
        """
        if hasattr(posterior, "kl_standard_normal"):
            return posterior.kl_standard_normal(params)
        return super().kl(posterior, params, z)


@keras.saving.register_keras_serializable(package="vaelib")
class MixturePrior(Prior):
    """A learned mixture of diagonal normals.

    Its weights train with the networks: the mixing logits, and the mean and the log-variance of each component. They
    start as components of variance 1 with equal shares, around means drawn from N(0, I).

    Args:
        latent_dim: number of latent dimensions.
        num_components: number of components.
        seed: seed of the first means and of the noise that `sample` draws.

    Raises:
        ValueError: latent_dim or num_components is not a positive integer.
    """

    def __init__(self, latent_dim, num_components=10, seed=None, **kwargs):
        super().__init__(latent_dim, seed=seed, **kwargs)
        self.num_components = checks.positive_int("num_components", num_components)
        shape = (self.num_components, self.latent_dim)
        self.logits = self.add_weight(name="logits", shape=(self.num_components,), initializer="zeros")
        # Means that all start at zero would share every gradient and never part.
        start = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        self.means = self.add_weight(name="means", shape=shape, initializer=start)
        self.log_vars = self.add_weight(name="log_vars", shape=shape, initializer="zeros")

    def log_prob(self, z):
        """Return log p(z), the log of the weighted sum of the components' densities.

        Args:
            z: tensor of shape (..., latent_dim).

        Returns:
            Log-densities in nats, shape (...).

        Raises:
            ValueError: the last axis of z has another size.
        """
        components = normal_log_prob(self._codes(z)[..., None, :], self.means, self.log_vars)
        return ops.logsumexp(ops.log_softmax(self.logits) + components, axis=-1)

    def sample(self, n):
        """Draw n codes, shape (n, latent_dim)."""
        chosen = keras.random.categorical(self.logits[None], n, seed=self.seed_generator)[0]
        eps = keras.random.normal((n, self.latent_dim), seed=self.seed_generator)
        return ops.take(self.means, chosen, axis=0) + ops.exp(0.5 * ops.take(self.log_vars, chosen, axis=0)) * eps

    def get_config(self):
        return {**super().get_config(), "num_components": self.num_components}


@keras.saving.register_keras_serializable(package="vaelib")
class VampPrior(Prior):
    """The mixture of the posteriors of learned pseudo-inputs, p(z) = mean over k of q(z|u_k).

    The VAE that receives this prior connects it to its own encoder and posterior, so that there is nothing to pass:
    the pseudo-inputs are the prior's only weights, and the encoder's are shared, trained and saved once.
    Source: Tomczak and Welling 2018, equation 9.

    Args:
        latent_dim: number of latent dimensions.
        num_components: number of pseudo-inputs.
        initial: where the pseudo-inputs start, array of shape (num_components, *data_shape), for example
            x_train[:50]; uniform noise by default. Not part of the configuration: a saved model holds what they became.
        value_range: the lowest and the highest value of a pseudo-input; each step clips them to it.
        seed: seed of the first pseudo-inputs and of the noise that `sample` draws.

    Raises:
        ValueError: a size is not a positive integer, value_range is not a finite, increasing pair, or initial does not
            fit them.
    """

    def __init__(self, latent_dim, num_components=50, initial=None, value_range=(0.0, 1.0), seed=None, **kwargs):
        super().__init__(latent_dim, seed=seed, **kwargs)
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
            posterior: the Posterior that reads the encoder's output.

        Raises:
            ValueError: the prior serves another encoder or posterior already, or initial has another shape than the
                encoder's input.
        """
        if self._connected is not None:
            if self._connected()[0] is encoder and self._connected()[1] is posterior:
                return
            raise ValueError(f"{self.name} serves another encoder or posterior already; make a new VampPrior.")
        shape = (self.num_components, *encoder.input_shape[1:])
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
        return posterior, encoder(self.pseudo_inputs)

    def log_prob(self, z):
        """Return log p(z), the log of the mean over the pseudo-inputs of q(z|u_k).

        Args:
            z: tensor of shape (..., latent_dim).

        Returns:
            Log-densities in nats, shape (...).

        Raises:
            ValueError: the last axis of z has another size, or no VAE holds this prior yet.
        """
        posterior, params = self.components()
        return ops.logsumexp(posterior.log_prob(self._codes(z)[..., None, :], params), axis=-1) - math.log(
            self.num_components
        )

    def sample(self, n):
        """Draw n codes, shape (n, latent_dim)."""
        posterior, params = self.components()
        chosen = keras.random.randint((n,), 0, self.num_components, seed=self.seed_generator)
        eps = keras.random.normal((n, self.latent_dim), seed=self.seed_generator)
        return posterior.sample(ops.take(params, chosen, axis=0), eps)

    def get_config(self):
        return {**super().get_config(), "num_components": self.num_components, "value_range": self.value_range}
