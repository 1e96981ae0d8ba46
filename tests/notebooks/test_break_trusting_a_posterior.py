"""Notebook 12: break each formula by hand, and see the claim that guards it fail."""

import numpy as np
import pytest
from breaking import changed, code, function, gathered, needless, scaled
from forking import Case, runs_of

from vaelib.theory import gaussian, mcmc, regression

pytestmark = pytest.mark.slow

NOTEBOOK = "12_trusting_a_posterior"

NINETY_FIVE = "the mean weights say 95 %, and nine in ten lines from below 60 % to above 99 %"
LESS_SURE = "the average is at least 5 % less sure of the new patient"
ALONE = "no measurement alone ranks a malignant tumour right nine times in ten"
AGREES = "the full q agrees with MCMC: means to a tenth of an sd, widths to a tenth"
TO_ZERO = "Laplace's mean lies nearer to zero than MCMC's"
NARROW = "the diagonal q is narrower than MCMC in every weight"
WITHIN = "every dot lies in the inner two thirds of its bar"
SHORTEST = "the full q has the shortest bar, and is the nearest to MCMC"
FEWEST = "the diagonal q keeps the fewest of its draws"
FORECASTS = "and its predictions for fifty held-out cases"
TOWARDS_HALF = "averaging moves every probability towards ½, none past it"
BETTER_SCORE = "if the model is right, the average has the better log score"
ALLOWED = "(3): q itself errs by no more than (1) allows"
LOSES, GAINS = "prior 0.25: averaging loses", "prior 8: averaging gains"
WIDER = "the wider the prior, the more averaging gains (from 0.5 on)"
FALLS = "from 1 to 8 plug-in falls at least twice as far as the average"
AS_MANY = "the share that is right hardly depends on the prior: within 0.03"
ARRIVES = "with N/B, minibatches end within 0.3 nats of the top, never above"
AWAY = "without N/B, more than 5 nats below it for the largest N"
WIDTHS = "with N/B the widths are the best q's, to a tenth"
OF_TEN = "without N/B q is about as wide as after 10 cases: to a quarter"
TIGHTENS = "with N/B q tightens with every doubling"
SHRINKS = "from 20 to 160 cases: with N/B to less than a half, without to more than ¾"
NEAR_ZERO = "without N/B the weights stay nearer to zero (N = 160)"
RIGHT, SURE = "held-out cases: without N/B nearly as many are right, to 5 %", "and the model is less sure of them"
SCALED = "(4): scaled by N/B, the batches average to log p(y|w)"
RULE = "answer 1: widths × 0.5 cost the KL of the rule, to a fifth"
FEWER = "answer 1: the narrow one costs less KL, and leaves the fewer draws"
CHOICES = "answer 2: the two choices are at most one step apart"
INVISIBLE = "answer 3: along the invisible sums the posterior has "
FAR = "answer 3: the two differ more, far from the flowers"

ON_SPLITS = (
    LOSES,
    GAINS,
    WIDER,
    FALLS,
    AS_MANY,
    CHOICES,
    FAR,
    "prior 0.25: plug-in is too timid",
    "prior 8: average is too sure",
    "prior 2: plug-in is the surer one",
)
ON_BATCHES = (ARRIVES, AWAY, WIDTHS, OF_TEN, TIGHTENS, SHRINKS, NEAR_ZERO, RIGHT, SURE)


def without_determinant(log_prob):
    return lambda x, mean, cov: log_prob(x, mean, cov) + 0.5 * np.linalg.slogdet(cov)[1]


def marginals_of_the_posterior(fit):
    def call(model, family="full"):
        factor = np.diag(1.1 * np.sqrt(np.diag(fit(model).cov)))
        diagonal = fit(model, family)._replace(cov=factor**2, factor=factor)
        return fit(model) if family == "full" else diagonal

    return call


def a_chain_elsewhere(w):
    w = w.copy()
    w[0] += 3
    return w


