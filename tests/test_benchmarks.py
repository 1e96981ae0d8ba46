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
        for name in list(sys.modules):
            if name.partition(".")[0] in {path.stem for path in FOLDER.iterdir()}:
                sys.modules.pop(name)


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
    """Each one's `train` lowers the loss of its own model; a contender that trains nothing would win every race."""
    contender, x = made(name, units=10, epochs=2, peak=4e-3)
    before, calls = contender.nelbo(x), []
    assert before == pytest.approx(784 * np.log(2), rel=0.1)  # networks that know nothing say a half for each pixel
    contender.train(lambda: calls.append(contender.nelbo(x)))
    assert len(calls) == 2 and before > calls[0] > calls[1]


@pytest.mark.slow  # XLA compiles each
@pytest.mark.parametrize("sizes", [dict(depth=2, latent_dim=5), dict(num_samples=3), dict(filters=4, num_samples=2)])
@pytest.mark.parametrize("name", ["vaelib fit", "Keras fit", "PyTorch, eager", "JAX, scanned epoch"])
def test_every_size_is_trained(benchmarks, name, sizes, seeded):
    contender, x = made(name, **sizes)
    before = contender.nelbo(x)
    contender.train()
    assert contender.nelbo(x) < before


def test_the_exponent_of_a_power_law_is_found(benchmarks):
    from growth import exponents, print_exponents

    races = [
        {
            "network": "dense",
            "changed": "units",
            "setting": {"units": units},
            "results": {"vaelib fit": {"seconds": 0.1 * units**1.5}, "Keras fit": {"missing": "not installed"}},
        }
        for units in (50, 200, 800)
    ]
    (row,) = exponents(races)
    assert (row["name"], row["changed"]) == ("vaelib fit", "units") and row["exponent"] == pytest.approx(1.5)
    print_exponents([row])


@pytest.mark.slow  # each contender is a process of its own
def test_growth_races_each_size_once_and_draws_it(benchmarks, tmp_path, monkeypatch):
    import growth as module
    from contenders import BOUND, Setting
    from growth import growth
    from picture import LINE_COLOURS, draw_growth

    monkeypatch.setattr(module, "GROWING", [BOUND])  # it needs no library to start
    monkeypatch.setitem(LINE_COLOURS, BOUND, "grey")

    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((300, 28, 28), dtype="float32"))
    fields = {"dense": (Setting(num_examples=200, units=10), {"units": (10, 20), "num_examples": (100, 200, 400)})}
    titles = []
    report = growth(tmp_path / "x.npy", 1, [BOUND], lambda title, results: titles.append(title), fields)
    assert len(titles) == 3  # the start once, and 400 images there are not
    assert [row["setting"]["num_examples"] for row in report["races"]] == [200, 200, 100, 200]
    assert {row["changed"] for row in report["exponents"]} == {"units", "num_examples"}
    of_units, of_images = (ax.get_lines()[0] for ax in draw_growth(report).axes[:2])
    assert list(of_units.get_xdata()) == [10, 20] and list(of_images.get_xdata()) == [100, 200]
    seconds = [row["results"][BOUND]["seconds"] for row in report["races"]]
    assert [*of_units.get_ydata(), *of_images.get_ydata()] == seconds


@pytest.mark.slow  # it trains in a process of its own
def test_the_way_to_the_target_is_noted_epoch_by_epoch(benchmarks, mnist_at_hand, capsys):
    from target import WAYS, time_to_target

    name = "vaelib fit, cosine from 4e-3"
    row = time_to_target({name: WAYS[name]}, epochs=2)[name]
    assert row["seconds"] is None and len(row["nelbo"]) == 2 and row["nelbo"][0] > row["nelbo"][1] > 152.29
    assert "not in" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["vaelib fit", "Keras, own train_step", "two compiled steps in turns"])
def test_every_way_to_train_two_players_learns(benchmarks, way, seeded):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the ways by hand are written for TensorFlow")
    from two_players import WAYS, data

    epoch = WAYS[way](data(60))
    first = epoch()
    assert [epoch() for _ in range(4)][-1] < first


def made(name, **sizes):
    """Return a contender, ready to train, and 200 images: four, fifty times each."""
    from contenders import CONTENDERS, Setting

    make, needs = CONTENDERS[name]
    if any(importlib.util.find_spec(module) is None for module in needs):
        pytest.skip(f"{needs} not installed")
    x = np.repeat(np.random.default_rng(0).random((4, 28, 28), dtype="float32"), 50, axis=0)
    setting = Setting(**{"batch_size": 20, "units": 10, "num_examples": len(x), "epochs": 2, **sizes})
    return make(x, setting), x


@pytest.fixture
def mnist_at_hand():
    """Skip where only the stand-in is there."""
    import vaelib

    if vaelib.load_mnist().source.stand_in:
        pytest.skip("needs the real MNIST")
