"""The model as a whole: its noise, parts that fit or are named, its uses, and a case whose optimum is known."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats
from scipy.special import expit

import vaelib
from vaelib.model.objectives import ELBO
from vaelib.model.posteriors import DiagonalNormal

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy


# Noise ---------------------------------------------------------------------------------------------------------


def test_two_calls_draw_different_noise_and_given_noise_makes_a_function(make_vae, images):
    vae = make_vae()
    assert not np.array_equal(vae(images)["z"], vae(images)["z"])
    assert not np.array_equal(vae.loss_terms(images)["loss"], vae.loss_terms(images)["loss"])
    eps = np.random.default_rng(0).normal(size=(60, 2))
    first, second = vae(images, noise=eps), vae(images, noise=eps)
    for key in ("posterior_params", "z", "likelihood_params"):
        np.testing.assert_array_equal(first[key], second[key])
    mu, log_var = np.split(numpy(first["posterior_params"]), 2, axis=1)
    np.testing.assert_allclose(first["z"], mu + np.exp(log_var / 2) * eps, rtol=1e-4, atol=1e-5)


def test_layers_that_train_differently_know_when_they_train(make_vae, images):
    vae = make_vae()
    inputs = keras.Input((8, 8))
    outputs = keras.layers.Dropout(0.5)(keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    noisy = vaelib.VAE(keras.Model(inputs, outputs), vae.decoder, vae.posterior, vae.likelihood, vae.prior)
    assert np.all(numpy(noisy(images)["posterior_params"]) != 0)
    assert np.mean(numpy(noisy(images, training=True)["posterior_params"]) == 0) > 0.3
    # And in the step that fit runs: with every number dropped, the KL is that of the prior to itself.
    noisy.encoder.layers[-1].rate = 0.999999
    noisy.compile("sgd", run_eagerly=True)
    assert noisy.fit(images, verbose=0).history["kl"] == [0.0]
    assert noisy.evaluate(images, return_dict=True)["kl"] > 0


# The parts fit together ------------------------------------------------------------------------------------------


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
            r"encoder's input shape is \(8, 7\), but likelihood.event_shape is \(8, 8\)",
        ),
        (
            "decoder",
            lambda: vaelib.dense_decoder(3, 64),
            r"decoder's input shape is \(3,\), but posterior.event_shape is \(2,\)",
        ),
        (
            "decoder",
            lambda: vaelib.dense_decoder(2, 63),
            "decoder's output size is 63, but likelihood.params_size is 64",
        ),
        (
            "prior",
            lambda: vaelib.StandardNormal(3),
            r"prior's event_shape is \(3,\), but posterior.event_shape is \(2,\)",
        ),
        ("prior", lambda: vaelib.DiagonalNormal(2), "prior's params_size is 4, but what no network gives is 0"),
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
    for build in (make_vae, lambda **options: DiagonalNormal(2, **options), ELBO):
        with pytest.raises(ValueError, match="gamma"):
            build(gamma=3)


# What a model is used for ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vae(make_vae):
    return make_vae()


def test_encode_gives_the_means_and_decode_the_pixels(vae, images):
    z = vae.encode(images)
    assert isinstance(z, np.ndarray) and z.shape == (60, 2)
    params = numpy(vae.encoder(images))
    np.testing.assert_allclose(z, params[:, :2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vae.posterior_params(images), params, rtol=1e-5, atol=1e-6)
    x = vae.decode(z)
    assert isinstance(x, np.ndarray) and x.shape == (60, 8, 8)
    np.testing.assert_allclose(x.reshape(60, 64), expit(numpy(vae.decoder(z))), rtol=1e-4)
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


# A prior that shares the encoder -----------------------------------------------------------------------------------


def test_the_vamp_prior_shares_the_encoder_and_its_weights_count_once(make_vae, images, tmp_path):
    vae, plain = make_vae(prior="VampPrior"), make_vae()
    posterior, params = vae.prior.components()
    assert posterior is vae.posterior and [v.name for v in vae.prior.weights] == ["pseudo_inputs"]
    np.testing.assert_array_equal(params, vae.encoder(vae.prior.pseudo_inputs.value))
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
    np.testing.assert_array_equal(numpy(vae.prior.pseudo_inputs.value), images[:5])
    vae.compile(keras.optimizers.Adam(0.05))
    vae.fit(images, epochs=3, batch_size=10, verbose=0)
    pseudo_inputs = numpy(vae.prior.pseudo_inputs.value)
    assert not np.array_equal(pseudo_inputs, images[:5])
    assert pseudo_inputs.min() == 0 and pseudo_inputs.max() <= 1  # at so large a rate some would leave


def test_a_vamp_prior_serves_one_encoder(make_vae):
    vae, other = make_vae(prior="VampPrior"), make_vae()
    vaelib.VAE(vae.encoder, other.decoder, vae.posterior, vae.likelihood, vae.prior)
    with pytest.raises(ValueError, match="serves another encoder or posterior already; make a new VampPrior"):
        vaelib.VAE(other.encoder, vae.decoder, vae.posterior, vae.likelihood, vae.prior)
    with pytest.raises(ValueError, match=r"initial must have shape \(3, 8, 8\).*received \(3, 8, 7\)"):
        make_vae(prior=lambda latent_dim: vaelib.VampPrior(latent_dim, 3, initial=np.zeros((3, 8, 7))))


# Probabilistic PCA -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("posterior", ["DiagonalNormal", "FullNormal"])
def test_a_linear_vae_is_probabilistic_pca(make_vae, posterior, without_xla):
    """The trained optimum against the maximum-likelihood solution of Tipping and Bishop 1999, equations 4, 7 and 8."""
    keras.utils.set_random_seed(0)  # a bound of four standard errors is then no lottery
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.6 * rng.normal(size=(500, 6)) + 1).astype("float32")
    eigenvalues, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    noise = eigenvalues[:4].mean()
    covariance = noise * np.eye(6) + (vectors[:, 4:] * (eigenvalues[4:] - noise)) @ vectors[:, 4:].T
    best = stats.multivariate_normal(x.mean(axis=0), covariance).logpdf(x).mean()

    vae = make_vae("linear", posterior, "IsotropicNormal", shape=(6,))
    rate = keras.optimizers.schedules.CosineDecay(0.03, 2000)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(np.tile(x, (50, 1)), epochs=40, batch_size=500, verbose=0)
    weight, bias = (numpy(v.value).astype(float) for v in vae.decoder.weights)
    model = np.exp(float(vae.likelihood.log_var.value)) * np.eye(6) + weight.T @ weight
    exact = stats.multivariate_normal(bias, model).logpdf(x).mean()
    # No model of this family is better than the closed form; the trained one comes within a thousandth of a nat.
    assert -1e-9 < best - exact < 1e-3
    np.testing.assert_allclose(model, covariance, atol=0.03)
    np.testing.assert_allclose(bias, x.mean(axis=0), atol=0.03)
    elbos = np.array([vae.elbo(x, 60).mean() for _ in range(10)])
    assert abs(elbos.mean() - best) < 4 * elbos.std(ddof=1) / np.sqrt(10) < 0.01
    # The linear posterior is exact there, so that a single sample of p(x, z) / q(z|x) gives log p(x) with little noise.
    weights = np.array([vae.log_evidence(x, 1) for _ in range(10)])
    assert abs(weights.mean() - best) < 5e-3 and weights.std(axis=0).mean() < 0.1


# Training and saving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [("dense", "DiagonalNormal", "Bernoulli"), ("conv", "FullNormal", "Normal")])
def test_a_little_training_lowers_the_loss(make_vae, images, parts, without_xla):
    vae = make_vae(*parts, objective=ELBO(0.5))
    eps = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
    before = float(vae.compute_loss(x=images, noise=eps))
    vae.compile(keras.optimizers.Adam(0.003))
    vae.fit(images, epochs=2, batch_size=10, verbose=0)
    assert float(vae.compute_loss(x=images, noise=eps)) < before


def test_a_model_that_was_never_compiled_saves_and_loads(make_vae, tmp_path):
    vae = make_vae("linear", "DiagonalNormal", "Normal")
    vae.save(tmp_path / "untrained.keras")
    loaded = vaelib.load(tmp_path / "untrained.keras")
    np.testing.assert_array_equal(loaded.decode([[1.0, -1.0]]), vae.decode([[1.0, -1.0]]))
    assert loaded.likelihood.log_var_range == (-5.0, 5.0)
