"""What the KL is made of, its minibatch estimates, and scores of how codes line up with factors.

    E_x KL(q(z|x) ‖ p(z)) = I(x; z) + KL(q(z) ‖ Π_j q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j))

mutual information, total correlation, and what is left dimension by dimension, with q(z) the mean of q(z|x) over the
data. The β-TCVAE weighs the middle one. Everything in nats; q(z|x) = N(μ, diag σ²).
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import even_grid, trapezoid_weights

REACH = 9.0  # standard deviations that the grid covers
FINENESS = 6  # nodes per smallest standard deviation; the trapezoid rule over normals is then exact to rounding
MOST_NODES = 4_000_000
MOST_BATCHES = 200_000


class KLParts(NamedTuple):
    """The three parts of the mean KL, in nats; `total` is their sum."""

    mutual_information: float
    total_correlation: float
    dimension_wise: float

    @property
    def total(self):
        """E_x KL(q(z|x) ‖ p(z))."""
        return self.mutual_information + self.total_correlation + self.dimension_wise


def kl_parts(mu, log_var, data=None):
    """Split the mean KL to N(0, I) over a finite set of images, by quadrature in one or two latent dimensions.

    Args:
        mu, log_var: q of each image, shape (images, latent_dim), latent_dim 1 or 2.
        data: probability of each image, shape (images,); equal ones by default.
    Returns:
        KLParts; its error is that of rounding, about 1e-12.
    Raises:
        ValueError: more than two latent dimensions, probabilities that do not sum to 1, or posteriors so narrow that
            the grid would be too large.
    Source: Hoffman and Johnson (2016); Chen et al. (2018), eq. 2.
    """
    mu, log_var = checks.vectors(mu=mu, log_var=log_var)
    if mu.ndim != 2 or mu.shape[1] not in (1, 2) or mu.shape != log_var.shape:
        raise ValueError(f"mu and log_var must have shape (images, 1) or (images, 2); received {mu.shape}.")
    data = _probabilities(data, len(mu))
    std = np.exp(0.5 * log_var)
    ends = [(mu - REACH * std).min(axis=0), (mu + REACH * std).max(axis=0), std.min(axis=0) / FINENESS]
    size = math.prod((ends[1] - ends[0]) / ends[2])
    if size > MOST_NODES:
        raise ValueError(
            f"log_var must leave a grid of at most {MOST_NODES:,} nodes; these posteriors ask for {size:.2g}. "
            "Pass fewer images, or wider posteriors."
        )
    axes = [even_grid(*places) for places in zip(*ends, strict=True)]
    each = [gaussian.log_prob_normal(z[:, None], m, v) for z, m, v in zip(axes, mu.T, log_var.T, strict=True)]
    with np.errstate(divide="ignore"):
        log_data = np.log(data)
    cells = [trapezoid_weights(z) for z in axes]
    margins = [logsumexp(log_q + log_data, axis=1) for log_q in each]
    entropies = [-_expected(m, m, cell) for m, cell in zip(margins, cells, strict=True)]
    cross = [
        -_expected(m, gaussian.log_prob_normal(z, 0.0, 0.0), c) for m, z, c in zip(margins, axes, cells, strict=True)
    ]
    joint_entropy = entropies[0]
    if len(axes) == 2:
        joint_entropy = 0.0
        for log_q0, cell in zip(each[0], cells[0], strict=True):  # a row at a time bounds the memory
            row = logsumexp(log_q0 + each[1] + log_data, axis=1)
            joint_entropy -= cell * _expected(row, row, cells[1])
    conditional = float(data @ gaussian.entropy_diagonal(log_var))
    return KLParts(joint_entropy - conditional, sum(entropies) - joint_entropy, sum(cross) - sum(entropies))


def _expected(log_density, values, cells):
    density = np.exp(log_density)
    return float(np.sum(np.where(density > 0, density * values, 0.0) * cells))


def _probabilities(data, num):
    data = np.full(num, 1 / num) if data is None else checks.real_array("data", data)
    if data.shape != (num,) or np.any(data < 0) or abs(data.sum() - 1) > 1e-9:
        raise ValueError(f"data must hold {num} probabilities that sum to 1; received shape {data.shape}.")
    return data


# The aggregate q(z) from a minibatch


def batch_weights(batch_size, num_data, stratified=False):
    """Weights w of the estimate q̂(z) = Σ_j w_j q(z|x_j), z drawn from the first image of the batch: shape (batch,).

    The first image is there because z is its own: it counts with its share 1/N of the data. The others stand for the
    N − 1 images left: together (N − 1)/N, in equal parts. The estimate's mean over all batches is then q(z).

    Args:
        batch_size: images in a batch, from 2 to num_data.
        num_data: N, images in all.
        stratified: the division of the paper instead, whose last image counts (N − M)/(N M), the others 1/M, with
            M = batch_size − 1: as right, with more noise.
    Source: Chen et al. (2018), appendix C.2.
    """
    batch_size, num_data = checks.positive_int("batch_size", batch_size), checks.positive_int("num_data", num_data)
    if not 2 <= batch_size <= num_data:
        raise ValueError(f"batch_size must lie from 2 to num_data, {num_data}; received {batch_size}.")
    others = batch_size - 1
    weights = np.full(batch_size, (num_data - 1) / (num_data * others))
    if stratified:
        weights[:] = 1 / others
        weights[-1] = (num_data - others) / (num_data * others)
    weights[0] = 1 / num_data
    return weights


def batch_estimates(log_q, own, weights):
    """The estimates of q(z) from every batch that holds image `own`, shape (batches,): their mean tells the bias.

    Args:
        log_q: log q(z|x_j) of one z for all images, shape (num_data,).
        own: the image that z was drawn from; it stands first in each batch.
        weights: w, shape (batch_size,), as `batch_weights`, or wrong ones.
    Raises:
        ValueError: more ordered batches than memory allows: it says how many, and the limit.
    """
    log_q, weights = checks.real_array("log_q", log_q), checks.real_array("weights", weights)
    count = math.perm(len(log_q) - 1, len(weights) - 1)
    if count > MOST_BATCHES:
        raise ValueError(f"at most {MOST_BATCHES:,} batches are enumerated; these sizes have {count:,}.")
    others = [j for j in range(len(log_q)) if j != own]
    batches = np.array([(own, *rest) for rest in itertools.permutations(others, len(weights) - 1)])
    return np.exp(log_q[batches]) @ weights


# Codes against factors


def mutual_information_gap(information, entropies):
    """MIG: for each factor, how far the code that knows most of it is ahead of the next, in parts of its entropy.

    Args:
        information: I(z_j; v_k) in nats, shape (latent_dim, factors), latent_dim at least 2.
        entropies: H(v_k) of each factor, shape (factors,), above 0.
    Returns:
        A number from 0 to 1, the mean over factors.
    Raises:
        ValueError: shapes that do not fit, negative information, or a factor without entropy, which is constant.
    Source: Chen et al. (2018), eq. 6.
    """
    information, entropies = checks.real_array("information", information), checks.real_array("entropies", entropies)
    if information.ndim != 2 or len(information) < 2 or entropies.shape != information.shape[1:]:
        raise ValueError(
            "information must have shape (latent_dim, factors) with at least two latent dimensions, and entropies "
            f"(factors,); received {information.shape} and {entropies.shape}."
        )
    if np.any(entropies <= 0):
        constant = np.flatnonzero(entropies <= 0).tolist()
        raise ValueError(
            f"entropies must be above 0; the factors {constant} are constant and have no gap. Leave them out."
        )
    if np.any(information < -1e-9):
        raise ValueError(f"information must not be negative; received {information.min():g}.")
    falling = np.sort(information, axis=0)[::-1]
    return float(np.mean((falling[0] - falling[1]) / entropies))


def binned_information(codes, factors, bins=20):
    """I(z_j; v_k) and H(v_k) of codes and factors that were cut into bins of equal width.

    A finite sample makes every information too large, by about (bins − 1)² / (2 n) nats where there is none.

    Args:
        codes: shape (n, latent_dim), one code per example: the mean of q(z|x), or a draw.
        factors: shape (n, factors).
        bins: into how many parts the range of each is cut.
    Returns:
        The information, shape (latent_dim, factors), and the entropies, shape (factors,), both in nats. A code or a
        factor that is constant fills one bin and has no information.
    Raises:
        ValueError: shapes that do not fit, or fewer than two bins.
    Source: Locatello et al. (2019), appendix C, with 20 bins.
    """
    codes, factors = _codes_and_factors(codes, factors)
    if checks.positive_int("bins", bins) < 2:
        raise ValueError(f"bins must be at least 2; received {bins}.")
    information = np.zeros((codes.shape[1], factors.shape[1]))
    for j, k in np.ndindex(information.shape):
        both = np.histogram2d(codes[:, j], factors[:, k], bins)[0]
        information[j, k] = _entropy(both.sum(axis=1)) + _entropy(both.sum(axis=0)) - _entropy(both)
    entropies = np.array([_entropy(np.histogram(v, bins)[0]) for v in factors.T])
    return np.maximum(information, 0.0), entropies


def linear_importance(codes, factors):
    """How much each code matters for each factor: the size of its weight in a linear regression, both standardised.

    Args:
        codes: shape (n, latent_dim). factors: shape (n, factors).
    Returns:
        shape (latent_dim, factors), not negative; 0 for a constant code.
    Raises:
        ValueError: shapes that do not fit, or a constant factor, which no code can matter for.
    Source: Eastwood and Williams (2018), section 4, whose lasso this is without its penalty: there are many more
        examples than codes.
    """
    codes, factors = _codes_and_factors(codes, factors)
    constant = np.flatnonzero(np.ptp(factors, axis=0) == 0).tolist()
    if constant:
        raise ValueError(f"factors {constant} are constant: no code can matter for them. Leave them out.")
    z, v = codes - codes.mean(axis=0), factors - factors.mean(axis=0)
    z = z / np.where(np.ptp(codes, axis=0) == 0, 1.0, codes.std(axis=0))
    return np.abs(np.linalg.lstsq(z, v / factors.std(axis=0), rcond=None)[0])


def _codes_and_factors(codes, factors):
    codes, factors = checks.real_array("codes", codes), checks.real_array("factors", factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or len(codes) < 2:
        raise ValueError(
            "codes must have shape (n, latent_dim) and factors (n, factors), with n at least 2; "
            f"received {codes.shape} and {factors.shape}."
        )
    return codes, factors


def _entropy(counts):
    share = counts[counts > 0] / counts.sum()
    return float(-np.sum(share * np.log(share)))


class DCI(NamedTuple):
    """disentanglement: each code speaks of one factor; completeness: each factor is told by one code; both 0 to 1."""

    disentanglement: float
    completeness: float


def dci(importance):
    """Disentanglement and completeness of a matrix that says how much each code matters for each factor.

    Each row (column) is turned into shares; one minus their entropy, in parts of the largest possible, is averaged
    with the rows' (columns') part of the whole.

    Args:
        importance: shape (latent_dim, factors), at least 2 of each, not negative, not all zero.
    Source: Eastwood and Williams (2018), section 3.
    """
    importance = checks.real_array("importance", importance)
    if importance.ndim != 2 or min(importance.shape) < 2 or np.any(importance < 0) or not importance.sum() > 0:
        raise ValueError(
            "importance must have shape (latent_dim, factors), at least 2 of each, no negative entry and one above 0; "
            f"received shape {importance.shape}."
        )
    return DCI(_one_sidedness(importance), _one_sidedness(importance.T))


def _one_sidedness(rows):
    total = rows.sum(axis=1)
    used = total > 0
    shares = rows[used] / total[used, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.sum(np.where(shares > 0, shares * np.log(shares), 0.0), axis=1)
    return float(np.sum((1 - entropy / np.log(rows.shape[1])) * total[used] / total.sum()))


def turned_information(rho_square, angle):
    """I(z_j; v_k) of two codes that hold two independent normal factors, after a turn of their plane.

    z = R (ρ v + noise) with unit variance: code and factor correlate by ρ cos or ρ sin of the angle, and
    I = −½ log(1 − correlation²). Likelihood and KL do not notice the turn.

    Args:
        rho_square: ρ², the factor's part of a code's variance, from 0 to 1, 1 left out.
        angle: of the turn, in radians.
    Returns:
        shape (2, 2), in nats.
    Source: Cover and Thomas (2006), example 8.5.1; the turn, Locatello et al. (2019), theorem 1.
    """
    rho_square, angle = checks.real_array("rho_square", rho_square), checks.real_array("angle", angle)
    if rho_square.ndim or angle.ndim or not 0 <= rho_square < 1:
        raise ValueError(f"rho_square must be one number from 0 to 1, 1 left out; received {rho_square}.")
    along, across = (-0.5 * np.log1p(-rho_square * part**2) for part in (np.cos(angle), np.sin(angle)))
    return np.array([[along, across], [across, along]])
