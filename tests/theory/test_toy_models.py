"""vaelib.theory.toy_models: exact quantities against scipy.stats, scipy.integrate.quad and scipy.optimize."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize

from vaelib.theory import gaussian, inference, toy_models

W = np.array([[1.0, -0.5], [0.3, 0.8], [-1.2, 0.4]])
B = np.array([0.5, -1.0, 0.2])


def linear():
    return toy_models.LinearGaussian(W, B, 0.6)


def bernoulli():
    return toy_models.BernoulliLatent([1.5, -2.0, 0.7, 3.0], [0.3, -0.4, 0.0, 1.0])


def piecewise_quad(function, low, high, pieces=24):
    edges = np.linspace(low, high, pieces + 1)
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return sum(quad(function, a, b, epsabs=1e-14, epsrel=1e-13)[0] for a, b in pairs)


def bernoulli_evidence(model, x):
    def joint(z):
        prob = 1 / (1 + np.exp(-(model.w * z + model.b)))
        return stats.norm.pdf(z) * np.prod(np.where(x == 1, prob, 1 - prob))

    return piecewise_quad(joint, -14, 14)


def test_linear_gaussian_evidence_and_posterior_agree_with_the_joint_gaussian():
    model, (x, z) = linear(), linear().sample(4, np.random.default_rng(0))
    # The joint of (z, x), conditioned by the block formulas: no line in common with the model's own.
    cov_xx, cov_zx = W @ W.T + 0.36 * np.eye(3), W.T
    mean = (cov_zx @ np.linalg.inv(cov_xx) @ (x - B).T).T
    cov = np.eye(2) - cov_zx @ np.linalg.inv(cov_xx) @ cov_zx.T
    np.testing.assert_allclose(model.log_evidence(x), stats.multivariate_normal.logpdf(x, B, cov_xx), rtol=1e-11)
    np.testing.assert_allclose(model.posterior(x)[0], mean, atol=1e-12)
    np.testing.assert_allclose(model.posterior(x)[1], cov, atol=1e-12)
    expected = [
        stats.multivariate_normal.logpdf(zi, m, cov) for zi, m in zip(z, mean, strict=True)
    ]  # Bayes' rule must give the same density
    np.testing.assert_allclose(model.log_posterior(z, x), expected, rtol=1e-10)


def test_linear_gaussian_log_joint_agrees_with_scipy():
    model = linear()
    x, z = model.sample(3, np.random.default_rng(1))
    likelihood = stats.norm.logpdf(x, z @ W.T + B, 0.6).sum(-1)
    np.testing.assert_allclose(model.log_likelihood(x, z), likelihood, rtol=1e-12)
    np.testing.assert_allclose(model.log_prior(z), stats.norm.logpdf(z).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(model.log_joint(x, z), likelihood + stats.norm.logpdf(z).sum(-1), rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_linear_gaussian_elbo_plus_gap_is_log_evidence(seed):
    model, rng = linear(), np.random.default_rng(seed)
    x, mu, log_var = model.sample(1, rng)[0][0], rng.normal(size=2), rng.normal(size=2)
    a = rng.normal(size=(2, 2))
    cov = a @ a.T + 0.1 * np.eye(2)
    evidence = model.log_evidence(x)
    assert model.elbo(x, mu, log_var) + model.gap(x, mu, log_var) == pytest.approx(evidence, abs=1e-10)
    assert model.elbo_full(x, mu, cov) + model.gap_full(x, mu, cov) == pytest.approx(evidence, abs=1e-10)
    diagonal = np.diag(np.exp(log_var))
    assert model.elbo_full(x, mu, diagonal) == pytest.approx(model.elbo(x, mu, log_var), abs=1e-10)
    assert model.gap_full(x, mu, diagonal) == pytest.approx(model.gap(x, mu, log_var), abs=1e-10)
    # Gauss-Hermite quadrature is exact for the quadratic integrand log p(x, z) − log q(z).
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    eps = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    values = inference.elbo_monte_carlo(model, x, mu, log_var, eps)
    assert weights @ values == pytest.approx(model.elbo(x, mu, log_var), abs=1e-10)


def test_linear_gaussian_gap_is_zero_at_the_posterior_and_smallest_at_best_q():
    model = linear()
    x = model.sample(1, np.random.default_rng(0))[0][0]
    assert model.gap_full(x, *model.posterior(x)) == pytest.approx(0.0, abs=1e-12)
    mu, log_var = model.best_q(x)
    found = minimize(lambda t: -model.elbo(x, t[:2], t[2:]), np.zeros(4), options={"gtol": 1e-7}).x
    np.testing.assert_allclose(np.concatenate([mu, log_var]), found, atol=1e-5)
    assert model.gap(x, mu, log_var) > 0.01  # a diagonal q cannot close it


def test_bernoulli_evidence_posterior_and_elbo_agree_with_quad():
    model, (x, _) = bernoulli(), bernoulli().sample(6, np.random.default_rng(0))
    x = np.vstack([x, np.ones(4), np.zeros(4)])
    evidence = np.array([bernoulli_evidence(model, xi) for xi in x])
    np.testing.assert_allclose(model.log_evidence(x), np.log(evidence), atol=1e-11)
    xi = x[0]
    density = lambda z: np.exp(model.log_posterior(np.array([z]), xi))  # noqa: E731
    assert piecewise_quad(density, -14, 14) == pytest.approx(1.0, abs=1e-11)
    mean = piecewise_quad(lambda z: z * density(z), -14, 14)
    var = piecewise_quad(lambda z: (z - mean) ** 2 * density(z), -14, 14)
    assert model.posterior(xi)[0] == pytest.approx(mean, abs=1e-10)
    assert model.posterior(xi)[1] == pytest.approx(var, abs=1e-10)
    for mu, log_var in [(0.3, -0.7), (-2.0, 1.0), (1.0, -4.0)]:
        q = stats.norm(mu, np.exp(0.5 * log_var))
        elbo = piecewise_quad(
            lambda z, q=q: q.pdf(z) * (model.log_joint(xi, np.array([z])) - q.logpdf(z)),
            mu - 12 * q.std(),
            mu + 12 * q.std(),
        )
        args = xi, np.array([mu]), np.array([log_var])
        assert model.elbo(*args) == pytest.approx(elbo, abs=1e-10)
        assert model.elbo(*args) + model.gap(*args) == pytest.approx(model.log_evidence(xi), abs=1e-10)


def test_bernoulli_stays_accurate_for_steep_weights_and_rare_data():
    model = toy_models.BernoulliLatent([10.0] * 6 + [-4.0], -5.0)
    x = np.array([1.0, 1, 1, 1, 1, 1, 1])
    assert model.log_evidence(x) == pytest.approx(np.log(bernoulli_evidence(model, x)), abs=1e-10)


def test_bernoulli_elbo_and_gap_hold_over_a_whole_grid_of_q():
    model, x = bernoulli(), np.array([1, 0, 1, 1])
    mu, log_var = np.linspace(-3, 3, 7)[:, None, None], np.linspace(-5, 2, 8)[None, :, None]
    total = model.elbo(x, mu, log_var) + model.gap(x, mu, log_var)
    assert total.shape == (7, 8)
    np.testing.assert_allclose(total, model.log_evidence(x), atol=1e-10)
    assert np.all(model.gap(x, mu, log_var) > 0)


def test_bernoulli_gradient_and_best_q():
    model, x = bernoulli(), bernoulli().sample(5, np.random.default_rng(2))[0]
    mu, log_var, h = np.full((5, 1), 0.4), np.full((5, 1), -0.6), 1e-5
    grad_mu, grad_log_var = model.elbo_gradient(x, mu, log_var)
    slope = (model.elbo(x, mu + h, log_var) - model.elbo(x, mu - h, log_var)) / (2 * h)
    np.testing.assert_allclose(grad_mu[:, 0], slope, atol=1e-8)
    slope = (model.elbo(x, mu, log_var + h) - model.elbo(x, mu, log_var - h)) / (2 * h)
    np.testing.assert_allclose(grad_log_var[:, 0], slope, atol=1e-8)
    best_mu, best_log_var = model.best_q(x)
    for i in range(5):
        found = minimize(lambda t, i=i: -model.elbo(x[i], t[:1], t[1:]), np.zeros(2), options={"gtol": 1e-7}).x
        np.testing.assert_allclose([best_mu[i, 0], best_log_var[i, 0]], found, atol=1e-5)
    gap = model.gap(x, best_mu, best_log_var)
    assert np.all((gap > 0) & (gap < 0.1))


@pytest.mark.parametrize("model", [linear(), bernoulli()])
def test_monte_carlo_elbo_is_unbiased_within_its_error_bar(model):
    rng = np.random.default_rng(3)
    x = model.sample(1, rng)[0][0]
    mu, log_var = (part + 0.2 for part in model.best_q(x))  # close enough for a small variance
    values = inference.elbo_monte_carlo(model, x, mu, log_var, rng.standard_normal((20_000, model.latent_dim)))
    assert values.shape == (20_000,)
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - model.elbo(x, mu, log_var)) < 4 * error
    assert error < 0.05


@pytest.mark.parametrize("model", [linear(), bernoulli()])
def test_samples_have_the_moments_of_the_model(model):
    x, z = model.sample(100_000, np.random.default_rng(4))
    mean = B
    if isinstance(model, toy_models.BernoulliLatent):
        sigmoid = lambda z, j: stats.norm.pdf(z) / (1 + np.exp(-(model.w[j] * z + model.b[j])))  # noqa: E731
        mean = [piecewise_quad(lambda z, j=j: sigmoid(z, j), -12, 12) for j in range(4)]
    else:
        np.testing.assert_allclose(np.cov(x.T), W @ W.T + 0.36 * np.eye(3), atol=4 * 2.0 * np.sqrt(2 / 1e5))
    np.testing.assert_allclose(x.mean(0), mean, atol=4 * x.std() / np.sqrt(1e5))
    np.testing.assert_allclose(z.var(0), 1.0, atol=4 * np.sqrt(2 / 1e5))


@pytest.mark.parametrize("parameter", ["w", "b"])
@pytest.mark.parametrize("model", [linear(), bernoulli()])
def test_coordinate_ascent_climbs_and_each_m_step_is_a_maximum(model, parameter):
    x = model.sample(40, np.random.default_rng(5))[0]
    start = type(model)(model.w * 0.5, model.b - 0.3)
    path = inference.coordinate_ascent(start, x, parameter, num_steps=3)
    assert [step.kind for step in path] == ["start", "E", "M", "E", "M", "E", "M"]
    elbo = np.array([step.elbo for step in path])
    assert np.all(np.diff(elbo) > -1e-9)
    assert elbo[-1] > elbo[0] + 0.01
    assert all(step.elbo <= step.log_evidence + 1e-9 for step in path)
    for step in (path[2], path[6]):  # the first M-step and the last
        value = getattr(step.model, parameter)
        for index in np.ndindex(value.shape):
            for move in (1e-3, -1e-3):
                moved = value.copy()
                moved[index] += move
                other = {"w": step.model.w, "b": step.model.b, parameter: moved}
                if isinstance(model, toy_models.LinearGaussian):
                    other["sigma"] = step.model.sigma
                assert np.mean(type(model)(**other).elbo(x, step.mu, step.log_var)) < step.elbo
    assert path[1].model is start and path[2].mu is path[1].mu  # an E-step moves q only, an M-step θ only


def test_evidence_by_grid_is_right_and_counts_every_point():
    rng, seen = np.random.default_rng(6), []

    class Counting(toy_models.LinearGaussian):
        def log_likelihood(self, x, z):
            seen.append(len(z))
            return super().log_likelihood(x, z)

    for dim in (1, 2, 3):
        model = Counting(rng.normal(size=(2, dim)), 0.0, 1.0)
        x, seen[:] = np.array([0.5, -1.0]), []
        result = inference.evidence_by_grid(model, x, points_per_dim=60, half_width=7.0, chunk=999)
        assert result.log_evidence == pytest.approx(model.log_evidence(x), abs=1e-9)
        assert result.num_evaluations == sum(seen) == 60**dim


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: toy_models.LinearGaussian(W, B, 0.0), "sigma must be positive"),
        (lambda: toy_models.LinearGaussian(W, B, -1.0), "sigma must be positive"),
        (lambda: toy_models.LinearGaussian(W, B, [1.0, 2.0]), "sigma must be one number"),
        (lambda: toy_models.LinearGaussian(W, B[:2], 1.0), "b must be a number or have shape"),
        (lambda: toy_models.LinearGaussian(np.zeros((2, 2, 2))), "w must have shape"),
        (lambda: toy_models.BernoulliLatent(W), "w must have shape"),
        (lambda: toy_models.BernoulliLatent([1.0, np.nan]), "w must be finite"),
        (lambda: linear().log_evidence(np.zeros(2)), "x must have shape"),
        (lambda: linear().elbo(np.zeros(3), np.zeros(3), np.zeros(2)), "mu must have shape"),
        (lambda: linear().elbo_full(np.zeros(3), np.zeros(2), -np.eye(2)), "positive definite"),
        (lambda: linear().log_joint(np.zeros(3), 0.0), "z must have shape"),
        (lambda: bernoulli().log_evidence([0.5, 0, 1, 1]), "only 0 and 1"),
        (lambda: bernoulli().elbo([1, 0, 1, 1], [np.inf], [0.0]), "mu must be finite"),
        (lambda: inference.coordinate_ascent(linear(), np.zeros(3)), "x must have shape"),
        (lambda: inference.coordinate_ascent(linear(), np.zeros((2, 3)), "sigma"), "parameter must be"),
        (lambda: inference.evidence_by_grid(linear(), np.zeros(3), 1), "points_per_dim"),
        (lambda: inference.evidence_by_grid(linear(), np.zeros(3), 9, -1.0), "half_width must be positive"),
        (lambda: inference.evidence_by_grid(linear(), np.zeros((2, 3)), 9), "one observation"),
    ],
)
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_number_makes_a_one_dimensional_model():
    model = toy_models.LinearGaussian(2.0, 1.0, 0.5)
    assert (model.data_dim, model.latent_dim) == (1, 1)
    assert model.log_evidence([0.3]) == pytest.approx(stats.norm.logpdf(0.3, 1.0, np.sqrt(4.25)))
    assert gaussian.kl_full(*model.posterior([0.3]), *model.posterior([0.3])) == pytest.approx(0.0, abs=1e-12)
