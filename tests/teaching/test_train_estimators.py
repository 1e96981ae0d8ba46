"""The script behind the digits of lesson 17, and the file that it wrote."""

import json

import numpy as np
import pytest

from vaelib.pretrained import FOLDER
from vaelib.teaching import train_estimators as script


def test_models_of_a_seed_start_alike_and_are_judged_on_the_same_pixels():
    x = np.random.default_rng(0).random((60, 28, 28)).astype("float32")
    one, two = (script.build(3, script.ESTIMATORS[name](), hidden=5) for name in ("score function", "Gumbel-softmax"))
    for first, second in zip(one.get_weights()[:6], two.get_weights()[:6], strict=True):
        np.testing.assert_array_equal(first, second)
    several = [script.hard_bound(each, x, 200) for each in (one, two)]
    # The decoder hardly reads untrained codes: what differs is the pixels, and they are the same.
    assert np.corrcoef(several)[0, 1] > 0.9
    drawn = (np.random.default_rng(0).random(x.shape) < x).astype("float32")
    np.testing.assert_allclose(one.elbo(drawn, 200), several[0], atol=0.6)


@pytest.mark.slow
def test_the_script_writes_what_the_lesson_reads(tmp_path, capsys):
    script.main(["--folder", str(tmp_path), "--seeds", "2", "--epochs", "1", "--hidden", "5", "--images", "200"])
    record = json.loads((tmp_path / "estimators.json").read_text("utf-8"))
    assert list(record["estimators"]) == list(script.ESTIMATORS)
    for name, row in record["estimators"].items():
        expected = {"reported", "bound"} | ({"behind", "error"} if name != "Gumbel-softmax" else set())
        assert set(row) == expected
        assert all(len(values) == 2 and np.all(np.isfinite(values)) for values in row.values())
        if "behind" in row:
            gap = np.array(record["estimators"]["Gumbel-softmax"]["bound"]) - row["bound"]
            np.testing.assert_allclose(row["behind"], gap, atol=0.11)  # each image's bound is rounded to a tenth
    assert "Gumbel-softmax: [" in capsys.readouterr().out


def test_the_file_that_ships_is_of_this_script():
    record = json.loads((FOLDER / "estimators.json").read_text("utf-8"))
    assert record["script"] == "python -m vaelib.teaching.train_estimators" and record["data"] == "MNIST"
    expected = (script.NUM_TRAIN, script.EPOCHS, script.HIDDEN, script.NUM_TEST, script.NUM_SEEDS)
    assert tuple(record[name] for name in ("images", "epochs", "hidden", "test_images", "seeds")) == expected
    assert list(record["estimators"]) == list(script.ESTIMATORS)
