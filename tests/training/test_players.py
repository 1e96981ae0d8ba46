"""Several losses, each with its own variables, optimiser and number of steps: on every backend."""

import keras
import numpy as np
import pytest

from vaelib.training.optimizers import PlayersOptimizer

BACKEND = keras.backend.backend()
RATES = {"loss": 0.1, "critic": 0.02}
PATHS = [True, False] if BACKEND == "tensorflow" else [False]


def optimizers():
    return {name: keras.optimizers.SGD(rate, momentum=0.5) for name, rate in RATES.items()}


def values(game):
    return np.array([keras.ops.convert_to_numpy(variable) for variable in (game.a, game.b)], "float64")


def played(x, batch_size, epochs, critic_steps):
    """The same game in NumPy: SGD with momentum on the gradients as they are written in the class."""
    a, b = np.full(3, 0.5), np.full(3, -0.25)
    speed_a, speed_b = np.zeros(3), np.zeros(3)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            m = x[start : start + batch_size].mean(axis=0)
            for _ in range(critic_steps - 1):
                speed_b = 0.5 * speed_b - RATES["critic"] * (b + m - a)
                b = b + speed_b
            gradient_a, gradient_b = 2 * (a - m) + b, b + m - a  # both before anybody moves
            speed_a = 0.5 * speed_a - RATES["loss"] * gradient_a
            speed_b = 0.5 * speed_b - RATES["critic"] * gradient_b
            a, b = a + speed_a, b + speed_b
    return np.array([a, b])


@pytest.mark.parametrize("blocks", PATHS)
@pytest.mark.parametrize("critic_steps", [1, 3])
def test_each_player_follows_its_own_loss_for_its_number_of_steps(models, rows, critic_steps, blocks):
    game, x = models.Game(critic_steps), rows(14)
    game.compile(optimizers())
    history = game.fit(x, batch_size=4, epochs=3, shuffle=False, verbose=0, blocks=blocks, validation_data=x[:5])
    np.testing.assert_allclose(values(game), played(x, 4, 3, critic_steps), rtol=1e-4)
    assert set(history.history) == {"loss", "critic", "val_loss", "val_critic"}
    assert [int(optimizer.iterations) for optimizer in game.optimizer.optimizers] == [12, 12 * critic_steps]
    a, b = values(game)
    expected = np.mean(np.sum((a - x[:5]) ** 2, axis=1)) + a @ b
    assert history.history["val_loss"][-1] == pytest.approx(expected, rel=1e-4)
    expected = np.mean(np.sum((b + x[:5]) ** 2, axis=1)) / 2 - a @ b
    assert history.history["val_critic"][-1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("blocks", PATHS)
def test_what_is_reported_is_the_common_move(models, rows, blocks):
    """Three steps of the critic alone, which leave no trace in the means, and then the losses of the common move."""
    game, x = models.Game(critic_steps=4), rows(6)
    game.compile({"loss": keras.optimizers.SGD(0.0), "critic": keras.optimizers.SGD(0.25)})
    history = game.fit(x, batch_size=6, verbose=0, blocks=blocks).history
    a, b = np.full(3, 0.5), np.full(3, -0.25)
    for _ in range(3):
        b = b - 0.25 * (b + x.mean(axis=0) - a)
    assert history["critic"][0] == pytest.approx(np.mean(np.sum((b + x) ** 2, axis=1)) / 2 - a @ b, rel=1e-4)
    assert history["loss"][0] == pytest.approx(np.mean(np.sum((a - x) ** 2, axis=1)) + a @ b, rel=1e-4)


@pytest.mark.parametrize("blocks", PATHS)
def test_noise_is_one_draw_for_all_players_of_a_move_and_fresh_in_each_step(models, rows, blocks):
    """The draw moves a and b alike in the common move; b alone in the two steps before."""
    game, x = models.Game(critic_steps=1, noise=1.0), np.zeros((4, 3), "float32")
    game.a.assign(np.zeros(3))
    game.b.assign(np.zeros(3))
    game.compile({"loss": keras.optimizers.SGD(1.0), "critic": keras.optimizers.SGD(1.0)})
    game.fit(x, batch_size=4, verbose=0, blocks=blocks)
    a, b = values(game)
    np.testing.assert_allclose(a, -b, rtol=1e-5)  # the noise enters the two losses with opposite signs
    assert np.abs(a).min() > 1e-3
    seen = []
    for steps in (1, 3):
        game.critic_steps = steps
        game.compile({"loss": keras.optimizers.SGD(0.0), "critic": keras.optimizers.SGD(1.0)})
        game.a.assign(np.zeros(3))
        game.b.assign(np.zeros(3))
        game.fit(x, batch_size=4, verbose=0, blocks=blocks)
        seen.append(values(game)[1])
    # At rate 1 each step puts b at its own draw: the last one, whatever came before.
    assert len({float(b[0]) for b in seen}) == 2


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs the function in every step")
def test_the_common_move_costs_one_forward_pass(models, rows):
    game = models.Game()
    game.compile(optimizers())
    game.fit(rows(4), batch_size=4, verbose=0)
    # JAX goes through once for each player, and its compiler finds the common part.
    assert game.passes == (1 if BACKEND == "tensorflow" else 2)


def test_one_player_has_the_plain_optimiser(toy):
    assert isinstance(toy.optimizer, keras.optimizers.SGD)
    toy.compile({"loss": "adam"})
    assert isinstance(toy.optimizer, keras.optimizers.Adam)
    toy.compile(keras.optimizers.SGD(0.05, momentum=0.9))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"loss": "sgd"}, r"missing: \['critic'\], unknown: none"),
        ({"loss": "sgd", "critic": "sgd", "crtic": "sgd"}, r"missing: none, unknown: \['crtic'\]"),
        ({}, r"one optimiser for each of the players \['loss', 'critic'\]"),
        (dict.fromkeys(["loss", "critic"], keras.optimizers.SGD()), "needs an optimiser of its own"),
    ],
)
def test_optimisers_that_are_not_the_players(models, given, message):
    with pytest.raises(ValueError, match=message):
        models.Game().compile(given)


