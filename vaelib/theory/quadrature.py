"""Nodes and weights: integrals as sums.

For smooth functions that vanish at both ends the trapezoid rule on even nodes converges geometrically; Trefethen and
Weideman (2014), SIAM Review 56.
"""

import itertools

import numpy as np

from vaelib import checks
from vaelib.theory import gaussian


def even_grid(low, high, step):
    """Return evenly spaced nodes from low to high, at most a step apart; ValueError for more than ten million."""
    low, high = checks.finite_float("low", low), checks.finite_float("high", high)
    step = checks.positive_float("step", checks.finite_float("step", step))
    if not low < high or (high - low) / step > 1e7:
        raise ValueError(
            f"low must lie below high, ten million steps at most; received {low:g}, {high:g} and {step:g}."
        )
    return np.linspace(low, high, int(np.ceil((high - low) / step)) + 1)


def trapezoid_weights(x):
    """Return the trapezoid rule's weights of increasing nodes x, shape (n,): ∫ f dx ≈ weights @ f(x)."""
    x = checks.real_array("x", x)
    if x.ndim != 1 or len(x) < 2:
        raise ValueError(f"x must have shape (n,) with n >= 2; received {x.shape}.")
    weights = checks.representable("x", np.gradient(x))
    weights[[0, -1]] *= 0.5
    return weights


def normal_trapezoid(eps):
    """Return weights of evenly spaced nodes eps for expectations under N(0, 1): E[f(ε)] ≈ weights @ f(eps).

    Args:
        eps: shape (n,), wide enough that the density vanishes at both ends.
    """
    return np.exp(gaussian.log_prob_normal(eps, 0.0, 0.0)) * (eps[1] - eps[0])


def gauss_hermite(num_dims, points_per_dim):
    """Return nodes and weights for expectations under N(0, I) in several dimensions.

    Returns:
        (eps, shape (points_per_dim ** num_dims, num_dims), and weights that sum to 1).
    Source: Gauss–Hermite quadrature; exact for polynomials of degree below 2 points_per_dim along each dimension.
    """
    num_dims = checks.positive_int("num_dims", num_dims)
    points_per_dim = checks.positive_int("points_per_dim", points_per_dim)
    node, weight = np.polynomial.hermite_e.hermegauss(points_per_dim)
    weight = weight / weight.sum()
    eps = np.array(list(itertools.product(node, repeat=num_dims)))
    return eps, np.prod(list(itertools.product(weight, repeat=num_dims)), axis=-1)
