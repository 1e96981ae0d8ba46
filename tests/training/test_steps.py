"""Blocks of steps against Keras's own loop, and what a Keras user expects of `fit`."""

import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from vaelib.training import blocks, compilation, forget_models

TERMS = ["loss", "reconstruction", "kl"]
of_blocks = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow takes blocks of steps")


# The same training as Keras's own ------------------------------------------------------------------


def assert_same_training(start, keras_start, x, *y, **options):
    """Train the model with our `fit`, and its twin with that of Keras from the same weights."""
    model, twin = start.again(), keras_start.again()
    twin.set_weights([weight for weight in start.weights if weight.ndim])  # all but beta
    options = dict(epochs=2, shuffle=False, verbose=0, validation_data=(x[:3], *(part[:3] for part in y))) | options
    got = model.fit(x, *y, **options).history
    expected = twin.fit(x, *y, **options).history
    assert set(got) == set(expected) == {*TERMS, *(f"val_{term}" for term in TERMS)}
    for key in got:
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-5, atol=1e-6, err_msg=key)
    learned = [weight for weight in model.get_weights() if weight.ndim]
    for a, b, first in zip(learned, twin.get_weights(), [w for w in start.weights if w.ndim], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert not np.array_equal(a, first), "nothing was learned"


@pytest.fixture(params=[True, False], ids=["blocks", "Keras's loop"])
def in_blocks(request):
    """Whether steps are run in blocks or one by one: they are the same steps."""
    return request.param


@pytest.mark.parametrize(
    "n, batch_size",
    [(6, 3), (7, 3), (4, 10), (1, 5), (5, 1), (230, 2)],
    ids=["whole", "rest", "one batch", "one example", "steps of one", "two blocks, the last one padded"],
)
def test_blocks_train_as_keras_does(start, keras_start, rows, n, batch_size):
    assert_same_training(start, keras_start, rows(n), batch_size=batch_size)


def test_steps_one_by_one_train_as_keras_does(start, keras_start, rows, monkeypatch):
    monkeypatch.setattr(start.model, "_takes_blocks", lambda data: False)
    assert_same_training(start, keras_start, rows(7), rows(7, seed=1), batch_size=3)


def test_targets_are_read_beside_x(start, keras_start, rows):
    assert_same_training(start, keras_start, rows(7), rows(7, seed=1), batch_size=3)


def test_blocks_of_any_length_train_alike(start, keras_start, rows, monkeypatch):
    monkeypatch.setattr(blocks, "EXAMPLES_PER_BLOCK", 6)
    assert_same_training(start, keras_start, rows(16), batch_size=3)  # blocks of 2, 2 and 1 steps, a rest of 1


def test_steps_per_execution_leaves_no_block_out(start, keras_start, rows, monkeypatch):
    monkeypatch.setattr(blocks, "EXAMPLES_PER_BLOCK", 4)
    monkeypatch.setattr(start.model, "steps_per_execution", 3)
    for name in ("train_function", "test_function"):  # those of Keras's own loop were made for steps one by one
        monkeypatch.setattr(start.model, name, None)
    assert_same_training(start, keras_start, rows(16), batch_size=2, validation_batch_size=1)


def test_with_xla_too(models, keras_start, rows, monkeypatch):
    monkeypatch.setattr(compilation, "xla_is_faster", lambda model: True)
    assert_same_training(models.Start(models.Toy()), keras_start, rows(7), batch_size=3)


@pytest.mark.parametrize("with_y", [True, False])
def test_a_weight_counts_an_example_so_many_times(start, rows, in_blocks, with_y):
    """Weight 2 is the example twice and weight 0 leaves it out, over the same number of examples."""
    x, weights, twice = rows(6), np.array([2, 0, 1, 1, 1, 1], "float32"), [0, 0, 2, 3, 4, 5]
    y = rows(6, seed=1) if with_y else None
    options = dict(batch_size=6, epochs=2, verbose=0, blocks=in_blocks)
    weighted = start.again()
    held_out = (x, y, weights)
    got = weighted.fit(x, y, sample_weight=weights, validation_data=held_out, **options).history
    learned = weighted.get_weights()
    values = weighted.evaluate(x, y, sample_weight=weights)
    np.testing.assert_allclose(weighted.evaluate(x, y, sample_weight=weights, steps=1), values, rtol=1e-5)
    assert got["val_loss"][-1] == pytest.approx(values[0], rel=1e-5)
    repeated = start.again()
    expected = repeated.fit(x[twice], y if y is None else y[twice], **options).history
    for term in TERMS:
        np.testing.assert_allclose(got[term], expected[term], rtol=1e-5)
    for a, b in zip(learned, repeated.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_an_epochs_loss_is_the_mean_over_all_examples(start, rows):
    """At rate zero: a rest of one example must not count as a whole batch."""
    model, x = start.again(rate=0.0), rows(7)
    history = model.fit(x, batch_size=3, epochs=2, verbose=0, validation_data=x, validation_batch_size=2).history
    reconstruction, kl = (np.mean(term) for term in model.terms(x))
    for term, expected in zip(TERMS, (reconstruction + kl, reconstruction, kl), strict=True):
        np.testing.assert_allclose(history[term] + history[f"val_{term}"], [expected] * 4, rtol=1e-5)


def test_fresh_noise_in_every_step_and_every_epoch(models, rows):
    model = models.Toy(noise=1.0)
    model.compile(keras.optimizers.SGD(0.0))
    x = np.repeat(rows(1), 4, axis=0)
    history = model.fit(x, batch_size=4, epochs=4, verbose=0).history
    assert len(set(history["reconstruction"])) == 4
    # A step's noise is not the next one's: else the mean over four steps would be that of one.
    assert len({model.evaluate(x, batch_size=1)[0] for _ in range(4)}) == 4


# What a Keras user expects -------------------------------------------------------------------------


def test_validation_is_evaluate(toy, rows):
    x, held_out = rows(7), rows(5, seed=1)
    history = toy.fit(x, batch_size=3, epochs=2, verbose=0, validation_data=held_out).history
    values = toy.evaluate(held_out, batch_size=2)
    np.testing.assert_allclose([history[f"val_{term}"][-1] for term in TERMS], values, rtol=1e-5)
    named = toy.evaluate(held_out, return_dict=True)
    np.testing.assert_allclose([named[term] for term in TERMS], values, rtol=1e-5)
    own = toy.evaluate(held_out, batch_size=2, steps=3, return_dict=True)  # Keras's own loop
    np.testing.assert_allclose([own[term] for term in TERMS], values, rtol=1e-5)


def test_validation_data_may_be_smaller_than_a_batch(toy, rows):
    history = toy.fit(rows(8), batch_size=4, verbose=0, validation_data=rows(2)).history
    assert np.isfinite(history["val_loss"][0])


def test_a_callback_may_evaluate_other_data_in_the_middle(models, toy, rows):
    x, held_out, other = rows(8), rows(4, 1), rows(6, 2)
    seen = []

    def look(model, epoch):
        seen.append(model.evaluate(other)[0])
        seen.append(model.evaluate(tf.data.Dataset.from_tensor_slices(other).batch(3))[0])
        seen.append(model.evaluate(other, held_out[[0, 1, 2, 3, 0, 1]])[0])  # another structure of data

    options = dict(batch_size=4, epochs=3, verbose=0, validation_data=held_out, shuffle=False)
    history = toy.fit(x, callbacks=[models.Spy(on_epoch_begin=look)], **options).history
    assert seen[6] == pytest.approx(seen[7], rel=1e-5) and seen[0] != seen[3] and seen[7] != seen[8]
    assert history["val_loss"][-1] == pytest.approx(toy.evaluate(held_out)[0], rel=1e-5)
    assert history["val_loss"][-1] != pytest.approx(toy.evaluate(other)[0], rel=1e-5)


def test_early_stopping_stops_and_restores(toy, rows):
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, mode="max", restore_best_weights=True)
    x = rows(8)
    history = toy.fit(x, batch_size=4, epochs=9, verbose=0, validation_data=x, callbacks=stop).history
    assert len(history["loss"]) == 2  # the loss falls, and this one waits for it to rise
    assert toy.evaluate(x)[0] == pytest.approx(history["val_loss"][0], rel=1e-5)


def test_a_learning_rate_schedule_reaches_the_compiled_program(models, toy, rows):
    seen = []
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0 if epoch < 2 else 0.05)
    spy = models.Spy(on_epoch_end=lambda model, epoch: seen.append(model.encoder.get_weights()))
    toy.fit(rows(8), batch_size=4, epochs=3, verbose=0, callbacks=[schedule, spy])
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    assert not np.array_equal(seen[1][0], seen[2][0])


