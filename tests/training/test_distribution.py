"""Under tf.distribute a model trains and reports as on one device. Two logical CPUs, in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import importlib.util, json, os, sys
import numpy as np
import tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
import keras
spec = importlib.util.spec_from_file_location("doubles", sys.argv[1])
doubles = importlib.util.module_from_spec(spec)
spec.loader.exec_module(doubles)
from vaelib.training import compilation
compilation.xla_is_faster = lambda model: False

x = np.random.default_rng(0).normal(size=(13, 3)).astype("float32")  # the last batch leaves a replica without examples
options = dict(batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=x[:5])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2

def train(make, optimizer, scope, fit_scope):
    with scope:
        model = make()
        if scope is not nothing:
            model.compile(optimizer())
    if scope is nothing:
        model.compile(optimizer())
    with fit_scope:
        history = model.fit(x, **options).history
        values = model.evaluate(x, return_dict=True)
    weights = [np.array(weight).tolist() for weight in model.trainable_variables]
    return {"history": history, "values": values, "weights": weights}

import contextlib
nothing = contextlib.nullcontext()
momentum = lambda: keras.optimizers.SGD(0.05, momentum=0.9)
players = lambda: {"loss": momentum(), "critic": keras.optimizers.SGD(0.02)}
games = lambda: doubles.Game(critic_steps=3)
result = {
    "toy": train(doubles.Toy, momentum, nothing, nothing),
    "toy, fit within": train(doubles.Toy, momentum, strategy.scope(), strategy.scope()),
    "toy, fit outside": train(doubles.Toy, momentum, strategy.scope(), nothing),
    "game": train(games, players, nothing, nothing),
    "game, fit outside": train(games, players, strategy.scope(), nothing),
}
# Compiled outside by the optimiser's name: it is made for the model's devices all the same.
with strategy.scope():
    model = doubles.Toy()
for name, model in {"compiled outside": model, "compiled on one": doubles.Toy()}.items():
    model.compile("adam")
    result[name] = model.fit(x, **options).history
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def results():
    doubles = Path(__file__).with_name("conftest.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(doubles)], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def flat(numbers):
    if isinstance(numbers, dict):
        return [value for key in sorted(numbers) for value in flat(numbers[key])]
    return [value for part in numbers for value in flat(part)] if isinstance(numbers, list) else [numbers]


@pytest.mark.parametrize(
    "one, two", [("toy", "toy, fit within"), ("toy", "toy, fit outside"), ("game", "game, fit outside")]
)
def test_two_replicas_train_as_one(results, one, two):
    """The same history, the same means, the same weights: gradients are those of the whole batch."""
    assert results[one].keys() == results[two].keys()
    for key in results[one]:
        assert flat(results[two][key]) == pytest.approx(flat(results[one][key]), rel=1e-4, abs=1e-6), key
    assert results[one]["history"]["loss"][1] < results[one]["history"]["loss"][0]


def test_the_strategy_is_the_models_own(results):
    assert flat(results["compiled outside"]) == pytest.approx(flat(results["compiled on one"]), rel=1e-4)
