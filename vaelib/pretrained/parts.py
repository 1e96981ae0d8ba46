"""Train the models that lesson 08 compares: `python -m vaelib.pretrained.parts` (real MNIST, about half an hour).

A base, and swaps of one part each, from five seeds on the same digits. Writes parts.json beside this file, row by row;
a row that the file holds already is left as it is.
"""

import argparse
import base64
import functools
import io
import json
import pathlib

import vaelib  # first: it keeps TensorFlow's start-up messages off the screen

import keras  # isort: skip
import numpy as np
from keras import ops
from PIL import Image

from vaelib.data import load_mnist
from vaelib.model.distributions import as_shape
from vaelib.model.priors import Prior
from vaelib.pretrained.faces import start_again
from vaelib.pretrained.weights import FOLDER

LATENT_DIM = 10
NUM_TRAIN, NUM_TEST = 10_000, 500  # the first of each set
EPOCHS, BATCH_SIZE, LEARNING_RATE = 8, 100, 3e-3  # the rate falls to 0 along a cosine
NUM_SEEDS = 5
NUM_ELBO, NUM_EVIDENCE = 20, 200  # draws of z per digit
DRAWS = NUM_ELBO, NUM_EVIDENCE
NUM_SAMPLES = 8  # images that are kept
TRAIN_INK, TEST_INK = 1, 2  # seeds of the draws that make the digits black and white, the same for every model
SOCKETS = ("network", "q(z|x)", "p(x|z)", "p(z)", "objective")


class SeveralDraws(vaelib.ELBO):
    """The negative ELBO from the mean of several draws of z per example: the same objective, with less noise.

    Source: Kingma and Welling 2014, equation 7, with L draws.
    """

    def __init__(self, num_draws=8, **kwargs):
        super().__init__(**kwargs)
        self.num_draws = num_draws

    def noise(self, vae, num_examples):
        return vae.posterior.noise((self.num_draws, num_examples))

    def losses(self, vae, x, y=None, noise=None, training=False):
        noise = self.noise(vae, ops.shape(x)[0]) if noise is None else noise
        terms = super().losses(vae, x, y, noise, training)
        return {name: ops.mean(term, axis=0) if len(term.shape) == 2 else term for name, term in terms.items()}


