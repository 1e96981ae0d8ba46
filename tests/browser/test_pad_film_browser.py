"""The latent pad in a real browser: axes, the video, named axes, uncertainty, convolutions, the exported file."""

import keras
import numpy as np
import pytest
from test_latent_pad_browser import numpy_decoder, playwright_api, require_pixels, set_z, z_of
from widget_page import drag, rest, settle

import vaelib
from vaelib.pretrained.networks import (
    NumpyDecoder,
    affine,
    continuous_bernoulli_mean,
    identity_mean,
    log_var_of,
    mean_of,
    normal_mean,
)
from vaelib.widgets.directions import direction_between
from vaelib.widgets.latent_pad import LatentPad

SHAPE = (6, 5)


def film(n=30, latent_dim=2, seed=1, shape=SHAPE):
    rng = np.random.default_rng(seed)
    return {"path": rng.standard_normal((n, latent_dim)).clip(-3, 3), "frames": rng.random((n, *shape))}


def canvas(page, name, selector):
    rgba = np.array(page.evaluate(f"pixels('{name}', '{selector}')")).reshape(-1, 4)
    assert (rgba[:, 3] == 255).all()
    return rgba[:, :3].astype(float)


def require_frame(page, pad, number, name="a"):
    """The true frame on the page is that of the video, to the bit."""
    pixels = np.frombuffer(pad.frames, "uint8").reshape(-1, *SHAPE)[number]
    np.testing.assert_array_equal(canvas(page, name, ".true canvas"), np.repeat(pixels.reshape(-1, 1), 3, axis=1))


def slow_clock(page, step=50):
    """Frames lie some milliseconds apart by the page's own clock, however far apart they come."""
    page.evaluate(
        """(step) => {
          const request = window.requestAnimationFrame;
          let now = 0;
          window.requestAnimationFrame = (draw) => request(() => draw((now += step)));
        }""",
        step,
    )


# ---- Axes


def test_sliders_and_plane_move_along_the_axes(open_page):
    decoder = numpy_decoder(3)
    axes = np.array([[0.6, 0.8, 0], [0, 0.6, 0.8]])  # cosine 0.48
    pad = LatentPad(decoder, ("pose", "humour"), axes=axes, z=[0.1, 0.2, 0.3], shown=(0, 1))
    page = open_page(a=pad)
    page.get_by_label("humour", exact=True).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    settle(page)
    z = np.array(z_of(page))
    away = z - [0.1, 0.2, 0.3]
    np.testing.assert_allclose(away, away @ axes[1] * axes[1], atol=1e-9)  # along that axis alone
    reading = page.get_by_label("humour", exact=True).evaluate("slider => slider.valueAsNumber")
    assert abs(z @ axes[1] - reading) <= 0.0051 and away @ axes[1] > 0.03
    require_pixels(page, decoder)
    # A place on the plane is a place on both axes, whatever their angle.
    drag(page, [(0.5, 0.5), (0.75, 0.25)], page.locator(".plane").bounding_box())
    settle(page)
    before, z = z, np.array(z_of(page))
    np.testing.assert_allclose(axes @ z, [1.75, 1.75], atol=0.03)
    normal = np.cross(*axes)
    np.testing.assert_allclose(z @ normal, before @ normal, atol=1e-9)
    require_pixels(page, decoder)
    shown = page.locator(".slider .value").all_inner_texts()
    assert shown == [f"{value:.2f}" for value in axes @ z]


def test_the_path_lies_under_the_pad_in_the_colours_of_time(open_page):
    path = [[-2, -2], [-2, 2], [2, 2], [2, -2]]
    for dark in (False, True):
        pad = LatentPad(numpy_decoder(), path=path, z=[3, 3])
        page = open_page(dark=dark, a=pad)
        colours = pad.spec["time_colours"]["dark" if dark else "light"]
        for i, place in enumerate(path):
            rgb = page.evaluate(
                """([x, y]) => {
                  const plane = document.querySelector(".plane");
                  const at = (v) => Math.floor(((v + 3.5) / 7) * plane.width);
                  return Array.from(plane.getContext("2d").getImageData(at(x), at(-y), 1, 1).data.slice(0, 3));
                }""",
                place,
            )
            expected = colours[int(i / 4 * len(colours))]
            pure = np.array([int(expected[k : k + 2], 16) for k in (1, 3, 5)])
            assert np.abs(np.array(rgb) - pure).max() < 60  # drawn at 85 % over the page and over the lines