def test_a_checkpoint_of_every_epoch_loads(toy, rows, tmp_path):
    x = rows(4)
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    toy.fit(x, epochs=2, verbose=0, callbacks=[save], validation_data=x)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.keras", "2.keras"]
    loaded = keras.saving.load_model(tmp_path / "2.keras")
    assert loaded.evaluate(x)[0] == pytest.approx(toy.evaluate(x)[0], rel=1e-6)


def test_a_loaded_model_goes_on_with_its_optimiser(start, rows, tmp_path):
    x, options = rows(8), dict(batch_size=4, epochs=2, shuffle=False, verbose=0)
    start.again().fit(x, **options)
    start.model.save(tmp_path / "toy.keras")
    start.model.fit(x, **options)
    loaded = keras.saving.load_model(tmp_path / "toy.keras")
    loaded.fit(x, **options)
    for a, b in zip(loaded.get_weights(), start.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_weight_changed_by_a_callback_takes_effect_in_the_compiled_program(models, start, rows):
    betas = [1.0, 0.0, 3.0]
    anneal = models.Spy(on_epoch_begin=lambda model, epoch: model.beta.assign(betas[epoch]))
    h = start.again().fit(rows(8), batch_size=4, epochs=3, verbose=0, callbacks=[anneal]).history
    np.testing.assert_allclose(np.array(h["reconstruction"]) + np.array(betas) * h["kl"], h["loss"], rtol=1e-5)
    assert min(h["kl"]) > 1e-4


def test_other_arguments_of_keras_fit_take_its_own_loop(models, toy, rows):
    x, holds = rows(10), []
    spy = models.Spy(on_epoch_end=lambda model, epoch: holds.append(dict(model._held)))
    history = toy.fit(x, batch_size=4, validation_split=0.2, verbose=0, callbacks=[spy]).history
    assert holds == [{}] and history["val_loss"][0] == pytest.approx(toy.evaluate(x[8:])[0], rel=1e-5)
    with pytest.raises(TypeError, match="batchsize"):
        toy.fit(x, batchsize=4, verbose=0)


def test_initial_epoch_numbers_the_epochs_that_follow(toy, rows, capsys):
    history = toy.fit(rows(4), epochs=5, initial_epoch=3, validation_data=None)
    assert history.epoch == [3, 4] and len(history.history["loss"]) == 2 and not history.interrupted
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" · ")[0] for line in lines[:2]] == ["epoch 4/5", "epoch 5/5"] and len(lines) == 3


