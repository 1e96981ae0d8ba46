"""The committed diagrams are what the script draws, open anywhere, speak to screen readers, with their labels clear."""

import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.textpath import TextPath
from PIL import Image
from scipy import integrate, optimize, stats

from vaelib.widgets.kl_lab import KlLab

IMAGES = Path(__file__).parents[1] / "images"
PICTURES = sorted(IMAGES.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
per_picture = pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)


def test_committed_pictures_are_what_the_script_draws(tmp_path):
    subprocess.run([sys.executable, IMAGES / "draw.py", tmp_path], check=True)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in PICTURES}
    assert sorted(drawn) == sorted(committed)
    assert len(committed) >= 10
    changed = [name for name in drawn if drawn[name] != committed[name]]
    assert not changed, f"run `python images/draw.py` and commit {changed}"


@per_picture
def test_opens_anywhere(path):
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    x, y, width, height = map(float, root.get("viewBox").split())
    assert (x, y) == (0, 0)
    assert (width, height) == (float(root.get("width")), float(root.get("height")))
    assert not re.search(r"href|url\(|@import|@font-face|<(style|script|image|foreignObject|use)\b|\bon\w+=", text)
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    families = [e.get("font-family") for e in root.iter() if e.get("font-family")]
    assert families
    assert all(family.endswith(("sans-serif", " serif", "monospace")) for family in families)
    ground = root.find(f"{SVG}rect")  # white, so that the ink shows on a dark page
    assert ground.get("fill") == "#FFFFFF"
    assert (float(ground.get("width")), float(ground.get("height"))) == (width, height)


@per_picture
def test_speaks_to_screen_readers(path):
    root = ElementTree.parse(path).getroot()
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    assert len(title.text) > 10
    assert len(description.text) > 60
    # Two pictures inside one page must not share an id.
    assert {e.get("id") for e in root.iter() if e.get("id")} == {title.get("id"), description.get("id")}
    assert all(e.get("id").startswith(path.stem.replace("_", "-")) for e in (title, description))


@functools.cache
def advance(text, family, size, bold, italic):
    """Return the width of a run in DejaVu, the widest of the fonts in the pictures' lists."""
    name = next(name for name in ("DejaVu Sans Mono", "DejaVu Sans", "DejaVu Serif") if name in family)
    weight, style = ("bold" if bold else "normal"), ("italic" if italic else "normal")
    font = FontProperties(family=name, weight=weight, style=style)
    findfont(font, fallback_to_default=False)  # no quiet substitute
    # Two bars measure the spaces at both ends of the run too.
    ends = [TextPath((0, 0), bars, size=size, prop=font).get_extents().width for bars in (f"|{text}|", "||")]
    return ends[0] - ends[1]


def text_boxes(root):
    """Yield (label, left, top, right, bottom) of every text."""
    for element in root.iter(f"{SVG}text"):
        x, y = float(element.get("x")), float(element.get("y"))
        runs = list(element)
        width = sum(
            advance(
                run.text,
                run.get("font-family", root.get("font-family")),
                float(run.get("font-size")),
                element.get("font-weight") is not None,
                run.get("font-style") == "italic",
            )
            for run in runs
        )
        size = max(float(run.get("font-size")) for run in runs)
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        yield "".join(run.text for run in runs), left, y - 0.76 * size, left + width, y + 0.24 * size


@per_picture
def test_labels_stay_inside_and_apart(path):
    root = ElementTree.parse(path).getroot()
    _, _, width, height = map(float, root.get("viewBox").split())
    boxes = list(text_boxes(root))
    assert boxes
    for label, left, top, right, bottom in boxes:
        assert left >= 4 and top >= 4 and right <= width - 4 and bottom <= height - 4, f"{label!r} leaves the picture"
    for i, (label, left, top, right, bottom) in enumerate(boxes):
        for other, left2, top2, right2, bottom2 in boxes[:i]:
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            assert apart, f"{label!r} lies over {other!r}"


@per_picture
def test_no_arrow_crosses_a_label(path):
    root = ElementTree.parse(path).getroot()
    boxes = list(text_boxes(root))
    for arrow in root.iter(f"{SVG}path"):
        if arrow.get("class") != "arrow":
            continue
        points = np.array(re.findall(r"-?[\d.]+", arrow.get("d")), float).reshape(-1, 2)
        t = np.linspace(0, 1, 200)[:, None]
        if len(points) == 3:
            line = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
        else:
            line = (1 - t) * points[0] + t * points[1]
        for label, left, top, right, bottom in boxes:
            inside = (line > (left, top)).all(axis=1) & (line < (right, bottom)).all(axis=1)
            assert not inside.any(), f"an arrow crosses {label!r}"


