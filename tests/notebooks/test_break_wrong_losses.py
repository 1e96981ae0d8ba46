"""Notebook 10: break what a claim guards, and see that claim fail; of the training there is as little as can be."""

import re

import pytest
from breaking import ClaimError, replaced, run_until

from vaelib.model.posteriors import DiagonalNormal
from vaelib.teaching import mistakes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "10_wrong_losses"
SMALL = {"num_train": 200, "hidden_units": 10, "epochs": 1}

LATENT = "a mean over the latent dimensions is β = 1/d"
SAMPLER = "which is not σ²: each is many standard errors away"
PASSED = "two wrong likelihoods that add up to 1 pass all six checks"

BROKEN_FUNCTIONS = [
    # where, what, how, the claim that catches it
    (mistakes.MeanOverLatentDims, "distorted", lambda right: lambda self, kl, vae: kl, LATENT),
    (mistakes.LogVarAsSigma, "sample", lambda wrong: DiagonalNormal.sample, SAMPLER),
]

BROKEN_CODE = [
    # a piece of the notebook's code, a wrong one in its place, the claim that catches it
    ("    num_pixels * loss,\n", "    loss,\n", "784 × the loss with the mean = the loss with β = 784"),
    ("abs(num_pixels * gradient -", "abs(gradient -", "and so for the gradient (relative to the largest)"),
    ("keras_swapped = num_pixels * ", "keras_swapped = ", "our switch is Keras's function with its arguments swapped"),
    ("(2 * lam - 1)", "(2 * lam + 1)", "(4), left: the area under the grey Bernoulli"),
    ("np.log(2 * np.pi)\n", "np.log(np.pi)\n", "without ½ log 2π the loss drops by D/2 · log 2π"),
    ("/ (100 * 99)", "/ (100 * 100)", "(6) for the shared ε"),
    ("super().log_prob(1 - value, params)", "super().log_prob(1 - value, params) / 2", PASSED),
]

# Cells that the claim in question, and those after it, do without.
TRAINING = {
    "784 × the loss": (),
    "and so for the gradient": (),
    LATENT: (),
    "our switch": ('pairs["mean over the latent dimensions"] =',),
    "(4), left": ('pairs["swapped cross-entropy"] =',),
    "without ½ log 2π": ('pairs["cross-entropy on grey pixels"] =',),
    SAMPLER: ('pairs["log σ² dropped"] =', "inked = ("),
    "(6)": ('pairs["σ for log σ²"] =', 'pairs["sign of the KL"] =', 'pairs["one ε for ever"] ='),
    PASSED: ("shared ε: the same loss", "ax.hist(values", "lab = WrongLossLab", "groups = ", "found = {}"),
}


def run(claim, source=None):
    starts = list(TRAINING)
    (last,) = [k for k, start in enumerate(starts) if claim.startswith(start)]
    without = [piece for start in starts[: last + 1] for piece in TRAINING[start]]
    source = {"train(wrong_model)": "right", **(source or {})}  # what is trained here, no claim in question looks at
    run_until(NOTEBOOK, claim, parameters=SMALL, source=source, without=without)


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


@pytest.mark.parametrize("claim", sorted({row[3] for row in BROKEN_FUNCTIONS} | {row[2] for row in BROKEN_CODE}))
def test_the_claims_in_question_hold_when_nothing_is_broken(claim):
    run(claim)
