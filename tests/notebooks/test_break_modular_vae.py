"""Notebook 08 proves its formulas and its sentences only if each claim fails when what it guards is broken."""

import copy

import pytest
from breaking import claims_of, code, failing, function

from vaelib.model import likelihoods, posteriors, priors
from vaelib.widgets import parts_lab

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "08_modular_vae"
QUICK = {
    "parameters": {
        **{"num_train": 100, "num_test": 64, "hidden_units": 30, "latent_dim": 4, "epochs": 1},
        **{"num_evidence": 2, "num_pca": 300, "pca_steps": 300},
    }
}
LATER = ("sixth = seed + 5", "pca.compile")  # the cells that train, and those that need what they give


def exchanged(name, other):
    """A change: the recorded scores of two models in each other's place."""

    def change(load_rows):
        def broken(*args):
            rows = copy.deepcopy(load_rows(*args))
            for score in ("elbo", "log_p"):
                rows[name][score], rows[other][score] = rows[other][score], rows[name][score]
            return rows

        return broken

    return change


BROKEN = {
    "the KL summed over the batch": (
        code("self.add_loss(ops.mean(self.kl", "self.add_loss(ops.sum(self.kl"),
        ["it adds the batch mean", "the vector weighs as much as images in the batch"],
    ),
    "the KL layer changes what it passes on": (
        code("mean(self.kl(mu, log_var)))\n        return mu", "mean(self.kl(mu, log_var)))\n        return 1.01 * mu"),
        ["the KL layer passes its input on"],
    ),
    "black taken for white": (
        code("ops.softplus(logits) - x * logits", "ops.softplus(logits) - (1 - x) * logits"),
        ["the function is SciPy's Bernoulli, with a minus"],
    ),
    "the axis said in the sum": (
        code("add=lambda mu, eps: mu + eps", "add=lambda mu, eps: mu[:, None] + eps"),
        ["S = 8: the plain sum fails", "S = 1: it mixes the images"],
    ),
    "the right sum for the wrong one": (
        code("wrong, right = mu_some + eps_wide,", "wrong, right = mu_some[:, None] + eps_wide,"),
        ["and draw s has the mean of image s", "not that of its own image"],
    ),
    "noise that does not come from the input": (
        code(
            "y_pred=model([x, eps])",
            'y_pred=model([x, eps + np.random.default_rng().normal(size=eps.shape).astype("float32")])',
        ),
        ["same image, same ε: the same loss, to the last bit"],
    ),
    "the noise left out": (
        code("([one_axis(sigma), eps])", "([one_axis(sigma), 0 * eps])"),
        ["another ε: another loss"],
    ),
    "fewer draws than said": (
        code("for e in (draws[:, :1], draws)", "for e in (draws[:, :1], draws[:, :4])"),
        ["(4) eight draws, an eighth of the variance (in logs)"],
    ),
    "a sum over the draws": (
        code("- x * logits, axis=-1), axis=-1)", "- x * logits, axis=-1), axis=-1) * logits.shape[1]"),
        ["(4) eight draws = the average of eight single ones"],
    ),
    "noise of their own for both": (
        code("shared = loss_a - loss_b", "shared = loss_a - np.roll(loss_b, 1)"),
        ["common noise compares better"],
    ),
    "σ² for σ": (
        code("layers.Rescaling(0.5", "layers.Rescaling(1.0"),
        ["same weights, same ε: the same reconstruction for each image"],
    ),
    "a mixture without its shares": (
        code("np.log(densities @ shares)", "np.log(densities.sum(axis=-1))"),
        ["(7) the mixture is SciPy's"],
    ),
    "a VampPrior that is too narrow": (
        function(priors.VampPrior, "log_prob", lambda f: lambda self, z, params=None: 0.9 * f(self, z)),
        ["(7) the VampPrior is the mean of q(z|u)"],
    ),
    "a second layer whose q is forgotten": (
        code("return ops.reshape(log_p - log_q,", "return ops.reshape(log_p,"),
        ["(8) exp(log_prob) has the mean p(z), by quadrature"],
    ),
    "a full normal of the other sign": (
        function(posteriors.FullNormal, "log_prob", lambda f: lambda self, z, p: -f(self, z, p)),
        ["FullNormal.log_prob is SciPy's"],
    ),
    "half a normaliser": (
        function(likelihoods.ContinuousBernoulli, "log_normaliser", lambda f: lambda self, p: 0.5 * f(self, p)),
        ["(9) ContinuousBernoulli.log_prob is SciPy's"],
    ),
}
RECORDED = {
    "fifty dimensions and two": ("50 dimensions", "2 dimensions"),
    "β = 4 and the full covariance": ("β = 4", "full covariance"),
    "two densities": ("continuous Bernoulli", "Normal"),
    "the base and its rival": ("base", "50 dimensions"),
    "importance weights and half a β": ("IWAE of 5", "β = 0.5"),
    "a flow and a mixture as the prior": ("flow prior", "mixture of 20"),
    "a flow as q and a convolutional decoder": ("flow posterior", "convolutional decoder"),
}
# What is trained, and all that the recorded figures do without.
UNRECORDED = (*LATER, "train_with_noise(2)", "eps_some,", "TwoLayers", "z_some =", "full =", "OneSigma")


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_formula_is_caught(what):
    broken, guards = BROKEN[what]
    assert set(guards) <= failing(NOTEBOOK, broken, last=guards[-1], without=LATER, **QUICK)


@pytest.mark.parametrize("what", RECORDED)
def test_other_figures_than_the_recorded_ones_are_caught(what):
    broken = function(parts_lab, "load_rows", exchanged(*RECORDED[what]))
    failed = failing(NOTEBOOK, broken, without=UNRECORDED, **QUICK)
    assert any(claim.startswith("recorded") for claim in failed)


def test_the_recorded_figures_hold_when_nothing_is_exchanged():
    made, failed = claims_of(NOTEBOOK, without=UNRECORDED, **QUICK)
    assert sum(claim.startswith("recorded") for claim in made) > 30 and not failed


def test_a_model_of_pca_that_is_broken_is_caught():
    breaks = {
        "noise, top = eigenvalues[:-latent_dim].mean(), vectors[:, -latent_dim:]": (
            "noise, top = eigenvalues[:-latent_dim].max(), vectors[:, :latent_dim]"
        ),
        "best.w @ stats.ortho_group.rvs(latent_dim, random_state=rng)": "best.w",
    }
    skipped = ("sixth = seed + 5",)
    failed = set(claims_of(NOTEBOOK, source=breaks, without=skipped, **QUICK)[1])
    assert {
        "no weights beat the closed form (11)",
        "(11) its variance is the mean of the eigenvalues left out",
        "the columns span the space of the axes",
        "W's columns: nearer to right angles than after 9 of 10 rotations R",
    } <= failed
