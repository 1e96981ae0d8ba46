"""The lab of notebook 02, driven headless: q moves, and the bars split log p(x) as the numbers say."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian
from vaelib.widgets import elbo_lab

CASES = {
    "linear": (LinearGaussian(1.2, 0.5, 0.8), np.array([2.5])),
    "bernoulli": (BernoulliLatent([10.0, 2.0], [0.0, -1.0]), np.array([1.0, 1.0])),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    model, x = CASES[request.param]
    lab = elbo_lab.ElboLab(model, x)
    yield model, x, lab
    lab.close()


def log_joint(kind, z):
    """log p(x, z) of the two cases, written out again with scipy alone."""
    if kind == "linear":
        return norm.logpdf(z) + norm.logpdf(2.5, 1.2 * z + 0.5, 0.8)
    return norm.logpdf(z) - np.logaddexp(0, -10 * z) - np.logaddexp(0, -2 * z + 1)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (-0.5, 0.25), (2.5, 1.5), (1.0, 0.5)])
def test_every_part_agrees_with_adaptive_quadrature(kind, mu, sigma):
    parts = elbo_lab.split(*CASES[kind], mu, sigma)
    q = norm(mu, sigma)
    span = (mu - 9 * sigma, mu + 9 * sigma)
    integral = lambda f: quad(f, *span, points=[0.0, mu], limit=500, epsabs=1e-11)[0]  # noqa: E731
    log_evidence = np.log(quad(lambda z: np.exp(log_joint(kind, z)), -10, 10, points=[0.0, 1.0], limit=500)[0])
    assert parts.log_evidence == pytest.approx(log_evidence, abs=1e-8)
    assert parts.elbo == pytest.approx(integral(lambda z: q.pdf(z) * (log_joint(kind, z) - q.logpdf(z))), abs=1e-8)
    gap = integral(lambda z: q.pdf(z) * (q.logpdf(z) - log_joint(kind, z) + log_evidence))
    assert parts.gap == pytest.approx(gap, abs=1e-8)
    assert parts.kl == pytest.approx(integral(lambda z: q.pdf(z) * (q.logpdf(z) - norm.logpdf(z))), abs=1e-8)
    reconstruction = integral(lambda z: q.pdf(z) * (log_joint(kind, z) - norm.logpdf(z)))
    assert parts.reconstruction == pytest.approx(reconstruction, abs=1e-8)


def test_the_parts_add_up_at_every_slider_position(case):
    model, x, lab = case
    mu, sigma = elbo_lab.slider_grid()
    for axis, control in ((mu[0], lab.controls["mu"]), (sigma[:, 0], lab.controls["sigma"])):
        assert axis[[0, -1]] == pytest.approx([control.low, control.high])
        assert np.diff(axis) == pytest.approx(control.key)
    parts = elbo_lab.split(model, x, mu, sigma)
    assert parts.elbo.shape == mu.shape
    assert np.abs(parts.elbo + parts.gap - parts.log_evidence).max() < 1e-9
    assert np.abs(parts.reconstruction - parts.kl - parts.elbo).max() < 1e-9
    assert parts.gap.min() > 0


def test_the_bars_of_the_still_picture_show_the_split(case):
    model, x, lab = case
    for mu in lab.controls["mu"].positions(4):
        for sigma in lab.controls["sigma"].positions(4):
            parts = elbo_lab.split(model, x, mu, sigma)
            figure = lab.figure(mu=mu, sigma=sigma)
            below, same, above, kl = figure.axes[1].patches
            low, high = figure.axes[1].get_ylim()
            assert below.get_y() + below.get_height() == pytest.approx(parts.elbo)
            assert same.get_y() + same.get_height() == pytest.approx(parts.elbo)
            assert above.get_y() + above.get_height() == pytest.approx(parts.log_evidence)
            assert kl.get_y() + kl.get_height() == pytest.approx(parts.reconstruction)
            assert low <= below.get_y() <= parts.elbo <= parts.reconstruction <= high  # nothing leaves the picture
            (zoomed,) = figure.axes[2].patches[1:]
            assert zoomed.get_height() == pytest.approx(parts.gap)


def test_the_elbo_is_highest_at_the_posterior():
    model, x = CASES["linear"]
    lab = elbo_lab.ElboLab(model, x)
    places = [(mu, sigma) for mu in lab.controls["mu"].positions(151) for sigma in lab.controls["sigma"].positions(63)]
    best = max(places, key=lambda place: lab.numbers(mu=place[0], sigma=place[1])["elbo"])
    mean, cov = model.posterior(x)
    assert best == pytest.approx((mean[0], np.sqrt(cov[0, 0])), abs=0.02)
    lab.close()


def test_q_is_drawn_where_the_sliders_say():
    lab = elbo_lab.ElboLab(*CASES["linear"])
    for mu, sigma in ((-0.5, 0.25), (0.3, 1.5), (2.5, 0.7)):
        lines = lab.figure(mu=mu, sigma=sigma).axes[0].lines
        line = next(line for line in lines if line.get_label() == "$q(z|x)$")
        assert line.get_ydata() == pytest.approx(norm.pdf(elbo_lab.Z, mu, sigma))
    lab.close()


def test_the_fixed_lines_are_densities_and_the_likelihood_is_only_scaled():
    lab = elbo_lab.ElboLab(*CASES["bernoulli"])
    prior, likelihood, posterior = (line.get_ydata() for line in lab.figure().axes[0].lines[:3])
    assert prior == pytest.approx(norm.pdf(elbo_lab.Z))
    assert np.trapezoid(posterior, elbo_lab.Z) == pytest.approx(1.0, abs=1e-6)
    ratio = posterior / (prior * likelihood)  # Bayes: constant over z
    assert ratio == pytest.approx(np.full_like(ratio, ratio[0]))
    lab.close()


def test_a_wrong_model_or_width_is_refused():
    model, x = CASES["linear"]
    with pytest.raises(ValueError, match="sigma must be positive"):
        elbo_lab.split(model, x, 0.0, -1.0)
    with pytest.raises(ValueError, match="latent_dim 1 for this picture; received 2"):
        elbo_lab.split(LinearGaussian(np.eye(2)), np.zeros(2), 0.0, 1.0)
