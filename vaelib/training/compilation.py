"""Functions of a model as compiled programs, on whichever backend Keras runs: the model room names none."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers, ops

_CONVOLUTIONS = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D),
    *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
    *(layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.SeparableConv1D, layers.SeparableConv2D),
    *(layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D),
)

_joins = contextvars.ContextVar("joins", default=False)


@contextlib.contextmanager
def joined(yes: bool = True) -> Iterator[None]:
    """Say that what is traced meanwhile goes to a compiler that joins operations to one loop, as XLA does."""
    token = _joins.set(yes)
    try:
        yield
    finally:
        _joins.reset(token)


def joins_operations() -> bool:
    """Whether what is traced here goes to a compiler that joins operations to one loop, as all of JAX does."""
    return _joins.get() or keras.backend.backend() == "jax"


def in_a_graph() -> bool:
    """Whether what is called here becomes part of a TensorFlow graph, which sees more than one operation at a time."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def compiled(function: Callable) -> Callable:
    """Compile a function of a model and of tensors; once for each model, at its first call.

    The program reads the model's weights anew in each call and keeps what it draws: noise differs from call to call.
    TensorFlow traces a graph (twice as fast as eager on a CPU; XLA would gain another quarter, and its half a second of
    compiling only comes back after hundreds of calls), JAX jits, and torch runs the function as it is. So does a model
    that was compiled with `run_eagerly=True`.

    A new shape costs a new trace: two at most on TensorFlow, which leaves the sizes open after the first change; one
    for each shape on JAX. Cut the data into blocks of one size; only the last may then be smaller.

    Args:
        function: f(model, *tensors, **constants). The model is a keras.Layer, and what it holds is all that f may
            read besides its arguments. Tensors may be nested, NumPy arrays and None included. Constants are hashable;
            each new value costs a new trace. The result is a tensor or nested tensors.

    Returns:
        The compiled function, with the same arguments. `function` itself stays at hand as its `__wrapped__`.
    """

    @functools.wraps(function)
    def run(model, *tensors, **constants):
        if getattr(model, "run_eagerly", False):
            return _eager(functools.partial(function, model, **constants), model)(*tensors)
        known = programs(model)
        key = function, tuple(sorted(constants.items()))
        if key not in known:
            known[key] = _compiler()(functools.partial(function, model, **constants), model)
        return known[key](*tensors)

    return run


def programs(model: keras.Layer) -> dict[Any, Any]:
    """Return the compiled programs that a model keeps: they hold the model, so nothing else may hold them."""
    # Past Keras's __setattr__, which would track the dictionary as part of the model's state.
    return vars(model).setdefault("_programs", {})


def _compiler():
    return {"tensorflow": _graph, "jax": _jitted}.get(keras.backend.backend(), _eager)


def _eager(function, model):
    def run(*tensors):
        return function(*keras.tree.map_structure(lambda x: None if x is None else ops.convert_to_tensor(x), tensors))

    return run


def _graph(function, model):
    import tensorflow as tf

    # `function` is a partial, a new object for each model. TensorFlow counts the traces of plain functions by their
    # code, and would warn of too many from the fifth model on.
    return tf.function(function, autograph=False, reduce_retracing=True)


def _jitted(function, model):
    import jax

    # A variable read inside the program would become a constant: values come in and go out instead.
    variables = model.variables
    changing = model.non_trainable_variables  # with the states of the random generators

    @jax.jit
    def program(values, tensors):
        with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
            result = function(*tensors)
        return result, [scope.get_current_value(variable) for variable in changing]

    def run(*tensors):
        result, values = program([variable.value for variable in variables], tensors)
        for variable, value in zip(changing, values, strict=True):
            variable.assign(value)
        return result

    return run


def xla_is_faster(model: keras.Model) -> bool:
    """Whether XLA should compile a TensorFlow program of thousands of training steps.

    On a CPU its convolutions are many times slower than TensorFlow's own. A few layers it cannot compile.
    """
    import tensorflow as tf

    parts = model._flatten_layers()  # `model.layers` would be the first level only
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return all(layer.supports_jit and (on_gpu or not isinstance(layer, _CONVOLUTIONS)) for layer in parts)
