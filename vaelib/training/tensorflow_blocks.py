"""A whole block of steps in one TensorFlow program."""

import keras
import tensorflow as tf

from vaelib.training import compilation
from vaelib.training.memory import give_back


def apply_to(model: keras.Model) -> bool:
    """Whether a model's steps can be run in blocks: compiled, and on one device."""
    return not model.run_eagerly and not has_strategy(model)


def has_strategy(model: keras.Model) -> bool:
    """Whether a model lives on the devices of a tf.distribute strategy: its own, wherever `fit` is called."""
    with model.distribute_strategy.scope():
        return tf.distribute.has_strategy()


def runner(model, phase, step, blocks):
    """Return what Keras calls with an iterator over blocks' numbers: it runs all steps of a block in one go.

    Args:
        model: the model, which keeps the compiled program.
        phase: "train" or "test".
        step: f(batch), one step, which changes variables only.
        blocks: the Blocks of data.
    """
    programs = compilation.programs(model)
    if phase not in programs:

        @tf.function(jit_compile=compilation.xla_is_faster(model), autograph=False)
        def run(block, num_steps):
            def body(i):
                step(keras.tree.map_structure(lambda array: None if array is None else array[i], block))
                return i + 1

            # The metrics are the model's own variables: they add up by themselves from step to step.
            tf.while_loop(lambda i: i < num_steps, body, [0])
            return model.get_metrics_result()

        programs[phase] = run
    # One trace for all sizes of block and batch; XLA compiles each size it meets.
    program = programs[phase].get_concrete_function(blocks.spec, tf.TensorSpec((), tf.int32))

    sizes = programs.setdefault((phase, "sizes"), set())

    def run_blocks(iterator):
        for _, number in zip(range(model.steps_per_execution), iterator, strict=False):
            block, num_steps = blocks.load(int(number))
            logs = program(block, num_steps)
            # Reading the numbers waits for the program to end: only then may the block's memory be filled anew.
            logs = {name: value.numpy() for name, value in logs.items()}
            size = keras.tree.flatten(block)[0].shape[:2]
            if size not in sizes:  # XLA compiled for it, in some 80 MB that nobody needs again
                sizes.add(size)
                give_back()
        return logs

    return run_blocks
