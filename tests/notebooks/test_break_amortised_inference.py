"""Notebook 03 claims what it shows: break a formula or the data, and the claim that guards it fails."""

import numpy as np
import pytest
from breaking import claims_of, code, function, training_remembered
from forking import Case, runs_of

from vaelib.theory import autoencoders
from vaelib.theory.autoencoders import QFit, VariationalAutoencoder

pytestmark = pytest.mark.slow

NOTEBOOK = "03_amortised_inference"
SEARCHES = "left_over = {}"  # the cell of searches of few steps: the longest
FASTER = {"parameters": {"num_fitted": 60, "encoder_budget": 30_000}}
# A question refuses an answer that is off its axis, as that of a broken formula may well be.
FIGURES = ("figures.show(", "On test images amortisation costs")


def mixed_up(fit_q):
    """A search that exchanges mu and log_var in its answer."""

    def search(*args, **named):
        q = fit_q(*args, **named)
        return QFit(q.log_var, q.mu, q.num_decoded)

    return search


def scaled_with_the_grid(log_evidence):
    return lambda self, x, points_per_dim=151: log_evidence(self, x, points_per_dim) + np.log(points_per_dim)


def too_low(log_evidence):
    return lambda self, x, points_per_dim=151: log_evidence(self, x, points_per_dim) - self.latent_dim


def at_the_mean(expected_log_likelihood):
    """log p(x|μ) where the mean of log p(x|z) belongs."""
    return lambda self, x, mu, log_var, points_per_dim=8: self.log_likelihood(x, mu)


def coarse_quadrature(gauss_hermite):
    """Nodes too far out, the more so the fewer they are."""

    def rule(num_dims, points_per_dim):
        eps, weights = gauss_hermite(num_dims, points_per_dim)
        return eps * (1 + 1 / points_per_dim), weights

    return rule


