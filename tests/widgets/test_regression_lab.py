"""The lab of notebook 11 over its range, without a browser."""

import numpy as np
import pytest
from matplotlib.path import Path
from scipy import stats

from vaelib.theory.regression import LogisticRegression
from vaelib.widgets import regression_lab as module
from vaelib.widgets.regression_lab import RegressionLab, ellipse, gaussian_by_axes, level_and_mass, level_line

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 2)) @ np.array([[1.0, 0.8], [0.0, 0.4]])
Y = (X.sum(axis=1) + RNG.logistic(size=100) > 0).astype(int)
FITTED = ("laplace", "diagonal", "full")


@pytest.fixture(scope="module")
def lab():
    lab = RegressionLab(X, Y, ["one", "two"])
    yield lab
    lab.close()


def inside(outline, w):
    return Path(outline[~np.isnan(outline).any(axis=1)]).contains_points(w)


def line(figure, label):
    (found,) = [line for line in figure.axes[0].lines if line.get_label() == label]
    return found.get_xydata()


def test_level_line_and_ellipse_hold_the_stated_share():
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 0.9], [0.9, 0.5]])
    first, second = np.linspace(-7, 9, 301), np.linspace(-6, 2, 301)
    density = stats.multivariate_normal(mean, cov).pdf(np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1))
    w = RNG.multivariate_normal(mean, cov, size=40_000)
    for outline in (level_line(first, second, density), ellipse(mean, cov)):
        assert inside(outline, w).mean() == pytest.approx(0.9, abs=0.01)
    assert inside(ellipse(mean, cov, content=0.5), w).mean() == pytest.approx(0.5, abs=0.015)


def test_the_level_is_the_density_on_the_outline_of_a_gaussian():
    first = np.linspace(-7, 7, 401)
    density = stats.multivariate_normal(np.zeros(2)).pdf(np.stack(np.meshgrid(first, first, indexing="ij"), axis=-1))
    level, mass = level_and_mass(density)
    assert level == pytest.approx(0.1 / (2 * np.pi), rel=0.005)  # 90 % lie above a tenth of the peak
    assert 0.9 <= mass < 0.9 + 8 * density.max() * (first[1] - first[0]) ** 2  # a ring of equal cells at the most


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_exact_outline_holds_90_percent_of_weighted_prior_draws(lab, scale):
    w = scale * RNG.normal(size=(200_000, 2))  # from the prior, in the units of the features as they came
    weights = np.exp(LogisticRegression(X[:12], Y[:12]).log_likelihood(w))
    drawn = line(lab.figure(num_cases=12, prior_scale=scale), "exact")
    assert np.sum(weights * inside(drawn, w)) / np.sum(weights) == pytest.approx(0.9, abs=0.02)
    now = lab.numbers(num_cases=12, prior_scale=scale)
    assert 0 <= now["full_kl"] < now["diagonal_kl"] and now["full_kl"] < now["laplace_kl"]
    assert now["exact_mean"] == pytest.approx(weights @ w / weights.sum(), abs=0.03 * scale)
    assert now["log_evidence"] == pytest.approx(np.log(weights.mean()), abs=0.02)


def test_without_data_to_speak_of_all_are_the_prior():
    lab = RegressionLab(1e-6 * X, Y, ["one", "two"])
    figure, radius = lab.figure(num_cases=4, along=2.0, across=2.0), 2.0 * np.sqrt(stats.chi2.ppf(0.9, 2))
    for label in ("exact", "Laplace", "variational, diagonal", "variational, full", "yours", "prior"):
        distance = np.hypot(*line(figure, label).T)
        assert [np.nanmin(distance), np.nanmax(distance)] == pytest.approx([radius, radius], rel=0.02)
    now = lab.numbers(num_cases=4, along=2.0, across=2.0)
    assert max(now[f"{name}_kl"] for name in (*FITTED, "own")) < 1e-6
    lab.close()


@pytest.mark.parametrize(
    "own",
    [(0.0, 0.0, 2.0, 2.0, 0.0), (1.5, 0.5, 2.0, 0.5, -45.0), (1.0, 1.0, 0.05, 1.0, 170.0), (4.0, -3.0, 3.0, 1, 90)],
)
@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_readers_kl_is_the_mean_of_log_q_minus_log_p(lab, own, scale):
    first, second, along, across, angle = own
    values = dict(first=first, second=second, along=along, across=across, angle=float(angle), prior_scale=scale)
    now = lab.numbers(num_cases=52, **values)
    mean, cov = gaussian_by_axes((first, second), along, across, angle)
    nodes = np.linspace(-8.5, 8.5, 171)
    eps = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = stats.multivariate_normal(np.zeros(2)).pdf(eps) * (nodes[1] - nodes[0]) ** 2
    w = mean + eps @ np.linalg.cholesky(cov).T
    log_joint = LogisticRegression(X[:52], Y[:52]).log_likelihood(w) + stats.norm(0, scale).logpdf(w).sum(axis=1)
    expected = weights @ (stats.multivariate_normal(mean, cov).logpdf(w) - log_joint) + now["log_evidence"]
    assert now["own_kl"] == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_the_axes_of_the_readers_gaussian():
    mean, cov = gaussian_by_axes((1.0, 2.0), 2.0, 0.5, 30.0)
    direction = np.array([np.sqrt(3) / 2, 0.5])
    np.testing.assert_allclose(cov @ direction, 4.0 * direction)
    np.testing.assert_allclose(cov @ [-0.5, direction[0]], 0.25 * np.array([-0.5, direction[0]]))
    assert mean.tolist() == [1.0, 2.0]


def test_every_position_draws_inside_the_axes_and_bars_of_its_kls(lab):
    for num_cases in (4, 52, 100):
        for prior_scale in (0.5, 2.0, 4.0):
            now = lab.numbers(num_cases=num_cases, prior_scale=prior_scale)
            figure = lab.figure(num_cases=num_cases, prior_scale=prior_scale)
            for label in ("exact", "Laplace", "variational, diagonal", "variational, full"):
                drawn = line(figure, label)
                assert lab.low < np.nanmin(drawn) and np.nanmax(drawn) < lab.high
            kls = [now[f"{name}_kl"] for name in (*FITTED, "own")]
            for ax in figure.axes[1:]:
                assert [bar.get_width() for bar in ax.patches] == pytest.approx(kls)
            assert max(kls[:3]) < lab.top and kls[0] < lab.zoom and kls[2] == min(kls)


def test_dragging_computes_no_posterior_again(lab, monkeypatch):
    lab.numbers(num_cases=24, prior_scale=1.5)
    monkeypatch.setattr(module, "fit_gaussian", None)
    near, far = (lab.numbers(num_cases=24, prior_scale=1.5, first=first) for first in (1.0, 5.0))
    assert near["own_kl"] < far["own_kl"] and near["full_kl"] == far["full_kl"]


def test_too_few_cases_are_refused():
    with pytest.raises(ValueError, match=r"features must have shape \(n, 2\), n at least 100; received \(99, 2\)"):
        RegressionLab(X[:99], Y[:99], ["one", "two"])
