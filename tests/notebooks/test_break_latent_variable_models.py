"""Notebook 01 proves its formulas only if each claim fails when its formula is broken."""

import numpy as np
import pytest
from breaking import Break, claims_of, function, training_remembered
from forking import Case, runs_of

from vaelib.theory import autoencoders, gaussian, inference
from vaelib.theory.autoencoders import VariationalAutoencoder
from vaelib.theory.toy_models import BernoulliLatent, LatentVariableModel, LinearGaussian

pytestmark = pytest.mark.slow

NOTEBOOK = "01_latent_variable_models"
QUICK = {"num_samples": 400, "most_dims": 3}
WITHOUT = ("PredictPlace(",)  # a question refuses a truth that lies off its axis


def through_code(self, original, x, out, eps):
    loss, d_out, gradients = original(self, x, out, eps)
    mu, log_var = np.split(out, 2, axis=-1)
    return loss + gaussian.kl_standard_normal(mu, log_var), d_out, gradients


# what is broken: (where, name, original -> broken, the claim that catches it)
BREAKS = {
    "black taken for white": (
        autoencoders,
        "log_prob_bernoulli",
        lambda f: lambda x, logits: f(1 - x, logits),
        "(1) equals SciPy's Bernoulli, summed over pixels",
    ),
    "a mean over the pixels": (
        autoencoders,
        "log_prob_bernoulli",
        lambda f: lambda x, logits: f(x, logits) / x.shape[-1],
        "to guess ½ for every pixel costs 64 log 2 nats, whatever the image",
    ),
    "the prior without its normaliser": (
        gaussian,
        "log_prob_standard_normal",
        lambda f: lambda z: f(z) + 0.5 * np.log(2 * np.pi),
        "(4): the 64 possible images share probability 1",
    ),
    "the likelihood of the negative": (
        BernoulliLatent,
        "log_likelihood",
        lambda f: lambda self, x, z: f(self, 1 - x, z),
        "(4): the share of draws that are this image is p(x)",
    ),
    "draws from too wide a prior": (
        BernoulliLatent,
        "sample",
        lambda f: lambda self, n, rng: f(BernoulliLatent(2 * self.w, self.b), n, rng),
        "(4): the share of draws that are this image is p(x)",
    ),
    "the posterior without the prior": (
        LatentVariableModel,
        "log_joint",
        lambda f: lambda self, x, z: self.log_likelihood(x, z),
        "(5): the z behind those draws has the posterior's mean",
    ),
    "σ for σ² in the evidence": (
        LinearGaussian,
        "log_evidence",
        lambda f: lambda self, x: f(LinearGaussian(self.w, self.b, np.sqrt(self.sigma)), x),
        "(6): the peak over w is where w² + σ² is the mean of x²",
    ),
    "the Mahalanobis distance without ½": (
        gaussian,
        "log_prob_full",
        lambda f: lambda z, mu, cov: 2 * f(z, mu, cov) - f(mu, mu, cov),
        "(6): the peak over w is where w² + σ² is the mean of x²",
    ),
    "a grid sum without the width of a cell": (
        inference,
        "evidence_by_grid",
        lambda f: lambda model, x, points_per_dim: f(model, x, points_per_dim)._replace(log_evidence=0.0),
        "log p(x) summed on the grid equals log N(x; b, WWᵀ + σ²I), dimension by dimension",
    ),
    "a count that forgets a point": (
        inference,
        "evidence_by_grid",
        lambda f: lambda model, x, points_per_dim: f(model, x, points_per_dim - 1),
        "the sum takes 17 to the power d evaluations",
    ),
    "a decoder that doubles z": (
        LinearGaussian,
        "log_likelihood",
        lambda f: lambda self, x, z: f(self, x, 2 * z),
        "(4) is also the mean of p(x|z) over draws from the prior",
    ),
    "the KL without ½": (
        gaussian,
        "kl_standard_normal",
        lambda f: lambda mu, log_var: 2 * f(mu, log_var),
        "(8) equals its definition, summed on a grid",
    ),
    "σ for σ² in the KL": (
        gaussian,
        "kl_standard_normal",
        lambda f: lambda mu, log_var: 0.5 * np.sum(mu**2 + np.exp(log_var / 2) - 1 - log_var, axis=-1),
        "(8) equals its definition, summed on a grid",
    ),
    "the KL counted twice": (
        VariationalAutoencoder,
        "_through_code",
        lambda f: lambda self, x, out, eps: through_code(self, f, x, out, eps),
        "(7) without noise and without KL is the autoencoder's loss",
    ),
    "mu and log_var swapped": (
        VariationalAutoencoder,
        "infer",
        lambda f: lambda self, x: f(self, x)[::-1],
        "who shares a place is the same digit, far above the one in ten of chance",
    ),
    "a posterior without its prior": (
        LatentVariableModel,
        "log_joint",
        lambda f: lambda self, x, z: self.log_likelihood(x, z),
        "the posterior's peak lies between those of the prior and of the likelihood",
    ),
    "a decoder that bends": (
        BernoulliLatent,
        "log_likelihood",
        lambda f: lambda self, x, z: f(self, x, 2 * z**2 - 3),
        "no toy of 100 has a log posterior that bends upwards",
    ),
}


