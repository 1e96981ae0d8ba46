"""Diffusion as a deep hierarchical VAE: schedules, the fixed encoder's posteriors, and the exact bound for N(0, 1).

The data x are blurred: z_t = α_t x + σ_t ε with α_t² + σ_t² = 1, for t from 0 to 1. All that counts is the
signal-to-noise ratio SNR(t) = α_t²/σ_t², which falls with t; it is written `snr`, an array of it is falling, and s < t
are two neighbours: snr_s > snr_t. A model of T layers uses t = 0, 1/T, ..., 1; the top layer is t = 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vaelib import checks

LOG_2PI_E = np.log(2 * np.pi * np.e)
SNR_MAX, SNR_MIN = 100.0, 0.01
NUM_TIMES = 200_001  # of the sum over t behind `normal_roughness`


class Schedule(NamedTuple):
    """How the logarithm of the signal-to-noise ratio falls with t in [0, 1].

    Attributes:
        log_snr: function of t, elementwise.
        slope: its derivative, elementwise, below 0.
    """

    log_snr: Callable
    slope: Callable

    def snr(self, num_layers):
        """The signal-to-noise ratio at t = 0, 1/T, ..., 1, shape (T + 1,), falling."""
        return np.exp(self.log_snr(np.linspace(0.0, 1.0, checks.positive_int("num_layers", num_layers) + 1)))


def linear_schedule(snr_max=SNR_MAX, snr_min=SNR_MIN):
    """The schedule whose log SNR is a straight line. Source: Kingma et al. (2021)."""
    high, low = _ends(snr_max, snr_min)
    return Schedule(lambda t: high + (low - high) * np.asarray(t), lambda t: np.full(np.shape(t), low - high))


def cosine_schedule(snr_max=SNR_MAX, snr_min=SNR_MIN):
    """The schedule α = cos(πu/2), with u a straight line in t that meets both ends.

    Source: Nichol and Dhariwal (2021), equation 17, with their offset in u left to the ends.
    """
    high, low = _ends(snr_max, snr_min)
    start, end = (2 / np.pi * np.arctan(np.exp(-0.5 * each)) for each in (high, low))
    u = lambda t: start + (end - start) * np.asarray(t)  # noqa: E731
    return Schedule(
        lambda t: -2 * np.log(np.tan(0.5 * np.pi * u(t))),
        lambda t: -2 * np.pi * (end - start) / np.sin(np.pi * u(t)),
    )


def linear_beta_schedule(snr_max=SNR_MAX, snr_min=SNR_MIN, beta_min=0.1, beta_max=20.0):
    """The schedule of rates β(u) = β_min + (β_max − β_min) u, with u a straight line in t that meets both ends.

    Source: Ho et al. (2020), section 4, in continuous time as Song et al. (2021), appendix C.
    """
    high, low = _ends(snr_max, snr_min)
    beta_min, beta_max = checks.positive_float("beta_min", beta_min), checks.positive_float("beta_max", beta_max)
    grows = beta_max - beta_min
    if grows <= 0:
        raise ValueError(f"beta_max must be above beta_min; received {beta_max:g} and {beta_min:g}.")
    decay = lambda u: beta_min * u + 0.5 * grows * u**2  # noqa: E731  # -2 log α
    # α² = exp(-decay) and SNR = 1/(exp(decay) - 1): solved for u at each end.
    at = [np.log1p(np.exp(-each)) for each in (high, low)]
    start, end = ((np.sqrt(beta_min**2 + 2 * grows * each) - beta_min) / grows for each in at)
    u = lambda t: start + (end - start) * np.asarray(t)  # noqa: E731
    return Schedule(
        lambda t: -np.log(np.expm1(decay(u(t)))),
        lambda t: -(end - start) * (beta_min + grows * u(t)) / -np.expm1(-decay(u(t))),
    )


def level_schedule(snr_max=SNR_MAX, snr_min=SNR_MIN):
    """The schedule whose log(1 + SNR) is a straight line: of all with its ends, the best bound for N(0, 1) at every T.

    A layer of N(0, 1) costs ½ ((1 + SNR_s)/(1 + SNR_t) − 1). The product of these ratios is fixed by the ends, so by
    the inequality of the arithmetic and the geometric mean their sum is least where all are equal.
    """
    high, low = (np.logaddexp(0.0, each) for each in _ends(snr_max, snr_min))
    level = lambda t: high + (low - high) * np.asarray(t)  # noqa: E731
    return Schedule(lambda t: np.log(np.expm1(level(t))), lambda t: (low - high) / -np.expm1(-level(t)))


def knots_schedule(log_snr):
    """A reader's own schedule: log SNR in straight pieces between evenly spaced times.

    Args:
        log_snr: at t = 0, ..., 1, shape (n,), falling, n at least 2.
    """
    log_snr = _falling("log_snr", log_snr)
    times = np.linspace(0.0, 1.0, len(log_snr))
    slopes = np.diff(log_snr) * (len(log_snr) - 1)
    piece = lambda t: np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(slopes) - 1)  # noqa: E731
    return Schedule(lambda t: np.interp(t, times, log_snr), lambda t: slopes[piece(t)])


def snr_of_betas(betas):
    """The SNR of a chain z_t = √(1 − β_t) z_{t−1} + √β_t ε that starts at the data, shape (n,): ᾱ/(1 − ᾱ).

    Args:
        betas: noise variance of each step, between 0 and 1, shape (n,).
    Source: Ho et al. (2020), equation 4.
    """
    log_alpha_bar = np.cumsum(np.log1p(-checks.open_unit_array("betas", betas)))
    return 1 / np.expm1(-log_alpha_bar)


# The encoder, which has no weights


def alpha_sigma(snr):
    """α and σ of a signal-to-noise ratio, with α² + σ² = 1, elementwise."""
    snr = checks.positive_array("snr", snr)
    return np.sqrt(snr / (1 + snr)), np.sqrt(1 / (1 + snr))


def forward_step(snr_s, snr_t):
    """Slope and variance of q(z_t|z_s) = N(slope · z_s, variance). Source: Kingma et al. (2021), appendix A."""
    (alpha_s, sigma_s), (alpha_t, sigma_t) = _two(snr_s, snr_t)
    slope = alpha_t / alpha_s
    return slope, sigma_t**2 - slope**2 * sigma_s**2


def forward_posterior(x, z_t, snr_s, snr_t):
    """Mean and variance of q(z_s|z_t, x), the layer below z_t in the encoder that runs from the top down.

    Args:
        x, z_t: data and the layer above, arrays that broadcast together.
        snr_s, snr_t: of the layer, and of the one above it, which is lower.
    Source: Kingma et al. (2021), appendix A.
    """
    x, z_t = checks.real_array("x", x), checks.real_array("z_t", z_t)
    (alpha_s, sigma_s), (_, sigma_t) = _two(snr_s, snr_t)
    checks.common_shape(x=x, z_t=z_t, snr_s=snr_s, snr_t=snr_t)
    slope, variance = forward_step(snr_s, snr_t)
    mean = slope * sigma_s**2 / sigma_t**2 * z_t + alpha_s * variance / sigma_t**2 * x
    return mean, variance * sigma_s**2 / sigma_t**2


def layer_kls(errors, snr):
    """KL(q(z_s|z_t, x) ‖ p(z_s|z_t)) of each layer but the top: ½ (SNR_s − SNR_t) ‖x − x̂(z_t)‖², nats.

    p(z_s|z_t) is q(z_s|z_t, x̂): the same normal with the denoised x in the place of x. So the two variances are
    equal, and the KL is a squared distance of means.

    Args:
        errors: (mean) squared error of x̂ at z_t for t = 1/T, ..., 1, shape (..., T).
        snr: at t = 0, 1/T, ..., 1, falling, shape (T + 1,).
    Source: Kingma et al. (2021), equation 13.
    """
    snr, errors = _snrs(snr), checks.real_array("errors", errors)
    if errors.shape[-1:] != (len(snr) - 1,):
        raise ValueError(
            f"errors must have one entry for each layer above snr[0], {len(snr) - 1} on the last axis; "
            f"received shape {errors.shape}."
        )
    return 0.5 * -np.diff(snr) * errors


class Denoised(NamedTuple):
    """One denoiser said in four ways: each follows from any other, given z and the SNR."""

    x: np.ndarray
    noise: np.ndarray
    velocity: np.ndarray
    score: np.ndarray


def said_in_four_ways(x, z, snr):
    """x̂, ε̂ = (z − α x̂)/σ, v̂ = α ε̂ − σ x̂ and the score −ε̂/σ, elementwise.

    Source: Kingma et al. (2021); for v Salimans and Ho (2022).
    """
    x, z = checks.real_array("x", x), checks.real_array("z", z)
    alpha, sigma = alpha_sigma(snr)
    checks.common_shape(x=x, z=z, snr=snr)
    noise = (z - alpha * x) / sigma
    return Denoised(x, noise, alpha * noise - sigma * x, -noise / sigma)


# The bound


class Bound(NamedTuple):
    """The negative ELBO of a diffusion of T layers, in nats, in its terms.

    Attributes:
        reconstruction: E[−log p(x|z_0)]; of a density, so it may be negative.
        layers: KL of each layer from t = 1/T to 1, given the layer above it, shape (T,).
        prior: KL(q(z_1|x) ‖ N(0, I)), of the top.
        evidence: −log p(x) itself, or its mean over data.
    """

    reconstruction: float
    layers: np.ndarray
    prior: float
    evidence: float

    @property
    def diffusion(self):
        """The layers' KLs together, nats."""
        return float(np.sum(self.layers))

    @property
    def total(self):
        """The bound, nats."""
        return float(self.reconstruction + self.diffusion + self.prior)

    @property
    def gap(self):
        """By how much the bound misses −log p(x), nats."""
        return self.total - self.evidence


