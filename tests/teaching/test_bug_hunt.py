"""The bug hunt: twenty models on record, each found by a check; points are counted as the rules say."""

import json

import numpy as np
import pytest

import vaelib.teaching.bug_hunt as module
from vaelib.pretrained.weights import FOLDER
from vaelib.teaching import mistakes
from vaelib.teaching.bug_hunt import (
    CHECKS,
    CODES,
    COPIES,
    FILE,
    POINTS,
    PRICES,
    Hunt,
    load_record,
    packed_bytes,
    unpacked_bytes,
)
from vaelib.teaching.bugs import BASES, BUGS, BY_NAME, CASES

TOTAL = CHECKS[0]


def test_twenty_bugs_each_in_one_case():
    assert len(BUGS) == len(BY_NAME) == len(CASES) == 20 and set(CASES) == set(BY_NAME)
    assert CASES != tuple(bug.name for bug in BUGS)
    assert {bug.base for bug in BUGS} == {"digits", "grey", "grey, no floor"} == set(BASES)


def test_the_parts_are_those_of_the_mistakes():
    wrong = {
        name
        for name, value in vars(mistakes).items()
        if not name.startswith("_") and (value.__doc__ or "").startswith("WRONG")
    }
    used = {part for bug in BUGS for part in bug.parts.values()}
    assert wrong <= used and used - wrong == {"Bernoulli"}


def test_the_record_holds_every_model_and_every_check():
    record = load_record()
    assert set(record.runs) == set(BY_NAME) | set(BASES)
    for name, run in record.runs.items():
        assert list(record.found[name]) == list(CHECKS)
        assert run.images.shape == (3, 6, 28, 28) and 0 <= run.images.min() and run.images.max() <= 1
        assert len(run.codes) == len(run.labels) and np.isfinite(run.nelbo)
    assert (FOLDER / FILE).stat().st_size < 600_000


def test_right_models_pass_every_check_and_each_bug_fails_one():
    record = load_record()
    for base in BASES:
        assert all(passed for passed, _ in record.found[base].values()), base
    assert record.matrix().shape == (20, 9) and record.matrix().any(axis=1).all()


def test_black_and_white_stays_apart_from_grey():
    record = load_record()
    for bug in BUGS:
        wrong, right, _ = record.pair(bug.name)
        np.testing.assert_array_equal(wrong.images[0], right.images[0])
        assert np.isin(wrong.images[0], (0, 1)).all() == (bug.base == "digits")


def test_points():
    hunt, bug = Hunt(), CASES[6]
    assert hunt.points(7) == POINTS and hunt.score == 0
    first = hunt.ask(7, TOTAL)
    assert first == hunt.ask(7, TOTAL) and hunt.points(7) == POINTS - PRICES[TOTAL]  # asked once, paid once
    hunt.ask(7, COPIES)
    left = POINTS - PRICES[TOTAL] - PRICES[COPIES]
    assert hunt.points(7) == left and hunt.points(8) == POINTS
    assert hunt.accuse(7, bug).startswith(f"Solved, {left} points")
    innocent = next(name for name in BY_NAME if name != CASES[7])
    assert hunt.accuse(8, innocent).startswith(f"No. It is {CASES[7]}")
    assert hunt.points(8) == 0 and hunt.solved == [7] and hunt.score == left


def test_no_case_falls_below_zero():
    hunt = Hunt()
    for question in PRICES:
        hunt.ask(3, question)
    assert hunt.points(3) == 0 < sum(PRICES.values()) - POINTS


def test_answers_are_those_on_record():
    hunt, record = Hunt(), load_record()
    for case, bug in enumerate(CASES, 1):
        for check in CHECKS:
            passed, detail = record.found[bug][check]
            assert hunt.answer(case, check) == (passed, detail.replace("-", "−"))
        assert hunt.answer(case, COPIES).passed is None
        assert f"{record.runs[bug].active_units} of 10 units" in hunt.answer(case, CODES).detail
    assert repr(hunt.answer(1, COPIES)).startswith("· grey values from")


def test_what_cannot_be_is_refused():
    hunt = Hunt()
    with pytest.raises(ValueError, match="case must be a whole number from 1 to 20"):
        hunt.log(21)
    with pytest.raises(ValueError, match="question must be one of"):
        hunt.ask(1, "is it you?")
    with pytest.raises(ValueError, match="bug must be one of"):
        hunt.accuse(1, "the butler")
    hunt.accuse(1, CASES[0])
    for ask in (lambda: hunt.ask(1, TOTAL), lambda: hunt.accuse(1, CASES[0])):
        with pytest.raises(ValueError, match=f"case 1 is closed: it was {CASES[0]}"):
            ask()


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_arrays_come_back(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    back = unpacked_bytes(json.loads(json.dumps(packed_bytes(array))))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_no_keras_is_needed():
    import subprocess
    import sys

    code = f"import sys, {module.__name__}; {module.__name__}.Hunt().log(1); sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
