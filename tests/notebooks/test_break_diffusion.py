"""Notebook 20 claims what it shows: break a formula or the data, and the claim that guards it fails.

Breaks that do not hide each other share a run.
"""

import pytest
from breaking import all_at_once, changed, claims_of, code, failing, function, missed, scaled, shifted
from small_runs import CHANGED

from vaelib.theory import diffusion
from vaelib.theory.denoising import RoundMixture

pytestmark = pytest.mark.slow

NOTEBOOK = "20_diffusion"
SMALL = {**CHANGED[NOTEBOOK], "seed": 0}
# What Keras makes and trains, and what hangs from it.
FAST = ("DiffusionLab()", "def line(", "def noise_predictor", "vaelib.load_mnist()")
NAMES, LAYERS, FEW = ("straight", "cosine", "linear β", "level"), (1, 2, 4, 32), (1, 2, 5)
LEVEL = [f"T = {T}: the level schedule costs (7)" for T in LAYERS]
MILLION = [f"{name}: a million layers cost ln 10" for name in NAMES]
TIMES_T = [f"{name}: T times the gap comes to C" for name in NAMES]
CLOSES = [f"x = {x}: of one x, too, the bound closes on −log p(x)" for x in ("0.0", "1.0", "2.5")]
THREE_LINES = [
    f"SNR from {ends}: the three lines come to the entropy" for ends in ("100 to 0.01", "1000 to 0.5", "3 to 1")
]
WITH_LARGER = [f"T = {T}: with the larger variance the bound is the entropy" for T in FEW]
DRAWS = [f"T = {T}: and the draws have the variance 1" for T in FEW]

