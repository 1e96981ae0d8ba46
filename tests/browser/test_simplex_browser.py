"""The simplex lab's picture is the mathematics: handles stand at their probabilities, balls roll to their ends."""

import pytest
from widget_page import settle

from vaelib.widgets.simplex_lab import SimplexLab


@pytest.fixture
def lab():
    made = SimplexLab()
    yield made
    made.close()


def values_of(page):
    return page.evaluate("window.pads.lab.model.get('values')")


def put(page, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", values)
    settle(page)


def centre(page, name):
    box = page.get_by_role("slider", name=name, exact=True).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_pi_is_dragged_over_the_simplex(open_page, lab):
    page = open_page(lab=lab)
    name = "π, where the balls start"
    target = centre(page, "the target t")
    page.mouse.move(*centre(page, name))
    page.mouse.down()
    page.mouse.move(*target, steps=6)
    page.mouse.up()
    settle(page)
    now = values_of(page)
    assert [now["pi_1"], now["pi_2"]] == pytest.approx([now["t_1"], now["t_2"]], abs=0.011)
    put(page, **lab.start)
    page.mouse.move(*centre(page, name))
    page.mouse.down()
    page.mouse.move(2, 2, steps=6)  # far outside: it stays on the simplex
    page.mouse.up()
    settle(page)
    now = values_of(page)
    assert 0.02 <= now["pi_1"] and 0.02 <= now["pi_2"] and now["pi_1"] + now["pi_2"] <= 0.985


def test_the_balls_roll_when_told_to(open_page, lab):
    page = open_page(lab=lab)
    assert "press Roll" in page.inner_text("#lab .readout")
    page.get_by_role("button", name="Roll").click()
    page.wait_for_function("window.pads.lab.model.get('values').steps === 200")
    settle(page)
    ends = lab.numbers(steps=200)["end_straight"]
    assert f"straight-through at ({', '.join(f'{each:.2f}' for each in ends)})" in page.inner_text("#lab .readout")
    page.get_by_role("button", name="To the start").click()
    settle(page)
    assert values_of(page)["steps"] == 0


def test_only_the_chosen_estimator_has_arrows(open_page, lab):
    page = open_page(lab=lab)
    colours = {"score function": "purple", "Gumbel-softmax": "sky", "straight-through": "orange"}
    for estimator, colour in colours.items():
        put(page, **{**lab.start, "estimator": estimator})
        clouds = page.locator("#lab svg.plot").first.locator("path.curve[stroke-width='0.8']")
        drawn = {
            clouds.nth(i).get_attribute("stroke"): len(clouds.nth(i).get_attribute("d") or "")
            for i in range(clouds.count())
        }
        assert {name for name, length in drawn.items() if length} == {f"var(--{colour})"}
