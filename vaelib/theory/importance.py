"""Importance weights w = p(x, z) / q(z|x): the bound L_k = E log((w_1 + ... + w_k)/k) and its relatives, exactly.

`WeightLaw` holds the law of w under q on quadrature nodes. One more integral then gives for every k, without Monte
Carlo, the bound, the effective sample size, the resampled posterior, and mean and noise of the gradient estimators,
because a sum of k independent weights has the Laplace transform φ(s)^k with φ(s) = E_q[exp(−s w)], and

    log S = ∫ (e^{−s} − e^{−s S}) ds/s,        1/S^p = ∫ s^{p−1} e^{−s S} ds / Γ(p)        (Frullani; Gamma).

With w scaled to mean 1, L_k = log p(x) + ∫ (e^{−k s} − φ(s)^k) ds/s.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, logsumexp, polygamma
from scipy.stats import gamma

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import even_grid

# The trapezoid rule over u = log s: the integrands are analytic for |Im u| < π/2 and vanish at both ends.
LOWEST, STEP = -70.0, 0.125
BEYOND = 4.0  # exp(−e^4) is 2e-24
NEGLIGIBLE = -55.0  # log-probability of nodes that may be forgotten where w is smallest
FURTHEST = 6_000.0  # nats that a weight may lie below log p(x); bounds the work
ENTRIES_AT_ONCE = 2_000_000  # of nodes times places s; bounds the memory


# Estimates from draws


def bound_estimate(log_w, axis=0):
    """log((w_1 + ... + w_k)/k) along an axis: its mean is L_k. One value per remaining entry, nats.

    Args:
        log_w: log p(x, z_i) − log q(z_i|x), any shape; k is its size along the axis.
    Raises:
        ValueError: every weight of an estimate underflows to 0, or log_w is not a number.
    Source: Burda et al. (2016), eq. 8.
    """
    log_w = _drawn(log_w, axis)
    return logsumexp(log_w, axis=axis) - math.log(log_w.shape[axis])


def effective_sample_size(log_w, axis=0):
    """(Σ w)² / Σ w² along an axis: how many equal weights are worth these, from 1 to k.

    Args and Raises: as `bound_estimate`.
    Source: Kong (1992); Kish (1965).
    """
    log_w = _drawn(log_w, axis)
    log_w = log_w - log_w.max(axis=axis, keepdims=True)  # weights up to a factor: twice a large number may be none
    return np.exp(2 * logsumexp(log_w, axis=axis) - logsumexp(2 * log_w, axis=axis))


def _drawn(log_w, axis):
    log_w = checks.log_array("log_w", log_w)
    if log_w.ndim == 0 or log_w.shape[axis] == 0:
        raise ValueError(f"log_w must hold at least one weight along axis {axis}; received shape {log_w.shape}.")
    if np.any(np.max(log_w, axis=axis) == -np.inf):
        raise ValueError(
            "log_w must hold a weight above 0 for each estimate; received only -inf, weights that underflow. Subtract "
            "log-densities, log p(x, z) - log q(z|x): never take the logarithm of a ratio of densities."
        )
    return log_w


# The law of one weight, and what follows for k of them


class GradientMoments(NamedTuple):
    """Mean and standard deviation of a gradient's estimator; `snr` is their ratio, |mean| / std."""

    mean: np.ndarray
    std: np.ndarray

    @property
    def snr(self):
        """Signal-to-noise ratio of one estimate. Source: Rainforth et al. (2018)."""
        return np.abs(self.mean) / self.std


