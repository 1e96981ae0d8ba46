"""Counts against scipy, quadrature and simulation; the adjusted Rand index against scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import adjusted_rand_score

from vaelib.theory.counts import (
    adjusted_rand_index,
    log_binned_normal,
    log_negative_binomial,
    poisson_gamma,
    simulate_cells,
    zero_inflated_zero,
)


@pytest.mark.parametrize("x, mean, theta", [(0, 3, 0.5), (7, 3, 2.0), (40, 10, 0.2), (1, 0.1, 5.0), (300, 250, 50.0)])
def test_the_mixture_of_poisson_laws_is_the_negative_binomial(x, mean, theta):
    exact = np.exp(log_negative_binomial(x, mean, theta))
    assert poisson_gamma(x, mean, theta) == pytest.approx(exact, rel=1e-10)
    assert stats.nbinom.pmf(x, theta, theta / (theta + mean)) == pytest.approx(exact, rel=1e-10)


def test_its_variance_and_its_poisson_limit():
    x = np.arange(3000)
    p = np.exp(log_negative_binomial(x, 5.0, 1.3))
    assert p.sum() == pytest.approx(1, abs=1e-12) and p @ x == pytest.approx(5, abs=1e-9)
    assert p @ (x - 5.0) ** 2 == pytest.approx(5 + 25 / 1.3, abs=1e-8)
    np.testing.assert_allclose(log_negative_binomial(x[:20], 5.0, 1e8), stats.poisson.logpmf(x[:20], 5), atol=1e-6)
    assert zero_inflated_zero(0.2, 5.0, 1.3) == pytest.approx(0.2 + 0.8 * p[0], abs=1e-12)


def test_masses_of_a_normal_law_of_the_logarithm_add_up_to_one():
    x = np.arange(4000)
    assert np.exp(log_binned_normal(x, 1.5, 0.8)).sum() == pytest.approx(1, abs=1e-12)
    edges = stats.norm.cdf(np.log1p([6.5, 7.5]), 1.5, 0.8)
    assert np.exp(log_binned_normal(7, 1.5, 0.8)) == pytest.approx(np.diff(edges)[0], rel=1e-12)
    low, high = stats.norm.logsf(np.log1p([999.5, 1000.5]), 1.5, 0.2)  # where the cdf is 1 to every digit
    assert log_binned_normal(1000, 1.5, 0.2) == pytest.approx(low + np.log1p(-np.exp(high - low)), rel=1e-10)


def test_simulated_cells_have_the_laws_that_they_say():
    cells = simulate_cells(4000, 30, np.random.default_rng(0))
    assert cells.x.shape == (4000, 30) and set(cells.kinds) == {0, 1, 2} and set(cells.batches) == {0, 1}
    mean = np.exp(cells.log_means)
    scaled = (cells.x - mean) / np.sqrt(mean + mean**2 / cells.theta)
    assert abs(scaled.mean()) < 5 / np.sqrt(scaled.size)
    assert scaled.var() == pytest.approx(1, abs=0.05)
    assert cells.log_prob()[0] == pytest.approx(
        stats.nbinom.logpmf(cells.x[0], cells.theta, cells.theta / (cells.theta + mean[0])).sum()
    )


def test_the_index_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    for other in (second, np.where(rng.random(200) < 0.7, first, second), 9 - first):
        assert adjusted_rand_index(first, other) == pytest.approx(adjusted_rand_score(first, other), abs=1e-12)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: log_negative_binomial(1.5, 2.0, 1.0), "x must hold counts"),
        (lambda: log_negative_binomial(1, 2.0, 0.0), "theta must be positive"),
        (lambda: poisson_gamma(-1, 2.0, 1.0), "x must hold counts"),
        (lambda: log_binned_normal(1, 2.0, 0.0), "std must be positive"),
        (lambda: zero_inflated_zero(1.2, 2.0, 1.0), "share must lie from 0 to 1"),
        (lambda: adjusted_rand_index([0, 1], [0, 1, 1]), "must have shape"),
        (lambda: simulate_cells(0, 3, np.random.default_rng(0)), "num_cells must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
