"""The lab of notebook 02: move q, and watch log p(x) split into the ELBO and the gap."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from vaelib import checks
from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian
from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian
from vaelib.widgets.controls import Slider
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
PRIOR, LIKELIHOOD, POSTERIOR, Q = COLOURS["grey"], COLOURS["orange"], COLOURS["green"], COLOURS["blue"]
ELBO, GAP = COLOURS["sky"], COLOURS["vermillion"]

MU = Slider("μ, the mean of q", -0.5, 2.5, 0.01, 0.0, key=0.05)
SIGMA = Slider("σ, the width of q", 0.25, 1.5, 0.01, 1.0, key=0.05)
Z = np.linspace(-3.5, 5.0, 426)


class Split(NamedTuple):
    """The parts of log p(x) in nats: elbo + gap = log_evidence, and elbo = reconstruction − kl."""

    log_evidence: np.ndarray
    elbo: np.ndarray
    gap: np.ndarray
    reconstruction: np.ndarray
    kl: np.ndarray


def split(model, x, mu, sigma):
    """Split log p(x) for q = N(mu, σ²), each part by a route of its own: none is the difference of two others.

    Args:
        model: a toy model with latent_dim 1.
        x: one observation, shape (data_dim,).
        mu, sigma: q's mean and standard deviation, numbers or arrays that broadcast together.
    Returns:
        Split, in nats; log_evidence a number, the others of the shape of mu and sigma together. `reconstruction`
        is E_q[log p(x|z)], and `kl` is KL(q ‖ p(z)).
    Raises:
        ValueError: latent_dim is not 1, or sigma is not positive.
    Source: Kingma & Welling (2014), eq. 1 to 3.
    """
    if model.latent_dim != 1:
        raise ValueError(f"model must have latent_dim 1 for this picture; received {model.latent_dim}.")
    log_var = 2 * np.log(checks.positive_array("sigma", sigma))
    mu, log_var = (value[..., None] for value in np.broadcast_arrays(checks.real_array("mu", mu), log_var))
    return Split(
        log_evidence=model.log_evidence(x),
        elbo=model.elbo(x, mu, log_var),
        gap=model.gap(x, mu, log_var),
        reconstruction=model.expected_log_likelihood(x, mu, log_var),
        kl=gaussian.kl_standard_normal(mu, log_var),
    )


def slider_grid():
    """The places of the two sliders that arrow keys reach: mu and sigma, each of shape (places of σ, places of μ)."""
    axes = [np.linspace(each.low, each.high, round((each.high - each.low) / each.key) + 1) for each in (MU, SIGMA)]
    return np.meshgrid(*axes)


def draw_densities(ax, model, x):
    """Draw prior, scaled likelihood and posterior of z, which do not move; return the height of the posterior.

    The likelihood is a function of z and no density: it is scaled to the posterior's height, and only its shape counts.
    """
    z = Z[:, None]
    prior, posterior = np.exp(model.log_prior(z)), np.exp(model.log_posterior(z, x))
    log_likelihood = model.log_likelihood(x, z)
    likelihood = np.exp(log_likelihood - log_likelihood.max())
    height = posterior.max()
    ax.plot(Z, prior, color=PRIOR, label="prior $p(z)$")
    ax.plot(Z, height * likelihood, color=LIKELIHOOD, linestyle="--", label="likelihood $p(x|z)$, scaled")
    ax.plot(Z, posterior, color=POSTERIOR, label="posterior $p(z|x)$")
    ax.set(xlabel="$z$", ylabel="density", xlim=(Z[0], Z[-1]))
    return height


class ElboLab(Lab):
    """The lab: drag q's peak and flank; log p(x) splits into the ELBO and the gap.

    Both bars stand on one floor and reach the same ELBO (sky). On the first the gap (vermillion) tops it up to
    log p(x), the black line; on the second KL(q ‖ p(z)) (grey) tops it up to the reconstruction E_q[log p(x|z)].
    The third picture magnifies the uppermost half nat of the first bar, where a small gap can be seen.

    Args:
        model: a toy model with latent_dim 1.
        x: one observation, shape (data_dim,).
    Raises:
        ValueError: latent_dim is not 1.
    """

    def __init__(self, model, x):
        self.model, self.x = model, np.atleast_1d(np.asarray(x, float))
        parts = split(model, self.x, *slider_grid())
        self.floor = float(np.floor(parts.elbo.min()))  # the ELBO at its worst, so that no bar leaves the picture
        highest = max(float(parts.log_evidence), float(parts.reconstruction.max()))
        self.top = highest + 0.08 * (highest - self.floor)
        super().__init__(
            "elbo",
            {"mu": MU, "sigma": SIGMA},
            {
                "model": described(model),
                "x": self.x.tolist(),
                "z": [Z[0], Z[-1], len(Z)],
                "floor": self.floor,
                "top": self.top,
            },
            alt="Left: prior, scaled likelihood, posterior and q over z. Right: log p(x) split into ELBO and gap, and "
            "the reconstruction split into ELBO and KL to the prior.",
        )

    def compute(self, mu, sigma):
        parts = split(self.model, self.x, mu, sigma)
        numbers = {name: float(value) for name, value in parts._asdict().items()}
        return {**numbers, "density": np.exp(gaussian.log_prob_normal(Z, mu, 2 * np.log(sigma)))}

    def draw(self, now, values):
        figure, (left, right, zoom) = plt.subplots(1, 3, figsize=(9.5, 3.6), width_ratios=[2.1, 1.1, 0.6])
        height = draw_densities(left, self.model, self.x)
        left.plot(Z, now["density"], color=Q, label="$q(z|x)$")
        left.fill_between(Z, 0, now["density"], color=Q, alpha=0.2)
        left.set(ylim=(0, 1.6 * height))
        left.legend(loc="upper left", fontsize=8)
        names = ["log p(x)", "reconstruction"]
        for ax, shown in ((right, names), (zoom, names[:1])):
            rest, colours = [now["gap"], now["kl"]][: len(shown)], [GAP, PRIOR][: len(shown)]
            ax.bar(shown, now["elbo"] - self.floor, bottom=self.floor, width=0.6, color=ELBO)
            ax.bar(shown, rest, bottom=now["elbo"], width=0.6, color=colours)
            ax.axhline(now["log_evidence"], color=COLOURS["black"], linewidth=1.2)
        right.set(ylim=(self.floor, self.top), ylabel="nats", title="ELBO + gap, ELBO + KL")
        zoom.set(ylim=(now["log_evidence"] - 0.5, now["log_evidence"] + 0.06), title="its last ½ nat")
        return figure


def described(model):
    """Return a toy model with latent_dim 1 as JSON, for the browser.

    Raises:
        TypeError: another model.
    """
    if isinstance(model, LinearGaussian):
        numbers = {"w": model.w[:, 0].tolist(), "b": model.b.tolist(), "sigma": float(model.sigma)}
        return {"kind": "linear_gaussian", **numbers}
    if isinstance(model, BernoulliLatent):
        grid = [model.grid[0], model.grid[-1], len(model.grid)]
        return {"kind": "bernoulli", "w": model.w.tolist(), "b": model.b.tolist(), "grid": grid}
    raise TypeError(f"model must be a LinearGaussian or a BernoulliLatent; received {type(model).__name__}.")
