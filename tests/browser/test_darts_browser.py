"""The darts lab's picture is the mathematics: k on its curve, bars of the right height, the flag where it belongs."""

import numpy as np
import pytest
from widget_page import settle

from vaelib.widgets.darts_lab import DartsLab


@pytest.fixture
def lab():
    made = DartsLab()
    yield made
    made.close()


def put(page, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", values)
    settle(page)


def test_k_is_shown_as_a_count_and_moved_by_keys(open_page, lab):
    page = open_page(lab=lab)
    slider = page.get_by_role("slider", name="k, how many darts")
    assert slider.get_attribute("aria-valuetext") == "10"
    slider.focus()
    for _ in range(20):  # twenty steps of a twentieth of a decade
        page.keyboard.press("ArrowRight")
    settle(page)
    assert slider.get_attribute("aria-valuetext") == "100"
    assert "k = 100:" in page.inner_text("#lab .readout")


def test_k_is_dragged_along_the_curve(open_page, lab):
    page = open_page(lab=lab)
    handle = page.get_by_role("slider", name="k, on the curve of the bound")
    centre = lambda: [(b := handle.bounding_box())["x"] + b["width"] / 2, b["y"] + b["height"] / 2]  # noqa: E731
    at_ten = centre()
    put(page, **{**lab.start, "log_k": 2.0})
    at_hundred = centre()
    put(page, **lab.start)
    page.mouse.move(*at_ten)
    page.mouse.down()
    page.mouse.move(at_hundred[0], at_ten[1], steps=6)
    page.mouse.up()
    settle(page)
    assert page.evaluate("window.pads.lab.model.get('values').log_k") == pytest.approx(2.0, abs=0.02)
    assert centre() == pytest.approx(at_hundred, abs=1.5)  # the handle rides on the curve


@pytest.mark.parametrize(("sigma", "flagged"), [(0.5, True), (0.7, True), (0.72, False), (1.5, False)])
def test_the_flag_stands_where_the_variance_is_infinite(open_page, lab, sigma, flagged):
    page = open_page(lab=lab)
    put(page, **{**lab.start, "sigma": sigma})
    assert ("infinite variance" in page.locator("#lab svg.plot").first.inner_html()) is flagged
    assert ("infinite variance" in page.inner_text("#lab .readout")) is flagged


def test_bars_are_as_high_as_their_numbers(open_page, lab):
    page = open_page(lab=lab)
    values = {**lab.start, "posterior": "two peaks", "sigma": 1.1, "log_k": 2.0}
    put(page, **values)
    now = lab.numbers(**values)
    plot = page.locator("#lab svg.plot").nth(3)
    heights = [
        float(plot.locator(f"rect[fill='var(--{colour})']").get_attribute("height")) for colour in ("grey", "purple")
    ]
    logs = np.log([now["k"] / 0.8, now["effective_size"] / 0.8])
    assert heights[1] / heights[0] == pytest.approx(logs[1] / logs[0])
