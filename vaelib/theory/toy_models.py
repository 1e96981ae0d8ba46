"""Latent-variable models so small that log p(x) and p(z|x) are exact.

Both models answer the same questions: `log_prior`, `log_likelihood`, `log_joint`, `log_evidence`,
`log_posterior`, `elbo`, `gap`, `best_q`, `sample`. Shapes: x (..., data_dim), z, mu and log_var
(..., latent_dim), results (...). The axes before the last broadcast, so one x can meet a whole grid of q.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import normal_trapezoid


class LatentVariableModel:
    """What follows from a prior N(0, I) and a `log_likelihood`, whatever the model."""

    def __init__(self, data_dim, latent_dim):
        self.data_dim, self.latent_dim = data_dim, latent_dim

    def check(self, name, value, dim):
        """Return value as a float64 array of shape (..., dim), or raise ValueError."""
        value = checks.real_array(name, value)
        if value.ndim == 0 or value.shape[-1] != dim:
            raise ValueError(f"{name} must have shape (..., {dim}); received {value.shape}.")
        return value

    def check_x(self, x):
        """Return x as a float64 array of shape (..., data_dim), or raise ValueError."""
        return self.check("x", x, self.data_dim)

    def _check_q(self, mu, log_var):
        return self.check("mu", mu, self.latent_dim), self.check("log_var", log_var, self.latent_dim)

    def log_prior(self, z):
        """log p(z) = log N(z; 0, I): (..., latent_dim) to (...)."""
        return gaussian.log_prob_standard_normal(self.check("z", z, self.latent_dim))

    def log_joint(self, x, z):
        """log p(x, z) = log p(z) + log p(x|z), shape (...)."""
        return self.log_prior(z) + self.log_likelihood(x, z)

    def log_posterior(self, z, x):
        """log p(z|x) = log p(x, z) − log p(x), shape (...). Source: Bayes' rule."""
        return self.log_joint(x, z) - self.log_evidence(x)

    def elbo(self, x, mu, log_var):
        """ELBO of q(z|x) = N(mu, diag σ²): E_q[log p(x|z)] − KL(q ‖ p(z)), shape (...), in nats.

        Source: Kingma & Welling (2014), eq. 3.
        """
        return self.expected_log_likelihood(x, mu, log_var) - gaussian.kl_standard_normal(mu, log_var)


