"""Discrete latents: enumeration against differences and draws, quadrature against closed forms, densities against 1."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from scipy.special import expit, gamma, logit, logsumexp

from vaelib.theory import discrete
from vaelib.theory.discrete import SigmoidBeliefNetwork, TwoPoints, relaxed_log_prob


def difference(function, at, step=1e-5):
    return np.array([(function(at + step * e) - function(at - step * e)) / (2 * step) for e in np.eye(len(at))])


# Two points ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.1, 0.45, 0.8])
def test_the_gradient_of_two_points_is_that_of_differences(t):
    toy, theta = TwoPoints(t), np.array([-1.3, 0.2, 2.0])
    slope = (toy.loss(expit(theta + 1e-5)) - toy.loss(expit(theta - 1e-5))) / 2e-5
    np.testing.assert_allclose(toy.gradient(expit(theta)), slope, atol=1e-9)
    for tau in (0.2, 1.0, 3.0):
        ends = [toy.relaxed_loss(expit(theta + sign * 1e-5), tau) for sign in (1, -1)]
        np.testing.assert_allclose(toy.relaxed_gradient(expit(theta), tau), (ends[0] - ends[1]) / 2e-5, atol=1e-9)


def test_estimates_over_noise_are_those_of_draws():
    toy, p, tau = TwoPoints(0.45), 0.3, 0.5
    noise = np.random.default_rng(0).logistic(size=400_000)
    y = expit((logit(p) + noise) / tau)
    back, z = y * (1 - y) / tau, (y > 0.5) * 1.0
    for name, draws, value in [
        ("loss", toy.f(y), toy.relaxed_loss(p, tau)),
        ("relaxed", toy.slope(y) * back, toy.relaxed_gradient(p, tau)),
        ("hard", toy.slope(z) * back, toy.straight_through_relaxed(p, tau)),
        ("straight", toy.slope(z) * p * (1 - p), toy.straight_through(p)),
    ]:
        assert abs(draws.mean() - value) < 4.5 * draws.std() / np.sqrt(len(noise)), name
    assert z.mean() == pytest.approx(p, abs=0.004)
    # The published figures of this toy: the relaxation has the wrong sign at p = 0.3.
    assert toy.relaxed_gradient(p, tau) == pytest.approx(-0.0077, abs=5e-5)
    assert toy.gradient(p) == pytest.approx(0.021)


@pytest.mark.parametrize("t", [0.2, 0.45, 0.7])
def test_straight_through_stops_at_the_target(t):
    toy = TwoPoints(t)
    assert optimize.brentq(toy.straight_through, 0.01, 0.99) == pytest.approx(t, abs=1e-9)
    assert toy.straight_through(t - 0.01) < 0 < toy.straight_through(t + 0.01)  # descent goes there
    assert toy.straight_through(0.5) == pytest.approx(toy.gradient(0.5))


@pytest.mark.parametrize(("t", "tau"), [(0.45, 0.05), (0.45, 0.3), (0.2, 0.55), (0.2, 0.65), (0.499, 0.5)])
def test_near_the_corner_the_relaxed_gradient_is_a_beta_integral(t, tau):
    p = 1e-12 ** (1 / (1 - tau))  # the next term is smaller by p^(1 - tau)
    expected = gamma(1 - tau) * gamma(1 + tau) * (1 - 2 * t - tau)
    assert TwoPoints(t).relaxed_gradient(p, tau) / p == pytest.approx(expected, rel=1e-8)
    assert (expected < 0) == (tau > discrete.first_lie(t))


# K classes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "tau"), [(0.3, 0.3), (0.3, 1.0), (0.8, 2.5)])
def test_the_density_of_two_classes_is_that_of_the_logistic_draw(p, tau):
    logits = np.array([np.log(p), np.log(1 - p)])
    density = lambda y: np.exp(relaxed_log_prob(np.array([y, 1 - y]), logits, tau))  # noqa: E731
    for cut in (0.1, 0.5, 0.9):
        below = integrate.quad(density, 0, min(cut, 0.5), epsabs=1e-11, limit=200)[0]
        below += integrate.quad(density, 0.5, cut, epsabs=1e-11, limit=200)[0] if cut > 0.5 else 0
        assert below == pytest.approx(stats.logistic.cdf(tau * logit(cut) - logit(p)), abs=1e-8)


@pytest.mark.parametrize("tau", [0.6, 1.0, 2.0])
def test_the_density_of_three_classes_is_that_of_draws(tau):
    logits, rng = np.array([0.5, -0.3, 1.2]), np.random.default_rng(1)
    y = discrete.relaxed_draw(logits, discrete.gumbel(rng.random((200_000, 3))), tau)
    np.testing.assert_allclose(y.sum(axis=1), 1)
    # The mean of 1/density over draws inside a triangle is the triangle's area.
    inside = (y > 0.15).all(axis=1)
    ratio = np.zeros(len(y))
    ratio[inside] = np.exp(-relaxed_log_prob(y[inside], logits, tau))
    area = 0.5 * (1 - 3 * 0.15) ** 2
    assert abs(ratio.mean() - area) < 4.5 * ratio.std() / np.sqrt(len(y))
    pi = np.exp(logits - logsumexp(logits))
    counts = np.bincount(y.argmax(axis=1), minlength=3)
    assert stats.chisquare(counts, len(y) * pi).pvalue > 1e-4


def test_a_gradient_in_probabilities_as_the_logits_see_it():
    rng = np.random.default_rng(2)
    logits, f = rng.normal(size=5), rng.normal(size=5)
    softmax = lambda a: np.exp(a - logsumexp(a))  # noqa: E731
    exact = discrete.softmax_gradient(softmax(logits), f)
    np.testing.assert_allclose(exact, difference(lambda a: softmax(a) @ f, logits), atol=1e-9)


def test_the_kl_to_the_uniform_prior():
    pi = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(discrete.kl_uniform(pi), [stats.entropy(pi[0], np.full(3, 1 / 3)), np.log(3)])


# Sigmoid belief networks ---------------------------------------------------------------------------------------------


def network(num_hidden, seed=0, num_pixels=5):
    rng = np.random.default_rng(seed)
    normal = rng.normal
    made = SigmoidBeliefNetwork(normal(size=(num_pixels, num_hidden)), normal(size=num_hidden), normal(size=num_pixels))
    return made, (rng.random(num_pixels) < 0.5) * 1.0, rng.normal(size=num_hidden)


def test_the_probabilities_of_all_images_add_up_to_one():
    made, _, a = network(4)
    images = discrete.all_states(5)
    assert logsumexp([made.log_evidence(x) for x in images]) == pytest.approx(0, abs=1e-12)
    assert np.exp(discrete.log_bernoulli(discrete.all_states(4), a)).sum() == pytest.approx(1)
    assert made.posterior(images[7]).sum() == pytest.approx(1)


def test_a_network_of_one_unit_by_hand():
    made = SigmoidBeliefNetwork([[2.0]], [0.5], [-1.0])
    by_hand = expit(0.5) * expit(1.0) + expit(-0.5) * expit(-1.0)
    assert made.log_evidence([1.0]) == pytest.approx(np.log(by_hand))
    # q(h = 1) = p(h = 1|x): no gap at all.
    a = [0.5 + np.log(expit(1.0) / expit(-1.0))]
    assert made.elbo([1.0], a) == pytest.approx(np.log(by_hand)) == made.bound_of_two([1.0], a)


@pytest.mark.parametrize("num_hidden", [1, 3, 6])
def test_gradients_are_those_of_differences_and_estimators_unbiased(num_hidden):
    made, x, a = network(num_hidden, seed=num_hidden)
    of_elbo = difference(lambda a: made.elbo(x, a), a)
    of_two = difference(lambda a: made.bound_of_two(x, a), a)
    assert made.elbo(x, a) < made.bound_of_two(x, a) < made.log_evidence(x)
    for baseline in (0.0, -3.0, made.best_baseline(x, a)):
        np.testing.assert_allclose(made.score_function(x, a, baseline).mean, of_elbo, atol=1e-8)
    np.testing.assert_allclose(made.leave_one_out(x, a).mean, of_elbo, atol=1e-8)
    np.testing.assert_allclose(made.bound_of_two_gradient(x, a), of_two, atol=1e-8)
    np.testing.assert_allclose(made.vimco(x, a).mean, of_two, atol=1e-8)


def test_pairs_in_blocks_are_pairs_at_once(monkeypatch):
    made, x, a = network(5)
    whole = made.bound_of_two(x, a), *made.vimco(x, a), *made.leave_one_out(x, a)
    monkeypatch.setattr(discrete, "PAIRS_AT_ONCE", 100)
    for one, two in zip(whole, (made.bound_of_two(x, a), *made.vimco(x, a), *made.leave_one_out(x, a)), strict=True):
        np.testing.assert_allclose(one, two)


def test_means_and_variances_are_those_of_draws():
    made, x, a = network(3, seed=5)
    log_w, q = made.log_weights(x, a)
    rng = np.random.default_rng(3)
    one, two = rng.choice(len(q), (2, 100_000), p=q)
    s, f = made.scores(a), log_w
    bound = np.logaddexp(f[one], f[two]) - np.log(2)
    share = np.exp(f[one] - np.logaddexp(f[one], f[two]))
    draws = {
        "score": ((f[one] + 2)[:, None] * s[one], made.score_function(x, a, -2.0)),
        "out": (0.5 * (f[one] - f[two])[:, None] * (s[one] - s[two]), made.leave_one_out(x, a)),
        "vimco": (
            (bound - f[two] - share)[:, None] * s[one] + (bound - f[one] - (1 - share))[:, None] * s[two],
            made.vimco(x, a),
        ),
    }
    for name, (each, moments) in draws.items():
        assert np.all(np.abs(each.mean(axis=0) - moments.mean) < 4.5 * each.std(axis=0) / np.sqrt(len(each))), name
        np.testing.assert_allclose(each.var(axis=0), moments.variance, rtol=0.05, err_msg=name)


def test_one_unit_has_a_baseline_without_variance_and_many_have_none():
    made, x, a = network(1)
    log_w, q = made.log_weights(x, a)
    baseline = q[0] * log_w[1] + q[1] * log_w[0]
    np.testing.assert_allclose(made.best_baseline(x, a), baseline)
    assert made.score_function(x, a, baseline).variance[0] < 1e-25
    made, x, a = network(6)
    best = made.best_baseline(x, a)
    least = made.score_function(x, a, best).variance
    assert np.all(least > 0.01)
    for step in (-0.1, 0.1):
        assert np.all(made.score_function(x, a, best + step).variance > least)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda: discrete.all_states(13), r"2\^13 states to enumerate; the limit is 12 units, 4,096"),
        (lambda: SigmoidBeliefNetwork(np.ones((2, 20)), np.ones(20), np.ones(2)), r"2\^20 states"),
        (lambda: SigmoidBeliefNetwork(np.ones((2, 3)), np.ones(2), np.ones(2)), r"received \(2, 3\), \(2,\)"),
        (lambda: network(2)[0].log_joint([0.5] * 5), "zeros and ones"),
        (lambda: network(2)[0].elbo(np.zeros(5), np.zeros(3)), "a must have shape"),
        (lambda: TwoPoints(1.2), "t must lie strictly between 0 and 1"),
        (lambda: TwoPoints(0.4).relaxed_loss(0.3, 0.0), "tau must be a finite number above 0; received 0"),
        (lambda: TwoPoints(0.4).relaxed_gradient(0.3, -1), "tau must be a finite number above 0; received -1"),
        (lambda: discrete.first_lie(0.6), "between 0 and 0.5"),
        (lambda: discrete.relaxed_draw(np.zeros(3), np.zeros(3), 0), "tau must be"),
        (lambda: relaxed_log_prob(np.array([0.3, 0.3]), np.zeros(2), 1.0), "sum to 1"),
        (lambda: discrete.gumbel(np.array([0.0, 0.5])), "u must lie strictly between"),
        (lambda: discrete.kl_uniform([0.2, 0.2]), "sum to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(what, message):
    with pytest.raises(ValueError, match=message):
        what()
