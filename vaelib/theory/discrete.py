"""Discrete latents, exactly: two points by quadrature, K classes, and sigmoid belief networks by enumeration.

A gradient is one with respect to logits. An estimator's mean and variance are sums over all that can be drawn.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, gammaln, log_expit, log_softmax, logit, logsumexp

from vaelib import checks

MOST_HIDDEN = 12  # hidden units whose 2^12 states, and pairs of them, are summed over
PAIRS_AT_ONCE = 2_000_000  # of pairs of states; bounds the memory
# The trapezoid rule over logistic noise, whose tails are e^-40 at its ends. The integrands are analytic for |Im v| < π
# (and < π/τ), so the error is below e^(-2π²/STEP).
STEP, REACH = 0.25, 40.0
JUMPS = 0.01  # the step where the integrand jumps


# Two points


class TwoPoints:
    """The loss (z − t)² of z ~ Bernoulli(p): its gradient in the logit of p, true and as estimators have it.

    A relaxed draw is y = σ((logit p + noise)/τ) with logistic noise; expectations over it are by quadrature.

    Args:
        t: the target, strictly between 0 and 1. Below ½ the best p is 0.
    Source: the toy problem of Tucker et al. (2017), section 5.1; Maddison et al. (2017) for the relaxation.
    """

    def __init__(self, t):
        self.t = float(checks.open_unit_array("t", checks.finite_float("t", t)))

    def f(self, z):
        """(z − t)²."""
        return (z - self.t) ** 2

    def slope(self, z):
        """The derivative of f, 2 (z − t)."""
        return 2 * (z - self.t)

    def loss(self, p):
        """E[f(z)] = p f(1) + (1 − p) f(0), of the shape of p."""
        p = checks.open_unit_array("p", p)
        return p * self.f(1.0) + (1 - p) * self.f(0.0)

    def gradient(self, p):
        """The true gradient, p (1 − p) (1 − 2 t)."""
        p = checks.open_unit_array("p", p)
        return p * (1 - p) * (self.f(1.0) - self.f(0.0))

    def straight_through(self, p):
        """What straight-through has for the gradient in the mean, p (1 − p) 2 (p − t): it is 0 at p = t.

        Source: Bengio et al. (2013); the mean of f'(z) over z, times p (1 − p).
        """
        p = checks.open_unit_array("p", p)
        return p * (1 - p) * self.slope(p)

    def relaxed_loss(self, p, tau):
        """E[f(y)] of a relaxed draw."""
        return self._over_noise(p, tau, lambda y: self.f(y))

    def relaxed_gradient(self, p, tau):
        """The gradient of `relaxed_loss`, E[f'(y) y (1 − y)/τ]: the mean that Gumbel-softmax estimates."""
        return self._over_noise(p, tau, lambda y: self.slope(y) * y * (1 - y) / tau)

    def straight_through_relaxed(self, p, tau):
        """E[f'(z) y (1 − y)/τ] with z = [y > ½]: hard forwards, relaxed backwards.

        The integrand jumps at y = ½, a node of the trapezoid rule: exact to some 1e-5.
        """
        back = lambda y: self.slope(np.heaviside(y - 0.5, 0.5)) * y * (1 - y) / tau  # noqa: E731
        return self._over_noise(p, tau, back, JUMPS)

    def _over_noise(self, p, tau, function, step=STEP):
        p, tau = checks.open_unit_array("p", p), checks.positive_float("tau", tau)
        step = step / max(1.0, tau)
        # The nodes are the values of (logit p + noise)/τ, the same for every p, with 0, y = ½, among them.
        reach = (np.abs(logit(p)).max() + REACH) / tau
        v = step * np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1)
        noise = tau * v - logit(p)[..., None]
        density = np.exp(log_expit(noise) + log_expit(-noise))
        return density @ function(expit(v)) * tau * step


def first_lie(t):
    """The temperature 1 − 2t above which the relaxed loss of `TwoPoints` falls as p leaves 0, for t below ½.

    Near p = 0 the relaxed gradient is p Γ(1 − τ) Γ(1 + τ) (1 − 2t − τ), for τ < 1: a Beta integral.
    """
    t = checks.finite_float("t", t)
    if not 0 < t < 0.5:
        raise ValueError(f"t must lie between 0 and 0.5, where the best p is 0; received {t:g}.")
    return 1 - 2 * t


# K classes


def gumbel(u):
    """Gumbel noise −log(−log u) from uniform u, of the same shape.

    Source: Gumbel (1954); the argmax of logits plus noise is a draw, Maddison et al. (2014).
    """
    return -np.log(-np.log(checks.open_unit_array("u", u)))


