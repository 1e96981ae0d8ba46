"""Draw a digit in a real browser: what the pen leaves, where the encoder puts it, and what stays behind."""

import json

import numpy as np
import pytest
from widget_page import rest, settle

from vaelib import pretrained
from vaelib.widgets import DrawDigit, LatentPad
from vaelib.widgets.strokes import to_image

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
MODEL = pretrained.load()
SEVEN = [[(0.25, 0.2), (0.5, 0.21), (0.75, 0.22), (0.6, 0.5), (0.45, 0.85)], [(0.35, 0.5), (0.7, 0.5)]]
RING = [[(0.5 + 0.2 * np.cos(a), 0.5 + 0.3 * np.sin(a)) for a in np.linspace(0, 6.2, 40)]]
BACK = [[(0.2, 0.9), (0.3, 0.1)]]
EXAMPLES = np.stack([to_image(RING), to_image(BACK), to_image(SEVEN)])


def pad(**arguments):
    return DrawDigit(MODEL, **{"examples": EXAMPLES, "example_names": ("ring", "line", "seven"), **arguments})


def draw(page, strokes, name="a", lift=True):
    box = page.locator(f"#{name} .surface").bounding_box()
    for stroke in strokes:
        places = [(box["x"] + 1 + x * (box["width"] - 2), box["y"] + 1 + y * (box["height"] - 2)) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        if lift:
            page.mouse.up()
    settle(page)


def state(page, name="a"):
    """The model's strokes, image, mu and log_var, as the kernel would see them."""
    keys = ["strokes", "image", "mu", "log_var"]
    values = page.evaluate(f"{json.dumps(keys)}.map((key) => pads.{name}.model.get(key))")
    found = dict(zip(keys, values, strict=True))
    found["image"] = np.array(found["image"]).reshape(28, 28)
    return found


def canvas(page, kind, name="a"):
    """The pixels of one of the 28 x 28 pictures; grey and opaque."""
    rgba = np.array(page.evaluate(f"pixels('{name}', '.{kind}')")).reshape(28, 28, 4)
    assert (rgba[..., 3] == 255).all() and (rgba[..., :1] == rgba[..., :3]).all()
    return rgba[..., 0]


def require_consistent(page, name="a"):
    """Image, posterior and the two pictures are what NumPy makes of the strokes in the model."""
    now = state(page, name)
    if now["strokes"]:
        # One level: the two sum in another order, and may round a pixel the other way.
        assert np.abs(now["image"] - 255 * to_image(now["strokes"])).max() <= 1
    np.testing.assert_array_equal(canvas(page, "seen", name), now["image"])
    if not now["image"].any():
        assert now["mu"] == now["log_var"] == [] and not canvas(page, "rebuilt", name).any()
        return now
    mu, log_var = MODEL.encoder(now["image"][None].astype("float32") / np.float32(255))
    np.testing.assert_allclose(now["mu"], mu[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(now["log_var"], log_var[0], rtol=1e-4, atol=1e-4)
    assert np.abs(canvas(page, "rebuilt", name) - 255 * MODEL.decoder(mu)[0]).max() <= 1
    return now


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_drawn_digit_lands_where_the_python_encoder_says(open_page, dtype):
    page = open_page(a=pad(dtype=dtype))  # the pretrained weights are float16 already: nothing is lost
    draw(page, SEVEN)
    now = require_consistent(page)
    assert [len(stroke) for stroke in now["strokes"]] == [5, 2]
    for drawn, meant in zip(now["strokes"], SEVEN, strict=True):
        np.testing.assert_allclose(drawn, meant, atol=0.006)  # a pixel of the surface is 0.0045
    assert now["image"].sum() > 255 * 60
    # And the kernel got the same, at the end.
    rest(page)
    assert json.loads(page.evaluate("pads.a.model.saved")) == now["image"].ravel().tolist()


@pytest.mark.parametrize("strokes", [RING, BACK, [[(0.5, 0.5)]], [[(0.0, 0.0), (1.0, 1.0)], [(1.0, 0.0), (0.0, 1.0)]]])
def test_other_drawings(open_page, strokes):
    page = open_page(a=pad())
    draw(page, strokes)
    now = require_consistent(page)
    assert len(now["strokes"]) == len(strokes) and now["image"].any()


def test_undo_and_clear(open_page):
    page = open_page(a=pad())
    undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    assert undo.is_disabled() and clear.is_disabled()
    draw(page, SEVEN[:1])
    one = require_consistent(page)
    draw(page, SEVEN[1:])
    two = require_consistent(page)
    assert one["mu"] != two["mu"] and len(two["strokes"]) == 2
    undo.click()
    settle(page)
    assert require_consistent(page)["mu"] == one["mu"]
    clear.click()
    settle(page)
    blank = require_consistent(page)
    assert blank["strokes"] == [] and not blank["image"].any() and clear.is_disabled()
    for expected in (one, {"mu": []}):  # back before the clear, and before the first stroke
        undo.click()
        settle(page)
        assert require_consistent(page)["mu"] == expected["mu"]
    assert undo.is_disabled()


def test_examples_by_keyboard(open_page):
    page = open_page(a=pad())
    page.evaluate("document.addEventListener('keydown', (e) => (window.leaked ||= e.key))")
    picker = page.get_by_label("Load an example", exact=True)
    picker.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    settle(page)
    assert picker.input_value() == "1"
    now = require_consistent(page)
    np.testing.assert_array_equal(now["image"], (255 * EXAMPLES[1]).round())
    page.keyboard.press("s")  # seven
    settle(page)
    np.testing.assert_array_equal(require_consistent(page)["image"], (255 * EXAMPLES[2]).round())
    assert page.evaluate("window.leaked") is None, "the notebook would have taken the key for a command"
    draw(page, RING)  # a stroke begins a new drawing
    assert picker.input_value() == "" and len(require_consistent(page)["strokes"]) == 1
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    settle(page)
    np.testing.assert_array_equal(require_consistent(page)["image"], (255 * EXAMPLES[2]).round())
    assert page.evaluate("window.leaked") is None


def test_touch_draws_and_a_second_finger_does_not(open_page):
    page = open_page(touch=True, a=pad())
    assert page.evaluate("getComputedStyle(document.querySelector('.surface')).touchAction") == "none"
    box = page.locator(".surface").bounding_box()

    def place(x, y, finger):
        return {"x": box["x"] + 1 + x * (box["width"] - 2), "y": box["y"] + 1 + y * (box["height"] - 2), "id": finger}

    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place(*p) for p in points]})

    touch("touchStart", (0.3, 0.2, 0))
    touch("touchMove", (0.7, 0.2, 0))
    touch("touchStart", (0.7, 0.2, 0), (0.1, 0.9, 1))
    touch("touchMove", (0.7, 0.2, 0), (0.9, 0.9, 1))
    touch("touchMove", (0.4, 0.8, 0), (0.9, 0.8, 1))
    touch("touchEnd")
    settle(page)
    (stroke,) = require_consistent(page)["strokes"]
    stroke = np.array(stroke)
    np.testing.assert_allclose(stroke[[0, -1]], [(0.3, 0.2), (0.4, 0.8)], atol=0.006)
    assert stroke[:, 0].min() > 0.29 and stroke[:, 1].max() < 0.81


