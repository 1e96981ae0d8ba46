"""The lab of forward and reverse KL: a target with two modes, a Gaussian q, and where each collects its nats."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import LogLocator

from vaelib.teaching.palette import COLOURS
from vaelib.teaching.plots import STYLE
from vaelib.theory.divergences import Mixture, forward_kl, reverse_kl
from vaelib.theory.gaussian import log_prob_normal
from vaelib.widgets.figure_lab import FigureLab

X = np.linspace(-9.0, 9.0, 451)
FORWARD, REVERSE = COLOURS["purple"], COLOURS["vermillion"]
SMALLEST_BAR = 0.01  # nats; the bars stand on a logarithmic axis, which has no zero
ALT = (
    "A target p with two modes and a Gaussian q; below, p log p/q and q log q/p, whose signed areas are the two "
    "divergences; on the right, the divergences as bars on a logarithmic axis."
)


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


def kl_lab(separation=6.0, weight=0.4, mu=0.0, std=2.0):
    """Return the lab: sliders for the target's separation and weight and for q's mean and width.

    Args:
        separation, weight: of the target at the start, see `two_modes`.
        mu, std: mean and standard deviation of q at the start.
    Returns:
        A `Lab`; its readout gives both divergences in nats.
    """
    with mpl.rc_context(STYLE):
        fig = plt.figure(figsize=(9, 4.4))
        grid = fig.add_gridspec(2, 3, width_ratios=[1, 1, 0.42])
        density = fig.add_subplot(grid[0, :2])
        parts = [fig.add_subplot(grid[1, 0], sharex=density), fig.add_subplot(grid[1, 1], sharex=density)]
        bar_axis = fig.add_subplot(grid[:, 2])
        (p_line,) = density.plot(X, 0 * X, color=COLOURS["black"], label="target p")
        (q_line,) = density.plot(X, 0 * X, color=COLOURS["blue"], label="q")
        density.set(xlim=(X[0], X[-1]), ylim=(0, 0.85), ylabel="density")
        density.legend(loc="upper right")
        lines, areas = [], []
        for ax, name, colour in zip(parts, ("p log p/q", "q log q/p"), (FORWARD, REVERSE), strict=True):
            areas.append(ax.fill_between(X, 0, 0 * X, color=colour, alpha=0.4, linewidth=0))
            lines += ax.plot(X, 0 * X, color=colour, linewidth=1.4)
            ax.set(ylim=(-0.4, 1.6), xlabel="x", title=f"{name}, nats per unit of x")
        bars = bar_axis.bar(["KL(p‖q)", "KL(q‖p)"], [0.0, 0.0], 0.6, bottom=SMALLEST_BAR, color=[FORWARD, REVERSE])
        bar_axis.set(ylim=(SMALLEST_BAR, 1000), yscale="log", ylabel="nats, logarithmic")

    def update(separation, weight, mu, std):
        target = two_modes(separation, weight)
        p_line.set_ydata(np.exp(target.log_prob(X)))
        q_line.set_ydata(np.exp(log_prob_normal(X, mu, 2 * np.log(std))))
        # Rounding can leave −1e-16 where q = p; "-0.000 nats" would puzzle.
        kls = [max(kl, 0.0) for kl in (forward_kl(target, mu, std), reverse_kl(target, mu, std))]
        for line, area, y in zip(lines, areas, integrands(target, mu, std, X), strict=True):
            line.set_ydata(y)
            area.set_data(X, 0, y)
        for bar, kl in zip(bars, kls, strict=True):
            bar.set_height(max(kl - SMALLEST_BAR, 0.0))
        return f"forward KL(p‖q) = {kls[0]:.3f} nats, reverse KL(q‖p) = {kls[1]:.3f} nats"

    sliders = {
        "separation": (0.0, 8.0, 0.1, separation),
        "weight": (0.05, 0.95, 0.05, weight),
        "mu": (-5.0, 5.0, 0.1, mu),
        "std": (0.5, 4.0, 0.05, std),
    }
    labels = {
        "separation": "p: separation",
        "weight": "p: weight on the right",
        "mu": "q: mean μ",
        "std": "q: width σ",
    }
    lab = FigureLab(fig, update, [p_line, q_line, lines, areas, bars], sliders, labels=labels, alt=ALT)
    lab.axes = {"density": density, "forward": parts[0], "reverse": parts[1], "bars": bar_axis}
    return lab


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
