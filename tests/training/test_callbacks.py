"""The learning-rate schedule follows its formula in every step, on every path of fit, for every optimiser."""

import keras
import numpy as np
import pytest

from vaelib import CosineLearningRate
from vaelib.training import blocks as blocks_module

BACKEND = keras.backend.backend()
PATHS = [True, False] if BACKEND == "tensorflow" else [False]


def rate_of(optimizer):
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


class Rates(keras.callbacks.Callback):
    """Note the learning rate of each block of steps, and between the blocks."""

    def on_train_begin(self, logs=None):
        self.during, self.between = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.now = rate_of(self.model.optimizer)

    def on_train_batch_end(self, batch, logs=None):
        self.during.append(self.now)
        self.between.append(rate_of(self.model.optimizer))

    def on_epoch_end(self, epoch, logs=None):
        self.between.append(rate_of(self.model.optimizer))


def rates_of(model, x, schedule, epochs=4, **options):
    """Return the learning rates of all steps, in order; between them the optimiser has its own."""
    seen, own = Rates(), rate_of(model.optimizer)
    model.fit(x, epochs=epochs, verbose=0, callbacks=[schedule, seen], **options)
    assert seen.between == pytest.approx([own] * len(seen.between)) and rate_of(model.optimizer) == pytest.approx(own)
    return np.array(seen.during)


@pytest.fixture
def model(start):
    return start.again(rate=1e-3)


@pytest.mark.parametrize("blocks", PATHS)
def test_half_a_cosine_from_the_peak_to_zero(model, rows, blocks, monkeypatch):
    monkeypatch.setattr(blocks_module, "EXAMPLES_PER_BLOCK", 10)  # one step a block
    rates = rates_of(model, rows(60), CosineLearningRate(4e-3), batch_size=10, blocks=blocks)
    done = np.arange(24) / 24
    np.testing.assert_allclose(rates, 4e-3 * np.cos(np.pi * done / 2) ** 2, rtol=1e-5)  # cos² a = (1 + cos 2a) / 2


def test_the_optimisers_own_rate_is_the_peak_by_default(model, rows):
    rates = rates_of(model, rows(60), CosineLearningRate(), epochs=2, batch_size=60)
    np.testing.assert_allclose(rates, [1e-3, 0.5e-3], rtol=1e-5)
    np.testing.assert_allclose(rates_of(model, rows(60), CosineLearningRate(), epochs=2, batch_size=60), rates)


@pytest.mark.parametrize("blocks", PATHS)
def test_the_rate_reaches_the_steps(model, rows, blocks):
    before = [keras.ops.convert_to_numpy(weight) + 0 for weight in model.trainable_weights]
    model.fit(rows(8), verbose=0, blocks=blocks, callbacks=[CosineLearningRate(1e-12)])
    for old, new in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(new), old, atol=1e-9)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the source of batches is TensorFlow's")
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # where the first epoch ends, says Keras
def test_batches_of_unknown_number_change_the_rate_per_epoch(model, rows):
    import tensorflow as tf

    x = rows(60)
    batches = tf.data.Dataset.from_generator(lambda: iter([x[:30], x[30:]]), output_types=tf.float32)
    batches = batches.map(lambda x: tf.ensure_shape(x, (None, 3)))
    rates = rates_of(model, batches, CosineLearningRate(1e-2), epochs=2)
    assert len(rates) == 4
    np.testing.assert_allclose(rates[:2], 1e-2, rtol=1e-5)
    assert (rates[2:] < 1e-2).all()


@pytest.mark.parametrize("order", ["schedule first", "schedule last"])
def test_a_checkpoint_in_the_middle_holds_the_optimisers_own_rate(model, rows, tmp_path, order):
    """A model saved along the way, loaded and trained again starts from its own rate, not from one that was lowered."""
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    callbacks = [CosineLearningRate(4e-3), save][:: 1 if order == "schedule first" else -1]
    model.fit(rows(8), epochs=3, verbose=0, callbacks=callbacks)
    for epoch in (1, 3):
        loaded = keras.saving.load_model(tmp_path / f"{epoch}.keras")
        assert rate_of(loaded.optimizer) == pytest.approx(1e-3)


