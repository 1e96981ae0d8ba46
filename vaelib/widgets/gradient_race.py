"""The race of notebook 05: score function and pathwise descend side by side, one sample a step."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from vaelib.theory import gaussian
from vaelib.widgets import noise
from vaelib.widgets.controls import Slider, Toggle
from vaelib.widgets.gradient_lab import EXACT, PATHWISE, SCORE, F, Q
from vaelib.widgets.lab import Lab

NUM_STEPS = 300
LOST = 20.0  # who is so far from the optimum, as a root mean square over the dimensions, is out of the race

PLACE = Slider("c, the place of f's minimum", -3.0, 3.0, 0.01, 1.0, key=0.05)
MU = Slider("μ of q at the start", -3.0, 3.0, 0.01, -1.5, key=0.05)
SIGMA = Slider("σ of q", 0.3, 1.5, 0.01, 1.0, key=0.05)
DIMENSION = Slider("d, the number of dimensions", 1, 128, 1, 4)
STEP_SIZE = Slider("step size", 0.001, 0.05, 0.001, 0.01)
BASELINE = Toggle("give the score function the baseline E[f]")
STEPS = Slider("steps done", 0, NUM_STEPS, 1, NUM_STEPS)
SEED = Slider("seed of the noise", 0, 999, 1, 0)
Z = np.linspace(-5, 5, 201)


class Race(NamedTuple):
    """The means of q on the way, each of shape (steps + 1, d); NaN from where one is lost."""

    score: np.ndarray
    pathwise: np.ndarray
    expected: np.ndarray


def race(place, mu, sigma, step_size, eps, baseline=False):
    """Descend E[f(z)], f(z) = Σ_j (z_j − c)², over the means of q = N(μ, σ² I), by two estimates of one sample each.

    Args:
        place: c, the minimum in each dimension. mu: where all means start. sigma: q's width, which stays.
        step_size: the factor of each estimate. eps: the noise of both, shape (steps, d), a row for each step.
        baseline: whether the score function subtracts E[f] at its place, known here in closed form.
    Returns:
        Race; `expected` follows the gradient 2 (μ − c) itself, and is the average of the pathwise runs.
    """
    steps, d = eps.shape
    paths = np.full((3, steps + 1, d), float(mu))
    for t in range(steps):
        score, pathwise, expected = paths[:, t]
        mean_f = np.sum((score - place) ** 2) + d * sigma**2 if baseline else 0.0
        value = np.sum((score + sigma * eps[t] - place) ** 2)
        paths[0, t + 1] = score - step_size * (value - mean_f) * eps[t] / sigma
        paths[1, t + 1] = pathwise - step_size * 2 * (pathwise + sigma * eps[t] - place)
        paths[2, t + 1] = expected - step_size * 2 * (expected - place)
        if not root_mean_square(paths[0, t + 1] - place) <= LOST:
            paths[0, t + 1] = np.nan
    return Race(*paths)


def root_mean_square(x):
    """Return √(mean of x²) over the last axis: a length that does not grow with the dimension by itself."""
    return np.sqrt(np.mean(np.square(x), axis=-1))


def variances(offset, sigma, d):
    """The variances of one estimate of ∂E[f]/∂μ₁ at μ = c + offset in every dimension: (12) of the notebook.

    Args:
        offset, sigma, d: numbers.
    Returns:
        (score function, the same with the baseline E[f], pathwise).
    """
    mean, variance = offset**2 + sigma**2, 4 * offset**2 * sigma**2 + 2 * sigma**4
    with_baseline = 8 * offset**2 + 10 * sigma**2 + (d - 1) * variance / sigma**2
    return with_baseline + d**2 * mean**2 / sigma**2 + 4 * d * mean, with_baseline, 4 * sigma**2


class GradientRace(Lab):
    """The race: drag f and q, and let both descend; the same noise for both, and as many dimensions as you like."""

    def __init__(self):
        super().__init__(
            "gradient_race",
            {
                "dimension": DIMENSION,
                "step_size": STEP_SIZE,
                "place": PLACE,
                "mu": MU,
                "sigma": SIGMA,
                "baseline": BASELINE,
                "steps": STEPS,
                "seed": SEED,
            },
            {"num_steps": NUM_STEPS, "most": DIMENSION.high, "lost": LOST, "z": [Z[0], Z[-1], len(Z)]},
            alt="Left: f and q over the first dimension, at the start and where each estimator has taken it. Right: "
            "the distance to the optimum against the steps, for the score function, the pathwise estimator and the "
            "exact gradient.",
        )

    def compute(self, dimension, step_size, place, mu, sigma, baseline, steps, seed):
        eps = noise.normal(seed, NUM_STEPS, DIMENSION.high)[:steps, :dimension]
        paths = race(place, mu, sigma, step_size, eps, baseline)
        numbers = {name: root_mean_square(path - place) for name, path in paths._asdict().items()}
        plain, better, pathwise = variances(mu - place, sigma, dimension)
        return {
            **numbers,
            "score_mu": paths.score[:, 0],
            "pathwise_mu": paths.pathwise[:, 0],
            "lost": int(np.argmax(np.isnan(numbers["score"]))),  # 0: never
            "score_variance": better if baseline else plain,
            "pathwise_variance": pathwise,
        }

    def draw(self, now, values):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), width_ratios=[1, 1.3])
        bowl = (Z - values["place"]) ** 2
        left.plot(Z, np.where(bowl <= 8, bowl / 8, np.nan), color=F, label="f, scaled")
        places = {
            "q at the start": (values["mu"], Q, ":"),
            "by the score function": (now["score_mu"][-1], SCORE, "-"),
            "pathwise": (now["pathwise_mu"][-1], PATHWISE, "-"),
        }
        for name, (mu, colour, style) in places.items():
            if np.isnan(mu):  # lost
                continue
            density = np.exp(gaussian.log_prob_normal(Z, mu, 2 * np.log(values["sigma"])))
            left.plot(Z, density, color=colour, linestyle=style, label=name)
        left.set(xlabel="$z_1$, the first dimension", xlim=(Z[0], Z[-1]), ylim=(0, 1.4), yticks=[])
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
        at = np.arange(values["steps"] + 1)
        right.plot(at, now["score"], color=SCORE, label="score function")
        right.plot(at, now["pathwise"], color=PATHWISE, label="pathwise")
        right.plot(at, now["expected"], color=EXACT, linestyle="--", label="exact gradient")
        if now["lost"]:
            right.plot(now["lost"] - 1, now["score"][now["lost"] - 1], "x", color=SCORE, markersize=10, mew=3)
        right.set(yscale="log", xlim=(0, NUM_STEPS), ylim=(0.01, LOST), xlabel="step", ylabel="distance to the optimum")
        right.set_title(f"d = {values['dimension']}")
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
        return figure
