"""Posteriors q(z|x): what the encoder's output means."""

import copy

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution, as_shape, in_range, log_prob_diagonal, matvec, require_density


@keras.saving.register_keras_serializable(package="vaelib")
class DiagonalNormal(Distribution):
    """The normal N(mu, diag(exp(log_var))), sampled by reparameterisation.

    Its parameters are one tensor of shape (batch, 2 * num_values): mu first, then log_var.
    Source: Kingma and Welling 2014, section 3.

    Args:
        event_shape: shape of one value; a number of latent dimensions when it is a posterior.
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Raises:
        ValueError: event_shape holds anything but positive whole numbers.
    """

    @property
    def params_size(self):
        """Numbers per example that a network must give: 2 * num_values."""
        return 2 * self.num_values

    def split(self, params):
        """Split the parameters into mu and log_var, which is held within ±80.

        Args:
            params: tensor of shape (..., 2 * num_values).

        Returns:
            mu and log_var, each of shape (..., num_values).

        Raises:
            ValueError: the last axis of params has another size.
        """
        params = self.checked(params)
        return params[..., : self.num_values], in_range(params[..., self.num_values :])

    def sample(self, params=None, noise=None, num=()):
        """Draw z = mu + sigma * eps, so that the gradient flows through mu and sigma.

        Args:
            params: tensor of shape (batch, params_size).
            noise: eps, shape (..., *event_shape) that broadcasts against the batch; drawn from N(0, I) by default.
            num: how many draws for each row of params, a number or a shape.

        Returns:
            z, shape (*num, batch, *event_shape), or of the shape that the noise broadcasts to.

        Raises:
            ValueError: the last axes of params or noise have another shape.
        """
        mu, log_var = self.split(params)
        eps = self.flat(self.noise_for(params, noise, num), "noise")
        return self.shaped(mu + ops.exp(0.5 * log_var) * eps)

    def log_prob(self, value, params=None):
        """Return the log-density, summed over the numbers of a value.

        Args:
            value: tensor of shape (..., *event_shape).
            params: tensor of shape (batch, params_size).

        Returns:
            Log-densities in nats, shape (..., batch) as value and params broadcast.

        Raises:
            ValueError: the last axes of value or params have another shape.
        """
        return log_prob_diagonal(self.flat(value), *self.split(params))

    def mean(self, params=None):
        """Return the means mu, shape (..., *event_shape)."""
        return self.shaped(self.split(params)[0])