KINDS = ("training", "test", "moved")
# What is broken: how, and the claims that catch it, in the notebook's order.
BROKEN = {
    "search: mu and log_var exchanged": (
        function(VariationalAutoencoder, "fit_q", mixed_up),
        ["(1) plain search and fit_q end at the same ELBO", "a search from the encoder's answer never ends lower"],
    ),
    "log p(x): scales with the grid": (
        function(VariationalAutoencoder, "log_evidence", scaled_with_the_grid),
        ["a finer grid gives the same log p(x)", "the gap is the KL from q to the posterior"],
    ),
    "log p(x): too low": (
        function(VariationalAutoencoder, "log_evidence", too_low),
        [
            "the ELBO lies below log p(x), for every test image",
            "the gap is the KL from q to the posterior",
            "no upright ellipse closes the gap altogether",
        ],
    ),
    "reconstruction at the mean of q": (
        function(VariationalAutoencoder, "expected_log_likelihood", at_the_mean),
        ["the ELBO lies below log p(x), for every test image", "the gap is the KL from q to the posterior"],
    ),
    "posterior: the area of a cell left out": (
        code("np.log(np.sum(np.exp(log_joint)) * area)", "np.log(np.sum(np.exp(log_joint)))"),
        ["the gap is the KL from q to the posterior"],
    ),
    "quadrature: nodes too far out": (
        function(autoencoders, "gauss_hermite", coarse_quadrature),
        [f"{kind}: 8 points of quadrature are enough" for kind in KINDS],
    ),
    "first picture: an easy image": (
        code("SHOWN = 21", "SHOWN = 0"),
        ["hardly any test image pays more than the first"],
    ),
    "moved images that did not move": (
        code("moved[:, :, 0] = 0", "moved = x_test.reshape(-1, 8, 8)"),
        [
            "the encoder's centre: within one σ of the best in test, beyond it when moved",
            "drawn below: it holds less than half",
            "moved images: amortisation grows, by over 4 standard errors",
            "moved: amortisation is over four times the shape's part",
            "log p(x) of moved images is lower, nearly always",
        ],
    ),
    "drawn: moved images above": (
        code('for i in drawn]) for k in ("test", "moved"))', 'for i in drawn]) for k in ("moved", "test"))'),
        ["drawn above: the encoder's ellipse holds most", "drawn below: it holds less than half"],
    ),
    "training images: negatives": (
        code('"training": x_train,', '"training": 1 - x_train,'),
        [
            "training and test: both parts of about one size",
            "training and test: no difference beyond 2 standard errors",
        ],
    ),
    "encoders: own and unseen exchanged": (
        code("for values in (own, unseen)]", "for values in (unseen, own)]"),
        [
            "more images: worse on its own, at each step",
            "more images: better on unseen ones, at each step",
            "the two lines meet: a tenth of the distance is left",
        ],
    ),
    "encoders: one epoch": (
        code("encoder_budget // n, min(n, 50)", "1, min(n, 50)"),
        ["25 images: amortisation adds less than the shape of q costs"],
    ),
    "starts exchanged": (
        code('if start == "encoder" else', 'if start == "prior" else'),
        [f"{kind}: ahead from the encoder's answer, for five steps" for kind in ("test", "moved")],
    ),
    "searches without a step": (
        code("vae.fit_q(*each, 6, k)", "vae.fit_q(*each, 6, 0)"),
        ["moved: three steps repair most of it", "test: 0.02 nats from the best ellipse after five steps"],
    ),
    "searches from the prior that start at the encoder's answer": (
        code("vae.fit_q(x, *prior, points_per_dim=6)", "vae.fit_q(x, *vae.infer(x), points_per_dim=6)"),
        ["more searches end half a nat too low from the prior than from the encoder"],
    ),
    "a turn that stretches": (
        code("np.array([[c, -s], [s, c]]), copy", "2 * np.array([[c, -s], [s, c]]), copy"),
        ["a turned plane: the same log p(x)"],
    ),
    "a turn by nothing": (
        code("turned(np.pi / 4, x)", "turned(0.0, x)"),
        ["turned by 45°: the shape costs more, by over 4 standard errors"],
    ),
    "angles around another one": (
        code("np.linspace(-np.pi / 4, np.pi / 4, 7)", "np.linspace(0, np.pi / 2, 7)"),
        ["the mean cost is least without a turn"],
    ),
    "the worst angle for each image": (
        code("by_angle.max(axis=0)", "by_angle.min(axis=0)"),
        ["slanting saves some, and less than half"],
    ),
    "an encoder that is not narrow": (
        code("hidden_units=2)", "hidden_units=64)"),
        ["two hidden units: a larger gap, by over 4 standard errors"],
    ),
    "starts all at one place": (
        code("np.random.default_rng(seed).standard_normal((5, 2))", "np.zeros((5, 2))"),
        ["some images gain half a nat, most nothing"],
    ),
    "three starts": (
        code("*np.zeros((1, 2)), *places)", "*np.zeros((1, 2)), *places[:2])"),
        ["six starts cost about six times as much"],
    ),
}


def without(guards):
    few_steps = any("steps" in guard or "ahead" in guard or "end half" in guard for guard in guards)
    return FIGURES if few_steps else (*FIGURES, SEARCHES)


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and each of its breaks from where it matters, with what was trained for the sound one."""
    cases = [Case(broken, guards[-1], without(guards)) for broken, guards in BROKEN.values()]
    with training_remembered():
        claims_of(NOTEBOOK, without=FIGURES, **FASTER)
        return runs_of(NOTEBOOK, cases, without=FIGURES, **FASTER)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_formula_is_caught(runs, what):
    broken, guards = BROKEN[what]
    assert set(guards) <= runs.broken[broken.key]


def test_unbroken_every_claim_holds_and_each_is_guarded(runs):
    assert runs.failed == []
    assert set(runs.made) == {claim for _, guards in BROKEN.values() for claim in guards}
