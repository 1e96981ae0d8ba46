"""The code book, the uniform prior over it and their objective: against NumPy, and who follows which loss."""

import keras
import numpy as np
import pytest
from gradients import variable_gradients
from keras import ops

import vaelib
from vaelib.theory import quantisation as exact

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy
SHAPE, K, PIXELS = (3, 2), 5, 4


def model(commitment=0.25):
    q = vaelib.CodeBook(SHAPE, K, seed=0)
    z = keras.Input(SHAPE)
    decoder = keras.Model(z, keras.layers.Dense(PIXELS)(keras.layers.Flatten()(z)))
    prior, likelihood = vaelib.UniformCodes(SHAPE, seed=1), vaelib.Bernoulli(PIXELS)
    encoder = vaelib.dense_encoder(PIXELS, q.params_size, (3,), "tanh")
    return vaelib.VAE(encoder, decoder, q, likelihood, prior, vaelib.VectorQuantised(commitment))


@pytest.fixture(scope="module")
def vae():
    return model()


@pytest.fixture(scope="module")
def x():
    return (np.random.default_rng(0).random((40, PIXELS)) < 0.5).astype("float32")


def test_the_chosen_code_is_the_nearest(vae):
    params = np.random.default_rng(1).normal(size=(7, 6)).astype("float32")
    codes = numpy(vae.posterior.codes)
    expected = exact.nearest(params.reshape(-1, 2), codes)
    np.testing.assert_array_equal(numpy(vae.posterior.nearest(params)).ravel(), expected)
    np.testing.assert_array_equal(vae.posterior.counts(params), np.bincount(expected, minlength=K))
    z = numpy(vae.posterior.sample(params, num=(2,)))
    assert z.shape == (2, 7, *SHAPE)
    np.testing.assert_allclose(z[0].reshape(-1, 2), codes[expected])
    np.testing.assert_array_equal(numpy(vae.posterior.log_prob(z, params)), np.zeros((2, 7)))
    assert np.all(numpy(vae.posterior.log_prob(z[0] + 1, params)) == -np.inf)


def test_the_prior_draws_every_code_alike_and_the_kl_is_the_log_of_their_number(vae, x):
    z = numpy(vae.prior.sample(num=4000)).reshape(-1, 2)
    share = np.bincount(exact.nearest(z, numpy(vae.posterior.codes)), minlength=K) / len(z)
    assert np.all(np.abs(share - 1 / K) < 5 * np.sqrt(0.16 / len(z)))
    np.testing.assert_allclose(numpy(vae.prior.log_prob(z.reshape(-1, *SHAPE))), -3 * np.log(K), rtol=1e-6)
    terms = vae.loss_terms(x)
    np.testing.assert_allclose(numpy(terms["kl"]), 3 * np.log(K), rtol=1e-6)
    np.testing.assert_allclose(vae.elbo(x), -numpy(terms["loss"]), rtol=1e-5)
    np.testing.assert_allclose(vae.log_evidence(x, 3), vae.elbo(x), rtol=1e-5)


def test_each_owner_follows_its_own_distance(vae, x):
    """The codes' gradient by hand: each is drawn to the mean of its points, and nothing else moves it."""
    params = vae.posterior_params(x).reshape(-1, 2)
    codes = numpy(vae.posterior.codes)
    chosen = exact.nearest(params, codes)
    pull = np.stack([(2 * (codes[k] - params[chosen == k])).sum(axis=0) for k in range(K)]) / len(x)
    _, (gradient,) = variable_gradients(lambda: ops.mean(vae.loss_terms(x)["codes"]), [vae.posterior.codes])
    np.testing.assert_allclose(gradient, pull, rtol=1e-4, atol=1e-6)
    _, (gradient,) = variable_gradients(lambda: ops.sum(vae.loss_terms(x)["encoder"]), [vae.posterior.codes])
    assert not np.any(gradient)


def test_the_slope_goes_straight_through(vae, x):
    """In the last bias of the encoder: that of the decoder at the code, and 2 beta (z_e - e)."""
    bias = vae.encoder.trainable_variables[-1]
    params = vae.posterior_params(x)
    chosen = numpy(vae.posterior.sample(params))
    kernel = numpy(vae.decoder.trainable_variables[0])
    logits = numpy(vae.decoder(chosen))
    through = (1 / (1 + np.exp(-logits)) - x) @ kernel.T
    expected = (through + 2 * 0.25 * (params - chosen.reshape(len(x), -1))).sum(axis=0)
    _, (gradient,) = variable_gradients(lambda: ops.sum(vae.loss_terms(x)["encoder"]), [bias])
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_it_trains_and_is_loaded(x, without_xla, tmp_path):
    vae = model()
    vae.compile(keras.optimizers.Adam(0.01))
    before = [numpy(v.value) for v in vae.trainable_variables]
    history = vae.fit(np.tile(x, (5, 1)), epochs=5, batch_size=20, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert all(np.any(numpy(v.value) != old) for v, old in zip(vae.trainable_variables, before, strict=True))
    vae.save(tmp_path / "codes.keras")
    loaded = vaelib.load(tmp_path / "codes.keras")
    np.testing.assert_allclose(loaded.reconstruct(x), vae.reconstruct(x), rtol=1e-6)
    assert loaded.generate(3).shape == (3, PIXELS)


def test_dead_codes_come_to_life(x):
    vae = model()
    params = vae.posterior_params(x)
    codes = np.concatenate([np.full((3, 2), 50.0), numpy(vae.posterior.codes)[3:]])
    vae.posterior.codes.assign(codes)
    dead = int((vae.posterior.counts(params) == 0).sum())
    assert dead >= 3 and vae.posterior.revive(params, seed=1) == dead
    after = numpy(vae.posterior.codes)
    assert all(np.any(np.all(np.isclose(code, params.reshape(-1, 2)), axis=1)) for code in after[:3])
    assert np.all(vae.posterior.counts(params)[:3] > 0)


def test_parts_that_do_not_fit_are_named():
    net = vaelib.dense_encoder(PIXELS, 4, (3,))
    with pytest.raises(ValueError, match="num_codes must be at least 2"):
        vaelib.CodeBook(SHAPE, 1)
    with pytest.raises(ValueError, match="commitment must be a finite number of at least 0"):
        vaelib.VectorQuantised(-1.0)
    with pytest.raises(ValueError, match="UniformCodes has no code book yet"):
        vaelib.UniformCodes(SHAPE).sample()
    with pytest.raises(ValueError, match="UniformCodes needs a CodeBook"):
        vaelib.UniformCodes(2).connect(net, vaelib.DiagonalNormal(2))
    q, p = vaelib.CodeBook(2, K), vaelib.Bernoulli(PIXELS)
    parts = vaelib.dense_encoder(PIXELS, 2, (3,)), vaelib.dense_decoder(2, PIXELS, (3,)), q, p, vaelib.UniformCodes(2)
    with pytest.raises(ValueError, match="CodeBook is not reparameterised.*a CodeBook with VectorQuantised"):
        vaelib.VAE(*parts)
