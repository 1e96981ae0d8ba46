"""Networks: tensors in, rows of parameters out, in the order that the likelihood reads them."""

import keras
import numpy as np
import pytest

from vaelib.model.likelihoods import Normal
from vaelib.model.networks import conv_decoder, conv_encoder, dense_decoder, dense_encoder


@pytest.mark.parametrize("shape", [(28, 28), (28, 20), (7, 5), (5, 6, 3), (1, 1)])
def test_every_image_size_fits(shape):
    size = int(np.prod(shape))
    for encoder in (dense_encoder(shape, 4, (3,)), conv_encoder(shape, 4, (3, 2))):
        assert encoder.input_shape == (None, *shape) and encoder.output_shape == (None, 4)
        assert encoder(np.zeros((2, *shape), "float32")).shape == (2, 4)
    for decoder in (dense_decoder(2, 2 * size, (3,)), conv_decoder(2, shape, 2 * size, (3, 2))):
        assert decoder.input_shape == (None, 2) and decoder.output_shape == (None, 2 * size)
        assert decoder(np.zeros((2, 2), "float32")).shape == (2, 2 * size)


def test_the_dense_network_is_the_matrix_product(perturb):
    rng = np.random.default_rng(0)
    encoder = perturb(dense_encoder((3, 2), 4, (5,)))
    w1, b1, w2, b2 = encoder.get_weights()
    x = rng.normal(size=(7, 3, 2)).astype("float32")
    expected = np.maximum(x.reshape(7, 6) @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(encoder(x), expected, rtol=1e-4, atol=1e-5)
    # The last layer is linear: a log-variance and a logit may have any sign.
    assert (expected < 0).any() and (expected > 0).any()


def test_without_hidden_layers_the_network_is_linear(perturb):
    decoder = perturb(dense_decoder(2, 6, ()))
    w, b = decoder.get_weights()
    z = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
    np.testing.assert_allclose(decoder(z), z @ w + b, rtol=1e-4, atol=1e-5)


def test_the_activation_and_the_widths_are_the_ones_asked_for():
    encoder = dense_encoder((4,), 2, (7, 5), activation="tanh")
    dense = [layer for layer in encoder.layers if hasattr(layer, "units")]
    assert [(layer.units, layer.activation.__name__) for layer in dense] == [(7, "tanh"), (5, "tanh"), (2, "linear")]
    assert encoder.count_params() == 4 * 7 + 7 + 7 * 5 + 5 + 5 * 2 + 2
    assert dense_decoder(2, 6, 9).count_params() == 2 * 9 + 9 + 9 * 6 + 6
    convolutions = [layer for layer in conv_decoder(2, (8, 8), 64, (6, 4)).layers if hasattr(layer, "filters")]
    assert [layer.filters for layer in convolutions] == [6, 4, 1]


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_the_convolutional_decoder_gives_all_means_then_all_log_variances(shape):
    p, channels = Normal(shape), shape[2] if len(shape) == 3 else 1
    decoder = conv_decoder(2, shape, p.params_size, (3,))
    last = decoder.get_layer("likelihood_maps")
    # Bias only: a picture of one known value per map and channel.
    bias = np.arange(2 * channels, dtype="float32") / 10
    last.set_weights([np.zeros_like(last.get_weights()[0]), bias])
    mean, log_var = p.split(decoder(np.zeros((1, 2), "float32")))
    expected_mean = np.broadcast_to(1 / (1 + np.exp(-bias[:channels])), (5, 4, channels))
    np.testing.assert_allclose(np.reshape(mean, (5, 4, channels)), expected_mean, rtol=1e-5)
    expected_log_var = np.broadcast_to(bias[channels:], (5, 4, channels))
    np.testing.assert_allclose(np.reshape(log_var, (5, 4, channels)), expected_log_var, rtol=1e-5)


def test_pixels_of_the_convolutional_decoder_keep_their_place(perturb):
    """The row of parameters, shaped as the data, is the picture that the last convolution drew, cut to size."""
    import keras

    decoder = perturb(conv_decoder(2, (5, 3), 15, (4,)))
    inner = keras.Model(decoder.input, decoder.get_layer("likelihood_maps").output)
    z = np.ones((2, 2), "float32")
    np.testing.assert_allclose(np.reshape(decoder(z), (2, 5, 3)), inner(z)[:, :5, :3, 0], rtol=1e-5)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: dense_encoder((28, 0), 4), r"data_shape\[1\] must be a whole number of at least 1; received 0"),
        (lambda: dense_encoder((28, 28), 0), "params_size must be a whole number of at least 1; received 0"),
        (lambda: dense_encoder((28, 28), 4, (200, -1)), r"hidden_units\[1\] .* received -1"),
        (lambda: dense_decoder(0, 4), "latent_dim must be a whole number of at least 1; received 0"),
        (lambda: dense_decoder(2, 4, 1.5), "hidden_units must be a whole number of at least 1; received 1.5"),
        (lambda: conv_encoder((784,), 4), r"data_shape must be \(height, width\) .* received \(784,\)"),
        (lambda: conv_encoder((8, 8), 4, (0,)), r"filters\[0\] .* received 0"),
        (lambda: conv_decoder(2, (784,), 784), "data_shape must be"),
        (lambda: conv_decoder(2, (8, 8), 65), r"params_size must be a multiple of the 64 values .* received 65"),
        (lambda: conv_decoder(2, (8, 8), 64, ()), "filters must hold at least one size"),
        (lambda: conv_decoder(2, (8, 8), 64, (4, 0)), r"filters\[1\] .* received 0"),
        (lambda: conv_decoder(-1, (8, 8), 64), "latent_dim must be"),
    ],
)
def test_bad_sizes_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("latent_dim", [2, 7])
def test_spread_lets_units_bend_all_over_the_codes(latent_dim):
    keras.utils.set_random_seed(0)
    decoder = dense_decoder(latent_dim, 6, (20_000,), spread=1.5)
    kernel, bias, *_ = decoder.get_weights()
    codes = np.random.default_rng(0).standard_normal((20_000, latent_dim))
    # Of 20,000 numbers: the error of a standard deviation is 1 in 200, that of a correlation as large.
    assert bias.std() == pytest.approx(1.5, rel=0.02)
    assert (codes * kernel.T).sum(axis=1).std() == pytest.approx(1.5, rel=0.02)
    assert max(abs(np.corrcoef(bias, row)[0, 1]) for row in kernel) < 0.03
    # Where |b| / |w| is the distance of the bend from 0: with Keras's first weights it is 0 for all.
    assert np.median(abs(bias) / np.linalg.norm(kernel, axis=0)) > 0.5
    assert not dense_decoder(latent_dim, 6, (20,)).get_weights()[1].any()


def test_spread_is_for_the_layer_that_reads_the_codes_alone():
    for decoder in (dense_decoder(2, 12, (30, 30), spread=1.0), conv_decoder(2, (4, 3), 12, (5, 4), spread=1.0)):
        _, bias, *others = decoder.get_weights()
        assert bias.any() and not any(other.any() for other in others[1::2])
        assert keras.models.clone_model(decoder).count_params() == decoder.count_params()
    with pytest.raises(ValueError, match="spread must be None where hidden_units is empty"):
        dense_decoder(2, 6, (), spread=1.0)
    with pytest.raises(ValueError, match="spread must be"):
        dense_decoder(2, 6, spread=0.0)
