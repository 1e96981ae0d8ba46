"""A reference sampler: Hamiltonian Monte Carlo, many chains at once, with the numbers that say whether to trust it."""

from typing import NamedTuple

import numpy as np

from vaelib import checks
from vaelib.theory import gaussian


class Draws(NamedTuple):
    """What `hmc` returns: draws of shape (num_chains, num_draws, latent_dim), and the share of accepted moves."""

    w: np.ndarray
    acceptance: float


def hmc(model, mean, cov, rng, *, num_draws=1000, num_chains=16, num_steps=8, step_size=0.2, warm_up=100):
    """Draw from p(w|y) ∝ p(y, w) by Hamiltonian Monte Carlo.

    A Gaussian guess N(mean, cov) sets the coordinates, so that one step size suits every direction; the draws are
    right whatever the guess. The chains start far apart, at twice the guess's spread, so that `r_hat` can tell when
    they have not met. The step size varies by a fifth from move to move: a fixed one can make a chain go in circles.

    Args:
        model: with `log_joint(w)` and `gradient(w)` for w of shape (num_chains, latent_dim).
        mean, cov: the guess, for example Laplace's approximation.
        rng: a NumPy random generator.
        num_draws: kept draws of each chain. num_chains: chains. warm_up: draws of each chain that are thrown away.
        num_steps: leapfrog steps of a move. step_size: their length, in standard deviations of the guess.
    Returns:
        Draws.
    Raises:
        ValueError: a number that is not a positive whole one, or a covariance that is none.
    Source: Neal (2011), MCMC using Hamiltonian dynamics, section 5.3.
    """
    for name, value in [("num_draws", num_draws), ("num_chains", num_chains), ("num_steps", num_steps)]:
        checks.positive_int(name, value)
    factor = gaussian.cholesky(cov)
    mean = checks.real_array("mean", mean)

    def slope(u):
        return model.gradient(mean + u @ factor.T) @ factor

    u = 2.0 * rng.standard_normal((num_chains, len(mean)))
    log_joint, gradient = model.log_joint(mean + u @ factor.T), slope(u)
    kept, accepted = np.empty((num_draws, *u.shape)), 0
    for draw in range(-warm_up, num_draws):
        size = step_size * rng.uniform(0.8, 1.2)
        start = rng.standard_normal(u.shape)
        momentum, position, force = start + 0.5 * size * gradient, u, gradient
        for step in range(num_steps):
            position = position + size * momentum
            force = slope(position)
            momentum = momentum + (size if step < num_steps - 1 else 0.5 * size) * force
        proposed = model.log_joint(mean + position @ factor.T)
        log_ratio = proposed - log_joint + 0.5 * np.sum(start**2 - momentum**2, axis=1)
        accept = np.log(rng.uniform(size=num_chains)) < log_ratio
        u = np.where(accept[:, None], position, u)
        gradient = np.where(accept[:, None], force, gradient)
        log_joint = np.where(accept, proposed, log_joint)
        if draw >= 0:
            kept[draw] = u
            accepted += accept.mean()
    return Draws(mean + kept.swapaxes(0, 1) @ factor.T, accepted / num_draws)


def r_hat(values):
    """Compare the spread between half-chains with the spread within them: near 1 when all draw from one distribution.

    Args:
        values: shape (num_chains, num_draws, ...), at least four draws.
    Returns:
        Split R-hat of each quantity, shape (...).
    Source: Gelman et al. (2013), Bayesian Data Analysis, section 11.4.
    """
    halves = _halves(values)
    num = halves.shape[1]
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = num * halves.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(all="ignore"):  # what leaves the range of a float is named
        ratio = between / (num * within)
    return np.sqrt((num - 1) / num + checks.representable("values", ratio))


def effective_sample_size(values):
    """Say how many independent draws the chains are worth for the mean of each quantity.

    Autocorrelations are summed in pairs until a pair is negative (Geyer 1992). A chain whose draws alternate around
    the mean is worth more than its length.

    Args:
        values: shape (num_chains, num_draws, ...), at least four draws.
    Returns:
        Effective number of draws, shape (...).
    Source: Gelman et al. (2013), Bayesian Data Analysis, section 11.5.
    """
    halves = _halves(values)
    chains, num = halves.shape[:2]
    centred = halves - halves.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * num, axis=1)) ** 2
    covariance = np.fft.irfft(spectrum, axis=1)[:, :num].mean(axis=0) / num
    within = covariance[0] * num / (num - 1)
    total = within * (num - 1) / num + halves.mean(axis=1).var(axis=0, ddof=1)
    correlation = 1 - (within - covariance) / total
    correlation[0] = 1.0
    pairs = correlation[0 : num - 1 : 2] + correlation[1:num:2]
    going = np.cumprod(pairs > 0, axis=0)
    pairs = np.minimum.accumulate(np.where(going, pairs, np.inf), axis=0)
    time = 2 * np.sum(np.where(going, pairs, 0.0), axis=0) - 1
    # Never more than log10 of the draws times their number: what is left is noise of the autocorrelations.
    return chains * num / np.maximum(time, 1 / np.log10(chains * num))


def standard_error(values):
    """Return the Monte Carlo standard error of the mean over chains and draws, shape (...)."""
    size = effective_sample_size(values)
    return np.std(values, axis=(0, 1)) / np.sqrt(size)


def _halves(values):
    values = checks.real_array("values", values)
    if values.ndim < 2 or values.shape[1] < 4 or not values.size:
        raise ValueError(f"values must have shape (num_chains, num_draws >= 4, ...); received {values.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        spread = checks.representable("values", np.var(values, axis=1))
    if not np.all(spread.max(axis=0) > 0):
        raise ValueError("values must move within their chains; received a quantity that stays as it is.")
    half = values.shape[1] // 2
    return np.concatenate([values[:, :half], values[:, half : 2 * half]])
