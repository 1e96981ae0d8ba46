"""The bug hunt on a page: ask, accuse, read the score; by mouse, finger and keyboard, the same as in Python."""

import pytest
from widget_page import settle

from vaelib.teaching.bug_hunt import PRICES, Hunt
from vaelib.teaching.bugs import CASES
from vaelib.widgets.bug_hunt_lab import QUESTIONS, BugHuntLab

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


@pytest.fixture(scope="module")
def lab():
    lab = BugHuntLab()
    yield lab
    lab.close()


def case_button(page, case):
    return page.locator("#lab .board button").nth(case - 1)


def question(page, k):
    return page.locator("#lab .questions > div").nth(k)


def accuse(page, bug):
    page.select_option("#lab .picture select", label=bug)
    page.click("#lab .picture .buttons button")
    settle(page)


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_a_case_from_the_first_question_to_the_verdict(open_page, lab, touch):
    page, hunt = open_page(touch=touch, lab=lab), Hunt()
    press = "tap" if touch else "click"
    getattr(case_button(page, 6), press)()
    # The browser makes a click of a tap when the finger has gone.
    expect(page.locator("#lab .picture")).to_contain_text(hunt.log(6).split(": ", 1)[1])
    for k in (0, 3, 10):
        assert question(page, k).locator(".answer").inner_text() == ""
        getattr(question(page, k).locator("button"), press)()
        answer = hunt.ask(6, QUESTIONS[k])
        expect(question(page, k).locator(".answer")).to_contain_text(answer.detail)
    assert page.locator("#lab .desk figure:visible").count() == 2  # the test images, and the copies that were asked for
    assert f"{hunt.points(6)} points left" in page.inner_text("#lab .readout")
    verdict = hunt.accuse(6, CASES[5])
    accuse(page, CASES[5])
    assert verdict.split(".")[0].split(",")[0] in page.inner_text("#lab .verdict")
    assert f"Score {hunt.score}. 1 solved of 1 closed" in page.inner_text("#lab .readout")
    model = page.evaluate("window.pads.lab.model.get('values')")
    assert lab.hunt(**model).score == hunt.score == lab.numbers(**model)["score"]


def test_an_innocent_bug_closes_the_case_without_points(open_page, lab):
    page = open_page(lab=lab)
    accuse(page, next(bug for bug in CASES if bug != CASES[0]))
    assert page.inner_text("#lab .verdict").startswith(f"No. It is: {CASES[0]}.")
    assert "Score 0. 0 solved of 1 closed" in page.inner_text("#lab .readout")
    assert page.locator("#lab .questions button:not([disabled])").count() == 0  # all is told now
    assert page.locator("#lab .board button[data-mark=wrong]").count() == 1
    case_button(page, 2).click()
    settle(page)
    assert page.locator("#lab .questions button:not([disabled])").count() == len(PRICES)


def test_the_keyboard_plays_too_and_what_is_said_is_read_out(open_page, lab):
    page = open_page(lab=lab)
    question(page, 4).locator("button").focus()
    page.keyboard.press("Enter")
    settle(page)
    assert Hunt().ask(1, QUESTIONS[4]).detail in question(page, 4).inner_text()
    assert page.get_attribute("#lab .questions", "aria-live") == "polite"
    case_button(page, 9).focus()
    page.keyboard.press("Enter")
    settle(page)
    assert case_button(page, 9).get_attribute("aria-pressed") == "true"
    assert case_button(page, 9).get_attribute("aria-label") == "case 9, open"
