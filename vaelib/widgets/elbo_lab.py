"""The lab of notebook 02: move q, and watch log p(x) split into the ELBO and the gap."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from vaelib import checks
from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
PRIOR, LIKELIHOOD, POSTERIOR, Q = COLOURS["grey"], COLOURS["orange"], COLOURS["green"], COLOURS["blue"]
ELBO, GAP = COLOURS["sky"], COLOURS["vermillion"]

MU = (-0.5, 2.5, 0.05, 0.0)
SIGMA = (0.25, 1.5, 0.05, 1.0)
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
    """Every position of the two sliders: mu and sigma, each of shape (positions of σ, positions of μ)."""
    axes = [low + step * np.arange(round((high - low) / step) + 1) for low, high, step, _ in (MU, SIGMA)]
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


def elbo_lab(model, x):
    """Build the lab: sliders for q's mean and width, the densities on the left, the two splits on the right.

    Both bars stand on the same floor and reach the same ELBO (sky). On the first the gap (vermillion) tops it up to
    log p(x), the black line; on the second KL(q ‖ p(z)) (grey) tops it up to the reconstruction E_q[log p(x|z)].

    Args:
        model: a toy model with latent_dim 1. x: one observation, shape (data_dim,).
    Returns:
        A Lab with the sliders mu and sigma; its `bars` are the four rectangles elbo, gap, elbo, kl.
    """
    mu_grid, sigma_grid = slider_grid()
    parts = split(model, x, mu_grid, sigma_grid)
    floor = np.floor(parts.elbo.min())  # the ELBO at its worst, so that no bar leaves the picture
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), width_ratios=[1.9, 1])
    height = draw_densities(left, model, x)
    (line,) = left.plot(Z, np.zeros_like(Z), color=Q, label="$q(z|x)$")
    area = left.fill_between(Z, 0, np.zeros_like(Z), color=Q, alpha=0.2)
    left.set(ylim=(0, max(1.6 * height, 0.42 / SIGMA[0])))  # 0.40 / σ is the peak of q
    left.legend(loc="upper right")
    names = ["ELBO + gap\n= log p(x)", "ELBO + KL(q‖p(z))\n= reconstruction"]
    elbo_bars = right.bar(names, [0.0, 0.0], bottom=floor, width=0.6, color=ELBO)
    rest_bars = right.bar(names, [0.0, 0.0], bottom=floor, width=0.6, color=[GAP, PRIOR])
    right.axhline(parts.log_evidence, color=COLOURS["black"], linewidth=1.2)
    right.text(0.5, parts.log_evidence, "log p(x)", ha="center", va="bottom", fontsize=9)
    top = max(parts.log_evidence, parts.reconstruction.max())
    right.set(ylim=(floor, top + 0.08 * (top - floor)), xlim=(-0.45, 1.45), ylabel="nats")

    def update(mu, sigma):
        now = split(model, x, mu, sigma)
        density = np.exp(gaussian.log_prob_normal(Z, mu, 2 * np.log(sigma)))
        line.set_ydata(density)
        area.set_data(Z, 0, density)
        for below, above, height in zip(elbo_bars, rest_bars, (now.gap, now.kl), strict=True):
            below.set_height(now.elbo - floor)
            above.set_y(now.elbo)
            above.set_height(height)
        return (
            f"log p(x) {now.log_evidence:.3f} = ELBO {now.elbo:.3f} + gap {now.gap:.3f} nats\n"
            f"ELBO {now.elbo:.3f} = reconstruction {now.reconstruction:.3f} − KL(q‖p(z)) {now.kl:.3f} nats"
        )

    lab = Lab(
        fig,
        update,
        [line, area, elbo_bars, rest_bars],
        {"mu": MU, "sigma": SIGMA},
        labels={"mu": "μ, the mean of q", "sigma": "σ, the width of q"},
        alt="Left: prior, scaled likelihood, posterior and q over z. Right: log p(x) split into ELBO and gap, and the "
        "reconstruction split into ELBO and KL to the prior.",
    )
    lab.bars = (elbo_bars[0], rest_bars[0], elbo_bars[1], rest_bars[1])
    return lab
