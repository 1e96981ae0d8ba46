"""What a trained model is worth: ELBO, importance-sampled log p(x), active units, factor recovery."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.distributions import kl_divergence, require_density
from vaelib.training.compilation import compiled

if TYPE_CHECKING:
    from vaelib.model.vae import VAE

# Rows that the decoder gives at once; bounds the memory. Twice as many gain 3 %, see benchmarks/README.md.
ROWS_AT_ONCE = 500
# Rows that one program decodes, some at once: while one core multiplies the next rows, the other is done with the last.
ROWS_A_CALL = 25_000
# Decoded rows below which an estimate is done before a program for it would be compiled.
WORTH_COMPILING = 100_000


def in_batches(function: Callable, x: np.ndarray, y: Any = None, rows: int = 2_000) -> np.ndarray:
    """Apply a function of tensors to x (and y), so many rows at a time, and return one NumPy array."""
    _check_rows(y, len(x))
    parts = []
    for start in range(0, len(x), rows):
        some = slice(start, start + rows)
        parts.append(ops.convert_to_numpy(function(x[some]) if y is None else function(x[some], _rows_of(y, some))))
    return without_nan(np.concatenate(parts))


def without_nan(values: np.ndarray) -> np.ndarray:
    """Return what a model gave, or raise FloatingPointError where it holds NaN."""
    if np.isnan(values).any():
        bad = np.flatnonzero(np.isnan(values.reshape(len(values), -1)).any(axis=1))
        raise FloatingPointError(
            f"the model gives NaN, for {len(bad)} of {len(values)} examples (the first is {bad[0]}): its weights hold "
            "NaN or have run away. Build it anew and train with a smaller learning rate, or load an earlier one."
        )
    return values


def elbo(vae: "VAE", x: Any, num_samples: int = 1, y: Any = None) -> np.ndarray:
    """Estimate the ELBO of each example: E_q[log p(x|z)] - KL(q(z|x) || p(z)).

    The KL is in closed form where one is registered; the rest is a mean over samples of q(z|x).
    Source: Kingma and Welling 2014, equation 7.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        num_samples: samples of z per example.
        y: what encoder and decoder read beside x and z, or nothing.

    Returns:
        NumPy array of shape (n,), nats.

    Raises:
        ValueError: x does not fit the likelihood, num_samples is below 1, or the posterior has no density.
    """
    require_density(vae.posterior)
    return without_nan(np.sum(_over_samples(_total_elbo, vae, x, y, num_samples), axis=0) / num_samples)


def log_evidence(vae: "VAE", x: Any, num_samples: int = 5000, y: Any = None) -> np.ndarray:
    """Estimate log p(x) of each example by importance sampling with q(z|x) as the proposal.

    The estimate, log of the mean of p(x, z) / q(z|x), is a lower bound in expectation and tightens with num_samples.
    Source: Burda et al. 2015, equation 8.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        num_samples: samples of z per example.
        y: what encoder and decoder read beside x and z, or nothing.

    Returns:
        NumPy array of shape (n,), nats.

    Raises:
        ValueError: x does not fit the likelihood, num_samples is below 1, or the posterior has no density.
    """
    require_density(vae.posterior)
    log_totals = without_nan(_over_samples(_log_total_weight, vae, x, y, num_samples).T).T
    return np.logaddexp.reduce(log_totals) - math.log(num_samples)


def active_units(vae: "VAE", x: Any, threshold: float = 0.01, y: Any = None) -> np.ndarray:
    """Say which latent dimensions carry information: those whose posterior mean varies with x.

    Source: Burda et al. 2015, section 5.2.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        threshold: smallest variance over x of the posterior mean that counts as active.
        y: what the encoder reads beside x, or nothing.

    Returns:
        Boolean array of shape (latent_dim,).
    """
    return vae.encode(x, y).var(axis=0) > threshold


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


def score(vae: "VAE", x: Any, num_samples: int = 10, num_importance_samples: int = 100, y: Any = None) -> Scores:
    """Score a model on held-out examples, so that models can be compared example by example.

    Args:
        vae: the model.
        x: array of shape (n, *data_shape).
        num_samples: samples of z per example for the ELBO.
        num_importance_samples: samples of z per example for log p(x).
        y: what encoder and decoder read beside x and z, or nothing.

    Returns:
        Scores.

    Raises:
        ValueError: x does not fit the likelihood, or a number of samples is below 1.
    """
    return Scores(
        elbo(vae, x, num_samples, y),
        log_evidence(vae, x, num_importance_samples, y),
        int(active_units(vae, x, y=y).sum()),
        sum(math.prod(weight.shape) for weight in vae.trainable_weights),
    )


def mean_and_error(values: Any) -> tuple[float, float]:
    """Return the mean of independent values and its standard error, for example of the ELBOs of test images.

    Args:
        values: array of shape (n,), n >= 2. For two models on the same examples pass the differences: what makes an
            example hard for both then cancels, and the error is that of the comparison.

    Returns:
        The mean and its standard error, two floats.

    Raises:
        ValueError: values has another shape.
    """
    values = checks.real_array("values", values)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values must have shape (n,) with n >= 2; received {values.shape}.")
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def factor_recovery(z: Any, factor: Any, degree: int = 3, held_out: float = 0.2) -> float:
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
    z, factor, degree = (
        checks.real_array("z", z),
        checks.real_array("factor", factor),
        checks.positive_int("degree", degree),
    )
    if not 0 < held_out <= 0.5:
        raise ValueError(f"held_out must lie above 0, and be at most 0.5; received {held_out!r}.")
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


# What many samples give becomes one number per example: thousands of decoded images never stand in memory together.


@compiled
def _total_elbo(vae, x, y, num, at_once):
    """Return the sum over so many samples of the ELBO's estimate, nats, shape (batch,); so many are decoded at once."""
    q_params, z, log_q = _samples(vae, x, y, num)

    def estimate(samples):
        z, log_q = samples
        kl = kl_divergence(vae.posterior, q_params, vae.prior, z=z, log_q=log_q)
        return vae.likelihood.log_prob(x, vae.run_decoder(z, y)) - kl

    return ops.sum(_some_at_once(estimate, (z, log_q), num, at_once), axis=0)


