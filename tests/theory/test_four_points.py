"""The four points against SciPy, against differences, and against the identities of the ELBO."""

import numpy as np
import pytest
from scipy import optimize, stats

from vaelib.theory import four_points
from vaelib.theory.four_points import CODES, X, best_log_likelihood, bound, cloud_density, normal_densities

RNG = np.random.default_rng(0)
MU, STD = RNG.normal(size=(4, 2)), RNG.uniform(0.4, 0.9, (4, 2))
PLACES = np.stack(np.meshgrid(CODES, CODES, indexing="ij"), axis=-1)


def test_densities_are_those_of_scipy():
    q = normal_densities(MU, STD)
    for k in range(4):
        np.testing.assert_allclose(q[k], stats.multivariate_normal(MU[k], np.diag(STD[k] ** 2)).pdf(PLACES), atol=1e-12)
    centres = RNG.normal(size=(7, 2))
    expected = np.mean([stats.multivariate_normal(each, 0.3**2).pdf(PLACES) for each in centres], axis=0)
    np.testing.assert_allclose(cloud_density(centres, 0.3), expected, atol=1e-12)


def test_the_best_decoder_is_the_share_of_each_point():
    q = normal_densities(MU, STD)
    log_lik = best_log_likelihood(q)
    at = (60, 55)
    share = q[:, *at] / q[:, *at].sum()
    expected = X * np.log(share) + (1 - X) * np.log(1 - share)
    np.testing.assert_allclose(log_lik[:, *at], expected.sum(axis=1), rtol=1e-9)
    best = bound(q, log_lik).elbo
    for _ in range(5):  # any other probabilities of the pixels
        logits = np.log(q[:, *at] / (q.sum(axis=0)[at] - q[:, *at])) + RNG.normal(0, 0.5, 4)
        other = log_lik.copy()
        other[:, *at] = X @ -np.logaddexp(0, -logits) + (1 - X) @ -np.logaddexp(0, logits)
        assert bound(q, other).elbo < best


def test_the_terms_fit_together():
    q = normal_densities(MU, STD)
    here = bound(q, best_log_likelihood(q))
    closed = 0.5 * np.sum(MU**2 + STD**2 - 1 - 2 * np.log(STD), axis=1)
    np.testing.assert_allclose(here.kl, closed, atol=1e-8)
    assert here.elbo < here.log_evidence.mean() < four_points.CEILING
    assert here.elbo == pytest.approx(np.mean(here.reconstruction) - np.mean(closed))
    # log p(x) = ELBO + KL(q ‖ p(z|x)), each from its own formula.
    cell = (CODES[1] - CODES[0]) ** 2
    joint = best_log_likelihood(q) + stats.multivariate_normal([0, 0]).logpdf(PLACES)
    posterior = joint - np.log(np.exp(joint).sum(axis=(1, 2), keepdims=True) * cell)
    gap = np.sum(q * (np.log(np.maximum(q, 1e-300)) - posterior), axis=(1, 2)) * cell
    np.testing.assert_allclose(here.log_evidence, here.reconstruction - here.kl + gap, atol=1e-9)
    # The mean KL is that of all codes together, and what a code tells of its point.
    share = q / np.maximum(q.sum(axis=0), 1e-300)
    told = np.mean(np.sum(q * np.log(np.maximum(4 * share, 1e-300)), axis=(1, 2))) * cell
    assert here.kl.mean() == pytest.approx(here.kl_together + told, abs=1e-9)


def test_the_gradient_of_the_search_is_that_of_differences():
    at = np.concatenate([MU.ravel(), np.log(STD).ravel()])
    value, slope = (lambda values, k=k: four_points.negative_elbo(values)[k] for k in (0, 1))
    assert optimize.check_grad(value, slope, at) < 1e-6
    q = normal_densities(MU, STD)
    assert value(at) == pytest.approx(-bound(q, best_log_likelihood(q)).elbo, abs=1e-8)


def test_the_ceiling_of_gaussians():
    fits = four_points.fit_gaussians(np.random.default_rng(1), 4)
    assert [fit.elbo for fit in fits] == sorted((fit.elbo for fit in fits), reverse=True)
    assert fits[0].elbo == pytest.approx(-1.6963, abs=5e-5)
    q = normal_densities(fits[0].mu, fits[0].std)
    best = bound(q, best_log_likelihood(q))
    assert best.elbo == pytest.approx(fits[0].elbo, abs=1e-8)
    assert best.log_evidence.mean() == pytest.approx(-1.5679, abs=5e-5)
    assert -best.reconstruction.mean() == pytest.approx(0.342, abs=5e-4)
    assert best.kl_together == pytest.approx(0.1465, abs=5e-5)


def test_four_quarters_of_the_plane_come_near_to_the_ceiling_of_anything():
    """A posterior that is the prior cut to a quarter: codes together are the prior, and none is shared."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    prior = stats.multivariate_normal([0, 0]).pdf(PLACES)
    quarter = np.array([4 * prior * np.prod(0.5 + 0.5 * np.sign(sign * PLACES), axis=-1) for sign in signs])
    cell = (CODES[1] - CODES[0]) ** 2
    quarter /= quarter.sum(axis=(1, 2), keepdims=True) * cell
    best = bound(quarter, best_log_likelihood(quarter))
    assert -1.6963 + 0.2 < best.elbo < four_points.CEILING
    assert best.kl_together < 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normal_densities(np.zeros((3, 2)), np.ones((3, 2))), r"must have shape \(4, 2\)"),
        (lambda: normal_densities(MU, -STD), "std must be positive"),
        (lambda: cloud_density(np.zeros(3), 0.1), r"centres must have shape \(m, 2\)"),
        (lambda: best_log_likelihood(-np.ones((4, 3, 3))), "no entry below 0"),
        (lambda: bound(np.ones((4, 3, 3)), np.zeros((4, 3, 3))), "must have shape"),
        (lambda: bound(normal_densities(MU + 9, STD), np.zeros((4, 121, 121))), "wider or a finer grid"),
        (lambda: four_points.negative_elbo(np.zeros(8)), r"values must have shape \(16,\)"),
        (lambda: four_points.fit_gaussians(RNG, 0), "num_starts must be a whole number"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