def test_the_progress_is_printed_unless_silenced(models, toy, rows, capsys):
    toy.fit(rows(4), epochs=2, verbose=0)
    assert capsys.readouterr().out == ""
    history = toy.fit(rows(4), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[2].startswith("trained in")
    last = {term: values[1] for term, values in history.history.items()}
    assert f"loss {last['loss']:.2f} · reconstruction {last['reconstruction']:.2f} · KL {last['kl']:.2f}" in lines[1]
    game = models.Game()
    game.compile("sgd")
    game.fit(rows(4))
    assert " · critic " in capsys.readouterr().out


def test_run_eagerly_runs_the_steps_themselves(models, rows):
    model = models.Toy()
    model.compile("sgd", run_eagerly=True)
    seen, terms = [], model.terms
    model.terms = lambda x, y=None: seen.append(tf.executing_eagerly()) or terms(x, y)
    model.fit(rows(4), batch_size=2, verbose=0)
    assert seen == [True, True]


def test_a_user_may_train_on_one_batch(toy, rows):
    x = rows(4)
    first = toy.evaluate(x)[0]
    assert toy.train_on_batch(x)[0] == pytest.approx(first, rel=1e-5)
    assert toy.evaluate(x)[0] < first


# What is kept in memory ----------------------------------------------------------------------------


def test_another_error_is_not_swallowed(models, toy, rows):
    def fail(model, epoch):
        raise RuntimeError("the callback's own")

    with pytest.raises(RuntimeError, match="the callback's own"):
        toy.fit(rows(4), verbose=0, callbacks=[models.Spy(on_epoch_end=fail)])
    assert toy._held == {}


@of_blocks
def test_the_data_are_held_while_fit_runs_and_released_afterwards(models, toy, rows):
    x, seen = rows(5), []
    look = models.Spy(
        on_epoch_end=lambda model, epoch: seen.append({k: v.num_examples for k, v in model._held.items()})
    )
    toy.fit(x, verbose=0, validation_data=x[:2], callbacks=[look])
    assert seen == [{"train": 5, "test": 2}]
    assert toy._held == {} and toy.train_function is None and toy.test_function is None
    toy.evaluate(x)
    assert toy._held == {} and toy.test_function is None


@of_blocks
def test_the_data_are_not_copied(models, toy, rows):
    x, y, seen = rows(40), rows(40, seed=1), []
    look = models.Spy(on_epoch_end=lambda model, epoch: seen.append(model._held["train"].data))
    toy.fit(x, y, verbose=0, callbacks=[look])
    assert seen[0].x is x and seen[0].y is y


@of_blocks
def test_fit_traces_once_and_compile_starts_anew(models, rows):
    model, traces = models.Toy(), []
    losses = model.batch_losses
    model.batch_losses = lambda *args, **kwargs: traces.append(1) or losses(*args, **kwargs)
    model.compile("sgd")
    model.fit(rows(7), batch_size=3, epochs=2, verbose=0)
    assert len(traces) == 1
    model.fit(rows(11), batch_size=4, verbose=0)  # another size of data, of batch and of rest
    model.fit(rows(7), batch_size=3, verbose=0)
    assert len(traces) == 1
    model.evaluate(rows(5), batch_size=2)
    model.evaluate(rows(5))
    assert len(traces) == 2
    model.fit(rows(7), rows(7), batch_size=3, verbose=0)  # another structure
    model.fit(rows(7), batch_size=3, verbose=0)
    assert len(traces) == 3
    model.compile("sgd")
    model.fit(rows(7), batch_size=3, verbose=0)
    assert len(traces) == 4


def test_many_models_raise_no_warning(models, rows, caplog):
    for _ in range(6):
        model = models.Toy()
        model.compile("sgd")
        model.fit(rows(2), verbose=0)
    assert not caplog.records


def test_changed_data_are_read_anew(toy, rows):
    x = rows(4)
    first = toy.evaluate(x)[0]
    x[:] = 1 - x
    assert toy.evaluate(x)[0] != pytest.approx(first, rel=1e-4)


def test_models_that_nobody_holds_are_forgotten(models, rows):
    gone, held = models.Toy(), models.Toy()
    gone.compile("adam")
    gone.fit(rows(4), verbose=0)
    trace = weakref.ref(gone)
    del gone
    forget_models()
    assert trace() is None
    held.compile("adam")
    assert np.isfinite(held.fit(rows(4), verbose=0).history["loss"][0])


# When to compile how -------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["Conv2D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D"])
def test_convolutions_leave_xla_out_on_a_cpu(layer, xla_is_faster, monkeypatch):
    filters = {} if layer == "DepthwiseConv2D" else {"filters": 1}
    inner = keras.Sequential([keras.Input((4, 4, 1)), getattr(keras.layers, layer)(kernel_size=1, **filters)])
    conv = keras.Sequential([keras.Input((4, 4, 1)), inner])  # however deep
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="Conv")])
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert xla_is_faster(dense) and not xla_is_faster(conv)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])
    assert xla_is_faster(conv)


