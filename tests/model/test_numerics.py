"""softplus and the cost of pixels in both of their forms, against NumPy in double precision."""

import keras
import numpy as np
import pytest
from keras import ops

from vaelib.model.likelihoods import Bernoulli
from vaelib.model.numerics import bernoulli_log_prob, softplus
from vaelib.training.compilation import joined

X = np.concatenate([np.linspace(-100, 100, 401), np.linspace(-1, 1, 201), [0.0, -0.0, 1e-30, -1e-30, 3e38, -3e38]])
needs_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes TensorFlow's gradients")


@pytest.mark.parametrize("yes", [False, True])
def test_the_value_is_right_to_half_a_unit_of_one(yes):
    with joined(yes):
        ours = ops.convert_to_numpy(softplus(ops.convert_to_tensor(X, "float32")))
    truth = np.logaddexp(0.0, X.astype("float32").astype("float64"))
    # One rounding of 1 + exp(-|x|), one of the logarithm, one of the sum.
    np.testing.assert_allclose(ours, truth, rtol=2 * np.finfo("float32").eps, atol=np.finfo("float32").eps)


@needs_tensorflow
@pytest.mark.parametrize("yes", [False, True])
def test_slope_and_curvature_are_right_at_zero_too(yes):
    import tensorflow as tf

    x = tf.constant(X[np.abs(X) < 80], "float32")
    with joined(yes), tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = softplus(x)
        slope = inner.gradient(y, x)
    p = 1 / (1 + np.exp(-x.numpy().astype("float64")))
    np.testing.assert_allclose(slope, p, atol=2e-7)
    np.testing.assert_allclose(outer.gradient(slope, x), p * (1 - p), atol=2e-7)


def called(form, function, *arguments):
    """Return what a function of tensors gives when it is called as it is, in a graph, or joined to one loop."""
    arguments = [ops.convert_to_tensor(argument) for argument in arguments]
    if form == "graph":
        tf = pytest.importorskip("tensorflow")
        if keras.backend.backend() != "tensorflow":
            pytest.skip("a graph is TensorFlow's")
        return tf.function(function)(*arguments)
    with joined(form == "joined"):
        return function(*arguments)


forms = pytest.mark.parametrize("form", ["as called", "graph", "joined"])


@forms
@pytest.mark.parametrize("n", [1, 7, 37, 560, 784])  # 37 is prime: groups of one
def test_pixels_cost_what_numpy_says(form, n):
    rng = np.random.default_rng(n)
    x, logits = rng.random((3, n), "float32"), rng.normal(0, 12, (5, 3, n)).astype("float32")
    logits[0, 0] = rng.choice([-1e30, -200, 0, 200], n)
    ours = ops.convert_to_numpy(called(form, bernoulli_log_prob, x, logits))
    terms = x * logits.astype("float64") - np.logaddexp(0, logits.astype("float64"))
    # Each term is off by a unit in the last place of 1, and each sum by one of its size for each level of the sum.
    eps = np.finfo("float32").eps
    assert ours.shape == (5, 3)
    assert (abs(ours - terms.sum(axis=-1)) <= n * eps + 12 * eps * abs(x * logits).sum(axis=-1)).all()


@forms
def test_pixels_that_all_say_the_same_do_not_overflow(form):
    """1 + exp(-|0|) is 2, and 2^784 is no float32: the groups keep below it."""
    value = float(called(form, bernoulli_log_prob, np.zeros((1, 784), "float32"), np.zeros((1, 784), "float32"))[0])
    assert value == pytest.approx(-784 * np.log(2), rel=1e-6)


@needs_tensorflow
@forms
def test_gradient_and_curvature_of_pixels_are_right_at_zero_too(form):
    import tensorflow as tf

    def derivatives(x, logits):
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                y = 3.0 * bernoulli_log_prob(x, logits)
            slope = inner.gradient(y, logits)
        return slope, outer.gradient(slope, logits)

    logits = X[np.abs(X) < 80][None].astype("float32")
    x = np.random.default_rng(0).random(logits.shape, "float32")
    slope, curvature = called(form, derivatives, x, logits)
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    np.testing.assert_allclose(slope, 3 * (x - p), atol=6e-7)
    np.testing.assert_allclose(curvature, -3 * p * (1 - p), atol=6e-7)


@needs_tensorflow
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("kind", ["keras", "tf"])
def test_logits_may_be_a_variable(kind, graph):
    import tensorflow as tf

    likelihood = Bernoulli(2)
    logits = keras.Variable([[0.0, 1.0]]) if kind == "keras" else tf.Variable([[0.0, 1.0]])

    def slope():
        with tf.GradientTape() as tape:
            y = likelihood.log_prob(tf.ones((1, 2)), logits)
        return tape.gradient(y, logits.value if kind == "keras" else logits)

    gradient = tf.function(slope)() if graph else slope()
    np.testing.assert_allclose(gradient, 1 - 1 / (1 + np.exp([[-0.0, -1.0]])), atol=1e-6)


@needs_tensorflow
@pytest.mark.parametrize(("yes", "groups"), [(False, True), (True, False)])
def test_a_likelihood_takes_the_form_that_is_asked_for(yes, groups):
    import tensorflow as tf

    with joined(yes):
        program = tf.function(Bernoulli(784).log_prob).get_concrete_function(tf.zeros((2, 784)), tf.zeros((2, 784)))
    assert ("Prod" in {operation.type for operation in program.graph.get_operations()}) == groups
