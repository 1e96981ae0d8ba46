"""What the widgets that run in the browser share: their module in one piece, networks as bytes, checks of codes."""

import pathlib

import numpy as np
import traitlets

from vaelib.pretrained.networks import (
    ACTIVATIONS,
    NumpyDecoder,
    UnsupportedDecoderError,
    bernoulli_mean,
    normal_mean,
)

# Ten standard deviations of the prior: no code that means anything lies outside, so a number beyond is a mistake.
LIMIT = 10.0
# What a page should carry: 4 million weights are 16 MB, and a page of the course holds several pads.
MAX_WEIGHTS = 4_000_000


def read_together(*names):
    """Return the files of this folder as one text: a widget's module cannot import its neighbours."""
    return "\n".join((pathlib.Path(__file__).parent / "js" / name).read_text("utf-8") for name in names)


class Code(traitlets.TraitType):
    """A latent code: one finite number per latent dimension, kept as a tuple of floats."""

    default_value = ()

    def validate(self, pad, value):
        return checked_code(value, len(pad.names), self.name)


def checked_code(value, latent_dim, name):
    """Return a code as a tuple of floats, or raise a TraitError that names it."""
    try:
        code = np.asarray(value, float)
    except (TypeError, ValueError):
        raise traitlets.TraitError(f"{name} must hold {latent_dim} numbers; received {value!r}.") from None
    if code.shape != (latent_dim,):
        raise traitlets.TraitError(
            f"{name} must hold {latent_dim} numbers, one per latent dimension; received shape {code.shape}."
        )
    if not np.isfinite(code).all():
        raise traitlets.TraitError(f"{name} must be finite; received {code.tolist()}.")
    if np.abs(code).max() > LIMIT:
        raise traitlets.TraitError(
            f"{name} must lie within [-{LIMIT:g}, {LIMIT:g}] (standard deviations of the prior); "
            f"received {code.tolist()}."
        )
    return tuple(code.tolist())


def check_view(dtype, reach):
    """Raise ValueError unless weights can travel as dtype and a plane can reach that far."""
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16'; received {dtype!r}.")
    if not 0 < reach <= LIMIT:
        raise ValueError(f"reach must lie above 0 and at most at {LIMIT:g}; received {reach!r}.")


def checked_shown(shown, latent_dim):
    """Return the dimensions that a plane shows: two different ones, or the only one."""
    if latent_dim == 1:
        return [0]
    shown = list(shown)
    if len(shown) != 2 or len(set(shown)) != 2 or not all(i in range(latent_dim) for i in shown):
        raise ValueError(f"shown must be two different dimensions from 0 to {latent_dim - 1}; received {shown}.")
    return [int(i) for i in shown]


def checked_points(points, labels, latent_dim, shown):
    """Return the shown coordinates as float32 bytes, one class index per point as bytes, and the classes' names."""
    if points is None:
        if labels is not None:
            raise ValueError("labels colour the points; received labels without points.")
        return b"", b"", []
    points = np.asarray(points, "float32")
    if points.ndim != 2 or points.shape[1] != latent_dim:
        raise ValueError(f"points must have shape (n, {latent_dim}); received {points.shape}.")
    if not np.isfinite(points).all():
        raise ValueError("points must be finite; received NaN or infinity.")
    classes, class_names = np.zeros(len(points), "uint8"), []
    if labels is not None:
        if np.shape(labels) != (len(points),):
            raise ValueError(f"labels must have shape ({len(points)},), one per point; received {np.shape(labels)}.")
        values, classes = np.unique(labels, return_inverse=True)
        if len(values) > 256:
            raise ValueError(f"labels must hold at most 256 classes; received {len(values)}.")
        class_names = [str(value) for value in values]
    return points[:, shown].tobytes(), classes.astype("uint8").tobytes(), class_names


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
