"""The race of notebook 05: both runners follow their estimators, and dimensions undo only one of them."""

import numpy as np
import pytest
from scipy import stats

from vaelib.theory import gradients
from vaelib.widgets import gradient_race, noise
from vaelib.widgets.gradient_race import LOST, NUM_STEPS, GradientRace, race, root_mean_square, variances


@pytest.fixture(scope="module")
def lab():
    lab = GradientRace()
    yield lab
    lab.close()


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("d", [1, 3, 16])
def test_each_step_goes_down_by_the_estimate_of_vaelib_theory(d, baseline):
    place, sigma, step_size = 0.7, 0.8, 0.004
    eps = np.random.default_rng(d).standard_normal((60, d))
    paths = race(place, -1.0, sigma, step_size, eps, baseline)
    log_var = np.full(d, 2 * np.log(sigma))

    def f(z):
        return np.sum((z - place) ** 2, axis=-1)

    for t in range(60):
        noise_now = eps[t : t + 1]
        constant = np.sum((paths.score[t] - place) ** 2) + d * sigma**2 if baseline else None
        by_score = gradients.score_function_samples(f, paths.score[t], log_var, noise_now, baseline=constant).mu[0]
        by_path = gradients.pathwise_samples(lambda z: 2 * (z - place), paths.pathwise[t], log_var, noise_now).mu[0]
        exact = gradients.quadratic_gradient(np.eye(d), np.full(d, -2 * place), paths.expected[t], log_var).mu
        for path, gradient in zip(paths, (by_score, by_path, exact), strict=True):
            np.testing.assert_allclose(path[t + 1], path[t] - step_size * gradient, rtol=1e-12, atol=1e-12)


def test_the_baseline_is_the_mean_of_f():
    d, sigma, place = 2, 0.9, 0.4
    mean = gradients.expectation(
        lambda z: np.sum((z - place) ** 2, -1), np.array([1.0, 1.0]), np.full(d, 2 * np.log(sigma))
    )
    assert mean == pytest.approx(d * (1.0 - place) ** 2 + d * sigma**2)


def test_the_exact_line_is_geometric_and_the_average_of_pathwise_runs():
    runs = [race(1.0, -1.5, 1.0, 0.01, noise.normal(seed, 60, 2)) for seed in range(200)]
    expected = runs[0].expected[:, 0]
    np.testing.assert_allclose(expected, 1.0 - 2.5 * 0.98 ** np.arange(61), rtol=1e-12)
    ends = np.array([run.pathwise[-1] for run in runs]).ravel()
    assert abs(ends.mean() - expected[-1]) < 4 * ends.std() / np.sqrt(ends.size)
    # And their noise settles at the variance of a first-order autoregression, α σ² / (1 − α).
    long = race(0.0, 0.0, 1.0, 0.05, np.random.default_rng(0).standard_normal((4000, 8))).pathwise[1000::50].ravel()
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], long.size) / long.size
    assert low < np.mean(long**2) / (0.05 / 0.95) < high


@pytest.mark.parametrize(("offset", "sigma", "d"), [(-2.5, 1.0, 1), (0.6, 0.5, 3), (1.0, 1.2, 40)])
def test_the_variances_are_those_of_the_estimators(offset, sigma, d):
    rng, at = np.random.default_rng(0), (np.full(d, offset), np.full(d, 2 * np.log(sigma)))
    eps = rng.standard_normal((100_000, d))

    def f(z):
        return np.sum(z**2, axis=-1)

    plain = gradients.score_function_samples(f, *at, eps).mu[:, 0]
    better = gradients.score_function_samples(f, *at, eps, baseline=d * (offset**2 + sigma**2)).mu[:, 0]
    pathwise = gradients.pathwise_samples(lambda z: 2 * z, *at, eps).mu[:, 0]
    for samples, expected in zip((plain, better, pathwise), variances(offset, sigma, d), strict=True):
        squares = (samples - 2 * offset) ** 2
        assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(len(squares))


