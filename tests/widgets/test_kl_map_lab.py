"""The lab of notebook 06, driven headless: its numbers against quadrature, its still picture against its numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import norm

from vaelib.widgets import kl_map_lab as kl_map


@pytest.fixture(scope="module")
def lab():
    lab = kl_map.KlMapLab()
    yield lab
    lab.close()


def places(lab, num):
    """Every combination of num positions of both controls."""
    return [
        {"mu": mu, "log_var": log_var}
        for mu in lab.controls["mu"].positions(num)
        for log_var in lab.controls["log_var"].positions(num)
    ]


def kl_by_quadrature(mu, log_var):
    """E_q[log q − log p] by Gauss–Hermite quadrature, exact here: the log-ratio is quadratic in z."""
    points, weights = np.polynomial.hermite_e.hermegauss(6)
    sigma = np.exp(0.5 * log_var)
    z = mu + sigma * points
    return weights @ (log_density(z, mu, sigma) - log_density(z, 0.0, 1.0)) / weights.sum()


def log_density(z, mu, sigma):
    return -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))


def slope_by_differences(mu, log_var, h=1e-4):
    point = np.array([mu, log_var])
    return [(kl_by_quadrature(*(point + s)) - kl_by_quadrature(*(point - s))) / (2 * h) for s in h * np.eye(2)]


def test_the_kl_and_its_parts_agree_with_quadrature_over_the_whole_range(lab):
    for values in places(lab, 7):
        now = lab.numbers(**values)
        assert now["kl"] == pytest.approx(kl_by_quadrature(**values), abs=1e-8)
        assert now["mean"] == pytest.approx(kl_by_quadrature(values["mu"], 0.0), abs=1e-8)
        assert now["width"] == pytest.approx(kl_by_quadrature(0.0, values["log_var"]), abs=1e-8)
        assert [now["slope_mu"], now["slope_log_var"]] == pytest.approx(slope_by_differences(**values), abs=1e-5)


def test_the_bars_of_the_still_picture_are_as_high_as_the_parts(lab):
    for values in places(lab, 3):
        figure = lab.figure(**values)
        kl, mean = kl_by_quadrature(**values), kl_by_quadrature(values["mu"], 0.0)
        for ax in figure.axes[2:]:
            below, above = ax.patches
            assert (below.get_y(), below.get_height()) == pytest.approx((0.0, mean), abs=1e-8)
            assert (above.get_y(), above.get_y() + above.get_height()) == pytest.approx((mean, kl), abs=1e-8)
        assert figure.axes[2].get_ylim()[0] == 0
        assert kl <= figure.axes[2].get_ylim()[1]  # nothing leaves the picture
        assert figure.axes[3].get_ylim() == (0, 1)


def test_the_arrow_goes_one_gradient_step_downhill(lab):
    low, high = (np.array([getattr(c, end) for c in lab.controls.values()]) for end in ("low", "high"))
    for values in places(lab, 7):
        point, slope = np.array(list(values.values())), np.array(slope_by_differences(**values))
        tip = lab.numbers(**values)["tip"]
        assert tip == pytest.approx(np.clip(point - kl_map.STEP * slope, low, high), abs=1e-5)
        if np.hypot(*slope) > 0.1:
            assert kl_by_quadrature(*tip) < kl_by_quadrature(*point)
    assert lab.numbers(mu=0.0, log_var=0.0)["tip"] == pytest.approx((0.0, 0.0))
    arrow_of = lambda **values: lab.figure(**values).axes[0].texts  # noqa: E731
    assert len(arrow_of(mu=0.0, log_var=0.0)) + 1 == len(arrow_of(mu=1.0, log_var=0.0))


def test_the_path_starts_at_the_point_falls_all_the_way_and_ends_at_the_prior(lab):
    for mu, log_var in [(-3.0, -3.0), (3.0, 3.0), (1.5, -2.0), (0.0, 2.0)]:
        now = lab.numbers(mu=mu, log_var=log_var)
        path = np.column_stack([now["path_mu"], now["path_log_var"]])
        assert path[0] == pytest.approx((mu, log_var))
        assert path[-1] == pytest.approx((0.0, 0.0), abs=0.01)
        assert np.all(np.diff([kl_by_quadrature(*place) for place in path[::8]]) < 0)


def test_q_is_drawn_where_the_controls_say(lab):
    for values in places(lab, 3):
        expected = norm.pdf(kl_map.Z, values["mu"], np.exp(0.5 * values["log_var"]))
        ax = lab.figure(**values).axes[1]
        assert ax.lines[1].get_ydata() == pytest.approx(expected)
        assert expected.max() <= ax.get_ylim()[1]
        flank = values["mu"] + np.exp(0.5 * values["log_var"])
        assert kl_map.Z[0] < flank < kl_map.Z[-1]  # the place to grab stays in the picture


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
