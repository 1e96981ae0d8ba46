"""Encoder and decoder networks: ordinary Keras models from a tensor to a row of parameters.

Any Keras model with the same input and output shapes can stand in their place.
"""

import math
from collections.abc import Callable, Sequence

import keras
from keras import layers

from vaelib.checks import data_shape as checked_shape
from vaelib.checks import positive_float, positive_int, sizes

Sizes = int | Sequence[int]
Activation = str | Callable | None


def dense_encoder(
    data_shape: Sizes,
    params_size: int,
    hidden_units: Sizes = (200,),
    activation: Activation = "relu",
    name: str = "encoder",
) -> keras.Model:
    """Build a fully connected encoder.

    Args:
        data_shape: shape of one example, for example (28, 28).
        params_size: numbers per example that the posterior needs, `posterior.params_size`.
        hidden_units: widths of the hidden layers; none at all makes the encoder linear.
        activation: activation of the hidden layers.
        name: name of the model.

    Returns:
        A keras.Model from (batch, *data_shape) to (batch, params_size).

    Raises:
        ValueError: a size is not a positive integer.
    """
    inputs = keras.Input(checked_shape("data_shape", data_shape), name="x")
    h = layers.Flatten()(inputs)
    h = _hidden(h, hidden_units, activation)
    outputs = layers.Dense(positive_int("params_size", params_size), name="posterior_params")(h)
    return keras.Model(inputs, outputs, name=name)


def dense_decoder(
    latent_dim: int,
    params_size: int,
    hidden_units: Sizes = (200,),
    activation: Activation = "relu",
    name: str = "decoder",
    spread: float | None = None,
) -> keras.Model:
    """Build a fully connected decoder.

    Args:
        latent_dim: number of latent dimensions.
        params_size: numbers per example that the likelihood needs, `likelihood.params_size`.
        hidden_units: widths of the hidden layers; none at all makes the decoder linear.
        activation: activation of the hidden layers.
        name: name of the model.
        spread: how far from z = 0 the units of the first hidden layer bend at first, see `spread_over_codes`; None
            takes Keras's first weights, with which all of them bend at 0.

    Returns:
        A keras.Model from (batch, latent_dim) to (batch, params_size).

    Raises:
        ValueError: a size is not a positive integer, spread is not above 0, or there is no hidden layer to spread.
    """
    inputs = keras.Input((positive_int("latent_dim", latent_dim),), name="z")
    first = spread_over_codes(latent_dim, spread)
    if first and not sizes("hidden_units", hidden_units):
        raise ValueError(f"spread must be None where hidden_units is empty, for no unit bends; received {spread!r}.")
    h = _hidden(inputs, hidden_units, activation, first)
    outputs = layers.Dense(positive_int("params_size", params_size), name="likelihood_params")(h)
    return keras.Model(inputs, outputs, name=name)


def conv_encoder(
    data_shape: Sizes,
    params_size: int,
    filters: Sizes = (16, 32),
    activation: Activation = "relu",
    name: str = "encoder",
) -> keras.Model:
    """Build a convolutional encoder; each convolution halves the height and the width.

    Args:
        data_shape: shape of one example, (height, width) or (height, width, channels).
        params_size: numbers per example that the posterior needs, `posterior.params_size`.
        filters: number of filters of each convolution.
        activation: activation after each convolution.
        name: name of the model.

    Returns:
        A keras.Model from (batch, *data_shape) to (batch, params_size).

    Raises:
        ValueError: data_shape is not that of an image, or a size is not a positive integer.
    """
    image_shape = _image_shape(data_shape)
    inputs = keras.Input(checked_shape("data_shape", data_shape), name="x")
    h = layers.Reshape(image_shape)(inputs)
    for count in sizes("filters", filters):
        h = layers.Conv2D(count, 3, 2, padding="same", activation=activation)(h)
    h = layers.Flatten()(h)
    outputs = layers.Dense(positive_int("params_size", params_size), name="posterior_params")(h)
    return keras.Model(inputs, outputs, name=name)


