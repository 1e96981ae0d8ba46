"""LatentPad with axes, a path and frames on the Python side; named axes, uncertainty, and the exported file."""

import json
import re

import keras
import matplotlib as mpl
import numpy as np
import pytest
from traitlets import TraitError

import vaelib
from vaelib.pretrained.networks import NumpyDecoder, affine, bernoulli_mean, identity_mean, normal_mean
from vaelib.widgets.directions import direction_between
from vaelib.widgets.film import MAX_BYTES, time_colours
from vaelib.widgets.latent_pad import LatentPad

SHAPE = (3, 4)


def decoder(latent_dim=2, mean=bernoulli_mean, log_var=None, shape=SHAPE):
    rng = np.random.default_rng(0)
    size = int(np.prod(shape)) * (2 if mean is normal_mean else 1)
    kernel, bias = (rng.standard_normal(s).astype("float32") for s in [(latent_dim, size), (size,)])
    return NumpyDecoder([affine(kernel, bias)], mean, shape, latent_dim, log_var)


def film(n=20, latent_dim=2, seed=1):
    rng = np.random.default_rng(seed)
    return {"path": rng.standard_normal((n, latent_dim)), "frames": rng.random((n, *SHAPE))}


# ---- Axes


def test_axes_are_brought_to_length_one_and_named():
    pad = LatentPad(decoder(3), ("pose", "humour"), axes=[[3, 4, 0], [0, 0, 2]], points=[[1, 2, 5]])
    np.testing.assert_allclose(pad.spec["axes"], [[0.6, 0.8, 0], [0, 0, 1]])
    np.testing.assert_allclose(np.frombuffer(pad.points, "<f4"), [0.6 + 1.6, 5])
    assert pad.names == ("pose", "humour") and len(pad.z) == 3
    assert LatentPad(decoder(3), axes=np.eye(3)[:1]).names == ("direction 1",)
    np.testing.assert_array_equal(LatentPad(decoder(3)).spec["axes"], np.eye(3))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"axes": np.eye(3)}, r"axes must have shape \(k, 2\), one direction per row; received \(3, 3\)"),
        ({"axes": [1, 0]}, r"axes must have shape \(k, 2\)"),
        ({"axes": [[1, 0], [0, 0]]}, "no row of zeros"),
        ({"axes": [[1, 0], [np.nan, 1]]}, "axes must be finite"),
        ({"axes": [[1, 0], [1, 0.01]]}, "nearly parallel"),
        ({"axes": np.eye(2), "names": ["one"]}, "2 rows of axes; received"),
        ({"path": np.zeros((5, 3))}, r"path must have shape \(n, 2\); received \(5, 3\)"),
        ({"path": np.full((5, 2), np.nan)}, "path must be finite"),
        ({"frames": np.zeros((5, *SHAPE))}, r"frames must hold one image for each code of path"),
        ({"path": np.zeros((4, 2)), "frames": np.zeros((5, *SHAPE))}, r"shape \(4, 3, 4\); received \(5, 3, 4\)"),
        ({"path": np.zeros((1, 2)), "frames": np.full((1, *SHAPE), 1.5)}, r"pixels in \[0, 1\]"),
        ({"path": np.zeros((1, 2)), "frames": np.full((1, *SHAPE), np.nan)}, r"pixels in \[0, 1\]"),
        ({"sides": ("a", "a")}, "two sides of an axis must have different names"),
        ({"sides": ("a",)}, "two sides"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentPad(decoder(), **arguments)


# ---- Path and frames


def test_path_and_frames_travel_and_the_pad_starts_on_the_first():
    given = film()
    pad = LatentPad(decoder(), **given)
    np.testing.assert_array_equal(np.frombuffer(pad.path, "<f4").reshape(20, 2), given["path"].astype("float32"))
    pixels = np.frombuffer(pad.frames, "uint8").reshape(20, *SHAPE)
    assert np.abs(pixels - 255 * given["frames"]).max() <= 0.5 + 1e-6
    assert pad.z == tuple(given["path"].astype("float32")[0].tolist())
    np.testing.assert_array_equal(
        np.frombuffer(LatentPad(decoder(), path=given["path"], frames=pixels).frames, "uint8").reshape(20, *SHAPE),
        pixels,
    )
    assert LatentPad(decoder(), z=[1, 1], **given).z == (1.0, 1.0)


def test_frames_too_many_to_travel_say_their_size_and_the_limit():
    shape, count = (100, 100), MAX_BYTES // 10_000 + 1
    with pytest.raises(ValueError, match=r"frames hold 4\.0 MB as uint8; at most 4 MB.*frames\[::2\] with path\[::2\]"):
        LatentPad(decoder(shape=shape), path=np.zeros((count, 2)), frames=np.zeros((count, *shape), "uint8"))


def test_the_plane_reaches_as_far_as_nearly_all_codes():
    path = np.zeros((1000, 2))
    path[:10, 1] = 4.2
    assert LatentPad(decoder(), path=path).spec["reach"] == 4.5
    path[:10, 1], path[0, 1] = 0, 9
    assert LatentPad(decoder(), path=path).spec["reach"] == 3.5  # one code alone
    assert LatentPad(decoder(), path=path, reach=2).spec["reach"] == 2


def luminance(colour):
    """Relative luminance. Source: WCAG 2.2."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("theme, paper", [("light", "#ffffff"), ("dark", "#161616")])
def test_every_time_stands_out_from_the_page_and_time_has_an_order(theme, paper):
    values = np.array([luminance(colour) for colour in time_colours()[theme]])
    assert (np.diff(values) > 0).all()
    both = np.stack([values, np.full_like(values, luminance(paper))]) + 0.05
    assert (both.max(axis=0) / both.min(axis=0)).min() > 2


# ---- Named axes


def test_a_named_axis_leads_from_one_mean_to_the_other():
    given = film(latent_dim=3)
    pad = LatentPad(decoder(3), **given)
    direction = pad.name_axis("sober", "smiling", [1, 5, 7], [2, 3])
    path = given["path"].astype("float32").astype(float)
    expected = (path[2] + path[3]) / 2 - (path[1] + path[5] + path[7]) / 3
    np.testing.assert_allclose(direction, expected / np.sqrt((expected**2).sum()), rtol=1e-12)
    (axis,) = pad.named
    assert (axis["name"], axis["low"], axis["high"]) == ("sober to smiling", "sober", "smiling")
    assert axis["frames"] == [[1, 5, 7], [2, 3]] and axis["direction"] == direction.tolist()
    pad.name_axis("sober", "smiling", [1], [2])  # replaces the first
    assert len(pad.named) == 1 and pad.named[0]["frames"] == [[1], [2]]


def test_axes_that_cannot_be_named():
    pad = LatentPad(decoder(), **film())
    with pytest.raises(ValueError, match="from 0 to 19"):
        pad.name_axis("a", "b", [0], [20])
    with pytest.raises(ValueError, match="one is empty"):
        pad.name_axis("a", "b", [], [2])
    with pytest.raises(ValueError, match="same mean code"):
        pad.name_axis("a", "b", [3, 4], [4, 3])
    with pytest.raises(ValueError, match="different names"):
        pad.name_axis("a", "a", [3], [4])
    with pytest.raises(TraitError, match="unit directions"):
        pad.named = [{"name": "a to b", "direction": [1, 1]}]
    assert pad.named == ()


def test_the_difference_of_means_finds_a_direction_that_fishers_would_bend():
    """Two clouds stretched along (1, 1) and shifted along (1, 0): one walks along (1, 0)."""
    rng = np.random.default_rng(0)
    stretch = rng.standard_normal((2, 4000, 1)) * [1, 1] + 0.1 * rng.standard_normal((2, 4000, 2))
    low, high = stretch[0], stretch[1] + [2, 0]
    fisher = np.linalg.solve(np.cov(low.T) + np.cov(high.T), high.mean(axis=0) - low.mean(axis=0))
    fisher /= np.linalg.norm(fisher)
    assert direction_between(low, high) @ [1, 0] > 0.99
    assert fisher @ [1, 0] < 0.75


# ---- Uncertainty


def test_what_travels_of_the_uncertainty():
    given = film(100)
    sure = decoder(mean=normal_mean, log_var=(-5.0, 5.0))
    std = sure.std(given["path"].astype("float32"))
    spread = LatentPad(sure, **{**given, "frames": None}).spec["spread"]
    assert spread["log_var"] == [-5.0, 5.0]
    np.testing.assert_allclose([spread["from"], spread["to"]], [std.min(), std.max()], rtol=1e-6)
    same = LatentPad(decoder(mean=identity_mean, log_var=-2.0))
    assert same.spec["spread"] == {"same": pytest.approx(np.exp(-1))} and same.spec["mean"] == "identity"
    assert same.runs_in_browser
    assert LatentPad(decoder()).spec["spread"] is None


# ---- One file


def test_the_exported_file_holds_everything_and_asks_for_nothing(tmp_path):
    pad = LatentPad(decoder(), **film(), alt="A face </script><b>.")
    file = pad.export(tmp_path / "new" / "mine.html", title="Mine & yours", alt="My face <b>")
    text = file.read_text("utf-8")
    assert "<title>Mine &amp; yours</title>" in text and "<html lang=" in text and text.count("</script>") == 2
    assert not re.findall(r"https?://|src=[^\s]*['\"]//|url\(|import\(|fetch\(", text)
    assert "default-src 'none'" in text
    state = json.loads(re.search(r'<script type="application/json" id="state">(.*?)</script>', text, re.S)[1])
    assert state["state"]["spec"]["alt"] == "My face <b>" and pad.spec["alt"] == "A face </script><b>."
    assert set(state["bytes"]) == {"weights", "still", "path", "frames", "points", "classes"}


def test_what_no_file_can_hold_is_refused_by_name(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(12),
            keras.layers.LayerNormalization(name="norm"),
            keras.layers.Dense(12),
        ]
    )
    likelihood = vaelib.Bernoulli(SHAPE)

    class Model:
        decoder, likelihood = model, None

    Model.likelihood = likelihood
    pad = LatentPad(Model())
    assert not pad.runs_in_browser
    with pytest.raises(
        ValueError, match="layer 'norm' of type LayerNormalization is not supported.*Build it from Dense"
    ):
        pad.export(tmp_path / "mine.html")
    with pytest.raises(ValueError, match="decode is a function"):
        LatentPad(lambda z: np.zeros((len(z), *SHAPE)), latent_dim=2).export(tmp_path / "mine.html")
    assert not list(tmp_path.iterdir())
