"""The same VAE trained in every way that a reader might choose: the Bernoulli recipe, 784-200-2-200-784, Adam.

Each contender takes the images, float32 (n, 28, 28), and a `Setting`, and returns a function that trains one call's
worth of epochs and gives back its history or its last loss. What a contender needs is imported inside it, so that one
missing library costs one row.
"""

import dataclasses
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Setting:
    """What one race is about.

    Args:
        batch_size: examples per step.
        units: width of the hidden layers.
        num_examples: how many images there are.
        epochs: passes in one call, so that what a call costs once is shared out.
    """

    batch_size: int = 100
    units: int = 200
    num_examples: int = 60_000
    epochs: int = 3


def vaelib_fit(x, setting):
    """vaelib's `fit`: a block of steps is one XLA program."""
    import vaelib

    posterior, likelihood = vaelib.DiagonalNormal(2), vaelib.Bernoulli((28, 28))
    vae = vaelib.VAE(
        encoder=vaelib.dense_encoder((28, 28), posterior.params_size, (setting.units,)),
        decoder=vaelib.dense_decoder(2, likelihood.params_size, (setting.units,)),
        posterior=posterior,
        likelihood=likelihood,
        prior=vaelib.StandardNormal(2),
    )
    vae.compile("adam")
    return lambda: vae.fit(x, epochs=setting.epochs, batch_size=setting.batch_size, verbose=0)


def _keras_parts(units):
    """Encoder, decoder and loss terms in plain Keras."""
    import keras
    from keras import layers, ops

    encoder = keras.Sequential([layers.Flatten(), layers.Dense(units, "relu"), layers.Dense(4)])
    decoder = keras.Sequential([layers.Dense(units, "relu"), layers.Dense(784)])
    seed_generator = keras.random.SeedGenerator()

    def terms(x):
        mu, log_var = ops.split(encoder(x), 2, axis=-1)
        z = mu + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mu), seed=seed_generator)
        logits, x = decoder(z), ops.reshape(x, (-1, 784))
        reconstruction = ops.sum(ops.softplus(logits) - x * logits, axis=-1)
        kl = 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1 - log_var, axis=-1)
        return reconstruction, kl

    return encoder, decoder, seed_generator, terms


