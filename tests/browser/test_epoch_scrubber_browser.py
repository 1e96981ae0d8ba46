"""The epoch scrubber in a real browser: keyboard, touch, its pictures and its numbers."""

import types

import numpy as np
import pytest
from widget_page import settle

from vaelib.widgets import EpochScrubber

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def run(epochs, seed=0, n=40, latent_dim=3):
    rng = np.random.default_rng(seed)
    k = len(epochs)
    return types.SimpleNamespace(
        epochs=list(epochs),
        mu=rng.standard_normal((k, n, latent_dim)).astype("float32")
        * np.linspace(0.1, 1, k, dtype="float32")[:, None, None],
        log_var=rng.standard_normal((k, n, latent_dim)).astype("float32") - 1,
        images=rng.integers(0, 256, (k, 9, 5, 4)).astype("uint8"),
    )


def scrubber(**options):
    runs = {"sum": run([0, 1, 2, 5, 9]), "mean": run([0, 1, 2], seed=1)}
    return runs, EpochScrubber(runs, labels=np.arange(40) % 10, **options)


def require(page, runs, epoch, name="a"):
    """The numbers and the images are those of the checkpoints, the mean KL from its formula in float64."""
    for i, (title, checkpoints) in enumerate(runs.items()):
        at = max(k for k, kept in enumerate(checkpoints.epochs) if kept <= epoch)
        mu, log_var = (a[at].astype(float) for a in (checkpoints.mu, checkpoints.log_var))
        kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(axis=1).mean()
        spread, width = np.sqrt(mu.var(axis=0).mean()), np.exp(log_var / 2).mean()
        when = f"epoch {epoch}" if checkpoints.epochs[at] == epoch else f"epoch {checkpoints.epochs[at]}, its last"
        numbers = f"{when}: KL {kl:.2f} nats, codes spread over {spread:.2f}, q is {width:.2f} wide"
        column = page.locator(f"#{name} .column").nth(i)
        assert column.locator(".title").inner_text() == title
        assert column.locator(".numbers").inner_text() == numbers
        sheet = np.array(
            column.locator(".sheet-of-images").evaluate(
                "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
            )
        ).reshape(15, 12, 4)
        expected = checkpoints.images[at].reshape(3, 3, 5, 4).transpose(0, 2, 1, 3).reshape(15, 12)
        np.testing.assert_array_equal(sheet[..., 0], expected)


def plane_pixels(page, i):
    return page.locator(".plane").nth(i).evaluate("c => c.toDataURL()")


def test_the_keyboard_scrubs_through_the_epochs(open_page):
    runs, widget = scrubber()
    page = open_page(a=widget)
    require(page, runs, 9)
    page.evaluate("window.leaked = false; document.body.addEventListener('keydown', () => (window.leaked = true))")
    slider = page.get_by_label("Epoch", exact=True)
    slider.focus()
    seen = set()
    for key, epoch in [("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowRight", 5), ("End", 9)]:
        page.keyboard.press(key)
        settle(page)
        require(page, runs, epoch)
        assert slider.get_attribute("aria-valuetext") == f"epoch {epoch}"
        assert page.evaluate("spec => pads.a.model.get('spec').epochs[pads.a.model.get('at')]") == epoch
        seen.add((plane_pixels(page, 0), plane_pixels(page, 1)))
    assert len(seen) == 5
    assert page.evaluate("window.leaked") is False, "the notebook would have moved to another cell"
    playwright_api.expect(page.locator("[aria-live=polite]")).to_contain_text("epoch 9. sum: KL")


def test_a_finger_scrubs_through_the_epochs(open_page):
    runs, widget = scrubber()
    page = open_page(touch=True, a=widget)
    box = page.get_by_label("Epoch", exact=True).bounding_box()
    for share, epoch in [(0.02, 0), (0.5, 2), (0.98, 9)]:
        page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        # The browser makes a click of a tap when the finger has gone.
        playwright_api.expect(page.get_by_label("Epoch", exact=True)).to_have_attribute(
            "aria-valuetext", f"epoch {epoch}"
        )
        settle(page)
        require(page, runs, epoch)


