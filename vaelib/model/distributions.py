"""What a distribution is: posterior, likelihood and prior are roles that one kind of thing plays.

A conditional p(z1|z2) is all three at once, so there is one base class. Beside it stand the register of closed-form KL
divergences and the log-density that every normal needs.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from vaelib import checks

LOG_2PI = math.log(2 * math.pi)
# A variance beyond it, and what is divided by it, leave the range of a 32-bit float: inf times 0 is NaN.
LOG_VAR_LIMIT = 80.0

Tensor = Any  # a tensor of the backend at hand, or an array that becomes one
Shape = tuple[int, ...]


class Distribution(keras.layers.Layer):
    """A distribution over values of one shape, whose parameters a network gives, or that has weights of its own.

    A subclass gives `params_size`, `sample`, `log_prob` and `mean`, and where they differ from what stands here
    `noise`, `support`, `reparameterized` and `has_density`. One that knows log q only of what it draws gives
    `sample_and_log_prob` instead. A value has shape (*num, *batch, *event_shape), parameters (*batch, params_size), a
    log-probability (*num, *batch).

    Args:
        event_shape: shape of one value, for example 2 (two latent dimensions) or (28, 28) (an image).
        seed: seed of the noise; the layer holds a generator, so that each call draws fresh noise.

    Attributes:
        support: where values lie: "real", "unit" (between 0 and 1), "binary" (0 or 1), "one-hot", "count" (0, 1, 2
            and so on) or "code" (the vectors of a code book).
        reparameterized: whether a sample is a differentiable function of the parameters and the noise.
        has_density: whether `log_prob` exists; without it a distribution can be sampled and nothing else.

    Raises:
        ValueError: event_shape holds anything but positive whole numbers.
    """

    support = "real"
    reparameterized = True
    has_density = True

    def __init__(self, event_shape: int | Shape, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.event_shape = checks.data_shape("event_shape", event_shape)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    @property
    def num_values(self) -> int:
        """How many numbers one value holds."""
        return math.prod(self.event_shape)

    @property
    def data_support(self) -> str:
        """Where data must lie to be fitted: the support, unless only a part of it can be reached."""
        return self.support

    @property
    def metrics(self) -> list:
        """None: a network inside that was compiled by itself would report its own "loss" in the model's place."""
        return []

    @property
    def params_size(self) -> int:
        """How many numbers per example a network must give; 0 for a distribution that has weights of its own."""
        raise NotImplementedError

    def noise(self, num: int | Shape = ()) -> Any:
        """Draw the noise behind samples: here independent standard normals.

        Args:
            num: how many draws, a number or a shape.

        Returns:
            A tensor of shape (*num, *event_shape), or whatever pytree of tensors the class draws from.
        """
        return keras.random.normal((*as_shape(num), *self.event_shape), seed=self.seed_generator)

    def sample(self, params: Tensor = None, noise: Any = None, num: int | Shape = ()) -> Tensor:
        """Draw values.

        Args:
            params: what the network gave, shape (*batch, params_size); nothing where params_size is 0.
            noise: what `noise` returns, with leading axes (*num, *batch); drawn by default. Given noise makes a sample
                a function of the parameters.
            num: how many draws for each row of params, a number or a shape.

        Returns:
            Values, shape (*num, *batch, *event_shape).
        """
        return self.sample_and_log_prob(params, noise, num)[0]

    def sample_and_log_prob(
        self, params: Tensor = None, noise: Any = None, num: int | Shape = ()
    ) -> tuple[Tensor, Tensor]:
        """Draw values together with their log-probability, in one pass; arguments as for `sample`.

        Returns:
            Values, shape (*num, *batch, *event_shape), and their log-probabilities in nats, shape (*num, *batch).
        """
        if type(self).sample is Distribution.sample:  # each would call the other for ever
            raise NotImplementedError(f"{type(self).__name__} must give sample or sample_and_log_prob.")
        value = self.sample(params, noise, num)
        return value, self.log_prob(value, params)

    def log_prob(self, value: Tensor, params: Tensor = None) -> Tensor:
        """Return the log-probability of a value, summed over its numbers.

        Args:
            value: tensor of shape (*num, *batch, *event_shape).
            params: what the network gave, shape (*batch, params_size); nothing where params_size is 0.

        Returns:
            Nats, of the shape that the leading axes of value and params broadcast to.

        Raises:
            ValueError: the last axes of value or params have another shape.
        """
        raise NotImplementedError

    def mean(self, params: Tensor = None) -> Tensor:
        """Return the mean, shape (*batch, *event_shape)."""
        raise NotImplementedError

    def connect(self, encoder: keras.Model, posterior: "Distribution") -> None:
        """Receive the encoder and the posterior of the VAE that holds this as its prior; most priors need neither."""

    def check(self, x: Any, name: str = "x") -> np.ndarray:
        """Check data before they are used.

        Args:
            x: an array, or what NumPy makes one of.
            name: what to call it in an error.

        Returns:
            A float32 array of shape (n, *event_shape).

        Raises:
            ValueError: a wrong shape, no example, NaN; and for a bounded support integers or numbers out of it.
        """
        x = checks.batch(name, x, self.event_shape)
        self._check_range(x, name, self.data_support)
        return x.astype("float32", copy=False)

    def _check_range(self, x, name, support):
        if support in ("real", "code"):
            return
        low, high = x.min(), x.max()
        advice = " Divide by 255." if 1 < high <= 255 and low >= 0 else " Rescale it."
        if x.dtype.kind != "f":
            raise ValueError(
                f"{name} must hold floating-point numbers in [0, 1] for a {type(self).__name__} likelihood; "
                f"received dtype {x.dtype} with values from {low} to {high}."
                + (advice if high > 1 or low < 0 else f" Call {name}.astype('float32').")
            )
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} must be scaled to [0, 1] for a {type(self).__name__} likelihood; "
                f"received values from {low:g} to {high:g}.{advice}"
            )

    # What subclasses are written with ---------------------------------------------------------------------------------

    def flat(self, value: Tensor, name: str = "value") -> Tensor:
        """Return values as a tensor of shape (..., num_values); an array's numbers are checked against the support.

        Raises:
            ValueError: the last axes are not event_shape, or a number cannot come from this distribution.
        """
        if isinstance(value, np.ndarray) and value.size:
            if not np.isfinite(value).all():
                raise ValueError(f"{name} must be finite; it holds NaN or infinity.")
            self._check_range(value, name, self.support)
        value = ops.convert_to_tensor(value)
        if self.support not in ("real", "count", "code") and not keras.backend.is_float_dtype(
            value.dtype
        ):  # a tensor's values may be unknown
            raise ValueError(f"{name} must hold floating-point numbers in [0, 1]; received a tensor of {value.dtype}.")
        value, rank = as_floats(value), len(self.event_shape)
        if len(value.shape) < rank or tuple(value.shape[-rank:]) != self.event_shape:
            expected = ", ".join(["...", *map(str, self.event_shape)])
            raise ValueError(
                f"{name} must have shape ({expected}), event_shape of {self.name} on its last axes; "
                f"received {tuple(value.shape)}."
            )
        if rank == 1:
            return value
        return ops.reshape(value, (*ops.shape(value)[:-rank], self.num_values))

    def shaped(self, values: Tensor) -> Tensor:
        """Return the numbers on the last axis as values, shape (..., *event_shape)."""
        if len(self.event_shape) == 1:
            return values
        return ops.reshape(values, (*ops.shape(values)[:-1], *self.event_shape))

    def checked(self, params: Tensor) -> Tensor:
        """Return params as a tensor of floats, or raise ValueError when its last axis is not params_size."""
        if params is None:
            raise ValueError(f"{self.name} needs params of shape (..., {self.params_size}); received None.")
        params = as_floats(params)
        checks.trailing_size("params", params, self.params_size, f"params_size of {self.name}")
        return params

    def noise_for(self, params: Tensor, noise: Any, num: int | Shape) -> Any:
        """Return the noise that was given, or fresh noise for every row of params, num times."""
        if noise is not None:
            return noise
        batch = () if self.params_size == 0 else ops.shape(params)[:-1]
        return self.noise((*as_shape(num), *batch))

    def get_config(self):
        return {**super().get_config(), "event_shape": self.event_shape, "seed": self.seed}


