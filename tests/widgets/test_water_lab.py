"""The water lab in Python: its rates and errors against coding many digits, its pictures against their definitions."""

import math

import numpy as np
import pytest

from vaelib.widgets.strokes import strokes_of, to_image
from vaelib.widgets.water_lab import LOWEST, MOST, WaterLab
from vaelib.widgets.your_digit_lab import OWN, THREE

RNG = np.random.default_rng(0)
DIRECTIONS = np.linalg.qr(RNG.standard_normal((784, 784)))[0]
VARIANCES = np.concatenate([[2.0, 1.2, 0.6, 0.3], np.full(780, 0.01)])
MEAN = RNG.uniform(0, 0.5, 784)
EXAMPLES = {"one": RNG.uniform(size=(28, 28)), "two": RNG.uniform(size=784)}


@pytest.fixture
def lab():
    made = WaterLab(MEAN, VARIANCES, DIRECTIONS, EXAMPLES)
    yield made
    made.close()


def test_rates_and_errors_are_those_of_a_coded_source(lab):
    """Against 40,000 draws of the source: the KL of q, and what a draw of q misses, in each direction."""
    now, n = lab.numbers(level=0.5), 40_000
    assert now["alive"] == 3 and now["rates"][3] == 0 and now["errors"][3] == 0.3
    source = RNG.standard_normal((n, 4)) * np.sqrt(VARIANCES[:4])
    kept = np.maximum(1 - 0.5 / VARIANCES[:4], 0)
    mu, var = np.where(kept, np.sqrt(kept / VARIANCES[:4]) * source, 0.0), 1 - kept
    kl = 0.5 * (mu**2 + var - 1 - np.log(var))
    z = mu + np.sqrt(var) * RNG.standard_normal((n, 4))
    missed = (source - np.sqrt(np.maximum(VARIANCES[:4] - 0.5, 0)) * z) ** 2
    for found, draws in ((now["rates"], kl), (now["errors"], missed)):
        assert np.all(np.abs(found - draws.mean(axis=0)) < 4.5 * draws.std(axis=0) / math.sqrt(n) + 1e-12)
    assert now["rate"] == pytest.approx(now["rates"].sum())
    assert now["error"] == pytest.approx(now["errors"].sum() + 7.8)


def test_what_is_rebuilt_is_the_digit_in_the_directions_above_the_water(lab):
    x = np.round(255 * np.ravel(EXAMPLES["one"])) / 255
    now = lab.numbers(level=LOWEST, image="one")
    expected = MEAN + DIRECTIONS[:, :4] @ ((1 - LOWEST / VARIANCES[:4]) * (DIRECTIONS[:, :4].T @ (x - MEAN)))
    np.testing.assert_allclose(now["rebuilt"], expected, atol=0.02)  # eigen-digits come in 255 greys
    for level in (2.0, 1.2, 0.6, 0.3):
        at = lab.numbers(level=level, image="one")
        assert at["alive"] == np.sum(VARIANCES > level)  # one dies exactly where the water reaches it
    drowned = lab.numbers(level=2.0, image="one")
    np.testing.assert_array_equal(drowned["rebuilt"], lab.mean)
    np.testing.assert_array_equal(drowned["drawn"], lab.mean)
    np.testing.assert_array_equal(lab.weakest(drowned), 0.5)
    assert drowned["rate"] == 0 and drowned["error"] == pytest.approx(VARIANCES.sum())


def test_the_drawing_is_the_image_that_other_lessons_make_of_it(lab):
    np.testing.assert_allclose(lab.numbers()["pixels"], to_image(strokes_of(THREE)).ravel(), atol=1e-7)
    assert not lab.numbers(drawing="")["pixels"].any()
    assert lab.start["image"] == OWN


def test_the_curve_holds_the_point(lab):
    now = lab.numbers(level=0.7)
    assert np.all(np.diff(now["curve_rates"]) < 0) and np.all(np.diff(now["curve_errors"]) > 0)
    assert np.interp(0.7, lab.levels, now["curve_errors"]) == pytest.approx(now["error"], rel=1e-3)
    assert np.interp(0.7, lab.levels, now["curve_rates"]) == pytest.approx(now["rate"], rel=0.02)


def test_the_still_picture_shows_the_numbers(lab):
    now = lab.numbers(level=0.5, image="two")
    bars, curve, *squares = lab.figure(level=0.5, image="two").axes
    heights = [patch.get_y() + patch.get_height() for patch in bars.patches[1:]]
    assert heights[:4] == pytest.approx(now["errors"]) and heights[4:] == pytest.approx(VARIANCES[:3])
    assert (curve.lines[1].get_xdata()[0], curve.lines[1].get_ydata()[0]) == (now["rate"], now["error"])
    assert len(squares) == 4


def test_it_is_small_enough_for_a_page():
    variances = np.concatenate([np.linspace(5, 0.11, MOST), np.zeros(784 - MOST)])
    with_all = WaterLab(MEAN, variances, DIRECTIONS, {str(i): EXAMPLES["one"] for i in range(10)})
    assert len(str(with_all.spec)) < 100_000
    with_all.close()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mean": np.zeros(64)}, r"mean and variances must have shape \(784,\)"),
        ({"directions": np.eye(784)[:, :9]}, r"directions \(784, 784\); received .*\(784, 9\)"),
        ({"variances": VARIANCES[::-1]}, "variances must fall"),
        ({"variances": np.full(784, 0.01)}, "received 0 above it"),
        ({"variances": np.full(784, 1.0)}, "received 784 above it, the first 1"),
        ({"mean": np.full(784, np.nan)}, "mean"),
        ({"level": 0.0}, "start must be a number from 0.1 to 2"),
        ({"level": np.inf}, "a slider needs finite"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    given = {"mean": MEAN, "variances": VARIANCES, "directions": DIRECTIONS, "examples": EXAMPLES, **change}
    with pytest.raises(ValueError, match=message):
        WaterLab(**given)
