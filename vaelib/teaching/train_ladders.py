"""Train the models that lesson 19 compares: `python -m vaelib.teaching.train_ladders` (MNIST, some ten minutes).

Three layers of latents, with a posterior of independent layers or one from the top down, with and without a warm-up of
the KL; three seeds each, on MNIST binarised anew in each step. After each epoch the KL of each layer is measured on the
same test digits. Writes ladders.json into the folder of the pretrained weights. With `--deep` five layers, with a
warm-up alone, into deep_ladders.json.
"""

import argparse
import json
import pathlib

import keras
import numpy as np
from keras import ops

from vaelib.data.mnist import load_mnist
from vaelib.model.evaluation import log_evidence
from vaelib.model.hierarchy import Chain, TopDown, layer_kls
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.posteriors import DiagonalNormal
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.pretrained.weights import FOLDER

POSTERIORS = ("independent layers", "top down")
LAYERS = (4, 8, 20)  # numbers in z3, z2 and z1
DEEP = (4, 8, 16, 32, 64)  # as many as in the ladder of Sønderby et al. 2016
HIDDEN, BATCH_SIZE, LEARNING_RATE = 200, 100, 2e-3
EPOCHS, WARM_UP = 30, 10
NUM_SEEDS, NUM_TRAIN, NUM_TEST, NUM_DRAWS, NUM_IMPORTANCE = 3, 10_000, 500, 20, 200


def build(seed, posterior, hidden=HIDDEN, layers=LAYERS):
    """Return an untrained VAE with the prior p(z3) p(z2|z3) p(z1|z2), whose decoder reads z1 alone.

    Args:
        seed: of the weights and of the noise.
        posterior: a name of `POSTERIORS`.
        hidden: width of the one hidden layer of each network.
        layers: how many numbers each layer holds, the top first.
    """
    keras.utils.set_random_seed(seed)
    pairs = list(zip(layers, layers[1:], strict=False))
    between = lambda: [dense_decoder(above, 2 * below, (hidden,)) for above, below in pairs]  # noqa: E731
    prior = Chain([StandardNormal(layers[0]), *map(DiagonalNormal, layers[1:])], between(), seed=seed)
    q = TopDown(layers, between() if posterior == "top down" else None, seed=seed)
    z = keras.Input((sum(layers),))
    decoder = keras.Model(z, dense_decoder(layers[-1], 784, (hidden,))(z[:, -layers[-1] :]))
    encoder = dense_encoder((28, 28), q.params_size, (hidden,))
    vae = VAE(encoder, decoder, q, Bernoulli((28, 28), seed=seed), prior, binarise=True)
    vae.compile(keras.optimizers.Adam(LEARNING_RATE))
    return vae


class WarmUp(keras.callbacks.Callback):
    """A callback that raises beta, the weight of the KL, in equal steps over the first epochs, to 1.

    Source: Bowman et al. 2016; Sønderby et al. 2016.

    Args:
        epochs: how many; with 0 nothing is changed.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.model.objective.beta = min(1.0, epoch / self.epochs) if self.epochs else 1.0


class LayerKLs(keras.callbacks.Callback):
    """A callback that measures the KL of each layer on the same images, after each epoch.

    Args:
        x: images, zeros and ones, shape (n, 28, 28).

    Attributes:
        kls: a list with an entry for each epoch, the mean KL of each layer, the top first, nats.
    """

    def __init__(self, x):
        super().__init__()
        self.x, self.kls = x, []

    def on_epoch_end(self, epoch, logs=None):
        self.kls.append(kl_of_layers(self.model, self.x))


def kl_of_layers(vae, x, num_draws=NUM_DRAWS):
    """Return the mean KL of each layer, the top first, nats, shape (layers,): over images, and over draws for each."""
    params = vae.posterior_params(x)
    z = vae.posterior.sample(params, num=num_draws)
    return ops.convert_to_numpy(ops.mean(layer_kls(vae.posterior, params, vae.prior, z), axis=(0, 1))).astype(float)


def train(posterior, warm_up, seed, x_train, x_test, epochs=EPOCHS, hidden=HIDDEN, layers=LAYERS):
    """Train one model.

    Returns:
        The model, and the KLs of the layers after each epoch, nats, shape (epochs, layers).
    """
    vae, watch = build(seed, posterior, hidden, layers), LayerKLs(x_test)
    vae.fit(x_train, epochs=epochs, batch_size=BATCH_SIZE, verbose=0, callbacks=[WarmUp(warm_up), watch])
    return vae, np.array(watch.kls)


def black_and_white(x):
    """Return pixels drawn 0 or 1, once and the same at each call, with the grey values as probabilities."""
    return (np.random.default_rng(0).random(x.shape) < x).astype("float32")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.teaching.train_ladders", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "--folder", type=pathlib.Path, default=FOLDER, help="where to write; that of the pretrained weights"
    )
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="how many")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="how many")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="epochs in which beta rises to 1")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="units of the hidden layers")
    parser.add_argument("--images", type=int, default=NUM_TRAIN, help="how many to train on")
    parser.add_argument("--deep", action="store_true", help="five layers, with the warm-up alone")
    options = parser.parse_args(arguments)
    mnist = load_mnist()
    x_train, x_test = mnist.x_train[: options.images].copy(), black_and_white(mnist.x_test[:NUM_TEST])
    layers, name = (DEEP, "deep_ladders.json") if options.deep else (LAYERS, "ladders.json")
    rows = []
    for posterior in POSTERIORS:
        for warm_up in (options.warm_up,) if options.deep else (0, options.warm_up):
            for seed in range(options.seeds):
                vae, kls = train(posterior, warm_up, seed, x_train, x_test, options.epochs, options.hidden, layers)
                row = {"posterior": posterior, "warm_up": warm_up, "seed": seed, "kls": np.round(kls, 3).tolist()}
                row["elbo"] = round(float(vae.elbo(x_test, NUM_DRAWS).mean()), 3)
                row["log_evidence"] = round(float(log_evidence(vae, x_test, NUM_IMPORTANCE).mean()), 3)
                rows.append(row)
                print(posterior, warm_up, seed, row["kls"][-1], row["elbo"], row["log_evidence"], flush=True)
    record = {
        "script": "python -m vaelib.teaching.train_ladders" + " --deep" * options.deep,
        "data": mnist.source.name,
        "images": len(x_train),
        "test_images": len(x_test),
        "epochs": options.epochs,
        "warm_up": options.warm_up,
        "hidden": options.hidden,
        "layers": list(layers),
        "seeds": options.seeds,
        "models": rows,
    }
    (options.folder / name).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
