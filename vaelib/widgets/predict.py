"""Predict first: the reader commits to an answer, then the truth is laid over it, with the distance between the two.

Nothing of the answer shows before the reader asks for it, and a notebook that runs without a reader goes on.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np

from vaelib import checks
from vaelib.teaching.palette import COLOURS
from vaelib.widgets.controls import Menu, Slider, Toggle
from vaelib.widgets.lab import Lab

# One meaning per colour: what the reader says, and what is.
GUESS, TRUTH = COLOURS["purple"], COLOURS["black"]
STEPS = 200  # of a slider or a handle over the whole axis
UNDECIDED = ""


class PredictChoice(Lab):
    """A question with answers to pick from.

    Args:
        question: one or two sentences.
        options: the answers, at least two texts.
        answer: the right one, as it stands in options.
        because: a sentence that is shown with the answer.

    Raises:
        ValueError: fewer than two options, one twice, or an answer that is none of them.
    """

    def __init__(self, question, options, answer, because=""):
        options = list(options)
        if len(options) < 2 or answer not in options:
            raise ValueError(f"answer must be one of at least two options; received {answer!r} and {options!r}.")
        self.question, self.options, self.answer = question, options, answer
        controls = {"guess": Menu("your answer", [UNDECIDED, *options], hidden=True), "revealed": _revealed()}
        data = {"question": question, "options": options, "answer": answer, "because": because}
        super().__init__("predict_choice", controls, data, alt=f"Predict first: {question}")

    def compute(self, guess, revealed):
        return {"right": float(guess == self.answer)}

    def draw(self, now, values):
        return _card(self.question, [f"○  {option}" for option in self.options])


class PredictPlace(Lab):
    """A question whose answer is a number: the reader drags a marker along an axis.

    Args:
        question: one or two sentences.
        truth: the answer.
        low, high: the ends of the axis; the truth lies between them.
        label: what the axis shows.
        unit: of the axis, such as "nats"; the miss is told in it.
        because: a sentence that is shown with the answer.

    Raises:
        ValueError: the truth is not a finite number between low and high.
    """

    def __init__(self, question, truth, low, high, label, unit="nats", because=""):
        self.truth = float(truth)
        if not low <= self.truth <= high:
            raise ValueError(f"truth must lie from low = {low:g} to high = {high:g}; received {truth!r}.")
        self.question, self.low, self.high, self.axis = question, float(low), float(high), f"{label}, {unit}"
        guess = Slider(
            label, self.low, self.high, (self.high - self.low) / STEPS, 0.5 * (self.low + self.high), hidden=True
        )
        data = {
            "question": question,
            "truth": self.truth,
            "range": self.high - self.low,
            "axis": self.axis,
            "unit": unit,
            "because": because,
        }
        controls = {"guess": guess, "revealed": _revealed()}
        super().__init__("predict_place", controls, data, alt=f"Predict first: {question}")

    def compute(self, guess, revealed):
        return {"miss": abs(guess - self.truth)}

    def draw(self, now, values):
        figure, ax = plt.subplots(figsize=(7, 1.3))
        ax.plot(values["guess"], 0, "o", color=GUESS, markersize=10)
        ax.set(xlim=(self.low, self.high), yticks=[], xlabel=self.axis)
        ax.set_title(textwrap.fill(self.question, 88), fontsize=10)
        ax.spines["left"].set_visible(False)
        return figure


class PredictCurve(Lab):
    """A question whose answer is a curve: the reader sketches it, or moves its knots.

    Args:
        question: one or two sentences.
        x, truth: the curve, shapes (n,), x rising.
        y_range: (low, high) of the axis.
        x_label, y_label: what the axes show.
        unit: of the upward axis, such as "nats"; the misses are told in it.
        num_knots: how many handles the sketch has.
        because: a sentence that is shown with the answer.

    Raises:
        ValueError: x and truth are not of one shape, x does not rise, or the truth leaves the axis everywhere.
    """

    def __init__(self, question, x, truth, y_range, x_label, y_label, unit="nats", num_knots=9, because=""):
        self.x, self.truth = checks.real_array("x", x), checks.real_array("truth", truth)
        low, high = map(float, y_range)
        if self.x.ndim != 1 or self.x.shape != self.truth.shape or np.any(np.diff(self.x) <= 0):
            raise ValueError(f"x must rise, and truth have its shape; received {self.x.shape} and {self.truth.shape}.")
        if not np.any((self.truth >= low) & (self.truth <= high)):
            raise ValueError(f"truth must show between y_range = {y_range}; received {self.truth.min():g} and above.")
        self.question, self.y_range, self.labels = question, (low, high), (x_label, y_label)
        self.knots = np.linspace(self.x[0], self.x[-1], num_knots)
        controls = {
            f"knot{i}": Slider(
                f"{y_label} at {knot:.2g}", low, high, (high - low) / STEPS, 0.5 * (low + high), hidden=True
            )
            for i, knot in enumerate(self.knots)
        }
        data = {
            "question": question,
            "x": self.x.tolist(),
            "truth": self.truth.tolist(),
            "knots": self.knots.tolist(),
            "range": [low, high],
            "labels": list(self.labels),
            "unit": unit,
            "because": because,
        }
        controls["revealed"] = _revealed()
        super().__init__("predict_curve", controls, data, alt=f"Predict first: {question}")

    def compute(self, revealed, **knots):
        sketch = np.interp(self.x, self.knots, [knots[f"knot{i}"] for i in range(len(self.knots))])
        miss = np.abs(sketch - self.truth)
        return {"sketch": sketch, "miss": float(np.sqrt(np.mean(miss**2))), "worst": float(miss.max())}

    def draw(self, now, values):
        figure, ax = plt.subplots(figsize=(7, 2.8))
        ax.plot(self.x, now["sketch"], color=GUESS, linestyle="--")
        ax.plot(self.knots, [values[f"knot{i}"] for i in range(len(self.knots))], "o", color=GUESS)
        ax.set(xlim=self.x[[0, -1]], ylim=self.y_range, xlabel=self.labels[0], ylabel=self.labels[1])
        ax.set_title(textwrap.fill(self.question, 88), fontsize=10)
        return figure


def _revealed():
    return Toggle("the answer is shown", hidden=True)


def _card(question, lines):
    lines = [*textwrap.wrap(question, 92), *lines]
    figure = plt.figure(figsize=(7, 0.25 * len(lines) + 0.15), layout="none")
    for i, line in enumerate(lines):
        figure.text(0.01, 1 - (i + 0.7) / (len(lines) + 0.5), line, fontsize=10, va="center")
    return figure
