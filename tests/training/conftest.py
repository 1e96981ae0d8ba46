"""Small models that the tests of training share: one for each thing that a step must do right."""

import types

import keras
import numpy as np
import pytest
from keras import ops

from vaelib.training.steps import BlockTraining


class Player(tuple):
    """What `players` gives: the variables that a loss moves, and how many steps they take per batch."""

    variables = property(lambda self: self[0])
    steps = property(lambda self: self[1])


def player(variables, steps=1):
    return Player((variables, steps))


class Layers(keras.Model):
    """A tiny autoencoder of rows of three numbers: its layers and what they make of a batch."""

    def __init__(self, units=4, noise=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.noise = units, noise
        self.encoder = keras.layers.Dense(units, "tanh", kernel_initializer=keras.initializers.GlorotUniform(1))
        self.decoder = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(2))
        self.encoder.build((None, 3))
        self.decoder.build((None, units))
        self.seed_generator = keras.random.SeedGenerator(0)
        self.terms_metrics = [keras.metrics.Mean(name=name) for name in ("reconstruction", "kl")]
        self.built = True

    def call(self, x):
        z = self.encoder(x)
        return z + self.noise * keras.random.normal(ops.shape(z), seed=self.seed_generator)

    def terms(self, x, y=None):
        """One value per example: how far the decoded code is from x (or y), and how long the code is."""
        z = self(x)
        target = x if y is None else y
        return ops.sum((self.decoder(z) - target) ** 2, axis=-1), 0.5 * ops.sum(z**2, axis=-1)

    def get_config(self):
        return {"units": self.units, "noise": self.noise}


@keras.saving.register_keras_serializable(package="vaelib_tests")
class Toy(BlockTraining, Layers):
    """One player: loss = reconstruction + beta * kl."""

    def __init__(self, units=4, noise=0.0, **kwargs):
        super().__init__(units, noise, **kwargs)
        self.objective = types.SimpleNamespace(names=("loss", "reconstruction", "kl"))
        self.beta = self.add_weight(shape=(), initializer="ones", trainable=False, name="beta")

    def check_data(self, x, name="x"):
        x = np.asarray(x)
        if x.dtype.kind != "f":
            raise ValueError(f"{name} must hold floating-point numbers; received {x.dtype}.")
        if x.ndim != 2 or x.shape[1] != 3:
            raise ValueError(f"{name} must have shape (n, 3); received {x.shape}.")
        if not np.isfinite(x).all():
            raise ValueError(f"{name} must be finite.")
        return x.astype("float32", copy=False)

    def players(self):
        return {"loss": player(self.trainable_variables)}

    def batch_losses(self, x, y=None, sample_weight=None, training=True, track=True):
        reconstruction, kl = self.terms(x, y)
        if track:
            for metric, term in zip(self.terms_metrics, (reconstruction, kl), strict=True):
                metric.update_state(term, sample_weight)
        loss = reconstruction + self.beta * kl
        if sample_weight is not None:
            loss = loss * sample_weight
        return {"loss": ops.mean(loss) + sum(self.losses)}


