"""What is minimised, and who follows it: against NumPy, against models whose log p(x) is known, against exact KLs."""

import keras
import numpy as np
import pytest
from gradients import in_variables, value_and_gradients, variable_gradients
from keras import ops
from parts import OBJECTIVES, implicit
from scipy import optimize, stats
from scipy.special import expit, logsumexp

import vaelib
from vaelib.model.distributions import as_floats, log_prob_diagonal
from vaelib.model.likelihoods import IsotropicNormal
from vaelib.model.objectives import ELBO, IWAE, AdversarialELBO
from vaelib.model.priors import Prior, StandardNormal, VampPrior
from vaelib.theory.toy_models import LinearGaussian
from vaelib.training.compilation import compiled

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy


# ELBO: the loss and its gradient --------------------------------------------------------------------------------------


def nelbo_in_numpy(weights, x, eps, likelihood, beta=1.0):
    """Return the loss of a dense VAE with one hidden layer, in float64, by loops over nothing but the formulas."""
    v1, c1, v2, c2, w1, b1, w2, b2 = weights
    rows, size, d = x.reshape(len(x), -1).astype(float), x[0].size, eps.shape[1]
    q = np.maximum(rows @ v1 + c1, 0) @ v2 + c2
    mu, sigma = q[:, :d], np.exp(q[:, d:] / 2)
    params = np.maximum((mu + sigma * eps) @ w1 + b1, 0) @ w2 + b2
    mean = expit(params[:, :size])
    if likelihood == "Bernoulli":
        log_px = rows * np.log(mean) + (1 - rows) * np.log(1 - mean)
    else:
        variance = np.exp(np.clip(params[:, size:], -5, 5))
        log_px = -0.5 * (np.log(2 * np.pi * variance) + (rows - mean) ** 2 / variance)
    kl = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))
    return np.mean(-log_px.sum(axis=1) + beta * kl.sum(axis=1))


@pytest.mark.parametrize("likelihood, beta", [("Bernoulli", 1.0), ("Normal", 1.0), ("Bernoulli", 2.5)])
def test_the_loss_and_its_gradient_are_those_of_the_formulas(make_vae, perturb, likelihood, beta):
    rng = np.random.default_rng(1)
    x, eps = rng.uniform(size=(6, 3, 2)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    vae = perturb(make_vae(likelihood=likelihood, shape=(3, 2), units=4, objective=ELBO(beta)), scale=0.7)
    loss, gradients = variable_gradients(lambda: vae.compute_loss(x=x, noise=eps), vae.trainable_variables)
    weights = [numpy(v.value).astype(float) for v in vae.trainable_variables]

    def nelbo():
        return nelbo_in_numpy(weights, x, eps, likelihood, beta)

    assert loss == pytest.approx(nelbo(), rel=1e-5)
    for weight, gradient in zip(weights, gradients, strict=True):
        expected = np.zeros_like(weight)
        for i in np.ndindex(weight.shape):
            middle, step = weight[i], 1e-6
            weight[i] = middle + step
            above = nelbo()
            weight[i] = middle - step
            expected[i] = (above - nelbo()) / (2 * step)
            weight[i] = middle
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=2e-5)


def test_the_loss_is_the_batch_mean_of_sums_over_pixels_and_dimensions(make_vae, images):
    vae = make_vae()
    terms = vae.loss_terms(images)
    assert {name: tuple(term.shape) for name, term in terms.items()} == dict.fromkeys(ELBO.names, (60,))
    # At logit zero every pixel costs log 2, whatever its value: 64 pixels, not a mean over them.
    for network in (vae.encoder, vae.decoder):
        network.set_weights([np.zeros_like(w) for w in network.get_weights()])
    assert float(vae.compute_loss(x=images)) == pytest.approx(64 * np.log(2), rel=1e-5)