@keras.saving.register_keras_serializable(package="vaelib")
class FullNormal(Distribution):
    """The normal N(mu, L L^T) with correlated dimensions; L is lower triangular, its diagonal positive.

    Its parameters are one tensor of shape (batch, 2 n + n (n - 1) / 2) for n = num_values: mu, then the logs of the
    squared diagonal of L, then the numbers of L below the diagonal, row by row. With zeros in the last block it is the
    DiagonalNormal of the first two.
    Source: Kingma and Welling 2019, An Introduction to Variational Autoencoders, section 2.5.1.

    Args:
        event_shape: shape of one value; a number of latent dimensions when it is a posterior.
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Raises:
        ValueError: event_shape holds anything but positive whole numbers.
    """

    def __init__(self, event_shape, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        # Where each number of L stands in the row (0, diagonal, below the diagonal).
        n = self.num_values
        places = np.zeros((n, n), "int32")
        np.fill_diagonal(places, np.arange(1, n + 1))
        rows, columns = np.tril_indices(n, -1)
        places[rows, columns] = n + 1 + np.arange(len(rows))
        self._places = places

    @property
    def params_size(self):
        """Numbers per example that a network must give: 2 n + n (n - 1) / 2 for n = num_values."""
        return 2 * self.num_values + self.num_values * (self.num_values - 1) // 2

    def blocks(self, params):
        """Split the parameters into mu, the logs of the squared diagonal of L, and what stands below the diagonal."""
        params, n = self.checked(params), self.num_values
        return params[..., :n], in_range(params[..., n : 2 * n]), params[..., 2 * n :]

    def split(self, params):
        """Split the parameters into mu and the Cholesky factor L of the covariance.

        Args:
            params: tensor of shape (..., params_size).

        Returns:
            mu of shape (..., num_values) and L of shape (..., num_values, num_values).

        Raises:
            ValueError: the last axis of params has another size.
        """
        mu, log_squares, below = self.blocks(params)
        numbers = ops.concatenate([ops.zeros_like(mu[..., :1]), ops.exp(0.5 * log_squares), below], axis=-1)
        return mu, ops.take(numbers, self._places, axis=-1)

    def sample(self, params=None, noise=None, num=()):
        """Draw z = mu + L eps, so that the gradient flows through mu and L.

        Args:
            params: tensor of shape (batch, params_size).
            noise: eps, shape (..., *event_shape) that broadcasts against the batch; drawn from N(0, I) by default.
            num: how many draws for each row of params, a number or a shape.

        Returns:
            z, shape (*num, batch, *event_shape), or of the shape that the noise broadcasts to.

        Raises:
            ValueError: the last axes of params or noise have another shape.
        """
        mu, cholesky = self.split(params)
        return self.shaped(mu + matvec(cholesky, self.flat(self.noise_for(params, noise, num), "noise")))

    def log_prob(self, value, params=None):
        """Return the log-density.

        Args:
            value: tensor of shape (..., *event_shape).
            params: tensor of shape (batch, params_size).

        Returns:
            Log-densities in nats, shape (..., batch) as value and params broadcast.

        Raises:
            ValueError: the last axes of value or params have another shape.
        """
        value, (mu, cholesky) = self.flat(value), self.split(params)
        # Inverted once per example, however many samples the value brings.
        identity = ops.broadcast_to(ops.eye(self.num_values, dtype=cholesky.dtype), ops.shape(cholesky))
        eps = matvec(ops.solve_triangular(cholesky, identity, lower=True), value - mu)
        return log_prob_diagonal(eps, 0.0, 0.0) - 0.5 * ops.sum(self.blocks(params)[1], axis=-1)

    def mean(self, params=None):
        """Return the means mu, shape (..., *event_shape)."""
        return self.shaped(self.split(params)[0])


@keras.saving.register_keras_serializable(package="vaelib")
class ImplicitPosterior(Distribution):
    """A posterior without a density: z is what a network makes of the encoder's output and of noise.

    Any distribution can be reached, and log q(z|x) is not known: an objective must estimate the ratio of densities.
    Source: Mescheder, Nowozin and Geiger 2017, section 3.

    Args:
        network: keras.Model of two inputs, the encoder's output (batch, params_size) and standard normal noise
            (batch, noise_size), that gives z (batch, latent_dim).
        num_mean_draws: how many fixed draws `mean` averages over.
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Raises:
        ValueError: the network has not two inputs.
    """

    has_density = False

    def __init__(self, network, num_mean_draws=100, seed=None, **kwargs):
        if len(network.inputs) != 2:
            raise ValueError(f"network must have two inputs, params and noise; received {len(network.inputs)}.")
        super().__init__(int(network.outputs[0].shape[-1]), seed=seed, **kwargs)
        self.network = network
        self.num_mean_draws = checks.positive_int("num_mean_draws", num_mean_draws)

    @property
    def params_size(self):
        """Numbers per example that the encoder must give: the size of the network's first input."""
        return int(self.network.inputs[0].shape[-1])

    def noise(self, num=()):
        """Draw standard normal noise for the network, shape (*num, noise_size)."""
        size = int(self.network.inputs[1].shape[-1])
        return keras.random.normal((*as_shape(num), size), seed=self.seed_generator)

    def sample(self, params=None, noise=None, num=()):
        """Draw z = network(params, noise); arguments and shapes as for every Distribution."""
        params, noise = self.checked(params), self.noise_for(params, noise, num)
        lead = ops.shape(noise)[:-1]
        params = ops.broadcast_to(params, (*lead, self.params_size))
        rows = [ops.reshape(tensor, (-1, ops.shape(tensor)[-1])) for tensor in (params, noise)]
        return ops.reshape(self.network(rows), (*lead, self.num_values))

    def log_prob(self, value, params=None):
        """Raise ValueError: there is no density."""
        require_density(self)

    def mean(self, params=None):
        """Estimate the mean of z from fixed draws, the same at each call, shape (batch, latent_dim)."""
        params = self.checked(params)
        size = int(self.network.inputs[1].shape[-1])
        noise = keras.random.normal((self.num_mean_draws, *[1] * (len(params.shape) - 1), size), seed=0)
        noise = ops.broadcast_to(noise, (self.num_mean_draws, *ops.shape(params)[:-1], size))
        return ops.mean(self.sample(params, noise), axis=0)

    def get_config(self):
        config = super().get_config()
        del config["event_shape"]  # the network's output
        network = keras.saving.serialize_keras_object(self.network)
        return {**config, "network": network, "num_mean_draws": self.num_mean_draws}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the dictionary of a network that it builds
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)
