"""Counts on exact ground: the negative binomial as a mixture of Poisson laws, and cells whose types are known."""

from typing import NamedTuple

import numpy as np
from scipy import integrate, special

from vaelib import checks


def log_negative_binomial(x, mean, theta):
    """Return the log-probability of counts with mean μ and variance μ + μ²/θ, nats.

    Args:
        x: counts.
        mean: μ, above 0.
        theta: θ, the dispersion, above 0: the larger, the nearer to Poisson.
    Returns:
        Nats, of the shape that the three broadcast to.
    Raises:
        ValueError: something else than counts, or a parameter that is not above 0.
    """
    x = checks.counts("x", x)
    mean, theta = checks.positive_array("mean", mean), checks.positive_array("theta", theta)
    checks.common_shape(x=x, mean=mean, theta=theta)
    more = np.log1p(mean / theta)
    rising = special.gammaln(x + theta) - special.gammaln(theta) - special.gammaln(x + 1)
    return rising - theta * more + x * (np.log(mean / theta) - more)


def poisson_gamma(x, mean, theta):
    """Return the probability of one count as ∫ Poisson(x; λ) Gamma(λ; θ, scale μ/θ) dλ, by quadrature.

    Args:
        x: one count. mean, theta: each one number above 0.
    Raises:
        ValueError: as `log_negative_binomial`.
    """
    x = float(checks.counts("x", x))
    mean, theta = checks.positive_float("mean", mean), checks.positive_float("theta", theta)
    scale = mean / theta

    def log_weight(t):  # in t = log λ, where the integrand is smooth and falls off on both sides
        log_gamma = theta * (t - np.log(scale)) - np.exp(t) / scale - special.gammaln(theta)
        return log_gamma + x * t - np.exp(t) - special.gammaln(x + 1)

    peak = np.log((x + theta) / (1 + 1 / scale))
    top = log_weight(peak)
    width = 1 / np.sqrt(x + theta)
    shape = lambda t: np.exp(log_weight(t) - top)  # noqa: E731
    reach = 12 * width + 40 / (x + theta)
    inside = integrate.quad(shape, peak - reach, peak, epsabs=0, epsrel=1e-12, limit=400)[0]
    inside += integrate.quad(shape, peak, peak + 12 * width + 4, epsabs=0, epsrel=1e-12, limit=400)[0]
    return float(np.exp(top) * inside)


def log_binned_normal(x, mean, std):
    """Return the log-probability of counts by a normal law of log(1 + x): its mass from x - ½ to x + ½, nats.

    All that lies below ½ is the mass of 0. Such masses add up to 1, as those of any law of counts do; the density at
    x, with the Jacobian 1/(1 + x), need not.

    Args:
        x: counts.
        mean, std: of the normal law of log(1 + x); std above 0.
    Returns:
        Nats, of the shape that the three broadcast to.
    Raises:
        ValueError: something else than counts, or a deviation that is not above 0.
    """
    x, mean, std = checks.counts("x", x), checks.real_array("mean", mean), checks.positive_array("std", std)
    checks.common_shape(x=x, mean=mean, std=std)
    high = (np.log1p(x + 0.5) - mean) / std
    low = np.where(x == 0, -np.inf, (np.log1p(np.maximum(x - 0.5, 0)) - mean) / std)
    # In the upper tail both are near 1: by symmetry they are taken from the lower one.
    low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
    log_high = special.log_ndtr(high)
    return log_high + np.log(-np.expm1(np.minimum(special.log_ndtr(low) - log_high, -1e-300)))


def zero_inflated_zero(share, mean, theta):
    """Return the probability of 0 where a share π of the entries is 0 for another reason: π + (1 − π)(θ/(θ + μ))^θ.

    Args:
        share: π, from 0 to 1. mean, theta: as `log_negative_binomial`.
    Source: Lopez et al. (2018), methods.
    """
    share = checks.real_array("share", share)
    if np.any(share < 0) or np.any(share > 1):
        raise ValueError(f"share must lie from 0 to 1; received {share}.")
    return share + (1 - share) * np.exp(log_negative_binomial(0, mean, theta))


class Cells(NamedTuple):
    """Simulated cells, and the truth behind them.

    Attributes:
        x: counts, shape (cells, genes), float32.
        kinds: the type of each cell, 0, 1 or 2.
        batches: the batch of each cell, 0 or 1.
        log_means: the log of the mean of each count, shape (cells, genes).
        theta: the dispersion of each gene, shape (genes,).
    """

    x: np.ndarray
    kinds: np.ndarray
    batches: np.ndarray
    log_means: np.ndarray
    theta: np.ndarray

    def log_prob(self):
        """log p(x|the truth) of each cell, nats, shape (cells,)."""
        return log_negative_binomial(self.x, np.exp(self.log_means), self.theta).sum(axis=1)


def simulate_cells(num_cells, num_genes, rng, num_kinds=3, apart=0.6, between_batches=0.8, theta=2.0):
    """Draw cells of several types, from two batches which shift every gene.

    Each type has its own level for every gene; within a type cells differ along one direction more, as they do when
    they age. Counts are negative binomial.

    Args:
        num_cells, num_genes, num_kinds: how many.
        rng: a numpy.random.Generator.
        apart: standard deviation, over genes, of the types' log-levels.
        between_batches: the same for the batches' shifts.
        theta: the dispersion around which the genes' lie.
    Returns:
        Cells.
    Raises:
        ValueError: a number that is not positive.
    """
    num_cells, num_genes = checks.positive_int("num_cells", num_cells), checks.positive_int("num_genes", num_genes)
    num_kinds = checks.positive_int("num_kinds", num_kinds)
    apart, theta = checks.positive_float("apart", apart), checks.positive_float("theta", theta)
    between_batches = checks.positive_float("between_batches", between_batches)
    base = rng.normal(1.0, 1.0, num_genes)
    levels = apart * rng.normal(size=(num_kinds, num_genes))
    shifts = between_batches * rng.normal(size=(2, num_genes))
    along = 0.3 * rng.normal(size=num_genes)
    kinds, batches = rng.integers(num_kinds, size=num_cells), rng.integers(2, size=num_cells)
    log_means = base + levels[kinds] + shifts[batches] + rng.normal(size=(num_cells, 1)) * along
    theta = theta * np.exp(0.3 * rng.normal(size=num_genes))
    rates = rng.gamma(theta, np.exp(log_means) / theta)
    return Cells(rng.poisson(rates).astype("float32"), kinds, batches, log_means, theta)


def adjusted_rand_index(first, second):
    """Return how well two groupings of the same rows agree: 1 for the same, 0 on average for independent ones.

    Args:
        first, second: the group of each row, whole numbers, shape (n,), n >= 2.
    Raises:
        ValueError: other shapes.
    Source: Hubert & Arabie (1985).
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(f"first and second must have shape (n,), n >= 2; received {first.shape} and {second.shape}.")
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    pairs = lambda counts: special.comb(counts, 2).sum()  # noqa: E731
    both, in_first, in_second = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = in_first * in_second / special.comb(len(first), 2)
    most = (in_first + in_second) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))