@pytest.mark.parametrize("order", ["schedule first", "schedule last"])
def test_a_training_resumed_from_a_backup_goes_on_along_the_curve(models, model, rows, tmp_path, order):
    x = rows(8)
    straight = rates_of(model, x, CosineLearningRate(4e-3), batch_size=8)

    def callbacks(seen):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return [*[CosineLearningRate(4e-3), backup][:: 1 if order == "schedule first" else -1], seen]

    def crash(model, epoch):
        if epoch == 2:
            raise RuntimeError

    first, second = Rates(), Rates()
    with pytest.raises(RuntimeError):
        model.fit(x, epochs=4, verbose=0, batch_size=8, callbacks=[*callbacks(first), models.Spy(on_epoch_begin=crash)])
    other = models.Toy()
    other.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    other.fit(x, epochs=4, verbose=0, batch_size=8, callbacks=callbacks(second))
    np.testing.assert_allclose([*first.during, *second.during], straight, rtol=1e-5)
    assert len(second.during) == 2 and rate_of(other.optimizer) == pytest.approx(1e-3)


def test_another_callback_may_change_the_rate_beneath_it(models, model, rows):
    halve = models.Spy(on_epoch_begin=lambda model, epoch: setattr(model.optimizer, "learning_rate", 1e-3 / 2**epoch))
    seen = Rates()
    model.fit(rows(4), epochs=2, verbose=0, callbacks=[CosineLearningRate(), halve, seen])
    np.testing.assert_allclose(seen.during, [1e-3, 0.25e-3], rtol=1e-5)
    assert rate_of(model.optimizer) == pytest.approx(0.5e-3)


# Several optimisers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "peak, expected",
    [
        (None, {"loss": 0.1, "critic": 0.02}),
        (0.3, {"loss": 0.3, "critic": 0.3}),
        ({"critic": 0.3}, {"loss": 0.1, "critic": 0.3}),
    ],
)
def test_each_players_rate_falls_from_its_own_peak(models, rows, peak, expected):
    game, seen = models.Game(), []
    game.compile({"loss": keras.optimizers.SGD(0.1), "critic": keras.optimizers.SGD(0.02)})

    def note(model, _):
        seen.append({name: rate_of(model.optimizer[name]) for name in model.optimizer.names})

    look = models.Spy(on_train_batch_begin=note, on_epoch_end=note)
    game.fit(rows(4), epochs=2, verbose=0, callbacks=[CosineLearningRate(peak), look])
    first, own, second, again = seen
    assert first == pytest.approx(expected) and second == pytest.approx({k: v / 2 for k, v in expected.items()})
    assert own == again == pytest.approx({"loss": 0.1, "critic": 0.02})


def test_a_peak_names_players(models, model, rows):
    game = models.Game()
    game.compile("sgd")
    with pytest.raises(ValueError, match=r"peak names the players \['crtic'\]; the model's are \['loss', 'critic'\]"):
        game.fit(rows(4), verbose=0, callbacks=[CosineLearningRate({"crtic": 0.1})])
    with pytest.raises(ValueError, match=r"peak names the players \['loss'\]; the model has one optimiser"):
        model.fit(rows(4), verbose=0, callbacks=[CosineLearningRate({"loss": 0.1})])


@pytest.mark.parametrize("peak", [0, -1e-3, np.nan, np.inf, "fast", {"loss": 0}])
def test_a_peak_that_is_no_rate(peak):
    with pytest.raises(ValueError, match=r"peak(\['loss'\])? must be a finite number above 0; received"):
        CosineLearningRate(peak)


def test_two_schedules_at_once(models, rows):
    model = models.Toy()
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100)))
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        model.fit(rows(4), verbose=0, callbacks=[CosineLearningRate(4e-3)])
