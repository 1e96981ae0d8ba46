"""Train what lesson 21 compares: `python -m vaelib.teaching.train_labels` (MNIST, some four minutes).

100 labelled digits, ten of each class, and 10,000 without labels; three seeds. Three ways: a classifier that sees the
labelled digits alone; M1, the same classifier on codes of a VAE that has seen all digits; M2, the semi-supervised
objective. Each is scored on the test digits. Writes labels.json into the folder of the pretrained weights.
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from vaelib.data.mnist import load_mnist
from vaelib.model.labels import SemiSupervised
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.posteriors import DiagonalNormal
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.pretrained.weights import FOLDER

WAYS = ("labels alone", "M1", "M2")
HIDDEN, LATENT_DIM, BATCH_SIZE = 200, 20, 100
PER_CLASS, NUM_UNLABELLED, NUM_CLASSES, NUM_SEEDS = 10, 10_000, 10, 3
COPIES, STEPS, EPOCHS, EPOCHS_M2, REPEATS, WEIGHT = 40, 400, 30, 10, 10, 20.0


def conditional_networks(hidden=HIDDEN, latent_dim=LATENT_DIM, num_classes=NUM_CLASSES):
    """Return an encoder of x and y and a decoder of z and y, with one hidden layer each."""
    x, y = keras.Input((28, 28)), keras.Input((num_classes,))
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(x), y])
    h = keras.layers.Dense(hidden, activation="relu")(joined)
    encoder = keras.Model([x, y], keras.layers.Dense(2 * latent_dim)(h))
    z, y = keras.Input((latent_dim,)), keras.Input((num_classes,))
    h = keras.layers.Dense(hidden, activation="relu")(keras.layers.Concatenate()([z, y]))
    return encoder, keras.Model([z, y], keras.layers.Dense(784)(h))


def split(labels, seed, num_unlabelled=NUM_UNLABELLED, per_class=PER_CLASS):
    """Return the rows that keep their labels, as many of each class, and other rows that lose them."""
    rng = np.random.default_rng(seed)
    kept = [rng.choice(np.flatnonzero(labels == k), per_class, replace=False) for k in range(NUM_CLASSES)]
    kept = np.concatenate(kept)
    return kept, rng.permutation(np.setdiff1d(np.arange(len(labels)), kept))[:num_unlabelled]


def classifier_of(x, y, seed, hidden=HIDDEN, steps=STEPS):
    """Return a classifier trained on all rows in each step: a network from x to logits."""
    keras.utils.set_random_seed(seed)
    network = dense_encoder(x.shape[1:], NUM_CLASSES, (hidden,))
    network.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    # Several copies in a row: each step still sees every row once, and Keras counts fewer epochs.
    some = np.repeat(np.arange(len(x))[None], COPIES, axis=0).ravel()
    network.fit(x[some], y[some], epochs=-(-steps // COPIES), batch_size=len(x), shuffle=False, verbose=0)
    return network


def vae_of(x, seed, hidden=HIDDEN, latent_dim=LATENT_DIM, epochs=EPOCHS):
    """Return a VAE trained on digits without labels, binarised anew in each step."""
    keras.utils.set_random_seed(seed)
    q = DiagonalNormal(latent_dim)
    networks = dense_encoder((28, 28), q.params_size, (hidden,)), dense_decoder(latent_dim, 784, (hidden,))
    vae = VAE(*networks, q, Bernoulli((28, 28)), StandardNormal(latent_dim), binarise=True)
    vae.compile(keras.optimizers.Adam(2e-3))
    vae.fit(x, epochs=epochs, batch_size=BATCH_SIZE, verbose=0)
    return vae


def semi_supervised(x, y, seed, hidden=HIDDEN, latent_dim=LATENT_DIM, weight=WEIGHT):
    """Return an untrained M2 for labels that are -1 where they are missing."""
    keras.utils.set_random_seed(seed)
    classifier = dense_encoder((28, 28), NUM_CLASSES, (hidden,))
    objective = SemiSupervised(classifier, NUM_CLASSES, weight=weight)
    networks = conditional_networks(hidden, latent_dim)
    prior = StandardNormal(latent_dim)
    vae = VAE(*networks, DiagonalNormal(latent_dim), Bernoulli((28, 28)), prior, objective, binarise=True)
    vae.compile(keras.optimizers.Adam(1e-3))
    return vae


def error(classifier, x, y):
    """Return the share of rows that a classifier of logits gets wrong."""
    return float(np.mean(classifier.predict(x, verbose=0).argmax(axis=1) != y))


def errors(mnist, seed, num_unlabelled=NUM_UNLABELLED, hidden=HIDDEN, epochs=EPOCHS, epochs_m2=EPOCHS_M2, steps=STEPS):
    """Train all three ways from one seed and return their errors on the test digits, by the names in `WAYS`."""
    x_test, y_test = mnist.x_test, mnist.y_test
    kept, others = split(mnist.y_train, seed, num_unlabelled)
    x, y, rest = mnist.x_train[kept], mnist.y_train[kept], mnist.x_train[others]
    found = {WAYS[0]: error(classifier_of(x, y, seed, hidden, steps), x_test, y_test)}
    vae = vae_of(np.concatenate([x, rest]), seed, hidden, epochs=epochs)
    found[WAYS[1]] = error(classifier_of(vae.encode(x), y, seed, hidden, steps), vae.encode(x_test), y_test)
    if epochs_m2:
        # The few labelled rows come often enough for every batch to hold some.
        every = np.concatenate([np.tile(x, (REPEATS, 1, 1)), rest])
        given = np.concatenate([np.tile(y, REPEATS), np.full(len(rest), -1)])
        m2 = semi_supervised(every, given, seed, hidden)
        m2.fit(every, given, epochs=epochs_m2, batch_size=BATCH_SIZE, verbose=0)
        found[WAYS[2]] = error(m2.objective.classifier, x_test, y_test)
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.teaching.train_labels", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="where to write")
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="how many")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the VAE of M1")
    parser.add_argument("--epochs-m2", type=int, default=EPOCHS_M2, help="of M2")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="units of the hidden layers")
    parser.add_argument("--unlabelled", type=int, default=NUM_UNLABELLED, help="how many digits without labels")
    options = parser.parse_args(arguments)
    mnist, rows = load_mnist(), []
    for seed in range(options.seeds):
        found = errors(mnist, seed, options.unlabelled, options.hidden, options.epochs, options.epochs_m2)
        rows.append({"seed": seed, **{name: round(value, 4) for name, value in found.items()}})
        print(rows[-1], flush=True)
    record = {
        "script": "python -m vaelib.teaching.train_labels",
        "data": mnist.source.name,
        "labelled": PER_CLASS * NUM_CLASSES,
        "unlabelled": options.unlabelled,
        "epochs": options.epochs,
        "epochs_m2": options.epochs_m2,
        "hidden": options.hidden,
        "errors": rows,
    }
    (options.folder / "labels.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
