"""The lab of notebook 05, driven headless: the point moves over the map, and arrow, curve and bar follow."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import norm

from vaelib.teaching.palette import COLOURS
from vaelib.widgets import kl_map_lab as kl_map


@pytest.fixture(scope="module")
def lab():
    lab = kl_map.kl_map_lab()
    yield lab
    lab.close()


def kl_by_quadrature(mu, log_var):
    """E_q[log q − log p] by Gauss–Hermite quadrature, exact here: the log-ratio is quadratic in z."""
    points, weights = np.polynomial.hermite_e.hermegauss(6)
    sigma = np.exp(0.5 * log_var)
    z = mu + sigma * points
    return weights @ (log_density(z, mu, sigma) - log_density(z, 0.0, 1.0)) / weights.sum()


def log_density(z, mu, sigma):
    return -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))


def shaft(lab):
    """Start and end of the arrow in data coordinates."""
    return np.array(lab.arrow._posA_posB)


def test_bars_and_readout_show_the_kl_over_the_whole_range(lab):
    mean_bar, width_bar = lab.bars
    top = mean_bar.axes.get_ylim()[1]
    for values, _, text in lab.sweep(num=5, grid=True):
        kl = kl_by_quadrature(**values)
        assert mean_bar.get_height() == pytest.approx(kl_by_quadrature(values["mu"], 0.0), abs=1e-8)
        assert width_bar.get_height() == pytest.approx(kl_by_quadrature(0.0, values["log_var"]), abs=1e-8)
        assert width_bar.get_y() + width_bar.get_height() == pytest.approx(kl, abs=1e-8)
        assert kl <= top  # nothing leaves the picture
        assert text.startswith(f"KL {kl:.3f} nats")
    assert lab.num_background_draws == 1  # each frame was a fast one


def test_the_arrow_starts_at_the_point_and_goes_one_gradient_step_downhill(lab):
    low, high = np.array([kl_map.MU[:2], kl_map.LOG_VAR[:2]]).T
    for values, _, text in lab.sweep(num=7, grid=True):
        point = np.array([values["mu"], values["log_var"]])
        assert (lab.point.get_xdata()[0], lab.point.get_ydata()[0]) == pytest.approx(point)
        h = 1e-4
        slope = [
            (kl_by_quadrature(*(point + step)) - kl_by_quadrature(*(point - step))) / (2 * h) for step in h * np.eye(2)
        ]
        start, end = shaft(lab)
        assert start == pytest.approx(point)
        assert end == pytest.approx(np.clip(point - kl_map.STEP * np.array(slope), low, high), abs=1e-5)
        shown = [float(part.split()[-1]) for part in text.split("gradient: ")[1].split(", ")]
        assert shown == pytest.approx(slope, abs=6e-4)
        if np.hypot(*slope) > 0.1:
            assert lab.arrow.get_visible()
            assert kl_by_quadrature(*end) < kl_by_quadrature(*start)
    lab.frame(mu=0.0, log_var=0.0)
    assert not lab.arrow.get_visible()


def test_the_path_starts_at_the_point_falls_all_the_way_and_ends_at_the_prior(lab):
    for mu, log_var in [(-3.0, -3.0), (3.0, 3.0), (1.5, -2.0), (0.0, 2.0)]:
        lab.frame(mu=mu, log_var=log_var)
        path = np.column_stack(lab.path.get_data())
        assert path[0] == pytest.approx((mu, log_var))
        assert path[-1] == pytest.approx((0.0, 0.0), abs=0.01)
        assert np.all(np.diff([kl_by_quadrature(*place) for place in path[::8]]) < 0)


def test_q_is_drawn_where_the_sliders_say(lab):
    for values, _, _ in lab.sweep(num=5, grid=True):
        expected = norm.pdf(kl_map.Z, values["mu"], np.exp(0.5 * values["log_var"]))
        assert lab.line.get_ydata() == pytest.approx(expected)
        assert expected.max() <= lab.line.axes.get_ylim()[1]


def test_the_picture_changes_with_each_slider(lab):
    start = lab.frame()
    for change in ({"mu": -2.0}, {"log_var": 1.0}):
        different = np.any(lab.frame(**change) != start, axis=-1)
        for ax in lab.figure.axes:  # map, densities and bar all take part
            columns = slice(*ax.bbox.intervalx.astype(int))
            assert different[:, columns].any()
    assert np.array_equal(lab.frame(), start)


def test_the_bar_is_as_high_on_the_page_as_the_kl(lab):
    ax = lab.bars[0].axes
    rgb = [int(COLOURS["vermillion"][i : i + 2], 16) for i in (1, 3, 5)]
    per_nat = np.ptp(ax.transData.transform([(0, 0), (0, 1)])[:, 1])
    for mu in (-3.0, 2.0, 2.5):
        pixels = lab.frame(mu=mu, log_var=0.0)
        rows, columns = np.nonzero((pixels[..., :3] == rgb).all(axis=-1))
        height, across = len(pixels) - rows, columns
        middle = across == int(ax.transData.transform((-0.2, 0))[0])
        below_legend = height < ax.transData.transform((0, 6))[1]
        assert np.ptp(height[middle & below_legend]) + 1 == pytest.approx(0.5 * mu**2 * per_nat, abs=2.5)


def test_contours_lie_at_their_levels_and_arrows_point_downhill():
    fig, ax = plt.subplots()
    kl_map.draw_kl_map(ax, arrows=5)
    contours, quiver = ax.collections
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        found = [kl_by_quadrature(*place) for place in path.vertices[:: max(1, len(path.vertices) // 8)]]
        assert len(found) > 0
        assert found == pytest.approx(np.full(len(found), level), rel=0.02, abs=0.005)
    places = quiver.get_offsets()
    directions = np.column_stack([quiver.U, quiver.V])
    assert len(places) == 24  # 5 × 5 without the minimum
    for place, direction in zip(places, directions, strict=True):
        ahead, behind, h = kl_by_quadrature(*(place + 1e-3 * direction)), kl_by_quadrature(*place), 1e-3
        slope = [(kl_by_quadrature(*(place + s)) - kl_by_quadrature(*(place - s))) / (2 * h) for s in h * np.eye(2)]
        assert ahead - behind == pytest.approx(-1e-3 * np.hypot(*slope), rel=0.01)  # the steepest way there is
    kl_map.draw_kl_map(plt.subplots()[1], arrows=0)
    assert len(plt.gca().collections) == 1
    plt.close("all")


def test_posteriors_are_drawn_one_standard_deviation_wide():
    _, ax = plt.subplots()
    mu, log_var = np.array([[1.0, -2.0], [0.0, 3.0]]), np.log([[0.25, 4.0], [1.0, 9.0]])
    kl_map.draw_posteriors(ax, mu, log_var)
    *ellipses, prior = ax.lines
    for line, centre, variance in zip(ellipses, mu, np.exp(log_var), strict=True):
        offset = np.column_stack(line.get_data()) - centre
        assert np.sum(offset**2 / variance, axis=1) == pytest.approx(np.ones(len(offset)))
    assert np.hypot(*prior.get_data()) == pytest.approx(np.ones(len(prior.get_xdata())))
    plt.close("all")
