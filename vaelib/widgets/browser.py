"""For the browser: networks as layers with their weights as bytes."""

import numpy as np

from vaelib.pretrained.convolutions import Convolution
from vaelib.pretrained.networks import ACTIVATIONS, MEANS, NumpyDecoder, UnsupportedDecoderError

# What a page should carry: 4 million weights are 16 MB, and a page of the course holds several pads.
MAX_WEIGHTS = 4_000_000


def decoder_layers(decoder, latent_dim, dtype):
    """Return a decoder's layers for the browser, and their weights as bytes in the same order.

    Raises:
        UnsupportedDecoderError: the browser cannot run this decoder; its `reason` says why.
        ValueError: a weight is not finite, or too large for dtype.
    """
    if not isinstance(decoder, NumpyDecoder):
        raise UnsupportedDecoderError(
            getattr(decoder, "reason", "decode is a function, and the browser runs networks alone.")
        )
    if decoder.mean not in MEANS.values():
        raise UnsupportedDecoderError("the mean of its likelihood is none that the browser knows.")
    return network_layers(decoder, (latent_dim,), dtype, "decoder")


def network_layers(network, shape, dtype, what):
    """Return the layers of a NumpyDecoder or NumpyEncoder for the browser, and their weights as bytes in their order.

    A step is an activation, a Convolution, a move of values (Reshape, Permute, Cropping2D, UpSampling2D, ...), which
    shows in what it does to the numbers 1, 2, 3, ..., or an affine map of the flattened input, which the unit vectors
    reveal. A comparison at random inputs shows whether that is so.

    Args:
        network: has `steps` and `params`.
        shape: shape of one input.
        dtype: "float32" or "float16".
        what: the network's name in an error.

    Raises: as `decoder_layers`.
    """
    _check_size(network.steps, shape, what)
    layers, arrays, inputs_shape = [], [], shape
    for step in network.steps:
        layer, weights, shape = _layer_of(step, shape, what)
        layers += [layer] if layer else []
        arrays += weights
    numbers = np.concatenate([np.zeros(0), *(array.ravel() for array in arrays)])
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is named below
        weights = numbers.astype(dtype)
    if not np.isfinite(weights).all():
        raise ValueError(f"a weight of the {what} is too large for {dtype}. Pass dtype='float32'.")
    inputs = np.random.default_rng(0).standard_normal((4, *inputs_shape)).astype("float32")
    expected = network.params(inputs).reshape(4, -1)
    if not np.allclose(_forward(layers, numbers, inputs), expected, rtol=1e-3, atol=1e-3):
        raise UnsupportedDecoderError(f"a step of the {what} is neither affine nor a known activation.")
    return layers, weights.tobytes()


def _check_size(steps, shape, what):
    """Raise UnsupportedDecoderError, with the size, where the weights are too many to travel; makes no large array."""
    count = 0
    for step in steps:
        size, out = int(np.prod(shape)), np.asarray(step(np.zeros((1, *shape), "float32")))
        if isinstance(step, Convolution):
            count += step.num_weights
        elif step not in ACTIVATIONS.values() and not _is_move(step, shape):
            count += (size + 1) * out.size
        shape = out.shape[1:]
    if count > MAX_WEIGHTS:
        raise UnsupportedDecoderError(
            f"the {what} has {count:,} weights, {4 * count / 1e6:.1f} MB; at most {MAX_WEIGHTS:,}, "
            f"{4 * MAX_WEIGHTS / 1e6:.0f} MB, travel to the browser."
        )