# ---- The video


def test_the_video_runs_along_the_path_and_shows_the_true_frame(open_page):
    decoder, given = numpy_decoder(), film()
    pad = LatentPad(decoder, **given)
    page = open_page(a=pad)
    path = given["path"].astype("float32")
    np.testing.assert_array_equal(z_of(page), path[0])  # it starts on a real frame
    require_frame(page, pad, 0)
    page.evaluate("window.path = []; pads.a.model.on('change:z', () => path.push(pads.a.model.get('z')))")
    slow_clock(page)
    play = page.get_by_role("button", name="Play the video")
    # Asked in the page itself: the video may be over before an answer comes from there.
    assert play.evaluate("button => (button.click(), button.textContent)") == "Stop the video"
    page.get_by_role("button", name="Play the video").wait_for()  # the label comes back at the end
    settle(page)
    np.testing.assert_array_equal(z_of(page), path[-1])
    require_frame(page, pad, 29)
    require_pixels(page, decoder)
    visited = np.array(page.evaluate("path"))
    order = [int(np.flatnonzero((path == z).all(axis=1))[0]) for z in visited]  # each is a code of the path
    assert len(order) > 10 and (np.diff(order) > 0).all()
    assert page.get_by_label("Frame", exact=True).get_attribute("aria-valuetext") == "frame 30 of 30"


def test_the_video_stops_where_it_is_and_goes_on_from_there(open_page):
    pad = LatentPad(numpy_decoder(), **film(2000))
    page = open_page(a=pad)
    page.get_by_role("button", name="Play the video").click()
    page.wait_for_function("document.querySelector('div.time input').valueAsNumber > 3")
    page.get_by_role("button", name="Stop the video").click()
    settle(page)
    stopped = page.get_by_label("Frame", exact=True).evaluate("slider => slider.valueAsNumber")
    settle(page)
    assert page.get_by_label("Frame", exact=True).evaluate("slider => slider.valueAsNumber") == stopped
    require_frame(page, pad, stopped - 1)
    page.evaluate("window.path = []; pads.a.model.on('change:z', () => path.push(pads.a.model.get('z')))")
    page.get_by_role("button", name="Play the video").click()
    page.wait_for_function("path.length > 0")
    path = np.frombuffer(pad.path, "<f4").reshape(-1, 2)
    first = np.flatnonzero((path == page.evaluate("path[0]")).all(axis=1))[0]
    assert first >= stopped - 1
    # The hand takes over.
    page.locator(".plane").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("button", name="Play the video").count() == 1


def test_the_frame_slider_by_keyboard_and_the_nearest_frame_elsewhere(open_page):
    decoder, given = numpy_decoder(), film()
    pad = LatentPad(decoder, **given)
    page = open_page(a=pad)
    page.get_by_label("Frame", exact=True).focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    settle(page)
    path = given["path"].astype("float32")
    np.testing.assert_array_equal(z_of(page), path[4])
    require_frame(page, pad, 4)
    require_pixels(page, decoder)
    assert page.locator(".true .caption").inner_text() == "the true frame"
    z = [0.31, -0.17]
    set_z(page, z)
    distances = np.linalg.norm(path - z, axis=1)
    require_frame(page, pad, distances.argmin())
    assert page.locator(".true .caption").inner_text() == f"nearest frame, {distances.min():.2f} away"
    label = page.locator(".true canvas").get_attribute("aria-label")
    assert f"The true frame {distances.argmin() + 1} of 30, whose code is nearest" in label


# ---- Naming an axis


