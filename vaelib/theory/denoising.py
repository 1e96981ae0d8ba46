"""The exact denoiser of a mixture of normals, the bound of a diffusion that has it, and its probability flow.

Names as in `vaelib.theory.diffusion`: z = α x + σ ε with α² + σ² = 1, and `snr` is α²/σ².
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import ndtr

from vaelib import checks
from vaelib.theory import diffusion
from vaelib.theory.diffusion import Bound, alpha_sigma
from vaelib.theory.gaussian import LOG_2PI
from vaelib.theory.quadrature import even_grid, trapezoid_weights

REACH = 9.0  # the grids reach this many widths: what lies beyond weighs less than 1e-17
FINENESS = {1: 24, 2: 5}  # nodes per smallest width, by the number of dimensions
ODE_TOLERANCE = 1e-10


class RoundMixture:
    """A mixture Σ_k weights_k N(means_k, stds_k² I) of round normals, on a line or in the plane.

    Blurred, z = α x + σ ε, it stays such a mixture: N(α m_k, (α² s_k² + σ²) I) with the same weights. So each z has
    its exact mean E[x|z], the denoiser that no network can beat.

    Args:
        weights: shape (components,), they sum to 1.
        means: shape (components, d), d 1 or 2.
        stds: shape (components,), above 0.
    Raises:
        ValueError: other shapes, a weight or a width not above 0, or weights that do not sum to 1.
    """

    def __init__(self, weights, means, stds):
        self.weights = np.atleast_1d(checks.positive_array("weights", weights))
        self.means = checks.real_array("means", means)
        self.stds = np.atleast_1d(checks.positive_array("stds", stds))
        count = len(self.weights)
        if self.weights.shape != (count,) or self.stds.shape != (count,) or self.means.shape[:1] != (count,):
            shapes = self.weights.shape, self.means.shape, self.stds.shape
            raise ValueError(f"weights, means and stds must have one length; received shapes {shapes}.")
        if self.means.ndim != 2 or self.means.shape[1] not in FINENESS:
            raise ValueError(f"means must have shape (components, 1) or (components, 2); received {self.means.shape}.")
        if abs(self.weights.sum() - 1) > 1e-9:
            raise ValueError(f"weights must sum to 1; they sum to {self.weights.sum():g}. Divide them by their sum.")
        self.dim = self.means.shape[1]

    @property
    def square(self):
        """E‖x‖²."""
        return float(self.weights @ (np.sum(self.means**2, axis=1) + self.dim * self.stds**2))

    def sample(self, num, rng):
        """num draws, shape (num, d)."""
        k = rng.choice(len(self.weights), size=num, p=self.weights)
        return self.means[k] + self.stds[k, None] * rng.standard_normal((num, self.dim))

    def log_prob(self, x):
        """log p(x), nats: x of shape (..., d) gives shape (...)."""
        return np.logaddexp.reduce(self._log_terms(self._points("x", x), 1.0, 0.0), axis=-1)

    def log_marginal(self, z, snr):
        """log q(z_t), nats: z of shape (..., d) and one SNR give shape (...)."""
        return np.logaddexp.reduce(self._log_terms(self._points("z", z), *alpha_sigma(_one(snr))), axis=-1)

    def denoise(self, z, snr):
        """E[x|z_t = z], of the shape of z, (..., d); snr one number, or one for each z, shape (...).

        Source: Tweedie's formula (Efron 2011), for a mixture.
        """
        return self._posterior(self._points("z", z), checks.positive_array("snr", snr))[0]

    def score(self, z, snr):
        """The gradient of log q(z_t), of the shape of z: −ε̂/σ, by `diffusion.said_in_four_ways`."""
        z, snr = self._points("z", z), checks.positive_array("snr", snr)
        return diffusion.said_in_four_ways(self.denoise(z, snr), z, snr[..., None]).score

    def mmse(self, snr):
        """E‖x − E[x|z_t]‖², the least mean squared error, by quadrature over z: of the shape of snr."""
        snr = checks.positive_array("snr", snr)
        found = np.empty(snr.shape)
        for at, each in np.ndenumerate(snr):
            z, weights = self._grid(*alpha_sigma(each))
            density = np.exp(self.log_marginal(z, each))
            found[at] = weights @ (density * self._posterior(z, each)[1])
        return found

    def entropy(self):
        """−E log p(x), nats, by quadrature."""
        return self._entropy(1.0, 0.0)

    def information(self, snr):
        """I(x; z_t), nats: the entropy of z_t without that of its noise."""
        alpha, sigma = alpha_sigma(_one(snr))
        return self._entropy(alpha, sigma) - 0.5 * self.dim * float(diffusion.LOG_2PI_E + 2 * np.log(sigma))

    def end_gap(self, snr):
        """KL(q(z_1) ‖ N(0, I)), nats: what the top costs for ever, with the SNR that is left there."""
        return self._prior(_one(snr)) - self.information(snr)

    def bound(self, snr):
        """The bound on −log p(x), mean over x, with this denoiser and the best decoder p(x|z_0) = q(x|z_0).

        Args:
            snr: at t = 0, 1/T, ..., 1, falling, shape (T + 1,).
        """
        snr = checks.real_array("snr", snr)
        layers = diffusion.layer_kls(self.mmse(snr[1:]), snr)
        entropy = self.entropy()
        return Bound(entropy - self.information(snr[0]), layers, self._prior(snr[-1]), entropy)

    def flow_log_prob(self, x, snr_min):
        """log p(x) on a line by the probability flow, and where each x arrives; each of the shape of x.

        In y = x + τ ε with τ = 1/√SNR the flow is dy/dτ = −τ ∇log q_τ(y), and log q along it changes by minus the
        slope of that in y. It starts at x with τ = 0 and ends in the exact density of y.

        Args:
            x: numbers, shape (n,). snr_min: where the flow ends.
        Source: Song et al. (2021), equations 13 and 39, in the time of Karras et al. (2022), equation 1.
        """
        if self.dim != 1:
            raise ValueError(f"the flow is that of a mixture on a line; this one has {self.dim} dimensions.")
        x = checks.real_array("x", x)
        end = 1 / np.sqrt(_one(snr_min))

        def moves(tau, state):
            y = state[: x.size]
            velocity, spread = self._flow(y, tau)
            return np.concatenate([velocity, spread])

        start = np.concatenate([x.ravel(), np.zeros(x.size)])
        last = solve_ivp(moves, (0.0, end), start, "DOP853", rtol=ODE_TOLERANCE, atol=ODE_TOLERANCE).y[:, -1]
        y = last[: x.size]
        log_end = np.logaddexp.reduce(self._log_terms(y[:, None], 1.0, end), axis=-1)
        return (log_end + last[x.size :]).reshape(x.shape), y.reshape(x.shape)

    def cdf(self, y, tau):
        """P(x + τ ε ≤ y) on a line, elementwise: the flow keeps it."""
        width = np.sqrt(self.stds**2 + tau**2)
        return ndtr((checks.real_array("y", y)[..., None] - self.means[:, 0]) / width) @ self.weights

    # ---- Inside

    def _flow(self, y, tau):
        """dy/dτ of the probability flow and its slope in y, shape (n,) each."""
        variances = self.stds**2 + tau**2
        terms = self._log_terms(y[:, None], 1.0, tau)
        share = np.exp(terms - np.logaddexp.reduce(terms, axis=-1, keepdims=True))
        slopes = (self.means[:, 0] - y[:, None]) / variances
        score = np.sum(share * slopes, axis=-1)
        curvature = np.sum(share * (slopes**2 - 1 / variances), axis=-1) - score**2
        return -tau * score, -tau * curvature

    def _points(self, name, values):
        values = checks.real_array(name, values)
        if values.shape[-1:] != (self.dim,):
            raise ValueError(f"{name} must have shape (..., {self.dim}); received {values.shape}.")
        return values

    def _log_terms(self, z, alpha, sigma):
        alpha, variances = self._blurred(alpha, sigma)
        squares = np.sum((z[..., None, :] - alpha[..., None] * self.means) ** 2, axis=-1)
        return np.log(self.weights) - 0.5 * (self.dim * (LOG_2PI + np.log(variances)) + squares / variances)

    def _blurred(self, alpha, sigma):
        """α with an axis for the components, and their variances after the blur, (..., components)."""
        alpha, sigma = np.asarray(alpha)[..., None], np.asarray(sigma)[..., None]
        return alpha, alpha**2 * self.stds**2 + sigma**2

    def _posterior(self, z, snr):
        """Mean, shape (..., d), and trace of the covariance, (...), of p(x|z)."""
        alpha, sigma = alpha_sigma(snr)
        terms = self._log_terms(z, alpha, sigma)
        share = np.exp(terms - np.logaddexp.reduce(terms, axis=-1, keepdims=True))
        alpha, variances = self._blurred(alpha, sigma)
        gain = (alpha * self.stds**2 / variances)[..., None]
        each = self.means + gain * (z[..., None, :] - alpha[..., None] * self.means)
        mean = np.sum(share[..., None] * each, axis=-2)
        apart = np.sum((each - mean[..., None, :]) ** 2, axis=-1)
        left = self.dim * self.stds**2 * np.asarray(sigma)[..., None] ** 2 / variances
        return mean, np.sum(share * (left + apart), axis=-1)

    def _grid(self, alpha, sigma):
        """Nodes, shape (n, d), and weights, (n,), that cover the blurred mixture."""
        widths = np.sqrt(alpha**2 * self.stds**2 + sigma**2)
        low = np.min(alpha * self.means - REACH * widths[:, None], axis=0)
        high = np.max(alpha * self.means + REACH * widths[:, None], axis=0)
        axes = [even_grid(a, b, widths.min() / FINENESS[self.dim]) for a, b in zip(low, high, strict=True)]
        weights = trapezoid_weights(axes[0])
        for axis in axes[1:]:
            weights = np.multiply.outer(weights, trapezoid_weights(axis))
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.dim), weights.ravel()

    def _entropy(self, alpha, sigma):
        z, weights = self._grid(alpha, sigma)
        log_q = np.logaddexp.reduce(self._log_terms(z, alpha, sigma), axis=-1)
        return float(-weights @ (np.exp(log_q) * log_q))

    def _prior(self, snr):
        """E over x of KL(q(z_1|x) ‖ N(0, I)), nats."""
        alpha, sigma = alpha_sigma(snr)
        return float(0.5 * (alpha**2 * self.square + self.dim * (sigma**2 - 1 - 2 * np.log(sigma))))


def _one(snr):
    return checks.positive_float("snr", snr)
