"""vaelib.theory.divergences against scipy.integrate.quad, closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from vaelib.theory import divergences, gaussian

TWO_MODES = divergences.Mixture([0.6, 0.4], [-3.0, 3.0], [1.0, 0.7])


def integral(function, centres, widths, reach=10.0):
    """∫ function by quad over panels that follow every bump."""
    edges = [c + w * np.arange(-reach, reach + 1, 2.0) for c, w in zip(centres, widths, strict=True)]
    edges = np.unique(np.concatenate(edges))
    edges = edges[np.diff(edges, prepend=-np.inf) > 1e-9]  # two that only rounding tells apart leave quad no room
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return sum(quad(function, a, b, epsabs=1e-12, epsrel=1e-12, limit=200)[0] for a, b in pairs)


def scipy_log_prob(mixture, x):
    terms = [np.log(w) + stats.norm.logpdf(x, m, s) for w, m, s in zip(*parts(mixture), strict=True)]
    return np.logaddexp.reduce(terms)


def parts(mixture):
    return mixture.weights, mixture.means, mixture.stds


def random_case(seed):
    rng = np.random.default_rng(seed)
    k = rng.integers(1, 4)
    mixture = divergences.Mixture(rng.dirichlet(np.ones(k)), rng.uniform(-4, 4, k), rng.uniform(0.2, 2, k))
    return mixture, rng.uniform(-4, 4), np.exp(rng.uniform(np.log(0.1), np.log(5)))


def test_mixture_agrees_with_scipy():
    x = np.linspace(-60, 60, 25)
    expected = [scipy_log_prob(TWO_MODES, xi) for xi in x]
    np.testing.assert_allclose(TWO_MODES.log_prob(x), expected, rtol=1e-12)  # far tails must not underflow
    cdf = 0.6 * stats.norm.cdf(x, -3, 1) + 0.4 * stats.norm.cdf(x, 3, 0.7)
    np.testing.assert_allclose(TWO_MODES.cdf(x), cdf, atol=1e-14)
    density = lambda t: np.exp(scipy_log_prob(TWO_MODES, t))  # noqa: E731
    mean = integral(lambda t: t * density(t), *parts(TWO_MODES)[1:])
    var = integral(lambda t: (t - mean) ** 2 * density(t), *parts(TWO_MODES)[1:])
    assert (TWO_MODES.mean, TWO_MODES.var) == (pytest.approx(mean, abs=1e-10), pytest.approx(var, abs=1e-10))
    h, x = 1e-5, np.linspace(-6, 6, 41)
    slope = (TWO_MODES.log_prob(x + h) - TWO_MODES.log_prob(x - h)) / (2 * h)
    np.testing.assert_allclose(TWO_MODES.grad_log_prob(x), slope, atol=1e-6)
    draws = TWO_MODES.sample(20_000, np.random.default_rng(0))
    assert stats.kstest(draws, TWO_MODES.cdf).pvalue > 1e-3


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_both_divergences_equal_their_integrals_to_1e_8(seed):
    target, mu, std = random_case(seed)
    log_p, log_q = lambda x: scipy_log_prob(target, x), lambda x: -0.5 * ((x - mu) / std) ** 2 - c
    c = 0.5 * np.log(2 * np.pi) + np.log(std)
    forward = integral(lambda x: np.exp(log_p(x)) * (log_p(x) - log_q(x)), *parts(target)[1:])
    assert divergences.forward_kl(target, mu, std) == pytest.approx(forward, abs=1e-8)
    fine = np.full(21, 1.0)  # panels of half a std over q's range, so that quad sees the target's bumps
    reverse = integral(
        lambda x: np.exp(log_q(x)) * (log_q(x) - log_p(x)), mu + std * np.arange(-10, 11), fine * std / 4, 2
    )
    assert divergences.reverse_kl(target, mu, std) == pytest.approx(reverse, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(0.05, 20), st.floats(-3, 3), st.floats(0.05, 20))
def test_one_component_gives_the_closed_form(mu_p, std_p, mu_q, std_q):
    target = divergences.Mixture([1.0], [mu_p], [std_p])
    forward = gaussian.kl_normal(mu_p, std_p**2, mu_q, std_q**2)
    reverse = gaussian.kl_normal(mu_q, std_q**2, mu_p, std_p**2)
    # A sum of a few thousand terms, each right to 1e-16 of the largest, rounds in proportion to its size.
    assert divergences.forward_kl(target, mu_q, std_q) == pytest.approx(forward, abs=1e-8, rel=1e-11)
    assert divergences.reverse_kl(target, mu_q, std_q) == pytest.approx(reverse, abs=1e-8, rel=1e-11)


def test_extreme_separation_and_widths_do_not_underflow():
    target = divergences.Mixture([0.5, 0.5], [-10.0, 10.0], [0.1, 0.1])
    assert divergences.reverse_kl(target, -10.0, 0.1) == pytest.approx(np.log(2), abs=1e-10)
    assert np.isfinite(divergences.reverse_kl(target, 0.0, 0.05))
    # Cross-entropy: half the mass at distance 20, the rest at home; entropy: one component's plus log 2.
    constant = 0.5 * np.log(2 * np.pi * 0.01)
    cross_entropy, entropy = constant + 0.5 * (0.5 * 400 + 0.01) / 0.01, constant + 0.5 + np.log(2)
    assert divergences.forward_kl(target, 10.0, 0.1) == pytest.approx(cross_entropy - entropy, rel=1e-10)


def test_forward_fit_matches_moments_and_beats_brute_force():
    fit = divergences.fit_forward(TWO_MODES)
    mus, stds = np.linspace(-2, 1, 61), np.linspace(2, 4, 81)
    brute, surface = divergences.brute_force_fit(divergences.forward_kl, TWO_MODES, mus, stds)
    assert surface.shape == (61, 81)
    assert fit.kl <= brute.kl
    assert abs(fit.mu - brute.mu) <= 0.05 and abs(fit.std - brute.std) <= 0.025  # the grid's spacing
    for step in (1e-3, -1e-3):
        assert divergences.forward_kl(TWO_MODES, fit.mu + step, fit.std) > fit.kl
        assert divergences.forward_kl(TWO_MODES, fit.mu, fit.std + step) > fit.kl


def test_reverse_fit_beats_brute_force_and_is_one_of_all_minima():
    fit, minima = divergences.fit_reverse(TWO_MODES), divergences.reverse_kl_minima(TWO_MODES)
    mus, stds = np.linspace(-5, 5, 101), np.linspace(0.4, 4, 37)
    brute, surface = divergences.brute_force_fit(divergences.reverse_kl, TWO_MODES, mus, stds)
    assert fit == minima[0] and fit.kl <= brute.kl
    assert abs(fit.mu - brute.mu) <= 0.1 and abs(fit.std - brute.std) <= 0.1
    inner = surface[1:-1, 1:-1]
    is_low = np.ones_like(inner, bool)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            if (i, j) != (0, 0):
                is_low &= inner < surface[1 + i : 100 + i, 1 + j : 36 + j]
    assert is_low.sum() == len(minima)
    for low in np.argwhere(is_low) + 1:
        assert any(abs(mus[low[0]] - m.mu) < 0.11 and abs(stds[low[1]] - m.std) < 0.11 for m in minima)


def test_reverse_fit_covers_close_modes_and_picks_one_of_distant_ones():
    close = divergences.reverse_kl_minima(divergences.Mixture([0.5, 0.5], [-1, 1], [1, 1]))
    assert len(close) == 1 and close[0].mu == pytest.approx(0.0, abs=1e-6) and close[0].std > 1.3
    far = divergences.reverse_kl_minima(divergences.Mixture([0.5, 0.5], [-6, 6], [1, 1]))
    assert sorted(round(abs(m.mu), 3) for m in far[:2]) == [6.0, 6.0]
    assert far[0].kl == pytest.approx(np.log(2), abs=1e-6)  # one mode of two: log 2 nats


@pytest.mark.parametrize("separation", [1.0, 2.5, 3.0, 8.0])
def test_every_reported_minimum_is_lower_than_its_neighbours(separation):
    target = divergences.Mixture([0.5, 0.5], [-separation, separation], [1, 1])
    minima = divergences.reverse_kl_minima(target)
    assert [m.kl for m in minima] == sorted(m.kl for m in minima)
    for m in minima:
        around = [(m.mu + i * 1e-3, m.std + j * 1e-3) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        assert all(divergences.reverse_kl(target, mu, std) > m.kl for mu, std in around)


def test_symmetric_divergences():
    target, mu, std = TWO_MODES, 0.5, 1.3
    total = divergences.forward_kl(target, mu, std) + divergences.reverse_kl(target, mu, std)
    assert divergences.jeffreys(target, mu, std) == pytest.approx(total, rel=1e-14)

    def js_integrand(x):
        p, q = np.exp(scipy_log_prob(target, x)), stats.norm.pdf(x, mu, std)
        return 0.5 * p * np.log(2 * p / (p + q)) + 0.5 * q * np.log(2 * q / (p + q))

    expected = integral(js_integrand, [-3.0, 3.0, 0.5], [1.0, 0.7, 1.3], reach=8)
    assert divergences.jensen_shannon(target, mu, std) == pytest.approx(expected, abs=1e-9)
    assert divergences.jensen_shannon(target, 200.0, 1.0) == pytest.approx(np.log(2), abs=1e-10)
    same = divergences.Mixture([1.0], [mu], [std])
    assert divergences.jensen_shannon(same, mu, std) == pytest.approx(0.0, abs=1e-12)


def test_grid_density_agrees_with_the_mixture_it_was_made_from():
    x = np.linspace(-14, 14, 1401)
    exact, shifted = TWO_MODES.log_prob(x), TWO_MODES.log_prob(x) + 3.0
    for target in (divergences.GridDensity(x, exact), divergences.GridDensity(x, shifted, normalise=True)):
        assert target.mean == pytest.approx(TWO_MODES.mean, abs=1e-8)
        assert target.var == pytest.approx(TWO_MODES.var, abs=1e-7)
        for kl in (divergences.forward_kl, divergences.reverse_kl):
            assert kl(target, 0.5, 2.0) == pytest.approx(kl(TWO_MODES, 0.5, 2.0), abs=1e-7)
        fits = divergences.fit_reverse(target), divergences.fit_reverse(TWO_MODES)
        np.testing.assert_allclose(*fits, atol=1e-6)
    assert target.log_normaliser == pytest.approx(3.0, abs=1e-8)


def test_arrays_broadcast_and_kl_on_grid_ignores_places_without_mass():
    mu, std = np.zeros((4, 1)), np.full(3, 0.5)
    assert divergences.forward_kl(TWO_MODES, mu, std).shape == (4, 3)
    assert divergences.reverse_kl(TWO_MODES, mu, std).shape == (4, 3)
    x = np.linspace(-1, 1, 5)
    log_p = np.log(np.array([0.5, 0.5, 0.5, 0.5, 0.5]))
    assert divergences.kl_on_grid(x, log_p, log_p - 0.25) == pytest.approx(0.25)  # a uniform p integrates to 1
    log_p_holed = np.where(x > 0.9, -np.inf, log_p)
    assert divergences.kl_on_grid(x, log_p_holed, log_p) == pytest.approx(0.0)
    assert divergences.kl_on_grid(x, log_p, log_p_holed) == np.inf


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: divergences.Mixture([0.5, 0.6], [0, 1], [1, 1]), "sum to 1"),
        (lambda: divergences.Mixture([1.5, -0.5], [0, 1], [1, 1]), "must not be negative"),
        (lambda: divergences.Mixture([0.5, 0.5], [0, 1], [1, 0]), "stds must be positive"),
        (lambda: divergences.Mixture([0.5, 0.5], [0, np.nan], [1, 1]), "means must be finite"),
        (lambda: divergences.Mixture([0.5, 0.5], [0, 1, 2], [1, 1]), "one length"),
        (lambda: divergences.forward_kl(TWO_MODES, 0, -1), "std must be positive"),
        (lambda: divergences.reverse_kl(TWO_MODES, 0, 0), "std must be positive"),
        (lambda: divergences.reverse_kl(TWO_MODES, np.nan, 1), "mu must be finite"),
        (lambda: divergences.reverse_kl(TWO_MODES, np.zeros(2), np.ones(3)), "broadcast"),
        (lambda: divergences.GridDensity(np.linspace(-9, 9, 99), -(np.linspace(-9, 9, 99) ** 2)), "integrate to 1"),
        (lambda: divergences.GridDensity(np.linspace(-2, 2, 99), np.zeros(99), True), "both ends"),
        (lambda: divergences.GridDensity(np.linspace(-2, 2, 99), -(np.linspace(-2, 2, 99) ** 2), True), "wider"),
        (lambda: divergences.GridDensity([1, 2, 3], [1, 2, 3]), "increasing grid"),
        (lambda: divergences.GridDensity(np.zeros(9), np.zeros(9)), "increasing grid"),
        (lambda: divergences.kl_on_grid(np.zeros(3), np.zeros(2), np.zeros(3)), "one shape"),
    ],
)
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