def normal_bound(snr, square=1.0):
    """The bound for x ~ N(0, 1) with the best denoiser, x̂ = α_t z_t, and the best decoder p(x|z_0) = q(x|z_0).

    Args:
        snr: at t = 0, 1/T, ..., 1, falling, shape (T + 1,).
        square: x² for the bound of one x; 1, its mean, for the mean over data.
    """
    snr, square = _snrs(snr), checks.finite_float("square", square)
    errors = (square + snr) / (1 + snr) / (1 + snr)  # E over z_t given x of (x − x̂)²
    return Bound(
        0.5 * float(np.log(2 * np.pi / (1 + snr[0])) + (1 + snr[0]) * errors[0]),
        layer_kls(errors[1:], snr),
        0.5 * float((snr[-1] * square + 1) / (1 + snr[-1]) - 1 + np.log1p(snr[-1])),
        0.5 * (LOG_2PI_E - 1 + square),
    )


def normal_limit(snr_max=SNR_MAX, snr_min=SNR_MIN):
    """The layers' KLs together for N(0, 1) and T → ∞: ½ log((1 + SNR_max)/(1 + SNR_min)), nats, for every schedule.

    It is ½ ∫ mmse dSNR with mmse = 1/(1 + SNR): information by the I-MMSE relation.
    Source: Kingma et al. (2021), equation 18; Guo, Shamai and Verdú (2005).
    """
    high, low = _ends(snr_max, snr_min)
    return float(0.5 * (np.logaddexp(0.0, high) - np.logaddexp(0.0, low)))


