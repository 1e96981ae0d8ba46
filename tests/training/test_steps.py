"""Compiled epochs against Keras's own path, and what a Keras user expects of `fit`."""

import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import vaelib
from vaelib.model.posteriors import DiagonalNormal
from vaelib.training import blocks, steps
from vaelib.training.blocks import EXAMPLES_PER_BLOCK, Blocks
from vaelib.training.steps import _xla_is_faster

pytestmark = pytest.mark.usefixtures("seeded")

TERMS = ["loss", "reconstruction", "kl"]


@keras.saving.register_keras_serializable(package="vaelib_tests")
class Silent(DiagonalNormal):
    """A posterior whose noise is always zero: training becomes a function of the data and the first weights."""

    def noise(self, shape):
        return keras.ops.zeros(shape)


class Start:
    """A compiled model that can be set back to its first weights, so that it is built and traced only once."""

    def __init__(self, vae):
        vae.compile(keras.optimizers.SGD(0.01, momentum=0.9))
        vae.optimizer.build(vae.trainable_variables)
        # Larger weights than a fresh model has, so that the KL is no rounding error.
        rng = np.random.default_rng(0)
        self.weights = [w if w.ndim == 0 else 0.3 * rng.normal(size=w.shape) for w in vae.get_weights()]
        self.vae = vae

    def again(self, rate=0.01, weights=None):
        self.vae.set_weights(self.weights if weights is None else weights)
        for variable in self.vae.optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        self.vae.optimizer.learning_rate = rate
        self.vae.beta = 1.0
        return self.vae


@pytest.fixture(scope="module")
def compiled(make_vae, without_xla):
    keras.utils.set_random_seed(0)
    return Start(make_vae(posterior=Silent, units=3))


@pytest.fixture(scope="module")
def stock(make_vae, without_xla):
    return Start(make_vae(posterior=Silent, units=3))


@pytest.fixture
def vae(compiled):
    return compiled.again()


def random_images(n, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, 8, 8)).astype("float32")


class Spy(keras.callbacks.Callback):
    """Sees the model while it trains."""

    def __init__(self, **hooks):
        super().__init__()
        for name, hook in hooks.items():
            setattr(self, name, lambda index=None, logs=None, hook=hook: hook(self.model, index))


def interrupt(epoch):
    """A callback that presses Ctrl-C during an epoch (counted from 0)."""

    def press(model, index):
        if index == epoch:
            raise KeyboardInterrupt

    return Spy(on_epoch_begin=press)


# The same training as Keras's own ------------------------------------------------------------------


