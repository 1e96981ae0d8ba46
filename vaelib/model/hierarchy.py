"""Layers of latents: a chain from the top down, as prior and as posterior.

A value holds all layers side by side on its one axis, the top first.
"""

import copy

import keras
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution, in_range, log_prob_diagonal
from vaelib.model.priors import Prior


class _Layered(Distribution):
    """What distributions over several layers share: where each layer stands, and the networks between them."""

    num_mean_draws = 200  # behind `mean`, which has no closed form

    def by_layer(self, value):
        """Split values (..., num_values) into their layers, the top first: a list of tensors (..., size)."""
        value, start, layers = self.flat(value), 0, []
        for size in self.layer_sizes:
            layers.append(value[..., start : start + size])
            start += size
        return layers

    def layer_log_probs(self, value, params=None):
        """Return the log-probability of each layer given those above it, the top first.

        Args:
            value: tensor of shape (*num, *batch, num_values).
            params: as for `log_prob`.

        Returns:
            Nats, shape (*num, *batch, layers); the sum over the last axis is `log_prob`.
        """
        raise NotImplementedError

    def log_prob(self, value, params=None):
        """Return the log-probability of all layers together, nats; shapes as for every Distribution."""
        return ops.sum(self.layer_log_probs(value, params), axis=-1)

    def mean(self, params=None):
        """Estimate the mean from fixed draws, the same at each call, shape (*batch, num_values)."""
        fixed = type(self).from_config({**self.get_config(), "seed": 0})
        batch = () if self.params_size == 0 else ops.shape(self.checked(params))[:-1]
        return ops.mean(self.sample(params, fixed.noise((self.num_mean_draws, *batch))), axis=0)

    def get_config(self):
        config = super().get_config()
        del config["event_shape"]  # the layers'
        return {**config, "networks": [net and keras.saving.serialize_keras_object(net) for net in self.networks]}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the dictionary of a network that it builds
        networks = [net and keras.saving.deserialize_keras_object(net) for net in config.pop("networks")]
        return cls(networks=networks, **config)


@keras.saving.register_keras_serializable(package="vaelib")
class Chain(_Layered, Prior):
    """The prior p(z_L) p(z_{L-1}|z_L) ... p(z_1|z_2): each layer given the one above it.

    A decoder that reads the lowest layer alone makes the model a deep latent Gaussian model; layers of zeros and ones
    make it a sigmoid belief network.
    Source: Rezende, Mohamed and Wierstra 2014, section 3; Neal 1992.

    Args:
        layers: list of Distributions, the top first: a prior, for example StandardNormal(2), and below it conditionals
            such as DiagonalNormal(8).
        networks: list of keras.Models, one less than layers: each from the layer above, (batch, its num_values), to the
            parameters of the layer below, (batch, its params_size). `dense_decoder` makes one.
        seed: seed of the noise.

    Raises:
        ValueError: two neighbours do not fit (the sentence names both), or layers of different supports.
    """

    def __init__(self, layers, networks, seed=None, **kwargs):
        layers, networks = list(layers), list(networks)
        if len(layers) < 2 or len(networks) != len(layers) - 1:
            raise ValueError(
                "a chain needs at least two layers and one network between each two; "
                f"received {len(layers)} layers and {len(networks)} networks."
            )
        super().__init__(sum(part.num_values for part in layers), seed=seed, **kwargs)
        self.layers, self.networks = layers, networks
        self.layer_sizes = tuple(part.num_values for part in layers)
        _check_neighbours(layers[0].params_size, self.layer_sizes, networks, [part.params_size for part in layers[1:]])
        for part in layers:
            if part.support not in ("real", "binary") or part.support != layers[0].support or not part.has_density:
                raise ValueError(
                    "the layers of a chain must have a density and one support, real or binary; received "
                    + ", ".join(f'{type(each).__name__} ("{each.support}")' for each in layers)
                    + "."
                )
        self.support = layers[0].support
        self.reparameterized = all(part.reparameterized for part in layers)
        # Draws of two layers from one seed would be the same draws.
        for n, part in enumerate(layers):
            start = part.seed if seed is None else seed
            part.seed_generator = keras.random.SeedGenerator(None if start is None else start + n)

    def noise(self, num=()):
        """Draw the noise of each layer, a list with the top first."""
        return [part.noise(num) for part in self.layers]

    def sample(self, params=None, noise=None, num=()):
        """Draw from the top down, shape (*num, num_values)."""
        noise = self.noise_for(params, noise, num)
        drawn = [self._flat_sample(self.layers[0], None, noise[0])]
        for part, network, its_noise in zip(self.layers[1:], self.networks, noise[1:], strict=True):
            drawn.append(self._flat_sample(part, _applied(network, drawn[-1]), its_noise))
        return ops.concatenate(drawn, axis=-1)

    def _flat_sample(self, part, params, noise):
        value = part.sample(params, noise)
        return ops.reshape(value, (*ops.shape(value)[: len(value.shape) - len(part.event_shape)], part.num_values))

    def layer_log_probs(self, value, params=None):
        """Return log p of each layer given the one above it, the top first, nats, shape (..., layers)."""
        values = self.by_layer(value)
        log_probs = [self.layers[0].log_prob(self.layers[0].shaped(values[0]))]
        for part, network, above, below in zip(self.layers[1:], self.networks, values[:-1], values[1:], strict=True):
            log_probs.append(part.log_prob(part.shaped(below), _applied(network, above)))
        return ops.stack(log_probs, axis=-1)

    def get_config(self):
        return {**super().get_config(), "layers": [keras.saving.serialize_keras_object(part) for part in self.layers]}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)
        layers = [keras.saving.deserialize_keras_object(part) for part in config.pop("layers")]
        return super().from_config({**config, "layers": layers})


