"""Each mistake is wrong in the way that its name says, and in that way alone."""

import keras
import numpy as np
import pytest
from scipy.stats import bernoulli, norm

import vaelib
from vaelib.model.distributions import kl_divergence
from vaelib.model.objectives import ELBO
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.teaching import mistakes

rng = np.random.default_rng(0)
PIXELS = 64


def parameters(size, n=12):
    return rng.normal(size=(n, size)).astype("float32")


def flat(x):
    return x.reshape(len(x), -1).astype(float)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(float)))


@pytest.fixture
def black_and_white(images):
    return (images > 0.5).astype("float32")


def test_the_mean_over_pixels_is_scipys(black_and_white):
    logits = parameters(PIXELS)
    expected = bernoulli.logpmf(flat(black_and_white[:12]), sigmoid(logits)).mean(axis=1)
    got = mistakes.MeanOverPixels((8, 8)).log_prob(black_and_white[:12], logits)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_swapped_cross_entropy_is_keras_with_its_arguments_swapped(images):
    logits, x = parameters(PIXELS), images[:12]
    expected = PIXELS * keras.losses.binary_crossentropy(sigmoid(logits).astype("float32"), flat(x).astype("float32"))
    np.testing.assert_allclose(mistakes.SwappedCrossEntropy((8, 8)).log_prob(x, logits), -expected, rtol=1e-4)


def test_the_swapped_cross_entropy_stays_finite_on_black_pixels():
    x, certain = np.zeros((1, 8, 8), "float32"), np.full((1, PIXELS), 30.0, "float32")
    value = mistakes.SwappedCrossEntropy((8, 8)).log_prob(x, certain)
    np.testing.assert_allclose(value, PIXELS * np.log(1e-7), rtol=1e-3)


@pytest.mark.parametrize(
    ("part", "left_out"),
    [
        (mistakes.NoLogTwoPi, lambda log_var: 0.5 * np.log(2 * np.pi) * PIXELS),
        (mistakes.NoLogVar, lambda log_var: 0.5 * (np.log(2 * np.pi) + log_var).sum(axis=1)),
    ],
)
def test_what_the_normals_leave_out(images, part, left_out):
    params = parameters(2 * PIXELS)
    mean, log_var = sigmoid(params[:, :PIXELS]), params[:, PIXELS:].astype(float)
    right = norm.logpdf(flat(images[:12]), mean, np.exp(log_var / 2)).sum(axis=1)
    np.testing.assert_allclose(part((8, 8)).log_prob(images[:12], params), right + left_out(log_var), rtol=1e-4)


def test_the_sampler_reads_the_log_variance_as_sigma_and_the_kl_does_not():
    params, eps = parameters(4), rng.standard_normal((12, 2)).astype("float32")
    wrong, right = mistakes.LogVarAsSigma(2), vaelib.DiagonalNormal(2)
    np.testing.assert_allclose(wrong.sample(params, eps), params[:, :2] + params[:, 2:] * eps, rtol=1e-5, atol=1e-6)
    prior = StandardNormal(2)
    np.testing.assert_array_equal(kl_divergence(wrong, params, prior), kl_divergence(right, params, prior))


def test_frozen_noise_is_one_draw_for_every_example_and_call():
    noise = mistakes.FrozenNoise(3, seed=4)
    first, other_size = np.asarray(noise.noise((5,))), np.asarray(noise.noise((4, 2)))
    assert first.shape == (5, 3) and other_size.shape == (4, 2, 3)
    assert (first == first[0]).all() and (other_size == first[0]).all() and first[0].std() > 0
    assert not (np.asarray(mistakes.FrozenNoise(3, seed=5).noise((1,))) == first[0]).any()


def test_frozen_noise_is_the_same_in_a_compiled_program():
    import tensorflow as tf

    noise = mistakes.FrozenNoise(3, seed=4)
    compiled = tf.function(lambda: noise.noise((2,)), jit_compile=True)
    np.testing.assert_array_equal(compiled(), noise.noise((2,)))


def test_shared_noise_is_one_draw_for_the_batch_and_a_new_one_at_each_call():
    noise = mistakes.SharedNoise(3, seed=4)
    first, second = np.asarray(noise.noise((5,))), np.asarray(noise.noise((5,)))
    assert (first == first[0]).all() and (second == second[0]).all()
    assert not (first[0] == second[0]).any()


def test_the_noise_of_a_full_batch_fits_no_other():
    posterior, params = mistakes.FixedBatchNoise(2, batch_size=12), parameters(4)
    assert posterior.sample(params).shape == (12, 2)
    with pytest.raises(Exception, match="(?i)incompatible shapes|broadcast"):
        posterior.sample(params[:7])
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        mistakes.FixedBatchNoise(2, batch_size=0)


