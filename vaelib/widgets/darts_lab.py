"""The lab of notebook 14: throw k darts of q at the true posterior, and watch the bound climb to log p(x)."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory.divergences import Mixture
from vaelib.theory.gaussian import log_prob_normal
from vaelib.theory.importance import WeightLaw
from vaelib.widgets.controls import Menu, Slider, count
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
POSTERIOR, Q, IMPLIED = COLOURS["green"], COLOURS["blue"], COLOURS["purple"]
BOUND, ELBO = COLOURS["blue"], COLOURS["orange"]

# The true posteriors: weights, means, and the one width τ of their peaks.
POSTERIORS = {"one peak": ([1.0], [0.0], 1.0), "two peaks": ([0.35, 0.65], [-1.2, 1.0], 0.6)}
MU = Slider("μ, the mean of q", -2.0, 2.0, 0.01, 0.8, key=0.05)
SIGMA = Slider("σ, the width of q", 0.2, 2.0, 0.01, 0.5, key=0.05)
LOG_K = Slider("k, how many darts", 0.0, 3.0, 0.01, 1.0, key=0.05, counts=True)

X = np.linspace(-4.0, 4.0, 241)  # where densities are drawn
KS = np.unique([count(log10) for log10 in np.linspace(0, 3, 46)])  # where the curve is drawn
NUM_NODES, REACH = 401, 7.5  # of the quadrature over z, and how far it goes in widths of q and of the peaks
LOWEST, STEP = -45.0, 0.25  # of the quadrature over log s


class DartsLab(Lab):
    """The lab: drag q's peak and flank, and k along the curve; q is thrown k times, and the bound L_k is exact.

    Beside p(z|x) and q stands L_k − log p(x) for every k, with the ELBO as its first dot; below, the distribution of
    one dart kept in proportion to its weight, and how many equal darts the k are worth.

    Args:
        posterior: "one peak" or "two peaks", the true posterior at the start.
        mu, sigma: q's mean and width at the start.
        k: how many darts at the start, from 1 to 1,000.
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, posterior="one peak", mu=MU.start, sigma=SIGMA.start, k=10):
        if not 1 <= k <= 1000:
            raise ValueError(f"k must be a whole number from 1 to 1000; received {k!r}.")
        controls = {
            "posterior": Menu("the true posterior", tuple(POSTERIORS), posterior),
            "mu": _started(MU, mu),
            "sigma": _started(SIGMA, sigma),
            "log_k": _started(LOG_K, round(float(np.log10(k)), 2)),
        }
        super().__init__(
            "darts",
            controls,
            {
                "posteriors": {name: list(numbers) for name, numbers in POSTERIORS.items()},
                "x": [X[0], X[-1], len(X)],
                "ks": KS.tolist(),
                "nodes": [NUM_NODES, REACH],
                "places": [LOWEST, STEP],
            },
            alt="A true posterior and q; the bound for each number of darts, climbing to log p(x); the distribution of "
            "a resampled dart, and the effective sample size.",
        )

    def compute(self, posterior, mu, sigma, log_k):
        weights, means, tau = POSTERIORS[posterior]
        k, target = count(log_k), Mixture(weights, means, [tau] * len(means))
        low = min(mu - REACH * sigma, min(means) - REACH * tau)
        z = np.linspace(low, max(mu + REACH * sigma, max(means) + REACH * tau), NUM_NODES)
        log_q = lambda at: log_prob_normal(at, mu, 2 * np.log(sigma))  # noqa: E731
        law = WeightLaw(target.log_prob(z) - log_q(z), log_q(z) + np.log(z[1] - z[0]), lowest=LOWEST, step=STEP)
        p, q = np.exp(target.log_prob(X)), np.exp(log_q(X))
        implied = q * np.exp(law.implied_log_ratio(target.log_prob(X) - log_q(X), k))
        return {
            "k": float(k),
            "elbo": law.bound(1),
            "bound": law.bound(k),
            "effective_size": law.effective_size(k),
            "missed": float(0.5 * np.sum(np.abs(implied - p)) * (X[1] - X[0])),
            "infinite_variance": float(sigma**2 <= 0.5 * tau**2),
            "p": p,
            "q": q,
            "implied": implied,
            "curve": np.array([law.bound(int(each)) for each in KS]),
        }

    def draw(self, now, values):
        figure, ((left, right), (below, bars)) = plt.subplots(2, 2, figsize=(9.5, 5.6), width_ratios=[1.5, 1])
        for ax, title in ((left, "the true posterior, and q"), (below, "one dart kept, in proportion to its weight")):
            ax.plot(X, now["p"], color=POSTERIOR, label="posterior p(z|x)")
            ax.plot(X, now["q"], color=Q, linestyle="-" if ax is left else "--", label="q(z|x)")
            ax.set(xlim=(X[0], X[-1]), ylim=(0, 0.9), ylabel="density", title=title)
        left.fill_between(X, 0, now["q"], color=Q, alpha=0.2)
        below.fill_between(X, 0, now["implied"], color=IMPLIED, alpha=0.4, label=f"resampled from {now['k']:.0f}")
        below.set(xlabel="z")
        for ax in (left, below):
            ax.legend(loc="upper left", fontsize=8)
        if now["infinite_variance"]:
            left.text(
                0.98, 0.92, "infinite variance", transform=left.transAxes, ha="right", color=COLOURS["vermillion"]
            )
        right.semilogx(KS, now["curve"], color=BOUND)
        right.plot(1, now["elbo"], "o", color=ELBO)
        right.plot(now["k"], now["bound"], "o", color=BOUND)
        right.axhline(0, color=COLOURS["black"], linewidth=1)
        right.set(
            ylim=(floor_of(now["elbo"]), -0.06 * floor_of(now["elbo"])), xlabel="k", ylabel="$L_k - \\log p(x)$, nats"
        )
        bars.bar(["darts thrown", "worth"], [now["k"], now["effective_size"]], color=[COLOURS["grey"], IMPLIED])
        bars.set(yscale="log", ylim=(0.9, 1100), title="effective sample size")
        return figure


def floor_of(elbo):
    """Return the lower end of the curve's axis, nats: the first of some round numbers that holds the ELBO."""
    return -next(top for top in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if top >= -1.05 * elbo)


def _started(slider, start):
    return Slider(slider.label, slider.low, slider.high, slider.step, start, slider.key, counts=slider.counts)
