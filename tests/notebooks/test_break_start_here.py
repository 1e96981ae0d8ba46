"""Notebook 00 says what it measured only if each claim fails when what it guards is broken."""

import sys

import pytest
from breaking import Break, run_until
from forking import Case, runs_of

from vaelib.teaching.claims import ClaimError

pytestmark = pytest.mark.slow

NOTEBOOK = "00_start_here"
QUICK = {"num_points": 400}
WITHOUT = ("PredictChoice(",)  # a question refuses an answer that is none of its options
WRONG = "digits get wider as z₂ grows, in every column"  # the claim that the lesson lets fail, to show what it says


# pieces of the notebook's own code
SOURCES = {
    "images whose codes are neighbours look more alike than any two images": {
        "neighbour = between_codes.argmin(axis=1)": "neighbour = cdist(mu, mu).argmax(axis=1)"
    },
    "most of them show the same digit": {"y[neighbour] == y": "y[neighbour] == y[::-1]"},
    "in the middle of the 0s' codes, the decoder makes a 0": {"decoder(here[None])": "decoder(-here[None])"},
    "in the middle of the 1s' codes, the decoder makes a 1": {"decoder(here[None])": "decoder(-here[None])"},
    "in the middle of the 7s' codes, the decoder makes a 7": {"decoder(here[None])": "decoder(-here[None])"},
    "on average over a row, digits get wider as z₂ grows": {"ink = images.sum(axis=1)": "ink = images.sum(axis=2)"},
    "fewer than half of the columns follow": {"axis=0) > 0).all(axis=0)": "axis=0) > -1).all(axis=0)"},
    "most of the bottom row are 1s, by the nearest code": {"heights[0])]": "heights[-1])]"},
    "no digit is narrower than the 1, on average": {"ink = images.sum(axis=1)": "ink = images.sum(axis=2)"},
    "within one digit, z₂ and width are less correlated than over all": {
        "overall = np.corrcoef(mu[:, 1]": "overall = np.corrcoef(mu[:, 0]"
    },
    "square and cross cost more than every test digit": {"model.nelbo(strange)": "model.nelbo(x[:4])"},
    "triangle and star cost more than 95 % of the digits": {"model.nelbo(strange)": "model.nelbo(x[:4])"},
    "and less than the costliest of them": {
        '"star": [star]': '"star": [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2)]]'
    },
    "the weights give the recorded NELBO": {
        "nelbo, cost = model.nelbo(mnist.x_test)": "nelbo, cost = model.nelbo(1 - mnist.x_test)"
    },
    "q(z|x) of the drawing is what the encoder in NumPy says": {
        "encoder(draw.image[None])": "encoder(draw.image[None] / 2)"
    },
    "share of the prior inside the first circle": {"within_one[1], 1 -": "within_one[0], 1 -"},
    "with each further dimension it falls": {"draws[:, :d]": "draws[:, :1]"},
    "half of the pairs of wobbly drawings lie over one σ apart": {
        "0.02 * rng.standard_normal": "0.002 * rng.standard_normal"
    },
    "the 2s of many hands spread over five times as far as σ": {"log_var[y == 2] / 2": "log_var[y == 2] / 8"},
    "nearly all neighbours of the plain 7 are 7s": {"to_image([seven]), ": "to_image([seven, bar]), "},
    "most neighbours of the crossed 7 are 9s and 4s": {"to_image([seven, bar])": "to_image([seven])"},
    "the 0s and the 1s do not touch": {"np.isin(map_of_digits, digits)": "np.isin(map_of_digits, [*digits, 5, 6, 8])"},
    "the 5s alone lead from the one to the other": {"connected(0, 1, 5))": "connected(0, 1, 7))"},
    "of the digits below 70 nats over nine in ten are 1s": {"nelbo < 70": "nelbo < 150"},
    "the image is in pieces at (3, −3), and whole at (3, −1)": {
        "[[3.0, -3.0], [3.0, -1.0]]": "[[3.0, -1.0], [3.0, -1.0]]"
    },
    "the further out, the fewer grey pixels": {"model.decoder(radius * ring)": "model.decoder(ring / radius)"},
    "a stroke comes back closer than a 2": {"[[(0.58, 0.1), (0.42, 0.9)]]": "shapes['square']"},
    "no digit costs fewer nats than the 1s": {"nelbo[mnist.y_test == digit]": "nelbo[mnist.y_test == 9 - digit]"},
}


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and each of its breaks from where it matters."""
    cases = [Case(Break(claim, source=source, key=claim), claim, WITHOUT) for claim, source in SOURCES.items()]
    with pytest.MonkeyPatch.context() as patch:
        # The lesson claims that TensorFlow is not loaded: another test of this process may have done it.
        patch.delitem(sys.modules, "tensorflow", raising=False)
        return runs_of(NOTEBOOK, cases, parameters=QUICK)


def test_the_sound_notebook_makes_its_claims_and_one_that_fails(runs):
    assert len(runs.made) == len(set(runs.made)) >= 25
    assert runs.failed == [WRONG]


@pytest.mark.parametrize("claim", SOURCES)
def test_a_broken_cell_breaks_its_claim(runs, claim):
    assert claim in runs.broken[claim]


def test_a_loaded_tensorflow_is_noticed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, "and TensorFlow is not even loaded", parameters=QUICK)
