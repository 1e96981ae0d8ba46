"""Callbacks for `fit` that any Keras model can use."""

import math
from collections.abc import Mapping

import keras

from vaelib import checks
from vaelib.training.optimizers import PlayersOptimizer, each_of


class CosineLearningRate(keras.callbacks.Callback):
    """Lower the learning rate along half a cosine, from `peak` in the first step to zero after the last.

    Large steps find the region, small ones settle in it: the reference recipe on MNIST reaches in 25 epochs what a
    constant rate of 1e-3 needs 50 for. The rate is lowered for the steps alone. Between them the optimiser has its own,
    so a model that is saved or interrupted in the middle keeps that one, and a training that is resumed at a later
    epoch goes on along the same curve.

    Args:
        peak: learning rate of the first step; the optimiser's own by default. For a model with several players also a
            dictionary from their names to rates; a player that is not named starts from its own.

    Raises:
        ValueError: peak is not a positive, finite number; or, when training starts, it names no player.
        TypeError: when training starts, from Keras: the optimiser has a schedule of its own already.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.
    """

    def __init__(self, peak: float | Mapping[str, float] | None = None):
        super().__init__()
        self.peak: float | dict[str, float] | None
        if isinstance(peak, Mapping):
            self.peak = {name: checks.positive_float(f"peak[{name!r}]", value) for name, value in peak.items()}
        else:
            self.peak = None if peak is None else checks.positive_float("peak", peak)
        self._own: list[float] = []  # the optimisers' own rates, while they are lowered

    def on_train_begin(self, logs=None):
        self._epoch = 0
        self._check_names()
        self._lower(0.0)
        self._put_back()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        # The number of steps is unknown when a generator is read for the first time: then the rate changes per epoch.
        steps = self.params.get("steps")
        self._lower(batch / steps if steps else 0.0)

    def on_train_batch_end(self, batch, logs=None):
        self._put_back()

    def on_test_begin(self, logs=None):
        self._put_back()  # a generator may end where another step was about to begin

    def on_epoch_end(self, epoch, logs=None):
        self._put_back()

    def on_train_end(self, logs=None):
        self._put_back()  # an interrupt may have come in the middle of a step

    def _lower(self, part_of_epoch):
        self._put_back()
        done = min((self._epoch + part_of_epoch) / self.params["epochs"], 1.0)
        optimizers = each_of(self.model.optimizer)
        self._own = [float(keras.ops.convert_to_numpy(optimizer.learning_rate)) for optimizer in optimizers]
        for optimizer, peak in zip(optimizers, self._peaks(), strict=True):
            optimizer.learning_rate = 0.5 * peak * (1 + math.cos(math.pi * done))

    def _put_back(self):
        for optimizer, rate in zip(each_of(self.model.optimizer), self._own, strict=False):
            optimizer.learning_rate = rate
        self._own = []

    def _peaks(self):
        if self.peak is None:
            return self._own
        if not isinstance(self.peak, dict):
            return [self.peak] * len(self._own)
        return [self.peak.get(name, own) for name, own in zip(self.model.optimizer.names, self._own, strict=True)]

    def _check_names(self):
        if not isinstance(self.peak, dict):
            return
        optimizer = self.model.optimizer
        names = optimizer.names if isinstance(optimizer, PlayersOptimizer) else ()
        unknown = [name for name in self.peak if name not in names]
        if unknown or not names:
            raise ValueError(
                f"peak names the players {list(self.peak)}; "
                + (f"the model's are {list(names)}." if names else "the model has one optimiser: give one number.")
            )
