"""The lab of notebook 10, driven over its whole menu: each picture shows the arrays it was given."""

import base64
import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from vaelib.teaching.runs import Pair, Run
from vaelib.widgets.lab import png_of
from vaelib.widgets.wrong_loss_lab import WrongLossLab, numbers_of, wrong_beside_right


def run(seed, scale=1.0, epochs=4):
    rng = np.random.default_rng(seed)
    curves = {name: scale * (5 - np.arange(float(epochs)) + rng.random(epochs)) for name in ("reconstruction", "kl")}
    curves = {f"val_{name}": curve for name, curve in {**curves, "loss": sum(curves.values())}.items()}
    codes = rng.standard_normal((50, 2)).astype("float32")
    return Run(curves, codes, rng.integers(0, 10, 50), rng.random((3, 8, 9, 7)), 123.456, 2)


def title_of(ax):
    return ax.get_title("left") or ax.get_title("center")  # where the style in force puts it


def drawn(pair, **options):
    return wrong_beside_right(pair, numbers_of(pair, **options)).axes


def planes(axes):
    return [ax for ax in axes if ax.get_xlabel() == "$z_1$"]


def unpacked(packed):
    return np.frombuffer(base64.b64decode(packed["base64"]), packed["dtype"]).reshape(packed["shape"])


@pytest.fixture(scope="module")
def pairs():
    right = run(0)
    return {"one": Pair(run(1), right, "look."), "two": Pair(run(2, 1e5, epochs=3), right, "look again.")}


@pytest.fixture
def lab(pairs):
    lab = WrongLossLab(pairs)
    yield lab
    lab.close()
    plt.close("all")


def test_the_curves_images_and_codes_are_those_of_the_runs(pairs):
    wrong, right, _ = pairs["one"]
    axes = drawn(pairs["one"])
    for name, title in (("reconstruction", "reconstruction"), ("kl", "KL")):
        (ax,) = [ax for ax in axes if title_of(ax) == f"reported {title}, nats"]
        lines = {line.get_label(): line.get_ydata() for line in ax.lines}
        np.testing.assert_array_equal(lines["wrong"], wrong.curves[f"val_{name}"])
        np.testing.assert_array_equal(lines["right"], right.curves[f"val_{name}"])
        assert ax.get_yscale() == "linear"
    for title, shown in (("wrong", wrong), ("right", right)):
        (ax,) = [ax for ax in axes if title_of(ax) == title]
        tiles = np.asarray(ax.images[0].get_array())
        np.testing.assert_array_equal(tiles[:9, :7], shown.images[0, 0])
        np.testing.assert_array_equal(tiles[-9:, -7:], shown.images[2, -1])
        np.testing.assert_array_equal([label.get_text() for label in ax.get_yticklabels()], ["test", "its copy", "new"])
    for ax, shown in zip(planes(axes), (wrong, right), strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), shown.codes)
    plt.close("all")


def test_what_the_loss_reports_and_what_the_networks_are_worth_are_drawn(pairs):
    (ax,) = [ax for ax in drawn(pairs["one"]) if "worth" in title_of(ax)]
    ticks = [line.get_xdata()[0] for line in ax.lines]
    assert ticks == [pairs["one"].wrong.reported, pairs["one"].right.reported]
    assert [text.get_text() for text in ax.texts].count("123.5") == 2
    low, high = ax.get_xlim()
    assert low < min(ticks) and high > 123.456
    plt.close("all")


def test_the_whole_cloud_and_the_circle_are_in_view(pairs):
    wide = pairs["one"].wrong._replace(codes=100 * pairs["one"].wrong.codes)
    tight = pairs["one"].wrong._replace(codes=0.01 * pairs["one"].wrong.codes)
    for ax, shown in zip(planes(drawn(Pair(wide, tight, ""))), (wide, tight), strict=True):
        low, high = ax.get_xlim()
        assert low < -2 and high > 2 and low < shown.codes.min() and high > shown.codes.max()
    plt.close("all")


