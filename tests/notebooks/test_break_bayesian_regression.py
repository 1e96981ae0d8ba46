"""Notebook 11: break each formula by hand, and see the claim that guards it fail."""

import re

import numpy as np
import pytest
from breaking import ClaimError, claims_of, replaced, run_until

import vaelib
from vaelib.model import objectives
from vaelib.theory import gaussian, mcmc, regression
from vaelib.theory.regression import LogisticRegression, SoftmaxRegression
from vaelib.widgets import regression_lab

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "11_bayesian_regression"

LINEAR_ELBO = "(7), FullNormal: ELBO = log p(y) − KL(q‖p(w|y))"
TOWARDS_HALF = "averaging moves every probability towards ½, none past it"
BETTER_SCORE = "if the model is right, the average has the better log score"
BEYOND = "20 cases: the exact mean lies beyond Laplace's, away from the origin"
LENGTH = "20 cases: the diagonal q gives away most of the length, the full one little"
SCALED = "(11): scaled by N/B, the batches average to log p(y|w)"


def scaled(factor):
    """Put factor times the result in place of the result: a wrong sign, a missing ½."""
    return lambda function: lambda *args, **kwargs: factor * function(*args, **kwargs)


def plus_one(function):
    return lambda *args, **kwargs: 1.0 + function(*args, **kwargs)


def without_prior(gradient):
    return lambda self, w: gradient(self, w) + w


def without_prior_curvature(hessian):
    return lambda self, w: hessian(self, w) + np.eye(self.latent_dim)


def changed(**fields):
    """Put a named tuple in place of the result, with these fields changed by functions."""

    def change(function):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            return result._replace(**{name: f(getattr(result, name)) for name, f in fields.items()})

        return call

    return change


def evidence_of_the_cell_size(grid):
    def call(model, num=201, half_width=8.0):
        result = grid(model, num, half_width)
        return result._replace(log_evidence=result.log_evidence + 1 / num)

    return call


def at_the_top(fit):
    return lambda model, family="full": fit(model, family)._replace(mean=regression.laplace(model).mean)


def marginals_of_the_posterior(fit):
    def call(model, family="full"):
        factor = np.diag(1.05 * np.sqrt(np.diag(fit(model).cov)))
        diagonal = fit(model, family)._replace(cov=factor**2, factor=factor)
        return fit(model) if family == "full" else diagonal

    return call


def a_chain_elsewhere(w):
    w = w.copy()
    w[0] += 3
    return w


BROKEN_FUNCTIONS = [
    # where, what, how, the claim that catches it
    (LogisticRegression, "log_likelihood", scaled(-1), "(2) in NumPy equals SciPy's Bernoulli"),
    (vaelib.Bernoulli, "log_prob", scaled(1 / 40), "the VAE's reconstruction is −log p(y|w)"),
    (objectives, "kl_divergence", plus_one, "before training q is the prior: KL = 0"),
    (
        regression,
        "posterior_on_grid",
        evidence_of_the_cell_size,
        "(3): half as many grid points, the same log p(y)",
    ),
    (
        regression,
        "posterior_on_grid",
        changed(log_evidence=lambda e: e + 0.1),
        "(3): p(y|w) / p(y) averages to 1 under the prior",
    ),
    (LogisticRegression, "elbo", plus_one, "(1), full: ELBO + KL = log p(y)"),
    (LogisticRegression, "elbo", scaled(1.01), "(1), diagonal: ELBO + KL = log p(y)"),
    (regression, "laplace", changed(mean=lambda w: 0.99 * w), "Laplace stands on the top"),
    (regression, "fit_gaussian", at_the_top, "the full q's mean is nearer to the exact mean than the top is"),
    (regression, "fit_gaussian", marginals_of_the_posterior, "the diagonal q is too narrow in both weights"),
    (regression, "fit_gaussian", marginals_of_the_posterior, "(6): 1/σ² is the average curvature of each weight alone"),
    (LogisticRegression, "gradient", without_prior, "(5): no average slope under the full q"),
    (LogisticRegression, "gradient", without_prior, "(6): no average slope under the diagonal q"),
    (LogisticRegression, "hessian", without_prior_curvature, "(5): Σ⁻¹ is the average curvature"),
    (regression_lab, "laplace", changed(mean=lambda w: 1.2 * w), BEYOND),
    (regression_lab, "fit_gaussian", lambda fit: lambda model, family: fit(model, "full"), LENGTH),
    (gaussian, "kl_full", plus_one, LINEAR_ELBO),
    (mcmc, "hmc", changed(w=lambda w: 1.05 * w), "two weights: MCMC means = quadrature"),
    (mcmc, "hmc", changed(w=lambda w: w + 0.1 * (w - w.mean((0, 1)))), "two weights: MCMC variances = quadrature"),
    (mcmc, "hmc", changed(w=a_chain_elsewhere), "five weights: the chains agree, R-hat < 1.01"),
    (mcmc, "effective_sample_size", scaled(0.01), "five weights: they are worth at least 1,000 independent draws"),
    (vaelib.VAE, "log_evidence", scaled(1.2), "(9): and vae.log_evidence gives it too"),
    (mcmc, "hmc", changed(w=lambda w: w + 1.0), "(8), full: mean and covariance against MCMC"),
    (regression, "moment_distance", scaled(20), "(8), diagonal: mean and covariance against MCMC"),
    (mcmc, "hmc", changed(w=lambda w: 1.05 * w), "weighted draws of q: the posterior means of MCMC"),
    (SoftmaxRegression, "log_likelihood", scaled(1 / 150), "(12): and so does the model in NumPy"),
    (mcmc, "hmc", changed(w=a_chain_elsewhere), "nine weights: the chains agree, R-hat < 1.01"),
    (mcmc, "hmc", changed(w=lambda w: w + 0.1), "along the invisible sums MCMC has mean 0"),
]  # fmt: skip

