"""DrawDigit: draw a digit, and see in the browser what the encoder and the decoder make of it; no kernel is needed."""

import numpy as np
import traitlets

from vaelib.pretrained.networks import NumpyDecoder, NumpyEncoder
from vaelib.widgets import bundles
from vaelib.widgets.browser import decoder_layers, network_layers
from vaelib.widgets.cells import replace_widgets_of_this_cell
from vaelib.widgets.plane import LatentPlane
from vaelib.widgets.strokes import RADIUS, SIDE, to_image


class Strokes(traitlets.TraitType):
    """A drawing: strokes of points (x, y) in [0, 1], y downwards, kept as nested tuples."""

    default_value = ()

    def validate(self, pad, strokes):
        try:
            arrays = [np.asarray(stroke, float) for stroke in strokes]
        except (TypeError, ValueError):
            raise traitlets.TraitError(f"{self.name} must be a list of lists of points (x, y).") from None
        for i, stroke in enumerate(arrays):
            if stroke.ndim != 2 or stroke.shape[1] != 2 or len(stroke) == 0:
                raise traitlets.TraitError(
                    f"{self.name}[{i}] must have shape (n, 2), one point (x, y) per row; received shape {stroke.shape}."
                )
            if not ((stroke >= 0) & (stroke <= 1)).all():
                raise traitlets.TraitError(
                    f"{self.name}[{i}] must lie within [0, 1]: x from the left, y from the top of the surface."
                )
        return tuple(tuple(map(tuple, stroke.tolist())) for stroke in arrays)


class Digit(traitlets.TraitType):
    """An image of 28 x 28 pixels in [0, 1], kept as a read-only float32 array in steps of 1/255, as MNIST's are."""

    def default(self, obj=None):
        return self.validate(obj, np.zeros((SIDE, SIDE)))

    def validate(self, pad, image):
        try:
            image = np.asarray(image, "float32")
        except (TypeError, ValueError):
            raise traitlets.TraitError(f"{self.name} must be an array of numbers.") from None
        if image.shape != (SIDE, SIDE):
            raise traitlets.TraitError(f"{self.name} must have shape ({SIDE}, {SIDE}); received {image.shape}.")
        if not ((image >= 0) & (image <= 1)).all():
            raise traitlets.TraitError(
                f"{self.name} must hold pixels in [0, 1]; received values from {image.min():g} to {image.max():g}. "
                "Divide by 255?"
            )
        image = _levels(image).astype("float32") / np.float32(255)
        image.flags.writeable = False
        return image


# Whole numbers travel: exact both ways, and a page without a kernel keeps them as plain JSON.
_DIGIT_JSON = {
    "to_json": lambda image, widget: _levels(image).ravel().tolist(),
    "from_json": lambda levels, widget: np.reshape(levels, (SIDE, SIDE)).astype("float32") / np.float32(255),
}


def _levels(image):
    return np.floor(255 * np.asarray(image, "float64") + 0.5).astype(int)


