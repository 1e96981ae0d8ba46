"""The best normals over a plane, against what is known of each direction of the KL."""

import numpy as np
import pytest
from scipy.optimize import minimize

from vaelib.theory import gaussian
from vaelib.theory.plane import forward_fit, reverse_fit

XS, YS = np.linspace(-8, 8, 161), np.linspace(-7, 9, 161)
GRID = np.stack(np.meshgrid(XS, YS, indexing="ij"), axis=-1)


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.9])
def test_of_a_slanted_normal_forward_takes_the_variances_and_reverse_the_conditional_ones(rho):
    mean, cov = np.array([0.3, -0.2]), np.array([[1.0, rho * 0.8], [rho * 0.8, 0.64]])
    log_p = 3.7 + gaussian.log_prob_full(GRID, mean, cov)  # it need not be normalised
    forward = forward_fit(XS, YS, log_p)
    np.testing.assert_allclose(forward[0], mean, atol=1e-9)
    np.testing.assert_allclose(forward[1], np.diag(cov), atol=1e-9)
    reverse = reverse_fit(XS, YS, log_p, *forward)
    np.testing.assert_allclose(reverse[0], mean, atol=1e-6)
    np.testing.assert_allclose(reverse[1], 1 / np.diag(np.linalg.inv(cov)), rtol=1e-6)  # Bishop (2006), eq. 10.12


def test_of_a_bent_density_reverse_is_the_least_kl_that_another_search_finds():
    log_p = -0.5 * GRID[..., 0] ** 2 - 0.5 * (GRID[..., 1] - 0.4 * GRID[..., 0] ** 2) ** 2 / 0.5
    step = (XS[1] - XS[0]) * (YS[1] - YS[0])

    def kl(params):
        log_q = gaussian.log_prob_diagonal(GRID, params[:2], params[2:])
        return step * np.sum(np.exp(log_q) * (log_q - log_p))

    best = minimize(kl, np.zeros(4), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 4000})
    mean, var = reverse_fit(XS, YS, log_p, *forward_fit(XS, YS, log_p))
    assert kl(np.concatenate([mean, np.log(var)])) <= best.fun + 1e-7
    np.testing.assert_allclose(mean, best.x[:2], atol=1e-3)
    assert kl(np.concatenate([mean, np.log(var)])) < kl(np.concatenate([mean, np.log(2 * var)])) - 0.01
