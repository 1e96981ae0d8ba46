"""The learning-rate schedule follows its formula in every step, on every path of fit."""

import keras
import numpy as np
import pytest

from vaelib import CosineLearningRate


class Rates(keras.callbacks.Callback):
    """Note the learning rate of each block of steps."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def rates_of(vae, images, schedule, epochs=4, **options):
    """Return the learning rates of all steps, in order."""
    seen = Rates()
    vae.fit(images, epochs=epochs, verbose=0, callbacks=[schedule, seen], **options)
    return np.array(seen.rates)


@pytest.fixture
def vae(make_vae, without_xla):
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(1e-3))
    return vae


@pytest.mark.parametrize("compiled_epochs", [False, True])
def test_half_a_cosine_from_the_peak_to_zero(vae, images, compiled_epochs, monkeypatch):
    from vaelib.training import blocks

    monkeypatch.setattr(blocks, "EXAMPLES_PER_BLOCK", 10)  # one step a block
    rates = rates_of(vae, images, CosineLearningRate(4e-3), batch_size=10, compiled_epochs=compiled_epochs)
    done = np.arange(24) / 24
    np.testing.assert_allclose(rates, 4e-3 * np.cos(np.pi * done / 2) ** 2, rtol=1e-5)  # cos² a = (1 + cos 2a) / 2


def test_the_optimisers_own_rate_is_the_peak_by_default_and_comes_back(vae, images):
    rates = rates_of(vae, images, CosineLearningRate(), epochs=2)
    np.testing.assert_allclose(rates, [1e-3, 0.5e-3], rtol=1e-5)
    assert float(vae.optimizer.learning_rate) == pytest.approx(1e-3)
    np.testing.assert_allclose(rates_of(vae, images, CosineLearningRate(), epochs=2), rates, rtol=1e-5)


def test_the_rate_reaches_the_steps(vae, images):
    before = [np.array(w) for w in vae.trainable_weights]
    vae.fit(images, verbose=0, callbacks=[CosineLearningRate(1e-12)])
    for old, new in zip(before, vae.trainable_weights, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-9)


def test_a_generator_of_unknown_length_changes_the_rate_per_epoch(vae, images):
    import tensorflow as tf

    batches = tf.data.Dataset.from_generator(lambda: iter([images[:30], images[30:]]), output_types=tf.float32)
    batches = batches.map(lambda x: tf.ensure_shape(x, (None, 8, 8)))
    rates = rates_of(vae, batches, CosineLearningRate(1e-2), epochs=2)
    assert len(rates) == 4
    np.testing.assert_allclose(rates[:2], 1e-2, rtol=1e-5)
    assert (rates[2:] < 1e-2).all()


@pytest.mark.parametrize("peak", [0, -1e-3, np.nan, np.inf, "fast"])
def test_a_peak_that_is_no_rate(peak):
    with pytest.raises(ValueError, match=r"peak must be a finite number above 0; received"):
        CosineLearningRate(peak)


def test_two_schedules_at_once(make_vae, without_xla, images):
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100)))
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        vae.fit(images, verbose=0, callbacks=[CosineLearningRate(4e-3)])
