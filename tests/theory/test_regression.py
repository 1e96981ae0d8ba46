"""vaelib.theory.regression against SciPy's densities, finite differences, quadrature and a blind optimiser."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from vaelib.theory import gaussian, regression
from vaelib.theory.regression import LogisticRegression, SoftmaxRegression, fit_gaussian, laplace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)) * [1.0, 2.0, 0.5]
Y = np.array([0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1])
KINDS = np.array([0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 2, 1])
MODELS = {"logistic": LogisticRegression(X, Y), "softmax": SoftmaxRegression(X, KINDS)}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def two():
    return LogisticRegression(3 * X[:, :2], Y)


def test_logistic_likelihood_is_scipys_bernoulli():
    w = RNG.normal(size=(2, 5, 3))
    expected = stats.bernoulli.logpmf(Y, expit(np.einsum("nk,abk->abn", X, w))).sum(axis=-1)
    np.testing.assert_allclose(MODELS["logistic"].log_likelihood(w), expected, rtol=1e-12)


def test_softmax_likelihood_picks_the_logarithm_of_the_right_class():
    w = RNG.normal(size=(4, 9))
    expected = [sum(log_softmax(x @ v.reshape(3, 3))[k] for x, k in zip(X, KINDS, strict=True)) for v in w]
    np.testing.assert_allclose(MODELS["softmax"].log_likelihood(w), expected, rtol=1e-12)


def test_two_classes_are_a_logistic_regression_on_the_difference():
    w = RNG.normal(size=(4, 3, 2))
    softmax = SoftmaxRegression(X, Y)
    logistic = MODELS["logistic"]
    np.testing.assert_allclose(
        softmax.log_likelihood(w.reshape(4, 6)), logistic.log_likelihood(w[..., 1] - w[..., 0]), rtol=1e-12
    )
    np.testing.assert_allclose(softmax.predict(w.reshape(4, 6))[..., 1], logistic.predict(w[..., 1] - w[..., 0]))


def test_the_prior_is_standard_normal_and_the_joint_is_the_sum(model):
    w = RNG.normal(size=(6, model.latent_dim))
    prior = stats.norm.logpdf(w).sum(axis=-1)
    np.testing.assert_allclose(model.log_prior(w), prior, rtol=1e-12)
    np.testing.assert_allclose(model.log_joint(w), prior + model.log_likelihood(w), rtol=1e-12)


def test_gradient_and_hessian_are_the_finite_differences(model):
    w = RNG.normal(size=(2, model.latent_dim))
    step = 1e-5 * np.eye(model.latent_dim)
    first = (model.log_joint(w[:, None] + step) - model.log_joint(w[:, None] - step)) / 2e-5
    second = (model.gradient(w[:, None] + step) - model.gradient(w[:, None] - step)) / 2e-5
    np.testing.assert_allclose(model.gradient(w), first, atol=1e-7)
    np.testing.assert_allclose(model.hessian(w), second, atol=1e-7)


def test_probabilities_of_other_rows(model):
    w, rows = RNG.normal(size=model.latent_dim), RNG.normal(size=(4, 3))
    p = model.predict(w, rows)
    assert p.shape[0] == 4 and ((p > 0) & (p < 1)).all()
    if p.ndim == 2:
        np.testing.assert_allclose(p.sum(axis=-1), 1.0)
    np.testing.assert_allclose(p, [model.predict(w, row[None])[0] for row in rows])


def test_elbo_is_the_mean_of_log_joint_minus_log_q():
    model = MODELS["logistic"]
    mean, factor = np.array([0.3, -0.2, 1.0]), np.array([[0.8, 0, 0], [-0.3, 0.5, 0], [0.4, 0.2, 1.1]])
    w = mean + RNG.normal(size=(40_000, 3)) @ factor.T
    values = model.log_joint(w) - stats.multivariate_normal(mean, factor @ factor.T).logpdf(w)
    assert abs(values.mean() - model.elbo(mean, factor)) < 4 * values.std() / 200


def test_expected_log_likelihood_is_scipys_quadrature():
    model = LogisticRegression([[4.0]], [1])  # a logit with standard deviation 6: as wide as the course goes
    expected = integrate.quad(lambda a: -np.logaddexp(0, -a) * stats.norm.pdf(a, 2.0, 6.0), -80, 80, epsabs=1e-12)[0]
    kl = gaussian.kl_normal(0.5, 1.5**2, 0.0, 1.0)
    assert model.elbo(np.array([0.5]), np.array([[1.5]])) == pytest.approx(expected - kl, abs=1e-8)


def test_elbo_gradient_is_the_finite_difference():
    model = MODELS["logistic"]
    mean, factor = np.array([0.3, -0.2, 1.0]), np.array([[0.8, 0, 0], [-0.3, 0.5, 0], [0.4, 0.2, 1.1]])
    to_mean, to_factor = model.elbo_gradient(mean, factor)
    for i, step in enumerate(1e-5 * np.eye(3)):
        difference = (model.elbo(mean + step, factor) - model.elbo(mean - step, factor)) / 2e-5
        assert to_mean[i] == pytest.approx(difference, abs=1e-7)
    for i, j in zip(*np.tril_indices(3), strict=True):
        step = np.zeros((3, 3))
        step[i, j] = 1e-5
        difference = (model.elbo(mean, factor + step) - model.elbo(mean, factor - step)) / 2e-5
        assert to_factor[i, j] == pytest.approx(difference, abs=1e-7)
    assert (to_factor[np.triu_indices(3, 1)] == 0).all()


def test_laplace_finds_what_a_blind_search_finds(model):
    top = laplace(model)
    found = minimize(lambda w: -model.log_joint(w), np.zeros(model.latent_dim), method="BFGS")
    np.testing.assert_allclose(top.mean, found.x, atol=1e-4)
    assert np.abs(model.gradient(top.mean)).max() < 1e-8
    np.testing.assert_allclose(np.linalg.inv(top.cov), -model.hessian(top.mean), atol=1e-8)


def test_laplace_arrives_where_a_full_newton_step_overshoots():
    model = LogisticRegression([[300.0], [-200.0], [10.0]], [1, 0, 0])
    assert np.abs(model.gradient(laplace(model).mean)).max() < 1e-6


def test_laplace_log_evidence_is_exact_for_a_quadratic():
    class Quadratic:
        latent_dim = 2
        precision = np.array([[3.0, 1.0], [1.0, 2.0]])
        log_joint = staticmethod(lambda w: -0.5 * (w - 1) @ Quadratic.precision @ (w - 1) - 7.0)
        gradient = staticmethod(lambda w: -Quadratic.precision @ (w - 1))
        hessian = staticmethod(lambda w: -Quadratic.precision)

    top = laplace(Quadratic)
    np.testing.assert_allclose(top.mean, 1.0)
    assert top.log_evidence == pytest.approx(-7.0 + np.log(2 * np.pi) - 0.5 * np.log(5.0), abs=1e-12)


def test_the_grid_gives_scipys_integrals(two):
    grid = regression.posterior_on_grid(two)
    joint = lambda b, a: np.exp(two.log_joint(np.array([a, b])))  # noqa: E731
    box = (-8, 8, -8, 8)
    evidence = integrate.dblquad(joint, *box, epsabs=1e-9, epsrel=1e-7)[0]
    assert grid.log_evidence == pytest.approx(np.log(evidence), abs=1e-5)
    first = integrate.dblquad(lambda b, a: a * joint(b, a), *box, epsabs=1e-9, epsrel=1e-7)[0] / evidence
    assert grid.mean[0] == pytest.approx(first, abs=1e-5)
    cell = (grid.first[1] - grid.first[0]) * (grid.second[1] - grid.second[0])
    assert grid.density.sum() * cell == pytest.approx(1.0, abs=1e-12)
    second_mean = (grid.density.sum(axis=0) * grid.second).sum() * cell
    assert grid.mean[1] == pytest.approx(second_mean, abs=1e-10)
    moment = (grid.density * np.outer(grid.first - grid.mean[0], grid.second - grid.mean[1])).sum() * cell
    assert grid.cov[0, 1] == grid.cov[1, 0] == pytest.approx(moment, abs=1e-10)


def test_best_gaussian_by_a_blind_search(two):
    def loss(theta):
        return -two.elbo(theta[:2], np.array([[np.exp(theta[2]), 0], [theta[4], np.exp(theta[3])]]))

    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}
    full = minimize(loss, np.zeros(5), method="Nelder-Mead", options=options)
    diagonal = minimize(lambda t: loss(np.append(t, 0.0)), np.zeros(4), method="Nelder-Mead", options=options)
    for family, found in [("full", full), ("diagonal", diagonal)]:
        fit = fit_gaussian(two, family)
        assert fit.elbo == pytest.approx(-found.fun, abs=1e-8)
        np.testing.assert_allclose(fit.mean, found.x[:2], atol=1e-4)
        np.testing.assert_allclose(np.log(np.diag(fit.factor)), found.x[2:4], atol=1e-4)
        np.testing.assert_allclose(fit.cov, fit.factor @ fit.factor.T, rtol=1e-12)
    assert fit_gaussian(two, "diagonal").factor[1, 0] == 0


def test_elbo_plus_kl_is_the_log_evidence(two):
    fit, grid = fit_gaussian(two), regression.posterior_on_grid(two)
    cell = (grid.first[1] - grid.first[0]) * (grid.second[1] - grid.second[0])
    w = np.stack(np.meshgrid(grid.first, grid.second, indexing="ij"), axis=-1)
    q = stats.multivariate_normal(fit.mean, fit.cov).pdf(w)
    kl = np.sum(q * (np.log(q) - np.log(grid.density))) * cell
    assert fit.elbo + kl == pytest.approx(grid.log_evidence, abs=1e-6)


def test_moment_distance():
    from scipy.linalg import sqrtm

    root = RNG.normal(size=(2, 3, 3))
    a, b = (r @ r.T + np.eye(3) for r in root)
    expected = 4 + np.trace(a + b - 2 * np.real(sqrtm(sqrtm(a) @ b @ sqrtm(a))))
    assert regression.moment_distance([2, 0, 0], a, np.zeros(3), b) == pytest.approx(np.sqrt(expected), abs=1e-8)
    assert regression.moment_distance([1.0], np.array([[4.0]]), [1.0], np.array([[9.0]])) == pytest.approx(1.0)
    assert regression.moment_distance(np.ones(3), a, np.ones(3), a) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LogisticRegression(X[0], Y), "features must have shape"),
        (lambda: LogisticRegression(X, Y[:5]), r"labels must have shape \(12,\)"),
        (lambda: LogisticRegression(X, KINDS), "from 0 to 1; received values from 0 to 2"),
        (lambda: LogisticRegression(X, Y * 0.5), "whole numbers"),
        (lambda: LogisticRegression(X * np.nan, Y), "features must be finite"),
        (lambda: SoftmaxRegression(X, KINDS, 2), "from 0 to 1"),
        (lambda: MODELS["logistic"].log_joint(np.zeros(2)), "w must have 3 numbers"),
        (lambda: fit_gaussian(MODELS["logistic"], "banana"), "family must be"),
        (lambda: regression.posterior_on_grid(MODELS["logistic"]), "latent_dim 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
