"""Notebook 05: every claim fails when the formula that it guards is broken."""

import numpy as np
import pytest
from breaking import claims_of, replaced, run_until

from vaelib.teaching.claims import ClaimError
from vaelib.theory import families, gradients
from vaelib.theory.families import Sampled
from vaelib.theory.gradients import Gradient, VarianceEstimate
from vaelib.widgets import gradient_lab, gradient_race
from vaelib.widgets.gradient_lab import Estimates
from vaelib.widgets.gradient_race import Race

pytestmark = pytest.mark.slow

NOTEBOOK = "05_reparameterisation"
# Fewer resamples, and fewer races where a claim does not need them.
QUICK = {"num_resamples=200": "num_resamples=20"}


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


def slope_changed(name, change):
    def broken(original):
        def sample(*args):
            z, derivatives = original(*args)
            return Sampled(z, {**derivatives, name: change(derivatives[name])})

        return sample

    return broken


def standard_deviation(original):
    def measure(samples, **named):
        return VarianceEstimate(*np.sqrt(original(samples, **named)))

    return measure


def noise_and_slope_swapped(original):
    def samples(df, mu, factor, eps):
        slope, _ = original(df, mu, factor, eps)
        return slope, np.tril(eps[:, :, None] * slope[:, None, :])

    return samples


def strips_swapped(original):
    def estimates(*args):
        exact, score, baseline, pathwise = original(*args)
        return Estimates(exact, pathwise, baseline, score)

    return estimates


def race_changed(**changes):
    """A race with other settings than it was asked for: by name, a function of what was asked."""

    def broken(original):
        def race(baseline=False, **named):
            named["baseline"] = baseline
            return original(**{name: changes.get(name, lambda v: v)(value) for name, value in named.items()})

        return race

    return broken


def one_runner(original):
    def race(**named):
        paths = original(**named)
        return Race(paths.score, paths.score, paths.expected)

    return race


# A function of one of these modules, how it is broken, the claim that must notice.
MODULES = (gradients, families, gradient_lab, gradient_race)
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
        "(9) by quadrature, f = exp z",
    ),
    "score function, ½ missing": (
        "score_function_samples",
        on_gradient(lambda mu, log_var: (mu, 2 * log_var)),
        "our score function is vaelib's",
    ),
    "score function, arguments swapped": (
        "score_function_samples",
        on_gradient(lambda mu, log_var: (log_var, mu)),
        "score function, f = |z|",
    ),
    "pathwise, ½ missing": (
        "pathwise_samples",
        on_gradient(lambda mu, log_var: (mu, 2 * log_var)),
        "our pathwise estimator is vaelib's",
    ),
    "pathwise, wrong sign": (
        "pathwise_samples",
        on_gradient(lambda mu, log_var: (mu, -log_var)),
        "pathwise, f = exp z",
    ),
    "a variance that is a standard deviation": (
        "variance_with_interval",
        standard_deviation,
        "bounded f: pathwise below 1/d",
    ),
    "baseline added": ("score_function_samples", added_baseline, "(11): the variance at b*"),
    "baseline not multiplied by the score": (
        "score_function_samples",
        baseline_outside_the_product,
        "(10): with a baseline still unbiased",
    ),
    "baseline with the sample's own value": (
        "leave_one_out_baseline",
        lambda _: lambda values: np.full(len(values), values.mean()),
        "leave-one-out: the mean of f over the other samples",
    ),
    "score function, σ² for σ": (
        "score_function_samples",
        on_gradient(lambda mu, log_var: (mu / np.exp(-0.2), log_var)),
        "(14): the score function sees the jump",
    ),
    "Bernoulli score without its denominator": (
        "bernoulli_score_function_samples",
        lambda s: lambda f, prob, u: s(f, prob, u) * prob * (1 - prob),
        "Bernoulli: the score function is unbiased",
    ),
    "weight and its complement swapped": (
        "bernoulli_score_function_samples",
        lambda s: lambda f, prob, u: -s(f, prob, u),
        "mixture weight: the score function is unbiased",
    ),
    "scale squared": (
        "location_scale_sample",
        lambda s: lambda family, loc, scale, u: s(family, loc, scale**2, u),
        "laplace: SciPy's F takes z back to u",
    ),
    "u upside down": (
        "location_scale_sample",
        lambda s: lambda family, loc, scale, u: s(family, loc, scale, 1 - u),
        "gumbel: SciPy's F takes z back to u",
    ),
    "loc and scale swapped": (
        "location_scale_pathwise",
        lambda p: lambda *args: p(*args)[::-1],
        "(16) for logistic: ∂E[z²]/∂(loc, scale)",
    ),
    "exponential, wrong sign": (
        "exponential_sample",
        slope_changed("rate", lambda slope: -slope),
        "(16) for the exponential: E[z²] = 2/λ²",
    ),
    "Weibull, scale forgotten": (
        "weibull_sample",
        slope_changed("scale", lambda slope: slope * 1.3),
        "(16) for the Weibull's scale",
    ),
    "Weibull, shape for its square": (
        "weibull_sample",
        slope_changed("shape", lambda slope: slope * 1.8),
        "(16) for the Weibull's shape",
    ),
    "factor transposed": (
        "sample_cholesky",
        lambda _: lambda mu, factor, eps: mu + eps @ factor,
        "(18): the covariance of the draws is Σ",
    ),
    "noise and slope swapped": (
        "pathwise_cholesky",
        noise_and_slope_swapped,
        "(18): the gradient with respect to L",
    ),
    "strips in another order": (
        "estimates",
        strips_swapped,
        "in the lab, z²: score function, with baseline, pathwise, from wide to narrow",
    ),
    "the pathwise strip in another's place": (
        "estimates",
        strips_swapped,
        "in the lab, sin 10z: the pathwise strip is the widest",
    ),
    "a step's pathwise strip with spread": (
        "estimates",
        strips_swapped,
        "in the lab, the step: every pathwise dot is 0",
    ),
    "race, steps of twice the size": (
        "race",
        race_changed(step_size=lambda step_size: 2 * step_size),
        "(12a): one step in 16 dimensions, pathwise",
    ),
    "race, half of the variance": (
        "variances",
        lambda v: lambda *args: np.divide(v(*args), (2, 1, 1)),
        "(12a): one step in 16 dimensions, score",
    ),
    "race, q wider than asked": (
        "race",
        race_changed(sigma=lambda sigma: 1.2 * sigma),
        "(12a) after 300 steps: the pathwise r² in 128 dimensions",
    ),
    "race, short steps": (
        "race",
        race_changed(step_size=lambda step_size: step_size / 20),
        "the score function is out in no race up to 4 dimensions, in all from 16 on",
    ),
    "race, a baseline for nobody": (
        "race",
        race_changed(baseline=lambda _: False),
        "with the baseline in no race up to 64 dimensions",
    ),
    "race, one runner twice": ("race", one_runner, "the pathwise estimator is out nowhere"),
    "gradient in μ from the noise": (
        "pathwise_cholesky",
        lambda p: lambda df, mu, factor, eps: p(df, 0 * mu, factor, eps),
        "(18): the gradient with respect to μ",
    ),
}