def test_the_layers_own_losses_are_added_to_each_loss(make_vae, images):
    plain = make_vae()
    inputs = keras.Input((8, 8))
    hidden = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))(keras.layers.Flatten()(inputs))
    parts = plain.decoder, plain.posterior, plain.likelihood, plain.prior
    vae = vaelib.VAE(keras.Model(inputs, hidden), *parts)
    extra = 0.1 * np.sum(np.square(numpy(vae.encoder.layers[-1].kernel.value)))
    eps = np.zeros((60, 2), "float32")
    terms, loss = vae.loss_terms(images, noise=eps), float(vae.compute_loss(x=images, noise=eps))
    assert loss == pytest.approx(numpy(terms["loss"]).mean() + extra, rel=1e-5) and extra > 0.01
    # The encoder's surrogate gets them too: a regulariser of the encoder acts through the loss that moves it.
    vae = vaelib.VAE(keras.Model(inputs, hidden), *parts, objective=IWAE(2, doubly_reparameterized=True))
    _, gradients = variable_gradients(
        lambda: vae.batch_losses(images, track=False)["encoder"], vae.encoder.trainable_variables
    )
    _, bare = variable_gradients(
        lambda: ops.mean(vae.loss_terms(images)["encoder"]), vae.encoder.trainable_variables
    )  # the scope of each call draws the same noise
    np.testing.assert_allclose(gradients[0] - bare[0], 0.2 * numpy(vae.encoder.layers[-1].kernel.value), atol=1e-3)


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_sample_weights_weight_the_examples(make_vae, images, shape):
    vae = make_vae(objective=ELBO(2.0))
    weights = np.random.default_rng(0).uniform(size=60).astype("float32")
    eps = np.zeros((60, 2), "float32")
    terms = {name: numpy(term) for name, term in vae.loss_terms(images, noise=eps).items()}
    loss = vae.compute_loss(x=images, noise=eps, sample_weight=weights.reshape(shape))
    expected = np.mean(weights * (terms["reconstruction"] + 2 * terms["kl"]))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_beta_is_a_weight_that_assignment_changes(make_vae, images):
    @compiled
    def loss(vae, x, noise):
        return vae.compute_loss(x=x, noise=noise)

    vae, eps = make_vae(objective=ELBO(3.0)), np.zeros((60, 2), "float32")
    kl = numpy(vae.loss_terms(images, noise=eps)["kl"])
    first = float(loss(vae, images, eps))
    vae.objective.beta = 1.0
    assert first - float(loss(vae, images, eps)) == pytest.approx(2 * np.mean(kl), rel=1e-3)  # in the compiled program
    assert float(vae.objective.beta) == 1.0
    assert [v.name for v in vae.non_trainable_variables if v.name == "beta"] == ["beta"]
    assert vae.objective.get_config()["beta"] == 1.0


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf")])
def test_beta_is_finite_and_not_negative(beta):
    with pytest.raises(ValueError, match="beta must be a finite number of at least 0; received"):
        ELBO(beta)
    objective = ELBO(0.5)
    with pytest.raises(ValueError, match="beta must be"):
        objective.beta = beta
    assert float(objective.beta) == 0.5


# IWAE -----------------------------------------------------------------------------------------------------------------


class Estimated(StandardNormal):
    """N(0, I) without a closed form of the KL: a subclass inherits none."""


@pytest.fixture(scope="module")
def exact():
    """A linear-Gaussian model in NumPy. Its columns are orthogonal, so that a diagonal posterior can be exact."""
    rng = np.random.default_rng(0)
    return LinearGaussian(np.linalg.qr(rng.normal(size=(3, 2)))[0] * [1.5, 0.7], rng.normal(size=3), sigma=0.8)


@pytest.fixture(scope="module")
def x(exact):
    return exact.sample(4, np.random.default_rng(1))[0].astype("float32")


