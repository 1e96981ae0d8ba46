"""Notebook 05: every claim fails when the formula that it guards is broken."""

import inspect

import numpy as np
import pytest
from breaking import claims_of, replaced, run_until

from vaelib.teaching.claims import ClaimError
from vaelib.theory import gradients
from vaelib.theory.gradients import Gradient, VarianceEstimate
from vaelib.widgets import gradient_lab, gradient_race
from vaelib.widgets.gradient_lab import Estimates
from vaelib.widgets.gradient_race import Race

pytestmark = pytest.mark.slow

NOTEBOOK = "05_reparameterisation"
# Fewer resamples, no widgets that ask, and no races where a claim needs none.
QUICK = {"num_resamples=200": "num_resamples=20"}
ASKING = ("PredictPlace(",)
RACES = ("shares_out(",)


def on_gradient(change):
    """A break of an estimator: its derivatives with respect to mu and log_var, changed."""
    return lambda original: lambda *args, **named: Gradient(*change(*original(*args, **named)))


def added_baseline(original):
    def samples(f, mu, log_var, eps, baseline=None):
        return original(f, mu, log_var, eps, None if baseline is None else -baseline)

    return samples


def baseline_outside_the_product(original):
    def samples(f, mu, log_var, eps, baseline=None):
        plain = original(f, mu, log_var, eps)
        return Gradient(plain.mu - (baseline or 0), plain.log_var - (baseline or 0))

    return samples


def standard_deviation(original):
    def measure(samples, **named):
        return VarianceEstimate(*np.sqrt(original(samples, **named)))

    return measure


def strips_swapped(original):
    def estimates(*args):
        exact, score, baseline, pathwise = original(*args)
        return Estimates(exact, pathwise, baseline, score)

    return estimates


def race_changed(**changes):
    """A race with other settings than it was asked for: by name, a function of what was asked."""

    def broken(original):
        def race(*args, **named):
            asked = inspect.signature(original).bind(*args, **named)
            asked.apply_defaults()
            return original(**{name: changes.get(name, lambda v: v)(v) for name, v in asked.arguments.items()})

        return race

    return broken


def one_runner(original):
    def race(*args, **named):
        paths = original(*args, **named)
        return Race(paths.score, paths.score, paths.expected)

    return race


