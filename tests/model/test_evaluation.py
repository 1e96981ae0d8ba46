"""ELBO and log p(x) against models in which both are known: linear-Gaussian, and quadrature over the latent plane."""

import keras
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logsumexp

from vaelib.model import evaluation
from vaelib.model.distributions import Distribution, log_prob_diagonal
from vaelib.model.posteriors import DiagonalNormal
from vaelib.training.compilation import programs

pytestmark = pytest.mark.usefixtures("seeded")

NOISE = 0.5  # variance of the linear-Gaussian model's pixels


class LinearNormal(Distribution):
    """Pixels N(params, NOISE): with a linear decoder, p(x) and p(z|x) are normal and known."""

    @property
    def params_size(self):
        return self.num_values

    def log_prob(self, value, params=None):
        return log_prob_diagonal(self.flat(value), self.checked(params), np.log(NOISE))

    def mean(self, params=None):
        return self.shaped(params)


@pytest.fixture(scope="module")
def linear(make_vae):
    """A linear-Gaussian VAE with one latent dimension, whose encoder is the exact posterior; its data and log p(x)."""
    rng = np.random.default_rng(0)
    vae = make_vae("linear", likelihood=LinearNormal, shape=(4,), latent_dim=1)
    w, b = rng.normal(size=4), rng.normal(size=4)
    variance = 1 / (1 + w @ w / NOISE)
    vae.decoder.set_weights([w[None], b])
    slope = np.stack([variance * w / NOISE, np.zeros(4)], axis=1)
    vae.encoder.set_weights([slope, np.array([-variance * w @ b / NOISE, np.log(variance)])])
    x = rng.normal(size=(7, 4)).astype("float32")
    return vae, x, stats.multivariate_normal.logpdf(x, b, np.outer(w, w) + NOISE * np.eye(4))


@pytest.fixture
def worse(linear):
    """The same model with a wrong posterior: shifted by 0.4, three times as wide."""
    vae, x, truth = linear
    slope, bias = vae.encoder.get_weights()
    vae.encoder.set_weights([slope, bias + np.array([0.4, 2 * np.log(3)])])
    gap = 0.5 * (9 + 0.4**2 / np.exp(bias[1]) - 1 - 2 * np.log(3))  # KL(q || p(z|x))
    yield vae, x, truth, gap
    vae.encoder.set_weights([slope, bias])


def within_error(estimates, expected, errors=4.0):
    """Whether the mean of independent estimates is the expected value, by their own standard error."""
    return abs(np.mean(estimates) - expected) < errors * np.std(estimates, ddof=1) / np.sqrt(len(estimates))


@pytest.mark.parametrize("num_samples", [1, 3, 250])
def test_with_the_exact_posterior_every_importance_weight_is_the_evidence(linear, num_samples):
    vae, x, truth = linear
    estimate = vae.log_evidence(x, num_samples)
    assert estimate.shape == (7,)
    np.testing.assert_allclose(estimate, truth, atol=2e-4)


def test_with_the_exact_posterior_the_elbo_is_the_evidence(linear):
    vae, x, truth = linear
    for i in (0, 3):
        estimates = vae.elbo(np.repeat(x[i : i + 1], 2000, axis=0))
        assert within_error(estimates, truth[i]) and estimates.std() > 0


def test_with_a_wrong_posterior_the_elbo_lies_below_by_the_kl(worse):
    vae, x, truth, gap = worse
    estimates = vae.elbo(np.repeat(x[:1], 3000, axis=0), num_samples=4)
    assert within_error(estimates, truth[0] - gap) and gap > 1
    assert np.mean(estimates) + 4 * np.std(estimates) / np.sqrt(3000) < truth[0]


def test_with_a_wrong_posterior_importance_sampling_still_finds_the_evidence(worse):
    vae, x, truth, _ = worse
    weights = np.exp(vae.log_evidence(np.repeat(x[:1], 400, axis=0), 50) - truth[0])  # each is unbiased for 1
    assert within_error(weights, 1.0)
    np.testing.assert_allclose(vae.log_evidence(x[:1], 5000), truth[0], atol=4 * weights.std() / 10)


# With the exact posterior each weight is p(x), if its z is decoded for its own x; a sample too many or too few in the
# sum would show as well. One at once; four, with one left; four, and two such blocks a call; each call one block.
@pytest.mark.parametrize(("at_once", "a_call"), [(7, 25_000), (30, 25_000), (30, 60), (30, 30)])
def test_smaller_blocks_of_rows_change_nothing(linear, monkeypatch, at_once, a_call):
    vae, x, truth = linear
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(evaluation, "ROWS_A_CALL", a_call)
    np.testing.assert_allclose(vae.log_evidence(x, 3), truth, atol=2e-4)
    np.testing.assert_allclose(vae.log_evidence(x, 101), truth, atol=2e-4)
    same = np.repeat(x[:1], 20, axis=0)
    assert vae.elbo(same, 101).std() < vae.elbo(same, 3).std() / 2