class TwoLayers(Prior):
    """A prior that is a VAE of codes: z₂ ~ N(0, I), then z ~ p(z|z₂); a second stochastic layer above the first.

    The log-density is estimated at one draw of z₂ from q(z₂|z). Its exponential has the mean p(z), so that the ELBO
    stays a bound and importance sampling stays right.
    Source: Rezende, Mohamed and Wierstra 2014, section 3, with q of Burda, Grosse and Salakhutdinov 2016, equation 3.
    """

    def __init__(self, event_shape, top_dim=5, hidden_units=50, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        # Each draws noise of its own: with one seed for all, z2 and the noise of z would be the same numbers.
        self.top, self.q = vaelib.StandardNormal(top_dim), vaelib.DiagonalNormal(top_dim)
        self.p = vaelib.DiagonalNormal(event_shape)
        self.up = vaelib.dense_encoder(event_shape, self.q.params_size, hidden_units, name="up")
        self.down = vaelib.dense_decoder(top_dim, self.p.params_size, hidden_units, name="down")

    def sample(self, params=None, noise=None, num=()):
        top = ops.reshape(self.top.sample(num=num), (-1, self.top.num_values))
        return ops.reshape(self.p.sample(self.down(top)), (*as_shape(num), *self.event_shape))

    def log_prob(self, value, params=None):
        rows = ops.reshape(self.flat(value), (-1, self.num_values))
        top, log_q = self.q.sample_and_log_prob(self.up(rows))
        log_p = self.p.log_prob(rows, self.down(top)) + self.top.log_prob(top)
        return ops.reshape(log_p - log_q, ops.shape(value)[:-1])


# What stands in a socket: a function of what it needs to know. The base's own parts first.
dense_encoder, dense_decoder = vaelib.dense_encoder, vaelib.dense_decoder


def conv_encoder(data_shape, params_size):
    return vaelib.conv_encoder(data_shape, params_size, filters=(8, 16))


def conv_decoder(latent_dim, params_size):
    return vaelib.conv_decoder(latent_dim, (28, 28), params_size, filters=(16, 8))


def swap(socket, before, after, grey=False, **changes):
    """Return one swap: its socket, the line of code before and after, and what `build` is told."""
    return {"socket": socket, "code": [before, after], "grey": grey, "changes": changes}


ENCODER, DECODER = "encoder=dense_encoder((28, 28), 20)", "decoder=dense_decoder(10, 784)"
POSTERIOR, LIKELIHOOD, PRIOR = (
    "posterior=DiagonalNormal(10)",
    "likelihood=Bernoulli((28, 28))",
    "prior=StandardNormal(10)",
)
OBJECTIVE = "objective=ELBO()"
linear_encoder, linear_decoder = (functools.partial(part, hidden_units=()) for part in (dense_encoder, dense_decoder))
NETWORK, Q, PIXELS, CODES, GOAL = SOCKETS
CONV_ENCODER = "encoder=conv_encoder((28, 28), 20, filters=(8, 16))"
LINEAR_ENCODER, LINEAR_DECODER = (
    "encoder=dense_encoder((28, 28), 20, hidden_units=())",
    "decoder=dense_decoder(10, 784, hidden_units=())",
)
CONV_DECODER = "decoder=conv_decoder(10, (28, 28), 784, filters=(16, 8))"
PLANAR = "posterior=Transformed(DiagonalNormal(10), [PlanarFlow() for _ in range(4)])"
COUPLED = "prior=Transformed(StandardNormal(10), [CouplingFlow(reverse=i % 2) for i in range(4)])"
CONTINUOUS = "likelihood=ContinuousBernoulli((28, 28))"


def vamp_prior(latent_dim, seed):
    return vaelib.VampPrior(latent_dim, 50, seed=seed)


def mixture_prior(latent_dim, seed):
    return vaelib.MixturePrior(latent_dim, 20, seed=seed)


def planar_posterior(latent_dim, seed):
    base = vaelib.DiagonalNormal(latent_dim, seed=seed)
    return vaelib.Transformed(base, [vaelib.PlanarFlow() for _ in range(4)], seed=seed)


def coupled_prior(latent_dim, seed):
    base = vaelib.StandardNormal(latent_dim, seed=seed)
    return vaelib.Transformed(base, [vaelib.CouplingFlow(reverse=i % 2, seed=seed + i) for i in range(4)], seed=seed)


SWAPS = {
    "base": swap("", "", ""),
    "50 dimensions": swap(CODES, PRIOR, "prior=StandardNormal(50)", latent_dim=50),
    "β = 4": swap(GOAL, OBJECTIVE, "objective=ELBO(beta=4)", objective=lambda: vaelib.ELBO(4.0)),
    "full covariance": swap(Q, POSTERIOR, "posterior=FullNormal(10)", posterior=vaelib.FullNormal),
    "2 dimensions": swap(CODES, PRIOR, "prior=StandardNormal(2)", latent_dim=2),
    "linear decoder": swap(NETWORK, DECODER, LINEAR_DECODER, decoder=linear_decoder),
    "8 draws": swap(GOAL, OBJECTIVE, "objective=SeveralDraws(8)", objective=SeveralDraws),
    "VampPrior of 50": swap(CODES, PRIOR, "prior=VampPrior(10, 50)", prior=vamp_prior),
    "two stochastic layers": swap(CODES, PRIOR, "prior=TwoLayers(10)", prior=TwoLayers),
    "base on grey": swap("", "", "", grey=True),
    "continuous Bernoulli": swap(PIXELS, LIKELIHOOD, CONTINUOUS, True, likelihood=vaelib.ContinuousBernoulli),
    "Normal": swap(PIXELS, LIKELIHOOD, "likelihood=Normal((28, 28))", True, likelihood=vaelib.Normal),
    "convolutional encoder": swap(NETWORK, ENCODER, CONV_ENCODER, encoder=conv_encoder),
    "linear encoder": swap(NETWORK, ENCODER, LINEAR_ENCODER, encoder=linear_encoder),
    "IWAE of 5": swap(GOAL, OBJECTIVE, "objective=IWAE(5)", objective=lambda: vaelib.IWAE(5)),
    "β = 0.5": swap(GOAL, OBJECTIVE, "objective=ELBO(beta=0.5)", objective=lambda: vaelib.ELBO(0.5)),
    "mixture of 20": swap(CODES, PRIOR, "prior=MixturePrior(10, 20)", prior=mixture_prior),
    "flow prior": swap(CODES, PRIOR, COUPLED, prior=coupled_prior),
    "flow posterior": swap(Q, POSTERIOR, PLANAR, posterior=planar_posterior),
    "convolutional decoder": swap(NETWORK, DECODER, CONV_DECODER, decoder=conv_decoder),
}


def build(
    seed,
    *,
    encoder=dense_encoder,
    decoder=dense_decoder,
    posterior=vaelib.DiagonalNormal,
    likelihood=vaelib.Bernoulli,
    prior=vaelib.StandardNormal,
    objective=vaelib.ELBO,
    latent_dim=LATENT_DIM,
    num_steps=NUM_TRAIN // BATCH_SIZE * EPOCHS,
):
    """Return an untrained VAE: 784-200-10-200-784, Bernoulli pixels, a standard normal prior; but for what is swapped.

    Args:
        seed: of the weights, of the noise and of the order of the data.
        encoder, decoder, posterior, likelihood, prior, objective: functions that make the parts.
        latent_dim: number of latent dimensions.
        num_steps: over which the learning rate falls to 0.
    """
    keras.utils.set_random_seed(seed)
    q, p = posterior(latent_dim, seed=seed), likelihood((28, 28), seed=seed)
    networks = encoder((28, 28), q.params_size), decoder(latent_dim, p.params_size)
    vae = vaelib.VAE(*networks, q, p, prior(latent_dim, seed=seed), objective())
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, num_steps)))
    return vae


