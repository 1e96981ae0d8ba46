"""The lab of notebook 09, driven over its whole menu: each picture shows the arrays it was given."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from vaelib.teaching.runs import Pair, Run, describe
from vaelib.widgets.wrong_loss_lab import WrongLossLab, picture, wrong_beside_right


def run(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    curves = {name: scale * (5 - np.arange(4.0) + rng.random(4)) for name in ("val_reconstruction", "val_kl")}
    curves["val_loss"] = curves["val_reconstruction"] + curves["val_kl"]
    codes = rng.standard_normal((50, 2))
    return Run(curves, codes, rng.integers(0, 10, 50), rng.random((3, 8, 9, 7)), 123.456, 2)


def title_of(ax):
    return ax.get_title("left") or ax.get_title("center")  # where the style in force puts it


def curve_axes(axes):
    return [ax for ax in axes if "reported" in title_of(ax)]


@pytest.fixture(scope="module")
def pairs():
    right = run(0)
    return {"one": Pair(run(1), right, "look."), "two": Pair(run(2, 1e4), right, "look again.")}


def test_the_curves_images_and_codes_are_those_of_the_runs(pairs):
    wrong, right, _ = pairs["one"]
    axes = wrong_beside_right(wrong, right).axes
    for ax, name in zip(curve_axes(axes), ("reconstruction", "kl"), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in ax.lines}
        np.testing.assert_array_equal(lines["wrong"], wrong.curves[f"val_{name}"])
        np.testing.assert_array_equal(lines["right"], right.curves[f"val_{name}"])
    for title, shown in (("wrong", wrong), ("right", right)):
        (ax,) = [ax for ax in axes if title_of(ax) == title]
        tiles = np.asarray(ax.images[0].get_array())
        np.testing.assert_array_equal(tiles[:9, :7], shown.images[0, 0])
        np.testing.assert_array_equal(tiles[-9:, -7:], shown.images[2, -1])
        np.testing.assert_array_equal([label.get_text() for label in ax.get_yticklabels()], ["test", "its copy", "new"])
    planes = [ax for ax in axes if ax.collections]
    for ax, shown in zip(planes, (wrong, right), strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), shown.codes)
    plt.close("all")


def test_the_whole_cloud_and_the_circle_are_in_view(pairs):
    wide = pairs["one"].wrong._replace(codes=100 * pairs["one"].wrong.codes)
    tight = pairs["one"].wrong._replace(codes=0.01 * pairs["one"].wrong.codes)
    planes = [ax for ax in wrong_beside_right(wide, tight).axes if ax.collections]
    for ax, shown in zip(planes, (wide, tight), strict=True):
        low, high = ax.get_xlim()
        assert low < -2 and high > 2 and low < shown.codes.min() and high > shown.codes.max()
    plt.close("all")


def test_curves_of_very_different_size_share_a_logarithmic_axis(pairs):
    for name, scale in (("one", "linear"), ("two", "symlog")):
        figure = wrong_beside_right(pairs[name].wrong, pairs[name].right)
        assert [ax.get_yscale() for ax in curve_axes(figure.axes)] == [scale] * 2
    plt.close("all")


def test_every_entry_of_the_menu_has_its_own_picture_and_text(pairs):
    lab = WrongLossLab(pairs)
    frames = list(lab.sweep())
    assert [frame.values["mistake"] for frame in frames] == ["one", "two"]
    assert frames[0].pixels.shape == frames[1].pixels.shape and (frames[0].pixels != frames[1].pixels).any()
    assert frames[0].text.endswith("How to notice: look.") and frames[1].text.endswith("How to notice: look again.")
    before = lab.image.value
    lab.controls["mistake"].value = "two"
    assert lab.image.value != before and "look again." in lab.readout.value
    lab.close()


def test_a_picture_is_drawn_once(pairs, monkeypatch):
    from vaelib.widgets import wrong_loss_lab

    drawn = []
    monkeypatch.setattr(wrong_loss_lab, "_pixels", lambda pair: drawn.append(pair) or np.zeros((4, 4, 4), "uint8"))
    lab = WrongLossLab(pairs)
    for name in ("one", "two", "one", "two"):
        lab.frame(mistake=name)
    assert drawn == [pairs["one"], pairs["two"]]
    lab.close()


def test_the_static_picture_is_the_labs_and_holds_the_numbers_as_text(pairs):
    lab = WrongLossLab(pairs)
    static = lab.static("two")
    shown = np.asarray(Image.open(io.BytesIO(static.png)).convert("RGB"), float)
    drawn = lab.frame(mistake="two")[..., :3].astype(float)
    assert np.abs(shown - drawn).mean() < 3  # a palette of 128 colours
    assert static.png == picture(pairs["two"]).png and len(static.png) < 80_000
    assert "How to notice: look again." in static.alt and "123.46" in static.alt
    lab.close()
    assert not plt.get_fignums()


def test_the_text_states_both_numbers():
    text = describe(run(0)._replace(curves={"val_loss": [9.0, -7.125], "val_kl": [1.0, 2.5]}))
    assert "reports −7.12 nats, KL 2.50" in text and "right parts 123.46 nats; 2 of 2 units active" in text
    assert "−4.0e+06" in describe(run(0)._replace(curves={"val_loss": [-4e6], "val_kl": [1.0]}))


def test_bad_input_is_refused(pairs):
    with pytest.raises(ValueError, match="pairs must hold at least one mistake"):
        WrongLossLab({})
    lab = WrongLossLab(pairs)
    with pytest.raises(ValueError, match="mistake must be one of"):
        lab.static("three")
    lab.close()
