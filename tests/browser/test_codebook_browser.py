"""The lab of code vectors in the browser: codes are dragged, a step moves them, and a dead one comes to life."""

import pytest
from widget_page import settle

from vaelib.widgets.codebook_lab import CodebookLab


@pytest.fixture
def lab():
    made = CodebookLab()
    yield made
    made.close()


def values_of(page):
    return page.evaluate("window.pads.lab.model.get('values')")


def test_a_code_is_dragged_by_mouse_and_by_keys(open_page, lab):
    page = open_page(lab=lab)
    handle = page.get_by_role("slider", name="code 6", exact=True)
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 60, box["y"] + box["height"] / 2 + 60, steps=4)
    page.mouse.up()
    settle(page)
    dragged = values_of(page)
    assert dragged["x_5"] < 3.4 and dragged["y_5"] < 3.4
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    settle(page)
    moved = values_of(page)
    assert moved["x_5"] == pytest.approx(dragged["x_5"] - 0.1, abs=2e-3)
    assert moved["y_5"] == pytest.approx(dragged["y_5"] + 0.1, abs=2e-3)


def test_a_step_is_pythons_and_a_dead_code_comes_to_life(open_page, lab):
    page = open_page(lab=lab)
    before = lab.numbers()
    page.get_by_role("button", name="One Lloyd step", exact=True).click()
    settle(page)
    now = values_of(page)
    found = [[now[f"{axis}_{k}"] for axis in "xy"] for k in range(6)]
    assert found == pytest.approx(before["next"], abs=6e-4)  # on the sliders' steps
    assert "dead codes: 1" in page.inner_text("#lab .readout")
    page.get_by_role("button", name="Revive a dead code", exact=True).click()
    settle(page)
    assert "dead codes: 0" in page.inner_text("#lab .readout")
    after = values_of(page)
    assert any([after["x_5"], after["y_5"]] == pytest.approx(list(point), abs=1e-3) for point in lab.points)
