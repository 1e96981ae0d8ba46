"""Normalising flows: a simple distribution, pushed through invertible maps whose change of volume is known."""

import copy
import math

import keras
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution

# Where w . u starts: softplus(a + SHIFT) - 1 is zero at a = 0, so that a flow of zeros is the identity.
SHIFT = math.log(math.e - 1)
MARGIN = 1e-3  # how far w . u stays above -1: nearer, the rounding of float32 would fold the map
BISECTIONS = 30  # each halves an interval that float32 cannot resolve further


@keras.saving.register_keras_serializable(package="vaelib")
class PlanarFlow(keras.layers.Layer):
    """The map f(z) = z + u tanh(w . z + b), which bends space along one direction.

    It has no weights: u, w and b are its parameters, which `Transformed` hands in, an encoder's or its own. u is
    replaced by the nearest vector along w with w . u > -1, without which the map folds and has no inverse; zeros give
    the identity.
    Source: Rezende and Mohamed 2015, equations 10 to 12 and appendix A.1.
    """

    def params_size(self, num_values: int) -> int:
        """Return how many numbers the map has: u, w and b."""
        return 2 * num_values + 1

    def forward(self, z, params):
        """Push z forward.

        Args:
            z: tensor of shape (..., n).
            params: tensor of shape (..., 2 n + 1): u, w, b; it broadcasts against z.

        Returns:
            f(z), shape (..., n), and log |det df/dz|, shape (...).
        """
        u, w, b, slope = self._split(params, z)
        height = ops.tanh(_dot(w, z) + b)
        return z + u * height[..., None], _log_det(slope, height)

    def inverse(self, y, params):
        """Pull y back; arguments as for `forward`.

        f moves z along u alone, so one number is unknown: a = w . z solves a + (w . u) tanh(a + b) = w . y, whose left
        side rises. Bisection finds it; one Newton step from there, whose derivative counts, makes the result
        differentiable in y and in the parameters (by the implicit function theorem).

        Returns:
            z with f(z) = y, shape (..., n), and log |det df/dz| at z, shape (...).
        """
        u, w, b, slope = self._split(params, y)
        target = _dot(w, y)
        known = [ops.stop_gradient(tensor) for tensor in (slope, target, b)]
        a = ops.stop_gradient(_bisect(*known))
        height = ops.tanh(a + b)
        step = (a + slope * height - target) / ops.stop_gradient(1.0 + slope * (1.0 - ops.square(height)))
        height = ops.tanh(a - step + b)
        return y - u * height[..., None], _log_det(slope, height)

    def _split(self, params, z):
        """Return u, w, b and w . u, which is not computed from u again: rounding could take it below -1."""
        n = z.shape[-1]
        u, w, b = params[..., :n], params[..., n : 2 * n], params[..., 2 * n]
        given = _dot(w, u)
        slope = ops.maximum(ops.softplus(given + SHIFT), MARGIN) - 1.0
        return u + ((slope - given) / (_dot(w, w) + 1e-10))[..., None] * w, w, b, slope


def _dot(left, right):
    return ops.sum(left * right, axis=-1)


def _log_det(slope, height):
    return ops.log1p(slope * (1.0 - ops.square(height)))


def _bisect(slope, target, b):
    """Solve a + slope * tanh(a + b) = target, whose left side rises in a: |a - target| is at most |slope|."""
    start = target - ops.abs(slope), target + ops.abs(slope), slope, target, b
    # A loop of the program: written out, XLA takes five times as long to compile it.
    low, high, *_ = ops.fori_loop(0, BISECTIONS, _halve, start)
    return 0.5 * (low + high)


def _halve(_, state):
    # One function with all it needs in the state: JAX compiles a loop anew for each new function.
    low, high, slope, target, b = state
    middle = 0.5 * (low + high)
    above = middle + slope * ops.tanh(middle + b) > target
    return ops.where(above, low, middle), ops.where(above, middle, high), slope, target, b


