"""The model in JAX."""

import math

import numpy as np
from contenders.setting import Contender


def scan(x, setting):
    """JAX, one jitted `lax.scan` over the epoch, Adam written out."""
    import jax
    from jax import numpy as jnp

    d, k = setting.latent_dim, setting.num_samples
    weights, encode, decode = _networks(setting)
    data = jnp.asarray(x.reshape(len(x), 784))
    steps = len(x) // setting.batch_size  # the rest of the data, less than a batch, is left out

    def loss_of(weights, batch, key):
        mu, log_var = jnp.split(encode(weights[0], batch), 2, axis=1)
        eps = jax.random.normal(key, (k, *mu.shape))
        z = mu + jnp.exp(0.5 * log_var) * eps
        logits = decode(weights[1], z.reshape(-1, d)).reshape(k, -1, 784)
        reconstruction = jnp.sum(jax.nn.softplus(logits) - batch * logits, axis=-1)
        if k == 1:
            kl = 0.5 * jnp.sum(mu**2 + jnp.exp(log_var) - 1 - log_var, axis=-1)
            return jnp.mean(reconstruction[0] + kl)
        log_ratio = 0.5 * jnp.sum(eps**2 + log_var - z**2, axis=-1)
        return math.log(k) - jnp.mean(jax.nn.logsumexp(log_ratio - reconstruction, axis=0))

    def step(state, inputs):
        weights, m, v, t, key = state
        rows, rate = inputs
        key, noise = jax.random.split(key)
        loss, gradient = jax.value_and_grad(loss_of)(weights, data[rows], noise)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        rate = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
        return (weights, m, v, t, key), loss

    @jax.jit
    def one_epoch(state, order, rates):
        return jax.lax.scan(step, state, (order, rates))

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state, rng = [(weights, zeros, zeros, jnp.float32(0), jax.random.key(1))], np.random.default_rng(0)

    def train(after_epoch=None):
        for epoch in range(setting.epochs):
            order = rng.permutation(len(x))[: steps * setting.batch_size].reshape(steps, setting.batch_size)
            rates = np.array([setting.rate(epoch + i / steps) for i in range(steps)], "float32")
            state[0], losses = one_epoch(state[0], order.astype("int32"), rates)
            if after_epoch:
                losses.block_until_ready()
                after_epoch()
        return losses.mean().block_until_ready()

    loss = jax.jit(loss_of)
    return Contender(train, lambda x_test: float(loss(state[0][0], x_test.reshape(-1, 784), jax.random.key(2))))


def _networks(setting):
    """The weights of encoder and decoder, and a function for each."""
    import jax
    from jax import numpy as jnp

    glorot, keys = jax.nn.initializers.glorot_uniform(), iter(jax.random.split(jax.random.key(0), 64))
    d = setting.latent_dim

    def layer(*shape):
        return glorot(next(keys), shape), jnp.zeros(shape[-1])

    def dense(weights, h):
        for w, b in weights[:-1]:
            h = jax.nn.relu(h @ w + b)
        return h @ weights[-1][0] + weights[-1][1]

    if not setting.filters:
        hidden = [setting.units] * setting.depth
        sizes = [784, *hidden, 2 * d], [d, *hidden, 784]
        return [[layer(n, m) for n, m in zip(row, row[1:], strict=False)] for row in sizes], dense, dense

    few, many = setting.maps
    weights = [
        [layer(3, 3, 1, few), layer(3, 3, few, many), layer(49 * many, 2 * d)],
        [layer(d, 49 * many), layer(3, 3, many, many), layer(3, 3, many, few), layer(3, 3, few, 1)],
    ]
    order = ("NHWC", "HWIO", "NHWC")

    def encode(weights, x):
        h = x.reshape(-1, 28, 28, 1)
        for w, b in weights[:2]:
            h = jax.nn.relu(jax.lax.conv_general_dilated(h, w, (2, 2), "SAME", dimension_numbers=order) + b)
        return h.reshape(len(x), -1) @ weights[2][0] + weights[2][1]

    def decode(weights, z):
        h = jax.nn.relu(z @ weights[0][0] + weights[0][1]).reshape(-1, 7, 7, many)
        for w, b in weights[1:3]:
            h = jax.nn.relu(jax.lax.conv_transpose(h, w, (2, 2), "SAME", dimension_numbers=order) + b)
        w, b = weights[3]
        return (jax.lax.conv_general_dilated(h, w, (1, 1), "SAME", dimension_numbers=order) + b).reshape(-1, 784)

    return weights, encode, decode
