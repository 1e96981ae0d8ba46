"""Flows: invertible maps whose change of volume is known. `Transformed` pushes a distribution through them."""

import math

import keras
import numpy as np
from keras import ops

from vaelib import checks

# Where w . u starts: softplus(a + SHIFT) - 1 is zero at a = 0, so that a flow of zeros is the identity.
SHIFT = math.log(math.e - 1)
MARGIN = 1e-3  # how far w . u stays above -1: nearer, the rounding of float32 would fold the map
BISECTIONS = 30  # each halves an interval that float32 cannot resolve further
MOST_LOG_SCALE = 3.0  # a step of CouplingFlow and the like stretches a value by at most e^3: no overflow


class Flow(keras.layers.Layer):
    """A map from n numbers to n numbers, with the logarithm of its change of volume.

    `Transformed` builds it for its number of values, and hands in its parameters: an encoder's, or its own.
    """

    num_values: int | None = None  # what it was built for, where its weights fit no other number

    def params_size(self, num_values: int) -> int:
        """Return how many parameters the map takes."""
        raise NotImplementedError(f"{type(self).__name__} must give params_size.")

    def forward(self, z, params):
        """Push z forward.

        Args:
            z: tensor of shape (..., n).
            params: tensor of shape (..., params_size); it broadcasts against z.

        Returns:
            f(z), shape (..., n), and log |det df/dz|, shape (...).
        """
        raise NotImplementedError(f"{type(self).__name__} must give forward.")

    def inverse(self, y, params):
        """Pull y back; arguments as for `forward`.

        Returns:
            z with f(z) = y, shape (..., n), and log |det df/dz| at z, shape (...).
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no inverse, so the density of a given value is unknown. Ask "
            "sample_and_log_prob, which knows the density of what it draws: the ELBO and log_evidence need no more."
        )


@keras.saving.register_keras_serializable(package="vaelib")
class PlanarFlow(Flow):
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
        """Push z forward; params of shape (..., 2 n + 1) are u, w, b."""
        u, w, b, slope = self._split(params, z)
        height = ops.tanh(_dot(w, z) + b)
        return z + u * height[..., None], _log_det(slope, height)

    def inverse(self, y, params):
        """Pull y back.

        f moves z along u alone, so one number is unknown: a = w . z solves a + (w . u) tanh(a + b) = w . y, whose left
        side rises. Bisection finds it; one Newton step from there, whose derivative counts, makes the result
        differentiable in y and in the parameters (by the implicit function theorem).
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