def conv_decoder(
    latent_dim: int,
    data_shape: Sizes,
    params_size: int,
    filters: Sizes = (32, 16),
    activation: Activation = "relu",
    name: str = "decoder",
    spread: float | None = None,
) -> keras.Model:
    """Build a convolutional decoder; each transposed convolution doubles the height and the width.

    Args:
        latent_dim: number of latent dimensions.
        data_shape: shape of one example, (height, width) or (height, width, channels).
        params_size: numbers per example that the likelihood needs, `likelihood.params_size`.
        filters: number of filters of each transposed convolution.
        activation: activation of the hidden layers.
        name: name of the model.
        spread: how far from z = 0 the units of the first layer bend at first, see `spread_over_codes`; None takes
            Keras's first weights, with which all of them bend at 0.

    Returns:
        A keras.Model from (batch, latent_dim) to (batch, params_size).

    Raises:
        ValueError: data_shape is not that of an image, params_size is no multiple of its number of values, a size is
            not a positive integer, or spread is not above 0.
    """
    height, width, channels = _image_shape(data_shape)
    maps, rest = divmod(positive_int("params_size", params_size), height * width * channels)
    if rest:
        raise ValueError(
            f"params_size must be a multiple of the {height * width * channels} values of data_shape "
            f"{checked_shape('data_shape', data_shape)}; received {params_size}. Pass likelihood.params_size."
        )
    counts = checked_shape("filters", filters)
    scale = 2 ** len(counts)
    low_height, low_width = math.ceil(height / scale), math.ceil(width / scale)
    inputs = keras.Input((positive_int("latent_dim", latent_dim),), name="z")
    first = spread_over_codes(latent_dim, spread)
    h = layers.Dense(low_height * low_width * counts[0], activation=activation, **first)(inputs)
    h = layers.Reshape((low_height, low_width, counts[0]))(h)
    for count in counts:
        h = layers.Conv2DTranspose(count, 3, 2, padding="same", activation=activation)(h)
    h = layers.Conv2D(maps * channels, 3, padding="same", name="likelihood_maps")(h)
    # Sizes that the doublings overshoot are cut back to the image's.
    h = layers.Cropping2D(((0, low_height * scale - height), (0, low_width * scale - width)))(h)
    # The likelihood reads one kind of parameter after the other: all means, then all log-variances.
    h = layers.Reshape((height, width, maps, channels))(h)
    h = layers.Permute((3, 1, 2, 4))(h)
    outputs = layers.Flatten(name="likelihood_params")(h)
    return keras.Model(inputs, outputs, name=name)


def spread_over_codes(latent_dim: int, spread: float | None = 1.0) -> dict[str, keras.Initializer]:
    """Return what a Dense layer that reads z takes so that its units bend where the codes are.

    A unit w . z + b of a ReLU network bends along the plane where it is 0. Keras starts biases at 0, and all these
    planes go through z = 0. Here w . z for a code of the prior N(0, I) and b are both normal with standard deviation
    `spread`, so that the planes lie all over the codes.

    Args:
        latent_dim: number of latent dimensions.
        spread: standard deviation of w . z, and of b; None leaves the layer as it is.

    Returns:
        Keyword arguments of keras.layers.Dense.

    Raises:
        ValueError: spread is not above 0.
    """
    if spread is None:
        return {}
    spread = positive_float("spread", spread)
    normal = keras.initializers.RandomNormal
    # Two of them: one initialiser would give the bias the numbers that the kernel begins with.
    return {"kernel_initializer": normal(0.0, spread / math.sqrt(latent_dim)), "bias_initializer": normal(0.0, spread)}


def _hidden(h, hidden_units, activation, first=()):
    """Stack dense layers on h; the first of them takes further keyword arguments."""
    for units in sizes("hidden_units", hidden_units):
        h = layers.Dense(units, activation=activation, **dict(first))(h)
        first = ()
    return h


def _image_shape(data_shape):
    shape = checked_shape("data_shape", data_shape)
    if len(shape) not in (2, 3):
        raise ValueError(
            f"data_shape must be (height, width) or (height, width, channels) for a convolution; received {shape}."
        )
    return shape if len(shape) == 3 else (*shape, 1)