def test_the_reader_names_an_axis_by_clicking_frames(open_page):
    decoder, given = numpy_decoder(3), film(latent_dim=3)
    pad = LatentPad(decoder, **given, sides=("sober", "smiling"))
    page = open_page(a=pad)
    page.get_by_text("Name an axis yourself").click()
    make = page.get_by_role("button", name="Make the axis")
    playwright_api.expect(make).to_be_disabled()
    thumbs = page.locator(".thumb")
    thumbs.last.wait_for()  # the frames are drawn when the panel has opened
    numbers = [int(label.split()[1].rstrip(",")) - 1 for label in
               thumbs.evaluate_all("all => all.map((thumb) => thumb.getAttribute('aria-label'))")]  # fmt: skip
    for i in (1, 4, 6, 9):
        thumbs.nth(i).click()
    thumbs.nth(9).click()  # a second click takes it back
    page.get_by_label("Name of side 2").fill("grinning")  # typing chooses that side
    thumbs.nth(2).focus()
    page.keyboard.press("Space")
    thumbs.nth(7).click()
    assert thumbs.nth(4).get_attribute("aria-label") == f"Frame {numbers[4] + 1}, sober"
    assert thumbs.nth(7).get_attribute("aria-pressed") == "true"
    make.click()
    settle(page)
    (axis,) = page.evaluate("pads.a.model.get('named')")
    sides = [[numbers[i] for i in side] for side in ((1, 4, 6), (2, 7))]
    assert axis["frames"] == sides and axis["name"] == "sober to grinning"
    path = given["path"].astype("float32")
    expected = direction_between(path[sides[0]], path[sides[1]])
    np.testing.assert_allclose(axis["direction"], expected, atol=1e-12)
    np.testing.assert_allclose(pad.name_axis("sober", "grinning", *sides), expected, atol=1e-12)
    pad.named = [axis]  # what the browser sends, Python takes
    # The slider bears the name and moves along the direction.
    slider = page.get_by_label("sober to grinning", exact=True)
    before = np.array(z_of(page))
    slider.focus()
    page.keyboard.press("End")
    settle(page)
    z = np.array(z_of(page))
    np.testing.assert_allclose(z @ expected, slider.evaluate("slider => slider.valueAsNumber"), atol=0.0051)
    np.testing.assert_allclose(z - before, (z - before) @ expected * expected, atol=1e-9)
    require_pixels(page, decoder)
    message = page.locator(".naming .message").inner_text().replace("\u2212", "-")
    assert message == "sober to grinning: the cosine is " + ", ".join(
        f"{value:.2f} with z{i + 1}" for i, value in enumerate(expected)
    ) + "."  # fmt: skip
    page.get_by_label("Take the axis sober to grinning away").click()
    settle(page)
    assert page.evaluate("pads.a.model.get('named')") == [] and page.locator(".slider").count() == 3


def test_sides_with_the_same_mean_make_no_axis(open_page):
    given = film(4)
    given["path"][1] = given["path"][0]
    page = open_page(a=LatentPad(numpy_decoder(), **given))
    page.get_by_text("Name an axis yourself").click()
    page.locator(".thumb").nth(0).click()
    page.get_by_label("Pick frames for side 2").check()
    page.locator(".thumb").nth(1).click()
    page.get_by_role("button", name="Make the axis").click()
    assert "same mean code" in page.locator(".naming .message").inner_text()
    assert page.evaluate("pads.a.model.get('named')") == []


def test_python_names_an_axis_on_the_page(open_page):
    pad = LatentPad(numpy_decoder(), **film())
    pad.name_axis("left", "right", [0, 1], [2, 3])
    page = open_page(a=pad)
    assert page.get_by_label("left to right", exact=True).count() == 1
    # Its arrow lies along the direction, on one side of the centre alone.
    sides = [
        page.evaluate(
            """([x, y]) => {
              const plane = document.querySelector(".plane");
              const at = (v) => Math.floor(((v + 3.5) / 7) * plane.width);
              const { data } = plane.getContext("2d").getImageData(at(x) - 1, at(-y) - 1, 3, 3);
              return Array.from(data).filter((v, i) => i % 4 === 0);
            }""",
            [sign * 2.3 * value for value in pad.named[0]["direction"]],
        )
        for sign in (1, -1)
    ]
    assert min(sides[0]) < 90 < min(sides[1])
    # Letters that are typed into a name are no commands of the notebook's.
    page.get_by_text("Name an axis yourself").click()
    page.evaluate("window.leaked = false; document.body.addEventListener('keydown', () => (window.leaked = true))")
    page.get_by_label("Name of side 1").press("a")
    page.get_by_label("Name of side 1").press("Enter")
    assert page.evaluate("window.leaked") is False


# ---- Uncertainty


