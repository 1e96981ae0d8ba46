"""Four points: four pictures of four pixels, one pixel white in each, and a code in the plane.

The smallest data on which the family of the posterior costs something that can be computed. All is by the trapezoid
rule over an even grid of the plane. No ELBO exceeds the mean of log p(x), which is at most −log 4, since the four
probabilities add up to 1 at most.

Source: the synthetic data of Mescheder, Nowozin & Geiger (2017), section 5.1.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from vaelib import checks
from vaelib.theory import gaussian

X = np.eye(4)
CEILING = -np.log(4)  # of the mean ELBO, for any posterior and decoder
LEAST = 1e-12  # of a density: below it a code cannot tell which point it came from
CODES = np.linspace(-6.0, 6.0, 121)  # the grid, along each axis of the plane
START_SPREAD = 1.0  # of the means that a search starts from


class Bound(NamedTuple):
    """The terms of the ELBO of each point, nats, each of shape (4,), and what the codes look like together.

    Attributes:
        reconstruction: E_q[log p(x|z)].
        kl: KL(q(z|x) ‖ p(z)).
        log_evidence: log p(x).
        kl_together: KL(q̄ ‖ p) of the mean of the four posteriors, nats.
    """

    reconstruction: np.ndarray
    kl: np.ndarray
    log_evidence: np.ndarray
    kl_together: float

    @property
    def elbo(self):
        """The mean ELBO, nats."""
        return float(np.mean(self.reconstruction - self.kl))


def normal_densities(mu, std, codes=CODES):
    """The densities of four diagonal normals on the grid: mu and std (4, 2), to (4, n, n)."""
    mu, std = checks.real_array("mu", mu), checks.positive_array("std", std)
    if mu.shape != (4, 2) or std.shape != (4, 2):
        raise ValueError(f"mu and std must have shape (4, 2); received {mu.shape} and {std.shape}.")
    along = np.exp(gaussian.log_prob_normal(codes, mu[..., None], 2 * np.log(std[..., None])))
    return along[:, 0, :, None] * along[:, 1, None, :]


def cloud_density(centres, std, codes=CODES):
    """The density on the grid of a cloud: the mean of round normals with one width, (n, n).

    Args:
        centres: their means, shape (m, 2).
        std: their one width, above 0; the grid must be finer.
    """
    centres, std = checks.real_array("centres", centres), checks.positive_float("std", std)
    if centres.ndim != 2 or centres.shape[1] != 2:
        raise ValueError(f"centres must have shape (m, 2); received {centres.shape}.")
    # The normal is a product along the axes, so the mean over centres is one product of matrices.
    along = [np.exp(gaussian.log_prob_normal(codes[:, None], axis, 2 * np.log(std))) for axis in centres.T]
    return along[0] @ along[1].T / len(centres)


def best_log_likelihood(densities):
    """log p(x|z) of the decoder that suits these posteriors best, four Bernoulli pixels: (4, n, n) to (4, n, n).

    A pixel's best probability at z is the share that its point has of the codes there.
    """
    densities = _densities(densities)
    share = np.clip(densities / np.maximum(densities.sum(axis=0), LEAST), LEAST, 1 - LEAST)
    black = np.log1p(-share)
    return np.log(share) - black + black.sum(axis=0)


def bound(densities, log_likelihood, codes=CODES):
    """The ELBO and its terms, for posteriors and a decoder on the grid.

    Args:
        densities: q(z|x) for each point, shape (4, n, n).
        log_likelihood: log p(x|z) for each point, nats, shape (4, n, n).
        codes: the grid along each axis, shape (n,).

    Returns:
        `Bound`.
    Raises:
        ValueError: the shapes differ, or a density does not add up to 1 on the grid.
    """
    densities, log_likelihood = _densities(densities), checks.real_array("log_likelihood", log_likelihood)
    expected = (4, len(codes), len(codes))
    if densities.shape != expected or log_likelihood.shape != expected:
        raise ValueError(
            f"densities and log_likelihood must have shape {expected}; received {densities.shape} and "
            f"{log_likelihood.shape}."
        )
    cell = (codes[1] - codes[0]) ** 2
    mass = densities.sum(axis=(1, 2)) * cell
    if np.abs(mass - 1).max() > 1e-3:
        raise ValueError(
            f"densities must add up to 1 on the grid; received {mass.round(4)}. Give codes a wider or a finer grid."
        )
    log_prior = gaussian.log_prob_normal(codes[:, None], 0.0, 0.0) + gaussian.log_prob_normal(codes, 0.0, 0.0)
    kl = lambda q: float(np.sum(q * (np.log(np.maximum(q, 1e-300)) - log_prior)) * cell)  # noqa: E731
    return Bound(
        np.sum(densities * log_likelihood, axis=(1, 2)) * cell,
        np.array([kl(q) for q in densities]),
        logsumexp(log_likelihood + log_prior, axis=(1, 2)) + np.log(cell),
        kl(densities.mean(axis=0)),
    )


class GaussianFit(NamedTuple):
    """Four diagonal normals at the end of a search: the mean ELBO with their best decoder, mu and std (4, 2)."""

    elbo: float
    mu: np.ndarray
    std: np.ndarray


def fit_gaussians(rng, num_starts=10):
    """Search for the four diagonal normals with the highest ELBO, the decoder being the best for them.

    Args:
        rng: NumPy generator of the starts.
        num_starts: how many searches.

    Returns:
        One `GaussianFit` for each search, the best first.
    """
    starts = [
        np.concatenate([START_SPREAD * rng.standard_normal(8), np.full(8, -0.5)])
        for _ in range(checks.positive_int("num_starts", num_starts))
    ]
    found = [minimize(negative_elbo, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}) for start in starts]
    fits = [GaussianFit(-each.fun, each.x[:8].reshape(4, 2), np.exp(each.x[8:].reshape(4, 2))) for each in found]
    return sorted(fits, key=lambda fit: -fit.elbo)


def negative_elbo(values):
    """The mean NELBO of four diagonal normals with their best decoder, and its gradient.

    At its best the decoder's own share of the gradient is 0.

    Args:
        values: the means, then the logs of the standard deviations, shape (16,).

    Returns:
        (nats, gradient of shape (16,)).
    """
    values = checks.real_array("values", values)
    if values.shape != (16,):
        raise ValueError(f"values must have shape (16,); received {values.shape}.")
    mu, log_std = values[:8].reshape(4, 2), values[8:].reshape(4, 2)
    with np.errstate(over="ignore"):
        std = checks.representable("values", np.exp(log_std))
    q = normal_densities(mu, std)
    cell = (CODES[1] - CODES[0]) ** 2
    weighted = q * best_log_likelihood(q) * cell
    # Sums over one axis at a time: the score of a normal along an axis knows that axis alone.
    sums = np.stack([weighted.sum(axis=2), weighted.sum(axis=1)], axis=1)  # (4, 2, n)
    eps = (CODES - mu[..., None]) / std[..., None]
    kl = gaussian.kl_standard_normal(mu, 2 * log_std)
    in_mu = mu - np.sum(sums * eps, axis=-1) / std
    in_log_std = std**2 - 1 - np.sum(sums * (eps**2 - 1), axis=-1)
    loss = np.mean(kl - weighted.sum(axis=(1, 2)))
    return loss, np.concatenate([in_mu.ravel(), in_log_std.ravel()]) / 4


def _densities(densities):
    densities = checks.real_array("densities", densities)
    if densities.ndim != 3 or len(densities) != 4 or np.any(densities < 0):
        raise ValueError(f"densities must have shape (4, n, n) and no entry below 0; received shape {densities.shape}.")
    return densities
