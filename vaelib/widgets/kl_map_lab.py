"""The lab of notebook 05: a map of the VAE's KL term over (μ, log σ²), and q against the prior beside it."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch

from vaelib.teaching.palette import COLOURS
from vaelib.theory import gaussian
from vaelib.widgets.figure_lab import FigureLab

# One meaning per colour, here and in the notebook.
PRIOR, Q, KL = COLOURS["grey"], COLOURS["blue"], COLOURS["vermillion"]

MU = (-3.0, 3.0, 0.05, 1.5)
LOG_VAR = (-3.0, 3.0, 0.05, -2.0)
LEVELS = [0.05, 0.2, 0.5, 1, 2, 3, 4.5, 6, 8, 10]  # nats
STEP = 0.35  # an arrow is as long as the way of one gradient step of this size
TIMES = np.linspace(0, 16, 81)
Z = np.linspace(-7, 7, 421)


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


def draw_kl_map(ax, arrows=9):
    """Draw contours of KL(N(μ, σ²) ‖ N(0, 1)) over (μ, log σ²), with arrows that point downhill.

    The arrows give the direction of minus the gradient, not its length.

    Args:
        ax: the Axes.
        arrows: number of arrows along each side; 0 for none.
    Returns:
        The Axes.
    """
    mu, log_var = np.meshgrid(np.linspace(*MU[:2], 121), np.linspace(*LOG_VAR[:2], 121))
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
    ax.set(xlabel=r"$\mu$", ylabel=r"$\log\,\sigma^2$", xlim=MU[:2], ylim=LOG_VAR[:2], aspect="equal")
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
    return np.clip(tip, [MU[0], LOG_VAR[0]], [MU[1], LOG_VAR[1]])


def kl_map_lab():
    """Build the lab: two sliders move a point on the map; q stands against the prior, the KL as a bar.

    On the map: the point (blue), the way of one gradient step (vermillion arrow) and the whole descent (dashed).

    Returns:
        A Lab with the sliders mu and log_var; its `point`, `arrow`, `path`, `line` and `bars` are what moves.
    """
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 3.9), width_ratios=[1.5, 1.5, 0.5])
    draw_kl_map(left)
    (path,) = left.plot([0], [0], color=Q, linestyle="--", linewidth=1.2)
    arrow = FancyArrowPatch(
        (0, 0), (1, 0), arrowstyle="-|>", mutation_scale=14, color=KL, linewidth=2, shrinkA=0, shrinkB=0
    )
    left.add_patch(arrow)
    (point,) = left.plot([0], [0], "o", color=Q, markersize=8)
    middle.plot(Z, np.exp(gaussian.log_prob_normal(Z, 0.0, 0.0)), color=PRIOR, label="prior $p(z)$")
    (line,) = middle.plot(Z, np.zeros_like(Z), color=Q, label="$q(z|x)$")
    area = middle.fill_between(Z, 0, np.zeros_like(Z), color=Q, alpha=0.2)
    middle.set(xlabel="$z$", ylabel="density", xlim=(Z[0], Z[-1]), ylim=(0, 1.9), title="q against the prior")
    middle.legend(loc="upper right")
    bars = [right.bar([""], [0.0], width=0.6, color=KL, alpha=alpha)[0] for alpha in (1.0, 0.45)]
    right.set(xlim=(-0.5, 0.5), ylim=(0, 13), ylabel="nats", title="KL")
    right.legend(bars, ["mean", "width"], loc="upper right")

    def update(mu, log_var):
        point.set_data([mu], [log_var])
        path.set_data(*gaussian.kl_gradient_flow(mu, log_var, TIMES))
        tip = arrow_tip(mu, log_var)
        arrow.set_positions((mu, log_var), tip)
        arrow.set_visible(bool(np.hypot(*(tip - (mu, log_var))) > 0.02))  # shorter than that, only a head would show
        density = np.exp(gaussian.log_prob_normal(Z, mu, log_var))
        line.set_ydata(density)
        area.set_data(Z, 0, density)
        mean, width = parts(mu, log_var)
        bars[0].set_height(mean)
        bars[1].set_y(mean)
        bars[1].set_height(width)
        grad_mu, grad_log_var = gaussian.kl_standard_normal_gradient(mu, log_var)
        return (
            f"KL {mean + width:.3f} nats = {mean:.3f} for the mean + {width:.3f} for the width\n"
            f"gradient: ∂KL/∂μ {grad_mu:+.3f}, ∂KL/∂log σ² {grad_log_var:+.3f}"
        )

    lab = FigureLab(
        fig,
        update,
        [path, arrow, point, line, area, bars],
        {"mu": MU, "log_var": LOG_VAR},
        labels={"mu": "μ, the mean of q", "log_var": "log σ² of q"},
        alt="Left: contours of KL(q‖p) over μ and log σ², with a point, one gradient step from it and its descent to "
        "the prior. Middle: q and the prior over z. Right: the KL as a bar, split into mean and width.",
    )
    lab.point, lab.arrow, lab.path, lab.line, lab.bars = point, arrow, path, line, bars
    return lab
