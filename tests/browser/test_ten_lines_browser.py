"""The ten lines of lesson 13, pasted alone into a fresh process, and the explorer that they export, in a browser."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np

LESSON = Path(__file__).parents[2] / "notebooks" / "13_your_own_images.ipynb"
# What Python says at two corners that the keyboard reaches, and at the start.
AND_THEN = """
pad.export("mine.html")
import numpy as np
end = pad.spec["reach"]
np.save("expected.npy", [pad.image(z) for z in ([0, 0], [-end, 0], [-end, end])])
"""


def ten_lines():
    (cell,) = [c for c in nbformat.read(LESSON, 4).cells if "ten-lines" in c.metadata.get("tags", [])]
    lines = [line for line in cell.source.splitlines() if line.strip()]
    assert len(lines) == 10 and max(map(len, lines)) <= 88
    return cell.source


def test_ten_lines_alone_make_an_explorer_that_moves_without_a_network(browser, tmp_path):
    (tmp_path / "mine.py").write_text(ten_lines() + AND_THEN, "utf-8")
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(LESSON.parents[1])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [f"epoch {n}/10" in line for n, line in enumerate(lines[:10], 1)] == [True] * 10
    assert "validation" in lines[9] and lines[10].startswith("trained in")
    expected = np.load(tmp_path / "expected.npy").astype(float)
    assert expected.shape[1:] == (8, 8, 3)

    context = browser.new_context(offline=True)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "mine.html").as_uri())

    def shown():
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        pixels = page.evaluate(
            "Array.from(document.querySelector('.decoded canvas').getContext('2d').getImageData(0, 0, 8, 8).data)"
        )
        return np.array(pixels, float).reshape(8, 8, 4)[..., :3]

    assert np.abs(shown() - expected[0]).max() <= 1
    page.get_by_label("z1", exact=True).focus()
    page.keyboard.press("Home")
    assert np.abs(shown() - expected[1]).max() <= 1
    page.get_by_label("z2", exact=True).focus()
    page.keyboard.press("End")
    assert np.abs(shown() - expected[2]).max() <= 1
    assert np.abs(expected[1] - expected[0]).max() > 20  # it is another picture
    box = page.locator(".plane").bounding_box()
    before = shown()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"])
    page.mouse.up()
    assert np.abs(shown() - before).max() > 20
    assert requests == [(tmp_path / "mine.html").as_uri()] and complaints == []
    context.close()
