"""Lessons in the browser, by JupyterLite: they run whole with no server but one of files, and what moves there moves.

Needs what `make lite` sets up, and a folder with all of Pyodide that the lessons use, named by VAELIB_PYODIDE:
CONTRIBUTING.md, "The lessons in the browser", tells how to fill it. Without them these tests are skipped.
"""

import functools
import http.server
import json
import os
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from vaelib.mime import CLAIM_MIME
from vaelib.tools.lite import LiteError, build_lite, pyodide, wheels

ROOT = Path(__file__).parents[2]
JUPYTERLITE = ROOT / "build" / "jupyterlite"
MINUTES = 60_000
# As the CDN answers.
ANYWHERE = {"access-control-allow-origin": "*"}
TYPES = {"mjs": "text/javascript", "wasm": "application/wasm", "zip": "application/zip"}

# Wait for the notebook that the address names, and for its kernel.
READY = """async () => {
  await jupyterapp.restored;
  while (!jupyterapp.shell.currentWidget?.sessionContext) await new Promise((done) => setTimeout(done, 50));
  window.panel = jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
}"""
RUN_ALL = "() => jupyterapp.commands.execute('notebook:run-all-cells')"
RUN_ONE = """(i) => {
  panel.content.activeCellIndex = i;
  panel.content.deselectAll();
  return jupyterapp.commands.execute("notebook:run-cell");
}"""
CELLS = """() => panel.content.widgets.filter((cell) => cell.model.type === "code").map((cell) => ({
  source: cell.model.sharedModel.getSource(),
  count: cell.model.executionCount,
  outputs: cell.model.outputs.toJSON(),
}))"""


class Files(http.server.SimpleHTTPRequestHandler):
    """A server of files and nothing else, which keeps to itself."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def folder():
    """The folder with all of Pyodide that the lessons use."""
    if not (JUPYTERLITE / ".installed").exists():
        pytest.skip("JupyterLite is not installed: run `make lite` once")
    if not os.environ.get("VAELIB_PYODIDE"):
        pytest.skip("VAELIB_PYODIDE names no folder with Pyodide: see CONTRIBUTING.md")
    folder = Path(os.environ["VAELIB_PYODIDE"]).absolute()
    try:
        pyodide.check(folder)
    except LiteError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="module")
def lite(request, folder, tmp_path_factory):
    """Address of the lessons, with everything on board or with Pyodide on its CDN."""
    site = tmp_path_factory.mktemp("lite") / "site"
    build_lite(folder, site, JUPYTERLITE, ROOT / "notebooks", on_board=request.param == "on board")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_lesson(browser, lite, folder):
    """Open a lesson and wait for its kernel; the test fails where the page wanted more than the CDN's own files."""
    contexts, outside, errors = [], [], []
    entries = {entry["file_name"]: entry for entry in pyodide.needed(folder)}

    def answer(route):
        """This machine's server, the CDN from the folder, and nothing else."""
        url = route.request.url
        name = urlsplit(url).path.rsplit("/", 1)[-1]
        if url.startswith(pyodide.CDN) and name in entries:
            route.fulfill(path=pyodide.find_package(folder, entries[name]), headers=ANYWHERE)
        elif url.startswith(pyodide.CDN) and name in pyodide.CORE:
            kind = {"content-type": TYPES[name.rsplit(".", 1)[-1]]}
            route.fulfill(body=pyodide.read_core(folder, name), headers=ANYWHERE | kind)
        elif name == pyodide.LOCK and url.startswith(lite):
            route.fulfill(body=json.dumps(hashes_of_the_folder(route.fetch().json(), folder)))
        elif url.startswith((lite, "data:", "blob:")):
            route.continue_()
        else:
            outside.append(url)
            route.abort()

    def open_lesson(name):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        context.set_default_timeout(10 * MINUTES)  # a busy machine may take its time
        context.route("**/*", answer)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        started = time.perf_counter()
        page.goto(f"{lite}notebooks/index.html?path=notebooks/{name}.ipynb")
        page.wait_for_function("window.jupyterapp")
        page.evaluate(READY)
        page.seconds = time.perf_counter() - started
        return page

    yield open_lesson
    for context in contexts:
        context.close()
    assert outside == []
    assert errors == []


def hashes_of_the_folder(lock, folder):
    """The lock file with the hashes of PyPI's wheels where Pyodide packs its own: only the CDN has those."""
    for entry in pyodide.needed(folder):
        lock["packages"][pyodide.normal(entry["name"])]["sha256"] = pyodide.sha256(pyodide.find_package(folder, entry))
    return lock


def claims(cells):
    """The claims in outputs, by what they say."""
    found = {}
    for cell in cells:
        for output in cell["outputs"]:
            content = output.get("data", {}).get(CLAIM_MIME, [])
            found |= {claim["text"]: claim["passed"] for claim in ([content] if isinstance(content, dict) else content)}
    return found


def shot(locator):
    """What an element looks like, two frames later."""
    locator.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return locator.screenshot()


def at_rest(locator):
    """What an element looks like once nothing moves it any more: what stands above it may still be loading."""
    before, now = None, shot(locator)
    while now != before:
        time.sleep(0.5)
        before, now = now, shot(locator)
    return now


@pytest.mark.parametrize(
    ("lite", "name"),
    [("on board", "00_start_here"), ("on board", "02_elbo"), ("from the CDN", "00_start_here")],
    indirect=["lite"],
)
def test_a_lesson_runs_whole_and_moves(open_lesson, name, capsys):
    page = open_lesson(name)
    started = time.perf_counter()
    page.evaluate(RUN_ALL)
    seconds = time.perf_counter() - started
    cells = page.evaluate(CELLS)
    assert [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"] == []
    assert None not in [cell["count"] for cell in cells]
    # As many claims as the committed lesson shows, and all of them hold.
    committed = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    expected = claims(cell for cell in committed.cells if cell.cell_type == "code")
    assert len(claims(cells)) == len(expected) > 0
    assert all(claims(cells).values())
    with capsys.disabled():  # measured and not asserted: it depends on the machine
        print(f"\n{name}: kernel after {page.seconds:.0f} s, {seconds:.0f} s to run, {len(expected)} claims")
    if name == "00_start_here":
        moving = page.locator(".vaelib-pad:not(.vaelib-draw)").first
        picture, slider = moving.locator(".image"), moving.get_by_role("slider").first
    else:
        moving = page.locator(".vaelib-lab").first
        picture, slider = moving.locator(".picture"), moving.locator("input[type=range]").first
    picture.scroll_into_view_if_needed()
    before = at_rest(picture)
    slider.focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    assert shot(picture) != before


@pytest.mark.parametrize("lite", ["on board"], indirect=True)
def test_where_keras_is_missing_a_lesson_says_so(open_lesson):
    page = open_lesson("05_reparameterisation")
    sources = page.evaluate("() => panel.content.widgets.map((cell) => cell.model.sharedModel.getSource())")
    wanting = [i for i, source in enumerate(sources) if source.startswith("import keras")]
    assert len(wanting) == 3
    for i in wanting:
        page.evaluate(RUN_ONE, i)
    for cell in page.evaluate(CELLS):
        if cell["source"].startswith("import keras"):
            (output,) = cell["outputs"]
            assert output["text"] == wheels.MESSAGE + "\n"
