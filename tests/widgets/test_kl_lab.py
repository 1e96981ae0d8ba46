"""The lab of forward and reverse KL, driven over its whole range without a browser."""

import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from scipy.integrate import quad
from scipy.stats import norm

from vaelib.teaching.palette import COLOURS
from vaelib.widgets import kl_lab as module
from vaelib.widgets.kl_lab import draw_map, integrands, kl_lab, two_modes

START = {"separation": 6.0, "weight": 0.4, "mu": 0.0, "std": 2.0}


@pytest.fixture(scope="module")
def lab():
    lab = kl_lab()
    yield lab
    lab.close()


def kls_by_quadrature(separation, weight, mu, std):
    """Both divergences from SciPy's densities by the trapezoid rule: nothing of vaelib.theory."""

    def log_p(x):
        return np.logaddexp(
            np.log1p(-weight) + norm.logpdf(x, -separation / 2), np.log(weight) + norm.logpdf(x, separation / 2)
        )

    q, x = norm(mu, std), np.linspace(-60, 60, 24001)
    log_ratio = log_p(x) - q.logpdf(x)
    return np.trapezoid(np.exp(log_p(x)) * log_ratio, x), -np.trapezoid(q.pdf(x) * log_ratio, x)


def numbers(text):
    found = re.fullmatch(r"forward KL\(p‖q\) = (\S+) nats, reverse KL\(q‖p\) = (\S+) nats", text)
    return [float(number) for number in found.groups()]


def coloured(pixels, name, ax, lab):
    """Rows of the pixels inside an axes that have exactly a palette colour."""
    rgb = [int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5)]
    box = ax.get_window_extent()
    height = len(pixels)
    rows = slice(int(height - box.y1), int(height - box.y0) + 1)
    inside = (pixels[rows, int(box.x0) : int(box.x1) + 1, :3] == rgb).all(axis=-1)
    return rows.start + np.flatnonzero(inside.any(axis=1))


def row_of(lab, ax, y, pixels):
    return len(pixels) - ax.transData.transform((0, y))[1]


def test_readout_and_bars_give_both_divergences_at_every_position(lab):
    seen = 0
    for values, pixels, text in lab.sweep(num=3, grid=True):
        expected = kls_by_quadrature(**values)
        assert numbers(text) == pytest.approx(expected, abs=6e-4)
        for kl, colour in zip(expected, ("purple", "vermillion"), strict=True):
            rows = coloured(pixels, colour, lab.axes["bars"], lab)
            if kl > 0.02:
                assert rows.min() == pytest.approx(row_of(lab, lab.axes["bars"], kl, pixels), abs=2)
            elif kl < 0.0099:
                assert len(rows) == 0
        seen += 1
    assert seen == 81
    assert lab.num_background_draws == 1  # nothing but the moving parts was drawn again


def test_the_axes_hold_every_frame(lab):
    low, high = lab.axes["bars"].get_ylim()
    top = lab.axes["density"].get_ylim()[1]
    for values, _, text in lab.sweep(num=4, grid=True):
        assert max(numbers(text)) < high
        assert norm.pdf(0, 0, values["std"]) < top
    assert low == module.SMALLEST_BAR


def test_integrands_integrate_to_the_divergences():
    target = two_modes(5.0, 0.3)
    for part, expected in enumerate(kls_by_quadrature(5.0, 0.3, -1.0, 1.4)):
        integral, _ = quad(lambda x, k=part: integrands(target, -1.0, 1.4, np.array([x]))[k][0], -14, 14, limit=200)
        assert integral == pytest.approx(expected, abs=1e-7)