def as_floats(values: Any) -> Tensor:
    """Return values as a tensor of Keras's float type: NumPy's own floats are twice as wide and would not mix."""
    return ops.convert_to_tensor(values, dtype=keras.config.floatx())


def in_full(outputs: Tensor) -> Tensor:
    """Return what a network says in full precision, which log-densities and sums over pixels need.

    Under a policy of `keras.mixed_precision` a network computes in 16 bits; everything after it does not.
    """
    half = keras.backend.standardize_dtype(outputs.dtype) in ("float16", "bfloat16")
    return ops.cast(outputs, keras.config.floatx()) if half else outputs


def as_shape(num: int | Shape) -> Shape:
    """Return a number or a shape as a shape; its entries may be tensors, where a size is not yet known."""
    return tuple(num) if isinstance(num, (tuple, list)) else (num,)


def in_range(log_var: Tensor) -> Tensor:
    """Return log-variances held within ±LOG_VAR_LIMIT: standard deviations from 4e-18 to 2e17."""
    return ops.clip(log_var, -LOG_VAR_LIMIT, LOG_VAR_LIMIT)


def matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return the product of matrices (..., d, d) and vectors (..., d), shape (..., d)."""
    return ops.matmul(matrix, vector[..., None])[..., 0]


def log_prob_diagonal(x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """Return the log-density of independent normals, summed over the last axis.

    Args:
        x: tensor of shape (..., d).
        mu: means, a tensor that broadcasts against x.
        log_var: log of the variances, a tensor that broadcasts against x.

    Returns:
        Log-densities in nats, shape (...).
    """
    x, mu, log_var = as_floats(x), as_floats(mu), as_floats(log_var)
    # The distance is scaled before it is squared: its square can leave the range of a float where theirs does not.
    return -0.5 * ops.sum(LOG_2PI + log_var + ops.square((x - mu) * ops.exp(-0.5 * log_var)), axis=-1)


# KL divergences -------------------------------------------------------------------------------------------------------

_CLOSED_FORMS: dict[tuple[type, type], Callable] = {}


def register_kl(kind_q: type, kind_p: type) -> Callable:
    """Register a closed form of KL(q || p) for exactly these two classes; a decorator.

    A subclass does not inherit it: whoever changes how a distribution samples or what its density is changes its KL.

    Args:
        kind_q: the class of q.
        kind_p: the class of p.

    Returns:
        The decorator of a function of (q, q_params, p, p_params) that returns nats, shape (batch,).
    """

    def register(function):
        _CLOSED_FORMS[kind_q, kind_p] = function
        return function

    return register


def closed_form_kl(q: Distribution, p: Distribution) -> Callable | None:
    """Return the closed form that is registered for exactly the classes of q and p, or None."""
    return _CLOSED_FORMS.get((type(q), type(p)))


def kl_divergence(
    q: Distribution,
    q_params: Tensor,
    p: Distribution,
    p_params: Tensor = None,
    z: Tensor = None,
    log_q: Tensor = None,
) -> Tensor:
    """Return KL(q || p) in closed form where one is registered, else its estimate log q(z) - log p(z) at a sample.

    Args:
        q: the distribution that z comes from.
        q_params: its parameters, shape (batch, q.params_size).
        p: the distribution it is compared with.
        p_params: its parameters, shape (batch, p.params_size); nothing for a prior.
        z: samples of q, shape (..., *event_shape); drawn by default. Not used by a closed form.
        log_q: log q(z) where it is known already.

    Returns:
        Nats, one value per example, shape (batch,), or (..., batch) as z. The estimate is unbiased and at times
        negative.

    Raises:
        ValueError: q or p has no density.
    """
    closed_form = closed_form_kl(q, p)
    if closed_form is not None:
        return closed_form(q, q_params, p, p_params)
    require_density(q)
    require_density(p)
    if z is None:
        z, log_q = q.sample_and_log_prob(q_params)
    elif log_q is None:
        log_q = q.log_prob(z, q_params)
    return log_q - p.log_prob(z, p_params)


def require_path(distribution: Distribution) -> None:
    """Raise ValueError, with its name, when no gradient flows through a distribution's samples."""
    if not distribution.reparameterized:
        raise ValueError(
            f"{type(distribution).__name__} is not reparameterised: no gradient flows through its samples. Train it "
            "with ScoreFunction, VIMCO, GumbelSoftmax or StraightThrough, a CodeBook with VectorQuantised."
        )


def require_density(distribution: Distribution) -> None:
    """Raise ValueError, with its name, when a distribution can be sampled only."""
    if not distribution.has_density:
        raise ValueError(
            f"{type(distribution).__name__} has no density: it can be sampled and nothing else. "
            "Train it with an objective that estimates the density ratio, for example AdversarialELBO."
        )
