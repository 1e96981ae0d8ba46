"""Pages of the site in a real browser, opened from file:// with every other address blocked."""

import base64
import itertools
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from vaelib import pretrained
from vaelib.mime import LAB_MIME
from vaelib.tools.runner.evidence import hash_widgets, record_widgets
from vaelib.tools.site import build, build_site, find_sources
from vaelib.tools.site.widgets import STATE_MIME, VIEW_MIME
from vaelib.widgets import DrawDigit, LatentPad
from vaelib.widgets.png import to_png
from vaelib.widgets.strokes import to_image

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
CODES = [[0, 0], [1, -1], [-2.5, 0.3], [3.12, 3.31], [-3.5, 2.09]]


@pytest.fixture(scope="module")
def model():
    return pretrained.load("mnist")


@pytest.fixture(scope="module")
def explorers(tmp_path_factory, model):
    """A site whose pages hold explorers, as a notebook leaves them when it was executed."""
    from ipywidgets import Widget
    from ipywidgets.embed import dependency_state

    draw = DrawDigit(model)
    draw.strokes = [[(0.3, 0.2), (0.7, 0.25), (0.4, 0.9)]]
    broken = LatentPad(model.decoder)
    broken.set_trait("weights", broken.weights[:-4])
    silent = LatentPad(model.decoder)
    widgets = {
        "01_pad": LatentPad(model.decoder, names=("round", "wide")),
        "02_draw": draw,
        "03_python": LatentPad(lambda z: 0.5 + 0 * z[:, :1, None] + np.zeros((1, 6, 5)), latent_dim=2),
        "04_broken": broken,
        "05_silent": silent,
    }
    folder = tmp_path_factory.mktemp("explorers")
    for place in ("notebooks", "executed"):
        (folder / place).mkdir()
    for name, widget in widgets.items():
        state = dependency_state([widget], drop_defaults=False)
        if name == "05_silent":
            state[widget.model_id]["state"]["_esm"] = "export default { render() { throw new Error('no luck'); } };"
        view = new_output("display_data", data={VIEW_MIME: {"model_id": widget.model_id}})
        cells = [new_markdown_cell(f"# {name}"), new_code_cell("LatentPad(x)", outputs=[view], execution_count=1)]
        widgets_of_page = {"widgets": {STATE_MIME: {"state": state}}}
        executed = new_notebook(cells=cells, metadata=widgets_of_page)
        record_widgets(executed, hash_widgets())
        nbformat.write(executed, folder / "executed" / f"{name}.ipynb")
        cells[1].outputs = []
        nbformat.write(new_notebook(cells=cells), folder / "notebooks" / f"{name}.ipynb")
    Widget.close_all()
    build_site(find_sources(folder / "notebooks", [folder / "executed"]), folder / "site", images=folder / "none")
    return folder / "site"


def test_a_wrong_formula_shows_as_an_error(tmp_path, visit):
    """The marks that the test above counts are the ones that MathJax makes."""
    (tmp_path / "notebooks").mkdir()
    cells = [new_markdown_cell(r"$\nosuchmacro{x}$ and $$\frac{1}{2$$ and $x^2$")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "01_wrong.ipynb")
    build_site(find_sources(tmp_path / "notebooks", []), tmp_path / "site", images=ROOT / "images")
    page = visit(tmp_path / "site" / "01_wrong.html")
    assert page.locator(".merror").count() == 2


