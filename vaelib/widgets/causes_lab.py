"""The lab of notebook 19: earthquake or truck? A ball on the square of (q1, q2), and two losses that pull at it."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory.wake_sleep import TwoCauses, walk
from vaelib.widgets.controls import Menu, Slider
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
POSTERIOR, Q, WAKE, SLEEP = COLOURS["grey"], COLOURS["blue"], COLOURS["orange"], COLOURS["purple"]
SURFACES = ("wake: KL(q‖p)", "sleep: KL(p‖q)")
PHASES = {"wake": WAKE, "sleep": SLEEP}
LEVELS = {"wake": [0.8, 1.1, 1.5, 2, 2.7, 3.4, 3.9, 5, 6.5, 8], "sleep": [0.75, 0.9, 1.1, 1.4, 1.8, 2.3, 3, 4]}  # nats
STATES = ("none", "quake", "truck", "both")
GRID = (0.005, 0.995, 100)

NUM_STEPS, STEP_SIZE = 100, 1.0  # in the logits
EDGE = 0.001

Q_1 = Slider("q₁, of an earthquake", EDGE, 1 - EDGE, 0.001, 0.9, key=0.02, hidden=True)
Q_2 = Slider("q₂, of a truck", EDGE, 1 - EDGE, 0.001, 0.1, key=0.02, hidden=True)
STEPS = Slider("steps", 0, NUM_STEPS, 1, 0, key=5)


class CausesLab(Lab):
    """The lab: drag the ball over the square, choose a surface, and press wake or sleep.

    The house has jumped. q1 and q2 are the recognition model's probabilities of an earthquake and of a truck. The wake
    loss KL(q‖p) has a valley at each of two corners, the sleep loss KL(p‖q) one in the middle.

    Args:
        q: where the ball starts, a pair.
        phase: whose steps are taken, "wake" or "sleep".
        surface: whose contours are shown, one of `SURFACES`.
        steps: how many steps have been taken.
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, q=(Q_1.start, Q_2.start), phase="wake", surface=SURFACES[0], steps=STEPS.start):
        self.model = TwoCauses()
        starts = [
            Slider(each.label, each.low, each.high, each.step, start, each.key, hidden=True)
            for each, start in zip((Q_1, Q_2), q, strict=True)
        ]
        controls = {
            "surface": Menu("surface", SURFACES, surface),
            "phase": Menu("steps of", tuple(PHASES), phase),
            "steps": Slider(STEPS.label, STEPS.low, STEPS.high, STEPS.step, steps, STEPS.key),
            "q_1": starts[0],
            "q_2": starts[1],
        }
        data = {
            "log_posterior": self.model.log_posterior.tolist(),
            "descent": [NUM_STEPS, STEP_SIZE],
            "grid": GRID,
            "levels": LEVELS,
            "states": STATES,
        }
        super().__init__(
            "causes",
            controls,
            data,
            alt="A square of two probabilities with contours of a loss, a ball and its way down; beside it the "
            "probabilities of the four explanations, below it two losses against the steps.",
        )

    def compute(self, surface, phase, steps, q_1, q_2):
        model = self.model
        way = walk(getattr(model, f"{phase}_gradient"), [q_1, q_2], NUM_STEPS, STEP_SIZE)
        return {
            "way": way,
            "wake": model.wake(way),
            "sleep": model.sleep(way),
            "ball": way[steps],
            "q": model.probabilities(way[steps]),
            "p": model.posterior,
        }

    def draw(self, now, values):
        figure, (square, bars, losses) = plt.subplots(1, 3, figsize=(10, 3.6), width_ratios=[1.1, 0.9, 1])
        draw_surface(square, self.model, values["surface"].split(":")[0])
        square.plot(*now["way"].T, color=PHASES[values["phase"]], linewidth=1.2, linestyle="--")
        square.plot(*now["ball"], "o", color=Q, markersize=9)
        places = np.arange(4)
        bars.bar(places - 0.2, now["p"], 0.38, color=POSTERIOR, label="posterior")
        bars.bar(places + 0.2, now["q"], 0.38, color=Q, label="q")
        bars.set(xticks=places, ylim=(0, 1), ylabel="probability")
        bars.set_xticklabels(STATES, fontsize=8)
        bars.legend(fontsize=8)
        steps = np.arange(NUM_STEPS + 1)
        for phase, colour in PHASES.items():
            losses.plot(steps[: values["steps"] + 1], now[phase][: values["steps"] + 1], color=colour)
            losses.plot(values["steps"], now[phase][values["steps"]], "o", color=colour, label=f"{phase} loss")
        losses.set(xlim=(0, NUM_STEPS), ylim=(0, 8), xlabel="steps", ylabel="nats")
        losses.legend(fontsize=8)
        return figure


def draw_surface(ax, model, name):
    """Draw contours of a loss, "wake" or "sleep", over the square, and return the Axes."""
    axis = np.linspace(*GRID)
    points = np.stack(np.meshgrid(axis, axis), axis=-1)
    contours = ax.contour(
        axis, axis, getattr(model, name)(points), LEVELS[name], colors=PHASES[name], linewidths=1, alpha=0.8
    )
    ax.clabel(contours, LEVELS[name][::3], fmt="%g", fontsize=8)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="q₁, earthquake", ylabel="q₂, truck")
    ax.set_title(dict(zip(PHASES, SURFACES, strict=True))[name])
    return ax
