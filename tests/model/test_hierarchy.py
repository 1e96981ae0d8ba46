"""Layers of latents: the ladder's merge against Bayes' rule, layers that add up, chains of other kinds, bad shapes."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import vaelib
from vaelib.model.discrete import BernoulliPrior, CategoricalPrior
from vaelib.model.distributions import kl_divergence
from vaelib.model.hierarchy import Chain, TopDown, layer_kls, merged
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.posteriors import DiagonalNormal, ImplicitPosterior
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.theory.hierarchy import LinearChain

pytestmark = pytest.mark.usefixtures("seeded")
numpy = ops.convert_to_numpy
TOY = LinearChain(0.9, 1.3, 0.6, 0.5)


def linear(a, log_var):
    """A network from one number to the normal N(a z, exp(log_var))."""
    network = dense_decoder(1, 2, ())
    network.set_weights([np.array([[a, 0.0]]), np.array([0.0, log_var])])
    return network


def exact_posterior(x):
    """The posterior of the toy as a TopDown whose message is the prior's conditional, and what the encoder must say."""
    mean, covariance = TOY.posterior(x)
    own = [x / TOY.b, np.log(TOY.s**2 / TOY.b**2)]  # what x alone says of z1
    q = TopDown((1, 1), [linear(TOY.a, 2 * np.log(TOY.s1))])
    return q, np.array([[mean[0], np.log(covariance[0, 0]), *own]])


def toy_prior():
    return Chain([StandardNormal(1), DiagonalNormal(1)], [linear(TOY.a, 2 * np.log(TOY.s1))])


def test_the_merge_with_the_priors_message_is_the_exact_posterior(doubles):
    q, params = exact_posterior(0.8)
    z = np.random.default_rng(0).normal(size=(50, 1, 2))
    log_q, log_prior = numpy(q.log_prob(z, params)), numpy(toy_prior().log_prob(z))
    log_likelihood = -0.5 * (np.log(2 * np.pi * TOY.s**2) + (0.8 - TOY.b * z[..., 1]) ** 2 / TOY.s**2)
    exact = log_prior + log_likelihood - TOY.log_evidence(0.8)
    np.testing.assert_allclose(log_q, exact, atol=1e-9)


def test_the_kls_of_the_layers_are_those_of_the_toy(doubles):
    q, params = exact_posterior(0.8)
    z = q.sample(params, num=200_000)
    kls = numpy(layer_kls(q, params, toy_prior(), z))[:, 0]
    error = kls.std(axis=0) / np.sqrt(len(kls))
    assert np.all(np.abs(kls.mean(axis=0) - TOY.posterior_kls(0.8)) < 5 * error)


def test_merging_is_a_product_of_densities(doubles):
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 2, 5, 3))
    mu, log_var = (numpy(part) for part in merged(first, second))
    precision = np.exp(-first[1]) + np.exp(-second[1])
    np.testing.assert_allclose(log_var, -np.log(precision), atol=1e-12)
    weighted = first[0] * np.exp(-first[1]) + second[0] * np.exp(-second[1])
    np.testing.assert_allclose(mu, weighted / precision, atol=1e-12)
    far = (np.zeros(1), np.full(1, -70.0)), (np.ones(1), np.full(1, 70.0))  # no overflow
    assert [float(part[0]) for part in merged(*far)] == pytest.approx([0.0, -70.0], abs=1e-9)


def test_without_networks_the_layers_are_independent(doubles):
    q, plain = TopDown((2, 3)), DiagonalNormal(5)
    params = np.random.default_rng(2).normal(size=(4, 10))
    reordered = params[:, [0, 1, 4, 5, 6, 2, 3, 7, 8, 9]]  # all means, then all log-variances
    z = q.sample(params, num=3)
    np.testing.assert_allclose(numpy(q.log_prob(z, params)), numpy(plain.log_prob(z, reordered)), atol=1e-12)
    kls = numpy(layer_kls(q, params, Chain([StandardNormal(2), DiagonalNormal(3)], [dense_decoder(2, 6, ())]), z))
    assert kls.shape == (3, 4, 2)


def test_three_layers_add_up_and_the_kl_is_their_sum():
    p = Chain(
        [StandardNormal(2), DiagonalNormal(3), DiagonalNormal(4)],
        [dense_decoder(2, 6, (5,)), dense_decoder(3, 8, (5,))],
    )
    q = TopDown((2, 3, 4), [dense_decoder(2, 6, (5,)), None])
    params = np.random.default_rng(3).normal(size=(6, q.params_size)).astype("float32")
    z, log_q = q.sample_and_log_prob(params, num=2)
    assert z.shape == (2, 6, 9) and [each.shape[-1] for each in q.by_layer(z)] == [2, 3, 4]
    kls = numpy(layer_kls(q, params, p, z))
    np.testing.assert_allclose(
        kls.sum(axis=-1), numpy(kl_divergence(q, params, p, z=z, log_q=log_q)), rtol=1e-4, atol=1e-4
    )


