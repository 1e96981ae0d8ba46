"""Diffusion for normal data: against known figures, against conditioning a joint normal, and against draws."""

import numpy as np
import pytest
from scipy import integrate, optimize

from vaelib.theory import diffusion
from vaelib.theory.diffusion import (
    cosine_schedule,
    knots_schedule,
    level_schedule,
    linear_beta_schedule,
    linear_schedule,
    normal_bound,
    normal_limit,
)

SCHEDULES = {
    "linear": linear_schedule(),
    "cosine": cosine_schedule(),
    "linear beta": linear_beta_schedule(),
    "level": level_schedule(),
    "knots": knots_schedule(np.log([100.0, 60.0, 0.7, 0.5, 0.01])),
}


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    return SCHEDULES[request.param]


def test_a_schedule_meets_its_ends_and_has_the_slope_that_it_says(schedule):
    np.testing.assert_allclose(np.exp(schedule.log_snr(np.array([0.0, 1.0]))), [100, 0.01], rtol=1e-9)
    t, h = np.linspace(0.013, 0.987, 40), 1e-6  # beside the knots
    slopes = (schedule.log_snr(t + h) - schedule.log_snr(t - h)) / (2 * h)
    np.testing.assert_allclose(schedule.slope(t), slopes, rtol=1e-6)
    assert np.all(slopes < 0) and np.all(np.diff(schedule.snr(50)) < 0)


def test_cosine_and_linear_beta_have_their_own_form():
    # α = cos(πu/2) with u straight in t: arccos α is straight. Of the rates: √(decay) completes a square in u.
    t = np.linspace(0, 1, 21)
    alpha, _ = diffusion.alpha_sigma(cosine_schedule().snr(20))
    np.testing.assert_allclose(np.diff(np.arccos(alpha), 2), 0, atol=1e-12)
    decay = np.log1p(np.exp(-linear_beta_schedule(beta_min=0.1, beta_max=20.0).log_snr(t)))
    np.testing.assert_allclose(np.diff(np.sqrt(0.1**2 + 2 * 19.9 * decay), 2), 0, atol=1e-9)


def test_known_figures():
    known = {1: 49.5, 2: 25.24, 4: 6.795, 8: 3.795, 16: 2.922, 64: 2.439, 256: 2.336, 1024: 2.311}
    for layers, nats in known.items():
        assert normal_bound(linear_schedule().snr(layers)).diffusion == pytest.approx(nats, abs=5e-4)
    assert normal_limit() == pytest.approx(np.log(10), abs=1e-12)


def test_betas_of_ho_et_al():
    betas = np.linspace(1e-4, 0.02, 1000)
    snr = diffusion.snr_of_betas(betas)
    np.testing.assert_allclose(snr / (1 + snr), np.cumprod(1 - betas), rtol=1e-10)


def test_the_forward_posterior_is_that_of_the_joint_normal():
    # z_s and z_t given x: covariance σ_s², slope σ_s², σ_t²; conditioning on z_t.
    snr_s, snr_t, x, z_t = 3.0, 0.4, 0.7, -0.3
    (a_s, s_s), (a_t, s_t) = diffusion.alpha_sigma(snr_s), diffusion.alpha_sigma(snr_t)
    slope, variance = diffusion.forward_step(snr_s, snr_t)
    assert slope**2 * s_s**2 + variance == pytest.approx(s_t**2, abs=1e-14)
    gain = slope * s_s**2 / s_t**2
    mean, left = diffusion.forward_posterior(x, z_t, snr_s, snr_t)
    assert mean == pytest.approx(a_s * x + gain * (z_t - a_t * x), abs=1e-14)
    assert left == pytest.approx(s_s**2 - gain * slope * s_s**2, abs=1e-14)
    # The KL between two of them, with x̂ for x, is what layer_kls says.
    other, _ = diffusion.forward_posterior(0.1, z_t, snr_s, snr_t)
    kl = (mean - other) ** 2 / (2 * left)
    assert diffusion.layer_kls([(x - 0.1) ** 2], [snr_s, snr_t])[0] == pytest.approx(kl, rel=1e-12)


def test_the_bound_of_one_x_is_that_of_draws_from_the_top_down():
    snr, x, rng, num = linear_schedule(20.0, 0.1).snr(3), 1.3, np.random.default_rng(0), 200_000
    normal = lambda v, m, s2: -0.5 * (np.log(2 * np.pi * s2) + (v - m) ** 2 / s2)  # noqa: E731
    a, s = diffusion.alpha_sigma(snr)
    z = a[-1] * x + s[-1] * rng.standard_normal(num)
    log_w = normal(z, 0, 1) - normal(z, a[-1] * x, s[-1] ** 2)
    for k in (2, 1, 0):
        m, v = diffusion.forward_posterior(x, z, snr[k], snr[k + 1])
        below = m + np.sqrt(v) * rng.standard_normal(num)
        m_p, v_p = diffusion.forward_posterior(a[k + 1] * z, z, snr[k], snr[k + 1])
        log_w += normal(below, m_p, v_p) - normal(below, m, v)
        z = below
    log_w += normal(x, a[0] * z, 1 / (1 + snr[0]))
    error = log_w.std() / np.sqrt(num)
    bound = normal_bound(snr, x**2)
    assert abs(-log_w.mean() - bound.total) < 4 * error < 0.03
    assert bound.evidence == pytest.approx(0.5 * np.log(2 * np.pi) + x**2 / 2)


