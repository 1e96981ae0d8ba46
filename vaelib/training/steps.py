"""Whole blocks of steps in one compiled program, behind the ordinary `fit`.

Keras runs one step at a time: it fetches a batch, starts a compiled step, reads the metrics back. For a small model
that bookkeeping costs more than the mathematics. Here NumPy gathers the shuffled examples of a whole block of steps,
and one XLA program runs Keras's own `train_step` on each batch of the block. Callbacks, history, validation and metrics
are Keras's, unchanged; "batch" callbacks see a block of up to `blocks.EXAMPLES_PER_BLOCK` examples as one.

With blocks.py the only file of the model that uses TensorFlow. On another Keras backend, or for data that are not an
array, `fit` takes Keras's own path.
"""

import contextlib
import ctypes
import sys

import keras
import numpy as np

from vaelib import checks
from vaelib.training.blocks import Blocks
from vaelib.training.progress import Progress


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
            x = self._hold("train", Blocks(x, batch_size, shuffle)).numbers
            options["shuffle"] = False  # the blocks come shuffled
            if _can_be_compiled(validation_data):
                blocks = Blocks(validation_data, validation_batch_size, shuffle=False)
                validation_data = self._hold("test", blocks).numbers
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
        blocks = self._hold("test", Blocks(x, batch_size, shuffle=False) if compiled else None)
        if compiled:
            x, batch_size = blocks.numbers, None
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
        blocks = self._held.get("train")
        if blocks is None:
            return super().make_train_function(force)
        self.train_function = self._block_runner("train", self.train_step, blocks)

    def make_test_function(self, force=False):
        blocks = self._held.get("test")
        if blocks is None:
            return super().make_test_function(force)
        self.test_function = self._block_runner("test", self.test_step, blocks)

    def _hold(self, phase, blocks):
        """Remember the blocks of a phase (None: nothing), forget the function that would read others; return them."""
        if blocks is not None:
            self._held[phase] = blocks
        elif self._held.pop(phase, None) is None:
            return None  # Keras's own function, which reads nothing of ours, may stay
        setattr(self, f"{phase}_function", None)
        return blocks

    def _release(self):
        """Let go of the data; the compiled programs stay."""
        for phase in list(self._held):
            self._hold(phase, None)

    def _block_runner(self, phase, step, blocks):
        """Return what Keras calls with an iterator: it takes a block's number and runs its steps in one go."""
        import tensorflow as tf

        if phase not in self._epoch_programs:
            if phase == "train":
                self.optimizer.build(self.trainable_variables)

            # One trace for all sizes of block and batch; XLA compiles each size it meets.
            data = blocks.data
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
        run = self._epoch_programs[phase]

        def run_blocks(iterator):
            for _, number in zip(range(self.steps_per_execution), iterator, strict=False):
                logs = run(*blocks.load(int(number)))
                # Reading the numbers waits for the program to end: only then may the block's memory be filled anew.
                logs = {name: value.numpy() for name, value in logs.items()}
            return logs

        return run_blocks


def forget_models():
    """Forget the Keras models that nobody holds any more, and hand their memory back to the system.

    For a notebook that trains one model after another. A model that a variable still holds stays as it is.
    """
    keras.backend.clear_session()  # collects the garbage too
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # C libraries other than glibc do not have the call
            ctypes.CDLL(None).malloc_trim(0)


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
