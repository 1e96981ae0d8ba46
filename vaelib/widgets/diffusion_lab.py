"""The lab of notebook 20: drag the schedule, add layers, and watch the bound of a diffusion close on −log p."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory.diffusion import LOG_2PI_E, layer_kls
from vaelib.theory.quadrature import normal_trapezoid
from vaelib.widgets.controls import Menu, Slider, count
from vaelib.widgets.lab import Lab

# One meaning per colour, here and in the notebook.
SCHEDULE, LAYERS, LIMIT = COLOURS["blue"], COLOURS["orange"], COLOURS["black"]
EVIDENCE, STRAIGHT = COLOURS["grey"], COLOURS["purple"]

NORMAL, BUMPS = "one bump: N(0, 1)", "two bumps"
MIDDLE = 0.95  # of the bumps, at ± this; both together have the variance 1
WIDTH_SQUARE = 1 - MIDDLE**2

NUM_KNOTS, APART = 6, 0.02  # of log10 SNR over t; each at least so far below the one before
STARTS = tuple(round(2 - 0.8 * k, 1) for k in range(NUM_KNOTS))
HIGHEST = 3.0  # of log10 SNR, both ways
PIECE = 21  # points of the limit's curve in each piece
COUNTS = (1, 4, 16, 64, 256, 1024)  # layers of the picture of the gap
REACH, NUM_NODES = 7.5, 121  # of the noise, in the integrals of two bumps
TOPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # ends of the axes, nats

LOG_LAYERS = Slider("T, how many layers", 0.0, 3.0103, 0.0001, 0.6021, key=0.301, counts=True)
KNOTS = {
    f"knot_{k}": Slider(f"log₁₀ SNR at t = {k / (NUM_KNOTS - 1):g}", -HIGHEST, HIGHEST, 0.01, start, 0.1, hidden=True)
    for k, start in enumerate(STARTS)
}


class DiffusionLab(Lab):
    """The lab: choose the data and the number of layers, and drag the schedule by its knots.

    The schedule is log10 SNR in straight pieces over t. The denoiser is the exact one of the data, and so is the
    decoder p(x|z_0). All numbers are means over the data, in nats.

    Args:
        data: `NORMAL` or `BUMPS`, at the start.
        layers: T at the start, from 1 to 1024.
        knots: log10 SNR at t = 0, 0.2, ..., 1, falling.
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, data=NORMAL, layers=4, knots=STARTS):
        log_layers = round(float(np.log10(layers)), 4)
        s = LOG_LAYERS
        controls = {
            "data": Menu("data", (NORMAL, BUMPS), data),
            "log_layers": Slider(s.label, s.low, s.high, s.step, log_layers, s.key, counts=True),
            **{
                name: Slider(k.label, k.low, k.high, k.step, start, k.key, hidden=True)
                for (name, k), start in zip(KNOTS.items(), knots, strict=True)
            },
        }
        super().__init__(
            "diffusion",
            controls,
            {
                "names": [NORMAL, BUMPS],
                "bumps": [MIDDLE, WIDTH_SQUARE],
                "entropies": [0.5 * float(LOG_2PI_E), bumps_entropy()],
                "apart": APART,
                "highest": HIGHEST,
                "piece": PIECE,
                "counts": list(COUNTS),
                "nodes": [REACH, NUM_NODES],
                "tops": list(TOPS),
            },
            alt="The schedule of log SNR over t with six handles; the cost of each layer as bars under the limit's "
            "curve; the bound as a bar over −log p; its gap against the number of layers.",
        )

    def compute(self, data, log_layers, **knots):
        bumps, layers = data == BUMPS, count(log_layers)
        levels = falling([knots[f"knot_{k}"] for k in range(NUM_KNOTS)])
        snr = snr_at(levels, np.linspace(0.0, 1.0, layers + 1))
        kls = layer_kls(mmse(snr[1:], bumps), snr)
        evidence = bumps_entropy() if bumps else 0.5 * float(LOG_2PI_E)
        high, low = 10 ** levels[[0, -1]]
        reconstruction = evidence - information(high, bumps)
        prior = 0.5 * float(np.log1p(low))
        limit = evidence + prior - information(low, bumps)
        straight = np.linspace(levels[0], levels[-1], NUM_KNOTS)
        return {
            "levels": levels,
            "heights": layers * kls,
            "density": limit_density(levels, bumps),
            "reconstruction": reconstruction,
            "diffusion": float(kls.sum()),
            "prior": prior,
            "total": reconstruction + float(kls.sum()) + prior,
            "evidence": evidence,
            "limit": limit,
            "gaps": self.gaps(levels, bumps) + reconstruction + prior - evidence,
            "straight_gaps": self.gaps(straight, bumps) + reconstruction + prior - evidence,
        }

    def gaps(self, levels, bumps):
        """The layers' cost for each of `COUNTS`, nats."""
        found = []
        for layers in COUNTS:
            snr = snr_at(levels, np.linspace(0.0, 1.0, layers + 1))
            found.append(layer_kls(mmse(snr[1:], bumps), snr).sum())
        return np.array(found)

    def draw(self, now, values):
        figure, axes = plt.subplot_mosaic([["schedule", "layers"], ["gap", "bound"]], figsize=(9.5, 5.6))
        schedule, layers, bound, gap = (axes[name] for name in ("schedule", "layers", "bound", "gap"))
        times = np.linspace(0, 1, NUM_KNOTS)
        schedule.plot(times, now["levels"], "o-", color=SCHEDULE)
        schedule.set(xlabel="t", ylabel="log₁₀ SNR", ylim=(-HIGHEST - 0.2, HIGHEST + 0.2), title="the schedule")
        edges = np.linspace(0, 1, len(now["heights"]) + 1)
        layers.stairs(now["heights"], edges, fill=True, color=LAYERS, alpha=0.5, label="layers")
        layers.plot(curve_times(), now["density"], color=LIMIT, label="T → ∞")
        top = top_of(max(now["heights"].max(), now["density"].max()))
        layers.set(xlim=(0, 1), ylim=(0, top), xlabel="t", ylabel="nats per unit of t", title="KL of each layer")
        layers.legend(fontsize=8)
        bound.barh(["bound"], [now["total"]], color=LAYERS)
        bound.axvline(now["evidence"], color=EVIDENCE, linewidth=3, label="−log p")
        bound.set(xlim=(0, top_of(now["total"])), xlabel="nats", title=f"T = {len(now['heights'])}")
        bound.legend(fontsize=8)
        gap.loglog(COUNTS, now["straight_gaps"], "--", color=STRAIGHT, label="straight schedule")
        gap.loglog(COUNTS, now["gaps"], "o-", color=SCHEDULE, label="this schedule")
        gap.set(xlabel="T", ylabel="bound + log p, nats")
        gap.legend(fontsize=8)
        return figure


