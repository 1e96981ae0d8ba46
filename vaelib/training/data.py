"""Data on their way to the model: arrays or batches, all checked and converted alike."""

import contextlib
import numbers
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from vaelib import checks

NAMES = ("x", "y", "sample_weight")


class Data(NamedTuple):
    """What a model learns from: arrays with one row per example; or x brings batches, and the others are None."""

    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def in_memory(self) -> bool:
        """Whether these are arrays."""
        return isinstance(self.x, np.ndarray)

    def for_keras(self) -> "Data":
        """Return the same for Keras's own loop, which drops sample weights that come without targets."""
        if self.sample_weight is None or self.y is not None:
            return self
        return self._replace(y=np.zeros((len(self.x), 0), bool))  # a type of its own, so a trace of its own

    def packed(self) -> Any:
        """Return the same in one piece, as Keras takes validation data and batches."""
        return keras.utils.pack_x_y_sample_weight(*self.for_keras())


def unpack(batch: Any) -> Data:
    """Return what a step gets as (x, y, sample_weight); undoes `Data.for_keras`."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if hasattr(y, "shape") and len(y.shape) == 2 and y.shape[1] == 0:
        y = None
    return Data(x, y, sample_weight)


class DataCheck:
    """Checks and converts what comes into `fit` and `evaluate`: arrays at once, batches as they are read.

    Args:
        check_x: f(x, name) that returns x as the model wants it, or raises ValueError.
        check_y: f(y, name) that raises ValueError where y does not fit the model; nothing by default.
    """

    def __init__(self, check_x: Callable[[Any, str], np.ndarray], check_y: Callable[[Any, str], None] | None = None):
        self._check_x, self._check_y = check_x, check_y
        self._error: ValueError | None = None

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None, *, names: Sequence[str] = NAMES) -> Data:
        """Return the data checked.

        Args:
            x: array of shape (n, *data_shape), from any library that NumPy can read; or a tf.data.Dataset, a
                keras.utils.PyDataset or a generator of batches x, (x, y) or (x, y, sample_weight).
            y: array or nested tuples of arrays with n rows each, or nothing.
            sample_weight: array of shape (n,), or nothing.
            names: what the three are called in an error.

        Raises:
            ValueError: they are not as described; says what is wrong.
        """
        if x is None or isinstance(x, (str, bytes, numbers.Number)):
            raise ValueError(f"{names[0]} must be an array or a source of batches; received {x!r:.60}.")
        if isinstance(x, tuple):
            raise ValueError(
                f"{names[0]} must be one array; received a tuple of {len(x)}. Pass y beside it: fit(x, y)."
            )
        if not _is_array(x):
            if y is not None or sample_weight is not None:
                raise ValueError(f"{names[0]} brings batches, so {names[1]} and {names[2]} must come with them.")
            return Data(self._batches(x, names[0]))
        x = self._check_x(_readable(names[0], x), names[0])
        y = None if y is None else _targets(names[1], y, len(x))
        if y is not None and self._check_y is not None:
            self._check_y(y, names[1])
        return Data(x, y, None if sample_weight is None else _weights(names[2], sample_weight, len(x)))

    def validation(self, data: Any) -> Data | None:
        """Return `fit`'s validation_data checked: as x of a call, or a tuple (x, y) or (x, y, sample_weight)."""
        if data is None:
            return None
        if not isinstance(data, tuple):
            return self(data, names=("validation_data", "y", "sample_weight"))
        if not 1 <= len(data) <= 3:
            raise ValueError(
                f"validation_data must be x, (x, y) or (x, y, sample_weight); received a tuple of {len(data)}."
            )
        return self(*data, names=[f"validation_data[{i}]" for i in range(3)])

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what a check of a batch found as it was, and not as what the data pipeline made of it."""
        try:
            yield
        except Exception:
            if self._error is not None:
                raise self._error from None
            raise

    def _batches(self, x, name):
        if hasattr(x, "element_spec") and hasattr(x, "take"):
            return self._tf_dataset(x, name)
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedDataset(x, lambda batch: self._batch(batch, name))
        if isinstance(x, types.GeneratorType):
            return (self._batch(batch, name) for batch in x)
        if hasattr(x, "__iter__") and hasattr(x, "__len__"):  # a DataLoader of torch
            return _CheckedLoader(x, lambda batch: self._batch(batch, name))
        return x  # what only Keras knows

    def _tf_dataset(self, dataset, name):
        import tensorflow as tf

        def checked(*flat, structure):
            arrays = keras.tree.flatten(self._batch(keras.tree.pack_sequence_as(structure, flat), name))
            return [array.astype(dtype, copy=False) for array, dtype in zip(arrays, dtypes, strict=True)]

        def in_graph(*batch):
            batch = batch if len(batch) > 1 else batch[0]
            tensors = keras.tree.flatten(batch)
            arrays = tf.numpy_function(lambda *flat: checked(*flat, structure=batch), tensors, dtypes)
            for array, tensor in zip(arrays, tensors, strict=True):
                array.set_shape(tensor.shape)
            return keras.tree.pack_sequence_as(batch, arrays)

        # The first batch is looked at before anything is trained, and says what the types are after the check.
        for batch in dataset.take(1).as_numpy_iterator():
            dtypes = [array.dtype for array in keras.tree.flatten(self._batch(batch, name))]
            return dataset.map(in_graph)
        return dataset

    def _batch(self, batch, name):
        """Check one batch, and remember what is wrong with it."""
        try:
            batch = keras.utils.unpack_x_y_sample_weight(batch)
            data = self(*batch, names=[f"a batch of {name}", *(f"{other} in a batch of {name}" for other in NAMES[1:])])
        except ValueError as error:
            self._error = error
            raise
        return tuple(part for part in data.for_keras() if part is not None)  # Keras wants a tuple, of x alone too


class _CheckedDataset(keras.utils.PyDataset):
    """A PyDataset whose batches are checked."""

    def __init__(self, dataset, check):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset, self.check = dataset, check

    def __getitem__(self, index):
        return self.check(self.dataset[index])

    def __len__(self):
        return len(self.dataset)

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


class _CheckedLoader(keras.utils.PyDataset):
    """What brings batches one after the other, as a torch DataLoader does, with each of them checked."""

    def __init__(self, loader, check):
        super().__init__()
        self.loader, self.check, self.batches = loader, check, iter(())

    def __getitem__(self, index):
        if index == 0:
            self.batches = iter(self.loader)
        return self.check(next(self.batches))

    def __len__(self):
        return len(self.loader)


def _is_array(x):
    return isinstance(x, list) or hasattr(x, "__array__")


def _readable(name, x):
    """Return what NumPy can read: x, or x without what it cannot or would drop in silence."""
    checks.unmasked(name, x)
    return x.detach().cpu() if hasattr(x, "detach") else x  # a torch tensor may be on a GPU or in a graph


def _targets(name, y, num_examples):
    if isinstance(y, tuple):
        return tuple(_targets(f"{name}[{i}]", part, num_examples) for i, part in enumerate(y))
    if isinstance(y, dict):
        return {key: _targets(f"{name}[{key!r}]", part, num_examples) for key, part in y.items()}
    y = np.asarray(_readable(name, y))
    return _rows(name, checks.batch(name, y, y.shape[1:]), num_examples)


def _weights(name, weights, num_examples):
    weights = np.asarray(_readable(name, weights))
    if weights.shape not in [(num_examples,), (num_examples, 1)]:
        raise ValueError(f"{name} must have shape ({num_examples},), one weight per example; received {weights.shape}.")
    return checks.batch(name, weights.reshape(num_examples), ()).astype("float32", copy=False)


def _rows(name, array, num_examples):
    if len(array) != num_examples:
        raise ValueError(f"{name} must have one row per example; received {len(array)} for {num_examples} examples.")
    return array
