"""Reparameterisations beyond the Gaussian: location-scale families and inverse CDFs, driven by u ~ U(0, 1)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtri, stdtrit

from vaelib import checks
from vaelib.theory.gaussian import LOG_2PI


class Family(NamedTuple):
    """A standard (loc 0, scale 1) distribution: its inverse CDF for u in (0, 1), and its log-density in nats."""

    inverse_cdf: Callable
    log_prob: Callable


def location_scale_family(name, dof=None):
    """The standard member of a location-scale family: z = loc + scale · inverse_cdf(u) for u ~ U(0, 1).

    Args:
        name: "normal", "laplace", "logistic", "student_t", "gumbel" or "cauchy".
        dof: degrees of freedom, needed by "student_t" only.
    Returns:
        Family(inverse_cdf, log_prob).
    Source: Kingma & Welling (2014), section 2.4; Devroye (1986), chapter 2.
    """
    if name == "student_t":
        nu = checks.positive_array("dof", dof)
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(np.pi * nu)
        log_prob = lambda e: constant - 0.5 * (nu + 1) * np.log1p(e**2 / nu)  # noqa: E731
        return Family(lambda u: stdtrit(nu, u), log_prob)
    if name not in LOCATION_SCALE:
        raise ValueError(f"name must be one of {[*LOCATION_SCALE, 'student_t']}; received {name!r}.")
    return LOCATION_SCALE[name]


LOCATION_SCALE = {
    "normal": Family(ndtri, lambda e: -0.5 * (LOG_2PI + e**2)),
    "laplace": Family(
        lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u))), lambda e: -np.abs(e) - np.log(2)
    ),
    "logistic": Family(lambda u: np.log(u) - np.log1p(-u), lambda e: -np.abs(e) - 2 * np.log1p(np.exp(-np.abs(e)))),
    "gumbel": Family(lambda u: -np.log(-np.log(u)), lambda e: -e - np.exp(-e)),
    "cauchy": Family(lambda u: np.tan(np.pi * (u - 0.5)), lambda e: -np.log(np.pi) - np.log1p(e**2)),
}


def location_scale_sample(family, loc, scale, u):
    """z = loc + scale · F⁻¹(u), for a `Family` and u in (0, 1), elementwise."""
    scale, u = checks.positive_array("scale", scale), checks.open_unit_array("u", u)
    return checks.real_array("loc", loc) + scale * family.inverse_cdf(u)


def log_prob_location_scale(family, z, loc, scale):
    """log-density log p((z − loc)/scale) − log scale, elementwise, in nats. Source: change of variables."""
    scale = checks.positive_array("scale", scale)
    z, loc = checks.real_array("z", z), checks.real_array("loc", loc)
    checks.common_shape(z=z, loc=loc, scale=scale)
    return family.log_prob((z - loc) / scale) - np.log(scale)


def location_scale_pathwise(df, family, loc, scale, u):
    """Pathwise estimates (f'(z), f'(z) · F⁻¹(u)) for loc and scale, each shape (n,).

    Source: Kingma & Welling (2014), section 2.4: ∂z/∂loc = 1, ∂z/∂scale = F⁻¹(u).
    """
    z = location_scale_sample(family, loc, scale, u)
    slope = checks.values_of("df", df, z, z.shape)
    return slope, slope * family.inverse_cdf(np.asarray(u))


class Sampled(NamedTuple):
    """A sample z, shape (n,), and its derivatives by parameter name, each shape (n,)."""

    z: np.ndarray
    derivatives: dict


def exponential_sample(rate, u):
    """z = −log(1 − u)/rate with ∂z/∂rate = −z/rate, as `Sampled`. Source: Devroye (1986), section 2.2."""
    rate, u = checks.positive_array("rate", rate), checks.open_unit_array("u", u)
    z = -np.log1p(-u) / rate
    return Sampled(z, {"rate": -z / rate})


def kumaraswamy_sample(a, b, u):
    """z = (1 − (1 − u)^{1/b})^{1/a}, on (0, 1), with ∂z/∂a and ∂z/∂b, as `Sampled`.

    Source: Kumaraswamy (1980); Nalisnick & Smyth (2017).
    """
    a, b, u = checks.positive_array("a", a), checks.positive_array("b", b), checks.open_unit_array("u", u)
    with np.errstate(all="ignore"):  # what leaves the range of a float is named
        log_rest = np.log1p(-u) / b  # log (1 − z^a)
        log_z = np.log(-np.expm1(log_rest)) / a
        slope_b = np.exp(log_rest + (1 - a) * log_z) * log_rest / (a * b)
        parts = np.exp(log_z), -np.exp(log_z) * log_z / a, slope_b
    z, by_a, by_b = checks.representable("a and b", *parts)
    return Sampled(z, {"a": by_a, "b": by_b})


def weibull_sample(scale, shape, u):
    """z = scale · (−log(1 − u))^{1/shape} with ∂z/∂scale and ∂z/∂shape, as `Sampled`.

    Source: Devroye (1986), section 2.2.
    """
    scale, shape = checks.positive_array("scale", scale), checks.positive_array("shape", shape)
    log_e = np.log(-np.log1p(-checks.open_unit_array("u", u)))
    with np.errstate(all="ignore"):  # what leaves the range of a float is named
        z = scale * np.exp(log_e / shape)
        parts = z, z / scale, -z * log_e / shape**2
    z, by_scale, by_shape = checks.representable("scale and shape", *parts)
    return Sampled(z, {"scale": by_scale, "shape": by_shape})


def inverse_cdf_pathwise(df, sampled):
    """Pathwise estimates f'(z) ∂z/∂θ for each parameter of a `Sampled`: a dict of arrays, each shape (n,).

    Source: Kingma & Welling (2014), section 2.4, first strategy.
    """
    slope = checks.values_of("df", df, sampled.z, sampled.z.shape)
    return {name: slope * derivative for name, derivative in sampled.derivatives.items()}
