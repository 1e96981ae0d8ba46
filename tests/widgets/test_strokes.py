"""Strokes become images as MNIST's are: held against a drawing by Pillow and SciPy, and against MNIST's own digits."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from vaelib.data.mnist import stand_in_digits
from vaelib.widgets.strokes import RADIUS, to_image

T = np.linspace(0, 2 * np.pi, 80)
DRAWINGS = {
    "seven": [[(0.25, 0.2), (0.75, 0.22), (0.45, 0.85)], [(0.35, 0.5), (0.7, 0.5)]],
    "zero": [np.stack([0.5 + 0.2 * np.cos(T), 0.5 + 0.32 * np.sin(T)], axis=1)],
    "one": [[(0.52, 0.15), (0.48, 0.9)]],
    "small and in a corner": [[(0.05, 0.05), (0.2, 0.1), (0.08, 0.24), (0.22, 0.22)]],
    "wide": [[(0.04, 0.5), (0.5, 0.4), (0.96, 0.5)]],
}
per_drawing = pytest.mark.parametrize("strokes", DRAWINGS.values(), ids=DRAWINGS)


def by_pillow(strokes, size=2000, fine=32):
    """The same, from the description of MNIST: a bitmap, its box scaled to 20 pixels, shifted by its mass."""
    bitmap = Image.new("L", (size, size))
    brush = ImageDraw.Draw(bitmap)
    r = RADIUS * size
    for stroke in strokes:
        places = [(x * size, y * size) for x, y in stroke]
        brush.line(places, fill=255, width=round(2 * r))
        for x, y in places:
            brush.ellipse((x - r, y - r, x + r, y + r), fill=255)
    ink = np.asarray(bitmap) / 255.0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(box.shape)
    square = np.zeros((side, side), "float32")
    top, left = (side - box.shape[0]) // 2, (side - box.shape[1]) // 2
    square[top : top + box.shape[0], left : left + box.shape[1]] = box
    image = np.zeros((28 * fine, 28 * fine))
    middle = slice(4 * fine, 24 * fine)
    image[middle, middle] = np.asarray(Image.fromarray(square).resize((20 * fine, 20 * fine), Image.Resampling.BOX))
    by = 14.5 * fine - 0.5 - np.array(ndimage.center_of_mass(image))
    image = ndimage.shift(image, np.round(by), order=0)
    return image.reshape(28, fine, 28, fine).mean(axis=(1, 3))


@per_drawing
def test_equals_the_scaled_and_shifted_bitmap(strokes):
    ours, theirs = to_image(strokes), by_pillow(strokes)
    assert abs(ours.sum() / theirs.sum() - 1) < 0.01
    # An edge lies up to a 40th of a pixel elsewhere in the bitmap, and ours is soft over a quarter of a pixel.
    assert np.abs(ours - theirs).max() < 0.05


@per_drawing
def test_fits_the_box_and_is_centred_by_its_mass(strokes):
    image = to_image(strokes)
    np.testing.assert_allclose(ndimage.center_of_mass(image), [14, 14], atol=0.02)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    assert extent in (20, 21)  # 20 pixels wide, on the grid or between its lines
    assert image.shape == (28, 28) and image.dtype == np.float32
    np.testing.assert_array_equal(image, np.round(255 * image).astype("float32") / np.float32(255))


def test_mnist_is_centred_and_scaled_in_this_way():
    digits = stand_in_digits()["x_test"][:300].astype(float)
    centres = np.array([ndimage.center_of_mass(digit) for digit in digits])
    assert np.abs(centres - 14).max() < 0.6  # they were shifted by whole pixels
    inked = digits > 0
    extents = [max(np.ptp(np.flatnonzero(d.any(axis=i))) + 1 for i in (0, 1)) for d in inked]
    assert np.median(extents) == 20
    # And the pen is about as wide as MNIST's: the ink of a zero and of a seven lies among theirs.
    mass = digits.sum(axis=(1, 2)) / 255
    for name in ("zero", "seven"):
        assert np.quantile(mass, 0.1) < to_image(DRAWINGS[name]).sum() < np.quantile(mass, 0.9)


@pytest.mark.parametrize("move", [lambda p: p * 0.5, lambda p: p + 0.04])
def test_place_and_size_do_not_matter(move):
    strokes = [np.array(stroke) for stroke in DRAWINGS["seven"]]
    moved = [move(stroke) for stroke in strokes]
    radius = RADIUS * (0.5 if moved[0][0, 0] < strokes[0][0, 0] else 1)
    assert np.abs(to_image(moved, radius) - to_image(strokes)).max() <= 1.01 / 255


def test_a_dot_and_nothing():
    assert not to_image([]).any()
    dot = to_image([[(0.9, 0.1)]])
    assert abs(dot.sum() - np.pi * 100) < 1  # a disc 20 pixels wide
    np.testing.assert_array_equal(dot, dot.T)
