"""Latent sliders, without a browser."""

import io
import types

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from vaelib import Bernoulli, Normal, conv_decoder, dense_decoder
from vaelib.pretrained import NumpyDecoder
from vaelib.widgets import latent_sliders
from vaelib.widgets.sliders import PRIOR_REACH

SHAPE = (7, 5)


def vae_with(decoder, likelihood):
    """The two parts of a VAE that sliders need."""
    return types.SimpleNamespace(decoder=decoder, likelihood=likelihood)


def dense_vae(likelihood_type, latent_dim=2):
    keras.utils.set_random_seed(0)
    likelihood = likelihood_type(SHAPE)
    decoder = dense_decoder(latent_dim, likelihood.params_size, (16, 8))
    rng = np.random.default_rng(0)  # fresh biases are zero: nobody would miss them
    decoder.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in decoder.get_weights()])
    return vae_with(decoder, likelihood)


def decoded_png(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def ramp(z):
    """A decoder whose picture is easy to foresee: column brightness follows z1, the last row z2."""
    image = np.full((len(z), 4, 3), 0.5) + 0.1 * z[:, :1, None]
    image[:, -1] = 0.5 + 0.1 * z[:, 1:2]
    return image


def test_sliders_are_coordinates_of_z():
    sliders = latent_sliders(ramp, 2, names=("pose", "humour"), scale=2)
    pixels = sliders.frame(pose=1.0, humour=-2.0)
    np.testing.assert_allclose(pixels[0], 255 * 0.6, atol=0.51)
    np.testing.assert_allclose(pixels[-1], 255 * 0.3, atol=0.51)
    np.testing.assert_allclose(sliders.code(pose=1.0, humour=-2.0), [1, -2])
    frames = list(sliders.sweep(num=5))
    assert [frame.values["pose"] for frame in frames[:5]] == list(np.linspace(-2.5, 2.5, 5))
    assert (np.diff([int(frame.pixels[0, 0]) for frame in frames[:5]]) > 0).all()
    assert len({int(frame.pixels[-1, 0]) for frame in frames[:5]}) == 1
    sliders.close()


def test_moving_a_slider_updates_image_and_readout_in_place():
    sliders = latent_sliders(ramp, 2, names=("pose", "humour"), scale=3, smooth=False)
    image = sliders.image
    sliders.controls["pose"].value = 1.5
    assert sliders.image is image
    picture = decoded_png(image.value)
    assert picture.shape == (12, 9)
    assert np.array_equal(picture[1::3, 1::3], sliders.frame(pose=1.5))
    share = round(100 * norm.cdf(1.5))
    assert f"pose 1.50 ({share} % of the prior lies below); humour 0.00 (50 %" in sliders.readout.value
    assert "z = (1.50, 0.00)" in sliders.readout.value
    sliders.close()


def test_default_range_is_what_the_prior_covers():
    sliders = latent_sliders(ramp, 2)
    slider = sliders.controls["z1"]
    assert (slider.min, slider.max) == (-PRIOR_REACH, PRIOR_REACH)
    assert 0.98 < norm.cdf(slider.max) - norm.cdf(slider.min) < 0.99
    sliders.close()
    sliders = latent_sliders(ramp, 2, ranges=[(-1, 1), (0, 2)], start=(0.5, 1))
    assert sliders.code().tolist() == [0.5, 1]
    assert (sliders.controls["z2"].min, sliders.controls["z2"].max) == (0, 2)
    sliders.close()


def test_sliders_along_directions():
    axes = np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 0.5]])
    start = np.array([0.3, 0.4, -1.0])

    def decode(z):
        return np.full((1, 2, 2), 0.5) + 0.01 * z.sum()

    sliders = latent_sliders(decode, 3, names=("pose", "humour"), axes=axes, start=start)
    np.testing.assert_allclose(sliders.code(pose=0.2, humour=2.0), start + axes @ [0.2, 2.0])
    # At the ends of its range, a slider has taken z to 2.5 standard deviations along its direction.
    for i, name in enumerate(("pose", "humour")):
        unit = axes[:, i] / np.linalg.norm(axes[:, i])
        ends = [sliders.code({name: end}) @ unit for end in (sliders.controls[name].min, sliders.controls[name].max)]
        np.testing.assert_allclose(ends, [-PRIOR_REACH, PRIOR_REACH])
    # 0.5 is how far start lies along (3, 4, 0) / 5.
    assert f"pose 0.00 ({100 * norm.cdf(0.5):.0f} % of the prior" in sliders.text()
    assert f"humour 0.00 ({100 * norm.cdf(-1):.0f} % of the prior" in sliders.text()
    sliders.close()


