"""The script behind the layers of lesson 19, and the file that it wrote."""

import json

import numpy as np
import pytest
from keras import ops

from vaelib.model.distributions import kl_divergence
from vaelib.pretrained import FOLDER
from vaelib.teaching import train_ladders as script


def test_the_kls_of_the_layers_add_up_to_that_of_the_model():
    x = script.black_and_white(np.random.default_rng(0).random((20, 28, 28)))
    for posterior in script.POSTERIORS:
        vae = script.build(1, posterior, hidden=5)
        assert [network is None for network in vae.posterior.networks] == [posterior == "independent layers"] * 2
        params = vae.posterior_params(x)
        z = vae.posterior.sample(params, num=2_000)
        estimate = ops.convert_to_numpy(kl_divergence(vae.posterior, params, vae.prior, z=z)).mean()
        assert script.kl_of_layers(vae, x, 2_000).sum() == pytest.approx(estimate, rel=0.02)


@pytest.mark.parametrize("layers", [script.LAYERS, script.DEEP])
def test_the_decoder_reads_the_lowest_layer_alone(layers):
    vae = script.build(0, "top down", hidden=5, layers=layers)
    assert vae.prior.layer_sizes == vae.posterior.layer_sizes == layers
    z = np.random.default_rng(0).standard_normal((2, sum(layers))).astype("float32")
    moved = z.copy()
    moved[:, : -layers[-1]] += 1
    np.testing.assert_array_equal(vae.decode(moved), vae.decode(z))
    moved[:, -1] += 1
    assert np.any(vae.decode(moved) != vae.decode(z))


def test_the_warm_up_raises_beta_to_one():
    vae, seen = script.build(0, "independent layers", hidden=3), []
    callback = script.WarmUp(4)
    callback.set_model(vae)
    for epoch in range(6):
        callback.on_epoch_begin(epoch)
        seen.append(float(vae.objective.beta))
    assert seen == [0, 0.25, 0.5, 0.75, 1, 1]
    script.WarmUp(0).set_model(vae)


@pytest.mark.slow
def test_the_script_writes_what_the_lesson_reads(tmp_path, capsys):
    arguments = ["--folder", str(tmp_path), "--seeds", "1", "--epochs", "2", "--hidden", "4", "--images", "200"]
    script.main([*arguments, "--warm-up", "1"])
    record = json.loads((tmp_path / "ladders.json").read_text("utf-8"))
    assert [(row["posterior"], row["warm_up"]) for row in record["models"]] == [
        (posterior, warm_up) for posterior in script.POSTERIORS for warm_up in (0, 1)
    ]
    for row in record["models"]:
        assert np.shape(row["kls"]) == (2, 3) and row["elbo"] < row["log_evidence"]
    assert "top down 1 0 [" in capsys.readouterr().out
    script.main([*arguments, "--warm-up", "1", "--deep"])
    record = json.loads((tmp_path / "deep_ladders.json").read_text("utf-8"))
    assert [(row["posterior"], row["warm_up"]) for row in record["models"]] == [(name, 1) for name in script.POSTERIORS]
    assert all(np.shape(row["kls"]) == (2, 5) for row in record["models"])


@pytest.mark.parametrize(
    ("name", "option", "layers", "kinds"),
    [("ladders", "", script.LAYERS, 4), ("deep_ladders", " --deep", script.DEEP, 2)],
)
def test_the_file_that_ships_is_of_this_script(name, option, layers, kinds):
    record = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    assert record["script"] == "python -m vaelib.teaching.train_ladders" + option and record["data"] == "MNIST"
    expected = (script.NUM_TRAIN, script.EPOCHS, script.WARM_UP, script.HIDDEN, script.NUM_TEST, script.NUM_SEEDS)
    names = ("images", "epochs", "warm_up", "hidden", "test_images", "seeds")
    assert tuple(record[name] for name in names) == expected and tuple(record["layers"]) == layers
    assert len(record["models"]) == kinds * script.NUM_SEEDS
