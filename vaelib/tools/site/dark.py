"""Colours on a dark page: what was drawn on white paper.

What a figure shows is the course's own colours (`vaelib.teaching.palette`), blended into white paper where an edge is
soft or an area pale. Each is found again in that blend, and the same share of its dark twin is blended into the dark
paper: so a blue curve is the blue of a lab on the same page, and colours that stay apart on white stay apart here.
Any other colour is taken for a mixture of white, black and a pure hue, and white and black change places.
"""

import re

import numpy as np
from matplotlib import colormaps

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS, DARK_COLOURS

PAPER, INK = (0x16, 0x16, 0x16), (0xF2, 0xF2, 0xF2)  # DARK_PAGE's paper, and the black of DARK_COLOURS
PALER = 0.25  # the share of ink in a hue: pure blue alone could not be read on dark paper
CLOSE = 14  # of 255: as far as a blend may lie from the palette after an image has got its 256 colours
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")  # the greys of a drawn digit have three digits, and stay


def darken(rgb: np.ndarray) -> np.ndarray:
    """Return what colours drawn on white are on a dark page.

    Args:
        rgb: array of shape (n, 3), 0 to 255.

    Returns:
        Array of the same shape, uint8.
    """
    rgb = np.asarray(rgb, float)
    # The nearest point on a line between two colours: how much of the second is there.
    away = _TO - _FROM
    steps = rgb[:, None] - _FROM
    amount = np.clip((steps * away).sum(axis=2) / (away**2).sum(axis=1), 0, 1)
    distance = np.linalg.norm(steps - amount[..., None] * away, axis=2)
    nearest = distance.argmin(axis=1)
    rows = np.arange(len(rgb))
    blended = _DARK_FROM[nearest] + amount[rows, nearest, None] * (_DARK_TO[nearest] - _DARK_FROM[nearest])
    known = distance[rows, nearest, None] <= CLOSE
    return np.round(np.where(known, blended, _exchanged(rgb))).astype("uint8")


def _exchanged(rgb: np.ndarray) -> np.ndarray:
    """Any colour with white and black in each other's place."""
    share = rgb / 255
    white, top = share.min(axis=1, keepdims=True), share.max(axis=1, keepdims=True)
    paper, ink = np.array(PAPER), np.array(INK)
    # A pale colour would sink into the paper: the middle of the whites is lifted.
    sunk = white**1.5
    hue = (1 - PALER) * (share - white) * 255 + PALER * (top - white) * ink
    return sunk * paper + (1 - top + white - sunk) * ink + hue


def _numbers(colours: list[str]) -> np.ndarray:
    return np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], float)


# From white to each colour; from the grey of the palette on to black, which is the ink of a dark page. A class has one
# colour for both themes, for it stands out from either ground. Of matplotlib's viridis the dark end is left out.
_NAMES = [name for name in COLOURS if name != "black"]
_VIRIDIS = colormaps["viridis"]
_SHARES = np.linspace(0, 1, 33)
_TO = np.vstack(
    [_numbers([*(COLOURS[name] for name in _NAMES), *CLASS_COLOURS]), 255 * _VIRIDIS(_SHARES)[:, :3], [[0, 0, 0]]]
)
_DARK_TO = np.vstack(
    [
        _numbers([*(DARK_COLOURS[name] for name in _NAMES), *CLASS_COLOURS]),
        255 * _VIRIDIS(0.3 + 0.7 * _SHARES)[:, :3],
        [INK],
    ]
)
_FROM, _DARK_FROM = np.full_like(_TO, 255), np.tile(np.array(PAPER, float), (len(_TO), 1))
_FROM[-1], _DARK_FROM[-1] = _TO[_NAMES.index("grey")], _DARK_TO[_NAMES.index("grey")]


def dark_colour(colour: str) -> str:
    """Return what one colour such as #ffffff is on a dark page."""
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)]])
    return "#" + "".join(f"{int(v):02x}" for v in darken(rgb)[0])


def both_themes(svg: str) -> str:
    """Return an SVG for use inside a page: each colour follows the page's theme."""
    return _COLOUR.sub(lambda match: f"light-dark({match[0]}, {dark_colour(match[0])})", svg)
