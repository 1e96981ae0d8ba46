"""The labs of the KL divergence in the browser: descents that end at the best fits, bars and areas to scale, hover."""

import re

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import softmax
from scipy.stats import norm
from widget_page import settle

from vaelib.theory.divergences import Mixture, fit_forward, forward_kl, reverse_kl, reverse_kl_minima
from vaelib.widgets.kl_lab import KlLab
from vaelib.widgets.kl_map_lab import KlMapLab

# A descent stops at a slope of 1e-7, Python's search at 1e-6; the flattest bottom bends by 1/σ² > 1/20.
FLOW = 20 * (1e-7 + 1e-6)
START = {"left": -3.0, "right": 3.0, "weight": 0.4, "mu": 0.0, "sigma": 2.5}


@pytest.fixture(scope="module")
def lab():
    made = KlLab()
    yield made
    made.close()


@pytest.fixture(scope="module")
def kl_map():
    made = KlMapLab()
    yield made
    made.close()


def starts(lab, num=40, seed=0):
    """The lab's start, p's two modes in one, q on the ridge of a symmetric p, and random places of every control."""
    rng = np.random.default_rng(seed)
    yield lab.start
    yield {**lab.start, "left": 0.0, "right": 0.0, "mu": 4.0, "sigma": 0.5}
    yield {**lab.start, "weight": 0.5, "sigma": 1.0}
    for _ in range(num):
        yield {name: float(rng.choice(control.positions(1000))) for name, control in lab.controls.items()}


def target_of(values):
    return Mixture([1 - values["weight"], values["weight"]], [values["left"], values["right"]], [1.0, 1.0])


def flow_by_scipy(values):
    """Where the gradient flow of the reverse KL in (μ, log σ) leads: SciPy's stiff solver, the plain trapezoid rule."""
    eps = np.linspace(-9, 9, 4001)
    weights = norm.pdf(eps) * (eps[1] - eps[0])
    means, shares = np.array([values["left"], values["right"]]), np.array([1 - values["weight"], values["weight"]])

    def downhill(_, place):
        x = place[0] + np.exp(place[1]) * eps
        score = np.sum(softmax(np.log(shares) + norm.logpdf(x[:, None], means), axis=1) * (means - x[:, None]), axis=1)
        return [weights @ score, 1 + np.exp(place[1]) * (weights @ (eps * score))]

    found = solve_ivp(downhill, (0, 2000), [values["mu"], np.log(values["sigma"])], "LSODA", rtol=1e-8, atol=1e-10)
    return found.y[0, -1], np.exp(found.y[1, -1])


def descents(page, places, name):
    return page.evaluate(
        """async ([places, name]) => {
            const { labs } = await import("/lab.js");
            return places.map((values) => labs.kl.descent(name, values));
        }""",
        [places, name],
    )


def test_the_forward_descent_ends_at_the_moments(open_page, lab):
    places = list(starts(lab))
    for values, path in zip(places, descents(open_page(lab=lab), places, "forward"), strict=True):
        fit = fit_forward(target_of(values))
        assert path[0] == pytest.approx([values["mu"], values["sigma"]])
        assert path[-1] == pytest.approx([fit.mu, fit.std], abs=FLOW)
        assert np.all(np.diff(forward_kl(target_of(values), *np.transpose(path)[:, ::5])) <= 1e-12)  # all the way down


def test_the_reverse_descent_ends_in_the_valley_it_started_in(open_page, lab):
    places = list(starts(lab))
    ends = set()
    for values, path in zip(places, descents(open_page(lab=lab), places, "reverse"), strict=True):
        target = target_of(values)
        minima = [(fit.mu, fit.std) for fit in reverse_kl_minima(target)]
        nearest = min(minima, key=lambda fit: abs(fit[0] - path[-1][0]))
        assert path[-1] == pytest.approx(nearest, abs=FLOW)
        assert path[-1] == pytest.approx(flow_by_scipy(values), abs=1e-4)
        assert np.all(np.diff(reverse_kl(target, *np.transpose(path)[:, ::5])) <= 1e-12)
        ends.add(minima.index(nearest))
    assert len(ends) > 1  # not always the best one


def values_of(page, name="lab"):
    return page.evaluate(f"window.pads.{name}.model.get('values')")


def put(page, name="lab", **values):
    change = "([name, values]) => window.pads[name].model.set('values', values)"
    page.evaluate(change, [name, {**values_of(page, name), **values}])
    settle(page)


def descend(page, which):
    page.get_by_role("button", name=f"Let q descend {which}").click()


