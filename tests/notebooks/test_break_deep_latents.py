"""Notebook 19 claims what it shows: break a formula or the data, and the claim that guards it fails.

Breaks that do not hide each other share a run.
"""

import pytest
from breaking import all_at_once, claims_of, code, failing, function, missed, scaled, shifted
from small_runs import CHANGED

from vaelib.theory import wake_sleep
from vaelib.theory.hierarchy import LinearChain
from vaelib.theory.wake_sleep import TEACHERS, HelmholtzMachine, TwoCauses

pytestmark = pytest.mark.slow

NOTEBOOK = "19_deep_latents"
SMALL = {**CHANGED[NOTEBOOK], "seed": 0}
# What Keras makes and trains, and what hangs from it.
FAST = ("CausesLab()", "vaelib.load_mnist()", "def line(", "vaelib.Chain(layers")
POINTS, TOPS, MACHINES = ("-2.0", "0.0", "1.0"), ("-0.4", "0.0", "2.0"), (1, 2, 3)
EXACT = [f"x = {x}: the exact posterior's bound is log p(x)" for x in POINTS]
NEARER = [f"machine {n}, {name}: the dreams come nearer to the bars" for n in MACHINES for name in TEACHERS]
FALLS = [f"machine {n}, {name}: the free energy falls from mark to mark" for n in MACHINES for name in TEACHERS]
KL_OF = "kl_of = {kind: np.array(kls) for kind, kls in kl_of.items()}"
ELBO_OF = "elbo_of = {kind: np.array(elbos) for kind, elbos in elbo_of.items()}"

WAYS = ("ladder", "independent")

