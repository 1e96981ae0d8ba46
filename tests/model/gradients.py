"""Gradients on whichever backend Keras runs, and finite differences to compare them with: the tests name no backend."""

import contextlib
from unittest import mock

import keras
import numpy as np
from keras import ops


def value_and_gradients(function, *arrays):
    """Return function(*tensors), summed to a scalar, and its gradient in each of the arrays, all in NumPy."""
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    value, gradients = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()](
        lambda *tensors: ops.sum(function(*tensors)), tensors
    )
    return float(value), [ops.convert_to_numpy(gradient) for gradient in gradients]


def in_variables(function, variables):
    """Return f(*values), which is function() with the variables at these values: nothing is assigned."""

    def at(*values):
        with keras.StatelessScope(list(zip(variables, map(ops.convert_to_tensor, values), strict=True))):
            return function()

    return at


def variable_gradients(function, variables):
    """Return function(), a scalar, and its gradient in each variable, in NumPy."""
    return value_and_gradients(in_variables(function, variables), *[variable.value for variable in variables])


def assert_gradients_are_differences(function, *arrays, seed=0, step=1e-5, rtol=1e-6):
    """Compare the gradient with central differences along a random direction through all arrays, and return it.

    The differences are off by the third derivative times step^2, some 1e-10, and by rounding over step, some 1e-10.
    """
    rng = np.random.default_rng(seed)
    arrays = [ops.convert_to_numpy(array) for array in arrays]
    assert all(array.dtype == "float64" for array in arrays), "float32 has too few digits for finite differences"
    directions = [rng.normal(size=array.shape) for array in arrays]
    _, gradients = value_and_gradients(function, *arrays)
    expected = sum(float(np.sum(d * g)) for d, g in zip(directions, gradients, strict=True))
    ends = [
        float(
            ops.sum(
                function(*[ops.convert_to_tensor(a + sign * step * d) for a, d in zip(arrays, directions, strict=True)])
            )
        )
        for sign in (1, -1)
    ]
    scale = sum(float(np.sum(np.abs(d * g))) for d, g in zip(directions, gradients, strict=True))
    difference = (ends[0] - ends[1]) / (2 * step)
    assert abs(difference - expected) <= rtol * scale + 1e-8, (difference, expected)
    return gradients


@contextlib.contextmanager
def double_precision():
    """Work in float64 within the block."""
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            jax.config.update("jax_enable_x64", True)
            stack.callback(jax.config.update, "jax_enable_x64", False)
        # But for TensorFlow, Keras turns float64 into float32 wherever types meet.
        from keras.src.backend.common import dtypes

        stack.enter_context(mock.patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, {"float64": "float64"}))
        stack.callback(keras.config.set_floatx, keras.config.floatx())
        stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        yield


def _tensorflow(function, tensors):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax(function, tensors):
    import jax

    return jax.value_and_grad(function, argnums=tuple(range(len(tensors))))(*tensors)


def _torch(function, tensors):
    import torch

    tensors = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    value = function(*tensors)
    gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    return value, [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
