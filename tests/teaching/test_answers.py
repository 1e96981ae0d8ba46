"""The self-checks name what is off, and never stop a notebook."""

import numpy as np
import pytest

from vaelib.teaching.answers import check_answer, require_answer, seed_of

RIGHT = np.array([1.0, 2.5, -3.0])


@pytest.mark.parametrize("unanswered", [None, ...])
def test_an_unanswered_cell_passes(unanswered, capsys):
    assert check_answer(unanswered, RIGHT) is None
    assert "Your turn" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, words",
    [
        (-RIGHT, "sign"),
        (RIGHT / 784, "0.001276 times"),
        (RIGHT + 0.25, "off by the same 0.25"),
        (RIGHT + [0, 0, 0.5], "largest difference is 0.5"),
        (RIGHT * [1, np.nan, 1], "NaN"),
        (RIGHT[:, None] * np.ones((3, 4)), "sum over the last axis is missing"),
        (RIGHT.sum(), "one value per example"),
        (RIGHT[:2], "shape is (2,), and should be (3,)"),
        ("one", "this is a str"),
        ({1: 2}, "this is a dict"),
    ],
)
def test_a_wrong_answer_is_told_what_is_off(answer, words, capsys):
    assert check_answer(answer, RIGHT) is False
    assert words in capsys.readouterr().out


def test_a_known_mistake_is_named_before_a_general_hint(capsys):
    assert check_answer(2 * RIGHT, RIGHT, mistakes={"the ½ is missing.": 2 * RIGHT}) is False
    assert "the ½ is missing." in capsys.readouterr().out


def test_a_right_answer_and_one_within_rounding_are_right():
    assert check_answer(RIGHT.tolist(), RIGHT) is True
    assert check_answer(RIGHT + 1e-7, RIGHT) is True
    assert check_answer(3, 3.0) is True
    assert check_answer(0.0, 0.0) is True


@pytest.mark.parametrize("missing", [None, ...])
def test_an_assignment_needs_an_answer(missing):
    with pytest.raises(AssertionError, match="no answer"):
        require_answer(missing, RIGHT)


def test_an_assignment_says_what_is_off_and_is_silent_when_right(capsys):
    with pytest.raises(AssertionError, match="sign is the wrong way round"):
        require_answer(-RIGHT, RIGHT)
    with pytest.raises(AssertionError, match="the ½ is missing"):
        require_answer(2 * RIGHT, RIGHT, mistakes={"the ½ is missing.": 2 * RIGHT})
    assert require_answer(RIGHT, RIGHT) is None
    assert capsys.readouterr().out == ""


def test_a_student_has_one_number_for_each_assignment_and_keeps_it():
    assert seed_of("ada", "gradients") == 290006506  # a picture that was handed in must be drawn the same next year
    numbers = {seed_of(f"student {k}", name) for k in range(100) for name in ("gradients", "faces")}
    assert len(numbers) == 200 and max(numbers) < 2**32
