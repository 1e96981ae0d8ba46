"""One full-MNIST epoch of the Bernoulli recipe, batch 100: vaelib's fit beside Keras's own and an eager PyTorch loop.

The contenders take turns in one process, and the median of several turns counts: a ratio travels to another machine, a
second does not. Without MNIST the digits are random numbers, which cost the same. PyTorch is compared if installed.

    python benchmarks/epoch.py [rounds]
"""

import statistics
import sys
import time

import vaelib  # first: it keeps TensorFlow quiet

import keras
import numpy as np

BATCH = 100


def keras_epoch(x, compiled_epochs):
    """Return a function that trains one epoch through `fit`, with compiled epochs or on Keras's own path."""
    posterior, likelihood = vaelib.DiagonalNormal(2), vaelib.Bernoulli((28, 28))
    vae = vaelib.VAE(
        encoder=vaelib.dense_encoder((28, 28), posterior.params_size),
        decoder=vaelib.dense_decoder(2, likelihood.params_size),
        posterior=posterior,
        likelihood=likelihood,
        prior=vaelib.StandardNormal(2),
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    return lambda: vae.fit(x, epochs=1, batch_size=BATCH, verbose=0, compiled_epochs=compiled_epochs)


def torch_epoch(x):
    """Return a function that trains one epoch of the same model in an eager PyTorch loop with fused Adam."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder = nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 4))
    decoder = nn.Sequential(nn.Linear(2, 200), nn.ReLU(), nn.Linear(200, 784))
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    data = torch.from_numpy(x.reshape(len(x), 784))

    def epoch():
        for rows in torch.randperm(len(data)).split(BATCH):
            batch = data[rows]
            mu, log_var = encoder(batch).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
            logits = decoder(z)
            reconstruction = functional.binary_cross_entropy_with_logits(logits, batch, reduction="sum")
            kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()
            optimiser.zero_grad()
            ((reconstruction + kl) / len(batch)).backward()
            optimiser.step()

    return epoch


def main(rounds=5):
    """Print the median seconds per epoch of each contender and its ratio to vaelib's."""
    mnist = vaelib.load_mnist()
    print(mnist.source)
    x = mnist.x_train
    if len(x) < 60_000:
        x = np.random.default_rng(0).random((60_000, 28, 28), dtype="float32")
        print("timed on random pixels of the same shape")
    contenders = {"vaelib fit": keras_epoch(x, True), "Keras fit, same model": keras_epoch(x, False)}
    try:
        contenders["PyTorch, eager, fused Adam"] = torch_epoch(x)
    except ImportError:
        print("PyTorch is not installed: left out")

    seconds = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, epoch in contenders.items():
            start = time.perf_counter()
            epoch()
            if turn:  # the first turn compiles
                seconds[name].append(time.perf_counter() - start)
    ours = statistics.median(seconds["vaelib fit"])
    print(f"\n{'one epoch of 60,000, batch 100':<32}{'ratio':>7}{'median s':>10}{'fastest':>10}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<32}{median / ours:>7.2f}{median:>10.2f}{min(times):>10.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
