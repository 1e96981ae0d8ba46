"""Whole blocks of steps in one compiled program, behind the ordinary `fit`.

Keras runs one step at a time: it fetches a batch, starts a compiled step, reads the metrics back. For a small model
that bookkeeping costs more than the mathematics. Here NumPy gathers the shuffled examples of a whole block of steps,
and one XLA program runs Keras's own `train_step` on each batch of the block. Callbacks, history, validation and metrics
are Keras's, unchanged; "batch" callbacks see a block of up to `EXAMPLES_PER_BLOCK` examples as one.

The only file of the model that uses TensorFlow. On another Keras backend, or for data that are not an array, `fit`
takes Keras's own path.
"""

import math

import keras
import numpy as np

from vaelib import checks
from vaelib.progress import Progress

# Enough examples to make the bookkeeping vanish, few enough that an interrupt is answered at once and memory stays low.
EXAMPLES_PER_BLOCK = 1_500


class CompiledEpochs:
    """Mixin for a keras.Model that learns from x alone: `fit` and `evaluate` with compiled epochs.

    The model has a `likelihood`, whose `check` says what is wrong with the data.
    """

    def fit(
        self,
        x,
        *,
        epochs=1,
        batch_size=100,
        validation_data=None,
        callbacks=None,
        verbose="auto",
        shuffle=True,
        validation_batch_size=None,
        compiled_epochs=True,
        **kwargs,
    ):
        """Train the model, as `keras.Model.fit` does.

        An interrupt (the stop button, or Ctrl-C) ends the training and keeps the model and the history so far.

        Args:
            x: array of shape (n, *data_shape); or a tf.data.Dataset or generator of such batches, which takes Keras's
                own path.
            epochs: passes over the data.
            batch_size: examples per step; one batch when it is larger than the data.
            validation_data: array of shape (m, *data_shape), evaluated after each epoch.
            callbacks: list of Keras callbacks. A batch callback is called once per block of steps.
            verbose: 0 for silence; anything else shows the live progress display.
            shuffle: whether each epoch visits the data in a new order.
            validation_batch_size: examples per evaluation step, batch_size by default.
            compiled_epochs: False takes Keras's own path, step by step.
            **kwargs: any other argument of `keras.Model.fit`, which then takes Keras's own path.

        Returns:
            A Keras History; its `history` holds loss, reconstruction and kl per epoch, nats per example, and the same
            with val_ in front.

        Raises:
            ValueError: x, validation_data, epochs or batch_size are not as described.
        """
        self._assert_compile_called("fit")
        epochs = checks.positive_int("epochs", epochs)
        initial_epoch = kwargs.pop("initial_epoch", 0)
        # A History of our own: an interrupt may come before Keras has made its one.
        progress, history = Progress(epochs), keras.callbacks.History()
        callbacks = [*_as_list(callbacks), *([progress] if verbose != 0 else []), history]
        options = dict(epochs=epochs, callbacks=callbacks, verbose=0, initial_epoch=initial_epoch)

        if _is_array(x):
            x = self.likelihood.check(x)
            batch_size = min(checks.positive_int("batch_size", batch_size), len(x))
        else:
            batch_size = None
            _check_first_batch(self.likelihood, x, "x")
        if _is_array(validation_data):
            validation_data = self.likelihood.check(validation_data, "validation_data")
        if validation_batch_size is None:
            validation_batch_size = batch_size
        else:
            validation_batch_size = checks.positive_int("validation_batch_size", validation_batch_size)

        compiled = compiled_epochs and not kwargs and _can_be_compiled(x) and not self.run_eagerly
        if compiled:
            self._hold("train", x)
            x = _row_blocks(len(x), batch_size, shuffle)
            options["shuffle"] = False  # the blocks come shuffled
            if _can_be_compiled(validation_data):
                self._hold("test", validation_data)
                validation_data = _row_blocks(len(validation_data), validation_batch_size, shuffle=False)
        else:
            if kwargs.get("sample_weight") is not None:
                kwargs.setdefault("y", x)  # Keras drops sample weights that come without targets
            options["shuffle"] = shuffle and _is_array(x)  # a dataset comes in the order it chose, and Keras would warn
            options.update(batch_size=batch_size, validation_batch_size=validation_batch_size, **kwargs)
        try:
            super().fit(x, validation_data=validation_data, **options)
        except KeyboardInterrupt:
            if verbose != 0:
                progress.interrupted()
        finally:
            if compiled:
                self._release()
        return history

    def evaluate(self, x, *, batch_size=100, verbose=0, return_dict=False, **kwargs):
        """Return the mean loss, reconstruction and KL over x, nats per example, as `keras.Model.evaluate` does.

        Args:
            x: array of shape (n, *data_shape), or a tf.data.Dataset or generator of such batches.
            batch_size: examples per step.
            verbose: 0 for silence.
            return_dict: whether to return a dictionary and not a list.
            **kwargs: any other argument of `keras.Model.evaluate`.

        Returns:
            [loss, reconstruction, kl], or a dictionary with these keys.

        Raises:
            ValueError: x is not as described.
        """
        self._assert_compile_called("evaluate")
        if kwargs.get("_use_cached_eval_dataset"):  # the validation of fit, which has checked and held the data
            return super().evaluate(x, batch_size=batch_size, verbose=verbose, return_dict=return_dict, **kwargs)
        compiled = False
        if _is_array(x):
            x = self.likelihood.check(x)
            batch_size = min(checks.positive_int("batch_size", batch_size), len(x))
            if kwargs.get("sample_weight") is not None:
                kwargs.setdefault("y", x)
            compiled = _can_be_compiled(x) and not kwargs and not self.run_eagerly
        else:
            batch_size = None
            _check_first_batch(self.likelihood, x, "x")
        # A callback may evaluate other data in the middle of fit: the validation data come back afterwards.
        outer = self._held.get("test")
        self._hold("test", x if compiled else None)
        if compiled:
            x, batch_size = _row_blocks(len(x), batch_size, shuffle=False), None
        try:
            return super().evaluate(x, batch_size=batch_size, verbose=verbose, return_dict=return_dict, **kwargs)
        finally:
            self._hold("test", outer)

    def compile(self, *args, **kwargs):
        self._epoch_programs, self._held = {}, {}
        super().compile(*args, **kwargs)

    def compile_from_config(self, config):
        # Keras leaves this to a model with a `compile` of its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force=False):
        data = self._held.get("train")
        if data is None:
            return super().make_train_function(force)
        self.train_function = self._block_runner("train", self.train_step, data)

    def make_test_function(self, force=False):
        data = self._held.get("test")
        if data is None:
            return super().make_test_function(force)
        self.test_function = self._block_runner("test", self.test_step, data)

    def _hold(self, phase, x):
        """Remember the data of a phase (None: nothing), and forget the function that would read other data."""
        if x is not None:
            self._held[phase] = x
        elif self._held.pop(phase, None) is None:
            return  # Keras's own function, which reads nothing of ours, may stay
        setattr(self, f"{phase}_function", None)

    def _release(self):
        """Let go of the data; the compiled programs stay."""
        for phase in list(self._held):
            self._hold(phase, None)

    def _block_runner(self, phase, step, data):
        """Return what Keras calls with an iterator: it takes a block of row numbers and runs its steps in one go."""
        import tensorflow as tf

        if phase not in self._epoch_programs:
            if phase == "train":
                self.optimizer.build(self.trainable_variables)

            # One trace for all sizes of block and batch; XLA compiles each size it meets.
            spec = [tf.TensorSpec((None, None, *data.shape[1:]), data.dtype), tf.TensorSpec((), tf.int32)]

            @tf.function(jit_compile=_xla_is_faster(self), autograph=False, input_signature=spec)
            def run(block, num_steps):
                def body(i):
                    step(block[i])
                    return i + 1

                # The metrics are the model's own variables: they add up by themselves from step to step.
                tf.while_loop(lambda i: i < num_steps, body, [0])
                return self.get_metrics_result()

            self._epoch_programs[phase] = run
        run, gather = self._epoch_programs[phase], _gatherer(data)

        def run_blocks(iterator):
            for _, (rows, num_steps) in zip(range(self.steps_per_execution), iterator, strict=False):
                logs = run(gather(rows.numpy()), num_steps)
                # Reading the numbers waits for the program to end: only then may the block's memory be filled anew.
                logs = {name: value.numpy() for name, value in logs.items()}
            return logs

        return run_blocks


