"""Bayesian logistic and softmax regression: the latent variable is the weight vector w, with prior N(0, I).

One data set is one observation y, and its evidence log p(y) is one number. Scale the features to scale the prior:
features multiplied by s give every weight the prior standard deviation s.

Axes: w has shape (..., latent_dim); the leading axes are a batch, kept in every answer.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, root
from scipy.special import expit, logsumexp, softmax

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.quadrature import normal_trapezoid

# Trapezoid nodes for expectations under N(0, 1): exact to rounding for the smooth functions of a logit met here.
_NODES = np.linspace(-9.0, 9.0, 91)
_WEIGHTS = normal_trapezoid(_NODES)


class _Regression:
    """What both models share: the checks, and the joint from prior and likelihood."""

    def __init__(self, features, labels, num_classes):
        self.features = checks.real_array("features", features)
        if self.features.ndim != 2 or self.features.size == 0:
            raise ValueError(f"features must have shape (num_data, num_features); received {self.features.shape}.")
        labels = checks.real_array("labels", labels)
        if labels.shape != self.features.shape[:1]:
            raise ValueError(f"labels must have shape ({len(self.features)},), one per row; received {labels.shape}.")
        if not np.isin(labels, np.arange(num_classes)).all():
            raise ValueError(
                f"labels must be whole numbers from 0 to {num_classes - 1}; received values from {labels.min():g} to "
                f"{labels.max():g}."
            )
        self.labels = labels.astype(int)

    def log_prior(self, w):
        """log p(w) = log N(w; 0, I) in nats, shape (...)."""
        return gaussian.log_prob_standard_normal(self._check(w))

    def log_joint(self, w):
        """log p(y, w) = log p(y|w) + log p(w) in nats, shape (...)."""
        return self.log_likelihood(w) + self.log_prior(w)

    def _check(self, w):
        w = checks.real_array("w", w)
        if w.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"w must have {self.latent_dim} numbers on its last axis; received shape {w.shape}.")
        return w

    def _rows(self, features):
        return self.features if features is None else checks.real_array("features", features)


class LogisticRegression(_Regression):
    """p(y|w) = Π_n sigmoid(a_n)^y_n (1 − sigmoid(a_n))^(1 − y_n) with logits a = X w, and w ~ N(0, I).

    Args:
        features: X, shape (num_data, num_features); an intercept is a column of ones.
        labels: y, 0 or 1, shape (num_data,).
    Raises:
        ValueError: other shapes, labels that are not 0 or 1, or values that are not finite.
    Source: Bishop (2006), sections 4.3.2 and 4.5.
    """

    def __init__(self, features, labels):
        super().__init__(features, labels, 2)
        self._y = self.labels.astype(float)  # a product with whole numbers is ten times as slow
        self.latent_dim = self.features.shape[1]
        self._products = (self.features[:, :, None] * self.features[:, None, :]).reshape(len(self.features), -1)

    def logits(self, w, features=None):
        """a = X w for the training rows, or for other features: shape (..., rows)."""
        return self._check(w) @ self._rows(features).T

    def predict(self, w, features=None):
        """p(y = 1|w) of each row, shape (..., rows)."""
        return expit(self.logits(w, features))

    def log_likelihood(self, w):
        """log p(y|w) in nats, summed over the data: shape (...)."""
        a = self.logits(w)
        return a @ self._y - np.logaddexp(0.0, a).sum(axis=-1)

    def gradient(self, w):
        """∇ log p(y, w), shape (..., latent_dim). Source: Bishop (2006), eq. 4.91, with the prior's −w."""
        return (self._y - self.predict(w)) @ self.features - self._check(w)

    def hessian(self, w):
        """∇² log p(y, w), shape (..., latent_dim, latent_dim). Source: Bishop (2006), eq. 4.97, with the prior's −I."""
        p = self.predict(w)
        d = self.latent_dim
        return -((p * (1 - p)) @ self._products).reshape(*p.shape[:-1], d, d) - np.eye(d)

    def elbo(self, mean, factor):
        """ELBO of q = N(mean, L Lᵀ), by quadrature: each E_q[log p(y_n|w)] is an integral over one logit.

        Args:
            mean: shape (latent_dim,). factor: L, shape (latent_dim, latent_dim), lower triangular.
        Returns:
            E_q[log p(y|w)] − KL(q ‖ p(w)), a number in nats.
        Source: Barber & Bishop (1998), section 3, for the reduction to one dimension.
        """
        mean, factor = self._check(mean), checks.real_array("factor", factor)
        a = self._logit_nodes(mean, factor)
        expected = ((a * self._y[:, None] - np.logaddexp(0.0, a)) @ _WEIGHTS).sum()
        kl = 0.5 * (mean @ mean + np.sum(factor**2) - len(mean)) - np.log(np.diag(factor)).sum()
        return float(expected - kl)

    def elbo_gradient(self, mean, factor):
        """Gradient of `elbo`: with respect to the mean, (d,), and to L, lower triangular (d, d)."""
        p = expit(self._logit_nodes(mean, factor))
        to_mean = (self._y - p @ _WEIGHTS) @ self.features - mean
        curvature = (((p * (1 - p)) @ _WEIGHTS) @ self._products).reshape(factor.shape)  # of E_q[−log p(y|w)]
        return to_mean, np.tril(-curvature @ factor) - factor + np.diag(1 / np.diag(factor))

    def _logit_nodes(self, mean, factor):
        std = np.linalg.norm(self.features @ factor, axis=1)
        return (self.features @ mean)[:, None] + std[:, None] * _NODES


