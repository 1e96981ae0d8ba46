"""LatentPad: a latent plane to drag on, its decoder running in the browser; with or without a kernel."""

import pathlib

import anywidget
import numpy as np
import traitlets

from vaelib.checks import positive_int
from vaelib.explore.frames import (
    ACTIVATIONS,
    NumpyDecoder,
    UnsupportedDecoderError,
    as_uint8,
    bernoulli_mean,
    normal_mean,
)
from vaelib.explore.sliders import _checked_names, _decode_function
from vaelib.plots import CLASS_COLOURS, COLOURS

# Ten standard deviations of the prior: no code that means anything lies outside, so a number beyond is a mistake.
LIMIT = 10.0
# What a page should carry: 4 million weights are 16 MB, and a page of the course holds several pads.
MAX_WEIGHTS = 4_000_000


class Code(traitlets.TraitType):
    """A latent code: one finite number per latent dimension, kept as a tuple of floats."""

    default_value = ()

    def validate(self, pad, value):
        return _checked_code(value, len(pad.names), self.name)


class Codes(traitlets.TraitType):
    """Several latent codes, kept as a tuple of tuples."""

    default_value = ()

    def validate(self, pad, values):
        if not np.iterable(values):
            raise traitlets.TraitError(f"{self.name} must be a list of codes; received {values!r}.")
        return tuple(_checked_code(value, len(pad.names), f"{self.name}[{i}]") for i, value in enumerate(values))


class LatentPad(anywidget.AnyWidget):
    """A pad over the latent plane, the decoded image beside it, and a slider for each latent dimension.

    The weights travel to the browser once, and the browser decodes. What it cannot run (a convolution, a function of
    yours) the kernel decodes, and the pad says so.

    Args:
        decode: a VAE, a NumpyDecoder, or a function from codes (n, latent_dim) to images (n, height, width),
            optionally with a last axis of 1 or 3 channels, pixels in [0, 1].
        names: one name per latent dimension; z1, z2, ... by default.
        z: the code to start from, shape (latent_dim,); the prior's mean by default.
        latent_dim: number of latent dimensions; a VAE and a NumpyDecoder know theirs.
        points: codes of data points to draw under the pad, shape (n, latent_dim).
        labels: classes of these points, shape (n,), for their colours.
        shown: the two dimensions that the pad shows (one, where the latent space has one); the sliders move all.
        reach: half the width of the pad, in standard deviations of the prior.
        scale: screen pixels per pixel of the image.
        smooth: enlarge the image smoothly; otherwise each pixel is a square.
        dtype: "float32", or "float16" for half the bytes.
        alt: what the image shows, in words.

    Attributes:
        z: the code shown, a tuple of latent_dim floats; set it, or `observe` it.
        marks: the marked codes that the walk visits, a tuple of such tuples.
        runs_in_browser: False when the kernel decodes.

    Raises:
        ValueError: an argument does not match the latent dimension, or a weight or a point is not finite.
        traitlets.TraitError: z or a mark, here or later, does not have one number within [-10, 10] per dimension.
    """

    _esm = pathlib.Path(__file__).with_suffix(".js")
    _css = pathlib.Path(__file__).with_suffix(".css")

    # What the browser needs once, and nobody changes afterwards.
    names = traitlets.Tuple(read_only=True).tag(sync=True)
    spec = traitlets.Dict(read_only=True).tag(sync=True)
    weights = traitlets.Bytes(read_only=True).tag(sync=True)
    points = traitlets.Bytes(read_only=True).tag(sync=True)
    classes = traitlets.Bytes(read_only=True).tag(sync=True)
    still = traitlets.Bytes(read_only=True).tag(sync=True)
    # What moves, in both directions.
    z = Code().tag(sync=True)
    marks = Codes().tag(sync=True)

    def __init__(
        self, decode, names=None, z=None, latent_dim=None, points=None, labels=None, shown=(0, 1), reach=3.5,
        scale=10, smooth=True, dtype="float32", alt="The decoded image.",
    ):  # fmt: skip
        self.decode, known_dim = _decode_function(decode)
        if latent_dim is None and known_dim is None:
            raise ValueError("latent_dim must be given when decode is a plain function; received None.")
        latent_dim = positive_int("latent_dim", latent_dim if latent_dim is not None else known_dim)
        if known_dim is not None and known_dim != latent_dim:
            raise ValueError(f"latent_dim must be {known_dim}, the decoder's; received {latent_dim}.")
        if dtype not in ("float32", "float16"):
            raise ValueError(f"dtype must be 'float32' or 'float16'; received {dtype!r}.")
        if not 0 < reach <= LIMIT:
            raise ValueError(f"reach must lie above 0 and at most at {LIMIT:g}; received {reach!r}.")
        shown = _checked_shown(shown, latent_dim)
        points, classes, class_names = _checked_points(points, labels, latent_dim, shown)
        self.set_trait("names", tuple(_checked_names(names, latent_dim, latent_dim, False)))
        self.z = np.zeros(latent_dim) if z is None else z
        try:
            layers, weights = _layers(self.decode, latent_dim, dtype)
        except UnsupportedDecoderError:
            layers, weights = None, b""
        self.runs_in_browser = layers is not None
        image = self.image()
        self.set_trait("weights", weights)
        # The first picture, for a page without a kernel; where the browser decodes, it is not needed.
        self.set_trait("still", b"" if self.runs_in_browser else image.tobytes())
        self.set_trait("points", points)
        self.set_trait("classes", classes)
        colours = CLASS_COLOURS if labels is not None else [COLOURS["blue"]]
        self.set_trait(
            "spec",
            {
                "layers": layers,
                "dtype": dtype,
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": 1 if image.ndim == 2 else 3,
                "shown": shown,
                "reach": float(reach),
                "limit": LIMIT,
                "scale": positive_int("scale", scale),
                "smooth": bool(smooth),
                "alt": str(alt),
                "colours": list(colours),
                "class_names": class_names,
            },
        )
        super().__init__()
        self.on_msg(self._answer)

    def image(self, z=None):
        """Return the decoded image, uint8 of shape (height, width) or (height, width, 3); at the pad's z by default."""
        z = self.z if z is None else _checked_code(z, len(self.names), "z")
        images = np.asarray(self.decode(np.array([z], "float32")))
        if images.ndim not in (3, 4) or len(images) != 1:
            raise ValueError(
                f"decode must turn a code of shape (1, {len(self.names)}) into an image of shape (1, height, width) or "
                f"(1, height, width, channels); it gave {images.shape}."
            )
        return as_uint8(images[0])

    def _answer(self, widget, content, buffers):
        """Decode for a browser that cannot; an error is shown there as well, for a kernel's log is easily missed."""
        if content.get("kind") != "decode":
            return
        try:
            image = self.image(content.get("z"))
        except Exception as error:
            self.send({"kind": "error", "id": content.get("id"), "text": f"{type(error).__name__}: {error}"})
            raise
        self.send({"kind": "image", "id": content.get("id")}, buffers=[image.tobytes()])


