"""The bug-hunt lab keeps the rules of the hunt, and its state is text."""

import base64
import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import traitlets
from PIL import Image

from vaelib.teaching.bug_hunt import POINTS, PRICES
from vaelib.teaching.bugs import BUGS, CASES
from vaelib.widgets.bug_hunt_lab import ACCUSED, NOBODY, QUESTIONS, BugHuntLab


@pytest.fixture
def lab():
    lab = BugHuntLab()
    yield lab
    lab.close()
    plt.close("all")


def letter(bug):
    return ACCUSED[[each.name for each in BUGS].index(bug)]


def marks(length, **places):
    text = ["0" if length > 20 else NOBODY] * length
    for place, mark in places.items():
        text[int(place[1:])] = mark
    return "".join(text)


def test_at_the_start_every_case_is_open(lab):
    assert lab.numbers() == {"points": [POINTS] * 20, "closed": [0] * 20, "solved": 0, "score": 0}


def test_questions_cost_points_and_a_right_accusation_brings_the_rest(lab):
    k = 4  # case 5
    asked = marks(240, **{f"_{k * 12 + 3}": "1", f"_{k * 12}": "1"})
    now = lab.numbers(asked=asked)
    price = PRICES[QUESTIONS[3]] + PRICES[QUESTIONS[0]]
    assert now["points"] == [POINTS] * 4 + [POINTS - price] + [POINTS] * 15 and now["score"] == 0
    now = lab.numbers(asked=asked, accused=marks(20, **{f"_{k}": letter(CASES[k])}))
    assert now["score"] == POINTS - price and now["solved"] == 1 and now["closed"] == [0] * 4 + [1] + [0] * 15
    wrong = letter(next(bug for bug in CASES if bug != CASES[k]))
    now = lab.numbers(asked=asked, accused=marks(20, **{f"_{k}": wrong}))
    assert now["score"] == now["solved"] == 0 and now["points"][k] == 0


def test_what_cannot_be_is_refused(lab):
    with pytest.raises(traitlets.TraitError, match="asked must be 240 letters of '01'"):
        lab.values = {"asked": "1"}
    with pytest.raises(traitlets.TraitError, match="accused must be 20 letters"):
        lab.values = {"accused": "?" * 20}


def test_the_pictures_are_those_on_record(lab):
    record = lab.hunt().record
    for suspect, bug in zip(lab.spec["data"]["suspects"], CASES, strict=True):
        assert BUGS[suspect["bug"]].name == bug
        for png, images in zip(suspect["images"], record.runs[bug].images[1:], strict=True):
            shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L")) / 255
            assert shown.shape == (28, 6 * 29 - 1)
            np.testing.assert_allclose(shown[:, :28], images[0], atol=1 / 30 + 1e-6)


def test_the_still_picture_shows_what_was_asked(lab):
    still = lab.figure()
    assert len(still.axes[1].images[0].get_array()) == 28
    asked = lab.figure(asked=marks(240, _0="1", _3="1"))
    assert len(asked.axes[1].images[0].get_array()) == 57  # the test images and their copies
    detail = lab.hunt().answer(1, QUESTIONS[3]).detail
    assert detail in asked.axes[0].texts[1].get_text() and detail not in still.axes[0].texts[1].get_text()


def test_it_is_small_enough_for_a_notebook(lab):
    assert len(json.dumps(lab.spec)) < 200_000