def linear_vae(make_vae, exact, objective, shift=0.0, prior="StandardNormal"):
    """The same model as a VAE, whose posterior is off by so much: the exact one for zero."""
    vae = make_vae("linear", likelihood=IsotropicNormal, prior=prior, shape=(3,), objective=objective)
    vae.decoder.set_weights([exact.w.T, exact.b])
    vae.likelihood.log_var.assign(2 * np.log(exact.sigma))
    log_var = -np.log(np.diag(exact.posterior_precision))
    slope = exact.w / exact.sigma**2 * np.exp(log_var)
    kernel = np.concatenate([slope, np.zeros((3, 2))], axis=1)
    bias = np.concatenate([-exact.b @ slope + shift, log_var + shift])
    vae.encoder.set_weights([kernel, bias])
    return vae


def q_of(vae, x):
    return np.split(numpy(vae.encoder(x)).astype(float), 2, axis=1)


def test_with_one_sample_it_is_the_elbo_with_an_estimated_kl(make_vae, exact, x):
    eps = np.random.default_rng(2).normal(size=(4, 2)).astype("float32")
    elbo = linear_vae(make_vae, exact, ELBO(), 0.4, prior=Estimated)
    iwae = linear_vae(make_vae, exact, IWAE(1), 0.4)
    terms = iwae.loss_terms(x, noise=eps[None])
    np.testing.assert_allclose(numpy(terms["loss"]), numpy(elbo.loss_terms(x, noise=eps)["loss"]), rtol=1e-5)
    np.testing.assert_allclose(numpy(terms["nelbo"]), numpy(terms["loss"]), rtol=1e-6)
    _, gradients = variable_gradients(lambda: elbo.compute_loss(x=x, noise=eps), elbo.trainable_variables)
    _, others = variable_gradients(lambda: iwae.compute_loss(x=x, noise=eps[None]), iwae.trainable_variables)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [2, 7])
def test_the_bound_is_the_log_of_the_mean_weight(make_vae, exact, x, k):
    vae = linear_vae(make_vae, exact, IWAE(k), 0.4)
    eps = np.random.default_rng(2).normal(size=(k, 4, 2)).astype("float32")
    mu, log_var = q_of(vae, x)
    z = mu + np.exp(log_var / 2) * eps
    log_w = exact.log_joint(x, z) - stats.norm.logpdf(z, mu, np.exp(log_var / 2)).sum(axis=-1)
    terms = vae.loss_terms(x, noise=eps)
    np.testing.assert_allclose(numpy(terms["loss"]), -logsumexp(log_w, axis=0) + np.log(k), rtol=1e-4)
    np.testing.assert_allclose(numpy(terms["nelbo"]), -log_w.mean(axis=0), rtol=1e-4)


def test_the_bound_rises_with_k_from_the_elbo_to_log_p(make_vae, exact, x):
    vae, many = linear_vae(make_vae, exact, ELBO(), 0.5), np.repeat(x[:1], 8_000, axis=0)
    bounds = []
    for k in (1, 3, 10, 50):
        terms = with_objective(vae, IWAE(k)).loss_terms(many)
        bounds.append(-numpy(terms["loss"]).astype(float))
    means, errors = np.mean(bounds, axis=1), np.std(bounds, axis=1) / np.sqrt(8_000)
    mu, log_var = q_of(vae, x[:1])
    truth = exact.log_evidence(x[0])
    assert abs(means[0] - exact.elbo(x[:1], mu, log_var)[0]) < 5 * errors[0]
    assert np.all(np.diff(means) > 5 * np.hypot(errors[1:], errors[:-1])) and means[-1] < truth + 5 * errors[-1]
    # The mean weight is unbiased for p(x), whatever k; its logarithm is what lies below.
    weights = np.exp(bounds[-1] - truth)
    assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(8_000)
    assert truth - means[-1] < 0.1 < truth - means[0]


def with_objective(vae, objective):
    """The same parts with another objective."""
    return vaelib.VAE(vae.encoder, vae.decoder, vae.posterior, vae.likelihood, vae.prior, objective)


