"""One full-MNIST epoch of the Bernoulli recipe, batch 100: vaelib's fit beside Keras's own and an eager PyTorch loop.

Each contender runs in a process of its own, as its users would run it, and they take turns, round
by round. The median counts. A ratio travels to another machine, a second does not. Without MNIST the images are random
numbers, which cost the same. PyTorch is compared if it is installed.

    python benchmarks/epoch.py [rounds]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

BATCH = 100
EPOCHS = 3  # in one call, so that what a call costs once is shared out


def vaelib_fit(x):
    """Return a function that trains EPOCHS epochs through vaelib's fit."""
    import vaelib

    posterior, likelihood = vaelib.DiagonalNormal(2), vaelib.Bernoulli((28, 28))
    vae = vaelib.VAE(
        encoder=vaelib.dense_encoder((28, 28), posterior.params_size),
        decoder=vaelib.dense_decoder(2, likelihood.params_size),
        posterior=posterior,
        likelihood=likelihood,
        prior=vaelib.StandardNormal(2),
    )
    vae.compile("adam")
    return lambda: vae.fit(x, epochs=EPOCHS, batch_size=BATCH, verbose=0)


def keras_fit(x):
    """Return a function that trains EPOCHS epochs of the same model through Keras's fit, without vaelib."""
    import keras
    from keras import layers, ops

    class HandMade(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = keras.Sequential([layers.Flatten(), layers.Dense(200, "relu"), layers.Dense(4)])
            self.decoder = keras.Sequential([layers.Dense(200, "relu"), layers.Dense(784)])
            self.seed_generator = keras.random.SeedGenerator()
            self.parts = [keras.metrics.Mean(name="reconstruction"), keras.metrics.Mean(name="kl")]

        def call(self, x):
            mu, log_var = ops.split(self.encoder(x), 2, axis=-1)
            eps = keras.random.normal(ops.shape(mu), seed=self.seed_generator)
            return mu, log_var, self.decoder(mu + ops.exp(0.5 * log_var) * eps)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            mu, log_var, logits = y_pred
            x = ops.reshape(x, (-1, 784))
            terms = [
                ops.sum(ops.softplus(logits) - x * logits, axis=-1),
                0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - 1 - log_var, axis=-1),
            ]
            for metric, term in zip(self.parts, terms, strict=True):
                metric.update_state(term)
            return ops.mean(terms[0] + terms[1])

    model = HandMade()
    model.compile("adam")
    return lambda: model.fit(x, epochs=EPOCHS, batch_size=BATCH, verbose=0)


def torch_loop(x):
    """Return a function that trains EPOCHS epochs of the same model in an eager PyTorch loop with fused Adam."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder = nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 4))
    decoder = nn.Sequential(nn.Linear(2, 200), nn.ReLU(), nn.Linear(200, 784))
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    data = torch.from_numpy(x.reshape(len(x), 784))

    def epochs():
        for rows in torch.cat([torch.randperm(len(data)) for _ in range(EPOCHS)]).split(BATCH):
            batch = data[rows]
            mu, log_var = encoder(batch).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
            logits = decoder(z)
            reconstruction = functional.binary_cross_entropy_with_logits(logits, batch, reduction="sum")
            kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()
            optimiser.zero_grad()
            ((reconstruction + kl) / len(batch)).backward()
            optimiser.step()

    return epochs


CONTENDERS = {
    "vaelib fit": vaelib_fit,
    "Keras fit, same model": keras_fit,
    "PyTorch, eager, fused Adam": torch_loop,
}


def work(name, path):
    """Train for each line that arrives, and answer with the seconds per epoch."""
    epochs = CONTENDERS[name](np.load(path))
    for _ in sys.stdin:
        start = time.perf_counter()
        epochs()
        print((time.perf_counter() - start) / EPOCHS, flush=True)


def main(rounds=5):
    """Print the median seconds per epoch of each contender and its ratio to vaelib's."""
    import vaelib

    mnist = vaelib.load_mnist()
    print(mnist.source)
    x = mnist.x_train
    if len(x) < 60_000:
        x = np.random.default_rng(0).random((60_000, 28, 28), dtype="float32")
        print("timed on random pixels of the same shape")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.npy")
        np.save(path, x)
        seconds = race(path, rounds)
    ours = statistics.median(seconds["vaelib fit"])
    print(f"\n{'one epoch of 60,000, batch 100':<32}{'ratio':>7}{'median s':>10}{'fastest':>10}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<32}{median / ours:>7.2f}{median:>10.2f}{min(times):>10.2f}")


def race(path, rounds):
    """Let the contenders take turns, and return each one's seconds per epoch, the first round left out."""
    workers = {}
    for name in CONTENDERS:
        command = [sys.executable, __file__, "--work", name, path]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        workers[name] = subprocess.Popen(command, **pipes)
    seconds = {name: [] for name in workers}
    for turn in range(rounds + 1):
        for name, worker in list(workers.items()):
            try:
                worker.stdin.write("go\n")
                worker.stdin.flush()
                answer = worker.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if not answer:
                print(f"{name}: not installed here, or it failed: left out")
                del workers[name], seconds[name]
            elif turn:  # the first round compiles
                seconds[name].append(float(answer))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return seconds


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
