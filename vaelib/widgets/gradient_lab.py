"""The lab of notebook 05: how far single estimates of one gradient scatter around its exact value."""

from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import roots_legendre

from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian, gradients
from vaelib.widgets import noise
from vaelib.widgets.controls import Menu, Slider
from vaelib.widgets.lab import Lab, packed

# One meaning per colour, here and in the notebook. f takes the place of log p(x|z), hence the likelihood's orange.
Q, F, EXACT = COLOURS["blue"], COLOURS["orange"], COLOURS["black"]
SCORE, BASELINE, PATHWISE = COLOURS["purple"], COLOURS["vermillion"], COLOURS["sky"]
NAMES = ("score function", "with baseline", "pathwise")

MU = Slider("μ, the mean of q", -2.0, 2.0, 0.01, 0.7, key=0.05)
LOG_VAR = Slider("log σ² of q", -2.0, 1.0, 0.01, -0.4, key=0.05)
NUM_SAMPLES = Slider("samples per estimate", 1, 64, 1, 1)
SEED = Slider("seed of the noise", 0, 999, 1, 0)
REPEATS = 300  # estimates per estimator
Z = np.linspace(-5, 5, 401)
HIGHEST = 10.0  # the part of f that is drawn: eᶻ would flatten everything else


class Function(NamedTuple):
    """A function of one number, its derivative, and the places where it or its derivative jumps."""

    f: Callable
    df: Callable
    breaks: tuple = ()


FUNCTIONS = {
    "z²": Function(np.square, lambda z: 2 * z),
    "exp z": Function(np.exp, np.exp),
    "sin z": Function(np.sin, np.cos),
    "|z|": Function(np.abs, np.sign, (0.0,)),
    "sin 10z": Function(lambda z: np.sin(10 * z), lambda z: 10 * np.cos(10 * z)),
    "step at 0": Function(lambda z: np.where(z > 0, 1.0, 0.0), np.zeros_like, (0.0,)),
}

# Half the width of the picture of the estimates, by function; those beyond are counted in the readout.
WIDEST = {"z²": 12.0, "exp z": 12.0, "sin z": 4.0, "|z|": 6.0, "sin 10z": 12.0, "step at 0": 4.0}


class Estimates(NamedTuple):
    """Estimates of ∂E[f(z)]/∂μ, each of shape (repeats,), and its exact value."""

    exact: float
    score: np.ndarray
    baseline: np.ndarray
    pathwise: np.ndarray


def estimates(function, mu, log_var, eps):
    """Estimate ∂E[f(z)]/∂μ again and again, by three estimators from the same noise.

    Args:
        function: a `Function`. mu, log_var: numbers.
        eps: noise from N(0, 1), shape (repeats, num_samples): each estimate is an average over a row.
    Returns:
        Estimates: by the score function, by the score function with the baseline E[f(z)], and pathwise. The last is
        unbiased only where f is continuous.
    Source: `vaelib.theory.gradients`.
    """
    flat = np.ravel(eps)
    f, df, breaks = function
    mean = gradients.expectation(f, mu, log_var, breaks=breaks)
    samples = (
        gradients.score_function_samples(f, mu, log_var, flat).mu,
        gradients.score_function_samples(f, mu, log_var, flat, baseline=mean).mu,
        gradients.pathwise_samples(df, mu, log_var, flat).mu,
    )
    exact = gradients.exact_gradient(f, mu, log_var, breaks=breaks).mu
    return Estimates(float(exact), *(each.reshape(eps.shape).mean(axis=1) for each in samples))


def draw_variances(ax, places, table, shift=0.0):
    """Draw measured variances with their intervals, one marker per estimator and place; return ax.

    Args:
        ax: Axes. places: positions on the horizontal axis.
        table: for each place three `gradients.VarianceEstimate`: score function, with baseline, pathwise.
        shift: horizontal distance between the three markers of a place.
    """
    kinds = [("score function", SCORE, "o"), ("with baseline", BASELINE, "s"), ("pathwise", PATHWISE, "D")]
    for k, (label, colour, marker) in enumerate(kinds):
        variance, low, high = np.array([row[k] for row in table]).T
        where = np.asarray(places, float) + shift * (k - 1)
        bars = [variance - low, high - variance]
        ax.errorbar(where, variance, bars, fmt=marker, color=colour, capsize=5, markersize=4, label=label)
    return ax


