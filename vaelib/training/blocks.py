"""The data of one phase of training, cut into blocks of steps, for a program that runs a whole block at once."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

# Enough examples to make the bookkeeping vanish, few enough that an interrupt is answered at once and memory stays low.
EXAMPLES_PER_BLOCK = 6_000


class Blocks:
    """Arrays of examples as numbered blocks; block 0 begins an epoch.

    Keras iterates over `numbers`, a dataset of whole numbers that TensorFlow counts up by itself. A dataset that asks
    Python for each block costs a change of threads each time, which took a fifth of an epoch.

    A block that is not full is padded and comes with its number of steps, which keeps one shape and so one compiled
    program; only a last batch of fewer examples has a shape of its own.

    Args:
        data: nested arrays of n rows each; None in places where there is nothing.
        batch_size: examples per step.
        shuffle: whether each epoch visits the data in a new order.
        every: numbers of steps; after so many, and each multiple of it, a block ends.
    """

    def __init__(self, data: Any, batch_size: int, shuffle: bool, every: Sequence[int] = ()):
        self.data, self.shuffle = data, shuffle
        self.num_examples = len(keras.tree.flatten(data)[0])
        self.batch_size = min(batch_size, self.num_examples)
        self.full_steps, self.rest = divmod(self.num_examples, self.batch_size)
        self.height = min(max(EXAMPLES_PER_BLOCK // self.batch_size, 1), self.full_steps)
        if every:
            self.height = next(height for height in range(self.height, 0, -1) if not math.gcd(*every) % height)
        # Seeded by keras.utils.set_random_seed, as Keras's own shuffling is.
        self._rng = np.random.default_rng(int(keras.random.randint((), 0, 2**31 - 1)))
        self._order = np.arange(self.num_examples)
        self._memory: dict[tuple[int, ...], Any] = {}

    def __len__(self) -> int:
        return -(-self.full_steps // self.height) + (self.rest > 0)

    @property
    def numbers(self) -> Any:
        """The tf.data.Dataset of the blocks' numbers."""
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False  # its thread is waited for at the end of each epoch, for up to half a second
        return tf.data.Dataset.range(len(self)).with_options(options)

    @property
    def spec(self) -> Any:
        """What TensorFlow must know of a block before it sees one: everything but its number of steps and examples."""
        import tensorflow as tf

        return _for_each(lambda array: tf.TensorSpec((None, None, *array.shape[1:]), array.dtype), self.data)

    def steps_before(self, number: int) -> int:
        """Return how many steps of the epoch come before a block."""
        return min(number * self.height, self.full_steps)

    def num_steps(self, number: int) -> int:
        """Return how many steps a block has."""
        before = self.steps_before(number)
        return min(self.height, self.full_steps - before) or 1  # behind the full ones comes the last, smaller batch

    def rows(self, number: int) -> tuple[np.ndarray, int]:
        """Return the row numbers of a block, shape (steps, examples), and how many of its steps to run."""
        if number == 0 and self.shuffle:
            self._order = self._rng.permutation(self.num_examples)
        start = number * self.height
        if start >= self.full_steps:
            return self._order[None, self.full_steps * self.batch_size :], 1
        steps = self._order[: self.full_steps * self.batch_size].reshape(self.full_steps, self.batch_size)
        block = steps[start : start + self.height]
        return np.pad(block, ((0, self.height - len(block)), (0, 0))), len(block)

    def load(self, number: int) -> tuple[Any, int]:
        """Return a block as nested tensors of shape (steps, examples, ...), and how many of its steps to run.

        TensorFlow would copy a NumPy array into memory of its own. On a CPU that can be spared: NumPy gathers into
        memory that TensorFlow reads in place. So the tensors are good only until the next block is loaded. A GPU keeps
        a copy of a tensor it has seen, and must get a new one.
        """
        import tensorflow as tf

        rows, num_steps = self.rows(number)
        if tf.config.list_logical_devices("GPU"):
            return _for_each(lambda array: tf.constant(array[rows]), self.data), num_steps
        if rows.shape not in self._memory:
            arrays = _for_each(lambda array: _aligned_array((*rows.shape, *array.shape[1:]), array.dtype), self.data)
            tensors = _for_each(lambda array: tf.experimental.dlpack.from_dlpack(array.__dlpack__()), arrays)
            self._memory[rows.shape] = arrays, tensors
        arrays, tensors = self._memory[rows.shape]
        # The row numbers are in range; with the default mode NumPy would fill a copy first.
        _for_each(lambda array, out: np.take(array, rows, axis=0, out=out, mode="clip"), self.data, arrays)
        return tensors, num_steps


def _for_each(function, *nested):
    """Apply a function to each array of nested arrays, and leave None where there is none."""
    return keras.tree.map_structure(lambda *arrays: None if arrays[0] is None else function(*arrays), *nested)


def _aligned_array(shape, dtype, alignment=64):
    """Return an empty array that starts at a multiple of 64 bytes, as TensorFlow wants the memory it reads."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + alignment, "uint8")
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)
