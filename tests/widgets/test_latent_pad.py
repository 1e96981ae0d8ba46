"""LatentPad on the Python side: what it sends, what it accepts, what it refuses."""

import pathlib
import tomllib
import types

import ipywidgets
import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import expit
from traitlets import TraitError

import vaelib
from vaelib.pretrained.networks import ACTIVATIONS, NumpyDecoder, bernoulli_mean, normal_mean
from vaelib.teaching.palette import CLASS_COLOURS
from vaelib.widgets.latent_pad import LatentPad

SHAPE = (3, 4)


def numpy_decoder(latent_dim=2, seed=0, activation="tanh", scale=1.0, mean=bernoulli_mean):
    rng = np.random.default_rng(seed)
    size = 12 if mean is bernoulli_mean else 24
    kernel = (scale * rng.standard_normal((latent_dim, 5))).astype("float32")
    bias = rng.standard_normal(5).astype("float32")
    last = rng.standard_normal((5, size)).astype("float32")
    steps = [lambda h: h @ kernel + bias, ACTIVATIONS[activation], lambda h: h @ last]
    decoder = NumpyDecoder(steps, mean, SHAPE, latent_dim)
    decoder.weights = kernel, bias, last
    return decoder


def test_the_weights_travel_bit_for_bit():
    decoder = numpy_decoder()
    pad = LatentPad(decoder)
    kernel, bias, last = decoder.weights
    expected = np.concatenate([kernel.ravel(), bias, last.ravel(), np.zeros(12)]).astype("<f4")
    np.testing.assert_array_equal(np.frombuffer(pad.get_state()["weights"], "<f4"), expected)
    assert pad.spec["layers"] == [
        {"inputs": 2, "outputs": 5},
        {"activation": "tanh"},
        {"inputs": 5, "outputs": 12},
    ]
    assert pad.runs_in_browser and pad.still == b""


def test_float16_weights_take_half_the_bytes():
    decoder = numpy_decoder()
    half, full = LatentPad(decoder, dtype="float16"), LatentPad(decoder)
    assert 2 * len(half.weights) == len(full.weights)
    np.testing.assert_array_equal(
        np.frombuffer(half.weights, "<f2"), np.frombuffer(full.weights, "<f4").astype("float16")
    )


def test_reshape_and_dense_over_rows_of_a_keras_decoder():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(12, use_bias=False),
            layers.Activation("silu"),
            layers.Reshape((3, 4)),
            layers.Dense(5, "elu"),
            layers.Flatten(),
            layers.Dense(24),
        ]
    )
    pad = LatentPad(NumpyDecoder.from_keras(model, SHAPE, normal_mean))
    kinds = [(layer.get("inputs"), layer.get("outputs"), layer.get("activation")) for layer in pad.spec["layers"]]
    assert kinds == [(3, 12, None), (None, None, "silu"), (12, 15, None), (None, None, "elu"), (15, 24, None)]
    # By hand from the bytes, against Keras.
    z = np.random.default_rng(1).standard_normal((6, 3)).astype("float32")
    weights, h = np.frombuffer(pad.weights, "<f4"), z
    for inputs, outputs, activation in kinds:
        if activation:
            h = keras.ops.convert_to_numpy(keras.activations.get(activation)(h))
            continue
        kernel, bias, weights = np.split(weights, [inputs * outputs, (inputs + 1) * outputs])
        h = h @ kernel.reshape(inputs, outputs) + bias
    assert weights.size == 0
    np.testing.assert_allclose(h, keras.ops.convert_to_numpy(model(z)), atol=1e-5)


def test_z_is_set_observed_and_received_from_the_browser():
    pad = LatentPad(numpy_decoder(), z=[0.5, -1])
    assert pad.z == (0.5, -1.0)
    seen = []
    pad.observe(lambda change: seen.append(change["new"]), "z")
    pad.z = np.array([1, 2], "float32")
    pad.z = (1.0, 2.0)  # no change
    pad.set_state({"z": [0.25, 0], "marks": [[1, 2], [0.5, 0]]})
    assert seen == [(1.0, 2.0), (0.25, 0.0)]
    assert pad.marks == ((1.0, 2.0), (0.5, 0.0))


@pytest.mark.parametrize(
    "z, message",
    [
        ([0, np.nan], "z must be finite"),
        ([0, -np.inf], "z must be finite"),
        ([0, 10.01], r"within \[-10, 10\]"),
        ([1], r"2 numbers.*received shape \(1,\)"),
        ([[0, 0]], r"2 numbers.*received shape \(1, 2\)"),
        (["a", "b"], "2 numbers"),
        ([[1], [2, 3]], "2 numbers"),
        (None, "2 numbers"),
    ],
)
def test_a_wrong_z_is_refused_and_the_old_one_stays(z, message):
    pad = LatentPad(numpy_decoder(), z=[1, 2])
    with pytest.raises(TraitError, match=message):
        pad.z = z
    assert pad.z == (1.0, 2.0)
    with pytest.raises(TraitError, match=message.replace("z must", r"marks\[1\] must")):
        pad.marks = [[0, 0], z]
    if z is not None:
        with pytest.raises(TraitError, match=message):
            LatentPad(numpy_decoder(), z=z)