class GradientLab(Lab):
    """The lab: drag q's peak and flank, choose f, and see how single estimates of ∂E[f(z)]/∂μ scatter.

    Three strips of dots, one per estimator and all from the same noise, lie around the exact value, the black line.
    """

    def __init__(self):
        x, weights = roots_legendre(gradients.NUM_NODES)
        functions = {
            name: {"breaks": list(function.breaks), "widest": WIDEST[name]} for name, function in FUNCTIONS.items()
        }
        super().__init__(
            "gradient",
            {
                "function": Menu("the function f", tuple(FUNCTIONS)),
                "mu": MU,
                "log_var": LOG_VAR,
                "num_samples": NUM_SAMPLES,
                "seed": SEED,
            },
            {
                "functions": functions,
                "nodes": {"x": packed(x), "weights": packed(weights), "edges": gradients.EDGES.tolist()},
                "z": [Z[0], Z[-1], len(Z)],
                "highest": HIGHEST,
                "repeats": REPEATS,
                "most": NUM_SAMPLES.high,
            },
            alt="Left: q and f over z. Right: a strip of dots per estimator, each dot one estimate of the gradient in "
            "μ; a vertical line marks the exact gradient.",
        )

    def compute(self, function, mu, log_var, num_samples, seed):
        chosen, values = FUNCTIONS[function], FUNCTIONS[function].f(Z)
        eps = noise.normal(seed, REPEATS, NUM_SAMPLES.high)[:, :num_samples]
        now = estimates(chosen, mu, log_var, eps)
        strips = np.array(now[1:])
        height = min(np.abs(values).max(), HIGHEST)
        return {
            **now._asdict(),
            "mean": strips.mean(axis=1),
            "spread": strips.std(axis=1, ddof=1),
            "outside": int(np.sum(np.abs(strips) > WIDEST[function])),
            "density": np.exp(gaussian.log_prob_normal(Z, mu, log_var)),
            "f": np.where(np.abs(values) <= HIGHEST, values / height, np.nan),
        }

    def draw(self, now, values):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), width_ratios=[1, 1.6])
        left.plot(Z, now["density"], color=Q, label="$q(z)$")
        left.fill_between(Z, 0, now["density"], color=Q, alpha=0.2)
        left.plot(Z, now["f"], color=F, linewidth=1.3, label="$f(z)$, scaled")
        left.set(xlabel="$z$", xlim=(Z[0], Z[-1]), ylim=(-1.1, 1.7), title=f"f(z) = {values['function']}")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
        jitter = jitter_of(values["seed"])
        colours = {"score": SCORE, "baseline": BASELINE, "pathwise": PATHWISE}
        for row, (strip, colour), spread in zip((2, 1, 0), colours.items(), now["spread"], strict=True):
            right.plot(now[strip], row + jitter, ".", color=colour, alpha=0.6, markersize=5)
            right.text(0.99, row + 0.37, f"spread {spread:.2f}", transform=right.get_yaxis_transform(), ha="right")
        right.axvline(now["exact"], color=EXACT, linewidth=1.2)
        widest = WIDEST[values["function"]]
        right.set(yticks=[2, 1, 0], yticklabels=NAMES, ylim=(-0.5, 2.65), xlim=(-widest, widest))
        right.set(xlabel=r"estimate of $\partial\,\mathrm{E}[f(z)]\,/\,\partial\mu$")
        right.set_title(f"exact gradient {now['exact']:.3f}, the black line".replace("-", "−"))
        return figure


def jitter_of(seed):
    """Return how far each dot stands above or below its strip's middle, shape (repeats,), for the eye alone."""
    start = REPEATS * NUM_SAMPLES.high  # after the numbers that the noise takes
    return 0.6 * noise.uniform(seed, REPEATS, start) - 0.3
