"""Critics against closed forms, against SciPy's own search, and against repeated samples."""

import numpy as np
import pytest
from scipy import optimize, stats

from vaelib.theory import density_ratio, gaussian
from vaelib.theory.density_ratio import Critic, contrast_kl, critic_bounds, critic_kl, features, fit_critic

EXAMPLE = (1.0, 1.0, 0.0, 2.0)  # q = N(1, 1), p = N(0, 2²)


def samples(rng, n, mu_q=1.0, std_q=1.0, mu_p=0.0, std_p=2.0):
    return mu_q + std_q * rng.standard_normal(n), mu_p + std_p * rng.standard_normal(n)


@pytest.mark.parametrize("numbers", [EXAMPLE, (-0.4, 0.3, 2.0, 0.7)])
def test_the_log_ratio_is_the_difference_of_log_densities(numbers):
    x = np.linspace(-4, 4, 9)
    expected = stats.norm.logpdf(x, *numbers[:2]) - stats.norm.logpdf(x, *numbers[2:])
    np.testing.assert_allclose(features(x) @ density_ratio.log_ratio(*numbers), expected, atol=1e-11)


def test_known_figures():
    x, log_q, log_p = density_ratio.normals_on_grid(*EXAMPLE)
    best = critic_bounds(x, log_q, log_p, log_q - log_p)
    assert best == pytest.approx((0.443147, 0.443147, 0.443147, 0.128175, 1.129944), abs=1e-6)
    assert best.plain == pytest.approx(gaussian.kl_normal(1.0, 1.0, 0.0, 4.0), abs=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_the_critic_is_where_an_independent_search_ends(ridge):
    from_q, from_p = samples(np.random.default_rng(0), 300)
    x = np.concatenate([from_q, from_p])
    z = (x - x.mean()) / x.std() if ridge else x
    sign = np.repeat([1.0, -1.0], 300)
    loss = lambda w: np.sum(np.log1p(np.exp(-sign * (features(z) @ w)))) + 0.5 * ridge * w @ w  # noqa: E731
    found = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-6}).x
    critic = fit_critic(from_q, from_p, ridge)
    np.testing.assert_allclose(critic.weights, found, atol=2e-4)
    np.testing.assert_allclose(critic(x), features(z) @ critic.weights, atol=1e-12)


def test_its_errors_are_those_of_the_fisher_information():
    rng, n = np.random.default_rng(1), 1_000
    fits = np.array([fit_critic(*samples(rng, n)).weights for _ in range(400)])
    covariance = density_ratio.critic_covariance(*EXAMPLE, n)
    # Whitened, squares have mean 1 and a standard deviation of sqrt(2 / 400) each.
    white = np.linalg.solve(np.linalg.cholesky(covariance), (fits - fits.mean(axis=0)).T)
    assert np.all(np.abs(np.cov(white) - np.eye(3)) < 5 * np.sqrt(2 / 400))
    assert np.all(
        np.abs(fits.mean(axis=0) - density_ratio.log_ratio(*EXAMPLE)) < 5 * np.sqrt(np.diag(covariance) / 400)
    )


def test_any_critic_gives_a_bound():
    x, log_q, log_p = density_ratio.normals_on_grid(*EXAMPLE)
    rng, truth = np.random.default_rng(2), density_ratio.log_ratio(*EXAMPLE)
    best = critic_bounds(x, log_q, log_p, log_q - log_p)
    for _ in range(50):
        # A bounded error: an exponential of an unbounded one may have no mean.
        error = rng.normal() + rng.normal(0, 2) * np.sin(rng.normal(0, 3) * x + rng.normal())
        here = critic_bounds(x, log_q, log_p, features(x) @ truth + error)
        assert here.nwj <= here.donsker_varadhan < best.donsker_varadhan
        assert here.jensen_shannon < best.jensen_shannon and here.cross_entropy > best.cross_entropy
    more = critic_bounds(x, log_q, log_p, features(x) @ truth + 3.0)
    assert more.plain == pytest.approx(best.plain + 3)  # no bound
    assert more.donsker_varadhan == pytest.approx(best.plain)  # which a constant leaves alone