def test_the_marker_stands_at_the_epoch_or_at_the_end_of_a_shorter_run(lab, pairs):
    now = lab.numbers(mistake="two", epoch=4)
    assert now["epoch"] == [3, 4]
    for name in ("reconstruction", "kl", "loss"):
        curves = [run.curves[f"val_{name}"] for run in pairs["two"][:2]]
        assert now[f"{name}_at"] == [curves[0][2], curves[1][3]]
        assert lab.numbers(mistake="one", epoch=1)[f"{name}_at"] == [
            r.curves[f"val_{name}"][0] for r in pairs["one"][:2]
        ]
    ax = lab.figure(mistake="two", epoch=2).axes[0]
    places = [line.get_xydata()[0].tolist() for line in ax.lines if line.get_markersize() == 7]
    assert places == [[2, run.curves["val_reconstruction"][1]] for run in pairs["two"][:2]]


def test_the_axes_hold_both_curves_or_the_wrong_one(lab, pairs):
    both, alone = (lab.numbers(mistake="two", zoom=zoom)["kl_range"] for zoom in (False, True))
    wrong, right = (run.curves["val_kl"] for run in pairs["two"][:2])
    assert both[0] < right.min() and both[1] > wrong.max()
    assert right.max() < alone[0] < wrong.min() and alone[1] > wrong.max()


def test_every_entry_of_the_menu_has_its_own_picture_and_text(lab):
    assert [lab.numbers(mistake=name)["notice"] for name in ("one", "two")] == ["look.", "look again."]
    one, two = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(png_of(lab.figure(mistake=name))))))
        for name in ("one", "two")
    )
    assert one.shape == two.shape and (one != two).any()


def test_each_array_travels_once_and_whole(lab, pairs):
    data = lab.spec["data"]
    assert len(data["runs"]) == 3 and data["pairs"]["two"] == [2, 1, "look again."]
    for place, shown in ((0, pairs["one"].wrong), (1, pairs["one"].right)):
        kept = data["runs"][place]
        np.testing.assert_array_equal(unpacked(data["arrays"][kept["codes"]]), shown.codes)
        np.testing.assert_array_equal(unpacked(data["arrays"][kept["labels"]]), shown.labels)
        for row, place_of_row in zip(shown.images, kept["images"], strict=True):
            assert np.abs(unpacked(data["arrays"][place_of_row]) / 255 - row).max() <= 0.5 / 255 + 1e-9
    again = WrongLossLab({"one": pairs["one"], "same": pairs["one"]})
    assert len(again.spec["data"]["arrays"]) < len(data["arrays"])
    again.close()


def test_a_run_that_left_the_finite_numbers_is_shown_to_its_last_finite_epoch(pairs):
    curves = {name: np.array([3.0, 4.0, np.inf, np.nan]) for name in pairs["one"].wrong.curves}
    codes = np.where(np.arange(100).reshape(50, 2) < 5, np.nan, pairs["one"].wrong.codes)
    lab = WrongLossLab({"gone": Pair(pairs["one"].wrong._replace(curves=curves, codes=codes), pairs["one"].right, "")})
    assert lab.numbers(epoch=4)["kl_at"][0] == 4.0 and lab.numbers(epoch=4)["epoch"] == [2, 4]
    json.dumps(lab.spec, allow_nan=False)
    lab.figure()
    lab.close()


def test_bad_input_is_refused(lab):
    with pytest.raises(ValueError, match="pairs must hold at least one mistake"):
        WrongLossLab({})
    broken = Pair(run(0)._replace(nelbo=np.nan), run(1), "")
    with pytest.raises(ValueError, match="a run's nelbo must be finite to be drawn; received nan"):
        WrongLossLab({"broken": broken})
    with pytest.raises(ValueError, match="mistake must be one of"):
        lab.numbers(mistake="three")
