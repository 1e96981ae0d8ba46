"""Callbacks that save every so many steps, where a block of steps counts as one batch."""

import math
from collections.abc import Sequence

import keras

from vaelib.training.blocks import Blocks

_SAVERS = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)


def save_every(callbacks: Sequence[keras.callbacks.Callback]) -> list[int]:
    """Return after how many steps the callbacks save; nothing of those that save after an epoch."""
    return [callback.save_freq for callback in callbacks if _counts(callback)]


def in_steps(callbacks: Sequence[keras.callbacks.Callback], blocks: Blocks) -> list[keras.callbacks.Callback]:
    """Return the callbacks, those that count batches told of the last step of each block in place of its number."""
    return [_InSteps(callback, blocks) if _counts(callback) else callback for callback in callbacks]


def _counts(callback):
    freq = getattr(callback, "save_freq", None)
    return isinstance(callback, _SAVERS) and isinstance(freq, int) and 0 < freq < math.inf


class _InSteps(keras.callbacks.Callback):
    """Stands before a callback, and gives it the numbers of steps."""

    def __init__(self, callback, blocks):
        for name in dir(keras.callbacks.Callback):
            if name.startswith(("on_", "set_")):
                setattr(self, name, getattr(callback, name))

        def on_train_batch_end(batch, logs=None):
            callback.on_train_batch_end(_last_step(blocks, batch), logs)

        self.on_train_batch_end = on_train_batch_end


def _last_step(blocks, number):
    """Number of the last step of a block, counted from 0 as Keras counts batches."""
    before = blocks.steps_before(number)
    return before + blocks.num_steps(number) - 1