def test_the_uncertainty_lies_over_the_image(open_page):
    base = numpy_decoder(mean=normal_mean)
    decoder = NumpyDecoder(base.steps, normal_mean, SHAPE, 2, (-3.0, 1.0))
    pad = LatentPad(decoder, **film())
    page = open_page(a=pad)
    layer = page.get_by_role("button", name="Show how unsure")
    require_pixels(page, decoder)
    layer.click()
    assert layer.get_attribute("aria-pressed") == "true"
    for z in [[0.5, -0.2], [-1, 1]]:
        set_z(page, z)
        code = np.array([z], "float32")
        mean, std = 255 * decoder(code).ravel(), decoder.std(code).ravel()
        low, high = pad.spec["spread"]["from"], pad.spec["spread"]["to"]
        cover = 0.85 * ((std - low) / (high - low)).clip(0, 1)
        expected = (1 - cover)[:, None] * mean[:, None] + cover[:, None] * [213, 94, 0]
        assert np.abs(canvas(page, "a", ".decoded canvas") - expected).max() <= 1.0
        assert np.ptp(cover) > 0.5
        assert f"{std.min():.3f} to {std.max():.3f}" in page.locator(".spread").inner_text()
    layer.click()
    settle(page)
    require_pixels(page, decoder)


def test_one_standard_deviation_for_all_pixels_is_said(open_page):
    rng = np.random.default_rng(0)
    kernel, bias = (0.5 * rng.standard_normal(s).astype("float32") for s in [(2, 30), (30,)])
    decoder = NumpyDecoder([affine(kernel, bias)], identity_mean, SHAPE, 2, -3.0)
    page = open_page(a=LatentPad(decoder))
    assert page.get_by_role("button", name="Show how unsure").count() == 0
    assert page.locator(".spread").inner_text() == "The decoder has one standard deviation for every pixel: 0.223."
    rgb = canvas(page, "a", ".decoded canvas")[:, 0]
    assert np.abs(rgb - 255 * decoder(np.zeros((1, 2), "float32")).ravel().clip(0, 1)).max() <= 1


def test_the_mean_of_a_continuous_bernoulli(open_page):
    base = numpy_decoder()
    decoder = NumpyDecoder(base.steps, continuous_bernoulli_mean, SHAPE, 2)
    page = open_page(a=LatentPad(decoder))
    for z in [[0, 0], [1, -1], [-7, 9.5]]:
        set_z(page, z)
        require_pixels(page, decoder, z)


# ---- Convolutions


