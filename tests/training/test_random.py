"""Random numbers inside XLA's programs: the same to the bit, and drawn in one pass."""

import threading

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's random numbers", allow_module_level=True)

from vaelib.training.tensorflow_random import named_generator  # noqa: E402


def program(draw, named):
    """What `draw` makes of a seed in a program that XLA compiles, and the generators that its graph asks for."""
    seed = keras.random.SeedGenerator(7)  # a variable: from a constant TensorFlow might draw before XLA does

    @tf.function(jit_compile=True, autograph=False)
    def run():
        if not named:
            return draw(seed)
        with named_generator():
            return draw(seed)

    nodes = run.get_concrete_function().graph.as_graph_def().node
    inputs = [node.input[3] for node in nodes if node.op.startswith("StatelessRandom") and node.op.endswith("V2")]
    constants = {node.name: node for node in nodes if node.op == "Const"}
    return run().numpy(), [int(tf.make_ndarray(constants[name].attr["value"].tensor)) for name in inputs]


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: keras.random.normal((3, 5), seed=seed),
        lambda seed: keras.random.uniform((4, 3), -2.0, 1.0, seed=seed),
        lambda seed: keras.random.randint((6,), 0, 9, seed=seed),
    ],
)
def test_the_named_generator_draws_the_same_numbers(draw):
    left_to_choose, choice = program(draw, named=False)
    asked_for, named = program(draw, named=True)
    np.testing.assert_array_equal(left_to_choose, asked_for)
    assert set(choice) == {3} and set(named) == {1}  # TensorFlow's numbers for "choose" and for Philox


def test_the_names_are_put_back(monkeypatch):
    before = tf.random.stateless_normal, tf.random.stateless_uniform
    with pytest.raises(RuntimeError), named_generator():
        assert tf.random.stateless_normal is not before[0]
        raise RuntimeError
    assert (tf.random.stateless_normal, tf.random.stateless_uniform) == before
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])
    with named_generator():
        assert tf.random.stateless_normal is before[0]


def test_traces_that_wait_for_each_other_all_get_in():
    """As the replicas of a strategy do, each in a thread of its own."""
    before, both, asked = tf.random.stateless_normal, threading.Barrier(2, timeout=30), []

    def trace():
        with named_generator():
            both.wait()
            asked.append(tf.random.stateless_normal.keywords)
            both.wait()

    threads = [threading.Thread(target=trace) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [{"alg": "philox"}] * 2 and tf.random.stateless_normal is before


@pytest.mark.parametrize("blocks", [True, False])
def test_every_draw_of_a_training_step_asks_by_name(make_vae, images, blocks, monkeypatch):
    asked = []

    def recorded(draw):
        def run(*args, alg="auto_select", **kwargs):
            if not tf.executing_eagerly():  # the order of the examples is drawn outside
                asked.append(alg)
            return draw(*args, alg=alg, **kwargs)

        return run

    for name in ("stateless_normal", "stateless_uniform"):
        monkeypatch.setattr(tf.random, name, recorded(getattr(tf.random, name)))
    vae = make_vae(binarise=True)
    vae.compile("adam")
    asked.clear()
    vae.fit(images[:6], batch_size=2, verbose=0, blocks=blocks)
    assert len(asked) >= 2 and set(asked) == {"philox"}  # the noise of z, and the pixels
