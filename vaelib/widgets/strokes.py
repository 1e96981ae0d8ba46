"""From pen strokes to a 28 x 28 image, centred and scaled as the digits of MNIST are; strokes.js does the same.

LeCun, Cortes and Burges describe MNIST so: each digit was scaled to fit a 20 x 20 box with its proportions kept, made
grey by anti-aliasing, and shifted in the 28 x 28 image so that its centre of mass lies at the centre. In their files
that centre is pixel (14, 14).
"""

import numpy as np

SIDE = 28
BOX = 20
# Samples per pixel and axis. Their pen has a soft edge as wide as a sample: the ink then changes smoothly with the pen.
FINE = 4
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
    every = np.concatenate(points)
    low, high = every.min(axis=0) - radius, every.max(axis=0) + radius
    scale = BOX / (high - low).max()
    shift = SIDE / 2 - scale * (low + high) / 2
    ink = _ink(points, scale, shift, radius)
    at = np.arange(SIDE) + 0.5
    mass = ink.sum()
    shift += 14.5 - np.array([ink.sum(axis=0) @ at, ink.sum(axis=1) @ at]) / mass  # 14.5 is in the middle of pixel 14
    return (np.floor(255 * _ink(points, scale, shift, radius) + 0.5) / 255).astype("float32")


def _ink(strokes, scale, shift, radius):
    """Return the share of each pixel that the pen covers, shape (28, 28), for points at scale * point + shift."""
    at = (np.arange(SIDE * FINE) + 0.5) / FINE
    x, y = at[None, :], at[:, None]
    nearest = np.full((SIDE * FINE, SIDE * FINE), np.inf)
    for stroke in strokes:
        places = scale * stroke + shift
        for (ax, ay), (bx, by) in zip(places, places[1:] if len(places) > 1 else places, strict=False):
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy
            t = np.clip(((x - ax) * dx + (y - ay) * dy) / length, 0, 1) if length else 0.0
            nearest = np.minimum(nearest, (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2)
    covered = np.clip((scale * radius - np.sqrt(nearest)) * FINE + 0.5, 0, 1)
    return covered.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
