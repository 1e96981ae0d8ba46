"""The lab of notebook 02, driven headless: q moves, and the bars split log p(x) as the numbers say."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from vaelib.teaching.palette import COLOURS
from vaelib.theory.toy_models import BernoulliLatent, LinearGaussian
from vaelib.widgets import elbo_lab

CASES = {
    "linear": (LinearGaussian(1.2, 0.5, 0.8), np.array([2.5])),
    "bernoulli": (BernoulliLatent([10.0, 2.0], [0.0, -1.0]), np.array([1.0, 1.0])),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    model, x = CASES[request.param]
    lab = elbo_lab.elbo_lab(model, x)
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
        assert axis[[0, -1]] == pytest.approx([control.min, control.max])
        assert np.diff(axis) == pytest.approx(control.step)
    parts = elbo_lab.split(model, x, mu, sigma)
    assert parts.elbo.shape == mu.shape
    assert np.abs(parts.elbo + parts.gap - parts.log_evidence).max() < 1e-9
    assert np.abs(parts.reconstruction - parts.kl - parts.elbo).max() < 1e-9
    assert parts.gap.min() > 0


def test_the_bars_show_the_split_over_the_whole_range(case):
    model, x, lab = case
    elbo_bar, gap_bar, same_elbo_bar, kl_bar = lab.bars
    low, high = elbo_bar.axes.get_ylim()
    for values, _, text in lab.sweep(num=7, grid=True):
        parts = elbo_lab.split(model, x, **values)
        assert elbo_bar.get_y() + elbo_bar.get_height() == pytest.approx(parts.elbo)
        assert gap_bar.get_y() == pytest.approx(parts.elbo)
        assert same_elbo_bar.get_y() + same_elbo_bar.get_height() == pytest.approx(parts.elbo)
        assert gap_bar.get_y() + gap_bar.get_height() == pytest.approx(parts.log_evidence)
        assert kl_bar.get_y() + kl_bar.get_height() == pytest.approx(parts.reconstruction)
        assert low <= elbo_bar.get_y() <= parts.elbo <= parts.reconstruction <= high  # nothing leaves the picture
        assert f"ELBO {parts.elbo:.3f} + gap {parts.gap:.3f}" in text
    assert lab.num_background_draws == 1  # each frame was a fast one


def coloured(lab, pixels, name):
    """Rows of the pixels of a palette colour right of the middle, where the bars stand."""
    rgb = [int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5)]
    hit = (pixels[..., :3] == rgb).all(axis=-1)
    hit[:, : int(lab.bars[0].axes.bbox.x0)] = False
    return np.argwhere(hit)[:, 0]


def test_the_vermillion_bar_is_as_high_as_the_gap(case):
    model, x, lab = case
    ax = lab.bars[0].axes
    per_nat = ax.transData.transform((0, 1))[1] - ax.transData.transform((0, 0))[1]
    for mu in (-0.5, 0.0, 1.0, 2.5):
        rows = coloured(lab, lab.frame(mu=mu, sigma=0.5), "vermillion")
        height = np.ptp(rows) + 1 if len(rows) else 0
        gap = float(elbo_lab.split(model, x, mu, 0.5).gap)
        assert height == pytest.approx(gap * per_nat, abs=2.5)


def test_the_sky_bar_is_highest_at_the_best_q():
    model, x = CASES["linear"]
    lab = elbo_lab.elbo_lab(model, x)
    heights = {}
    for values, _, _ in lab.sweep(num=31, grid=True):
        heights[values["mu"], values["sigma"]] = lab.bars[0].get_height()
    mean, cov = model.posterior(x)
    best = max(heights, key=heights.get)
    assert best == pytest.approx((mean[0], np.sqrt(cov[0, 0])), abs=0.05)
    lab.close()


def test_q_is_drawn_where_the_sliders_say():
    lab = elbo_lab.elbo_lab(*CASES["linear"])
    line = next(line for line in lab.figure.axes[0].lines if line.get_label() == "$q(z|x)$")
    for values, _, _ in lab.sweep(num=5, grid=True):
        assert line.get_ydata() == pytest.approx(norm.pdf(elbo_lab.Z, values["mu"], values["sigma"]))
    lab.close()


def test_the_fixed_lines_are_densities_and_the_likelihood_is_only_scaled():
    lab = elbo_lab.elbo_lab(*CASES["bernoulli"])
    prior, likelihood, posterior = (line.get_ydata() for line in lab.figure.axes[0].lines[:3])
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
