"""vaelib.theory.gaussian against scipy.stats, quadrature and finite differences."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad, solve_ivp

from vaelib.theory import gaussian

number = st.floats(-4, 4)
quick = settings(max_examples=40, deadline=None)


def vectors(seed, d=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=d), rng.normal(size=d), rng.normal(size=d), rng.normal(size=d)


def covariance(seed, d=3):
    a = np.random.default_rng(seed).normal(size=(d, d))
    return a @ a.T + 0.3 * np.eye(d)


def kl_by_quadrature(mu_q, std_q, mu_p, std_p):
    q, p = stats.norm(mu_q, std_q), stats.norm(mu_p, std_p)
    edges = mu_q + std_q * np.linspace(-12, 12, 13)
    return sum(
        quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), a, b, epsabs=1e-13)[0]
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    )


def test_log_probs_agree_with_scipy():
    z, mu, log_var, _ = vectors(0)
    std, cov = np.exp(0.5 * log_var), covariance(1)
    np.testing.assert_allclose(gaussian.log_prob_normal(z, mu, log_var), stats.norm.logpdf(z, mu, std), rtol=1e-13)
    expected = stats.norm.logpdf(z, mu, std).sum()
    np.testing.assert_allclose(gaussian.log_prob_diagonal(z, mu, log_var), expected, rtol=1e-13)
    np.testing.assert_allclose(
        gaussian.log_prob_full(z, mu, cov), stats.multivariate_normal.logpdf(z, mu, cov), rtol=1e-12
    )
    np.testing.assert_allclose(gaussian.log_prob_standard_normal(z), stats.norm.logpdf(z).sum(), rtol=1e-13)


@pytest.mark.parametrize("log_var", [-1300.0, -800.0, 800.0, 1300.0])
def test_log_prob_normal_holds_where_the_variance_itself_overflows(log_var):
    expected = -0.5 * (np.log(2 * np.pi) + log_var)
    with np.errstate(all="raise", under="ignore"):
        assert gaussian.log_prob_normal(0.3, 0.3, log_var) == pytest.approx(expected, rel=1e-15)
        x = np.exp(0.5 * log_var)  # one standard deviation from the mean: half a nat less
        assert gaussian.log_prob_normal(x, 0.0, log_var) == pytest.approx(expected - 0.5, rel=1e-12)
        assert gaussian.log_prob_diagonal([x, -x], [0.0, 0.0], [log_var] * 2) == pytest.approx(2 * expected - 1)
        assert gaussian.kl_diagonal([x], [log_var], [0.0], [log_var]) == pytest.approx(0.5)


def test_entropies_agree_with_scipy():
    log_var, cov = vectors(2)[0], covariance(3)
    expected = stats.norm(scale=np.exp(0.5 * log_var)).entropy()
    np.testing.assert_allclose(gaussian.entropy_normal(log_var), expected, rtol=1e-13)
    np.testing.assert_allclose(gaussian.entropy_diagonal(log_var), expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(gaussian.entropy_full(cov), stats.multivariate_normal(cov=cov).entropy(), rtol=1e-12)


@quick
@given(number, st.floats(0.2, 4), number, st.floats(0.2, 4))
def test_kl_normal_equals_the_integral_of_its_definition(mu_q, std_q, mu_p, std_p):
    expected = kl_by_quadrature(mu_q, std_q, mu_p, std_p)
    assert gaussian.kl_normal(mu_q, std_q**2, mu_p, std_p**2) == pytest.approx(expected, abs=1e-9, rel=1e-9)


@quick
@given(st.integers(0, 10_000))
def test_kl_full_is_cross_entropy_minus_entropy(seed):
    # E_q[log p] = log p at q's mean minus half the trace: a route that shares no line with kl_full.
    mu_q, mu_p, *_ = vectors(seed)
    cov_q, cov_p = covariance(seed + 1), covariance(seed + 2)
    at_mean = stats.multivariate_normal.logpdf(mu_q, mu_p, cov_p)
    expected_log_p = at_mean - 0.5 * np.trace(np.linalg.inv(cov_p) @ cov_q)
    expected = -stats.multivariate_normal(cov=cov_q).entropy() - expected_log_p
    np.testing.assert_allclose(gaussian.kl_full(mu_q, cov_q, mu_p, cov_p), expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_kl_family_agrees_and_adds_over_dimensions(seed):
    mu_q, log_var_q, mu_p, log_var_p = vectors(seed)
    var_q, var_p = np.exp(log_var_q), np.exp(log_var_p)
    diagonal = gaussian.kl_diagonal(mu_q, log_var_q, mu_p, log_var_p)
    summed = sum(kl_by_quadrature(*args) for args in zip(mu_q, var_q**0.5, mu_p, var_p**0.5, strict=True))
    assert diagonal == pytest.approx(summed, abs=1e-9, rel=1e-9)
    assert diagonal == pytest.approx(gaussian.kl_full(mu_q, np.diag(var_q), mu_p, np.diag(var_p)), rel=1e-10)
    standard = sum(kl_by_quadrature(m, s, 0.0, 1.0) for m, s in zip(mu_q, var_q**0.5, strict=True))
    assert gaussian.kl_standard_normal(mu_q, log_var_q) == pytest.approx(standard, abs=1e-9, rel=1e-9)
    assert gaussian.kl_standard_normal_per_dim(mu_q, log_var_q).sum() == pytest.approx(standard, rel=1e-9)


@quick
@given(st.integers(0, 10_000))
def test_kl_is_positive_zero_only_at_equality_and_affine_invariant(seed):
    mu_q, mu_p, shift, _ = vectors(seed)
    cov_q, cov_p = covariance(seed + 1), covariance(seed + 2)
    kl = gaussian.kl_full(mu_q, cov_q, mu_p, cov_p)
    assert kl > 1e-4
    assert gaussian.kl_full(mu_q, cov_q, mu_q, cov_q) == pytest.approx(0.0, abs=1e-10)
    a = np.random.default_rng(seed + 3).normal(size=(3, 3)) + 3 * np.eye(3)
    mapped_q, mapped_p = a @ cov_q @ a.T, a @ cov_p @ a.T
    mapped = gaussian.kl_full(
        a @ mu_q + shift, (mapped_q + mapped_q.T) / 2, a @ mu_p + shift, (mapped_p + mapped_p.T) / 2
    )
    assert mapped == pytest.approx(kl, rel=1e-7)


@quick
@given(number, number)
def test_gradient_of_the_kl_equals_finite_differences(mu, log_var):
    h, kl = 1e-5, gaussian.kl_standard_normal_per_dim
    grad_mu, grad_log_var = gaussian.kl_standard_normal_gradient(mu, log_var)
    assert grad_mu == pytest.approx((kl(mu + h, log_var) - kl(mu - h, log_var)) / (2 * h), abs=1e-7)
    assert grad_log_var == pytest.approx((kl(mu, log_var + h) - kl(mu, log_var - h)) / (2 * h), abs=1e-7)


@quick
@given(number, number, st.floats(0.01, 6))
def test_gradient_flow_follows_the_gradient_downhill(mu, log_var, time):
    def downhill(_, point):
        h, kl = 1e-5, gaussian.kl_standard_normal_per_dim
        m, v = point
        return [(kl(m - h, v) - kl(m + h, v)) / (2 * h), (kl(m, v - h) - kl(m, v + h)) / (2 * h)]

    expected = solve_ivp(downhill, (0, time), [mu, log_var], rtol=1e-8, atol=1e-9).y[:, -1]
    np.testing.assert_allclose(gaussian.kl_gradient_flow(mu, log_var, time), expected, atol=1e-5)
    assert gaussian.kl_gradient_flow(mu, log_var, 0.0) == (pytest.approx(mu), pytest.approx(log_var))


def test_samples_have_the_stated_moments():
    eps = np.random.default_rng(0).standard_normal((200_000, 3))
    mu, log_var, *_ = vectors(5)
    cov = covariance(6)
    z = gaussian.sample_full(mu, cov, eps)
    # The standard error of a sample covariance entry is below this for Gaussian samples.
    error = 4 * np.sqrt(2 / len(eps)) * np.max(np.diag(cov))
    np.testing.assert_allclose(np.cov(z.T), cov, atol=error)
    np.testing.assert_allclose(z.mean(0), mu, atol=4 * np.sqrt(cov.max() / len(eps)))
    z = gaussian.sample_diagonal(mu, log_var, eps)
    np.testing.assert_allclose(z.var(0), np.exp(log_var), rtol=4 * np.sqrt(2 / len(eps)))
    np.testing.assert_allclose(z.mean(0), mu, atol=4 * np.sqrt(np.exp(log_var).max() / len(eps)))


def test_batches_broadcast_before_the_last_axis():
    mu, log_var = np.zeros((5, 1, 2)), np.zeros((4, 2))
    assert gaussian.kl_standard_normal(mu, log_var).shape == (5, 4)
    assert gaussian.kl_diagonal(mu, log_var, mu, log_var).shape == (5, 4)
    assert gaussian.log_prob_full(mu, log_var, np.eye(2)).shape == (5, 4)
    assert gaussian.kl_full(mu, np.eye(2), log_var, np.eye(2)).shape == (5, 4)
    assert gaussian.log_prob_diagonal(mu, log_var, log_var).shape == (5, 4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gaussian.kl_normal(0, -1, 0, 1), "var_q must be positive"),
        (lambda: gaussian.kl_normal(0, 1, 0, 0), "var_p must be positive"),
        (lambda: gaussian.kl_normal(0, np.nan, 0, 1), "var_q must be finite"),
        (lambda: gaussian.kl_normal(0, "one", 0, 1), "var_q must be a number"),
        (lambda: gaussian.kl_normal(np.zeros(2), 1, np.zeros(3), 1), "broadcast"),
        (lambda: gaussian.kl_standard_normal(np.zeros(2), np.zeros(3)), "same last axis"),
        (lambda: gaussian.kl_standard_normal(0.0, 0.0), "same last axis"),
        (lambda: gaussian.kl_standard_normal(np.zeros((2, 3)), np.zeros((4, 3))), "broadcast"),
        (lambda: gaussian.kl_standard_normal(np.zeros(2), [0, np.inf]), "log_var must be finite"),
        (lambda: gaussian.cholesky(np.ones((2, 3))), "cov must be a square"),
        (lambda: gaussian.cholesky([[1, 0.5], [0.2, 1]]), "cov must be symmetric"),
        (lambda: gaussian.cholesky([[1, 2], [2, 1]]), "cov must be positive definite"),
        (lambda: gaussian.cholesky([[1, np.nan], [np.nan, 1]]), "cov must be finite"),
        (lambda: gaussian.kl_full([0, 0], np.eye(2), [0, 0], -np.eye(2)), "cov_p must be positive definite"),
        (lambda: gaussian.kl_full([0, 0], np.eye(3), [0, 0], np.eye(2)), "cov_q must have shape"),
        (lambda: gaussian.log_prob_full([0, 0], [0, 0], np.eye(3)), "cov must have shape"),
        (lambda: gaussian.sample_full([0, 0], np.eye(3), np.zeros((4, 2))), "cov must have shape"),
        (lambda: gaussian.log_prob_diagonal(np.zeros(2), np.zeros(1), np.zeros(1)), "same last axis"),
        (lambda: gaussian.kl_gradient_flow(0.0, 0.0, -1.0), "time must be at least 0"),
    ],
)
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_theory_half_never_imports_keras():
    code = (
        "import sys; from vaelib.theory import divergences, gaussian, gradients, toy_models; "
        "assert not {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