BROKEN_CODE = [
    # a piece of the notebook's code, a wrong one in its place, the claim that catches it
    ("    X.T, vaelib.Bernoulli((num", "    -X.T, vaelib.Bernoulli((num", "the VAE's reconstruction is −log p(y|w)"),
    ("np.eye(num_cases) + X @ X.T\n", "X @ X.T + 2 * np.eye(num_cases)\n", LINEAR_ELBO),
    ("precision = np.eye(2) + X.T @ X", "precision = X.T @ X", "(7), DiagonalNormal: ELBO = log p(y) − KL(q‖p(w|y))"),
    ("- np.log(len(log_w)), ratio", ", ratio", "(9): and vae.log_evidence gives it too"),
    ("model.log_joint(w) - log_p", "model.log_likelihood(w) - log_p", "(9): and vae.log_evidence gives it too"),
    ("share = softmax(log_w)", "share = softmax(-2 * log_w)", "and the posterior variances of MCMC"),
    ("model.predict(w_pairs, X_held).mean", "model.predict(2 * w_pairs, X_held).mean", TOWARDS_HALF),
    ("few), log_w[:20_000], by", "1.1 * few), log_w[:20_000], by", "(10): weighted draws of q predict as MCMC does"),
    ("np.log(averaged / plug_in)", "np.log(plug_in / averaged)", BETTER_SCORE),
    ("    N / B * part.mean(axis=0),\n", "    part.mean(axis=0),\n", SCALED),
    ("(-part + its_kl).mean", "(-part + B / N * its_kl).mean", "forgotten: the loss of β = N/B, in other units"),
    ("axis=(-2, -1))", "axis=(-2, -1)) / 150", "(12): the new part equals SciPy's softmax"),
    ("np.kron(X_iris.T, np.eye(3))", "np.kron(np.eye(3), X_iris.T)", "(12): the new part equals SciPy's softmax"),
    ("np.ones((3, 1)) / np.sqrt(3)", "np.eye(3)[:, :1]", "the likelihood does not see the sum over classes"),
    ("np.ones((3, 1)) / np.sqrt(3)", "np.eye(3)[:, :1]", "along the invisible sums MCMC has variance 1"),
]  # fmt: skip

# Training matters only to the claims about its result; without it q stays the prior. Shorter samplers do as well.
SHORTER = {
    "    vae.fit(copies": "    0 and vae.fit(copies",
    'trained = {"full": gaussian_of(vae, y), "diagonal": gaussian_of(mean_field_vae, y)}': (
        'trained = {family: fit_gaussian(model, family)[::2] for family in ("full", "diagonal")}'
    ),
    "log_evidence(y_train[None], 5000)[0] for _ in range(8)": "log_evidence(y_train[None], 500)[0] for _ in range(4)",
    "train(vae, y)\ntrain(mean_field_vae, y)": "",
    "its_kl = float(": "its_kl = 1 + float(",
    "    linear_vae,\n": "",
}
# Cells that the others do without: figures, the lab, the minibatch loop, the linear case, the sampler's own test.
LAB = ("lab = RegressionLab", "now = lab.numbers")
SIDE = (
    *LAB,
    "scaled = Logistic",
    '"held-out log score, plug-in"',
    "train_in_minibatches(",
    "looks = ",
    "maps = ",
    "fig, panels = ",
)
LINEAR, KNOWN = ("exact_log_evidence", "rule = "), ("known = ",)
ON_KNOWN = ("two weights: MCMC means = quadrature", "two weights: MCMC variances = quadrature")
ON_LAB = (BEYOND, LENGTH)


def run(claim, source=None):
    shorter, without = dict(SHORTER), SIDE + LINEAR + (() if claim in ON_KNOWN else KNOWN)
    if claim.startswith("(7)"):
        del shorter["    vae.fit(copies"]  # an untrained q is too far off to tell a small slip from noise
        without = SIDE
    if claim in ON_LAB:
        without = tuple(piece for piece in without if piece not in LAB)
    source = {**shorter, **(source or {})}
    run_until(NOTEBOOK, claim, parameters={"num_draws": 300, "num_steps": 400}, source=source, without=without)


@pytest.mark.parametrize(
    ("target", "name", "change", "claim"), BROKEN_FUNCTIONS, ids=[f"{row[1]}: {row[3]}" for row in BROKEN_FUNCTIONS]
)
def test_a_broken_function_is_caught(target, name, change, claim):
    with replaced(target, name, change), pytest.raises(ClaimError, match=re.escape(claim)):
        run(claim)


@pytest.mark.parametrize(("right", "wrong", "claim"), BROKEN_CODE, ids=[f"{row[1]}: {row[2]}" for row in BROKEN_CODE])
def test_a_broken_line_is_caught(right, wrong, claim):
    with pytest.raises(ClaimError, match=re.escape(claim)):
        run(claim, {right: wrong})


def test_the_claims_in_question_hold_when_nothing_is_broken():
    without = [piece for piece in SIDE if piece not in LAB]
    made, failed = claims_of(NOTEBOOK, parameters={"num_draws": 300}, source=SHORTER, without=without)
    guarded = {row[3] for row in BROKEN_FUNCTIONS} | {row[2] for row in BROKEN_CODE}
    assert guarded <= set(made)
    assert not guarded & set(failed)
