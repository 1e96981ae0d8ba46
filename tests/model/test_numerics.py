"""softplus in both of its forms, against NumPy in double precision."""

import keras
import numpy as np
import pytest
from keras import ops

from vaelib.model.likelihoods import Bernoulli
from vaelib.model.numerics import softplus
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


def test_a_likelihood_takes_the_form_that_is_asked_for():
    """A black pixel of which the decoder is sure costs exp(-20): less than what 1 + exp(-20) can hold."""
    black, sure = np.zeros((1, 1), "float32"), np.full((1, 1), -20.0, "float32")
    assert float(Bernoulli(1).log_prob(black, sure)[0]) == pytest.approx(-np.exp(-20), rel=1e-5)
    with joined():
        assert float(Bernoulli(1).log_prob(black, sure)[0]) == 0.0
