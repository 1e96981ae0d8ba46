"""DrawDigit on the Python side: what it sends, what follows what, what it refuses."""

import types

import keras
import numpy as np
import pytest
from traitlets import TraitError

import vaelib
from vaelib import pretrained
from vaelib.pretrained import NumpyEncoder
from vaelib.teaching.palette import CLASS_COLOURS
from vaelib.widgets import DrawDigit
from vaelib.widgets.strokes import to_image

MODEL = pretrained.load()
STROKES = [[(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)], [(0.35, 0.5), (0.7, 0.5)]]


def test_strokes_from_python_become_an_image_and_a_posterior():
    pad = DrawDigit(MODEL)
    assert pad.mu == pad.log_var == pad.strokes == () and not pad.image.any() and not pad.reconstruction().any()
    seen = []
    pad.observe(lambda change: seen.append(change["new"]), "mu")
    pad.strokes = [np.array(stroke) for stroke in STROKES]
    image = to_image(STROKES)
    np.testing.assert_array_equal(pad.image, image)
    mu, log_var = MODEL.encoder(image[None])
    assert pad.mu == tuple(mu[0].tolist()) and pad.log_var == tuple(log_var[0].tolist()) and seen == [pad.mu]
    assert pad.strokes == tuple(tuple(stroke) for stroke in STROKES)
    np.testing.assert_allclose(pad.reconstruction(), MODEL.decoder(mu)[0], atol=1e-6)


def test_an_image_from_python_takes_the_place_of_the_strokes():
    pad = DrawDigit(MODEL)
    pad.strokes = STROKES
    image = np.random.default_rng(0).integers(0, 256, (28, 28)).astype("uint8") / np.float32(255)
    pad.image = image
    np.testing.assert_array_equal(pad.image, image)
    assert pad.strokes == () and pad.mu == tuple(MODEL.encoder(image[None])[0][0].tolist())
    pad.image = np.full((28, 28), 0.4999)  # steps of 1/255, as MNIST has
    np.testing.assert_allclose(pad.image, 127 / 255, atol=1e-7)
    with pytest.raises(ValueError, match="read-only"):
        pad.image[0, 0] = 1
    pad.strokes = []
    assert pad.mu != ()  # there were no strokes before either, so nothing changed
    pad.image = np.zeros((28, 28))
    assert pad.mu == pad.log_var == ()


def test_what_the_browser_sends_is_taken_as_it_is():
    pad = DrawDigit(MODEL)
    image = (255 * to_image(STROKES)).round().astype(int)
    seen = []
    pad.observe(lambda change: seen.append(change["name"]), ["image", "mu", "log_var", "strokes"])
    pad.set_state({"strokes": STROKES, "image": image.ravel().tolist(), "mu": [0.5, -1], "log_var": [-3, -4.5]})
    np.testing.assert_array_equal(pad.image, to_image(STROKES))
    assert (pad.mu, pad.log_var) == ((0.5, -1), (-3, -4.5))
    assert sorted(seen) == ["image", "log_var", "mu", "strokes"]
    pad.strokes = STROKES[:1]  # and Python leads again
    assert pad.mu == tuple(MODEL.encoder(to_image(STROKES[:1])[None])[0][0].tolist())


def test_the_state_is_plain_json_and_bytes():
    digits = np.random.default_rng(0).integers(0, 256, (3, 28, 28))
    pad = DrawDigit(MODEL, points=[[0, 1], [2, 3]], labels=[4, 7], examples=digits / 255, dtype="float16")
    state = pad.get_state()
    assert state["image"] == [0] * 784 and not state["strokes"] and not state["mu"]
    assert pad.spec["example_names"] == ["0", "1", "2"] and pad.spec["class_names"] == ["4", "7"]
    assert pad.spec["colours"] == CLASS_COLOURS
    np.testing.assert_array_equal(np.frombuffer(state["examples"], "uint8"), digits.ravel())
    np.testing.assert_array_equal(np.frombuffer(state["points"], "<f4"), [0, 1, 2, 3])
    # The weights are those of the file, in float16 as there.
    with np.load(pretrained.FOLDER / "mnist.npz") as file:
        for part in ("encoder", "decoder"):
            arrays = [file[f"{part}_{kind}_{i}"].ravel() for i in range(3) for kind in ("kernel", "bias")]
            np.testing.assert_array_equal(np.frombuffer(state[f"{part}_weights"], "<f2"), np.concatenate(arrays))
    kinds = [layer.get("activation") or (layer["inputs"], layer["outputs"]) for layer in pad.spec["encoder"]]
    assert kinds == [(784, 128), "relu", (128, 64), "relu", (64, 4)]


@pytest.fixture(scope="module")
def vae():
    keras.utils.set_random_seed(0)
    posterior, likelihood = vaelib.DiagonalNormal(3, seed=0), vaelib.Bernoulli((28, 28))
    return vaelib.VAE(
        encoder=vaelib.dense_encoder((28, 28), posterior.params_size, (20,)),
        decoder=vaelib.dense_decoder(3, likelihood.params_size, (20,)),
        posterior=posterior,
        likelihood=likelihood,
        prior=vaelib.StandardNormal(3),
    )


