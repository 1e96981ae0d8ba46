"""From latent codes to PNG bytes without Keras: a NumPy forward pass and an image encoder."""

import io

import numpy as np
from PIL import Image
from scipy.special import erf, expit

# What the course's networks and most readers' networks use; the defaults are those of Keras.
ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": expit,
    "softplus": lambda x: np.logaddexp(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2).astype(x.dtype))),
    "silu": lambda x: x * expit(x),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
}


def bernoulli_mean(params):
    """Return the pixel means of a Bernoulli likelihood: the sigmoid of all its parameters."""
    return expit(params)


def normal_mean(params):
    """Return the pixel means of a Normal likelihood: the sigmoid of the first half of its parameters."""
    return expit(params[:, : params.shape[1] // 2])


_MEAN_OF = {"Bernoulli": bernoulli_mean, "Normal": normal_mean}


class UnsupportedDecoderError(ValueError):
    """The decoder has a part that the NumPy forward pass does not know; the Keras model itself may still be sound."""


class NumpyDecoder:
    """The forward pass of a decoder as a few NumPy operations: codes in, images out.

    Args:
        steps: functions from array to array, applied in order; together from (n, latent_dim) to (n, params_size).
        mean: function from the likelihood's parameters (n, params_size) to pixel means (n, number of pixels).
        data_shape: shape of one image.
        latent_dim: number of latent dimensions.
    """

    def __init__(self, steps, mean, data_shape, latent_dim):
        self.steps = list(steps)
        self.mean = mean
        self.data_shape = tuple(data_shape)
        self.latent_dim = latent_dim

    @classmethod
    def from_keras(cls, decoder, data_shape, mean=bernoulli_mean):
        """Copy the weights of a Keras decoder.

        Args:
            decoder: a built Keras model from (batch, latent_dim) to (batch, params_size), a plain stack of Dense,
                Reshape, Flatten and Activation layers.
            data_shape: shape of one image.
            mean: function from the likelihood's parameters to pixel means, `bernoulli_mean` or `normal_mean`.

        Returns:
            A NumpyDecoder.

        Raises:
            UnsupportedDecoderError: a ValueError: a layer or an activation is not supported (it is named), or the
                layers do not form a plain stack.
            ValueError: a weight is not finite, or data_shape does not fit the decoder.
        """
        if len(decoder.inputs) != 1 or len(decoder.inputs[0].shape) != 2:
            raise UnsupportedDecoderError(
                f"decoder must have one input of shape (batch, latent_dim); received {decoder.inputs}."
            )
        steps = [step for layer in decoder.layers for step in _steps(layer)]
        numpy_decoder = cls(steps, mean, data_shape, int(decoder.inputs[0].shape[-1]))
        # Layers alone do not tell how they are wired: a skip connection shows in the numbers.
        z = np.random.default_rng(0).standard_normal((4, numpy_decoder.latent_dim)).astype("float32")
        expected = to_numpy(decoder(z))
        _require_close(expected, numpy_decoder.params(z), f"decoder {decoder.name!r} is no plain stack of layers")
        num_pixels = int(np.prod(numpy_decoder.data_shape))
        if mean(expected).shape != (4, num_pixels):
            raise ValueError(
                f"data_shape {numpy_decoder.data_shape} asks for {num_pixels} pixel means; the decoder's "
                f"{expected.shape[1]} parameters give {mean(expected).shape[1]}. Check data_shape and mean."
            )
        return numpy_decoder

    @classmethod
    def from_vae(cls, vae):
        """Copy the decoder of a VAE together with the mean of its likelihood.

        Args:
            vae: an object with `decoder` (a Keras model) and `likelihood` (with `data_shape` and `mean`).

        Returns:
            A NumpyDecoder.

        Raises:
            ValueError: as `from_keras`; UnsupportedDecoderError also when the likelihood's mean is not known here.
        """
        kind = type(vae.likelihood).__name__
        if kind not in _MEAN_OF:
            raise UnsupportedDecoderError(
                f"likelihood must be one of {sorted(_MEAN_OF)} for a NumPy forward pass; received {kind}."
            )
        numpy_decoder = cls.from_keras(vae.decoder, vae.likelihood.data_shape, _MEAN_OF[kind])
        z = np.random.default_rng(1).standard_normal((4, numpy_decoder.latent_dim)).astype("float32")
        expected = to_numpy(vae.likelihood.mean(vae.decoder(z)))
        _require_close(expected, numpy_decoder(z), f"likelihood {kind} has another mean than vaelib's {kind}")
        return numpy_decoder

    def params(self, z):
        """Return the likelihood's parameters, shape (n, params_size), for codes z of shape (n, latent_dim)."""
        h = np.asarray(z, "float32")
        if h.ndim != 2 or h.shape[1] != self.latent_dim:
            raise ValueError(f"z must have shape (n, {self.latent_dim}); received {h.shape}.")
        for step in self.steps:
            h = step(h)
        return h

    def __call__(self, z):
        """Return the pixel means, shape (n, *data_shape), in [0, 1], for codes z of shape (n, latent_dim)."""
        return self.mean(self.params(z)).reshape(-1, *self.data_shape)


def to_png(image, scale=1, smooth=False):
    """Encode an image as PNG.

    Args:
        image: array of shape (height, width), (height, width, 1) or (height, width, 3), pixels in [0, 1] (values
            outside are clipped), or of dtype uint8 with pixels in [0, 255].
        scale: whole number of screen pixels per pixel.
        smooth: bicubic enlargement; by default each pixel becomes a square.

    Returns:
        PNG bytes.

    Raises:
        ValueError: another shape, or NaN or infinity.
    """
    picture = Image.fromarray(as_uint8(image))
    if scale != 1:
        how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
        picture = picture.resize((picture.width * scale, picture.height * scale), how)
    return png_bytes(picture)


def png_bytes(picture):
    """Encode a Pillow image: level 1 is nearly as small as the default for lines and faces, and faster."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def as_uint8(image):
    """Return an image as uint8 of shape (height, width) or (height, width, 3), or raise ValueError (see `to_png`)."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[-1] == 3):
        raise ValueError(f"image must have shape (height, width) or (height, width, 1 or 3); received {image.shape}.")
    if image.dtype == np.uint8:
        return image
    if not np.isfinite(image).all():
        raise ValueError("image must be finite; it holds NaN or infinity. Check the decoder's weights and its input.")
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _steps(layer):
    kind = type(layer).__name__
    if kind == "InputLayer":
        return []
    if kind == "Flatten":
        return [lambda h: h.reshape(len(h), -1)]
    if kind == "Reshape":
        shape = tuple(layer.target_shape)
        return [lambda h: h.reshape(len(h), *shape)]
    if kind == "Activation":
        return [_activation(layer)]
    if kind != "Dense":
        raise UnsupportedDecoderError(
            f"layer {layer.name!r} of type {kind} is not supported by the NumPy forward pass; supported are Dense, "
            "Reshape, Flatten and Activation. Pass a function from codes to images instead."
        )
    # By its own attributes and not by get_weights(): a layer may have no bias.
    kernel = _finite(layer, "kernel", layer.kernel)
    affine = lambda h: h @ kernel  # noqa: E731
    if layer.use_bias:
        bias = _finite(layer, "bias", layer.bias)
        affine = lambda h: h @ kernel + bias  # noqa: E731
    return [affine, _activation(layer)]


def _finite(layer, name, weights):
    weights = np.ascontiguousarray(to_numpy(weights), "float32")
    bad = np.count_nonzero(~np.isfinite(weights))
    if bad:
        raise ValueError(
            f"weights must be finite; {bad} of {weights.size} entries of {name} in layer {layer.name!r} are NaN or "
            "infinite. The training diverged: lower the learning rate and train again."
        )
    return weights


def _activation(layer):
    function = layer.activation
    name = getattr(function, "__name__", type(function).__name__)
    # A reader's own function may bear the name of a Keras one.
    if name not in ACTIVATIONS or not function.__module__.startswith("keras."):
        raise UnsupportedDecoderError(
            f"activation {name!r} of layer {layer.name!r} is not supported by the NumPy forward pass; supported are "
            f"{', '.join(ACTIVATIONS)}. Pass a function from codes to images instead."
        )
    return ACTIVATIONS[name]


def to_numpy(tensor):
    """Return the array behind a tensor or a variable of any Keras backend."""
    import keras  # here only: who has such a tensor has loaded Keras, and labs must not

    return keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(tensor))


def _require_close(expected, actual, complaint):
    if expected.shape != actual.shape or np.abs(expected - actual).max() > 1e-3 * (1 + np.abs(expected).max()):
        raise UnsupportedDecoderError(
            f"{complaint}: the NumPy forward pass differs from the model. Pass a function from codes to images instead."
        )
