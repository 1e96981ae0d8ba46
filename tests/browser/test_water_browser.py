"""The water lab's picture is the mathematics: the water over its bars, the point on its curve, the reader's digit."""

import pytest
from labs import water
from widget_page import drag, settle

from vaelib.widgets.your_digit_lab import OWN

SEVEN = [(0.2, 0.2), (0.8, 0.2), (0.6, 0.5), (0.4, 0.85)]


@pytest.fixture
def lab():
    made = water()
    yield made
    made.close()


def put(page, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", values)
    settle(page)


def level(page):
    return page.evaluate("window.pads.lab.model.get('values').level")


def centre(handle):
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def moved(page, handle, to):
    page.mouse.move(*centre(handle))
    page.mouse.down()
    page.mouse.move(*to, steps=6)
    page.mouse.up()
    settle(page)


def test_the_water_is_dragged_to_where_the_finger_goes(open_page, lab):
    page = open_page(lab=lab)
    handle = page.get_by_role("slider", name="the water over the variances")
    start = centre(handle)
    put(page, **{**lab.start, "level": 2.5})
    above = centre(handle)
    assert above[1] < start[1]
    put(page, **lab.start)
    moved(page, handle, (start[0], above[1]))
    assert level(page) == pytest.approx(2.5, abs=0.03)
    assert "eigen-digits coded 1," in page.inner_text("#lab .readout")
    handle.focus()
    before = level(page)
    page.keyboard.press("ArrowUp")  # up is up
    settle(page)
    assert level(page) == pytest.approx(before + 0.05)


def test_the_point_rides_on_the_curve(open_page, lab):
    page = open_page(lab=lab)
    point = page.get_by_role("slider", name="the point on the curve")
    put(page, **{**lab.start, "level": 0.3})
    there = centre(point)
    put(page, **lab.start)
    assert centre(point)[0] < there[0] and centre(point)[1] < there[1]  # more rate, less error
    moved(page, point, (there[0], centre(point)[1]))
    assert level(page) == pytest.approx(0.3, abs=0.02)
    assert centre(point) == pytest.approx(there, abs=2)
    point.focus()
    page.keyboard.press("ArrowRight")  # to the right: more rate, lower water
    settle(page)
    assert level(page) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("at", [0.1, 0.5, 1.0, 3.0])
def test_bars_end_where_their_numbers_are(open_page, lab, at):
    page = open_page(lab=lab)
    put(page, **{**lab.start, "level": at})
    plot = page.locator("#lab svg.plot").first
    height = lambda colour: [  # noqa: E731
        float(bar.get_attribute("height")) for bar in plot.locator(f"rect[fill='var(--{colour})']").all()
    ]
    coded, lost, dark = (height(colour) for colour in ("blue", "orange", "grey"))
    now = lab.numbers(level=at)
    # On a logarithmic axis what stands above the water is twice the rate: one length per nat for all bars.
    lengths = [bar / rate for bar, rate in zip(coded, now["rates"], strict=True) if rate > 0]
    assert lengths == pytest.approx([lengths[0]] * len(lengths) if lengths else [])
    for k, variance in enumerate(lab.variances):
        assert (coded[k] > 0) == (lost[k] > 0) == (variance > at)
        assert (dark[k] > 0) == (variance <= at)


def test_a_drawn_digit_is_decoded(open_page, lab):
    page = open_page(lab=lab)
    page.get_by_role("button", name="Clear").click()
    settle(page)
    assert "draw a digit" in page.inner_text("#lab .readout")
    surface = page.locator("#lab .cell svg").nth(2).locator("rect[fill='#000000']").bounding_box()
    drag(page, SEVEN, surface)
    settle(page)
    values = page.evaluate("window.pads.lab.model.get('values')")
    assert values["image"] == OWN and len(values["drawing"]) >= 16
    now = lab.numbers(**values)
    assert f"from the draw: squared error {now['missed']:.1f}" in page.inner_text("#lab .readout")
    page.get_by_label("the digit", exact=True).select_option("a 1")
    settle(page)
    now = lab.numbers(**{**values, "image": "a 1"})
    assert f"from the draw: squared error {now['missed']:.1f}" in page.inner_text("#lab .readout")


def test_all_under_water_says_so(open_page, lab):
    page = open_page(lab=lab)
    put(page, **{**lab.start, "level": 3.0})
    assert "the water covers all" in page.inner_text("#lab .readout")
