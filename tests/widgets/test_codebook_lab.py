"""The lab of code vectors in Python: its numbers against sums by hand, and its still picture."""

import numpy as np
import pytest

from vaelib.widgets.codebook_lab import NAMES, NUM_POINTS, START, CodebookLab


@pytest.fixture
def lab():
    made = CodebookLab()
    yield made
    made.close()


def test_its_numbers_are_sums_over_the_points(lab):
    now = lab.numbers()
    squares = np.array([[np.sum((point - code) ** 2) for code in np.array(START)] for point in lab.points])
    np.testing.assert_array_equal(now["chosen"], squares.argmin(axis=1))
    assert now["distortion"] == pytest.approx(squares.min(axis=1).mean())
    share = np.array([(now["chosen"] == k).mean() for k in range(len(NAMES))])
    np.testing.assert_allclose(now["share"], share)
    used = share[share > 0]
    assert now["perplexity"] == pytest.approx(np.exp(-np.sum(used * np.log(used))))
    assert now["bits"] == pytest.approx(np.log2(now["perplexity"])) and now["dead"] == 1


def test_a_step_moves_every_code_but_the_dead_one(lab):
    now = lab.numbers()
    np.testing.assert_allclose(now["next"][5], START[5])
    for k in range(5):
        np.testing.assert_allclose(now["next"][k], lab.points[now["chosen"] == k].mean(axis=0))
    after = lab.numbers(**{f"{axis}_{k}": now["next"][k][i] for k in range(6) for i, axis in enumerate("xy")})
    assert after["distortion"] < now["distortion"]


def test_the_still_picture_shows_the_numbers(lab):
    plane, bars = lab.figure().axes
    assert [patch.get_height() for patch in bars.patches] == pytest.approx(lab.numbers()["share"])
    assert f"{lab.numbers()['distortion']:.3f}" in plane.get_title(loc="left") + plane.get_title()
    assert sum(len(line.get_xdata()) for line in plane.lines) == NUM_POINTS + len(NAMES)


def test_a_start_off_the_plane_is_refused():
    with pytest.raises(ValueError, match="received 5.0"):
        CodebookLab([*START[:5], (5.0, 0.0)])
