"""What a trained model is worth: ELBO, importance-sampled log p(x), active units, factor recovery."""

import math
from typing import NamedTuple

import numpy as np
from keras import ops

from vaelib import checks

# Rows of the decoder's output held at once; bounds the memory of an estimate with thousands of samples.
ROWS_AT_ONCE = 500


def in_batches(function, x, rows=2_000):
    """Apply a function of tensors to x, so many rows at a time, and return one NumPy array."""
    return np.concatenate([ops.convert_to_numpy(function(x[i : i + rows])) for i in range(0, len(x), rows)])


def elbo(vae, x, num_samples=1):
    """Estimate the ELBO of each example: E_q[log p(x|z)] - KL(q(z|x) || p(z)).

    The KL is in closed form where the prior has one; the rest is a mean over samples of q(z|x).
    Source: Kingma and Welling 2014, equation 7.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        num_samples: samples of z per example.

    Returns:
        NumPy array of shape (n,), nats.

    Raises:
        ValueError: x does not fit the likelihood, or num_samples is below 1.
    """

    def estimate(xs, params, z):
        kl = vae.prior.kl(vae.posterior, params, z)
        return _log_likelihood(vae, xs, z) - kl

    return np.mean(_over_samples(vae, x, num_samples, estimate, lambda values: values), axis=0)


def log_evidence(vae, x, num_samples=5000):
    """Estimate log p(x) of each example by importance sampling with q(z|x) as the proposal.

    The estimate, log of the mean of p(x, z) / q(z|x), is a lower bound in expectation and tightens with num_samples.
    Source: Burda et al. 2015, equation 8.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        num_samples: samples of z per example.

    Returns:
        NumPy array of shape (n,), nats.

    Raises:
        ValueError: x does not fit the likelihood, or num_samples is below 1.
    """

    def log_weight(xs, params, z):
        return _log_likelihood(vae, xs, z) + vae.prior.log_prob(z) - vae.posterior.log_prob(z, params)

    def log_sum(values):
        # A block of samples becomes one number per example: thousands of samples never stand in memory together.
        return ops.logsumexp(values, axis=0, keepdims=True)

    blocks = _over_samples(vae, x, num_samples, log_weight, log_sum)
    return np.logaddexp.reduce(blocks, axis=0) - math.log(num_samples)


def active_units(vae, x, threshold=0.01):
    """Say which latent dimensions carry information: those whose posterior mean varies with x.

    Source: Burda et al. 2015, section 5.2.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        threshold: smallest variance over x of the posterior mean that counts as active.

    Returns:
        Boolean array of shape (latent_dim,).
    """
    return vae.encode(x).var(axis=0) > threshold


class Scores(NamedTuple):
    """What `score` returns.

    Attributes:
        elbo: the ELBO of each example, nats, shape (n,).
        log_evidence: the importance-sampled log p(x) of each example, nats, shape (n,).
        active_units: how many latent dimensions are active.
        num_weights: how many numbers training changes, those of the likelihood and of the prior included.
    """

    elbo: np.ndarray
    log_evidence: np.ndarray
    active_units: int
    num_weights: int


def score(vae, x, num_samples=10, num_importance_samples=100):
    """Score a model on held-out examples, so that models can be compared example by example.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        num_samples: samples of z per example for the ELBO.
        num_importance_samples: samples of z per example for log p(x).

    Returns:
        Scores.

    Raises:
        ValueError: x does not fit the likelihood, or a number of samples is below 1.
    """
    return Scores(
        elbo(vae, x, num_samples),
        log_evidence(vae, x, num_importance_samples),
        int(active_units(vae, x).sum()),
        sum(math.prod(weight.shape) for weight in vae.trainable_weights),
    )


def mean_and_error(values):
    """Return the mean of independent values and its standard error, for example of the ELBOs of test images.

    Args:
        values: array of shape (n,), n >= 2. For two models on the same examples pass the differences: what makes an
            example hard for both then cancels, and the error is that of the comparison.

    Returns:
        The mean and its standard error, two floats.

    Raises:
        ValueError: values has another shape.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values must have shape (n,) with n >= 2; received {values.shape}.")
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def factor_recovery(z, factor, degree=3, held_out=0.2):
    """Measure how much of a known factor a polynomial regression reads from the codes: R^2 on held-out frames.

    The held-out frames are every fifth (for held_out = 0.2), so that they span the factor's range.

    Args:
        z: codes, array of shape (n, latent_dim).
        factor: the true factor, array of shape (n,).
        degree: degree of the polynomial in each latent dimension and in their products.
        held_out: share of the examples that the regression does not see.

    Returns:
        R^2 on the held-out examples: 1 for a perfect reading, 0 for no better than the mean.

    Raises:
        ValueError: z and factor differ in length, the factor is constant, or the examples are too few.
    """
    z, factor = np.asarray(z, dtype=float), np.asarray(factor, dtype=float)
    if z.ndim != 2 or factor.shape != (len(z),):
        raise ValueError(f"z must have shape (n, latent_dim) and factor (n,); received {z.shape} and {factor.shape}.")
    features = _monomials((z - z.mean(axis=0)) / (z.std(axis=0) + 1e-12), degree)
    test = np.arange(len(z)) % round(1 / held_out) == 0
    if (~test).sum() <= features.shape[1]:
        raise ValueError(f"{(~test).sum()} examples are too few for {features.shape[1]} polynomial terms.")
    if np.var(factor[test]) == 0:
        raise ValueError("factor must vary over the held-out examples; received one value.")
    weights = np.linalg.lstsq(features[~test], factor[~test], rcond=None)[0]
    residual = factor[test] - features[test] @ weights
    return 1 - np.mean(residual**2) / np.var(factor[test])


def _monomials(z, degree):
    """Every product of powers of the columns of z up to the given total degree, shape (n, terms)."""
    columns, frontier = [np.ones(len(z))], [(np.ones(len(z)), 0)]
    for _ in range(degree):
        frontier = [(column * z[:, j], j) for column, first in frontier for j in range(first, z.shape[1])]
        columns += [column for column, _ in frontier]
    return np.stack(columns, axis=1)


def _log_likelihood(vae, xs, z):
    samples, batch, latent_dim = z.shape
    params = vae.decoder(ops.reshape(z, (samples * batch, latent_dim)))
    return vae.likelihood.log_prob(xs, ops.reshape(params, (samples, batch, -1)))


def _over_samples(vae, x, num_samples, estimate, reduce):
    """Stack estimate(x, params, z) over samples of q(z|x), in blocks that fit in memory: (blocks or samples, n)."""
    x = vae.likelihood.check(x)
    num_samples = checks.positive_int("num_samples", num_samples)
    samples_at_once = min(num_samples, 100)
    examples_at_once = max(1, ROWS_AT_ONCE // samples_at_once)
    columns = []
    for start in range(0, len(x), examples_at_once):
        xs = ops.convert_to_tensor(x[start : start + examples_at_once])
        params = vae.encoder(xs)
        rows = []
        for done in range(0, num_samples, samples_at_once):
            count = min(samples_at_once, num_samples - done)
            eps = vae.posterior.noise((count, len(xs), vae.latent_dim))
            rows.append(ops.convert_to_numpy(reduce(estimate(xs, params, vae.posterior.sample(params, eps)))))
        columns.append(np.concatenate(rows))
    return np.concatenate(columns, axis=1).astype("float64")
