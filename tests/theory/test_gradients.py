"""vaelib.theory.gradients against closed forms, finite differences, quadrature and scipy.stats."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from vaelib.theory import families, gaussian, gradients

MU, LOG_VAR = 0.7, -0.4
NUM = 40_000

# name: f, df, E[f] under N(mu, var) in closed form
CASES = {
    "square": (lambda z: z**2, lambda z: 2 * z, lambda mu, var: mu**2 + var),
    "cube": (lambda z: z**3, lambda z: 3 * z**2, lambda mu, var: mu**3 + 3 * mu * var),
    "exp": (np.exp, np.exp, lambda mu, var: np.exp(mu + var / 2)),
    "sine": (np.sin, np.cos, lambda mu, var: np.sin(mu) * np.exp(-var / 2)),
    "step": (lambda z: (z > 0.2).astype(float), None, lambda mu, var: stats.norm.sf(0.2, mu, np.sqrt(var))),
    "abs": (
        lambda z: np.abs(z - 0.2),
        lambda z: np.sign(z - 0.2),
        lambda mu, var: stats.foldnorm.mean(abs(mu - 0.2) / np.sqrt(var), scale=np.sqrt(var)),
    ),
}


def within_error_bars(samples, expected, num_errors=4.0):
    samples = np.asarray(samples)
    error = samples.std(axis=0) / np.sqrt(len(samples))
    return np.all(np.abs(samples.mean(axis=0) - expected) <= num_errors * error + 1e-12)


def finite_difference(function, value, h=1e-5):
    return (function(value + h) - function(value - h)) / (2 * h)


@pytest.mark.parametrize("name", CASES)
def test_exact_gradient_equals_the_derivative_of_the_closed_form(name):
    f, _, mean = CASES[name]
    breaks = (0.2,) if name in ("step", "abs") else ()
    grad = gradients.exact_gradient(f, MU, LOG_VAR, breaks=breaks)
    assert grad.mu == pytest.approx(finite_difference(lambda m: mean(m, np.exp(LOG_VAR)), MU), abs=1e-8)
    assert grad.log_var == pytest.approx(finite_difference(lambda v: mean(MU, np.exp(v)), LOG_VAR), abs=1e-8)
    assert gradients.expectation(f, MU, LOG_VAR, breaks=breaks) == pytest.approx(mean(MU, np.exp(LOG_VAR)), abs=1e-11)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("baseline", [None, 0.8])
def test_both_estimators_are_unbiased_within_their_error_bars(name, baseline):
    f, df, mean = CASES[name]
    eps = np.random.default_rng(0).standard_normal(NUM)
    exact_mu = finite_difference(lambda m: mean(m, np.exp(LOG_VAR)), MU)
    exact_log_var = finite_difference(lambda v: mean(MU, np.exp(v)), LOG_VAR)
    score = gradients.score_function_samples(f, MU, LOG_VAR, eps, baseline)
    assert score.mu.shape == score.log_var.shape == (NUM,)
    assert within_error_bars(score.mu, exact_mu) and within_error_bars(score.log_var, exact_log_var)
    if df is not None:
        path = gradients.pathwise_samples(df, MU, LOG_VAR, eps)
        assert within_error_bars(path.mu, exact_mu) and within_error_bars(path.log_var, exact_log_var)


def test_per_sample_estimates_are_derivatives_of_log_q_and_of_the_sample():
    eps = np.array([-1.3, 0.4, 2.0])
    z = MU + np.exp(0.5 * LOG_VAR) * eps
    score = gradients.score_function_samples(np.ones_like, MU, LOG_VAR, eps)
    log_q = lambda m, v: stats.norm.logpdf(z, m, np.exp(0.5 * v))  # noqa: E731
    np.testing.assert_allclose(score.mu, finite_difference(lambda m: log_q(m, LOG_VAR), MU), atol=1e-8)
    np.testing.assert_allclose(score.log_var, finite_difference(lambda v: log_q(MU, v), LOG_VAR), atol=1e-8)
    path = gradients.pathwise_samples(np.cos, MU, LOG_VAR, eps)
    sample = lambda m, v: np.sin(m + np.exp(0.5 * v) * eps)  # noqa: E731
    np.testing.assert_allclose(path.mu, finite_difference(lambda m: sample(m, LOG_VAR), MU), atol=1e-8)
    np.testing.assert_allclose(path.log_var, finite_difference(lambda v: sample(MU, v), LOG_VAR), atol=1e-8)


def test_d_dimensional_estimators_and_exact_values():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=3)
    mu, log_var, eps = rng.normal(size=3), 0.5 * rng.normal(size=3), rng.standard_normal((NUM, 3))
    f = lambda z: np.einsum("ni,ij,nj->n", z, a, z) + z @ b  # noqa: E731
    mean = lambda m, v: np.trace(a @ np.diag(np.exp(v))) + m @ a @ m + b @ m  # noqa: E731
    exact = gradients.quadratic_gradient(a, b, mu, log_var)
    for i, e in enumerate(np.eye(3)):
        slope = finite_difference(lambda t, e=e: mean(mu + t * e, log_var), 0.0)
        assert exact.mu[i] == pytest.approx(slope, abs=1e-8)
        slope = finite_difference(lambda t, e=e: mean(mu, log_var + t * e), 0.0)
        assert exact.log_var[i] == pytest.approx(slope, abs=1e-8)
    by_quadrature = gradients.exact_gradient(f, mu, log_var)
    np.testing.assert_allclose(by_quadrature.mu, exact.mu, atol=1e-10)
    np.testing.assert_allclose(by_quadrature.log_var, exact.log_var, atol=1e-10)
    assert gradients.expectation(f, mu, log_var) == pytest.approx(mean(mu, log_var), abs=1e-10)
    score = gradients.score_function_samples(f, mu, log_var, eps)
    path = gradients.pathwise_samples(lambda z: z @ (a + a.T) + b, mu, log_var, eps)
    for samples in (score, path):
        assert samples.mu.shape == samples.log_var.shape == (NUM, 3)
        assert within_error_bars(samples.mu, exact.mu) and within_error_bars(samples.log_var, exact.log_var)


def test_leave_one_out_baseline_is_the_mean_of_the_others_and_lowers_the_variance():
    values = np.array([1.0, 4.0, 7.0])
    np.testing.assert_allclose(gradients.leave_one_out_baseline(values), [5.5, 4.0, 2.5])
    eps, f = np.random.default_rng(2).standard_normal(NUM), lambda z: z**2 + 10
    values = f(MU + np.exp(0.5 * LOG_VAR) * eps)
    plain = gradients.score_function_samples(f, MU, LOG_VAR, eps)
    better = gradients.score_function_samples(f, MU, LOG_VAR, eps, gradients.leave_one_out_baseline(values))
    assert better.mu.var() < 0.2 * plain.mu.var()
    assert within_error_bars(better.mu, 2 * MU)


def test_cholesky_gradient_equals_finite_differences_sample_by_sample():
    rng = np.random.default_rng(3)
    mu, eps = rng.normal(size=3), rng.standard_normal((5, 3))
    factor = gaussian.cholesky([[2.0, 0.3, -0.1], [0.3, 1.0, 0.2], [-0.1, 0.2, 0.7]])
    f = lambda z: np.sin(z).sum(-1) * z[:, 0]  # noqa: E731
    df = lambda z: np.cos(z) * z[:, :1] + np.sin(z).sum(-1, keepdims=True) * np.eye(3)[0]  # noqa: E731
    grad_mu, grad_factor = gradients.pathwise_cholesky(df, mu, factor, eps)
    for i in range(3):
        e = np.eye(3)[i]
        slope = finite_difference(lambda t, e=e: f(gradients.sample_cholesky(mu + t * e, factor, eps)), 0.0)
        np.testing.assert_allclose(grad_mu[:, i], slope, atol=1e-7)
        for j in range(i + 1):
            e = np.zeros((3, 3))
            e[i, j] = 1
            slope = finite_difference(lambda t, e=e: f(gradients.sample_cholesky(mu, factor + t * e, eps)), 0.0)
            np.testing.assert_allclose(grad_factor[:, i, j], slope, atol=1e-7)
    assert np.all(grad_factor[:, *np.triu_indices(3, 1)] == 0)


SCIPY = {
    "normal": stats.norm,
    "laplace": stats.laplace,
    "logistic": stats.logistic,
    "gumbel": stats.gumbel_r,
    "cauchy": stats.cauchy,
    "student_t": stats.t(3.5),
}


@pytest.mark.parametrize("name", SCIPY)
def test_location_scale_families_agree_with_scipy(name):
    family = families.location_scale_family(name, dof=3.5)
    u, z, loc, scale = np.linspace(0.01, 0.99, 33), np.linspace(-8, 8, 33), 0.4, 1.7
    expected = loc + scale * SCIPY[name].ppf(u)
    np.testing.assert_allclose(families.location_scale_sample(family, loc, scale, u), expected, atol=1e-9)
    expected = SCIPY[name].logpdf((z - loc) / scale) - np.log(scale)
    np.testing.assert_allclose(families.log_prob_location_scale(family, z, loc, scale), expected, rtol=1e-10)
    grad_loc, grad_scale = families.location_scale_pathwise(np.cos, family, loc, scale, u)
    f = lambda a, b: np.sin(a + b * SCIPY[name].ppf(u))  # noqa: E731
    np.testing.assert_allclose(grad_loc, finite_difference(lambda a: f(a, scale), loc), atol=1e-5)
    np.testing.assert_allclose(grad_scale, finite_difference(lambda b: f(loc, b), scale), atol=1e-5)


@pytest.mark.parametrize(
    "sample, params, cdf",
    [
        (families.exponential_sample, {"rate": 1.7}, lambda z, rate: 1 - np.exp(-rate * z)),
        (families.kumaraswamy_sample, {"a": 1.4, "b": 2.6}, lambda z, a, b: 1 - (1 - z**a) ** b),
        (
            families.weibull_sample,
            {"scale": 1.3, "shape": 2.2},
            lambda z, scale, shape: 1 - np.exp(-((z / scale) ** shape)),
        ),
    ],
)
def test_inverse_cdf_samples_and_derivatives(sample, params, cdf):
    u = np.linspace(0.02, 0.98, 25)
    drawn = sample(**params, u=u)
    np.testing.assert_allclose(cdf(drawn.z, **params), u, atol=1e-12)
    assert set(drawn.derivatives) == set(params)
    estimates = families.inverse_cdf_pathwise(np.cos, drawn)
    for name, value in params.items():
        moved = lambda v, name=name: np.sin(sample(**{**params, name: v}, u=u).z)  # noqa: E731
        np.testing.assert_allclose(estimates[name], finite_difference(moved, value), atol=1e-8)


def test_bernoulli_score_function_is_unbiased():
    u = np.random.default_rng(4).random(NUM)
    samples = gradients.bernoulli_score_function_samples(lambda z: (z - 0.3) ** 2, 0.35, u)
    assert samples.shape == (NUM,)
    assert within_error_bars(samples, 0.7**2 - 0.3**2)


@pytest.mark.parametrize("method", ["chi2", "bootstrap"])
def test_variance_interval_covers_the_truth_as_often_as_it_says(method):
    rng, covered, repeats = np.random.default_rng(5), 0, 200
    for _ in range(repeats):
        estimate = gradients.variance_with_interval(
            2 * rng.standard_normal(100), confidence=0.9, method=method, num_resamples=150, rng=rng
        )
        assert estimate.low < estimate.variance < estimate.high
        covered += estimate.low < 4.0 < estimate.high
    # 0.9 within four binomial standard errors; the bootstrap is known to fall a little short at n = 100.
    shortfall = 0.05 if method == "bootstrap" else 0.0
    assert 0.9 - shortfall - 4 * np.sqrt(0.09 / repeats) < covered / repeats < 0.9 + 4 * np.sqrt(0.09 / repeats)


def test_variance_of_vectors_is_the_sum_over_dimensions():
    samples = np.random.default_rng(6).normal(size=(500, 3)) * [1, 2, 3]
    estimate = gradients.variance_with_interval(samples)
    assert estimate.variance == pytest.approx(np.trace(np.cov(samples.T)))
    assert estimate.low < 14 < estimate.high
    assert estimate == gradients.variance_with_interval(samples, rng=np.random.default_rng(0))


def test_exact_gradient_by_an_independent_quadrature():
    std = np.exp(0.5 * LOG_VAR)
    f = lambda z: np.tanh(3 * z) * z  # noqa: E731
    slope = lambda z: np.tanh(3 * z) + 3 * z / np.cosh(3 * z) ** 2  # noqa: E731
    density = lambda z: stats.norm.pdf(z, MU, std)  # noqa: E731
    by_mu = quad(lambda z: slope(z) * density(z), MU - 10 * std, MU + 10 * std, epsabs=1e-12, limit=200)[0]
    by_log_var = quad(
        lambda z: slope(z) * 0.5 * (z - MU) * density(z), MU - 10 * std, MU + 10 * std, epsabs=1e-12, limit=200
    )[0]
    np.testing.assert_allclose(gradients.exact_gradient(f, MU, LOG_VAR), [by_mu, by_log_var], atol=1e-10)


E3 = np.zeros(3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gradients.score_function_samples(np.sin, 0.0, np.nan, E3), "log_var must be finite"),
        (lambda: gradients.score_function_samples(np.sin, 0.0, 0.0, np.zeros((3, 2))), "received mu"),
        (lambda: gradients.pathwise_samples(np.sin, np.zeros(2), np.zeros(3), np.zeros((3, 2))), "received mu"),
        (lambda: gradients.score_function_samples(np.sum, 0.0, 0.0, E3), "f must map shape"),
        (lambda: gradients.score_function_samples(np.sin, 0.0, 0.0, E3, np.zeros(2)), "baseline"),
        (lambda: gradients.pathwise_samples(lambda z: z / 0 * np.nan, 0.0, 0.0, E3), "values of df"),
        (lambda: gradients.exact_gradient(lambda z: z.sum(-1), np.zeros(5), np.zeros(5)), "at most 4"),
        (lambda: gradients.quadratic_gradient(np.eye(2), E3, E3, E3), "a must have shape"),
        (lambda: gradients.sample_cholesky(np.zeros(2), -np.eye(2), np.zeros((3, 2))), "positive diagonal"),
        (lambda: gradients.sample_cholesky(np.zeros(2), np.ones((2, 2)), np.zeros((3, 2))), "triangular"),
        (lambda: gradients.sample_cholesky(np.zeros(2), np.eye(3), np.zeros((3, 2))), "must have shapes"),
        (lambda: families.location_scale_family("gamma"), "name must be one of"),
        (lambda: families.location_scale_family("student_t"), "dof"),
        (lambda: families.location_scale_sample(families.location_scale_family("normal"), 0, -1, 0.5), "scale"),
        (lambda: families.exponential_sample(1.0, [0.0, 0.5]), "strictly between 0 and 1"),
        (lambda: families.exponential_sample(-1.0, [0.2, 0.5]), "rate must be positive"),
        (lambda: gradients.variance_with_interval([1.0]), "at least 2"),
        (lambda: gradients.variance_with_interval(E3, method="magic"), "method must be"),
        (lambda: gradients.variance_with_interval(E3, confidence=95), "between 0 and 1"),
        (lambda: gradients.leave_one_out_baseline([1.0]), "at least 2"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
