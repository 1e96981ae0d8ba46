"""Train the networks that ship with the package: `python -m vaelib.pretrained.train` (real MNIST, some minutes).

Writes mnist.npz (float16 weights) and mnist.json (how they came about) beside this file.
"""

import argparse
import json
import pathlib
import platform
from importlib import metadata

import vaelib  # first: it keeps TensorFlow's start-up messages off the screen

import keras  # isort: skip
import numpy as np

from vaelib.data import load_mnist
from vaelib.data.download import sha256
from vaelib.data.mnist import KEYS, stand_in_digits
from vaelib.pretrained import FOLDER, load

RECIPE = {
    "seed": 0,
    "latent_dim": 2,
    "data_shape": [28, 28],
    "encoder_units": [128, 64],
    "decoder_units": [64, 128],
    "activation": "relu",
    "epochs": 100,
    "batch_size": 100,
    "optimiser": "Adam",
    "learning_rate": 2e-3,
    "schedule": "cosine to 0 over all steps",
}


def train(x, recipe, verbose="auto"):
    """Return a trained VAE: diagonal normal posterior, Bernoulli likelihood, standard normal prior.

    Args:
        x: images of shape (n, *data_shape), pixels in [0, 1].
        recipe: dictionary with the keys of RECIPE.
        verbose: 0 for silence.
    """
    keras.utils.set_random_seed(recipe["seed"])
    posterior = vaelib.DiagonalNormal(recipe["latent_dim"], seed=recipe["seed"])
    likelihood = vaelib.Bernoulli(recipe["data_shape"])
    activation = recipe["activation"]
    vae = vaelib.VAE(
        encoder=vaelib.dense_encoder(
            recipe["data_shape"], posterior.params_size, recipe["encoder_units"], activation=activation
        ),
        decoder=vaelib.dense_decoder(
            recipe["latent_dim"], likelihood.params_size, recipe["decoder_units"], activation=activation
        ),
        posterior=posterior,
        likelihood=likelihood,
        prior=vaelib.StandardNormal(recipe["latent_dim"]),
    )
    steps = recipe["epochs"] * -(-len(x) // recipe["batch_size"])
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe["learning_rate"], steps)))
    vae.fit(x, epochs=recipe["epochs"], batch_size=recipe["batch_size"], verbose=verbose)
    return vae


def dense_layers(network):
    """Return the layers of a network whose weights ship."""
    return [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]


def weights_of(vae):
    """Return the weights of encoder and decoder as float16 arrays, by the names that `vaelib.pretrained` reads."""
    weights = {}
    for part in ("encoder", "decoder"):
        for i, layer in enumerate(dense_layers(getattr(vae, part))):
            for name in ("kernel", "bias"):
                array = keras.ops.convert_to_numpy(getattr(layer, name)).astype("float16")
                if not np.isfinite(array).all():
                    raise ValueError(f"{name} {i} of the {part} must fit float16; it holds NaN or infinity.")
                weights[f"{part}_{name}_{i}"] = array
    return weights


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m vaelib.pretrained.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="where to write; beside this file")
    options = parser.parse_args(arguments)
    data = load_mnist()
    if data.source.stand_in:
        parser.error("the networks that ship are trained on the real MNIST; it was not found")
    recipe = {**RECIPE, "epochs": options.epochs}
    weights = weights_of(train(data.x_train, recipe))
    record = {
        "data": data.source.name,
        "data_sha256": hashes(data),
        **recipe,
        "weights": "float16",
        "versions": versions(),
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.folder / "mnist.npz", **weights)
    _write(record, options.folder)
    # Measured on what ships, the rounded weights, in NumPy: any machine can check it.
    shipped = load("mnist", options.folder)
    record["test_nelbo"] = round(float(shipped.nelbo(data.x_test).mean()), 4)
    record["train_nelbo"] = round(float(shipped.nelbo(data.x_train[:10_000]).mean()), 4)
    # The stand-in's test digits are a part of MNIST, mostly of its training images.
    stand_in = (stand_in_digits()["x_test"] / np.float32(255)).astype("float32")
    record["stand_in_nelbo"] = round(float(shipped.nelbo(stand_in).mean()), 4)
    _write(record, options.folder)
    print(json.dumps(record, indent=2))


def hashes(mnist):
    """Return the SHA-256 of the images, by the name of their array."""
    return {key: sha256((getattr(mnist, key) * 255).round().astype("uint8")) for key in KEYS[::2]}


def versions():
    """Return the versions of what trains, by package."""
    backend = keras.backend.backend()  # the package behind it has another name on some machines
    return {
        "python": platform.python_version(),
        "vaelib": vaelib.__version__,
        "keras": keras.__version__,
        backend: metadata.version(metadata.packages_distributions()[backend][0]),
        "numpy": np.__version__,
    }


def _write(record, folder):
    (folder / "mnist.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
