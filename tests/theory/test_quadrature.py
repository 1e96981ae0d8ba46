"""Nodes and weights against integrals that SciPy knows."""

import numpy as np
import pytest
from scipy import integrate, stats

from vaelib.theory.quadrature import even_grid, gauss_hermite, normal_trapezoid, trapezoid_weights


def test_an_even_grid_reaches_both_ends_in_steps_no_longer_than_asked():
    x = even_grid(-1.0, 2.0, 0.7)
    assert x[0] == -1 and x[-1] == 2 and np.ptp(np.diff(x)) < 1e-12 and 0.5 < np.diff(x)[0] <= 0.7


@pytest.mark.parametrize("x", [np.linspace(-1, 2, 9), np.array([0.0, 0.5, 0.6, 2.0])])
def test_trapezoid_weights_are_the_trapezoid_rule(x):
    f = np.random.default_rng(0).standard_normal(len(x))
    np.testing.assert_allclose(trapezoid_weights(x) @ f, integrate.trapezoid(f, x), rtol=1e-12)


def test_normal_weights_give_moments_of_the_standard_normal():
    eps = np.linspace(-9, 9, 91)
    weights = normal_trapezoid(eps)
    for power in range(7):
        assert weights @ eps**power == pytest.approx(stats.norm.moment(power), abs=1e-12)


def test_gauss_hermite_nodes_integrate_polynomials_exactly():
    eps, weights = gauss_hermite(2, 4)
    assert eps.shape == (16, 2) and weights.shape == (16,)
    for i, j in [(0, 0), (2, 0), (4, 2), (6, 6), (3, 2), (1, 1)]:
        expected = stats.norm.moment(i) * stats.norm.moment(j)
        assert weights @ (eps[:, 0] ** i * eps[:, 1] ** j) == pytest.approx(expected, abs=1e-10)
