"""The script behind the bug hunt of lesson 10."""

import json

import numpy as np
import pytest

from vaelib.model.vae import VAE
from vaelib.pretrained.weights import FOLDER
from vaelib.teaching import train_bugs as script
from vaelib.teaching.bug_hunt import CHECKS, FILE, unpacked_bytes
from vaelib.teaching.bugs import BASES, BUGS

SMALL = {**script.RECIPE, "latent_dim": 2, "hidden_units": 5, "epochs": 2, "batch_size": 20}
LABELS = np.arange(120) % 10


@pytest.fixture(scope="module")
def digits():
    return (np.random.default_rng(0).random((120, 28, 28)) < LABELS[:, None, None] / 20).astype("float32")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_one_part_is_exchanged_and_the_others_are_right(bug):
    vae, right = script.build(bug.parts, SMALL), script.build(BASES[bug.base], SMALL)
    assert isinstance(vae, VAE)
    kinds = [[type(getattr(each, role)) for role in ("posterior", "likelihood", "objective")] for each in (vae, right)]
    changed = sum(one is not other for one, other in zip(*kinds, strict=True))
    assert changed == (0 if "decoder" in bug.parts else 1)
    if bug.parts.keys() != {"likelihood"}:  # another likelihood may need another decoder; else the weights are the same
        for ours, its in zip(vae.encoder.get_weights(), right.encoder.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, its)


@pytest.mark.slow
@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize("name", ["digits", "mean over the pixels", "sign of the KL"])
def test_what_is_kept_of_a_training(digits, name):
    bug = {bug.name: bug for bug in BUGS}.get(name)
    kept = script.train(bug.parts if bug else {}, "digits", digits, digits, LABELS, SMALL)
    kept = json.loads(json.dumps(kept))
    assert list(kept["checks"]) == list(CHECKS)
    assert {len(curve) for curve in kept["curves"].values()} == {2}
    assert unpacked_bytes(kept["images"]).shape == (2, 6, 28, 28)
    codes = unpacked_bytes(kept["codes"]).astype(float)
    assert codes.shape == (120, 2) and codes[:, 0].var() >= codes[:, 1].var()  # the widest stands first
    assert all(passed for passed, _ in kept["checks"].values()) or bug


def test_the_record_says_how_it_was_made():
    record = json.loads((FOLDER / FILE).read_text("utf-8"))
    assert record["recipe"] == script.RECIPE and record["script"] == "python -m vaelib.teaching.train_bugs"
    assert set(record["runs"]) == set(BASES) | {bug.name for bug in BUGS}
    for name, run in record["runs"].items():
        losses = run["curves"]["loss"]
        fell_without_end = name.startswith("sign of") and losses[-1] < -1e5
        assert len(losses) == script.RECIPE["epochs"] or fell_without_end, name
