"""The lab of two causes in Python: its numbers against the theory, where its balls go, and its still picture."""

import numpy as np
import pytest

from vaelib.theory.wake_sleep import TwoCauses
from vaelib.widgets.causes_lab import NUM_STEPS, SURFACES, CausesLab


@pytest.fixture
def lab():
    made = CausesLab()
    yield made
    made.close()


def test_wake_goes_to_a_corner_and_sleep_to_the_middle(lab):
    awake, asleep = lab.numbers(phase="wake", steps=NUM_STEPS), lab.numbers(phase="sleep", steps=NUM_STEPS)
    assert awake["ball"] == pytest.approx([1, 0], abs=0.01) and awake["wake"][-1] == pytest.approx(np.log(2), abs=0.02)
    assert asleep["ball"] == pytest.approx([0.5, 0.5], abs=0.01)
    assert asleep["wake"][-1] == pytest.approx(3.9604, abs=0.001)
    assert np.all(np.diff(awake["wake"]) < 0) and np.all(np.diff(asleep["sleep"])[:20] < 0)
    assert np.all(np.diff(asleep["wake"])[:20] > 0) and np.all(np.diff(asleep["wake"]) > -1e-12)  # uphill
    assert lab.numbers(q_1=0.2, q_2=0.7, phase="wake", steps=NUM_STEPS)["ball"] == pytest.approx([0, 1], abs=0.01)


def test_losses_and_probabilities_are_those_of_the_theory(lab):
    now, model = lab.numbers(q_1=0.7, q_2=0.4, phase="sleep", steps=7), TwoCauses()
    np.testing.assert_allclose(now["wake"][7], model.wake(now["ball"]))
    np.testing.assert_allclose(now["sleep"][7], model.sleep(now["ball"]))
    np.testing.assert_allclose(now["q"], model.probabilities(now["ball"]))
    np.testing.assert_allclose(now["p"], model.posterior)
    assert now["way"][0] == pytest.approx([0.7, 0.4])


def test_the_still_picture_shows_the_numbers(lab):
    values = {"steps": 30, "phase": "sleep", "surface": SURFACES[1]}
    now, (square, bars, losses) = lab.numbers(**values), lab.figure(**values).axes
    assert square.get_title(loc="left") == SURFACES[1]
    assert square.lines[-1].get_xydata()[0] == pytest.approx(now["ball"])
    assert [patch.get_height() for patch in bars.patches[4:]] == pytest.approx(now["q"])
    assert losses.lines[0].get_ydata() == pytest.approx(now["wake"][:31])


@pytest.mark.parametrize("start", [{"q": (0.0, 0.5)}, {"phase": "dream"}, {"surface": "flat"}, {"steps": 101}])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(ValueError, match="received"):
        CausesLab(**start)
