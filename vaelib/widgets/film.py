"""The frames of a video for the browser, and the colours of their time; film.js draws them."""

import matplotlib as mpl
import numpy as np

from vaelib.widgets.png import as_uint8

# A page of the course with its frames stays small; 1,965 frames of 28 x 20 pixels are 1.1 MB.
MAX_BYTES = 4_000_000
# Viridis without the end that a page's own colour would swallow: the yellow on white, the violet on black.
LIGHT, DARK = (0.0, 0.72), (0.32, 1.0)


def time_colours(count=12):
    """Return colours from early to late as "#rrggbb", for light and for dark pages."""
    viridis = mpl.colormaps["viridis"]
    return {
        theme: [mpl.colors.to_hex(viridis(at)) for at in np.linspace(*ends, count)]
        for theme, ends in {"light": LIGHT, "dark": DARK}.items()
    }


def checked_frames(frames, count, image_shape):
    """Return frames as bytes, uint8, one after the other; empty for None.

    Args:
        frames: array of shape (n, *image_shape), optionally with a last axis of 1, pixels in [0, 1] or uint8.
        count: how many codes the path has.
        image_shape: shape of one decoded image.

    Raises:
        ValueError: another shape or number, pixels outside [0, 1], or too many bytes to travel.
    """
    if frames is None:
        return b""
    frames = np.asarray(frames)
    if frames.shape == (count, *image_shape, 1):
        frames = frames[..., 0]
    if count == 0 or frames.shape != (count, *image_shape):
        raise ValueError(
            f"frames must hold one image for each code of path, shape {(count, *image_shape)}; received {frames.shape}."
        )
    if frames.size > MAX_BYTES:
        step = -(-frames.size // MAX_BYTES)
        raise ValueError(
            f"frames hold {frames.size / 1e6:.1f} MB as uint8; at most {MAX_BYTES / 1e6:.0f} MB travel to the browser. "
            f"Pass fewer: frames[::{step}] with path[::{step}]."
        )
    if frames.dtype != np.uint8 and not ((frames >= 0) & (frames <= 1)).all():
        raise ValueError("frames must hold pixels in [0, 1]. Divide by 255?")
    return np.stack([as_uint8(frame) for frame in frames]).tobytes()
