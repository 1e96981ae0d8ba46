"""A loss that is no longer finite ends the training: in which step, which part, what to try; the model stays whole."""

import re

import keras
import numpy as np
import pytest
from keras import ops

BACKEND = keras.backend.backend()
PATHS = [True, pytest.param(False, marks=pytest.mark.slow)] if BACKEND == "tensorflow" else [False]
pytestmark = pytest.mark.parametrize("blocks", PATHS)


def values_of(weights):
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in weights]


@pytest.fixture
def breaking(models):
    """The function that makes a Toy whose part becomes NaN or infinite where an example's first number is 100."""

    def make(part="kl", value=np.nan, rate=1e-3):
        model = models.Toy()
        terms = model.terms

        def broken(x, y=None):
            reconstruction, kl = terms(x, y)
            bad = ops.where(x[:, 0] == 100, value, 0.0)
            if part == "kl":
                return reconstruction, kl + bad
            return (reconstruction + bad, kl) if part == "reconstruction" else (reconstruction + bad, kl + bad)

        model.terms = broken
        model.compile(keras.optimizers.SGD(rate, momentum=0.9))
        return model

    return make


def broken_rows(rows, n, at):
    x = rows(n)
    x[at, 0] = 100
    return x


@pytest.mark.parametrize(
    "part, value, said",
    [
        ("kl", np.nan, r"became NaN in step 3 of epoch 1: kl is not finite, while reconstruction is \d"),
        pytest.param(
            "reconstruction",
            np.inf,
            r"became infinite in step 3 of epoch 1: reconstruction is not finite, while kl is",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "both",
            np.nan,
            r"in step 3 of epoch 1: reconstruction and kl are all not finite, as after a step",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_step_and_the_part_are_named(breaking, rows, blocks, part, value, said):
    model = breaking(part, value)
    before = values_of(model.weights)
    with pytest.raises(FloatingPointError, match=said) as error:
        model.fit(broken_rows(rows, 12, 5), batch_size=2, epochs=3, verbose=0, shuffle=False, blocks=blocks)
    assert "as it was before the training. Try a smaller learning rate (this was 0.001), clipnorm" in str(error.value)
    assert model.history.epoch == [] and not model.history.interrupted
    for old, new in zip(before, values_of(model.weights), strict=True):
        np.testing.assert_array_equal(new, old)
    assert np.isfinite(model.evaluate(rows(4))).all()
    assert np.isfinite(model.fit(rows(8), verbose=0, blocks=blocks).history["loss"]).all()


def test_a_later_epoch_gives_back_the_model_of_the_last_whole_one(models, breaking, rows, blocks, capsys):
    model, kept, x = breaking(), {}, rows(12)

    def note(model, epoch):
        kept[epoch] = values_of([*model.weights, *model.optimizer.variables])

    def spoil(model, epoch):
        if epoch == 2:  # the data are read in place or were copied: a weight is spoilt in either case
            model.decoder.kernel.assign(np.full(model.decoder.kernel.shape, 1e30, "float32"))

    spies = [models.Spy(on_epoch_end=note), models.Spy(on_epoch_begin=spoil)]
    with pytest.raises(FloatingPointError, match="in step 1 of epoch 3: reconstruction is not finite.*after epoch 2"):
        model.fit(x, batch_size=4, epochs=5, blocks=blocks, callbacks=spies)
    assert model.history.epoch == [0, 1]
    for old, new in zip(kept[1], values_of([*model.weights, *model.optimizer.variables]), strict=True):
        np.testing.assert_array_equal(new, old)
    assert re.search("^stopped in epoch 3: the loss is not finite", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.slow
def test_a_rate_far_too_large_is_met(toy, rows, blocks):
    toy.optimizer.learning_rate = 1e10
    with pytest.raises(FloatingPointError, match=r"smaller learning rate \(this was 1e\+10\)"):
        toy.fit(rows(40), batch_size=2, epochs=50, verbose=0, blocks=blocks)


@pytest.mark.slow
def test_whoever_asks_for_it_trains_on(breaking, rows, blocks):
    x = broken_rows(rows, 12, 5)
    options = dict(batch_size=2, verbose=0, epochs=2, blocks=blocks)
    assert np.isnan(breaking().fit(x, stop_on_nan=False, **options).history["loss"]).tolist() == [True, True]
    history = breaking().fit(x, callbacks=[keras.callbacks.TerminateOnNaN()], **options).history
    assert np.isnan(history["loss"]).tolist() == [True]


def test_the_same_model_may_train_with_and_without(breaking, rows, blocks):
    """One compiled program serves both."""
    model, x = breaking(), broken_rows(rows, 6, 2)
    weights = model.get_weights()
    model.fit(x, batch_size=2, verbose=0, stop_on_nan=False, blocks=blocks)
    model.set_weights(weights)
    with pytest.raises(FloatingPointError, match="step 2 of epoch 1"):
        model.fit(x, batch_size=2, verbose=0, shuffle=False, blocks=blocks)


@pytest.mark.slow
def test_callbacks_are_told_of_the_end(models, breaking, rows, blocks):
    ends = []
    spy = models.Spy(on_train_end=lambda model, logs: ends.append(1))
    with pytest.raises(FloatingPointError):
        breaking().fit(broken_rows(rows, 4, 1), verbose=0, blocks=blocks, callbacks=[spy])
    assert ends == [1]


def test_weights_that_hold_nan_are_named_before_the_first_step(toy, rows, blocks):
    weights = toy.get_weights()
    toy.set_weights([np.full_like(w, np.nan) if w.ndim == 2 else w for w in weights])
    with pytest.raises(ValueError, match="the weight .*kernel of the model holds NaN.*Build the model anew"):
        toy.fit(rows(4), verbose=0, blocks=blocks)
    toy.set_weights(weights)


def test_no_checkpoint_of_what_is_not_finite(breaking, rows, tmp_path, blocks):
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{batch}.weights.h5", save_weights_only=True, save_freq=1)
    with pytest.raises(FloatingPointError, match="step 3"):
        breaking().fit(broken_rows(rows, 8, 5), batch_size=2, verbose=0, shuffle=False, blocks=blocks, callbacks=[save])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.weights.h5", "2.weights.h5"]


@pytest.mark.slow
def test_validation_that_is_not_finite_is_told_once(breaking, rows, blocks):
    with pytest.warns(UserWarning, match="^val_loss, val_kl of epoch 1 are not finite, though the loss is") as told:
        breaking().fit(
            rows(4), epochs=3, verbose=0, blocks=blocks, validation_data=broken_rows(rows, 4, 1), batch_size=4
        )
    assert sum("not finite" in str(warning.message) for warning in told) == 1


def test_an_evaluation_that_is_not_finite_is_told(breaking, rows, blocks):
    model, x = breaking(), broken_rows(rows, 4, 1)
    options = {} if blocks else {"steps": 1}
    with pytest.warns(UserWarning, match="^loss, kl are not finite: the weights may hold NaN"):
        model.evaluate(x, **options)
    with pytest.warns(UserWarning, match="^kl, loss are not finite"):
        model.evaluate(x, return_dict=True, **options)
