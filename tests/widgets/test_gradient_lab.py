"""The lab of notebook 05, driven without a browser over its whole range."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from vaelib.theory.gradients import variance_with_interval
from vaelib.widgets import gradient_lab as lab_module
from vaelib.widgets.gradient_lab import FUNCTIONS, REPEATS, WIDEST, GradientLab, Z, draw_variances, estimates

STRIPS = ("score", "baseline", "pathwise")

# d E[f(z)] / dμ under N(μ, σ²) in closed form: an independent route to the exact line.
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
    lab = GradientLab()
    yield lab
    lab.close()


def strips(now):
    return [now[name] for name in STRIPS]


def test_the_exact_line_stands_at_the_closed_form_at_every_position(lab):
    assert set(lab.controls["function"].options) == set(CLOSED_FORM) == set(FUNCTIONS) == set(WIDEST)
    for name, closed in CLOSED_FORM.items():
        for mu in lab.controls["mu"].positions(5):
            for log_var in lab.controls["log_var"].positions(4):
                exact = lab.numbers(function=name, mu=mu, log_var=log_var)["exact"]
                assert exact == pytest.approx(closed(mu, np.exp(0.5 * log_var)), abs=1e-9)
                line = lab.figure(function=name, mu=mu, log_var=log_var).axes[1].lines[-1]
                np.testing.assert_array_equal(line.get_xdata(), exact)


def test_all_strips_gather_around_the_exact_line_except_the_pathwise_one_of_the_step(lab):
    for name in FUNCTIONS:
        for mu in (-0.8, 0.4):
            now = lab.numbers(function=name, mu=mu, log_var=-0.4, num_samples=64)
            for k, dots in enumerate(strips(now)):
                assert now["mean"][k] == pytest.approx(dots.mean())
                assert now["spread"][k] == pytest.approx(dots.std(ddof=1))
                if name == "step at 0" and k == 2:
                    assert np.all(dots == 0) and now["exact"] > 0.1
                else:
                    assert abs(dots.mean() - now["exact"]) < 4 * now["spread"][k] / np.sqrt(REPEATS), (name, mu, k)


def test_more_samples_narrow_every_strip_like_one_over_the_square_root(lab):
    for name in ("z²", "sin 10z"):
        spread = {n: lab.numbers(function=name, num_samples=n)["spread"] for n in (1, 16, 64)}
        # The relative error of a standard deviation from 300 repeats is 4 % for normal tails, more for heavy ones.
        np.testing.assert_allclose(spread[1] / spread[16], 4.0, rtol=0.3)
        np.testing.assert_allclose(spread[16] / spread[64], 2.0, rtol=0.3)


def test_which_strip_is_the_widest_depends_on_the_function(lab):
    square, sine = (lab.numbers(function=name, num_samples=4)["spread"] for name in ("z²", "sin 10z"))
    assert square[0] > square[1] > square[2]
    assert sine[2] > 3 * sine[0]


def test_a_narrow_q_hurts_the_score_function_and_helps_the_pathwise_estimator(lab):
    wide, narrow = (lab.numbers(function="|z|", mu=1.5, log_var=log_var)["spread"] for log_var in (1.0, -2.0))
    assert narrow[0] > 1.5 * wide[0]
    assert narrow[2] < wide[2]


def test_the_picture_shows_q_and_f(lab):
    now = lab.numbers(function="exp z", mu=1.3, log_var=-1.0)
    np.testing.assert_allclose(now["density"], stats.norm.pdf(Z, 1.3, np.exp(-0.5)), rtol=1e-10)
    shown = np.isfinite(now["f"])
    np.testing.assert_allclose(now["f"][shown], np.exp(Z[shown]) / 10)
    assert Z[shown].max() == pytest.approx(np.log(10), abs=0.03)
    q, f = lab.figure(function="exp z", mu=1.3, log_var=-1.0).axes[0].lines[:2]
    np.testing.assert_array_equal(q.get_ydata(), now["density"])
    np.testing.assert_array_equal(f.get_ydata(), now["f"])


def test_every_dot_is_drawn_on_its_strip_and_those_outside_are_counted(lab):
    for name in FUNCTIONS:
        values = {"function": name, "mu": -2.0, "log_var": -2.0, "seed": 7}
        now, axes = lab.numbers(**values), lab.figure(**values).axes[1]
        for row, line, dots in zip((2, 1, 0), axes.lines, strips(now), strict=False):
            np.testing.assert_array_equal(line.get_xdata(), dots)
            assert np.abs(line.get_ydata() - row).max() < 0.3
        low, high = axes.get_xlim()
        assert now["outside"] == sum(int(np.sum((dots < low) | (dots > high))) for dots in strips(now))
    assert lab.numbers(function="z²", mu=-2.0, log_var=-2.0)["outside"] > 10


def test_another_seed_is_other_noise(lab):
    first, second = (lab.numbers(seed=seed)["pathwise"] for seed in (0, 1))
    assert np.abs(first - second).min() > 0


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
