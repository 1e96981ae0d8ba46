"""The models of lesson 14 that ship: the script trains them, goes on after a stop, and says what they are worth."""

import json

import keras
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import bernoulli, norm

import vaelib
from vaelib import evaluation, pretrained
from vaelib.data import Mnist, load_mnist
from vaelib.data.mnist import DATASET, stand_in_digits
from vaelib.pretrained import importance as script

KS = script.KS
SMALL = {**script.RECIPE, "epochs": 3, "batch_size": 50}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    return {key: array[:200] for key, array in stand_in_digits().items()}


@pytest.fixture(scope="module")
def mnist(digits):
    x_train, x_test = ((digits[key] / np.float32(255)).astype("float32") for key in ("x_train", "x_test"))
    source = vaelib.data.Source("MNIST", "for this test", False)
    return Mnist(x_train, digits["y_train"], x_test, digits["y_test"], source)


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_where_one_run_does(mnist, tmp_path, monkeypatch):
    whole, _ = script.train(2, mnist.x_train, SMALL)
    file, fit = tmp_path / "here.npz", vaelib.VAE.fit

    def stopped(self, *args, **kwargs):
        if kwargs["initial_epoch"] == 2:
            raise KeyboardInterrupt
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(vaelib.VAE, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        script.train(2, mnist.x_train, SMALL, file)
    monkeypatch.undo()
    passes = []
    monkeypatch.setattr(vaelib.VAE, "fit", lambda *a, **k: passes.append(k["initial_epoch"]) or fit(*a, **k))
    again, seconds = script.train(2, mnist.x_train, SMALL, file)
    assert passes == [2] and seconds > 0
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert float(again.optimizer.learning_rate) < 1e-6  # the cosine has reached its end


def test_the_script_writes_what_loads(mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "load_mnist", lambda: mnist)
    few = ["--epochs", "1", "--train", "100", "--test", "20", "--draws", "10"]
    script.main(["--folder", str(tmp_path), "--ks", "1", "2", *few])
    for k in (1, 2):
        record, vae = script.record_of(k, tmp_path), script.load(k, tmp_path)
        assert (record["k"], record["train"], record["test"], record["draws"]) == (k, 100, 20, 10)
        assert vae.objective.num_samples == k and vae.binarise
        (elbo, log_p), units = script.score(vae, mnist, 20, 10)
        assert record["log_p"] == pytest.approx(evaluation.mean_and_error(log_p), abs=2e-3)
        assert record["elbo"][0] < record["log_p"][0] and record["active_units"] == units
        numpy_too = pretrained.load(f"iwae_{k}", tmp_path)
        z = RNG.standard_normal((4, 50)).astype("float32")
        expected = keras.ops.convert_to_numpy(vae.decode(z))
        np.testing.assert_allclose(numpy_too.decoder(z), expected, atol=1e-5)
        mu = numpy_too.encoder(mnist.x_test[:4])[0]
        np.testing.assert_allclose(mu, vae.encode(mnist.x_test[:4]), atol=1e-4)


@pytest.mark.parametrize("k", KS)
def test_the_file_is_what_the_script_writes(k):
    record, file = script.record_of(k), pretrained.FOLDER / f"iwae_{k}.npz"
    assert record["data_sha256"] == {key: DATASET.expected[key].sha256 for key in ("x_train", "x_test")}
    assert {key: record[key] for key in script.RECIPE} == script.RECIPE
    assert (record["k"], record["train"], record["test"]) == (k, 60_000, script.NUM_TEST)
    assert record["draws"] == script.NUM_SAMPLES
    assert file.stat().st_size < 900_000
    with np.load(file, allow_pickle=False) as arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype("float16")}
        assert sum(array.size for array in arrays.values()) == 784 * 400 + 2 * 200**2 + 150 * 200 + 500 + 1184
    assert json.dumps(record, indent=2) + "\n" == file.with_suffix(".json").read_text("utf-8")


@pytest.mark.parametrize("k", KS)
def test_the_weights_are_worth_what_the_record_says(k):
    """L_100 of some digits by hand, from the arrays of the file, in NumPy and SciPy alone."""
    rng, draws = np.random.default_rng(k), 100
    mnist, model = load_mnist(), pretrained.load(f"iwae_{k}")
    x = script.black_and_white(mnist.x_test[:60], script.TEST_INK).reshape(60, -1)
    mu, log_var = (each.astype(float) for each in model.encoder(x.reshape(60, 28, 28)))
    sigma = np.exp(log_var / 2)
    z = mu + sigma * rng.standard_normal((draws, 60, 50))
    logits = model.decoder.params(z.reshape(-1, 50).astype("float32")).reshape(draws, 60, 784)
    log_w = bernoulli.logpmf(x, expit(logits.astype(float)).clip(1e-9, 1 - 1e-9)).sum(axis=-1)
    log_w += norm.logpdf(z).sum(axis=-1) - norm.logpdf(z, mu, sigma).sum(axis=-1)
    by_hand = logsumexp(log_w, axis=0) - np.log(draws)
    vae = script.load(k)
    vae.binarise = False
    script.seed_again(vae.posterior, k)
    ours = vae.log_evidence(x.reshape(60, 28, 28).astype("float32"), draws)
    mean, error = evaluation.mean_and_error(ours - by_hand)
    assert abs(mean) < 5 * error < 2
    mean, error = evaluation.mean_and_error(by_hand)
    assert abs(mean - script.record_of(k)["log_p"][0]) < 5 * error  # other digits, fewer draws


def test_a_k_that_does_not_ship():
    with pytest.raises(ValueError, match=r"k must be one of \[1, 5, 50\], the models that ship; received 7"):
        script.load(7)
