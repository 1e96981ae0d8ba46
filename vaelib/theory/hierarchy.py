"""Two layers of latents, exactly: a linear Gaussian chain z2 → z1 → x, its posterior and its bounds.

Pairs are ordered from the top down, (z2, z1).
"""

import numpy as np

from vaelib import checks
from vaelib.theory.gaussian import log_prob_normal


class LinearChain:
    """z2 ~ N(0, 1), z1|z2 ~ N(a z2, s1²), x|z1 ~ N(b z1, s²), each one number.

    Args:
        a, b: the slopes.
        s1, s: the standard deviations of z1 given z2, and of x given z1.
    Raises:
        ValueError: a slope that is not finite, or a deviation that is not above 0.
    """

    def __init__(self, a, b, s1, s):
        self.a, self.b = checks.finite_float("a", a), checks.finite_float("b", b)
        self.s1, self.s = checks.positive_float("s1", s1), checks.positive_float("s", s)
        up = self.b**2 / self.s**2
        down = 1 / self.s1**2
        self.precision = np.array([[1 + self.a**2 * down, -self.a * down], [-self.a * down, down + up]])
        self.covariance = np.linalg.inv(self.precision)

    @property
    def variances(self):
        """The variances of z1 and of x, a² + s1² and b² (a² + s1²) + s²: nothing else of a and s1 reaches x."""
        middle = self.a**2 + self.s1**2
        return middle, self.b**2 * middle + self.s**2

    def log_evidence(self, x):
        """log p(x), nats, of the shape of x."""
        return log_prob_normal(checks.real_array("x", x), 0.0, np.log(self.variances[1]))

    def posterior(self, x):
        """Mean (2,) and covariance (2, 2) of p(z2, z1|x); the covariance is the same for every x."""
        x = checks.finite_float("x", x)
        return self.covariance @ [0.0, self.b * x / self.s**2], self.covariance

    def below_given_top(self, z2, x):
        """Mean and variance of p(z1|z2, x), by conditioning the joint normal of (z1, x) given z2."""
        z2, x = checks.real_array("z2", z2), checks.real_array("x", x)
        gain = self.b * self.s1**2 / (self.b**2 * self.s1**2 + self.s**2)
        return self.a * z2 + gain * (x - self.b * self.a * z2), (1 - gain * self.b) * self.s1**2

    def top_kl(self):
        """E over x of KL(p(z2|x) ‖ p(z2)), which is the information of x about z2: −½ log Var(z2|x), nats."""
        return float(-0.5 * np.log(self.covariance[0, 0]))

    def total_kl(self):
        """E over x of KL(p(z2, z1|x) ‖ p(z2, z1)): the information of x about z1, ½ log(Var x/s²), nats."""
        return float(0.5 * np.log(self.variances[1] / self.s**2))

    def posterior_kls(self, x):
        """KL of the top layer, and of z1 given z2 on average, for the exact posterior of x: nats, shape (2,)."""
        return self.layer_kls(x, self.covariance)

    def mean_field_variances(self):
        """Variances of the best q(z2|x) q(z1|x): 1 over the diagonal of the precision, shape (2,)."""
        return 1 / np.diag(self.precision)

    def mean_field_gap(self):
        """KL of the best independent layers to the posterior, ½ (log Λ22 + log Λ11 − log det Λ), nats, for every x.

        Source: for a normal with the precision Λ, Bishop (2006), section 10.1.2.
        """
        return float(0.5 * (np.log(np.diag(self.precision)).sum() - np.linalg.slogdet(self.precision)[1]))

    def layer_kls(self, x, covariance):
        """KLs to the prior, layer by layer, of a normal with the posterior's mean and this covariance, shape (2,).

        The second is the mean over z2 of KL(q(z1|z2, x) ‖ p(z1|z2)), nats.
        """
        mean, _ = self.posterior(x)
        (v2, cross), (_, v1) = np.asarray(covariance)
        top = 0.5 * (mean[0] ** 2 + v2 - 1 - np.log(v2))
        slope = cross / v2  # of the mean of z1 in z2, under q
        own = v1 - slope * cross
        # The mean of z1 minus a z2 has this square on average.
        apart = (mean[1] - self.a * mean[0]) ** 2 + (slope - self.a) ** 2 * v2
        below = 0.5 * ((own + apart) / self.s1**2 - 1 - np.log(own / self.s1**2))
        return np.array([top, below])

    def reconstruction(self, x, covariance):
        """E log p(x|z1) under a normal with the posterior's mean and this covariance, nats."""
        x = checks.finite_float("x", x)
        mean, _ = self.posterior(x)
        return float(
            log_prob_normal(x, self.b * mean[1], 2 * np.log(self.s))
            - 0.5 * self.b**2 * np.asarray(covariance)[1, 1] / self.s**2
        )

    def elbo(self, x, covariance):
        """The ELBO of a normal with the posterior's mean and this covariance, nats."""
        return float(self.reconstruction(x, covariance) - self.layer_kls(x, covariance).sum())


def merged(first, second):
    """The normal in proportion to the product of two normal densities: precisions add up.

    Args:
        first, second: each a pair of means and variances, of one shape.
    Returns:
        Means and variances.
    Source: Sønderby et al. (2016).
    """
    (m1, v1), (m2, v2) = first, second
    v1, v2 = checks.positive_array("the first variance", v1), checks.positive_array("the second variance", v2)
    precision = 1 / v1 + 1 / v2
    return (np.asarray(m1) / v1 + np.asarray(m2) / v2) / precision, 1 / precision
