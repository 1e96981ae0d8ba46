"""The lab of notebook 11: the posterior of two weights, exact and as Gaussians, one of them the reader's own."""

import functools

import contourpy
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import chi2

from vaelib.teaching.palette import COLOURS
from vaelib.theory.regression import LogisticRegression, fit_gaussian, laplace, posterior_on_grid
from vaelib.widgets.controls import Slider
from vaelib.widgets.lab import Lab, packed

# One meaning per colour, here and in the notebook.
EXACT, LAPLACE, MEAN_FIELD, FULL = COLOURS["green"], COLOURS["orange"], COLOURS["vermillion"], COLOURS["blue"]
OWN, PRIOR = COLOURS["purple"], COLOURS["grey"]
CONTENT = 0.9  # probability inside each outline
RADIUS = float(np.sqrt(chi2.ppf(CONTENT, 2)))  # of that outline, in standard deviations of a Gaussian
GRID, HALF_WIDTH = 121, 6.0

# Of each fitted Gaussian: its name in numbers, for readers, its colour and line.
FITTED = [
    ("laplace", "Laplace", LAPLACE, "--"),
    ("diagonal", "variational, diagonal", MEAN_FIELD, "-."),
    ("full", "variational, full", FULL, "-"),
]


def posteriors(features, labels, prior_scale):
    """Find the exact posterior of two weights and the three Gaussians that stand for it.

    Args:
        features: shape (num_data, 2). labels: 0 or 1, shape (num_data,).
        prior_scale: prior standard deviation of each weight.
    Returns:
        The model, its Grid, and by name (laplace, diagonal, full) mean, factor L with covariance L Lᵀ, and
        KL(q ‖ p(w|y)) in nats; all of it in weights whose prior standard deviation is 1.
    """
    model = LogisticRegression(prior_scale * np.asarray(features, dtype=float), labels)
    grid, top = posterior_on_grid(model, GRID, HALF_WIDTH), laplace(model)
    factors = {"laplace": (top.mean, np.linalg.cholesky(top.cov))}
    for family in ("diagonal", "full"):
        fit = fit_gaussian(model, family)
        factors[family] = fit.mean, fit.factor
    gaussians = {name: (mean, L, grid.log_evidence - model.elbo(mean, L)) for name, (mean, L) in factors.items()}
    return model, grid, gaussians


def level_and_mass(density, content=CONTENT):
    """Return the density above which the given share of the mass lies, and the share that really does on this grid."""
    heights = np.sort(density.ravel())[::-1]
    share = np.cumsum(heights) / heights.sum()
    last = np.searchsorted(share, content)
    return float(heights[last]), float(share[last])


def level_line(first, second, density, content=CONTENT):
    """Return the line of equal density around the given share of the mass, shape (points, 2), NaN between pieces.

    Args:
        first, second: the axes. density: at (first[i], second[j]), shape (len(first), len(second)).
    """
    level, _ = level_and_mass(density, content)
    pieces = contourpy.contour_generator(first, second, density.T).lines(level)
    return np.concatenate([part for piece in pieces for part in (piece, np.full((1, 2), np.nan))])


def ellipse(mean, cov, content=CONTENT, num=100):
    """Return the ellipse that holds the given share of N(mean, cov) in two dimensions, shape (num, 2)."""
    angle = np.linspace(0, 2 * np.pi, num)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return mean + np.sqrt(chi2.ppf(content, 2)) * circle @ np.linalg.cholesky(cov).T


def gaussian_by_axes(mean, along, across, angle):
    """Return mean and covariance of the Gaussian with these standard deviations along and across a line.

    Args:
        mean: shape (2,). along, across: standard deviations. angle: of the line with the first axis, in degrees.
    """
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(mean, float), (rotation * [along**2, across**2]) @ rotation.T