@pytest.mark.parametrize("shape", [(28, 20), (9, 7, 3)])
def test_a_convolutional_decoder_equals_numpy_and_keras(open_page, shape):
    keras.utils.set_random_seed(0)
    likelihood = vaelib.Normal(shape)
    model = vaelib.conv_decoder(2, shape, likelihood.params_size, (8, 4))
    rng = np.random.default_rng(0)  # fresh biases are zero: nobody would miss them
    model.set_weights([0.4 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    decoder = NumpyDecoder.from_keras(model, shape, mean_of(likelihood), log_var_of(likelihood))
    page = open_page(a=LatentPad(decoder), half=LatentPad(decoder, dtype="float16"))
    pictures = []
    for z in [[0, 0], [1, -1], [-2.5, 0.3], [3.1, 3.3]]:
        set_z(page, z)
        require_pixels(page, decoder, z)
        set_z(page, z, "half")
        require_pixels(page, decoder, z, "half", levels=3)
        mean = keras.ops.convert_to_numpy(likelihood.mean(model(np.array([z], "float32"))))
        rgb = canvas(page, "a", ".decoded canvas")
        assert np.abs(rgb - 255 * mean.reshape(len(rgb), -1)).max() <= 1
        pictures.append(rgb)
    assert all(np.ptp(pictures, axis=0).ravel()[i::3].max() > 20 for i in range(3))


def test_a_decoder_that_is_too_large_says_so_on_the_page(open_page):
    rng = np.random.default_rng(0)
    first, last = (0.01 * rng.standard_normal(shape).astype("float32") for shape in [(2, 6000), (6000, 700)])
    decoder = NumpyDecoder(
        [lambda h: h @ first, lambda h: h @ last], vaelib.pretrained.networks.bernoulli_mean, (35, 20), 2
    )
    page = open_page(a=LatentPad(decoder))
    text = page.locator(".status").inner_text()
    assert "16.9 MB; at most 4,000,000, 16 MB" in text and "each picture comes from the Python kernel" in text


# ---- The exported file


@pytest.mark.parametrize("dark", [False, True])
def test_the_exported_file_moves_from_disk_without_a_network(browser, tmp_path, dark):
    keras.utils.set_random_seed(0)
    likelihood = vaelib.Bernoulli((12, 8))
    model = vaelib.conv_decoder(2, (12, 8), likelihood.params_size, (4,))
    decoder = NumpyDecoder.from_keras(model, (12, 8))
    pad = LatentPad(decoder, **film(shape=(12, 8)), alt="A face.")
    file = pad.export(tmp_path / "mine.html", title="Mine")
    context = browser.new_context(offline=True, color_scheme="dark" if dark else "light", has_touch=True)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    page.evaluate(
        "window.frames_ = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));"
        "window.pixels = () => Array.from(document.querySelector('.decoded canvas').getContext('2d')"
        ".getImageData(0, 0, 8, 12).data)"
    )
    assert page.title() == "Mine" and page.get_by_role("heading", name="Mine").count() == 1

    def require(z):
        page.evaluate("frames_()")
        rgba = np.array(page.evaluate("pixels()")).reshape(-1, 4)[:, :3]
        expected = 255 * decoder(np.array([z], "float32")).reshape(-1, 1)
        assert np.abs(rgba - expected).max() <= 1

    path = np.frombuffer(pad.path, "<f4").reshape(-1, 2)
    require(path[0])
    page.get_by_label("Frame", exact=True).focus()
    page.keyboard.press("ArrowRight")
    require(path[1])
    box = page.locator(".plane").bounding_box()
    page.touchscreen.tap(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    page.evaluate("frames_()")
    shown = [float(text.replace("\u2212", "-")) for text in page.locator(".slider .value").all_inner_texts()]
    np.testing.assert_allclose(shown, [1.75, 1.75], atol=0.03)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert requests == [file.as_uri()] and complaints == []
    context.close()


def test_the_exported_file_says_what_is_missing_without_javascript(browser, tmp_path):
    file = LatentPad(numpy_decoder(), alt="A face.").export(tmp_path / "mine.html")
    page = browser.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    assert "switch JavaScript on to move it. A face." in page.locator("main").inner_text()
    page.close()


# ---- Two on a page, and the end


def test_two_pads_with_films_do_not_disturb_each_other(open_page):
    pads = {name: LatentPad(numpy_decoder(seed=i), **film(seed=i)) for i, name in enumerate("ab")}
    page = open_page(**pads)
    page.locator("#a").get_by_label("Frame", exact=True).focus()
    page.keyboard.press("End")
    for name in "ab":
        page.locator(f"#{name}").get_by_text("Name an axis yourself").click()
    page.locator("#b").get_by_label("Pick frames for side 2").check()
    assert page.locator("#a").get_by_label("Pick frames for side 1").is_checked()
    settle(page)
    require_frame(page, pads["a"], 29, "a")
    require_frame(page, pads["b"], 0, "b")
    assert page.locator("#a .thumb[aria-pressed=true]").count() == 0


def test_fifty_pads_in_a_row_leave_nothing_behind(open_page):
    page = open_page(a=LatentPad(numpy_decoder(), **film()))
    page.get_by_text("Name an axis yourself").click()
    page.get_by_role("button", name="Play the video").click()
    result = page.evaluate(
        """async () => {
          pads.a.cleanup();
          const { model } = pads.a;
          const open = { listeners: 0, observers: 0 };
          const { addEventListener, removeEventListener } = EventTarget.prototype;
          const outside = new Set([window, document, document.body, document.documentElement]);
          EventTarget.prototype.addEventListener = function (event, listener, options) {
            if (outside.has(this) || this instanceof MediaQueryList) {
              open.listeners++;
              options?.signal?.addEventListener("abort", () => open.listeners--);
            }
            return addEventListener.call(this, event, listener, options);
          };
          const { observe, disconnect } = MutationObserver.prototype;
          const observers = new Set();
          MutationObserver.prototype.observe = function (...a) { observers.add(this); return observe.apply(this, a); };
          MutationObserver.prototype.disconnect = function () { observers.delete(this); return disconnect.call(this); };
          const { render } = (await import("/a.js")).default;
          const el = document.querySelector("#a");
          let most = 0;
          for (let i = 0; i < 50; i++) {
            const cleanup = render({ model, el });
            el.querySelector("details").open = true;
            el.querySelector("div.time button").click();
            await frames_(1);
            most = Math.max(most, open.listeners);
            cleanup();
          }
          Object.assign(EventTarget.prototype, { addEventListener, removeEventListener });
          return {
            most, listeners: open.listeners, observers: observers.size, ours: model.listeners.length,
            left: el.querySelectorAll("*").length,
          };
        }"""
    )
    assert result.pop("most") >= 1
    assert result == {"listeners": 0, "observers": 0, "ours": 0, "left": 0}
    rest(page)
