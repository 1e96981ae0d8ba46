"""EpochScrubber on the Python side: what it sends, what it refuses."""

import types

import numpy as np
import pytest
from traitlets import TraitError

from vaelib.teaching.palette import CLASS_COLOURS
from vaelib.widgets import EpochScrubber


def run(epochs, n=7, latent_dim=2, shape=(4, 6), per_side=2, seed=0):
    rng = np.random.default_rng(seed)
    k = len(epochs)
    return types.SimpleNamespace(
        epochs=list(epochs),
        mu=list(rng.standard_normal((k, n, latent_dim)).astype("float32")),
        log_var=list(rng.standard_normal((k, n, latent_dim)).astype("float32")),
        images=list(rng.integers(0, 256, (k, per_side**2, *shape)).astype("uint8")),
    )


def test_what_travels():
    a, b = run([0, 1, 3, 8]), run([0, 1], seed=1)
    scrubber = EpochScrubber({"sum": a, "mean": b}, labels=[3, 1, 3, 2, 1, 1, 2], ellipses=4)
    assert scrubber.epochs == (0, 1, 3, 8) and scrubber.at == 3
    sent = np.frombuffer(scrubber.codes, "<f4")
    expected = np.concatenate([np.ravel(part) for part in (a.mu, a.log_var, b.mu, b.log_var)])
    np.testing.assert_array_equal(sent, expected)
    np.testing.assert_array_equal(
        np.frombuffer(scrubber.images, "uint8"), np.concatenate([np.ravel(part) for part in (a.images, b.images)])
    )
    assert list(scrubber.kinds) == [2, 0, 2, 1, 0, 0, 1]
    spec = scrubber.spec
    assert spec["runs"] == [{"name": "sum", "epochs": [0, 1, 3, 8]}, {"name": "mean", "epochs": [0, 1]}]
    assert (spec["height"], spec["width"], spec["per_side"], spec["channels"]) == (4, 6, 2, 1)
    assert spec["class_names"] == ["1", "2", "3"] and spec["colours"] == CLASS_COLOURS and spec["ellipses"] == 4


def test_large_images_are_halved_by_the_mean_of_four_pixels():
    a = run([1], shape=(28, 29, 3))
    scrubber = EpochScrubber({"one": a})
    images = np.frombuffer(scrubber.images, "uint8").reshape(4, 14, 14, 3)
    expected = np.array(a.images)[0, :, :, :28].reshape(4, 14, 2, 14, 2, 3).mean(axis=(2, 4))
    assert np.abs(images - expected).max() <= 0.51
    assert scrubber.spec["channels"] == 3


@pytest.mark.parametrize(
    "runs, message",
    [
        ({}, "at least one run"),
        ({"a": run([])}, "train with the callback first"),
        ({"a": run([0, 1]), "b": run([0, 1], n=8)}, "the same examples"),
        ({"a": run([0, 1]), "b": run([0, 1], latent_dim=3)}, "the same examples"),
        (
            {"a": types.SimpleNamespace(**{**vars(run([0, 1])), "mu": run([0]).mu})},
            "run 'a' must hold, for each of its 2",
        ),
        ({"a": types.SimpleNamespace(**{**vars(run([0])), "images": [np.zeros((3, 4, 4))]})}, "square"),
        (
            {"a": types.SimpleNamespace(**{**vars(run([0])), "mu": [np.full((7, 2), np.nan)]})},
            "mu of run 'a' must be finite",
        ),
    ],
)
def test_runs_that_do_not_fit_are_named(runs, message):
    with pytest.raises(ValueError, match=message):
        EpochScrubber(runs)


def test_other_arguments():
    runs = {"a": run([0, 1])}
    with pytest.raises(ValueError, match=r"labels must have shape \(7,\)"):
        EpochScrubber(runs, labels=[1, 2])
    with pytest.raises(ValueError, match="names must have one name"):
        EpochScrubber(runs, names=["one"])
    scrubber = EpochScrubber(runs)
    scrubber.at = 0
    for wrong in (-1, 2, "a"):
        with pytest.raises(TraitError):
            scrubber.at = wrong
    assert scrubber.at == 0
    for name in ("codes", "images", "spec"):
        with pytest.raises(TraitError, match="read-only"):
            setattr(scrubber, name, getattr(scrubber, name))


def test_too_much_to_travel_says_its_size_and_the_limit():
    with pytest.raises(ValueError, match="the checkpoints hold 5.8 MB; at most 4 MB travel"):
        EpochScrubber({"a": run(range(30), n=12_000)})


def test_the_module_needs_no_network():
    text = EpochScrubber({"a": run([0])}).get_state()["_esm"]
    for outside in ["http:", "https:", "import ", "import(", "url(", "fetch("]:
        assert outside not in text
