"""A live, tidy progress display: one table that updates in a notebook, one line per epoch elsewhere."""

import time
from collections.abc import Sequence

import keras

SPELLED = {"kl": "KL"}


class Progress(keras.callbacks.Callback):
    """Show the epoch, what the objective reports and the time left while `fit` runs.

    Args:
        epochs: the number of epochs that `fit` was asked for.
        names: what is shown of the logs, in this order; each with its validation value where there is one.
    """

    def __init__(self, epochs: int, names: Sequence[str] = ("loss",)):
        super().__init__()
        self.epochs, self.names = epochs, tuple(names)
        self.handle = None
        self.began = False

    def on_train_begin(self, logs=None):
        self.began, self.started = True, time.perf_counter()
        self.first_epoch, self.done, self.logs = None, 0, {}
        self.last_shown = 0.0
        if in_notebook():
            from IPython.display import display

            self.handle = display(self._table("training"), display_id=True)

    def on_epoch_begin(self, epoch, logs=None):
        if self.first_epoch is None:
            self.first_epoch = self.done = epoch

    def on_train_batch_end(self, batch, logs=None):
        # Ten updates a second are as live as an eye can tell.
        if self.handle and time.perf_counter() - self.last_shown > 0.1:
            self.last_shown = time.perf_counter()
            self.handle.update(self._table("training", logs))

    def on_epoch_end(self, epoch, logs=None):
        self.done, self.logs = epoch + 1, {k: float(v) for k, v in (logs or {}).items()}
        if self.handle:
            self.handle.update(self._table("training"))
        else:
            print(f"epoch {self.done}/{self.epochs} · {self._values(self.logs)} · {self._left()} left", flush=True)

    def on_train_end(self, logs=None):
        stopped = "" if self.done >= self.epochs else f" (stopped after epoch {self.done})"
        self._finish("trained" + stopped)

    def interrupted(self, done: int | None) -> None:
        """Say that the training was stopped by hand, also where no progress was shown.

        Args:
            done: number of the last epoch that ended; None when the training had not begun.
        """
        if done is None:
            print("interrupted before the training began", flush=True)
            return
        what = f"interrupted after {done} of {self.epochs} epochs: the model and its history are kept"
        if not self.began:
            print(what, flush=True)
        else:
            self._finish(what)

    def failed(self) -> None:
        """Say that the training was stopped, where progress was shown; the error says why."""
        if self.began:
            self._finish(f"stopped in epoch {self.done + 1}: the loss is not finite")

    def _finish(self, state):
        if self.handle:
            self.handle.update(self._table(state))
        else:
            print(f"{state} in {_clock(time.perf_counter() - self.started)}", flush=True)

    def _left(self):
        worked = self.done - (self.first_epoch or 0)
        if worked <= 0:
            return "?"
        return _clock((time.perf_counter() - self.started) / worked * (self.epochs - self.done))

    def _values(self, logs):
        """The validation values stand behind the training values: loss 152.1 (validation 153.0)."""
        texts = []
        for name in self.names:
            if name in logs:
                held_out = f" (validation {logs[f'val_{name}']:.2f})" if f"val_{name}" in logs else ""
                texts.append(f"{SPELLED.get(name, name)} {float(logs[name]):.2f}{held_out}")
        return " · ".join(texts) + " nats" if texts else "…"

    def _table(self, state, logs=None):
        # Within an epoch the running means are shown, marked by the epoch they belong to.
        running = logs is not None
        current = f"epoch {self.done + running}/{self.epochs}"
        values = self._values(logs if running else self.logs)
        clock = f"{_clock(time.perf_counter() - self.started)} so far, {self._left()} left"
        if state != "training":
            clock = _clock(time.perf_counter() - self.started)
        return _Display(state, current, values, clock, self.done / self.epochs)


class _Display:
    """One line of text, and the same with a bar where HTML is shown."""

    def __init__(self, state, current, values, clock, share):
        self.text = f"{state} · {current} · {values} · {clock}"
        self.html = (
            f'<div style="font-family: monospace; white-space: pre-wrap">'
            f'<progress value="{share:.3f}" max="1" style="width: 12em" aria-label="training progress"></progress> '
            f"{self.text}</div>"
        )

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        return self.html


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel: only there can a shown line be updated in place."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")