# Code of the notebook, what stands in its place, the claim that must notice.
SOURCE = [
    ("2 * var_f / 1000", "var_f / 1000", "fresh noise: the spread is √(2 Var f / 1000) / h"),
    ("0.5 * (eps**2 - 1)", "(eps**2 - 1)", "(5) is the slope of SciPy's log q"),
    ("return eps / np.exp(0.5 * log_var)", "return eps / np.exp(log_var)", "(5) is the slope of SciPy's log q"),
    ("slope * 0.5 * sigma * eps]", "slope * sigma * eps]", "(7), (8): it is the slope of f(μ + σ ε) for each ε"),
    (
        "slope * 0.5 * sigma * eps]",
        "slope * 0.5 * sigma**2 * eps]",
        "(7), (8): it is the slope of f(μ + σ ε) for each ε",
    ),
    (
        "lambda z: (f(z) * (z - mu) / sigma**2)",
        "lambda z: (f(z) * (z - mu) / sigma)",
        "variance of the score function, f = |z|",
    ),
    ("best = weighed(f) / weighed(np.ones_like)", "best = mean_f", "(11): b* is where a search ends too"),
    ("lambda z: g(z) * ((z - mu)", "lambda z: g(z) * (z * (z - mu)", "(11): b* is where a search ends too"),
    ("d**2 * a**2 / sigma**2", "d * a**2 / sigma**2", "(12): the three variances in 32 dimensions"),
    (
        "4 * mu**2 * sigma**2 + 2 * sigma**4\n    with",
        "2 * sigma**4\n    with",
        "(12): the three variances in 32 dimensions",
    ),
    (
        "np.cos(z @ direction)[:, None] * direction,",
        "np.cos(z @ direction)[:, None] * direction * d,",
        "bounded f: the score function falls behind as d grows",
    ),
    ("omega**2 / 2 * wave", "omega**2 * wave", "(13): the pathwise variance at ω = 1"),
    ("wave = 1 + np", "wave = 1 - np", "(13): the pathwise variance at ω = 1"),
    ("by_sum = high - low", "by_sum = low - high", "(15): so is the sum over the choice"),
    ("return -slope /", "return slope /", "(17) is the slope of SciPy's F⁻¹"),
    ("return -slope /", "return slope /", "(17): E[z²] = α(α + 1), so the derivative is 2α + 1"),
]

KERAS = [
    ("ops.exp(0.5 * inputs[1])", "ops.exp(inputs[1])", "same noise: Keras's gradient is our pathwise average"),
    ("ops.exp(0.5 * inputs[1])", "ops.exp(inputs[1])", "and the draws are those of vaelib's posterior"),
    ('ops.cast(uniform < p, "float32")', "ops.sigmoid(p - uniform)", "u < π: the gradient is None"),
    ("return -slope /", "return slope /", "TensorFlow's gamma follows (17)"),
]


@pytest.mark.parametrize("name", THEORY)
def test_a_broken_function_of_the_theory_is_noticed(name):
    function, change, claim = THEORY[name]
    module = next(module for module in MODULES if hasattr(module, function))
    with replaced(module, function, change), pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, source=QUICK)


@pytest.mark.parametrize(("old", "new", "claim"), SOURCE + KERAS)
def test_a_broken_formula_of_the_notebook_is_noticed(old, new, claim):
    with pytest.raises(ClaimError):
        run_until(NOTEBOOK, claim, source={**QUICK, old: new})


def test_unbroken_every_claim_holds():
    made, failed = claims_of(NOTEBOOK)
    assert failed == []
    assert len(set(made)) == len(made) >= 13
    guarded = {claim for *_, claim in [*THEORY.values(), *SOURCE, *KERAS]}
    assert guarded <= set(made)