@per_picture
def test_no_label_is_too_small_to_read(path):
    root = ElementTree.parse(path).getroot()
    sizes = [max(float(run.get("font-size")) for run in text) for text in root.iter(f"{SVG}text")]
    assert min(sizes) * 700 / float(root.get("width")) >= 12  # pixels, in a page 700 pixels wide


@pytest.fixture
def divergences(monkeypatch):
    monkeypatch.syspath_prepend(str(IMAGES))
    yield importlib.import_module("divergences")
    for name in ("divergences", "svg"):
        del sys.modules[name]


def test_the_target_drawn_is_the_one_that_the_lab_starts_with(divergences):
    start = KlLab().start
    assert divergences.TARGET == (
        (1 - start["weight"], start["left"], 1.0),
        (start["weight"], start["right"], 1.0),
    )


def test_divergences_are_computed_and_minimal(divergences):
    """The curves and numbers of the KL picture against quadrature and SciPy's optimiser."""
    parts = [(w, stats.norm(m, s)) for w, m, s in divergences.TARGET]

    def log_p(x):
        return np.logaddexp(*[np.log(w) + part.logpdf(x) for w, part in parts])

    def kl(log_a, log_b):
        x = np.linspace(-20, 20, 4001)
        a = log_a(x)
        return integrate.simpson(np.exp(a) * (a - log_b(x)), x=x)

    def forward(params):
        return kl(log_p, stats.norm(params[0], np.exp(params[1])).logpdf)

    def reverse(params):
        return kl(stats.norm(params[0], np.exp(params[1])).logpdf, log_p)

    options = {"xatol": 1e-5, "fatol": 1e-10}
    mean, sd = divergences.forward_minimiser()
    found = optimize.minimize(forward, (0.5, 0.2), method="Nelder-Mead", options=options)
    assert (mean, sd) == pytest.approx((found.x[0], np.exp(found.x[1])), abs=1e-3)
    assert divergences.forward_kl(mean, sd) == pytest.approx(found.fun, abs=1e-6)
    values = []
    for _, m, s in divergences.TARGET:
        mean, sd = divergences.reverse_minimiser(m, s)
        found = optimize.minimize(reverse, (m, np.log(s)), method="Nelder-Mead", options=options)
        assert (mean, sd) == pytest.approx((found.x[0], np.exp(found.x[1])), abs=1e-3)
        values.append(divergences.reverse_kl(mean, sd))
        assert values[-1] == pytest.approx(found.fun, abs=1e-6)
    assert values[0] < values[1]  # the drawn one is the better of the two
    shown = (IMAGES / "forward_reverse_kl.svg").read_text(encoding="utf-8")
    assert f"{values[0]:.2f} nats" in shown


@pytest.mark.parametrize("name", ["faces", "pad"])
def test_the_readme_shows_a_film_in_both_themes_and_a_still_to_those_who_want_one(name):
    readme = (IMAGES.parent / "README.md").read_text("utf-8")
    (picture,) = re.findall(rf"<picture>(?:(?!</picture>).)*images/{name}\.webp.*?</picture>", readme, re.S)
    # A browser takes the first source that fits.
    assert re.findall(r'<source media="([^"]+)" srcset="([^"]+)">', picture) == [
        ("(prefers-color-scheme: dark) and (prefers-reduced-motion: reduce)", f"images/{name}_dark_still.webp"),
        ("(prefers-reduced-motion: reduce)", f"images/{name}_still.webp"),
        ("(prefers-color-scheme: dark)", f"images/{name}_dark.webp"),
    ]
    assert len(re.search(r'<img [^>]*alt="([^"]+)"', picture)[1]) > 40


@pytest.mark.parametrize("stem, light", [("faces", True), ("faces_dark", False), ("pad", True), ("pad_dark", False)])
def test_the_readmes_films_move_on_the_ground_of_their_theme(stem, light):
    with Image.open(IMAGES / f"{stem}.webp") as film, Image.open(IMAGES / f"{stem}_still.webp") as still:
        assert film.n_frames >= 40 and film.size == still.size and still.n_frames == 1
        first = np.asarray(film.convert("L"), float)
        np.testing.assert_allclose(first, np.asarray(still.convert("L"), float), atol=60)  # both lose a little
        ground = np.median(first[:, : film.height])  # of the plane, a square: most of it is empty
        assert ground > 240 if light else ground < 40
        film.seek(film.n_frames // 2)
        assert np.abs(np.asarray(film.convert("L"), float) - first).mean() > 2


def test_the_readmes_films_load_quickly():
    assert sum(path.stat().st_size for path in IMAGES.iterdir() if path.suffix in (".webp", ".png")) < 2_000_000