def keras_fit(x, setting):
    """Keras's own `fit`, with the loss in `compute_loss`."""
    import vaelib  # noqa: F401  (quiet start of TensorFlow)
    import keras
    from keras import ops

    class HandMade(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder, self.seed_generator, self.terms = _keras_parts(setting.units)
            self.parts = [keras.metrics.Mean(name="reconstruction"), keras.metrics.Mean(name="kl")]

        def call(self, x):
            return self.terms(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            for metric, term in zip(self.parts, y_pred, strict=True):
                metric.update_state(term)
            return ops.mean(y_pred[0] + y_pred[1])

    model = HandMade()
    model.compile("adam")
    return lambda: model.fit(x, epochs=setting.epochs, batch_size=setting.batch_size, verbose=0)


def keras_train_step(x, setting):
    """Keras's `fit` around a `train_step` written by hand with a GradientTape, as tutorials do."""
    import vaelib  # noqa: F401  (quiet start of TensorFlow)
    import keras
    import tensorflow as tf
    from keras import ops

    class WithTrainStep(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder, self.seed_generator, self.terms = _keras_parts(setting.units)
            self.trackers = [keras.metrics.Mean(name=name) for name in ("loss", "reconstruction", "kl")]

        @property
        def metrics(self):
            return self.trackers

        def train_step(self, data):
            with tf.GradientTape() as tape:
                reconstruction, kl = self.terms(data)
                loss = ops.mean(reconstruction + kl)
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            for tracker, value in zip(self.trackers, (loss, reconstruction, kl), strict=True):
                tracker.update_state(value)
            return {tracker.name: tracker.result() for tracker in self.trackers}

    model = WithTrainStep()
    model.compile("adam")
    return lambda: model.fit(x, epochs=setting.epochs, batch_size=setting.batch_size, verbose=0)


def torch_eager(x, setting, compiled=False):
    """A PyTorch loop with fused Adam, data in memory."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder = nn.Sequential(nn.Linear(784, setting.units), nn.ReLU(), nn.Linear(setting.units, 4))
    decoder = nn.Sequential(nn.Linear(2, setting.units), nn.ReLU(), nn.Linear(setting.units, 784))
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    data = torch.from_numpy(x.reshape(len(x), 784))

    def loss_of(batch):
        mu, log_var = encoder(batch).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        reconstruction = functional.binary_cross_entropy_with_logits(decoder(z), batch, reduction="sum")
        kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()
        return (reconstruction + kl) / len(batch)

    if compiled:
        loss_of = torch.compile(loss_of)

    def epochs():
        for _ in range(setting.epochs):
            for rows in torch.randperm(len(data)).split(setting.batch_size):
                optimiser.zero_grad()
                loss = loss_of(data[rows])
                loss.backward()
                optimiser.step()
        return loss

    return epochs


def torch_compiled(x, setting):
    """The same loop with `torch.compile` around the loss."""
    return torch_eager(x, setting, compiled=True)


def jax_scan(x, setting):
    """JAX, one jitted `lax.scan` over the epoch, Adam written out."""
    import jax
    from jax import numpy as jnp

    keys = jax.random.split(jax.random.key(0), 4)
    shapes = [(784, setting.units), (setting.units, 4), (2, setting.units), (setting.units, 784)]
    glorot = jax.nn.initializers.glorot_uniform()
    weights = [(glorot(key, shape), jnp.zeros(shape[1])) for key, shape in zip(keys, shapes, strict=True)]
    data = jnp.asarray(x.reshape(len(x), 784))
    steps = len(x) // setting.batch_size  # the rest of the data, less than a batch, is left out

    def loss_of(weights, batch, key):
        hidden, heads, up, out = weights
        mu, log_var = jnp.split(jax.nn.relu(batch @ hidden[0] + hidden[1]) @ heads[0] + heads[1], 2, axis=1)
        z = mu + jnp.exp(0.5 * log_var) * jax.random.normal(key, mu.shape)
        logits = jax.nn.relu(z @ up[0] + up[1]) @ out[0] + out[1]
        reconstruction = jnp.sum(jax.nn.softplus(logits) - batch * logits)
        kl = 0.5 * jnp.sum(mu**2 + jnp.exp(log_var) - 1 - log_var)
        return (reconstruction + kl) / len(batch)

    def step(state, rows):
        weights, m, v, t, key = state
        key, noise = jax.random.split(key)
        loss, gradient = jax.value_and_grad(loss_of)(weights, data[rows], noise)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
        return (weights, m, v, t, key), loss

    @jax.jit
    def epoch(state, order):
        return jax.lax.scan(step, state, order)

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state, rng = [(weights, zeros, zeros, jnp.float32(0), jax.random.key(1))], np.random.default_rng(0)

    def epochs():
        for _ in range(setting.epochs):
            order = rng.permutation(len(x))[: steps * setting.batch_size].reshape(steps, setting.batch_size)
            state[0], losses = epoch(state[0], order.astype("int32"))
        return losses.mean().block_until_ready()

    return epochs


def matmul_bound(x, setting):
    """Only the matrix products of an epoch, in the faster of NumPy and PyTorch."""
    batch, units, steps = setting.batch_size, setting.units, -(-len(x) // setting.batch_size)
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.random(shape, dtype="float32")

    # Forward; then the gradient of each kernel and of each layer's input, the images' apart.
    layers = [(784, units), (units, 4), (2, units), (units, 784)]
    products = [(matrix(batch, n), matrix(n, m)) for n, m in layers]
    products += [(matrix(n, batch), matrix(batch, m)) for n, m in layers]
    products += [(matrix(batch, m), matrix(m, n)) for n, m in layers[1:]]

    def numpy_epoch():
        for _ in range(steps):
            for a, b, out in with_out:
                np.matmul(a, b, out=out)

    with_out = [(a, b, np.empty((len(a), b.shape[1]), "float32")) for a, b in products]
    ways = {"NumPy": numpy_epoch}
    try:
        import torch

        tensors = [tuple(map(torch.from_numpy, triple)) for triple in with_out]

        def torch_epoch():
            for _ in range(steps):
                for a, b, out in tensors:
                    torch.mm(a, b, out=out)

        ways["PyTorch"] = torch_epoch
    except ImportError:
        pass

    def seconds(way):
        start = time.perf_counter()
        ways[way]()
        return time.perf_counter() - start

    for way in ways:
        seconds(way)
    fastest = min(ways, key=lambda way: min(seconds(way) for _ in range(2)))
    return lambda: [ways[fastest]() for _ in range(setting.epochs)]


# name: (function, the libraries it needs)
CONTENDERS = {
    "vaelib fit": (vaelib_fit, ["tensorflow"]),
    "JAX, scanned epoch": (jax_scan, ["jax"]),
    "PyTorch, compiled": (torch_compiled, ["torch"]),
    "PyTorch, eager": (torch_eager, ["torch"]),
    "Keras, own train_step": (keras_train_step, ["tensorflow"]),
    "Keras fit": (keras_fit, ["tensorflow"]),
    "matrix products alone": (matmul_bound, []),
}
