"""The latent pad in JupyterLab, with a kernel: it moves by key and by pointer, and z travels both ways."""

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

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found on this machine"),
    # On a loaded machine JupyterLab itself can lose a click, so this one runs by itself and not beside the others.
    pytest.mark.skipif("VAELIB_JUPYTERLAB" not in os.environ, reason="set VAELIB_JUPYTERLAB=1 to drive JupyterLab"),
]

CELLS = [
    "import numpy as np\n"
    "from vaelib.explore.frames import ACTIVATIONS, NumpyDecoder, bernoulli_mean\n"
    "from vaelib.explore.latent_pad import LatentPad\n"
    "kernel = np.random.default_rng(0).standard_normal((2, 30)).astype('float32')\n"
    "decoder = NumpyDecoder([lambda h: h @ kernel], bernoulli_mean, (6, 5), 2)\n"
    "pad = LatentPad(decoder, names=('pose', 'humour'))\n"
    "pad",
    "print('z is', [round(x, 2) for x in pad.z]); pad.z = [-1, 1.5]",
]


@pytest.fixture
def jupyterlab(tmp_path):
    """The address of a JupyterLab of its own, with no settings of this user and no network beyond this machine."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for i, source in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "pad.ipynb").write_text(json.dumps(notebook))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    for name in ["CONFIG", "DATA", "RUNTIME"]:
        environment[f"JUPYTER_{name}_DIR"] = str(tmp_path / name.lower())
    for name in ["settings", "workspaces"]:
        environment[f"JUPYTERLAB_{name.upper()}_DIR"] = str(tmp_path / name)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={tmp_path / 'work'}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    address = f"http://127.0.0.1:{port}/lab"
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(120):
            try:
                opener.open(address, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail((tmp_path / "log").read_text()[-2000:])
        yield address
    finally:
        server.terminate()
        server.wait(30)


def test_the_pad_moves_in_jupyterlab_and_z_travels_both_ways(jupyterlab):
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"])
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(60_000)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{jupyterlab}/tree/pad.ipynb")
        cells = page.locator(".jp-CodeCell")
        cells.nth(1).wait_for()
        expect = playwright_api.expect
        expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle", timeout=60_000)

        def run(i):
            # What JupyterLab still opens while it starts can take the focus, and with it the keys: then again.
            prompt = cells.nth(i).locator(".jp-InputArea-prompt")
            before = prompt.inner_text()
            for _ in range(5):
                cells.nth(i).locator(".cm-content").click()
                page.keyboard.press("Control+Enter")
                try:
                    expect(prompt).not_to_have_text(before, timeout=5_000)
                    return
                except AssertionError:
                    pass
            pytest.fail(f"cell {i} did not run")

        run(0)
        plane = page.locator(".vaelib-pad .plane")
        plane.wait_for()
        picture = page.locator(".vaelib-pad .image")
        pixels = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 6, 5).data).join()"
        first = picture.evaluate(pixels)
        # Two steps down by key: JupyterLab's own arrow keys must stay out of it.
        plane.focus()
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press("ArrowDown")
        label = re.compile("Latent plane, pose 0.00, humour 0.40")
        expect(plane).to_have_attribute("aria-label", label)
        assert plane.evaluate("plane => plane === document.activeElement"), "JupyterLab took the key"
        second = picture.evaluate(pixels)
        assert second != first
        # A slider too, whose arrow keys JupyterLab would take for its cells.
        page.get_by_label("humour", exact=True).focus()
        page.keyboard.press("ArrowUp")
        expect(plane).to_have_attribute("aria-label", re.compile("humour 0.41"))
        box = plane.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2, steps=10)
        page.mouse.up()
        expect(plane).to_have_attribute("aria-label", re.compile("pose 1.7"))
        assert picture.evaluate(pixels) != second
        run(1)
        expect(cells.nth(1).locator(".jp-OutputArea-output")).to_contain_text(re.compile(r"z is \[1\.7\d?, "))
        expect(plane).to_have_attribute("aria-label", re.compile("pose \u22121.00, humour 1.50"))
        # The cell again: one pad, alive, from its start.
        run(0)
        expect(plane).to_have_attribute("aria-label", re.compile("pose 0.00, humour 0.00"))
        assert page.locator(".vaelib-pad").count() == 1
        browser.close()
    assert errors == []
