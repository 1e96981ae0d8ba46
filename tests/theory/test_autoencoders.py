"""The NumPy autoencoders: gradients against finite differences, integrals against quadrature and sampling."""

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import expit, logsumexp
from scipy.stats import bernoulli, norm

from vaelib.theory import gaussian
from vaelib.theory.autoencoders import Autoencoder, VariationalAutoencoder, log_prob_bernoulli
from vaelib.theory.inference import evidence_by_grid
from vaelib.theory.toy_models import BernoulliLatent

CLASSES = (Autoencoder, VariationalAutoencoder)


def bars(n, rng):
    """Images of 12 pixels with a soft bar of random length: data with one factor."""
    length = rng.uniform(1, 11, size=(n, 1))
    return expit(3 * (length - np.arange(12)))


@pytest.fixture(scope="module")
def vae():
    rng = np.random.default_rng(0)
    model = VariationalAutoencoder(12, 10, 2, rng)
    model.fit(bars(300, rng), epochs=60, batch_size=50, learning_rate=0.02, rng=rng)
    return model


def test_log_prob_bernoulli_is_that_of_scipy():
    rng = np.random.default_rng(1)
    x, logits = rng.integers(0, 2, size=(20, 7)), 3 * rng.standard_normal((20, 7))
    expected = bernoulli.logpmf(x, expit(logits)).sum(axis=-1)
    np.testing.assert_allclose(log_prob_bernoulli(x, logits), expected, rtol=1e-10)
    assert log_prob_bernoulli(np.ones(1), np.array([-1000.0])) == -1000.0  # no overflow


@pytest.mark.parametrize("model_class", CLASSES)
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_gradients_equal_finite_differences_in_every_weight(model_class, latent_dim):
    rng = np.random.default_rng(2)
    model, x = model_class(6, 4, latent_dim, rng), rng.random((5, 6))
    eps, step = model.draw_noise(5, rng), 1e-6
    gradients = model.loss_and_gradients(x, eps)[1]
    for weights, gradient in zip(model.weights, gradients, strict=True):
        assert weights.shape == gradient.shape
        for i in range(weights.size):
            kept, losses = weights.flat[i], []
            for moved in (kept + step, kept - step):
                weights.flat[i] = moved
                losses.append(model.loss_and_gradients(x, eps)[0].mean())
            weights.flat[i] = kept
            assert gradient.flat[i] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=2e-8)


def test_the_autoencoders_loss_is_the_reconstruction():
    rng = np.random.default_rng(3)
    model, x = Autoencoder(6, 4, 2, rng), rng.random((5, 6))
    pixels = model.decode(model.encode(x))
    expected = -(x * np.log(pixels) + (1 - x) * np.log(1 - pixels)).sum(axis=1)
    np.testing.assert_allclose(model.loss_and_gradients(x)[0], expected, rtol=1e-10)


def test_the_vaes_loss_is_reconstruction_plus_kl_and_estimates_the_elbo(vae):
    rng = np.random.default_rng(4)
    x = bars(3, rng)
    mu, log_var = vae.infer(x)
    many = np.repeat(x[:1], 20_000, axis=0)
    losses = vae.loss_and_gradients(many, vae.draw_noise(len(many), rng))[0]
    error = losses.std() / np.sqrt(len(losses))
    assert abs(losses.mean() + vae.elbo(x, mu, log_var)[0]) < 4 * error
    std = np.exp(0.5 * log_var[0])
    draws = mu[0] + std * rng.standard_normal((100_000, 2))
    kl = (norm.logpdf(draws, mu[0], std) - norm.logpdf(draws)).sum(axis=1)
    assert abs(kl.mean() - gaussian.kl_standard_normal(mu, log_var)[0]) < 4 * kl.std() / np.sqrt(len(kl))


def test_fit_lowers_the_loss_the_same_way_for_the_same_seed():
    losses = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        model = Autoencoder(12, 10, 1, rng)
        losses.append(model.fit(bars(200, rng), 40, 64, 0.02, rng))
    assert losses[0].shape == (40,)
    assert losses[0][-1] < 0.6 * losses[0][0]
    np.testing.assert_array_equal(losses[0], losses[1])


def test_fit_weighs_every_image_once_in_the_epochs_loss():
    rng = np.random.default_rng(6)
    x, model = bars(70, rng), Autoencoder(12, 4, 1, rng)
    before = model.loss_and_gradients(x)[0].mean()
    losses = model.fit(x, 1, batch_size=32, learning_rate=1e-12, rng=rng)  # 32 + 32 + 6 images, nothing learned
    assert losses[0] == pytest.approx(before, rel=1e-9)


