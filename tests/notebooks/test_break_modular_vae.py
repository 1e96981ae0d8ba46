"""Notebook 08 proves its formulas only if each claim fails when its formula is broken."""

import pytest
from breaking import claims_of, replaced, run_until

from vaelib.model import likelihoods, posteriors, priors
from vaelib.teaching.claims import ClaimError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "08_modular_vae"
QUICK = {"num_train": 300, "num_test": 64, "hidden_units": 30, "latent_dim": 4, "epochs": 1, "num_seeds": 2}

# Pieces of the notebook's own code: (the piece, what breaks it, the claim that catches it).
SOURCES = {
    "the KL summed over the batch": (
        "self.add_loss(ops.mean(kl))",
        "self.add_loss(ops.sum(kl))",
        "it adds the batch mean of the closed form",
    ),
    "the KL layer changes what it passes on": (
        "return mu, log_var",
        "return 1.01 * mu, log_var",
        "the KL layer passes its input on",
    ),
    "black taken for white": (
        "ops.softplus(logits) - x * logits",
        "ops.softplus(logits) - (1 - x) * logits",
        "the function is SciPy's Bernoulli, with a minus",
    ),
    "noise that does not come from the input": (
        "y_pred=model([x, eps])",
        'y_pred=model([x, eps + np.random.default_rng().normal(size=eps.shape).astype("float32")])',
        "same image, same ε: the same loss, to the last bit",
    ),
    "the noise left out": (
        '[mu, layers.Multiply(name="sigma_eps")([sigma, eps])]',
        '[mu, layers.Multiply(name="sigma_eps")([sigma, 0 * eps])]',
        "another ε: another loss",
    ),
    "fewer draws than said": (
        "for e in (draws[:, :1], draws)",
        "for e in (draws[:, :1], draws[:, :4])",
        "(4) eight draws, an eighth of the variance (in logs)",
    ),
    "noise of their own for both": (
        "    loss_a - loss_b,\n    loss_a - np.roll(loss_b, 1),",
        "    loss_a - np.roll(loss_b, 1),\n    loss_a - np.roll(loss_b, 1),",
        "common noise compares better",
    ),
    "σ² for σ": (
        "layers.Rescaling(0.5",
        "layers.Rescaling(1.0",
        "same weights, same ε: the same reconstruction for each image",
    ),
}


@pytest.mark.parametrize("broken", SOURCES)
def test_a_broken_cell_breaks_its_claim(broken):
    old, new, claim = SOURCES[broken]
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, parameters=QUICK, source={old: new})


def test_broken_likelihoods_break_their_claims():
    halved = replaced(likelihoods.ContinuousBernoulli, "log_normaliser", lambda f: lambda self, p: 0.5 * f(self, p))
    no_clip = replaced(likelihoods.checks, "increasing_pair", lambda f: lambda name, value: (-99.0, 99.0))
    without_pi = replaced(posteriors, "log_prob_diagonal", lambda f: lambda x, m, v: f(x, m, v) + 0.9)
    last = "IsotropicNormal.log_prob is SciPy's"
    for breaking, claims in [
        (halved, {"ContinuousBernoulli.log_prob is SciPy's"}),
        (no_clip, {"Normal.log_prob is SciPy's"}),
        (without_pi, {"Normal.log_prob is SciPy's", last}),
    ]:
        with breaking:
            assert set(claims_of(NOTEBOOK, parameters=QUICK, last=last)[1]) == claims


def test_part_two_broken_in_many_places_breaks_many_claims():
    breaks = {
        "loss = vae.compute_loss(x=x_test, noise=noise)": "loss = reconstruction + kl",  # β forgotten
        "noise, top = eigenvalues[:-latent_dim].mean(), vectors[:, -latent_dim:]": (
            "noise, top = eigenvalues[:-latent_dim].max(), vectors[:, :latent_dim]"
        ),
        "np.log(densities @ shares)": "np.log(densities.sum(axis=-1))",
        "- (t * decoder(z_a)": "- (t * t * decoder(z_a)",
    }
    skipped = ('swap("2 dimensions"', 'swap("convolutional"', 'swap("Normal"', "Few seeds", "tilt =", "above = [")
    parameters = {**QUICK, "pca_steps": 20, "num_importance_samples": 2}
    vamp = replaced(priors.VampPrior, "log_prob", lambda f: lambda self, z, params=None: 0.9 * f(self, z))
    full = replaced(posteriors.FullNormal, "log_prob", lambda f: lambda self, z, p: -f(self, z, p))
    with vamp, full:
        failed = claims_of(NOTEBOOK, parameters=parameters, source=breaks, without=skipped)[1]
    assert {
        "(7) the logits are an affine function of z",
        "(8) it spans the first principal axes: the largest angle",
        "(8) its variance is the mean of the eigenvalues left out",
        "(9) the mixture is SciPy's",
        "(9) the VampPrior is the mean of q(z|u)",
        "(10) at β = 0.5",
        "(10) at β = 4.0",
        "FullNormal.log_prob is SciPy's",
    } <= set(failed)
