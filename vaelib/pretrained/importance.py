"""Train the models of lesson 14 that ship: `python -m vaelib.pretrained.importance` (real MNIST, an hour and more).

Burda's model with one stochastic layer, 784-200-200-50, trained on L_k for k = 1, 5 and 50: the same digits in the same
order, the same number of passes. Writes iwae_k.npz (float16 weights) and iwae_k.json (how they came about and what they
are worth) for each k. With `--checkpoints FOLDER` a run that was stopped goes on where it stood.
"""

import argparse
import json
import pathlib
import time

import vaelib  # first: it keeps TensorFlow's start-up messages off the screen

import keras  # isort: skip
import numpy as np

from vaelib import evaluation
from vaelib.data import load_mnist
from vaelib.files import replace_file
from vaelib.pretrained.parts import black_and_white, seed_again
from vaelib.pretrained.train import dense_layers, hashes, versions, weights_of
from vaelib.pretrained.weights import FOLDER

KS = (1, 5, 50)
RECIPE = {
    "seed": 0,
    "latent_dim": 50,
    "data_shape": [28, 28],
    "encoder_units": [200, 200],
    "decoder_units": [200, 200],
    "activation": "tanh",
    "pixels": "drawn anew in each step, 1 with the grey value as the probability",
    "epochs": 12,
    "batch_size": 20,
    "optimiser": "Adam",
    "learning_rate": 2e-3,
    "schedule": "cosine to 0 over all steps",
}
NUM_TEST, NUM_SAMPLES = 1_000, 5_000  # digits that are scored, and draws of z for each
NUM_ELBO = 100  # draws of z for the ELBO, which needs no more
NUM_UNITS = 10_000  # digits on which living units are counted
TEST_INK = 1  # seed of the draw that makes the test digits black and white, the same for every model


def build(k, recipe=RECIPE):
    """Return an untrained VAE of Burda's sizes whose objective is L_k.

    Source: Burda, Grosse and Salakhutdinov 2016, section 5 and appendix.

    Args:
        k: draws of z in the objective.
        recipe: dictionary with the keys of RECIPE.
    """
    shape, activation = tuple(recipe["data_shape"]), recipe["activation"]
    q, p = vaelib.DiagonalNormal(recipe["latent_dim"], seed=1), vaelib.Bernoulli(shape, seed=2)
    encoder = vaelib.dense_encoder(shape, q.params_size, recipe["encoder_units"], activation=activation)
    decoder = vaelib.dense_decoder(recipe["latent_dim"], p.params_size, recipe["decoder_units"], activation=activation)
    prior = vaelib.StandardNormal(recipe["latent_dim"], seed=3)
    return vaelib.VAE(encoder, decoder, q, p, prior, vaelib.IWAE(k), binarise=True)


