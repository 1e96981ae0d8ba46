"""The lab of the reader's own digit, without a browser: its image, its log p(x), the best normals of its posterior."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vaelib.theory.autoencoders import Autoencoder, VariationalAutoencoder
from vaelib.theory.inference import evidence_by_grid
from vaelib.widgets.strokes import strokes_of, to_small_image
from vaelib.widgets.your_digit_lab import OWN, THREE, YourDigitLab

DIGITS = load_digits()
X, LABELS = DIGITS.data[:300] / 16, DIGITS.target[:300]


@pytest.fixture(scope="module")
def vae():
    made = VariationalAutoencoder(64, 16, 2, np.random.default_rng(1))
    made.fit(X, 40, 50, 0.02, np.random.default_rng(2))
    return made


def lab(vae, view):
    return YourDigitLab(vae, view, X, LABELS)


def test_a_drawing_becomes_an_image_like_the_small_digits():
    image = to_small_image(strokes_of(THREE))
    assert image.shape == (8, 8) and (16 * image % 1 == 0).all() and image.max() > 0.9
    assert image.sum(axis=1).min() > 0, "it fills the height"
    assert abs(image.mean() - X.mean()) < 0.05, "and has as much ink"
    # Size and place on the surface do not count.
    strokes = [[(0.2 + 0.5 * x, 0.1 + 0.5 * y) for x, y in stroke] for stroke in strokes_of(THREE)]
    assert np.abs(to_small_image(strokes, radius=0.065 / 2) - image).max() <= 1 / 16
    threes = X[LABELS == 3]
    nearest = X[((X - image.ravel()) ** 2).sum(axis=1).argmin()]
    assert (threes == nearest).all(axis=1).any(), "the image most like it is a 3"
    assert not to_small_image([]).any()


def test_texts_that_are_no_drawings_are_refused(vae):
    for wrong in ("123", "12345", "-1234", "1234--1234", "12a4", None, 3):
        with pytest.raises(ValueError, match="four digits a point"):
            strokes_of(wrong)
    assert strokes_of("") == [] and strokes_of("0050-9900") == [[(0.0, 0.5)], [(0.99, 0.0)]]
    with pytest.raises(ValueError, match="drawing: a drawing is a text"):
        lab(vae, "code").numbers(drawing="x")


def test_the_bound_splits_an_independent_log_evidence(vae):
    bound = lab(vae, "bound")
    for values in ({}, {"image": "a 7"}, {"drawing": "20208080"}, {"drawing": ""}):
        now = bound.numbers(**values)
        other = evidence_by_grid(vae, now["pixels"], 201, half_width=7.0)
        assert now["log_evidence"] == pytest.approx(other.log_evidence, abs=1e-6)
        assert now["gap"] == pytest.approx(now["log_evidence"] - now["elbo"]) and now["gap"] > 0
        assert now["below"] == (vae.log_evidence(X) < now["log_evidence"] - 1e-9).sum()


def test_the_reverse_fit_has_the_least_gap_and_the_forward_fit_the_posteriors_moments(vae):
    posterior = lab(vae, "posterior")
    for values in ({}, {"image": "a 1"}, {"image": "a 8"}, {"drawing": "50108010-20902080"}):
        now = posterior.numbers(**values)
        x = now["pixels"]
        encoder, forward, reverse = now["gaps"]
        assert 0 < reverse <= forward + 1e-9 and reverse <= encoder + 1e-9
        best = vae.fit_q(x, *vae.infer(x), points_per_dim=8)
        found = vae.log_evidence(x[None])[0] - vae.elbo(x, best.mu, best.log_var)
        assert reverse == pytest.approx(found, abs=2e-3), "another search finds no better q"
        axis = np.linspace(-6, 6, 301)
        z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
        p = np.exp(vae.log_joint(x, z) - now["gaps"][0])
        p /= p.sum()
        mean = np.array([(p * z[..., k]).sum() for k in (0, 1)])
        std = np.sqrt([(p * (z[..., k] - mean[k]) ** 2).sum() for k in (0, 1)])
        np.testing.assert_allclose(now["forward"], [*mean, *std], atol=1e-6)


def test_what_it_refuses(vae):
    with pytest.raises(TypeError, match="VariationalAutoencoder; received Autoencoder"):
        lab(Autoencoder(64, 5, 2, np.random.default_rng(0)), "code")
    with pytest.raises(ValueError, match="64 pixels and 2 latent dimensions; it has 64 and 3"):
        lab(VariationalAutoencoder(64, 5, 3, np.random.default_rng(0)), "code")
    with pytest.raises(ValueError, match="view must be one of"):
        lab(vae, "cloud")
    with pytest.raises(ValueError, match="whole numbers from 0 to 9"):
        YourDigitLab(vae, "code", X, LABELS + 5)
    assert lab(vae, "code").values["image"] == OWN
