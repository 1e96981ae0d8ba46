"""The best normals, diagonal, for a density over a plane that is known on a grid: one for each direction of the KL."""

import numpy as np

# Sure to end at the same place in any language: so many steps, each so much of the way.
NUM_STEPS = 100
RATE = 0.3
WIDEST = 25.0  # times the forward fit's variance: where the target curves the wrong way, q grows no further


def forward_fit(xs, ys, log_p):
    """Return (mean, var) of the normal q with the least KL(p ‖ q): p's own means and variances, each of shape (2,).

    Args:
        xs, ys: the grid, evenly spaced, shapes (n,) and (m,).
        log_p: log of a density that need not be normalised, shape (n, m).
    Source: Minka (2005), section 3; Bishop (2006), section 10.7.
    """
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean, var = np.zeros(2), np.zeros(2)
    for k, (axis, share) in enumerate(((xs, p.sum(axis=1)), (ys, p.sum(axis=0)))):
        mean[k] = axis @ share
        var[k] = (axis - mean[k]) ** 2 @ share
    return mean, var


def reverse_fit(xs, ys, log_p, mean, var):
    """Return (mean, var) of the diagonal normal q with the least KL(q ‖ p), found from a start, each of shape (2,).

    Natural-gradient steps, whose expectations under q are sums over the grid:
    1/σ² moves towards −E_q[∂² log p], and μ by E_q[∂ log p] in units of q's own width.

    Args:
        xs, ys, log_p: as `forward_fit`; the grid must be finer than q is wide.
        mean, var: where to start, shape (2,).
    Source: Opper & Archambeau (2009), eq. 9 and 10; Khan & Lin (2017), eq. 11.
    """
    mean, start = np.array(mean, float), np.asarray(var, float)
    var = start.copy()
    for _ in range(NUM_STEPS):
        along = [np.exp(-0.5 * (axis - mean[k]) ** 2 / var[k]) for k, axis in enumerate((xs, ys))]
        along = [share / share.sum() for share in along]
        level = along[0] @ log_p @ along[1]
        for k, f in enumerate((log_p @ along[1] - level, along[0] @ log_p - level)):
            distance = (xs, ys)[k] - mean[k]
            slope = along[k] @ (f * distance) / var[k]
            curvature = along[k] @ (f * (distance**2 - var[k])) / var[k] ** 2
            precision = (1 - RATE) / var[k] + RATE * max(-curvature, 1 / (WIDEST * start[k]))
            mean[k], var[k] = mean[k] + RATE * slope / precision, 1 / precision
    return mean, var
