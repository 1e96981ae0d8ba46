"""The simplex lab in Python: its slopes against differences, against draws, and where its balls stop."""

import numpy as np
import pytest
from scipy.special import softmax

from vaelib.theory import discrete
from vaelib.widgets import simplex_lab
from vaelib.widgets.simplex_lab import CORNERS, ESTIMATORS, LEAST, NUM_STEPS, SimplexLab

PI, T = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.3, 0.2])


@pytest.fixture
def lab():
    made = SimplexLab()
    yield made
    made.close()


def test_the_exact_slope_is_that_of_differences(lab):
    now, logits = lab.numbers(pi_1=PI[0], pi_2=PI[1], t_1=T[0], t_2=T[1]), np.log(PI)
    loss = lambda a: softmax(a) @ now["f"]  # noqa: E731
    slope = np.array([(loss(logits + 1e-5 * e) - loss(logits - 1e-5 * e)) / 2e-5 for e in np.eye(3)])
    np.testing.assert_allclose(discrete.softmax_gradient(PI, now["f"]), slope, atol=1e-9)
    np.testing.assert_allclose(now["exact_tip"], simplex_lab.tip(PI, slope), atol=1e-8)
    np.testing.assert_allclose(now["f"], [np.sum((corner - T) ** 2) for corner in np.eye(3)])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_mean_of_single_estimates_is_the_field(lab, estimator):
    u = np.random.default_rng(0).random((200_000, 2))
    single = simplex_lab.estimates(estimator, PI, T, 0.7, u)
    now = lab.numbers(estimator=estimator, tau=0.7, pi_1=PI[0], pi_2=PI[1], t_1=T[0], t_2=T[1])
    error = single.std(axis=0) / np.sqrt(len(u))
    mean = {
        "Gumbel-softmax": lambda: simplex_lab.relaxed_slope(PI, T, 0.7, simplex_lab.lattice()),
        "straight-through": lambda: discrete.softmax_gradient(PI, 2 * (PI - T)),
    }.get(estimator, lambda: discrete.softmax_gradient(PI, now["f"]))()
    assert np.all(np.abs(single.mean(axis=0) - mean) < 5 * error + 5e-4)  # the lattice is good to some 1e-4
    np.testing.assert_allclose(now["mean_tip"], simplex_lab.tip(PI, mean), atol=1e-12)
    spread = np.sqrt(np.mean(np.sum((single - mean) ** 2, axis=1)))
    assert now["spread"] == pytest.approx(spread, rel=0.5)  # of sixty estimates


def test_points_of_noise_are_those_of_gumbel_noise():
    points = simplex_lab.spacings(np.random.default_rng(1).random((100_000, 2)))
    np.testing.assert_allclose(points.sum(axis=1), 1)
    frequencies = np.bincount(np.argmax(PI / points, axis=1)) / len(points)
    np.testing.assert_allclose(frequencies, PI, atol=0.008)
    noise = -np.log(points)
    for tau in (0.3, 1.0):
        relaxed = simplex_lab.relaxed(PI, tau, points[:100])
        np.testing.assert_allclose(relaxed, discrete.relaxed_draw(np.log(PI), noise[:100], tau), atol=1e-12)


def test_where_the_balls_stop(lab):
    now = lab.numbers(steps=NUM_STEPS)
    assert np.argmin(now["f"]) == 0 and now["end_true"][0] > 0.98
    np.testing.assert_allclose(now["end_straight"], now["t"], atol=1e-3)
    assert 0.4 < now["end_relaxed"][0] < 0.95
    assert now["loss_true"][-1] < now["loss_relaxed"][-1] < now["loss_straight"][-1]
    assert np.all(np.diff(now["loss_true"]) < 0)
    for name in ("true", "relaxed", "straight"):
        np.testing.assert_allclose(now[f"way_{name}"][0], now["pi"] @ CORNERS)


def test_probabilities_stay_off_the_edges():
    for first in np.linspace(LEAST, 1 - 2 * LEAST, 9):
        for second in np.linspace(LEAST, 1 - 2 * LEAST, 9):
            pi = simplex_lab.probabilities(first, second)
            assert pi.sum() == pytest.approx(1) and pi.min() >= LEAST - 1e-12
            if first + second <= 1 - LEAST:
                assert pi[:2] == pytest.approx([first, second])


def test_the_still_picture_shows_the_numbers(lab):
    values = {"steps": 50, "estimator": "straight-through"}
    now, (left, right) = lab.numbers(**values), lab.figure(**values).axes
    assert right.lines[4].get_ydata() == pytest.approx(now["loss_straight"][:51])
    ball = left.lines[-1].get_xydata()[0]
    assert ball == pytest.approx(now["way_straight"][50])
    assert left.get_title(loc="left") == "straight-through"


@pytest.mark.parametrize("start", [{"tau": 0.0}, {"tau": -1.0}, {"estimator": "guess"}, {"steps": 201}])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(ValueError, match="received"):
        SimplexLab(**start)