def test_index_links_keyboard_and_dark_pages(lessons, visit):
    page = visit(lessons / "index.html", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert max(page.evaluate(background)) < 60
    assert page.locator(".map a").count() == len(LESSONS)
    assert page.locator(".lessons tbody tr").count() == len(LESSONS)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.locator(".lessons a").first.click()
    for name in LESSONS[:2]:
        page.wait_for_url(f"**/{name}.html")  # of the page that is left, too, a click could be taken
        page.locator(".neighbours a[rel=next]").click()
    page.wait_for_url(f"**/{LESSONS[2]}.html")
    answer = page.locator("article details").first
    assert not answer.evaluate("d => d.open")
    answer.locator("summary").focus()
    page.keyboard.press("Enter")
    assert answer.evaluate("d => d.open")
    page.emulate_media(color_scheme="light", media="print")
    page.wait_for_function(f"Math.min(...{background}) > 250")
    assert not page.locator(".top").is_visible()


def z_of(page):
    return [float(slider.input_value()) for slider in page.get_by_role("slider").all()]


def pixels(page, selector):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    rgba = page.locator(selector).evaluate(
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"
    )
    return np.array(rgba).reshape(-1, 4)[:, :3]


def require_decoded(page, model, selector=".image", z=None):
    z = z_of(page) if z is None else z
    expected = 255 * model.decoder(np.array([z], "float32"))[0].reshape(-1, 1)
    assert np.abs(pixels(page, selector) - expected).max() <= 1


def test_the_pad_lives_without_a_network(explorers, visit, model):
    page = visit(explorers / "01_pad.html")
    page.locator(".explorer.live").wait_for()
    seen = []
    for z in CODES:
        for name, value in zip(("round", "wide"), z, strict=True):
            page.get_by_label(name, exact=True).evaluate(
                "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
            )
        seen.append(pixels(page, ".image"))
        np.testing.assert_allclose(z_of(page), z)
        require_decoded(page, model)
    assert all(np.abs(a - b).max() > 50 for a, b in zip(seen, seen[1:], strict=False))
    page.get_by_label("wide", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    pixels(page, ".image")
    np.testing.assert_allclose(z_of(page), [-3.5, 2.08])
    require_decoded(page, model)
    box = page.locator(".plane").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"], steps=10)
    page.mouse.up()
    pixels(page, ".image")
    np.testing.assert_allclose(z_of(page), [1.75, 1.75], atol=0.03)
    plane = page.locator(".plane")
    plane.focus()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowRight")
    pixels(page, ".image")
    np.testing.assert_allclose(z_of(page), [1.85, 1.25], atol=0.03)
    page.get_by_role("button", name="Sample the prior").click()
    before = pixels(page, ".image")
    page.get_by_role("button", name="Sample the prior").click()
    assert np.abs(pixels(page, ".image") - before).max() > 5


def test_a_digit_is_encoded_without_a_network(explorers, visit, model):
    page = visit(explorers / "02_draw.html")
    page.locator(".explorer.live").wait_for()
    drawn = to_image([[(0.3, 0.2), (0.7, 0.25), (0.4, 0.9)]])
    assert np.abs(pixels(page, ".seen") - 255 * drawn.reshape(-1, 1)).max() <= 1
    mu = model.encoder(drawn[None])[0][0]
    require_decoded(page, model, ".rebuilt", mu)
    box = page.locator(".surface").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.8 * box["height"], steps=8)
    page.mouse.up()
    assert np.abs(pixels(page, ".seen") - 255 * drawn.reshape(-1, 1)).max() > 100
    # What the encoder says of the picture that is shown there now.
    image = pixels(page, ".seen")[:, 0].reshape(1, 28, 28) / 255
    require_decoded(page, model, ".rebuilt", model.encoder(image)[0][0])


BUNDLE = """export default {
  render({ model, el }) {
    if (model.get("kind") === "none") throw new Error("no such lab");
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: 10, value: model.get("values").mu, ariaLabel: "mu" });
    slider.addEventListener("input", () => model.set("values", { mu: Number(slider.value) }));
    const text = document.createElement("output");
    const draw = () => (text.textContent = `${model.get("spec").text}: ${model.get("values").mu}`);
    model.on("change:values", draw);
    draw();
    el.append(slider, text);
  },
};"""


@pytest.fixture
def labs(tmp_path, monkeypatch):
    """A page of a committed notebook with three labs, the last of a kind that does not exist, and a bundle."""
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "labs.js").write_text(BUNDLE)
    (tmp_path / "js" / "labs.css").write_text(".explorer output { color: rgb(1, 2, 3); }")
    monkeypatch.setattr(build, "LABS", tmp_path / "js")
    picture = {"image/png": base64.b64encode(to_png(np.zeros((4, 4), "uint8"), 1, False)).decode()}
    cells = [
        new_code_cell("lab", execution_count=1, outputs=[new_output("display_data", data={**picture, LAB_MIME: state})])
        for state in (
            {"kind": "bars", "spec": {"text": "</script>"}, "values": {"mu": 3}},
            {"kind": "bars", "spec": {"text": "second"}, "values": {"mu": 5}},
            {"kind": "none", "spec": {}, "values": {}},
        )
    ]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "01_labs.ipynb")
    build_site(find_sources(tmp_path / "notebooks", []), tmp_path / "site", images=tmp_path / "none")
    return tmp_path / "site" / "01_labs.html"


def test_labs_live_from_their_output_alone(labs, visit):
    page = visit(labs, errors=True)
    first, second, third = page.locator(".explorer").all()
    page.locator("#lab-2.live").wait_for()
    assert first.locator("output").inner_text() == "</script>: 3"
    second.get_by_label("mu").press("ArrowRight")
    assert second.locator("output").inner_text() == "second: 6"
    assert first.locator("output").inner_text() == "</script>: 3", "each has a state of its own"
    assert first.locator("output").evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    # The still picture gives way to what moves, and stays where nothing does.
    assert page.locator("#lab-1 > img").count() == 0 and page.locator("#lab-1 .note").count() == 0
    page.wait_for_function("document.querySelector('#lab-3 .note').textContent.includes('no such lab')")
    assert third.locator("img").count() == 1
    page = visit(labs, java_script_enabled=False)
    assert page.locator(".explorer > img").count() == 3
    assert "still picture" in page.locator("#lab-1 .note").inner_text()


