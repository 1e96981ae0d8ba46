"""Every lab of every lesson, on the built site with the network blocked: moved by keys, mouse and touch."""

import json

import pytest
from site_pages import ROOT

from vaelib.mime import LAB_MIME

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


def labs_in(path):
    """How many outputs of a committed lesson hold a lab."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return sum(LAB_MIME in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))


LESSONS = {path.stem: labs_in(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if labs_in(path)}


def picture(lab):
    """What a lab shows, after the next two frames."""
    return lab.evaluate(
        """async (lab) => {
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return lab.querySelector(".picture").innerHTML;
        }"""
    )


def drag(page, finger, x, y, dx):
    """By the finger of a touch screen, or by the mouse if it is None."""
    if finger is None:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y, steps=5)
        page.mouse.up()
        return
    for kind, share in (("touchStart", 0), ("touchMove", 0.5), ("touchMove", 1), ("touchEnd", None)):
        points = [] if share is None else [{"x": x + share * dx, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_the_theory_lessons_and_two_more_have_labs():
    assert {name[:2] for name in LESSONS} >= {"01", "02", "04", "05", "06", "10", "11"}


@pytest.mark.parametrize("name", LESSONS)
def test_every_lab_of_a_page_is_alive(lessons, visit, name):
    page = visit(lessons / f"{name}.html", has_touch=True)
    client = page.context.new_cdp_session(page)
    page.wait_for_function(f"document.querySelectorAll('.explorer.live .vaelib-lab').length === {LESSONS[name]}")
    for lab in page.locator(".vaelib-lab").all():
        lab.scroll_into_view_if_needed()
        expect(lab.locator(".readout")).not_to_be_empty()  # a lab draws when it has learned its width, in a later frame
        for hold in lab.locator("input[type=range]").all():
            before = picture(lab)
            for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):  # at an end of the range one way is closed
                hold.press(key)
                if picture(lab) != before:
                    break
            assert picture(lab) != before
        for handle in lab.locator(".handle").all():
            for finger in (None, client):
                before = picture(lab)
                for dx in (30, -60):
                    handle.scroll_into_view_if_needed()
                    box = handle.bounding_box()
                    drag(page, finger, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, dx)
                    if picture(lab) != before:
                        break
                else:  # a handle that only goes up and down
                    handle.focus()
                    page.keyboard.press("ArrowUp")
                assert picture(lab) != before, "touch" if finger else "mouse"
