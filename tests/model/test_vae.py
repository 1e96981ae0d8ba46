"""The model: its loss and gradient against a second implementation, its parts in every pairing, saving and loading."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import expit

import vaelib
from vaelib.model.posteriors import DiagonalNormal

pytestmark = pytest.mark.usefixtures("seeded")

# A new part is one more name; the contract tests below run on pairings in which every two parts meet.
NETWORKS = ["dense", "conv"]
POSTERIORS = ["DiagonalNormal", "FullNormal"]
LIKELIHOODS = ["Bernoulli", "ContinuousBernoulli", "Normal", "SharedNormal"]
PRIORS = ["StandardNormal", "MixturePrior", "VampPrior"]


def every_two_together(*kinds):
    """Choose combinations so that every two parts of different kinds meet in at least one: far fewer than all."""
    everything, chosen, met = list(itertools.product(*kinds)), [], set()
    while any(news := [len(set(itertools.combinations(parts, 2)) - met) for parts in everything]):
        chosen.append(everything[int(np.argmax(news))])
        met |= set(itertools.combinations(chosen[-1], 2))
    return chosen


PAIRINGS = every_two_together(NETWORKS, POSTERIORS, LIKELIHOODS, PRIORS)


# The loss and its gradient ---------------------------------------------------------------------------------------


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


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return rng.uniform(size=(6, 3, 2)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")


@pytest.mark.parametrize("likelihood, beta", [("Bernoulli", 1.0), ("Normal", 1.0), ("Bernoulli", 2.5)])
def test_the_loss_and_its_gradient_are_those_of_the_formulas(make_vae, perturb, batch, likelihood, beta):
    x, eps = batch
    vae = perturb(make_vae(likelihood=likelihood, shape=(3, 2), units=4, beta=beta), scale=0.7)
    with tf.GradientTape() as tape:
        loss = vae.compute_loss(x=x, y_pred=vae(x, eps=eps))
    gradients = tape.gradient(loss, [v.value for v in vae.trainable_variables])
    weights = [np.float64(v.numpy()) for v in vae.trainable_variables]

    def nelbo():
        return nelbo_in_numpy(weights, x, eps, likelihood, beta)

    assert float(loss) == pytest.approx(nelbo(), rel=1e-5)
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
    outputs = vae(images)
    reconstruction, kl = vae.loss_terms(images, outputs)
    assert reconstruction.shape == kl.shape == (60,)
    # At logit zero every pixel costs log 2, whatever its value: 64 pixels, not a mean over them.
    vae.decoder.set_weights([np.zeros_like(w) for w in vae.decoder.get_weights()])
    vae.encoder.set_weights([np.zeros_like(w) for w in vae.encoder.get_weights()])
    loss = vae.compute_loss(x=images, y_pred=vae(images))
    assert float(loss) == pytest.approx(64 * np.log(2), rel=1e-5)


def test_the_layers_own_losses_are_added(make_vae, images):
    vae = make_vae()
    penalty = keras.regularizers.L2(0.1)
    inputs = keras.Input((8, 8))
    hidden = keras.layers.Dense(4, kernel_regularizer=penalty)(keras.layers.Flatten()(inputs))
    penalised = vaelib.VAE(keras.Model(inputs, hidden), vae.decoder, vae.posterior, vae.likelihood, vae.prior)
    kernel = penalised.encoder.layers[-1].kernel
    eps = np.zeros((60, 2), "float32")
    outputs = penalised(images, eps=eps)
    reconstruction, kl = penalised.loss_terms(images, outputs)
    loss = float(penalised.compute_loss(x=images, y_pred=outputs))
    extra = 0.1 * np.sum(np.square(kernel.numpy()))
    assert loss == pytest.approx(np.mean(reconstruction) + np.mean(kl) + extra, rel=1e-5) and extra > 0.01


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_sample_weights_weight_the_examples(make_vae, images, shape):
    vae = make_vae(beta=2.0)
    weights = np.random.default_rng(0).uniform(size=60)
    outputs = vae(images)
    reconstruction, kl = map(np.asarray, vae.loss_terms(images, outputs))
    loss = vae.compute_loss(x=images, y_pred=outputs, sample_weight=weights.reshape(shape))
    assert float(loss) == pytest.approx(np.mean(weights * (reconstruction + 2 * kl)), rel=1e-5)


def test_beta_is_a_weight_that_assignment_changes(make_vae, images):
    vae = make_vae(beta=3.0)
    loss = tf.function(lambda: vae.compute_loss(x=images, y_pred=vae(images, eps=np.zeros((60, 2), "float32"))))
    _, kl = vae.loss_terms(images, vae(images))
    first = float(loss())
    vae.beta = 1.0
    assert first - float(loss()) == pytest.approx(2 * np.mean(kl), rel=1e-3)
    assert float(vae.beta) == 1.0 and [v.name for v in vae.non_trainable_variables if v.name == "beta"] == ["beta"]


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf")])
def test_beta_is_finite_and_not_negative(make_vae, beta):
    with pytest.raises(ValueError, match="beta must be a finite number of at least 0; received"):
        make_vae(beta=beta)


# Noise -----------------------------------------------------------------------------------------------------------


def test_two_calls_draw_different_noise_and_given_noise_makes_a_function(make_vae, images):
    vae = make_vae()
    assert not np.array_equal(vae(images)["z"], vae(images)["z"])
    eps = np.random.default_rng(0).normal(size=(60, 2))
    first, second = vae(images, eps=eps), vae(images, eps=eps)
    for key in ("posterior_params", "z", "likelihood_params"):
        np.testing.assert_array_equal(first[key], second[key])
    mu, log_var = np.split(np.asarray(first["posterior_params"]), 2, axis=1)
    np.testing.assert_allclose(first["z"], mu + np.exp(log_var / 2) * eps, rtol=1e-4, atol=1e-5)


def test_layers_that_train_differently_know_when_they_train(make_vae, images):
    vae = make_vae()
    inputs = keras.Input((8, 8))
    outputs = keras.layers.Dropout(0.5)(keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    noisy = vaelib.VAE(keras.Model(inputs, outputs), vae.decoder, vae.posterior, vae.likelihood, vae.prior)
    assert np.all(noisy(images)["posterior_params"] != 0)
    assert np.mean(noisy(images, training=True)["posterior_params"] == 0) > 0.3
    # And in the step that fit runs: with every number dropped, the KL is that of the prior to itself.
    noisy.encoder.layers[-1].rate = 0.999999
    noisy.compile("sgd", run_eagerly=True)
    kl = noisy.train_step(images)["kl"]
    assert float(kl) == 0.0 < float(noisy.test_step(images)["kl"])


# The parts fit together --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part, other, message",
    [
        (
            "encoder",
            lambda: vaelib.dense_encoder((8, 8), 6),
            "encoder's output size is 6, but posterior.params_size is 4",
        ),
        (
            "encoder",
            lambda: vaelib.dense_encoder((8, 7), 4),
            r"encoder's input shape is \(8, 7\), but likelihood.data_shape is \(8, 8\)",
        ),
        ("decoder", lambda: vaelib.dense_decoder(3, 64), "decoder's input size is 3, but posterior.latent_dim is 2"),
        (
            "decoder",
            lambda: vaelib.dense_decoder(2, 63),
            "decoder's output size is 63, but likelihood.params_size is 64",
        ),
        ("prior", lambda: vaelib.StandardNormal(3), "prior's latent_dim is 3, but posterior.latent_dim is 2"),
        ("posterior", lambda: vaelib.DiagonalNormal(3), "encoder's output size is 4, but posterior.params_size is 6"),
        ("likelihood", lambda: vaelib.Normal((8, 8)), "decoder's output size is 64, but likelihood.params_size is 128"),
    ],
)
def test_parts_that_do_not_fit_are_named(make_vae, part, other, message):
    vae = make_vae()
    parts = {name: getattr(vae, name) for name in ("encoder", "decoder", "posterior", "likelihood", "prior")}
    with pytest.raises(ValueError, match=message):
        vaelib.VAE(**{**parts, part: other()})


def test_an_unknown_argument_is_named(make_vae):
    for build in (make_vae, lambda **options: DiagonalNormal(2, **options)):
        with pytest.raises(ValueError, match="gamma"):
            build(gamma=3)


# What a model is used for --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vae(make_vae):
    return make_vae()


def test_encode_gives_the_means_and_decode_the_pixels(vae, images):
    z = vae.encode(images)
    assert isinstance(z, np.ndarray) and z.shape == (60, 2)
    params = np.asarray(vae.encoder(images))
    np.testing.assert_allclose(z, params[:, :2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vae.posterior_params(images), params, rtol=1e-5, atol=1e-6)
    x = vae.decode(z)
    assert isinstance(x, np.ndarray) and x.shape == (60, 8, 8)
    np.testing.assert_allclose(x.reshape(60, 64), expit(np.asarray(vae.decoder(z))), rtol=1e-4)
    np.testing.assert_array_equal(vae.reconstruct(images), x)


def test_generate_decodes_fresh_codes_of_the_prior(vae):
    first, second = vae.generate(5), vae.generate(5)
    assert first.shape == (5, 8, 8) and not np.array_equal(first, second)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1; received 0"):
        vae.generate(0)


def test_evidence_and_elbo_are_methods_too(vae, images):
    assert vae.elbo(images[:3], 2).shape == vae.log_evidence(images[:3], 2).shape == (3,)
    assert vae.latent_dim == 2 and vae.data_shape == (8, 8)


@pytest.mark.parametrize("method", ["encode", "posterior_params", "reconstruct", "elbo", "log_evidence"])
@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((3, 8, 7)), r"x must have shape \(n, 8, 8\); received \(3, 8, 7\)"),
        (np.zeros((8, 8)), r"A single example needs a batch axis: x\[None\]"),
        (np.full((2, 8, 8), 255), "Divide by 255"),
        (np.full((2, 8, 8), np.nan), "example 0 holds NaN"),
        (np.zeros((0, 8, 8)), "x holds no example"),
    ],
)
def test_bad_images_are_refused_by_every_method(vae, method, x, message):
    with pytest.raises(ValueError, match=message):
        getattr(vae, method)(x)


@pytest.mark.parametrize(
    "z, message",
    [
        (np.zeros((3, 3)), r"z must have shape \(n, 2\); received \(3, 3\)"),
        (np.zeros(2), r"A single example needs a batch axis: z\[None\]"),
        (np.zeros((0, 2)), "z holds no example"),
        ([[0.0, np.inf]], "z must be finite; example 0"),
    ],
)
def test_bad_codes_are_refused(vae, z, message):
    with pytest.raises(ValueError, match=message):
        vae.decode(z)


def test_codes_may_be_whole_numbers_and_lists(vae):
    np.testing.assert_array_equal(vae.decode([[1, 2]]), vae.decode(np.array([[1.0, 2.0]])))


# A prior that shares the encoder -------------------------------------------------------------------------------------


def test_the_vamp_prior_shares_the_encoder_and_its_weights_count_once(make_vae, images, tmp_path):
    vae, plain = make_vae(prior="VampPrior"), make_vae()
    posterior, params = vae.prior.components()
    assert posterior is vae.posterior and [v.name for v in vae.prior.weights] == ["pseudo_inputs"]
    np.testing.assert_array_equal(params, vae.encoder(vae.prior.pseudo_inputs))
    assert vae.count_params() == plain.count_params() + 50 * 64
    assert len({id(v) for v in vae.trainable_variables}) == len(vae.trainable_variables)
    # Loaded and copied models have priors of their own: a change of their encoder reaches them, and nothing else.
    vae.save(tmp_path / "vamp.keras")
    z = np.zeros((1, 2), "float32")
    before = float(vae.prior.log_prob(z)[0])
    for other in (vaelib.load(tmp_path / "vamp.keras"), vaelib.VAE.from_config(vae.get_config())):
        other.set_weights(vae.get_weights())
        assert float(other.prior.log_prob(z)[0]) == pytest.approx(before, rel=1e-5)
        other.encoder.set_weights([w + 1 for w in other.encoder.get_weights()])
        assert abs(float(other.prior.log_prob(z)[0]) - before) > 0.1
        assert float(vae.prior.log_prob(z)[0]) == before


def test_training_moves_the_pseudo_inputs_and_keeps_them_pixels(make_vae, images, without_xla):
    def prior(latent_dim):
        return vaelib.VampPrior(latent_dim, 5, initial=images[:5])

    vae = make_vae(prior=prior)
    np.testing.assert_array_equal(vae.prior.pseudo_inputs, images[:5])
    vae.compile(keras.optimizers.Adam(0.05))
    vae.fit(images, epochs=3, batch_size=10, verbose=0)
    pseudo_inputs = np.asarray(vae.prior.pseudo_inputs)
    assert not np.array_equal(pseudo_inputs, images[:5])
    assert pseudo_inputs.min() == 0 and pseudo_inputs.max() <= 1  # at so large a rate some would leave


def test_a_vamp_prior_serves_one_encoder(make_vae):
    vae, other = make_vae(prior="VampPrior"), make_vae()
    vaelib.VAE(vae.encoder, other.decoder, vae.posterior, vae.likelihood, vae.prior)
    with pytest.raises(ValueError, match="serves another encoder or posterior already; make a new VampPrior"):
        vaelib.VAE(other.encoder, vae.decoder, vae.posterior, vae.likelihood, vae.prior)
    with pytest.raises(ValueError, match=r"initial must have shape \(3, 8, 8\).*received \(3, 8, 7\)"):
        make_vae(prior=lambda latent_dim: vaelib.VampPrior(latent_dim, 3, initial=np.zeros((3, 8, 7))))


# Probabilistic PCA ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_linear_vae_is_probabilistic_pca(make_vae, posterior, without_xla):
    """The trained optimum against the maximum-likelihood solution of Tipping and Bishop 1999, equations 4, 7 and 8."""
    keras.utils.set_random_seed(0)  # a bound of four standard errors is then no lottery
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.6 * rng.normal(size=(500, 6)) + 1).astype("float32")
    eigenvalues, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    noise = eigenvalues[:4].mean()
    covariance = noise * np.eye(6) + (vectors[:, 4:] * (eigenvalues[4:] - noise)) @ vectors[:, 4:].T
    best = stats.multivariate_normal(x.mean(axis=0), covariance).logpdf(x).mean()

    vae = make_vae("linear", posterior, "SharedNormal", shape=(6,))
    rate = keras.optimizers.schedules.CosineDecay(0.03, 2000)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(np.tile(x, (50, 1)), epochs=40, batch_size=500, verbose=0)
    weight, bias = (v.numpy().astype(float) for v in vae.decoder.weights)
    model = np.exp(float(vae.likelihood.log_var)) * np.eye(6) + weight.T @ weight
    exact = stats.multivariate_normal(bias, model).logpdf(x).mean()
    # No model of this family is better than the closed form; the trained one comes within a thousandth of a nat.
    assert -1e-9 < best - exact < 1e-3
    np.testing.assert_allclose(model, covariance, atol=0.03)
    np.testing.assert_allclose(bias, x.mean(axis=0), atol=0.03)
    elbos = np.array([vae.elbo(x, 100).mean() for _ in range(10)])
    assert abs(elbos.mean() - best) < 4 * elbos.std(ddof=1) / np.sqrt(10) < 0.01
    # The linear posterior is exact there, so that a single sample of p(x, z) / q(z|x) gives log p(x) with little noise.
    weights = np.array([vae.log_evidence(x, 1) for _ in range(10)])
    assert abs(weights.mean() - best) < 5e-3 and weights.std(axis=0).mean() < 0.1


# The contract: pairings of parts ------------------------------------------------------------------------------------


def test_every_two_parts_meet_in_a_pairing():
    for kind, other in itertools.combinations([NETWORKS, POSTERIORS, LIKELIHOODS, PRIORS], 2):
        for one, another in itertools.product(kind, other):
            assert any(one in parts and another in parts for parts in PAIRINGS), (one, another)


@pytest.fixture(scope="module", params=PAIRINGS, ids="-".join)
def pairing(request, make_vae, images, without_xla):
    """A VAE of each pairing, its name, and its loss with fixed noise before and after a little training."""
    keras.utils.set_random_seed(0)
    vae = make_vae(*request.param, beta=0.5)
    eps = np.random.default_rng(0).normal(size=(60, 2))

    def loss():
        return float(vae.compute_loss(x=images, y_pred=vae(images, eps=eps)))

    before = loss()
    vae.compile(keras.optimizers.Adam(0.003))
    vae.fit(images, epochs=1, batch_size=10, verbose=0)
    return vae, "-".join(request.param), before, loss()


def test_contract_a_little_training_lowers_the_loss(pairing):
    _, _, before, after = pairing
    assert after < before


def test_contract_shapes(pairing, images):
    vae = pairing[0]
    outputs = vae(images)
    assert outputs["posterior_params"].shape == (60, vae.posterior.params_size)
    assert outputs["z"].shape == (60, 2)
    assert outputs["likelihood_params"].shape == (60, vae.likelihood.params_size)
    for term in vae.loss_terms(images, outputs):
        assert term.shape == (60,) and np.all(np.isfinite(term))
    assert vae.reconstruct(images).shape == images.shape == vae.generate(60).shape
    assert vae.likelihood.sample(outputs["likelihood_params"]).shape == images.shape
    assert vae.elbo(images).shape == (60,)


def test_contract_samples_of_the_posterior_have_its_log_density(pairing, images):
    """The normaliser too: the mean of p(z) / q(z|x) over samples of q is the integral of p(z), one."""
    vae = pairing[0]
    params = vae.posterior_params(images[:1])
    z = vae.posterior.sample(params, vae.posterior.noise((20_000, 1, 2)))
    ratio = np.exp(np.asarray(vae.prior.log_prob(z) - vae.posterior.log_prob(z, params)))
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(20_000) < 0.2


def test_contract_every_network_gets_a_gradient(pairing, images):
    vae = pairing[0]
    with tf.GradientTape() as tape:
        loss = vae.compute_loss(x=images, y_pred=vae(images))
    gradients = tape.gradient(loss, [v.value for v in vae.trainable_variables])
    assert all(g is not None and np.any(np.asarray(g) != 0) for g in gradients)


def test_contract_its_configuration_makes_it_again(pairing, images):
    vae = pairing[0]
    config = vae.get_config()
    for _ in range(2):  # the first must leave the configuration whole
        copy = vaelib.VAE.from_config(config)
    copy.set_weights(vae.get_weights())
    assert float(copy.beta) == 0.5
    for part in ("encoder", "decoder", "posterior", "likelihood", "prior"):
        assert type(getattr(copy, part)) is type(getattr(vae, part))
    z = vae.encode(images)
    np.testing.assert_array_equal(copy.encode(images), z)
    np.testing.assert_array_equal(copy.decode(z), vae.decode(z))
    np.testing.assert_array_equal(copy.prior.log_prob(z), vae.prior.log_prob(z))


LOAD = """
import sys
import vaelib
import numpy as np
z = np.load(sys.argv[1] + "/z.npy")
images = np.load(sys.argv[1] + "/images.npy")
for name in sys.argv[2:]:
    vae = vaelib.load(f"{sys.argv[1]}/{name}.keras")
    state = [np.asarray(v) for v in vae.optimizer.variables]
    saved = dict(x=vae.decode(z), codes=vae.encode(images), beta=np.asarray(vae.beta), rate=state[1], steps=state[0])
    saved["prior"] = np.asarray(vae.prior.log_prob(z))
    saved.update({f"state{i}": value for i, value in enumerate(state)})
    history = vae.fit(images, epochs=1, verbose=0) if name == sys.argv[2] else None
    saved["steps_after"] = np.asarray(vae.optimizer.iterations)
    np.savez(f"{sys.argv[1]}/{name}.npz", **saved)
