"""Gaussian log-densities, entropies and closed-form KL divergences, in nats.

The last axis is always the dimension d of the variable; axes before it are a batch and broadcast.
Names: `var` is a variance, `log_var` its logarithm, `std` its square root, `cov` a covariance matrix.
"""

import numpy as np
from scipy.linalg import solve_triangular

from vaelib import checks

LOG_2PI = np.log(2.0 * np.pi)


def cholesky(cov, name="cov"):
    """Return the lower-triangular L with L Lᵀ = cov.

    Args:
        cov: covariance, shape (d, d), symmetric and positive definite.
        name: what to call it in an error.
    Returns:
        L, shape (d, d), with a positive diagonal.
    Raises:
        ValueError: not square, not symmetric, or not positive definite.
    """
    cov = checks.real_array(name, cov)
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
        raise ValueError(f"{name} must be a square matrix, shape (d, d); received shape {cov.shape}.")
    asymmetry = np.max(np.abs(cov - cov.T), initial=0.0)
    if asymmetry > 1e-10 * np.max(np.abs(cov), initial=0.0):
        raise ValueError(f"{name} must be symmetric; received entries that differ by {asymmetry:g}.")
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError as error:
        smallest = np.linalg.eigvalsh(cov)[0]
        raise ValueError(
            f"{name} must be positive definite; received a smallest eigenvalue of {smallest:g}."
        ) from error


def _match_dim(name, cov, dim):
    if np.shape(cov)[-1] != dim:
        raise ValueError(f"{name} must have shape ({dim}, {dim}); received {np.shape(cov)}.")


# Log-densities


def log_prob_normal(x, mu, log_var):
    """log N(x; μ, σ²) of each number, elementwise.

    Args:
        x, mu, log_var: numbers or arrays that broadcast together; log_var = log σ².
    Returns:
        Log-density in nats, the broadcast shape.
    Source: Bishop (2006), eq. 1.46.
    """
    x, mu, log_var = checks.real_array("x", x), checks.real_array("mu", mu), checks.real_array("log_var", log_var)
    checks.common_shape(x=x, mu=mu, log_var=log_var)
    return -0.5 * (LOG_2PI + log_var + _standardised(x, mu, log_var) ** 2)


def log_prob_diagonal(z, mu, log_var):
    """log N(z; μ, diag σ²), summed over the last axis.

    Args:
        z, mu, log_var: shape (..., d).
    Returns:
        Log-density in nats, shape (...).
    Source: Kingma & Welling (2014), appendix C.2.
    """
    z, mu, log_var = checks.vectors(z=z, mu=mu, log_var=log_var)
    return np.sum(log_prob_normal(z, mu, log_var), axis=-1)


def _standardised(x, mu, log_var):
    """(x − μ)/σ, scaled before anyone squares it: 1/σ² overflows long before the density does."""
    shift = x - mu
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(shift == 0, 0.0, shift * np.exp(-0.5 * log_var))  # no distance is none, however small σ is


def log_prob_full(z, mu, cov):
    """log N(z; μ, Σ) with a full covariance.

    Args:
        z, mu: shape (..., d).
        cov: Σ, shape (d, d).
    Returns:
        Log-density in nats, shape (...).
    Raises:
        ValueError: cov not symmetric positive definite, or shapes that do not match.
    Source: Bishop (2006), eq. 2.43.
    """
    z, mu = checks.vectors(z=z, mu=mu)
    factor = cholesky(cov)
    _match_dim("cov", factor, z.shape[-1])
    d = z.shape[-1]
    whitened = solve_triangular(factor, (z - mu).reshape(-1, d).T, lower=True)
    mahalanobis = np.sum(whitened**2, axis=0).reshape(np.broadcast_shapes(z.shape, mu.shape)[:-1])
    return -0.5 * (d * LOG_2PI + mahalanobis) - np.sum(np.log(np.diag(factor)))


def log_prob_standard_normal(z):
    """log N(z; 0, I), the VAE's prior, summed over the last axis: shape (..., d) to (...).

    Source: Kingma & Welling (2014), section 3.
    """
    (z,) = checks.vectors(z=z)
    return -0.5 * np.sum(LOG_2PI + z**2, axis=-1)


# Entropies


def entropy_normal(log_var):
    """Entropy ½ (1 + log 2π + log σ²) of each number, elementwise, in nats. Source: Bishop (2006), eq. 1.110."""
    return 0.5 * (1.0 + LOG_2PI + checks.real_array("log_var", log_var))