class KerasToy(Layers):
    """The same model as a Keras user writes it, with Keras's own `fit`: the reference."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        reconstruction, kl = self.terms(x, y)
        for metric, term in zip(self.terms_metrics, (reconstruction, kl), strict=True):
            metric.update_state(term, sample_weight)
        loss = reconstruction + kl
        return ops.mean(loss if sample_weight is None else loss * sample_weight)


@keras.saving.register_keras_serializable(package="vaelib_tests")
class Game(BlockTraining, keras.Model):
    """Two players who follow different losses of common quantities; each gradient can be written down.

    With m the mean of the batch, a of the first and b of the second player:
    loss = mean |a - x|² + a·b has the gradient 2 (a - m) + b in a;
    critic = mean |b + x|² / 2 - a·b has the gradient b + m - a in b.
    """

    def __init__(self, critic_steps=1, noise=0.0, **kwargs):
        super().__init__(**kwargs)
        self.critic_steps, self.noise = critic_steps, noise
        self.a = self.add_weight(shape=(3,), initializer=keras.initializers.Constant(0.5), name="a")
        self.b = self.add_weight(shape=(3,), initializer=keras.initializers.Constant(-0.25), name="b")
        self.seed_generator = keras.random.SeedGenerator(0)
        self.objective = types.SimpleNamespace(names=("loss", "critic"))
        self.critic_mean = keras.metrics.Mean(name="critic")
        self.passes = 0  # how often the losses were worked out, which is how often they were traced
        self.built = True

    def check_data(self, x, name="x"):
        return np.asarray(x, "float32")

    def players(self):
        return {"loss": player([self.a]), "critic": player([self.b], self.critic_steps)}

    def batch_losses(self, x, y=None, sample_weight=None, training=True, track=True):
        self.passes += 1
        eps = keras.random.normal((3,), seed=self.seed_generator)
        common = ops.sum(self.a * self.b) + self.noise * ops.sum(eps * (self.a + self.b))
        critic = ops.sum((self.b + x) ** 2, axis=-1) / 2 - common
        if track:
            self.critic_mean.update_state(critic)
        return {"loss": ops.mean(ops.sum((self.a - x) ** 2, axis=-1)) + common, "critic": ops.mean(critic)}

    def get_config(self):
        return {"critic_steps": self.critic_steps, "noise": self.noise}


class Spy(keras.callbacks.Callback):
    """Sees the model while it trains."""

    def __init__(self, **hooks):
        super().__init__()
        for name, hook in hooks.items():
            setattr(self, name, lambda index=None, logs=None, hook=hook: hook(self.model, index))


@pytest.fixture(scope="session")
def models():
    """The classes above."""
    return types.SimpleNamespace(Toy=Toy, KerasToy=KerasToy, Game=Game, Spy=Spy, Start=Start, player=player)


class Start:
    """A compiled Toy that can be set back to its first weights, so that it is built and traced only once."""

    def __init__(self, model):
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
        model.optimizer.build(model.trainable_variables)
        self.model, self.weights = model, model.get_weights()

    def again(self, rate=0.05):
        self.model.set_weights(self.weights)
        for variable in self.model.optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        self.model.optimizer.learning_rate = rate
        return self.model


@pytest.fixture(scope="session")
def start():
    return Start(Toy())


@pytest.fixture(scope="session")
def keras_start():
    return Start(KerasToy())


@pytest.fixture
def toy(start):
    """A Toy at its first weights; SGD with momentum, no noise."""
    return start.again()


@pytest.fixture(scope="session", autouse=True)
def xla_is_faster():
    """Leave XLA out of the blocks: it takes seconds per model to compile. Gives the function that would decide."""
    from vaelib.training import compilation

    decide = compilation.xla_is_faster
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "xla_is_faster", lambda model: False)
        yield decide


@pytest.fixture
def rows():
    """The function that draws n rows of three numbers."""
    return lambda n, seed=0: np.random.default_rng(seed).normal(size=(n, 3)).astype("float32")


@pytest.fixture
def notebook(monkeypatch):
    """Pretend to be a Jupyter kernel, and return the handle of its one display."""
    import IPython
    import IPython.display

    class Kernel:
        kernel = object()

    class Handle:
        """What IPython's display returns: it keeps the states that it was shown."""

        def __init__(self):
            self.shown = []

        def update(self, state):
            self.shown.append(state)

    handle = Handle()

    def display(state, *, display_id):
        assert display_id is True and not handle.shown, "one display, updated in place"
        handle.update(state)
        return handle

    monkeypatch.setattr(IPython, "get_ipython", lambda: Kernel())
    monkeypatch.setattr(IPython.display, "display", display)
    return handle
