"""One training of a model at a time: what would take its data and programs from under it is refused by name."""

import threading

import keras
import numpy as np
import pytest

PATHS = [True, False] if keras.backend.backend() == "tensorflow" else [False]


@pytest.mark.parametrize("blocks", PATHS)
def test_a_callback_may_evaluate_the_model_but_not_train_it(models, toy, rows, blocks):
    x, seen = rows(6), []
    look = models.Spy(on_epoch_end=lambda model, epoch: seen.append(model.evaluate(x)[0]))
    toy.fit(x, verbose=0, blocks=blocks, callbacks=[look])
    assert np.isfinite(seen).all()
    again = models.Spy(on_epoch_end=lambda model, epoch: model.fit(x, verbose=0))
    with pytest.raises(RuntimeError, match="is in fit already, and a callback of its own calls fit: wait until"):
        toy.fit(x, verbose=0, blocks=blocks, callbacks=[again])
    assert toy.fit(x, verbose=0, blocks=blocks).epoch == [0]


@pytest.mark.parametrize("what", ["fit", "evaluate"])
def test_another_thread_has_to_wait(models, toy, rows, what):
    x, errors = rows(6), []

    def other():
        try:
            getattr(toy, what)(x, verbose=0)
        except RuntimeError as error:
            errors.append(str(error))

    def ask(model, epoch):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    assert toy.fit(x, verbose=0, callbacks=[models.Spy(on_epoch_end=ask)]).epoch == [0]
    (said,) = errors
    assert f"is in fit already, and another thread calls {what}" in said
    other()
    assert len(errors) == 1
