"""Colours on a dark page: what was drawn on white paper, with white and black in each other's place.

A colour is a mixture of white, black and a pure hue. White becomes the paper of the dark page, black its ink, and the
hue stays, a little paler: blue is still called blue. Because the mixture is linear in sRGB, the soft edge of a line
that was blended into white is blended into the dark paper.
"""

import re

import numpy as np

PAPER, INK = (0x14, 0x18, 0x1D), (0xE3, 0xE7, 0xEB)  # of assets/style.css
PALER = 0.25  # the share of ink in a hue: pure blue alone could not be read on dark paper
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")  # the greys of a drawn digit have three digits, and stay


def darken(rgb: np.ndarray) -> np.ndarray:
    """Return what colours drawn on white are on a dark page.

    Args:
        rgb: array of shape (n, 3), 0 to 255.

    Returns:
        Array of the same shape, uint8.
    """
    share = np.asarray(rgb, float) / 255
    white, top = share.min(axis=1, keepdims=True), share.max(axis=1, keepdims=True)
    paper, ink = np.array(PAPER), np.array(INK)
    hue = (share - white) * 255  # the pure hue, times its share
    # A pale colour would sink into the paper: the middle of the whites is lifted.
    sunk = white**1.5
    mixed = sunk * paper + (1 - top + white - sunk) * ink + (1 - PALER) * hue + PALER * (top - white) * ink
    return np.round(mixed).astype("uint8")


def dark_colour(colour: str) -> str:
    """Return what one colour such as #ffffff is on a dark page."""
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)]])
    return "#" + "".join(f"{int(v):02x}" for v in darken(rgb)[0])


def both_themes(svg: str) -> str:
    """Return an SVG for use inside a page: each colour follows the page's theme."""
    return _COLOUR.sub(lambda match: f"light-dark({match[0]}, {dark_colour(match[0])})", svg)
