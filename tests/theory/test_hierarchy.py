"""The linear Gaussian chain against quadrature over both layers, and against the numbers known for it."""

import numpy as np
import pytest
from scipy import optimize, stats

from vaelib.theory.hierarchy import LinearChain, merged

CHAIN, X = LinearChain(0.9, 1.3, 0.6, 0.5), 0.8


@pytest.fixture(scope="module")
def grid():
    """Nodes (z2, z1), their weight, and log p(z2, z1, x) there."""
    axis = np.linspace(-9, 9, 1201)
    z2, z1 = np.meshgrid(axis, axis, indexing="ij")
    log_joint = (
        stats.norm.logpdf(z2)
        + stats.norm.logpdf(z1, CHAIN.a * z2, CHAIN.s1)
        + stats.norm.logpdf(X, CHAIN.b * z1, CHAIN.s)
    )
    return z2, z1, (axis[1] - axis[0]) ** 2, log_joint


def test_evidence_and_posterior_are_those_of_quadrature(grid):
    z2, z1, weight, log_joint = grid
    evidence = np.exp(log_joint).sum() * weight
    assert np.log(evidence) == pytest.approx(float(CHAIN.log_evidence(X)), abs=1e-10)
    share = np.exp(log_joint) * weight / evidence
    mean, covariance = CHAIN.posterior(X)
    z = np.stack([z2, z1])
    seen = np.tensordot(z, share, 2)
    np.testing.assert_allclose(seen, mean, atol=1e-10)
    apart = z - seen[:, None, None]
    np.testing.assert_allclose(np.einsum("aij,bij,ij->ab", apart, apart, share), covariance, atol=1e-10)


@pytest.mark.parametrize("independent", [False, True])
def test_kls_reconstruction_and_elbo_are_those_of_quadrature(grid, independent):
    z2, z1, weight, _ = grid
    mean, covariance = CHAIN.posterior(X)
    if independent:
        covariance = np.diag(CHAIN.mean_field_variances())
    q = stats.multivariate_normal(mean, covariance).pdf(np.stack([z2, z1], axis=-1))
    top = stats.norm.pdf(z2, mean[0], np.sqrt(covariance[0, 0]))
    kls = [
        np.sum(q * (np.log(top) - stats.norm.logpdf(z2))) * weight,
        np.sum(q * (np.log(np.maximum(q, 1e-300) / top) - stats.norm.logpdf(z1, CHAIN.a * z2, CHAIN.s1))) * weight,
    ]
    np.testing.assert_allclose(CHAIN.layer_kls(X, covariance), kls, atol=1e-8)
    reconstruction = np.sum(q * stats.norm.logpdf(X, CHAIN.b * z1, CHAIN.s)) * weight
    assert CHAIN.reconstruction(X, covariance) == pytest.approx(reconstruction, abs=1e-9)
    gap = CHAIN.mean_field_gap() if independent else 0.0
    assert CHAIN.elbo(X, covariance) == pytest.approx(float(CHAIN.log_evidence(X)) - gap, abs=1e-12)


def test_no_independent_layers_are_better_than_the_mean_field_ones():
    found = optimize.minimize(
        lambda v: -CHAIN.elbo(X, np.diag(np.exp(v))), [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6}
    )
    np.testing.assert_allclose(np.exp(found.x), CHAIN.mean_field_variances(), rtol=1e-4)


def test_the_known_example():
    chain = LinearChain(1, 1, 0.5, 0.5)
    np.testing.assert_allclose(chain.precision, [[5, -4], [-4, 8]])
    assert chain.mean_field_gap() == pytest.approx(0.5 * np.log(40 / 24), abs=1e-12)


def test_the_merge_is_bayes_rule():
    z2 = np.linspace(-2, 2, 9)
    down = (CHAIN.a * z2, CHAIN.s1**2 * np.ones(9))
    up = (np.full(9, X / CHAIN.b), CHAIN.s**2 / CHAIN.b**2 * np.ones(9))
    mean, variance = merged(up, down)
    expected = CHAIN.below_given_top(z2, X)
    np.testing.assert_allclose(mean, expected[0], atol=1e-12)
    np.testing.assert_allclose(variance, expected[1], atol=1e-12)


def test_informations_are_means_over_x_of_the_posterior_kls():
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    xs = np.sqrt(CHAIN.variances[1]) * nodes
    kls = np.array([CHAIN.posterior_kls(x) for x in xs])
    expected = (weights / weights.sum()) @ kls
    assert CHAIN.top_kl() == pytest.approx(expected[0], abs=1e-12)
    assert CHAIN.total_kl() == pytest.approx(expected.sum(), abs=1e-12)


@pytest.mark.parametrize("a", [0.0, 0.3, 0.9])
def test_only_the_sum_of_squares_reaches_x(a):
    other = LinearChain(a, CHAIN.b, np.sqrt(CHAIN.variances[0] - a**2), CHAIN.s)
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(other.log_evidence(x), CHAIN.log_evidence(x), atol=1e-12)
    assert other.total_kl() == pytest.approx(CHAIN.total_kl(), abs=1e-12)
    assert (other.top_kl() < 1e-12) == (a == 0)


@pytest.mark.parametrize("bad", [(1, 1, 0.0, 1), (1, 1, 1, -1.0), (np.nan, 1, 1, 1)])
def test_bad_input_is_named(bad):
    with pytest.raises(ValueError, match="must be"):
        LinearChain(*bad)
    with pytest.raises(ValueError, match="the second variance must be positive"):
        merged((0.0, 1.0), (0.0, 0.0))
