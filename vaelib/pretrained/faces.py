"""Train the models that lesson 09 compares: `python -m vaelib.pretrained.faces` (real Frey Face, about half an hour).

Ten seeds of each recipe on the same blocks of the video. Writes faces.json beside this file, recipe by recipe; a
recipe that the file holds already is left as it is.
"""

import argparse
import json
import pathlib

import vaelib  # first: it keeps TensorFlow's start-up messages off the screen

import keras  # isort: skip
import numpy as np
from keras import layers, ops
from scipy.special import gammaln

from vaelib.data import load_frey_face
from vaelib.pretrained.weights import FOLDER

# Frames 0 to 1579 train, 1600 to 1779 choose the epoch, 1800 to 1964 test: 20 frames between two blocks are unused,
# for neighbours in time are near twins.
BLOCKS = {"train": (0, 1580), "validation": (1600, 1780), "test": (1800, 1965)}
SEEDS = range(10)
EPOCHS, BATCH_SIZE, LEARNING_RATE = 30, 100, 1e-3
NUM_SAMPLES = 20  # of z, for each frame that is scored

CURE = {"centre": True, "scale": True, "rate": 3.0}
RECIPES = {
    "reference": {"reference": True},  # 1,800 frames, the neighbours of the test block among them; 30 epochs
    "base": {},
    "centre": {"centre": True},
    "scale": {"scale": True},
    "rate": {"rate": 3.0},
    "floor": {"floor": -7.0},
    "heavy tails": {"heavy_tails": True},
    "centre + scale + rate": CURE,
    "centre + scale + rate + floor": {**CURE, "floor": -7.0},
    "centre + scale + rate + floor + heavy tails": {**CURE, "floor": -7.0, "heavy_tails": True},
}


@keras.saving.register_keras_serializable(package="vaelib.pretrained.faces")
class StudentPixels(vaelib.Normal):
    """Independent pixels with the tails of Student's t of 4 degrees of freedom; mean and log s² as for Normal."""

    def log_prob(self, value, params=None):
        mean, log_var = self.split(params)
        squares = ops.square(self.flat(value) - mean) * ops.exp(-log_var)
        constant = float(gammaln(2.5) - gammaln(2.0) - 0.5 * np.log(4 * np.pi))
        return ops.sum(constant - 0.5 * log_var - 2.5 * ops.log1p(squares / 4), axis=-1)


def build(seed, frames, *, centre=False, scale=False, rate=1.0, floor=-5.0, heavy_tails=False, **_):
    """Return an untrained VAE of the reference recipe, 560-200-2-200-1120, with some things changed.

    Args:
        seed: of the weights and of the noise.
        frames: the training frames, shape (n, 28, 20); of these is the mean face, and the scale.
        centre: whether the encoder sees each frame minus the mean face.
        scale: whether it sees frames divided by one number, the standard deviation of all pixels about their means.
        rate: the learning rate, in multiples of 1e-3.
        floor: the lowest log-variance of a pixel.
        heavy_tails: Student's t in place of the normal distribution.
    """
    keras.utils.set_random_seed(seed)
    posterior = vaelib.DiagonalNormal(2, seed=seed)
    likelihood = (StudentPixels if heavy_tails else vaelib.Normal)((28, 20), log_var_range=(floor, 5.0))
    mean = frames.mean(axis=0) if centre else np.zeros((28, 20), "float32")
    variance = np.full((28, 20), frames.var(axis=0).mean() if scale else 1.0)
    encoder = keras.Sequential(
        [
            keras.Input((28, 20)),
            layers.Normalization(axis=(1, 2), mean=mean, variance=variance),
            vaelib.dense_encoder((28, 20), posterior.params_size),
        ]
    )
    decoder = vaelib.dense_decoder(2, likelihood.params_size)
    vae = vaelib.VAE(encoder, decoder, posterior, likelihood, vaelib.StandardNormal(2))
    vae.compile(keras.optimizers.Adam(rate * LEARNING_RATE))
    return vae


def train_all(frames, recipe, seeds=SEEDS, epochs=EPOCHS):
    """Train one recipe from each seed and return what came of it, a dictionary of lists with one number per seed."""
    train, validation, test = (frames[slice(*block)] for block in BLOCKS.values())
    reference = recipe.get("reference", False)
    if reference:
        train = frames[: BLOCKS["test"][0]]
    vae = build(0, train, **recipe)
    results = {name: [] for name in ("test", "validation", "training", "epoch", "kl", "distance")}
    for seed in seeds:
        start_again(vae, build(seed, train, **recipe))
        keep_best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
        history = vae.fit(
            train,
            epochs=epochs,
            batch_size=BATCH_SIZE,
            validation_data=(validation, None),
            validation_batch_size=len(validation),
            callbacks=[] if reference else [keep_best],
            verbose=0,
        ).history
        epoch = epochs if reference else int(np.argmin(history["val_loss"])) + 1
        codes = vae.encode(train)
        for name, value in {
            **{name: -vae.elbo(x, NUM_SAMPLES).mean() for name, x in [("test", test), ("validation", validation)]},
            "training": -vae.elbo(train, 2).mean(),
            "epoch": epoch,
            "kl": history["kl"][epoch - 1],
            "distance": np.linalg.norm(codes.mean(axis=0)),
        }.items():
            results[name].append(round(float(value), 2))
    return results


def start_again(vae, fresh):
    """Give a model the state of a fresh one, in place: its compiled program, six seconds of work, is kept."""
    for old, new in zip(vae.variables, fresh.variables, strict=False):
        old.assign(new)
    for variable in vae.optimizer.variables:
        if variable is not vae.optimizer.learning_rate:
            variable.assign(ops.zeros_like(variable))


def segments(num_frames=1965, length=131, gap=20):
    """Cut a video into segments and hold out every third; frames near a held-out one are in neither set.

    Returns:
        (train, held_out), arrays of booleans of shape (num_frames,).
    """
    number = np.arange(num_frames)
    held_out = number // length % 3 == 1
    near = [held_out[max(i - gap, 0) : i + gap + 1].any() for i in number]
    return ~np.array(near), held_out


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m vaelib.pretrained.faces", description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="where to write; beside this file")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="how many")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    options = parser.parse_args(arguments)
    faces = load_frey_face()
    if faces.source.stand_in:
        parser.error("the figures that ship are of the real Frey Face; it was not found")
    file = options.folder / "faces.json"
    record = {
        "script": "python -m vaelib.pretrained.faces",
        "data": faces.source.name,
        "blocks": BLOCKS,
        "seeds": options.seeds,
        "unit": "nats per frame",
        "recipes": {},
    }
    if file.exists():
        record["recipes"] = json.loads(file.read_text("utf-8"))["recipes"]
    for name in options.recipes:
        if name in record["recipes"]:
            continue
        record["recipes"][name] = results = train_all(faces.frames, RECIPES[name], range(options.seeds), options.epochs)
        file.write_text(to_json(record), encoding="utf-8")
        print(f"{name}: test {np.median(results['test']):.1f}, validation {np.median(results['validation']):.1f}")


def to_json(record):
    """Return the record as JSON with one line for each recipe and quantity."""
    recipes = record["recipes"]
    text = json.dumps({**record, "recipes": {}}, indent=2)
    lines = []
    for name, results in recipes.items():
        rows = [f"      {json.dumps(key)}: {json.dumps(values)}" for key, values in results.items()]
        lines.append(f"    {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n    }")
    return text.replace('"recipes": {}', '"recipes": {\n' + ",\n".join(lines) + "\n  }") + "\n"


if __name__ == "__main__":
    main()
