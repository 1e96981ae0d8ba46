"""A whole block of steps in one TensorFlow program."""

import keras
import tensorflow as tf

from vaelib.training import compilation
from vaelib.training.finite import LossNotFinite, is_bad
from vaelib.training.memory import give_back


def apply_to(model: keras.Model) -> bool:
    """Whether a model's steps can be run in blocks: compiled, and on one device."""
    return not model.run_eagerly and not has_strategy(model)


def has_strategy(model: keras.Model) -> bool:
    """Whether a model lives on the devices of a tf.distribute strategy: its own, wherever `fit` is called."""
    with model.distribute_strategy.scope():
        return tf.distribute.has_strategy()


def runner(model, phase, step, blocks, stop_on_nan=False):
    """Return what Keras calls with an iterator over blocks' numbers: it runs all steps of a block in one go.

    Args:
        model: the model, which keeps the compiled program.
        phase: "train" or "test".
        step: f(batch), one step, which changes variables only.
        blocks: the Blocks of data.
        stop_on_nan: whether the first step whose loss is not finite is the last one.
    """
    programs = compilation.programs(model)
    if phase not in programs:
        xla = model.may_use_xla and compilation.xla_is_faster(model)

        @tf.function(jit_compile=xla, autograph=False)
        def run(block, num_steps, stop):
            def body(i, finite):
                with compilation.joined(xla):
                    step(keras.tree.map_structure(lambda array: None if array is None else array[i], block))
                return i + 1, _is_finite(model)

            # The metrics are the model's own variables: they add up by themselves from step to step.
            done, _ = tf.while_loop(lambda i, finite: (i < num_steps) & (finite | ~stop), body, [0, True])
            return model.get_metrics_result(), done

        programs[phase] = run
    # One trace for all sizes of block and batch; XLA compiles each size it meets.
    program = programs[phase].get_concrete_function(
        blocks.spec, tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.bool)
    )

    sizes = programs.setdefault((phase, "sizes"), set())

    def run_blocks(iterator):
        for _, number in zip(range(model.steps_per_execution), iterator, strict=False):
            block, num_steps = blocks.load(int(number))
            logs, done = program(block, num_steps, stop_on_nan)
            # Reading the numbers waits for the program to end: only then may the block's memory be filled anew.
            logs = {name: value.numpy() for name, value in logs.items()}
            if stop_on_nan and is_bad(logs, model.objective.names):
                raise LossNotFinite(blocks.steps_before(int(number)) + int(done), logs)
            size = keras.tree.flatten(block)[0].shape[:2]
            if size not in sizes:  # XLA compiled for it, in some 80 MB that nobody needs again
                sizes.add(size)
                give_back()
        return logs

    return run_blocks


def _is_finite(model):
    """Whether the sums behind the means that are reported are finite: they take in each step's losses."""
    names = model.objective.names
    sums = [metric.total for metric in model.metrics if metric.name in names and hasattr(metric, "total")]
    return tf.math.is_finite(tf.add_n([tf.convert_to_tensor(value) for value in sums]))