def test_lines_are_the_densities_and_the_integrands(lab):
    lab.frame(START, mu=1.0, std=0.8, separation=4.0, weight=0.25)
    x = module.X
    p = 0.75 * norm.pdf(x, -2) + 0.25 * norm.pdf(x, 2)
    q = norm.pdf(x, 1.0, 0.8)
    p_line, q_line = lab.axes["density"].get_lines()
    np.testing.assert_allclose(p_line.get_ydata(), p, atol=1e-12)
    np.testing.assert_allclose(q_line.get_ydata(), q, atol=1e-12)
    some = slice(100, 350)  # where neither density is so small that the plain ratio loses digits
    for name, y in (("forward", p * np.log(p / q)), ("reverse", q * np.log(q / p))):
        (line,) = lab.axes[name].get_lines()
        np.testing.assert_allclose(line.get_ydata()[some], y[some], rtol=1e-6, atol=1e-12)


def highest(lab, name, **values):
    """The place of the largest integrand, in units of x."""
    lab.frame(START, **values)
    (line,) = lab.axes[name].get_lines()
    return module.X[np.argmax(line.get_ydata())]


def test_each_divergence_collects_its_nats_where_the_text_says(lab):
    across = {"mu": 0.0, "std": 2.5, "weight": 0.5}
    assert abs(highest(lab, "forward", **across)) == pytest.approx(3.0, abs=0.6)  # at the modes
    assert highest(lab, "reverse", **across) == pytest.approx(0.0, abs=0.1)  # in the valley
    on_the_left = {"mu": -3.0, "std": 1.0}
    assert highest(lab, "forward", **on_the_left) == pytest.approx(3.0, abs=0.5)  # at the mode that q ignores
    assert highest(lab, "reverse", **on_the_left) == pytest.approx(-3.0, abs=0.1)


def test_the_picture_changes_with_every_slider(lab):
    start = lab.frame(START)
    for change in ({"separation": 4.0}, {"weight": 0.7}, {"mu": 1.0}, {"std": 1.0}):
        assert np.mean(np.any(lab.frame(START, **change) != start, axis=-1)) > 0.005
    assert np.array_equal(lab.frame(START), start)


def test_target_in_the_family_at_separation_zero(lab):
    forward, reverse = kls_by_quadrature(0.0, 0.4, 0.0, 1.0)
    assert max(forward, reverse) < 1e-12
    text = lab.static(START, separation=0.0, std=1.0)._repr_mimebundle_()[0]["text/plain"]
    assert "forward KL(p‖q) = 0.000 nats, reverse KL(q‖p) = 0.000 nats" in text


def test_static_picture_equals_the_frame_and_names_its_sliders(lab):
    data, _ = lab.static(START, mu=-3.0, std=1.0)._repr_mimebundle_()
    picture = np.asarray(Image.open(io.BytesIO(data["image/png"])).convert("RGB"))
    assert np.array_equal(picture, lab.frame(START, mu=-3.0, std=1.0)[..., :3])
    for part in ("p: separation = 6", "p: weight on the right = 0.4", "q: mean μ = -3", "q: width σ = 1"):
        assert part in data["text/plain"]


def test_two_modes_has_its_weight_on_the_right():
    target = two_modes(4.0, 0.3)
    assert target.cdf(0.0) == pytest.approx(0.7 * norm.cdf(2) + 0.3 * norm.cdf(-2), abs=1e-12)
    with pytest.raises(ValueError, match="weights must not be negative"):
        two_modes(4.0, 1.2)


def test_map_marks_the_minima_and_is_darkest_there():
    mus, stds = np.linspace(-2, 2, 41), np.geomspace(0.5, 2, 31)
    surface = 0.1 + (mus[:, None] - 1.0) ** 2 + np.log(stds[None, :] / 0.8) ** 2
    ax = draw_map(mus, stds, surface, [(1.0, 0.8)], COLOURS["purple"], "a map")
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines() if line.get_marker() == "x"]
    assert crosses == [(1.0, 0.8)]
    ax.get_lines()[0].set_visible(False)
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba()).astype(int).sum(axis=-1)
    columns, rows = ax.transData.transform([(0.93, 0.78), (-1.5, 1.7)]).round().astype(int).T
    inner, outer = pixels[len(pixels) - rows, columns]
    assert inner < outer
    plt.close(ax.figure)