def test_a_keras_vae(vae):
    pad = DrawDigit(vae, names=("a", "b", "c"), shown=(2, 0))
    pad.strokes = STROKES
    params = keras.ops.convert_to_numpy(vae.encoder(pad.image[None]))[0]
    np.testing.assert_allclose([*pad.mu, *pad.log_var], params, atol=1e-5)
    np.testing.assert_allclose(pad.reconstruction(), np.asarray(vae.reconstruct(pad.image[None]))[0], atol=1e-5)
    assert pad.spec["shown"] == [2, 0]


def test_encoders_that_are_refused(vae):
    pooled = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.MaxPooling2D(7), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="type MaxPooling2D is not supported"):
        NumpyEncoder.from_keras(pooled)
    odd = vaelib.dense_encoder((28, 28), 5, (4,))
    with pytest.raises(ValueError, match="mu and log_var side by side; received 5"):
        NumpyEncoder.from_keras(odd)
    x = keras.Input((28, 28))
    flat = keras.layers.Flatten()(x)
    skip = keras.Model(x, keras.layers.Dense(4)(flat) + keras.layers.Dense(4)(flat))
    with pytest.raises(ValueError, match="not supported|no plain stack"):
        NumpyEncoder.from_keras(skip)
    full = types.SimpleNamespace(encoder=vae.encoder, decoder=vae.decoder, posterior=vaelib.FullNormal(3))
    with pytest.raises(ValueError, match="DiagonalNormal posterior.*received FullNormal"):
        DrawDigit(full)
    with pytest.raises(ValueError, match="must have an encoder and a decoder"):
        DrawDigit(3)
    steps = [lambda h: h.reshape(len(h), -1), lambda h: h[:, :4]]
    with pytest.raises(ValueError, match=r"shape \(28, 28\); received an encoder of \(20, 20\)"):
        DrawDigit(MODEL._replace(encoder=NumpyEncoder(steps, (20, 20), 2)))
    with pytest.raises(ValueError, match="received 1 of the encoder and 2"):
        DrawDigit(MODEL._replace(encoder=NumpyEncoder(steps, (28, 28), 1)))
    with pytest.raises(ValueError, match="step of the encoder is neither affine"):
        DrawDigit(MODEL._replace(encoder=NumpyEncoder([*steps, np.sin], (28, 28), 2)))
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="encoder's weights must be finite"):
        DrawDigit(MODEL._replace(encoder=NumpyEncoder([steps[0], lambda h: h[:, :4] * np.nan], (28, 28), 2)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"names": ["one"]}, "2 latent dimensions; received"),
        ({"dtype": "float64"}, "'float32' or 'float16'"),
        ({"reach": 0}, "reach"),
        ({"shown": (0, 2)}, "from 0 to 1"),
        ({"points": np.zeros((5, 3))}, r"shape \(n, 2\)"),
        ({"labels": [1]}, "labels without points"),
        ({"examples": np.zeros((28, 28))}, r"examples must have shape \(n, 28, 28\); received \(28, 28\)"),
        ({"examples": np.full((1, 28, 28), 255)}, r"in \[0, 1\]. Divide by 255"),
        ({"examples": np.full((1, 28, 28), np.nan)}, r"in \[0, 1\]"),
        ({"examples": np.zeros((2, 28, 28)), "example_names": ["a"]}, "2 texts.*received 1"),
        ({"example_names": ["a"]}, "without examples"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DrawDigit(MODEL, **arguments)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("image", np.zeros((28, 20)), r"image must have shape \(28, 28\); received \(28, 20\)"),
        ("image", np.full((28, 28), 255), "Divide by 255"),
        ("image", np.full((28, 28), np.nan), r"pixels in \[0, 1\]"),
        ("image", "a", "image must"),
        ("strokes", [[(0.5, 1.5)]], r"strokes\[0\] must lie within \[0, 1\]"),
        ("strokes", [[(0.5, 0.5)], [(0.5, np.nan)]], r"strokes\[1\] must lie within"),
        ("strokes", [(0.5, 0.5)], r"strokes\[0\] must have shape \(n, 2\)"),
        ("strokes", [[]], r"strokes\[0\] must have shape"),
        ("strokes", 3, "list of lists of points"),
        ("strokes", [[(1, 2), (3,)]], "list of lists of points"),
    ],
)
def test_wrong_drawings_are_refused_and_the_old_one_stays(name, value, message):
    pad = DrawDigit(MODEL)
    pad.strokes = STROKES
    mu = pad.mu
    with pytest.raises(TraitError, match=message):
        setattr(pad, name, value)
    assert pad.mu == mu and pad.strokes == tuple(map(tuple, STROKES))
    pad.strokes = STROKES[:1]
    assert pad.mu != mu


@pytest.mark.parametrize(
    "name", ["names", "spec", "encoder_weights", "decoder_weights", "points", "classes", "examples"]
)
def test_what_the_browser_has_got_cannot_change_unseen(name):
    pad = DrawDigit(MODEL)
    with pytest.raises(TraitError, match="read-only"):
        setattr(pad, name, getattr(pad, name))


def test_the_module_needs_no_network():
    text = DrawDigit._esm + DrawDigit._css
    for outside in ["http:", "https:", "import ", "import(", "url(", "fetch("]:
        assert outside not in text