def _checked_code(value, latent_dim, name):
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


def _checked_shown(shown, latent_dim):
    if latent_dim == 1:
        return [0]
    shown = list(shown)
    if len(shown) != 2 or len(set(shown)) != 2 or not all(i in range(latent_dim) for i in shown):
        raise ValueError(f"shown must be two different dimensions from 0 to {latent_dim - 1}; received {shown}.")
    return [int(i) for i in shown]


def _checked_points(points, labels, latent_dim, shown):
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


def _layers(decoder, latent_dim, dtype):
    """Return the decoder's layers for the browser, and their weights as bytes in the same order.

    A step of a NumpyDecoder is an activation, or an affine map of the flattened input, which the unit vectors reveal
    (a Reshape turns out to be the identity and is left out). A comparison at random codes shows whether that is so.

    Raises:
        UnsupportedDecoderError: the browser cannot run this decoder.
        ValueError: a weight is not finite, or too large for dtype.
    """
    if not isinstance(decoder, NumpyDecoder) or decoder.mean not in (bernoulli_mean, normal_mean):
        raise UnsupportedDecoderError("decode must be a dense decoder with the mean of a Bernoulli or a Normal.")
    name_of = {function: name for name, function in ACTIVATIONS.items()}
    layers, arrays, shape, num_weights = [], [], (latent_dim,), 0
    for step in decoder.steps:
        if step in name_of:
            if name_of[step] != "linear":
                layers.append({"activation": name_of[step]})
            continue
        size = int(np.prod(shape))
        bias = np.asarray(step(np.zeros((1, *shape))))
        num_weights += (size + 1) * bias.size
        if num_weights > MAX_WEIGHTS:
            raise UnsupportedDecoderError(f"the decoder has more than {MAX_WEIGHTS} weights.")
        kernel = np.asarray(step(np.eye(size).reshape(size, *shape))).reshape(size, -1) - bias.reshape(1, -1)
        shape = bias.shape[1:]
        if not np.isfinite(kernel).all() or not np.isfinite(bias).all():
            raise ValueError("the decoder's weights must be finite; they hold NaN or infinity. Train it again.")
        if np.array_equal(kernel, np.eye(size)) and not bias.any():
            continue
        layers.append({"inputs": size, "outputs": bias.size})
        arrays += [kernel.ravel(), bias.ravel()]
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is named below
        weights = np.concatenate([np.zeros(0), *arrays]).astype(dtype)
    if not np.isfinite(weights).all():
        raise ValueError(f"a weight of the decoder is too large for {dtype}. Pass dtype='float32'.")
    z = np.random.default_rng(0).standard_normal((4, latent_dim)).astype("float32")
    expected = decoder.params(z).reshape(4, -1)
    if not np.allclose(_forward(layers, np.concatenate([np.zeros(0), *arrays]), z), expected, rtol=1e-3, atol=1e-3):
        raise UnsupportedDecoderError("a step of the decoder is neither affine nor a known activation.")
    return layers, weights.tobytes()


def _forward(layers, weights, z):
    """Return what the browser computes, shape (n, params_size), from layers and their weights in one array."""
    h, offset = np.asarray(z, "float64"), 0
    for layer in layers:
        if "activation" in layer:
            h = ACTIVATIONS[layer["activation"]](h)
            continue
        size = layer["inputs"] * layer["outputs"]
        kernel = weights[offset : offset + size].reshape(layer["inputs"], layer["outputs"])
        h = h @ kernel + weights[offset + size : offset + size + layer["outputs"]]
        offset += size + layer["outputs"]
    return h
