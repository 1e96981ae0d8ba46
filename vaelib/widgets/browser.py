"""For the browser: a widget's module in one piece, and networks as layers with their weights as bytes."""

import pathlib

import numpy as np

from vaelib.pretrained.networks import (
    ACTIVATIONS,
    NumpyDecoder,
    UnsupportedDecoderError,
    bernoulli_mean,
    normal_mean,
)

# What a page should carry: 4 million weights are 16 MB, and a page of the course holds several pads.
MAX_WEIGHTS = 4_000_000


def read_together(*names):
    """Return the files of this folder as one text: a widget's module cannot import its neighbours."""
    return "\n".join((pathlib.Path(__file__).parent / "js" / name).read_text("utf-8") for name in names)


def decoder_layers(decoder, latent_dim, dtype):
    """Return a decoder's layers for the browser, and their weights as bytes in the same order.

    Raises:
        UnsupportedDecoderError: the browser cannot run this decoder.
        ValueError: a weight is not finite, or too large for dtype.
    """
    if not isinstance(decoder, NumpyDecoder) or decoder.mean not in (bernoulli_mean, normal_mean):
        raise UnsupportedDecoderError("decode must be a dense decoder with the mean of a Bernoulli or a Normal.")
    return network_layers(decoder, (latent_dim,), dtype, "decoder")


def network_layers(network, shape, dtype, what):
    """Return the layers of a NumpyDecoder or NumpyEncoder for the browser, and their weights as bytes in their order.

    A step is an activation, or an affine map of the flattened input, which the unit vectors reveal (a Reshape turns
    out to be the identity and is left out). A comparison at random inputs shows whether that is so.

    Args:
        network: has `steps` and `params`.
        shape: shape of one input.
        dtype: "float32" or "float16".
        what: the network's name in an error.

    Raises: as `decoder_layers`.
    """
    name_of = {function: name for name, function in ACTIVATIONS.items()}
    inputs = np.random.default_rng(0).standard_normal((4, *shape)).astype("float32")
    layers, arrays, num_weights = [], [], 0
    for step in network.steps:
        if step in name_of:
            if name_of[step] != "linear":
                layers.append({"activation": name_of[step]})
            continue
        size = int(np.prod(shape))
        bias = np.asarray(step(np.zeros((1, *shape))))
        num_weights += (size + 1) * bias.size
        if num_weights > MAX_WEIGHTS:
            raise UnsupportedDecoderError(f"the {what} has more than {MAX_WEIGHTS} weights.")
        kernel = np.asarray(step(np.eye(size).reshape(size, *shape))).reshape(size, -1) - bias.reshape(1, -1)
        shape = bias.shape[1:]
        if not np.isfinite(kernel).all() or not np.isfinite(bias).all():
            raise ValueError(f"the {what}'s weights must be finite; they hold NaN or infinity. Train it again.")
        if np.array_equal(kernel, np.eye(size)) and not bias.any():
            continue
        layers.append({"inputs": size, "outputs": bias.size})
        arrays += [kernel.ravel(), bias.ravel()]
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is named below
        weights = np.concatenate([np.zeros(0), *arrays]).astype(dtype)
    if not np.isfinite(weights).all():
        raise ValueError(f"a weight of the {what} is too large for {dtype}. Pass dtype='float32'.")
    expected = network.params(inputs).reshape(4, -1)
    if not np.allclose(
        _forward(layers, np.concatenate([np.zeros(0), *arrays]), inputs), expected, rtol=1e-3, atol=1e-3
    ):
        raise UnsupportedDecoderError(f"a step of the {what} is neither affine nor a known activation.")
    return layers, weights.tobytes()


def _forward(layers, weights, inputs):
    """Return what the browser computes, shape (n, params_size), from layers and their weights in one array."""
    h, offset = np.asarray(inputs, "float64").reshape(len(inputs), -1), 0
    for layer in layers:
        if "activation" in layer:
            h = ACTIVATIONS[layer["activation"]](h)
            continue
        size = layer["inputs"] * layer["outputs"]
        kernel = weights[offset : offset + size].reshape(layer["inputs"], layer["outputs"])
        h = h @ kernel + weights[offset + size : offset + size + layer["outputs"]]
        offset += size + layer["outputs"]
    return h
