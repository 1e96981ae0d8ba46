"""The latent pad in a real browser: its pixels, its keys, its pointer, and what it leaves behind."""

import itertools
import json

import numpy as np
import pytest
from widget_page import drag, rest, settle

from vaelib.pretrained.networks import ACTIVATIONS, NumpyDecoder, bernoulli_mean, normal_mean
from vaelib.widgets.latent_pad import LatentPad

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
SHAPE = (6, 5)


def numpy_decoder(latent_dim=2, seed=0, activation="tanh", mean=bernoulli_mean, units=8, shape=SHAPE):
    """A decoder whose pictures vary strongly with z."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape)) * (1 if mean is bernoulli_mean else 2)
    kernel = rng.standard_normal((latent_dim, units)).astype("float32")
    bias = rng.standard_normal(units).astype("float32")
    last = rng.standard_normal((units, size)).astype("float32")
    steps = [lambda h: h @ kernel + bias, ACTIVATIONS[activation], lambda h: h @ last]
    return NumpyDecoder(steps, mean, shape, latent_dim)


def z_of(page, name="a"):
    return page.evaluate(f"pads.{name}.model.get('z')")


def set_z(page, z, name="a"):
    """Set z as Python does; show the pixels after the next frames."""
    page.evaluate(f"pads.{name}.model.set('z', {json.dumps(list(z))})")
    settle(page)


def require_pixels(page, decoder, z=None, name="a", levels=1.0):
    """The canvas shows the NumPy decode of z, within some levels of 255, at every pixel, opaque."""
    z = z_of(page, name) if z is None else z
    rgba = np.array(page.evaluate(f"pixels('{name}')")).reshape(-1, 4)
    expected = 255 * decoder(np.array([z], "float32"))[0]
    expected = expected.reshape(-1, 3) if expected.ndim == 3 else expected.reshape(-1, 1)
    assert rgba.shape[0] == expected.shape[0]
    difference = np.abs(rgba[:, :3] - expected).max()
    assert difference <= levels, f"the canvas differs by {difference:.2f} levels at z = {z}"
    assert (rgba[:, 3] == 255).all()


CODES = [[0, 0], [1, -1], [-2.5, 0.3], [3.1, 3.3], [-7, 9.5]]


@pytest.mark.parametrize("mean", [bernoulli_mean, normal_mean])
def test_the_canvas_equals_numpy(open_page, mean):
    decoder = numpy_decoder(mean=mean, units=40, shape=(28, 20))
    page = open_page(a=LatentPad(decoder, z=[0.5, 0.5]))
    require_pixels(page, decoder, [0.5, 0.5])
    pictures = []
    for z in CODES:
        set_z(page, z)
        require_pixels(page, decoder, z)
        pictures.append(page.evaluate("pixels('a')"))
    assert len({tuple(picture) for picture in pictures}) == len(CODES)


def test_every_activation_that_numpy_knows_runs_in_the_browser(open_page):
    decoders = {f"a_{name}": numpy_decoder(activation=name, seed=i) for i, name in enumerate(ACTIVATIONS)}
    pads = {name: LatentPad(decoder) for name, decoder in decoders.items()}
    assert all(pad.runs_in_browser for pad in pads.values())
    page = open_page(**pads)
    for name, decoder in decoders.items():
        for z in CODES:
            set_z(page, z, name)
            require_pixels(page, decoder, z, name)


def test_half_precision_colour_and_one_or_five_dimensions(open_page):
    decoders = {
        "half": (numpy_decoder(), "float16"),
        "line": (numpy_decoder(1), "float32"),
        "five": (numpy_decoder(5, shape=(4, 3, 3)), "float32"),
    }
    points = np.random.default_rng(0).standard_normal((50, 5))
    extra = {
        "five": {"points": points, "labels": np.arange(50) % 10, "shown": (3, 1)},
        "line": {"points": points[:, :1]},
    }
    page = open_page(**{n: LatentPad(d, dtype=t, **extra.get(n, {})) for n, (d, t) in decoders.items()})
    for name, (decoder, dtype) in decoders.items():
        for z in [np.linspace(-1, 2, decoder.latent_dim), np.full(decoder.latent_dim, -0.7)]:
            set_z(page, z, name)
            # Half precision keeps 11 bits of a weight.
            require_pixels(page, decoder, name=name, levels=1 if dtype == "float32" else 3)
    assert page.locator("#five input[type=range]").count() == 5
    assert page.locator("#five .legend .entry").all_inner_texts() == [str(i) for i in range(10)]
    page.locator("#five .plane").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    settle(page)
    np.testing.assert_allclose(z_of(page, "five"), [-0.7, -0.6, -0.7, -0.6, -0.7])
    page.locator("#line .plane").focus()
    for key in ["ArrowUp", "ArrowRight"]:
        page.keyboard.press(key)
    settle(page)
    np.testing.assert_allclose(z_of(page, "line"), [-0.6])


def test_the_points_lie_where_their_codes_are_in_their_colour(open_page):
    pad = LatentPad(numpy_decoder(), z=[3, 3], points=[[-2, 1.5], [2.2, -1]], labels=[4, 7])
    page = open_page(a=pad)
    for (x, y), colour in zip([(-2, 1.5), (2.2, -1)], pad.spec["colours"], strict=False):
        rgb = page.evaluate(
            """([x, y]) => {
              const plane = document.querySelector(".plane");
              const at = (v) => Math.floor(((v + 3.5) / 7) * plane.width);
              return Array.from(plane.getContext("2d").getImageData(at(x), at(-y), 1, 1).data);
            }""",
            [x, y],
        )
        pure = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        # Drawn at 60 % over white; pixels at the edge of the little square mix more white in.
        assert np.abs(np.array(rgb[:3]) - (0.6 * pure + 0.4 * 255)).max() < 3


def test_arrow_keys_move_the_point_and_the_pixels(open_page):
    decoder = numpy_decoder()
    page = open_page(a=LatentPad(decoder, names=("pose", "humour")))
    page.evaluate("document.addEventListener('keydown', (e) => (window.leaked ||= e.key.startsWith('Arrow')))")
    before = page.evaluate("pixels('a')")
    page.locator(".plane").focus()
    for key in ["ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown"]:
        page.keyboard.press(key)
    settle(page)
    np.testing.assert_allclose(z_of(page), [0.2, -0.4])
    require_pixels(page, decoder)
    assert page.evaluate("pixels('a')") != before
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    settle(page)
    np.testing.assert_allclose(z_of(page), [3.5, -0.4])  # the edge of the plane
    page.get_by_label("humour", exact=True).focus()
    page.keyboard.press("ArrowUp")
    settle(page)
    np.testing.assert_allclose(z_of(page), [3.5, -0.39])
    assert page.evaluate("window.leaked") is False, "the notebook would have moved to another cell"


def test_a_drag_of_300_steps_ends_at_the_right_code_and_leaves_no_queue(open_page):
    decoder = numpy_decoder(units=200, shape=(28, 28))
    page = open_page(a=LatentPad(decoder))
    page.evaluate(
        """() => {
          window.draws = 0;
          const put = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...a) { window.draws++; put.apply(this, a); };
          window.ticks = 0;
          const tick = () => (window.ticks++, requestAnimationFrame(tick));
          requestAnimationFrame(tick);
        }"""
    )
    angle = np.linspace(0, 2.5 * np.pi, 301)
    path = [(0.5 + 0.4 * np.cos(a), 0.5 - 0.4 * np.sin(a)) for a in angle]
    saves, began = page.evaluate("[pads.a.model.saves, performance.now()]")
    drag(page, path, page.locator(".plane").bounding_box())
    settle(page)
    np.testing.assert_allclose(z_of(page), [0, 0.4 * 7], atol=0.03)  # a pixel is 0.022
    require_pixels(page, decoder)
    draws, ticks = page.evaluate("[window.draws, window.ticks]")
    assert 1 < draws <= min(301, ticks + 1), "at most one drawing per frame"
    page.evaluate("frames_(5)")
    assert page.evaluate("window.draws") == draws, "drawings were still queued when the drag had ended"
    rest(page)
    later, ended = page.evaluate("[pads.a.model.saves, performance.now()]")
    assert saves < later <= saves + (ended - began) / 50 + 2, "the kernel hears at most every 50 ms"
    assert json.loads(page.evaluate("pads.a.model.saved")) == z_of(page)
    # The button is up: the pointer passes and nothing moves.
    before = z_of(page)
    page.mouse.move(5, 5)
    page.mouse.move(100, 100)
    settle(page)
    assert z_of(page) == before


@pytest.mark.parametrize("close", [False, True])
def test_the_kernel_gets_the_last_code_of_a_burst(open_page, close):
    page = open_page(a=LatentPad(numpy_decoder()))
    page.evaluate(
        """async (close) => {
          const key = new KeyboardEvent("keydown", { key: "ArrowRight" });
          for (let i = 0; i < 20; i++) document.querySelector(".plane").dispatchEvent(key);
          if (close) pads.a.cleanup();
          await new Promise((done) => setTimeout(done, 200));
        }""",
        close,
    )
    assert page.evaluate("pads.a.model.saves") == 2  # the first at once, the last when the pause is over
    np.testing.assert_allclose(json.loads(page.evaluate("pads.a.model.saved")), [2, 0])


def test_a_touch_moves_the_point(open_page):
    decoder = numpy_decoder()
    page = open_page(touch=True, a=LatentPad(decoder))
    box = page.locator(".plane").bounding_box()
    page.touchscreen.tap(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"])
    settle(page)
    np.testing.assert_allclose(z_of(page), [1.75, -1.75], atol=0.03)
    require_pixels(page, decoder)
    assert page.evaluate("getComputedStyle(document.querySelector('.plane')).touchAction") == "none"


def test_range_inputs_move_the_point_by_keyboard(open_page):
    decoder = numpy_decoder(3)
    page = open_page(a=LatentPad(decoder, names=("pose", "humour", "light"), z=[0, 0.5, 0]))
    page.get_by_label("light", exact=True).focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    settle(page)
    np.testing.assert_allclose(z_of(page), [0, 0.5, 0.07], atol=1e-9)
    require_pixels(page, decoder)
    assert page.locator(".slider .value").all_inner_texts() == ["0.00", "0.50", "0.07"]
    page.keyboard.press("Home")
    settle(page)
    np.testing.assert_allclose(z_of(page), [0, 0.5, -3.5])


def test_python_moves_the_point_and_the_plane_grows(open_page):
    decoder = numpy_decoder()
    page = open_page(a=LatentPad(decoder))
    slider = page.get_by_label("z1", exact=True)
    assert slider.get_attribute("max") == "3.5"
    set_z(page, [-6.2, 1])
    require_pixels(page, decoder, [-6.2, 1])
    assert slider.get_attribute("max") == "6.5" and slider.input_value() == "-6.2"
    assert page.evaluate("pads.a.model.saves") == 0, "what came from Python need not go back"


def test_screen_readers_get_the_current_code(open_page):
    page = open_page(a=LatentPad(numpy_decoder(), names=("pose", "humour"), z=[1, -0.5], alt="A face."))
    labels = [canvas.get_attribute("aria-label") for canvas in page.get_by_role("img").all()]
    assert labels == [
        "Latent plane, pose 1.00, humour \u22120.50. Arrow keys move the point.",
        "A face. At pose 1.00, humour \u22120.50.",
    ]
    set_z(page, [0, 2])
    assert page.get_by_role("img").last.get_attribute("aria-label") == "A face. At pose 0.00, humour 2.00."
    playwright_api.expect(page.locator("[aria-live=polite]")).to_have_text("pose 0.00, humour 2.00")
    assert page.get_by_role("slider").count() == 2


def test_sample_the_prior(open_page):
    decoder = numpy_decoder(3)
    page = open_page(a=LatentPad(decoder))
    page.get_by_role("button", name="Sample the prior").click()
    settle(page)
    require_pixels(page, decoder)
    draws = page.get_by_role("button", name="Sample the prior").evaluate(
        "button => Array.from({ length: 1000 }, () => (button.click(), pads.a.model.get('z')))"
    )
    settle(page)
    require_pixels(page, decoder, draws[-1])
    draws = np.array(draws)
    assert len(np.unique(draws)) == draws.size
    # 3000 draws: mean 0, variance 1 and no correlation, each within five standard errors.
    assert abs(draws.mean()) < 5 / np.sqrt(3000)
    assert abs(draws.var() - 1) < 5 * np.sqrt(2 / 3000)
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 5 / np.sqrt(1000)


def test_the_walk_goes_smoothly_from_mark_to_mark(open_page):
    decoder = numpy_decoder()
    page = open_page(a=LatentPad(decoder))
    walk = page.get_by_role("button", name="Walk between the marks")
    assert walk.is_disabled()
    marks = [[0, 0], [1, 0.5], [-1, 1]]
    for z in marks:
        set_z(page, z)
        page.get_by_role("button", name="Mark this point").click()
    assert page.evaluate("pads.a.model.get('marks')") == marks
    page.evaluate("window.path = []; pads.a.model.on('change:z', () => path.push(pads.a.model.get('z')))")
    # Frames 50 ms apart by the walk's clock, however far apart they come.
    page.evaluate(
        """() => {
          const request = window.requestAnimationFrame;
          let now = 0;
          window.requestAnimationFrame = (draw) => request(() => draw((now += 50)));
        }"""
    )
    # Asked in the page itself: the walk may be over before an answer comes from there.
    assert walk.evaluate("button => (button.click(), button.textContent)") == "Stop"
    walk = page.get_by_role("button", name="Walk between the marks")
    walk.wait_for()  # the label comes back at the end
    settle(page)
    np.testing.assert_allclose(z_of(page), marks[-1], atol=1e-9)
    require_pixels(page, decoder)
    path = np.array(page.evaluate("path"))
    assert len(path) > 5
    for x, y in path:  # every point lies on one of the two straight pieces
        first = abs(y - 0.5 * x) < 1e-6 and -1e-6 <= x <= 1 + 1e-6
        second = abs(y - (0.5 + (1 - x) / 4)) < 1e-6 and -1 - 1e-6 <= x <= 1 + 1e-6
        assert first or second
    page.get_by_role("button", name="Clear the marks").click()
    assert page.evaluate("pads.a.model.get('marks')") == [] and walk.is_disabled()


def test_two_pads_do_not_disturb_each_other(open_page):
    decoders = {"a": numpy_decoder(seed=0), "b": numpy_decoder(seed=1)}
    page = open_page(**{name: LatentPad(decoder) for name, decoder in decoders.items()})
    page.locator("#a .plane").focus()
    page.keyboard.press("ArrowRight")
    drag(page, [(0.5, 0.5), (0.25, 0.5)], page.locator("#b .plane").bounding_box())
    settle(page)
    np.testing.assert_allclose(z_of(page, "a"), [0.1, 0])
    np.testing.assert_allclose(z_of(page, "b"), [-1.75, 0], atol=0.03)
    for name, decoder in decoders.items():
        require_pixels(page, decoder, name=name)
    page.evaluate("pads.a.cleanup()")
    page.locator("#b .plane").focus()
    page.keyboard.press("ArrowUp")
    settle(page)
    require_pixels(page, decoders["b"], name="b")
    assert z_of(page, "b")[1] > 0.05


@pytest.mark.parametrize("walking", [False, True])
def test_closing_frees_listeners_and_stops_the_drawing(open_page, walking):
    page = open_page(a=LatentPad(numpy_decoder(), z=[1, 1]))
    for z in [[0, 0], [1, 1]]:
        set_z(page, z)
        page.get_by_role("button", name="Mark this point").click()
    if walking:
        page.get_by_role("button", name="Walk between the marks").click()
    rest(page)  # the last save is over
    result = page.evaluate(
        """async () => {
          const { model, cleanup } = pads.a;
          const plane = document.querySelector(".plane");
          const slider = document.querySelector("input");
          let frames = 0;
          const request = window.requestAnimationFrame;
          const before = model.listeners.length;
          cleanup();
          window.requestAnimationFrame = (f) => (frames++, request(f));
          const z = JSON.stringify(model.get("z"));
          const saves = model.saves;
          plane.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
          slider.value = 2;
          slider.dispatchEvent(new Event("input"));
          const deaf = JSON.stringify(model.get("z")) === z;
          model.set("z", [2, 2]);
          document.body.setAttribute("data-jp-theme-light", "false");
          await new Promise((done) => setTimeout(done, 200));
          return {
            before, after: model.listeners.length, frames, deaf,
            saves: model.saves - saves, left: document.querySelectorAll("#a *").length, saved: model.saved === z,
          };
        }"""
    )
    assert result == {
        "before": 4, "after": 0, "frames": 0, "deaf": True, "saves": 0, "left": 0, "saved": True,
    }  # fmt: skip


def test_the_dark_theme_is_followed(open_page):
    corner = "Array.from(document.querySelector('.plane').getContext('2d').getImageData(3, 30, 1, 1).data.slice(0, 3))"
    page = open_page(a=LatentPad(numpy_decoder()))
    assert page.evaluate(corner) == [255, 255, 255]
    # As JupyterLab does it: other values of its variables, and a mark on the body.
    page.evaluate(
        """() => {
          document.documentElement.style.setProperty("--jp-layout-color0", "#112233");
          document.body.setAttribute("data-jp-theme-light", "false");
        }"""
    )
    settle(page)
    assert page.evaluate(corner) == [0x11, 0x22, 0x33]
    page = open_page(dark=True, a=LatentPad(numpy_decoder()))
    assert page.evaluate(corner) == [0x16, 0x16, 0x16]


class Waves:
    """A decoder that the browser does not know, with the face of a NumpyDecoder."""

    latent_dim = 2

    def __init__(self):
        self.calls = 0

    def __call__(self, z):
        self.calls += 1
        return 0.5 + 0.5 * np.sin(np.arange(30).reshape(SHAPE) * z[:, 0, None, None] + z[:, 1, None, None])


def test_what_the_browser_cannot_run_the_kernel_decodes_one_question_at_a_time(open_page):
    waves = Waves()
    pad = LatentPad(waves, z=[0.3, 0.3])
    page = open_page(a=pad)
    require_pixels(page, Waves(), [0.3, 0.3])
    assert "each picture comes from the Python kernel" in page.locator(".status").inner_text()
    page.evaluate(
        """() => {
          let open = 0;
          window.most = 0;
          window.unanswered = 0;
          const { model } = pads.a;
          const send = model.send.bind(model);
          model.send = async (content) => {
            window.most = Math.max(window.most, ++open);
            window.unanswered++;
            // A kernel on another machine; the answer's own handler may ask again, after this one is over.
            await new Promise((done) => setTimeout(done, 30));
            open--;
            await send(content);
            window.unanswered--;
          };
        }"""
    )
    angle = np.linspace(0, np.pi, 60)
    path = [(0.5 + 0.4 * np.cos(a), 0.5 - 0.4 * np.sin(a)) for a in angle]
    drag(page, path, page.locator(".plane").bounding_box())
    settle(page)
    page.wait_for_function("window.unanswered === 0")
    require_pixels(page, Waves())
    np.testing.assert_allclose(z_of(page), [-2.8, 0], atol=0.03)
    assert page.evaluate("window.most") == 1


def test_an_error_of_the_kernels_decoder_is_shown(open_page):
    def fragile(z):
        if z[0, 0] > 1:
            raise RuntimeError("too far to the right")
        return np.full((1, *SHAPE), 0.5)

    pad = LatentPad(fragile, latent_dim=2)
    page = open_page(a=pad)
    set_z(page, [2, 0])
    playwright_api.expect(page.locator(".status")).to_have_text("RuntimeError: too far to the right")
    set_z(page, [0, 0])
    playwright_api.expect(page.locator(".status")).to_contain_text("each picture comes from the Python kernel")


def test_a_broken_state_is_named_on_the_page(open_page):
    pad = LatentPad(numpy_decoder())
    pad.set_trait("weights", pad.weights[:-4])
    page = open_page(a=pad)
    assert "The decoder cannot run: " in page.locator(".status").inner_text()


def test_the_time_from_key_to_pixels(open_page, capsys):
    """A measurement, printed and not asserted: it depends on the machine."""
    rng = np.random.default_rng(0)
    sizes = [2, 500, 500, 784]
    kernels = [rng.standard_normal(s).astype("float32") / np.float32(np.sqrt(s[0])) for s in itertools.pairwise(sizes)]
    steps = []
    for i, kernel in enumerate(kernels):
        steps += [lambda h, kernel=kernel: h @ kernel] + [ACTIVATIONS["relu"]] * (i < 2)
    decoder = NumpyDecoder(steps, bernoulli_mean, (28, 28), 2)
    page = open_page(a=LatentPad(decoder))
    page.evaluate(
        """() => {
          window.times = [];
          let pressed;
          document.addEventListener("keydown", () => (pressed = performance.now()), { capture: true });
          const put = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...a) {
            put.apply(this, a);
            times.push(performance.now() - pressed);
          };
        }"""
    )
    page.locator(".plane").focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
        settle(page)
    require_pixels(page, decoder)
    times = np.array(page.evaluate("times"))
    assert len(times) == 30
    with capsys.disabled():
        print(f"\nkey to pixels, 2-500-500-784: median {np.median(times):.1f} ms, largest {times.max():.1f} ms")
