"""The bends lab's picture is the mathematics: a fold shows its sheets and a bar below zero; handles ride on the map."""

import pytest
from widget_page import settle

from vaelib.widgets.bends_lab import BendsLab

FOLD = dict(constrained=False, place_a=0.0, push_a=-1.3, steep_a=16.6, push_b=0.0, sigma=0.37)


@pytest.fixture
def lab():
    made = BendsLab()
    yield made
    made.close()


def put(page, lab, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", {**lab.start, **values})
    settle(page)


def bar(page, colour):
    rect = page.locator("#lab svg.plot").nth(2).locator(f"rect[fill='var(--{colour})']")
    return [float(rect.get_attribute(name)) for name in ("y", "height")]


def test_a_fold_shows_three_noises_for_one_z_and_a_bar_below_zero(open_page, lab):
    page = open_page(lab=lab)
    dots = page.locator("#lab svg.plot").first.locator("path.dots")
    assert dots.get_attribute("d") == "" and bar(page, "vermillion")[1] == 0
    put(page, lab, **FOLD)
    now = lab.numbers(**{**lab.start, **FOLD})
    assert dots.get_attribute("d").count("M") == 3 == now["layers"].max()
    text = page.inner_text("#lab .readout")
    assert "below zero: it is no KL" in text and "up to 3 noises share one z" in text
    (below, depth), (above, height) = bar(page, "vermillion"), bar(page, "blue")
    assert below == pytest.approx(above + height)  # one hangs where the other stands
    assert depth / height == pytest.approx(-now["reported"] / now["drawn"], rel=1e-6)


def test_the_switch_takes_the_fold_away(open_page, lab):
    page = open_page(lab=lab)
    put(page, lab, **FOLD)
    page.get_by_role("checkbox", name="keep every slope above −1").focus()
    page.keyboard.press("Space")
    settle(page)
    text = page.inner_text("#lab .readout")
    assert "the map rises everywhere" in text and "below zero" not in text


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_bend_is_dragged_to_a_place_and_a_push(open_page, lab, name):
    page = open_page(lab=lab)
    handle = page.get_by_role("slider", name=f"bend {name.upper()}: its place and its push")
    centre = lambda: [(b := handle.bounding_box())["x"] + b["width"] / 2, b["y"] + b["height"] / 2]  # noqa: E731
    wanted = {f"place_{name}": -0.4, f"push_{name}": 0.9}
    put(page, lab, **wanted)
    goal = centre()
    put(page, lab)
    page.mouse.move(*centre())
    page.mouse.down()
    page.mouse.move(*goal, steps=8)
    page.mouse.up()
    settle(page)
    now = page.evaluate("window.pads.lab.model.get('values')")
    assert {key: now[key] for key in wanted} == pytest.approx(wanted, abs=0.04)
    assert centre() == pytest.approx(goal, abs=3)