class SoftmaxRegression(_Regression):
    """p(y|w) = Π_n softmax(a_n)[y_n] with logits a = X W, and w, the rows of W in one vector, ~ N(0, I).

    All classes keep their own weights. Adding the same vector to each changes no probability; the prior decides.

    Args:
        features: X, shape (num_data, num_features).
        labels: classes from 0 to num_classes − 1, shape (num_data,).
        num_classes: number of classes; one more than the largest label by default.
    Raises:
        ValueError: other shapes, labels that are no classes, or values that are not finite.
    Source: Bishop (2006), section 4.3.4.
    """

    def __init__(self, features, labels, num_classes=None):
        num_classes = int(np.max(labels)) + 1 if num_classes is None else num_classes
        super().__init__(features, labels, num_classes)
        self.num_classes = num_classes
        self.latent_dim = self.features.shape[1] * num_classes
        self._one_hot = np.eye(num_classes)[self.labels]

    def logits(self, w, features=None):
        """a = X W for the training rows, or for other features: shape (..., rows, num_classes)."""
        w = self._check(w)
        return self._rows(features) @ w.reshape(*w.shape[:-1], -1, self.num_classes)

    def predict(self, w, features=None):
        """p(y = c|w) of each row and class, shape (..., rows, num_classes)."""
        return softmax(self.logits(w, features), axis=-1)

    def log_likelihood(self, w):
        """log p(y|w) in nats, summed over the data: shape (...)."""
        a = self.logits(w)
        return ((a * self._one_hot).sum(axis=-1) - logsumexp(a, axis=-1)).sum(axis=-1)

    def gradient(self, w):
        """∇ log p(y, w), shape (..., latent_dim). Source: Bishop (2006), eq. 4.109, with the prior's −w."""
        w = self._check(w)
        return (self.features.T @ (self._one_hot - self.predict(w))).reshape(w.shape) - w

    def hessian(self, w):
        """∇² log p(y, w), shape (..., latent_dim, latent_dim). Source: Bishop (2006), eq. 4.110, and the prior."""
        p = self.predict(w)
        spread = p[..., :, None] * np.eye(self.num_classes) - p[..., :, None] * p[..., None, :]
        blocks = np.einsum("...ncd,ni,nj->...icjd", spread, self.features, self.features, optimize=True)
        return -blocks.reshape(*p.shape[:-2], self.latent_dim, self.latent_dim) - np.eye(self.latent_dim)


class Laplace(NamedTuple):
    """The Gaussian at the top of the posterior; log_evidence in nats."""

    mean: np.ndarray
    cov: np.ndarray
    log_evidence: float


def laplace(model):
    """Return Laplace's approximation: the maximum of log p(y, w) by Newton's method, and the curvature there.

    The maximum is unique, because the prior makes log p(y, w) strictly concave.
    Source: MacKay (1992), section 2; Bishop (2006), eq. 4.134 and 4.137.
    """
    w = np.zeros(model.latent_dim)
    for _ in range(100):
        step = -np.linalg.solve(model.hessian(w), model.gradient(w))
        gain = float(step @ model.gradient(w))
        if gain < 1e-20:
            w = w + step  # the last digits, whose gain is lost in rounding
            break
        size = 1.0
        # Half the step until it pays: far from the top a full Newton step can overshoot.
        while size > 1e-8 and model.log_joint(w + size * step) < model.log_joint(w) + 1e-4 * size * gain - 1e-12:
            size /= 2
        w = w + size * step
    cov = np.linalg.inv(-model.hessian(w))
    cov = 0.5 * (cov + cov.T)
    log_evidence = model.log_joint(w) + 0.5 * len(w) * gaussian.LOG_2PI + 0.5 * np.linalg.slogdet(cov)[1]
    return Laplace(w, cov, float(log_evidence))


