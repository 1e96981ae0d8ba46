"""The bound for every k against closed forms, adaptive quadrature and Monte Carlo; gradients against differences."""

import numpy as np
import pytest
from scipy import stats

from vaelib.theory import importance
from vaelib.theory.importance import GammaExponential, WeightLaw
from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian

MU, LOG_VAR = np.array([0.5]), np.array([2 * np.log(0.8)])  # q, under a standard normal posterior
KS = (1, 2, 5, 50, 500, 5000)


def standard_posterior(z):
    """log p(x, z) of a standard normal posterior and log p(x) = 0."""
    return stats.norm.logpdf(z[:, 0])


def normal_case(mu=MU, log_var=LOG_VAR, **settings):
    return importance.normal_law(standard_posterior, mu, log_var, [-10.0], [10.0], **settings)


def draws(num, k, seed=0, mu=MU[0], std=0.8):
    """z and log w of k draws of q, num times, shapes (num, k)."""
    z = mu + std * np.random.default_rng(seed).standard_normal((num, k))
    return z, stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, std)


def within(estimates, exact, errors=4.5):
    """Whether the mean of independent estimates lies within so many standard errors of the exact value."""
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return np.all(np.abs(estimates.mean(axis=0) - exact) < errors * error)


# ---- The bound


@pytest.mark.parametrize(("a", "b", "x"), [(1.5, 1.0, 2.0), (0.3, 2.0, 1.0), (1.0, 1.0, 1.0), (8.0, 1.0, 0.5)])
def test_the_quadrature_equals_the_closed_case_for_every_k(a, b, x):
    model = GammaExponential(a, b)
    law = model.law(x)
    assert law.log_mean == pytest.approx(model.log_evidence(x), abs=1e-13)
    for k in (*KS, 3, 17, 1234):
        assert abs(law.bound(k) - model.bound(x, k)) <= 1e-12, k


def test_the_closed_case_is_what_its_densities_say():
    model, x = GammaExponential(1.5, 1.0), 2.0
    # log p(x) of the Lomax density, from SciPy, and figures computed once by hand.
    assert model.log_evidence(x) == pytest.approx(stats.lomax.logpdf(x, 1.5, scale=1.0), abs=1e-13)
    gaps = [model.log_evidence(x) - model.bound(x, k) for k in (1, 2, 5, 50)]
    assert gaps == pytest.approx([0.368975, 0.175828, 0.068146, 0.006681], abs=1e-6)
    z = stats.gamma.rvs(1.5, scale=1 / 3, size=(100_000, 4), random_state=0)
    estimates = importance.bound_estimate(model.log_weight(x, z), axis=1)
    assert within(estimates, model.bound(x, 4))
    assert estimates.var() == pytest.approx(model.variance(4), rel=0.02)


@pytest.mark.parametrize("k", [1, 2, 5, 50])
def test_the_bound_is_the_mean_of_monte_carlo_estimates(k):
    _, log_w = draws(60_000, k, seed=k)
    assert within(importance.bound_estimate(log_w, axis=1), normal_case().bound(k))


def test_one_sample_is_the_elbo_and_more_never_lower_it():
    for std in (0.3, 0.8, 2.0, 4.0):
        law = normal_case(log_var=[2 * np.log(std)])
        elbo = 0.5 + np.log(std) - 0.5 * std**2 - 0.5 * MU[0] ** 2
        assert law.bound(1) == pytest.approx(elbo, abs=1e-12)
        bounds = [law.bound(k) for k in KS]
        assert np.all(np.diff(bounds) > 0) and bounds[-1] < law.log_mean


