"""Train the suspects of lesson 10: `python -m vaelib.teaching.train_bugs` (real MNIST, about a quarter of an hour).

Twenty models with one bug each and the right ones they are held against. Writes bug_hunt.json into vaelib/pretrained,
model by model; one that the file holds already is left as it is.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np

from vaelib.data import load_mnist
from vaelib.model import likelihoods
from vaelib.model.likelihoods import ContinuousBernoulli
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.pretrained.weights import FOLDER
from vaelib.teaching import mistakes
from vaelib.teaching.bug_hunt import FILE, packed_bytes
from vaelib.teaching.bugs import BASES, BUGS
from vaelib.teaching.diagnosis import check_learning, check_loss, check_worth

RECIPE = {
    "num_train": 10_000,
    "latent_dim": 10,
    "hidden_units": 200,
    "epochs": 30,
    "batch_size": 100,
    "learning_rate": 2e-3,
    "seed": 0,
}
# Its numbers leave the range of float32 within some tens of steps: large batches, so that a few epochs are seen.
SLOWLY = {"sign of the KL": {"num_train": 5_000, "batch_size": 1_000}}
SHOWN_IMAGES, SHOWN_CODES = 6, 250


def build(parts, recipe=RECIPE):
    """Return an untrained VAE with some parts exchanged.

    Args:
        parts: by role, the name of what takes the place of the right part, as in `vaelib.teaching.bugs`.
        recipe: dictionary with the keys of RECIPE.
    """
    keras.backend.clear_session(free_memory=False)  # each model comes and goes
    keras.utils.set_random_seed(recipe["seed"])
    chosen = {"posterior": "DiagonalNormal", "likelihood": "Bernoulli", "objective": "ELBO", **parts}
    kinds = {role: getattr(mistakes, name, None) or getattr(likelihoods, name) for role, name in chosen.items()}
    q, p = kinds["posterior"](recipe["latent_dim"], seed=recipe["seed"]), kinds["likelihood"]((28, 28))
    encoder = dense_encoder((28, 28), q.params_size, (recipe["hidden_units"],))
    decoder = dense_decoder(recipe["latent_dim"], p.params_size, (recipe["hidden_units"],))
    decoder = kinds["decoder"](decoder) if "decoder" in kinds else decoder
    prior = StandardNormal(recipe["latent_dim"])
    vae = VAE(encoder, decoder, q, p, prior, kinds["objective"]())
    vae.compile(keras.optimizers.Adam(recipe["learning_rate"]), jit_compile=False)
    return vae


def train(parts, base, train_x, test_x, labels, recipe=RECIPE):
    """Train one model, make every check, and return what is kept of it, JSON.

    Args:
        parts: as for `build`.
        base: the right model's name, a key of BASES.
        train_x, test_x: images, shape (n, 28, 28), black and white or grey as the base asks.
        labels: the classes of test_x.
        recipe: dictionary with the keys of RECIPE.
    """
    likelihood = ContinuousBernoulli((28, 28)) if base == "grey, no floor" else None
    vae = build(parts, recipe)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(vae, "stop_training", not abs(logs["val_loss"]) < 1e5)
    )
    options = {name: recipe[name] for name in ("epochs", "batch_size")}
    curves = vae.fit(train_x, validation_data=test_x, verbose=0, callbacks=[stop], **options).history
    run = mistakes.record(vae, curves, test_x, labels, likelihood=likelihood, num_images=SHOWN_IMAGES)
    checks = [*check_loss(build(parts, recipe), test_x), check_worth(vae, test_x, likelihood)]
    different = test_x[[int(np.argmax(labels == digit)) for digit in (0, 1)]]
    checks.append(check_learning(build(parts, recipe), different))
    # The two dimensions that the codes spread most in stand first: the map shows these.
    widest = np.argsort(-np.nan_to_num(run.codes.var(axis=0)), kind="stable")
    return {
        "curves": {name: np.round(run.curves[f"val_{name}"], 3).tolist() for name in ("loss", "reconstruction", "kl")},
        "worth": round(run.nelbo, 3),
        "active": run.active_units,
        "checks": {check.name: [check.passed, check.detail] for check in checks},
        "codes": packed_bytes(run.codes[:SHOWN_CODES, widest].astype("float16")),
        "images": packed_bytes((255 * np.nan_to_num(run.images[1:]).clip(0, 1) + 0.5).astype("uint8")),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m vaelib.teaching.train_bugs", description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="where to write; vaelib/pretrained")
    parser.add_argument("--names", nargs="+", help="of the bugs and right models; all by default")
    for name in ("num_train", "epochs"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=RECIPE[name])
    options = parser.parse_args(arguments)
    mnist = load_mnist()
    if mnist.source.stand_in:
        parser.error("the models that ship are of the real MNIST; it was not found")
    recipe = {**RECIPE, "num_train": options.num_train, "epochs": options.epochs}
    file = options.folder / FILE
    record = {
        "script": "python -m vaelib.teaching.train_bugs",
        "data": mnist.source.name,
        "recipe": recipe,
        "labels": mnist.y_test[:SHOWN_CODES].tolist(),
        "test": packed_bytes((255 * mnist.x_test[:SHOWN_IMAGES] + 0.5).astype("uint8")),
        "runs": json.loads(file.read_text("utf-8"))["runs"] if file.exists() else {},
    }
    grey = mnist.x_train[: recipe["num_train"]], mnist.x_test[:1000]
    black_and_white = tuple((x > 0.5).astype("float32") for x in grey)
    labels = mnist.y_test[:1000]
    jobs = {name: (parts, name) for name, parts in BASES.items()} | {bug.name: (bug.parts, bug.base) for bug in BUGS}
    for name, (parts, base) in jobs.items():
        if name in record["runs"] or (options.names and name not in options.names):
            continue
        began = time.perf_counter()
        data = black_and_white if base == "digits" else grey
        its = {**recipe, **SLOWLY.get(name, {})}
        record["runs"][name] = run = train(parts, base, data[0][: its["num_train"]], data[1], labels, its)
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(kept)}" for key, kept in record["runs"].items())
        text = json.dumps({**record, "runs": {}}, indent=1).replace('"runs": {}', '"runs": {\n' + lines + "\n  }")
        file.write_text(text + "\n", encoding="utf-8")
        failed = [check for check, (passed, _) in run["checks"].items() if not passed]
        print(f"{name}: {time.perf_counter() - began:.0f} s, worth {run['worth']:.1f}, fails {failed}", flush=True)


if __name__ == "__main__":
    main()