def test_python_draws_and_shows_an_image(open_page):
    page = open_page(a=pad())
    page.evaluate(f"pads.a.model.set('strokes', {json.dumps(SEVEN)})")
    widget = pad()
    widget.strokes = SEVEN
    for key, value in widget.get_state(["image", "mu", "log_var"]).items():
        page.evaluate(f"pads.a.model.set('{key}', {json.dumps(value)})")
    settle(page)
    assert require_consistent(page)["mu"] == list(widget.mu)
    surface = np.array(page.evaluate("pixels('a', '.surface')")).reshape(224, 224, 4)[..., 0]
    assert surface[int(0.21 * 224), 112] == 255 and surface[200, 20] == 0
    widget.image = EXAMPLES[0]
    for key, value in widget.get_state(["strokes", "image", "mu", "log_var"]).items():
        page.evaluate(f"pads.a.model.set('{key}', {json.dumps(value)})")
    settle(page)
    assert require_consistent(page)["mu"] == list(widget.mu)
    surface = np.array(page.evaluate("pixels('a', '.surface')")).reshape(224, 224, 4)[..., 0]
    np.testing.assert_array_equal(surface[4::8, 4::8], (255 * EXAMPLES[0]).round())  # the image, enlarged
    assert page.evaluate("pads.a.model.saves") == 0, "what came from Python need not go back"