def test_a_mean_off_by_one_width_has_the_gaps_of_the_lognormal_weight():
    law = normal_case([1.0], [0.0])
    gaps = [-law.bound(k) for k in KS]
    assert gaps == pytest.approx([0.5, 0.290485, 0.135545, 0.016423, 0.001709, 0.000172], abs=6e-7)
    # k = 2: δ²/2 − E log cosh(δ u/√2)
    u, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = 0.5 - weights @ np.log(np.cosh(u / np.sqrt(2))) / weights.sum()
    assert gaps[1] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (LinearGaussian(1.2, 0.5, 0.8), [2.5]),
        (BernoulliLatent([2.0, 1.0], [-0.5, 0.5]), [1.0, 1.0]),
        (LinearGaussian([[1.0, 0.3], [0.2, 1.0], [0.5, 0.5]], 0.0, 0.7), [1.0, -0.5, 0.3]),
    ],
    ids=["linear", "bernoulli", "two latents"],
)
def test_a_models_law_knows_its_evidence_and_its_elbo(model, x):
    mu, log_var = np.full(model.latent_dim, 0.3), np.full(model.latent_dim, -0.5)
    law = importance.model_law(model, np.array(x), mu, log_var)
    assert law.log_mean == pytest.approx(float(model.log_evidence(np.array(x))), abs=1e-9)
    assert law.bound(1) == pytest.approx(float(model.elbo(np.array(x), mu, log_var)), abs=1e-8)
    z = mu + np.exp(0.5 * log_var) * np.random.default_rng(0).standard_normal((20_000, 10, model.latent_dim))
    log_q = stats.norm.logpdf(z, mu, np.exp(0.5 * log_var)).sum(axis=-1)
    assert within(importance.bound_estimate(model.log_joint(np.array(x), z) - log_q, axis=1), law.bound(10))


# ---- Effective sizes, resampling, the sum that is no bound


@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_means_of_self_normalised_sums_equal_monte_carlo(k):
    z, log_w = draws(60_000, k, seed=10 + k)
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    law = normal_case()
    assert k == 1 or within(np.sum(w**2, axis=1), 1 / law.effective_size(k))
    assert law.effective_size(1) == pytest.approx(1.0, abs=1e-12)
    assert within(np.sum(w * log_w, axis=1), law.weighted_mean(law.log_w, k))
    moments = law.weighted_mean(np.column_stack([law.z[:, 0], law.z[:, 0] ** 2]), k)
    assert within(np.stack([np.sum(w * z, axis=1), np.sum(w * z**2, axis=1)], axis=1), moments)
    implied = np.exp(law.implied_log_prob(k))
    assert implied.sum() == pytest.approx(1.0, abs=1e-12)
    assert implied @ law.z[:, 0] == pytest.approx(moments[0], abs=1e-12)


def test_the_resampled_posterior_goes_from_q_to_the_true_one():
    law = normal_case()
    np.testing.assert_allclose(law.implied_log_prob(1), law.log_prob, atol=1e-9)
    posterior = np.exp(law.log_w + law.log_prob - law.log_mean)
    distances = [0.5 * np.abs(np.exp(law.implied_log_prob(k)) - posterior).sum() for k in KS]
    assert np.all(np.diff(distances) < 0) and distances[-1] < 1e-3


def test_the_sum_of_normalised_weights_times_logs_is_no_bound():
    law = normal_case([1.0], [0.0])
    sums = [law.weighted_mean(law.log_w, k) for k in (1, 5, 50, 50_000)]
    assert sums == pytest.approx([-0.5, 0.167373, 0.451294, 0.5], abs=1e-4)  # KL(p ‖ q) = ½ in the limit


def test_effective_sample_size_of_draws():
    assert importance.effective_sample_size(np.zeros(7)) == pytest.approx(7.0)
    assert importance.effective_sample_size([0.0, -np.inf, -800.0]) == pytest.approx(1.0)
    w = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 4.0]])
    found = importance.effective_sample_size(np.log(w) - 2000, axis=1)  # far below what exp can hold
    assert found == pytest.approx(w.sum(axis=1) ** 2 / (w**2).sum(axis=1))


# ---- Gradients


@pytest.mark.parametrize("k", [1, 2, 10, 100])
def test_both_gradients_have_the_mean_of_the_bounds_derivative(k):
    law = normal_case()
    slopes = importance.normal_slopes(law.z, MU, LOG_VAR, -law.z)
    step = 1e-4
    by_mu = [normal_case(MU + sign * step).bound(k) for sign in (1, -1)]
    by_log_var = [normal_case(MU, LOG_VAR + sign * step).bound(k) for sign in (1, -1)]
    derivative = [(up - down) / (2 * step) for up, down in (by_mu, by_log_var)]
    plain = law.gradient(slopes.total, k)
    doubly = law.doubly_reparameterized_gradient(slopes.path, k)
    np.testing.assert_allclose(plain.mean, derivative, atol=1e-8)
    np.testing.assert_allclose(doubly.mean, derivative, atol=1e-8)


