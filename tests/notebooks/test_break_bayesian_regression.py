"""Notebook 11: break each formula by hand, and see the claim that guards it fail."""

import numpy as np
import pytest
from breaking import changed, code, failing, function, gathered, needless, scaled, shifted
from forking import Case, runs_of

import vaelib
from vaelib.model import objectives
from vaelib.theory import gaussian, regression
from vaelib.theory.regression import LogisticRegression
from vaelib.widgets import regression_lab

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "11_bayesian_regression"

ALIKE = "radius and area say nearly the same: their correlation is above 0.95"
LARGER = "the median malignant tumour has the larger radius and area"
LEANS = "this posterior leans: its mean lies beyond its top, away from the origin"
NEARER_MEAN = "the trained full q's mean is nearer to the exact mean than the top is"
COVERS = "the full q shares at least 0.9 of its region with the exact one, Laplace less"
SHAPE = "Laplace's shape: standard deviations within a tenth of the exact ones"
CENTRE = "the diagonal q finds the centre, to a quarter of a standard deviation"
STICKS_OUT = "it sticks out across the posterior and is too short along it"
BEYOND = "20 cases: the exact mean lies beyond Laplace's, away from the origin"
SHIFTED = "20 cases: Laplace's shape at the exact mean beats Laplace, and full beats both"
BULGE = "20 cases: the bulge is away from the origin"
BELOW = "the ELBO never exceeds log p(y)"
EITHER_SIGN = "Laplace's error has either sign"
NEARER = "for most numbers of cases Laplace's log p(y) is the nearer one"
FARTHER = "and its mean the farther one, at least ten times in the median"
LINEAR_ELBO = "(9), full: ELBO = log p(y) − KL(q‖p(w|y))"
LINEAR_RULE = "(8): √(1/Λᵢᵢ) is √(1 − ρ²) of the true standard deviation"
ON_THE_CURVE = "45 logistic regressions: the diagonal q's width is √(1 − ρ²) to 0.1"
ALL_NARROW = "and never that of the posterior: all 45 are too narrow"
RANKED = "the stronger the correlation, the narrower q: rank correlation below −0.9"
OF_SIZE = "two measurements of size: narrower than all pairs that correlate less than ½"
ANSWERS = [
    "answer 1: the pair with the least correlation has a width above 0.95",
    "answer 2: all three gain, and the diagonal q gains most",
    "answer 3: the parts cancel to less than a quarter of the lean",
    "answer 3: both errors as predicted, to a tenth of the lean",
]


def without_prior(gradient):
    return lambda self, w: gradient(self, w) + w


def without_prior_curvature(hessian):
    return lambda self, w: hessian(self, w) + np.eye(self.latent_dim)


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


def always(family):
    return lambda fit: lambda model, asked="full": fit(model, family)


ALWAYS_FULL = always("full")
BROKEN = [
    # what is broken, and the claim that catches it
    (function(LogisticRegression, "log_likelihood", scaled(-1)), "(2) in NumPy equals SciPy's Bernoulli"),
    (function(vaelib.Bernoulli, "log_prob", scaled(1 / 40)), "the VAE's reconstruction is −log p(y|w)"),
    (function(objectives, "kl_divergence", shifted(1.0)), "before training q is the prior: KL = 0"),
    (
        function(regression, "posterior_on_grid", evidence_of_the_cell_size),
        "(3): half as many grid points, the same log p(y)",
    ),
    (
        function(regression, "posterior_on_grid", changed(log_evidence=lambda e: e + 0.1)),
        "(3): p(y|w) / p(y) averages to 1 under the prior",
    ),
    (
        function(vaelib.VAE, "log_evidence", scaled(1.2)),
        "vae.log_evidence, by importance sampling: the log p(y) of the grid",
    ),
    (function(LogisticRegression, "elbo", shifted(1.0)), "(1), full: ELBO + KL = log p(y)"),
    (function(LogisticRegression, "elbo", scaled(1.01)), "(1), diagonal: ELBO + KL = log p(y)"),
    (function(regression, "laplace", changed(mean=lambda w: 0.99 * w)), "Laplace stands on the top"),
    (function(regression, "laplace", changed(mean=lambda w: 1.2 * w)), LEANS),
    (function(regression, "fit_gaussian", at_the_top), NEARER_MEAN),
    (function(regression, "fit_gaussian", changed(factor=lambda L: 1.5 * L)), COVERS),
    (function(regression, "laplace", changed(cov=lambda cov: 1.5 * cov)), SHAPE),
    (function(regression, "fit_gaussian", changed(mean=lambda w: 1.5 * w)), CENTRE),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), "the diagonal q is too narrow in both weights"),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), "it is as wide as a slice through the middle"),
    (function(regression, "fit_gaussian", ALWAYS_FULL), STICKS_OUT),
    (function(regression, "fit_gaussian", ALWAYS_FULL), "and its outline holds less than 85 %"),
    (function(regression_lab, "laplace", changed(mean=lambda w: 1.2 * w)), BEYOND),
    (function(regression_lab, "fit_gaussian", always("diagonal")), SHIFTED),
    (function(regression, "posterior_on_grid", changed(density=lambda p: p[::-1, ::-1])), BULGE),
    (
        function(regression, "laplace", changed(log_evidence=lambda e: e + 0.01)),
        "(5): Laplace's log p(y) by hand and in vaelib",
    ),
    (function(regression, "posterior_on_grid", changed(log_evidence=lambda e: e - 0.1)), BELOW),
    (function(regression, "laplace", changed(log_evidence=lambda e: e + 1)), EITHER_SIGN),
    (function(regression, "laplace", changed(log_evidence=lambda e: e - 1)), NEARER),
    (function(regression, "fit_gaussian", at_the_top), FARTHER),
    (function(LogisticRegression, "gradient", without_prior), "(6): no average slope under the full q"),
    (function(LogisticRegression, "hessian", without_prior_curvature), "(6): Σ⁻¹ is the average curvature"),
    (function(LogisticRegression, "gradient", without_prior), "(7): no average slope under the diagonal q"),
    (
        function(regression, "fit_gaussian", marginals_of_the_posterior),
        "(7): 1/σ² is the average curvature of each weight alone",
    ),
    (function(gaussian, "kl_full", shifted(1.0)), LINEAR_ELBO),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), ON_THE_CURVE),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), ALL_NARROW),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), RANKED),
    (function(regression, "fit_gaussian", marginals_of_the_posterior), OF_SIZE),
    (function(regression, "fit_gaussian", ALWAYS_FULL), ANSWERS[1]),
    (code('column["mean area"]', 'column["mean texture"]'), ALIKE),
    (code("labels = malignant[cases]", "labels = 1 - malignant[cases]"), LARGER),
    (
        code("full_vae = regression_vae(X.T", "full_vae = regression_vae(-X.T"),
        "the VAE's reconstruction is −log p(y|w)",
    ),
    (code("np.eye(num_cases) + X @ X.T\n", "X @ X.T + 2 * np.eye(num_cases)\n"), LINEAR_ELBO),
    (code("precision = np.eye(2) + X.T @ X", "precision = X.T @ X"), "(9), diagonal: ELBO = log p(y) − KL(q‖p(w|y))"),
    (code("    np.sqrt(1 - rho**2),", "    1 - rho**2,"), LINEAR_RULE),
    (code("least = np.abs(rhos).argmin()", "least = np.abs(rhos).argmax()"), ANSWERS[0]),
    (code("fourth @ v**2 / 8", "fourth @ v**2 / 4"), ANSWERS[2]),
    (code("third @ S**3 @ third / 12", "third @ S**3 @ third / 6"), ANSWERS[3]),
]

