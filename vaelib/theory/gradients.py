"""Gradients of E_{z ~ q}[f(z)] with respect to the parameters of q: score-function and pathwise estimators.

An estimator takes its noise as an argument and returns one estimate per sample, so that a caller can average it,
plot it and measure its variance. One dimension: mu a number, eps (n,), f maps (n,) to (n,). d dimensions: mu (d,),
eps (n, d), f maps (n, d) to (n,), its gradient df maps (n, d) to (n, d). Both go through the same functions.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import roots_legendre
from scipy.stats import chi2

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import gauss_hermite


class Gradient(NamedTuple):
    """Derivatives with respect to mu and to log_var."""

    mu: np.ndarray
    log_var: np.ndarray


def _prepare(mu, log_var, eps):
    mu, log_var = checks.real_array("mu", mu), checks.real_array("log_var", log_var)
    eps = checks.real_array("eps", eps)
    if mu.shape != log_var.shape or mu.ndim > 1 or eps.ndim != mu.ndim + 1 or eps.shape[1:] != mu.shape:
        raise ValueError(
            "mu and log_var must be numbers with eps of shape (n,), or of shape (d,) with eps of shape (n, d); "
            f"received mu {mu.shape}, log_var {log_var.shape}, eps {eps.shape}."
        )
    return mu, np.exp(0.5 * log_var), eps


# The two estimators


def score_function_samples(f, mu, log_var, eps, baseline=None):
    """Score-function (REINFORCE) estimates (f(z) − baseline) ∇ log q(z) with z = μ + σ ε, one per sample.

    Args:
        f: any function of z, (n,) or (n, d) to (n,); no derivative is needed.
        mu, log_var: numbers, or shape (d,). eps: noise from N(0, I), shape (n,) or (n, d).
        baseline: None, a number, or one value per sample that does not depend on that sample, shape (n,)
            (see `leave_one_out_baseline`).
    Returns:
        Gradient(mu, log_var), each of the shape of eps; its mean over axis 0 is unbiased.
    Source: Williams (1992); Glynn (1990); with log_var: ∂ log q/∂μ = ε/σ, ∂ log q/∂log σ² = ½ (ε² − 1).
    """
    mu, std, eps = _prepare(mu, log_var, eps)
    values = checks.values_of("f", f, mu + std * eps, eps.shape[:1])
    if baseline is not None:
        baseline = checks.real_array("baseline", baseline)
        if baseline.shape not in ((), values.shape):
            raise ValueError(f"baseline must be a number or have shape {values.shape}; got {baseline.shape}.")
        values = values - baseline
    values = values.reshape(-1, *[1] * mu.ndim)
    with np.errstate(all="ignore"):  # what leaves the range of a float is named
        parts = values * eps / std, values * 0.5 * (eps**2 - 1.0)
    return Gradient(*checks.representable("f, log_var and eps", *parts))


def pathwise_samples(df, mu, log_var, eps):
    """Pathwise (reparameterisation) estimates ∇ f(μ + σ ε), one per sample.

    Args:
        df: the derivative of f, (n,) to (n,) or (n, d) to (n, d).
        mu, log_var: numbers, or shape (d,). eps: noise from N(0, I), shape (n,) or (n, d).
    Returns:
        Gradient(mu, log_var), each of the shape of eps; unbiased where f is continuous.
    Source: Kingma & Welling (2014), section 2.4; Rezende et al. (2014): ∂z/∂μ = 1, ∂z/∂log σ² = ½ σ ε.
    """
    mu, std, eps = _prepare(mu, log_var, eps)
    slope = checks.values_of("df", df, mu + std * eps, eps.shape)
    return Gradient(slope, slope * 0.5 * std * eps)


def leave_one_out_baseline(values):
    """For each sample the mean of f over the others: keeps the score function unbiased. (n,) to (n,).

    Source: Kool et al. (2019).
    """
    values = checks.real_array("values", values)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values must have shape (n,) with n at least 2; received {values.shape}.")
    return (values.sum() - values) / (len(values) - 1)


# Exact values, without sampling

# Quadrature in one dimension: so many Gauss-Legendre points between each two of these values of ε.
EDGES, NUM_NODES = np.linspace(-12, 12, 49), 20


def _nodes(mu, std, breaks, num_points):
    if mu.ndim == 0:
        cuts = (np.asarray(breaks, float) - mu) / std
        edges = np.unique(np.concatenate([EDGES, cuts[np.abs(cuts) < EDGES[-1]]]))
        x, w = roots_legendre(NUM_NODES)
        half = np.diff(edges)[:, None] / 2
        eps = (edges[:-1, None] + half + half * x).ravel()
        return eps, (half * w).ravel() * np.exp(gaussian.log_prob_normal(eps, 0.0, 0.0))
    if mu.size > 4 or len(breaks):
        raise ValueError(
            f"mu must have at most 4 dimensions for quadrature, and breaks need one; received shape {mu.shape}. "
            "A quadratic f has a closed form: quadratic_gradient."
        )
    return gauss_hermite(mu.size, num_points)


def expectation(f, mu, log_var, breaks=(), num_points=24):
    """E[f(z)], z ~ N(μ, diag σ²), by quadrature: one number. Arguments and accuracy: see `exact_gradient`."""
    mu, std, _ = _prepare(mu, log_var, np.zeros((1, *np.shape(mu))))
    eps, weights = _nodes(mu, std, breaks, num_points)
    return float(weights @ checks.values_of("f", f, mu + std * eps, eps.shape[:1]))


def exact_gradient(f, mu, log_var, breaks=(), num_points=24):
    """The gradient of E[f(z)], z ~ N(μ, diag σ²), by quadrature of f times the score.

    Args:
        f: (n,) or (n, d) to (n,). mu, log_var: numbers, or shape (d,) with d at most 4.
        breaks: in one dimension, where f or its derivative jumps; the quadrature is split there.
        num_points: Gauss-Hermite points per dimension when mu has shape (d,).
    Returns:
        Gradient(mu, log_var), each of the shape of mu. Relative error about 1e-12 for smooth f in one dimension;
        in d dimensions exact for polynomials up to degree 2 num_points − 3 in each.
    Source: Williams (1992) for the identity; composite Gauss-Legendre and Gauss-Hermite quadrature.
    """
    mu, std, _ = _prepare(mu, log_var, np.zeros((1, *np.shape(mu))))
    eps, weights = _nodes(mu, std, breaks, num_points)
    values = weights * checks.values_of("f", f, mu + std * eps, eps.shape[:1])
    return Gradient(values @ eps / std, 0.5 * (values @ (eps**2 - 1.0)))


def quadratic_gradient(a, b, mu, log_var):
    """The gradient of E[zᵀ A z + bᵀ z], z ~ N(μ, diag σ²), in closed form for any d.

    Args:
        a: A, shape (d, d). b, mu, log_var: shape (d,).
    Returns:
        Gradient((A + Aᵀ) μ + b, diag(A) ⊙ σ²), each of shape (d,).
    Source: E[zᵀ A z] = tr(A Σ) + μᵀ A μ; Petersen & Pedersen (2012), eq. 318.
    """
    a, (b, mu, log_var) = checks.real_array("a", a), checks.vectors(b=b, mu=mu, log_var=log_var)
    if a.shape != (len(mu), len(mu)):
        raise ValueError(f"a must have shape ({len(mu)}, {len(mu)}); received {a.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        parts = (a + a.T) @ mu + b, np.diag(a) * np.exp(log_var)
    return Gradient(*checks.representable("a, b, mu and log_var", *parts))


# Full covariance; discrete z


def sample_cholesky(mu, factor, eps):
    """z = μ + L ε for a lower-triangular factor L: mu (d,), factor (d, d), eps (n, d) to (n, d).

    Source: Kingma & Welling (2014), section 2.4.
    """
    mu, factor, eps = checks.real_array("mu", mu), checks.real_array("factor", factor), checks.real_array("eps", eps)
    d = mu.size
    if mu.ndim != 1 or factor.shape != (d, d) or eps.ndim != 2 or eps.shape[1] != d:
        raise ValueError(
            "mu, factor and eps must have shapes (d,), (d, d) and (n, d); "
            f"received {mu.shape}, {factor.shape} and {eps.shape}."
        )
    if np.any(np.triu(factor, 1) != 0) or np.any(np.diag(factor) <= 0):
        raise ValueError("factor must be lower triangular with a positive diagonal; use gaussian.cholesky(cov).")
    return mu + eps @ factor.T


def pathwise_cholesky(df, mu, factor, eps):
    """Pathwise estimates for z = μ + L ε: ∂/∂μ = ∇f(z), ∂/∂L_ij = ∂_i f(z) ε_j for j ≤ i.

    Args:
        df: the gradient of f, (n, d) to (n, d). mu: (d,). factor: L, (d, d). eps: noise from N(0, I), (n, d).
    Returns:
        (estimates for mu, shape (n, d); for L, shape (n, d, d), zero above the diagonal).
    Source: Rezende et al. (2014), section 4.
    """
    z = sample_cholesky(mu, factor, eps)
    slope = checks.values_of("df", df, z, z.shape)
    return slope, np.tril(slope[:, :, None] * np.asarray(eps)[:, None, :])


def bernoulli_score_function_samples(f, prob, u):
    """Estimates of d/dprob E[f(z)], z ~ Bernoulli(prob): f(z) (z − prob)/(prob (1 − prob)), shape (n,).

    z = [u < prob] is a step in prob, so that its pathwise derivative is zero almost everywhere and says nothing;
    the exact derivative is f(1) − f(0).
    Source: Williams (1992); Mohamed et al. (2020), section 5.
    """
    prob, u = checks.open_unit_array("prob", prob), checks.open_unit_array("u", u)
    z = (u < prob).astype(float)
    return checks.values_of("f", f, z, z.shape) * (z - prob) / (prob * (1 - prob))


# How large is a variance, and how sure are we?


class VarianceEstimate(NamedTuple):
    """A sample variance and the two ends of its confidence interval."""

    variance: float
    low: float
    high: float


def variance_with_interval(samples, confidence=0.95, method="bootstrap", num_resamples=400, rng=None):
    """The variance of an estimator from its samples, with an interval.

    Args:
        samples: shape (n,), n at least 2; shape (n, d) gives the sum of the d variances (bootstrap only).
        confidence: between 0 and 1.
        method: "bootstrap" (percentiles; for any distribution) or "chi2" (exact for normal samples only).
        num_resamples: how many bootstrap resamples.
        rng: for the bootstrap, for example np.random.default_rng(0), the default.
    Returns:
        VarianceEstimate(variance, low, high); with heavy tails the bootstrap's interval is too short.
    Source: Efron & Tibshirani (1993), chapter 13; Casella & Berger (2002), section 9.2.
    """
    samples = checks.real_array("samples", samples)
    if samples.ndim not in (1, 2) or len(samples) < 2:
        raise ValueError(f"samples must have shape (n,) or (n, d), n at least 2; received {samples.shape}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; received {confidence}.")
    n, tails = len(samples), [(1 - confidence) / 2, (1 + confidence) / 2]
    variance = float(np.sum(np.var(samples, axis=0, ddof=1)))
    if method == "chi2" and samples.ndim == 1:
        high, low = (n - 1) * variance / chi2.ppf(tails, n - 1)
    elif method == "bootstrap":
        rng = np.random.default_rng(0) if rng is None else rng
        centred = (samples - samples.mean(axis=0)).reshape(n, -1)
        picks = (centred[rng.integers(n, size=n)] for _ in range(num_resamples))
        low, high = np.quantile([np.sum(np.var(pick, axis=0, ddof=1)) for pick in picks], tails)
    else:
        raise ValueError(f'method must be "bootstrap", or "chi2" for samples (n,); received {method!r}.')
    return VarianceEstimate(variance, float(low), float(high))
