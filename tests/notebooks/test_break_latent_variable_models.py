"""Notebook 01 proves its formulas only if each claim fails when its formula is broken."""

import hashlib
import pickle

import numpy as np
import pytest
from breaking import claims_of, replaced, run_until

from vaelib.teaching.claims import ClaimError
from vaelib.theory import autoencoders, gaussian, inference
from vaelib.theory.autoencoders import Autoencoder, QFit, VariationalAutoencoder
from vaelib.theory.toy_models import BernoulliLatent, LatentVariableModel, LinearGaussian

pytestmark = pytest.mark.slow

NOTEBOOK = "01_latent_variable_models"
QUICK = {"epochs": 80, "num_fitted": 40, "most_dims": 3, "encoder_budget": 12_000}


@pytest.fixture(scope="module")
def train_once():
    """Keep what the sound notebook trained: a broken one then starts from good networks, and in no time."""
    kept, fit = {}, Autoencoder.fit

    def remembered(self, x, *args, rng=None, **settings):
        if rng is None:
            *args, rng = args
        state = (type(self).__name__, self.weights, x, args, settings, rng.bit_generator.state)
        key = hashlib.sha256(pickle.dumps(state)).hexdigest()
        if key not in kept:
            kept[key] = (fit(self, x, *args, rng=rng, **settings), [w.copy() for w in self.weights])
        losses, weights = kept[key]
        self.weights = [w.copy() for w in weights]
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Autoencoder, "fit", remembered)
        made, failed = claims_of(NOTEBOOK, parameters=QUICK)
        assert not failed
        yield made


def test_the_sound_notebook_makes_its_claims(train_once):
    assert len(train_once) == len(set(train_once)) >= 20


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
    "the gradient of the code with the wrong sign": (
        Autoencoder,
        "_reconstruction",
        lambda f: lambda self, x, z: tuple(s * v for s, v in zip((1, -1, 1), f(self, x, z), strict=True)),
        "the autoencoder's gradients by hand equal finite differences",
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
    "the KL's gradient without ½": (
        gaussian,
        "kl_standard_normal_gradient",
        lambda f: lambda mu, log_var: (mu, np.expm1(log_var)),
        "the VAE's gradients by hand equal finite differences",
    ),
    "σ² for σ in the draw": (
        gaussian,
        "sample_diagonal",
        lambda f: lambda mu, log_var, eps: f(mu, 2 * log_var, eps),
        "the VAE's gradients by hand equal finite differences",
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
    "a sum that scales with the grid": (
        VariationalAutoencoder,
        "log_evidence",
        lambda f: lambda self, x, points_per_dim=151: f(self, x, points_per_dim) + np.log(points_per_dim),
        "a finer grid gives the same log p(x)",
    ),
    "the KL with the wrong sign": (
        VariationalAutoencoder,
        "elbo",
        lambda f: lambda self, x, mu, log_var: f(self, x, mu, log_var) + 2 * gaussian.kl_standard_normal(mu, log_var),
        "(9): for every test image the loss is above −log p(x)",
    ),
    "the expectation taken at the mean": (
        VariationalAutoencoder,
        "expected_log_likelihood",
        lambda f: lambda self, x, mu, log_var: self.log_likelihood(x, mu),
        "(9): for every test image the loss is above −log p(x)",
    ),
    "a search that mixes up its answers": (
        VariationalAutoencoder,
        "fit_q",
        lambda f: lambda *args, **named: (lambda q: QFit(q.log_var, q.mu, q.num_decoded))(f(*args, **named)),
        "a search from the network's answer never ends lower",
    ),
    "an evidence below the bound": (
        VariationalAutoencoder,
        "log_evidence",
        lambda f: lambda self, x, points_per_dim=151: f(self, x, points_per_dim) - self.latent_dim,
        "no normal q closes the gap altogether",
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_formula_breaks_its_claim(broken, train_once):
    target, name, change, claim = BREAKS[broken]
    with replaced(target, name, change), pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, parameters=QUICK)


# pieces of the notebook's own code
SOURCES = {
    "(2): codes moved by A, every image's loss the same": {"np.linalg.inv(stretch) @": "stretch @"},
    "(2): most images get another nearest neighbour": {"[[30.0, 5.0], [0.0, 0.01]]": "[[30.0, 0.0], [0.0, 30.0]]"},
    "z = 0 lights three pixels on average": {"b=np.linspace(4, -4, 6)": "b=np.linspace(4, -3, 6)"},
    "(6): the peaks of 200 data sets lie around their w": {"axis=(1, 2)) - 0.5**2": "axis=(1, 2)) - 0.5"},
    "more of the VAE's plane than of the autoencoder's decodes to something like data": {
        "codes.std(axis=0) * places": "(10 if name == 'VAE' else 1) * codes.std(axis=0) * places"
    },
    "a turned plane gives the same log p(x)": {"np.array(turn) @": "2 * np.array(turn) @"},
    "more of the VAE's draws look like data, by over 4 standard errors": {
        "model.decode(noise)": "model.decode(5 * noise)"
    },
    "the network is worst where it has seen nothing alike": {"moved[:, :, 0] = 0": "moved = as_images(x_test)"},
}


@pytest.mark.parametrize("claim", SOURCES)
def test_a_broken_cell_breaks_its_claim(claim, train_once):
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, parameters=QUICK, source=SOURCES[claim])
