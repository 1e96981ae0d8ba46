"""The lab of notebook 10: the posterior of two weights, exact and as three Gaussians, as the data grow."""

import functools
from typing import NamedTuple

import contourpy
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import chi2

from vaelib.teaching.palette import COLOURS
from vaelib.theory.regression import LogisticRegression, fit_gaussian, laplace, posterior_on_grid
from vaelib.widgets.figure_lab import FigureLab

# One meaning per colour, here and in the notebook.
EXACT, LAPLACE, MEAN_FIELD, FULL = COLOURS["green"], COLOURS["orange"], COLOURS["vermillion"], COLOURS["blue"]
CONTENT = 0.9  # probability inside each outline
GRID = 121


class Outlines(NamedTuple):
    """The outline of each posterior, (points, 2) with NaN between pieces, and KL(q ‖ p(w|y)) of the three Gaussians."""

    exact: np.ndarray
    gaussians: dict[str, np.ndarray]
    kl: dict[str, float]


def outlines(features, labels, prior_scale):
    """Find the regions that hold 90 % of the exact posterior, of Laplace's, of the mean-field and of the full Gaussian.

    Args:
        features: shape (num_data, 2). labels: 0 or 1, shape (num_data,).
        prior_scale: prior standard deviation of each weight.
    Returns:
        Outlines in the weights of the features as they came, and the KLs in nats.
    """
    model = LogisticRegression(prior_scale * np.asarray(features, dtype=float), labels)
    grid, top = posterior_on_grid(model, GRID, half_width=6.0), laplace(model)
    full, diagonal = fit_gaussian(model, "full"), fit_gaussian(model, "diagonal")
    top_elbo = model.elbo(top.mean, np.linalg.cholesky(top.cov))
    return Outlines(
        prior_scale * level_line(grid.first, grid.second, grid.density),
        {
            name: prior_scale * ellipse(q.mean, q.cov)
            for name, q in [("laplace", top), ("mean-field", diagonal), ("full", full)]
        },
        {
            name: grid.log_evidence - elbo
            for name, elbo in [("laplace", top_elbo), ("mean-field", diagonal.elbo), ("full", full.elbo)]
        },
    )


def level_line(first, second, density, content=CONTENT):
    """Return the line of equal density around the given share of the mass, shape (points, 2), NaN between pieces.

    Args:
        first, second: the axes. density: at (first[i], second[j]), shape (len(first), len(second)).
    """
    heights = np.sort(density.ravel())[::-1]
    share = np.cumsum(heights) / heights.sum()
    level = heights[np.searchsorted(share, content)]
    pieces = contourpy.contour_generator(first, second, density.T).lines(level)
    return np.concatenate([part for piece in pieces for part in (piece, np.full((1, 2), np.nan))])


def ellipse(mean, cov, content=CONTENT, num=100):
    """Return the ellipse that holds the given share of N(mean, cov) in two dimensions, shape (num, 2)."""
    angle = np.linspace(0, 2 * np.pi, num)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return mean + np.sqrt(chi2.ppf(content, 2)) * circle @ np.linalg.cholesky(cov).T


def regression_lab(features, labels, names):
    """Build the lab: sliders for the number of cases and for the prior, four outlines of the posterior.

    Args:
        features: shape (n, 2), n at least 100, in the order in which the cases come in. labels: 0 or 1, shape (n,).
        names: of the two features, for the axes.
    Returns:
        A Lab with the sliders num_cases and prior_scale.
    """
    at = functools.cache(lambda num, scale: outlines(features[:num], labels[:num], scale))
    fig, ax = plt.subplots(figsize=(6.2, 4.6))
    (exact,) = ax.plot([], [], color=EXACT, linewidth=6, alpha=0.45, label="exact, by quadrature")
    lines = {
        name: ax.plot([], [], color=colour, linestyle=style, label=label)[0]
        for name, colour, style, label in [
            ("laplace", LAPLACE, "--", "Laplace"),
            ("mean-field", MEAN_FIELD, "-.", "variational, diagonal"),
            ("full", FULL, "-", "variational, full"),
        ]
    }
    ax.axhline(0, color=COLOURS["grey"], linewidth=0.6)
    ax.axvline(0, color=COLOURS["grey"], linewidth=0.6)
    ax.set(xlim=(-6, 10), ylim=(-6, 10), xlabel=f"weight of {names[0]}", ylabel=f"weight of {names[1]}")
    ax.legend(loc="upper right", title="90 % of the posterior")

    def update(num_cases, prior_scale):
        now = at(num_cases, round(prior_scale, 6))
        exact.set_data(*now.exact.T)
        for name, line in lines.items():
            line.set_data(*now.gaussians[name].T)
        parts = ", ".join(f"{name} {now.kl[name]:.3f}" for name in lines)
        return f"{num_cases} cases, prior standard deviation {prior_scale:.1f}. KL(q‖p(w|y)) in nats: {parts}"

    return FigureLab(
        fig,
        update,
        [exact, lines],
        {"num_cases": (4, 100, 4, 20), "prior_scale": (0.5, 4.0, 0.5, 2.0)},
        labels={"num_cases": "number of cases", "prior_scale": "prior standard deviation of a weight"},
        alt="Outlines around 90 % of the posterior of two weights: exact, Laplace, diagonal and full Gaussian.",
    )