@pytest.mark.parametrize("likelihood_type", [Bernoulli, Normal])
def test_a_vae_goes_through_numpy(likelihood_type):
    vae = dense_vae(likelihood_type)
    sliders = latent_sliders(vae, names=("pose", "humour"))
    assert isinstance(sliders.decode, NumpyDecoder)
    z = np.array([[1.0, -0.5]], "float32")
    expected = keras.ops.convert_to_numpy(vae.likelihood.mean(vae.decoder(z)))[0]
    assert np.abs(sliders.frame(pose=1.0, humour=-0.5) / 255 - expected).max() <= 0.51 / 255
    sliders.close()


def test_a_convolutional_vae_asks_the_model():
    keras.utils.set_random_seed(0)
    likelihood = Normal((8, 8))
    vae = vae_with(conv_decoder(3, (8, 8), likelihood.params_size, filters=(4, 4)), likelihood)
    sliders = latent_sliders(vae)
    z = np.array([[1.0, -0.5, 2.0]], "float32")
    expected = keras.ops.convert_to_numpy(likelihood.mean(vae.decoder(z)))[0]
    assert np.abs(sliders.frame(z[0]) / 255 - expected).max() <= 0.51 / 255
    assert list(sliders.controls) == ["z1", "z2", "z3"]
    sliders.close()


def test_the_static_figure_shows_the_same_images():
    sliders = latent_sliders(ramp, 2, names=("pose", "humour"))
    data, _ = sliders.static()._repr_mimebundle_()
    assert "pose −2.50; pose −1.25; pose 0.00" in data["text/plain"]
    assert "humour 2.50" in data["text/plain"]
    data, _ = sliders.static([{"pose": -2.5}, [2.5, 0.0]])._repr_mimebundle_()
    picture = decoded_png(data["image/png"])[..., 0]
    levels = {int(sliders.frame(pose=pose)[0, 0]) for pose in (-2.5, 2.5)}
    for level, half in zip(sorted(levels), np.array_split(picture, 2, axis=1), strict=True):
        assert np.count_nonzero(np.abs(half.astype(int) - level) <= 1) > 0.2 * half.size
    sliders.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ("pose",)}, r"one name for each of the 2 latent dimensions; received \['pose'\]"),
        ({"names": ("pose", "pose")}, "names must be different"),
        ({"start": (0.0, np.nan)}, "start must be finite"),
        ({"start": (0.0, 0.0, 0.0)}, r"start must have shape \(2,\); received \(3,\)"),
        ({"start": (9.0, 0.0)}, "z1 starts at 9, outside"),
        ({"ranges": (0, np.inf)}, "ranges must be finite"),
        ({"ranges": (1.0, -1.0)}, "ranges"),
        ({"axes": np.eye(3)}, r"axes must have shape \(2, number of sliders\)"),
        ({"axes": np.zeros((2, 1))}, "no zero column"),
        ({"axes": np.ones((2, 1)), "names": ("a", "b")}, "each of the 1 columns of axes"),
        ({"scale": 0}, "scale must be a whole number of at least 1"),
        ({"latent_dim": None}, "latent_dim must be given"),
        ({"latent_dim": 0}, "latent_dim must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        latent_sliders(**{"decode": ramp, "latent_dim": 2, **arguments})


def test_wrong_decoders_and_codes_are_refused():
    with pytest.raises(ValueError, match=r"decode must turn a code of shape \(1, 2\) .* it gave \(1, 4\)"):
        latent_sliders(lambda z: np.zeros((1, 4)), 2)
    with pytest.raises(ValueError, match="image must be finite"):
        latent_sliders(lambda z: np.full((1, 2, 2), np.nan), 2)
    with pytest.raises(ValueError, match="a VAE or a function"):
        latent_sliders(np.zeros((2, 3)), 2)
    vae = dense_vae(Bernoulli)
    with pytest.raises(ValueError, match="latent_dim must be 2, the decoder's; received 3"):
        latent_sliders(vae, 3)
    vae.decoder.set_weights([weight * np.nan for weight in vae.decoder.get_weights()])
    with pytest.raises(ValueError, match="weights must be finite"):
        latent_sliders(vae)
    sliders = latent_sliders(ramp, 2)
    with pytest.raises(ValueError, match="z1 must be a number from -2.5 to 2.5; received nan"):
        sliders.frame(z1=np.nan)
    with pytest.raises(ValueError, match="one entry per slider"):
        sliders.frame([0.0])
    sliders.close()


def test_an_error_of_the_decoder_shows_in_the_readout():
    def decode(z):
        if z[0, 0] > 1:
            raise RuntimeError("out of memory")
        return ramp(z)

    sliders = latent_sliders(decode, 2)
    sliders.controls["z1"].value = 2.0
    assert "RuntimeError: out of memory (at z1 = 2, z2 = 0" in sliders.readout.value
    sliders.close()