class AffineFlow(Flow):
    """The values stand in groups, and each is scaled and shifted by amounts that the groups before it determine.

    The amounts come from a small tanh network with masked weights of its own. The first group stays as it is, so a
    chain of such flows takes turns with the order (`reverse=True`). A new flow is the identity.

    Args:
        hidden_units: widths of the network's hidden layers; none at all makes it linear.
        context_size: how many numbers of the encoder the network reads as well, so that the map differs from example
            to example; 0 for one map for all.
        reverse: take the values in reverse order.
        seed: seed of the first weights.

    Raises:
        ValueError: hidden_units or context_size is no such number; built for fewer than two values.
    Source: Germain et al. 2015 (the masks); Kingma et al. 2016, section 3 (the encoder's numbers).
    """

    def __init__(self, hidden_units=(32,), context_size=0, reverse=False, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = checks.sizes("hidden_units", hidden_units)
        self.context_size = context_size and checks.positive_int("context_size", context_size)
        self.reverse, self.seed = bool(reverse), seed

    def groups(self, num_values: int) -> np.ndarray:
        """Return the number of each value's group, from 0, shape (num_values,)."""
        raise NotImplementedError(f"{type(self).__name__} must give groups.")

    def params_size(self, num_values):
        return self.context_size

    def build(self, input_shape):
        n = input_shape[-1]
        if n < 2:
            raise ValueError(
                f"{type(self).__name__} moves some values by others, so it needs at least 2; received {n}. "
                "On the line, take PlanarFlow."
            )
        self.num_values, of_values = n, self.groups(n)
        self.num_groups = int(of_values.max()) + 1
        # A hidden unit of group g sees the values of groups up to g, and what it says moves later groups alone.
        before, widths = of_values, [*self.hidden_units, 2 * n]
        self._masks, self._kernels, self._biases = [], [], []
        for layer, width in enumerate(widths):
            last = layer == len(widths) - 1
            after = np.tile(of_values, 2) if last else np.arange(width) % (self.num_groups - 1)
            mask = before[:, None] < after if last else before[:, None] <= after
            self._masks.append(mask.astype("float32"))
            start = "zeros" if last else keras.initializers.GlorotUniform(_next_seed(self.seed, layer))
            self._kernels.append(self.add_weight(name=f"kernel{layer}", shape=mask.shape, initializer=start))
            self._biases.append(self.add_weight(name=f"bias{layer}", shape=(width,), initializer="zeros"))
            before = after
        self._moved = (np.tile(of_values, 2) > 0).astype("float32")
        if self.context_size:
            start = keras.initializers.GlorotUniform(_next_seed(self.seed, len(widths)))
            shape = (self.context_size, widths[0])
            self._context_kernel = self.add_weight(name="context", shape=shape, initializer=start)
        super().build(input_shape)

    def _scale_and_shift(self, z, params):
        """Return the log of each value's scale, and its shift, shapes of z; both are zero in the first group."""
        h = z
        for layer, (kernel, mask, bias) in enumerate(zip(self._kernels, self._masks, self._biases, strict=True)):
            h = ops.dot(h, kernel * ops.cast(mask, kernel.dtype)) + bias
            if layer == 0 and self.context_size:
                h = h + ops.dot(params, self._context_kernel)
            if layer < len(self._kernels) - 1:
                h = ops.tanh(h)
        h = h * ops.cast(self._moved, h.dtype)
        raw, shift = h[..., : z.shape[-1]], h[..., z.shape[-1] :]
        return MOST_LOG_SCALE * ops.tanh(raw / MOST_LOG_SCALE), shift

    def forward(self, z, params):
        z = self._in_order(z)
        log_scale, shift = self._scale_and_shift(z, params)
        return self._in_order(z * ops.exp(log_scale) + shift), ops.sum(log_scale, axis=-1)

    def inverse(self, y, params):
        """Pull y back, group by group: the network runs once for each group but the first, and once more."""
        y = self._in_order(y)
        z = y
        for _ in range(self.num_groups - 1):  # each time one more group is right
            log_scale, shift = self._scale_and_shift(z, params)
            z = (y - shift) * ops.exp(-log_scale)
        return self._in_order(z), ops.sum(self._scale_and_shift(z, params)[0], axis=-1)

    def _in_order(self, values):
        return ops.flip(values, axis=-1) if self.reverse else values

    def get_config(self):
        mine = {"context_size": self.context_size, "reverse": self.reverse, "seed": self.seed}
        return {**super().get_config(), "hidden_units": list(self.hidden_units), **mine}


@keras.saving.register_keras_serializable(package="vaelib")
class CouplingFlow(AffineFlow):
    """The first half of the values scales and shifts the second, and stays: as cheap backwards as forwards.

    A middle one counts as second, so that two in opposite order move every value.

    Arguments as for AffineFlow.
    Source: Dinh, Sohl-Dickstein and Bengio 2017 (RealNVP), equations 4 to 8.
    """

    def groups(self, num_values):
        return (np.arange(num_values) >= num_values // 2).astype(int)


@keras.saving.register_keras_serializable(package="vaelib")
class InverseAutoregressiveFlow(AffineFlow):
    """Each value is scaled and shifted by those before it: one pass to sample, n to ask for a given value's density.

    Arguments as for AffineFlow.
    Source: Kingma et al. 2016, equations 8 to 10, with exp(s) for the scale.
    """

    def groups(self, num_values):
        return np.arange(num_values)


def _next_seed(seed, layer):
    return None if seed is None else seed + layer