# The doubly reparameterised gradient ----------------------------------------------------------------------------------


def encoder_gradients(vae, x, num_draws=60):
    """Return draws of the encoder's gradient, plain and doubly reparameterised, each of shape (num_draws, weights)."""
    variables, draws = vae.encoder.trainable_variables, {"loss": [], "encoder": []}
    rng = np.random.default_rng(3)
    for _ in range(num_draws):
        noise = rng.normal(size=(vae.objective.num_samples, len(x), 2)).astype("float32")
        for name, each in draws.items():
            at = in_variables(lambda name=name, noise=noise: ops.mean(vae.loss_terms(x, noise=noise)[name]), variables)
            _, gradients = value_and_gradients(at, *[v.value for v in variables])
            each.append(np.concatenate([gradient.ravel() for gradient in gradients]))
    return tuple(np.array(each, float) for each in draws.values())


def vamp(latent_dim):
    rng = np.random.default_rng(5)
    return VampPrior(latent_dim, 3, initial=rng.normal(size=(3, 3)), value_range=(-9, 9))


@pytest.mark.parametrize("prior", ["StandardNormal", pytest.param(vamp, id="VampPrior", marks=pytest.mark.slow)])
def test_the_doubly_reparameterised_gradient_is_that_of_the_bound_with_less_noise(
    make_vae, exact, x, prior, record_property
):
    """Unbiased: its mean difference from autodiff, over draws, is zero within five of its errors in every weight."""
    objective = IWAE(5, doubly_reparameterized=True)
    vae = linear_vae(make_vae, exact, objective, 0.3, prior=prior)
    plain, doubly = encoder_gradients(vae, np.repeat(x, 100, axis=0))
    difference = doubly - plain
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    t = difference.mean(axis=0) / error
    assert np.abs(t).max() < 5  # 16 weights, 59 degrees of freedom: a right one fails once in 10,000 tries
    assert np.linalg.norm(plain.mean(axis=0)) > 5 * np.linalg.norm(error)  # the errors would show a wrong factor
    ratio = doubly.var(axis=0).sum() / plain.var(axis=0).sum()
    record_property("variance of the doubly reparameterised gradient over that of the plain one", float(ratio))
    print(f"variance ratio {ratio:.3f}")
    if prior == "StandardNormal":
        assert ratio < 1


def test_at_the_exact_posterior_the_doubly_reparameterised_gradient_has_no_noise(make_vae, exact, x):
    vae = linear_vae(make_vae, exact, IWAE(5, doubly_reparameterized=True))
    plain, doubly = encoder_gradients(vae, x, num_draws=3)
    assert np.abs(doubly).max() < 1e-4 < 0.05 < np.abs(plain).max()


def test_everything_but_the_encoder_follows_the_bound(make_vae, exact, x):
    plain = linear_vae(make_vae, exact, IWAE(4), 0.4)
    doubly = with_objective(plain, IWAE(4, doubly_reparameterized=True))
    noise = np.random.default_rng(2).normal(size=(4, 4, 2)).astype("float32")
    players = doubly.players()
    assert [v.path for v in players["encoder"].variables] == [v.path for v in doubly.encoder.trainable_variables]
    rest = players["loss"].variables
    assert {id(v) for v in rest} == {
        id(v) for part in (plain.decoder, plain.likelihood) for v in part.trainable_variables
    }
    value, gradients = variable_gradients(lambda: plain.compute_loss(x=x, noise=noise), rest)
    same_value, others = variable_gradients(lambda: doubly.compute_loss(x=x, noise=noise), rest)
    assert value == same_value
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_posterior_with_weights_is_refused_by_name(make_vae):
    with pytest.raises(ValueError, match="isotropic_normal.* has weights of its own, which the doubly reparameterised"):
        make_vae(posterior=IsotropicNormal, objective=IWAE(2, doubly_reparameterized=True))
    make_vae(posterior=IsotropicNormal, objective=IWAE(2))


