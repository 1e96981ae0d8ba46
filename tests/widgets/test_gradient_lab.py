"""The lab of notebook 04, driven without a browser over its whole range."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from vaelib.theory.gradients import variance_with_interval
from vaelib.widgets import gradient_lab as lab_module
from vaelib.widgets.gradient_lab import FUNCTIONS, WIDEST, Z, draw_variances, estimates, gradient_lab

REPEATS = 120

# d E[f(z)] / dμ under N(μ, σ²) in closed form: an independent route to the black line.
CLOSED_FORM = {
    "z²": lambda mu, sigma: 2 * mu,
    "exp z": lambda mu, sigma: np.exp(mu + sigma**2 / 2),
    "sin z": lambda mu, sigma: np.cos(mu) * np.exp(-(sigma**2) / 2),
    "|z|": lambda mu, sigma: 2 * stats.norm.cdf(mu / sigma) - 1,
    "sin 10z": lambda mu, sigma: 10 * np.cos(10 * mu) * np.exp(-50 * sigma**2),
    "step at 0": lambda mu, sigma: stats.norm.pdf(0, mu, sigma),
}


@pytest.fixture(scope="module")
def lab():
    lab = gradient_lab(repeats=REPEATS)
    yield lab
    lab.close()


def strips(lab):
    return [strip.get_xdata() for strip in lab.strips]


def test_the_black_line_stands_at_the_closed_form_at_every_position(lab):
    assert set(lab.controls["function"].options) == set(CLOSED_FORM) == set(FUNCTIONS)
    seen = 0
    for values, _, text in lab.sweep(num=3, grid=True):
        expected = CLOSED_FORM[values["function"]](values["mu"], np.exp(0.5 * values["log_var"]))
        np.testing.assert_allclose(lab.exact.get_xdata(), expected, atol=1e-9)
        assert float(re.match(r"exact gradient (\S+)", text)[1]) == pytest.approx(expected, abs=6e-4)
        seen += 1
    assert seen == 6 * 3 * 3 * 3
    assert lab.num_background_draws == 1


def test_all_strips_gather_around_the_black_line_except_the_pathwise_one_of_the_step(lab):
    for name in FUNCTIONS:
        for mu in (-0.8, 0.4):
            lab.frame(function=name, mu=mu, log_var=-0.4, num_samples=64)
            exact = lab.exact.get_xdata()[0]
            for k, dots in enumerate(strips(lab)):
                error = dots.std(ddof=1) / np.sqrt(REPEATS)
                if name == "step at 0" and k == 2:
                    assert np.all(dots == 0) and exact > 0.1
                else:
                    assert abs(dots.mean() - exact) < 4 * error, (name, mu, k)


def test_more_samples_narrow_every_strip_like_one_over_the_square_root(lab):
    for name in ("z²", "sin 10z"):
        spread = {}
        for n in (1, 16, 64):
            lab.frame(function=name, num_samples=n)
            spread[n] = np.array([dots.std() for dots in strips(lab)])
        # The relative error of a standard deviation from 120 repeats is 7 % for normal tails, more for heavy ones.
        np.testing.assert_allclose(spread[1] / spread[16], 4.0, rtol=0.5)
        np.testing.assert_allclose(spread[16] / spread[64], 2.0, rtol=0.5)


def test_which_strip_is_the_widest_depends_on_the_function(lab):
    widths = {}
    for name in ("z²", "sin 10z"):
        lab.frame(function=name, num_samples=4)
        widths[name] = [dots.std() for dots in strips(lab)]
    assert widths["z²"][0] > widths["z²"][1] > widths["z²"][2]
    assert widths["sin 10z"][2] > 3 * widths["sin 10z"][0]


def test_a_narrow_q_hurts_the_score_function_and_helps_the_pathwise_estimator(lab):
    lab.frame(function="|z|", mu=1.5, log_var=1.0)
    wide = [dots.std() for dots in strips(lab)]
    lab.frame(function="|z|", mu=1.5, log_var=-2.0)
    narrow = [dots.std() for dots in strips(lab)]
    assert narrow[0] > 1.5 * wide[0]
    assert narrow[2] < wide[2]


def test_the_picture_shows_q_and_f(lab):
    q_line, f_line = lab.moving_lines = [a for a in lab.moving if np.size(a.get_xdata()) == Z.size]
    lab.frame(function="exp z", mu=1.3, log_var=-1.0)
    np.testing.assert_allclose(q_line.get_ydata(), stats.norm.pdf(Z, 1.3, np.exp(-0.5)), rtol=1e-10)
    shown = np.isfinite(f_line.get_ydata())
    np.testing.assert_allclose(f_line.get_ydata()[shown], np.exp(Z[shown]) / 10)
    assert Z[shown].max() == pytest.approx(np.log(10), abs=0.03)


def test_the_picture_changes_with_every_slider_and_the_readout_counts_what_lies_outside(lab):
    start = lab.frame()
    for change in ({"function": "sin z"}, {"mu": -1.0}, {"log_var": 0.5}, {"num_samples": 9}):
        assert np.mean(lab.frame(**change) != start) > 0.002, change
    assert np.array_equal(lab.frame(), start)
    text = lab.text(function="z²", mu=-2.0, log_var=-2.0)  # dots beyond both ends
    beyond = sum(int(np.sum(np.abs(dots) > WIDEST)) for dots in strips(lab))
    assert beyond > 10 and text.endswith(f"{beyond} dots lie outside")


def test_estimates_average_rows_and_use_the_same_noise():
    eps = np.random.default_rng(1).standard_normal((5, 3))
    now = estimates(FUNCTIONS["z²"], 0.3, -0.2, eps)
    sigma = np.exp(-0.1)
    z = 0.3 + sigma * eps
    np.testing.assert_allclose(now.pathwise, (2 * z).mean(axis=1))
    np.testing.assert_allclose(now.score, (z**2 * eps / sigma).mean(axis=1))
    np.testing.assert_allclose(now.baseline, ((z**2 - 0.09 - sigma**2) * eps / sigma).mean(axis=1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_df_is_the_slope_of_f_away_from_the_breaks(name):
    f, df, breaks = FUNCTIONS[name]
    z = np.linspace(-3, 3, 62)
    assert all(np.min(np.abs(z - place)) > 0.01 for place in breaks)
    np.testing.assert_allclose(df(z), (f(z + 1e-6) - f(z - 1e-6)) / 2e-6, atol=1e-6)


def test_markers_stand_at_the_variances_with_bars_to_the_ends_of_the_interval():
    rng = np.random.default_rng(0)
    table = [[variance_with_interval(scale * rng.standard_normal(200)) for scale in (3, 2, 1)] for _ in range(2)]
    fig, ax = plt.subplots()
    draw_variances(ax, [1, 4], table, shift=0.5)
    for k, container in enumerate(ax.containers):
        np.testing.assert_allclose(container.lines[0].get_xdata(), [1 + 0.5 * (k - 1), 4 + 0.5 * (k - 1)])
        np.testing.assert_allclose(container.lines[0].get_ydata(), [row[k].variance for row in table])
        ends = [segment[:, 1] for segment in container.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, [[row[k].low, row[k].high] for row in table])
    colours = {container.lines[0].get_color() for container in ax.containers}
    assert colours == {lab_module.SCORE, lab_module.BASELINE, lab_module.PATHWISE}
    plt.close(fig)
