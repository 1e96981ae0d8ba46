"""Explorers in JupyterLab, with a kernel: the notebooks 00 and 09 from end to end, and a pad under rough handling."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest

from vaelib import pretrained

pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect

ROOT = Path(__file__).parents[2]
# A run that takes seconds: what is trained does not matter here.
SMALL = {"epochs": 2, "num_seeds": 2, "hidden_units": 20, "drawn_epochs": 5}
# XLA takes seconds to compile each of the lesson's models, and a minute on a busy machine.
WITHOUT_XLA = "from vaelib.training import compilation\ncompilation.xla_is_faster = lambda model: False"
# After two epochs some claims about training do not hold, and here the pad is looked at.
QUIET = """from vaelib.teaching import claims

def quietly(claim):
    def make(*args, **kwargs):
        try:
            claim(*args, **kwargs)
        except claims.ClaimError as error:
            print(error)
    return make

for name in ("claim_close", "claim_equal", "claim_true", "claim_monte_carlo"):
    setattr(claims, name, quietly(getattr(claims, name)))"""
# What JupyterLab would fetch from the network, what it would draw late, and what it would ask.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
CELLS = [
    "import numpy as np\n"
    "from vaelib.pretrained.networks import NumpyDecoder, bernoulli_mean\n"
    "from vaelib.widgets import LatentPad\n"
    "kernel = np.random.default_rng(0).standard_normal((2, 30)).astype('float32')\n"
    "decoder = NumpyDecoder([lambda h: h @ kernel], bernoulli_mean, (6, 5), 2)\n"
    "pad = LatentPad(decoder, names=('pose', 'humour'))\n"
    "pad",
    "print('z is', [round(x, 2) for x in pad.z])",
    "pad.z = [-1, 1.5]",
    "LatentPad(decoder, names=('pose', 'humour', 'light'))",
]
# Through JupyterLab's own commands: a click or a key can be lost to whatever opens while it starts.
OPEN = """async (path) => {
  await jupyterapp.restored;
  await jupyterapp.serviceManager.ready;
  const panel = await jupyterapp.commands.execute("docmanager:open", { path });
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  jupyterapp.shell.activateById(panel.id);
  window.panel = panel;
}"""
RUN = """async (i) => {
  if (i === null) return jupyterapp.commands.execute("notebook:run-all-cells");
  panel.content.activeCellIndex = i;
  panel.content.deselectAll();
  return jupyterapp.commands.execute("notebook:run-cell");
}"""
COUNTS = "panel.content.widgets.filter((c) => c.model.type === 'code').map((c) => c.model.executionCount)"


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory):
    """Address and folder of a JupyterLab of its own: no settings of this user, no data, nothing beyond this machine."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    (folder / "work" / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "images", folder / "work" / "images")  # the lessons show them
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The tests' own MPLBACKEND would keep the figures out of the cells.
    left_out = ("VAELIB_DATA", "MPLBACKEND")
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k not in left_out}
    environment |= {"VAELIB_OFFLINE": "1", "VAELIB_CACHE": str(folder / "cache")}
    for name in ("CONFIG", "DATA", "RUNTIME"):
        environment[f"JUPYTER_{name}_DIR"] = str(folder / name.lower())
    for name in ("settings", "workspaces"):
        environment[f"JUPYTERLAB_{name.upper()}_DIR"] = str(folder / name)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={folder / 'work'}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    address = f"http://127.0.0.1:{port}/lab"
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                opener.open(address).close()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None:
                    pytest.fail((folder / "log").read_text()[-2000:])
                time.sleep(0.5)
        yield address, folder / "work"
    finally:
        server.terminate()
        server.wait(300)


