"""The forward pass in NumPy against that of Keras."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from vaelib import Bernoulli, ContinuousBernoulli, IsotropicNormal, Normal, dense_decoder
from vaelib.pretrained import NumpyDecoder, UnsupportedDecoderError
from vaelib.pretrained.networks import (
    ACTIVATIONS,
    bernoulli_mean,
    continuous_bernoulli_mean,
    identity_mean,
    mean_of,
    normal_mean,
)

SHAPE = (7, 5)


def vae_with(decoder, likelihood):
    """The two parts of a VAE that sliders need."""
    return types.SimpleNamespace(decoder=decoder, likelihood=likelihood)


def dense_vae(likelihood_type, latent_dim=2):
    keras.utils.set_random_seed(0)
    likelihood = likelihood_type(SHAPE)
    decoder = dense_decoder(latent_dim, likelihood.params_size, (16, 8))
    rng = np.random.default_rng(0)  # fresh biases are zero: nobody would miss them
    decoder.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in decoder.get_weights()])
    return vae_with(decoder, likelihood)


def codes(n, latent_dim, seed=0):
    return np.random.default_rng(seed).standard_normal((n, latent_dim)).astype("float32")


@pytest.mark.parametrize("likelihood_type", [Bernoulli, Normal])
def test_numpy_decoder_equals_the_keras_decoder(likelihood_type):
    vae = dense_vae(likelihood_type, latent_dim=3)
    z = 3 * codes(20, 3)
    images = NumpyDecoder.from_vae(vae)(z)
    assert images.shape == (20, *SHAPE)
    expected = keras.ops.convert_to_numpy(vae.likelihood.mean(vae.decoder(z)))
    np.testing.assert_allclose(images, expected, atol=1e-6)
    assert np.ptp(images) > 0.1


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_activation_equals_kerass(activation):
    z = np.linspace(-30, 30, 601, dtype="float32")
    expected = keras.ops.convert_to_numpy(keras.activations.get(activation)(z))
    np.testing.assert_allclose(ACTIVATIONS[activation](z), expected, rtol=2e-5, atol=1e-6)
    assert ACTIVATIONS[activation](z).dtype == np.float32


def test_reshape_flatten_activation_and_missing_bias():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(12, use_bias=False),
            layers.Activation("tanh"),
            layers.Reshape((3, 4)),
            layers.Dense(5, "elu"),
            layers.Flatten(),
            layers.Dense(70),
        ]
    )
    z = codes(6, 2)
    images = NumpyDecoder.from_keras(model, SHAPE, normal_mean)(z)
    params = keras.ops.convert_to_numpy(model(z))
    np.testing.assert_allclose(images.reshape(6, 35), 1 / (1 + np.exp(-params[:, :35])), atol=1e-6)


def test_weights_are_a_copy():
    vae = dense_vae(Bernoulli)
    numpy_decoder, z = NumpyDecoder.from_vae(vae), codes(1, 2)
    before = numpy_decoder(z)
    vae.decoder.set_weights([weight * 0 for weight in vae.decoder.get_weights()])
    assert np.array_equal(numpy_decoder(z), before)


def test_unsupported_layers_are_named():
    normalised = keras.Sequential([keras.Input((2,)), layers.Dense(35), layers.BatchNormalization(name="norm")])
    with pytest.raises(ValueError, match=r"layer 'norm' of type BatchNormalization is not supported"):
        NumpyDecoder.from_keras(normalised, SHAPE)

    def relu(x):
        return x

    for activation, name in [("mish", "mish"), (relu, "relu"), (layers.LeakyReLU(), "LeakyReLU")]:
        model = keras.Sequential([keras.Input((2,)), layers.Dense(35, activation, name="hidden")])
        with pytest.raises(ValueError, match=f"activation '{name}' of layer 'hidden' is not supported"):
            NumpyDecoder.from_keras(model, SHAPE)


def test_a_net_that_is_no_stack_is_refused():
    inputs = keras.Input((2,))
    shared = layers.Dense(2, "tanh", kernel_initializer="ones")
    model = keras.Model(inputs, layers.Dense(35)(shared(shared(inputs))))
    with pytest.raises(ValueError, match="no plain stack"):
        NumpyDecoder.from_keras(model, SHAPE)


def test_weights_that_are_not_finite_are_named():
    vae = dense_vae(Bernoulli)
    kernel = vae.decoder.layers[1].kernel
    broken = keras.ops.convert_to_numpy(kernel.value).copy()
    broken[0, :3] = np.nan
    kernel.assign(broken)
    with pytest.raises(ValueError, match="3 of 32 entries of kernel in layer 'dense.*' are NaN or infinite"):
        NumpyDecoder.from_vae(vae)


def test_wrong_shapes_are_refused():
    vae = dense_vae(Bernoulli)
    with pytest.raises(ValueError, match=r"data_shape \(7, 6\) asks for 42 pixel means"):
        NumpyDecoder.from_keras(vae.decoder, (7, 6))
    with pytest.raises(ValueError, match=r"z must have shape \(n, 2\); received \(2,\)"):
        NumpyDecoder.from_vae(vae)(np.zeros(2))


class Steep(Bernoulli):
    """A likelihood with the face of a Bernoulli and another mean."""

    def mean(self, params):
        return super().mean(1.5 * params)


def test_the_likelihood_itself_says_which_mean_is_its_own():
    assert mean_of(Bernoulli(SHAPE)) is bernoulli_mean and mean_of(Normal(SHAPE)) is normal_mean
    # A name says nothing, neither for nor against.
    assert mean_of(type("Normal", (Bernoulli,), {})(SHAPE)) is bernoulli_mean
    assert mean_of(IsotropicNormal(SHAPE)) is identity_mean
    assert mean_of(ContinuousBernoulli(SHAPE)) is continuous_bernoulli_mean
    for likelihood in (type("Bernoulli", (Steep,), {})(SHAPE), type("Normal", (Steep,), {})(SHAPE)):
        with pytest.raises(UnsupportedDecoderError, match="another mean"):
            mean_of(likelihood)
        with pytest.raises(UnsupportedDecoderError, match="another mean"):
            NumpyDecoder.from_vae(vae_with(dense_decoder(2, likelihood.params_size), likelihood))


def test_the_mean_of_a_continuous_bernoulli_equals_its_integral():
    logits = np.concatenate([np.linspace(-90, 90, 41), [-0.1001, -0.0999, -1e-3, 0, 1e-6, 0.0999, 0.1001]])
    x, weights = np.polynomial.legendre.leggauss(400)
    x, weights = (x + 1) / 2, weights / 2
    density = weights * np.exp(logits[:, None] * x - np.maximum(logits, 0)[:, None])
    np.testing.assert_allclose(continuous_bernoulli_mean(logits), density @ x / density.sum(axis=1), atol=2e-7)
