"""Convolutions in NumPy against those of Keras."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from vaelib import Bernoulli, IsotropicNormal, Normal, conv_decoder, conv_encoder
from vaelib.pretrained import NumpyDecoder, NumpyEncoder, UnsupportedDecoderError
from vaelib.pretrained.networks import identity_mean, log_var_of, mean_of, normal_mean, stack_of


def with_weights(model, seed=0):
    """Fresh biases are zero: nobody would miss them."""
    rng = np.random.default_rng(seed)
    model.set_weights([0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    return model


def run(steps, h):
    for step in steps:
        h = step(h)
    return h


GEOMETRIES = list(
    itertools.product([layers.Conv2D, layers.Conv2DTranspose], ["same", "valid"], [1, 2, 3], [(1, 1), (2, 3), (5, 4)])
)


def test_every_geometry_equals_kerass():
    """One model a geometry, over images of several sizes that a stride does not divide."""
    for kind, padding, stride, kernel in GEOMETRIES:
        for height, width in [(7, 5), (6, 8)]:
            layer = kind(3, kernel, (stride, max(1, stride - 1)), padding=padding, activation="tanh")
            model = with_weights(keras.Sequential([keras.Input((height, width, 2)), layer]))
            h = np.random.default_rng(1).standard_normal((4, height, width, 2)).astype("float32")
            expected = keras.ops.convert_to_numpy(model(h))
            actual = run(stack_of(model, h, "decoder"), h)
            np.testing.assert_allclose(
                actual, expected, atol=2e-6, err_msg=f"{kind.__name__} {padding} {stride} {kernel}"
            )


@pytest.mark.parametrize("likelihood_type", [Bernoulli, Normal, IsotropicNormal])
@pytest.mark.parametrize("shape", [(28, 20), (9, 7, 3)])
def test_vaelibs_own_decoder_equals_keras(likelihood_type, shape):
    likelihood = likelihood_type(shape)
    decoder = with_weights(conv_decoder(3, shape, likelihood.params_size, (8, 4)))
    ours = NumpyDecoder.from_keras(decoder, shape, mean_of(likelihood), log_var_of(likelihood))
    z = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    params = decoder(z)
    np.testing.assert_allclose(ours.params(z), keras.ops.convert_to_numpy(params), rtol=2e-5, atol=2e-5)
    expected = keras.ops.convert_to_numpy(likelihood.mean(params))
    np.testing.assert_allclose(ours(z), expected, rtol=2e-5, atol=2e-5)
    assert np.ptp(ours(z)) > 0.1 and ours(z).shape == (5, *shape)


def test_a_convolutional_encoder_equals_keras():
    encoder = with_weights(conv_encoder((28, 20), 6))
    x = np.random.default_rng(0).random((5, 28, 20), "float32")
    mu, log_var = NumpyEncoder.from_keras(encoder)(x)
    expected = keras.ops.convert_to_numpy(encoder(x))
    np.testing.assert_allclose(np.concatenate([mu, log_var], axis=1), expected, rtol=2e-5, atol=2e-5)


def test_enlarging_cutting_and_padding_equal_kerass():
    model = with_weights(
        keras.Sequential(
            [
                keras.Input((2,)),
                keras.Sequential([layers.Dense(12, "relu"), layers.Reshape((2, 3, 2))]),
                layers.UpSampling2D((3, 2)),
                layers.Conv2D(3, 3, padding="same", use_bias=False),
                layers.ZeroPadding2D(((1, 0), (2, 1))),
                layers.Cropping2D(((2, 1), (0, 3))),
                layers.Permute((3, 1, 2)),
                layers.Flatten(),
            ]
        )
    )
    z = np.random.default_rng(0).standard_normal((5, 2)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(z))
    np.testing.assert_allclose(run(stack_of(model, z, "decoder"), z), expected, atol=1e-5)


@pytest.mark.parametrize(
    "layer, named",
    [
        (layers.SeparableConv2D(2, 3, name="odd"), "layer 'odd' of type SeparableConv2D is not supported"),
        (layers.Conv2D(2, 2, dilation_rate=2, name="odd"), r"layer 'odd' of type Conv2D has dilation_rate=\(2, 2\)"),
        (layers.Conv2D(2, 2, groups=2, name="odd"), "layer 'odd' of type Conv2D has groups=2"),
        (layers.Conv2DTranspose(2, 3, 2, output_padding=1, name="odd"), "'odd' .* has output_padding="),
        (layers.UpSampling2D(2, interpolation="bilinear", name="odd"), "'odd' .* has interpolation='bilinear'"),
        (layers.BatchNormalization(name="odd"), "layer 'odd' of type BatchNormalization is not supported"),
    ],
)
def test_what_is_unknown_is_refused_by_name(layer, named):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(32), layers.Reshape((4, 4, 2)), layer, layers.Flatten()])
    with pytest.raises(UnsupportedDecoderError, match=named) as refusal:
        NumpyDecoder.from_keras(model, (4, 4))
    assert refusal.value.reason in str(refusal.value) and "Pass a function" not in refusal.value.reason


def test_a_normals_standard_deviation_and_an_isotropic_one():
    z = np.random.default_rng(0).standard_normal((5, 2)).astype("float32")
    normal = Normal((4, 3), log_var_range=(-1.5, 1.0))
    decoder = with_weights(conv_decoder(2, (4, 3), normal.params_size, (4,)))
    ours = NumpyDecoder.from_keras(decoder, (4, 3), normal_mean, log_var_of(normal))
    assert ours.log_var == (-1.5, 1.0)
    expected = np.exp(keras.ops.convert_to_numpy(normal.split(decoder(z))[1]) / 2).reshape(5, 4, 3)
    np.testing.assert_allclose(ours.std(z), expected, rtol=1e-5)
    assert np.ptp(expected) > 0.1

    isotropic = IsotropicNormal((4, 3))
    isotropic.log_var.assign(-2.0)
    assert mean_of(isotropic) is identity_mean and log_var_of(isotropic) == -2.0
    decoder = with_weights(conv_decoder(2, (4, 3), isotropic.params_size, (4,)))
    ours = NumpyDecoder.from_keras(decoder, (4, 3), identity_mean, log_var_of(isotropic))
    np.testing.assert_allclose(ours.std(z), np.full((5, 4, 3), np.exp(-1.0)), rtol=1e-6)

    assert log_var_of(Bernoulli((4, 3))) is None
    with pytest.raises(ValueError, match="no variance of its own"):
        NumpyDecoder.from_keras(decoder, (4, 3)).std(z)