@pytest.fixture
def open_notebook(browser, jupyterlab):
    """Open a notebook and wait for its kernel; the test fails where the console showed an error."""
    address, folder = jupyterlab
    opened = []

    def open_notebook(name, notebook):
        nbformat.write(notebook, folder / "notebooks" / name)
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(120_000)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and errors.append(f"{m.text} {m.location}"))
        opened.append((page, errors))
        page.goto(f"{address}/workspaces/{Path(name).stem}?reset")
        page.wait_for_function("window.jupyterapp")
        page.evaluate(OPEN, f"notebooks/{name}")
        return page

    yield open_notebook
    for page, errors in opened:
        page.evaluate("window.panel && panel.sessionContext.shutdown()")
        page.close()
        assert errors == []


def run(page, cell=None):
    """Run one cell, or all, and wait for the end; an error in a cell is this test's error."""
    page.evaluate(RUN, cell)
    found = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
    assert found == []


def run_until(page, cell, shown, text):
    """Run a cell that prints what Python was told, until it prints this.

    While the kernel takes one value, ipywidgets holds the next back: on a busy machine the last comes a moment later.
    """
    output = shown.locator(".jp-OutputArea-output")
    for _ in range(60):
        run(page, cell)
        if text in output.inner_text():
            break
        page.wait_for_timeout(500)
    expect(output).to_contain_text(text)


def pixels(picture):
    """Red, green and blue of a canvas or an image, after the next two frames."""
    return np.array(
        picture.evaluate(
            """async (source) => {
              await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
              const canvas = document.createElement("canvas");
              canvas.width = source.naturalWidth ?? source.width;
              canvas.height = source.naturalHeight ?? source.height;
              const pen = canvas.getContext("2d", { willReadFrequently: true });
              pen.drawImage(source, 0, 0);
              return Array.from(pen.getImageData(0, 0, canvas.width, canvas.height).data);
            }"""
        )
    ).reshape(-1, 4)[:, :3]


def drag(page, plane, start, end, steps=10):
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=steps)
    page.mouse.up()