@keras.saving.register_keras_serializable(package="vaelib")
class TopDown(_Layered):
    """The posterior q(z_L|x) q(z_{L-1}|z_L, x) ...: normal layers, each of what x says and what the layer above says.

    The encoder gives each layer a normal, mu first and then log_var, layer after layer from the top. A network gives
    the layers below the top a second one, from the layer above; the product of the two densities is the layer's own:
    the precisions add up, and the mean is weighted by them. Without networks the layers are independent given x.
    Source: Sønderby et al. 2016, Ladder Variational Autoencoders, where the second normal is the prior's own.

    Args:
        layer_sizes: how many numbers each layer holds, the top first.
        networks: one for each layer below the top: a keras.Model from the layer above, (batch, its size), to mu and
            log_var, (batch, 2 * size), or None for a layer that hears x alone. By default all are None.
        seed: seed of the noise.

    Raises:
        ValueError: a size is not a positive whole number, or two neighbours do not fit (the sentence names both).
    """

    def __init__(self, layer_sizes, networks=None, seed=None, **kwargs):
        sizes = checks.sizes("layer_sizes", layer_sizes)
        networks = [None] * (len(sizes) - 1) if networks is None else list(networks)
        if len(sizes) < 2 or len(networks) != len(sizes) - 1:
            raise ValueError(
                "layer_sizes must hold at least two layers, and networks one entry between each two; "
                f"received {len(sizes)} layers and {len(networks)} networks."
            )
        super().__init__(sum(sizes), seed=seed, **kwargs)
        self.layer_sizes, self.networks = sizes, networks
        _check_neighbours(0, sizes, networks, [2 * size for size in sizes[1:]])

    @property
    def params_size(self):
        """Numbers per example that the encoder must give: mu and log_var of each layer, 2 * num_values."""
        return 2 * self.num_values

    def _own(self, params):
        """Return what the encoder says of each layer, a list of (mu, log_var), the top first."""
        params, start, own = self.checked(params), 0, []
        for size in self.layer_sizes:
            own.append((params[..., start : start + size], in_range(params[..., start + size : start + 2 * size])))
            start += 2 * size
        return own

    def _below(self, n, own, above):
        """Return mu and log_var of layer n >= 1, given the layer above it."""
        if self.networks[n - 1] is None:
            return own
        message, size = _applied(self.networks[n - 1], above), self.layer_sizes[n]
        return merged(own, (message[..., :size], in_range(message[..., size:])))

    def sample_and_log_prob(self, params=None, noise=None, num=()):
        """Draw from the top down, by reparameterisation; shapes as for every Distribution."""
        own = self._own(params)
        each_noise = self.by_layer(self.noise_for(params, noise, num))
        drawn: list = []
        log_prob = 0.0
        for n, eps in enumerate(each_noise):
            mu, log_var = self._below(n, own[n], drawn[-1]) if n else own[0]
            drawn.append(mu + ops.exp(0.5 * log_var) * eps)
            log_prob = log_prob + log_prob_diagonal(drawn[-1], mu, log_var)
        return ops.concatenate(drawn, axis=-1), log_prob

    def layer_log_probs(self, value, params=None):
        """Return log q of each layer given x and the one above it, the top first, nats, shape (..., layers)."""
        values, own = self.by_layer(value), self._own(params)
        normals = [own[0]] + [self._below(n, own[n], values[n - 1]) for n in range(1, len(values))]
        log_probs = [log_prob_diagonal(z, *normal) for z, normal in zip(values, normals, strict=True)]
        return ops.stack(log_probs, axis=-1)

    def get_config(self):
        return {**super().get_config(), "layer_sizes": list(self.layer_sizes)}