class GaussianFit(NamedTuple):
    """The best Gaussian of a family: mean, cov = L Lᵀ, factor L, and its ELBO in nats."""

    mean: np.ndarray
    cov: np.ndarray
    factor: np.ndarray
    elbo: float


def fit_gaussian(model, family="full"):
    """Return the Gaussian q with the largest ELBO, found without noise: quadrature, BFGS, Newton.

    The ELBO is strictly concave in (mean, L), so there is one maximum (Challis & Barber 2013, section 3.2).

    Args:
        model: a LogisticRegression.
        family: "full" or "diagonal" covariance.
    Raises:
        ValueError: another family.
    """
    if family not in ("full", "diagonal"):
        raise ValueError(f'family must be "full" or "diagonal"; received {family!r}.')
    d = model.latent_dim
    free = np.tril_indices(d) if family == "full" else np.diag_indices(d)
    on_diagonal = free[0] == free[1]
    top = laplace(model)
    cov = top.cov if family == "full" else np.diag(1 / np.diag(np.linalg.inv(top.cov)))
    # Coordinates in which the Laplace approximation is the standard normal: the search then needs few steps.
    scale = np.linalg.cholesky(cov)

    def unpack(theta):
        inner = np.zeros((d, d))
        inner[free] = np.where(on_diagonal, np.exp(np.where(on_diagonal, theta[d:], 0.0)), theta[d:])
        return top.mean + scale @ theta[:d], scale @ inner, inner

    def loss(theta):
        mean, factor, inner = unpack(theta)
        to_mean, to_factor = model.elbo_gradient(mean, factor)
        to_inner = (scale.T @ to_factor)[free] * np.where(on_diagonal, inner[free], 1.0)
        return -model.elbo(mean, factor), -np.concatenate([scale.T @ to_mean, to_inner])

    start = np.zeros(d + len(free[0]))
    theta = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 500}).x
    # The ELBO's own rounding hides the last digits of its top; where the gradient is zero has all of them.
    theta = root(lambda theta: loss(theta)[1], theta, tol=1e-15).x
    mean, factor, _ = unpack(theta)
    return GaussianFit(mean, factor @ factor.T, factor, model.elbo(mean, factor))


def moment_distance(mean, cov, other_mean, other_cov):
    """Return the Wasserstein distance W₂ of two Gaussians, a lower bound on W₂ of any distributions with these moments.

    Args:
        mean, other_mean: shape (d,). cov, other_cov: shape (d, d).
    Returns:
        sqrt(|m − m'|² + tr(Σ + Σ' − 2 (Σ^½ Σ' Σ^½)^½)), a number in the unit of the means.
    Source: Gelbrich (1990), theorem 2.1.
    """
    root = gaussian.cholesky(cov)
    # The eigenvalues of Lᵀ Σ' L are those of Σ^½ Σ' Σ^½.
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root.T @ other_cov @ root), 0.0)).sum()
    spread = np.trace(cov) + np.trace(other_cov) - 2 * common
    return float(np.sqrt(np.sum((np.asarray(mean) - other_mean) ** 2) + max(spread, 0.0)))


class Grid(NamedTuple):
    """A posterior of two weights on a grid: the axes, the density [i, j] at (first[i], second[j]), its moments."""

    first: np.ndarray
    second: np.ndarray
    density: np.ndarray
    log_evidence: float
    mean: np.ndarray
    cov: np.ndarray


def posterior_on_grid(model, num=201, half_width=8.0):
    """Return the exact posterior of two weights, by the trapezoid rule on a grid around its maximum.

    Args:
        model: with latent_dim 2.
        num: points along each axis.
        half_width: how far the grid reaches, in the standard deviations of Laplace's approximation; it also stops at
            10, ten standard deviations of the prior.
    Raises:
        ValueError: latent_dim is not 2.
    """
    if model.latent_dim != 2:
        raise ValueError(f"model must have latent_dim 2 for a grid; received {model.latent_dim}.")
    top = laplace(model)
    reach = half_width * np.sqrt(np.diag(top.cov))
    first, second = np.linspace(np.maximum(top.mean - reach, -10), np.minimum(top.mean + reach, 10), num).T
    log_joint = np.stack([model.log_joint(np.stack([np.full(num, w1), second], axis=1)) for w1 in first])
    cell = (first[1] - first[0]) * (second[1] - second[0])
    log_evidence = logsumexp(log_joint) + np.log(cell)
    density = np.exp(log_joint - log_evidence)
    w = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    share = density.ravel() * cell
    mean = share @ w
    return Grid(first, second, density, float(log_evidence), mean, (w - mean).T @ ((w - mean) * share[:, None]))