@pytest.mark.parametrize("d", [1, 2])
def test_the_variances_by_quadrature(d):
    offset, sigma = 0.7, 1.3
    at, mean = (np.full(d, offset), np.full(d, 2 * np.log(sigma))), d * (offset**2 + sigma**2)

    def variance(estimate):
        return gradients.expectation(lambda z: estimate(z) ** 2, *at) - gradients.expectation(estimate, *at) ** 2

    def f(z):
        return np.sum(z**2, axis=-1)

    def score(z):
        return (z[:, 0] - offset) / sigma**2

    by_quadrature = [
        variance(lambda z: f(z) * score(z)),
        variance(lambda z: (f(z) - mean) * score(z)),
        variance(lambda z: 2 * z[:, 0]),
    ]
    np.testing.assert_allclose(variances(offset, sigma, d), by_quadrature, rtol=1e-10)


def test_with_dimensions_the_score_function_gets_lost_and_the_pathwise_one_does_not():
    lost, final = {}, {}
    for d in (1, 4, 16, 128):
        runs = [race(1.0, -1.5, 1.0, 0.01, noise.normal(seed, NUM_STEPS, 128)[:, :d]) for seed in range(10)]
        lost[d] = sum(np.isnan(run.score[-1, 0]) for run in runs)
        final[d] = np.mean([root_mean_square(run.pathwise[-100:] - 1.0).mean() for run in runs])
    assert lost[1] == lost[4] == 0 and lost[16] == lost[128] == 10
    assert max(final.values()) < 0.15


def test_twenty_away_is_lost_and_nineteen_is_not():
    # One step from −1.5: z = −1.5 + ε, f = (z − 1)², and the mean moves by −α f ε.
    eps = np.array([[-8.0], [0.0]])
    for step_size in (0.02, 0.024, 0.026, 0.03):
        end = -1.5 + step_size * 10.5**2 * 8
        path = race(1.0, -1.5, 1.0, step_size, eps).score[:, 0]
        if abs(end - 1.0) <= 20.0:
            np.testing.assert_allclose(path[1:], end)
        else:
            assert np.isnan(path[1:]).all()


def test_who_is_lost_stays_lost_and_is_named(lab):
    now = lab.numbers(dimension=64)
    step = now["lost"]
    assert 0 < step < 100
    assert np.isnan(now["score"][step:]).all() and np.nanmax(now["score"]) <= LOST
    assert lab.numbers(dimension=1)["lost"] == 0
    assert lab.numbers(dimension=64, steps=step - 1)["lost"] == 0


def test_the_numbers_are_the_beginning_of_one_race(lab):
    whole = lab.numbers(steps=NUM_STEPS)
    for steps in (0, 1, 150):
        part = lab.numbers(steps=steps)
        for name in ("score", "pathwise", "expected", "score_mu", "pathwise_mu"):
            np.testing.assert_array_equal(part[name], whole[name][: steps + 1])


def test_the_still_picture_shows_the_race(lab):
    values = {"dimension": 3, "steps": 120, "place": 0.5, "mu": -1.0, "sigma": 0.8}
    now = lab.numbers(**values)
    left, right = lab.figure(**values).axes
    for line, name in zip(right.lines, ("score", "pathwise", "expected"), strict=False):
        np.testing.assert_array_equal(line.get_ydata(), now[name])
    for line, mu in zip(left.lines[1:], (-1.0, now["score_mu"][-1], now["pathwise_mu"][-1]), strict=True):
        np.testing.assert_allclose(line.get_ydata(), stats.norm.pdf(gradient_race.Z, mu, 0.8), rtol=1e-9, atol=1e-300)
    bowl = left.lines[0]
    assert bowl.get_xdata()[np.nanargmin(bowl.get_ydata())] == pytest.approx(0.5, abs=0.03)


def test_in_the_still_picture_who_is_lost_has_no_place_and_a_mark_where_it_was_last(lab):
    now = lab.numbers(dimension=16)
    left, right = lab.figure(dimension=16).axes
    assert [line.get_label() for line in left.lines[1:]] == ["q at the start", "pathwise"]
    (mark,) = [line for line in right.lines if line.get_marker() == "x"]
    assert mark.get_xydata().tolist() == [[now["lost"] - 1, np.nanmax(now["score"])]]