def _as_list(callbacks):
    return [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or [])


def _check_first_batch(likelihood, x, name):
    """Check the first batch of a tf.data.Dataset; a generator stays unchecked, since it can be read only once."""
    if not hasattr(x, "element_spec"):
        return
    for batch in x.take(1):
        first = batch[0] if isinstance(batch, tuple) else batch
        likelihood.check(keras.ops.convert_to_numpy(first), f"the first batch of {name}")


def _is_array(x):
    return x is not None and (isinstance(x, (np.ndarray, list)) or keras.ops.is_tensor(x))


def _can_be_compiled(x):
    """Whether compiled epochs apply: an array, the TensorFlow backend, one device."""
    if keras.backend.backend() != "tensorflow" or not _is_array(x):
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy()


def _xla_is_faster(model):
    """Whether to compile with XLA: on a CPU its convolutions are many times slower than TensorFlow's own."""
    import tensorflow as tf

    convolutional = any("Conv" in type(layer).__name__ for layer in model._flatten_layers())
    return bool(tf.config.list_logical_devices("GPU")) or not convolutional


def _gatherer(data):
    """Return a function from row numbers to a tensor of these rows of data.

    TensorFlow would copy a NumPy array into memory of its own. On a CPU it can be spared: NumPy gathers into memory
    that TensorFlow reads in place. So the tensor is good only until the function is called again. A GPU keeps a copy of
    a tensor it has seen, and must get a new one.
    """
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return lambda rows: tf.constant(data[rows])
    blocks = {}  # by shape: the full block, and the last, smaller batch

    def gather(rows):
        if rows.shape not in blocks:
            array = _aligned_array((*rows.shape, *data.shape[1:]), data.dtype)
            blocks[rows.shape] = array, tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        array, tensor = blocks[rows.shape]
        # The row numbers are in range; with the default mode NumPy would fill a copy first.
        np.take(data, rows, axis=0, out=array, mode="clip")
        return tensor

    return gather