class RegressionLab(Lab):
    """The lab: the 90 % outline of the posterior, exact, as three fitted Gaussians, and as one that the reader drags.

    The bars are KL(q ‖ p(w|y)) of the four Gaussians, in nats, once more magnified for the small ones.

    Args:
        features: shape (n, 2), n at least 100, in the order in which the cases come in. labels: 0 or 1, shape (n,).
        names: of the two features, for the axes.
    """

    def __init__(self, features, labels, names):
        self.features, self.labels = np.asarray(features, float)[:100], np.asarray(labels)[:100]
        if self.features.shape != (100, 2):
            raise ValueError(f"features must have shape (n, 2), n at least 100; received {np.shape(features)}.")
        self.names = tuple(names)
        self._at = functools.cache(lambda num, scale: posteriors(self.features[:num], self.labels[:num], scale))
        cases = Slider("number of cases", 4, 100, 4, 20)
        scale = Slider("prior standard deviation", 0.5, 4.0, 0.1, 2.0)
        self.low, self.high, self.top, self.zoom = self._limits(cases.positions(13), scale.high)
        super().__init__(
            "regression",
            {
                "num_cases": cases,
                "prior_scale": scale,
                "first": Slider(f"your mean: {names[0]}", self.low, self.high, 0.01, 0.0, key=0.1),
                "second": Slider(f"your mean: {names[1]}", self.low, self.high, 0.01, 0.0, key=0.1),
                "along": Slider("your axis 1: standard deviation", 0.05, 3.0, 0.01, 2.0, key=0.05),
                "across": Slider("your axis 2: standard deviation", 0.05, 3.0, 0.01, 2.0, key=0.05),
                "angle": Slider("your axis 1: angle, degrees", -180.0, 180.0, 0.5, 0.0, key=5.0),
            },
            {
                "features": packed(self.features),
                "labels": packed(self.labels.astype("uint8")),
                "names": list(self.names),
                "grid": [GRID, HALF_WIDTH],
                "content": CONTENT,
                "radius": RADIUS,
                "low": self.low,
                "high": self.high,
                "top": self.top,
                "zoom": self.zoom,
            },
            alt="Outlines around 90 % of the posterior of two weights: exact, Laplace's, the diagonal and the full "
            "Gaussian, and one to drag. Bars: KL(q‖p(w|y)) of each.",
        )

    def _limits(self, numbers_of_cases, scale):
        """The plane's ends, which hold the outlines where they are widest, and those of the bars."""
        ends, kls = [], []
        for num in numbers_of_cases:
            _, _, gaussians = self._at(num, scale)
            mean, L, _ = gaussians["laplace"]
            reach = 1.1 * RADIUS * np.linalg.norm(L, axis=1)
            ends.append(scale * np.concatenate([mean - reach, mean + reach]))
            kls.append([gaussians["diagonal"][2], gaussians["laplace"][2]])
        top, zoom = 1.2 * np.max(kls, axis=0)
        return float(np.floor(np.min(ends))), float(np.ceil(np.max(ends))), float(top), float(zoom)

    def compute(self, num_cases, prior_scale, first, second, along, across, angle):
        model, grid, gaussians = self._at(num_cases, round(prior_scale, 6))
        level, mass = level_and_mass(grid.density)
        numbers = {
            "log_evidence": grid.log_evidence,
            "level": level / prior_scale**2,
            "mass": mass,
            "exact_mean": prior_scale * grid.mean,
            "exact_cov": prior_scale**2 * grid.cov,
        }
        mean, cov = gaussian_by_axes((first, second), along, across, angle)
        L = np.linalg.cholesky(cov) / prior_scale
        own = {"own": (mean / prior_scale, L, grid.log_evidence - model.elbo(mean / prior_scale, L))}
        for name, (mean, L, kl) in {**gaussians, **own}.items():
            numbers[f"{name}_mean"] = prior_scale * mean
            numbers[f"{name}_cov"] = prior_scale**2 * L @ L.T
            numbers[f"{name}_kl"] = kl
        return numbers

    def draw(self, now, values):
        scale = values["prior_scale"]
        _, grid, _ = self._at(values["num_cases"], round(scale, 6))
        figure = plt.figure(figsize=(9.5, 4.8))
        axes = figure.subplot_mosaic("pb\npz", width_ratios=[1.6, 1])
        plane, bars, zoom = (axes[key] for key in "pbz")
        exact = scale * level_line(grid.first, grid.second, grid.density)
        plane.plot(*exact.T, color=EXACT, linewidth=6, alpha=0.45, label="exact")
        lines = [*FITTED, ("own", "yours", OWN, "-")]
        for name, label, colour, style in lines:
            plane.plot(*ellipse(now[f"{name}_mean"], now[f"{name}_cov"]).T, style, color=colour, label=label)
        plane.plot(*ellipse(np.zeros(2), scale**2 * np.eye(2)).T, ":", color=PRIOR, linewidth=1.2, label="prior")
        limits = (self.low, self.high)
        plane.set(xlim=limits, ylim=limits, xlabel=f"weight of {self.names[0]}", ylabel=f"weight of {self.names[1]}")
        plane.set(title=f"90 % of the posterior, {values['num_cases']} cases", aspect="equal")
        figure.legend(*plane.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
        for ax, top, title in ((bars, self.top, "KL(q‖p(w|y)), nats"), (zoom, self.zoom, "magnified")):
            for k, (name, _, colour, _) in enumerate(lines):
                kl = now[f"{name}_kl"]
                ax.barh(k, kl, color=colour, height=0.7)
                ax.text(min(kl, 0.9 * top) + 0.01 * top, k, "→" if kl > top else f"{kl:.3f}", va="center", fontsize=9)
            names = [label.split()[-1] for _, label, _, _ in lines]
            ax.set(xlim=(0, top), title=title, yticks=range(4), yticklabels=names)
            ax.invert_yaxis()
        return figure