def _layer_of(step, shape, what):
    """Return one step as a layer for the browser (None for one that changes nothing), its weights, and its output's
    shape."""
    name = next((name for name, function in ACTIVATIONS.items() if function is step), None)
    if name is not None:
        return (None if name == "linear" else {"activation": name}), [], shape
    out_shape = np.asarray(step(np.zeros((1, *shape), "float32"))).shape[1:]
    if isinstance(step, Convolution):
        weights = [step.kernel, step.bias]
        layer = {
            "convolution": "transposed" if step.transpose else "plain",
            "input": list(shape),
            "output": list(out_shape),
            "kernel": list(step.kernel.shape[:2]),
            "strides": list(step.strides),
            "before": list(tuple(step.geometry(shape[:2]))[1]),
        }
    elif _is_move(step, shape):
        places = _places(step, shape).astype(int)
        same = np.array_equal(places, np.arange(1, int(np.prod(shape)) + 1))
        return (None if same else {"places": places.tolist()}), [], out_shape
    else:
        size = int(np.prod(shape))
        bias = np.asarray(step(np.zeros((1, *shape)))).ravel()
        weights = [np.asarray(step(np.eye(size).reshape(size, *shape))).reshape(size, -1) - bias, bias]
        layer = {"inputs": size, "outputs": bias.size}
    if not all(np.isfinite(array).all() for array in weights):
        raise ValueError(f"the {what}'s weights must be finite; they hold NaN or infinity. Train it again.")
    return layer, weights, out_shape


def _places(step, shape):
    """Return what the step makes of the numbers 1, 2, 3, ...: for each output the place of its input, 0 for a zero."""
    numbers = np.arange(1, int(np.prod(shape)) + 1, dtype="float64").reshape(1, *shape)
    return np.asarray(step(numbers)).ravel()


def _is_move(step, shape):
    """Return whether a step only moves, repeats, drops values, or puts zeros between them."""
    places = _places(step, shape)
    size = int(np.prod(shape))
    if not (
        np.isfinite(places).all()
        and (places == np.round(places)).all()
        and (0 <= places).all()
        and (places <= size).all()
    ):
        return False
    inputs = np.random.default_rng(0).standard_normal((2, *shape))
    return np.array_equal(_moved(inputs.reshape(2, -1), places.astype(int)), np.asarray(step(inputs)).reshape(2, -1))


def _moved(h, places):
    return np.concatenate([np.zeros((len(h), 1), h.dtype), h], axis=1)[:, places]


def _forward(layers, weights, inputs):
    """Return what the browser computes, shape (n, params_size), from layers and their weights in one array."""
    h, offset = np.asarray(inputs, "float64").reshape(len(inputs), -1), 0

    def take(*shape):
        nonlocal offset
        offset += int(np.prod(shape))
        return weights[offset - int(np.prod(shape)) : offset].reshape(shape)

    for layer in layers:
        if "activation" in layer:
            h = ACTIVATIONS[layer["activation"]](h)
        elif "places" in layer:
            h = _moved(h, np.array(layer["places"], int))
        elif "convolution" in layer:
            # Padding in front as written: this finds a wrong one, which a Convolution made anew would not.
            h = _convolved(layer, take(*layer["kernel"], layer["input"][2], layer["output"][2]), h)
            h = (h + take(layer["output"][2])).reshape(len(h), -1)
        else:
            h = h @ take(layer["inputs"], layer["outputs"]) + take(layer["outputs"])
    return h


def _convolved(layer, kernel, h):
    """Return a convolution without its bias, one input pixel and one place of the kernel after the other."""
    (height, width, _), (tall, wide, _) = layer["input"], layer["output"]
    (down, across), (top, left) = layer["strides"], layer["before"]
    h, transposed = h.reshape(len(h), *layer["input"]), layer["convolution"] == "transposed"
    out = np.zeros((len(h), *layer["output"]))
    for i, j, a, b in np.ndindex(*((height, width) if transposed else (tall, wide)), *layer["kernel"]):
        y, x = down * i + a - top, across * j + b - left
        if transposed and 0 <= y < tall and 0 <= x < wide:
            out[:, y, x] += h[:, i, j] @ kernel[a, b]
        elif not transposed and 0 <= y < height and 0 <= x < width:
            out[:, i, j] += h[:, y, x] @ kernel[a, b]
    return out
