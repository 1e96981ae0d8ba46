"""The picture of forward and reverse KL: its curves and its numbers are computed here."""

import math

from svg import BLUE, GREY, INK, SLATE, VERMILLION, WHITE, Picture, dark, mix

# The two-mode target of the picture, the one that lesson 04 starts with: weight, mean and standard deviation of each.
TARGET = ((0.6, -3.0, 1.0), (0.4, 3.0, 1.0))
STEP = 0.02
GRID = [-20 + STEP * i for i in range(2001)]


def normal_log(x, mean, sd):
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)


def target_log(x):
    a, b = (math.log(w) + normal_log(x, m, s) for w, m, s in TARGET)
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


TARGET_LOG = [target_log(x) for x in GRID]


def forward_kl(mean, sd):
    """KL(p ‖ q) in nats, by the trapezium rule (the integrand vanishes at both ends)."""
    return STEP * sum(math.exp(lp) * (lp - normal_log(x, mean, sd)) for x, lp in zip(GRID, TARGET_LOG, strict=True))


def reverse_kl(mean, sd):
    """KL(q ‖ p) in nats."""
    logs = ((normal_log(x, mean, sd), lp) for x, lp in zip(GRID, TARGET_LOG, strict=True))
    return STEP * sum(math.exp(lq) * (lq - lp) for lq, lp in logs)


def forward_minimiser():
    """Return the mean and standard deviation of the target: matching them minimises KL(p ‖ q) over Gaussians."""
    mean = sum(w * m for w, m, _ in TARGET)
    return mean, math.sqrt(sum(w * (s * s + m * m) for w, m, s in TARGET) - mean * mean)


def reverse_minimiser(mean, sd):
    """Return a local minimiser of KL(q ‖ p): a compass search from (mean, sd), whose steps halve when none helps."""
    step, best = 0.1, reverse_kl(mean, sd)
    while step > 2e-5:
        moves = [(mean + step, sd), (mean - step, sd), (mean, sd * math.exp(step)), (mean, sd * math.exp(-step))]
        value, move = min((reverse_kl(*m), m) for m in moves)
        if value < best:
            best, (mean, sd) = value, move
        else:
            step /= 2
    return round(mean, 3), round(sd, 3)  # three decimals: the same on every machine


def forward_reverse_kl():
    p = Picture(
        "forward_reverse_kl",
        "Forward and reverse KL to a target with two modes",
        "Two panels with the same grey target, which has two modes. The Gaussian that minimises the forward "
        "divergence is wide and covers both modes, with much mass in the gap between them. The Gaussian that "
        "minimises the reverse divergence sits on the larger mode and ignores the other; a dashed curve marks a "
        "second, local minimum.",
        height=490,
    )
    local = reverse_minimiser(*TARGET[1][1:])
    panels = (
        (210, "KL(p‖q)", "forward: mass-covering", forward_minimiser(), None),
        (590, "KL(q‖p)", "reverse: zero-forcing", reverse_minimiser(*TARGET[0][1:]), local),
    )
    base, scale_x, scale_y = 346, 20, 500
    xs = [-8.5 + 0.05 * i for i in range(341)]

    def shape(log_density, centre, low=-8.5, high=8.5):
        return [(centre + scale_x * x, base - scale_y * math.exp(log_density(x))) for x in xs if low <= x <= high]

    for centre, name, heading, (mean, sd), other in panels:
        p.text(centre, 44, f"smallest ${name}$", 19, bold=True)
        p.text(centre, 70, heading, 16, SLATE)
        ends = [(centre + scale_x * 8.5, base), (centre - scale_x * 8.5, base)]
        target = shape(target_log, centre)
        p.path(
            ["M", *target[0], "L", *[c for q in target[1:] + ends for c in q], "Z"],
            stroke="none",
            width=None,
            fill="#DDE2E7",
        )
        p.curve(target, stroke=GREY, width=2)
        if other:
            p.curve(shape(lambda x: normal_log(x, *other), centre, -1.2), stroke=mix(BLUE, WHITE, 0.35), dash="2 6")  # noqa: B023
        fit = shape(lambda x: normal_log(x, mean, sd), centre)  # noqa: B023
        p.path(
            ["M", *fit[0], "L", *[c for q in fit[1:] + ends for c in q], "Z"],
            stroke="none",
            width=None,
            fill=BLUE,
            fill_opacity=0.12,
        )
        p.curve(fit, stroke=BLUE, width=3)
        p.curve([(centre - scale_x * 8.5, base), (centre + scale_x * 8.5, base)], stroke=SLATE, width=1.5)
        values = (("KL(p‖q)", forward_kl(mean, sd)), ("KL(q‖p)", reverse_kl(mean, sd)))
        for row, (label, value) in enumerate(values):
            chosen = label == name
            p.text(centre - 8, 386 + 28 * row, f"${label}$ =", 16, INK if chosen else SLATE, "end", chosen)
            p.text(centre + 4, 386 + 28 * row, f"{value:.2f} nats", 16, INK if chosen else SLATE, "start", chosen)
    p.arrow((236, 182), (213, 264), VERMILLION)
    p.lines(262, 148, ["$q$ spreads to where", "$p$ has hardly any mass"], 15, dark(VERMILLION))
    p.lines(676, 116, ["a second,", "local minimum"], 15, dark(BLUE))
    p.rect(262, 448, 26, 14, "#DDE2E7", GREY, 1.5, 3)
    p.text(298, 461, "target $p$", 16, anchor="start")
    p.curve([(412, 455), (438, 455)], stroke=BLUE, width=3)
    p.text(448, 461, "Gaussian $q$", 16, anchor="start")
    return p