# A function of one of these modules, how it is broken, the claim that must notice.
MODULES = (gradients, gradient_lab, gradient_race)
THEORY = {
    "expectation without the variance": (
        "expectation",
        lambda e: lambda f, mu, log_var, breaks=(): f(np.array(mu)),
        "(1) by quadrature: E[z²] = μ² + σ²",
    ),
    "exact gradient, ½ missing": (
        "exact_gradient",
        on_gradient(lambda mu, log_var: (mu, 2 * log_var)),
        "(2) by quadrature: the derivatives are 2μ and σ²",
    ),
    "exact gradient, wrong sign": (
        "exact_gradient",
        on_gradient(lambda mu, log_var: (-mu, log_var)),
        "(9) by quadrature, five functions",
    ),
    "score function, ½ missing": (
        "score_function_samples",
        on_gradient(lambda mu, log_var: (mu, 2 * log_var)),
        "our score function is vaelib's",
    ),
    "score function, arguments swapped": (
        "score_function_samples",
        on_gradient(lambda mu, log_var: (log_var, mu)),
        "the score function is unbiased, five functions",
    ),
    "pathwise, ½ missing": (
        "pathwise_samples",
        on_gradient(lambda mu, log_var: (mu, 2 * log_var)),
        "our pathwise estimator is vaelib's",
    ),
    "pathwise, wrong sign": (
        "pathwise_samples",
        on_gradient(lambda mu, log_var: (mu, -log_var)),
        "the pathwise estimator is unbiased, five functions",
    ),
    "strips in another order": (
        "estimates",
        strips_swapped,
        "in the lab, z²: score function, with baseline, pathwise, from wide to narrow",
    ),
    "a step's pathwise strip with spread": (
        "estimates",
        strips_swapped,
        "in the lab, the step: every pathwise dot is 0",
    ),
    "a step without a gradient": (
        "exact_gradient",
        on_gradient(lambda mu, log_var: (0 * mu, log_var)),
        "and 0 is wrong",
    ),
    "half of the samples in each estimate": (
        "estimates",
        lambda e: lambda function, mu, log_var, eps: e(function, mu, log_var, eps[:, :32]),
        "in the lab, z²: 64 samples per estimate divide each variance by 64",
    ),
    "baseline added, measured": ("score_function_samples", added_baseline, "the three exact variances, f = z²"),
    "baseline added": ("score_function_samples", added_baseline, "(11): the variance at b*"),
    "baseline not multiplied by the score": (
        "score_function_samples",
        baseline_outside_the_product,
        "(10): with a baseline still unbiased",
    ),
    "a variance that is a standard deviation": (
        "variance_with_interval",
        standard_deviation,
        "the markers: half within 5 % of their lines",
    ),
    "score function, σ² for σ": (
        "score_function_samples",
        on_gradient(lambda mu, log_var: (mu / np.exp(-0.2), log_var)),
        "(15): the score function sees the jump",
    ),
    "Bernoulli score without its denominator": (
        "bernoulli_score_function_samples",
        lambda s: lambda f, prob, u: s(f, prob, u) * prob * (1 - prob),
        "Bernoulli: the score function is unbiased",
    ),
    "weight and its complement swapped": (
        "bernoulli_score_function_samples",
        lambda s: lambda f, prob, u: -s(f, prob, u),
        "a mixture's weight: the score function is unbiased",
    ),
}
RACE = {
    "steps of twice the size": (
        "race",
        race_changed(step_size=lambda step_size: 2 * step_size),
        "(13): one step in 16 dimensions, pathwise",
    ),
    "half of the variance": (
        "variances",
        lambda v: lambda *args: np.divide(v(*args), (2, 1, 1)),
        "(13): one step in 16 dimensions, score",
    ),
    "q wider than asked, at the end": (
        "race",
        race_changed(sigma=lambda sigma: 1.2 * sigma),
        "(13) after 300 steps: the pathwise r² in 128 dimensions",
    ),
    "short steps": (
        "race",
        race_changed(step_size=lambda step_size: step_size / 20),
        "the score function is out in no race up to 4 dimensions, in all from 16 on",
    ),
    "a baseline for nobody": (
        "race",
        race_changed(baseline=lambda _: False),
        "with the baseline in no race up to 64 dimensions",
    ),
    "one runner twice": ("race", one_runner, "the pathwise estimator is out nowhere"),
    "a tenth of the variance": (
        "variances",
        lambda v: lambda *args: np.divide(v(*args), (10, 1, 1)),
        "in 128 dimensions its step may be over 10,000 times as long",
    ),
    "half steps at the top": (
        "race",
        race_changed(step_size=lambda step_size: step_size / 2),
        "the race at the top: the score function is lost at step",
    ),
    "q much wider than asked": (
        "race",
        race_changed(sigma=lambda sigma: 3 * sigma),
        "for 100 steps pathwise is within a tenth of the exact gradient's distance",
    ),
    "q wider than asked": ("race", race_changed(sigma=lambda sigma: 2 * sigma), "then it stays about 0.1 away"),
    "other steps than asked": (
        "race",
        race_changed(step_size=lambda step_size: 2 * step_size),
        "on average the distance has halved",
    ),
}