def test_marks_must_be_codes():
    with pytest.raises(TraitError, match="marks must be a list of codes; received 3"):
        LatentPad(numpy_decoder()).marks = 3


@pytest.mark.parametrize("name", ["names", "spec", "weights", "points", "classes", "still"])
def test_what_the_browser_has_got_cannot_change_unseen(name):
    pad = LatentPad(numpy_decoder())
    with pytest.raises(TraitError, match="read-only"):
        setattr(pad, name, getattr(pad, name))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"names": ["one"]}, "2 latent dimensions; received"),
        ({"names": ["a", "a"]}, "different"),
        ({"names": ["a", ""]}, "non-empty"),
        ({"latent_dim": 3}, "latent_dim must be 2"),
        ({"dtype": "float64"}, "'float32' or 'float16'; received 'float64'"),
        ({"reach": 0}, "reach"),
        ({"reach": np.nan}, "reach"),
        ({"shown": (0, 2)}, "from 0 to 1"),
        ({"shown": (1, 1)}, "two different dimensions"),
        ({"points": np.zeros((5, 3))}, r"shape \(n, 2\); received \(5, 3\)"),
        ({"points": np.full((5, 2), np.nan)}, "points must be finite"),
        ({"points": np.zeros((5, 2)), "labels": [1, 2]}, r"labels must have shape \(5,\)"),
        ({"labels": [1, 2]}, "labels without points"),
        ({"scale": 0}, "scale must be a whole number"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentPad(numpy_decoder(), **arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_weights_that_are_not_finite_are_refused(bad, which):
    decoder = numpy_decoder()
    decoder.weights[which].flat[1] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="must be finite.*NaN or infinity"):
        LatentPad(decoder)


def test_weights_too_large_for_float16_are_refused():
    decoder = numpy_decoder(scale=1e5)
    LatentPad(decoder)
    with pytest.raises(ValueError, match="too large for float16. Pass dtype='float32'"):
        LatentPad(decoder, dtype="float16")


def test_points_keep_the_shown_dimensions_and_their_classes():
    z = np.random.default_rng(0).standard_normal((7, 3))
    pad = LatentPad(numpy_decoder(3), points=z, labels=list("cabbaca"), shown=(2, 0))
    np.testing.assert_array_equal(np.frombuffer(pad.points, "<f4").reshape(7, 2), z[:, [2, 0]].astype("float32"))
    assert list(pad.classes) == [2, 0, 1, 1, 0, 2, 0]
    assert pad.spec["class_names"] == ["a", "b", "c"]
    assert pad.spec["colours"] == CLASS_COLOURS
    assert pad.spec["shown"] == [2, 0]


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_the_image_at_z_and_elsewhere(latent_dim):
    decoder = numpy_decoder(latent_dim, mean=normal_mean)
    z = np.linspace(-1, 2, latent_dim)
    pad = LatentPad(decoder, z=z)
    kernel, bias, last = decoder.weights
    expected = 255 * expit(np.tanh(z @ kernel + bias) @ last)[:12].reshape(SHAPE)
    assert pad.image().dtype == np.uint8
    assert np.abs(pad.image() - expected).max() <= 0.51
    np.testing.assert_array_equal(pad.image(0 * z), LatentPad(decoder).image())
    with pytest.raises(TraitError, match="z must be finite"):
        pad.image(np.nan * z)


# ---- Where the browser cannot decode


def grey(z):
    """The image's brightness follows z1."""
    return 0.5 + 0.1 * np.ones((len(z), *SHAPE)) * z[:, 0, None, None]


def sent_by(pad, content):
    """What the pad answers to a message from the browser."""
    answers = []
    pad.send = lambda content, buffers=None: answers.append((content, buffers))
    try:
        pad._handle_custom_msg(content, [])
    finally:
        del pad.send
    return answers


def test_a_function_is_decoded_by_the_kernel():
    pad = LatentPad(grey, latent_dim=2, z=[1, 0])
    assert not pad.runs_in_browser and pad.spec["layers"] is None and pad.weights == b""
    assert list(pad.still) == [153] * 12
    [(content, buffers)] = sent_by(pad, {"kind": "decode", "id": "a:0", "z": [-1, 0]})
    assert content == {"kind": "image", "id": "a:0"} and list(buffers[0]) == [102] * 12
    assert sent_by(pad, {"kind": "other"}) == []


def test_an_error_in_the_kernel_reaches_the_browser():
    def picky(z):
        if z[0, 0] > 1:
            raise RuntimeError("too far")
        return grey(z)

    pad = LatentPad(picky, latent_dim=2)
    [(content, _)] = sent_by(pad, {"kind": "decode", "id": "a:0", "z": [2, 0]})
    assert content == {"kind": "error", "id": "a:0", "text": "RuntimeError: too far"}


def conv_vae(activation="relu"):
    keras.utils.set_random_seed(0)
    likelihood = vaelib.Bernoulli((8, 8))
    decoder = vaelib.conv_decoder(2, (8, 8), 64, (4,), activation=activation)
    return types.SimpleNamespace(decoder=decoder, likelihood=likelihood)


def test_a_convolution_runs_in_the_browser():
    vae = conv_vae()
    pad = LatentPad(vae, z=[1, -1])
    assert pad.runs_in_browser and pad.reason is None
    kinds = [next(iter(layer)) for layer in pad.spec["layers"]]
    assert kinds == ["inputs", "activation", "convolution", "activation", "convolution"]
    expected = keras.ops.convert_to_numpy(vae.likelihood.mean(vae.decoder(np.array([[1, -1]], "float32"))))
    assert np.abs(pad.image() - 255 * expected.reshape(8, 8)).max() <= 0.51


def test_a_layer_that_only_moves_values_travels_as_places():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(4),
            layers.Reshape((2, 2, 1)),
            layers.UpSampling2D(2),
            layers.Permute((2, 1, 3)),
        ]
    )
    pad = LatentPad(NumpyDecoder.from_keras(keras.Sequential([model, layers.Flatten()]), (4, 4)))
    assert pad.spec["layers"] == [
        {"inputs": 2, "outputs": 4},
        {"places": [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]},
        {"places": [1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 4, 8, 12, 16]},
    ]


