"""The labs of lesson 05 in a browser: the race runs, stops and begins again; noise can be drawn anew."""

import pytest
from widget_page import settle

from vaelib.widgets.gradient_lab import GradientLab
from vaelib.widgets.gradient_race import NUM_STEPS, GradientRace


@pytest.fixture
def race(open_page):
    lab = GradientRace()
    lab.values = {"dimension": 2, "steps": 0}
    yield open_page(lab=lab), lab
    lab.close()


def value(page, name):
    return page.evaluate(f"window.pads.lab.model.get('values').{name}")


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()
    settle(page)


# Pause after three steps; in the page, because the race may be over before an answer comes from there.
PAUSE = """() => new Promise((done) => {
  const { model } = window.pads.lab;
  const watch = () => {
    if (model.get("values").steps <= 3) return;
    model.off("change:values", watch);
    queueMicrotask(() => { // after this frame, before the next one
      [...document.querySelectorAll("#lab button")].find((button) => button.textContent === "Pause").click();
      done(model.get("values").steps);
    });
  };
  model.on("change:values", watch);
})"""


def test_the_race_runs_to_its_end_and_begins_again(race):
    page, _ = race
    press(page, "Run")
    paused = page.evaluate(PAUSE)
    settle(page)
    assert 3 < paused < NUM_STEPS and value(page, "steps") == paused
    page.evaluate("frames_(30)")
    assert value(page, "steps") == paused
    press(page, "Run")
    page.wait_for_function(f"window.pads.lab.model.get('values').steps === {NUM_STEPS}")
    page.get_by_role("button", name="Run", exact=True).wait_for()  # it has stopped by itself
    press(page, "Run")
    assert value(page, "steps") < NUM_STEPS


def test_steps_one_by_one_and_back_to_the_start(race):
    page, lab = race
    for expected in (1, 2, 3):
        press(page, "Step")
        assert value(page, "steps") == expected
    distance = lab.numbers(steps=3)["pathwise"][3]
    assert "after 3 steps in 2 dimensions, distance to the optimum: score function" in page.inner_text("#lab .readout")
    assert f"pathwise {distance:.3f}" in page.inner_text("#lab .readout")
    press(page, "To the start")
    assert value(page, "steps") == 0


def test_who_is_lost_is_named_and_leaves_the_picture(race):
    page, lab = race
    now = lab.numbers(dimension=64, steps=NUM_STEPS)
    page.evaluate("v => window.pads.lab.model.set('values', v)", {**lab.start, "dimension": 64})
    settle(page)
    assert f"score function lost at step {now['lost']}" in page.inner_text("#lab .readout")
    assert "NaN" not in page.evaluate("document.querySelector('#lab .picture').innerHTML")


@pytest.mark.parametrize("make", [GradientLab, GradientRace])
def test_new_noise_takes_the_next_seed(open_page, make):
    lab = make()
    page = open_page(lab=lab)
    before = page.inner_text("#lab .readout")
    press(page, "New noise")
    assert value(page, "seed") == 1
    assert "that of seed 1" in page.inner_text("#lab .readout") != before
    lab.close()


def test_the_axis_of_the_estimates_follows_the_function(open_page):
    lab = GradientLab()
    page = open_page(lab=lab)
    for function, ends in (("step at 0", ["−4", "4"]), ("z²", ["−10", "10"])):
        page.get_by_label("the function f", exact=True).select_option(function)
        settle(page)
        ticks = page.evaluate(
            "[...document.querySelectorAll('#lab svg.plot')[1].querySelectorAll('.axes text')].map(t => t.textContent)"
        )
        numbers = [tick for tick in ticks if tick.lstrip("−").isdigit()]
        assert [numbers[0], numbers[-1]] == ends
    lab.close()