def test_every_sample_and_every_example_has_noise_of_its_own(linear):
    vae, x, _ = linear
    same = vae.elbo(np.repeat(x[:1], 50, axis=0))
    assert len(np.unique(same)) > 45
    # Were one noise reused, more samples would not narrow the estimate: here a hundred narrow it tenfold.
    assert 6 < same.std() / vae.elbo(np.repeat(x[:1], 200, axis=0), 100).std() < 16


@pytest.mark.parametrize("likelihood", ["Bernoulli", "Normal"])
def test_evidence_and_elbo_agree_with_quadrature_over_the_latent_plane(make_vae, perturb, likelihood):
    vae = perturb(make_vae(likelihood=likelihood, shape=(2, 2), units=3), scale=1.0)
    x = np.random.default_rng(1).uniform(size=(1, 2, 2)).astype("float32")
    # The model once more, in NumPy on a grid.
    axis = np.linspace(-8, 8, 501)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    w1, b1, w2, b2 = map(np.float64, vae.decoder.get_weights())
    params = np.maximum(z @ w1 + b1, 0) @ w2 + b2
    grey = x.reshape(4).astype(float)
    if likelihood == "Bernoulli":
        log_px = (grey * -np.logaddexp(0, -params) + (1 - grey) * -np.logaddexp(0, params)).sum(axis=1)
    else:
        std = np.exp(np.clip(params[:, 4:], -5, 5) / 2)
        log_px = stats.norm.logpdf(grey, expit(params[:, :4]), std).sum(axis=1)
    log_prior = stats.norm.logpdf(z).sum(axis=1)
    cell = 2 * np.log(axis[1] - axis[0])
    truth = logsumexp(log_px + log_prior) + cell
    v1, c1, v2, c2 = map(np.float64, vae.encoder.get_weights())
    q = np.maximum(grey @ v1 + c1, 0) @ v2 + c2
    log_q = stats.norm.logpdf(z, q[:2], np.exp(q[2:] / 2)).sum(axis=1)
    elbo = np.sum(np.exp(log_q + cell) * (log_px + log_prior - log_q))
    assert elbo < truth

    many = np.repeat(x, 400, axis=0)
    assert within_error(vae.elbo(many, 20), elbo)
    assert within_error(np.exp(vae.log_evidence(many, 50) - truth), 1.0)


# The compiled path ----------------------------------------------------------------------------------------------------


class Listed(DiagonalNormal):
    """A posterior whose noise is a function of its shape: two ways to an estimate can be compared digit by digit."""

    def noise(self, num=()):
        shape = (*((num,) if isinstance(num, int) else num), *self.event_shape)
        return keras.ops.sin(3.0 * keras.ops.reshape(keras.ops.arange(float(np.prod(shape))), shape))


@pytest.fixture
def always_compiled(monkeypatch):
    monkeypatch.setattr(evaluation, "WORTH_COMPILING", 0)


def eagerly(monkeypatch, estimate, *args):
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "WORTH_COMPILING", np.inf)
        return estimate(*args)


@pytest.mark.parametrize("estimate", [evaluation.elbo, evaluation.log_evidence])
def test_the_compiled_estimate_is_the_same_for_the_same_noise(make_vae, images, always_compiled, monkeypatch, estimate):
    vae = make_vae(posterior=Listed, prior="MixturePrior")
    compiled = estimate(vae, images, 130)  # two blocks of samples, six of images
    np.testing.assert_allclose(compiled, eagerly(monkeypatch, estimate, vae, images, 130), rtol=1e-5)
    assert programs(vae)


def test_the_compiled_estimate_has_the_same_mean(worse, always_compiled, monkeypatch):
    vae, x, truth, gap = worse
    many = np.repeat(x[:1], 2_000, axis=0)
    compiled, eager = vae.elbo(many), eagerly(monkeypatch, vae.elbo, many)
    assert within_error(compiled, truth[0] - gap) and within_error(eager, truth[0] - gap)
    assert not np.array_equal(compiled, vae.elbo(many))  # fresh noise in each call of the program


def test_a_program_is_made_once_and_sees_what_becomes_of_the_model(make_vae, images, always_compiled, monkeypatch):
    calls, vae = [], make_vae(posterior=Listed)
    original = type(vae).run_decoder
    monkeypatch.setattr(type(vae), "run_decoder", lambda self, *args: calls.append(1) or original(self, *args))
    first = vae.elbo(images, 3)
    traces = len(calls)
    np.testing.assert_array_equal(vae.elbo(images, 3), first)
    assert len(calls) == traces
    vae.decoder.set_weights([w + 0.1 for w in vae.decoder.get_weights()])
    changed = vae.elbo(images, 3)
    assert len(calls) == traces and np.all(changed != first)
    np.testing.assert_allclose(changed, eagerly(monkeypatch, vae.elbo, images, 3), rtol=1e-5)