@pytest.mark.parametrize("moving", [True, False], ids=["animated", "at once"])
@pytest.mark.parametrize("which", ["KL(p‖q)", "KL(q‖p)"])
def test_a_click_lets_q_descend_and_says_where_it_ended(open_page, lab, which, moving):
    page = open_page(moving=moving, lab=lab)
    put(page, mu=-4.0, sigma=0.6)
    descend(page, which)
    page.wait_for_function("document.querySelector('#lab .readout').innerText.includes('has ended')")
    target = target_of(START)
    expected = fit_forward(target) if which == "KL(p‖q)" else min(reverse_kl_minima(target), key=lambda fit: fit.mu)
    now = values_of(page)
    assert (now["mu"], now["sigma"]) == pytest.approx(expected[:2], abs=0.005 + FLOW)  # on the sliders' steps
    said = re.search(r"ended at μ (\S+), σ (\S+), (\S+) nats", page.inner_text("#lab .readout")).groups()
    assert [float(number.replace("−", "-")) for number in said] == pytest.approx(expected, abs=0.5e-4 + FLOW)
    assert page.get_by_role("button", name=f"Let q descend {which}").count() == 1  # and not "Stop"
    put(page, mu=1.0)
    assert "ended" not in page.inner_text("#lab .readout")


def on_the_way(page, act):
    """Do something in the page, JavaScript, as soon as the descent has widened q; at once, however slow the machine."""
    page.evaluate(
        """(act) => {
            window.acted = false;
            const { model } = window.pads.lab;
            const before = model.get("values").sigma;
            const watch = () => {
                if (model.get("values").sigma < before + 0.1) return;
                model.off("change:values", watch);
                queueMicrotask(() => { // after this frame, before the next one
                    new Function("model", act)(model);
                    window.acted = true;
                });
            };
            model.on("change:values", watch);
        }""",
        act,
    )


def rests(page):
    now = values_of(page)
    page.evaluate("frames_(20)")
    return values_of(page) == now and page.get_by_role("button", name="Stop").count() == 0


CLICK = "[...document.querySelectorAll('#lab button')].find((b) => b.textContent.startsWith('%s')).click()"


def test_a_descent_can_be_stopped_taken_over_and_reset(open_page, lab):
    page = open_page(moving=True, lab=lab)
    put(page, mu=5.0, sigma=0.5)
    for act in (CLICK % "Stop", "model.set('values', { ...model.get('values'), mu: -1 })", CLICK % "Reset"):
        on_the_way(page, act)
        descend(page, "KL(q‖p)")
        page.wait_for_function("window.acted")
        assert rests(page)
        assert "ended" not in page.inner_text("#lab .readout")
        if "Reset" not in act:
            assert values_of(page)["sigma"] < 1.0  # far from the bottom
    assert values_of(page) == pytest.approx(START)


def scale(page, plot, name="lab"):
    """Two ticks of a plot's vertical axis: (value, CSS pixels from the top) each."""
    ticks = page.eval_on_selector_all(
        f"#{name} svg.plot >> nth={plot} >> .axes text[text-anchor=end]",
        "(all) => all.map((text) => [text.textContent.replace('−', '-'), Number(text.getAttribute('y')) - 4])",
    )
    return [(float(value), y) for value, y in ticks]


def bars(page, plot, name="lab"):
    """Lower and upper end of each bar in the axis's units."""
    (v0, y0), *_, (v1, y1) = scale(page, plot, name)
    found = page.eval_on_selector_all(
        f"#{name} svg.plot >> nth={plot} >> rect[fill]",
        "(all) => all.map((r) => [Number(r.getAttribute('y')), Number(r.getAttribute('height'))])",
    )
    value = lambda y: v0 + (v1 - v0) * (y - y0) / (y1 - y0)  # noqa: E731
    return [(value(y + height), value(y)) for y, height in found]


def test_bars_and_areas_are_drawn_to_scale_and_stay_in_the_picture(open_page, lab):
    page = open_page(lab=lab)
    for values in list(starts(lab))[:12]:
        put(page, **values)
        now = lab.numbers(**values)
        for plot in (1, 2):
            assert np.ravel(bars(page, plot)) == pytest.approx([0, now["forward"], 0, now["reverse"]], abs=1e-6)
        assert max(now["forward"], now["reverse"]) <= 1.5 * max(value for value, _ in scale(page, 1))
        inside = page.eval_on_selector_all(
            "#lab svg.plot",
            """(plots) => plots.filter((_, i) => i !== 2).every((plot) => {
                const room = plot.querySelector("clipPath rect").getBBox();
                return [...plot.querySelectorAll("[clip-path] > :not([d=''])")].every((mark) => {
                    const box = mark.getBBox();
                    return box.y >= room.y - 1 && box.y + box.height <= room.y + room.height + 1;
                });
            })""",
        )
        assert inside, values


