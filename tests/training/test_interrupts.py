"""An interrupt ends the training in good order: callbacks, history, learning rate and weights."""

import signal

import keras
import numpy as np
import pytest

from vaelib import CosineLearningRate
from vaelib.training.interrupts import held

BACKEND = keras.backend.backend()
PATHS = [True, False] if BACKEND == "tensorflow" else [False]
pytestmark = pytest.mark.parametrize("blocks", PATHS)


def rate_of(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def values_of(weights):
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in weights]


@pytest.fixture
def press(models):
    """The function that makes a callback which presses Ctrl-C when a hook is called for the nth time."""

    def make(hook, times=1, how=None):
        calls = []

        def count(model, index):
            calls.append(index)
            if len(calls) == times:
                how() if how else raise_interrupt()

        return models.Spy(**{hook: count})

    def raise_interrupt():
        raise KeyboardInterrupt

    return make


def test_in_a_notebook_fit_returns_what_there_is(toy, rows, press, notebook, blocks):
    x = rows(8)
    options = dict(batch_size=4, validation_data=x[:3], blocks=blocks)
    history = toy.fit(x, epochs=5, callbacks=[press("on_epoch_begin", 3)], **options)
    assert isinstance(history, keras.callbacks.History) and history.interrupted
    assert history.epoch == [0, 1] and all(len(values) == 2 for values in history.history.values())
    assert "interrupted after 2 of 5 epochs: the model and its history are kept" in repr(notebook.shown[-1])
    assert toy._held == {}
    assert toy.evaluate(x)[0] < history.history["loss"][0]
    further = toy.fit(x, epochs=3, verbose=0, **options)
    assert len(further.history["loss"]) == 3 and further.history["loss"][-1] < history.history["loss"][-1]
    assert not further.interrupted


def test_elsewhere_the_interrupt_goes_on(toy, rows, press, capsys, blocks):
    x = rows(8)
    for verbose in (1, 0):
        with pytest.raises(KeyboardInterrupt):
            toy.fit(x, epochs=5, verbose=verbose, blocks=blocks, callbacks=[press("on_epoch_begin", 3)])
        assert toy.history.interrupted and toy.history.epoch == [0, 1]
        assert toy._held == {}
        last = capsys.readouterr().out.splitlines()[-1:]
        assert [line.split(":")[0] for line in last] == ["interrupted after 2 of 5 epochs"][:verbose]


def test_a_notebook_is_told_of_it_even_where_silence_was_asked_for(toy, rows, press, notebook, capsys, blocks):
    history = toy.fit(rows(4), epochs=5, verbose=0, blocks=blocks, callbacks=[press("on_epoch_begin", 2)])
    assert history.interrupted and history.epoch == [0] and notebook.shown == []
    assert capsys.readouterr().out == "interrupted after 1 of 5 epochs: the model and its history are kept\n"


def test_the_first_epoch_gives_an_empty_history_and_no_older_one(toy, rows, press, notebook, blocks):
    toy.fit(rows(4), epochs=2, verbose=0, blocks=blocks)
    assert toy.fit(rows(4), epochs=2, verbose=0, blocks=blocks, callbacks=[press("on_epoch_begin")]).history == {}


@pytest.mark.parametrize("where", ["players", "make_train_function"])
def test_before_the_first_epoch_too(toy, rows, notebook, monkeypatch, capsys, where, blocks):
    def interrupt(*_):
        raise KeyboardInterrupt

    toy.fit(rows(4), verbose=0, blocks=blocks)
    monkeypatch.setattr(toy, where, interrupt)
    history = toy.fit(rows(4), epochs=2, blocks=blocks)
    assert history.history == {} and history.interrupted and toy.history is history
    assert capsys.readouterr().out == "interrupted before the training began\n"
    assert toy._held == {}


def test_validation_keeps_the_epochs_before(toy, rows, press, notebook, blocks):
    x = rows(4)
    options = dict(epochs=3, verbose=0, validation_data=x, blocks=blocks)
    for hook in ("on_test_begin", "on_test_batch_end"):
        assert toy.fit(x, callbacks=[press(hook, 2)], **options).epoch == [0]
        assert np.isfinite(toy.evaluate(x)[0])


