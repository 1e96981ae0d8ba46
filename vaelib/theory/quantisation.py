"""Code books on exact ground: k-means steps, the best quantisers of a normal, and what codes say of themselves.

Points have shape (n, d) and may carry weights; codes have shape (K, d).
"""

import numpy as np
from scipy import optimize, stats

from vaelib import checks


def nearest(x, codes):
    """Return the number of the nearest code of each point, shape (n,).

    Args:
        x: points, shape (n, d).
        codes: shape (K, d).
    Raises:
        ValueError: shapes that do not fit.
    """
    x, codes = _points(x, codes)
    return np.argmin(((x[:, None] - codes) ** 2).sum(axis=-1), axis=1)


def distortion(x, codes, weights=None):
    """Return the mean squared distance of points from their nearest codes; arguments as `lloyd_step`."""
    x, codes = _points(x, codes)
    squares = ((x[:, None] - codes) ** 2).sum(axis=-1).min(axis=1)
    return float(np.average(squares, weights=_weights(weights, len(x))))


def lloyd_step(x, codes, weights=None):
    """Return the codes after one step of k-means: each the mean of its points; one without points stays.

    Args:
        x: points, shape (n, d).
        codes: shape (K, d).
        weights: of the points, shape (n,), above 0; all alike by default.
    Raises:
        ValueError: shapes that do not fit, or a weight that is not above 0.
    Source: Lloyd (1982).
    """
    x, codes = _points(x, codes)
    share, sums = _sums(x, codes, _weights(weights, len(x)))
    return np.where(share[:, None] > 0, sums / np.maximum(share, 1e-300)[:, None], codes)


def moving_step(x, codes, counts, sums, decay):
    """Return codes, counts and sums after one update by moving averages, the code books of most public code.

    Counts and sums decay, and take in those of the points; a code is their quotient. With decay 0 it is a Lloyd step.

    Args:
        x: points of a batch, shape (n, d).
        codes: shape (K, d).
        counts, sums: what each code has gathered so far, shapes (K,) and (K, d).
        decay: from 0 to below 1.
    Raises:
        ValueError: shapes that do not fit, or a decay that is not from 0 to below 1.
    Source: van den Oord, Vinyals & Kavukcuoglu (2017), appendix A.1.
    """
    x, codes = _points(x, codes)
    decay = checks.finite_float("decay", decay)
    if not 0 <= decay < 1:
        raise ValueError(f"decay must lie from 0 to below 1; received {decay}.")
    share, own = _sums(x, codes, np.ones(len(x)))
    counts = decay * checks.real_array("counts", counts) + (1 - decay) * share
    sums = decay * checks.real_array("sums", sums) + (1 - decay) * own
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1e-300)[:, None], codes), counts, sums


def kmeans(x, num_codes, rng, num_starts=5, num_steps=50):
    """Return the codes of the least distortion among several starts from points of x, shape (num_codes, d).

    Args:
        x: points, shape (n, d).
        num_codes: how many codes, at most n.
        rng: a numpy.random.Generator, which chooses the starts.
        num_starts, num_steps: how many.
    Raises:
        ValueError: a number that is not positive, or more codes than points.
    """
    x, _ = _points(x, x)
    num_codes = checks.positive_int("num_codes", num_codes)
    if num_codes > len(x):
        raise ValueError(f"num_codes must be at most the number of points, {len(x)}; received {num_codes}.")
    best = None
    for _ in range(checks.positive_int("num_starts", num_starts)):
        codes = x[rng.choice(len(x), num_codes, replace=False)]
        for _ in range(checks.positive_int("num_steps", num_steps)):
            codes = lloyd_step(x, codes)
        if best is None or distortion(x, codes) < distortion(x, best):
            best = codes
    return best


def shares(x, codes, weights=None):
    """Return how often each code is the nearest, shape (K,), adding up to 1; arguments as `lloyd_step`."""
    x, codes = _points(x, codes)
    weights = _weights(weights, len(x))
    return np.bincount(nearest(x, codes), weights, len(codes)) / weights.sum()


def entropy_bits(share):
    """Return the entropy of codes used with these shares, bits; a code that is never used adds nothing."""
    share = checks.real_array("share", share)
    if np.any(share < 0) or not np.isclose(share.sum(), 1):
        raise ValueError(f"share must be probabilities that add up to 1; received a sum of {share.sum():g}.")
    return float(stats.entropy(share.ravel(), base=2))


def perplexity(share):
    """Return 2 to the entropy in bits: how many codes, used equally, would say as much."""
    return 2 ** entropy_bits(share)


class NormalQuantiser:
    """The code book of K numbers with the least mean squared distance from N(0, 1).

    Args:
        num_codes: K.
    Attributes:
        codes: shape (K,), increasing.
        edges: the boundaries between their cells, halfway between neighbours, shape (K - 1,).
        distortion: the mean squared distance.
        share: the probability of each cell, shape (K,).
    Raises:
        ValueError: num_codes is not a whole number of at least 2.
    Source: Max (1960), table I; Lloyd (1982).
    """

    def __init__(self, num_codes):
        if checks.positive_int("num_codes", num_codes) < 2:
            raise ValueError("num_codes must be at least 2; received 1.")
        start = stats.norm.ppf((np.arange(num_codes) + 0.5) / num_codes)
        # Each code must be the mean of its cell: a root of a smooth function.
        found = optimize.root(lambda codes: codes - self.means(codes), start, tol=1e-13)
        self.codes = np.sort(found.x)
        self.edges = (self.codes[1:] + self.codes[:-1]) / 2
        ends = np.concatenate([[-np.inf], self.edges, [np.inf]])
        self.share = np.diff(stats.norm.cdf(ends))
        # With codes that are means of their cells, E (x - c)² = E x² - E c².
        self.distortion = float(1 - self.share @ self.codes**2)

    @staticmethod
    def means(codes):
        """The means of N(0, 1) within the cells of these codes, shape (K,): one exact Lloyd step."""
        ends = np.concatenate([[-np.inf], (codes[1:] + codes[:-1]) / 2, [np.inf]])
        return -np.diff(stats.norm.pdf(ends)) / np.diff(stats.norm.cdf(ends))


def shannon_distortion(bits):
    """Return the least mean squared distance from N(0, 1) that any code of so many bits per number can have: 4^-bits.

    Source: Cover & Thomas (2006), theorem 10.3.2.
    """
    return 4.0 ** -checks.real_array("bits", bits)


def _points(x, codes):
    x, codes = checks.real_array("x", x), checks.real_array("codes", codes)
    if x.ndim != 2 or codes.ndim != 2 or x.shape[1] != codes.shape[1] or 0 in (len(x), len(codes)):
        raise ValueError(f"x must have shape (n, d) and codes (K, d); received {x.shape} and {codes.shape}.")
    return x, codes


def _weights(weights, num):
    if weights is None:
        return np.ones(num)
    weights = checks.positive_array("weights", weights)
    if weights.shape != (num,):
        raise ValueError(f"weights must have shape ({num},), one per point; received {weights.shape}.")
    return weights


def _sums(x, codes, weights):
    chosen = nearest(x, codes)
    share = np.bincount(chosen, weights, len(codes))
    return share, np.stack([np.bincount(chosen, weights * each, len(codes)) for each in x.T], axis=1)