@pytest.mark.parametrize("given", ["adam", keras.optimizers.Adam(0.25)])
def test_a_single_optimiser_is_cloned_for_each(models, given):
    game = models.Game()
    game.compile(given)
    first, second = game.optimizer["loss"], game.optimizer["critic"]
    assert isinstance(first, keras.optimizers.Adam) and type(first) is type(second) and first is not second
    assert (first.name, second.name) == game.optimizer.names == ("loss", "critic")
    rate = 0.001 if given == "adam" else 0.25
    assert {name: float(value) for name, value in game.optimizer.learning_rates.items()} == pytest.approx(
        {"loss": rate, "critic": rate}
    )
    second.learning_rate = 0.5
    assert float(first.learning_rate) == pytest.approx(rate)


def test_there_is_no_single_learning_rate(models):
    game = models.Game()
    game.compile(optimizers())
    assert not hasattr(game.optimizer, "learning_rate")
    with pytest.raises(AttributeError, match=r'model.optimizer\["loss"\].learning_rate'):
        game.optimizer.learning_rate = 0.1


def test_keras_schedules_reach_every_optimiser(models, rows):
    game = models.Game()
    game.compile(optimizers())
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = game.fit(rows(4), epochs=2, verbose=0, callbacks=[schedule]).history
    assert float(game.optimizer["loss"].learning_rate) == pytest.approx(RATES["loss"] / 4)
    assert history["learning_rate_critic"] == pytest.approx([RATES["critic"] / 2, RATES["critic"] / 4])


def test_the_model_was_compiled_for_other_players(models, toy, rows, monkeypatch):
    game = models.Game()
    game.compile(optimizers())
    monkeypatch.setattr(game, "players", lambda: {"loss": models.player([game.a, game.b])})
    with pytest.raises(ValueError, match=r"players are \['loss'\] now"):
        game.fit(rows(4), verbose=0)