# Code of the notebook, what stands in its place, the claim that must notice.
SOURCE = [
    ("0.5 * (eps**2 - 1)", "(eps**2 - 1)", "(5) is the slope of SciPy's log q"),
    ("return eps / np.exp(0.5 * log_var)", "return eps / np.exp(log_var)", "(5) is the slope of SciPy's log q"),
    ("slope * 0.5 * sigma * eps]", "slope * sigma * eps]", "(7), (8): it is the slope of f(μ + σ ε) for each ε"),
    (
        "slope * 0.5 * sigma * eps]",
        "slope * 0.5 * sigma**2 * eps]",
        "(7), (8): it is the slope of f(μ + σ ε) for each ε",
    ),
    ("(f(z) * score(z)) ** 2", "(f(z) * score(z) * sigma) ** 2", "the three exact variances, f = |z|"),
    ("df(z) ** 2) - mean(df) ** 2", "df(z) ** 2)", "the three exact variances, f = sin z"),
    ("((f(z) - b) * score(z))", "((f(z) - b) * 10)", "the three exact variances, f = sin 10z"),
    ("df(z) ** 2) - mean", "10 * df(z) ** 2) - mean", "z², exp z, sin z, |z|: pathwise varies least"),
    ("mean(lambda z: df(z) ** 2)", "mean(lambda z: abs(df(z)))", "sin 10z: more than fifty times as much"),
    ("(z - mu) / np.exp(log_var)", "(z - mu) / sigma**2", "sin z with log σ² = 1: pathwise varies most"),
    (
        "((f(z) - b) * score(z))",
        "((f(z) + b) * score(z))",
        "E[f] as a baseline helps for z², exp z, |z| and the step, and harms for sin z",
    ),
    ("(np.exp(z) * (z - mu)", "(np.exp(z)", "exp z: over a quarter beyond 3σ"),
    ("weighed(f) / weighed(np.ones_like)\n", "mu**2 + sigma**2\n", "(11): b* is where a search ends too"),
    ("f(z) * (z - mu) ** 2", "f(z) * z * (z - mu) ** 2", "(11): b* is where a search ends too"),
    (
        "weighed(f) / weighed(np.ones_like)\n",
        "mu**2 + sigma**2\n",
        "b* takes more than half of the variance and leaves more than the pathwise one",
    ),
    (
        "df(z) ** 2) - mean(df) ** 2",
        "df(z) ** 2)",
        "exp z, sin z, |z|: no constant takes the score function below pathwise either",
    ),
    ("((f(z) - b) * score(z))", "((f(z) - 0.1 * b) * score(z))", "f + 100 varies over 500 times as much as f"),
    ("d**2 * a**2 / sigma**2", "d * a**2 / sigma**2", "(12): the three variances in 32 dimensions"),
    (
        "4 * mu**2 * sigma**2 + 2 * sigma**4\n    better",
        "2 * sigma**4\n    better",
        "(12): the three variances in 32 dimensions",
    ),
    (
        "d**2 * a**2 / sigma**2",
        "d * a**2 / sigma**2",
        "from 64 to 128 dimensions they grow like d², d and not at all",
    ),
    ("omega**2 / 2 * wave", "omega**2 * wave", "(14): the pathwise variance at ω = 1"),
    ("wave = 1 + np", "wave = 1 - np", "(14): the pathwise variance at ω = 1"),
    (
        "exact_variances(f_k, df_k)[0],",
        "exact_variances(f_k, df_k)[2],",
        "(14): the score function's variance stays below 1/σ²",
    ),
    ("exact_variances(f_k, df_k)[0],", "0.0,", "the curves cross once"),
    ("omega**2 / 2 * wave", "omega**2 * wave", "where a wave turns by about one radian within σ"),
    ("omega**2 / 2 * wave", "omega**2 * wave", "at ω = 0.3 pathwise varies less than 0.01 times as much"),
    ("omega**2 / 2 * wave", "omega**2 * wave", "at ω = 1 pathwise varies less than 0.5 times as much"),
    (
        "* score).var(axis=0) / by_path\ntimes",
        ").var(axis=0) / by_path\ntimes",
        "a small VAE: pathwise varies least for each image",
    ),
    (
        "plain = (values * score)",
        "plain = ((values - values.mean(axis=0)) * score)",
        "hundreds of times less, or with E[f] over twice less",
    ),
    (
        "u, prob = rng.uniform(size=num_samples)",
        "u, prob = rng.uniform(size=num_samples) ** 2",
        "Bernoulli: π moves by 0.18, a share of 0.18 jumps",
    ),
    ("by_sum = high - low", "by_sum = low - high", "(16): so is the sum over the choice"),
    ("by_sum = high - low", "by_sum = 5 * (high - low)", "and it varies less"),
]