@pytest.mark.parametrize(("k", "num"), [(1, 400_000), (2, 400_000), (20, 200_000)])
def test_the_noise_of_both_gradients_equals_monte_carlo(k, num):
    law = normal_case()
    slopes = importance.normal_slopes(law.z, MU, LOG_VAR, -law.z)
    plain, doubly = law.gradient(slopes.total, k), law.doubly_reparameterized_gradient(slopes.path, k)
    z, log_w = draws(num, k, seed=20 + k)
    w = np.exp(log_w - importance.bound_estimate(log_w, axis=1)[:, None]) / k
    eps = (z - MU[0]) / 0.8
    estimates = {"mu": np.sum(w * -z, axis=1), "path": np.sum(w**2 * (eps / 0.8 - z), axis=1)}
    for found, moments in ((estimates["mu"], plain), (estimates["path"], doubly)):
        assert within(found, moments.mean[0])
        assert within((found - moments.mean[0]) ** 2, moments.std[0] ** 2)


def test_the_signal_of_the_encoder_drowns_unless_it_is_doubly_reparameterised():
    log_var = np.array([2 * np.log(1.2)])
    law = normal_case(MU, log_var)
    slopes = importance.normal_slopes(law.z, MU, log_var, -law.z)
    ks = (64, 256, 1024, 4096)
    plain = [law.gradient(slopes.total[:, 0], k).snr for k in ks]
    away = [law.gradient(law.z[:, 0] + 1.0, k).snr for k in ks]  # a slope of the model, whose mean does not vanish
    assert np.all(np.diff(plain) < 0) and np.all(np.diff(away) > 0)
    # four times k: half the ratio for the encoder, twice for the model
    assert plain[-1] / plain[-2] == pytest.approx(0.5, rel=0.1)
    assert away[-1] / away[-2] == pytest.approx(2.0, rel=0.1)
    doubly = [law.doubly_reparameterized_gradient(slopes.path[:, 0], k).snr for k in ks]
    assert doubly[-1] / doubly[-2] == pytest.approx(2.0, rel=0.1)


# ---- Where the variance ends


@pytest.mark.parametrize(("mu", "std"), [(0.0, 0.8), (0.5, 0.9), (1.0, 1.0), (-0.7, 2.0)])
def test_the_second_moment_is_the_integral_and_gives_the_rate_of_the_gap(mu, std):
    z = np.linspace(-60, 60, 200_001)
    integral = np.trapezoid(np.exp(2 * stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, std)), z)
    moment = importance.normal_second_moment([mu], [[std**2]], [0.0], [[1.0]])
    assert moment == pytest.approx(integral, rel=1e-9)
    law = normal_case([mu], [2 * np.log(std)])
    if std > 0.9:  # further from the threshold the limit is near
        assert 100_000 * -law.bound(100_000) == pytest.approx(0.5 * (moment - 1), rel=0.01)
        assert 100_000 / law.effective_size(100_000) == pytest.approx(moment, rel=0.01)


def test_the_weights_lose_their_variance_at_half_the_posteriors():
    moment = lambda var: importance.normal_second_moment([0.0], [[var]], [0.0], [[1.0]])  # noqa: E731
    assert np.isfinite(moment(0.5001)) and moment(0.5) == np.inf and moment(0.25) == np.inf


def test_the_mean_field_threshold():
    for rho in (0.0, 0.3, -0.45, 0.49):
        var = (1 - rho**2) * np.eye(2)
        exact = importance.normal_second_moment([0, 0], var, [0, 0], [[1, rho], [rho, 1]])
        assert importance.mean_field_second_moment(rho) == pytest.approx(exact, rel=1e-10)
    assert importance.mean_field_second_moment(0.5) == importance.mean_field_second_moment(-0.7) == np.inf