HOOKS = ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_epoch_end"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_schedule_puts_the_learning_rate_back(start, rows, press, notebook, blocks, hook):
    toy = start.again(rate=1e-3)
    options = dict(batch_size=2, epochs=4, verbose=0, validation_data=rows(2), blocks=blocks)
    toy.fit(rows(8), callbacks=[CosineLearningRate(4e-3), press(hook, 2)], **options)
    assert rate_of(toy) == pytest.approx(1e-3)


def test_early_stopping_restores_the_best_weights(start, rows, press, notebook, blocks):
    """With the best epoch asked to be that of the largest loss, the first; Keras restores when training ends."""
    toy, x, seen = start.again(), rows(8), []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(values_of(self.model.trainable_weights))

    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
    toy.fit(x, epochs=9, verbose=0, blocks=blocks, callbacks=[stop, Keep(), press("on_epoch_begin", 4)])
    assert len(seen) == 3
    for weight, first, third in zip(values_of(toy.trainable_weights), seen[0], seen[2], strict=True):
        np.testing.assert_array_equal(weight, first)
        assert not np.array_equal(weight, third)


def test_every_callback_is_told_once(models, toy, rows, press, notebook, blocks):
    ends = []
    spy = models.Spy(on_train_end=lambda model, logs: ends.append(logs))
    toy.fit(rows(4), epochs=3, verbose=0, blocks=blocks, callbacks=[spy, press("on_epoch_begin", 2)])
    assert len(ends) == 1 and set(ends[0]) == {"loss", "reconstruction", "kl"}
    toy.fit(rows(4), epochs=3, verbose=0, blocks=blocks, callbacks=[spy])
    assert len(ends) == 2


@pytest.mark.parametrize("phase", ["train", "test"])
def test_an_interrupt_in_the_middle_of_a_step_leaves_a_whole_model(
    models, toy, rows, notebook, monkeypatch, phase, blocks
):
    """Ctrl-C comes when a step has ended and before anybody has what it made: JAX had taken the arrays away by then."""
    make = getattr(toy, f"make_{phase}_function")
    calls = []

    def made(force=False):
        make(force)
        function = getattr(toy, f"{phase}_function")

        def pressed(*args):
            result = function(*args)
            calls.append(1)
            if len(calls) == 2:
                signal.raise_signal(signal.SIGINT)
            return result

        setattr(toy, f"{phase}_function", pressed)

    monkeypatch.setattr(toy, f"make_{phase}_function", made)
    x = rows(8)
    options = dict(batch_size=2, epochs=3, verbose=0, blocks=blocks, validation_data=x, validation_batch_size=2)
    before = signal.getsignal(signal.SIGINT)
    history = toy.fit(x, **options)
    assert history.interrupted and len(history.epoch) < 3
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    toy.train_function = toy.test_function = None
    assert all(np.isfinite(weight).all() for weight in values_of(toy.weights))
    assert toy.evaluate(x)[0] < 20 and len(toy.fit(x, epochs=2, verbose=0, blocks=blocks).epoch) == 2
    if phase == "test":
        calls[:] = [1]
        monkeypatch.setattr(toy, "make_test_function", made)
        with pytest.raises(KeyboardInterrupt):
            toy.evaluate(x, batch_size=2, **({} if blocks else {"steps": 4}))
        monkeypatch.undo()
        toy.test_function = None
        assert np.isfinite(toy.evaluate(x)[0])


def test_an_optimiser_is_built_whole_or_not_at_all(models, rows, notebook, monkeypatch, blocks):
    model = models.Toy()
    model.compile(keras.optimizers.Adam())
    add = model.optimizer.add_optimizer_variables

    def pressed(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        return add(*args, **kwargs)

    monkeypatch.setattr(model.optimizer, "add_optimizer_variables", pressed)
    assert model.fit(rows(4), verbose=0, blocks=blocks).interrupted
    monkeypatch.undo()
    assert model.fit(rows(4), verbose=0, blocks=blocks).epoch == [0]


def test_a_second_press_is_not_held_back(blocks):
    reached = []
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # once more: held again, and let through at the end
        reached.append("the end")
    assert reached
    with held():
        pass