def entropy_diagonal(log_var):
    """Entropy of N(μ, diag σ²), summed over the last axis: (..., d) to (...). Source: Bishop (2006), eq. 1.110."""
    (log_var,) = checks.vectors(log_var=log_var)
    return np.sum(entropy_normal(log_var), axis=-1)


def entropy_full(cov):
    """Entropy ½ log det(2πe Σ) of N(μ, Σ), a number in nats. Source: Bishop (2006), exercise 2.15."""
    factor = cholesky(cov)
    return 0.5 * len(factor) * (1.0 + LOG_2PI) + np.sum(np.log(np.diag(factor)))


# KL(q ‖ p) in closed form


def kl_normal(mu_q, var_q, mu_p, var_p):
    """KL(N(μ_q, σ_q²) ‖ N(μ_p, σ_p²)) of numbers, elementwise.

    Args:
        mu_q, mu_p: means.
        var_q, var_p: variances σ² (not σ, not log σ²).
    Returns:
        ½ [log σ_p²/σ_q² + (σ_q² + (μ_q − μ_p)²)/σ_p² − 1] in nats, the broadcast shape.
    Raises:
        ValueError: a variance that is not positive.
    Source: Kullback (1959), chapter 9; Bishop (2006), exercise 1.30.
    """
    mu_q, mu_p = checks.real_array("mu_q", mu_q), checks.real_array("mu_p", mu_p)
    var_q, var_p = checks.positive_array("var_q", var_q), checks.positive_array("var_p", var_p)
    checks.common_shape(mu_q=mu_q, var_q=var_q, mu_p=mu_p, var_p=var_p)
    return 0.5 * (np.log(var_p) - np.log(var_q) + (var_q + (mu_q - mu_p) ** 2) / var_p - 1.0)


def kl_full(mu_q, cov_q, mu_p, cov_p):
    """KL(N(μ_q, Σ_q) ‖ N(μ_p, Σ_p)) with full covariances.

    Args:
        mu_q, mu_p: shape (..., d).
        cov_q, cov_p: shape (d, d).
    Returns:
        ½ [log det Σ_p/det Σ_q + tr(Σ_p⁻¹ Σ_q) + (μ_q − μ_p)ᵀ Σ_p⁻¹ (μ_q − μ_p) − d] in nats, shape (...).
    Raises:
        ValueError: a covariance that is not symmetric positive definite, or shapes that do not match.
    Source: Kullback (1959), chapter 9; Bishop (2006), exercise 2.13.
    """
    mu_q, mu_p = checks.vectors(mu_q=mu_q, mu_p=mu_p)
    factor_q, factor_p = cholesky(cov_q, "cov_q"), cholesky(cov_p, "cov_p")
    d = mu_q.shape[-1]
    _match_dim("cov_q", factor_q, d)
    _match_dim("cov_p", factor_p, d)
    shift = mu_q - mu_p
    whitened = solve_triangular(factor_p, shift.reshape(-1, d).T, lower=True)
    mahalanobis = np.sum(whitened**2, axis=0).reshape(shift.shape[:-1])
    trace = np.sum(solve_triangular(factor_p, factor_q, lower=True) ** 2)
    log_det_ratio = 2.0 * np.sum(np.log(np.diag(factor_p)) - np.log(np.diag(factor_q)))
    return 0.5 * (log_det_ratio + trace + mahalanobis - d)


def kl_diagonal(mu_q, log_var_q, mu_p, log_var_p):
    """KL between two Gaussians with diagonal covariances, summed over the last axis.

    Args:
        mu_q, log_var_q, mu_p, log_var_p: shape (..., d).
    Returns:
        KL(q ‖ p) in nats, shape (...).
    Source: the sum of `kl_normal` over dimensions; Kingma & Welling (2014), appendix B.
    """
    mu_q, log_var_q, mu_p, log_var_p = checks.vectors(mu_q=mu_q, log_var_q=log_var_q, mu_p=mu_p, log_var_p=log_var_p)
    terms = log_var_p - log_var_q + np.exp(log_var_q - log_var_p) + _standardised(mu_q, mu_p, log_var_p) ** 2 - 1.0
    return 0.5 * np.sum(terms, axis=-1)


