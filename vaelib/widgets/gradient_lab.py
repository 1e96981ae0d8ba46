"""The lab of notebook 04: how far single estimates of one gradient scatter around its exact value."""

from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian, gradients
from vaelib.widgets.figure_lab import FigureLab

# One meaning per colour, here and in the notebook. f takes the place of log p(x|z), hence the likelihood's orange.
Q, F, EXACT = COLOURS["blue"], COLOURS["orange"], COLOURS["black"]
SCORE, BASELINE, PATHWISE = COLOURS["purple"], COLOURS["vermillion"], COLOURS["sky"]

MU = (-2.0, 2.0, 0.05, 0.7)
LOG_VAR = (-2.0, 1.0, 0.05, -0.4)
NUM_SAMPLES = (1, 64, 1, 1)
WIDEST = 12.0  # half the width of the picture; estimates beyond are counted in the readout
Z = np.linspace(-5, 5, 401)


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


def gradient_lab(repeats=300, seed=0):
    """Build the lab: q and f on the left; on the right `repeats` estimates per estimator beside the exact gradient.

    Args:
        repeats: estimates per estimator, at least 2. seed: of the noise, which is drawn once.
    Returns:
        A Lab with the menu function and the sliders mu, log_var and num_samples; its `strips` are the three lines of
        dots (score function, score function with baseline, pathwise), its `exact` the line at the exact gradient.
    """
    rng = np.random.default_rng(seed)
    eps = rng.standard_normal((repeats, NUM_SAMPLES[1]))
    jitter = rng.uniform(-0.3, 0.3, repeats)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=[1, 1.6])
    (q_line,) = left.plot(Z, np.zeros_like(Z), color=Q, label="$q(z)$")
    (f_line,) = left.plot(Z, np.zeros_like(Z), color=F, linewidth=1.3, label="$f(z)$, scaled")
    left.set(xlabel="$z$", ylabel="$q(z)$, and $f(z)$ scaled to fit", xlim=(-5, 5), ylim=(-1.1, 1.7))
    left.legend(loc="upper right", ncols=2)
    names = ["score function", "score function\nwith baseline", "pathwise"]
    strips = [
        right.plot([0.0], [row], ".", color=colour, alpha=0.6, markersize=5)[0]
        for row, colour in zip((2, 1, 0), (SCORE, BASELINE, PATHWISE), strict=True)
    ]
    exact = right.axvline(0.0, color=EXACT, linewidth=1.2, label="exact")
    right.set(yticks=[2, 1, 0], yticklabels=names, ylim=(-0.5, 2.9), xlim=(-WIDEST, WIDEST))
    right.set_xlabel(r"estimate of $\partial\,\mathrm{E}[f(z)]\,/\,\partial\mu$")
    right.legend(loc="upper right")

    def update(function, mu, log_var, num_samples):
        chosen = FUNCTIONS[function]
        now = estimates(chosen, mu, log_var, eps[:, :num_samples])
        q_line.set_ydata(np.exp(gaussian.log_prob_normal(Z, mu, log_var)))
        values = chosen.f(Z)
        # The part of f that fits: e^z would flatten everything else.
        f_line.set_ydata(np.where(np.abs(values) <= 10, values / min(np.abs(values).max(), 10), np.nan))
        exact.set_xdata([now.exact, now.exact])
        for row, strip, each in zip((2, 1, 0), strips, now[1:], strict=True):
            strip.set_data(each, row + jitter)
        spreads = " · ".join(
            f"{name} {each.std(ddof=1):.3f}"
            for name, each in zip(("score function", "with baseline", "pathwise"), now[1:], strict=True)
        )
        beyond = sum(int(np.sum(np.abs(each) > WIDEST)) for each in now[1:])
        return f"exact gradient {now.exact:.3f}\nspread (standard deviation): {spreads}\n{beyond} dots lie outside"

    lab = FigureLab(
        fig,
        update,
        [q_line, f_line, strips, exact],
        {"function": list(FUNCTIONS), "mu": MU, "log_var": LOG_VAR, "num_samples": NUM_SAMPLES},
        labels={
            "function": "the function f",
            "mu": "μ, the mean of q",
            "log_var": "log σ² of q",
            "num_samples": "samples per estimate",
        },
        alt="Left: q and f over z. Right: a strip of dots per estimator, each dot one estimate of the gradient with "
        "respect to μ; a vertical line marks the exact gradient.",
    )
    lab.strips, lab.exact = strips, exact
    return lab