def test_a_chain_of_zeros_and_ones_is_a_sigmoid_belief_network():
    p = Chain([BernoulliPrior(2), Bernoulli(3)], [dense_decoder(2, 3, ())])
    assert p.support == "binary" and not p.reparameterized
    states = np.array(list(itertools.product([0.0, 1.0], repeat=5)), "float32")
    shares = np.exp(numpy(p.log_prob(states)))
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    drawn = numpy(p.sample(num=20_000)) @ 2 ** np.arange(4, -1, -1)
    seen = np.bincount(drawn.astype(int), minlength=32) / len(drawn)
    assert np.all(np.abs(seen - shares) < 5 * np.sqrt(shares / len(drawn)) + 1e-3)


@pytest.mark.parametrize(("seed", "own"), [(7, None), (None, 7)])
def test_equal_layers_draw_from_noise_of_their_own(seed, own):
    p = Chain([StandardNormal(4, seed=own), DiagonalNormal(4, seed=own)], [dense_decoder(4, 8, ())], seed=seed)
    top, below = (numpy(each) for each in p.noise(1000))
    assert abs(np.corrcoef(top.ravel(), below.ravel())[0, 1]) < 0.1


def deep_vae():
    p = Chain([StandardNormal(2), DiagonalNormal(3)], [dense_decoder(2, 6, (4,))], seed=0)
    q = TopDown((2, 3), [dense_decoder(2, 6, (4,))], seed=0)
    z = keras.Input((5,))
    decoder = keras.Model(z, dense_decoder(3, 6, (4,))(z[:, 2:]))
    vae = VAE(dense_encoder((6,), q.params_size, (4,)), decoder, q, Bernoulli(6), p)
    vae.compile("adam")
    return vae


def test_a_deep_vae_trains_and_comes_back_from_its_file(tmp_path):
    x = (np.random.default_rng(0).random((64, 6)) < 0.3).astype("float32")
    vae = deep_vae()
    history = vae.fit(x, epochs=2, batch_size=16, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    vae.save(tmp_path / "deep.keras")
    again = vaelib.load(tmp_path / "deep.keras")
    np.testing.assert_allclose(again.encode(x), vae.encode(x), atol=1e-6)
    z = numpy(vae.prior.sample(num=5))
    np.testing.assert_allclose(numpy(again.prior.log_prob(z)), numpy(vae.prior.log_prob(z)), rtol=1e-5)


NORMALS = [StandardNormal(2), DiagonalNormal(3)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chain(NORMALS, [dense_decoder(4, 6)]), r"networks\[0\] reads shape \(4,\), but layer 0.* \(2,\)"),
        (lambda: Chain(NORMALS, [dense_decoder(2, 5)]), r"networks\[0\] gives 5 numbers, but layer 1.* needs 6"),
        (lambda: TopDown((2, 3), [dense_decoder(3, 6)]), r"networks\[0\] reads shape \(3,\), but layer 0.* \(2,\)"),
        (lambda: TopDown((2, 3), [dense_decoder(2, 3)]), r"networks\[0\] gives 3 numbers, but layer 1.* needs 6"),
        (lambda: Chain(NORMALS, []), "one network between each two; received 2 layers and 0 networks"),
        (lambda: TopDown((2,)), "at least two layers"),
        (lambda: TopDown((2, 3), []), "received 2 layers and 0 networks"),
        (lambda: Chain([DiagonalNormal(2), DiagonalNormal(3)], [dense_decoder(2, 6)]), r"layers\[0\] must be a prior"),
        (lambda: Chain([StandardNormal(2), Bernoulli(3)], [dense_decoder(2, 3)]), "one support, real or binary"),
        (lambda: Chain([StandardNormal(2), implicit()], [dense_decoder(2, 3)]), "must have a density"),
        (lambda: Chain([CategoricalPrior((2, 3)), Bernoulli(3)], [dense_decoder(6, 3)]), "one support, real or binary"),
    ],
)
def test_layers_that_do_not_fit_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def implicit():
    inputs = [keras.Input((3,)), keras.Input((2,))]
    return ImplicitPosterior(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Concatenate()(inputs))))


def test_other_layers_in_posterior_and_prior_are_named():
    q, p = TopDown((3, 2)), Chain(NORMALS, [dense_decoder(2, 6)])
    with pytest.raises(ValueError, match=r"TopDown has the sizes \(3, 2\) and Chain \(2, 3\)"):
        layer_kls(q, np.zeros((1, 10), "float32"), p, np.zeros((1, 5), "float32"))
