"""Train the models that lesson 17 compares: `python -m vaelib.teaching.train_estimators` (MNIST, some ten minutes).

Three seeds for each estimator of the encoder's gradient: 20 draws of 10 classes, on MNIST binarised anew in each step.
Writes estimators.json into the folder of the pretrained weights.
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from vaelib.data.mnist import load_mnist
from vaelib.model.discrete import Categorical, CategoricalPrior
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.score_function import GumbelSoftmax, ScoreFunction, StraightThrough
from vaelib.model.vae import VAE
from vaelib.pretrained.weights import FOLDER

ESTIMATORS = {
    "score function": lambda: ScoreFunction(),
    "with the batch's baseline": lambda: ScoreFunction(baseline="batch"),
    "leave-one-out, 2 draws": lambda: ScoreFunction(2, "leave-one-out"),
    "straight-through": lambda: StraightThrough(),
    "straight-through, relaxed": lambda: StraightThrough(1.0),
    "Gumbel-softmax": lambda: GumbelSoftmax(0.7),
}
NUM_SEEDS = 3
CODE = (20, 10)  # draws, classes
HIDDEN, EPOCHS, BATCH_SIZE, LEARNING_RATE = 200, 10, 100, 1e-3
NUM_TRAIN, NUM_TEST, NUM_DRAWS = 20_000, 1_000, 20


def build(seed, objective, hidden=HIDDEN):
    """Return an untrained VAE of 20 draws of 10 classes; the weights are those of the seed, whatever the objective.

    Args:
        seed: of the weights and of the noise.
        objective: what is minimised.
        hidden: width of the one hidden layer of encoder and decoder.
    """
    keras.utils.set_random_seed(seed)
    q, p = Categorical(CODE, seed=seed), Bernoulli((28, 28), seed=seed)
    decoder = dense_decoder(q.num_values, p.params_size, (hidden,))
    flat = [keras.Input(CODE), keras.layers.Flatten(), *decoder.layers[1:]]
    encoder = dense_encoder((28, 28), q.params_size, (hidden,))
    vae = VAE(encoder, keras.Sequential(flat), q, p, CategoricalPrior(CODE), objective, binarise=True)
    vae.compile(keras.optimizers.Adam(LEARNING_RATE))
    return vae


def train(name, seed, x_train, x_test, epochs=EPOCHS, hidden=HIDDEN):
    """Train one model and return the loss that it reports at the end, and the bound of hard draws of each test image.

    The test images are binarised once, the same for all models.
    """
    vae = build(seed, ESTIMATORS[name](), hidden)
    history = vae.fit(x_train, epochs=epochs, batch_size=BATCH_SIZE, verbose=0).history
    return history["loss"][-1], hard_bound(vae, x_test)


def hard_bound(vae, x_test, num_draws=NUM_DRAWS):
    """Return the ELBO of hard draws of each test image, binarised once, shape (n,), nats."""
    drawn = (np.random.default_rng(0).random(x_test.shape) < x_test).astype("float32")
    return vae.elbo(drawn, num_draws)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.teaching.train_estimators", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "--folder", type=pathlib.Path, default=FOLDER, help="where to write; that of the pretrained weights"
    )
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="how many")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="how many")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="units of the hidden layers")
    parser.add_argument("--images", type=int, default=NUM_TRAIN, help="how many to train on")
    options = parser.parse_args(arguments)
    mnist = load_mnist()
    x_train, x_test = mnist.x_train[: options.images], mnist.x_test[:NUM_TEST]
    rows = {}
    for name in ESTIMATORS:
        runs = [train(name, seed, x_train, x_test, options.epochs, options.hidden) for seed in range(options.seeds)]
        losses, bounds = zip(*runs, strict=True)
        rows[name] = {
            "reported": [round(-float(loss), 3) for loss in losses],
            "bound": [round(float(bound.mean()), 3) for bound in bounds],
            "each": [np.round(bound, 1).tolist() for bound in bounds],
        }
        print(f"{name}: {rows[name]['bound']}, reported {rows[name]['reported']}", flush=True)
    reference = np.array(rows["Gumbel-softmax"].pop("each"))
    for name, row in rows.items():
        if name == "Gumbel-softmax":
            continue
        # Against Gumbel-softmax of the same seed, on the same images: mean and standard error over the images.
        difference = reference - np.array(row.pop("each"))
        row["behind"] = np.round(difference.mean(axis=1), 3).tolist()
        row["error"] = np.round(difference.std(axis=1, ddof=1) / np.sqrt(difference.shape[1]), 3).tolist()
    record = {
        "script": "python -m vaelib.teaching.train_estimators",
        "data": mnist.source.name,
        "images": len(x_train),
        "epochs": options.epochs,
        "hidden": options.hidden,
        "test_images": len(x_test),
        "draws": NUM_DRAWS,
        "seeds": options.seeds,
        "estimators": rows,
    }
    text = json.dumps(record, indent=2)
    (options.folder / "estimators.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
