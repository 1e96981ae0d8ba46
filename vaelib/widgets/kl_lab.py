"""The lab of notebook 04: a target with two modes, a Gaussian q, and where each collects its nats."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import LogLocator

from vaelib.teaching.palette import COLOURS
from vaelib.theory.divergences import Mixture, forward_kl, reverse_kl
from vaelib.theory.gaussian import log_prob_normal
from vaelib.widgets.controls import Slider
from vaelib.widgets.lab import Lab

LEFT = Slider("left mode of p", -4.0, 0.0, 0.01, -3.0, key=0.1)
RIGHT = Slider("right mode of p", 0.0, 4.0, 0.01, 3.0, key=0.1)
WEIGHT = Slider("weight of the right mode", 0.05, 0.95, 0.01, 0.4, key=0.05)
MU = Slider("μ, the mean of q", -5.0, 5.0, 0.01, 0.0, key=0.1)
SIGMA = Slider("σ, the width of q", 0.5, 4.5, 0.01, 2.5, key=0.1)

X = np.linspace(-10.0, 10.0, 501)
COLOUR = {"forward": COLOURS["purple"], "reverse": COLOURS["vermillion"]}
LOWEST = -0.3  # neither integrand falls below it: p log p/q ≥ −q/e, and q's peak is at most 0.8


def two_modes(separation, weight=0.5):
    """Return the target p: two normal distributions of standard deviation 1, at −separation/2 and +separation/2.

    Args:
        separation: distance between the two means, in standard deviations.
        weight: weight of the right-hand one, from 0 to 1; the left-hand one has the rest.
    Returns:
        A `Mixture`.
    Raises:
        ValueError: weight outside 0 to 1.
    """
    return Mixture([1.0 - weight, weight], [-0.5 * separation, 0.5 * separation], [1.0, 1.0])


def integrands(target, mu, std, x):
    """Return p log(p/q) and q log(q/p) at x, in nats per unit of x: their integrals are the forward and reverse KL.

    Args:
        target: p, a `Mixture` or a `GridDensity`.
        mu, std: mean and standard deviation of q, numbers.
        x: shape (n,).
    Returns:
        Two arrays of shape (n,).
    """
    log_p, log_q = target.log_prob(x), log_prob_normal(x, mu, 2 * np.log(std))
    return np.exp(log_p) * (log_p - log_q), np.exp(log_q) * (log_q - log_p)


class KlLab(Lab):
    """The lab: drag the two peaks of p, q's peak and its flank; see where each divergence collects its nats.

    Below the densities stand the integrands p log p/q (purple) and q log q/p (vermillion), whose signed areas are the
    two divergences; beside them the divergences as bars, whole and magnified. In the browser two buttons let q descend
    either divergence by gradient flow.

    Args:
        separation: how far apart the target's modes start, from 0 to 8 of their standard deviations; half of it lies
            to either side of 0.
        weight: what the right-hand mode's weight starts at, from 0.05 to 0.95.

    Raises:
        ValueError: a start that the lab's sliders cannot take.
    """

    def __init__(self, separation=RIGHT.start - LEFT.start, weight=WEIGHT.start):
        controls = {
            "left": replace(LEFT, start=-0.5 * separation),
            "right": replace(RIGHT, start=0.5 * separation),
            "weight": replace(WEIGHT, start=weight),
        }
        super().__init__(
            "kl",
            {**controls, "mu": MU, "sigma": SIGMA},
            {"x": [X[0], X[-1], len(X)]},
            alt="A target p with two modes and a Gaussian q; below, p log p/q and q log q/p, whose signed areas are "
            "the two divergences; beside them, the divergences as bars.",
        )

    def compute(self, left, right, weight, mu, sigma):
        target = Mixture([1.0 - weight, weight], [left, right], [1.0, 1.0])
        forward, reverse = integrands(target, mu, sigma, X)
        return {
            "forward": float(forward_kl(target, mu, sigma)),
            "reverse": float(reverse_kl(target, mu, sigma)),
            "p": np.exp(target.log_prob(X)),
            "q": np.exp(log_prob_normal(X, mu, 2 * np.log(sigma))),
            "forward_integrand": forward,
            "reverse_integrand": reverse,
            "forward_area": float(np.trapezoid(forward, X)),  # as far as the picture shows it
            "reverse_area": float(np.trapezoid(reverse, X)),
        }

    def draw(self, now, values):
        figure = plt.figure(figsize=(9.5, 5))
        upper, lower = figure.add_gridspec(2, 1)
        density, whole, zoom = upper.subgridspec(1, 3, width_ratios=[2.1, 0.9, 0.9]).subplots()
        parts = lower.subgridspec(1, 2).subplots()
        density.plot(X, now["p"], color=COLOURS["black"], label="target p")
        density.plot(X, now["q"], color=COLOURS["blue"], label="q")
        density.set(xlim=(X[0], X[-1]), ylim=(0, 0.85 if now["q"].max() > 0.42 else 0.45), ylabel="density")
        density.legend(loc="upper right")
        top = 1.1 * max(now["forward_integrand"].max(), now["reverse_integrand"].max())
        for ax, name, part in zip(parts, ("p log p/q", "q log q/p"), ("forward", "reverse"), strict=True):
            ax.fill_between(X, 0, now[f"{part}_integrand"], color=COLOUR[part], alpha=0.4, linewidth=0)
            ax.plot(X, now[f"{part}_integrand"], color=COLOUR[part], linewidth=1.4)
            ax.axhline(0, color=COLOURS["grey"], linewidth=0.8)
            ax.set(xlim=(X[0], X[-1]), ylim=(LOWEST, max(top, 0.5)), xlabel="x", title=f"{name}, nats per unit of x")
        for ax, title in ((whole, "both KL, in nats"), (zoom, "their first nat")):
            kls = [max(now["forward"], 0.0), max(now["reverse"], 0.0)]
            ax.bar(["KL(p‖q)", "KL(q‖p)"], kls, 0.6, color=list(COLOUR.values()))
            ax.set(title=title, xlim=(-0.6, 1.6), ylim=(0, 1 if ax is zoom else max(1.0, 1.1 * max(kls))))
            ax.tick_params("x", labelsize=8)
        return figure


def draw_map(mus, stds, surface, minima, colour, title, ax=None):
    """Draw a divergence over the plane of q's mean and width, with its minima as crosses.

    Args:
        mus, stds: the grid, shapes (n,) and (m,).
        surface: the divergence in nats, shape (n, m), positive.
        minima: pairs (mu, std), or `GaussianFit`s.
        colour: what the map darkens to, from white, where the divergence is small.
        title: a short text above the map.
        ax: the Axes to draw in; a new one by default.
    Returns:
        The Axes; contours are labelled in nats.
    """
    ax = ax or plt.subplots()[1]
    levels = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100])
    cmap = LinearSegmentedColormap.from_list("small is dark", [colour, "white"])
    ax.contourf(mus, stds, surface.T, levels=levels, cmap=cmap, norm=LogNorm(levels[0], 20), extend="both")
    lines = ax.contour(mus, stds, surface.T, levels=levels, colors="black", linewidths=0.5)
    ax.clabel(lines, fmt="%g", fontsize=7)
    for fit in minima:
        ax.plot(fit[0], fit[1], "x", color=COLOURS["black"], markersize=9, markeredgewidth=2)
    ax.set(xlabel="μ", ylabel="σ, logarithmic", title=title, yscale="log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    return ax
