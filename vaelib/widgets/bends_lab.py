"""The lab of notebook 15: bend a normal into a posterior with two modes, then fold it and see what the KL reports."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory.divergences import fit_reverse
from vaelib.theory.flows import square_posterior
from vaelib.theory.gaussian import log_prob_normal
from vaelib.widgets.controls import Menu, Slider, Toggle
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
TARGET, Q, REPORTED, FOLD = (COLOURS[name] for name in ("green", "blue", "orange", "vermillion"))

X, S = 1.0, 0.3  # the two modes: the posterior of z ~ N(0, 1) given x = 1 ~ N(z², 0.3²)
TWO, ONE = "two modes", "one mode"
SIGMA = Slider("σ, the width before the bends", 0.05, 1.5, 0.01, 0.6, key=0.02)
BENDS = {
    name: (
        Slider(f"place of bend {name}", -2.0, 2.0, 0.01, place, key=0.05),
        Slider(f"push of bend {name}", -1.5, 1.5, 0.01, push, key=0.05),
        Slider(f"steepness of bend {name}", 1.0, 30.0, 0.1, 4.0, key=0.5),
    )
    for name, place, push in (("A", 0.0, 0.3), ("B", 0.5, 0.1))
}

SHIFT, MARGIN = np.log(np.e - 1), 1e-3  # of the constraint, as in vaelib.PlanarFlow
NUM_EPS, REACH, EACH = 4801, 6.0, 8  # nodes of the noise; of these, one in so many is drawn
EDGES = np.linspace(-3.0, 3.0, 241)  # of the bins that the density is collected in; what lies beyond makes two more
LINEAR = 0.05  # cells whose slope changes by less than this share of itself are summed by a series


class BendsLab(Lab):
    """The lab: two planar layers bend the line; drag each bend on the map, and watch q and its KL to the target.

    With the constraint off, a bend can fold the map. Then the change of variables counts each of the noises that share
    one z alone, and what it reports is no KL any more; beside it stands a KL of what is really drawn.

    Args:
        target: "two modes" or "one mode", at the start.
        constrained: whether the slopes are kept above −1 at the start, as `PlanarFlow` does.
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, target=TWO, constrained=True):
        controls = {
            "target": Menu("the target", (TWO, ONE), target),
            "constrained": Toggle("keep every slope above −1", Toggle("").check("constrained", constrained)),
            **dict(zip(("place_a", "push_a", "steep_a"), BENDS["A"], strict=True)),
            **dict(zip(("place_b", "push_b", "steep_b"), BENDS["B"], strict=True)),
            "sigma": SIGMA,
        }
        posterior = square_posterior(X, S)
        self.log_normaliser, self.best_normal = posterior.log_normaliser, fit_reverse(posterior).kl
        self.shares = {name: _shares(lambda z, name=name: self.log_target(name, z)) for name in (TWO, ONE)}
        super().__init__(
            "bends",
            controls,
            {
                "case": [X, S, self.log_normaliser, self.best_normal],
                "names": [TWO, ONE],
                "eps": [NUM_EPS, REACH, EACH],
                "edges": [EDGES[0], EDGES[-1], len(EDGES)],
                "shares": {name: shares.tolist() for name, shares in self.shares.items()},
                "constraint": [float(SHIFT), MARGIN, LINEAR],
            },
            alt="The map from noise to z with two bends; the density that it gives beside the target; the KL that the "
            "change of variables reports, and one of what is drawn.",
        )

    def log_target(self, target, z):
        """log p(z) of a target by its name, elementwise, in nats."""
        prior = log_prob_normal(z, 0.0, 0.0)
        if target == ONE:
            return prior
        return prior + log_prob_normal(X, z**2, 2 * np.log(S)) - self.log_normaliser

    def compute(self, target, constrained, place_a, push_a, steep_a, place_b, push_b, steep_b, sigma):
        eps = np.linspace(-REACH, REACH, NUM_EPS)
        log_phi = log_prob_normal(eps, 0.0, 0.0)
        weights = (eps[1] - eps[0]) * np.exp(log_phi)  # of the nodes
        mass = 0.5 * (weights[1:] + weights[:-1])  # of the cells between them
        z, slopes, middles, log_slope = sigma * eps, [], [], np.log(sigma)
        for place, push, steep in ((place_a, push_a, steep_a), (place_b, push_b, steep_b)):
            slope = push * steep
            if constrained:
                slope = max(np.logaddexp(slope + SHIFT, 0.0), MARGIN) - 1.0
            middles.append(_where(eps, z, place))
            height = np.tanh(steep * (z - place))
            change = 1 + slope * (1 - height**2)
            # Where the slope goes through 0 its logarithm has a pole, which nodes alone would miss or hit.
            log_slope += weights @ np.log(change) if slope > -1 else mass @ mean_log(change)
            z = z + slope / steep * height
            slopes.append(slope)
        reported = weights @ (log_phi - self.log_target(target, z)) - log_slope
        bins, layers = collect(z, mass)
        share = self.shares[target]
        drawn = bins > 0
        return {
            "reported": float(reported),
            "drawn": float(np.sum(bins[drawn] * np.log(bins[drawn] / bins.sum() / share[drawn])) / bins.sum()),
            "slopes": np.array(slopes),
            "middles": np.array(middles),
            "heights": np.interp(middles, eps, z),
            "z": z[::EACH],
            "q": bins[1:-1] / (EDGES[1] - EDGES[0]),
            "p": np.exp(self.log_target(target, 0.5 * (EDGES[1:] + EDGES[:-1]))),
            "layers": layers,
        }

    def draw(self, now, values):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.4), width_ratios=[1, 1.2, 0.6])
        eps, z = np.linspace(-REACH, REACH, NUM_EPS)[::EACH], 0.5 * (EDGES[1:] + EDGES[:-1])
        left.plot(eps, now["z"], color=Q)
        left.plot(now["middles"], now["heights"], "o", color=Q)
        left.set(xlim=(-3.5, 3.5), ylim=(-3, 3), xlabel="noise ε", ylabel="z", title="the map")
        middle.fill_between(z, 0, now["q"], color=Q, alpha=0.3, label="q")
        middle.plot(z, now["p"], color=TARGET, label="target")
        middle.fill_between(
            z,
            0,
            -0.05,
            where=now["layers"] > 1,
            color=FOLD,
            label="several ε, one z" if now["layers"].max() > 1 else None,
        )
        middle.set(xlim=(-3, 3), ylim=(-0.05, 1.6), xlabel="z", ylabel="density", title="what it draws")
        middle.legend(loc="upper left", fontsize=8)
        heights = [now["reported"], now["drawn"]]
        right.bar(["reported", "drawn"], heights, color=[FOLD if heights[0] < 0 else REPORTED, Q])
        right.axhline(0, color=COLOURS["black"], linewidth=1)
        if values["target"] == TWO:
            right.axhline(self.best_normal, color=COLOURS["grey"], linestyle="--", label="best normal")
            right.legend(fontsize=8)
        right.set(ylim=(-0.7, 2), title="KL to the target, nats")
        return figure


