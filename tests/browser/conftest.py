"""A browser, and pages with widgets in it."""

import os
import shutil
from pathlib import Path

import pytest
from site_pages import lessons, visit  # noqa: F401
from widget_page import Site, settle

# A look at each kind of page for `make test`; the other tests of this folder are slow.
QUICK = {
    "test_the_canvas_equals_numpy",
    "test_arrow_keys_move_the_point_and_the_pixels",
    "test_a_drawn_digit_lands_where_the_python_encoder_says",
    "test_the_pad_lives_without_a_network",
    "test_numbers_equal_python",
    "test_the_video_runs_along_the_path_and_shows_the_true_frame",
    "test_the_keyboard_scrubs_through_the_epochs",
}
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the quickest first
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            # A page is drawn beside the test: one that was read a moment too early gets a second look, and the
            # summary names it ("1 rerun"). What is broken fails twice.
            item.add_marker(pytest.mark.flaky(reruns=1))
            if item.originalname not in QUICK:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def site():
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests; each opens pages of its own in it."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium was found on this machine")
    playwright_api.expect.set_options(timeout=120_000)  # a busy machine may take its time
    with playwright_api.sync_playwright() as playwright:
        # A proxy of the environment would be asked even for this machine's own address.
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"], env=environment
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(site, browser):
    """Open a page with the given pads; the test fails where the console or an address outside was used."""
    pages = []

    def open_page(touch=False, dark=False, moving=False, **widgets):
        site.show(**widgets)
        page = browser.new_page(
            has_touch=touch,
            color_scheme="dark" if dark else "light",
            reduced_motion="no-preference" if moving else "reduce",  # what slides would be caught on its way
            viewport={"width": 1000, "height": 1400},
        )
        page.set_default_timeout(120_000)  # for a machine that is busy, or slow
        complaints = []
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: r.url.startswith((site.address, "data:")) or complaints.append(r.url))
        pages.append((page, complaints))
        page.goto(site.address)
        page.wait_for_function("window.ready")
        settle(page)
        return page

    yield open_page
    for page, complaints in pages:
        page.close()
        assert complaints == []