def black_and_white(images, seed):
    """Return one draw of each pixel, 1 with its grey value as the probability."""
    return (np.random.default_rng(seed).random(images.shape) < images).astype("float32")


def seed_again(part, seed):
    """Let a posterior or a prior draw what a new one with this seed would draw."""
    generator = getattr(part, "base", part).seed_generator  # a flow's noise is its base's
    generator.state.assign(keras.random.SeedGenerator(seed).state)


def judge(vae, x, seed, num_elbo=NUM_ELBO, num_evidence=NUM_EVIDENCE):
    """Return the ELBO and log p(x) of each digit, nats, (2, n), from draws that another model with this noise shares.

    Grey digits are judged by a density: where a Bernoulli was trained on them, by the continuous Bernoulli of the same
    logits.
    """
    keras.utils.set_random_seed(seed)
    if not np.isin(x, (0, 1)).all() and isinstance(vae.likelihood, vaelib.Bernoulli):
        density = vaelib.ContinuousBernoulli(vae.data_shape)
        vae = vaelib.VAE(vae.encoder, vae.decoder, vae.posterior, density, vae.prior)
    seed_again(vae.posterior, seed)
    return np.stack([vae.elbo(x, num_elbo), vae.log_evidence(x, num_evidence)])


def train_all(
    name, x_train, x_test, num_seeds=NUM_SEEDS, epochs=EPOCHS, reference=None, draws=(NUM_ELBO, NUM_EVIDENCE)
):
    """Train one swap from each seed.

    Args:
        name: of the swap.
        x_train, x_test: grey images, (n, 28, 28).
        num_seeds, epochs: how many.
        reference: the row of the base that it is compared with, or nothing for a base.
        draws: of z per digit, for the ELBO and for log p(x).

    Returns:
        A row of parts.json, a dictionary.
    """
    its = SWAPS[name]
    make = functools.partial(build, num_steps=-(-len(x_train) // BATCH_SIZE) * epochs, **its["changes"])
    if not its["grey"]:
        x_train, x_test = black_and_white(x_train, TRAIN_INK), black_and_white(x_test, TEST_INK)
    vae, values, active = make(0), [], []
    for seed in range(num_seeds):
        start_again(vae, make(seed))
        vae.fit(x_train, epochs=epochs, batch_size=BATCH_SIZE, verbose=0)
        values.append(judge(vae, x_test, seed, *draws))
        active.append(int(vaelib.evaluation.active_units(vae, x_test).sum()))
        if seed == 0:
            keras.utils.set_random_seed(seed)
            seed_again(vae.prior, seed)
            samples = vae.generate(NUM_SAMPLES)
    digits = np.mean(values, axis=0)
    row = {key: its[key] for key in ("socket", "code", "grey")}
    row |= {key: np.round(np.mean(values, axis=2)[:, k], 3).tolist() for k, key in enumerate(("elbo", "log_p"))}
    if reference is not None:
        differences = digits - np.array([reference["digits"][key] for key in ("elbo", "log_p")])
        row["digits_error"] = np.round(differences.std(axis=1, ddof=1) / np.sqrt(len(x_test)), 3).tolist()
    row |= {"active": active, "weights": sum(int(np.prod(w.shape)) for w in vae.trainable_weights)}
    row["samples"] = as_png(samples)
    if reference is None:
        row["digits"] = {key: np.round(digits[k], 2).tolist() for k, key in enumerate(("elbo", "log_p"))}
    return row


def as_png(images):
    """Return images (n, h, w) beside each other as one PNG of 16 greys, base64."""
    greys = np.round(15 * np.concatenate(list(images), axis=1)).astype("uint8")
    picture, file = Image.fromarray(17 * greys).quantize(16), io.BytesIO()
    picture.save(file, "PNG", optimize=True, bits=4)
    return base64.b64encode(file.getvalue()).decode()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m vaelib.pretrained.parts", description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER, help="where to write; beside this file")
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="how many")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="how many")
    parser.add_argument("--train", type=int, default=NUM_TRAIN, help="how many digits to train on")
    parser.add_argument("--swaps", nargs="+", default=list(SWAPS), choices=list(SWAPS))
    options = parser.parse_args(arguments)
    mnist = load_mnist()
    if mnist.source.stand_in:
        parser.error("the figures that ship are of the real MNIST; it was not found")
    file = options.folder / "parts.json"
    record = {
        "script": "python -m vaelib.pretrained.parts",
        "data": mnist.source.name,
        "train": options.train,
        "test": NUM_TEST,
        "epochs": options.epochs,
        "seeds": options.seeds,
        "draws": {"elbo": NUM_ELBO, "log_p": NUM_EVIDENCE},
        "unit": "nats per digit",
        "rows": json.loads(file.read_text("utf-8"))["rows"] if file.exists() else {},
    }
    for name in options.swaps:
        if name in record["rows"]:
            continue
        base = "base on grey" if SWAPS[name]["grey"] else "base"
        reference = None if name == base else record["rows"][base]
        data = mnist.x_train[: options.train], mnist.x_test[:NUM_TEST]
        record["rows"][name] = row = train_all(name, *data, options.seeds, options.epochs, reference)
        keras.backend.clear_session()
        file.write_text(to_json(record), encoding="utf-8")
        print(f"{name}: ELBO {np.mean(row['elbo']):.2f}, log p(x) {np.mean(row['log_p']):.2f}", flush=True)


def to_json(record):
    """Return the record as JSON, one line for each quantity of a row."""
    text = json.dumps({**record, "rows": {}}, indent=2)
    rows = []
    for name, row in record["rows"].items():
        lines = [f"      {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in row.items()]
        rows.append(f"    {json.dumps(name, ensure_ascii=False)}: {{\n" + ",\n".join(lines) + "\n    }")
    return text.replace('"rows": {}', '"rows": {\n' + ",\n".join(rows) + "\n  }") + "\n"


if __name__ == "__main__":
    main()
