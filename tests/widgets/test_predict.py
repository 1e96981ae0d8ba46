"""Predict first: nothing of the answer shows before it is asked for, and the miss is what NumPy says."""

import numpy as np
import pytest

from vaelib.widgets import PredictChoice, PredictCurve, PredictPlace

X = np.linspace(-2, 2, 41)


def test_the_miss_is_the_distance():
    place = PredictPlace("How deep?", 0.25, 0.0, 1.0, "gap")
    assert place.numbers(guess=0.7)["miss"] == pytest.approx(0.45)
    curve = PredictCurve("How?", X, 3 * X + 1, (-6.0, 8.0), "x", "y", num_knots=5)
    on_the_line = {f"knot{i}": 3 * x + 1 for i, x in enumerate([-2, -1, 0, 1, 2])}
    assert curve.numbers(**on_the_line)["miss"] == pytest.approx(0.0, abs=1e-12)
    above = curve.numbers(**{name: height + 0.5 for name, height in on_the_line.items()})
    assert (above["miss"], above["worst"]) == pytest.approx((0.5, 0.5))
    choice = PredictChoice("How many?", ["two", "four"], "four")
    assert [choice.numbers(guess=guess)["right"] for guess in ("", "two", "four")] == [0, 0, 1]
    for lab in (place, curve, choice):
        lab.close()


def test_the_still_picture_holds_the_question_and_not_the_answer():
    curve = PredictCurve("How?", X, X**2, (-1.0, 5.0), "x", "y")
    (sketch, knots) = curve.figure().axes[0].lines
    assert sketch.get_ydata() == pytest.approx(np.full(41, 2.0))  # where every reader starts
    assert len(knots.get_ydata()) == 9
    place = PredictPlace("How deep?", 0.25, 0.0, 1.0, "gap")
    assert [line.get_xdata()[0] for line in place.figure().axes[0].lines] == [0.5]
    for lab in (curve, place):
        data, _ = lab._repr_mimebundle_()
        assert lab.question in data["text/plain"]
        lab.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PredictChoice("?", ["a", "b"], "c"), "answer must be one of"),
        (lambda: PredictChoice("?", ["a"], "a"), "at least two options"),
        (lambda: PredictPlace("?", 2.0, 0.0, 1.0, "gap"), "truth must lie from low = 0 to high = 1; received 2.0"),
        (lambda: PredictPlace("?", float("nan"), 0.0, 1.0, "gap"), "received nan"),
        (lambda: PredictCurve("?", X[::-1], X, (0, 1), "x", "y"), "x must rise"),
        (lambda: PredictCurve("?", X, X[1:], (0, 1), "x", "y"), "have its shape"),
        (lambda: PredictCurve("?", X, X, (5.0, 6.0), "x", "y"), "truth must show"),
    ],
)
def test_a_question_without_its_answer_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