@pytest.mark.parametrize("k", [0, 1.5, -2])
def test_the_number_of_samples_is_a_positive_whole_number(k):
    with pytest.raises(ValueError, match="num_samples must be a whole number of at least 1; received"):
        IWAE(k)


# AdversarialELBO ------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="vaelib_tests")
class Wide(Prior):
    """N(0, 2^2), one dimension."""

    def sample(self, params=None, noise=None, num=()):
        return 2.0 * as_floats(self.noise_for(params, noise, num))

    def log_prob(self, value, params=None):
        return log_prob_diagonal(value, 0.0, np.log(4.0))


@pytest.fixture
def adversarial(make_vae):
    """Every posterior is N(1, 1), the prior N(0, 2^2), and the critic a quadratic in z: its best lies in its class."""
    x, z = keras.Input((3,)), keras.Input((1,))
    features = keras.layers.Concatenate()([z, keras.layers.Multiply()([z, z])])
    critic = keras.Model([x, z], keras.layers.Dense(1)(features))
    objective = AdversarialELBO(critic, critic_steps=3)
    vae = make_vae("linear", likelihood=IsotropicNormal, prior=Wide, shape=(3,), latent_dim=1, objective=objective)
    vae.encoder.set_weights([np.zeros((3, 2)), np.array([1.0, 0.0])])
    return vae


def test_a_trained_critic_is_the_log_ratio_and_its_mean_the_kl(adversarial):
    """Logistic regression to its optimum, whose errors follow from the Fisher information at the truth."""
    vae, n, rng = adversarial, 50_000, np.random.default_rng(0)
    critic, x = vae.objective.critic, np.zeros((n, 3), "float32")
    noise = {name: rng.normal(size=(n, 1)).astype("float32") for name in ("posterior", "prior")}
    variables = critic.trainable_variables
    at = in_variables(lambda: ops.mean(vae.loss_terms(x, noise=noise)["critic"]), variables)

    def loss(weights):
        weights = weights.astype("float32")
        value, gradients = value_and_gradients(at, weights[:2, None], weights[2:])
        return value, np.concatenate([gradient.ravel() for gradient in gradients]).astype(float)

    best = optimize.minimize(loss, np.zeros(3), jac=True, method="BFGS", options={"gtol": 1e-5}).x
    truth = np.array([1.0, -3 / 8, np.log(2) - 0.5])  # log N(z; 1, 1) - log N(z; 0, 4)
    z = np.concatenate([1 + noise["posterior"], 2 * noise["prior"]]).astype(float)
    features = np.hstack([z, z**2, np.ones_like(z)])
    share = expit(features @ truth)
    covariance = np.linalg.inv((features * (share * (1 - share))[:, None]).T @ features)
    assert np.all(np.abs(best - truth) < 5 * np.sqrt(np.diag(covariance))) and np.sqrt(covariance.max()) < 0.02

    for variable, value in zip(variables, (best[:2, None], best[2:]), strict=True):
        variable.assign(value)
    kl = numpy(vae.loss_terms(x)["kl"])  # with fresh noise
    moments = np.array([1.0, 2.0, 1.0])  # of z, z^2 and 1 under q
    error = np.sqrt(moments @ covariance @ moments + kl.var() / n)
    assert abs(kl.mean() - 0.443147) < 5 * error < 0.1
    assert 0.443147 == pytest.approx(np.log(2) + 2 / 8 - 0.5, abs=1e-6)


