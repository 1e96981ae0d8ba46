"""The lab of notebook 04, driven headless: its numbers against quadrature, its still picture against its numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.integrate import quad
from scipy.stats import norm

from vaelib.teaching.palette import COLOURS
from vaelib.widgets import kl_lab as module
from vaelib.widgets.kl_lab import KlLab, draw_map, integrands, two_modes


@pytest.fixture(scope="module")
def lab():
    lab = KlLab()
    yield lab
    lab.close()


def corners(lab, num=3):
    """Every combination of num positions of each control."""
    axes = [control.positions(num) for control in lab.controls.values()]
    places = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(axes))
    return [dict(zip(lab.controls, map(float, place), strict=True)) for place in places]


def kls_by_quadrature(left, right, weight, mu, sigma):
    """Both divergences from SciPy's densities by the trapezoid rule: nothing of vaelib.theory."""

    def log_p(x):
        return np.logaddexp(np.log1p(-weight) + norm.logpdf(x, left), np.log(weight) + norm.logpdf(x, right))

    q, x = norm(mu, sigma), np.linspace(-60, 60, 24001)
    log_ratio = log_p(x) - q.logpdf(x)
    return np.trapezoid(np.exp(log_p(x)) * log_ratio, x), -np.trapezoid(q.pdf(x) * log_ratio, x)


def test_it_starts_at_the_target_it_is_given():
    lab = KlLab(separation=3.0, weight=0.2)
    start = {"left": -1.5, "right": 1.5, "weight": 0.2, "mu": 0.0, "sigma": 2.5}
    assert lab.start == dict(lab.values) == start
    assert {each["name"]: each["start"] for each in lab.spec["controls"]} == start  # where the page's Reset leads
    assert KlLab().start["right"] == 3.0  # another one is as before
    with pytest.raises(ValueError, match=r"start must be a number from -4 to 0; received -4\.5"):
        KlLab(separation=9.0)


def test_both_divergences_agree_with_quadrature_over_the_whole_range(lab):
    places = corners(lab)
    assert len(places) == 3**5
    for values in places:
        now, expected = lab.numbers(**values), kls_by_quadrature(**values)
        assert (now["forward"], now["reverse"]) == pytest.approx(expected, abs=1e-8, rel=1e-10)


def test_the_bars_of_the_still_picture_are_as_high_as_the_divergences(lab):
    for values in corners(lab)[::30]:
        figure = lab.figure(**values)
        _, whole, zoom, *_ = figure.axes
        for ax in (whole, zoom):
            assert [bar.get_height() for bar in ax.patches] == pytest.approx(kls_by_quadrature(**values), abs=1e-7)
            assert {bar.get_y() for bar in ax.patches} == {0}
        assert max(kls_by_quadrature(**values)) < whole.get_ylim()[1]  # nothing leaves the picture
        assert whole.get_yscale() == "linear"
        assert zoom.get_ylim() == (0, 1)


def test_the_axes_hold_every_curve(lab):
    for values in corners(lab):
        now = lab.numbers(**values)
        assert min(now["forward_integrand"].min(), now["reverse_integrand"].min()) > module.LOWEST
        assert max(now["p"].max(), now["q"].max()) < 0.85
        assert now["p"].max() < 0.4


def test_integrands_integrate_to_the_divergences():
    target = two_modes(5.0, 0.3)
    for part, expected in enumerate(kls_by_quadrature(-2.5, 2.5, 0.3, -1.0, 1.4)):
        integral, _ = quad(lambda x, k=part: integrands(target, -1.0, 1.4, np.array([x]))[k][0], -14, 14, limit=200)
        assert integral == pytest.approx(expected, abs=1e-7)


def test_what_the_picture_shows_of_the_areas(lab):
    now = lab.numbers(mu=0.0, sigma=2.0)
    assert now["forward_area"] == pytest.approx(now["forward"], abs=1e-6)
    assert now["reverse_area"] == pytest.approx(now["reverse"], abs=1e-4)
    wide = lab.numbers(mu=5.0, sigma=4.5)
    target = two_modes(6.0, 0.4)
    inside, _ = quad(lambda x: integrands(target, 5.0, 4.5, np.array([x]))[1][0], -10, 10, limit=200)
    assert wide["reverse_area"] == pytest.approx(inside, abs=1e-3)
    assert wide["reverse_area"] < wide["reverse"] - 1


def test_lines_are_the_densities_and_the_integrands(lab):
    values = {"left": -2.0, "right": 2.0, "weight": 0.25, "mu": 1.0, "sigma": 0.8}
    now, figure, x = lab.numbers(**values), lab.figure(**values), module.X
    p, q = 0.75 * norm.pdf(x, -2) + 0.25 * norm.pdf(x, 2), norm.pdf(x, 1.0, 0.8)
    p_line, q_line = figure.axes[0].lines
    np.testing.assert_allclose(p_line.get_ydata(), p, atol=1e-12)
    np.testing.assert_allclose(q_line.get_ydata(), q, atol=1e-12)
    some = slice(150, 350)  # where neither density is so small that the plain ratio loses digits
    for ax, name, y in zip(
        figure.axes[3:], ("forward", "reverse"), (p * np.log(p / q), q * np.log(q / p)), strict=True
    ):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), now[f"{name}_integrand"])
        np.testing.assert_allclose(now[f"{name}_integrand"][some], y[some], rtol=1e-6, atol=1e-12)


def highest(lab, name, **values):
    """The place of the largest integrand, in units of x."""
    return module.X[np.argmax(lab.numbers(**values)[f"{name}_integrand"])]


def test_each_divergence_collects_its_nats_where_the_text_says(lab):
    across = {"mu": 0.0, "sigma": 2.5, "weight": 0.5}
    assert abs(highest(lab, "forward", **across)) == pytest.approx(3.0, abs=0.6)  # at the modes
    assert highest(lab, "reverse", **across) == pytest.approx(0.0, abs=0.1)  # in the valley
    on_the_left = {"mu": -3.0, "sigma": 1.0}
    assert highest(lab, "forward", **on_the_left) == pytest.approx(3.0, abs=0.5)  # at the mode that q ignores
    assert highest(lab, "reverse", **on_the_left) == pytest.approx(-3.0, abs=0.1)


def test_target_in_the_family_where_the_modes_meet(lab):
    now = lab.numbers(left=0.0, right=0.0, mu=0.0, sigma=1.0)
    assert max(abs(now["forward"]), abs(now["reverse"])) < 1e-12


def test_two_modes_has_its_weight_on_the_right():
    target = two_modes(4.0, 0.3)
    assert target.cdf(0.0) == pytest.approx(0.7 * norm.cdf(2) + 0.3 * norm.cdf(-2), abs=1e-12)
    with pytest.raises(ValueError, match="weights must not be negative"):
        two_modes(4.0, 1.2)


def test_the_bars_have_the_colours_of_their_integrands(lab):
    figure = lab.figure()
    for bar, ax in zip(figure.axes[1].patches, figure.axes[3:], strict=True):
        assert bar.get_facecolor()[:3] == to_rgb(ax.lines[0].get_color())


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
