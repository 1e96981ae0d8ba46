"""The darts lab in Python: its numbers against finer quadrature and against darts that are thrown."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from vaelib.theory import importance
from vaelib.theory.divergences import Mixture
from vaelib.widgets.controls import Slider, count
from vaelib.widgets.darts_lab import KS, POSTERIORS, DartsLab, X, floor_of


@pytest.fixture
def lab():
    made = DartsLab()
    yield made
    made.close()


def target_of(posterior):
    weights, means, tau = POSTERIORS[posterior]
    return Mixture(weights, means, [tau] * len(means)), tau


PLACES = [
    ("one peak", 0.8, 0.5, 1.0),
    ("two peaks", -1.0, 0.2, 3.0),
    ("two peaks", 2.0, 2.0, 0.6),
    ("one peak", 0, 1, 2),
]


@pytest.mark.parametrize(("posterior", "mu", "sigma", "log_k"), PLACES)
def test_the_bound_is_that_of_a_finer_quadrature(lab, posterior, mu, sigma, log_k):
    target, _ = target_of(posterior)
    now = lab.numbers(posterior=posterior, mu=mu, sigma=sigma, log_k=log_k)
    log_joint = lambda z: target.log_prob(z[:, 0])  # noqa: E731
    law = importance.normal_law(log_joint, [mu], [2 * np.log(sigma)], [-9.0], [9.0], num_nodes=3201)
    k = count(log_k)
    assert now["k"] == k == round(10**log_k)
    assert (now["elbo"], now["bound"]) == pytest.approx((law.bound(1), law.bound(k)), abs=1e-9)
    assert now["effective_size"] == pytest.approx(law.effective_size(k), rel=1e-8)
    assert now["curve"][[0, -1]] == pytest.approx([law.bound(1), law.bound(1000)], abs=1e-9)
    log_ratio = law.implied_log_ratio(target.log_prob(X) - norm.logpdf(X, mu, sigma), k)
    np.testing.assert_allclose(now["implied"], norm.pdf(X, mu, sigma) * np.exp(log_ratio), atol=1e-8)


@pytest.mark.parametrize(("posterior", "mu", "sigma", "k"), [("one peak", 0.8, 0.7, 10), ("two peaks", 0.2, 1.1, 30)])
def test_darts_that_are_thrown_agree(lab, posterior, mu, sigma, k):
    target, _ = target_of(posterior)
    now = lab.numbers(posterior=posterior, mu=mu, sigma=sigma, log_k=np.log10(k))
    rng = np.random.default_rng(0)
    z = mu + sigma * rng.standard_normal((40_000, k))
    log_w = target.log_prob(z) - norm.logpdf(z, mu, sigma)
    estimates = logsumexp(log_w, axis=1) - np.log(k)
    assert abs(estimates.mean() - now["bound"]) < 4.5 * estimates.std() / 200
    w = np.exp(log_w - logsumexp(log_w, axis=1)[:, None])
    coincide = np.sum(w**2, axis=1)
    assert abs(coincide.mean() - 1 / now["effective_size"]) < 4.5 * coincide.std() / 200
    kept = np.take_along_axis(z, (rng.random((len(z), 1)) < np.cumsum(w, axis=1)).argmax(axis=1)[:, None], axis=1)
    below = np.mean(kept < 0)
    exact = np.sum(now["implied"][X < -1e-9]) * (X[1] - X[0]) + 0.5 * now["implied"][120] * (X[1] - X[0])
    assert abs(below - exact) < 4.5 * np.sqrt(exact * (1 - exact) / len(z))


def test_the_flag_is_where_the_second_moment_ends(lab):
    for posterior in POSTERIORS:
        _, tau = target_of(posterior)
        for sigma in lab.controls["sigma"].positions(37):
            moment = importance.normal_second_moment([0.0], [[sigma**2]], [0.0], [[tau**2]])
            assert lab.numbers(posterior=posterior, sigma=sigma)["infinite_variance"] == np.isinf(moment)


def test_one_dart_is_q_and_many_are_the_posterior(lab):
    one, many = (lab.numbers(posterior="two peaks", mu=0.2, sigma=1.1, log_k=log_k) for log_k in (0.0, 3.0))
    assert one["implied"] == pytest.approx(one["q"]) and one["bound"] == one["elbo"]
    assert one["effective_size"] == pytest.approx(1.0)
    assert many["missed"] < 0.01 < one["missed"]


def test_the_curve_rises_to_log_p_of_x_at_every_place(lab):
    assert KS[0] == 1 and KS[-1] == 1000 and np.all(np.diff(KS) > 0)
    for posterior in POSTERIORS:
        for mu in (-2.0, 0.0, 2.0):
            for sigma in (0.2, 0.7, 2.0):
                now = lab.numbers(posterior=posterior, mu=mu, sigma=sigma)
                assert np.all(np.diff(now["curve"]) > -1e-12) and now["curve"][-1] < 1e-12
                assert floor_of(now["elbo"]) < now["elbo"]  # the picture holds it


def test_the_still_picture_shows_the_numbers(lab):
    now = lab.numbers()
    left, right, below, bars = lab.figure().axes
    assert right.lines[0].get_ydata() == pytest.approx(now["curve"])
    assert left.lines[1].get_ydata() == pytest.approx(now["q"])
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([now["k"], now["effective_size"]])
    assert [text.get_text() for text in left.texts] == ["infinite variance"]
    assert not lab.figure(sigma=1.5).axes[0].texts


def test_a_slider_that_counts_shows_whole_numbers():
    slider = Slider("k", 0.0, 3.0, 0.01, 1.0, counts=True)
    assert slider.spec("k")["counts"] is True and "counts" not in Slider("a", 0.0, 1.0, 0.1, 0.5).spec("a")
    assert [count(value) for value in (0.0, 0.17, 0.18, 1.0, 2.5, 3.0)] == [1, 1, 2, 10, 316, 1000]


@pytest.mark.parametrize("start", [{"k": 0}, {"k": 1001}, {"posterior": "three peaks"}, {"mu": 9.0}, {"sigma": 0.0}])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(ValueError, match="received"):
        DartsLab(**start)