def test_codes_and_ellipses_lie_where_they_should(open_page):
    one = run([3], n=2, latent_dim=2)
    one.mu[0], one.log_var[0] = [[1.5, -1], [-2, 2]], [[2 * np.log(0.5), 2 * np.log(0.25)], [0, 0]]
    widget = EpochScrubber({"one": one}, labels=[0, 1], ellipses=1)
    page = open_page(a=widget)
    colour = np.array([int(widget.spec["colours"][0][i : i + 2], 16) for i in (1, 3, 5)])

    def at(x, y):
        return np.array(
            page.evaluate(
                """([x, y]) => {
                  const plane = document.querySelector(".plane");
                  const at = (v) => Math.floor(((v + 3.5) / 7) * plane.width);
                  return Array.from(plane.getContext("2d").getImageData(at(x), at(-y), 1, 1).data.slice(0, 3));
                }""",
                [x, y],
            )
        )

    for x, y in [(2.0, -1), (1.0, -1), (1.5, -0.75), (1.5, -1.25)]:  # one standard deviation each way
        assert np.abs(at(x, y) - colour).max() < 60, (x, y)
    other = np.array([int(widget.spec["colours"][1][i : i + 2], 16) for i in (1, 3, 5)])
    assert np.abs(at(-2, 2) - (0.6 * other + 0.4 * 255)).max() < 3
    assert (at(-1, 2) == 255).all(), "no ellipse around the second"


def test_it_plays_to_the_end_and_python_moves_it(open_page):
    runs, widget = scrubber()
    page = open_page(a=widget)
    page.evaluate("window.path = []; pads.a.model.on('change:at', () => path.push(pads.a.model.get('at')))")
    page.evaluate(
        """() => {
          const request = window.requestAnimationFrame;
          let now = 0;
          window.requestAnimationFrame = (draw) => request(() => draw((now += 100)));
        }"""
    )
    page.get_by_role("button", name="Play the training").click()
    page.get_by_role("button", name="Play the training").wait_for()
    page.wait_for_function("path.at(-1) === 4")
    settle(page)
    assert page.evaluate("path") == [0, 1, 2, 3, 4]  # from the end it begins anew
    require(page, runs, 9)
    page.evaluate("pads.a.model.set('at', 1)")
    settle(page)
    require(page, runs, 1)
    assert page.get_by_label("Epoch", exact=True).input_value() == "1"


def test_two_on_a_page_dark_and_narrow_and_closed(open_page):
    runs, widget = scrubber()
    page = open_page(dark=True, a=widget, b=EpochScrubber(runs))
    page.set_viewport_size({"width": 390, "height": 800})
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    corner = "Array.from(document.querySelector('.plane').getContext('2d').getImageData(3, 30, 1, 1).data.slice(0, 3))"
    assert page.evaluate(corner) == [0x16, 0x16, 0x16]
    page.evaluate("document.documentElement.dataset.theme = 'light'")  # the site's switch
    settle(page)
    assert page.evaluate(corner) == [255, 255, 255]
    page.locator("#b").get_by_label("Epoch", exact=True).focus()
    page.keyboard.press("Home")
    settle(page)
    require(page, runs, 9)
    require(page, runs, 0, "b")
    left = page.evaluate(
        """async () => {
          let frames = 0;
          const request = window.requestAnimationFrame;
          document.querySelector("#a button").click();
          pads.a.cleanup();
          window.requestAnimationFrame = (f) => (frames++, request(f));
          pads.a.model.set("at", 2);
          delete document.documentElement.dataset.theme;
          await new Promise((done) => setTimeout(done, 200));
          pads.b.cleanup();
          return [pads.a.model.listeners.length, document.querySelectorAll("#a *").length];
        }"""
    )
    assert left == [0, 0]
