"""Colours of one palette can be told apart, on white and on a dark ground, by usual and by colour-blind eyes.

Distances are Euclidean in Oklab (Ottosson 2020), where 0.02 is about the smallest that is seen side by side. Eyes
without red, green or blue are simulated with the matrices of Machado, Oliveira and Fernandes (2009) at full severity.
"""

import numpy as np
import pytest

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS, DARK_COLOURS, DARK_PAGE, PAGE
from vaelib.tools.site.dark import darken

EYES = {
    "usual": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                   [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
APART = 0.07  # more than three times what is seen at all: for a thin line or a small point
PALETTES = {"light": list(COLOURS.values()), "dark": list(DARK_COLOURS.values()), "classes": CLASS_COLOURS}
CONFUSED = [(3, 5), (3, 8), (5, 8), (4, 5), (4, 8), (4, 9), (7, 9)]  # digits that a model takes for each other


def numbers(colours):
    return np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], float)


def linear(rgb):
    share = np.asarray(rgb) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def distances(rgb, eyes="usual"):
    seen = np.clip(linear(rgb) @ np.transpose(EYES[eyes]), 0, 1)
    lab = np.cbrt(seen @ TO_LMS.T) @ TO_LAB.T
    return np.linalg.norm(lab[:, None] - lab, axis=-1) + 9 * np.eye(len(lab))


def contrast(colours, ground):
    light, dark = (linear(numbers(c)) @ [0.2126, 0.7152, 0.0722] + 0.05 for c in (colours, [ground]))
    return np.maximum(light, dark) / np.minimum(light, dark)


def test_the_distance_is_oklabs():
    assert distances(numbers(["#000000", "#ffffff"]))[0, 1] == pytest.approx(1, abs=1e-3)
    # The published values of Oklab for pure red and green.
    lab = np.array([[0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.17950]])
    assert distances(numbers(["#ff0000", "#00ff00"]))[0, 1] == pytest.approx(np.linalg.norm(lab[0] - lab[1]), abs=1e-4)
    # Red and green are alike without the cones for either; blue and yellow are not.
    red, green, blue, yellow = "#d04040", "#808030", "#2040e0", "#e0d030"
    assert distances(numbers([red, green]), "no green")[0, 1] < distances(numbers([red, green]))[0, 1] / 2
    assert distances(numbers([blue, yellow]), "no green")[0, 1] > 0.3


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("name", PALETTES)
def test_colours_stay_apart(name, eyes):
    apart = distances(numbers(PALETTES[name]), eyes)
    i, j = np.unravel_index(apart.argmin(), apart.shape)
    assert apart[i, j] >= APART, f"{PALETTES[name][i]} and {PALETTES[name][j]} merge"


@pytest.mark.parametrize("eyes", EYES)
def test_digits_that_are_taken_for_each_other_lie_furthest_apart(eyes):
    apart = distances(numbers(CLASS_COLOURS), eyes)
    assert min(apart[pair] for pair in CONFUSED) > 2 * APART


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("name", ["light", "classes"])
def test_a_figure_keeps_its_colours_apart_on_a_dark_page(name, eyes):
    apart = distances(darken(numbers(PALETTES[name])).astype(float), eyes)
    assert apart.min() >= APART


def test_every_colour_stands_out_from_its_ground():
    # A point or a line needs less contrast than a letter, yet has to be seen.
    assert contrast(PALETTES["light"][:-3], PAGE["paper"]).min() > 2  # yellow is for areas with an edge
    assert contrast(PALETTES["dark"], DARK_PAGE["paper"]).min() > 4
    assert contrast(CLASS_COLOURS, PAGE["paper"]).min() > 1.5
    assert contrast(CLASS_COLOURS, DARK_PAGE["paper"]).min() > 2
    assert contrast([PAGE["ink"]], PAGE["paper"]) > 7 and contrast([DARK_PAGE["ink"]], DARK_PAGE["paper"]) > 7


def test_a_soft_edge_and_a_pale_area_blend_into_the_dark_paper():
    blue, dark_blue = numbers([COLOURS["blue"]]), numbers([DARK_COLOURS["blue"]])
    paper = darken(np.array([[255, 255, 255]])).astype(float)
    for share in (0.2, 0.5, 0.9):
        blended = darken(np.round(share * blue + (1 - share) * 255))
        np.testing.assert_allclose(blended, share * dark_blue + (1 - share) * paper, atol=3)
    assert darken(np.array([[0, 0, 0]])).min() > 200, "black is the ink of a dark page"