# pieces of the notebook's own code
SOURCES = {
    "two numbers take off more than half of the price of knowing nothing": {
        "(x_test, model.encode(x_test))": "(x_test, model.encode(x_test[::-1]))"
    },
    "the further numbers take off some more, and less than the first two did": {
        "price(autoencoder), price(wide_autoencoder)": "price(wide_autoencoder), price(autoencoder)"
    },
    "the wider bottleneck's images are nearer to the originals": {
        "for m in (autoencoder, wide_autoencoder)]\noff": "for m in (wide_autoencoder, autoencoder)]\noff"
    },
    "through two numbers most images stay the digit they were, through more nearly all": {
        "y_train[cdist(images, x_train).argmin(axis=1)]": "y_train[cdist(images, x_train).argmax(axis=1)]"
    },
    "(2): codes moved by A, every image's loss the same": {"np.linalg.inv(stretch) @": "stretch @"},
    "(2): most images get another nearest neighbour": {"[[30.0, 5.0], [0.0, 0.01]]": "[[30.0, 0.0], [0.0, 30.0]]"},
    "z = 0 lights three pixels on average": {"b=np.linspace(4, -4, 6)": "b=np.linspace(4, -3, 6)"},
    "the larger z, the longer the stroke": {"w=2.5 * np.ones(6)": "w=2.5 * np.array([1, 1, 1, -1, -1, -1])"},
    "(6): the peaks of 200 data sets lie around their w": {"axis=(-2, -1)) - 0.5**2": "axis=(-2, -1)) - 0.5"},
    "their spread is the Cramér–Rao bound for 400 examples": {"model.sample(400, rng)[0]": "model.sample(200, rng)[0]"},
    "of 1,000 draws from the wide VAE's prior, a few dozen count for an image": {
        "wide_vae.log_likelihood(image, z)": "0.1 * wide_vae.log_likelihood(image, z)"
    },
    "most of the autoencoder's codes lie in their lowest third, few of the VAE's": {
        "height < height.min() + np.ptp(height) / 3": "height > height.max() - np.ptp(height) / 3"
    },
    "the VAE's codes: mean within 0.1 of 0, spread within 0.1 of 1": {
        "codes = vae.encode(x_train)\noff": "codes = autoencoder.encode(x_train)\noff"
    },
    "the autoencoder's spread by more than 2 in each direction": {"wider = autoencoder.": "wider = vae."},
    "a turned plane gives the same log p(x)": {"np.array(turn) @": "2 * np.array(turn) @"},
    "as many share a place as e^KL leaves them to, within a factor of two": {
        "share /= share.sum(axis=1, keepdims=True)": "share = np.eye(len(share))"
    },
    "and looks alike: nearer to the decoded image than any two images are": {
        "share /= share.sum(axis=1, keepdims=True)": "share = (1 - share) / (1 - share).sum(axis=1, keepdims=True)"
    },
    "two numbers, the autoencoder's own normal: nine in ten": {"+ z @ np.linalg": "+ 3 * z @ np.linalg"},
    "with the wide code fewer, by over 4 standard errors": {
        "trained(Autoencoder, wide_latent_dim, seed)": "trained(Autoencoder, 2, seed)"
    },
    "from the prior hardly any, with the wide code": {
        "trained(Autoencoder, wide_latent_dim, seed)": "trained(Autoencoder, 2, seed)"
    },
    "the VAE's: nearly all, narrow or wide": {"        return z\n": "        return 5 * z\n"},
    "the VAE's images are softer: less far from grey": {"np.abs(images - 0.5)": "-np.abs(images - 0.5)"},
    "the autoencoder reconstructs better: the VAE's order has a price": {"prices = [price(m)": "prices = [price(vae)"},
    "the autoencoder: two thirds of the places": {"mean + std * places": "mean + 3 * std * places"},
    "the VAE: nearly all": {"mean + std * places": "mean + 10 * std * places"},
    "the autoencoder has no codes at the start": {"std * [0.5, -3.0]": "std * [0.5, -1.0]"},
    "its image there is over three times too far from data, the VAE's is not too far": {
        "std * [0.5, -3.0]": "std * [0.5, -1.0]"
    },
    "p(111000) is the share of draws that are 111000": {"joint_yours.sum() * step": "joint_yours.sum() / 20"},
    "with 16 numbers the autoencoder gets fewer than with the lab's two": {"(sixteen, False)": "(vae, True)"},
    "the VAE gets nearly all": {"(sixteen_vae, True)": "(sixteen, True)"},
    "in the others q is nearly the prior": {"- 1])[:, idle]": "- 1])[:, ~idle]"},
    "halfway adds fewer nats in the wide VAE, by over 4 standard errors": {
        "pair = wide_autoencoder, wide_vae": "pair = wide_vae, wide_autoencoder"
    },
    "with z² in the logits there are two peaks": {"2 * grid[:, None] ** 2 - 3": "2 * grid[:, None] - 3"},
}


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and each of its breaks from where it matters: from the good networks, and in no time."""
    cases = [Case(function(*what), claim, WITHOUT) for *what, claim in BREAKS.values()]
    cases += [Case(Break(claim, source=source, key=claim), claim, WITHOUT) for claim, source in SOURCES.items()]
    with training_remembered():
        claims_of(NOTEBOOK, parameters=QUICK, without=WITHOUT)
        return runs_of(NOTEBOOK, cases, parameters=QUICK, without=WITHOUT)


def test_the_sound_notebook_makes_its_claims(runs):
    assert not runs.failed
    assert len(runs.made) == len(set(runs.made)) >= 45


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_formula_breaks_its_claim(runs, broken):
    *key, claim = BREAKS[broken]
    assert claim in runs.broken[tuple(key)]


@pytest.mark.parametrize("claim", SOURCES)
def test_a_broken_cell_breaks_its_claim(runs, claim):
    assert claim in runs.broken[claim]