"""


def test_saved_models_load_in_a_fresh_process_and_train_on(make_vae, images, tmp_path, without_xla):
    models = {}
    for parts in PAIRINGS:
        vae = make_vae(*parts, beta=0.25)
        vae.compile(keras.optimizers.Adam(0.003), run_eagerly=True)
        vae.fit(images, epochs=2, batch_size=20, verbose=0)
        vae.beta = 0.75
        models["-".join(parts)] = vae
        vae.save(tmp_path / f"{'-'.join(parts)}.keras")
    z = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "images.npy", images)
    # From another folder, with nothing imported but vaelib itself.
    result = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path), *models], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr, result.stderr
    for name, vae in models.items():
        loaded = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_allclose(loaded["x"], vae.decode(z), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(loaded["codes"], vae.encode(images), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(loaded["prior"], vae.prior.log_prob(z), rtol=1e-5)
        assert loaded["beta"] == 0.75 and loaded["steps"] == 6
        for i, value in enumerate(vae.optimizer.variables):
            np.testing.assert_array_equal(loaded[f"state{i}"], value)
        assert any(np.any(v.numpy() != 0) for v in vae.optimizer.variables[2:])
    first = next(iter(models))
    assert np.load(tmp_path / f"{first}.npz")["steps_after"] == 7


def test_a_model_that_was_never_compiled_saves_and_loads(make_vae, tmp_path):
    vae = make_vae("linear", "DiagonalNormal", "Normal")
    vae.save(tmp_path / "untrained.keras")
    loaded = vaelib.load(tmp_path / "untrained.keras")
    np.testing.assert_array_equal(loaded.decode([[1.0, -1.0]]), vae.decode([[1.0, -1.0]]))
    assert loaded.likelihood.log_var_range == (-5.0, 5.0)