def test_a_page_without_a_kernel_shows_what_the_state_holds(open_page):
    widget = pad()
    widget.strokes = SEVEN
    page = open_page(a=widget)
    assert require_consistent(page)["mu"] == list(widget.mu)


@pytest.mark.parametrize("z", [(1.2, 1.2), (-1.5, -1.5)])
def test_the_ellipses_lie_where_q_is_and_the_lens_out_of_their_way(open_page, z):
    widget = pad(points=np.array([[-3.0, 3.0]]), labels=[4])
    page = open_page(a=widget)
    plane = "pixels('a', '.plane')"
    before = np.array(page.evaluate(plane)).reshape(320, 320, 4)[..., :3]
    widget.image = MODEL.decoder([z])[0]
    page.evaluate(f"pads.a.model.set('image', {json.dumps(widget.get_state(['image'])['image'])})")
    settle(page)
    after = np.array(page.evaluate(plane)).reshape(320, 320, 4)[..., :3]
    changed = (before != after).any(axis=-1)
    lens = (slice(0, 100), slice(225, 320)) if z[0] < 0 else (slice(225, 320), slice(0, 100))
    assert changed[lens].sum() > 200
    changed[lens] = False
    rows, columns = np.nonzero(changed)
    centre = [(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2]
    mu = np.array(widget.mu)
    np.testing.assert_allclose(centre, [160 * (1 + mu[0] / 3.5), 160 * (1 - mu[1] / 3.5)], atol=1)
    # The ticks begin beyond two sigma, which is where the outer ellipse ends.
    sigma = 160 / 3.5 * np.exp(np.array(widget.log_var) / 2)
    reach = np.array([np.ptp(columns) + 1, np.ptp(rows) + 1]) / 2
    np.testing.assert_allclose(reach, 2 * sigma + 6 + 10, atol=3)


def test_screen_readers_get_the_posterior(open_page):
    page = open_page(a=pad(names=("across", "up")))
    page.get_by_label("Load an example", exact=True).select_option("ring")
    settle(page)
    now = require_consistent(page)
    sigma = np.exp(np.array(now["log_var"]) / 2)
    where = ", ".join(
        f"{name} {m:.2f} ± {s:.2f}".replace("-", "\u2212")
        for name, m, s in zip(("across", "up"), now["mu"], sigma, strict=True)
    )
    labels = [image.get_attribute("aria-label") for image in page.get_by_role("img").all()]
    assert len(labels) == 4 and all(labels)
    assert labels[-1] == f"Latent plane with the approximate posterior: {where}."
    playwright_api.expect(page.locator("[aria-live=polite]")).to_have_text(where)
    assert page.locator(".status").inner_text() == f"q(z|x), mean ± σ: {where}"


def test_two_widgets_and_a_latent_pad_do_not_disturb_each_other(open_page):
    page = open_page(a=pad(), b=pad(dtype="float16"), c=LatentPad(MODEL.decoder, z=[1, 1]))
    draw(page, RING, "a")
    draw(page, SEVEN, "b")
    assert len(require_consistent(page, "a")["strokes"]) == 1
    assert len(require_consistent(page, "b")["strokes"]) == 2
    assert page.evaluate("pads.c.model.get('z')") == [1, 1]
    page.evaluate("pads.a.cleanup()")
    page.locator("#b").get_by_role("button", name="Undo").click()
    settle(page)
    assert len(require_consistent(page, "b")["strokes"]) == 1
    assert len(state(page, "a")["strokes"]) == 1


def test_the_kernel_is_not_flooded_and_no_frame_waits(open_page):
    page = open_page(a=pad())
    page.evaluate(
        """() => {
          window.ticks = 0;
          window.images = 0;
          const tick = () => (window.ticks++, requestAnimationFrame(tick));
          requestAnimationFrame(tick);
          pads.a.model.on("change:image", () => window.images++);
        }"""
    )
    saves, began = page.evaluate("[pads.a.model.saves, performance.now()]")
    angle = np.linspace(0, 12, 301)
    draw(page, [[(0.5 + 0.03 * a * np.cos(a), 0.5 + 0.03 * a * np.sin(a)) for a in angle]])
    images, ticks = page.evaluate("[images, ticks]")
    assert 1 < images <= ticks + 2, "at most one encoding per frame"
    page.evaluate("frames_(5)")
    assert page.evaluate("images") == images
    rest(page)
    later, ended = page.evaluate("[pads.a.model.saves, performance.now()]")
    assert saves < later <= saves + (ended - began) / 50 + 2, "the kernel hears at most every 50 ms"
    require_consistent(page)


def test_closing_frees_listeners_and_stops_the_drawing(open_page):
    page = open_page(a=pad())
    draw(page, SEVEN)
    rest(page)
    result = page.evaluate(
        """async () => {
          const { model, cleanup } = pads.a;
          const [surface, undo] = [document.querySelector(".surface"), document.querySelector("button")];
          const before = model.listeners.length;
          let frames = 0;
          const request = window.requestAnimationFrame;
          model.set("strokes", model.get("strokes").slice(1)); // a frame is waiting
          cleanup();
          let paintings = 0;
          CanvasRenderingContext2D.prototype.putImageData = () => paintings++;
          window.requestAnimationFrame = (f) => (frames++, request(f));
          const [image, saves] = [JSON.stringify(model.get("image")), model.saves];
          surface.dispatchEvent(new PointerEvent("pointerdown", { pointerId: 1, clientX: 50, clientY: 50 }));
          undo.click();
          const deaf = JSON.stringify(model.get("image")) === image;
          model.set("strokes", []);
          document.body.setAttribute("data-jp-theme-light", "false");
          await new Promise((done) => setTimeout(done, 500));
          return {
            before, after: model.listeners.length, frames, paintings, deaf, saves: model.saves - saves,
            left: document.querySelectorAll("#a *").length,
          };
        }"""
    )
    assert result == {"before": 2, "after": 0, "frames": 0, "paintings": 0, "deaf": True, "saves": 0, "left": 0}


def test_the_dark_theme_is_followed(open_page):
    corner = "Array.from(document.querySelector('.plane').getContext('2d').getImageData(3, 30, 1, 1).data.slice(0, 3))"
    page = open_page(dark=True, a=pad())
    assert page.evaluate(corner) == [0x16, 0x16, 0x16]
    page.evaluate(
        """() => {
          document.documentElement.style.setProperty("--jp-layout-color0", "#112233");
          document.body.setAttribute("data-jp-theme-light", "false");
        }"""
    )
    settle(page)
    assert page.evaluate(corner) == [0x11, 0x22, 0x33]


def test_a_broken_state_is_named_on_the_page(open_page):
    widget = pad()
    widget.set_trait("encoder_weights", widget.encoder_weights[:-4])
    page = open_page(a=widget)
    assert "The networks cannot run: " in page.locator(".status").inner_text()
    draw(page, SEVEN)  # the drawing itself still works
    assert state(page)["image"].any() and state(page)["mu"] == []


def test_the_time_from_pen_to_picture(open_page, capsys):
    """A measurement, printed and not asserted: it depends on the machine."""
    page = open_page(a=pad())
    times = page.evaluate(
        """async () => {
          const { model } = pads.a;
          const surface = document.querySelector(".surface");
          const box = surface.getBoundingClientRect();
          surface.setPointerCapture = () => {};
          const send = (kind, k) => surface.dispatchEvent(new PointerEvent(kind, {
            pointerId: 1, button: 0, clientX: box.left + 110 + 8 * Math.sqrt(k) * Math.cos(k / 4),
            clientY: box.top + 110 + 8 * Math.sqrt(k) * Math.sin(k / 4),
          }));
          const put = CanvasRenderingContext2D.prototype.putImageData;
          let shown = 0;
          CanvasRenderingContext2D.prototype.putImageData = function (...a) {
            put.apply(this, a);
            shown = performance.now();
          };
          const work = [];
          const request = window.requestAnimationFrame;
          window.requestAnimationFrame = (f) => request((now) => {
            const start = performance.now();
            f(now);
            work.push(performance.now() - start);
          });
          send("pointerdown", 0);
          for (let k = 1; k < 100; k++) {
            send("pointermove", k);
            await new Promise((done) => request(done));
          }
          send("pointerup", 99);
          return work;
        }"""
    )
    assert len(state(page)["strokes"][0]) > 90
    with capsys.disabled():
        print(f"\nwork per frame of drawing: median {np.median(times):.1f} ms, largest {np.max(times):.1f} ms")