def test_the_losses_are_those_of_the_formulas(adversarial):
    vae, rng = adversarial, np.random.default_rng(1)
    x = rng.normal(size=(5, 3)).astype("float32")
    noise = {name: rng.normal(size=(5, 1)).astype("float32") for name in ("posterior", "prior")}
    (a, b), c = numpy(vae.objective.critic.trainable_variables[0].value)[:, 0], 0.0
    z, w = 1 + noise["posterior"][:, 0].astype(float), 2 * noise["prior"][:, 0].astype(float)
    terms = {name: numpy(term) for name, term in vae.loss_terms(x, noise=noise).items()}
    np.testing.assert_allclose(terms["kl"], a * z + b * z**2 + c, rtol=1e-4, atol=1e-5)
    # Logistic regression: codes of the posterior are class 1.
    expected = -stats.logistic.logcdf(a * z + b * z**2) - stats.logistic.logcdf(-a * w - b * w**2)
    np.testing.assert_allclose(terms["critic"], expected, rtol=1e-4)
    reconstruction = -numpy(vae.likelihood.log_prob(x, vae.decoder(z[:, None].astype("float32"))))
    np.testing.assert_allclose(terms["reconstruction"], reconstruction, rtol=1e-4)
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"] + terms["kl"], rtol=1e-4, atol=1e-5)


def test_the_critic_takes_its_steps_and_moves_nothing_else(adversarial):
    vae, x = adversarial, np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
    vae.compile({"loss": keras.optimizers.SGD(0.0), "critic": keras.optimizers.SGD(0.1)}, run_eagerly=True)
    critic = {id(v) for v in vae.objective.critic.trainable_variables}
    before = {id(v): numpy(v.value) for v in vae.weights}
    vae.fit(x, epochs=2, batch_size=8, verbose=0)
    assert {id(v) for v in vae.weights if np.any(before[id(v)] != numpy(v.value))} == critic
    assert int(vae.optimizer["critic"].iterations) == 6 and int(vae.optimizer["loss"].iterations) == 2


@pytest.fixture
def contrasted(adversarial, make_vae):
    """The same critic, asked of q = N(6, 1) against a prior N(0, 2^2) by way of r."""
    objective = AdversarialELBO(adversarial.objective.critic, contrast=50)
    vae = make_vae("linear", likelihood=IsotropicNormal, prior=Wide, shape=(3,), latent_dim=1, objective=objective)
    vae.encoder.set_weights([np.zeros((3, 2)), np.array([6.0, 0.0])])
    return vae