@pytest.mark.parametrize("square", [0.0, 1.0, 4.0])
def test_many_layers_close_the_bound_whatever_the_shape(schedule, square):
    gaps = [normal_bound(schedule.snr(layers), square).gap for layers in (1024, 4096)]
    # C/T with C below 30 for each of them; of one x up to (1 + x²)/2 times as much.
    assert abs(gaps[1]) < 0.04 and abs(gaps[1]) < 0.3 * abs(gaps[0]) + 1e-12


def test_the_mean_over_data_is_never_below_the_evidence(schedule):
    gaps = [normal_bound(schedule.snr(layers)).gap for layers in (1, 2, 3, 10, 100)]
    assert min(gaps) > 0 and np.all(np.diff(gaps) < 0)


def test_the_level_schedule_is_best_at_each_number_of_layers():
    for layers in (2, 4):
        start = np.log(linear_schedule().snr(layers))

        def total(inner, start=start):
            log_snr = np.concatenate([start[:1], inner, start[-1:]])
            return normal_bound(np.exp(log_snr)).diffusion if np.all(np.diff(log_snr) < 0) else 1e6

        found = optimize.minimize(total, start[1:-1], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
        np.testing.assert_allclose(found.x, np.log(level_schedule().snr(layers))[1:-1], atol=1e-4)
        ratio = (101 / 1.01) ** (1 / layers)
        assert found.fun == pytest.approx(0.5 * layers * (ratio - 1), abs=1e-8)


def test_roughness_is_the_cost_of_finite_t_and_of_one_sample(schedule):
    rough = diffusion.normal_roughness(schedule)
    gaps = {t: t * normal_bound(schedule.snr(t)).gap for t in (4096, 8192)}
    assert 2 * gaps[8192] - gaps[4096] == pytest.approx(rough, rel=2e-4)  # without the next order
    assert rough >= normal_limit() ** 2 - 1e-9
    rng, num = np.random.default_rng(1), 400_000
    t, x, eps = rng.random(num), rng.standard_normal(num), rng.standard_normal(num)
    snr = np.exp(schedule.log_snr(t))
    alpha, sigma = diffusion.alpha_sigma(snr)
    loss = -0.5 * snr * schedule.slope(t) * (x - alpha * (alpha * x + sigma * eps)) ** 2
    assert loss.mean() == pytest.approx(np.log(10), abs=4 * loss.std() / np.sqrt(num))
    centred = (loss - loss.mean()) ** 2
    assert centred.mean() == pytest.approx(diffusion.loss_variance(schedule), abs=4 * centred.std() / np.sqrt(num))


def test_four_ways_to_say_one_denoiser():
    said, snr, z, x = diffusion.said_in_four_ways(0.4, -0.8, 2.0), 2.0, -0.8, 0.4
    alpha, sigma = diffusion.alpha_sigma(snr)
    assert alpha * said.x + sigma * said.noise == pytest.approx(z)
    assert alpha * z - sigma * said.velocity == pytest.approx(x)
    assert said.score == pytest.approx(-(z - alpha * x) / sigma**2)


def test_draws_with_either_variance():
    snr, rng, num = cosine_schedule().snr(4), np.random.default_rng(2), 200_000
    a, _ = diffusion.alpha_sigma(snr)
    for share in (0.0, 1.0):
        z = rng.standard_normal(num)
        for k in (3, 2, 1, 0):
            mean, left = diffusion.forward_posterior(a[k + 1] * z, z, snr[k], snr[k + 1])
            variance = (1 - share) * left + share * diffusion.forward_step(snr[k], snr[k + 1])[1]
            z = mean + np.sqrt(variance) * rng.standard_normal(num)
        expected = diffusion.drawn_variance(snr, share)
        assert z.var() == pytest.approx(expected, abs=4 * expected * np.sqrt(2 / num))
    assert expected == pytest.approx(1.0, abs=1e-12)


def test_information_is_the_integral_of_the_mmse():
    nats, _ = integrate.quad(lambda snr: 0.5 / (1 + snr), 0.05, 7.0)
    assert normal_limit(7.0, 0.05) == pytest.approx(nats, abs=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: linear_schedule(0.01, 100.0),
        lambda: cosine_schedule(snr_min=0.0),
        lambda: linear_beta_schedule(beta_min=2.0, beta_max=1.0),
        lambda: knots_schedule([1.0, 1.0]),
        lambda: normal_bound([1.0, 2.0]),
        lambda: normal_bound([1.0, -1.0]),
        lambda: diffusion.forward_posterior(0.0, 0.0, 1.0, 2.0),
        lambda: diffusion.snr_of_betas([0.5, 1.0]),
        lambda: linear_schedule().snr(0),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(ValueError, match="received"):
        call()
