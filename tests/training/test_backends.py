"""What `fit` promises holds on JAX and torch too, where steps run in Keras's own loop."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

HERE = Path(__file__).parent
EVERYWHERE = [
    "test_backends.py",
    "test_finite.py",
    "test_busy.py",
    "test_players.py",
    "test_interrupts.py",
    "test_callbacks.py",
    "test_compilation.py",
]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_tests_that_name_no_backend_pass_there(backend):
    if importlib.util.find_spec(backend) is None or keras.backend.backend() != "tensorflow":
        pytest.skip(f"{backend} is not installed, or the tests run on another backend already")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(str(HERE / name) for name in EVERYWHERE)]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("with_y", [True, False])
def test_a_weight_counts_an_example_so_many_times(start, rows, with_y):
    x, weights, twice = rows(6), np.array([2, 0, 1, 1, 1, 1], "float32"), [0, 0, 2, 3, 4, 5]
    y = rows(6, seed=1) if with_y else None
    options = dict(batch_size=6, epochs=2, verbose=0, blocks=False)
    got = start.again().fit(x, y, sample_weight=weights, validation_data=(x, y, weights), **options).history
    values = start.model.evaluate(x, y, sample_weight=weights, return_dict=True)
    expected = start.again().fit(x[twice], y if y is None else y[twice], **options).history
    for name in ("loss", "reconstruction", "kl"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5)
        assert got[f"val_{name}"][-1] == pytest.approx(values[name], rel=1e-5)


def test_targets_may_be_a_tuple(models, rows):
    model = models.Toy()
    terms = model.terms
    model.terms = lambda x, y=None: terms(x, y[0])
    model.compile("sgd")
    x = rows(6)
    history = model.fit(x, (x, np.arange(6)), batch_size=4, verbose=0).history
    assert history["loss"][0] > model.evaluate(x, (x, np.arange(6)))[0]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so of every generator that ends
def test_batches_are_checked(toy, rows):
    def batches(x):
        for start in range(0, len(x), 2):
            yield (x[start : start + 2].astype("float64"),)

    x = rows(8)
    assert toy.fit(batches(x), verbose=0).epoch == [0]
    x[5] = np.nan
    with pytest.raises(ValueError, match="^a batch of x must be finite"):
        toy.fit(batches(x), verbose=0)
    assert np.isfinite(toy.evaluate(rows(4))[0])
    with pytest.raises(ValueError, match="^a batch of x must be finite"):
        toy.evaluate(batches(x))
    assert np.isfinite(toy.evaluate(rows(4))[0])


class Batches(keras.utils.PyDataset):
    """The batches of an array, two rows each; Keras reads the first one when the training has begun."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __getitem__(self, index):
        return (self.x[2 * index : 2 * index + 2],)

    def __len__(self):
        return len(self.x) // 2


def test_a_bad_first_batch_leaves_model_and_optimiser_whole(models, rows):
    """On JAX the arrays of both have been taken away when the first batch is read."""
    model, x = models.Toy(), rows(4)
    model.compile("adam")
    x[0] = np.nan
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="^a batch of x must be finite"):
            use(Batches(x), verbose=0)
    assert model.optimizer.iterations == 0
    assert model.fit(Batches(rows(4)), verbose=0).epoch == [0] and model.optimizer.iterations == 2


def test_noise_is_fresh_in_every_step(models, rows):
    model = models.Toy(noise=1.0)
    model.compile(keras.optimizers.SGD(0.0))
    x = np.repeat(rows(1), 4, axis=0)
    assert len(set(model.fit(x, batch_size=4, epochs=4, verbose=0).history["reconstruction"])) == 4


def test_losses_of_the_layers_are_added(models, rows):
    """An activity regulariser adds 10 |z|² per example, of which kl is the half."""
    plain, regular = models.Toy(), models.Toy()
    regular.encoder.activity_regularizer = keras.regularizers.L2(10.0)
    for model in (plain, regular):
        model.compile(keras.optimizers.SGD(0.01))
    x = rows(4)
    (loss, _, kl), (regularised, _, _) = plain.evaluate(x), regular.evaluate(x)
    assert regularised == pytest.approx(loss + 20 * kl, rel=1e-4)
    for model in (plain, regular):
        model.fit(x, batch_size=4, epochs=2, verbose=0)
    assert regular.evaluate(x)[2] < plain.evaluate(x)[2]


def test_weights_that_change_beside_the_gradients_do(models, rows):
    """The running means of batch normalisation, which belong to no player, follow the data."""
    model = models.Toy()
    model.normalise = keras.layers.BatchNormalization()
    model.normalise.build((None, 3))
    terms = model.terms
    model.terms = lambda x, y=None: terms(model.normalise(x, training=True), y)
    model.compile("sgd")
    x = rows(8) + 5
    model.fit(x, batch_size=4, epochs=3, verbose=0)
    assert keras.ops.convert_to_numpy(model.normalise.moving_mean).min() > 0.1