# What is broken in one run, and the claims that catch it.
RUNS = {
    "bounds": [
        (
            function(diffusion, "normal_bound", changed(layers=lambda layers: 0.5 * layers)),
            [
                "lab: 4 straight layers",
                "lab: 80 layers and some bring the gap below 0.1 nats",
                "lab: Level is better by over two nats with four layers",
                "(5) with T layers of the straight schedule",
                *MILLION,
                *CLOSES,
                *LEVEL,
                *[f"T = {T}: no other of the four costs less" for T in LAYERS],
                "no 200 random cuts in four layers get below (7)",
                *TIMES_T,
                "right side: they cost (5)",
                "Ho et al.: the gap for N(0, 1)",
                "level: the gap",
            ],
        ),
        (function(RoundMixture, "denoise", scaled(1.2)), ["another denoiser has a larger error"]),
        (
            function(RoundMixture, "bound", changed(layers=lambda layers: 0.5 * layers)),
            ["two bumps: the mean bound stays above the entropy", "the gap falls like 1/T"],
        ),
        (function(diffusion, "snr_of_betas", scaled(1.1)), ["the SNR of these β is ᾱ/(1 − ᾱ)"]),
        (function(diffusion, "drawn_variance", scaled(3)), [*DRAWS, "with the smaller one they are too narrow"]),
        (
            code("voices = (alpha_s * x, sigma_s**2)", "voices = (alpha_s * x, sigma_s)"),
            ["(2) is the ladder's merge of lesson 19"],
        ),
        (
            function(
                RoundMixture, "flow_log_prob", lambda original: lambda *args: tuple(-each for each in original(*args))
            ),
            [
                "log p(x) by (11), at thirteen points",
                "the flow keeps the distribution function",
                "no two ways cross",
                "they draw together in the middle",
                "and apart at the ends",
            ],
        ),
        (
            code("np.append(bar[:-1], 1.0)", "np.append(1.0, bar[:-1])"),
            ["wrong side: all layers but the top cost exactly nothing", "wrong side: it is over a million"],
        ),
    ],
    "parts of bounds": [
        (
            function(diffusion, "normal_bound", changed(reconstruction=lambda nats: nats + 0.1)),
            ["the decoder and the top", *THREE_LINES, *WITH_LARGER],
        ),
        (
            function(diffusion, "level_schedule", lambda original: diffusion.linear_schedule),
            [
                "level: all layers cost the same",
                "level: C is (ln 10)²",
                "it is the least of the four",
                "the velocity's weight is constant",
            ],
        ),
        (
            code("-0.5 * s_t * each.slope(t)", "-0.6 * s_t * each.slope(t)"),
            [f"{name}: the mean of (8), by draws" for name in NAMES],
        ),
        (
            function(RoundMixture, "end_gap", shifted(0.01)),
            [
                "SNR down to 1: what stays is 0.0058 nats",
                "with 1024 layers it is still there",
                "SNR down to 0.01: under a millionth of a nat stays",
                "the top's KL for N(2, 1)",
                "it is 0.0093 nats",
            ],
        ),
        (
            function(RoundMixture, "mmse", scaled(0.9)),
            ["(6) for two bumps: half the area is what z_0 knows more of x than z_1", "the mmse, by draws"],
        ),
        (
            function(diffusion, "said_in_four_ways", changed(noise=lambda e: 1.1 * e, velocity=lambda v: 1.1 * v)),
            ["the noise's error, over the SNR", "the velocity's, over 1 + SNR"],
        ),
        (code("+ np.sqrt(blur) * rng", "+ blur * rng"), ["and the variance"]),
        (code("(k > 0) * noise[k]", "(k > 0) * 1.3 * noise[k]"), ["right side: the variance drawn is near 1"]),
        (code("0.012**0.5", "0.02**0.5"), ["α at the top"]),
        (
            code("lost = normal_bound(ho).layers - limits", "lost = np.array(limits)"),
            ["the first ten layers lose over half of it"],
        ),
    ],
    "others": [
        (function(diffusion, "normal_limit", scaled(1.1)), ["its limit is ln 10"]),
        (function(diffusion, "loss_variance", scaled(1.6)), [f"{name}: its variance, by draws" for name in NAMES]),
        (
            code("first, last = normal_bound(straight", "first, last = normal_bound(schedules['level'][0]"),
            ["straight: the first layer costs over 50 times the last"],
        ),
        (code("above = slope * z_s +", "above = 1.1 * slope * z_s +"), ["layer upon layer gives (1): the mean"]),
        (
            function(RoundMixture, "log_marginal", scaled(0.9)),
            ["at the top N(0, 1) to the eye", "it is the KL at the top", "−ε̂/σ is the slope of log q(z_t)"],
        ),
        (
            code("for each in (30.0, 3.0, 0.3)]", "for each in (0.3, 3.0, 30.0)]"),
            ["with less signal the guess is drawn to the middle"],
        ),
        (
            code("betas = np.linspace(1e-4, 0.02, 1000)", "betas = np.linspace(1e-4, 0.002, 1000)"),
            ["Ho et al.: SNR from 9999 down to 0.00004", "the first step leaves less than half of the SNR"],
        ),
        (
            code("np.mean(each.snr(1000)[1:] /", "1 + np.mean(each.snr(1000)[1:] /"),
            ["the simple loss of N(0, 1) lies below its entropy, whatever the schedule"],
        ),
        (code("of_straight = -0.5 *", "of_straight = -0.6 *"), ["as is that of the noise, straight"]),
        (code("np.geomspace(2, 40, 30)", "np.geomspace(2, 3, 30)"), ["two bumps: another middle layer is better"]),
    ],
}
# Breaks of the library's parts and of what is trained, in one run with hardly any training.
IN_KERAS = [
    code("[line(*guess) for guess", "[line(guess[0] + 0.5, guess[1]) for guess"),
    code("exact = [bound.prior,", "exact = [4 * bound.prior,"),
    code("mean_q, spread = diffusion.forward_posterior(0.7", "mean_q, spread = diffusion.forward_posterior(0.8"),
    code("sigma * z + alpha * f)", "sigma * z + alpha * f + 0.1)"),
    code("decoder = np.log(2 * np.pi / 1001)", "decoder = 1.0 + np.log(2 * np.pi / 1001)"),
    code("z = mean + np.sqrt(variance) * rng.standard_normal(z.shape)", "z = 1.05 * rng.standard_normal(z.shape)"),
    code("np.mean(fitted - log_prob_standard_normal(of_test))", "np.mean(fitted)"),
    code('kinds = run["of_test"],', 'kinds = 5 * run["of_test"],'),
    code('if whole_run and source.name == "MNIST":', "if True:"),
    code("if whole_run:", "if True:"),
]
OF_KERAS = {
    *(f"{name}: its KL by Chain and TopDown" for name in ("the top", "the third layer", "the second", "the lowest")),
    "(4) is the KL of two normals of one variance",
    "before training the gain is 0 for each x",
    "the exact denoiser's bound is above the entropy, by little",
    "the gain, and the error left, come to what is possible",
    "three networks: under 0.25 nats above the exact denoiser",
    "each has closed over four fifths of the way",
    "five layers: over twice as many beside the blobs as with a hundred",
    "five layers: too close to the middle",
    "a hundred: as wide as the data",
    "the diffusion gains over 1.5 nats, at 95 %",
    "a fitted normal gains under one, in each run",
    "the diffusion's draws lie nearer to codes than those of N(0, I)",
    "although they spread wider",
    "codes of test digits lie nearer still",
}


@pytest.mark.parametrize("run", RUNS)
def test_broken_formulas_are_caught(run):
    assert not missed(NOTEBOOK, RUNS[run], parameters=SMALL, without=FAST)


def test_each_claim_is_guarded():
    made, failed = claims_of(NOTEBOOK, parameters=SMALL, without=FAST)
    assert not failed
    assert set(made) == {claim for breaks in RUNS.values() for _, guards in breaks for claim in guards}


def test_broken_parts_and_trainings_are_caught():
    others = ("DiffusionLab()", "counts = (1, 2", "roughs = [", "missed = 4", "ways = np.array", "snr_of = {")
    broken = all_at_once(IN_KERAS)
    failed = failing(NOTEBOOK, broken, parameters=SMALL, without=others)
    assert failed >= OF_KERAS, OF_KERAS - failed
