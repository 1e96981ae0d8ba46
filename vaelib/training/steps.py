"""`fit` and `evaluate` of a model whose losses have owners, with whole blocks of steps in one compiled program.

Keras runs one step at a time: it fetches a batch, starts a compiled step, reads the metrics back. For a small model
that bookkeeping costs more than the mathematics. On TensorFlow NumPy therefore gathers the shuffled examples of a whole
block of steps, and one program runs the steps on them. Callbacks, history, validation and metrics are Keras's,
unchanged; "batch" callbacks see a block of up to `blocks.EXAMPLES_PER_BLOCK` examples as one. On another backend, or
for data that are not arrays, the same steps run in Keras's own loop.

What of Keras is used here although its name is private: `_loss_tracker`, the mean of the loss that `compile` makes and
`evaluate` reports first (in the steps); `_flatten_layers`, all layers however deep (in compilation.py);
`_use_cached_eval_dataset`, the argument by which `fit` tells `evaluate` that it has seen the data; and
`_maybe_symbolic_build`, which builds a model that lives on several devices.
"""

import contextlib
import importlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from vaelib import checks, files
from vaelib.training import compilation, optimizers
from vaelib.training.blocks import Blocks
from vaelib.training.data import Data, DataCheck
from vaelib.training.finite import FiniteLoss, LossNotFinite, stops, warn_of_nan
from vaelib.training.interrupts import History, held, unbroken
from vaelib.training.memory import forget_models as forget_models
from vaelib.training.memory import keep_freed_memory
from vaelib.training.progress import Progress, in_notebook
from vaelib.training.saving import in_steps, save_every

BACKEND = keras.backend.backend()
if BACKEND not in ("tensorflow", "jax", "torch"):
    raise ImportError(
        f"vaelib's models train on the Keras backends tensorflow, jax and torch; this is {BACKEND}. "
        "Set KERAS_BACKEND before Keras is imported."
    )
step = importlib.import_module(f"vaelib.training.{BACKEND}_step")


if TYPE_CHECKING:
    from keras import Model as _Model
else:
    _Model = object  # a mixin, which stands before keras.Model among the bases of a class


