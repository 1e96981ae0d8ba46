"""The lab of two causes in the browser: the ball is dragged, wake and sleep carry on from where it lies."""

import pytest
from widget_page import settle

from vaelib.widgets.causes_lab import NUM_STEPS, SURFACES, CausesLab


@pytest.fixture
def lab():
    made = CausesLab()
    yield made
    made.close()


def values_of(page):
    return page.evaluate("window.pads.lab.model.get('values')")


def put(page, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", values)
    settle(page)


def test_the_ball_is_dragged_and_stays_on_the_square(open_page, lab):
    page = open_page(lab=lab)
    put(page, **{**lab.start, "steps": 40})
    box = page.get_by_role("slider", name="where the ball starts", exact=True).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 40, box["y"] + box["height"] / 2 - 60, steps=5)
    settle(page)
    now = values_of(page)
    assert now["q_1"] < 0.85 and now["q_2"] > 0.15 and now["steps"] == 0
    page.mouse.move(2, 2, steps=5)  # far outside
    page.mouse.up()
    settle(page)
    now = values_of(page)
    assert 0.001 <= now["q_1"] and now["q_2"] <= 0.999


def test_wake_then_sleep_goes_on_from_where_the_ball_lies(open_page, lab):
    page = open_page(lab=lab)
    for name, loss in (("Wake", "wake loss KL(q‖p) 0.7"), ("Sleep", "wake loss KL(q‖p) 3.96")):
        before = values_of(page)
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(f"window.pads.lab.model.get('values').steps === {NUM_STEPS}")
        settle(page)
        now = values_of(page)
        assert now["phase"] == name.lower() and loss in page.inner_text("#lab .readout")
        start = lab.numbers(**{**before, "steps": before["steps"]})["ball"]
        assert [now["q_1"], now["q_2"]] == pytest.approx(start, abs=0.0011)


def test_the_chosen_surface_alone_is_shown(open_page, lab):
    page = open_page(lab=lab)
    for surface, colour in zip(SURFACES, ("orange", "purple"), strict=True):
        put(page, **{**lab.start, "surface": surface})
        groups = page.locator("#lab svg.plot").first.locator("g.curve[stroke-opacity='0.8']")
        shown = {
            groups.nth(i).get_attribute("stroke")
            for i in range(groups.count())
            if any(path.get_attribute("d") for path in groups.nth(i).locator("path").all())
        }
        assert shown == {f"var(--{colour})"}