def _aligned_array(shape, dtype, alignment=64):
    """Return an empty array that starts at a multiple of 64 bytes, as TensorFlow wants the memory it reads."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + alignment, "uint8")
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)


def _row_blocks(n, batch_size, shuffle):
    """Make the dataset that Keras iterates over: blocks of row numbers, (steps, batch_size), and how many steps to run.

    A block that is not full is padded and its step count says so, which keeps one shape and so one compiled program;
    only a last batch of fewer examples has a shape of its own.
    """
    import tensorflow as tf

    batch_size = min(batch_size, n)
    full_steps, rest = divmod(n, batch_size)
    height = min(max(EXAMPLES_PER_BLOCK // batch_size, 1), full_steps)
    # Seeded by keras.utils.set_random_seed, as Keras's own shuffling is.
    rng = np.random.default_rng(int(keras.random.randint((), 0, 2**31 - 1)))

    def one_epoch():
        order = (rng.permutation(n) if shuffle else np.arange(n)).astype("int32")
        body, tail = order[: full_steps * batch_size].reshape(full_steps, batch_size), order[full_steps * batch_size :]
        for start in range(0, full_steps, height):
            block = body[start : start + height]
            padding = ((0, height - len(block)), (0, 0))
            yield np.pad(block, padding), np.int32(len(block))
        if rest:
            yield tail[None], np.int32(1)

    num_blocks = -(-full_steps // height) + (rest > 0)
    signature = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((), tf.int32))
    blocks = tf.data.Dataset.from_generator(one_epoch, output_signature=signature)
    return blocks.apply(tf.data.experimental.assert_cardinality(num_blocks))