def test_what_needs_python_or_is_broken_says_so(explorers, visit):
    page = visit(explorers / "03_python.html")
    assert page.locator(".explorer img").evaluate("image => image.naturalWidth") > 0
    assert "its decoder needs Python" in page.locator(".explorer").inner_text()
    page = visit(explorers / "04_broken.html")
    page.locator(".explorer.live").wait_for()
    assert "The decoder cannot run: " in page.locator(".status").inner_text()
    page = visit(explorers / "05_silent.html", errors=True)
    note = page.locator(".explorer .note")
    page.wait_for_function("document.querySelector('.explorer .note').textContent.includes('no luck')")
    assert note.inner_text() == "This explorer could not start here: no luck. It runs in JupyterLab."
    page = visit(explorers / "01_pad.html", java_script_enabled=False)
    assert page.locator(".explorer .note").inner_text() == "An explorer stands here. It needs JavaScript."


def test_the_pad_follows_a_dark_page(explorers, visit):
    page = visit(explorers / "01_pad.html", color_scheme="dark", width=390)
    page.locator(".explorer.live").wait_for()
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert page.evaluate("getComputedStyle(document.querySelector('.vaelib-pad')).backgroundColor") == body
    ground = pixels(page, ".plane")[5]
    assert f"rgb({', '.join(map(str, ground))})" == body
    page.emulate_media(color_scheme="light")
    page.wait_for_function("getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'")
    value = "getComputedStyle(document.querySelector('.vaelib-pad')).getPropertyValue('--jp-layout-color0')"
    assert page.evaluate(value).strip() == "rgb(255, 255, 255)", "a canvas can draw with it"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_drag_of_300_steps_loses_no_frame_and_the_time_of_a_key(explorers, visit, model, capsys):
    page = visit(explorers / "01_pad.html")
    page.locator(".explorer.live").wait_for()
    pixels(page, ".image")
    page.evaluate(
        """() => {
          Object.assign(window, { moves: 0, ticks: 0, frames: [], times: [] });
          addEventListener("keydown", () => (window.pressed = performance.now()), { capture: true });
          document.querySelector(".plane").addEventListener("pointermove", (event) => {
            moves++;
            const { clientWidth: side, clientLeft: edge } = event.target;
            const { left, top } = event.target.getBoundingClientRect();
            const share = [event.clientX - left - edge, event.clientY - top - edge].map((x) => x / side);
            window.last = [7 * share[0] - 3.5, 3.5 - 7 * share[1]];
          });
          const put = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...a) {
            put.apply(this, a);
            frames.push(ticks);
            if (window.pressed) times.push(performance.now() - pressed);
          };
          const tick = () => (ticks++, requestAnimationFrame(tick));
          requestAnimationFrame(tick);
        }"""
    )
    box = page.locator(".plane").bounding_box()
    angle = np.linspace(0, 2.5 * np.pi, 301)
    path = zip(0.5 + 0.4 * np.cos(angle), 0.5 - 0.4 * np.sin(angle), strict=True)
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()
    pixels(page, ".image")
    frames, moves, ticks = page.evaluate("[frames, moves, ticks]")
    # One drawing per frame of the screen at most, none left to be drawn when the pointer is up.
    assert len(frames) == len(set(frames)) and 1 < len(frames) <= min(moves + 2, ticks + 1)
    pixels(page, ".image")
    assert page.evaluate("frames.length") == len(frames)
    np.testing.assert_allclose(z_of(page), [0, 2.8], atol=0.04)
    require_decoded(page, model, z=page.evaluate("last"))
    page.locator(".plane").focus()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
        pixels(page, ".image")
    times = np.array(page.evaluate("times"))
    assert len(times) == 30
    with capsys.disabled():
        print(f"\nsite, key to pixels: median {np.median(times):.1f} ms, largest {times.max():.1f} ms; "
              f"300 moves, {len(frames)} drawings in {ticks} frames")  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_readmes_films_are_made_from_pages_of_the_site(explorers, browser, theme, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "images"))
    import films

    monkeypatch.setattr(films, "STEPS", 6)
    monkeypatch.setitem(films.FILMS, "round", ("01_pad", films.ROUND))
    with Image.open(films.film(browser, explorers, "round", theme, tmp_path)) as film:
        shots = []
        for n in range(film.n_frames):
            film.seek(n)
            shots.append(np.asarray(film.convert("L"), float))
    assert len(shots) == 6
    assert (np.median(shots[0]) > 128) == (theme == "light")
    assert all(np.abs(one - another).mean() > 1 for one, another in itertools.pairwise(shots))
    monkeypatch.setattr(films, "LIMIT", 1000)
    with pytest.raises(ValueError, match="expected at most 1,000. Take fewer steps"):
        films.film(browser, explorers, "round", theme, tmp_path)
