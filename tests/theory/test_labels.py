"""Two normals against counting, and the bound without a label against its best."""

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from vaelib.theory.labels import TwoNormals, missing_label_bound

TWO = TwoNormals(1.5)


def test_the_bayes_error_is_the_integral_of_the_smaller_joint():
    smaller = lambda x: np.exp(TWO.log_joint(np.array(x)).min())  # noqa: E731
    error = integrate.quad(smaller, -9, 0, epsabs=1e-12)[0] + integrate.quad(smaller, 0, 9, epsabs=1e-12)[0]
    assert TWO.bayes_error() == pytest.approx(error, abs=1e-10) == stats.norm.cdf(-0.75)


def test_the_posterior_is_a_logistic_curve_and_the_evidence_a_mixture():
    x = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(TWO.posterior(x)[:, 1], special.expit(1.5 * x), atol=1e-14)
    density = 0.5 * (stats.norm.pdf(x, -0.75) + stats.norm.pdf(x, 0.75))
    np.testing.assert_allclose(TWO.log_evidence(x), np.log(density), atol=1e-14)


def test_the_bound_is_best_at_the_softmax_and_there_the_logsumexp():
    log_joint = np.array([-3.0, -1.0, -2.5])
    best = special.softmax(log_joint)
    assert missing_label_bound(log_joint, best) == pytest.approx(special.logsumexp(log_joint), abs=1e-12)
    found = optimize.minimize(lambda t: -missing_label_bound(log_joint, special.softmax(t)), np.zeros(3), tol=1e-12)
    np.testing.assert_allclose(special.softmax(found.x), best, atol=1e-6)
    assert missing_label_bound(log_joint, [0, 1, 0]) == -1.0
    assert missing_label_bound([-np.inf, -1.0], [0.0, 1.0]) == -1.0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: TwoNormals(0), "d must be a finite number above 0"),
        (lambda: missing_label_bound([0.0, 1.0], [1.0]), "the same classes"),
        (lambda: missing_label_bound([0.0, 1.0], [0.5, 0.6]), "add up to 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
