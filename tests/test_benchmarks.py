"""The benchmarks run, compare like with like, and name what is missing. Nothing here asserts how fast anything is."""

import importlib.util
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks():
    """Put the folder of the benchmarks on the path, as running one of them does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield
        for name in ("bench", "race", "contenders", "picture", "target", "slider_frame", "two_players"):
            sys.modules.pop(name, None)


@pytest.mark.slow  # each contender starts TensorFlow in a process of its own
def test_a_small_race(benchmarks, tmp_path, capfd):
    import bench

    names = ["vaelib fit", "matrix products alone", "PyTorch, eager"]
    bench.main(
        ["--only", "epoch", "--rounds", "1", "--epochs", "1", "--num-examples", "300"]
        + ["--names", *names, "--output", str(tmp_path)]
    )
    report = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    results = report["epoch"]["results"]
    assert list(results) == names
    assert results["vaelib fit"]["seconds"] > 0 and results["matrix products alone"]["seconds"] > 0
    shown = capfd.readouterr().out
    assert ("missing" in results["PyTorch, eager"]) == (importlib.util.find_spec("torch") is None)
    if "missing" in results["PyTorch, eager"]:
        assert "PyTorch, eager" in shown and "missing: torch not installed" in shown
    assert (tmp_path / "bench.png").stat().st_size > 5_000


@pytest.mark.slow  # each contender starts TensorFlow in a process of its own
def test_a_contender_that_fails_is_named_and_the_others_go_on(benchmarks, tmp_path):
    from contenders import Setting
    from race import race

    np.save(tmp_path / "x.npy", np.zeros((0, 28, 28), "float32"))  # no example: vaelib refuses it
    results = race(tmp_path / "x.npy", Setting(num_examples=0, epochs=1), 1, ["vaelib fit", "matrix products alone"])
    assert "holds no example" in results["vaelib fit"]["missing"]
    assert "seconds" in results["matrix products alone"]


LEARNERS = ["vaelib fit", "Keras fit", "Keras, own train_step", "PyTorch, eager", "JAX, scanned epoch"]


@pytest.mark.parametrize("name", LEARNERS)
def test_every_contender_learns(benchmarks, name, seeded):
    """Each one's function lowers the loss of its own model; a contender that trains nothing would win every race."""
    from contenders import CONTENDERS, Setting

    make, needs = CONTENDERS[name]
    if any(importlib.util.find_spec(module) is None for module in needs):
        pytest.skip(f"{needs} not installed")
    rng = np.random.default_rng(0)
    x = np.repeat(rng.random((4, 28, 28), dtype="float32"), 50, axis=0)
    epochs = make(x, Setting(batch_size=20, units=10, num_examples=len(x), epochs=2))
    first, last = losses(epochs), losses(epochs)
    assert last < first


@pytest.mark.parametrize("way", ["vaelib fit", "Keras, own train_step", "two compiled steps in turns"])
def test_every_way_to_train_two_players_learns(benchmarks, way, seeded):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the ways by hand are written for TensorFlow")
    from two_players import WAYS, data

    epoch = WAYS[way](data(60))
    first = epoch()
    assert [epoch() for _ in range(4)][-1] < first


def losses(epochs):
    """Return the loss at the end of one call, whatever the contender gives back."""
    result = epochs()
    return result.history["loss"][-1] if hasattr(result, "history") else float(result)