def test_few_images_are_not_worth_a_program(make_vae, images):
    vae = make_vae()
    vae.elbo(images, 3)
    assert not programs(vae)


def test_the_arguments_are_checked(linear):
    vae, x, _ = linear
    for estimate in (vae.elbo, vae.log_evidence):
        with pytest.raises(ValueError, match="num_samples must be a whole number of at least 1; received 0"):
            estimate(x, 0)
        with pytest.raises(ValueError, match=r"x must have shape \(n, 4\); received \(7, 3\)"):
            estimate(x[:, :3])


def test_in_batches_keeps_the_order():
    x = np.arange(10.0).reshape(5, 2)
    sizes = []

    def double(rows):
        sizes.append(len(rows))
        return keras.ops.multiply(rows, 2)

    np.testing.assert_array_equal(evaluation.in_batches(double, x, rows=2), 2 * x)
    assert sizes == [2, 2, 1]


def test_a_dimension_whose_mean_does_not_move_is_inactive(make_vae, images):
    vae = make_vae("linear", latent_dim=3)
    w, b = (np.zeros_like(value) for value in vae.encoder.get_weights())
    w[:, 1], b[2] = 1.0, 5.0
    vae.encoder.set_weights([w, b])
    np.testing.assert_array_equal(evaluation.active_units(vae, images), [False, True, False])


def test_a_score_holds_both_bounds_the_active_units_and_the_trained_weights(worse):
    vae, x, truth, gap = worse
    x, truth = np.repeat(x[:1], 400, axis=0), truth[0]
    scores = evaluation.score(vae, x, num_samples=4, num_importance_samples=300)
    assert within_error(scores.elbo, truth - gap)
    np.testing.assert_allclose(scores.log_evidence, truth, atol=1.0)
    assert abs(scores.log_evidence.mean() - truth) < 0.05 < gap
    assert scores.active_units == 0  # the same image again and again: no mean moves
    assert scores.num_weights == (4 * 2 + 2) + (1 * 4 + 4)  # encoder and decoder; beta is no trained weight


def test_the_weights_of_a_score_include_those_of_likelihood_and_prior(make_vae, images):
    plain, learned = make_vae("linear"), make_vae("linear", "DiagonalNormal", "IsotropicNormal", "MixturePrior")
    counts = [evaluation.score(vae, images[:2], 1, 1).num_weights for vae in (plain, learned)]
    k, d = learned.prior.means.shape
    assert counts[1] - counts[0] == 1 + k + 2 * k * d


def test_the_error_of_a_mean_is_its_spread_over_repetitions():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 25))
    means, errors = np.transpose([evaluation.mean_and_error(row) for row in values])
    np.testing.assert_allclose(means, values.mean(axis=1))
    # The mean of the squared errors is the variance of the means, 4 / 25, to within 4 of its own errors.
    assert within_error(errors**2, 4 / 25)
    assert evaluation.mean_and_error([1, 3]) == (2.0, 1.0)


@pytest.mark.parametrize("values", [[1.0], 3.0, np.zeros((4, 2))])
def test_a_mean_without_an_error_is_refused(values):
    with pytest.raises(ValueError, match=r"values must have shape \(n,\) with n >= 2; received"):
        evaluation.mean_and_error(values)


def test_factor_recovery_reads_a_polynomial_and_no_noise():
    rng = np.random.default_rng(0)
    z = rng.normal(3, 2, (500, 2))
    assert evaluation.factor_recovery(z, z[:, 0] ** 2 * z[:, 1] - z[:, 1] + 4) == pytest.approx(1, abs=1e-9)
    assert evaluation.factor_recovery(z, rng.normal(size=500)) < 0.1
    # Half of the factor's variance is in the codes: so is half of R^2.
    half = (z[:, 0] - 3) / 2 + rng.normal(size=500)
    assert evaluation.factor_recovery(z, half, degree=1) == pytest.approx(0.5, abs=0.15)


def test_factor_recovery_does_not_judge_on_what_it_fitted():
    rng = np.random.default_rng(0)
    assert evaluation.factor_recovery(rng.normal(size=(30, 2)), rng.normal(size=30), degree=5) < 0


@pytest.mark.parametrize(
    "z, factor, message",
    [
        (np.zeros((5, 2)), np.zeros(4), r"z must have shape \(n, latent_dim\) and factor \(n,\)"),
        (np.zeros(5), np.zeros(5), "z must have shape"),
        (np.zeros((5, 2)), np.arange(5.0), "4 examples are too few for 10 polynomial terms"),
        (np.random.default_rng(0).normal(size=(50, 2)), np.ones(50), "factor must vary"),
    ],
)
def test_factor_recovery_refuses_what_it_cannot_fit(z, factor, message):
    with pytest.raises(ValueError, match=message):
        evaluation.factor_recovery(z, factor)