@pytest.mark.parametrize("blocks", PATHS)
def test_save_load_and_resume_keep_every_optimisers_state(models, rows, tmp_path, blocks):
    x, options = rows(12), dict(batch_size=4, shuffle=False, verbose=0, blocks=blocks)
    straight, game = models.Game(critic_steps=2), models.Game(critic_steps=2)
    for model in (straight, game):
        model.compile(optimizers())
    straight.fit(x, epochs=4, **options)
    game.fit(x, epochs=2, **options)
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    assert isinstance(again.optimizer, PlayersOptimizer) and again.optimizer.names == ("loss", "critic")
    for variable, expected in zip(again.optimizer.variables, game.optimizer.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(expected), err_msg=variable.path
        )
    assert np.abs(keras.ops.convert_to_numpy(again.optimizer["critic"].variables[-1])).max() > 1e-4  # a momentum
    again.fit(x, epochs=4, initial_epoch=2, **options)
    np.testing.assert_allclose(values(again), values(straight), rtol=1e-5)


def test_the_state_is_saved_once(models, tmp_path):
    import h5py

    game = models.Game()
    game.compile(optimizers())
    game.optimizer.build({"loss": [game.a], "critic": [game.b]})
    game.save(tmp_path / "game.keras")
    sizes = []
    import zipfile

    with zipfile.ZipFile(tmp_path / "game.keras") as archive, archive.open("model.weights.h5") as file:
        h5py.File(file).visititems(lambda name, item: sizes.append(name) if isinstance(item, h5py.Dataset) else None)
    saved = [name for name in sizes if name.startswith("optimizer/")]
    assert len(saved) == len(game.optimizer.variables) == 6


def test_averages_of_the_weights_are_each_players_own(models, rows):
    """With the momentum 0 an average is the last value: in the end each variable has its own, and nothing else."""
    game, x = models.Game(), rows(8)
    critic = keras.optimizers.SGD(RATES["critic"], momentum=0.5, use_ema=True, ema_momentum=0.0)
    game.compile(optimizers() | {"critic": critic})
    game.fit(x, batch_size=4, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(values(game), played(x, 4, 2, 1), rtol=1e-4)


def test_an_optimiser_is_built_before_the_first_step(models, rows):
    game, built = models.Game(), []
    game.compile(optimizers())
    look = models.Spy(on_train_begin=lambda model, _: built.append([part.built for part in model.optimizer.optimizers]))
    game.fit(rows(4), verbose=0, callbacks=[look])
    assert built == [[True, True]]


class Half:
    """The policy of 16-bit floats, while a model is made."""

    def __enter__(self):
        self.before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")

    def __exit__(self, *_):
        keras.config.set_dtype_policy(self.before)


@pytest.mark.parametrize("blocks", PATHS)
def test_loss_scaling_changes_nothing_but_the_scale(models, rows, blocks):
    """The weights are 32-bit, so a step with scaled losses must be the step itself; each player has its own scale."""
    x = rows(8)
    plain = models.Game(critic_steps=2)
    plain.compile(optimizers())
    with Half():
        scaled = models.Game(critic_steps=2, dtype="mixed_float16")
    scaled.compile(optimizers())
    for part in scaled.optimizer.optimizers:
        assert isinstance(part, keras.optimizers.LossScaleOptimizer)
    for game in (plain, scaled):
        game.fit(x, batch_size=4, epochs=2, shuffle=False, verbose=0, blocks=blocks)
    np.testing.assert_allclose(values(scaled), values(plain), rtol=2e-3)
    assert not np.allclose(values(plain)[0], 0.5)


def test_a_loss_that_overflows_halves_its_own_scale(models, rows):
    game = models.Game()
    game.compile({name: keras.optimizers.LossScaleOptimizer(part) for name, part in optimizers().items()})
    with np.errstate(all="ignore"):
        game.fit(np.full((4, 3), 1e38, "float32"), verbose=0)  # |a - x|² overflows, |b + x|² too
    for part in game.optimizer.optimizers:
        assert float(part.dynamic_scale) == 2.0**14
    np.testing.assert_array_equal(values(game), [[0.5] * 3, [-0.25] * 3])


def test_one_player_of_sixteen_bits_has_keras_own_scaling(models):
    with Half():
        toy = models.Toy(dtype="mixed_float16")
    toy.compile("sgd")
    assert isinstance(toy.optimizer, keras.optimizers.LossScaleOptimizer)
    toy.compile("sgd", auto_scale_loss=False)
    assert isinstance(toy.optimizer, keras.optimizers.SGD)