def test_up_raises_either_peak_of_p(open_page, lab):
    page = open_page(lab=lab)
    for side, sign in (("left", -1), ("right", 1)):
        put(page, **START)
        page.locator(f"#lab .handle[aria-label^='the {side} peak of p']").focus()
        page.keyboard.press("ArrowUp")
        settle(page)
        assert values_of(page)["weight"] == pytest.approx(0.4 + 0.05 * sign)


@pytest.mark.parametrize("plot", [0, 3, 4])
def test_hover_tells_both_integrands(open_page, lab, plot):
    page = open_page(lab=lab)
    box = page.locator("#lab svg.plot").nth(plot).bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"])
    settle(page)
    text = page.inner_text("#lab .hovered").replace("−", "-")
    x, p, q, forward, reverse = (float(number) for number in re.findall(r"-?\d+\.\d+", text))
    x += np.linspace(-0.005, 0.005, 11)  # it is shown to two places
    expected_p, expected_q = 0.6 * norm.pdf(x, -3) + 0.4 * norm.pdf(x, 3), norm.pdf(x, 0, 2.5)
    shown = [p, q, forward, reverse]
    log_ratio = np.log(expected_p / expected_q)
    expected = [expected_p, expected_q, expected_p * log_ratio, -expected_q * log_ratio]
    for value, around in zip(shown, expected, strict=True):
        assert around.min() - 0.0006 <= value <= around.max() + 0.0006


def test_the_bars_of_the_map_add_up(open_page, kl_map):
    page = open_page(lab=kl_map)
    for mu, log_var in ((2.0, -2.0), (-3.0, 3.0), (0.4, 0.3), (0.0, 0.0)):
        put(page, mu=mu, log_var=log_var)
        mean, total = 0.5 * mu**2, 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var)
        for plot in (2, 3):
            assert np.ravel(bars(page, plot)) == pytest.approx([0, mean, mean, total], abs=1e-6)


def test_the_point_moves_in_two_dimensions_and_the_flank_by_the_width(open_page, kl_map):
    page = open_page(lab=kl_map)
    point = page.locator("#lab .handle[aria-label^='q as a point']")
    point.focus()
    for key, expected in (("ArrowLeft", (1.9, -2.0)), ("ArrowUp", (1.9, -1.9)), ("Shift+ArrowDown", (1.9, -1.91))):
        page.keyboard.press(key)
        settle(page)
        now = values_of(page)
        assert (now["mu"], now["log_var"]) == pytest.approx(expected)
    flank = page.locator("#lab .handle[aria-label^='the flank']").bounding_box()
    ticks = page.eval_on_selector_all(
        "#lab svg.plot >> nth=1 >> .axes text[text-anchor=middle]:not(.label)",
        "(all) => all.map((text) => [Number(text.textContent.replace('−', '-')), Number(text.getAttribute('x'))])",
    )
    (z0, x0), *_, (z1, x1) = ticks
    unit = (x1 - x0) / (z1 - z0)
    x, y = flank["x"] + flank["width"] / 2, flank["y"] + flank["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + unit, y, steps=3)
    page.mouse.up()
    settle(page)
    wider = np.exp(0.5 * -1.91) + 1  # σ is one unit larger
    assert values_of(page)["log_var"] == pytest.approx(2 * np.log(wider), abs=0.03)  # a pixel


def test_hover_tells_the_integrand_and_the_map_the_kl(open_page, kl_map):
    page = open_page(lab=kl_map)
    plots = page.locator("#lab svg.plot")
    box = plots.nth(1).bounding_box()
    page.mouse.move(box["x"] + 0.63 * box["width"], box["y"] + 0.2 * box["height"])
    settle(page)
    text = page.inner_text("#lab .hovered").replace("−", "-")
    z, q, log_ratio, integrand = (float(number) for number in re.findall(r"[-+]?\d+\.\d+", text))
    z += np.linspace(-0.005, 0.005, 11)
    expected_q = norm.pdf(z, 2, np.exp(-1))
    ratio = norm.logpdf(z, 2, np.exp(-1)) - norm.logpdf(z)
    for value, around in ((q, expected_q), (log_ratio, ratio), (integrand, expected_q * ratio)):
        assert around.min() - 0.0006 <= value <= around.max() + 0.0006
    box = plots.nth(0).bounding_box()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    settle(page)
    text = page.inner_text("#lab .hovered").replace("−", "-")
    mu, log_var, kl, slope_mu, slope_log_var = (float(number) for number in re.findall(r"[-+]?\d+\.\d+", text))
    assert kl == pytest.approx(0.5 * (mu**2 + np.exp(log_var) - 1 - log_var), abs=0.03)
    assert (slope_mu, slope_log_var) == pytest.approx((mu, 0.5 * np.expm1(log_var)), abs=0.03)