@compiled
def _log_total_weight(vae, x, y, num, at_once):
    """Return the log of the sum over so many samples of p(x, z) / q(z|x), shape (batch,); so many decoded at once."""
    _, z, log_q = _samples(vae, x, y, num)

    def log_joint(z):
        return vae.likelihood.log_prob(x, vae.run_decoder(z, y)) + vae.prior.log_prob(z)

    return ops.logsumexp(_some_at_once(log_joint, z, num, at_once) - log_q, axis=0)


def _some_at_once(function, samples, num, at_once):
    """Return function(samples), shape (num, batch), from so many samples at a time."""
    if num == at_once:
        return function(samples)
    blocks = keras.tree.map_structure(
        lambda part: ops.reshape(part, (num // at_once, at_once, *ops.shape(part)[1:])), samples
    )
    values = ops.map(function, blocks)
    return ops.reshape(values, (num, *ops.shape(values)[2:]))


def _samples(vae, x, y, num):
    q_params = vae.run_encoder(x, y)
    return q_params, *vae.posterior.sample_and_log_prob(q_params, num=num)


def _rows_of(y, rows):
    return keras.tree.map_structure(lambda part: part[rows], y)


def _check_rows(y, num_examples):
    for part in [] if y is None else keras.tree.flatten(y):
        if np.ndim(part) == 0 or len(part) != num_examples:
            raise ValueError(
                f"each part of y must have one row per example, {num_examples} here; received shape {np.shape(part)}."
            )


def _over_samples(estimate, vae, x, y, num_samples):
    """Return estimate(vae, x, y, num, at_once) for numbers of samples that add up to num_samples, float64, (calls, n).

    Examples and samples come in blocks of one shape, so that one program serves them all: the last block of examples
    is filled up with the last one, which is then left out.
    """
    x, num_samples = vae.check_data(x), checks.positive_int("num_samples", num_samples)
    _check_rows(y, len(x))
    x = ops.convert_to_numpy(vae.binarised(x))
    examples = min(len(x), ROWS_AT_ONCE, max(1, ROWS_A_CALL // num_samples))
    at_once = min(num_samples, ROWS_AT_ONCE // examples)
    if len(x) * num_samples < WORTH_COMPILING:
        estimate = estimate.__wrapped__
    columns = []
    for start in range(0, len(x), examples):
        rows = np.minimum(np.arange(start, start + examples), len(x) - 1)
        some_x, some_y = x[rows], None if y is None else _rows_of(y, rows)
        columns.append(
            [
                ops.convert_to_numpy(estimate(vae, some_x, some_y, num=num, at_once=min(num, at_once)))
                for num in _calls(num_samples, at_once, ROWS_A_CALL // (examples * at_once))
            ]
        )
    return np.concatenate(columns, axis=1)[:, : len(x)].astype("float64")


def _calls(num_samples, at_once, most_blocks):
    """Split a number of samples into calls of up to so many blocks of one size, and one call of what is left."""
    blocks, left = divmod(num_samples, at_once)
    full, few = divmod(blocks, most_blocks)
    return [num for num in [at_once * most_blocks] * full + [at_once * few, left] if num]
