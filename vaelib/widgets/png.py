"""From pixels to PNG bytes: what a picture on the page is made of."""

import io

import numpy as np
from PIL import Image


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