def mean_field_law(rho):
    precision = np.linalg.inv([[1, rho], [rho, 1]])
    log_joint = lambda z: -0.5 * np.einsum("ni,ij,nj->n", z, precision, z)  # noqa: E731
    return importance.normal_law(log_joint, [0, 0], np.log([1 - rho**2] * 2), [-9, -9], [9, 9])


def test_the_gap_falls_like_one_over_k_only_below_the_threshold():
    law = mean_field_law(0.3)
    coefficient = 0.5 * (importance.mean_field_second_moment(0.3) - 1)
    assert 4096 * (law.log_mean - law.bound(4096)) == pytest.approx(coefficient, rel=0.01)
    law = mean_field_law(0.7)
    early, late = (k * (law.log_mean - law.bound(k)) for k in (64, 4096))
    assert (early, late) == pytest.approx((2.9, 24.9), rel=0.02)


# ---- Bad input


@pytest.mark.parametrize("k", [0, -3, 2.5, 5.0, "5", True, None])
def test_a_k_that_is_no_count_is_refused(k):
    law, model = normal_case(num_nodes=201), GammaExponential(1.5, 1.0)
    calls = [law.bound, law.effective_size, law.implied_log_prob, lambda k: law.weighted_mean(law.log_w, k)]
    calls += [lambda k: law.gradient(law.log_w, k), lambda k: law.doubly_reparameterized_gradient(law.log_w, k)]
    for call in [*calls, lambda k: model.bound(2.0, k), model.variance]:
        with pytest.raises(ValueError, match="k must be a whole number of at least 1; received"):
            call(k)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: importance.bound_estimate([-np.inf, -np.inf]), "weights that underflow. Subtract log-densities"),
        (lambda: importance.effective_sample_size([[-np.inf], [-np.inf]]), "weights that underflow"),
        (lambda: importance.bound_estimate([np.nan, 0.0]), "received NaN"),
        (lambda: importance.bound_estimate([]), "at least one weight along axis 0; received shape"),
        (lambda: WeightLaw([0.0, -np.inf], np.log([0.5, 0.5])), "received -inf at 1 of 2 nodes"),
        (lambda: WeightLaw([0.0, np.nan], np.log([0.5, 0.5])), "log_w must be finite"),
        (lambda: WeightLaw([0.0, 1.0], np.log([0.5, 0.4])), "must sum to 1; received a sum of 0.9"),
        (lambda: WeightLaw([0.0, 1.0], np.log([0.2, 0.3, 0.5])), r"one shape \(n,\); received \(2,\) and \(3,\)"),
        (lambda: normal_case([0.0, 0.0, 0.0]), "same last axis"),
        (lambda: importance.normal_law(standard_posterior, [0] * 3, [0] * 3, [-9] * 3, [9] * 3), "bound_estimate"),
        (lambda: importance.normal_law(standard_posterior, [0], [0], [9], [-9]), "low must lie below high"),
        (lambda: importance.normal_law(lambda z: z, [0], [0], [-9], [9]), "log_joint must map shape"),
        (lambda: normal_case(num_nodes=201).gradient(np.zeros(7), 5), r"values must have shape \(201,\)"),
        (lambda: GammaExponential(0.0, 1.0), "a must be a finite number above 0"),
        (lambda: GammaExponential(1.0, 1.0).log_evidence(-1.0), "x must be a finite number above 0"),
        (lambda: importance.mean_field_second_moment(1.0), "rho must be one number between -1 and 1"),
        (lambda: importance.normal_second_moment([0], [[0.0]], [0], [[1.0]]), "cov_q must be positive definite"),
        (lambda: importance.normal_second_moment([0], np.eye(2), [0], [[1.0]]), r"must have shape \(1, 1\)"),
        (
            lambda: importance.model_law(LinearGaussian(1.0, 0.0, 0.15), np.array([1.0]), [1.0], [0.0], 41),
            "Pass a larger num_nodes",
        ),
        (
            lambda: importance.model_law(LinearGaussian(30.0, 0.0, 0.01), np.array([1.0]), [0.0], [0.0]),
            "within 6,000 nats .* q is far too wide",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
