"""Compiled functions read the model's weights and draw fresh noise, on every backend."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from vaelib.training.compilation import compiled, programs

TRACES = []


class Noisy(keras.Model):
    """x W + noise, where the noise has a generator of its own."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2, use_bias=False)
        self.dense.build((None, 3))
        self.seed_generator = keras.random.SeedGenerator(0)
        self.built = True

    def call(self, x):
        return self.dense(x)


@compiled
def product(model, x, factor=None, *, power=1):
    TRACES.append(power)
    result = model(x) ** power
    return {"result": result if factor is None else factor["a"] * result}


@compiled
def noise(model, like):
    return like + keras.random.normal(ops.shape(like), seed=model.seed_generator)


@pytest.fixture
def model():
    TRACES.clear()
    return Noisy()


def weights(model):
    return ops.convert_to_numpy(model.dense.kernel)


def numbers(*arguments, **constants):
    return ops.convert_to_numpy(product(*arguments, **constants)["result"])


def draw(function, model):
    return ops.convert_to_numpy(function(model, np.zeros(5, "float32")))


def test_it_returns_what_the_function_returns(model):
    x = np.ones((4, 3), "float32")
    np.testing.assert_allclose(numbers(model, x), x @ weights(model), rtol=1e-5)
    np.testing.assert_allclose(numbers(model, x, {"a": np.float32(2)}), 2 * x @ weights(model), rtol=1e-5)
    np.testing.assert_allclose(numbers(model, x, power=2), (x @ weights(model)) ** 2, rtol=1e-5)
    assert product.__name__ == "product" and product.__wrapped__(model, ops.ones((4, 3)))["result"].shape == (4, 2)


def test_changed_weights_are_read_anew(model):
    x = np.ones((4, 3), "float32")
    product(model, x)
    model.dense.kernel.assign(np.full((3, 2), 0.5))
    np.testing.assert_allclose(numbers(model, x), np.full((4, 2), 1.5), rtol=1e-6)


def test_noise_is_fresh_in_each_call_and_follows_the_seed(model):
    draws = [draw(noise, model) for _ in range(3)]
    assert not np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[1], draws[2])
    again, eager = Noisy(), Noisy()
    np.testing.assert_allclose([draw(noise, again) for _ in range(3)], draws, rtol=1e-6)
    # As in the uncompiled function, whose draws go on from the same state.
    uncompiled = [draw(lambda model, like: noise.__wrapped__(model, ops.convert_to_tensor(like)), eager) for _ in "123"]
    np.testing.assert_allclose(uncompiled, draws, rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch runs the function as it is")
def test_it_is_traced_once_for_a_shape_and_a_constant(model):
    for _ in range(3):
        product(model, np.ones((4, 3), "float32"))
    assert TRACES == [1]
    product(model, np.ones((4, 3), "float32"), power=3)
    assert TRACES == [1, 3]
    product(Noisy(), np.ones((4, 3), "float32"))
    assert TRACES == [1, 3, 1]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has one program per shape")
def test_the_sizes_are_left_open_after_the_first_change(model):
    for n in (4, 5, 6, 7):
        product(model, np.ones((n, 3), "float32"))
    assert len(TRACES) == 2


def test_many_models_raise_no_warning(caplog):
    for _ in range(7):
        product(Noisy(), np.ones((4, 3), "float32"))
    assert not caplog.records


def test_a_model_that_runs_eagerly_is_not_compiled(model):
    model.compile("sgd", run_eagerly=True)
    for _ in range(2):
        product(model, np.ones((4, 3), "float32"))
    assert len(TRACES) == 2 and programs(model) == {}


def test_a_program_does_not_outlive_its_model():
    model = Noisy()
    product(model, np.ones((4, 3), "float32"))
    trace = weakref.ref(model)
    del model
    gc.collect()
    assert trace() is None


def test_a_compiled_model_is_saved(model, tmp_path):
    product(model, np.ones((4, 3), "float32"))
    model.save_weights(tmp_path / "w.weights.h5")
    other = Noisy()
    other.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(weights(other), weights(model))