class DrawDigit(LatentPlane):
    """A surface to draw on; beside it the image that the encoder sees, its reconstruction, and q(z|x) on a plane.

    The browser does all of it: it centres and scales the drawing as MNIST is, encodes it and decodes the mean of q.

    Args:
        model: a VAE, or anything with a NumpyEncoder `encoder` and a NumpyDecoder `decoder`, such as
            `vaelib.pretrained.load()`. Images of 28 x 28 pixels, dense layers, a diagonal normal q(z|x).
        names: one name per latent dimension; z1, z2, ... by default.
        points: codes of data points to draw on the plane, shape (n, latent_dim).
        labels: classes of these points, shape (n,), for their colours.
        examples: images that the picker offers, shape (n, 28, 28), pixels in [0, 1]: the way without a pointer.
        example_names: one text per example; 0, 1, ... by default.
        shown: the two dimensions that the plane shows.
        reach: half the width of the plane, in standard deviations of the prior.
        dtype: "float32", or "float16" for half the bytes.

    Attributes:
        image: what the encoder sees, float32 of shape (28, 28); set it to show an image of yours.
        strokes: the drawing, a tuple of strokes, each a tuple of points (x, y) in [0, 1] with y downwards; set it to
            draw from Python.
        mu, log_var: of q(z|x), tuples of latent_dim floats; empty while nothing is drawn. `observe` them.

    Raises:
        ValueError: an argument does not match the model, a weight or a point is not finite, or a layer is one that
            the browser cannot run.
        traitlets.TraitError: an image or strokes, here or later, are not as described.
    """

    _esm = bundles.module("draw_digit")
    _css = bundles.style("draw_digit")

    # What the browser needs once, and nobody changes afterwards.
    encoder_weights = traitlets.Bytes(read_only=True).tag(sync=True)
    decoder_weights = traitlets.Bytes(read_only=True).tag(sync=True)
    examples = traitlets.Bytes(read_only=True).tag(sync=True)
    # What moves, in both directions.
    strokes = Strokes().tag(sync=True)
    image = Digit().tag(sync=True, **_DIGIT_JSON)
    mu = traitlets.Tuple().tag(sync=True)
    log_var = traitlets.Tuple().tag(sync=True)

    def __init__(
        self, model, names=None, points=None, labels=None, examples=None, example_names=None, shown=(0, 1),
        reach=3.5, dtype="float32",
    ):  # fmt: skip
        self.encoder, self.decoder = _networks(model)
        self._settled = False  # whether image, mu and log_var follow by themselves from what is being set
        latent_dim = self.encoder.latent_dim
        plane = self.set_plane(
            latent_dim, names=names, points=points, labels=labels, shown=shown, reach=reach, dtype=dtype
        )
        examples, example_names = _checked_examples(examples, example_names)
        encoder, encoder_weights = network_layers(self.encoder, (SIDE, SIDE), dtype, "encoder")
        decoder, decoder_weights = decoder_layers(self.decoder, latent_dim, dtype)
        self.set_trait("encoder_weights", encoder_weights)
        self.set_trait("decoder_weights", decoder_weights)
        self.set_trait("examples", examples)
        self.set_trait(
            "spec",
            {
                **plane,
                "encoder": encoder,
                "decoder": decoder,
                "radius": RADIUS,
                "example_names": example_names,
            },
        )
        super().__init__()
        replace_widgets_of_this_cell(self)

    def reconstruction(self):
        """Return what the decoder makes of the mean of q(z|x), shape (28, 28); black while nothing is drawn."""
        if not self.mu:
            return np.zeros((SIDE, SIDE), "float32")
        return self.decoder(np.array([self.mu], "float32"))[0]

    @traitlets.observe("strokes")
    def _follow_strokes(self, change):
        self._settle(lambda: self.set_trait("image", to_image(self.strokes)))

    @traitlets.observe("image")
    def _follow_image(self, change):
        self._settle(lambda: self.set_trait("strokes", ()))

    def _settle(self, action):
        """Bring image, strokes and q(z|x) in line after one of them was set in Python."""
        if self._settled:
            return
        self._settled = True
        try:
            action()
            mu, log_var = self.encoder(self.image[None]) if self.image.any() else ([()], [()])
            self.mu, self.log_var = (tuple(float(value) for value in params[0]) for params in (mu, log_var))
        finally:
            self._settled = False

    def set_state(self, sync_data):
        """Take what the browser sends: it has drawn, scaled and encoded already."""
        self._settled = True
        try:
            super().set_state(sync_data)
        finally:
            self._settled = False


def _networks(model):
    encoder, decoder = getattr(model, "encoder", None), getattr(model, "decoder", None)
    if encoder is None or decoder is None:
        raise ValueError(f"model must have an encoder and a decoder, such as a VAE; received {model!r}.")
    if not isinstance(encoder, NumpyEncoder):
        from vaelib.model.posteriors import DiagonalNormal  # here only: a Keras model has loaded Keras already

        kind = type(getattr(model, "posterior", None))
        if kind is not DiagonalNormal:  # a subclass may read the encoder's output in another way
            raise ValueError(
                f"model must have a DiagonalNormal posterior, whose ellipse is drawn; received {kind.__name__}."
            )
        encoder, decoder = NumpyEncoder.from_keras(encoder), NumpyDecoder.from_vae(model)
    if encoder.data_shape != (SIDE, SIDE) or tuple(decoder.data_shape) != (SIDE, SIDE):
        raise ValueError(
            f"model must encode and decode images of shape ({SIDE}, {SIDE}); received an encoder of "
            f"{encoder.data_shape} and a decoder of {tuple(decoder.data_shape)}."
        )
    if encoder.latent_dim != decoder.latent_dim:
        raise ValueError(
            f"model must have one latent dimension; received {encoder.latent_dim} of the encoder and "
            f"{decoder.latent_dim} of the decoder."
        )
    return encoder, decoder


def _checked_examples(examples, names):
    """Return the examples as bytes, 784 each, and their names."""
    if examples is None:
        if names is not None:
            raise ValueError("example_names name the examples; received example_names without examples.")
        return b"", []
    examples = np.asarray(examples, "float32")
    if examples.ndim != 3 or examples.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"examples must have shape (n, {SIDE}, {SIDE}); received {examples.shape}.")
    if not ((examples >= 0) & (examples <= 1)).all():
        raise ValueError("examples must hold pixels in [0, 1]. Divide by 255?")
    names = [str(i) for i in range(len(examples))] if names is None else [str(name) for name in names]
    if len(names) != len(examples):
        raise ValueError(f"example_names must hold {len(examples)} texts, one per example; received {len(names)}.")
    return _levels(examples).astype("uint8").tobytes(), names
