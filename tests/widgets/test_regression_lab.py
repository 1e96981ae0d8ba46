"""The lab of notebook 10 over its range, without a browser."""

import re

import numpy as np
import pytest
from scipy import stats

from vaelib.theory.regression import LogisticRegression
from vaelib.widgets import regression_lab as module
from vaelib.widgets.regression_lab import ellipse, level_line, outlines, regression_lab

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 2)) @ np.array([[1.0, 0.8], [0.0, 0.4]])
Y = (X.sum(axis=1) + RNG.logistic(size=100) > 0).astype(int)


@pytest.fixture(scope="module")
def lab():
    lab = regression_lab(X, Y, ["one", "two"])
    yield lab
    lab.close()


def share_inside(outline, w):
    from matplotlib.path import Path

    return Path(outline[~np.isnan(outline).any(axis=1)]).contains_points(w).mean()


def test_level_line_and_ellipse_hold_the_stated_share():
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 0.9], [0.9, 0.5]])
    first, second = np.linspace(-7, 9, 301), np.linspace(-6, 2, 301)
    density = stats.multivariate_normal(mean, cov).pdf(np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1))
    w = RNG.multivariate_normal(mean, cov, size=40_000)
    for outline in (level_line(first, second, density), ellipse(mean, cov)):
        assert share_inside(outline, w) == pytest.approx(0.9, abs=0.01)
    assert share_inside(ellipse(mean, cov, content=0.5), w) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_exact_outline_holds_90_percent_of_weighted_prior_draws(scale):
    w = scale * RNG.normal(size=(200_000, 2))  # from the prior, in the units of the features as they came
    weights = np.exp(LogisticRegression(X[:12], Y[:12]).log_likelihood(w))
    found = outlines(X[:12], Y[:12], scale)
    outline = found.exact[~np.isnan(found.exact).any(axis=1)]
    from matplotlib.path import Path

    inside = Path(outline).contains_points(w)
    assert np.sum(weights * inside) / np.sum(weights) == pytest.approx(0.9, abs=0.02)
    assert 0 <= found.kl["full"] < found.kl["mean-field"] and found.kl["full"] < found.kl["laplace"]


def test_without_data_to_speak_of_all_four_are_the_prior():
    found = outlines(1e-6 * X[:4], Y[:4], 2.0)
    radius = 2.0 * np.sqrt(stats.chi2.ppf(0.9, 2))
    for outline in (found.exact, *found.gaussians.values()):
        assert np.nanmin(np.hypot(*outline.T)) == pytest.approx(radius, rel=0.02)
        assert np.nanmax(np.hypot(*outline.T)) == pytest.approx(radius, rel=0.02)
    assert max(found.kl.values()) < 1e-6


def test_every_position_draws_inside_the_axes_and_reads_out_its_kls(lab):
    for num_cases in (4, 52, 100):
        for prior_scale in (0.5, 2.0, 4.0):
            text = lab.update(num_cases, prior_scale)
            kls = [float(n) for n in re.findall(r"(?:laplace|mean-field|full) (\d+\.\d+)", text)]
            assert len(kls) == 3 and kls[2] <= min(kls[:2])
            assert text.startswith(f"{num_cases} cases, prior standard deviation {prior_scale:.1f}.")
            expected = outlines(X[:num_cases], Y[:num_cases], prior_scale)
            drawn = [line.get_xydata() for line in lab.moving]
            assert any(np.array_equal(d, expected.exact, equal_nan=True) for d in drawn)
            for outline in expected.gaussians.values():
                assert any(np.array_equal(d, outline) for d in drawn)


def test_a_second_visit_is_not_computed_again(lab, monkeypatch):
    lab.update(24, 1.5)
    monkeypatch.setattr(module, "fit_gaussian", None)
    assert lab.update(24, 1.5).startswith("24 cases")


def test_the_static_picture_says_what_it_shows(lab):
    picture = lab.static(num_cases=8, prior_scale=4.0)
    assert "8 cases, prior standard deviation 4.0" in repr(picture)