def relaxed_draw(logits, noise, tau):
    """softmax((logits + noise)/τ) over the last axis: a point of the simplex, whose largest entry is the draw.

    Source: Jang et al. (2017), eq. 2; Maddison et al. (2017).
    """
    logits, noise = checks.real_array("logits", logits), checks.real_array("noise", noise)
    checks.common_shape(logits=logits, noise=noise)
    tau = checks.positive_float("tau", tau)
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range of a float is named
        scores = checks.representable("logits, noise and tau", (logits + noise) / tau)
    return np.exp(log_softmax(scores, axis=-1))


def relaxed_log_prob(y, logits, tau):
    """The log-density of a relaxed draw in its first K − 1 entries, nats: y (..., K), logits (K,), to (...).

    Raises:
        ValueError: y is not inside the simplex, or tau is not above 0.
    Source: Maddison et al. (2017), eq. 10; Jang et al. (2017), appendix B.
    """
    y, logits = checks.vectors(y=checks.open_unit_array("y", y), logits=logits)
    if np.abs(y.sum(axis=-1) - 1).max(initial=0.0) > 1e-6:
        raise ValueError("y must sum to 1 along its last axis, and every entry be above 0: a point inside the simplex.")
    tau, k = checks.positive_float("tau", tau), y.shape[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        scores = logits - tau * np.log(y)
        spread = np.sum(scores - np.log(y), axis=-1) - k * logsumexp(scores, axis=-1)
    return checks.representable("logits and tau", gammaln(k) + (k - 1) * np.log(tau) + spread)


def softmax_gradient(pi, g):
    """π ∘ (g − π·g): what the logits see of a gradient g in the probabilities; both of shape (..., K).

    With g_k = f(class k) it is the gradient of E[f]; with g the slope at a point of the simplex, that of f there.
    """
    pi, g = checks.vectors(pi=pi, g=g)
    return pi * (g - np.sum(pi * g, axis=-1, keepdims=True))


def kl_uniform(pi):
    """KL(π ‖ uniform) = Σ π log(K π) = log K − H(π) over the last axis, nats."""
    pi = checks.real_array("pi", pi)
    if pi.ndim == 0 or np.any(pi < 0) or np.abs(pi.sum(axis=-1) - 1).max(initial=0.0) > 1e-6:
        raise ValueError("pi must hold probabilities that sum to 1 along its last axis.")
    return np.sum(pi * np.log(np.where(pi > 0, pi, 1.0) * pi.shape[-1]), axis=-1)


# Sigmoid belief networks


class Moments(NamedTuple):
    """Mean and variance of an estimator, exact, each of the shape of the gradient."""

    mean: np.ndarray
    variance: np.ndarray


class SigmoidBeliefNetwork:
    """h ~ Bernoulli(σ(b)) of H units, x|h ~ Bernoulli(σ(W h + c)); everything is a sum over the 2^H states.

    q(h|x) has independent units, with logits a. Scores are ∂ log q(h)/∂a = h − σ(a).

    Args:
        w: W, shape (D, H). b: shape (H,). c: shape (D,).
    Raises:
        ValueError: shapes that do not fit, or more than 12 hidden units.
    Source: Neal (1992).
    """

    def __init__(self, w, b, c):
        self.w, self.b, self.c = (checks.real_array(name, a) for name, a in (("w", w), ("b", b), ("c", c)))
        if self.w.ndim != 2 or self.b.shape != self.w.shape[1:] or self.c.shape != self.w.shape[:1]:
            raise ValueError(
                f"w must have shape (D, H), b (H,) and c (D,); received {self.w.shape}, {self.b.shape}, {self.c.shape}."
            )
        self.num_hidden = len(self.b)
        self.states = all_states(self.num_hidden)
        self._logits = self.states @ self.w.T + self.c

    def log_joint(self, x):
        """log p(x, h) for every state: x (D,) of zeros and ones to (2^H,)."""
        x = checks.real_array("x", x)
        if x.shape != self.c.shape or np.any((x != 0) & (x != 1)):
            raise ValueError(f"x must have shape {self.c.shape} and hold zeros and ones; received shape {x.shape}.")
        sign = 2 * x - 1
        return log_bernoulli(self.states, self.b) + np.sum(log_expit(sign * self._logits), axis=1)

    def log_evidence(self, x):
        """log p(x), nats."""
        return float(logsumexp(self.log_joint(x)))

    def posterior(self, x):
        """p(h|x) of every state, shape (2^H,)."""
        return np.exp(self.log_joint(x) - self.log_evidence(x))

    def log_weights(self, x, a):
        """(log w, q): log p(x, h) − log q(h|x) and q(h|x) of every state, each of shape (2^H,)."""
        log_q = log_bernoulli(self.states, self._checked(a))
        return self.log_joint(x) - log_q, np.exp(log_q)

    def elbo(self, x, a):
        """The ELBO, Σ q(h) log w(h), nats."""
        log_w, q = self.log_weights(x, a)
        return float(q @ log_w)

    def bound_of_two(self, x, a):
        """L_2 = E log((w_1 + w_2)/2) over all pairs of states, nats. Source: Burda et al. (2016), eq. 8."""
        log_w, q = self.log_weights(x, a)
        return float(sum(q[rows] @ mean @ q for rows, mean, _ in _pairs(log_w)))

    def scores(self, a):
        """h − σ(a) of every state, shape (2^H, H)."""
        return self.states - expit(self._checked(a))

    def elbo_gradient(self, x, a):
        """The gradient of the ELBO in a, Σ q(h) log w(h) (h − σ(a)), shape (H,)."""
        return self.score_function(x, a).mean

    def bound_of_two_gradient(self, x, a):
        """The gradient of L_2 in a, over all pairs, shape (H,)."""
        log_w, q = self.log_weights(x, a)
        inner = np.concatenate([(mean - share) @ q for _, mean, share in _pairs(log_w)])
        return 2 * (q * inner) @ self.scores(a)

    def best_baseline(self, x, a):
        """For each logit the constant that takes most of the variance away, E[f s²]/E[s²], shape (H,).

        Source: Greensmith et al. (2004).
        """
        log_w, q = self.log_weights(x, a)
        square = self.scores(a) ** 2
        return (q * log_w) @ square / (q @ square)

    def score_function(self, x, a, baseline=0.0):
        """Moments of (log w − baseline)(h − σ(a)) with one draw; the baseline is a number, or one for each logit."""
        log_w, q = self.log_weights(x, a)
        estimates = (log_w[:, None] - checks.real_array("baseline", baseline)) * self.scores(a)
        mean = q @ estimates
        return Moments(mean, np.maximum(q @ (estimates - mean) ** 2, 0.0))

    def leave_one_out(self, x, a):
        """Moments of the mean of two score-function estimates, each with the other's log w for its baseline.

        Source: Kool et al. (2019).
        """
        log_w, q = self.log_weights(x, a)
        return self._of_pairs(q, a, ((r, 0.5 * (log_w[r, None] - log_w)) for r, _, _ in _pairs(log_w)))

    def vimco(self, x, a):
        """Moments of VIMCO with two draws, whose mean is the gradient of L_2.

        Source: Mnih & Rezende (2016), eq. 8 and 9: in place of log w_1 in L̂ stands the mean of the others', log w_2.
        """
        log_w, q = self.log_weights(x, a)
        return self._of_pairs(q, a, ((r, mean - log_w - share) for r, mean, share in _pairs(log_w)))

    def _of_pairs(self, q, a, blocks):
        """Moments of m_ij s_i + m_ji s_j over all pairs, from blocks of rows of the matrix m."""
        s = self.scores(a)
        m = np.concatenate([each for _, each in blocks])
        mean = 2 * (q * (m @ q)) @ s
        own = 2 * (q * (m**2 @ q)) @ s**2
        crossed = m * m.T
        both = 2 * np.sum((q[:, None] * s) * (crossed @ (q[:, None] * s)), axis=0)
        return Moments(mean, np.maximum(own + both - mean**2, 0.0))

    def _checked(self, a):
        a = checks.real_array("a", a)
        if a.shape != self.b.shape:
            raise ValueError(f"a must have shape {self.b.shape}, a logit for each hidden unit; received {a.shape}.")
        return a


def all_states(num_hidden):
    """All rows of zeros and ones, shape (2^H, H).

    Raises:
        ValueError: more than 12 units, with how many states that would be.
    """
    num_hidden = checks.positive_int("num_hidden", num_hidden)
    if num_hidden > MOST_HIDDEN:
        raise ValueError(
            f"{num_hidden} hidden units have 2^{num_hidden} states to enumerate; the limit is {MOST_HIDDEN} units, "
            f"{2**MOST_HIDDEN:,} states. Take fewer units, or estimate from draws."
        )
    return (np.arange(2**num_hidden)[:, None] >> np.arange(num_hidden) & 1).astype(float)


def log_bernoulli(z, logits):
    """log probability of zeros and ones with these logits, summed over the last axis, nats."""
    z, logits = checks.vectors(z=z, logits=logits)
    return np.sum(log_expit((2 * z - 1) * logits), axis=-1)


def _pairs(log_w):
    """Blocks of rows of two matrices over pairs: log((w_i + w_j)/2), and the share w_i/(w_i + w_j)."""
    step = max(1, PAIRS_AT_ONCE // len(log_w))
    for start in range(0, len(log_w), step):
        rows = slice(start, start + step)
        difference = log_w[rows, None] - log_w
        yield rows, log_w - log_expit(-difference) - np.log(2), expit(difference)