class LinearGaussian(LatentVariableModel):
    """z ~ N(0, I), x|z ~ N(W z + b, σ² I): probabilistic PCA, everything in closed form.

    Args:
        w: W, shape (data_dim, latent_dim); a number means (1, 1), a vector (data_dim, 1).
        b: shape (data_dim,), or a number for all of them.
        sigma: σ, the noise's standard deviation, above zero.
    Raises:
        ValueError: sigma not positive, or shapes that do not match.
    Source: Tipping & Bishop (1999); Bishop (2006), section 12.2.
    """

    def __init__(self, w, b=0.0, sigma=1.0):
        w = checks.real_array("w", w)
        self.w = w.reshape(-1, 1) if w.ndim < 2 else w
        if self.w.ndim != 2 or self.w.size == 0:
            raise ValueError(f"w must have shape (data_dim, latent_dim); received {w.shape}.")
        super().__init__(*self.w.shape)
        self.b = _fill("b", b, self.data_dim)
        self.sigma = checks.positive_array("sigma", sigma)
        if self.sigma.ndim:
            raise ValueError(f"sigma must be one number; received shape {self.sigma.shape}.")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            evidence_cov = self.w @ self.w.T + self.sigma**2 * np.eye(self.data_dim)
            posterior_precision = np.eye(self.latent_dim) + self.w.T @ self.w / self.sigma**2
        both = checks.representable("w and sigma", evidence_cov, posterior_precision)
        self.evidence_cov, self.posterior_precision = both

    def log_likelihood(self, x, z):
        """log p(x|z) = log N(x; W z + b, σ² I), shape (...)."""
        x, z = self.check_x(x), self.check("z", z, self.latent_dim)
        mean = z @ self.w.T + self.b
        return gaussian.log_prob_diagonal(x, mean, np.full(self.data_dim, 2 * np.log(self.sigma)))

    def log_evidence(self, x):
        """log p(x) = log N(x; b, W Wᵀ + σ² I), shape (...). Source: Bishop (2006), eq. 12.35."""
        return gaussian.log_prob_full(self.check_x(x), self.b, self.evidence_cov)

    def posterior(self, x):
        """The exact p(z|x): mean, (..., latent_dim), and cov, the same for all x. Source: Bishop (2006), eq. 12.42."""
        cov = np.linalg.inv(self.posterior_precision)
        cov = 0.5 * (cov + cov.T)
        return (self.check_x(x) - self.b) @ self.w @ cov / self.sigma**2, cov

    def expected_log_likelihood(self, x, mu, log_var):
        """E_q[log p(x|z)], minus the reconstruction term, for q = N(mu, diag σ²), shape (...)."""
        mu, log_var = self._check_q(mu, log_var)
        spread = np.exp(log_var) @ np.sum(self.w**2, axis=0)
        return self.log_likelihood(x, mu) - 0.5 * spread / self.sigma**2

    def elbo_full(self, x, mu, cov):
        """The ELBO of q = N(mu, cov) with a full covariance, shape (...). Source: Kingma & Welling (2014), eq. 3."""
        kl = gaussian.kl_full(mu, cov, np.zeros(self.latent_dim), np.eye(self.latent_dim))
        spread = np.trace(self.w @ np.asarray(cov) @ self.w.T)
        return self.log_likelihood(x, mu) - 0.5 * spread / self.sigma**2 - kl

    def gap(self, x, mu, log_var):
        """KL(q ‖ p(z|x)) for q = N(mu, diag σ²) by the Gaussian formula, not from the ELBO, shape (...)."""
        mu, log_var = self._check_q(mu, log_var)
        mean, _ = self.posterior(x)
        precision, shift = self.posterior_precision, mu - mean
        quadratic = np.einsum("...i,ij,...j->...", shift, precision, shift)
        trace = np.exp(log_var) @ np.diag(precision)
        log_det_ratio = -np.linalg.slogdet(precision)[1] - np.sum(log_var, axis=-1)
        return 0.5 * (log_det_ratio + trace + quadratic - self.latent_dim)

    def gap_full(self, x, mu, cov):
        """KL(q ‖ p(z|x)) for q = N(mu, cov), shape (...). Source: `gaussian.kl_full`."""
        mean, posterior_cov = self.posterior(x)
        return gaussian.kl_full(mu, cov, mean, posterior_cov)

    def best_q(self, x):
        """(mu, log_var) of the best diagonal Gaussian: the posterior's mean, the precision's diagonal.

        Source: Bishop (2006), section 10.1.2.
        """
        mean, _ = self.posterior(x)
        return mean, np.broadcast_to(-np.log(np.diag(self.posterior_precision)), mean.shape).copy()

    def m_step(self, x, mu, log_var, parameter):
        """The model whose `parameter` ("w" or "b") maximises the mean ELBO. Source: Bishop (2006), eq. 12.56."""
        _check_parameter(parameter)
        x, (mu, log_var) = self.check_x(x), self._check_q(mu, log_var)
        if parameter == "b":
            return LinearGaussian(self.w, np.mean(x - mu @ self.w.T, axis=0), self.sigma)
        second_moment = mu.T @ mu + np.diag(np.sum(np.exp(log_var), axis=0))
        return LinearGaussian(np.linalg.solve(second_moment, mu.T @ (x - self.b)).T, self.b, self.sigma)

    def sample(self, n, rng):
        """n draws of (x, z), shapes (n, data_dim) and (n, latent_dim)."""
        z = rng.standard_normal((n, self.latent_dim))
        return z @ self.w.T + self.b + self.sigma * rng.standard_normal((n, self.data_dim)), z