# Training matters only to the claims about its result; the best Gaussian stands in for it.
TRAINED = "    trained[family] = "
SHORTER = {
    f"    train(vae, y)\n{TRAINED}gaussian_of(vae, y)": f"{TRAINED}fit_gaussian(model, family)[::2]",
}
LAB = {'lab = RegressionLab(features, labels, ["the radius", "the area"])\nlab': ""}
# Cells that the others do without: figures, the linear case, which trains, and those with many regressions.
FIGURES = ("fig, ax = plt.subplots(figsize=(6", "fig, (left, right) =")
ON_LAB, ON_SIZES = (BEYOND, SHIFTED), (BELOW, EITHER_SIGN, NEARER, FARTHER)
ON_PAIRS = (ON_THE_CURVE, ALL_NARROW, RANKED, OF_SIZE, ANSWERS[0])
SLOW = {
    "lab.numbers(": ON_LAB,
    "sizes, errors, misses": ON_SIZES,
    "linear = {}": ("(8)", "(9)"),
    "pairs = list(combinations": ON_PAIRS,
}


# What runs in Keras, and what it is needed for; the other breaks fork, and leave it out.
IN_KERAS = ("full_vae.loss_terms(", "full_vae.log_evidence(", "linear = {}", "reading_vae = ")
OF_KERAS = ("(2)", "(8)", "(9)", "the VAE's", "before training", "vae.log_evidence")
CASES = gathered(BROKEN)
KERAS_CASES = [case for case in CASES if any(claim.startswith(OF_KERAS) for claim in case.values[1])]
OTHER_CASES = [case for case in CASES if case not in KERAS_CASES]


@pytest.mark.parametrize(("broken", "claims"), KERAS_CASES)
def test_what_is_broken_in_keras_is_caught(broken, claims):
    assert set(claims) <= failing(
        NOTEBOOK,
        broken,
        source=SHORTER | LAB,
        parameters={"num_steps": 400},
        without=(*FIGURES, *needless(SLOW, claims)),
        last=claims[-1],
    )


@pytest.fixture(scope="module")
def runs():
    """The sound notebook, and the breaks without Keras from where they matter."""
    values = [case.values for case in OTHER_CASES]
    cases = [Case(broken, claims[-1], (*FIGURES, *IN_KERAS, *needless(SLOW, claims))) for broken, claims in values]
    return runs_of(NOTEBOOK, cases, parameters={"num_steps": 400}, source=SHORTER, without=FIGURES)


@pytest.mark.parametrize(("broken", "claims"), OTHER_CASES)
def test_what_is_broken_is_caught(runs, broken, claims):
    assert set(claims) <= runs.broken[broken.key]


def test_the_claims_in_question_hold_when_nothing_is_broken(runs):
    guarded = {claim for _, claim in BROKEN}
    assert guarded <= set(runs.made)
    assert not guarded & set(runs.failed)
