"""Labels on exact ground: two normals with a label each, and the bound for a row whose label is missing."""

import numpy as np
from scipy import special, stats

from vaelib import checks


class TwoNormals:
    """y is 0 or 1 by a fair coin, x|y ~ N(±d/2, 1): the label is known as far as x tells it.

    Args:
        d: the distance of the two means.
    Raises:
        ValueError: d is not a finite number above 0.
    """

    def __init__(self, d):
        self.d = checks.positive_float("d", d)
        self.means = np.array([-self.d / 2, self.d / 2])

    def log_joint(self, x):
        """log p(x, y) for both labels, nats, shape (*x.shape, 2)."""
        x = checks.real_array("x", x)
        return stats.norm.logpdf(x[..., None], self.means) - np.log(2)

    def log_evidence(self, x):
        """log p(x), nats, of the shape of x."""
        return special.logsumexp(self.log_joint(x), axis=-1)

    def posterior(self, x):
        """p(y|x), shape (*x.shape, 2): a logistic curve with the slope d."""
        return special.softmax(self.log_joint(x), axis=-1)

    def bayes_error(self):
        """How often even the best classifier errs: Φ(−d/2)."""
        return float(stats.norm.cdf(-self.d / 2))


def missing_label_bound(log_joint, q):
    """Return Σ_y q(y|x) L(x, y) + H[q(y|x)], the bound on log p(x) for a row without a label: minus the U of the paper.

    Args:
        log_joint: L(x, y), log p(x, y) or a bound on it, nats, shape (..., classes).
        q: q(y|x), probabilities of that shape.
    Returns:
        Nats, shape (...).
    Raises:
        ValueError: other shapes, or rows of q that do not add up to 1.
    Source: Kingma, Mohamed, Rezende & Welling (2014), equation 7.
    """
    log_joint, q = checks.log_array("log_joint", log_joint), checks.real_array("q", q)
    if log_joint.shape[-1:] != q.shape[-1:]:
        raise ValueError(f"log_joint and q must have the same classes; received {log_joint.shape} and {q.shape}.")
    if np.any(q < 0) or not np.allclose(q.sum(axis=-1), 1):
        raise ValueError("q must hold probabilities that add up to 1 along the last axis, the classes.")
    weighted = np.where(q > 0, q * np.where(q > 0, log_joint, 0.0), 0.0)
    return weighted.sum(axis=-1) + special.entr(q).sum(axis=-1)
