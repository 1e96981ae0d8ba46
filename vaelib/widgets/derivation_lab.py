"""The derivation of lesson 02 that moves: each line an equation of bars in nats, each step slides the terms."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian
from vaelib.widgets.controls import Slider
from vaelib.widgets.elbo_lab import MU, SIGMA, Z, described, slider_grid, split
from vaelib.widgets.lab import Lab

# Every term under the mean over q, with its symbol and its colour; the same in every line.
TERMS = {
    "gap": ("KL(q‖p(z|x))", "vermillion"),
    "log_q": ("E_q[log q(z|x)]", "blue"),
    "log_posterior": ("E_q[log p(z|x)]", "green"),
    "log_joint": ("E_q[log p(x,z)]", "orange"),
    "mean_evidence": ("E_q[log p(x)]", "black"),
    "log_evidence": ("log p(x)", "black"),
    "elbo": ("ELBO", "sky"),
    "reconstruction": ("E_q[log p(x|z)]", "purple"),
    "kl": ("KL(q‖p(z))", "grey"),
}
# The lines as the lesson numbers them: what happens, the left side, the right side; (term, sign) each.
LINES = [
    ("1 · The definition of the KL.", [("gap", 1)], [("log_q", 1), ("log_posterior", -1)]),
    ("2 · Bayes' rule, in place of the posterior.", [("log_posterior", 1)], [("log_joint", 1), ("mean_evidence", -1)]),
    (
        "3 · Put 2 into 1: two minuses make a plus.",
        [("gap", 1)],
        [("log_q", 1), ("log_joint", -1), ("mean_evidence", 1)],
    ),
    ("4 · A constant leaves the mean.", [("gap", 1)], [("log_q", 1), ("log_joint", -1), ("log_evidence", 1)]),
    (
        "5 · Move it to the other side. What is left of the mean is the ELBO.",
        [("log_evidence", 1)],
        [("elbo", 1), ("gap", 1)],
    ),
    (
        "6 · A KL is never negative: its bar points right, wherever q is.",
        [("log_evidence", 1)],
        [("elbo", 1), ("gap", 1)],
    ),
    ("7 · The second form: no posterior in it.", [("elbo", 1)], [("reconstruction", 1), ("kl", -1)]),
]
BOUND = 6  # the line that is an inequality: its last bar is what the bound leaves out
# Where a term goes that the next line no longer has: into this one.
INTO = {
    "log_posterior": "log_joint",
    "mean_evidence": "log_evidence",
    "log_q": "elbo",
    "log_joint": "elbo",
    "log_evidence": "mean_evidence",
}


def terms(model, x, mu, sigma):
    """Return every term of the derivation in nats, each by a route of its own, as `split` has them.

    Args:
        model: a toy model with latent_dim 1. x: one observation. mu, sigma: q's mean and standard deviation, numbers
            or arrays that broadcast together.
    Returns:
        dict from the names of `TERMS` to numbers, or arrays.
    Source: Kingma & Welling (2014), eq. 1 to 3; the entropy of a normal, Bishop (2006), eq. 1.110.
    """
    parts = split(model, x, mu, sigma)
    mu, sigma = np.asarray(mu, float), np.asarray(sigma, float)
    log_q = -0.5 * (gaussian.LOG_2PI + 1 + 2 * np.log(sigma))
    log_prior = -0.5 * (gaussian.LOG_2PI + mu**2 + sigma**2)  # under the mean over q
    found = {**parts._asdict(), "log_q": log_q, "log_joint": parts.reconstruction + log_prior}
    return {
        **found,
        "mean_evidence": parts.log_evidence,
        "log_posterior": found["log_joint"] - parts.log_evidence,
    }


def bars(line, values):
    """Return a line's bars, head to tail on each side: (term, row, from, to) in nats; row 0 is the left side.

    Args:
        line: a number from 1 to len(LINES). values: what `terms` returns.
    """
    _, left, right = LINES[line - 1]
    found = [(term, 0, np.zeros_like(values[term]), sign * values[term]) for term, sign in left]
    at = np.zeros_like(found[0][2])
    for row, (term, sign) in enumerate(right, start=1):
        found.append((term, row, at, at + sign * values[term]))
        at = at + sign * values[term]
    return found


class DerivationLab(Lab):
    """The derivation of the ELBO as bars: a slider goes from line to line, and q can be dragged throughout.

    Each term is a bar from where the one before it ends. The last bar of the right side always ends where the left
    side does: that is the equation.

    Args:
        model: a toy model with latent_dim 1.
        x: one observation, shape (data_dim,).
    """

    def __init__(self, model, x):
        self.model, self.x = model, np.atleast_1d(np.asarray(x, float))
        everywhere = terms(model, self.x, *slider_grid())
        ends = [np.ravel(end) for line in range(1, len(LINES) + 1) for *_, end in bars(line, everywhere)]
        self.reach = [float(np.floor(min(map(np.min, ends)))), float(np.ceil(max(map(np.max, ends))))]
        super().__init__(
            "derivation",
            {
                "line": Slider("line of the derivation", 1, len(LINES), 1, 1),
                "mu": dataclasses.replace(MU, start=0.6),  # a q that is neither the prior nor the posterior
                "sigma": dataclasses.replace(SIGMA, start=0.9),
            },
            {
                "model": described(model),
                "x": self.x.tolist(),
                "z": [Z[0], Z[-1], len(Z)],
                "reach": self.reach,
                "terms": {name: {"symbol": symbol, "colour": colour} for name, (symbol, colour) in TERMS.items()},
                "lines": [{"text": text, "left": left, "right": right} for text, left, right in LINES],
                "bound": BOUND,
                "into": INTO,
            },
            alt="The lines of the derivation as bars in nats, head to tail: the left side above, the right side below; "
            "both end at the same place.",
        )

    def compute(self, line, mu, sigma):
        values = {name: float(value) for name, value in terms(self.model, self.x, mu, sigma).items()}
        found = bars(line, values)
        return {**values, "from": np.array([start for *_, start, _ in found]), "to": np.array([b[3] for b in found])}

    def draw(self, now, values):
        figure, axes = plt.subplots(2, 4, figsize=(9.5, 4.4), sharex=True)
        axes.flat[-1].set_axis_off()
        for line, ax in zip(range(1, len(LINES) + 1), axes.flat, strict=False):
            for term, row, start, end in bars(line, now):
                symbol, colour = TERMS[term]
                ax.barh(row, end - start, left=start, color=COLOURS[colour], height=0.7)
                ax.text(max(start, end) + 0.2, row, symbol.replace("E_q", "E"), fontsize=7, va="center")
            ax.axvline(bars(line, now)[0][3], color=COLOURS["black"], linewidth=0.8, linestyle=":")
            ax.set(ylim=(3.6, -0.6), yticks=[], title=f"line {line}")
        axes[0, 0].set_xlim(self.reach[0], self.reach[1] + 4)
        for ax in axes[1]:
            ax.set_xlabel("nats")
        return figure
