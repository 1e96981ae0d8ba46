"""The lab of notebook 01, driven over its whole range: both halves show what their model decodes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vaelib.widgets.latent_codes_lab import REACH, latent_codes_lab


class Plane:
    """A model whose decoded image is known: its upper half shows z1, its lower half z2."""

    def __init__(self, mean, std, codes):
        self.mean, self.std, self.codes = np.array(mean), np.array(std), codes

    def encode(self, x):
        return self.mean + self.std * self.codes

    def decode(self, z):
        unit = np.clip((z - self.mean) / (2 * REACH * self.std) + 0.5, 0, 1)
        return np.repeat(unit, 32, axis=-1)


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((200, 2))
    codes = (codes - codes.mean(0)) / codes.std(0)
    x, labels = rng.random((200, 64)), rng.integers(0, 10, 200)
    models = {"wide": Plane([5.0, -3.0], [4.0, 0.5], codes), "standard": Plane([0.0, 0.0], [1.0, 1.0], codes)}
    lab = latent_codes_lab(models, x, labels, (8, 8))
    yield lab, models, x, labels
    lab.close()


def artists(lab):
    """(marker, picture) of each model, as they stand after the last frame."""
    planes, images = lab.figure.axes[0::2], lab.figure.axes[1::2]
    return [(plane.lines[0], ax.images[0]) for plane, ax in zip(planes, images, strict=True)]


def test_every_position_decodes_the_marked_code_in_both_models(setting):
    lab, models, _, _ = setting
    seen = set()
    for frame in lab.sweep(5, grid=True):
        place = np.array([frame.values["z1"], frame.values["z2"]])
        for model, (marker, picture) in zip(models.values(), artists(lab), strict=True):
            z = np.array([marker.get_xdata()[0], marker.get_ydata()[0]])
            np.testing.assert_allclose(z, model.mean + model.std * place, atol=1e-12)
            shown = np.asarray(picture.get_array()).reshape(2, 32).mean(axis=1)
            np.testing.assert_allclose(shown, place / (2 * REACH) + 0.5, atol=1e-12)
        seen.add(frame.pixels.tobytes())
    assert len(seen) == 25


def test_the_marker_stays_inside_its_plane_at_the_corners(setting):
    lab, _, _, _ = setting
    for z1 in (-REACH, REACH):
        for z2 in (-REACH, REACH):
            lab.frame(z1=z1, z2=z2)
            for (marker, _), ax in zip(artists(lab), lab.figure.axes[0::2], strict=True):
                assert ax.get_xlim()[0] < marker.get_xdata()[0] < ax.get_xlim()[1]
                assert ax.get_ylim()[0] < marker.get_ydata()[0] < ax.get_ylim()[1]


def test_the_readout_names_the_code_and_the_nearest_image(setting):
    lab, models, x, labels = setting
    text = lab.text(z1=1.0, z2=-2.0)
    assert "wide: z = (9.00, −4.00)" in text and "standard: z = (1.00, −2.00)" in text
    image = models["standard"].decode(np.array([1.0, -2.0]))
    distances = np.linalg.norm(x - image, axis=1)
    assert text.endswith(f"is a {labels[distances.argmin()]}, {distances.min():.2f} away")


def test_only_the_moving_parts_are_drawn_again(setting):
    lab, _, _, _ = setting
    for frame in lab.sweep(9):
        assert frame.pixels.shape == lab.frame().shape
    assert lab.num_background_draws == 1


def test_the_figure_is_not_left_open_and_bad_codes_are_refused(setting):
    _, _, x, labels = setting
    assert not plt.get_fignums()
    bad = Plane([0.0] * 3, [1.0] * 3, np.zeros((200, 3)))
    with pytest.raises(ValueError, match=r"models\['bad'\] must encode to shape \(200, 2\); it gave \(200, 3\)"):
        latent_codes_lab({"bad": bad}, x, labels, (8, 8))
    plt.close("all")
