"""Sliders over a picture of the kernel's: what moves, what is said where something is wrong, what is left behind."""

import io
import subprocess
import sys

import ipywidgets
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from vaelib.mime import LAB_MIME
from vaelib.widgets import cells
from vaelib.widgets.panel import Panel
from vaelib.widgets.png import to_png

SLIDERS = {"grey": (0.0, 1.0, 0.1, 0.5), "size": (1.0, 8.0, 1.0, 4.0)}


class Square(Panel):
    """A grey square."""

    def __init__(self, sliders=SLIDERS, labels=None):
        super().__init__(sliders, labels, width=80, alt="A square.")
        self.open()

    def draw(self, values):
        if values["grey"] > 0.85:
            raise ZeroDivisionError("no <q> there")
        pixels = np.zeros((8, 8), "uint8")
        pixels[: int(values["size"])] = round(255 * values["grey"])
        return pixels, f"grey {values['grey']:.1f}"

    @staticmethod
    def png(pixels):
        return to_png(pixels, 1, False)


@pytest.fixture
def panel():
    made = Square(labels={"grey": "the shade"})
    yield made
    made.close()


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


def test_moving_a_slider_updates_image_and_readout(panel):
    assert all(control.continuous_update for control in panel.controls.values())
    assert [control.description for control in panel.controls.values()] == ["the shade", "size"]
    panel.controls["grey"].value = 0.2
    assert np.array_equal(decoded(panel.image.value), panel.frame(grey=0.2))
    assert "grey 0.2" in panel.readout.value


def test_an_error_in_a_callback_shows_in_the_readout_and_passes(panel):
    last = panel.image.value
    panel.controls["grey"].value = 0.9
    assert "ZeroDivisionError: no &lt;q&gt; there (at the shade = 0.9" in panel.readout.value
    assert panel.image.value == last
    panel.controls["grey"].value = 0.1
    assert "Error" not in panel.readout.value
    with pytest.raises(ZeroDivisionError):  # headless, nothing is swallowed
        list(panel.sweep())


def test_a_sweep_goes_from_end_to_end():
    made = Square({"grey": (0.0, 0.8, 0.1, 0.5), "size": SLIDERS["size"]})
    positions = [frame.values["size"] for frame in made.sweep(num=3)][-3:]
    assert positions == [1.0, 4.5, 8.0]
    made.close()


def test_values_by_name_or_in_order(panel):
    assert np.array_equal(panel.frame([0.2, 3.0]), panel.frame({"grey": 0.2}, size=3.0))
    for bad, message in [
        ({"size": np.nan}, "size must be a number from 1 to 8; received nan"),
        ({"size": 9.0}, "size must be a number from 1 to 8; received 9.0"),
        ({"sigma": 1.0}, "names of the sliders .*received 'sigma'"),
        ([1.0], "one entry per slider"),
    ]:
        with pytest.raises(ValueError, match=message):
            panel.frame(bad)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ((3.0, -3.0, 0.1, 0.0), "low < high"),
        ((-3.0, 3.0, 0.0, 0.0), "0 < step"),
        ((-3.0, 3.0, 0.1, 4.0), "start between low and high"),
        ((-3.0, 3.0, 0.1), r"\(low, high, step, start\)"),
        ((-3.0, np.nan, 0.1, 0.0), r"\(low, high, step, start\)"),
        (["a", "b"], r"\(low, high, step, start\)"),
    ],
)
def test_ill_defined_sliders_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        Square({"grey": spec, "size": SLIDERS["size"]})


def test_wrong_labels_and_no_sliders_are_refused():
    with pytest.raises(ValueError, match="labels must use the names"):
        Square(labels={"nu": "ν"})
    with pytest.raises(ValueError, match="at least one"):
        Square({})


def test_a_panel_that_fails_at_the_start_raises_and_leaves_no_widget():
    before = set(ipywidgets.widgets.widget._instances)
    with pytest.raises(ZeroDivisionError):
        Square({"grey": (0.0, 1.0, 0.1, 0.9), "size": SLIDERS["size"]})
    assert set(ipywidgets.widgets.widget._instances) == before


def test_two_panels_do_not_disturb_each_other_and_closing_frees_all():
    before = set(ipywidgets.widgets.widget._instances)
    one, two = Square(), Square()
    image = two.image.value
    one.controls["grey"].value = 0.1
    assert two.image.value == image
    slider = one.controls["grey"]
    one.close()
    shown = one.image.value
    slider.value = 0.3
    assert one.image.value == shown
    two.close()
    assert set(ipywidgets.widgets.widget._instances) == before


def test_running_a_cell_again_closes_what_it_made_before(monkeypatch):
    parent = {}
    shell = type("Shell", (), {"get_parent": lambda self: parent})
    monkeypatch.setattr(cells, "get_ipython", shell)
    monkeypatch.setattr(cells, "_of_cell", {})

    def run(cell, execution, count=1):
        parent.update(metadata={"cellId": cell}, header={"msg_id": execution})
        return [Square() for _ in range(count)]

    first, second = run("a", "1", count=2)
    (elsewhere,) = run("b", "2")
    assert all(made.box.comm is not None for made in (first, second, elsewhere))
    (third,) = run("a", "3")
    assert [made.box.comm is None for made in (first, second, elsewhere, third)] == [True, True, False, False]
    third.close()
    elsewhere.close()


def test_a_headless_notebook_run_keeps_the_widgets_and_the_still_picture():
    sliders = "from vaelib.widgets import latent_sliders\nlatent_sliders(lambda z: z.reshape(1, 1, 2) * 0 + 0.5, 2)"
    lab = "from vaelib.theory.toy_models import LinearGaussian\nfrom vaelib.widgets.elbo_lab import ElboLab\n"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(sliders), nbformat.v4.new_code_cell(lab + "ElboLab(LinearGaussian(1.2), 2)")]
    )
    NotebookClient(notebook, kernel_name="python3").execute()
    (panel,), (shown,) = (cell.outputs for cell in notebook.cells)
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    for output in (panel, shown):
        assert output.data["application/vnd.jupyter.widget-view+json"]["model_id"] in states
    assert "Interactive: The decoded image. Sliders: z1, z2." in panel.data["text/plain"]
    assert shown.data[LAB_MIME]["values"] == {"mu": 0.0, "sigma": 1.0}
    assert shown.data["image/png"]
    assert shown.metadata["image/png"]["alt"] == shown.data["text/plain"]


def test_widgets_load_no_keras():
    modules = "vaelib.widgets.lab, vaelib.widgets.sliders, vaelib.widgets.elbo_lab, vaelib.widgets.predict"
    code = f"import sys, {modules}; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
