"""The lab of notebook 06: a map of the VAE's KL term over (μ, log σ²), and q against the prior beside it."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian
from vaelib.widgets.controls import Slider
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
PRIOR, Q, KL, WIDTH = COLOURS["grey"], COLOURS["blue"], COLOURS["vermillion"], COLOURS["orange"]

MU = Slider("μ, the mean of q", -3.0, 3.0, 0.01, 2.0, key=0.1)
LOG_VAR = Slider("log σ² of q", -3.0, 3.0, 0.01, -2.0, key=0.1)
LEVELS = [0.05, 0.2, 0.5, 1, 2, 3, 4.5, 6, 8, 10]  # nats
STEP = 0.35  # an arrow is as long as the way of one gradient step of this size
TIMES = np.linspace(0, 16, 81)
Z = np.linspace(-8, 8, 481)
ARROWS = 8  # along each side of the map; an even number leaves room for labels in the middle


def parts(mu, log_var):
    """Split the KL to N(0, 1) into what the mean costs and what the width costs, each at least 0.

    Args:
        mu, log_var: numbers or arrays that broadcast together.
    Returns:
        (½ μ², ½ (σ² − 1 − log σ²)) in nats.
    Source: Kingma & Welling (2014), appendix B, at μ = 0 and at σ = 1.
    """
    kl = gaussian.kl_standard_normal_per_dim
    return kl(mu, 0.0), kl(0.0, log_var)


def draw_kl_map(ax, arrows=ARROWS):
    """Draw contours of KL(N(μ, σ²) ‖ N(0, 1)) over (μ, log σ²), with arrows that point downhill.

    The arrows give the direction of minus the gradient, not its length.

    Args:
        ax: the Axes.
        arrows: number of arrows along each side; 0 for none.
    Returns:
        The Axes.
    """
    mu, log_var = np.meshgrid(np.linspace(MU.low, MU.high, 121), np.linspace(LOG_VAR.low, LOG_VAR.high, 121))
    contours = ax.contour(
        mu, log_var, gaussian.kl_standard_normal_per_dim(mu, log_var), LEVELS, colors=PRIOR, linewidths=1
    )
    ax.clabel(contours, LEVELS[:-2], fmt="%g", fontsize=8)  # above, they would leave the map
    if arrows:
        mu, log_var = np.meshgrid(np.linspace(-2.8, 2.8, arrows), np.linspace(-2.8, 2.8, arrows))
        down = -np.stack(gaussian.kl_standard_normal_gradient(mu, log_var))
        length = np.hypot(*down)
        kept = length > 1e-9  # at the minimum there is no direction
        ax.quiver(
            mu[kept], log_var[kept], *(down[:, kept] / length[kept]), angles="xy", pivot="mid", color=KL, alpha=0.45
        )
    ax.plot(0, 0, "+", color=COLOURS["black"], markersize=9)
    ax.set(
        xlabel=r"$\mu$",
        ylabel=r"$\log\,\sigma^2$",
        xlim=(MU.low, MU.high),
        ylim=(LOG_VAR.low, LOG_VAR.high),
        aspect="equal",
    )
    ax.set_title("KL in nats; arrows point downhill")
    return ax


def draw_posteriors(ax, mu, log_var):
    """Draw posteriors over a plane as ellipses one standard deviation wide, and the prior as a dashed circle.

    Args:
        ax: the Axes.
        mu, log_var: one row per example, shape (n, 2).
    Returns:
        The Axes.
    """
    turn = np.linspace(0, 2 * np.pi, 61)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    ax.plot(*(mu[..., None] + np.exp(0.5 * log_var)[..., None] * circle).transpose(1, 2, 0), color=Q, linewidth=0.8)
    ax.plot(*circle, color=PRIOR, linewidth=3, linestyle="--", zorder=1)  # below the posteriors
    ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    return ax


def arrow_tip(mu, log_var):
    """Return (mu, log_var) after one gradient step of size `STEP` on the KL, kept on the map."""
    grad_mu, grad_log_var = gaussian.kl_standard_normal_gradient(mu, log_var)
    tip = np.array([mu - STEP * grad_mu, log_var - STEP * grad_log_var])
    return np.clip(tip, [MU.low, LOG_VAR.low], [MU.high, LOG_VAR.high])


class KlMapLab(Lab):
    """The lab: drag a point over the map, or q's peak and flank; the KL is split into what mean and width cost.

    On the map: the point (blue), the way of one gradient step (vermillion arrow) and the whole descent (dashed). Both
    bars stand on zero; the second one magnifies the first nat.
    """

    def __init__(self):
        super().__init__(
            "kl_map",
            {"mu": MU, "log_var": LOG_VAR},
            {
                "z": [Z[0], Z[-1], len(Z)],
                "times": [TIMES[0], TIMES[-1], len(TIMES)],
                "range": [MU.low, MU.high],
                "levels": LEVELS,
                "step": STEP,
                "arrows": ARROWS,
            },
            alt="Left: contours of KL(q‖p) over μ and log σ², with a point, one gradient step from it and its descent "
            "to the prior. Middle: q and the prior over z. Right: the KL as a bar, split into mean and width.",
        )

    def compute(self, mu, log_var):
        mean, width = (float(part) for part in parts(mu, log_var))
        slope_mu, slope_log_var = (float(slope) for slope in gaussian.kl_standard_normal_gradient(mu, log_var))
        path_mu, path_log_var = gaussian.kl_gradient_flow(mu, log_var, TIMES)
        return {
            "kl": mean + width,
            "mean": mean,
            "width": width,
            "slope_mu": slope_mu,
            "slope_log_var": slope_log_var,
            "tip": arrow_tip(mu, log_var),
            "path_mu": path_mu,
            "path_log_var": path_log_var,
            "density": np.exp(gaussian.log_prob_normal(Z, mu, log_var)),
        }

    def draw(self, now, values):
        figure, (left, middle, right, zoom) = plt.subplots(1, 4, figsize=(10, 3.9), width_ratios=[1.6, 1.5, 0.45, 0.45])
        draw_kl_map(left)
        place = np.array([values["mu"], values["log_var"]])
        left.plot(now["path_mu"], now["path_log_var"], color=Q, linestyle="--", linewidth=1.2)
        if np.hypot(*(now["tip"] - place)) > 0.02:  # shorter than that, only a head would show
            left.annotate("", now["tip"], place, arrowprops={"arrowstyle": "-|>", "color": KL, "linewidth": 2})
        left.plot(*place, "o", color=Q, markersize=8)
        middle.plot(Z, np.exp(gaussian.log_prob_normal(Z, 0.0, 0.0)), color=PRIOR, label="prior $p(z)$")
        middle.plot(Z, now["density"], color=Q, label="$q(z|x)$")
        middle.fill_between(Z, 0, now["density"], color=Q, alpha=0.2)
        middle.set(xlabel="$z$", ylabel="density", xlim=(Z[0], Z[-1]), ylim=(0, 1.9), title="q against the prior")
        middle.legend(loc="upper right")
        for ax, top, title in ((right, 13, "KL, nats"), (zoom, 1, "first nat")):
            ax.bar([""], [now["mean"]], width=0.6, color=KL, label="mean")
            ax.bar([""], [now["width"]], width=0.6, bottom=[now["mean"]], color=WIDTH, label="width")
            ax.set(xlim=(-0.5, 0.5), ylim=(0, top), title=title)
        right.legend(loc="upper right", fontsize=8)
        return figure
