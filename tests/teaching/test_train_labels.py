"""The script behind the 100 labels of lesson 21, and the file that it wrote."""

import json

import numpy as np
import pytest

from vaelib.data.download import Source
from vaelib.data.mnist import Mnist
from vaelib.pretrained import FOLDER
from vaelib.teaching import train_labels as script


def test_as_many_rows_of_each_class_keep_their_labels_and_the_others_are_others():
    labels = np.random.default_rng(0).integers(0, 10, 2_000)
    kept, others = script.split(labels, 1, 300)
    np.testing.assert_array_equal(np.bincount(labels[kept]), np.full(10, script.PER_CLASS))
    assert len(others) == 300 and not set(kept) & set(others) and len(set(others)) == 300
    assert not np.array_equal(kept, script.split(labels, 2)[0])


def test_a_classifier_takes_each_row_once_a_step():
    x, y = np.eye(10, dtype="float32"), np.arange(10)
    network = script.classifier_of(x, y, 0, hidden=20, steps=400)
    assert int(network.optimizer.iterations) == 400 and script.error(network, x, y) == 0
    assert script.error(network, x, (y + 1) % 10) == 1


@pytest.mark.slow
def test_the_script_writes_what_the_lesson_reads(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 10
    x = (rng.random((400, 28, 28)) < 0.5).astype("float32")
    source = Source("noise", "a generator", True, "400 images")
    monkeypatch.setattr(script, "load_mnist", lambda: Mnist(x, y, x[:50], y[:50], source))
    arguments = ["--seeds", "1", "--epochs", "1", "--epochs-m2", "1", "--hidden", "4", "--unlabelled", "200"]
    script.main(["--folder", str(tmp_path), *arguments])
    record = json.loads((tmp_path / "labels.json").read_text("utf-8"))
    assert record["data"] == "noise" and record["unlabelled"] == 200
    assert all(0 <= record["errors"][0][name] <= 1 for name in script.WAYS)
    assert "M2" in capsys.readouterr().out


def test_the_file_that_ships_is_of_this_script():
    record = json.loads((FOLDER / "labels.json").read_text("utf-8"))
    assert record["script"] == "python -m vaelib.teaching.train_labels" and record["data"] == "MNIST"
    expected = (script.NUM_UNLABELLED, script.EPOCHS, script.EPOCHS_M2, script.HIDDEN)
    assert tuple(record[name] for name in ("unlabelled", "epochs", "epochs_m2", "hidden")) == expected
    assert [row["seed"] for row in record["errors"]] == list(range(script.NUM_SEEDS))
