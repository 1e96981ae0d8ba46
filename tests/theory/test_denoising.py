"""The exact denoiser of a mixture and its bound: against quadrature over x, against draws, and the flow."""

import numpy as np
import pytest
from scipy import integrate, stats

from vaelib.theory.denoising import RoundMixture
from vaelib.theory.diffusion import alpha_sigma, linear_schedule, normal_bound

LINE = RoundMixture([0.3, 0.7], [[-1.2], [0.6]], [0.3, 0.5])
PLANE = RoundMixture([0.5, 0.2, 0.3], [[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]], [0.2, 0.3, 0.4])


def density(x):
    return sum(w * stats.norm.pdf(x, m, s) for w, (m,), s in zip(LINE.weights, LINE.means, LINE.stds, strict=True))


@pytest.mark.parametrize(("z", "snr"), [(0.3, 4.0), (-0.7, 0.2), (0.1, 60.0)])
def test_marginal_denoiser_and_score_are_those_of_integrals_over_x(z, snr):
    alpha, sigma = alpha_sigma(snr)
    joint = lambda x: density(x) * stats.norm.pdf(z, alpha * x, sigma)  # noqa: E731
    marginal, _ = integrate.quad(joint, -6, 6, points=[z / alpha, -1.2, 0.6], epsabs=1e-12)
    first, _ = integrate.quad(lambda x: x * joint(x), -6, 6, points=[z / alpha, -1.2, 0.6], epsabs=1e-12)
    assert LINE.log_marginal(np.array([z]), snr) == pytest.approx(np.log(marginal), abs=1e-9)
    assert LINE.denoise(np.array([z]), snr)[0] == pytest.approx(first / marginal, abs=1e-9)
    h = 1e-5
    slope = (LINE.log_marginal(np.array([z + h]), snr) - LINE.log_marginal(np.array([z - h]), snr)) / (2 * h)
    assert LINE.score(np.array([z]), snr)[0] == pytest.approx(slope, abs=1e-7)
    several = LINE.denoise(np.array([[z], [0.0]]), np.array([snr, 1.0]))
    assert several[0] == pytest.approx(LINE.denoise(np.array([z]), snr), abs=1e-14)


@pytest.mark.parametrize("mixture", [LINE, PLANE])
def test_mmse_entropy_and_information_are_those_of_draws(mixture):
    rng, num, snr = np.random.default_rng(0), 200_000, 2.5
    x = mixture.sample(num, rng)
    alpha, sigma = alpha_sigma(snr)
    z = alpha * x + sigma * rng.standard_normal(x.shape)
    noise = -0.5 * np.sum((z - alpha * x) ** 2, axis=1) / sigma**2 - 0.5 * mixture.dim * np.log(2 * np.pi * sigma**2)
    for drawn, exact in (
        (np.sum((x - mixture.denoise(z, snr)) ** 2, axis=1), mixture.mmse(np.array(snr))),
        (-mixture.log_prob(x), mixture.entropy()),
        (noise - mixture.log_marginal(z, snr), mixture.information(snr)),
        (np.sum(x**2, axis=1), mixture.square),
    ):
        assert drawn.mean() == pytest.approx(float(exact), abs=4 * drawn.std() / np.sqrt(num))


@pytest.mark.parametrize("mixture", [LINE, PLANE])
def test_information_grows_by_half_the_mmse(mixture):
    nodes, weights = np.polynomial.legendre.leggauss(24)
    log_snr = np.log(0.1) + 0.5 * (nodes + 1) * np.log(50.0)
    snr = np.exp(log_snr)
    grown = 0.5 * 0.5 * np.log(50.0) * weights @ (snr * mixture.mmse(snr))
    assert mixture.information(5.0) - mixture.information(0.1) == pytest.approx(grown, abs=1e-7)


def test_one_component_is_the_normal():
    one, snr = RoundMixture([1.0], [[0.0]], [1.0]), linear_schedule().snr(8)
    ours, exact = one.bound(snr), normal_bound(snr)
    for name in ("reconstruction", "layers", "prior", "evidence"):
        np.testing.assert_allclose(getattr(ours, name), getattr(exact, name), atol=1e-10)


@pytest.mark.parametrize("mixture", [LINE, PLANE])
def test_the_bound_closes_down_to_what_the_top_costs(mixture):
    gaps = {t: mixture.bound(linear_schedule(50.0, 0.05).snr(t)).gap for t in (1, 4, 16, 64)}
    left = {t: t * (gap - mixture.end_gap(0.05)) for t, gap in gaps.items()}
    assert min(gaps.values()) > mixture.end_gap(0.05) > 0
    assert left[64] == pytest.approx(left[16], rel=0.2)  # of the order 1/T
    assert np.all(np.diff(list(gaps.values())) < 0)


def test_what_the_top_costs_is_a_kl():
    alpha, sigma = alpha_sigma(0.05)
    z = np.linspace(-9, 9, 20_001)
    q = sum(
        w * stats.norm.pdf(z, alpha * m, np.sqrt(alpha**2 * s**2 + sigma**2))
        for w, (m,), s in zip(LINE.weights, LINE.means, LINE.stds, strict=True)
    )
    kl = np.sum(q * (np.log(q) - stats.norm.logpdf(z))) * (z[1] - z[0])
    assert LINE.end_gap(0.05) == pytest.approx(kl, abs=1e-9)


def test_the_flow_keeps_the_distribution_function_and_finds_log_p():
    x = np.linspace(-2, 2, 7)
    log_p, y = LINE.flow_log_prob(x, 0.04)
    np.testing.assert_allclose(log_p, np.log(density(x)), atol=1e-8)
    np.testing.assert_allclose(LINE.cdf(y, 5.0), LINE.cdf(x, 0.0), atol=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: RoundMixture([0.5, 0.4], [[0.0], [1.0]], [1.0, 1.0]),
        lambda: RoundMixture([0.5, 0.5], [[0.0], [1.0]], [1.0, -1.0]),
        lambda: RoundMixture([1.0], [0.0], [1.0]),
        lambda: RoundMixture([0.5, 0.5], [[0.0], [1.0]], [1.0]),
        lambda: PLANE.denoise(np.zeros(3), 1.0),
        lambda: PLANE.flow_log_prob([0.0], 0.1),
        lambda: LINE.information(0.0),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(ValueError, match=r"received|sum to|has 2 dimensions|positive|above 0"):
        call()
