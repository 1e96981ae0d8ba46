"""Ratios of densities from samples: logistic regression as a critic, the bounds that any critic gives, and its chasm.

A critic T(x) tells samples of q from samples of p. At its best it is log q(x) − log p(x), whose mean under q is
KL(q ‖ p). Here q and p are normals on a line, and the critic is a quadratic, so that the best one is in its class.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import trapezoid_weights

NUM_FEATURES = 3  # 1, x, x²
# Of Newton's method; the loss is convex. Where the next step gains less than NEAR, it is taken whole: a loss summed
# over thousands of samples is not known well enough to judge it.
MOST_STEPS, MOST_HALVINGS, NEAR, DONE = 100, 40, 1e-6, 1e-18
REACH, NUM_NODES = 12.0, 4001  # widths beyond the means, and nodes, of the quadrature over x


def features(x):
    """1, x and x² on a new last axis, shape (..., 3)."""
    x = checks.real_array("x", x)
    return checks.representable("x", np.stack([np.ones_like(x), x, x**2], axis=-1))


def log_ratio(mu_q, std_q, mu_p, std_p):
    """The weights of 1, x and x² in log q(x) − log p(x) of two normals, shape (3,).

    Args:
        mu_q, std_q, mu_p, std_p: numbers; the widths are above 0.
    """
    mu_q, mu_p = checks.finite_float("mu_q", mu_q), checks.finite_float("mu_p", mu_p)
    std_q, std_p = checks.positive_float("std_q", std_q), checks.positive_float("std_p", std_p)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        q, p = np.float64(std_q) ** -2, np.float64(std_p) ** -2
        weights = [
            0.5 * (mu_p * mu_p * p - mu_q * mu_q * q) + np.log(std_p) - np.log(std_q),
            mu_q * q - mu_p * p,
            0.5 * (p - q),
        ]
    return checks.representable("mu_q, std_q, mu_p and std_p", np.array(weights))


class Critic(NamedTuple):
    """T(x) = weights · (1, z, z²) with z = (x − shift)/scale: the log-odds that x came from q rather than from p."""

    weights: np.ndarray
    shift: float = 0.0
    scale: float = 1.0

    def __call__(self, x):
        """The log-odds at x, nats, of the shape of x."""
        return features((np.asarray(x, float) - self.shift) / self.scale) @ self.weights


def fit_critic(from_q, from_p, ridge=0.0):
    """Logistic regression that tells samples of q from samples of p, by Newton's method.

    Args:
        from_q, from_p: samples, shapes (n,) and (m,).
        ridge: λ of the penalty ½ λ |weights|², in units in which all samples together have mean 0 and variance 1.
            Above 0 there is one best critic even where a threshold separates the samples.

    Returns:
        A `Critic`; without a ridge its shift is 0 and its scale 1.

    Raises:
        ValueError: without a ridge, the samples can be separated, so that no critic is best: the log-odds grow for
            ever.
    Source: Sugiyama, Suzuki & Kanamori (2012), chapter 4; Mescheder et al. (2017), eq. 3.3.
    """
    from_q, from_p = _samples("from_q", from_q), _samples("from_p", from_p)
    ridge = checks.finite_float("ridge", ridge)
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0; received {ridge:g}.")
    x = np.concatenate([from_q, from_p])
    with np.errstate(over="ignore", invalid="ignore"):
        shift, scale = checks.representable("from_q and from_p", x.mean(), x.std())
    if scale == 0:
        raise ValueError("from_q and from_p must hold more than one value together; all samples are equal.")
    f = features((x - shift) / scale)
    sign = np.where(np.arange(len(x)) < len(from_q), 1.0, -1.0)
    weights = _newton(f, sign, ridge)
    if ridge > 0:
        return Critic(weights, float(shift), float(scale))
    a, b, c = weights
    b, c = b / scale, c / scale**2
    return Critic(np.array([a - b * shift + c * shift**2, b - 2 * c * shift, c]))


def _newton(f, sign, ridge):
    def loss(w):
        return np.sum(np.logaddexp(0.0, -sign * (f @ w))) + 0.5 * ridge * w @ w

    w = np.zeros(f.shape[1])
    for _ in range(MOST_STEPS):
        share = expit(f @ w)
        gradient = f.T @ (share - (sign > 0)) + ridge * w
        curvature = (f * (share * (1 - share))[:, None]).T @ f + ridge * np.eye(len(w))
        if ridge == 0 and (np.abs(f @ w).max() > 500 or np.linalg.cond(curvature) > 1e14):
            break
        step = np.linalg.solve(curvature, gradient)
        decrement, now, length = gradient @ step, loss(w), 1.0
        for _ in range(MOST_HALVINGS if decrement > NEAR else 0):
            if loss(w - length * step) <= now - 1e-4 * length * decrement:
                break
            length /= 2
        w = w - length * step
        if decrement < DONE:
            return w
    if ridge > 0:
        return w
    raise ValueError(
        "from_q and from_p can be separated by their value: the log-odds of the best critic are infinite. "
        "Give a ridge above 0, more samples, or a reference that overlaps (adaptive contrast)."
    )


def critic_covariance(mu_q, std_q, mu_p, std_p, num):
    """Covariance of `fit_critic`'s weights from num samples of each normal, without a ridge, shape (3, 3).

    The inverse of the exact Fisher information at the truth, by quadrature. The constant is known better than it
    says, since the classes have exactly num members each.

    Source: Prentice & Pyke (1979); Qin (1998), theorem 1.
    """
    num = checks.positive_int("num", num)
    x, log_q, log_p = normals_on_grid(mu_q, std_q, mu_p, std_p)
    share = expit(log_q - log_p)
    law = trapezoid_weights(x) * np.exp(log_q) * (1 - share)  # q s (1 − s) + p s (1 − s) = q (1 − s)
    f = features(x)
    covariance = np.linalg.inv((f * law[:, None]).T @ f * num)
    covariance[0, 0] -= 2 / num
    return covariance


def normals_on_grid(mu_q, std_q, mu_p, std_p):
    """Return (x, log q(x), log p(x)) on nodes that hold both normals, each of shape (NUM_NODES,)."""
    low = min(mu_q - REACH * std_q, mu_p - REACH * std_p)
    x = np.linspace(low, max(mu_q + REACH * std_q, mu_p + REACH * std_p), NUM_NODES)
    return (
        x,
        gaussian.log_prob_normal(x, mu_q, 2 * np.log(std_q)),
        gaussian.log_prob_normal(x, mu_p, 2 * np.log(std_p)),
    )


# What any critic says


class CriticBounds(NamedTuple):
    """What a critic says of q and p, nats.

    Attributes:
        plain: E_q[T], the estimate of adversarial variational Bayes. It is no bound.
        donsker_varadhan: E_q[T] − log E_p[exp T], at most KL(q ‖ p).
        nwj: E_q[T] − E_p[exp T] + 1, at most the Donsker–Varadhan bound.
        jensen_shannon: log 2 − ½ cross_entropy, at most the Jensen–Shannon divergence.
        cross_entropy: E_q[softplus(−T)] + E_p[softplus(T)], what the critic minimises.
    """

    plain: float
    donsker_varadhan: float
    nwj: float
    jensen_shannon: float
    cross_entropy: float


def critic_bounds(x, log_q, log_p, critic):
    """What a critic says of two densities on a grid, by the trapezoid rule.

    Args:
        x: nodes, shape (n,).
        log_q, log_p: log-densities at the nodes, nats, shape (n,).
        critic: T at the nodes, nats, shape (n,).

    Returns:
        `CriticBounds`.
    Source: Donsker & Varadhan (1983); Nguyen, Wainwright & Jordan (2010), eq. 7, with T in place of T − 1;
        Goodfellow et al. (2014), theorem 1.
    """
    x, critic = checks.real_array("x", x), checks.real_array("critic", critic)
    log_q, log_p = checks.log_array("log_q", log_q), checks.log_array("log_p", log_p)
    checks.common_shape(x=x, log_q=log_q, log_p=log_p, critic=critic)
    weights = trapezoid_weights(x)
    if np.broadcast_shapes(x.shape, log_q.shape, log_p.shape, critic.shape) != x.shape:
        shapes = f"log_q {log_q.shape}, log_p {log_p.shape}, critic {critic.shape}"
        raise ValueError(f"expected one value at each point of x, shape {x.shape}; received {shapes}.")
    critic = np.broadcast_to(critic, x.shape)  # one that says the same everywhere may be a number
    q, p = np.exp(log_q) * weights, np.exp(log_p) * weights
    with np.errstate(over="ignore", invalid="ignore"):
        plain, log_mean = q @ critic, logsumexp(critic + log_p, b=weights)
        cross = q @ np.logaddexp(0, -critic) + p @ np.logaddexp(0, critic)
        found = (plain, plain - log_mean, plain - np.exp(log_mean) + 1, np.log(2) - 0.5 * cross, cross)
    checks.representable("critic", np.array(found))
    return CriticBounds(*map(float, found))


# Across the chasm


def critic_kl(from_q, from_p, ridge=1.0):
    """KL(q ‖ p) as a critic has it: the mean of its log-odds over the samples of q, nats."""
    return float(fit_critic(from_q, from_p, ridge)(from_q).mean())


def contrast_kl(from_q, standard, log_p, ridge=1.0):
    """KL(q ‖ p) with adaptive contrast: KL(q ‖ r) from a critic, and the rest, E_q[log r − log p], without one.

    r is the normal with the mean and the variance of the samples of q, so the critic has little left to measure.

    Args:
        from_q: samples of q, shape (n,).
        standard: draws of N(0, 1), from which those of r are made, shape (m,).
        log_p: function that gives log p at an array, nats.
        ridge: as for `fit_critic`.

    Returns:
        Nats.
    Source: Mescheder et al. (2017), section 4.
    """
    from_q, standard = _samples("from_q", from_q), _samples("standard", standard)
    with np.errstate(over="ignore", invalid="ignore"):
        mu, std = checks.representable("from_q", from_q.mean(), from_q.std())
    if std == 0:
        raise ValueError("from_q must hold more than one value: all samples are equal.")
    log_r = gaussian.log_prob_normal(from_q, mu, 2 * np.log(std))
    rest = log_r - checks.values_of("log_p", log_p, from_q, from_q.shape)
    return critic_kl(from_q, mu + std * standard, ridge) + float(rest.mean())


def _samples(name, values):
    values = checks.real_array(name, values)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"{name} must have shape (n,) with n >= 2; received {values.shape}.")
    return values
