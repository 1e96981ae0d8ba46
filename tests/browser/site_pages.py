"""Pages of the site for the tests of this folder: the committed lessons, and a browser that stays off the network."""

import contextlib
import fcntl
import os
from pathlib import Path

import pytest

from vaelib.tools.site import build_site, find_sources

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lessons(tmp_path_factory):
    """The site of the committed notebooks as they are, without a run; one for all processes that share these tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lessons"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            building = tmp_path_factory.mktemp("site")
            build_site(find_sources(ROOT / "notebooks", []), building, images=ROOT / "images")
            building.rename(folder)
    return folder


@contextlib.contextmanager
def visits(browser):
    """Context manager: a function that opens a page of a site; no page may use its console or an address outside."""
    pages = []

    def visit(path, width=1200, errors=False, **options):
        page = browser.new_page(viewport={"width": width, "height": 1000}, **options)
        page.set_default_timeout(120_000)
        complaints = []

        def only_files(route):
            if route.request.url.startswith(("file:", "data:", "blob:")):
                route.continue_()
            else:
                complaints.append(route.request.url)
                route.abort()

        page.route("**/*", only_files)
        # A page that is left while it loads gives up its own files: that is no failure.
        page.on("requestfailed", lambda r: r.failure == "net::ERR_ABORTED" or complaints.append(f"{r.failure} {r.url}"))
        if not errors:
            page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        pages.append((page, complaints))
        page.goto(path.as_uri())
        if page.locator("script[src*='MathJax.js']").count():
            page.locator("html.math-done").wait_for(state="attached")
        return page

    yield visit
    for page, complaints in pages:
        page.close()
        assert complaints == []


@pytest.fixture
def visit(browser):
    """Open a page of a site; the test fails where its console or an address outside was used."""
    with visits(browser) as visit:
        yield visit


def typeset(page):
    """Wait until every formula has its size, and everything its width.

    A page hears of a new width, and of what was folded out, with its next frame; its own timer for that is the shorter
    one, and timers come due in order.
    """
    page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(
          () => (window.MathJax?.Hub ? MathJax.Hub.Queue(() => setTimeout(done, 50)) : done()), 300))))"""
    )
