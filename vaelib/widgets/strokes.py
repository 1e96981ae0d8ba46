"""From pen strokes to a small image, centred and scaled as those of a data set are; engine/strokes.js does the same.

LeCun, Cortes and Burges describe MNIST so: each digit was scaled to fit a 20 x 20 box with its proportions kept, made
grey by anti-aliasing, and shifted in the 28 x 28 image so that its centre of mass lies at the centre. In their files
that centre is pixel (14, 14).

The small digits of the UCI repository, which scikit-learn ships, fill their 8 x 8 image from edge to edge
(Kaynak 1995): a 32 x 32 bitmap, whose blocks of 4 x 4 are counted from 0 to 16.
"""

import re

import numpy as np

SIDE = 28
BOX = 20
# Samples per pixel and axis. Their pen has a soft edge as wide as a sample: the ink then changes smoothly with the pen.
FINE = 4
# The small digits: a pixel is 4 x 4 dots of their bitmap, each sampled as finely.
SMALL_SIDE = 8
SMALL_LEVELS = 16
SMALL_RADIUS = 0.065  # they are written with a wider pen
# Half the width of the pen, as a share of the drawing surface: a digit that fills it as people do has MNIST's ink.
RADIUS = 0.04


def to_image(strokes, radius=RADIUS):
    """Return the image of a drawing, float32 of shape (28, 28), ink bright, whole multiples of 1/255 as in MNIST.

    Args:
        strokes: list of strokes, each a list of points (x, y) in [0, 1], y downwards. A stroke of one point is a dot.
        radius: half the width of the pen, in the same units.
    """
    points = [np.asarray(stroke, float).reshape(-1, 2) for stroke in strokes if len(stroke)]
    if not points:
        return np.zeros((SIDE, SIDE), "float32")
    scale, shift = _fitted(points, radius, BOX, SIDE)
    ink = _ink(points, scale, shift, radius)
    at = np.arange(SIDE) + 0.5
    mass = ink.sum()
    shift += 14.5 - np.array([ink.sum(axis=0) @ at, ink.sum(axis=1) @ at]) / mass  # 14.5 is in the middle of pixel 14
    return (np.floor(255 * _ink(points, scale, shift, radius) + 0.5) / 255).astype("float32")


def to_small_image(strokes, radius=SMALL_RADIUS):
    """Return the image of a drawing as the small digits are, float64 of shape (8, 8), multiples of 1/16 in [0, 1].

    Args: as `to_image`.
    """
    points = [np.asarray(stroke, float).reshape(-1, 2) for stroke in strokes if len(stroke)]
    if not points:
        return np.zeros((SMALL_SIDE, SMALL_SIDE))
    scale, shift = _fitted(points, radius, SMALL_SIDE, SMALL_SIDE)
    ink = _ink(points, scale, shift, radius, SMALL_SIDE, FINE**2)
    return np.floor(SMALL_LEVELS * ink + 0.5) / SMALL_LEVELS


def strokes_of(text):
    """Return the strokes that a text holds: four digits a point, x and y in hundredths, "-" between strokes.

    Raises:
        ValueError: the text is not of this form.
    """
    if not isinstance(text, str) or not re.fullmatch(r"((\d{4})+(-(\d{4})+)*)?", text):
        raise ValueError(f'a drawing is a text such as "20808020-5050", four digits a point; received {text!r}.')
    pairs = [re.findall(r"(\d\d)(\d\d)", stroke) for stroke in text.split("-") if stroke]
    return [[(int(x) / 100, int(y) / 100) for x, y in stroke] for stroke in pairs]


def _fitted(strokes, radius, box, side):
    """Return (scale, shift) that bring the ink into the middle of the image, its longer side as long as the box."""
    every = np.concatenate(strokes)
    low, high = every.min(axis=0) - radius, every.max(axis=0) + radius
    scale = box / (high - low).max()
    return scale, side / 2 - scale * (low + high) / 2


def _ink(strokes, scale, shift, radius, side=SIDE, fine=FINE):
    """Return the share of each pixel that the pen covers, shape (side, side), for points at scale * point + shift."""
    at = (np.arange(side * fine) + 0.5) / fine
    x, y = at[None, :], at[:, None]
    nearest = np.full((side * fine, side * fine), np.inf)
    for stroke in strokes:
        places = scale * stroke + shift
        for (ax, ay), (bx, by) in zip(places, places[1:] if len(places) > 1 else places, strict=False):
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy
            t = np.clip(((x - ax) * dx + (y - ay) * dy) / length, 0, 1) if length else 0.0
            nearest = np.minimum(nearest, (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2)
    covered = np.clip((scale * radius - np.sqrt(nearest)) * fine + 0.5, 0, 1)
    return covered.reshape(side, fine, side, fine).mean(axis=(1, 3))
