"""Film the README's two moving pictures from the built site: `python images/films.py [site] [folder]`.

It opens pages of `make site` in Chromium, moves what a reader would move, and writes each film as an animated WebP,
once for light pages and once for dark ones. Beside it stands its first picture, for those who asked their browser for
less motion.
"""

import io
import itertools
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from scipy.interpolate import CubicSpline

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FRAME_TIME, STEPS = 100, 60  # milliseconds for each picture, and how many
LIMIT = 500_000  # bytes of one film: two are loaded with the README, and four lie in the repository
BLOCK_LIMIT = 16  # grey levels, of 255, that 8 × 8 pixels may be off on average
THEMES = {"light": "", "dark": "_dark"}  # of the page, and what the files' names say of it


def along(page, places, steps):
    """Lead the point through places, by the mouse and smoothly; shares of the plane's width, from its upper left."""
    box = page.locator(".vaelib-pad canvas").first.bounding_box()
    places = np.array(places)
    curve = CubicSpline(np.arange(len(places) + 1), np.vstack([places, places[:1]]), bc_type="periodic")
    for step, (x, y) in enumerate(curve(np.linspace(0, len(places), steps, endpoint=False))):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if step == 0:
            page.mouse.down()
            page.evaluate("document.activeElement.blur()")  # the mark of the focus is for the keyboard
        yield
    page.mouse.up()


# Once around the faces of lesson 09, by way of those that smile; and once around the digits of lesson 00.
RING = [(0.20, 0.60), (0.32, 0.84), (0.55, 0.84), (0.80, 0.66), (0.86, 0.46), (0.76, 0.27), (0.58, 0.17), (0.30, 0.18)]
ROUND = [(0.82, 0.48), (0.60, 0.30), (0.36, 0.20), (0.20, 0.50), (0.34, 0.78), (0.58, 0.66)]
FILMS = {"faces": ("index", RING), "pad": ("00_start_here", ROUND)}


def farthest(path, shots):
    """Return how far, in grey levels, the mean of any 8 × 8 pixels of a film lies from what was shot."""
    worst = 0.0
    with Image.open(path) as shown:
        for number, shot in enumerate(shots):
            shown.seek(number)
            off = np.asarray(shown.convert("L"), float) - np.asarray(shot.convert("L"), float)
            height, width = (size // 8 * 8 for size in off.shape)
            blocks = off[:height, :width].reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3))
            worst = max(worst, np.abs(blocks).max())
    return worst


def film(browser, site, name, theme, folder):
    """Write one film and its still picture."""
    page_name, places = FILMS[name]
    page = browser.new_page(viewport={"width": 900, "height": 1000}, color_scheme=theme, device_scale_factor=1.1)
    page.goto((site / f"{page_name}.html").resolve().as_uri())
    pad = page.locator(".explorer.live:has(.vaelib-pad)").first
    pad.wait_for()
    pad.evaluate("e => e.scrollIntoView({ block: 'center' })")
    clip = page.evaluate(
        """() => {
          const pad = document.querySelector(".explorer.live .vaelib-pad");
          const boxes = [pad.querySelector("canvas"), pad.querySelector(".decoded canvas")].map(
            (e) => e.getBoundingClientRect());
          const [x, y] = [Math.min(...boxes.map((b) => b.x)), Math.min(...boxes.map((b) => b.y))];
          const far = [Math.max(...boxes.map((b) => b.right)), Math.max(...boxes.map((b) => b.bottom))];
          return { x, y, width: far[0] - x, height: far[1] - y };
        }"""
    )
    shots = []
    for _ in along(page, places, STEPS):
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shots.append(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"))
    page.close()
    path = folder / f"{name}{THEMES[theme]}.webp"
    shots[0].save(path.with_name(f"{path.stem}_still.webp"), quality=90, method=6)
    # Without `minimize_size`: it halves the bytes, and leaves shreds of earlier pictures in later ones.
    shots[0].save(path, save_all=True, append_images=shots[1:], duration=FRAME_TIME, loop=0, quality=82, method=6)
    if (off := farthest(path, shots)) > BLOCK_LIMIT:
        raise ValueError(f"{path} shows a block {off:.0f} grey levels off: expected at most {BLOCK_LIMIT}.")
    if path.stat().st_size > LIMIT:
        raise ValueError(f"{path} holds {path.stat().st_size:,} bytes: expected at most {LIMIT:,}. Take fewer steps.")
    return path


def main(site="build/site", folder=Path(__file__).parent):
    """Film what FILMS names."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for name, theme in itertools.product(FILMS, THEMES):
            path = film(browser, Path(site), name, theme, Path(folder))
            print(f"{path}: {path.stat().st_size:,} bytes", flush=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
