"""Planar flows on the line against known maps, known minima and what folds must report; the energies' integrals."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from vaelib.theory import gaussian
from vaelib.theory.divergences import Mixture, fit_reverse
from vaelib.theory.flows import (
    ENERGIES,
    PlanarChain,
    energy,
    fit_chain,
    kl_and_gradient,
    log_normaliser,
    square_posterior,
    transport,
)

STANDARD = Mixture([1.0], [0.0], [1.0])


def random_chain(seed, slopes):
    rng = np.random.default_rng(seed)
    return PlanarChain(slopes, rng.uniform(0.5, 3, len(slopes)), rng.normal(size=len(slopes)), 0.3, 0.8)


@pytest.mark.parametrize("slopes", [[], [0.7], [-0.8, 2.0], [-2.5, 0.5]], ids=str)
def test_the_slope_is_that_of_differences(slopes):
    chain, eps = random_chain(0, slopes), np.linspace(-3, 3, 41)
    ends = [chain.forward(eps + step)[0] for step in (-1e-6, 1e-6)]
    np.testing.assert_allclose(np.exp(chain.forward(eps)[1]), np.abs(ends[1] - ends[0]) / 2e-6, rtol=1e-6)
    assert chain.folds == any(slope <= -1 for slope in slopes)


def test_without_bends_it_is_a_normal():
    chain = PlanarChain(mu=0.5, std=0.7)
    assert chain.reported_kl(STANDARD) == pytest.approx(gaussian.kl_normal(0.5, 0.49, 0.0, 1.0), abs=1e-12)


@pytest.mark.parametrize("slopes", [[0.7], [-0.8, 2.0], [-2.5, 0.5]], ids=str)
def test_the_density_is_that_of_draws_folds_included(slopes):
    chain, n = random_chain(1, slopes), 400_000
    draws = np.sort(chain.forward(np.random.default_rng(0).standard_normal(n))[0])
    z = np.linspace(draws[0] - 0.1, draws[-1] + 0.1, 40_001)
    density = chain.density(z)
    mass = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(z))])
    error = 0.01 if chain.folds else 1e-5  # at a fold the density is 1/√distance, which a grid sums up poorly
    assert mass[-1] == pytest.approx(1, abs=error)
    seen = np.searchsorted(draws, z) / n
    assert np.abs(seen - mass).max() < 4 / math.sqrt(n) + error


def test_a_rising_map_reports_its_kl():
    """Against the density that adds up to 1, on a grid of z."""
    chain, z = random_chain(2, [-0.7, 1.5]), np.linspace(-12, 12, 60_001)
    q = chain.density(z)
    kl = np.trapezoid(np.where(q > 0, q * (np.log(np.maximum(q, 1e-300)) - STANDARD.log_prob(z)), 0), z)
    assert chain.reported_kl(STANDARD) == pytest.approx(kl, abs=1e-5) and kl > 0


def test_where_the_line_lies_in_three_layers_their_densities_add_up():
    """ε − 2 tanh(400 ε): each half of the line moves over the other, and a short piece joins them steeply."""
    chain = PlanarChain([-800.0], [400.0], [0.0])
    z, log_slope = chain.forward(np.array([-3.0, -1.0, 1.0, 3.0]))
    np.testing.assert_allclose(z, [-1, 1, -1, 1], atol=1e-12)
    np.testing.assert_allclose(log_slope, 0, atol=1e-12)
    steep = abs(1 - 800 * (1 - 0.25**2))  # where the tanh is −1/4
    expected = norm.pdf(-1.5) + norm.pdf(2.5) + norm.pdf(0) / steep
    assert chain.density(np.array([0.5])) == pytest.approx(expected, rel=1e-3)


def test_a_fold_can_report_less_than_nothing():
    """A planar layer without its constraint, u w = −15, against N(0, 1) and N(0, 0.5²)."""
    for std, least in ((1.0, -0.41), (0.5, -0.61)):
        target = Mixture([1.0], [0.0], [std])
        found = min(
            PlanarChain([-15.0], [w], [0.0], 0.0, start).reported_kl(target)
            for w in np.geomspace(3, 60, 60)
            for start in (0.5, 0.75, 1.0)
        )
        assert found < 0.8 * least
        honest = fit_chain(target, 1, np.random.default_rng(0), num_starts=3)
        assert 0 <= honest.kl < 1e-6


@pytest.mark.parametrize(
    "x, s, log_p, of_normal, of_one", [(1.0, 0.3, -1.334631, 0.723109, 0.1123), (2.0, 0.5, None, 0.7117, 0.1821)]
)
def test_two_modes_bent_open(x, s, log_p, of_normal, of_one):
    target = square_posterior(x, s)
    if log_p is not None:
        assert target.log_normaliser == pytest.approx(log_p, abs=1e-6)
    assert fit_reverse(target).kl == pytest.approx(of_normal, abs=1e-4)
    one = fit_chain(target, 1, np.random.default_rng(0))
    assert not one.chain.folds
    # Best is a bend without end of steepness, which tears the line apart; the search stops at 30.
    assert one.kl == pytest.approx(of_one, abs=2e-4) and one.chain.steepness == pytest.approx(30, abs=0.01)
    assert one.kl == pytest.approx(one.chain.reported_kl(target), abs=1e-9)


def test_the_posterior_of_a_square_is_even_and_peaks_where_it_should():
    """d/dz of −z²/2 − (x − z²)²/2s² vanishes at z² = x − s²/2."""
    target = square_posterior(1.0, 0.3)
    z = np.linspace(-2, 2, 401)
    np.testing.assert_allclose(target.log_prob(z), target.log_prob(-z), atol=1e-9)
    assert target.grad_log_prob(math.sqrt(1 - 0.045)) == pytest.approx(0, abs=1e-6)
    by_hand = norm.logpdf(z) + norm.logpdf(1.0, z**2, 0.3) - target.log_normaliser
    np.testing.assert_allclose(target.log_prob(z), by_hand, atol=1e-7)


@pytest.mark.slow
def test_four_bends_leave_almost_nothing():
    target = square_posterior(1.0, 0.3)
    four = fit_chain(target, 4, np.random.default_rng(0), num_starts=40)
    assert 0 < four.kl < 0.02


def test_from_gentle_bends_alone_a_search_ends_on_one_mode():
    """There q fits one of two equal halves and misses the other, which costs log 2; a search must start steep, too."""
    target = square_posterior(2.0, 0.5)
    fit = minimize(kl_and_gradient, [0.0, -2.0, 1.4, 1.4, math.log(0.2)], target, jac=True)
    assert fit.fun == pytest.approx(math.log(2), abs=2e-3)


def test_the_search_s_gradient_is_that_of_differences():
    target, v = square_posterior(1.0, 0.3), np.random.default_rng(3).normal(size=11)
    _, gradient = kl_and_gradient(v, target)
    for i, step in enumerate(1e-6 * np.eye(11)):
        ends = [kl_and_gradient(v + s * step, target)[0] for s in (-1, 1)]
        assert gradient[i] == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-5, abs=1e-6)


def test_the_best_map_has_no_kl():
    target, eps = square_posterior(1.0, 0.3), np.linspace(-5, 5, 20_001)
    z = transport(target, eps)
    assert np.all(np.diff(z) > 0)
    log_slope = np.log(np.gradient(z, eps))
    middle = np.abs(eps) < 4
    residual = (norm.logpdf(eps) - log_slope - target.log_prob(z))[middle]
    assert abs(norm.pdf(eps[middle]) @ residual * (eps[1] - eps[0])) < 1e-4
    of_normal = transport(Mixture([1.0], [2.0], [3.0]), np.linspace(-3, 3, 7))
    np.testing.assert_allclose(of_normal, 2 + 3 * np.linspace(-3, 3, 7), atol=1e-4)


def test_the_energies_integrals_on_their_window():
    found = [log_normaliser(name) for name in ENERGIES]
    np.testing.assert_allclose(found, [1.877502, 2.082089, 2.641705, 2.684567], atol=2e-6)
    assert found[1] == pytest.approx(math.log(8 * 0.4 * math.sqrt(2 * math.pi)), abs=1e-9)


def test_only_the_first_energy_can_be_normalised():
    grows = [log_normaliser(name, 8.0) - log_normaliser(name) for name in ENERGIES]
    assert grows[0] == pytest.approx(0, abs=1e-7) and min(grows[1:]) > 0.6


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: PlanarChain([1.0], [1.0, 2.0], [0.0]), "slopes, steepness and centres must have one length"),
        (lambda: PlanarChain([1.0], [0.0], [0.0]), "steepness must be positive"),
        (lambda: fit_chain(STANDARD, 0, np.random.default_rng(0)), "length must be a whole number of at least 1"),
        (lambda: square_posterior(1.0, 0.0), "s must be a finite number above 0; received 0.0"),
        (lambda: energy("U5", np.zeros(2)), "name must be one of U1, U2, U3, U4; received 'U5'"),
        (lambda: energy("U1", np.zeros(3)), r"z must have shape \(..., 2\)"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
