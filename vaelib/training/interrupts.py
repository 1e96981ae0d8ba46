"""An interrupt (the stop button, or Ctrl-C) ends the training in good order."""

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import keras


class History(keras.callbacks.History):
    """Keras's History, which also knows whether the training was interrupted.

    Attributes:
        history: what was reported for each epoch, by name.
        epoch: the epochs that ended, counted from 0.
        done: number of the last epoch that ended, counted from 1; None until the training begins.
        interrupted: whether the training was stopped by hand.
    """

    def __init__(self):
        super().__init__()
        self.epoch: list[int] = []
        self.interrupted = False
        self.done: int | None = None
        self._last = None

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.done = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.done = epoch

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.done, self._last = epoch + 1, logs

    def end(self, callbacks: Iterable[keras.callbacks.Callback], interrupted: bool = True) -> None:
        """Note an interrupt or an error, and tell the callbacks that the training ended, which Keras does not.

        A schedule then puts its learning rate back, and early stopping the best weights. It is for the last callback
        of the list to know whether all others were told of the beginning.
        """
        self.interrupted = interrupted
        if self.done is not None:
            for callback in callbacks:
                callback.on_train_end(self._last)


@contextlib.contextmanager
def unbroken(model: keras.Model) -> Iterator[list[keras.callbacks.Callback]]:
    """Return the callbacks that keep a model whole when an interrupt comes; in the end it has its variables again."""
    if keras.backend.backend() != "jax":
        yield []
        return
    guard = HeldInterrupts()
    try:
        yield [guard]
    finally:
        try:
            guard.release()
        finally:
            model.jax_state_sync()
            # Keras takes the arrays away before it asks for the first batch: an error there would leave none.
            for variable, value in guard.before:
                try:
                    variable.numpy()
                except TypeError:  # it has none
                    if not value.is_deleted():
                        variable.assign(value)


class HeldInterrupts(keras.callbacks.Callback):
    """Hold an interrupt back until the next step begins: for JAX, where a step takes the model's arrays away.

    A step hands the arrays to a program that overwrites them, and new ones come back. Between the two the model has
    none, and an interrupt there would leave it so. A second interrupt is not held back. It must be the last callback.

    Attributes:
        before: the variables of model and optimiser, each with its array before the first step.
    """

    def __init__(self):
        super().__init__()
        self.before: list[tuple[keras.Variable, Any]] = []
        self._holding = contextlib.ExitStack()

    def on_train_begin(self, logs=None):
        model = self.model
        self.before = [(variable, variable.value) for variable in [*model.variables, *model.optimizer.variables]]

    def on_test_begin(self, logs=None):
        self.on_train_begin()

    def release(self) -> None:
        """Hold back no longer, and let through what has come meanwhile."""
        self._holding.close()

    def _hold(self):
        self.release()
        self._holding.enter_context(held())

    def on_train_batch_begin(self, batch, logs=None):
        self._hold()

    def on_test_batch_begin(self, batch, logs=None):
        self._hold()

    def on_epoch_end(self, epoch, logs=None):
        self.release()

    def on_test_end(self, logs=None):
        self.release()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold an interrupt back until the end of the block; a second one is not held back.

    Outside the main thread nothing happens: no interrupt arrives there.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    presses: list[int] = []

    def note(signum, frame):
        if presses:
            presses.clear()
            before(signum, frame)
        else:
            presses.append(signum)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if presses:
        before(signal.SIGINT, None)
