"""The lab of notebook 17: three classes, a ball on the simplex, and the slopes that estimators give it."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import log_softmax

from vaelib.teaching.palette import COLOURS
from vaelib.theory.discrete import softmax_gradient
from vaelib.widgets import noise
from vaelib.widgets.controls import Menu, Slider
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
TRUE, SCORE, BASELINE = COLOURS["grey"], COLOURS["purple"], COLOURS["vermillion"]
RELAXED, STRAIGHT, TARGET = COLOURS["sky"], COLOURS["orange"], COLOURS["green"]
ESTIMATORS = {
    "score function": SCORE,
    "score function, with baseline": BASELINE,
    "Gumbel-softmax": RELAXED,
    "straight-through": STRAIGHT,
}
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])  # of the simplex, in the plane

NUM_ARROWS = 60  # single estimates shown
NUM_STEPS, STEP_SIZE = 200, 2.0  # of the balls, in the logits
NUM_POINTS, TURN = 987, 610  # of the lattice of noise: Fibonacci numbers
LEAST = 0.02  # of each probability: nearer to an edge no slope is seen
ARROW = 2.5  # how long an arrow is for a slope of 1 in the plane

PI_1 = Slider("π₁", LEAST, 1 - 2 * LEAST, 0.005, 0.15, key=0.02, hidden=True)
PI_2 = Slider("π₂", LEAST, 1 - 2 * LEAST, 0.005, 0.25, key=0.02, hidden=True)
T_1 = Slider("t₁", LEAST, 1 - 2 * LEAST, 0.005, 0.5, key=0.02, hidden=True)
T_2 = Slider("t₂", LEAST, 1 - 2 * LEAST, 0.005, 0.3, key=0.02, hidden=True)
TAU = Slider("τ, the temperature", 0.2, 2.0, 0.01, 0.7, key=0.05)
STEPS = Slider("steps of the balls", 0, NUM_STEPS, 1, 0, key=5)
SEED = Slider("seed of the noise", 0, 999, 1, 0)


class SimplexLab(Lab):
    """The lab: drag π and the target t over the simplex, choose an estimator, and roll the balls.

    The loss of a class is the squared distance of its corner from t. The grey arrow is the exact way down; the others
    are single estimates of it. Three balls roll from π: along the exact slope, and along the means of Gumbel-softmax
    and of straight-through.

    Args:
        estimator: whose single estimates are shown at the start, a name of `ESTIMATORS`.
        tau: the temperature at the start.
        steps: how far the balls have rolled at the start.
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, estimator="Gumbel-softmax", tau=TAU.start, steps=STEPS.start):
        controls = {
            "estimator": Menu("single estimates of", tuple(ESTIMATORS), estimator),
            "tau": Slider(TAU.label, TAU.low, TAU.high, TAU.step, tau, TAU.key),
            "steps": Slider(STEPS.label, STEPS.low, STEPS.high, STEPS.step, steps, STEPS.key),
            "seed": SEED,
            "pi_1": PI_1,
            "pi_2": PI_2,
            "t_1": T_1,
            "t_2": T_2,
        }
        super().__init__(
            "simplex",
            controls,
            {
                "arrows": [NUM_ARROWS, ARROW],
                "descent": [NUM_STEPS, STEP_SIZE],
                "lattice": [NUM_POINTS, TURN],
                "least": LEAST,
            },
            alt="A triangle of probabilities over three classes with a point π, a target t, a cloud of arrows from π "
            "and a grey one; beside it the loss of three balls that roll from π.",
        )

    def compute(self, estimator, tau, steps, seed, pi_1, pi_2, t_1, t_2):
        pi, t = probabilities(pi_1, pi_2), probabilities(t_1, t_2)
        f = np.sum((np.eye(3) - t) ** 2, axis=1)
        single = estimates(estimator, pi, t, tau, noise.uniform(seed, 2 * NUM_ARROWS).reshape(-1, 2))
        fields = {
            "true": lambda at: softmax_gradient(at, f),
            "relaxed": lambda at: relaxed_slope(at, t, tau, lattice()),
            "straight": lambda at: softmax_gradient(at, 2 * (at - t)),
        }
        ways = {name: descent(field, pi) for name, field in fields.items()}
        mean = fields[{"Gumbel-softmax": "relaxed", "straight-through": "straight"}.get(estimator, "true")](pi)
        ends = {name: way[steps] for name, way in ways.items()}
        return {
            "pi": pi,
            "t": t,
            "f": f,
            "exact_tip": tip(pi, fields["true"](pi)),
            "mean_tip": tip(pi, mean),
            "tips": tip(pi, single),
            "spread": float(np.sqrt(np.mean(np.sum((single - mean) ** 2, axis=1)))),
            **{f"way_{name}": way @ CORNERS for name, way in ways.items()},
            **{f"loss_{name}": way @ f for name, way in ways.items()},
            **{f"end_{name}": end for name, end in ends.items()},
        }

    def draw(self, now, values):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), width_ratios=[1.25, 1])
        left.plot(*CORNERS[[0, 1, 2, 0]].T, color=COLOURS["black"], linewidth=1)
        for k, (x, y) in enumerate(CORNERS):
            left.annotate(f"class {k + 1}", (x, y), (0, 8 if k == 2 else -16), textcoords="offset points", ha="center")
        colour, at = ESTIMATORS[values["estimator"]], now["pi"] @ CORNERS
        left.plot(
            *np.stack([np.broadcast_to(at, now["tips"].shape), now["tips"]]).T.swapaxes(1, 2), color=colour, lw=0.5
        )
        for end, each in ((now["mean_tip"], colour), (now["exact_tip"], TRUE)):
            left.annotate("", end, at, arrowprops={"arrowstyle": "-|>", "color": each, "linewidth": 2})
        left.plot(*at, "o", color=COLOURS["blue"])
        left.plot(*(now["t"] @ CORNERS), "P", color=TARGET, markersize=9)
        steps = values["steps"]
        for name, each in (("true", TRUE), ("relaxed", RELAXED), ("straight", STRAIGHT)):
            left.plot(*now[f"way_{name}"][: steps + 1].T, color=each, linewidth=1.5)
            left.plot(*now[f"way_{name}"][steps], "o", color=each, markersize=8)
            right.plot(np.arange(steps + 1), now[f"loss_{name}"][: steps + 1], color=each, label=NAMES[name])
            right.plot(steps, now[f"loss_{name}"][steps], "o", color=each)
        left.set(xlim=(-0.15, 1.15), ylim=(-0.15, 1.02), aspect="equal", title=values["estimator"])
        left.axis("off")
        low, high = now["f"].min(), now["f"].max()
        right.axhline(low, color=COLOURS["black"], linewidth=1, linestyle="--")
        right.set(xlim=(0, NUM_STEPS), ylim=(low - 0.05, high + 0.05), xlabel="step", ylabel="loss of hard draws")
        right.legend(loc="upper right", fontsize=8)
        return figure