@pytest.mark.parametrize(("objective", "factor"), [(mistakes.NegativeKL, -1), (mistakes.MeanOverLatentDims, 1 / 3)])
def test_the_wrong_kls_are_multiples_of_the_right_one(make_vae, images, objective, factor):
    vae = make_vae(latent_dim=3, objective=objective(beta=2.0))
    params = vae.posterior_params(images).astype(float)
    mu, log_var = params[:, :3], params[:, 3:]
    right = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)
    terms = {name: np.asarray(term) for name, term in vae.loss_terms(images).items()}
    # Each dimension is a difference of numbers near 1, so in float32 some 1e-7 are lost whatever the KL.
    np.testing.assert_allclose(terms["kl"], factor * right, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"] + 2 * factor * right, rtol=1e-5)


def test_without_noise_in_evaluation_the_code_is_the_mean(make_vae, images):
    right = make_vae(objective=ELBO(2.0))
    parts = [getattr(right, part) for part in ("encoder", "decoder", "posterior", "likelihood", "prior")]
    wrong = VAE(*parts, mistakes.NoiselessEvaluation(beta=2.0))
    at_the_mean = right.loss_terms(images, noise=np.zeros((60, 2), "float32"))
    np.testing.assert_allclose(wrong.loss_terms(images)["loss"], at_the_mean["loss"], rtol=1e-5)
    assert not np.allclose(wrong.loss_terms(images, training=True)["loss"], at_the_mean["loss"], rtol=1e-5)
    eps = rng.standard_normal((60, 2)).astype("float32")
    given = [vae.loss_terms(images, noise=eps)["loss"] for vae in (wrong, right)]
    np.testing.assert_allclose(*given, rtol=1e-5)


def test_three_wrong_likelihoods_are_other_distributions(black_and_white):
    x, logits = black_and_white[:12], parameters(PIXELS)
    negative = bernoulli.logpmf(1 - flat(x), sigmoid(logits)).sum(axis=1)
    np.testing.assert_allclose(mistakes.Inverted((8, 8)).log_prob(x, logits), negative, rtol=1e-5)
    twice = bernoulli.logpmf(flat(x), sigmoid(sigmoid(logits))).sum(axis=1)
    np.testing.assert_allclose(mistakes.DoubleSigmoid((8, 8)).log_prob(x, logits), twice, rtol=1e-5)
    params = parameters(2 * PIXELS)
    mean, s = sigmoid(params[:, :PIXELS]), np.exp(params[:, PIXELS:].astype(float))
    wide = norm.logpdf(flat(x), mean, s).sum(axis=1)
    np.testing.assert_allclose(mistakes.ExpIsSigma((8, 8)).log_prob(x, params), wide, rtol=1e-4)


def test_a_decoder_that_ends_in_a_sigmoid(make_vae):
    decoder, z = make_vae().decoder, parameters(2)
    np.testing.assert_allclose(mistakes.with_sigmoid(decoder)(z), sigmoid(np.asarray(decoder(z))), rtol=1e-5)


def test_the_half_is_forgotten(black_and_white):
    params, eps = parameters(4), rng.standard_normal((12, 2)).astype("float32")
    expected = params[:, :2] + np.exp(params[:, 2:]) * eps
    np.testing.assert_allclose(mistakes.VarianceAsSigma(2).sample(params, eps), expected, rtol=1e-5, atol=1e-6)


def test_the_sign_of_the_log_variance():
    params = parameters(4)
    wrong, right = (
        np.asarray(kl_divergence(kind(2), params, StandardNormal(2)))
        for kind in (mistakes.SignOfLogVar, vaelib.DiagonalNormal)
    )
    np.testing.assert_allclose(wrong - right, params[:, 2:].sum(axis=1), rtol=1e-4, atol=1e-5)


def test_stopped_gradients_have_the_right_values_and_none_of_the_gradient():
    import tensorflow as tf

    params, eps = tf.Variable(parameters(4)), rng.standard_normal((12, 2)).astype("float32")
    with tf.GradientTape(persistent=True) as tape:
        stopped, right = (kind(2).sample(params, eps) for kind in (mistakes.StoppedGradient, vaelib.DiagonalNormal))
    np.testing.assert_array_equal(stopped, right)
    assert tape.gradient(stopped, params) is None and tape.gradient(right, params) is not None


def test_numpys_noise_is_new_at_each_call_and_frozen_in_a_program():
    import tensorflow as tf

    noise = mistakes.NumpyNoise(3)
    assert not np.array_equal(noise.noise((5,)), noise.noise((5,)))
    program = tf.function(lambda: noise.noise((5,)))
    np.testing.assert_array_equal(program(), program())


ALL = {
    "likelihood": [
        mistakes.MeanOverPixels,
        mistakes.SwappedCrossEntropy,
        mistakes.NoLogTwoPi,
        mistakes.NoLogVar,
        mistakes.Inverted,
        mistakes.DoubleSigmoid,
        mistakes.ExpIsSigma,
    ],
    "posterior": [
        mistakes.LogVarAsSigma,
        mistakes.VarianceAsSigma,
        mistakes.StoppedGradient,
        mistakes.SignOfLogVar,
        mistakes.NumpyNoise,
        mistakes.FrozenNoise,
        mistakes.SharedNoise,
        lambda latent_dim: mistakes.FixedBatchNoise(latent_dim, batch_size=20),
    ],
    "objective": [mistakes.NegativeKL, mistakes.MeanOverLatentDims, mistakes.NoiselessEvaluation],
}


def test_every_mistake_is_tried_below():
    named = {
        value for value in vars(mistakes).values() if isinstance(value, type) and value.__module__ == mistakes.__name__
    }
    tried = {part for parts in ALL.values() for part in parts} | {mistakes.FixedBatchNoise}
    assert {cls for cls in named if (cls.__doc__ or "").startswith("WRONG")} <= tried


# One of each kind; the others in `make test-all`.
@pytest.mark.parametrize(
    "switch",
    [
        pytest.param({kind: part}, marks=[pytest.mark.slow] if n else [])
        for kind, parts in ALL.items()
        for n, part in enumerate(parts)
    ],
)
def test_each_mistake_trains_is_cured_and_comes_back_from_a_file(make_vae, black_and_white, switch, tmp_path):
    (kind,) = switch
    vae = make_vae(**switch)
    vae.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    curves = vae.fit(black_and_white, epochs=2, batch_size=20, validation_data=black_and_white, verbose=0).history
    cured = mistakes.cured(vae)
    assert cured.encoder is vae.encoder and cured.decoder is vae.decoder and float(cured.objective.beta) == 1
    distorted = [cls for cls in type(getattr(vae, kind)).__mro__ if cls.__module__ != mistakes.__name__][0]
    assert type(getattr(cured, kind)) is distorted
    assert all(type(getattr(cured, part)).__module__ != mistakes.__name__ for part in [*ALL, "prior"])

    run = mistakes.record(vae, curves, black_and_white, np.arange(60) % 10, num_images=5)
    np.testing.assert_allclose(run.codes, vae.encode(black_and_white))
    assert run.images.shape == (3, 5, 8, 8) and np.isfinite(run.images).all()
    np.testing.assert_array_equal(run.images[0], black_and_white[:5])
    np.testing.assert_allclose(run.images[1], vae.reconstruct(black_and_white[:5]), atol=1e-6)
    assert run.reported == curves["val_loss"][-1]
    by_hand = -np.mean([cured.elbo(black_and_white, num_samples=50).mean()])
    assert run.nelbo == pytest.approx(by_hand, abs=0.03 * abs(by_hand) + 0.3)  # ten samples against fifty

    vae.save(tmp_path / "vae.keras")
    again = vaelib.load(tmp_path / "vae.keras")
    assert type(getattr(again, kind)) is type(getattr(vae, kind))
    np.testing.assert_allclose(again.decode(np.ones((3, 2))), vae.decode(np.ones((3, 2))), atol=1e-6)


def test_cured_takes_another_likelihood(make_vae):
    vae, likelihood = make_vae(), vaelib.ContinuousBernoulli((8, 8))
    assert mistakes.cured(vae, likelihood).likelihood is likelihood
    assert type(mistakes.cured(vae)) is VAE


def test_the_mean_over_pixels_is_beta_of_the_number_of_pixels(make_vae, black_and_white):
    wrong = make_vae(likelihood=mistakes.MeanOverPixels)
    beta = VAE(wrong.encoder, wrong.decoder, wrong.posterior, vaelib.Bernoulli((8, 8)), wrong.prior, ELBO(PIXELS))
    eps = rng.standard_normal((60, 2)).astype("float32")
    losses = [float(vae.compute_loss(x=black_and_white, noise=eps)) for vae in (wrong, beta)]
    assert PIXELS * losses[0] == pytest.approx(losses[1], rel=1e-5)
