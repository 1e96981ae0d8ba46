"""Planar flows on the line, exactly: what bends can do, and what a fold reports.

A chain starts from z = μ + σ ε with ε ~ N(0, 1) and bends the line at `centres`, one layer after the other:

    f(z) = z + (slope / steepness) tanh(steepness (z − centre))

That is the planar layer z + u tanh(w z + b) with steepness w, centre −b/w and slope u w, the number that matters: it is
the slope that the bend adds at its centre. Above −1 the map rises and has an inverse; below, it folds.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, ndtr

from vaelib import checks
from vaelib.theory import gaussian
from vaelib.theory.divergences import GridDensity
from vaelib.theory.quadrature import even_grid, normal_trapezoid, trapezoid_weights

EPS = even_grid(-9.0, 9.0, 0.01)
WEIGHTS = normal_trapezoid(EPS)
GENTLEST, STEEPEST = 0.02, 30.0  # of the bends that a search tries: steeper ones would hide between the nodes
MARGIN = 1e-3  # how far their slopes stay above −1


def square_posterior(x, s):
    """The posterior of z ~ N(0, 1) given x ~ N(z², s²): for x well above s it has two modes, at ±√x or so.

    Args:
        x, s: numbers; s above 0.
    Returns:
        GridDensity; its log_normaliser is log p(x).
    """
    x, s = float(checks.real_array("x", x)), checks.positive_float("s", s)
    reach = max(5.0, 2.0 * np.sqrt(abs(x)))
    z = even_grid(-reach, reach, min(s, 1.0) / 60)
    log_joint = gaussian.log_prob_normal(z, 0.0, 0.0) + gaussian.log_prob_normal(x, z**2, 2 * np.log(s))
    return GridDensity(z, log_joint, normalise=True)


class PlanarChain:
    """A chain of planar layers over N(μ, σ²) on the line, with or without folds.

    Args:
        slopes, steepness, centres: of each layer, shape (layers,); steepness above 0. None at all leaves the normal.
        mu, std: of the start; std above 0.
    Raises:
        ValueError: lengths that differ, or a steepness or std that is not above 0.
    Source: Rezende and Mohamed (2015), equations 10 to 12.
    """

    def __init__(self, slopes=(), steepness=(), centres=(), mu=0.0, std=1.0):
        self.slopes, self.centres = checks.real_array("slopes", slopes), checks.real_array("centres", centres)
        self.steepness = checks.positive_array("steepness", steepness)
        self.mu, self.std = float(checks.real_array("mu", mu)), checks.positive_float("std", std)
        shapes = {self.slopes.shape, self.steepness.shape, self.centres.shape}
        if len(shapes) > 1 or self.slopes.ndim != 1:
            raise ValueError(f"slopes, steepness and centres must have one length; received shapes {shapes}.")

    @property
    def folds(self):
        """Whether a layer's slope lies at or below −1, so that the map has no inverse."""
        return bool(np.any(self.slopes <= -1))

    def forward(self, eps):
        """Push ε through: z, and log |dz/dε|, elementwise; minus infinity where the line turns round."""
        z = self.mu + self.std * checks.real_array("eps", eps)
        log_slope = np.full(z.shape, np.log(self.std))
        with np.errstate(divide="ignore"):
            for slope, steep, centre in zip(self.slopes, self.steepness, self.centres, strict=True):
                height = np.tanh(steep * (z - centre))
                z = z + slope / steep * height
                log_slope = log_slope + np.log(np.abs(1 + slope * (1 - height**2)))
        return z, log_slope

    def reported_kl(self, target):
        """E[log N(ε; 0, 1) − log |dz/dε| − log p(z)], in nats: KL(q ‖ p), but for a map that folds.

        Where the line lies in several layers, each layer reports its own density alone, too small a log q: a fold can
        report less than 0.

        Args:
            target: anything with log_prob: a `Mixture`, a `GridDensity`.
        """
        z, log_slope = self.forward(EPS)
        return float(WEIGHTS @ (gaussian.log_prob_normal(EPS, 0.0, 0.0) - log_slope - target.log_prob(z)))

    def density(self, z):
        """q(z), elementwise, by adding up every ε that is sent to z: right for folds too. Shape of z.

        By the chain rule on a fine grid of ε: cells of the image are shared out by straight lines.
        """
        z = checks.real_array("z", z)
        eps = even_grid(-9.0, 9.0, 5e-4)
        image, log_slope = self.forward(eps)
        log_q = gaussian.log_prob_normal(eps, 0.0, 0.0) - log_slope
        total = np.zeros(z.shape)
        turns = np.flatnonzero(np.diff(np.sign(np.diff(image)))) + 1
        for start, end in zip([0, *turns], [*turns, len(eps) - 1], strict=True):
            branch, log_b = image[start : end + 1], log_q[start : end + 1]
            if len(branch) > 1:
                order = np.argsort(branch)
                total += np.exp(np.interp(z, branch[order], log_b[order], left=-np.inf, right=-np.inf))
        return total


