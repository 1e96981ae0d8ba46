"""The PNG encoder: every pixel arrives, and what is no image is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from vaelib.widgets import to_png


def decoded_png(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_png_keeps_every_pixel():
    image = np.linspace(0, 1, 28 * 20).reshape(28, 20)
    assert np.abs(decoded_png(to_png(image)) / 255 - image).max() <= 0.5 / 255 + 1e-9
    large = decoded_png(to_png(image, scale=3))
    assert large.shape == (84, 60)
    assert np.array_equal(large[1::3, 1::3], decoded_png(to_png(image)))
    assert np.array_equal(large[::3], large[2::3])
    assert np.array_equal(decoded_png(to_png(image[..., None])), decoded_png(to_png(image)))
    assert decoded_png(to_png(np.stack([image] * 3, axis=-1), 2, smooth=True)).shape == (56, 40, 3)


def test_smooth_enlargement_has_steps_no_larger_than_it_must():
    image = np.array([[0.0, 1.0]] * 2)
    squares = decoded_png(to_png(image, 10)).astype(int)
    smooth = decoded_png(to_png(image, 10, smooth=True)).astype(int)
    assert np.abs(np.diff(squares, axis=1)).max() == 255
    assert np.abs(np.diff(smooth, axis=1)).max() < 60


def test_png_clips_and_refuses():
    assert decoded_png(to_png(np.array([[-1.0, 2.0]]))).tolist() == [[0, 255]]
    with pytest.raises(ValueError, match="image must be finite"):
        to_png(np.array([[np.nan]]))
    with pytest.raises(ValueError, match=r"image must have shape .* received \(4,\)"):
        to_png(np.zeros(4))
