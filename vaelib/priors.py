"""Priors p(z): where codes come from when nothing is encoded."""

import keras
from keras import ops

from vaelib.checks import positive_int, trailing_size
from vaelib.posteriors import DiagonalNormal, as_floats, normal_log_prob


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
        self.latent_dim = positive_int("latent_dim", latent_dim)
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
        z = as_floats(z)
        trailing_size("z", z, self.latent_dim, f"latent_dim of {self.name}")
        return normal_log_prob(z, 0.0, 0.0)

    def sample(self, n):
        """Draw n codes, shape (n, latent_dim)."""
        return keras.random.normal((n, self.latent_dim), seed=self.seed_generator)

    def kl(self, posterior, params, z=None):
        """Return KL(q(z|x) || N(0, I)), in closed form when q is a diagonal normal.

        Source: Kingma and Welling 2014, appendix B.

        Args:
            posterior: the Posterior that reads params.
            params: the encoder's output, shape (batch, posterior.params_size).
            z: samples of q(z|x), shape (batch, latent_dim); needed only where there is no closed form.

        Returns:
            One value per example in nats, shape (batch,).
        """
        if not isinstance(posterior, DiagonalNormal):
            return super().kl(posterior, params, z)
        mu, log_var = posterior.split(params)
        return 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1.0 - log_var, axis=-1)
