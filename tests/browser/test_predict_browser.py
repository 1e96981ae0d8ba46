"""Predict first, in the browser: commit, then the answer is laid over the guess, and the guess stands."""

import numpy as np
import pytest
from labs import LABS
from widget_page import settle


@pytest.fixture
def lab(request):
    made = LABS[request.param]()
    yield made
    made.close()


def text(page):
    return page.inner_text("#lab .readout")


@pytest.mark.parametrize("lab", ["predict_place"], indirect=True)
def test_a_marker_is_dragged_and_the_miss_is_told(open_page, lab):
    page = open_page(lab=lab)
    show = page.get_by_role("button", name="Show the answer")
    assert show.is_disabled()  # no answer before a guess
    assert "0.083" not in page.inner_text("#lab")
    page.locator("#lab .handle").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    settle(page)
    show.click()
    settle(page)
    guess = page.evaluate("window.pads.lab.model.get('values').guess")
    assert guess == pytest.approx(0.45)
    assert f"It is 0.083 nats. You said 0.450: {lab.numbers(guess=guess)['miss']:.3f} nats away." in text(page)
    page.keyboard.press("ArrowLeft")
    page.locator("#lab .handle").press("ArrowLeft")
    settle(page)
    assert page.evaluate("window.pads.lab.model.get('values').guess") == guess  # committed
    page.get_by_role("button", name="Ask me again").click()
    settle(page)
    assert page.evaluate("window.pads.lab.model.get('values')") == {"guess": 0.5, "revealed": False}
    page.wait_for_function("!document.querySelector('#lab').innerText.includes('0.083')")


@pytest.mark.parametrize("lab", ["predict_curve"], indirect=True)
def test_a_curve_is_sketched_with_the_mouse(open_page, lab):
    page = open_page(lab=lab)
    box = page.locator("#lab svg.plot").bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 200, steps=60)
    page.mouse.up()
    settle(page)
    values = page.evaluate("window.pads.lab.model.get('values')")
    heights = [values[f"knot{i}"] for i in range(9)]
    assert np.all(np.diff(heights) < 0)  # drawn from the upper left to the lower right
    page.get_by_role("button", name="Show the answer").click()
    settle(page)
    assert f"{lab.numbers(**values)['miss']:.3f} nats away" in text(page)


@pytest.mark.parametrize("lab", ["predict_choice"], indirect=True)
def test_a_wrong_choice_and_the_right_one_are_marked(open_page, lab):
    page = open_page(lab=lab)
    page.get_by_role("radio", name="two").click()
    page.get_by_role("button", name="Show the answer").click()
    settle(page)
    marks = page.locator("#lab [role=radio]").evaluate_all("all => all.map((one) => one.dataset.mark)")
    assert marks == ["wrong", "right"]
    assert text(page) == "No. The answer is: four\nTwice two."