def lesson(name, **changed):
    """A lesson with other parameters and without its outputs."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            for parameter, value in changed.items():
                cell.source, count = re.subn(rf"(?m)^({parameter}: int = )\d+", rf"\g<1>{value}", cell.source)
                assert count == 1
    return notebook


def test_notebook_00_from_end_to_end(open_notebook, capsys):
    page = open_notebook("00_start_here.ipynb", lesson("00_start_here"))
    run(page)
    assert None not in page.evaluate(COUNTS)
    model = pretrained.load("mnist")
    pad = page.locator(".vaelib-pad:not(.vaelib-draw)")
    plane, image, sliders = pad.locator(".plane"), pad.locator(".image"), pad.get_by_role("slider")
    first = pixels(image)

    def require_decoded():
        z = [float(slider.input_value()) for slider in sliders.all()]
        expected = 255 * model.decoder(np.array([z], "float32"))[0].reshape(-1, 1)
        # The browser has the weights in half precision: three digits of each.
        assert np.abs(pixels(image) - expected).max() <= 3
        return z

    require_decoded()
    # A slider by keyboard; JupyterLab's own arrow keys stay out of it.
    sliders.nth(0).focus()
    page.keyboard.press("ArrowRight")
    sliders.nth(1).focus()
    for key in ("PageUp", "ArrowDown", "Home"):
        page.keyboard.press(key)
    assert np.abs(pixels(image) - first).max() > 20
    np.testing.assert_allclose(require_decoded(), [0.01, -3.5])
    assert sliders.nth(1).evaluate("slider => slider === document.activeElement")
    page.keyboard.press("End")
    np.testing.assert_allclose(require_decoded(), [0.01, 3.5])
    before = pixels(image)
    drag(page, plane, (0.5, 0.5), (0.75, 0.25))
    assert np.abs(pixels(image) - before).max() > 20
    expect(plane).to_have_attribute("aria-label", re.compile(r"1\.7\d, .* 1\.7\d\."))
    # Key to pixels, measured and not asserted: it depends on the machine.
    page.evaluate(
        """() => {
          window.times = [];
          addEventListener("keydown", () => (window.pressed = performance.now()), { capture: true });
          const put = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...a) {
            put.apply(this, a);
            times.push(performance.now() - window.pressed);
          };
        }"""
    )
    plane.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
        pixels(image)
    times = page.evaluate("times")
    assert len(times) == 20
    with capsys.disabled():
        print(f"\nJupyterLab, key to pixels: median {np.median(times):.1f} ms, largest {max(times):.1f} ms")
    # The drawing surface, beside it.
    draw = page.locator(".vaelib-draw")
    before = pixels(draw.locator(".rebuilt"))
    draw.get_by_role("button", name="Clear").click()
    drag(page, draw.locator(".surface"), (0.5, 0.15), (0.5, 0.85))
    assert np.abs(pixels(draw.locator(".rebuilt")) - before).max() > 20


def shown(lab):
    """All that a lab draws and says, after the next two frames."""
    return lab.evaluate(
        """async (lab) => {
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return lab.querySelector(".picture").innerHTML + lab.querySelector(".readout").innerText;
        }"""
    )


def move_everything(page, lab):
    """Every handle by mouse and by keyboard, every slider by keyboard: each changes what the lab shows."""
    lab.scroll_into_view_if_needed()
    expect(lab.locator(".readout")).not_to_be_empty()  # a lab draws when it has learned its width, in a later frame
    for hold in [*lab.locator(".handle").all(), *lab.locator("input[type=range]").all()]:
        before = shown(lab)
        hold.focus()
        for key in ("ArrowLeft", "ArrowRight", "ArrowRight"):  # at an end of the range one way is closed
            page.keyboard.press(key)
            if shown(lab) != before:
                break
        assert hold.evaluate("hold => hold === document.activeElement"), "JupyterLab took the key"
        assert shown(lab) != before
    for handle in lab.locator(".handle").all():
        before = shown(lab)
        box = handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 25, box["y"] + box["height"] / 2, steps=5)
        page.mouse.up()
        assert shown(lab) != before


def test_notebook_02_from_end_to_end(open_notebook):
    notebook = lesson("02_elbo")
    for source in ("lab.values = {'mu': 1.0, 'sigma': 0.5}", "print(lab.values, lab.numbers()['gap'])"):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    page = open_notebook("02_elbo.ipynb", notebook)
    run(page)
    assert None not in page.evaluate(COUNTS)
    labs = page.locator(".jp-OutputArea .vaelib-lab")
    elbo = labs.filter(has_text="its last half nat").first
    expect(elbo.locator(".readout")).to_contain_text("log p(x)")
    assert labs.count() == page.evaluate("document.querySelectorAll('.vaelib-lab').length")  # none stands elsewhere
    # Python set the values in the last cells but one; the page followed, and shows Python's number.
    printed = page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output")
    expect(printed).to_have_text(re.compile(r"\} \d\S+\s*$"))
    gap = float(printed.inner_text().rsplit(" ", 1)[1])
    expect(elbo.locator(".readout")).to_contain_text(f"gap {gap:.3f} nats")
    move_everything(page, elbo)
    derivation = labs.filter(has_text="line of the derivation")
    before = derivation.locator(".equation").inner_text()
    derivation.get_by_role("button", name="Next line").click()
    expect(derivation.locator(".equation")).not_to_have_text(before)
    # And back to Python.
    here = [float(value) for value in elbo.locator(".control .value").all_inner_texts()]
    last = page.evaluate("panel.content.widgets.length") - 1
    run_until(page, last, page.locator(".jp-CodeCell").last, f"{{'mu': {here[0]:g}, 'sigma': {here[1]:g}}}")
    # A cell that runs again shows one lab.
    count = labs.count()
    cell = page.evaluate(
        "panel.content.widgets.findIndex((c) => c.model.sharedModel.source.startsWith('lab = ElboLab'))"
    )
    page.evaluate("document.querySelectorAll('.vaelib-lab').forEach((lab) => (lab.dataset.before = true))")
    run(page, cell)
    page.locator(".vaelib-lab:not([data-before])").wait_for()  # the one of this run
    expect(labs).to_have_count(count)


def test_notebook_05_from_end_to_end(open_notebook):
    page = open_notebook("05_reparameterisation.ipynb", lesson("05_reparameterisation"))
    run(page)
    assert None not in page.evaluate(COUNTS)
    labs = page.locator(".jp-OutputArea .vaelib-lab").all()
    assert len(labs) >= 2
    for lab in labs:
        move_everything(page, lab)


def test_notebook_09_from_end_to_end(open_notebook):
    notebook = lesson("09_faces", **SMALL)
    notebook.cells.insert(3, nbformat.v4.new_code_cell(WITHOUT_XLA))
    notebook.cells.insert(1, nbformat.v4.new_code_cell(QUIET))
    page = open_notebook("09_faces.ipynb", notebook)
    run(page)
    assert None not in page.evaluate(COUNTS)
    pad = page.locator(".jp-OutputArea .vaelib-pad").first
    pad.scroll_into_view_if_needed()
    image, sliders = pad.locator(".image").first, pad.get_by_role("slider")
    assert image.bounding_box()["width"] >= 200
    for name in ("pose", "across"):
        slider, before = pad.get_by_label(name, exact=True), pixels(image)
        slider.focus()
        page.keyboard.press("Home")
        assert np.abs(pixels(image) - before).max() > 0
        assert slider.evaluate("slider => slider === document.activeElement"), "JupyterLab took the key"
    assert sliders.count() >= 2
    before = pixels(image)
    drag(page, pad.locator(".plane"), (0.5, 0.5), (0.7, 0.3))
    assert np.abs(pixels(image) - before).max() > 0
    # The video: the dot goes along the path, and the true frame stands beside the decoded one.
    before = pixels(image)
    play = pad.get_by_role("button", name="Play the video")
    frame = pad.get_by_label("Frame", exact=True)
    at = frame.evaluate("slider => slider.valueAsNumber")
    play.click()
    expect(frame).not_to_have_value(str(at))
    assert np.abs(pixels(image) - before).max() > 0
    pad.get_by_role("button", name=re.compile("Stop|Pause")).first.click()


def test_a_pad_moves_and_z_travels_both_ways(open_notebook):
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    page = open_notebook("pad.ipynb", nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec}))
    run(page, 0)
    plane, picture = page.locator(".vaelib-pad .plane"), page.locator(".vaelib-pad .image")
    first = pixels(picture)
    plane.focus()
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowDown")
    expect(plane).to_have_attribute("aria-label", re.compile("Latent plane, pose 0.00, humour 0.40"))
    assert plane.evaluate("plane => plane === document.activeElement"), "JupyterLab took the key"
    second = pixels(picture)
    assert (second != first).any()
    page.get_by_label("humour", exact=True).focus()
    page.keyboard.press("ArrowUp")
    expect(plane).to_have_attribute("aria-label", re.compile("humour 0.41"))
    drag(page, plane, (0.5, 0.5), (0.75, 0.5))
    expect(plane).to_have_attribute("aria-label", re.compile("pose 1.7"))
    assert (pixels(picture) != second).any()
    run_until(page, 1, page.locator(".jp-CodeCell").nth(1), "z is [1.7")
    run(page, 2)
    expect(plane).to_have_attribute("aria-label", re.compile("pose \u22121.00, humour 1.50"))
    # The cell again: one pad, alive, from its start.
    run(page, 0)
    expect(plane).to_have_attribute("aria-label", re.compile("pose 0.00, humour 0.00"))
    assert page.locator(".vaelib-pad").count() == 1
    # Bad input: an error that says what is wrong, and never a blank widget.
    page.evaluate(RUN, 3)
    expect(page.locator(".jp-CodeCell").nth(3)).to_contain_text(
        "ValueError: names must have one name for each of the 2"
    )
    assert page.locator(".vaelib-pad").count() == 1
