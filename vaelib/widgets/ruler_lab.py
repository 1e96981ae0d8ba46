"""The lab of notebook 18: a critic measures the distance of two densities, until they no longer overlap."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory.density_ratio import contrast_kl, features, fit_critic, log_ratio
from vaelib.theory.gaussian import kl_normal, log_prob_normal, log_prob_standard_normal
from vaelib.widgets import noise
from vaelib.widgets.controls import Menu, Slider
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
Q, P = COLOURS["blue"], COLOURS["green"]
TRUE, CRITIC, CONTRAST = COLOURS["grey"], COLOURS["orange"], COLOURS["purple"]

NUMBERS = ("50", "500", "5000")  # samples of each density
MOST, SHOWN = 5_000, 150  # samples drawn, and shown of each density
RIDGE = 1.0
X = np.linspace(-4.0, 11.0, 201)  # where curves are drawn
TOPS = (1, 2, 5, 10, 20, 50, 100, 200)  # ends of the axes, nats

D = Slider("d, the mean of q", 0.0, 8.0, 0.01, 1.0, key=0.1)
SIGMA = Slider("σ, the width of q", 0.5, 2.0, 0.01, 1.0, key=0.05)
SEED = Slider("seed of the samples", 0, 99, 1, 0)


class RulerLab(Lab):
    """The lab: drag q away from p; a critic learns from samples to tell them apart, and says how far they are.

    p is N(0, 1) and q is N(d, σ²). The critic is a quadratic, so that the true log-odds are in its class. Beside its
    curve stand three numbers: the true KL(q ‖ p), the mean of the critic's log-odds over the samples of q, and the same
    with adaptive contrast.

    Args:
        d, sigma: q's mean and width at the start.
        num: how many samples of each density, "50", "500" or "5000".
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, d=D.start, sigma=SIGMA.start, num="500"):
        controls = {
            "num": Menu("samples of each", NUMBERS, num),
            "d": Slider(D.label, D.low, D.high, D.step, d, D.key),
            "sigma": Slider(SIGMA.label, SIGMA.low, SIGMA.high, SIGMA.step, sigma, SIGMA.key),
            "seed": SEED,
        }
        super().__init__(
            "ruler",
            controls,
            {"x": [X[0], X[-1], len(X)], "samples": [MOST, SHOWN], "ridge": RIDGE, "tops": list(TOPS)},
            alt="Two normal densities with samples; the critic's log-odds over the true ones; bars of the true KL, of "
            "the critic's and of that with contrast.",
        )

    def compute(self, num, d, sigma, seed):
        n = int(num)
        for_q, from_p, for_r = noise.normal(seed, 3, MOST)[:, :n]
        from_q = d + sigma * for_q
        critic = fit_critic(from_q, from_p, RIDGE)
        return {
            "kl": float(kl_normal(d, sigma**2, 0.0, 1.0)),
            "critic_kl": float(critic(from_q).mean()),
            "contrast_kl": contrast_kl(from_q, for_r, lambda x: log_prob_standard_normal(x[:, None]), RIDGE),
            "log_n": float(np.log(n)),
            "q": np.exp(log_prob_normal(X, d, 2 * np.log(sigma))),
            "p": np.exp(log_prob_normal(X, 0.0, 0.0)),
            "log_odds": critic(X),
            "true_log_odds": features(X) @ log_ratio(d, sigma, 0.0, 1.0),
            "from_q": from_q[:SHOWN],
            "from_p": from_p[:SHOWN],
        }

    def draw(self, now, values):
        figure, axes = plt.subplot_mosaic([["above", "bars"], ["below", "bars"]], figsize=(9.5, 5), width_ratios=[2, 1])
        above, below, bars = axes["above"], axes["below"], axes["bars"]
        for name, samples, colour, level in (("q", "from_q", Q, -0.05), ("p", "from_p", P, -0.1)):
            above.plot(X, now[name], color=colour, label=name)
            above.plot(now[samples], np.full(len(now[samples]), level), ".", color=colour, markersize=3)
        above.set(xlim=(X[0], X[-1]), ylim=(-0.14, 0.85), ylabel="density", title=f"{values['num']} samples of each")
        above.legend(loc="upper right", fontsize=8)
        below.plot(X, now["true_log_odds"], color=TRUE, label="true")
        below.plot(X, now["log_odds"], color=CRITIC, label="the critic's")
        top = top_of(now["kl"])
        below.set(xlim=(X[0], X[-1]), ylim=(-top, top), xlabel="x", ylabel="log-odds for q, nats")
        below.legend(loc="upper left", fontsize=8)
        heights = [now["kl"], now["critic_kl"], now["contrast_kl"]]
        bars.bar(["true", "critic", "contrast"], heights, color=[TRUE, CRITIC, CONTRAST])
        bars.axhline(now["log_n"], color=COLOURS["black"], linestyle="--", linewidth=1)
        bars.set(ylim=(min(0, *heights), reach_of(now)), title="KL(q ‖ p), nats; dashed: log n")
        return figure


def top_of(kl):
    """Return the end of the axis of the log-odds, nats: the first of some round numbers that holds the KL twice."""
    return next((top for top in TOPS if top >= 2 * kl), TOPS[-1])


def reach_of(now):
    """Return the end of the axis of the bars, nats: the first of some round numbers that holds them and log n."""
    highest = max(now["kl"], now["critic_kl"], now["contrast_kl"], now["log_n"])
    return next((top for top in TOPS if top >= highest), TOPS[-1])
