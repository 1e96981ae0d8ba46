"""What the widgets over a latent space share: the function that decodes, its picture, the names of the dimensions."""

import numpy as np

from vaelib.checks import positive_int
from vaelib.pretrained.networks import NumpyDecoder, UnsupportedDecoderError, to_numpy
from vaelib.widgets.png import as_uint8


class ModelDecoder:
    """The Keras model itself as a function from codes to images, where NumPy cannot run its decoder.

    Attributes:
        reason: why NumPy cannot, a sentence.
        latent_dim: number of latent dimensions.
    """

    def __init__(self, decoder, likelihood, reason):
        self.decoder, self.likelihood, self.reason = decoder, likelihood, reason
        self.latent_dim = int(decoder.inputs[0].shape[-1])

    def __call__(self, z):
        return to_numpy(self.likelihood.mean(self.decoder(z)))


def decode_function(decode, latent_dim=None):
    """Return a function from codes to images, and the number of latent dimensions.

    Args:
        decode: a VAE, or such a function; a NumpyDecoder knows its latent dimension.
        latent_dim: number of latent dimensions; needed for a plain function.

    Returns:
        (function from codes (n, latent_dim) to images, latent_dim).

    Raises:
        ValueError: decode is neither, latent_dim is missing, or it is not the decoder's.
    """
    decode, known_dim = _as_function(decode)
    if latent_dim is None and known_dim is None:
        raise ValueError("latent_dim must be given when decode is a plain function; received None.")
    latent_dim = positive_int("latent_dim", latent_dim if latent_dim is not None else known_dim)
    if known_dim is not None and known_dim != latent_dim:
        raise ValueError(f"latent_dim must be {known_dim}, the decoder's; received {latent_dim}.")
    return decode, latent_dim


def _as_function(decode):
    if hasattr(decode, "decoder") and hasattr(decode, "likelihood"):
        try:
            decode = NumpyDecoder.from_vae(decode)
        except UnsupportedDecoderError as error:  # ask the model itself, slower but never wrong
            decode = ModelDecoder(decode.decoder, decode.likelihood, error.reason)
    if not callable(decode):
        raise ValueError(f"decode must be a VAE or a function from codes to images; received {decode!r}.")
    return decode, getattr(decode, "latent_dim", None)


def decoded_image(decode, z):
    """Return the image that decode makes of one code, as uint8 of shape (height, width) or (height, width, 3).

    Raises:
        ValueError: decode gives no image, or one that is not finite.
    """
    images = np.asarray(decode(np.array([z], "float32")))
    if images.ndim not in (3, 4) or len(images) != 1:
        raise ValueError(
            f"decode must turn a code of shape (1, {len(z)}) into an image of shape (1, height, width) or "
            f"(1, height, width, channels); it gave {images.shape}."
        )
    return as_uint8(images[0])


def latent_names(names, latent_dim):
    """Return one name per latent dimension as a tuple: those given, or z1, z2, ...; ValueError as `checked_names`."""
    return tuple(checked_names(names, [f"z{i + 1}" for i in range(latent_dim)], f"{latent_dim} latent dimensions"))


def checked_names(names, default, what):
    """Return the names of sliders as a list, or raise ValueError unless they are different and as many as the default.

    Args:
        names: texts, one text for one slider, or None for the default.
        default: the names where none are given.
        what: what they name, for the error.
    """
    if names is None:
        return list(default)
    names = [names] if isinstance(names, str) else list(names)
    if len(names) != len(default):
        raise ValueError(f"names must have one name for each of the {what}; received {names}.")
    if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"names must be different, non-empty texts; received {names}.")
    return names
