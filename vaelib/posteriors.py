"""Posteriors q(z|x): what the encoder's output means."""

import math

import keras
from keras import ops

from vaelib.checks import positive_int, trailing_size

LOG_2PI = math.log(2 * math.pi)


def as_floats(values):
    """Return values as a tensor of Keras's float type: NumPy's own floats are twice as wide and would not mix."""
    return ops.convert_to_tensor(values, dtype=keras.config.floatx())


def normal_log_prob(x, mean, log_var):
    """Return the log-density of independent normals, summed over the last axis.

    Args:
        x: tensor of shape (..., d).
        mean: tensor that broadcasts against x.
        log_var: tensor that broadcasts against x, log of the variances.

    Returns:
        Log-densities in nats, shape (...).
    """
    x, mean, log_var = as_floats(x), as_floats(mean), as_floats(log_var)
    return -0.5 * ops.sum(LOG_2PI + log_var + ops.square(x - mean) * ops.exp(-log_var), axis=-1)


@keras.saving.register_keras_serializable(package="vaelib")
class DiagonalNormal(keras.layers.Layer):
    """The posterior N(mu, diag(exp(log_var))), sampled by reparameterisation.

    Its parameters are one tensor of shape (batch, 2 * latent_dim): mu first, then log_var.
    Source: Kingma and Welling 2014, section 3.

    Args:
        latent_dim: number of latent dimensions.
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Raises:
        ValueError: latent_dim is not a positive integer.
    """

    def __init__(self, latent_dim, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = positive_int("latent_dim", latent_dim)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    @property
    def params_size(self):
        """Numbers per example that the encoder must give: 2 * latent_dim."""
        return 2 * self.latent_dim

    def split(self, params):
        """Split the parameters into mu and log_var.

        Args:
            params: tensor of shape (..., 2 * latent_dim).

        Returns:
            mu and log_var, each of shape (..., latent_dim).

        Raises:
            ValueError: the last axis of params has another size.
        """
        params = as_floats(params)
        trailing_size("params", params, self.params_size, f"2 * latent_dim of {self.name}")
        return params[..., : self.latent_dim], params[..., self.latent_dim :]

    def mean(self, params):
        """Return the mean mu of q(z|x), shape (..., latent_dim)."""
        return self.split(params)[0]

    def noise(self, shape):
        """Draw eps ~ N(0, I) of the given shape."""
        return keras.random.normal(shape, seed=self.seed_generator)

    def sample(self, params, eps=None):
        """Draw z = mu + sigma * eps, so that the gradient flows through mu and sigma.

        Args:
            params: tensor of shape (batch, 2 * latent_dim).
            eps: the noise, shape (..., latent_dim) that broadcasts against (batch, latent_dim), for example
                (num_samples, batch, latent_dim) for several samples per example; drawn from N(0, I) by default.

        Returns:
            z, of shape (batch, latent_dim), or of the shape that eps broadcasts to.

        Raises:
            ValueError: the last axis of params or eps has another size.
        """
        mu, log_var = self.split(params)
        if eps is None:
            eps = self.noise(ops.shape(mu))
        eps = as_floats(eps)
        trailing_size("eps", eps, self.latent_dim, f"latent_dim of {self.name}")
        return mu + ops.exp(0.5 * log_var) * eps

    def log_prob(self, z, params):
        """Return log q(z|x), summed over the latent dimensions.

        Args:
            z: tensor of shape (..., latent_dim).
            params: tensor of shape (batch, 2 * latent_dim).

        Returns:
            Log-densities in nats, shape (..., batch) as z and params broadcast.

        Raises:
            ValueError: the last axis of z or params has another size.
        """
        z = as_floats(z)
        trailing_size("z", z, self.latent_dim, f"latent_dim of {self.name}")
        return normal_log_prob(z, *self.split(params))

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim, "seed": self.seed}
