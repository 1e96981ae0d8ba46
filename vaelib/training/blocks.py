"""The data of one phase of training, cut into blocks of steps, for a program that runs a whole block at once."""

import math

import keras
import numpy as np

# Enough examples to make the bookkeeping vanish, few enough that an interrupt is answered at once and memory stays low.
EXAMPLES_PER_BLOCK = 6_000


class Blocks:
    """An array of examples as numbered blocks; block 0 begins an epoch.

    Keras iterates over `numbers`, a dataset of whole numbers that TensorFlow counts up by itself. A dataset that asks
    Python for each block costs a change of threads each time, which took a fifth of an epoch.

    A block that is not full is padded and comes with its number of steps, which keeps one shape and so one compiled
    program; only a last batch of fewer examples has a shape of its own.

    Args:
        data: array of shape (n, *data_shape).
        batch_size: examples per step.
        shuffle: whether each epoch visits the data in a new order.
    """

    def __init__(self, data, batch_size, shuffle):
        self.data, self.shuffle = data, shuffle
        self.batch_size = min(batch_size, len(data))
        self.full_steps, self.rest = divmod(len(data), self.batch_size)
        self.height = min(max(EXAMPLES_PER_BLOCK // self.batch_size, 1), self.full_steps)
        # Seeded by keras.utils.set_random_seed, as Keras's own shuffling is.
        self._rng = np.random.default_rng(int(keras.random.randint((), 0, 2**31 - 1)))
        self._order = np.arange(len(data))
        self._memory = {}

    def __len__(self):
        return -(-self.full_steps // self.height) + (self.rest > 0)

    @property
    def numbers(self):
        """The tf.data.Dataset of the blocks' numbers."""
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False  # its thread is waited for at the end of each epoch, for up to half a second
        return tf.data.Dataset.range(len(self)).with_options(options)

    def rows(self, number):
        """Return the row numbers of a block, shape (steps, examples), and how many of its steps to run."""
        if number == 0 and self.shuffle:
            self._order = self._rng.permutation(len(self.data))
        start = number * self.height
        if start >= self.full_steps:
            return self._order[None, self.full_steps * self.batch_size :], 1
        steps = self._order[: self.full_steps * self.batch_size].reshape(self.full_steps, self.batch_size)
        block = steps[start : start + self.height]
        return np.pad(block, ((0, self.height - len(block)), (0, 0))), len(block)

    def load(self, number):
        """Return a block as a tensor of shape (steps, examples, *data_shape), and how many of its steps to run.

        TensorFlow would copy a NumPy array into memory of its own. On a CPU that can be spared: NumPy gathers into
        memory that TensorFlow reads in place. So the tensor is good only until the next block is loaded. A GPU keeps a
        copy of a tensor it has seen, and must get a new one.
        """
        import tensorflow as tf

        rows, num_steps = self.rows(number)
        if tf.config.list_logical_devices("GPU"):
            return tf.constant(self.data[rows]), num_steps
        if rows.shape not in self._memory:
            array = _aligned_array((*rows.shape, *self.data.shape[1:]), self.data.dtype)
            self._memory[rows.shape] = array, tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        array, tensor = self._memory[rows.shape]
        # The row numbers are in range; with the default mode NumPy would fill a copy first.
        np.take(self.data, rows, axis=0, out=array, mode="clip")
        return tensor, num_steps


def _aligned_array(shape, dtype, alignment=64):
    """Return an empty array that starts at a multiple of 64 bytes, as TensorFlow wants the memory it reads."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + alignment, "uint8")
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)
