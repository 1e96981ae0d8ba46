"""The base of all labs: values that hold, an output that every page can show, nothing left behind."""

import base64
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import traitlets
from ipywidgets.widgets.widget import _instances
from PIL import Image

from vaelib.mime import LAB_MIME
from vaelib.teaching import palette
from vaelib.theory.toy_models import LinearGaussian
from vaelib.widgets import Menu, Slider, Toggle, bundles, cells, lab
from vaelib.widgets.controls import Marks
from vaelib.widgets.elbo_lab import ElboLab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elbo():
    made = ElboLab(LinearGaussian(1.2, 0.5, 0.8), [2.5])
    yield made
    made.close()


def test_values_can_be_set_in_part(elbo):
    elbo.values = {"mu": 0.5}
    assert elbo.values == {"mu": 0.5, "sigma": 1.0}
    assert elbo.numbers()["gap"] == elbo.numbers(mu=0.5, sigma=1.0)["gap"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mu": 9.0}, "mu must be a number from -0.5 to 2.5; received 9.0"),
        ({"mu": float("nan")}, "mu must be a number from -0.5 to 2.5; received nan"),
        ({"mu": "0"}, "mu must be a number"),
        ({"nu": 1.0}, r"names \['mu', 'sigma'\]; received \['nu'\]"),
    ],
)
def test_values_that_cannot_be_are_refused_and_nothing_moves(elbo, values, message):
    with pytest.raises(traitlets.TraitError, match=message):
        elbo.values = values
    with pytest.raises(ValueError, match=message):
        elbo.numbers(**values)
    assert elbo.values == elbo.start


@pytest.mark.parametrize(
    "make",
    [
        lambda: Slider("a", 1.0, 0.0, 0.1, 0.5),
        lambda: Slider("a", 0.0, 1.0, 0.0, 0.5),
        lambda: Slider("a", 0.0, 1.0, 0.1, 2.0),
        lambda: Slider("a", 0.0, float("inf"), 0.1, 0.5),
        lambda: Menu("a", []),
        lambda: Menu("a", ["x", "x"]),
        lambda: Menu("a", ["x"], start="y"),
        lambda: Marks("a", 0, "01"),
        lambda: Marks("a", 3, "0"),
        lambda: Marks("a", 3, "00"),
    ],
)
def test_controls_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="received"):
        make()


def test_controls_know_their_positions():
    assert Slider("a", 0, 3, 1, 0).positions(99) == [0, 1, 2, 3]
    assert Slider("a", 0.0, 1.0, 0.1, 0.0).positions(3) == pytest.approx([0.0, 0.5, 1.0])
    assert Menu("a", ["x", "y"]).positions(9) == ["x", "y"]
    assert Toggle("a").positions(9) == [False, True]
    marks = Marks("a", 5, "xyz").positions(9)
    assert len(marks) == 9 and marks[0] == "xxxxx" and marks[-1] == "zzzzz" and {len(text) for text in marks} == {5}


def test_an_output_holds_the_lab_for_a_page_and_a_still_picture_for_the_rest(elbo):
    elbo.values = {"mu": 0.5}
    data, metadata = elbo._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data[LAB_MIME] == {"kind": "elbo", "spec": elbo.spec, "values": {"mu": 0.5, "sigma": 1.0}}
    assert data["text/plain"] == metadata["image/png"]["alt"] == elbo.alt
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.width == pytest.approx(2 * metadata["image/png"]["width"], abs=2)  # sharp on dense screens


def test_a_cell_that_runs_again_leaves_no_widget_behind(monkeypatch):
    class Shell:
        execution = 0

        def get_parent(self):
            return {"metadata": {"cellId": "one"}, "header": {"msg_id": str(self.execution)}}

    monkeypatch.setattr(cells, "_of_cell", {})
    monkeypatch.setattr(cells, "get_ipython", Shell)
    before = len(_instances)
    for execution in range(50):
        Shell.execution = execution
        made = ElboLab(LinearGaussian(1.2, 0.5, 0.8), [2.5])
    made.close()
    assert len(_instances) == before


def test_arrays_travel_whole():
    array = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    sent = lab.packed(array)
    assert sent["shape"] == [2, 3]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(sent["base64"]), "<f4").reshape(2, 3), array)
    with pytest.raises(ValueError, match="received NaN"):
        lab.packed(np.array([np.nan]))
    with pytest.raises(ValueError, match="received complex128"):
        lab.packed(np.array([1j]))


def test_the_style_gives_both_themes_every_colour():
    for colours in (palette.COLOURS, palette.DARK_COLOURS):
        assert all(f"--{name}: {colour}" in lab.STYLE_SHEET for name, colour in colours.items())
    assert palette.COLOURS.keys() == palette.DARK_COLOURS.keys()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="no Node.js was found on this machine")
def test_the_committed_bundles_are_built_from_the_sources(tmp_path):
    committed = {path.name: path.read_bytes() for path in bundles.FOLDER.iterdir() if path.suffix in (".js", ".css")}
    assert len(committed) == 8
    site = ROOT / "vaelib" / "tools" / "site" / "assets"
    committed |= {name: (site / name).read_bytes() for name in ("minisearch.js", "minisearch.LICENSE.txt")}
    places = [f"BUNDLES={tmp_path}", f"SEARCHED={tmp_path / 'minisearch.js'}"]
    command = ["make", "--always-make", "-C", str(ROOT), "widgets", *places]
    subprocess.run(command, check=True, capture_output=True, text=True)
    for name, content in committed.items():
        assert (tmp_path / name).read_bytes() == content, f"{name} is not what `make widgets` makes of the sources"
