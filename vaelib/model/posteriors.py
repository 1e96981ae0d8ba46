"""Posteriors q(z|x): what the encoder's output means."""

import math

import keras
import numpy as np
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


class Posterior(keras.layers.Layer):
    """What the posteriors share: a size and the noise.

    A subclass gives `params_size`, `split` (the mean comes first), `sample` and `log_prob`; and `kl_standard_normal`
    where KL(q(z|x) || N(0, I)) has a closed form.

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

    def mean(self, params):
        """Return the mean mu of q(z|x), shape (..., latent_dim)."""
        return self.split(params)[0]

    def noise(self, shape):
        """Draw eps ~ N(0, I) of the given shape."""
        return keras.random.normal(shape, seed=self.seed_generator)

    def _noise_for(self, mu, eps):
        eps = as_floats(self.noise(ops.shape(mu)) if eps is None else eps)
        trailing_size("eps", eps, self.latent_dim, f"latent_dim of {self.name}")
        return eps

    def _codes(self, z):
        z = as_floats(z)
        trailing_size("z", z, self.latent_dim, f"latent_dim of {self.name}")
        return z

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim, "seed": self.seed}


@keras.saving.register_keras_serializable(package="vaelib")
class DiagonalNormal(Posterior):
    """The posterior N(mu, diag(exp(log_var))), sampled by reparameterisation.

    Its parameters are one tensor of shape (batch, 2 * latent_dim): mu first, then log_var.
    Source: Kingma and Welling 2014, section 3.

    Args:
        latent_dim: number of latent dimensions.
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Raises:
        ValueError: latent_dim is not a positive integer.
    """

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
        return mu + ops.exp(0.5 * log_var) * self._noise_for(mu, eps)

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
        return normal_log_prob(self._codes(z), *self.split(params))

    def kl_standard_normal(self, params):
        """Return KL(q(z|x) || N(0, I)) in nats, shape (batch,).

        Source: Kingma and Welling 2014, appendix B.
        """
        mu, log_var = self.split(params)
        return 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1.0 - log_var, axis=-1)


@keras.saving.register_keras_serializable(package="vaelib")
class FullNormal(Posterior):
    """The posterior N(mu, L L^T) with correlated dimensions; L is lower triangular, its diagonal positive.

    Its parameters are one tensor of shape (batch, 2 * latent_dim + latent_dim * (latent_dim - 1) / 2): mu, then the
    logs of the squared diagonal of L, then the numbers of L below the diagonal, row by row. With zeros in the last
    block it is the DiagonalNormal of the first two.
    Source: Kingma and Welling 2019, An Introduction to Variational Autoencoders, section 2.5.1.

    Args:
        latent_dim: number of latent dimensions.
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Raises:
        ValueError: latent_dim is not a positive integer.
    """

    def __init__(self, latent_dim, seed=None, **kwargs):
        super().__init__(latent_dim, seed=seed, **kwargs)
        # Where each number of L stands in the row (0, diagonal, below the diagonal).
        places = np.zeros((self.latent_dim, self.latent_dim), "int32")
        np.fill_diagonal(places, np.arange(1, self.latent_dim + 1))
        rows, columns = np.tril_indices(self.latent_dim, -1)
        places[rows, columns] = self.latent_dim + 1 + np.arange(len(rows))
        self._places = places

    @property
    def params_size(self):
        """Numbers per example that the encoder must give: 2 * latent_dim + latent_dim * (latent_dim - 1) / 2."""
        return 2 * self.latent_dim + self.latent_dim * (self.latent_dim - 1) // 2

    def _blocks(self, params):
        params, d = as_floats(params), self.latent_dim
        meaning = f"2 * latent_dim + latent_dim * (latent_dim - 1) / 2 of {self.name}"
        trailing_size("params", params, self.params_size, meaning)
        return params[..., :d], params[..., d : 2 * d], params[..., 2 * d :]

    def split(self, params):
        """Split the parameters into mu and the Cholesky factor L of the covariance.

        Args:
            params: tensor of shape (..., params_size).

        Returns:
            mu of shape (..., latent_dim) and L of shape (..., latent_dim, latent_dim).

        Raises:
            ValueError: the last axis of params has another size.
        """
        mu, log_squares, below = self._blocks(params)
        numbers = ops.concatenate([ops.zeros_like(mu[..., :1]), ops.exp(0.5 * log_squares), below], axis=-1)
        return mu, ops.take(numbers, self._places, axis=-1)

    def sample(self, params, eps=None):
        """Draw z = mu + L eps, so that the gradient flows through mu and L.

        Args:
            params: tensor of shape (batch, params_size).
            eps: the noise, shape (..., latent_dim) that broadcasts against (batch, latent_dim), for example
                (num_samples, batch, latent_dim) for several samples per example; drawn from N(0, I) by default.

        Returns:
            z, of shape (batch, latent_dim), or of the shape that eps broadcasts to.

        Raises:
            ValueError: the last axis of params or eps has another size.
        """
        mu, cholesky = self.split(params)
        return mu + _matvec(cholesky, self._noise_for(mu, eps))

    def log_prob(self, z, params):
        """Return log q(z|x).

        Args:
            z: tensor of shape (..., latent_dim).
            params: tensor of shape (batch, params_size).

        Returns:
            Log-densities in nats, shape (..., batch) as z and params broadcast.

        Raises:
            ValueError: the last axis of z or params has another size.
        """
        z, (mu, cholesky) = self._codes(z), self.split(params)
        # Inverted once per example, however many samples z brings.
        identity = ops.broadcast_to(ops.eye(self.latent_dim, dtype=cholesky.dtype), ops.shape(cholesky))
        eps = _matvec(ops.solve_triangular(cholesky, identity, lower=True), z - mu)
        return normal_log_prob(eps, 0.0, 0.0) - 0.5 * ops.sum(self._blocks(params)[1], axis=-1)

    def kl_standard_normal(self, params):
        """Return KL(q(z|x) || N(0, I)) in nats, shape (batch,).

        It is (|mu|^2 + tr(L L^T) - log det(L L^T) - latent_dim) / 2.
        Source: Kingma and Welling 2014, appendix B, for a full covariance.
        """
        mu, log_squares, below = self._blocks(params)
        diagonal = ops.sum(ops.square(mu) + ops.exp(log_squares) - 1.0 - log_squares, axis=-1)
        return 0.5 * (diagonal + ops.sum(ops.square(below), axis=-1))


def _matvec(matrix, vector):
    return ops.matmul(matrix, vector[..., None])[..., 0]
