"""Train the models that lesson 16 compares: `python -m vaelib.teaching.train_betas` (drawn faces, three minutes).

Ten seeds for each weight β of the KL, on faces whose pose and expression are known. Writes betas.json into the folder
of the pretrained weights.
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from vaelib.data.synthetic_faces import synthetic_faces
from vaelib.model import evaluation
from vaelib.model.likelihoods import IsotropicNormal
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.objectives import ELBO
from vaelib.model.posteriors import DiagonalNormal
from vaelib.model.priors import StandardNormal
from vaelib.model.vae import VAE
from vaelib.pretrained.faces import start_again
from vaelib.pretrained.weights import FOLDER
from vaelib.theory.disentanglement import binned_information, dci, linear_importance, mutual_information_gap

BETAS = (1.0, 4.0, 16.0, 64.0)
NUM_SEEDS = 10
LATENT_DIM, NOISE_VAR = 6, 0.01  # the decoder's variance s², held: it trades places with β
EPOCHS, BATCH_SIZE, LEARNING_RATE = 30, 100, 3e-3  # the rate falls to 0 along a cosine
SCORES = ("rate", "error", "mig", "disentanglement", "completeness", "pose", "expression")


def build(seed, frames, latent_dim=LATENT_DIM, epochs=EPOCHS):
    """Return an untrained VAE, 560-200-latent_dim-200-560, whose pixels are normal with the variance NOISE_VAR.

    Args:
        seed: of the weights and of the noise.
        frames: the training frames, shape (n, 28, 20); the encoder sees them minus their mean, in one scale.
        latent_dim: number of latent dimensions.
        epochs: how long the cosine of the learning rate is.
    """
    keras.utils.set_random_seed(seed)
    q, p = DiagonalNormal(latent_dim, seed=seed), IsotropicNormal(frames.shape[1:])
    p.log_var.assign(np.log(NOISE_VAR))
    p.trainable = False
    variance = np.full(frames.shape[1:], frames.var(axis=0).mean())
    encoder = keras.Sequential(
        [
            keras.Input(frames.shape[1:]),
            keras.layers.Normalization(axis=(1, 2), mean=frames.mean(axis=0), variance=variance),
            dense_encoder(frames.shape[1:], q.params_size),
        ]
    )
    decoder = dense_decoder(latent_dim, p.params_size)
    vae = VAE(encoder, decoder, q, p, StandardNormal(latent_dim), ELBO())
    steps = epochs * -(-len(frames) // BATCH_SIZE)
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)))
    return vae


def train(vae, beta, seed, faces, epochs=EPOCHS):
    """Train the model anew from this seed with this β, in place, and return its scores, a dictionary."""
    frames = faces.frames
    start_again(vae, build(seed, frames, vae.prior.event_shape[0], epochs))
    vae.objective.beta = beta
    history = vae.fit(frames, epochs=epochs, batch_size=BATCH_SIZE, verbose=0).history
    num_pixels = frames[0].size
    constant = 0.5 * num_pixels * np.log(2 * np.pi * NOISE_VAR)
    error = 2 * NOISE_VAR * (history["reconstruction"][-1] - constant)
    return {"rate": history["kl"][-1], "error": error, **scores(vae.encode(frames), faces)}


def scores(codes, faces):
    """Return how the codes, shape (n, latent_dim), line up with the pose and the expression of the faces."""
    factors = np.stack([faces.pose, faces.expression], axis=1).astype(float)
    one_sided = dci(linear_importance(codes, factors))
    return {
        "mig": mutual_information_gap(*binned_information(codes, factors)),
        **one_sided._asdict(),
        "pose": evaluation.factor_recovery(codes, factors[:, 0]),
        "expression": evaluation.factor_recovery(codes, factors[:, 1]),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m vaelib.teaching.train_betas", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--folder", type=pathlib.Path, default=FOLDER, help="where to write; that of the pretrained weights"
    )
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="how many")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="how many")
    parser.add_argument("--betas", nargs="+", type=float, default=list(BETAS))
    parser.add_argument("--frames", type=int, default=1965, help="how many")
    options = parser.parse_args(arguments)
    faces = synthetic_faces(options.frames)
    vae = build(0, faces.frames, epochs=options.epochs)
    rows = {}
    for beta in options.betas:
        runs = [train(vae, beta, seed, faces, options.epochs) for seed in range(options.seeds)]
        rows[f"{beta:g}"] = {name: [round(float(run[name]), 4) for run in runs] for name in SCORES}
        print(f"beta {beta:g}: rate {np.median(rows[f'{beta:g}']['rate']):.2f} nats", flush=True)
    record = {
        "script": "python -m vaelib.teaching.train_betas",
        "data": faces.source.name,
        "frames": options.frames,
        "latent_dim": LATENT_DIM,
        "noise_var": NOISE_VAR,
        "epochs": options.epochs,
        "seeds": options.seeds,
    }
    text = json.dumps({**record, "betas": {}}, indent=2)
    lines = []
    for beta, row in rows.items():
        columns = [f"      {json.dumps(name)}: {json.dumps(values)}" for name, values in row.items()]
        lines.append(f"    {json.dumps(beta)}: {{\n" + ",\n".join(columns) + "\n    }")
    text = text.replace('"betas": {}', '"betas": {\n' + ",\n".join(lines) + "\n  }") + "\n"
    (options.folder / "betas.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
