"""The derivation that moves: every line's bars meet, and every term is what quadrature says it is."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian
from vaelib.widgets import derivation_lab
from vaelib.widgets.derivation_lab import LINES, DerivationLab, bars, terms

CASES = {
    "linear": (LinearGaussian(1.2, 0.5, 0.8), np.array([2.5])),
    "bernoulli": (BernoulliLatent([10.0, 2.0], [0.0, -1.0]), np.array([1.0, 1.0])),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize(("mu", "sigma"), [(0.6, 0.9), (-0.5, 0.25), (2.5, 1.5)])
def test_every_term_is_its_integral(kind, mu, sigma):
    model, x = CASES[kind]
    q = norm(mu, sigma)
    mean = lambda f: quad(lambda z: q.pdf(z) * f(z), mu - 9 * sigma, mu + 9 * sigma, points=[0.0, mu], limit=500)[0]  # noqa: E731
    log_joint = lambda z: float(model.log_joint(x, [z]))  # noqa: E731
    found = terms(model, x, mu, sigma)
    assert found["log_q"] == pytest.approx(mean(q.logpdf), abs=1e-8)
    assert found["log_joint"] == pytest.approx(mean(log_joint), abs=1e-8)
    assert found["log_posterior"] == pytest.approx(mean(log_joint) - float(model.log_evidence(x)), abs=1e-8)
    assert found["elbo"] == pytest.approx(mean(lambda z: log_joint(z) - q.logpdf(z)), abs=1e-8)


@pytest.mark.parametrize("kind", CASES)
def test_both_sides_of_every_line_end_at_one_place(kind):
    model, x = CASES[kind]
    mu, sigma = np.meshgrid(np.linspace(-0.5, 2.5, 13), np.linspace(0.25, 1.5, 11))
    found = terms(model, x, mu, sigma)
    for line in range(1, len(LINES) + 1):
        left, *_, last = bars(line, found)
        np.testing.assert_allclose(last[3], left[3], atol=1e-9, err_msg=LINES[line - 1][0])
    gap = bars(derivation_lab.BOUND, found)[-1]
    assert gap[0] == "gap"
    assert np.all(gap[3] > gap[2])  # it points right at every place of the sliders


def test_every_bar_stays_in_the_picture():
    lab = DerivationLab(*CASES["linear"])
    low, high = lab.spec["data"]["reach"]
    for line in lab.controls["line"].positions(9):
        for mu in lab.controls["mu"].positions(5):
            for sigma in lab.controls["sigma"].positions(5):
                now = lab.numbers(line=line, mu=mu, sigma=sigma)
                assert low <= min(now["from"].min(), now["to"].min()) <= max(now["from"].max(), now["to"].max()) <= high
    lab.close()
