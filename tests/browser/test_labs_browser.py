"""What holds for every lab: the browser's numbers are Python's, and everything the reader takes hold of moves it."""

import re

import numpy as np
import pytest
from labs import LABS, positions
from widget_page import rest, settle

# A lab's numbers come from at most some thousand operations, each with a relative error of one unit in the last place
# of what goes into it. A sum of terms that cancel loses as much of the largest: hence the scale.
ROUNDING = 4096 * np.finfo(float).eps


@pytest.fixture(scope="module", params=LABS)
def lab(request):
    made = LABS[request.param]()
    yield made
    made.close()


def picture(page, name="lab"):
    """All that is drawn, as text; a plot that was made anew has another number, which nobody sees."""
    drawn = page.evaluate(f"document.querySelector('#{name} .picture').innerHTML")
    return re.sub(r"vaelib-clip-\w+-\d+", "clip", drawn)


def put(page, values, name="lab"):
    page.evaluate("([name, values]) => window.pads[name].model.set('values', values)", [name, values])
    settle(page)


def values_of(page, name="lab"):
    return page.evaluate(f"window.pads.{name}.model.get('values')")


@pytest.mark.parametrize(
    ("num", "mixed"), [pytest.param(4, 10, id="few"), pytest.param(9, 40, id="many", marks=pytest.mark.slow)]
)
def test_numbers_equal_python(open_page, lab, num, mixed):
    page = open_page(lab=lab)
    places = positions(lab, num, mixed)
    shown = page.evaluate(
        """async (places) => {
            const { numbers } = await import("/lab.js");
            const model = window.pads.lab.model;
            const plain = (value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
            return places.map((values) => {
                const now = numbers(model.get("kind"), model.get("spec"), values);
                return Object.fromEntries(Object.entries(now).map(([name, value]) => [name, plain(value)]));
            });
        }""",
        places,
    )
    for values, browser in zip(places, shown, strict=True):
        python = lab.numbers(**values)
        assert browser.keys() == python.keys()
        for name, expected in python.items():
            expected = np.asarray(expected)
            if expected.dtype.kind in "US":
                assert browser[name] == expected.tolist(), (values, name)
                continue
            received = np.array([np.nan if x is None else x for x in np.ravel(browser[name])], float)
            scale = getattr(lab, "scales", {}).get(name, max(1.0, np.nanmax(np.abs(expected), initial=0.0)))
            np.testing.assert_allclose(
                received, np.ravel(expected), rtol=0, atol=ROUNDING * scale, err_msg=f"{name} at {values}"
            )


def test_every_control_moves_the_picture(open_page, lab):
    page = open_page(lab=lab)
    for name, control in lab.controls.items():
        put(page, lab.start)
        before, text = picture(page), page.inner_text("#lab .readout")
        others = [value for value in control.positions(9) if value != lab.start[name]]
        put(page, {**lab.start, name: others[-1]})
        assert picture(page) != before, name
        put(page, lab.start)
        assert page.inner_text("#lab .readout") == text  # and back


def test_keyboard_moves_sliders_menus_and_handles(open_page, lab):
    page = open_page(lab=lab)
    holds = page.locator("#lab input[type=range], #lab .handle")
    for i in range(holds.count()):
        put(page, lab.start)
        holds.nth(i).focus()
        before = values_of(page)
        for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):  # at an end of the range one way is closed
            page.keyboard.press(key)
            settle(page)
            if values_of(page) != before:
                break
        assert values_of(page) != before
    rest(page)
    page.wait_for_function("document.querySelector('#lab .spoken').textContent !== ''")


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_handles_can_be_dragged(open_page, lab, touch):
    page = open_page(touch=touch, lab=lab)
    handles = page.locator("#lab .handle")
    for i in range(handles.count()):
        put(page, lab.start)
        handle = handles.nth(i)
        before = values_of(page)
        drag_handle(page, handle, 30, -25, touch)
        if values_of(page) == before:
            drag_handle(page, handle, -30, 25, touch)
        assert values_of(page) != before


def drag_handle(page, handle, dx, dy, touch):
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if not touch:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y + dy, steps=4)
        page.mouse.up()
    else:
        client = page.context.new_cdp_session(page)
        for kind, share in (("touchStart", 0), ("touchMove", 0.5), ("touchMove", 1), ("touchEnd", None)):
            points = [] if share is None else [{"x": x + share * dx, "y": y + share * dy}]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        client.detach()
    settle(page)


def test_reset_brings_the_start_back(open_page, lab):
    page = open_page(lab=lab)
    before = picture(page)
    name, control = next(iter(lab.controls.items()))
    put(page, {**lab.start, name: [v for v in control.positions(5) if v != lab.start[name]][0]})
    page.click("#lab button.reset")
    settle(page)
    assert values_of(page) == pytest.approx(lab.start)
    assert picture(page) == before


def test_a_value_that_cannot_be_is_named_and_the_picture_stays_good(open_page, lab):
    page = open_page(lab=lab)
    name = next(iter(lab.controls))
    page.evaluate("(v) => window.pads.lab.model.set('values', v)", {**lab.start, name: None})
    settle(page)
    assert lab.controls[name].label in page.inner_text("#lab .status")
    assert "NaN" not in picture(page)


def test_nothing_is_wider_than_a_phone(open_page, lab):
    page = open_page(lab=lab)
    for width in (390, 800, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"innerWidth === {width}")
        settle(page)  # a lab learns its new width with the next frame, and draws with the one after
        wide = page.evaluate(
            """() => [...document.querySelectorAll('#lab *')].filter((e) => {
                const box = e.getBoundingClientRect(), root = document.querySelector('#lab').getBoundingClientRect();
                return box.width > 0 && !e.closest('.spoken') && !e.closest('[clip-path], defs')
                    && (box.right > root.right + 1 || box.left < root.left - 1);
            }).map((e) => e.outerHTML.slice(0, 120))"""
        )
        assert wide == [], width


def test_two_of_a_kind_and_nothing_left_behind(open_page, lab):
    page = open_page(lab=lab, other=lab)
    name, control = next(iter(lab.controls.items()))
    still = picture(page, "other")
    put(page, {**lab.start, name: [v for v in control.positions(5) if v != lab.start[name]][0]})
    assert picture(page, "other") == still
    page.evaluate("window.pads.lab.cleanup()")
    assert page.evaluate("document.querySelector('#lab').innerHTML") == ""
    assert page.evaluate("window.pads.lab.model.listeners.length") == 0
    put(page, lab.start)  # nobody draws, nobody complains


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_theme_is_that_of_the_page(open_page, lab, dark):
    page = open_page(dark=dark, lab=lab)
    ground = "getComputedStyle(document.querySelector('#lab .vaelib-lab')).backgroundColor"
    assert (page.evaluate(ground) == "rgb(22, 22, 22)") is dark
    page.evaluate(f"document.documentElement.dataset.theme = '{'light' if dark else 'dark'}'")
    assert (page.evaluate(ground) == "rgb(22, 22, 22)") is not dark