class BernoulliLatent(LatentVariableModel):
    """z ~ N(0, 1), x_j|z ~ Bernoulli(sigmoid(w_j z + b_j)): non-conjugate, exact by quadrature.

    Integrals over z are trapezoid sums, which converge geometrically for such smooth integrands. The step follows
    from the weights, so that each integral has a relative error below 1e-10 (tests: below 1e-11).

    Args:
        w: shape (data_dim,), or a number for data_dim = 1.
        b: shape (data_dim,), or a number for all of them.
    Source: the logistic latent trait model, Tipping (1999); the trapezoid rule, Trefethen & Weideman (2014).
    """

    def __init__(self, w, b=0.0):
        self.w = np.atleast_1d(checks.real_array("w", w))
        if self.w.ndim != 1 or self.w.size == 0:
            raise ValueError(f"w must have shape (data_dim,); received {self.w.shape}.")
        super().__init__(len(self.w), 1)
        self.b = _fill("b", b, self.data_dim)
        # No posterior has its mode past this bound, and none is wider than the prior or narrower than `narrow`.
        furthest = min(np.sum(np.abs(self.w)), np.sqrt(2 * np.sum(np.logaddexp(0, np.abs(self.b)))))
        narrow = 1.0 / np.sqrt(1.0 + np.sum(self.w**2) / 4.0)
        nodes = checks.representable("w and b", np.ceil((9.0 + furthest) / (0.2 * narrow)))
        if nodes > 1e7:
            raise ValueError(
                f"w must be smaller: its posterior is too narrow for a grid; received up to {np.abs(self.w).max():g}."
            )
        num = 2 * int(nodes) + 1
        self.grid = np.linspace(-9.0 - furthest, 9.0 + furthest, num)

    def check_x(self, x):
        x = super().check_x(x)
        if not np.all((x == 0) | (x == 1)):
            raise ValueError("x must hold only 0 and 1 for a Bernoulli likelihood; round or threshold it.")
        return x

    def log_likelihood(self, x, z):
        """log p(x|z) = Σ_j x_j t_j − log(1 + exp t_j) with t = w z + b, shape (...)."""
        logits = self.check("z", z, 1) * self.w + self.b
        return np.sum(self.check_x(x) * logits - np.logaddexp(0.0, logits), axis=-1)

    def log_evidence(self, x):
        """log p(x) = log ∫ p(z) p(x|z) dz by quadrature, absolute error below 1e-10, shape (...)."""
        log_joint = self.log_joint(self.check_x(x)[..., None, :], self.grid[:, None])
        return logsumexp(log_joint, axis=-1) + np.log(self.grid[1] - self.grid[0])

    def posterior(self, x):
        """Mean, shape (..., 1), and variance, shape (..., 1), of the exact p(z|x), by quadrature."""
        log_joint = self.log_joint(self.check_x(x)[..., None, :], self.grid[:, None])
        weights = np.exp(log_joint - logsumexp(log_joint, axis=-1, keepdims=True))
        mean = np.sum(weights * self.grid, axis=-1, keepdims=True)
        return mean, np.sum(weights * (self.grid - mean) ** 2, axis=-1, keepdims=True)

    def _nodes(self, mu, log_var):
        """Nodes z, shape (..., nodes, 1), and weights that sum to 1, for expectations under q."""
        std = np.exp(0.5 * log_var)
        step = min(0.2, 0.4 / max(np.max(np.abs(self.w)) * np.max(std), 1e-6))
        half = min(int(np.ceil(9.0 / step)), 2000)
        eps = np.linspace(-9.0, 9.0, 2 * half + 1)
        return mu[..., None, :] + std[..., None, :] * eps[:, None], normal_trapezoid(eps)

    def expected_log_likelihood(self, x, mu, log_var):
        """E_q[log p(x|z)], minus the reconstruction term, shape (...); error below 1e-10 while |w| σ < 80."""
        z, weights = self._nodes(*self._check_q(mu, log_var))
        softplus = np.einsum("k,...kj->...j", weights, np.logaddexp(0.0, z * self.w + self.b))
        return np.sum(self.check_x(x) * (mu * self.w + self.b) - softplus, axis=-1)

    def gap(self, x, mu, log_var):
        """KL(q ‖ p(z|x)) by quadrature of its definition, not from the ELBO, shape (...)."""
        mu, log_var = self._check_q(mu, log_var)
        z, weights = self._nodes(mu, log_var)
        log_q = gaussian.log_prob_diagonal(z, mu[..., None, :], log_var[..., None, :])
        x = self.check_x(x)
        log_posterior = self.log_joint(x[..., None, :], z) - self.log_evidence(x)[..., None]
        return np.sum(weights * (log_q - log_posterior), axis=-1)

    def elbo_gradient(self, x, mu, log_var):
        """Gradient of the ELBO with respect to mu and log_var, each shape (..., 1).

        Source: Opper & Archambeau (2009), the theorems of Bonnet and Price.
        """
        mu, log_var = self._check_q(mu, log_var)
        z, weights = self._nodes(mu, log_var)
        prob = expit(z * self.w + self.b)
        slope = (self.check_x(x) - np.einsum("k,...kj->...j", weights, prob)) @ self.w
        curvature = np.einsum("k,...kj->...j", weights, prob * (1 - prob)) @ self.w**2
        return slope[..., None] - mu, 0.5 - 0.5 * np.exp(log_var) * (1 + curvature[..., None])

    def best_q(self, x, num_steps=100):
        """(mu, log_var) of the best Gaussian, each (..., 1): fixed-point steps from the posterior's mean and variance.

        A step that would lower the ELBO of an example is halved for that example. The ELBO is concave in (μ, σ),
        so the optimum is unique. Source: Opper & Archambeau (2009), section 3.
        """
        x = self.check_x(x)
        mu, var = self.posterior(x)
        log_var, rate = np.log(var), np.ones_like(mu)
        elbo = self.elbo(x, mu, log_var)[..., None]
        for _ in range(num_steps):
            grad_mu, grad_log_var = self.elbo_gradient(x, mu, log_var)
            if max(np.max(np.abs(grad_mu)), np.max(np.abs(grad_log_var))) < 1e-10:
                break
            # At the optimum 1/σ² equals the expected curvature, which the gradient gives as (1 − 2 g)/σ².
            new_log_var = log_var - np.log1p(-2.0 * rate * grad_log_var)
            new_mu = mu + rate * np.exp(new_log_var) * grad_mu
            new_elbo = self.elbo(x, new_mu, new_log_var)[..., None]
            better = new_elbo >= elbo - 1e-10 * (1 + np.abs(elbo))
            mu, log_var = np.where(better, new_mu, mu), np.where(better, new_log_var, log_var)
            elbo = np.where(better, new_elbo, elbo)
            rate = np.where(better, np.minimum(1.0, 1.5 * rate), 0.5 * rate)
        return mu, log_var

    def m_step(self, x, mu, log_var, parameter):
        """The model whose `parameter` ("w" or "b") maximises the mean ELBO, by numeric maximisation."""
        _check_parameter(parameter)

        def replaced(value):
            return BernoulliLatent(value, self.b) if parameter == "w" else BernoulliLatent(self.w, value)

        def loss(value):
            model = replaced(value)
            z, weights = model._nodes(mu, log_var)
            error = x[..., None, :] - expit(z * model.w + model.b)
            slope = np.einsum("k,...kj->...j", weights, error * z if parameter == "w" else error)
            return -np.mean(model.expected_log_likelihood(x, mu, log_var)), -np.mean(slope, axis=0)

        x, (mu, log_var) = self.check_x(x), self._check_q(mu, log_var)
        return replaced(minimize(loss, getattr(self, parameter), jac=True, options={"gtol": 1e-9}).x)

    def sample(self, n, rng):
        """n draws of (x, z), shapes (n, data_dim) and (n, 1); x holds 0 and 1."""
        z = rng.standard_normal((n, 1))
        return (rng.random((n, self.data_dim)) < expit(z * self.w + self.b)).astype(float), z


def _fill(name, value, dim):
    value = checks.real_array(name, value)
    if value.shape not in ((), (1,), (dim,)):
        raise ValueError(f"{name} must be a number or have shape ({dim},); received {value.shape}.")
    return np.broadcast_to(value, (dim,)).copy()


def _check_parameter(parameter):
    if parameter not in ("w", "b"):
        raise ValueError(f'parameter must be "w" or "b"; received {parameter!r}.')