def kl_standard_normal_per_dim(mu, log_var):
    """KL(N(μ, σ²) ‖ N(0, 1)) of each latent dimension, elementwise: the nats that dimension carries.

    Args:
        mu, log_var: numbers or arrays of one shape, or that broadcast together.
    Returns:
        ½ (μ² + σ² − log σ² − 1) in nats, the broadcast shape.
    Source: Kingma & Welling (2014), appendix B.
    """
    mu, log_var = checks.real_array("mu", mu), checks.real_array("log_var", log_var)
    checks.common_shape(mu=mu, log_var=log_var)
    # expm1 keeps the digits that exp(log_var) − 1 loses near log_var = 0.
    return 0.5 * (mu**2 + np.expm1(log_var) - log_var)


def kl_standard_normal(mu, log_var):
    """KL(N(μ, diag σ²) ‖ N(0, I)), the VAE's KL term, summed over the last axis.

    Args:
        mu, log_var: shape (..., d). For plain numbers use `kl_standard_normal_per_dim`.
    Returns:
        −½ Σ (1 + log σ² − μ² − σ²) in nats, shape (...).
    Source: Kingma & Welling (2014), appendix B.
    """
    mu, log_var = checks.vectors(mu=mu, log_var=log_var)
    return np.sum(kl_standard_normal_per_dim(mu, log_var), axis=-1)


def kl_standard_normal_gradient(mu, log_var):
    """Gradient of the VAE's KL term: (∂/∂μ, ∂/∂log σ²) = (μ, ½ (σ² − 1)), elementwise.

    Args:
        mu, log_var: numbers or arrays that broadcast together.
    Returns:
        (gradient with respect to mu, gradient with respect to log_var), each of the broadcast shape.
    Source: derivative of Kingma & Welling (2014), appendix B.
    """
    mu, log_var = checks.real_array("mu", mu), checks.real_array("log_var", log_var)
    shape = checks.common_shape(mu=mu, log_var=log_var)
    return np.broadcast_to(mu, shape).copy(), np.broadcast_to(0.5 * np.expm1(log_var), shape).copy()


def kl_gradient_flow(mu, log_var, time):
    """Where steepest descent on the VAE's KL term alone leads from (mu, log_var), after a time, elementwise.

    The solution of d(μ, log σ²)/dt = −gradient: μ decays as e^(−t), and 1/σ² − 1 as e^(−t/2).

    Args:
        mu, log_var, time: numbers or arrays that broadcast together; time is at least 0.
    Returns:
        (mu, log_var) at that time, each of the broadcast shape.
    Raises:
        ValueError: a negative time.
    Source: `kl_standard_normal_gradient`, integrated; it is linear in μ and in the precision 1/σ².
    """
    mu, log_var = checks.real_array("mu", mu), checks.real_array("log_var", log_var)
    time = checks.real_array("time", time)
    shape = checks.common_shape(mu=mu, log_var=log_var, time=time)
    if np.any(time < 0.0):
        raise ValueError(f"time must be at least 0; received {time.min():g}. Descent does not run backwards.")
    later = -np.log1p(np.expm1(-log_var) * np.exp(-0.5 * time))
    return np.broadcast_to(mu * np.exp(-time), shape).copy(), np.broadcast_to(later, shape).copy()


# Samples: a fixed noise eps ~ N(0, I) in, a sample out


def sample_diagonal(mu, log_var, eps):
    """z = μ + σ ⊙ ε, shape (..., d), for noise eps ~ N(0, I). Source: Kingma & Welling (2014), section 2.4."""
    mu, log_var, eps = checks.vectors(mu=mu, log_var=log_var, eps=eps)
    with np.errstate(over="ignore", invalid="ignore"):
        return checks.representable("mu, log_var and eps", mu + np.exp(0.5 * log_var) * eps)


def sample_full(mu, cov, eps):
    """z = μ + L ε with L Lᵀ = Σ: a sample of N(μ, Σ) for noise eps ~ N(0, I).

    Args:
        mu: shape (..., d).
        cov: Σ, shape (d, d).
        eps: noise, shape (..., d), for example rng.standard_normal((n, d)).
    Returns:
        z, shape (..., d).
    Source: Kingma & Welling (2014), section 2.4; Bishop (2006), section 11.1.1.
    """
    mu, eps = checks.vectors(mu=mu, eps=eps)
    factor = cholesky(cov)
    _match_dim("cov", factor, eps.shape[-1])
    return mu + eps @ factor.T