def falling(levels):
    """Levels pushed down where needed, so that each lies below the one before."""
    levels = list(map(float, levels))
    for k in range(1, len(levels)):
        levels[k] = min(levels[k], levels[k - 1] - APART)
    return np.array(levels)


def snr_at(levels, t):
    """The signal-to-noise ratio at t, of a schedule through these levels of log10 SNR."""
    return 10 ** np.interp(t, np.linspace(0.0, 1.0, len(levels)), levels)


def curve_times():
    """Where the limit's curve is drawn: each piece with both its ends."""
    edges = np.linspace(0.0, 1.0, NUM_KNOTS)
    return np.concatenate([np.linspace(a, b, PIECE) for a, b in zip(edges, edges[1:], strict=False)])


def limit_density(levels, bumps):
    """−½ SNR′ mmse at `curve_times`, nats per unit of t: its area is the layers' cost for T → ∞."""
    snr = np.concatenate([10 ** np.linspace(a, b, PIECE) for a, b in zip(levels, levels[1:], strict=False)])
    slope = np.log(10) * np.diff(levels) * (len(levels) - 1)
    return -0.5 * np.repeat(slope, PIECE) * snr * mmse(snr, bumps)


def mmse(snr, bumps):
    """E (x − E[x|z_t])² for either data, of the shape of snr.

    Two bumps ±m of the variance s² look from z like two normals of the variance s²σ²/v, mσ²/v to each side of a
    middle, v = α²s² + σ². The rest is one integral, of 1/cosh.
    """
    snr = np.asarray(snr, float)
    if not bumps:
        return 1 / (1 + snr)
    _, share, v, a = _bumps(snr)
    y, weights = _nodes()
    overlap = np.exp(-0.5 * a**2) * ((1 / np.cosh(np.multiply.outer(a, y))) @ weights)
    return WIDTH_SQUARE * share / v + (MIDDLE * share / v) ** 2 * overlap


def information(snr, bumps):
    """I(x; z) at one signal-to-noise ratio, nats."""
    if not bumps:
        return 0.5 * float(np.log1p(snr))
    _, share, v, a = _bumps(snr)
    y, weights = _nodes()
    return float(0.5 * np.log(v / share) + a**2 - weights @ _log_cosh(a * (a + y)))


def bumps_entropy():
    """−E log p(x) of the two bumps, nats."""
    a = MIDDLE / np.sqrt(WIDTH_SQUARE)
    y, weights = _nodes()
    return float(0.5 * (LOG_2PI_E + np.log(WIDTH_SQUARE)) + a**2 - weights @ _log_cosh(a * (a + y)))


def _bumps(snr):
    """α², σ², the variance v of each bump of z, and half the distance of the two in units of √v."""
    signal, share = snr / (1 + snr), 1 / (1 + snr)
    v = signal * WIDTH_SQUARE + share
    return signal, share, v, MIDDLE * np.sqrt(signal / v)


def _nodes():
    y = np.linspace(-REACH, REACH, NUM_NODES)
    return y, normal_trapezoid(y)


def _log_cosh(u):
    return np.abs(u) + np.log1p(np.exp(-2 * np.abs(u))) - np.log(2)


def top_of(nats):
    """The end of an axis, nats: the first of some round numbers that holds what is shown."""
    return next((top for top in TOPS if top >= nats), TOPS[-1])
