"""Notebook 10: break what a claim guards, and see that claim fail; of the training there is as little as can be."""

import pytest
from breaking import claims_of, code, failing, function, gathered, needless

from vaelib.model.likelihoods import Bernoulli, Normal
from vaelib.model.posteriors import DiagonalNormal
from vaelib.teaching import bug_hunt, mistakes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

NOTEBOOK = "10_wrong_losses"
SMALL = {"num_train": 300, "hidden_units": 10, "latent_dim": 3, "epochs": 1, "num_checked": 2}

PIXELS = "784 × the loss with the mean = β of 784"
SLOPES = "and so for the gradient (relative to the largest)"
LATENT = "a mean over latent dimensions is β = 1/d"
SHARE = "the reported KL is a d-th of the true one"
FROZEN = "NumPy's noise: the same again?"
SWAPPED = "ours is Keras's with its arguments swapped"
AREA = "(4): the area under the grey Bernoulli"
SHIFT = "without ½ log 2π: D/2 log 2π less"
CEILING = "without log s² the best is the largest there is"
AGAIN = "made again here: the same checks fail"
BETTER = "most that look better are worth less"
COLLAPSED = "the mean over the pixels: no unit is active"
ANSWERS = (
    "two means: β = D/d",
    "two pixels add up to π",
    "Var = v/n + (n − 1)/n c",
)


def of_the_right_part(right, name):
    """The method of the right part in place of the wrong one's."""
    return lambda wrong: getattr(right, name)


def right_kl(wrong):
    """The KL as it is."""
    return lambda self, kl, vae: kl


def swapped_runs(original):
    """A record in which a bug has the right model's run, and the right model the bug's."""

    def load():
        record = bug_hunt.Record()
        runs = record.runs
        runs["digits"], runs["mean over the pixels"] = runs["mean over the pixels"], runs["digits"]
        return record

    return load


def honest_runs(original):
    """A record in which every loss reports what the networks are worth."""

    def load():
        record = bug_hunt.Record()
        record.runs = {name: run._replace(nelbo=run.reported) for name, run in record.runs.items()}
        return record

    return load


BROKEN = [
    (code("784 * loss, beta_loss", "loss, beta_loss"), PIXELS),
    (code("abs(784 * slope - beta_slope)", "abs(slope - beta_slope)"), SLOPES),
    (function(mistakes.MeanOverLatentDims, "distorted", right_kl), LATENT),
    (function(mistakes.MeanOverLatentDims, "distorted", right_kl), SHARE),
    (function(mistakes.NumpyNoise, "noise", of_the_right_part(DiagonalNormal, "noise")), FROZEN),
    (code("kerass = 784 * ", "kerass = "), SWAPPED),
    (code("(2 * lam - 1)", "(2 * lam + 1)"), AREA),
    (code("784 / 2 * np.log(2 * np.pi)", "784 / 2 * np.log(np.pi)"), SHIFT),
    (function(mistakes.NoLogVar, "log_prob", of_the_right_part(Normal, "log_prob")), CEILING),
    (function(mistakes.MeanOverPixels, "log_prob", of_the_right_part(Bernoulli, "log_prob")), AGAIN),
    (function(mistakes.SwappedCrossEntropy, "log_prob", of_the_right_part(Bernoulli, "log_prob")), AGAIN),
    (function(bug_hunt, "load_record", honest_runs), BETTER),
    (function(bug_hunt, "load_record", swapped_runs), COLLAPSED),
    (code("784 / latent_dim)))", "784)))"), ANSWERS[0]),
    (code("0.5 * self.num_values * np.log(np.pi)", "self.num_values * np.log(np.pi)"), ANSWERS[1]),
    (code("/ (100 * 99)", "/ (100 * 100)"), ANSWERS[2]),
]

# Slow cells, and the claims that need them.
SLOW = {
    "BugHuntLab()": ("?",),
    "WrongLossLab(pairs)": ("?",),
    "fig, ax =": (SWAPPED,),
    "right = build()": (SHARE, COLLAPSED, FROZEN, ANSWERS[2]),
    "train(wrong)": (SHARE, COLLAPSED),
    "train(frozen)": (FROZEN,),
    "again, on_record": (AGAIN,),
    "check_loss(right": ("?",),
    "by_heart = check_learning": ("?",),
    "some, eps = x_test": (PIXELS, SLOPES, LATENT, SHARE, AREA, SHIFT, CEILING),
    "from scipy.integrate import quad": (AREA, SHIFT, CEILING),
}


def cells_without(*claims):
    return needless(SLOW, claims)


@pytest.mark.parametrize(("broken", "claims"), gathered(BROKEN))
def test_what_is_broken_is_caught(broken, claims):
    without = cells_without(*claims)
    assert set(claims) <= failing(NOTEBOOK, broken, parameters=SMALL, without=without, last=claims[-1])


def test_the_claims_in_question_hold_when_nothing_is_broken():
    guarded = {claim for _, claim in BROKEN}
    made, failed = claims_of(NOTEBOOK, parameters=SMALL, without=cells_without(*guarded))
    assert guarded <= set(made)
    assert not guarded & set(failed)