@of_blocks
@pytest.mark.parametrize(("asked", "given"), [("auto", True), (False, False)])
def test_jit_compile_is_listened_to(make_vae, images, asked, given, monkeypatch):
    seen, function = [], tf.function
    monkeypatch.setattr(compilation, "xla_is_faster", lambda model: True)
    monkeypatch.setattr(tf, "function", lambda *args, **options: (seen.append(options), function(*args, **options))[1])
    vae = make_vae()
    vae.compile("adam", jit_compile=asked)
    joins, log_prob = set(), vae.likelihood.log_prob
    told = lambda *args: joins.add(compilation.joins_operations()) or log_prob(*args)  # noqa: E731
    monkeypatch.setattr(vae.likelihood, "log_prob", told)
    vae.fit(images[:4], batch_size=2, verbose=0)
    assert joins == {given}  # so that a part takes its form for XLA's loops, or for single operations
    assert [bool(options["jit_compile"]) for options in seen if "jit_compile" in options] == [given]


def test_bad_counts_are_refused(toy, rows):
    for name in ("epochs", "batch_size", "validation_batch_size"):
        for value in (0, -1, 1.5, "2"):
            with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1; received {value!r}"):
                toy.fit(rows(4), verbose=0, **{name: value})
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        toy.evaluate(rows(4), batch_size=0)


def test_a_model_that_was_not_compiled_says_so(models, rows):
    model = models.Toy()
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="call compile first"):
            use(rows(4))
