"""The lab of notebook 01, driven over its whole range: each model decodes its own code at one place."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vaelib.theory.autoencoders import Autoencoder, VariationalAutoencoder
from vaelib.theory.toy_models import LinearGaussian
from vaelib.widgets.latent_codes_lab import REACH, LatentCodesLab

SHAPE = (4, 3)


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    x, labels = rng.integers(0, 17, (200, 12)) / 16, rng.integers(0, 10, 200)
    models = {
        "autoencoder": Autoencoder(12, 5, 2, np.random.default_rng(1)),
        "VAE": VariationalAutoencoder(12, 5, 2, np.random.default_rng(2)),
    }
    models["autoencoder"].weights[2] *= 7.0  # codes of another scale
    models["autoencoder"].weights[3] += [5.0, -3.0]
    lab = LatentCodesLab(models, x, labels, SHAPE)
    yield lab, models, x, labels
    lab.close()


def places(lab, num=5):
    return [(z1, z2) for z1 in lab.controls["z1"].positions(num) for z2 in lab.controls["z2"].positions(num)]


def test_every_place_decodes_the_same_number_of_standard_deviations_in_both_models(setting):
    lab, models, x, labels = setting
    for z1, z2 in places(lab):
        now = lab.numbers(z1=z1, z2=z2)
        for k, model in enumerate(models.values()):
            codes = model.encode(x)
            z = codes.mean(axis=0) + codes.std(axis=0) * [z1, z2]
            image = model.decode(z)
            np.testing.assert_allclose(now["z"][k], z, atol=1e-12)
            np.testing.assert_allclose(now["image"][k], image, atol=1e-12)
            distances = cdist(image[None], x)[0]
            assert now["nearest"][k] == distances.argmin()
            assert now["label"][k] == labels[distances.argmin()]
            assert now["distance"][k] == pytest.approx(distances.min(), abs=1e-12)


def test_the_still_picture_marks_the_code_and_shows_both_images(setting):
    lab, models, x, labels = setting
    seen = set()
    for z1, z2 in places(lab, 3):
        now, axes = lab.numbers(z1=z1, z2=z2), np.reshape(lab.figure(z1=z1, z2=z2).axes, (2, 3))
        for k, (plane, decoded, nearest) in enumerate(axes):
            assert plane.lines[0].get_xydata()[0] == pytest.approx(now["z"][k])
            np.testing.assert_array_equal(np.ravel(decoded.images[0].get_array()), now["image"][k])
            np.testing.assert_array_equal(np.ravel(nearest.images[0].get_array()), x[now["nearest"][k]])
            assert f"a {now['label'][k]}, {now['distance'][k]:.2f} away" in nearest.get_xlabel()
        seen.add(np.round(now["image"], 6).tobytes())
    assert len(seen) == 9


def test_every_code_and_every_place_of_the_sliders_lies_inside_its_plane(setting):
    lab, models, x, _ = setting
    for described, model in zip(lab.spec["data"]["models"], models.values(), strict=True):
        codes = model.encode(x)
        corners = codes.mean(axis=0) + np.array([[-1], [1]]) * REACH * codes.std(axis=0)
        inside = np.concatenate([codes, corners])
        assert np.all(np.array(described["low"]) < inside) and np.all(inside < np.array(described["high"]))


def test_the_dots_of_the_still_picture_are_the_codes_by_class(setting):
    lab, models, x, labels = setting
    for plane, model in zip(lab.figure().axes[::3], models.values(), strict=True):
        for digit, dots in enumerate(plane.collections):
            np.testing.assert_allclose(dots.get_offsets(), model.encode(x[labels == digit]))


def test_what_cannot_be_shown_is_refused(setting):
    _, models, x, labels = setting
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"models\['wide'\] must encode to shape \(200, 2\); it gave \(200, 3\)"):
        LatentCodesLab({"wide": Autoencoder(12, 5, 3, rng)}, x, labels, SHAPE)
    with pytest.raises(TypeError, match=r"models\['linear'\] must be an Autoencoder; received LinearGaussian"):
        LatentCodesLab({"linear": LinearGaussian(np.ones((12, 2)))}, x, labels, SHAPE)
    with pytest.raises(ValueError, match="labels must be 200 whole numbers from 0 to 9"):
        LatentCodesLab(models, x, labels + 5, SHAPE)