class ChainFit(NamedTuple):
    """A chain and its KL(q ‖ p), in nats."""

    chain: PlanarChain
    kl: float


def fit_chain(target, length, rng, num_starts=12):
    """The chain of so many layers, without folds, of the smallest KL(q ‖ p) that a search from many starts finds.

    Args:
        target: a `Mixture` or a `GridDensity`.
        length: layers, at least 1.
        rng: generator of the starts.
        num_starts: how many; the longer the chain, the more of them end in poorer minima.
    Returns:
        ChainFit.
    Source: Rezende and Mohamed (2015), section 4.1 and appendix A.1 (slopes above −1, by softplus − 1).
    """
    length = checks.positive_int("length", length)
    width, best = np.sqrt(target.var), None
    for attempt in range(checks.positive_int("num_starts", num_starts)):
        # Every other start is steep: from gentle bends alone a search may never find out that the line can be torn.
        gentle = attempt % 2
        start = np.concatenate(
            [
                rng.normal(1, 2, length) if gentle else rng.exponential(20, length),
                rng.normal(-2, 1, length) if gentle else rng.normal(1, 1, length),
                target.mean + (1.0 if gentle else 0.1) * width * rng.normal(0, 1, length),
                [target.mean + 0.3 * width * rng.standard_normal(), np.log(width * (1.0 if gentle else 0.3))],
            ]
        )
        fit = minimize(kl_and_gradient, start, target, jac=True, method="BFGS", options={"maxiter": 500})
        if best is None or fit.fun < best.fun:
            best = fit
    return ChainFit(PlanarChain(*_parameters(best.x)), float(best.fun))


def _parameters(v):
    """Turn free numbers, shape (3 layers + 2,), into slopes above −1, steepness, centres, mu and std."""
    slopes, steepness, centres = v[:-2].reshape(3, -1)
    steepness = GENTLEST + (STEEPEST - GENTLEST) * expit(steepness)
    return np.logaddexp(slopes, 0.0) + MARGIN - 1, steepness, centres, v[-2], np.exp(v[-1])


def kl_and_gradient(v, target):
    """KL(q ‖ p) of a chain given by free numbers, and its derivatives, backwards through the layers.

    Args:
        v: of each layer the slope before softplus, then the steepness before the logistic curve, then the centre; then
            mu and log std.
        target: a `Mixture` or a `GridDensity`.
    Returns:
        The KL in nats, and its gradient, shape of v.
    """
    eps, weights = EPS, WEIGHTS
    slopes, steepness, centres, mu, std = _parameters(v)
    z, log_slope, before = mu + std * eps, np.full(len(eps), np.log(std)), []
    for a, c, m in zip(slopes, steepness, centres, strict=True):
        height = np.tanh(c * (z - m))
        before.append((z, height))
        z = z + a / c * height
        log_slope = log_slope + np.log1p(a * (1 - height**2))
    kl = weights @ (gaussian.log_prob_normal(eps, 0.0, 0.0) - log_slope - target.log_prob(z))
    along = -weights * target.grad_log_prob(z)  # dKL/dz, layer by layer
    gradient = []
    for a, c, m, (z, height) in reversed([*zip(slopes, steepness, centres, before, strict=True)]):
        falloff = 1 - height**2
        inner = weights / (1 + a * falloff)  # −dKL/d(a falloff)
        of_height = along * a / c + inner * 2 * a * height  # dKL/dheight
        of_slope = along @ (height / c) - inner @ falloff
        of_steepness = of_height @ (falloff * (z - m)) - along @ (a / c**2 * height)
        gradient.append([of_slope, of_steepness, -of_height @ (falloff * c)])
        along = along + of_height * falloff * c
    by_layer = np.array(gradient[::-1]).T
    of_free = by_layer[0] * expit(v[: len(slopes)]), by_layer[1] * _steepness_slope(steepness), by_layer[2]
    return kl, np.concatenate([*of_free, [along.sum(), along @ eps * std - weights.sum()]])