def mean_log(y):
    """The mean of log |y| over each cell between nodes, y taken as straight there: right also where y changes sign."""
    start, end = y[:-1], y[1:]
    middle = 0.5 * (start + end)
    change = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = change / middle
        whole = (_log_integral(end) - _log_integral(start)) / change
        series = np.log(np.abs(middle)) - ratio**2 / 24 - ratio**4 / 320
    return np.where(np.abs(change) < LINEAR * np.abs(middle), series, whole)


def _log_integral(y):
    """The integral of log |y|."""
    return np.where(y == 0, 0.0, y * np.log(np.abs(np.where(y == 0, 1.0, y))) - y)


def collect(z, mass):
    """Share each cell's mass out over the bins that its image lies across.

    Args:
        z: the images of the nodes, shape (n + 1,). mass: of the cells between them, shape (n,).
    Returns:
        The mass of the bins, those beyond both ends included, shape (len(EDGES) + 1,); and how many cells lie over the
        middle of each bin between the ends, that is how many noises share that z.
    """
    low, high = np.minimum(z[1:], z[:-1]), np.maximum(z[1:], z[:-1])
    length = np.maximum(high - low, 1e-12)
    below = np.clip((EDGES[:, None] - low) / length, 0.0, 1.0) @ mass  # mass to the left of each edge
    middles = 0.5 * (EDGES[1:] + EDGES[:-1])[:, None]
    layers = np.sum((low <= middles) & (middles < high), axis=1)
    return np.maximum(np.diff(below, prepend=0.0, append=mass.sum()), 0.0), layers.astype(float)


def _shares(log_target, nodes=40):
    """The target's probability of each bin, those beyond both ends included, by the midpoint rule."""
    step = (EDGES[1] - EDGES[0]) / nodes
    z = (EDGES[:-1, None] + step * (np.arange(nodes) + 0.5)).ravel()
    inside = np.exp(log_target(z)).reshape(-1, nodes).sum(axis=1) * step
    beyond = EDGES[-1] + step * (np.arange(400 * nodes) + 0.5)
    tail = np.exp(log_target(beyond)).sum() * step
    return np.maximum(np.concatenate([[tail], inside, [tail]]), 1e-300)  # both targets are even


def _where(eps, z, place):
    """The ε that arrives at a place: where z, which may turn round, crosses it first; an end if it never does."""
    above = z > place
    crossings = np.flatnonzero(above[1:] != above[:-1])
    if len(crossings) == 0:
        return float(eps[-1] if z[-1] < place else eps[0])
    i = crossings[0]
    return float(eps[i] + (eps[i + 1] - eps[i]) * (place - z[i]) / (z[i + 1] - z[i]))