BROKEN = [
    # what is broken, and the claim that catches it
    (function(mcmc, "hmc", changed(w=a_chain_elsewhere)), "five weights: the chains agree, R-hat < 1.01"),
    (
        function(mcmc, "effective_sample_size", scaled(0.01)),
        "five weights: they are worth at least 1,000 independent draws",
    ),
    (function(mcmc, "hmc", changed(w=lambda w: 1.1 * w)), "two weights: MCMC means = quadrature"),
    (
        function(mcmc, "hmc", changed(w=lambda w: w + 0.1 * (w - w.mean((0, 1))))),
        "two weights: MCMC variances = quadrature",
    ),
    (function(regression, "fit_gaussian", changed(mean=lambda w: 1.3 * w)), AGREES),
    (function(regression, "laplace", changed(mean=lambda w: 1.5 * w)), TO_ZERO),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), NARROW),
    (function(gaussian, "log_prob_full", without_determinant), "(2): two proposals, one log p(y)"),
    (function(mcmc, "hmc", changed(w=lambda w: w + 1.0)), "(1), full: mean and covariance against MCMC"),
    (function(regression, "moment_distance", scaled(20)), "(1), diagonal: mean and covariance against MCMC"),
    (function(regression, "moment_distance", scaled(20)), WITHIN),
    (function(mcmc, "hmc", changed(w=lambda w: w + 1.0)), SHORTEST),
    (function(mcmc, "hmc", changed(w=lambda w: 1.05 * w)), "weighted draws of q: the posterior means of MCMC"),
    (function(mcmc, "hmc", changed(w=lambda w: w + 0.1)), INVISIBLE + "mean 0"),
    (code("np.abs(of_mean - 0.95)", "np.abs(of_mean - 0.5)"), NINETY_FIVE),
    (code("average = curves[:, patient].mean()", "average = of_mean[patient]"), LESS_SURE),
    (code('"smoothness", "symmetry",', '"smoothness", "concave points",'), ALONE),
    (code("return 1 / np.sum(softmax(log_w) ** 2)", "return np.sum(softmax(log_w) ** 2)"), FEWEST),
    (code("share = softmax(log_w)", "share = softmax(-2 * log_w)"), "and the posterior variances of MCMC"),
    (
        code(
            "log_w[:20_000], model.predict(chains.w[:, ::4], few)", "log_w[:20_000], model.predict(chains.w, 1.1 * few)"
        ),
        FORECASTS,
    ),
    (code("model.predict(q.mean + eps", "model.predict(2 * q.mean + eps"), TOWARDS_HALF),
    (code("np.log(averaged / plug_in)", "np.log(plug_in / averaged)"), BETTER_SCORE),
    (code("off = np.abs(averaged[:50] - truth)", "off = np.abs(1 - averaged[:50] - truth)"), ALLOWED),
    (code("(of_mean, of_all)", "(of_all, of_mean)"), LOSES),
    (code("(of_mean, of_all)", "(of_all, of_mean)"), GAINS),
    (code("(of_mean, of_all)", "(of_all, of_mean)"), WIDER),
    (code("(of_mean, of_all)", "(of_all, of_mean)"), FALLS),
    (code("(of_mean, of_all)", "(of_all, of_mean)"), "prior 2: plug-in is the surer one"),
    (code("append((p > 0.5) ==", "append((p > 1 / (1 + scale)) =="), AS_MANY),
    (code("append((p > 0.5) ==", "append((p < 0.5) =="), "prior 0.25: plug-in is too timid"),
    (code("append(np.maximum(p, 1 - p))", "append(0.5 + 0 * p)"), "prior 8: average is too sure"),
    (code("(part.gradient(w) + w)", "part.gradient(w)"), ARRIVES),
    (code("factor=1.0", "factor=num / 10"), AWAY),
    (code("factor=num / 10", "factor=1.0"), WIDTHS),
    (code("factor=1.0", "factor=num / 10"), OF_TEN),
    (code("factor=num / 10", "factor=20 / num"), TIGHTENS),
    (code("factor=num / 10", "factor=1.0"), SHRINKS),
    (code("factor=num / 10", "factor=0.5"), NEAR_ZERO),
    (code("((p > 0.5) == came)", "((p > [[0.9], [0.5]]) == came)"), RIGHT),
    (code("factor=1.0", "factor=num / 5"), SURE),
    (code("    N / B * part.mean(axis=0),\n", "    part.mean(axis=0),\n"), SCALED),
    (code("(-part + its_kl).mean", "(-part + B / N * its_kl).mean"), "forgotten: the loss of β = N/B, in other units"),
    (code("model.elbo(q.mean, factor * q.factor)", "model.elbo(q.mean, q.factor)"), RULE),
    (code("return 1 / np.sum(softmax(log_w) ** 2)", "return np.sum(softmax(log_w) ** 2)"), FEWER),
    (code("int(evidence.argmax())", "int(evidence.argmin())"), CHOICES),
    (code("np.ones((3, 1)) / np.sqrt(3)", "np.eye(3)[:, :1]"), INVISIBLE + "variance 1"),
    (code("nearest < 0.3].mean(), distance[nearest > 1]", "nearest > 1].mean(), distance[nearest < 0.3]"), FAR),
]

PARAMETERS = {"num_draws": 300, "num_splits": 20, "num_steps": 2000}
# Cells that the others do without: pictures, the random splits, and the training with minibatches.
FIGURES = ("fig, ax = plt.subplots(figsize=(7", "fig, ax = plt.subplots(figsize=(8", "of_sure = np.concatenate")
SLOW = {"for _ in range(num_splits)": ON_SPLITS, "def train_in_minibatches": ON_BATCHES}


CASES = gathered(BROKEN)


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and each of its breaks from where it matters."""
    values = [case.values for case in CASES]
    cases = [Case(broken, claims[-1], (*FIGURES, *needless(SLOW, claims))) for broken, claims in values]
    return runs_of(NOTEBOOK, cases, parameters=PARAMETERS)


@pytest.mark.parametrize(("broken", "claims"), CASES)
def test_what_is_broken_is_caught(runs, broken, claims):
    assert set(claims) <= runs.broken[broken.key]


def test_the_claims_in_question_hold_when_nothing_is_broken(runs):
    guarded = {claim for _, claim in BROKEN}
    assert guarded <= set(runs.made)
    assert not guarded & set(runs.failed)