def _steepness_slope(steepness):
    """How fast the steepness follows its free number: (c − least)(most − c)/(most − least)."""
    return (steepness - GENTLEST) * (STEEPEST - steepness) / (STEEPEST - GENTLEST)


def transport(target, eps):
    """The best of all maps on the line, F⁻¹(Φ(ε)) with F the target's distribution function: KL = 0.

    Args:
        target: a `Mixture` or a `GridDensity`.
        eps: shape (n,), within −6 and 6.
    Returns:
        z, shape (n,); error below 1e-5 of the target's width.
    Source: Villani (2009), chapter 1, the increasing rearrangement.
    """
    x = even_grid(*target.support, target.scale / 200)
    mass = np.cumsum(np.exp(target.log_prob(x)) * trapezoid_weights(x))
    mass = np.clip(mass / mass[-1], 0, 1)
    rising = np.flatnonzero(np.diff(mass, prepend=-1.0) > 0)
    middle = x + 0.5 * (x[1] - x[0])  # the running sum counts half a cell beyond its node
    return np.interp(ndtr(checks.real_array("eps", eps)), mass[rising], middle[rising])


# Four energies of the plane

ENERGIES = ("U1", "U2", "U3", "U4")
WINDOW = 4.0


def energy(name, z):
    """U(z) of the four test shapes, p(z) ∝ exp(−U): (..., 2) to (...).

    Only U1 can be normalised over the plane: the others do not rise along z₁. On the window [−4, 4]² all four can.

    Args:
        name: "U1" (two arcs), "U2" (a wave), "U3" (a wave that splits), "U4" (a wave that splits and stays apart).
        z: points.
    Raises:
        ValueError: another name, or points that are not pairs.
    Source: Rezende and Mohamed (2015), table 1.
    """
    z = checks.real_array("z", z)
    if z.ndim == 0 or z.shape[-1] != 2:
        raise ValueError(f"z must have shape (..., 2); received {z.shape}.")
    if name not in ENERGIES:
        raise ValueError(f"name must be one of {', '.join(ENERGIES)}; received {name!r}.")
    z1, z2 = z[..., 0], z[..., 1]
    wave = z2 - np.sin(0.5 * np.pi * z1)
    if name == "U1":
        ring = 0.5 * ((np.hypot(z1, z2) - 2) / 0.4) ** 2
        return ring - np.logaddexp(_bell(z1 - 2, 0.6), _bell(z1 + 2, 0.6))
    if name == "U2":
        return -_bell(wave, 0.4)
    if name == "U3":
        return -np.logaddexp(_bell(wave, 0.35), _bell(wave + 3 * np.exp(_bell(z1 - 1, 0.6)), 0.35))
    return -np.logaddexp(_bell(wave, 0.4), _bell(wave + 3 / (1 + np.exp(-(z1 - 1) / 0.3)), 0.35))


def _bell(x, width):
    return -0.5 * (x / width) ** 2


def log_normaliser(name, half_width=WINDOW, num_nodes=1601):
    """log ∫ exp(−U) over the square [−half_width, half_width]², in nats, by the trapezoid rule."""
    axis = np.linspace(-half_width, half_width, checks.positive_int("num_nodes", num_nodes))
    weights = trapezoid_weights(axis)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    return float(np.log(weights @ np.exp(-energy(name, z)) @ weights))
