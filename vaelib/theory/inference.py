"""What one does with a model of `toy_models`: the Monte Carlo ELBO, coordinate ascent, p(x) summed on a grid."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from vaelib import checks
from vaelib.theory import gaussian


def elbo_monte_carlo(model, x, mu, log_var, eps):
    """One-sample estimates log p(x, z) − log q(z|x) with z = μ + σ ⊙ ε; their mean estimates the ELBO.

    Args:
        x: shape (..., data_dim); mu, log_var: shape (..., latent_dim).
        eps: noise, shape (n, ..., latent_dim), for example rng.standard_normal((n, latent_dim)) for one x.
    Returns:
        The n estimates in nats, shape (n, ...).
    Source: Kingma & Welling (2014), eq. 6.
    """
    z = gaussian.sample_diagonal(mu, log_var, eps)
    return model.log_joint(x, z) - gaussian.log_prob_diagonal(z, mu, log_var)


class AscentStep(NamedTuple):
    """One point of the path of `coordinate_ascent`; elbo and log_evidence are means per example, in nats."""

    kind: str  # "start", "E" or "M"
    model: object
    mu: np.ndarray
    log_var: np.ndarray
    elbo: float
    log_evidence: float


def coordinate_ascent(model, x, parameter="w", num_steps=10, mu=0.0, log_var=0.0):
    """Climb the mean ELBO in turns: E-step (q to the best Gaussian), M-step (θ = `parameter` to its maximum).

    Args:
        model: where θ starts. x: data, shape (n, data_dim). parameter: "w" or "b".
        num_steps: how many E-steps and M-steps each. mu, log_var: where q starts, (n, latent_dim) or broadcast.
    Returns:
        The path, a list of 1 + 2 num_steps `AscentStep`: the start, then E, M, E, M, ...
    Source: Neal & Hinton (1998), EM as coordinate ascent on one objective.
    """
    x = model.check_x(x)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"x must have shape (n, {model.data_dim}) with n at least 1; received {x.shape}.")
    mu, log_var = (np.broadcast_to(v, (len(x), model.latent_dim)).astype(float) for v in (mu, log_var))
    path = []

    def note(kind):
        elbo, log_evidence = model.elbo(x, mu, log_var), model.log_evidence(x)
        path.append(AscentStep(kind, model, mu, log_var, float(np.mean(elbo)), float(np.mean(log_evidence))))

    note("start")
    for _ in range(num_steps):
        mu, log_var = model.best_q(x)
        note("E")
        model = model.m_step(x, mu, log_var, parameter)
        note("M")
    return path


class GridEvidence(NamedTuple):
    """log p(x) summed on a grid, and how many times log p(x, z) was evaluated for it."""

    log_evidence: float
    num_evaluations: int


def evidence_by_grid(model, x, points_per_dim, half_width=6.0, chunk=100_000):
    """log p(x) by summing p(x, z) over a grid on [−half_width, half_width]^latent_dim: the cost is points^latent_dim.

    Args:
        x: one observation, shape (data_dim,).
        points_per_dim: grid points along each latent dimension, at least 2.
        half_width: how far the grid reaches, in units of the prior's standard deviation.
        chunk: points evaluated at once, which bounds the memory and not the work.
    Returns:
        GridEvidence(log_evidence in nats, num_evaluations counted while summing).
    Source: Bishop (2006), section 1.4, the curse of dimensionality.
    """
    x = model.check_x(x)
    if x.ndim != 1:
        raise ValueError(f"x must be one observation, shape ({model.data_dim},); received {x.shape}.")
    if int(points_per_dim) != points_per_dim or points_per_dim < 2:
        raise ValueError(f"points_per_dim must be a whole number of at least 2; received {points_per_dim}.")
    axis, step = np.linspace(-1, 1, int(points_per_dim), retstep=True)
    axis, step = axis * checks.positive_array("half_width", half_width), step * half_width
    shape = (len(axis),) * model.latent_dim
    total, num_evaluations = -np.inf, 0
    for start in range(0, len(axis) ** model.latent_dim, chunk):
        flat = np.arange(start, min(start + chunk, len(axis) ** model.latent_dim))
        z = axis[np.stack(np.unravel_index(flat, shape), axis=-1)]
        total = np.logaddexp(total, logsumexp(model.log_joint(x, z)))
        num_evaluations += len(z)
    return GridEvidence(float(total + model.latent_dim * np.log(step)), num_evaluations)
