"""The ruler lab in Python: its three numbers against closed forms and an independent search."""

import numpy as np
import pytest
from scipy import optimize, stats

from vaelib.widgets.ruler_lab import MOST, RulerLab, reach_of, top_of


@pytest.fixture
def lab():
    made = RulerLab()
    yield made
    made.close()


def test_curves_and_the_true_kl(lab):
    now, x = lab.numbers(d=2.0, sigma=1.5), np.linspace(-4, 11, 201)
    np.testing.assert_allclose(now["q"], stats.norm.pdf(x, 2, 1.5))
    np.testing.assert_allclose(now["p"], stats.norm.pdf(x))
    expected = stats.norm.logpdf(x, 2, 1.5) - stats.norm.logpdf(x)
    np.testing.assert_allclose(now["true_log_odds"], expected, atol=1e-10)
    assert now["kl"] == pytest.approx(0.5 * (1.5**2 + 4 - 1) - np.log(1.5))


def test_the_critic_is_where_an_independent_search_ends(lab):
    now = lab.numbers(num="50", d=1.3, sigma=0.8, seed=3)
    x = np.concatenate([now["from_q"], now["from_p"]])
    z, sign = (x - x.mean()) / x.std(), np.repeat([1.0, -1.0], 50)
    f = np.stack([np.ones(100), z, z**2], axis=1)
    loss = lambda w: np.sum(np.logaddexp(0, -sign * (f @ w))) + 0.5 * w @ w  # noqa: E731
    w = optimize.minimize(loss, np.zeros(3), options={"gtol": 1e-7}).x
    assert now["critic_kl"] == pytest.approx(np.mean(f[:50] @ w), abs=1e-4)


@pytest.mark.parametrize("num", ["50", "500", "5000"])
def test_the_critic_stops_near_the_logarithm_of_n_and_contrast_does_not(lab, num):
    for seed in range(3):
        now = lab.numbers(num=num, d=8.0, seed=seed)
        assert now["kl"] == 32.0
        assert abs(now["critic_kl"] - now["log_n"]) < 1
        # The mean of 8 ε + ε²/2 over n samples, and the error of a critic on samples that overlap.
        assert abs(now["contrast_kl"] - 32) < 4 * 8.1 / np.sqrt(int(num)) + 8 / int(num)


def test_near_by_all_three_agree(lab):
    for seed in range(3):
        now = lab.numbers(num="5000", d=1.0, seed=seed)
        assert now["critic_kl"] == pytest.approx(0.5, abs=0.08)
        assert now["contrast_kl"] == pytest.approx(0.5, abs=0.08)


def test_samples_stay_when_their_number_grows(lab):
    few, many = lab.numbers(num="50")["from_q"], lab.numbers(num="500")["from_q"]
    np.testing.assert_array_equal(few, many[:50])
    assert stats.kstest(lab.numbers(num=str(MOST), d=0.0)["from_q"], "norm").pvalue > 1e-3


def test_the_still_picture_shows_the_numbers(lab):
    values = {"d": 5.0, "num": "50"}
    now, (above, bars, below) = lab.numbers(**values), lab.figure(**values).axes
    assert [bar.get_height() for bar in bars.patches] == [now["kl"], now["critic_kl"], now["contrast_kl"]]
    assert bars.get_ylim()[1] == reach_of(now) == 20 and below.get_ylim() == (-50, 50)
    np.testing.assert_array_equal(below.lines[1].get_ydata(), now["log_odds"])
    np.testing.assert_array_equal(above.lines[0].get_ydata(), now["q"])
    assert [top_of(kl) for kl in (0.2, 2.6, 1e6)] == [1, 10, 200]


@pytest.mark.parametrize("start", [{"d": -1.0}, {"sigma": 0.0}, {"num": "7"}])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(ValueError, match="received"):
        RulerLab(**start)