class BlockTraining(_Model):
    """Mixin for a keras.Model: `compile`, `fit` and `evaluate` with blocks of steps and an optimiser for each player.

    The model gives
    - `check_data(x, name)`: x as an array that fits the model, or ValueError;
    - `check_targets(y, name)`: ValueError where y does not fit the model; by default any y does;
    - `batch_losses(x, y, sample_weight, training, track)`: a dictionary from "loss" and the players' names to scalars;
      with `track` it also updates the model's own metrics, all but the mean of the loss;
    - `players()`: a dictionary from the losses' names to who follows them, with `variables` and `steps`;
    - `objective.names`: what is reported, "loss" first.
    """

    def check_targets(self, y: Any, name: str = "y") -> None:
        """Raise ValueError where y does not fit the model."""

    def compile(
        self,
        optimizer: Any = "rmsprop",
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model learns, as `keras.Model.compile` does.

        Args:
            optimizer: a Keras optimiser or its name. For an objective with several players a dictionary from their
                names to optimisers, or one optimiser, which is cloned for each. `model.optimizer` is then a
                PlayersOptimizer, and `model.optimizer["critic"]` one of them.
            run_eagerly, steps_per_execution, auto_scale_loss: as for `keras.Model.compile`.
            jit_compile: False leaves XLA out, whose compiler takes a second and 100 MB for each program; otherwise it
                compiles blocks of steps where that makes them faster, and Keras's own loop as Keras has it.

        Raises:
            ValueError: the optimisers are not those of the players.
        """
        scale_loss = auto_scale_loss and self.dtype_policy.name == "mixed_float16"
        with _scope(self):
            super().compile(
                optimizers.for_players(optimizer, self.players(), scale_loss),
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=jit_compile,
                auto_scale_loss=False,  # each optimiser scales its own
            )
        compilation.programs(self).clear()
        self.may_use_xla = jit_compile is not False
        self._held: dict[str, Blocks] = {}
        self._busy: tuple[str, int] | None = None
        self._stops_on_nan = False

    def compile_from_config(self, config):
        # Keras leaves this to a model with a `compile` of its own.
        known = ("optimizer", "run_eagerly", "steps_per_execution", "jit_compile")
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**{name: config[name] for name in known if name in config})
        self._build_optimizers()

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 100,
        sample_weight: Any = None,
        validation_data: Any = None,
        callbacks: Any = None,
        verbose: int | str = "auto",
        shuffle: bool = True,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        blocks: bool = True,
        stop_on_nan: bool = True,
        **kwargs: Any,
    ) -> History:
        """Train the model, as `keras.Model.fit` does.

        An interrupt (the stop button, or Ctrl-C) ends the training and keeps the model and the history so far. In a
        notebook `fit` then returns, and its history is marked as `interrupted`; elsewhere the interrupt goes on, and
        the history is `model.history`.

        A loss that becomes NaN or infinite ends the training with an error that names the step, the part of the loss
        and what to try; the model is put back to where its epoch began.

        Args:
            x: array of shape (n, *data_shape); or a tf.data.Dataset, a keras.utils.PyDataset or a generator of batches
                x, (x, y) or (x, y, sample_weight), which Keras's own loop reads.
            y: array or tuple of arrays with n rows each, for a model that reads something beside x.
            epochs: passes over the data.
            batch_size: examples per step; one batch when it is larger than the data.
            sample_weight: array of shape (n,), the weight of each example in the loss.
            validation_data: as x, or (x, y) or (x, y, sample_weight); evaluated after each epoch.
            callbacks: list of Keras callbacks. A batch callback is called once per block of steps; one that saves every
                so many steps (`save_freq`) does so.
            verbose: 0 for silence; anything else shows the live progress display.
            shuffle: whether each epoch visits the data in a new order.
            initial_epoch: number of the first epoch, for a training that goes on.
            validation_batch_size: examples per evaluation step, batch_size by default.
            blocks: False takes Keras's own loop, step by step.
            stop_on_nan: False trains on. So do a `keras.callbacks.TerminateOnNaN`, which stops without an error, and
                an optimiser that scales its loss, which leaves such a step out.
            **kwargs: any other argument of `keras.Model.fit`, which then takes Keras's own loop.

        Returns:
            A Keras History; its `history` holds what the objective reports for each epoch, for ELBO loss,
            reconstruction and kl in nats per example, and the same with val_ in front.

        Raises:
            ValueError: the data, epochs or batch_size are not as described, or a weight holds NaN.
            FloatingPointError: the loss is no longer finite.
            RuntimeError: this model is being trained already, by a callback or another thread.
            KeyboardInterrupt: the training was interrupted, and not in a notebook.
        """
        self._check_compiled("fit")
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "class_weight weighs labels, and a VAE has none: pass sample_weight, one number per example."
            )
        callbacks = _as_list(callbacks)
        with self._alone("fit"):
            epochs, batch_size = checks.positive_int("epochs", epochs), checks.positive_int("batch_size", batch_size)
            if validation_batch_size is None:
                validation_batch_size = batch_size
            checks.positive_int("validation_batch_size", validation_batch_size)
            check = DataCheck(self.check_data, self.check_targets)
            data, held_out = check(x, y, sample_weight), check.validation(validation_data)
            self._stops_on_nan = stops(self.optimizer, callbacks, stop_on_nan)
            progress, finite = Progress(epochs, self.objective.names), FiniteLoss(self.objective.names)
            silent, told = verbose == 0, callbacks
            with self._in_good_order(callbacks, progress, finite, silent) as (history, guards), check.errors():
                self._build_optimizers()
                if blocks and not kwargs and self._takes_blocks(data):
                    data = self._in_blocks("train", data, batch_size, shuffle, save_every(callbacks))
                    told = in_steps(callbacks, self._held["train"])
                    if held_out is not None and held_out.in_memory:
                        held_out = self._in_blocks("test", held_out, validation_batch_size)
                ours = [*([] if silent else [progress]), history, *guards]
                super().fit(
                    **_for_keras(data, batch_size),
                    # A source of batches has its own order, and Keras would warn.
                    shuffle=shuffle and data.in_memory,
                    epochs=epochs,
                    initial_epoch=initial_epoch,
                    validation_data=held_out and held_out.packed(),
                    validation_batch_size=validation_batch_size,
                    callbacks=[*([finite] if self._stops_on_nan else []), *told, *ours],
                    verbose=0,
                    **kwargs,
                )
            return history

    @contextlib.contextmanager
    def _in_good_order(self, callbacks, progress, finite, silent):
        """Give the history of a training and the callbacks that guard the model; end it well, whatever stops it."""
        history = self.history = History()  # an interrupt may come before Keras sets it
        try:
            with unbroken(self) as guards:
                keep_freed_memory()
                yield history, guards
        except LossNotFinite as problem:
            with _scope(self):
                error = finite.error(problem)
            history.end(callbacks, interrupted=False)
            progress.failed()
            raise error from None
        except KeyboardInterrupt:
            history.end(callbacks)
            if not silent or in_notebook():
                progress.interrupted(history.done)
            if not in_notebook():
                raise
        finally:
            self._release()

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 100,
        sample_weight: Any = None,
        verbose: int | str = 0,
        return_dict: bool = False,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> list[float] | dict[str, float]:
        """Return the means over the data of what the objective reports, as `keras.Model.evaluate` does.

        Args:
            x, y, sample_weight: as for `fit`.
            batch_size: examples per step.
            verbose: 0 for silence.
            return_dict: whether to return a dictionary and not a list.
            callbacks: list of Keras callbacks.
            **kwargs: any other argument of `keras.Model.evaluate`, which then takes Keras's own loop.

        Returns:
            The means, for ELBO [loss, reconstruction, kl] in nats per example; or a dictionary with these keys.

        Raises:
            ValueError: the data are not as described.
        """
        self._check_compiled("evaluate")
        options = dict(kwargs, verbose=verbose, return_dict=return_dict)
        if "_use_cached_eval_dataset" in kwargs:  # the validation of fit, which has checked and held the data
            return super().evaluate(x, y, sample_weight=sample_weight, callbacks=callbacks, **options)
        batch_size = checks.positive_int("batch_size", batch_size)
        check = DataCheck(self.check_data, self.check_targets)
        data = check(x, y, sample_weight)
        with self._alone("evaluate"):
            # A callback may evaluate other data in the middle of fit: the validation data come back afterwards.
            outer = self._held.get("test")
            try:
                with unbroken(self) as guards, check.errors():
                    if not kwargs and self._takes_blocks(data):
                        data = self._in_blocks("test", data, batch_size)
                    else:
                        self._hold("test", None)
                    callbacks = [*_as_list(callbacks), *guards]
                    means = super().evaluate(**_for_keras(data, batch_size), callbacks=callbacks, **options)
                warn_of_nan(means if return_dict else dict(zip(self.metrics_names, np.ravel(means), strict=False)))
                return means
            finally:
                self._hold("test", outer)

    def save(
        self, filepath: str | os.PathLike, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
    ) -> None:
        """Save the model as `keras.Model.save` does: a `.keras` file appears whole, or the old one still stands.

        Args:
            filepath, overwrite, zipped, **kwargs: as for `keras.Model.save`.
        """
        if self.compiled:  # an optimiser that was never built could not be loaded
            self._build_optimizers()
        if any(np.isnan(weight).any() for weight in self.get_weights()):
            warnings.warn(f"{filepath}: the weights that are saved hold NaN.", stacklevel=2)
        whole = str(filepath).endswith(".keras") and zipped in (None, True) and "://" not in str(filepath)
        if not whole or (not overwrite and os.path.exists(filepath)):
            return super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)
        with files.replace_file(os.path.realpath(filepath)) as half:
            super().save(half, zipped=zipped, **kwargs)

    def _build_optimizers(self):
        with held(), _scope(self):  # an optimiser whose making was interrupted would fail in every later step
            optimizers.build(self.optimizer, self.players())

    def _maybe_symbolic_build(self, **_):
        """Nothing is left to build; and Keras would look at one batch with the same size on all replicas."""

    def train_step(self, *args):
        return step.train_step(self, *args)

    def test_step(self, *args):
        return step.test_step(self, *args)

    def make_train_function(self, force=False):
        if "train" not in self._held:
            return super().make_train_function(force)
        self.train_function = self._block_runner("train", self.train_step)

    def make_test_function(self, force=False):
        if "test" not in self._held:
            return super().make_test_function(force)
        self.test_function = self._block_runner("test", self.test_step)

    def _block_runner(self, phase, step):
        from vaelib.training import tensorflow_blocks

        stop = phase == "train" and self._stops_on_nan
        return tensorflow_blocks.runner(self, phase, step, self._held[phase], stop)

    def _takes_blocks(self, data):
        if BACKEND != "tensorflow" or not data.in_memory:
            return False
        from vaelib.training import tensorflow_blocks

        return tensorflow_blocks.apply_to(self)

    def _in_blocks(self, phase, data, batch_size, shuffle=False, every=()):
        """Hold the data of a phase in blocks; return what Keras iterates over in their place."""
        blocks = Blocks(data, batch_size, shuffle, every)
        self._hold(phase, blocks)
        return Data(blocks.numbers)

    def _hold(self, phase, blocks):
        """Remember the blocks of a phase (None: nothing), and forget the function that would read others."""
        if blocks is not None:
            self._held[phase] = blocks
        elif self._held.pop(phase, None) is None:
            return  # Keras's own function, which reads nothing of ours, may stay
        setattr(self, f"{phase}_function", None)

    def _release(self):
        """Let go of the data; the compiled programs stay."""
        for phase in list(self._held):
            self._hold(phase, None)

    @contextlib.contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Refuse what would take the data and programs from under a training that is under way.

        A callback may evaluate the model in the middle of `fit`; nothing else may come between.
        """
        before, here = self._busy, threading.get_ident()
        if before is not None and (what == "fit" or before[1] != here):
            who = "a callback of its own" if before[1] == here else "another thread"
            raise RuntimeError(
                f"{self.name} is in {before[0]} already, and {who} calls {what}: wait until it has ended, or train "
                "another model."
            )
        self._busy = what, here
        try:
            yield
        finally:
            self._busy = before

    def _check_compiled(self, what):
        if not self.compiled:
            raise ValueError(f'{what} needs an optimiser: call compile first, for example vae.compile("adam").')


def _scope(model):
    """The devices that a model lives on: its own tf.distribute strategy, whatever the calling context is."""
    return model.distribute_strategy.scope() if BACKEND == "tensorflow" else contextlib.nullcontext()


def _for_keras(data, batch_size):
    x, y, sample_weight = data.for_keras()
    return dict(x=x, y=y, sample_weight=sample_weight, batch_size=batch_size if data.in_memory else None)


def _as_list(callbacks):
    return [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or [])
