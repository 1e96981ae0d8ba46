"""A distribution pushed through flows: the change of variables."""

import copy

import keras
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution
from vaelib.model.flows import Flow


@keras.saving.register_keras_serializable(package="vaelib")
class Transformed(Distribution):
    """A base distribution pushed through a chain of flows: a posterior, or a prior.

    Over a base that reads a network's output, as a DiagonalNormal does, the flows read it too, behind the base's part:
    then the map differs from example to example. Over a base without parameters, as StandardNormal, the flows' numbers
    are weights of this part and train with the networks. A flow may have weights of its own besides, as a CouplingFlow.
    Source: Rezende and Mohamed 2015, equations 6 and 7.

    Args:
        base: the Distribution to start from.
        flows: list of flows, for example [PlanarFlow(), PlanarFlow()], applied in this order.
        num_mean_draws: how many fixed draws `mean` averages over: a flow has no closed form for it.
        seed: seed of the first weights.

    Raises:
        ValueError: flows is empty or holds what is no flow, one was built for another number of values, or the base
            has no density.
    """

    def __init__(self, base, flows, num_mean_draws=500, seed=None, **kwargs):
        super().__init__(base.event_shape, seed=seed, **kwargs)
        if not flows:
            raise ValueError("flows must hold at least one flow, for example [PlanarFlow()]; received none.")
        strange = [type(flow).__name__ for flow in flows if not isinstance(flow, Flow)]
        if strange:
            raise ValueError(f"flows must hold flows alone, for example [PlanarFlow()]; received {', '.join(strange)}.")
        if not base.has_density or base.support != "real":
            raise ValueError(f"base must have a density over real numbers; {type(base).__name__} has none.")
        self.base, self.flows = base, list(flows)
        self.num_mean_draws = checks.positive_int("num_mean_draws", num_mean_draws)
        self.reparameterized = base.reparameterized
        for flow in self.flows:
            if not flow.built:  # as one is that was saved and comes back
                flow.build((None, self.num_values))
            elif flow.num_values not in (None, self.num_values):
                raise ValueError(
                    f"each flow must be over as many values as the base, {self.num_values}; {type(flow).__name__} was "
                    f"built for {flow.num_values}. Make a new one: Transformed builds it for the base."
                )
        self._sizes = [flow.params_size(self.num_values) for flow in self.flows]
        if base.params_size == 0 and sum(self._sizes) > 0:
            start = keras.initializers.RandomNormal(stddev=0.1, seed=seed)
            self.flow_params = self.add_weight(name="flow_params", shape=(sum(self._sizes),), initializer=start)

    @property
    def params_size(self):
        """Numbers per example that a network must give: the base's, then the flows'; 0 over a base that needs none."""
        return self.base.params_size and self.base.params_size + sum(self._sizes)

    def _split(self, params):
        """Return the base's parameters and a list of the flows'."""
        if self.base.params_size == 0:
            base_params, rest = None, ops.convert_to_tensor(self.flow_params) if sum(self._sizes) else ops.zeros(0)
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