NAMES = {"true": "exact", "relaxed": "Gumbel-softmax", "straight": "straight-through"}


def probabilities(first, second):
    """Return three probabilities of at least LEAST from the first two, shape (3,)."""
    rest = 1 - 3 * LEAST
    one, two = first - LEAST, second - LEAST
    scale = min(1.0, rest / max(one + two, 1e-12))
    one, two = one * scale, two * scale
    return np.array([LEAST + one, LEAST + two, LEAST + max(rest - one - two, 0.0)])


def spacings(u):
    """Return points spread evenly over the simplex from uniform pairs: (n, 2) to (n, 3).

    Gumbel noise is minus the logarithm of exponential numbers, and those divided by their sum are such a point.
    """
    root = np.sqrt(u[:, 0])
    return np.stack([1 - root, root * (1 - u[:, 1]), root * u[:, 1]], axis=1)


def lattice():
    """Return the points of noise that means are taken over, shape (NUM_POINTS, 3). Source: Fibonacci lattice."""
    i = np.arange(NUM_POINTS)
    return spacings(np.stack([(i + 0.5) / NUM_POINTS, (i * TURN % NUM_POINTS + 0.5) / NUM_POINTS], axis=1))


def estimates(estimator, pi, t, tau, u):
    """Return single estimates of the gradient in the logits, from uniform pairs u (n, 2), shape (n, 3)."""
    points = spacings(np.maximum(u, 2.0**-33))
    if estimator == "Gumbel-softmax":
        y = relaxed(pi, tau, points)
        return softmax_gradient(y, 2 * (y - t)) / tau
    z = np.eye(3)[np.argmax(pi / points, axis=1)]
    if estimator == "straight-through":
        return softmax_gradient(np.broadcast_to(pi, z.shape), 2 * (z - t))
    f = np.sum((np.eye(3) - t) ** 2, axis=1)
    value = z @ f - (pi @ f if estimator == "score function, with baseline" else 0.0)
    return value[:, None] * (z - pi)


def relaxed(pi, tau, points):
    """Return relaxed draws, shape (n, 3), from points of `spacings`."""
    return np.exp(log_softmax((np.log(pi) - np.log(points)) / tau, axis=1))


def relaxed_slope(pi, t, tau, points):
    """Return the mean of Gumbel-softmax over points of noise, shape (3,)."""
    y = relaxed(pi, tau, points)
    return softmax_gradient(y, 2 * (y - t)).mean(axis=0) / tau


def descent(field, pi):
    """Return where a ball is after each step down a field of slopes in the logits, shape (NUM_STEPS + 1, 3)."""
    logits, way = np.log(pi), [pi]
    for _ in range(NUM_STEPS):
        logits = log_softmax(logits - STEP_SIZE * field(way[-1]))
        way.append(np.exp(logits))
    return np.array(way)


def tip(pi, gradient):
    """Return where an arrow down these gradients in the logits, (..., 3), ends in the plane, shape (..., 2)."""
    return (pi - ARROW * softmax_gradient(np.broadcast_to(pi, np.shape(gradient)), gradient)) @ CORNERS