def test_what_the_browser_cannot_run_is_decoded_by_the_kernel_and_named():
    vae = conv_vae("mish")
    pad = LatentPad(vae, z=[1, -1])
    assert not pad.runs_in_browser
    assert pad.reason == pad.spec["reason"]
    assert pad.reason.startswith("activation 'mish' of layer 'dense") and "Pass a function" not in pad.reason
    expected = keras.ops.convert_to_numpy(vae.likelihood.mean(vae.decoder(np.array([[1, -1]], "float32"))))
    still = np.frombuffer(pad.still, "uint8").reshape(8, 8)
    assert np.abs(still - 255 * expected.reshape(8, 8)).max() <= 0.51


def test_a_decoder_too_large_to_travel_says_its_size_and_the_limit():
    rng = np.random.default_rng(0)
    first, last = (rng.standard_normal(shape).astype("float32") for shape in [(2, 6000), (6000, 700)])
    decoder = NumpyDecoder([lambda h: h @ first, lambda h: h @ last], bernoulli_mean, (35, 20), 2)
    pad = LatentPad(decoder)
    assert not pad.runs_in_browser
    # (2 + 1) * 6000 + (6000 + 1) * 700: a bias for each output travels too.
    assert pad.reason == "the decoder has 4,218,700 weights, 16.9 MB; at most 4,000,000, 16 MB, travel to the browser."


@pytest.mark.parametrize("step", [np.sin, lambda h: h * np.float32(2) + h[:, ::-1] ** 2])
def test_a_step_that_is_no_layer_is_decoded_by_the_kernel(step):
    decoder = numpy_decoder()
    decoder.steps.insert(1, step)
    assert not LatentPad(decoder).runs_in_browser


def test_another_mean_is_decoded_by_the_kernel():
    assert not LatentPad(numpy_decoder(mean=lambda h: 0.5 + 0.01 * h[:, :12])).runs_in_browser


def test_a_function_without_latent_dim_or_image_is_refused():
    with pytest.raises(ValueError, match="latent_dim must be given"):
        LatentPad(grey)
    with pytest.raises(ValueError, match=r"it gave \(1, 2\)"):
        LatentPad(lambda z: z, latent_dim=2)
    with pytest.raises(ValueError, match="NaN or infinity"):
        LatentPad(lambda z: np.nan * grey(z), latent_dim=2)
    with pytest.raises(ValueError, match="decode must be a VAE or a function"):
        LatentPad(3)


def test_module_and_style_ship_with_the_package():
    project = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())
    package = pathlib.Path(vaelib.__file__).parent
    shipped = {f for pattern in project["tool"]["setuptools"]["package-data"]["vaelib"] for f in package.glob(pattern)}
    parts = [package / "widgets" / "bundles" / name for name in ("latent_pad.js", "latent_pad.css")]
    assert set(parts) <= shipped
    text = "".join(part.read_text("utf-8") for part in parts)
    assert LatentPad._esm + LatentPad._css == text
    for outside in ["http:", "https:", "import ", "import(", "url(", "fetch("]:
        assert outside not in text, f"the pad must need no network, and holds {outside!r}"


def test_two_pads_share_nothing():
    first, second = LatentPad(numpy_decoder(seed=0)), LatentPad(numpy_decoder(seed=1), names=("pose", "humour"))
    first.z = [1, 1]
    assert second.z == (0.0, 0.0) and first.names == ("z1", "z2")
    assert first.weights != second.weights
    assert isinstance(first, ipywidgets.DOMWidget)
