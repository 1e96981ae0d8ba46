"""What no library can leave out: the matrix products of an epoch of the dense model."""

import time

import numpy as np
from contenders.setting import Contender


def alone(x, setting):
    """Only the matrix products of an epoch, in the faster of NumPy and PyTorch."""
    batch, steps = setting.batch_size, -(-len(x) // setting.batch_size)
    rows = batch * setting.num_samples  # of the decoder
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.random(shape, dtype="float32")

    # Forward; then the gradient of each kernel and of each layer's input, the images' apart.
    hidden = [setting.units] * setting.depth
    up, down = [784, *hidden, 2 * setting.latent_dim], [setting.latent_dim, *hidden, 784]
    layers = [(batch, n, m) for n, m in zip(up, up[1:], strict=False)]
    layers += [(rows, n, m) for n, m in zip(down, down[1:], strict=False)]
    products = [(matrix(size, n), matrix(n, m)) for size, n, m in layers]
    products += [(matrix(n, size), matrix(size, m)) for size, n, m in layers]
    products += [(matrix(size, m), matrix(m, n)) for size, n, m in layers[1:]]
    with_out = [(a, b, np.empty((len(a), b.shape[1]), "float32")) for a, b in products]

    def numpy_epoch():
        for _ in range(steps):
            for a, b, out in with_out:
                np.matmul(a, b, out=out)

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
    return Contender(lambda after_epoch=None: [ways[fastest]() for _ in range(setting.epochs)], lambda x_test: np.nan)
