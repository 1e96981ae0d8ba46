"""The ruler lab's picture is the mathematics: bars of the right height, and a density that is dragged by hand."""

import pytest
from widget_page import settle

from vaelib.widgets.ruler_lab import RulerLab, reach_of


@pytest.fixture
def lab():
    made = RulerLab()
    yield made
    made.close()


def put(page, **values):
    page.evaluate("(values) => window.pads.lab.model.set('values', values)", values)
    settle(page)


def test_bars_are_as_high_as_their_numbers(open_page, lab):
    page = open_page(lab=lab)
    for values in ({"d": 1.0}, {"d": 6.0}, {"d": 8.0, "num": "50"}):
        put(page, **{**lab.start, **values})
        now = lab.numbers(**{**lab.start, **values})
        bars = page.locator("#lab svg.plot").nth(1)
        heights = [float(bars.locator("rect[fill-opacity='1']").nth(k).get_attribute("height")) for k in range(3)]
        expected = [now["kl"], now["critic_kl"], now["contrast_kl"]]
        assert [each / heights[0] for each in heights] == pytest.approx(
            [each / expected[0] for each in expected], rel=1e-3
        )
        assert min(expected) > 0 and reach_of(now) >= max(expected)
        assert f"says {now['critic_kl']:.2f}" in page.inner_text("#lab .readout")


def test_q_is_dragged_away(open_page, lab):
    page = open_page(lab=lab)
    handle = page.get_by_role("slider", name="the peak of q: its mean")
    centre = lambda: [(b := handle.bounding_box())["x"] + b["width"] / 2, b["y"] + b["height"] / 2]  # noqa: E731
    near = centre()
    put(page, **{**lab.start, "d": 6.0})
    far = centre()
    put(page, **lab.start)
    page.mouse.move(*near)
    page.mouse.down()
    page.mouse.move(far[0], near[1], steps=6)
    page.mouse.up()
    settle(page)
    assert page.evaluate("window.pads.lab.model.get('values').d") == pytest.approx(6.0, abs=0.05)


def test_new_samples(open_page, lab):
    page = open_page(lab=lab)
    before = page.inner_text("#lab .readout")
    page.get_by_role("button", name="New samples").click()
    settle(page)
    assert page.inner_text("#lab .readout") != before
    assert page.evaluate("window.pads.lab.model.get('values').seed") == 1