def normal_roughness(schedule):
    """C = ¼ ∫ (SNR′/(1 + SNR))² dt of a schedule, nats: what its shape costs N(0, 1) data, twice over.

    With T layers the bound misses −log p(x) by C/T, to the first order in 1/T; and the one-sample loss of continuous
    time has the variance 3 C − limit² (`loss_variance`). By Cauchy–Schwarz C is at least limit², which
    `level_schedule` reaches.
    """
    t = (np.arange(NUM_TIMES) + 0.5) / NUM_TIMES  # the midpoint rule: it meets no knot of a few pieces
    return float(0.25 * np.mean(normal_slope(schedule, t) ** 2))


def normal_slope(schedule, t):
    """−SNR′/(1 + SNR) at t, which is twice the limit's share of each moment for N(0, 1) data, nats per unit of t."""
    log_snr, slope = schedule.log_snr(t), schedule.slope(t)
    return -slope / (1 + np.exp(-log_snr))


def loss_variance(schedule):
    """Variance of −½ SNR′(t) (x − x̂(z_t))² with t uniform, x ~ N(0, 1) and z_t drawn: nats².

    Given t, x − x̂ is normal with the variance 1/(1 + SNR), so that its fourth moment is 3/(1 + SNR)².
    """
    ends = np.exp(schedule.log_snr(np.array([0.0, 1.0])))
    return 3 * normal_roughness(schedule) - normal_limit(*ends) ** 2


def drawn_variance(snr, share):
    """Variance of z_0 that T layers draw with the exact denoiser of N(0, 1), from z_1 ~ N(0, 1); 1 would be right.

    Args:
        snr: at t = 0, 1/T, ..., 1, falling, shape (T + 1,).
        share: of the way between the two variances that Ho et al. (2020), section 3.2, name for p(z_s|z_t): 0 for
            that of q(z_s|z_t, x), which the bound has; 1 for that of q(z_t|z_s), which is right for N(0, 1).
    """
    snr, share, variance = _snrs(snr), checks.finite_float("share", share), 1.0
    for snr_s, snr_t in zip(snr[-2::-1], snr[:0:-1], strict=True):
        alpha_t, _ = alpha_sigma(snr_t)
        slope, spread = forward_posterior(alpha_t, 1.0, snr_s, snr_t)  # at z_t = 1, where x̂ = α_t
        variance = slope**2 * variance + (1 - share) * spread + share * forward_step(snr_s, snr_t)[1]
    return float(variance)


def _ends(snr_max, snr_min):
    snr_max, snr_min = checks.positive_float("snr_max", snr_max), checks.positive_float("snr_min", snr_min)
    if snr_max <= snr_min:
        raise ValueError(f"snr_max must be above snr_min; received {snr_max:g} and {snr_min:g}.")
    return np.log(snr_max), np.log(snr_min)


def _falling(name, values):
    values = checks.real_array(name, values)
    if values.ndim != 1 or len(values) < 2 or np.any(np.diff(values) >= 0):
        raise ValueError(f"{name} must fall from entry to entry, shape (n,) with n >= 2; received {values}.")
    return values


def _snrs(snr):
    return checks.positive_array("snr", _falling("snr", snr))


def _two(snr_s, snr_t):
    snr_s, snr_t = checks.positive_array("snr_s", snr_s), checks.positive_array("snr_t", snr_t)
    checks.common_shape(snr_s=snr_s, snr_t=snr_t)
    if np.any(snr_s <= snr_t):
        raise ValueError(
            "snr_s must be above snr_t: s is the layer below, with less noise; received them the other way."
        )
    return alpha_sigma(snr_s), alpha_sigma(snr_t)
