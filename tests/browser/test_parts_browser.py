"""The lab of lesson 08 in a browser: sockets by mouse, touch and keyboard, rows to click, text for all of it."""

import pytest
from labs import parts
from widget_page import rest, settle


@pytest.fixture(scope="module")
def lab():
    lab = parts()
    lab.values = {"part": "base"}
    yield lab
    lab.close()


def part_of(page):
    return page.evaluate("window.pads.lab.model.get('values').part")


def test_a_click_puts_the_next_part_in_and_at_last_the_base_again(open_page, lab):
    page = open_page(lab=lab)
    socket = page.locator("#lab .socket").nth(1)
    for expected in ("one", "two", "base", "one"):
        socket.click()
        settle(page)
        assert part_of(page) == expected
    assert socket.get_attribute("aria-pressed") == "true"
    assert "puts in two" in socket.get_attribute("aria-description")
    assert page.inner_text("#lab .change").split("\n") == ["− part=one", "+ part=one()"]
    page.locator("#lab .socket").nth(4).click()  # another socket: its first part, and the base's back in this one
    settle(page)
    assert part_of(page) == "three"
    assert socket.get_attribute("aria-pressed") == "false"
    assert "diagonal normal" in socket.inner_text()


def test_keyboard_and_finger_do_the_same(open_page, lab):
    page = open_page(touch=True, lab=lab)
    page.locator("#lab .socket").nth(4).focus()
    page.keyboard.press("Enter")
    settle(page)
    assert part_of(page) == "three"
    page.locator("#lab .socket").nth(1).tap()
    # The browser makes a click of a tap when the finger has gone.
    page.wait_for_function("window.pads.lab.model.get('values').part === 'one'")


def test_a_row_of_the_plot_is_a_part_and_the_top_row_the_base(open_page, lab):
    page = open_page(lab=lab)
    for row, expected in ((2, "two"), (1, "one")):
        page.evaluate("window.pads.lab.model.set('values', {part: 'base', all: false})")
        settle(page)
        labels = page.locator("#lab svg.plot >> nth=0 >> .axes text[text-anchor=end]")
        box = labels.filter(has_text=["base", "one", "two", "three", "four"][row]).bounding_box()
        plot = page.locator("#lab svg.plot").nth(0).bounding_box()
        page.mouse.click(plot["x"] + 0.7 * plot["width"], box["y"] + box["height"] / 2)
        settle(page)
        assert part_of(page) == expected


def test_the_text_tells_the_numbers_of_python(open_page, lab):
    page = open_page(lab=lab)
    page.evaluate("window.pads.lab.model.set('values', {part: 'four', all: false})")
    settle(page)
    now = lab.numbers(part="four", all=False)
    i = now["names"].index("four") - 1
    mean, half = now["elbo_mean"][i], now["elbo_half"][i]
    expected = f"ELBO {mean:+.1f} nats, interval {mean - half:+.1f} to {mean + half:+.1f}".replace("-", "−")
    rest(page)
    assert expected in page.inner_text("#lab .readout")
    page.wait_for_function("document.querySelector('#lab .spoken').textContent.includes('four')")


def test_grey_pixels_have_a_plot_of_their_own(open_page, lab):
    page = open_page(lab=lab)
    page.locator("#lab .socket").nth(2).click()
    settle(page)
    labels = page.locator("#lab svg.plot >> nth=0 >> .axes text[text-anchor=end]").all_text_contents()
    assert labels == ["base on grey", "five"]
    assert "read as a density" in page.inner_text("#lab .readout")
