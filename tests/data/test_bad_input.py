"""Whatever comes into the loaders: an error that names the argument, or pictures with pixels in [0, 1]."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vaelib import load_images, synthetic_faces
from vaelib.data import DataError

GOOD = np.random.default_rng(0).random((60, 6, 5))
BAD = {
    "size": [0, -1, 2.5, "big", (1, 2, 3), (0, 4)],
    "tile": [0, -1, 2.5, "big", [2]],
    "white": [0, -1, np.nan, np.inf],
    "test_share": [0, 1, -1, 2, np.nan],
    "validation_share": [-0.1, 0.9, 1, np.nan],
    "at_least": [0, -1, 2.5, "few", None],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_argument_is_named(name):
    for bad in BAD[name]:
        with pytest.raises(ValueError, match=name):
            load_images(GOOD, **{name: bad})


def test_faces():
    for name, values in (("num_frames", [0, -1, 2.5, None, "two"]), ("seed", [-1, 2.5, "one", None])):
        for bad in values:
            with pytest.raises((ValueError, TypeError), match=name):
                synthetic_faces(**{name: bad})


@settings(max_examples=40)
@given(
    arrays.arrays(
        st.sampled_from(["float32", "float64", "uint8", "int32", "bool", "complex64", "U2", "O"]),
        st.lists(st.integers(0, 4), max_size=4),
    )
)
def test_any_array_is_refused_with_a_sentence_or_becomes_pixels(source):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            images = load_images(source, at_least=2)
        except (DataError, ValueError) as error:
            assert len(str(error)) > 30 and str(error).endswith((".", "]", ")", "at_least."))
            return
    for part in (images.x_train, images.x_test):
        assert part.dtype == np.float32 and np.isfinite(part).all() and part.min() >= 0 and part.max() <= 1