def assert_same_training(ours, keras_own, x, **options):
    options = dict(epochs=2, shuffle=False, verbose=0, validation_data=x[:3]) | options
    first = ours.again()
    got = first.fit(x, **options).history
    second = keras_own.again(weights=ours.weights)
    expected = second.fit(x, compiled_epochs=False, **options).history
    assert set(got) == set(expected) == {*TERMS, *(f"val_{term}" for term in TERMS)}
    for key in got:
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-5, atol=1e-6, err_msg=key)
    for a, b, start in zip(first.get_weights(), second.get_weights(), ours.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert a.ndim == 0 or not np.array_equal(a, start), "nothing was learned"


@pytest.mark.parametrize(
    "n, batch_size",
    [(6, 3), (7, 3), (4, 10), (1, 5), (5, 1), (230, 2)],
    ids=["whole", "rest", "one batch", "one example", "steps of one", "two blocks, the last one padded"],
)
def test_compiled_epochs_train_as_keras_does(compiled, stock, n, batch_size):
    assert_same_training(compiled, stock, random_images(n), batch_size=batch_size)


def test_blocks_of_any_length_train_alike(compiled, stock, monkeypatch):
    monkeypatch.setattr(blocks, "EXAMPLES_PER_BLOCK", 6)
    assert_same_training(compiled, stock, random_images(16), batch_size=3)  # blocks of 2, 2 and 1 steps, a rest of 1


def test_steps_per_execution_leaves_no_block_out(compiled, stock, monkeypatch):
    monkeypatch.setattr(blocks, "EXAMPLES_PER_BLOCK", 4)
    monkeypatch.setattr(compiled.vae, "steps_per_execution", 3)
    assert_same_training(compiled, stock, random_images(16), batch_size=2, validation_batch_size=1)


def test_with_xla_too(make_vae, stock, monkeypatch):
    monkeypatch.setattr(steps, "_xla_is_faster", lambda model: True)
    assert_same_training(Start(make_vae(posterior=Silent, units=3)), stock, random_images(7), batch_size=3)


@pytest.mark.parametrize("n, batch_size", [(6, 3), (7, 3), (4, 10), (1, 1), (230, 2), (1001, 10)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_example_is_visited_exactly_once_per_epoch(n, batch_size, shuffle):
    blocks = Blocks(np.zeros((n, 1)), batch_size, shuffle)
    orders = []
    for _ in range(2):
        steps = [row for number in blocks.numbers for rows, count in [blocks.rows(int(number))] for row in rows[:count]]
        rest = n % batch_size
        assert [len(step) for step in steps] == [batch_size] * (n // batch_size) + ([rest] if rest else [])
        order = np.concatenate(steps)
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        orders.append(order)
    assert int(blocks.numbers.cardinality()) == len(list(blocks.numbers)) == len(blocks)
    if n > 4:
        assert np.array_equal(*orders) != shuffle
        assert np.array_equal(orders[0], np.arange(n)) != shuffle


def test_a_full_block_has_one_shape_whatever_its_number_of_steps():
    blocks = Blocks(np.zeros((12_307, 1)), 10, True)
    assert {blocks.rows(number)[0].shape for number in range(len(blocks))} == {(EXAMPLES_PER_BLOCK // 10, 10), (1, 7)}


def test_a_block_holds_the_examples_of_its_rows_and_is_read_in_place():
    x = random_images(25)
    blocks = Blocks(x, 4, True)
    for _ in range(2):  # the second epoch fills the same memory
        for number in range(len(blocks)):
            tensor, _ = blocks.load(number)
            kept = blocks._order  # the order of the epoch that block 0 began
            first = number * blocks.height * 4
            np.testing.assert_array_equal(tensor[0], x[kept[first : first + tensor.shape[1]]])
    if not tf.config.list_logical_devices("GPU"):
        seen, _ = blocks.load(0)
        before = seen.numpy().copy()
        blocks.load(0)  # another order, in the memory of the tensor that we hold
        assert not np.array_equal(seen, before)


def test_the_order_follows_kerass_seed():
    def order(seed):
        keras.utils.set_random_seed(seed)
        return Blocks(np.zeros((50, 1)), 50, True).rows(0)[0]

    np.testing.assert_array_equal(order(3), order(3))
    assert not np.array_equal(order(3), order(4))


def test_an_epochs_loss_is_the_mean_over_all_examples(compiled):
    """At rate zero: a rest of one example must not count as a whole batch."""
    vae, x = compiled.again(rate=0.0), random_images(7)
    history = vae.fit(x, batch_size=3, epochs=2, verbose=0, validation_data=x, validation_batch_size=2).history
    expected = vae.evaluate(x, batch_size=100, return_dict=True)
    assert expected["loss"] == pytest.approx(
        -np.mean(vae.likelihood.log_prob(x, vae(x)["likelihood_params"])) + expected["kl"]
    )
    for term in TERMS:
        np.testing.assert_allclose(history[term] + history[f"val_{term}"], [expected[term]] * 4, rtol=1e-5)


def test_fresh_noise_in_every_step_and_every_epoch(make_vae, without_xla):
    vae = make_vae(units=3)
    vae.compile(keras.optimizers.SGD(0.0))
    x = np.repeat(random_images(1), 4, axis=0)
    history = vae.fit(x, batch_size=4, epochs=4, verbose=0)
    assert len(set(history.history["reconstruction"])) == 4 and len(set(history.history["kl"])) == 1
    # A step's noise is not the next one's: else the mean over four steps would be that of one.
    losses = {vae.evaluate(x, batch_size=1)[0] for _ in range(4)}
    assert len(losses) == 4


# What a Keras user expects -------------------------------------------------------------------------


def test_validation_is_evaluate(vae):
    x, held_out = random_images(7), random_images(5, seed=1)
    history = vae.fit(x, batch_size=3, epochs=2, verbose=0, validation_data=held_out).history
    values = vae.evaluate(held_out, batch_size=2)
    np.testing.assert_allclose([history[f"val_{term}"][-1] for term in TERMS], values, rtol=1e-5)
    named = vae.evaluate(held_out, return_dict=True)
    np.testing.assert_allclose([named[term] for term in TERMS], values, rtol=1e-5)
    own = vae.evaluate(held_out, batch_size=2, steps=3, return_dict=True)  # Keras's own path
    np.testing.assert_allclose([own[term] for term in TERMS], values, rtol=1e-5)


def test_validation_data_may_be_smaller_than_a_batch(vae):
    history = vae.fit(random_images(8), batch_size=4, verbose=0, validation_data=random_images(2)).history
    assert np.isfinite(history["val_loss"][0])


def test_a_callback_may_evaluate_other_data_in_the_middle(vae):
    x, held_out, other = random_images(8), random_images(4, 1), random_images(6, 2)
    seen = []

    def look(model, epoch):
        seen.append(model.evaluate(other)[0])
        seen.append(model.evaluate(tf.data.Dataset.from_tensor_slices(other).batch(3))[0])

    options = dict(batch_size=4, epochs=3, verbose=0, validation_data=held_out, shuffle=False)
    history = vae.fit(x, callbacks=[Spy(on_epoch_begin=look)], **options).history
    assert seen[4] == pytest.approx(seen[5], rel=1e-5) and seen[0] != seen[2]
    assert history["val_loss"][-1] == pytest.approx(vae.evaluate(held_out)[0], rel=1e-5)
    assert history["val_loss"][-1] != pytest.approx(vae.evaluate(other)[0], rel=1e-5)


def test_early_stopping_stops_and_restores(vae):
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, mode="max", restore_best_weights=True)
    x = random_images(8)
    history = vae.fit(x, batch_size=4, epochs=9, verbose=0, validation_data=x, callbacks=stop).history
    assert len(history["loss"]) == 2  # the loss falls, and this one waits for it to rise
    assert vae.evaluate(x)[0] == pytest.approx(history["val_loss"][0], rel=1e-5)


def test_a_learning_rate_schedule_reaches_the_compiled_program(vae):
    x, seen = random_images(8), []
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0 if epoch < 2 else 0.05)
    spy = Spy(on_epoch_end=lambda model, epoch: seen.append(model.encoder.get_weights()))
    vae.fit(x, batch_size=4, epochs=3, verbose=0, callbacks=[schedule, spy])
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    assert not np.array_equal(seen[1][0], seen[2][0])


def test_a_checkpoint_of_every_epoch_loads(vae, tmp_path):
    x = random_images(4)
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    vae.fit(x, epochs=2, verbose=0, callbacks=[save], validation_data=x)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.keras", "2.keras"]
    np.testing.assert_allclose(vaelib.load(tmp_path / "2.keras").decode([[1, 2]]), vae.decode([[1, 2]]), rtol=1e-6)


def test_beta_changed_by_a_callback_takes_effect_in_the_compiled_program(vae):
    betas = [1.0, 0.0, 3.0]
    anneal = Spy(on_epoch_begin=lambda model, epoch: setattr(model, "beta", betas[epoch]))
    h = vae.fit(random_images(8), batch_size=4, epochs=3, verbose=0, callbacks=[anneal]).history
    np.testing.assert_allclose(np.array(h["reconstruction"]) + np.array(betas) * h["kl"], h["loss"], rtol=1e-5)
    assert min(h["kl"]) > 1e-4


def test_a_dataset_takes_keras_own_path(stock, compiled):
    x = random_images(8)
    holds = []
    spy = Spy(on_epoch_end=lambda model, epoch: holds.append(dict(model._held)))
    data = tf.data.Dataset.from_tensor_slices(x).batch(4)
    first = stock.again(weights=compiled.weights).fit(data, epochs=2, verbose=0, callbacks=[spy], validation_data=data)
    assert holds == [{}, {}]
    second = compiled.again().fit(x, batch_size=4, epochs=2, verbose=0, shuffle=False, validation_data=x)
    for key, values in second.history.items():
        np.testing.assert_allclose(first.history[key], values, rtol=1e-5)
    assert stock.vae.evaluate(data)[0] == pytest.approx(stock.vae.evaluate(x)[0], rel=1e-5)


def test_other_arguments_of_keras_fit_take_its_own_path(stock):
    x = random_images(10)
    holds = []
    spy = Spy(on_epoch_end=lambda model, epoch: holds.append(dict(model._held)))
    vae = stock.again()
    history = vae.fit(x, batch_size=4, validation_split=0.2, verbose=0, callbacks=[spy]).history
    assert holds == [{}] and history["val_loss"][0] == pytest.approx(vae.evaluate(x[8:])[0], rel=1e-5)
    before = vae.get_weights()
    stock.again(weights=before).fit(x, sample_weight=np.zeros(10), verbose=0)
    for weight, expected in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
    # Weights that pick one example: the loss is its own, divided by the ten of the batch.
    one = vae.evaluate(x, sample_weight=np.eye(10)[3])
    assert one[0] == pytest.approx(vae.evaluate(x[3:4])[0] / 10, rel=1e-5)
    with pytest.raises(TypeError, match="batchsize"):
        vae.fit(x, batchsize=4, verbose=0)


def test_initial_epoch_numbers_the_epochs_that_follow(vae, capsys):
    history = vae.fit(random_images(4), epochs=5, initial_epoch=3, validation_data=None)
    assert history.epoch == [3, 4] and len(history.history["loss"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" · ")[0] for line in lines[:2]] == ["epoch 4/5", "epoch 5/5"] and len(lines) == 3


def test_the_progress_is_printed_unless_silenced(vae, capsys):
    vae.fit(random_images(4), epochs=2, verbose=0)
    assert capsys.readouterr().out == ""
    history = vae.fit(random_images(4), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert (
        len(lines) == 3 and f"loss {history.history['loss'][1]:.2f}" in lines[1] and lines[2].startswith("trained in")
    )


# An interrupt, and what is kept in memory ----------------------------------------------------------


@pytest.mark.parametrize("compiled_epochs", [True, False])
def test_an_interrupt_keeps_the_model_and_its_history(compiled, stock, capsys, compiled_epochs):
    vae, x = (compiled if compiled_epochs else stock).again(), random_images(8)
    options = dict(batch_size=4, validation_data=x[:3], compiled_epochs=compiled_epochs)
    history = vae.fit(x, epochs=5, callbacks=[interrupt(2)], **options)
    assert isinstance(history, keras.callbacks.History)
    assert history.epoch == [0, 1] and all(len(values) == 2 for values in history.history.values())
    assert capsys.readouterr().out.splitlines()[-1].startswith("interrupted after 2 of 5 epochs")
    assert vae._held == {}
    assert vae.evaluate(x)[0] < history.history["loss"][0]
    assert vae.decode([[0, 0]]).shape == (1, 8, 8)
    further = vae.fit(x, epochs=3, verbose=0, **options)
    assert len(further.history["loss"]) == 3 and further.history["loss"][-1] < history.history["loss"][-1]


def test_an_interrupt_in_the_first_epoch_gives_an_empty_history_and_no_older_one(vae):
    x = random_images(4)
    vae.fit(x, epochs=2, verbose=0)
    assert vae.fit(x, epochs=2, verbose=0, callbacks=[interrupt(0)]).history == {}


def test_an_interrupt_before_the_first_epoch_gives_an_empty_history_too(vae, monkeypatch, capsys):
    def press(**_):
        raise KeyboardInterrupt

    x = random_images(4)
    vae.fit(x, verbose=0)
    monkeypatch.setattr(vae, "_maybe_symbolic_build", press)
    assert vae.fit(x, epochs=2).history == {}
    assert capsys.readouterr().out == "interrupted before the training began\n"
    assert vae._held == {}


def test_an_interrupt_during_validation_keeps_the_epochs_before(vae):
    presses = []

    def press(model, index):
        presses.append(index)
        if len(presses) == 2:
            raise KeyboardInterrupt

    x = random_images(4)
    history = vae.fit(x, epochs=3, verbose=0, validation_data=x, callbacks=[Spy(on_test_begin=press)])
    assert history.epoch == [0]
    assert np.isfinite(vae.evaluate(x)[0])


def test_another_error_is_not_swallowed(vae):
    def fail(model, epoch):
        raise RuntimeError("the callback's own")

    with pytest.raises(RuntimeError, match="the callback's own"):
        vae.fit(random_images(4), verbose=0, callbacks=[Spy(on_epoch_end=fail)])
    assert vae._held == {}


def test_the_data_are_held_while_fit_runs_and_released_afterwards(vae):
    x, seen = random_images(5), []
    spy = Spy(on_epoch_end=lambda model, epoch: seen.append({k: len(v.data) for k, v in model._held.items()}))
    vae.fit(x, verbose=0, validation_data=x[:2], callbacks=[spy])
    assert seen == [{"train": 5, "test": 2}]
    assert vae._held == {} and vae.train_function is None and vae.test_function is None
    vae.evaluate(x)
    assert vae._held == {} and vae.test_function is None


def test_fit_traces_once_and_compile_starts_anew(make_vae, without_xla):
    vae = make_vae(units=3)
    traces = []
    loss = vae.compute_loss
    vae.compute_loss = lambda *args, **kwargs: traces.append(1) or loss(*args, **kwargs)
    vae.compile("sgd")
    vae.fit(random_images(7), batch_size=3, epochs=2, verbose=0)
    assert len(traces) == 1
    vae.fit(random_images(11), batch_size=4, verbose=0)  # another size of data, of batch and of rest
    vae.fit(random_images(7), batch_size=3, verbose=0)
    assert len(traces) == 1
    vae.evaluate(random_images(5), batch_size=2)
    vae.evaluate(random_images(5))
    assert len(traces) == 2
    vae.compile("sgd")
    vae.fit(random_images(7), batch_size=3, verbose=0)
    assert len(traces) == 3


def test_changed_data_are_read_anew(vae):
    x = random_images(4)
    first = vae.evaluate(x)[0]
    x[:] = 1 - x
    assert vae.evaluate(x)[0] != pytest.approx(first, rel=1e-4)


# When to compile how -------------------------------------------------------------------------------


def test_convolutions_leave_xla_out_on_a_cpu(make_vae, monkeypatch):
    dense, conv = make_vae("dense"), make_vae("conv")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert _xla_is_faster(dense) and not _xla_is_faster(conv)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])
    assert _xla_is_faster(conv)


def test_other_backends_take_keras_own_path(monkeypatch):
    x = random_images(4)
    assert steps._can_be_compiled(x) and not steps._can_be_compiled(None)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert not steps._can_be_compiled(x)


def test_the_data_are_not_copied(vae):
    x, seen = random_images(40), []
    vae.fit(
        x, verbose=0, callbacks=[Spy(on_epoch_end=lambda model, epoch: seen.append(model._held["train"].data is x))]
    )
    assert seen == [True]


def test_models_that_nobody_holds_are_forgotten(make_vae):
    gone, held = make_vae(), make_vae()
    gone.compile("adam")
    gone.fit(random_images(4), verbose=0)
    trace = weakref.ref(gone)
    del gone
    steps.forget_models()
    assert trace() is None
    held.compile("adam")
    assert np.isfinite(held.fit(random_images(4), verbose=0).history["loss"][0])


# Bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, message",
    [
        (np.full((4, 8, 8), 255), "x must hold floating-point numbers .* Divide by 255"),
        (np.full((4, 8, 8), 255.0), r"x must be scaled to \[0, 1\] .* Divide by 255"),
        (
            np.where(np.arange(4)[:, None, None] == 2, np.nan, np.zeros((4, 8, 8))),
            "x must be finite; example 2 holds NaN",
        ),
        (np.zeros((4, 64)), r"x must have shape \(n, 8, 8\); received \(4, 64\)"),
        (np.zeros((0, 8, 8)), "x holds no example"),
        ([[1.0], [2.0, 3.0]], "x must be one array"),
        (tf.data.Dataset.from_tensors(np.full((4, 8, 8), 255.0)), "the first batch of x must be scaled"),
        (tf.data.Dataset.from_tensors(np.full((4, 8, 8), 255)), "the first batch of x must hold floating-point"),
    ],
)
def test_bad_data_are_refused_before_anything_is_trained(compiled, x, message):
    vae = compiled.again()
    with pytest.raises(ValueError, match=message):
        vae.fit(x, verbose=0)
    with pytest.raises(ValueError, match=message):
        vae.evaluate(x)
    if isinstance(x, np.ndarray):
        with pytest.raises(ValueError, match=message.replace("x ", "validation_data ", 1)):
            vae.fit(random_images(2), validation_data=x, verbose=0)
    for weight, expected in zip(vae.get_weights(), compiled.weights, strict=True):
        np.testing.assert_array_equal(weight, np.float32(expected))
    assert vae._held == {}


@pytest.mark.parametrize("name", ["epochs", "batch_size", "validation_batch_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2"])
def test_counts_are_positive_whole_numbers(vae, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1; received {value!r}"):
        vae.fit(random_images(4), verbose=0, **{name: value})
    if name == "batch_size":
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            vae.evaluate(random_images(4), batch_size=value)


def test_a_model_that_was_not_compiled_says_so(make_vae):
    vae = make_vae()
    for use in (vae.fit, vae.evaluate):
        with pytest.raises(ValueError, match="compile"):
            use(random_images(4))