def test_encoder_only_leaves_the_decoder_alone(vae):
    rng = np.random.default_rng(7)
    new = VariationalAutoencoder(12, 10, 2, rng)
    new.weights[4:] = [w.copy() for w in vae.weights[4:]]
    encoder = [w.copy() for w in new.weights[:4]]
    x = bars(100, rng)
    before = new.elbo(x, *new.infer(x)).mean()
    new.fit(x, 30, 25, 0.02, rng, encoder_only=True)
    assert all(np.array_equal(a, b) for a, b in zip(new.weights[4:], vae.weights[4:], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(new.weights[:4], encoder, strict=True))
    assert new.elbo(x, *new.infer(x)).mean() > before + 1


def test_log_evidence_equals_adaptive_quadrature_and_the_counted_grid(vae):
    x = bars(3, np.random.default_rng(8))
    log_p = vae.log_evidence(x)
    density = lambda b, a: np.exp(vae.log_joint(x[0], np.array([a, b])))  # noqa: E731
    assert np.log(dblquad(density, -6, 6, -6, 6, epsabs=1e-12, epsrel=1e-7)[0]) == pytest.approx(log_p[0], abs=1e-5)
    np.testing.assert_allclose(evidence_by_grid(vae, x[1], 151).log_evidence, log_p[1], atol=1e-9)
    draws = vae.log_likelihood(x[2], np.random.default_rng(9).standard_normal((200_000, 2)))
    error = np.exp(draws - log_p[2]).std() / np.sqrt(len(draws))
    assert abs(np.exp(logsumexp(draws) - np.log(len(draws)) - log_p[2]) - 1) < 4 * error


def test_log_evidence_of_one_latent_dimension_agrees_with_the_toy_model():
    rng = np.random.default_rng(10)
    model, w, b = VariationalAutoencoder(5, 1, 1, rng), rng.standard_normal(5), rng.standard_normal(5)
    # A hidden unit of tiny weight is linear: the logits are w z + b.
    model.weights[4:] = [np.full((1, 1), 1e-4), np.zeros(1), 1e4 * w[None], b]
    x = rng.integers(0, 2, size=(4, 5))
    np.testing.assert_allclose(model.log_evidence(x, half_width=9), BernoulliLatent(w, b).log_evidence(x), atol=1e-6)


def test_the_loss_bounds_the_evidence_and_a_search_tightens_it(vae):
    x = bars(12, np.random.default_rng(11))
    mu, log_var = vae.infer(x)
    fits = [vae.fit_q(*each, points_per_dim=8) for each in zip(x, mu, log_var, strict=True)]
    best = vae.elbo(x, np.array([f.mu for f in fits]), np.array([f.log_var for f in fits]))
    elbo, log_p = vae.elbo(x, mu, log_var), vae.log_evidence(x)
    assert np.all(elbo <= best + 1e-9) and np.all(best < log_p)
    assert np.mean(best - elbo) > 1e-3
    for f, image, value in zip(fits, x, best, strict=True):  # a maximum: every small step away goes down
        for k in range(2):
            for sign in (-1, 1):
                shift = sign * 0.05 * np.eye(2)[k]
                assert vae.elbo(image, f.mu + shift, f.log_var) < value
                assert vae.elbo(image, f.mu, f.log_var + 2 * shift) < value


def test_fit_q_counts_the_codes_it_decodes(vae, monkeypatch):
    decoded, original = [], VariationalAutoencoder._decoder
    monkeypatch.setattr(VariationalAutoencoder, "_decoder", lambda self, z: decoded.append(len(z)) or original(self, z))
    fit = vae.fit_q(bars(1, np.random.default_rng(12))[0], np.zeros(2), np.zeros(2), points_per_dim=3)
    assert fit.num_decoded == sum(decoded) > 9 and set(decoded) == {9}


def test_fit_q_stops_after_the_steps_it_is_given(vae):
    x, start = bars(1, np.random.default_rng(13))[0], (np.array([1.0, -1.0]), np.zeros(2))
    fits = [vae.fit_q(x, *start, num_steps=k) for k in (0, 1, 3, None)]
    np.testing.assert_array_equal(fits[0][:2], start)
    counts, elbos = [f.num_decoded for f in fits], [vae.elbo(x, f.mu, f.log_var) for f in fits]
    assert np.all(np.diff(counts) > 0) and np.all(np.diff(elbos) > 0)


def test_bad_input_is_named(vae):
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]; received values from 0 to 16"):
        vae.encode(np.array([[0.0] * 11 + [16.0]]))
    with pytest.raises(ValueError, match=r"x must have shape \(..., 12\)"):
        vae.infer(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"z must have shape \(..., 2\)"):
        vae.decode(np.zeros(3))
    with pytest.raises(ValueError, match="latent_dim must be 1 or 2"):
        VariationalAutoencoder(12, 4, 3, np.random.default_rng(0)).log_evidence(np.zeros((1, 12)))
    with pytest.raises(ValueError, match="x must be finite"):
        vae.fit(np.full((4, 12), np.nan), 1, 2, 0.01, np.random.default_rng(0))