def test_samples_that_can_be_separated_have_no_best_critic():
    from_q, from_p = np.array([3.0, 4.0, 5.5]), np.array([-1.0, 0.3, 1.0])
    with pytest.raises(ValueError, match="can be separated.*Give a ridge above 0"):
        fit_critic(from_q, from_p)
    critic = fit_critic(from_q, from_p, ridge=1.0)
    assert np.all(critic(from_q) > 0) and np.all(critic(from_p) < 0)
    assert fit_critic(from_q, from_p, ridge=1e-3)(from_q).mean() > critic(from_q).mean() + 3


def test_a_critic_saturates_and_contrast_does_not():
    rng, d, n = np.random.default_rng(3), 6.0, 500
    from_q, from_p = samples(rng, n, d, 1.0, 0.0, 1.0)
    truth = d**2 / 2
    assert abs(critic_kl(from_q, from_p) - np.log(n)) < 1.0
    log_p = lambda x: stats.norm.logpdf(x)  # noqa: E731
    error = np.sqrt(1 / n) * d + 0.05  # of the mean of x²/2, and of a critic on overlapping samples
    assert abs(contrast_kl(from_q, rng.standard_normal(n), log_p) - truth) < 4 * error


def test_contrast_leaves_what_is_not_normal_to_the_critic():
    """A law with a heavier middle: the two parts add up to the KL, by quadrature, for the critic at its best."""
    x = np.linspace(-30, 30, 6001)
    log_q = np.logaddexp(np.log(0.3) + stats.norm.logpdf(x, 4, 0.6), np.log(0.7) + stats.norm.logpdf(x, 7, 0.6))
    q = np.exp(log_q) * (x[1] - x[0])
    mean = q @ x
    log_r, log_p = stats.norm.logpdf(x, mean, np.sqrt(q @ (x - mean) ** 2)), stats.norm.logpdf(x)
    critic, rest = critic_bounds(x, log_q, log_r, log_q - log_r).plain, q @ (log_r - log_p)
    assert critic + rest == pytest.approx(q @ (log_q - log_p), abs=1e-9)
    assert critic < 0.03 * rest


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_critic([1.0], [0.0, 2.0]), "from_q must have shape"),
        (lambda: fit_critic([1.0, 1.0], [1.0, 1.0]), "must hold more than one value"),
        (lambda: fit_critic([1.0, 2.0], [1.0, 3.0], ridge=-1), "ridge must be at least 0; received -1"),
        (lambda: contrast_kl([1.0, 1.0], [0.0, 1.0], np.abs), "from_q must hold more than one value"),
        (lambda: density_ratio.log_ratio(0, 0, 0, 1), "std_q must be a finite number above 0"),
        (lambda: density_ratio.critic_covariance(*EXAMPLE, 0), "num must be a whole number"),
        (lambda: critic_bounds(np.arange(3.0), np.zeros(3), np.zeros(3), np.zeros(4)), "must broadcast"),
        (lambda: Critic(np.zeros(3))(np.nan), "x must be finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_critic_may_be_a_number_but_not_a_table():
    x = np.linspace(-8, 8, 801)
    log_q, log_p = stats.norm.logpdf(x), stats.norm.logpdf(x, 1)
    assert density_ratio.critic_bounds(x, log_q, log_p, 0.5).plain == pytest.approx(0.5)
    assert density_ratio.critic_bounds(x, log_q, log_p, 0.5).donsker_varadhan == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match=r"one value at each point of x, shape \(801,\); .*critic \(3, 801\)"):
        density_ratio.critic_bounds(x, log_q, log_p, np.zeros((3, 801)))
