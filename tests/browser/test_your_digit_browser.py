"""The reader's own digit: drawn with mouse and finger, undone, kept, and met again in another widget."""

import numpy as np
import pytest
from labs import small_vae, your_digit
from widget_page import drag, settle

from vaelib import pretrained
from vaelib.widgets import DrawDigit
from vaelib.widgets.strokes import strokes_of
from vaelib.widgets.your_digit_lab import OWN

SEVEN = [(0.2, 0.2), (0.8, 0.2), (0.6, 0.5), (0.4, 0.85)]
BAR = [(0.3, 0.55), (0.7, 0.55)]


def surface(page):
    """The place of the black square that one draws on."""
    return page.locator("#lab .cell svg").first.locator("rect[fill='#000000']").bounding_box()


def values(page):
    return page.evaluate("window.pads.lab.model.get('values')")


def test_strokes_of_the_mouse_become_the_image_that_python_makes_of_them(open_page):
    lab = your_digit("bound")
    page = open_page(lab=lab)
    page.get_by_role("button", name="Clear").click()
    settle(page)
    assert "Draw a digit" in page.inner_text("#lab .readout")
    for count, path in enumerate((SEVEN, BAR), 1):
        drag(page, path, surface(page))
        settle(page)
        strokes = strokes_of(values(page)["drawing"])
        assert values(page)["image"] == OWN and len(strokes) == count
        np.testing.assert_allclose([strokes[-1][0], strokes[-1][-1]], [path[0], path[-1]], atol=0.02)
    now = lab.numbers(**values(page))
    assert f"ELBO {now['elbo']:.2f}".replace("-", "\u2212") in page.inner_text("#lab .readout")
    page.get_by_role("button", name="Undo").click()
    settle(page)
    assert len(strokes_of(values(page)["drawing"])) == 1
    # An image in its place; the next stroke begins a drawing of its own.
    page.get_by_label("the image", exact=True).select_option("a 4")
    drag(page, BAR, surface(page))
    settle(page)
    assert values(page)["image"] == OWN and len(strokes_of(values(page)["drawing"])) == 1


def test_a_finger_draws_and_does_not_scroll(open_page):
    page = open_page(touch=True, lab=your_digit("code"))
    page.get_by_role("button", name="Clear").click()
    box = surface(page)
    client = page.context.new_cdp_session(page)
    for kind, (x, y) in (("touchStart", BAR[0]), ("touchMove", (0.5, 0.8)), ("touchMove", BAR[1])):
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settle(page)
    (stroke,) = strokes_of(values(page)["drawing"])
    np.testing.assert_allclose(stroke[-1], BAR[1], atol=0.02)
    assert page.evaluate("scrollY") == 0


def test_the_drawing_is_kept_for_the_next_lesson(open_page, site):
    page = open_page(lab=your_digit("code"))
    assert page.evaluate("localStorage.length") == 0
    page.get_by_role("button", name="Clear").click()
    drag(page, SEVEN, surface(page))
    settle(page)
    drawn = values(page)["drawing"]
    # Another lab of another lesson, and the pad that draws in MNIST's size.
    _, x, labels = small_vae()
    site.show(lab=your_digit("posterior"), pad=DrawDigit(pretrained.load("mnist"), points=x[:2, :2], labels=labels[:2]))
    page.reload()
    page.wait_for_function("window.ready")
    settle(page)
    assert values(page) == {"image": OWN, "drawing": drawn}
    assert page.evaluate("window.pads.pad.model.get('strokes')") == [
        [pytest.approx(point) for point in stroke] for stroke in strokes_of(drawn)
    ]
    # Reset brings the start back, and the drawing stays kept; what was kept in bad form is left alone.
    page.evaluate("localStorage.setItem('vaelib-drawing', '12-x')")
    page.reload()
    page.wait_for_function("window.ready")
    settle(page)
    assert values(page) == your_digit("code").start
