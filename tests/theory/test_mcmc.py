"""vaelib.theory.mcmc on targets whose answers are known."""

import numpy as np
import pytest

from vaelib.theory import mcmc
from vaelib.theory.regression import LogisticRegression, laplace, posterior_on_grid

COV = np.array([[2.0, 0.9], [0.9, 0.5]])
MEAN = np.array([1.0, -2.0])


class Gaussian:
    precision = np.linalg.inv(COV)

    def gradient(self, w):
        return (MEAN - w) @ self.precision

    def log_joint(self, w):
        return 0.5 * np.sum(self.gradient(w) * (MEAN - w), axis=-1) * -1.0 + 3.0


def autoregressive(rho, chains=8, num=4000, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(chains, num))
    values = np.empty((chains, num))
    values[:, 0] = noise[:, 0]
    for t in range(1, num):
        values[:, t] = rho * values[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return values


@pytest.mark.parametrize("cov", [COV, np.diag([0.3, 3.0])], ids=["good guess", "poor guess"])
def test_a_gaussian_target_comes_back(cov):
    draws = mcmc.hmc(Gaussian(), np.zeros(2), cov, np.random.default_rng(0), num_draws=2000)
    assert draws.w.shape == (16, 2000, 2) and 0.5 < draws.acceptance <= 1
    assert mcmc.r_hat(draws.w).max() < 1.02
    off = np.abs(draws.w.mean((0, 1)) - MEAN)
    assert (off < 4 * mcmc.standard_error(draws.w)).all()
    centred = draws.w - MEAN
    products = centred[..., :, None] * centred[..., None, :]
    assert (np.abs(products.mean((0, 1)) - COV) < 4 * mcmc.standard_error(products)).all()


def test_a_skewed_posterior_agrees_with_quadrature():
    model = LogisticRegression(4 * np.random.default_rng(3).normal(size=(8, 2)), [0, 1, 1, 1, 0, 1, 1, 1])
    grid, top = posterior_on_grid(model), laplace(model)
    draws = mcmc.hmc(model, top.mean, top.cov, np.random.default_rng(1), num_draws=2000)
    squares = (draws.w - grid.mean) ** 2
    assert (np.abs(draws.w.mean((0, 1)) - grid.mean) < 4 * mcmc.standard_error(draws.w)).all()
    assert (np.abs(squares.mean((0, 1)) - np.diag(grid.cov)) < 4 * mcmc.standard_error(squares)).all()
    assert np.abs(top.mean - grid.mean).max() > 20 * mcmc.standard_error(draws.w).max()  # a hard enough case


def test_the_same_seed_gives_the_same_draws():
    first, again = (mcmc.hmc(Gaussian(), MEAN, COV, np.random.default_rng(5), num_draws=5).w for _ in range(2))
    other = mcmc.hmc(Gaussian(), MEAN, COV, np.random.default_rng(6), num_draws=5).w
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, -0.4])
def test_effective_sample_size_of_an_autoregression(rho):
    values = autoregressive(rho)
    expected = values.size * (1 - rho) / (1 + rho)
    assert mcmc.effective_sample_size(values) == pytest.approx(expected, rel=0.15)


def test_standard_error_is_the_spread_of_the_mean_over_reruns():
    reruns = [autoregressive(0.7, chains=4, num=500, seed=seed) for seed in range(200)]
    spread = np.std([values.mean() for values in reruns])
    stated = np.mean([mcmc.standard_error(values) for values in reruns])
    assert stated == pytest.approx(spread, rel=0.2)  # the spread of 200 reruns is known to a twentieth


def test_r_hat_sees_a_chain_elsewhere_and_a_drift():
    values = np.random.default_rng(0).normal(size=(4, 500, 2))
    assert mcmc.r_hat(values) == pytest.approx(1.0, abs=0.01)
    values[0, :, 1] += 2
    assert mcmc.r_hat(values)[0] < 1.01 < 1.2 < mcmc.r_hat(values)[1]
    drift = np.random.default_rng(0).normal(size=(4, 500)) + np.linspace(-2, 2, 500)
    assert mcmc.r_hat(drift) > 1.2
    # By hand, without halves: two chains of variance 1 and means 0 and 1.
    chain = np.array([-1.0, 1.0] * 4)
    two = np.stack([chain, chain + 1])
    within, between = np.var(chain[:4], ddof=1), 4 * np.var([0, 0, 1, 1], ddof=1)
    assert mcmc.r_hat(two) == pytest.approx(np.sqrt(3 / 4 + between / within / 4), abs=1e-12)


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="num_draws must be a whole number"):
        mcmc.hmc(Gaussian(), MEAN, COV, rng, num_draws=0)
    with pytest.raises(ValueError, match="positive definite"):
        mcmc.hmc(Gaussian(), MEAN, -COV, rng)
    with pytest.raises(ValueError, match="num_draws >= 4"):
        mcmc.r_hat(np.zeros((4, 3)))