def merged(first, second):
    """Return the normal in proportion to the product of two normal densities: what the ladder does at each layer.

    Args:
        first, second: each a pair (mu, log_var) of tensors of shape (..., d).

    Returns:
        The pair (mu, log_var) of shape (..., d): precisions add up, and means are weighted by them.
    """
    (mu_1, log_var_1), (mu_2, log_var_2) = first, second
    share = ops.sigmoid(log_var_2 - log_var_1)  # of the first precision
    return share * mu_1 + (1 - share) * mu_2, -ops.logaddexp(-log_var_1, -log_var_2)


def layer_kls(q, q_params, p, value):
    """Return log q - log p of each layer at samples of q: their means add up to KL(q || p).

    Args:
        q: a TopDown, or what else has `layer_log_probs`.
        q_params: its parameters, shape (batch, q.params_size).
        p: a Chain of the same layer sizes.
        value: samples of q, shape (..., batch, num_values).

    Returns:
        Nats, shape (..., batch, layers), the top first; a mean over samples is the layer's KL given those above it.

    Raises:
        ValueError: q and p have layers of other sizes.
    """
    if q.layer_sizes != p.layer_sizes:
        raise ValueError(
            f"q and p must have the same layers; {type(q).__name__} has the sizes {q.layer_sizes} and "
            f"{type(p).__name__} {p.layer_sizes}, the top first."
        )
    return q.layer_log_probs(value, q_params) - p.layer_log_probs(value)


def _applied(network, z):
    """Return network(z) for z of shape (..., size): its rows as one batch."""
    lead = ops.shape(z)[:-1]
    return ops.reshape(network(ops.reshape(z, (-1, z.shape[-1]))), (*lead, network.outputs[0].shape[-1]))


def _check_neighbours(top_params, sizes, networks, params_sizes):
    if top_params:
        raise ValueError(
            f"layers[0] must be a prior, which no network gives parameters; its params_size is {top_params}."
        )
    for n, (network, params_size) in enumerate(zip(networks, params_sizes, strict=True)):
        if network is None:
            continue
        shape, given = tuple(network.inputs[0].shape[1:]), network.outputs[0].shape[-1]
        if shape != (sizes[n],):
            raise ValueError(
                f"networks[{n}] reads shape {shape}, but layer {n}, above it, has shape {(sizes[n],)}: "
                "they must be equal."
            )
        if given != params_size:
            raise ValueError(
                f"networks[{n}] gives {given} numbers, but layer {n + 1}, below it, needs {params_size}: "
                "they must be equal."
            )
