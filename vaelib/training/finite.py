"""A loss that is no longer finite ends the training: in which step, which part of it, and what to try."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from vaelib.training.optimizers import each_of


class LossNotFinite(Exception):
    """What a step, or a block of steps, raises within `fit`, which knows the rest.

    Args:
        step: number of the step in its epoch, counted from 1.
        logs: the running means that it left.
    """

    def __init__(self, step: int, logs: Mapping[str, float]):
        super().__init__(step, logs)
        self.step, self.logs = step, dict(logs)


class FiniteLoss(keras.callbacks.Callback):
    """Stop at a loss that is NaN or infinite, and put back what the model was when its epoch began.

    Weights and the optimisers' moments are kept once per epoch: one copy of them, in the memory of the processor. The
    callback looks at each batch of Keras's own loop; within a block of steps the program itself does.
    It must be the first callback: no other shall save what is not finite.

    Args:
        names: what the objective reports, "loss" first.
    """

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)
        self._kept: tuple[int, list] | None = None
        self._warned = False

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        values = [np.array(keras.ops.convert_to_numpy(variable)) for variable in self._variables()]
        bad = next((v.path for v, value in zip(self.model.weights, values, strict=False) if _has_nan(value)), None)
        if bad is None:
            self._kept = epoch, values
        elif self._kept is None:
            raise ValueError(
                f"the weight {bad} of the model holds NaN: nothing can be learned from there. Build the model anew, or "
                "load weights from before."
            )

    def on_train_batch_end(self, batch, logs=None):
        if is_bad(logs or {}, self.names):
            raise LossNotFinite(batch + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        bad = [f"val_{name}" for name in self.names if is_bad(logs or {}, (f"val_{name}",))]
        if bad and not self._warned:
            self._warned = True
            warnings.warn(
                f"{', '.join(bad)} of epoch {epoch + 1} {'is' if len(bad) == 1 else 'are'} not finite, though the loss "
                "is: compare the range of validation_data with that of x.",
                stacklevel=2,
            )

    def error(self, problem: LossNotFinite) -> FloatingPointError:
        """Put the model back, and return the error that `fit` raises: step, part, what to try."""
        rates = " and ".join(f"{_rate(optimizer):g}" for optimizer in each_of(self.model.optimizer))
        word = "NaN" if np.isnan(problem.logs.get("loss", np.nan)) else "infinite"
        epoch, values = self._kept or (0, [])
        for variable, value in zip(self._variables(), values, strict=False):
            variable.assign(value)
        when = f"after epoch {epoch}" if epoch else "before the training"
        return FloatingPointError(
            f"the loss became {word} in step {problem.step} of epoch {self._epoch + 1}: {self._part(problem.logs)}. "
            f"The training was stopped, and the model is as it was {when}. Try a smaller learning rate (this was "
            f"{rates}), clipnorm=1.0 in the optimiser, or data of a smaller range; stop_on_nan=False trains on."
        )

    def _part(self, logs):
        parts = [name for name in self.names if name != "loss" and name in logs]
        bad = [name for name in parts if is_bad(logs, (name,))]
        if not bad:
            return "none of what is reported beside it is to blame; a layer's own loss may be"
        if len(bad) == len(parts) > 1:
            return f"{' and '.join(bad)} are all not finite, as after a step that was too large"
        fine = [name for name in parts if name not in bad]
        rest = f", while {' and '.join(f'{name} is {float(logs[name]):.4g}' for name in fine)}" if fine else ""
        return f"{' and '.join(bad)} {'is' if len(bad) == 1 else 'are'} not finite{rest}"

    def _variables(self):
        return [*self.model.weights, *self.model.optimizer.variables]


def is_bad(logs: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Return whether one of the named numbers, where it is there, is NaN or infinite."""
    return not all(np.isfinite(float(logs[name])) for name in names if name in logs)


def stops(
    optimizer: keras.optimizers.Optimizer, callbacks: Sequence[keras.callbacks.Callback], stop_on_nan: bool
) -> bool:
    """Whether `fit` is to stop with an error.

    Not where Keras's own callback is there to stop in silence, nor where losses are scaled for 16-bit floats: there a
    step that overflows is left out, and the scale halved.
    """
    scaled = any(isinstance(each, keras.optimizers.LossScaleOptimizer) for each in each_of(optimizer))
    silent = any(isinstance(callback, keras.callbacks.TerminateOnNaN) for callback in callbacks)
    return stop_on_nan and not scaled and not silent


def warn_of_nan(means: Mapping[str, Any]) -> None:
    """Warn, by their names, of means that are NaN or infinite."""
    bad = [name for name in means if is_bad(means, (name,))]
    if bad:
        warnings.warn(
            f"{', '.join(bad)} {'is' if len(bad) == 1 else 'are'} not finite: the weights may hold NaN, or the data "
            "lie far outside of what the model was trained on.",
            stacklevel=5,
        )


def _has_nan(value):
    return value.dtype.kind in "fV" and bool(np.isnan(value.astype("float32", copy=False)).any())


def _rate(optimizer):
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