class WeightLaw:
    """The law of log w under q, on quadrature nodes; everything in nats.

    Args:
        log_w: log p(x, z) − log q(z|x) at the nodes, shape (n,).
        log_prob: log of the probability that q gives each node (density times cell), shape (n,).
        z: the nodes, shape (n, latent_dim), where they are wanted later.
        lowest, step: where the trapezoid rule over log s starts, and how far its places lie apart.
    Attributes:
        log_mean: log E_q[w], which is log p(x).
    Raises:
        ValueError: shapes differ, weights underflow, or the probabilities do not sum to 1.
    Source: Burda et al. (2016), eq. 8 for L_k; Frullani's integral for log.
    """

    def __init__(self, log_w, log_prob, z=None, lowest=LOWEST, step=STEP):
        log_w = np.asarray(log_w, dtype=float)
        if np.any(log_w == -np.inf):
            raise ValueError(
                f"log_w must be finite; received -inf at {np.sum(log_w == -np.inf)} of {log_w.size} nodes, weights "
                "that underflow. Subtract log-densities, log p(x, z) - log q(z|x): never take the logarithm of a ratio."
            )
        self.log_w, log_prob = checks.real_array("log_w", log_w), checks.real_array("log_prob", log_prob)
        if self.log_w.ndim != 1 or self.log_w.shape != log_prob.shape:
            raise ValueError(
                f"log_w and log_prob must have one shape (n,); received {self.log_w.shape} and {log_prob.shape}."
            )
        log_total = float(logsumexp(log_prob))
        if abs(math.expm1(log_total)) > 1e-6:
            raise ValueError(
                f"the probabilities of the nodes must sum to 1; received a sum of {math.exp(log_total):.6g}. "
                "Take nodes over the whole width of q, and multiply its density by the size of a cell."
            )
        self.log_prob, self.z = log_prob - log_total, z
        self.log_mean = float(logsumexp(self.log_prob + self.log_w))
        self._scaled = self.log_w - self.log_mean  # weights of mean 1
        least = min(float(self._scaled[self.log_prob > NEGLIGIBLE].min()), 0.0)
        if least < -FURTHEST:
            raise ValueError(
                f"log_w must stay within {FURTHEST:,.0f} nats of log p(x) where q has any mass; received {least:,.0f}: "
                "q is far too wide for this posterior. Take a narrower q, or draws: bound_estimate."
            )
        self._u = even_grid(lowest, BEYOND - least, step)
        self._du = self._u[1] - self._u[0]
        with np.errstate(over="ignore", divide="ignore"):
            below_one = self._over_places(lambda a: self.log_prob + np.log(-np.expm1(-np.exp(a))))
            self._log_phi = np.log1p(-np.minimum(below_one, 1.0))

    def bound(self, k):
        """L_k = E log((w_1 + ... + w_k)/k): the ELBO for k = 1, and log p(x) in the limit.

        Args:
            k: samples, a whole number of at least 1.
        Returns:
            A number in nats; its error is about 1e-14 beyond that of the nodes.
        Raises:
            ValueError: k is not a whole number of at least 1.
        Source: Burda et al. (2016), eq. 8 and theorem 1.
        """
        k = checks.positive_int("k", k)
        # Both terms are close to 1 for small s: their distance to 1 keeps the digits.
        difference = np.expm1(-k * np.exp(self._u)) - np.expm1(self._phi_to(k, log=True))
        return self.log_mean + float(np.sum(difference) * self._du)

    def effective_size(self, k):
        """1 / E[Σ w̃²] of k draws, from 1 to k: Σ w̃² is the chance that two resampled draws are one and the same.

        Source: Kong (1992) for (Σ w)²/Σ w²; this is the same ratio with the mean taken before the division.
        """
        return 1.0 / float(self._mean_of_weights(2, np.ones(len(self.log_w)), checks.positive_int("k", k)))

    def implied_log_prob(self, k):
        """Log-probability of each node when one of k draws of q is kept, in proportion to its weight, shape (n,).

        It is q for k = 1 and tends to the true posterior.
        Source: Cremer, Morris and Duvenaud (2017); importance resampling, Rubin (1988).
        """
        return self.log_prob + self.implied_log_ratio(self.log_w, k)

    def implied_log_ratio(self, log_w, k):
        """By how much resampling from k draws raises log q at places of these log-weights, shape (n,); see above."""
        k, scaled = checks.positive_int("k", k), checks.real_array("log_w", log_w) - self.log_mean
        rest = self._phi_to(k - 1)
        share = np.empty(len(scaled))
        for start in range(0, len(share), self._at_once(len(self._u))):
            some = slice(start, start + self._at_once(len(self._u)))
            a = self._u + scaled[some, None]
            with np.errstate(over="ignore"):
                share[some] = np.exp(a - np.exp(a)) @ rest
        with np.errstate(divide="ignore"):
            return np.log(k * self._du * share)

    def weighted_mean(self, values, k):
        """E[Σ w̃_i f(z_i)] with w̃_i = w_i / Σ w_j, the self-normalised estimate's mean, for f at the nodes.

        Args:
            values: f at the nodes, shape (n,) or (n, m).
            k: samples.
        Returns:
            A number, or shape (m,). For f = log w it is E Σ w̃ log w, which is no bound: it tends to
            log p(x) + KL(p(z|x) ‖ q(z|x)).
        """
        return self._mean_of_weights(1, self._checked(values), checks.positive_int("k", k))

    def gradient(self, slope, k):
        """Mean and noise of Σ w̃_i h_i, the gradient of the estimated L_k, one estimate from k draws.

        Args:
            slope: h, the whole derivative of log w with respect to each parameter at the nodes, shape (n,) or (n, m):
                `Slopes.total` for q's, ∂ log p(x, z)/∂θ for the model's.
            k: samples.
        Returns:
            GradientMoments, each a number or of shape (m,).
        Source: Burda et al. (2016), section 3; its noise, Rainforth et al. (2018).
        """
        return self._gradient(1, self._checked(slope), checks.positive_int("k", k))

    def doubly_reparameterized_gradient(self, slope, k):
        """Mean and noise of Σ w̃_i² g_i: the same mean as `gradient`, with a noise that falls as fast as the signal.

        Args:
            slope: g, the derivative of log w through z alone, shape (n,) or (n, m): `Slopes.path`.
            k: samples.
        Returns:
            GradientMoments, each a number or of shape (m,).
        Source: Tucker et al. (2019), eq. 8.
        """
        return self._gradient(2, self._checked(slope), checks.positive_int("k", k))

    def _gradient(self, power, f, k):
        """Moments of Σ w̃^power f, from 1/S^p = ∫ s^{p−1} e^{−sS} ds / Γ(p) for p = power and p = 2 power."""
        mean = self._mean_of_weights(power, f, k)
        square = self._mean_of_weights(2 * power, f**2, k)
        if k > 1:
            pairs = self._transform(power, f) ** 2
            scale = k * (k - 1) * self._du / math.gamma(2 * power)
            square = square + scale * (self._phi_to(k - 2) @ pairs)
        return GradientMoments(mean, np.sqrt(np.maximum(square - mean**2, 0.0)))

    def _mean_of_weights(self, power, f, k):
        """E[Σ w̃_i^power f(z_i)]."""
        return k * self._du / math.gamma(power) * (self._phi_to(k - 1) @ self._transform(power, f))

    def _transform(self, power, f):
        """E_q[(s w)^power f e^{−s w}] at each s, shape (places,) or (places, m)."""
        with np.errstate(over="ignore"):
            return self._over_places(lambda a: self.log_prob + power * a - np.exp(a), f)

    def _over_places(self, log_term, f=None):
        """Sum over the nodes of f times exp(log_term(log s + log w)), at each place s."""
        f = np.ones(len(self.log_w)) if f is None else f
        rows = self._at_once(len(self.log_w))
        starts = range(0, len(self._u), rows)
        return np.concatenate([np.exp(log_term(self._u[i : i + rows, None] + self._scaled)) @ f for i in starts])

    def _phi_to(self, power, log=False):
        """φ(s)^power at each s; where power is 0 it is 1, also where φ underflows."""
        log_power = power * self._log_phi if power else np.zeros(len(self._u))
        return log_power if log else np.exp(log_power)

    def _checked(self, values):
        values = checks.real_array("values", values)
        if values.ndim not in (1, 2) or len(values) != len(self.log_w):
            raise ValueError(f"values must have shape ({len(self.log_w)},) or one more axis; received {values.shape}.")
        return values

    @staticmethod
    def _at_once(size):
        return max(1, ENTRIES_AT_ONCE // size)


# Where the nodes come from


def normal_law(log_joint, mu, log_var, low, high, num_nodes=None):
    """The law of w for q = N(μ, diag σ²) in one or two dimensions, on an even grid.

    Args:
        log_joint: log p(x, z) of z (n, d), shape (n,).
        mu, log_var: q, shape (d,) with d = 1 or 2.
        low, high: a box that holds all of the posterior, shape (d,); it is widened to hold q too.
        num_nodes: nodes along each dimension; 1,601 in one dimension and 161 in two by default.
    Returns:
        WeightLaw, its nodes in `z`.
    Raises:
        ValueError: more than two dimensions, or a box whose ends are not in order.
    """
    mu, log_var, low, high = checks.vectors(mu=mu, log_var=log_var, low=low, high=high)
    if mu.shape not in ((1,), (2,)):
        raise ValueError(
            f"mu must have shape (1,) or (2,): a grid has no room for more; received {mu.shape}. "
            "In more dimensions take draws: bound_estimate."
        )
    if np.any(low >= high):
        raise ValueError(f"low must lie below high; received {low} and {high}.")
    std = np.exp(0.5 * log_var)
    low, high = np.minimum(low, mu - 9.0 * std), np.maximum(high, mu + 9.0 * std)
    num_nodes = checks.positive_int("num_nodes", num_nodes or (1601 if mu.size == 1 else 161))
    axes = np.linspace(low, high, num_nodes)
    z = np.stack([axis.ravel() for axis in np.meshgrid(*axes.T, indexing="ij")], axis=-1)
    log_q = gaussian.log_prob_diagonal(z, mu, log_var)
    cell = np.sum(np.log(axes[1] - axes[0]))
    return WeightLaw(checks.values_of("log_joint", log_joint, z, (len(z),)) - log_q, log_q + cell, z)


def model_law(model, x, mu, log_var, num_nodes=None):
    """The law of w for a model of `toy_models` with latent_dim 1 or 2, one x and q = N(mu, diag exp(log_var)).

    Args:
        model: it says where its posterior lies.
        x: shape (data_dim,). mu, log_var: shape (latent_dim,). num_nodes: as `normal_law`.
    Returns:
        WeightLaw; its log_mean is the model's log p(x).
    Raises:
        ValueError: the grid misses log p(x) by more than 1e-8 nats.
    """
    x = model.check_x(x)
    mean, var = model.posterior(x)
    var = np.diag(var) if np.ndim(var) == 2 else np.atleast_1d(var)
    reach = 10.0 * np.sqrt(var)
    law = normal_law(lambda z: model.log_joint(x, z), mu, log_var, mean - reach, mean + reach, num_nodes)
    missed = law.log_mean - float(model.log_evidence(x))
    if abs(missed) > 1e-8:
        raise ValueError(
            f"the grid of {len(law.z):,} nodes must give log p(x); it is off by {missed:.2g} nats, because q and "
            "posterior differ too much in width. Pass a larger num_nodes."
        )
    return law


class Slopes(NamedTuple):
    """Derivatives of log w with respect to μ and log σ² along z = μ + σ ε, each of shape (n, 2 d), those of μ first.

    total: the whole derivative. path: through z alone, with q's own parameters held.
    """

    total: np.ndarray
    path: np.ndarray


def normal_slopes(z, mu, log_var, score):
    """The two derivatives of log w that the gradient estimators of q = N(μ, diag σ²) use.

    Args:
        z: shape (n, d). mu, log_var: shape (d,).
        score: ∂ log p(x, z)/∂z at the nodes, shape (n, d).
    Returns:
        Slopes.
    Source: Roeder, Wu and Duvenaud (2017); Tucker et al. (2019).
    """
    z, mu, log_var, score = checks.vectors(z=z, mu=mu, log_var=log_var, score=score)
    std = np.exp(0.5 * log_var)
    eps = (z - mu) / std
    total = np.concatenate([score, 0.5 * std * eps * score + 0.5], axis=-1)
    through_z = score + eps / std
    return Slopes(total, np.concatenate([through_z, 0.5 * std * eps * through_z], axis=-1))


# Closed cases


class GammaExponential:
    """z ~ Gamma(a, rate b), x|z ~ Exponential(rate z), q(z|x) = Gamma(a, rate b + x): L_k in closed form for every k.

    The posterior is Gamma(a + 1, b + x), so w is proportional to z, and a sum of k weights is a Gamma variable again.

    Args:
        a, b: shape and rate of the prior, above 0.
    Source: the case Gamma(1, 1) is in Nowozin (2018), figure 1; the rest follows from E log Gamma = ψ.
    """

    def __init__(self, a, b):
        self.a, self.b = checks.positive_float("a", a), checks.positive_float("b", b)

    def log_evidence(self, x):
        """log p(x) = log a + a log b − (a + 1) log(b + x), a Lomax density."""
        return math.log(self.a) + self.a * math.log(self.b) - (self.a + 1) * math.log(self.b + self._checked(x))

    def bound(self, x, k):
        """L_k = log p(x) + ψ(a k) − log(a k)."""
        k = checks.positive_int("k", k)
        return self.log_evidence(x) + float(digamma(self.a * k)) - math.log(self.a * k)

    def variance(self, k):
        """Variance ψ′(a k) of the estimate log((w_1 + ... + w_k)/k)."""
        return float(polygamma(1, self.a * checks.positive_int("k", k)))

    def log_weight(self, x, z):
        """log p(z) + log p(x|z) − log q(z|x), from the three densities."""
        x, z = self._checked(x), checks.positive_array("z", z)
        log_joint = gamma.logpdf(z, self.a, scale=1 / self.b) + np.log(z) - z * x
        return log_joint - gamma.logpdf(z, self.a, scale=1 / (self.b + x))

    def law(self, x, num_nodes=2001):
        """The law of w under q on nodes that are even in log z."""
        x = self._checked(x)
        rate = self.b + x
        low, high = -45.0 / self.a, math.log(self.a + 1 + 12 * math.sqrt(self.a + 1) + 60)
        v = np.linspace(low + min(0.0, float(gammaln(self.a + 1)) / self.a), high, num_nodes) - math.log(rate)
        z = np.exp(v)
        log_prob = gamma.logpdf(z, self.a, scale=1 / rate) + v + math.log(v[1] - v[0])
        return WeightLaw(self.log_weight(x, z), log_prob, z[:, None])

    def _checked(self, x):
        return checks.positive_float("x", x)


def normal_second_moment(mu_q, cov_q, mu_p, cov_p):
    """E_q[w²]/(E_q w)² of w = p/q for two normals, infinite unless 2 Σ_p⁻¹ − Σ_q⁻¹ is positive definite.

    In one dimension: finite where q's variance is above half of the posterior's. k draws are worth about k divided by
    this number, and the gap of L_k tends to (this number − 1)/(2 k).

    Args:
        mu_q, mu_p: means, shape (d,). cov_q, cov_p: covariances, shape (d, d).
    Returns:
        A number from 1 to infinity.
    Source: completing the square in ∫ p²/q; the meaning for the gap, Nowozin (2018).
    """
    mu_q, mu_p = checks.vectors(mu_q=mu_q, mu_p=mu_p)
    factor_q, factor_p = gaussian.cholesky(cov_q, "cov_q"), gaussian.cholesky(cov_p, "cov_p")
    if not len(factor_q) == len(factor_p) == mu_q.size == mu_p.size or mu_q.ndim > 1 or mu_p.ndim > 1:
        raise ValueError(f"cov_q and cov_p must have shape ({mu_q.size}, {mu_q.size}), the dimension of mu_q and mu_p.")
    try:
        precision_q, precision_p = np.linalg.inv(cov_q), np.linalg.inv(cov_p)
    except np.linalg.LinAlgError:
        raise ValueError("cov_q and cov_p must be positive definite; one is singular up to rounding.") from None
    precision = 2 * precision_p - precision_q
    if np.linalg.eigvalsh(precision)[0] <= 0:
        return math.inf
    with np.errstate(all="ignore"):  # what leaves the range of a float is named
        shift = precision_q @ (mu_p - mu_q)
        exponent = 0.5 * ((mu_p - mu_q) @ shift + shift @ np.linalg.solve(precision, shift))
    exponent = checks.representable("mu_q and mu_p", exponent)
    log_dets = np.sum(np.log(np.diag(factor_q))) - 2 * np.sum(np.log(np.diag(factor_p)))
    return float(np.exp(exponent + log_dets - 0.5 * np.linalg.slogdet(precision)[1]))


def mean_field_second_moment(rho):
    """E_q[w²]/(E_q w)² = (1 − ρ²)/√(1 − 4 ρ²) of the best mean-field q for two standard normals of correlation ρ.

    That q has the variances 1 − ρ² (reverse KL). From |ρ| = ½ on the weights have infinite variance.

    Args:
        rho: ρ, between −1 and 1, both left out.
    Returns:
        A number from 1 to infinity.
    Raises:
        ValueError: rho is not between −1 and 1.
    Source: `normal_second_moment` with Σ_q = (1 − ρ²) I.
    """
    rho = checks.real_array("rho", rho)
    if rho.ndim or not abs(rho) < 1:
        raise ValueError(f"rho must be one number between -1 and 1, both left out; received {rho}.")
    return float((1 - rho**2) / math.sqrt(1 - 4 * rho**2)) if abs(rho) < 0.5 else math.inf