def test_with_contrast_the_critic_sees_distances_from_the_mean(contrasted):
    vae, rng = contrasted, np.random.default_rng(2)
    x = rng.normal(size=(5, 3)).astype("float32")
    noise = {name: rng.normal(size=(5, 1)).astype("float32") for name in ("posterior", "r")}
    noise["moments"] = rng.normal(size=(50, 5, 1)).astype("float32")
    (a, b), c = numpy(vae.objective.critic.trainable_variables[0].value)[:, 0], 0.0
    codes, z = 6 + noise["moments"][..., 0].astype(float), 6 + noise["posterior"][:, 0].astype(float)
    mu, std = codes.mean(axis=0), codes.std(axis=0)
    seen, other = (z - mu) / std, noise["r"][:, 0].astype(float)
    terms = {name: numpy(term) for name, term in vae.loss_terms(x, noise=noise).items()}
    known = stats.norm.logpdf(z, mu, std) - stats.norm.logpdf(z, 0, 2)
    np.testing.assert_allclose(terms["kl"], a * seen + b * seen**2 + c + known, rtol=1e-3, atol=1e-4)
    expected = -stats.logistic.logcdf(a * seen + b * seen**2) - stats.logistic.logcdf(-a * other - b * other**2)
    np.testing.assert_allclose(terms["critic"], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"] + terms["kl"], rtol=1e-4, atol=1e-4)


def test_with_contrast_a_critic_that_knows_nothing_has_the_kl_of_a_normal(contrasted):
    vae, n = contrasted, 4_000
    vae.objective.critic.set_weights([np.zeros((2, 1)), np.zeros(1)])
    kl = numpy(vae.loss_terms(np.zeros((n, 3), "float32"))["kl"])
    exact = np.log(2) + (1 + 36) / 8 - 0.5
    # The mean and variance of r are known from 50 codes each: its own KL is near 1/50.
    assert abs(kl.mean() - exact) < 4 * kl.std() / np.sqrt(n) + 2 / 50


def test_with_contrast_the_encoder_follows_the_kl(contrasted):
    """The critic at its best is 0; the slope in mu is then that of the closed form, mu / 4, and not that of r."""
    vae, n = contrasted, 4_000
    vae.objective.critic.set_weights([np.zeros((2, 1)), np.zeros(1)])
    x = np.zeros((n, 3), "float32")
    kernel, bias = vae.encoder.trainable_variables
    _, (slope,) = variable_gradients(lambda: ops.mean(vae.loss_terms(x)["kl"]), [bias])
    assert abs(numpy(slope)[0] - 6 / 4) < 0.15


def test_contrast_takes_a_prior_with_weights_and_is_saved(contrasted):
    critic = contrasted.objective.critic
    parts = vaelib.dense_encoder((3,), 2), vaelib.dense_decoder(1, 3), vaelib.DiagonalNormal(1), vaelib.Bernoulli((3,))
    prior = vaelib.MixturePrior(1, 3)
    with pytest.raises(ValueError, match="has weights of its own.*or give contrast"):
        vaelib.VAE(*parts, prior, AdversarialELBO(critic))
    vae = vaelib.VAE(*parts, prior, AdversarialELBO(critic, contrast=4))
    vae.compile({name: keras.optimizers.SGD(1e-2) for name in vae.players()})
    before = [numpy(v.value) for v in prior.trainable_variables]
    vae.fit(np.eye(3, dtype="float32"), verbose=0)
    assert any(np.any(a != numpy(v.value)) for a, v in zip(before, prior.trainable_variables, strict=True))
    assert AdversarialELBO.from_config(vae.objective.get_config()).contrast == 4
    with pytest.raises(ValueError, match="contrast must be at least 2"):
        AdversarialELBO(critic, contrast=1)


@pytest.mark.parametrize("objective", ["ELBO", "IWAE", "ScoreFunction"])
def test_what_needs_a_density_refuses_an_implicit_posterior_when_the_model_is_made(objective):
    networks = vaelib.dense_encoder((3,), 4), vaelib.dense_decoder(2, 3)
    distributions = implicit((2,)), vaelib.Bernoulli((3,)), StandardNormal(2)
    with pytest.raises(ValueError, match="ImplicitPosterior has no density: .*Train it with .*AdversarialELBO"):
        vaelib.VAE(*networks, *distributions, OBJECTIVES[objective]((3,), 2))


def test_a_critic_of_another_shape_is_refused():
    def critic(inputs, outputs):
        tensors = [keras.Input((2,)) for _ in range(inputs)]
        return keras.Model(tensors, keras.layers.Dense(outputs)(sum(tensors[1:], tensors[0])))

    for inputs, outputs in ((1, 1), (3, 1), (2, 2)):
        with pytest.raises(ValueError, match=f"critic must have two inputs.*received {inputs} inputs and output shape"):
            AdversarialELBO(critic(inputs, outputs))
    networks = vaelib.dense_encoder((3,), 4), vaelib.dense_decoder(2, 3)
    parts = vaelib.DiagonalNormal(2), vaelib.Bernoulli((3,)), StandardNormal(2)
    with pytest.raises(ValueError, match=r"critic's input for x has shape \(2,\), but x has \(3,\): they must be"):
        vaelib.VAE(*networks, *parts, AdversarialELBO(critic(2, 1))).players()
    with pytest.raises(ValueError, match="critic_steps must be a whole number of at least 1; received 0"):
        AdversarialELBO(critic(2, 1), critic_steps=0)
    with pytest.raises(ValueError, match="beta must be a finite number above 0; received 0"):
        AdversarialELBO(critic(2, 1), beta=0)
