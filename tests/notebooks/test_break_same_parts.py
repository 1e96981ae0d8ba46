"""Notebook 21 claims what it shows: break a formula or the data, and the claim that guards it fails.

Breaks that do not hide each other share a run.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from breaking import claims_of, code, failing, function, missed, scaled, shifted
from small_runs import CHANGED

from vaelib.model import quantisation as model
from vaelib.theory import counts, labels, quantisation
from vaelib.theory.labels import TwoNormals

pytestmark = pytest.mark.slow

NOTEBOOK = "21_same_parts_elsewhere"
SMALL = {**CHANGED[NOTEBOOK], "seed": 0}
# What is trained, and what hangs from it.
FAST = ("conditional = vaelib.VAE(", "def quantised(", "def cell_model(")
SIZES = (2, 4, 8, 16)
AT = ("x = 0, μ = 3.0, θ = 0.5", "x = 7, μ = 3.0, θ = 2.0", "x = 40, μ = 10.0, θ = 0.2", "x = 300, μ = 250.0, θ = 50.0")

# What is broken in one run, and the claims that catch it.
RUNS = {
    "one": [
        (
            function(quantisation, "lloyd_step", scaled(-1.1)),
            [
                "lab: no Lloyd step raises the distance",
                "lab: the first ones lower it",
                "lab: code 6 stays where it was",
                "decay 0 is a Lloyd step",
            ],
        ),
        (
            code("TwoNormals(d=2.0)", "TwoNormals(d=0.2)"),
            [
                "and a wrong label costs more than any such gain",
                "the best classifier errs with the probability Φ(−d/2), by draws",
                "which the theory says too",
            ],
        ),
        (
            function(
                labels,
                "missing_label_bound",
                lambda original: lambda joint, q: original(joint, q) + np.asarray(q)[..., 0],
            ),
            [
                "(3) at the softmax is the logsumexp, ten classes",
                "any other q misses it by KL(q ‖ p(y|x))",
                "the arch is highest at p(y|x)",
                "and never above log p(x)",
            ],
        ),
        (
            code("alone = error_with(means)", "alone = 0.1 * error_with(means)"),
            ["two normals: unlabelled points bring the error down", "nor do labels alone get there"],
        ),
        (
            code('np.array([row[name] for row in record["errors"]])', "np.full(3, 0.1 * len(name))"),
            [
                "digits, M1: the seeds disagree about the sign",
                "digits, each seed: M2 is worse than both",
                "M2 against labels alone: the 95 % interval of three seeds lies above 0",
            ],
        ),
        (
            function(quantisation.optimize, "root", lambda original: lambda f, x, tol: SimpleNamespace(x=x)),
            [
                *[f"K = {k}: a Lloyd step moves nothing" for k in SIZES],
                *[f"K = {k}: the distance" for k in SIZES],
                "K = 2: it is 1 − 2/π",
            ],
        ),
        (
            function(quantisation, "shannon_distortion", scaled(9)),
            ["Shannon at log₂ K bits", "no code book reaches Shannon's line"],
        ),
        (
            function(quantisation, "entropy_bits", shifted(1.0)),
            [*[f"K = {k}: bits of the codes" for k in SIZES], "and the entropy comes nearer to it"],
        ),
        (code("value = (1 + beta) *", "value = (1 + beta + wrong) *"), ["β on either term: the same loss"]),
        (
            code("return value, beta * of_code, of_points", "return value, 2 * of_code, 3 * of_points"),
            ["the code's slope is β times what it should be", "the points' slope is that divided by β"],
        ),
        (
            code("of_code, of_points = -2 * np.mean(apart)", "of_code, of_points = -3 * np.mean(apart)"),
            ["right: the code's slope is that of its term, by differences"],
        ),
        (
            code("factor = 128 * 128 * 3 * 8", "factor = 128 * 128 * 8"),
            ["the Oord et al. figure: 42.67 times fewer bits"],
        ),
        (
            function(counts, "log_negative_binomial", shifted(0.5)),
            [
                *[f"(6) by quadrature, {at}" for at in AT],
                "its probabilities add up to 1",
                "its variance is μ + μ²/θ",
                "by draws: a Poisson count of a gamma rate is 0 as often",
                "zero inflation: π + (1 − π)(θ/(θ + μ))^θ, by draws",
            ],
        ),
        (
            code("at_least = -80.8 - np.log(10)", "at_least = -80.8 + np.log(10)"),
            ["at least −83.1 nats, 1.8 above the other"],
        ),
    ],
    "two": [
        (
            function(TwoNormals, "log_evidence", shifted(-0.3)),
            ["two normals: no label explains more than log 2", "far out it comes to log 2"],
        ),
        (
            code("with_others = error_with(means)", "with_others = 0.1 * error_with(means)"),
            ["but not below the best classifier's"],
        ),
        (
            code("revived[5] = lab.points", "revived[5] = 99 + lab.points"),
            ["lab: revived, it ends with a lower distance"],
        ),
    ],
}
# Breaks of what is trained, and the claims that catch each.
IN_KERAS = [
    (
        code(
            "right_label = log_p[np.arange(num_test), y_test]", "right_label = log_px - 9 + 99 * (y_test == y_test[0])"
        ),
        ["(2): no label explains more than log 10"],
    ),
    (
        code("log_p.argmax(axis=1) == y_test", "log_p.argmin(axis=1) == y_test"),
        ["it names more than half of the digits"],
    ),
    (code("shuffled = log_p[", "shuffled = 99 + log_p["), ["a wrong label costs more than the right one gains"]),
    (
        code("np.corrcoef(ink.T)", "np.corrcoef(rng.random((10, 30)))"),
        ["a z that takes much ink for one class takes much for others"],
    ),
    (
        function(model, "kl_code_book", scaled(1.1)),
        [f"(4), {name}: the KL is 16 log 32 for every digit" for name in ("as it is", "revived")],
    ),
    (
        code("if revive and epoch", "if not revive and epoch"),
        ["model 1: revival has more codes in use", "model 1: and a better bound"],
    ),
    (
        code(
            "adjusted_rand_index(groups(codes, n), c.kinds[cut:])",
            "adjusted_rand_index(groups(codes, n), c.batches[cut:])",
        ),
        ["data 1: the groups of its codes are the types"],
    ),
    (
        code("if logs else log_p)", "if logs else -log_p)"),
        [
            "data 1: negative binomial over Poisson",
            "data 1: the normal law's density is above its masses and above both",
            "the masses of no model beat the truth",
        ],
    ),
    (
        code("raw = [groups(np.log1p(c.x), n) for n, c in enumerate(cells)]", "raw = [c.kinds for c in cells]"),
        ["data 1: raw logarithms show the batches and not the types"],
    ),
    (code("dropped = np.log1p(", "dropped = -np.log1p("), ["without its Jacobian a cell's log p is too high"]),
]
# The first break of (2) hides this one.
LOWER = code("explained = right_label - log_px", "explained = right_label - log_px - 9")


@pytest.mark.parametrize("run", RUNS)
def test_broken_formulas_are_caught(run):
    assert not missed(NOTEBOOK, RUNS[run], parameters=SMALL, without=FAST)


def test_broken_trainings_are_caught():
    assert not missed(NOTEBOOK, IN_KERAS, parameters=SMALL)


def test_the_gain_of_a_label_is_guarded():
    claim = "the right label explains something"
    assert claim in failing(
        NOTEBOOK, LOWER, parameters=SMALL, without=("NormalQuantiser(K) for K", *FAST[1:]), last=claim
    )


def test_each_claim_is_guarded():
    guarded = {claim for runs in (*RUNS.values(), IN_KERAS) for _, guards in runs for claim in guards}
    made, failed = claims_of(NOTEBOOK, parameters=SMALL)
    assert not failed
    assert set(made) - guarded == {"the right label explains something"}
