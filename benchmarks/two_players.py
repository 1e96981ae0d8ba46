"""Adversarial variational Bayes of lesson 18: two players in one compiled program, against the alternation by hand.

The four points, batch 256, networks of 48 and 48 units, one step of the critic for each of the others. Run it with
`python benchmarks/two_players.py`. A ratio travels from machine to machine, a millisecond does not.
"""

import statistics
import time

import vaelib  # first: a quiet start of TensorFlow
import keras
import numpy as np
from keras import ops

BATCH, UNITS, RATE = 256, 48, 1e-3


def data(steps):
    """Return so many batches of the four points, float32 (steps * BATCH, 4)."""
    return np.tile(np.eye(4, dtype="float32"), (steps * BATCH // 4, 1))


def network(sizes, outputs):
    """Return a keras.Model from several inputs to so many numbers."""
    inputs = [keras.Input((size,)) for size in sizes]
    h = keras.layers.Concatenate()(inputs)
    for _ in range(2):
        h = keras.layers.Dense(UNITS, "elu")(h)
    return keras.Model(inputs, keras.layers.Dense(outputs)(h))


def vaelib_fit(x):
    """vaelib's `fit`: a block of steps, with both players in it, is one XLA program."""
    vae = vaelib.VAE(
        vaelib.dense_encoder((4,), 4, (UNITS,)),
        vaelib.dense_decoder(2, 4, (UNITS,)),
        vaelib.ImplicitPosterior(network((4, 4), 2)),
        vaelib.Bernoulli((4,)),
        vaelib.StandardNormal(2),
        vaelib.AdversarialELBO(network((4, 2), 1)),
    )
    vae.compile({"loss": keras.optimizers.Adam(RATE), "critic": keras.optimizers.Adam(RATE)})
    return lambda: vae.fit(x, batch_size=BATCH, verbose=0).history["reconstruction"][-1]


class Alternation:
    """The same model by hand: one step for each player, each with a GradientTape and noise of its own."""

    def __init__(self):
        self.encoder = vaelib.dense_encoder((4,), 4, (UNITS,))
        self.decoder = vaelib.dense_decoder(2, 4, (UNITS,))
        self.sampler, self.critic = network((4, 4), 2), network((4, 2), 1)
        self.seed = keras.random.SeedGenerator()
        self.ours = [v for part in (self.encoder, self.decoder, self.sampler) for v in part.trainable_variables]
        self.theirs = self.critic.trainable_variables
        self.adams = keras.optimizers.Adam(RATE), keras.optimizers.Adam(RATE)
        for adam, variables in zip(self.adams, (self.ours, self.theirs), strict=True):
            adam.build(variables)  # a variable cannot be made inside a compiled function

    def codes(self, x):
        return self.sampler([self.encoder(x), keras.random.normal(ops.shape(x), seed=self.seed)])

    def critic_step(self, x):
        import tensorflow as tf

        z = self.codes(x)
        with tf.GradientTape() as tape:
            from_prior = self.critic([x, keras.random.normal(ops.shape(z), seed=self.seed)])
            loss = ops.mean(ops.softplus(-self.critic([x, z])) + ops.softplus(from_prior))
        self.adams[1].apply_gradients(zip(tape.gradient(loss, self.theirs), self.theirs, strict=True))
        return loss

    def vae_step(self, x):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            z = self.codes(x)
            logits = self.decoder(z)
            reconstruction = ops.mean(ops.sum(ops.softplus(logits) - x * logits, axis=-1))
            loss = reconstruction + ops.mean(self.critic([x, z]))
        self.adams[0].apply_gradients(zip(tape.gradient(loss, self.ours), self.ours, strict=True))
        return reconstruction


def keras_train_step(x):
    """Both steps in a `train_step` of one's own, as the GAN examples of keras.io do; Keras's `fit` runs it."""

    class WithTrainStep(keras.Model):
        def __init__(self):
            super().__init__()
            self.game, self.tracker = Alternation(), keras.metrics.Mean(name="reconstruction")

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, batch):
            self.game.critic_step(batch)
            self.tracker.update_state(self.game.vae_step(batch))
            return {"reconstruction": self.tracker.result()}

    model = WithTrainStep()
    model.compile()
    return lambda: model.fit(x, batch_size=BATCH, verbose=0).history["reconstruction"][-1]


def compiled_in_turns(x):
    """Each player's step a compiled function, and a loop in Python that calls the two in turns."""
    import tensorflow as tf

    game = Alternation()
    critic_step, vae_step = tf.function(game.critic_step), tf.function(game.vae_step)
    rng = np.random.default_rng(0)

    def epoch():
        shuffled, total = x[rng.permutation(len(x))], []
        for start in range(0, len(x), BATCH):
            batch = tf.constant(shuffled[start : start + BATCH])
            critic_step(batch)
            total.append(vae_step(batch))
        return float(np.mean(total))

    return epoch


WAYS = {
    "vaelib fit": vaelib_fit,
    "Keras, own train_step": keras_train_step,
    "two compiled steps in turns": compiled_in_turns,
}


def measure(rounds=5, steps=500):
    """Let the ways train in turns, print what a step costs, and return milliseconds per step by name."""
    x = data(steps)
    epochs = {name: make(x) for name, make in WAYS.items()}
    turns = {name: [] for name in WAYS}
    for turn in range(rounds + 1):  # the first one compiles
        for name, epoch in epochs.items():
            begin = time.perf_counter()
            epoch()
            if turn:
                turns[name].append(1e3 * (time.perf_counter() - begin) / steps)
    rows = {name: statistics.median(each) for name, each in turns.items()}
    print(f"\n{'one move of two players':34s} {'ms':>8s} {'ratio':>8s}")
    for name, value in rows.items():
        print(f"{name:34s} {value:8.3f} {value / rows['vaelib fit']:8.2f}")
    return rows


if __name__ == "__main__":
    measure()