def train(k, x, recipe=RECIPE, checkpoint=None):
    """Train one model, or go on with it.

    Args:
        k: draws of z in the objective.
        x: grey images, (n, 28, 28).
        recipe: dictionary with the keys of RECIPE.
        checkpoint: path of an npz file which is read if it is there and written after each pass, or nothing. A training
            that was stopped and goes on ends with the same weights as one in a single run.

    Returns:
        The VAE and the seconds that its training took.
    """
    keras.utils.set_random_seed(recipe["seed"])
    vae, epochs, batch_size = build(k, recipe), recipe["epochs"], recipe["batch_size"]
    steps = epochs * -(-len(x) // batch_size)
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe["learning_rate"], steps)))
    vae.optimizer.build(vae.trainable_variables)
    state = [*vae.variables, *vae.optimizer.variables]  # the states of all random generators are among them
    done, seconds = 0, 0.0
    if checkpoint is not None and checkpoint.exists():
        with np.load(checkpoint, allow_pickle=False) as file:
            done, seconds = int(file["done"]), float(file["seconds"])
            for i, variable in enumerate(state):
                variable.assign(file[f"v{i}"])
    for epoch in range(done, epochs):
        keras.utils.set_random_seed(1000 * recipe["seed"] + epoch)  # of the order of the data, the same for every k
        start = time.perf_counter()
        history = vae.fit(x, initial_epoch=epoch, epochs=epoch + 1, batch_size=batch_size, verbose=0)
        seconds += time.perf_counter() - start
        print(f"k = {k}, pass {epoch + 1}: -L_k {history.history['loss'][0]:.2f}, {seconds:.0f} s", flush=True)
        if checkpoint is not None:
            values = {f"v{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(state)}
            with replace_file(checkpoint) as path, open(path, "wb") as file:
                np.savez(file, done=epoch + 1, seconds=seconds, **values)
    return vae, seconds


def load(k, folder=FOLDER):
    """Return the VAE that ships for this k, with its weights, ready to be scored.

    Args:
        k: 1, 5 or 50, the number of draws that it was trained with.
        folder: where the files lie, by default in the package.

    Raises:
        ValueError: none was trained with this k.
    """
    known = sorted(int(path.stem.removeprefix("iwae_")) for path in folder.glob("iwae_*.npz"))
    if k not in known:
        raise ValueError(f"k must be one of {known}, the models that ship; received {k!r}.")
    vae = build(k, record_of(k, folder))
    with np.load(folder / f"iwae_{k}.npz", allow_pickle=False) as file:
        for part in ("encoder", "decoder"):
            for i, layer in enumerate(dense_layers(getattr(vae, part))):
                layer.set_weights([file[f"{part}_{name}_{i}"].astype("float32") for name in ("kernel", "bias")])
    return vae


def record_of(k, folder=FOLDER):
    """Return how the model that ships for this k came about and what it is worth, a dictionary."""
    return json.loads((folder / f"iwae_{k}.json").read_text("utf-8"))


def score(vae, mnist, num_test=NUM_TEST, num_samples=NUM_SAMPLES):
    """Score a model on digits and draws that another one shares.

    Args:
        vae: the model.
        mnist: the digits.
        num_test: how many of the test digits.
        num_samples: draws of z for each.

    Returns:
        The ELBO and L_k with k = `num_samples` of each digit, nats, (2, n), and the number of living units.
    """
    vae.binarise = False  # the test pixels are drawn already
    x = black_and_white(mnist.x_test[:num_test], TEST_INK)
    seed_again(vae.posterior, RECIPE["seed"])
    values = evaluation.elbo(vae, x, min(num_samples, NUM_ELBO)), evaluation.log_evidence(vae, x, num_samples)
    return np.array(values), int(evaluation.active_units(vae, mnist.x_test[:NUM_UNITS]).sum())


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.pretrained.importance", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="where to write; beside this file")
    parser.add_argument("--checkpoints", type=pathlib.Path, help="where a run that is stopped leaves what it needs")
    parser.add_argument("--ks", type=int, nargs="+", default=KS, help="draws of z in the objective")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"], help="passes over the data")
    parser.add_argument("--train", type=int, default=60_000, help="how many digits to train on")
    parser.add_argument("--test", type=int, default=NUM_TEST, help="how many digits are scored")
    parser.add_argument("--draws", type=int, default=NUM_SAMPLES, help="of z for each of them")
    options = parser.parse_args(arguments)
    mnist = load_mnist()
    if mnist.source.stand_in:
        parser.error("the networks that ship are trained on the real MNIST; it was not found")
    x, recipe = mnist.x_train[: options.train], {**RECIPE, "epochs": options.epochs}
    options.folder.mkdir(parents=True, exist_ok=True)
    for k in options.ks:
        checkpoint = options.checkpoints and options.checkpoints / f"iwae_{k}.npz"
        vae, seconds = train(k, x, recipe, checkpoint)
        np.savez_compressed(options.folder / f"iwae_{k}.npz", **weights_of(vae))
        record = {
            "script": "python -m vaelib.pretrained.importance",
            "k": k,
            "data": mnist.source.name,
            "data_sha256": hashes(mnist),
            "train": len(x),
            **recipe,
            "seconds": round(seconds),
            "weights": "float16",
            "versions": versions(),
        }
        write(record, options.folder)
        # Measured on what ships, the rounded weights.
        (elbo, log_p), units = score(load(k, options.folder), mnist, options.test, options.draws)
        record |= {
            "test": len(log_p),
            "draws": options.draws,
            "unit": "nats per digit",
            "elbo": rounded(evaluation.mean_and_error(elbo)),
            "log_p": rounded(evaluation.mean_and_error(log_p)),
            "active_units": units,
        }
        write(record, options.folder)
        print(f"k = {k}: log p(x) {log_p.mean():.2f}, {units} units", flush=True)


def rounded(mean_and_error):
    """Return a mean and its standard error to a thousandth of a nat, for a file."""
    return [round(float(number), 3) for number in mean_and_error]


def write(record, folder):
    (folder / f"iwae_{record['k']}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
