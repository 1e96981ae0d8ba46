"""The lab of diffusion in the browser: the schedule is dragged between its neighbours, and shapes come by a button."""

import numpy as np
import pytest
from widget_page import settle

from vaelib.theory.diffusion import cosine_schedule, level_schedule
from vaelib.widgets.diffusion_lab import APART, NUM_KNOTS, STARTS, DiffusionLab


@pytest.fixture
def lab():
    made = DiffusionLab()
    yield made
    made.close()


def knots_of(page):
    values = page.evaluate("window.pads.lab.model.get('values')")
    return [values[f"knot_{k}"] for k in range(NUM_KNOTS)]


def test_a_knot_is_dragged_and_stays_between_its_neighbours(open_page, lab):
    page = open_page(lab=lab)
    handle = page.get_by_role("slider", name="the schedule at t = 0.4", exact=True)
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 12, steps=4)
    settle(page)
    assert STARTS[3] < knots_of(page)[2] < STARTS[2]
    page.mouse.move(x, y - 300, steps=4)  # beyond the knot to the left
    page.mouse.up()
    settle(page)
    now = knots_of(page)
    assert now[2] == pytest.approx(STARTS[1] - APART, abs=0.011)
    assert now[:2] + now[3:] == list(STARTS[:2] + STARTS[3:])


def test_shapes_meet_the_ends_and_level_is_better(open_page, lab):
    page = open_page(lab=lab)
    times = np.linspace(0, 1, NUM_KNOTS)
    for name, schedule in (("Cosine", cosine_schedule()), ("Level", level_schedule())):
        page.get_by_role("button", name=name, exact=True).click()
        settle(page)
        np.testing.assert_allclose(knots_of(page), schedule.log_snr(times) / np.log(10), atol=0.006)
    assert "T = 4: bound 3.4" in page.inner_text("#lab .readout")
    page.get_by_role("button", name="Straight", exact=True).click()
    settle(page)
    assert knots_of(page) == pytest.approx(list(STARTS))
    assert "bound 5.911 nats, −log p 1.419, gap 4.4920" in page.inner_text("#lab .readout")