# What is broken in one run, and the claims that catch it.
RUNS = {
    "one": [
        (
            code(
                'for slope in (causes.wake_gradient, causes.sleep_gradient)\n)\nclaim_close("lab',
                'for slope in (causes.sleep_gradient, causes.wake_gradient)\n)\nclaim_close("lab',
            ),
            [
                "lab: wake goes to a corner",
                "lab: sleep goes to the middle",
                "that of the end of sleep",
            ],
        ),
        (code("way = walk(causes.sleep_gradient", "way = walk(causes.wake_gradient"), ["and lowers its own loss"]),
        (
            function(TwoCauses, "probabilities", scaled(1.1)),
            ["lab: there half of q is on none and both", "KL(q ‖ p) at (0.3, 0.6), by draws"],
        ),
        (
            code("LinearChain(a=1.0, b=1.0", "LinearChain(a=1.0, b=1.2"),
            [
                "(3) for a = b = 1, s₁ = s = ½",
                "the gap is ½ (log 40 − log 24)",
                *[f"x = {x}: that of independent layers is 0.2554 nats below" for x in POINTS],
            ],
        ),
        (
            function(LinearChain, "reconstruction", shifted(0.05)),
            [
                *EXACT,
                "by draws: (1) minus log q, on average, is that bound",
                "the exact posterior's bound is log p(x) at every a",
                "the KL at the mean lifts the bound above log p(x)",
            ],
        ),
        (
            function(LinearChain, "mean_field_variances", scaled(3)),
            ["the independent posterior is narrower in both layers"],
        ),
        (
            function(LinearChain, "below_given_top", lambda original: lambda self, z2, x: original(self, z2 + 0.1, x)),
            [f"z₂ = {z}: the merge is p(z₁|z₂, x), by Bayes' rule" for z in TOPS],
        ),
        (
            code("both = merged(up, down)  # (4)", "both = (up[0] + down[0], up[1] + down[1])"),
            ["the merged normal stands between the two, and is narrower"],
        ),
        (
            code(
                "gap_of_means = (up[0] - chain.a * mean[0]) ** 2 +",
                "gap_of_means = (up[0] - chain.a * mean[0]) ** 2 + 0.3 +",
            ),
            ["the wrong KL is that of the report"],
        ),
        (
            code(
                "    return chain.reconstruction(at, c) - first - second",
                "    return 9 - chain.reconstruction(at, c) - first - second + 3 * at",
            ),
            ["with the exact posterior it reports less than log p(x)", "and the less, the farther x is from 0"],
        ),
        (
            code("merged((up[0], up[1]), (chain.a * z[:, 0], down[1]))", "(up[0] + 0 * z[:, 0], up[1])"),
            ["the KL of the merged normal, by draws"],
        ),
        (
            code("np.sqrt(total - a**2), 0.5) for a", "np.sqrt(total - 0.9 * a**2), 0.5) for a"),
            ["log p(x) depends on a² + s₁² alone", "so does the KL of both layers together"],
        ),
        (
            function(LinearChain, "top_kl", lambda original: lambda self: 0.3 - original(self)),
            ["a = 0: the top layer's KL is 0", "it grows with a"],
        ),
        (
            code(KL_OF, KL_OF.replace("np.array(kls)", "np.array(kls)[..., ::-1]")),
            [
                "independent layers: z₃ sleeps in all six models",
                "from the top down z₃ holds more, in every model",
                "without warm-up the upper two hold under two nats together",
            ],
        ),
        (
            code(ELBO_OF, ELBO_OF.replace("np.array(elbos)", "-np.array(elbos)")),
            [
                "and the bound is better by over a nat, seed by seed",
                "independent layers have the better bound, at each seed and warm-up",
            ],
        ),
        (
            code(
                'print("posterior of none, earthquake', 'causes = TwoCauses(-8.0)\nprint("posterior of none, earthquake'
            ),
            ["the posterior of the jumping house"],
        ),
        (
            function(
                TwoCauses, "reweighted_gradient", lambda original: lambda self, q, num: -original(self, q, num) + 0.01
            ),
            [
                "K = 1: the mean step is 0",
                "K = 2 to 10: it points the wrong way",
                "K = 100,000: the exact step",
                "K = 5, by draws",
                "a thousand draws come within a tenth of the exact step",
                "and it comes to the exact step",
            ],
        ),
        (code("machine.step(data, 1.0, teacher)", "machine.step(data, -0.1, teacher)"), [*FALLS]),
        (
            function(wake_sleep, "bars", lambda original: lambda side: 0.5 * original(side) + 0.5 / 2**9),
            ["there are 14 pictures of bars"],
        ),
        (code("[chain.a / middle,", "[chain.a / middle**2,"), ["p(z₂|z₁, x) is p(z₂|z₁)"]),
        (code("TwoCauses(bias=0.0)", "TwoCauses()"), ["its posterior has one peak"]),
        (
            code("[[3.0, 0.0]], [-1.0, 0.5], [-2.0])", "[[9.0, 9.0]], [-5.0, -5.0], [-9.0])"),
            ["independent causes: wake and sleep end together"],
        ),
    ],
    "two": [
        (
            function(TwoCauses, "wake", lambda original: lambda self, q: 3 - original(self, q)),
            [
                "each of the first thirty sleep steps raises the free energy",
                "lab: the way of sleep climbs the wake loss",
                "the wake loss in a corner: log 2",
                "straight from there to the middle it is uphill, too",
                "the lowest wake loss lies at a corner",
                "one peak: sleep goes down the wake loss",
                "where both losses are 0",
            ],
        ),
        (function(HelmholtzMachine, "kl_from", lambda original: lambda self, data: 0.1), [*NEARER]),
        (
            code("causes, floor = TwoCauses()", "causes, floor = TwoCauses(-5.0)"),
            ["lab: which the posterior all but excludes"],
        ),
        (
            function(LinearChain, "mean_field_gap", lambda original: lambda self: 0.3 - original(self)),
            ["the bound of independent layers falls with a", "at a = 0 it is log p(x)"],
        ),
        (
            code(KL_OF, 'kl_of = {(p, record["warm_up"] - w): np.array(kls) for (p, w), kls in kl_of.items()}'),
            ["with it they hold more, seed by seed"],
        ),
        (function(TwoCauses, "sleep", scaled(-1)), ["the lowest sleep loss in the middle"]),
        (
            code('np.array([row["kls"][-1] for row in rows', "np.array([[1, 1, 1, 1, 1] for row in rows"),
            [
                "five layers: z₅ and z₄ sleep in all six models",
                "z₃ differs between seeds by over half a nat",
                "the lower two are at work in all six",
            ],
        ),
        (
            code("gain = bound_of[top_down] - bound_of[flat_layers]", "gain = 0 * bound_of[top_down]"),
            ["five layers: from the top down the bound is better by over a nat, seed by seed"],
        ),
        (
            function(
                TwoCauses,
                "reweighted_gradient",
                lambda original: lambda self, q, num: original(self, q, 10 * num) * (1 if num < 1_000 else -1),
            ),
            ["from where it turns on the right way", "a hundred do not"],
        ),
        (
            # The free energy teaches all but the one that should learn from it.
            code(
                "machine.step(data, 1.0, teacher)",
                'machine.step(data, 1.0, ("free energy", "sleep")[teacher == "free energy"])',
            ),
            [
                f"machine {n}: {name} leaves the recognition farther from the posterior"
                for n in MACHINES
                for name in ("sleep", "reweighting")
            ]
            + ["three machines, 95 %: reweighted dreams are nearer to the bars than wake-sleep's"],
        ),
        (
            code(
                'dreamt = [each[0].marginals()[0] for each in runs["sleep"]]',
                'dreamt = [np.roll(each[0].marginals()[0], 1) for each in runs["sleep"]]',
            ),
            ["bars are over five times as likely among dreams as among coin tosses"],
        ),
    ],
}
# Breaks of the library's parts and of what is trained, in one run with hardly any training.
IN_KERAS = [
    code("ladder = vaelib.TopDown((1, 1), [message()]", "ladder = vaelib.TopDown((1, 1), [line(0.2, -1.0)]"),
    code("mean[1], np.log(alone[1, 1])", "mean[1] + 1, np.log(alone[1, 1])"),
    code("np.log(alone[0, 0])", "1 + np.log(alone[0, 0])"),
    code("top = [mean[0], ", "top = [1 + mean[0], "),
    function(LinearChain, "elbo", shifted(0.1)),
    code('print("KL of z3, z2, z1:"', 'history = history + 1.0\nprint("KL of z3, z2, z1:"'),
    code('if whole_run and source.name == record["data"]:', "if True:"),
    code("varied.append(float(pictures.var(axis=0).sum()))", "varied.append(float(count != 1))"),
]
OF_KERAS = {
    *(f"{name}: the KL of {layer}, by draws of the library's parts" for name in WAYS for layer in ("z₂", "z₁")),
    *(f"{name}: (2) adds up" for name in WAYS),
    "the KLs of the layers add up to that of the model",
    "trained again: z₃ sleeps",
    "holding z₃ changes nothing",
    "holding z₂ does",
}


@pytest.mark.parametrize("run", RUNS)
def test_broken_formulas_are_caught(run):
    assert not missed(NOTEBOOK, RUNS[run], parameters=SMALL, without=FAST)


def test_each_claim_is_guarded():
    made, failed = claims_of(NOTEBOOK, parameters=SMALL, without=FAST)
    assert not failed
    assert set(made) == {claim for breaks in RUNS.values() for _, guards in breaks for claim in guards}


def test_broken_parts_and_trainings_are_caught():
    others = (
        "CausesLab()",
        "vaelib.Chain(layers",
        "def learn(number, teacher):",
        "HelmholtzMachine(sizes, rng)",
        "counts = np.unique",
    )
    broken = all_at_once(IN_KERAS)
    assert failing(NOTEBOOK, broken, parameters=SMALL, without=others) >= OF_KERAS