ANSWERS = [
    ("2 * var_f / 1000", "var_f / 1000", "fresh noise: the spread is √(2 Var f / 1000) / h"),
    ("of(above, h / 2) - of(above", "of(above, h / 2) - of(below", "same noise: the pathwise estimator"),
    ("mu**4 / s**2", "mu**2 / s**2", "σ = 0.1: the three variances"),
    (
        "np.exp(-(sigma**2) / 2) / np.sqrt(d)",
        "np.exp(-(sigma**2)) / np.sqrt(d)",
        "d = 4: two estimators of one gradient",
    ),
    (" * (1 - 4 * sigma**2 / d)", "", "d = 4: the score function's square"),
    ("np.cos(u_d) / np.sqrt(d)", "2 * np.cos(u_d)", "d = 64: pathwise varies less than 1/d"),
    ("np.pi**2 / 6", "np.pi**2 / 3", "τ = 0.01: the bias over its formula"),
    ("square * 6 * tau", "square * 3 * tau", "τ = 0.02: E[slope²] over q(0)/(6τ)"),
    ("df(z_rate) * -z_rate", "df(z_rate) * z_rate", "(A1): E[z²] = 2/λ², so the derivative is −4/λ³"),
    ("return -(up - down)", "return (up - down)", "(A2) is the slope of SciPy's F⁻¹"),
    ("return -(up - down)", "return (up - down)", "(A2): E[z²] = α(α + 1), so the derivative is 2α + 1"),
    ("eps_2 @ L.T", "eps_2 @ L", "(A3): the covariance of the draws is Σ"),
    ("z_2 @ (A + A.T), eps_2)", "eps_2, z_2 @ (A + A.T))", "(A3): E[f] = tr(A LLᵀ) + μᵀAμ, differentiated in L"),
]
STEPS = [
    ("short = 2 *", "short = 1 *", "steps to halve it: score function, pathwise"),
    ("short = 2 *", "short = 40 *", "and nobody is out"),
]

KERAS = [
    ("ops.exp(0.5 * inputs[1])", "ops.exp(inputs[1])", "same noise: Keras's gradient is our pathwise average"),
    ("ops.exp(0.5 * inputs[1])", "ops.exp(inputs[1])", "and the draws are those of vaelib's posterior"),
    (
        "lambda m: keras.random.normal(",
        "lambda m: 2 * keras.random.normal(",
        "keras.random.normal: ∂z/∂μ = 1 for each of 1000 draws",
    ),
    ('ops.cast(uniform < p, "float32")', "ops.sigmoid(p - uniform)", "u < prob: the gradient is None"),
    (
        'ops.cast(keras.random.categorical(x, 10, seed=seed), "float32")',
        "ops.softmax(x)",
        "category: the gradient is None",
    ),
    ("(moved[0] - moved[1])", "(moved[1] - moved[0])", "TensorFlow's gamma follows (A2)"),
]


@pytest.mark.parametrize("name", THEORY | RACE)
def test_a_broken_function_of_the_theory_is_noticed(name):
    function, change, claim = (THEORY | RACE)[name]
    module = next(module for module in MODULES if hasattr(module, function))
    with replaced(module, function, change), pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, source=QUICK, without=ASKING if name in RACE else ASKING + RACES)


@pytest.mark.parametrize(("old", "new", "claim"), SOURCE + ANSWERS + STEPS + KERAS)
def test_a_broken_formula_of_the_notebook_is_noticed(old, new, claim):
    needless = ASKING if (old, new, claim) in STEPS else ASKING + RACES
    if (old, new, claim) in ANSWERS:
        needless += ("keras",)
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, source={**QUICK, old: new}, without=needless)


def test_unbroken_every_claim_holds():
    made, failed = claims_of(NOTEBOOK)
    assert failed == []
    assert len(set(made)) == len(made)
    guarded = {claim for *_, claim in [*THEORY.values(), *RACE.values(), *SOURCE, *ANSWERS, *STEPS, *KERAS]}
    assert guarded <= set(made)
    # What is computed twice, for two numbers of dimensions or two widths, is broken once.
    once = {
        "(13) after 300 steps: the pathwise r² in 4 dimensions",
        "σ = 1: the three variances",
        "σ = 0.01: the three variances",
        "d = 64: two estimators of one gradient",
        "d = 64: the score function's square",
        "d = 4: pathwise varies less than 1/d",
        "τ = 0.02: the bias over its formula",
        "τ = 0.01: E[slope²] over q(0)/(6τ)",
    }
    assert set(made) - guarded == once
