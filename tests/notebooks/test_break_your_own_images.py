"""Notebook 13 says what it measured only if each claim fails when what it guards is broken."""

import contextlib
import tempfile

import pytest
from breaking import claims_of, replaced

from vaelib.data import images, tiles

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "13_your_own_images"
QUICK = {"epochs": 1, "num_pictures": 120, "photo_epochs": 12}
# Cells whose claims hold in trained models of ellipses only; test_changed_parameters.py trains them.
WITHOUT = ("models = {dims", "even = vaelib")
NO_EIGHT = (*WITHOUT, "eight = build", "PredictPlace(")
UNTRAINED = {
    "vae.fit(images.x_train, validation_data=images.x_validation, epochs=10)": "vae.fit(images.x_test, epochs=1)"
}

# What is broken together, for a training serves them all: piece of code, what breaks it, the claim that catches it.
TRAINED = [
    (
        "return {name: evaluation",
        "codes = codes[::-1]\n    return {name: evaluation",
        "(1) two numbers hold each mean colour",
    ),
    ('"left to right": x[:, :, 4:]', '"left to right": 2 * x[:, :, 4:]', "(1) and nothing of where the light is"),
    ('build(images, "Normal", 8)', 'build(images, "Normal", 1)', "eight numbers bring back more than two"),
    ("within = tiles.var(axis=(1, 2))", "within = tiles.var(axis=(0, 1))", "each tile is nearly one colour"),
    ("[2][:8]", "[2][-8:]", "PCA misses less than the VAE"),
    ("rough = images.x_test", "rough = images.x_test[::-1]", "rough tiles get more variance"),
]
OF_TILES = [
    ("tile=8, colour=True,", "tile=8, colour=True, test_share=0.4,", "about a fifth is for testing"),
    ('("china", "flower"), 8)', '("china", "flower"), 8)\ntiles = 1 - tiles', "the tiles are the photographs' own"),
    ("== [0, 0, 1]).all(axis=1)", "!= [0, 0, 1]).any(axis=1)", "neighbours are nearly the same picture"),
]
OF_FILES = [
    ("(255 * picture).round()", "(255 * picture + 0.4).round()", "the files hold what we drew, to half a grey level"),
    ("good * 255, white=255", "good * 255, white=256", "0 to 255 loads with white=255"),
    ("(broken / broken.max())", "(broken / good.max())", "all the others are ten times darker"),
]
REFUSALS = ["sizes are mixed", "0 to 255, but no integers", "below zero", "not a number", "channels first"]
REFUSALS += ["no colour to keep", "one row per picture", "too few", "a damaged file", "an empty folder"]


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The lesson's folder, gone with its kernel, lies where pytest clears up: this process lives on."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def failing(breaks=(), source=(), context=None, without=WITHOUT):
    """The claims made, and those that fail, with all of these breaks at once."""
    source = {"tempfile.TemporaryDirectory()": 'type("Folder", (), {"name": tempfile.mkdtemp()})'} | dict(source)
    source |= {old: new for old, new, _ in breaks}
    with context or contextlib.nullcontext():
        made, failed = claims_of(NOTEBOOK, parameters=QUICK, source=source, without=without)
    return made, set(failed)


def test_claims_about_tiles_hold_and_fail_with_what_they_guard():
    made, failed = failing()
    about_ellipses = {"(1) the code holds the length", "(1) the code holds the angle"}
    about_ellipses.add("reconstructions are nearer than the mean picture")
    assert failed <= about_ellipses and len(made) == len(set(made)) >= 27
    _, failed = failing(TRAINED)
    assert {claim for *_, claim in TRAINED} <= failed
    assert "eight numbers hold top to bottom" in failed  # the eight are one


def test_claims_about_the_cut_fail_with_it():
    _, failed = failing(OF_TILES, UNTRAINED, without=NO_EIGHT)
    assert {claim for *_, claim in OF_TILES} <= failed


SPLITS = {
    "at least one tile lies between a test tile and a training tile": (
        lambda split: lambda where, shares, rng: images._split(len(where), *shares, rng)
    ),
    "no tile is in two parts": lambda split: lambda *args: [*split(*args)[:2], split(*args)[0][:1700]],
}


@pytest.mark.parametrize("claim", SPLITS)
def test_a_claim_about_the_split_fails_with_it(claim):
    _, failed = failing((), UNTRAINED, replaced(tiles, "split", SPLITS[claim]), NO_EIGHT)
    assert claim in failed


def test_claims_about_files_and_refusals_fail_with_them():
    silent = [
        ("said = str(error)", 'said = "refused"', f"{what}: refused, and the sentence names it") for what in REFUSALS
    ]
    _, failed = failing(OF_FILES + silent, UNTRAINED, without=NO_EIGHT)
    assert {claim for *_, claim in OF_FILES + silent} <= failed


def test_what_is_not_refused_fails_its_claim():
    any_range = replaced(images, "_divisor", lambda f: lambda low, high, whole, white: white or max(high, 1))
    with any_range, replaced(images, "_require_enough", lambda f: lambda *args: None):
        _, failed = failing((), UNTRAINED, without=NO_EIGHT)
    for what in ("0 to 255, but no integers", "below zero", "too few"):
        assert f"{what}: refused, and the sentence names it" in failed