@keras.saving.register_keras_serializable(package="vaelib")
class Transformed(Distribution):
    """A base distribution pushed through a chain of flows: a posterior, or a prior.

    Over a base that reads a network's output, as a DiagonalNormal does, the flows read it too, behind the base's part:
    then the map differs from example to example. Over a base without parameters, as StandardNormal, the flows' numbers
    are weights of this part and train with the networks.
    Source: Rezende and Mohamed 2015, equations 6 and 7.

    Args:
        base: the Distribution to start from.
        flows: list of flows, for example [PlanarFlow(), PlanarFlow()], applied in this order.
        num_mean_draws: how many fixed draws `mean` averages over: a flow has no closed form for it.
        seed: seed of the first weights.

    Raises:
        ValueError: flows is empty, or the base has no density.
    """

    def __init__(self, base, flows, num_mean_draws=500, seed=None, **kwargs):
        super().__init__(base.event_shape, seed=seed, **kwargs)
        if not flows:
            raise ValueError("flows must hold at least one flow, for example [PlanarFlow()]; received none.")
        if not base.has_density or base.support != "real":
            raise ValueError(f"base must have a density over real numbers; {type(base).__name__} has none.")
        self.base, self.flows = base, list(flows)
        self.num_mean_draws = checks.positive_int("num_mean_draws", num_mean_draws)
        self.reparameterized = base.reparameterized
        self._sizes = [flow.params_size(self.num_values) for flow in self.flows]
        if base.params_size == 0:
            start = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
            self.flow_params = self.add_weight(name="flow_params", shape=(sum(self._sizes),), initializer=start)

    @property
    def params_size(self):
        """Numbers per example that a network must give: the base's, then the flows'; 0 over a base that needs none."""
        return self.base.params_size and self.base.params_size + sum(self._sizes)

    def _split(self, params):
        """Return the base's parameters and a list of the flows'."""
        if self.base.params_size == 0:
            base_params, rest = None, ops.convert_to_tensor(self.flow_params)
        else:
            params = self.checked(params)
            base_params, rest = params[..., : self.base.params_size], params[..., self.base.params_size :]
        each, start = [], 0
        for size in self._sizes:
            each.append(rest[..., start : start + size])
            start += size
        return base_params, each

    def noise(self, num=()):
        """Draw the base's noise."""
        return self.base.noise(num)

    def sample_and_log_prob(self, params=None, noise=None, num=()):
        """Draw from the base and push forward; the log-density follows by the change of variables."""
        base_params, flow_params = self._split(params)
        value, log_prob = self.base.sample_and_log_prob(base_params, self.noise_for(params, noise, num))
        z = self.flat(value)
        for flow, its_params in zip(self.flows, flow_params, strict=True):
            z, log_det = flow.forward(z, its_params)
            log_prob = log_prob - log_det
        return self.shaped(z), log_prob

    def log_prob(self, value, params=None):
        """Pull a value back through the flows, and return its log-density in nats; shapes as for every Distribution."""
        base_params, flow_params = self._split(params)
        z, change = self.flat(value), 0.0
        for flow, its_params in zip(reversed(self.flows), reversed(flow_params), strict=True):
            z, log_det = flow.inverse(z, its_params)
            change = change + log_det
        return self.base.log_prob(self.shaped(z), base_params) - change

    def mean(self, params=None):
        """Estimate the mean from fixed draws, the same at each call, shape (*batch, *event_shape)."""
        base = type(self.base).from_config({**self.base.get_config(), "seed": 0})
        batch = () if self.params_size == 0 else ops.shape(self.checked(params))[:-1]
        return ops.mean(self.sample(params, base.noise((self.num_mean_draws, *batch))), axis=0)

    def get_config(self):
        config = super().get_config()
        del config["event_shape"]  # the base's
        parts = {
            "base": keras.saving.serialize_keras_object(self.base),
            "flows": [keras.saving.serialize_keras_object(flow) for flow in self.flows],
        }
        return {**config, **parts, "num_mean_draws": self.num_mean_draws}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)
        base = keras.saving.deserialize_keras_object(config.pop("base"))
        flows = [keras.saving.deserialize_keras_object(flow) for flow in config.pop("flows")]
        return cls(base, flows, **config)
