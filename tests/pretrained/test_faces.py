"""The script behind the figures of lesson 09, and the file that it wrote."""

import json

import keras
import numpy as np
import pytest
import scipy.stats

from vaelib.pretrained import FOLDER
from vaelib.pretrained import faces as script

RNG = np.random.default_rng(0)


def test_the_blocks_lie_in_order_with_gaps_between_them():
    ends = [end for block in script.BLOCKS.values() for end in block]
    assert ends == sorted(ends) and ends[0] == 0 and ends[-1] == 1965
    assert ends[2] - ends[1] == ends[4] - ends[3] == 20


def test_no_frame_that_is_learned_from_lies_near_one_held_out():
    train, held_out = script.segments(1965, 131, 20)
    apart = np.abs(np.flatnonzero(train)[:, None] - np.flatnonzero(held_out)).min()
    assert apart == 21 and held_out.sum() == 5 * 131


def test_heavy_tails_are_those_of_scipy():
    part = script.StudentPixels((2, 3))
    params = RNG.normal(size=(4, 12)).astype("float32")
    mean, log_var = (np.asarray(values, float) for values in part.split(params))
    x = RNG.uniform(size=(4, 2, 3)).astype("float32")
    expected = scipy.stats.t.logpdf(x.reshape(4, 6), 4, mean, np.exp(log_var / 2)).sum(axis=1)
    np.testing.assert_allclose(np.asarray(part.log_prob(x, params)), expected, rtol=1e-5)


@pytest.mark.usefixtures("without_xla")
def test_a_model_that_starts_again_trains_as_a_fresh_one():
    frames = RNG.uniform(size=(60, 28, 20)).astype("float32")

    def losses(vae):
        return vae.fit(frames, epochs=2, batch_size=20, verbose=0).history["loss"]

    used = script.build(0, frames)
    first = losses(used)
    script.start_again(used, script.build(1, frames))
    again = losses(used)
    fresh = losses(script.build(1, frames))
    np.testing.assert_allclose(again, fresh, rtol=1e-5)
    assert not np.allclose(again, first, rtol=1e-5)


def test_each_recipe_changes_what_its_name_says():
    frames = RNG.uniform(size=(60, 28, 20)).astype("float32")
    look = {name: script.build(0, frames, **recipe).encoder.layers[0] for name, recipe in script.RECIPES.items()}
    mean = frames.mean(axis=0)
    for name, layer in look.items():
        shown = keras.ops.convert_to_numpy(layer(mean[None]))
        assert (np.abs(shown).max() < 1e-5) == ("centre" in name)
    assert script.build(0, frames, floor=-7.0).likelihood.log_var_range == (-7.0, 5.0)
    rate = script.build(0, frames, rate=3.0).optimizer.learning_rate
    assert float(rate) == pytest.approx(3e-3)


def test_the_file_has_ten_seeds_of_each_recipe():
    record = json.loads((FOLDER / "faces.json").read_text("utf-8"))
    assert record["script"] == "python -m vaelib.pretrained.faces"
    assert {name: tuple(block) for name, block in record["blocks"].items()} == script.BLOCKS
    recipes = record["recipes"]
    assert set(recipes) <= set(script.RECIPES)
    for results in recipes.values():
        assert {len(values) for values in results.values()} == {len(script.SEEDS)}
    assert script.to_json(record) == (FOLDER / "faces.json").read_text("utf-8")
