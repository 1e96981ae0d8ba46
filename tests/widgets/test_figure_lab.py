"""Labs, driven without a browser: what they draw, what they say, what they clean up."""

import gc
import io
import subprocess
import sys
import types
import weakref

import ipywidgets
import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image
from scipy.stats import norm

from vaelib.teaching.palette import COLOURS
from vaelib.teaching.plots import STYLE
from vaelib.widgets import cells, panel
from vaelib.widgets.figure_lab import FigureLab

GRID = np.linspace(-8, 8, 401)
SLIDERS = {"mu": (-3.0, 3.0, 0.05, 0.0), "log_var": (-2.0, 2.0, 0.05, 0.0)}
ALT = "The density of a normal distribution, its logarithm, and its KL from the standard normal."


def gaussian_lab(**changes):
    """A complete lab as a notebook would write it: three axes, lines, a filled area, a bar, a static line."""
    with mpl.rc_context(STYLE):
        fig, (density, log_density, kl_axis) = plt.subplots(1, 3, figsize=(9, 3))
        density.plot(GRID, norm.pdf(GRID), color=COLOURS["grey"], label="N(0, 1)")
        (line,) = density.plot(GRID, norm.pdf(GRID), color=COLOURS["blue"], label="N(μ, σ²)")
        area = density.fill_between(GRID, 0, norm.pdf(GRID), color=COLOURS["blue"], alpha=0.3)
        density.set(ylim=(0, 1.2), xlabel="z", title="density")
        density.legend()
        (log_line,) = log_density.plot(GRID, norm.logpdf(GRID), color=COLOURS["blue"])
        log_density.set(ylim=(-20, 2), xlabel="z", title="log-density")
        bars = kl_axis.bar(["KL"], [0.0], color=COLOURS["vermillion"])
        kl_axis.set(ylim=(0, 10), ylabel="nats")

    def update(mu, log_var):
        y = np.exp(-0.5 * ((GRID - mu) ** 2 / np.exp(log_var) + log_var + np.log(2 * np.pi)))
        line.set_ydata(y)
        area.set_data(GRID, 0, y)
        log_line.set_ydata(np.log(y))
        kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var)
        bars[0].set_height(kl)
        return f"KL = {kl:.3f} nats"

    settings = {"labels": {"mu": "μ, the mean"}, "alt": ALT, **changes}
    lab = FigureLab(fig, update, [line, area, log_line, bars], SLIDERS, **settings)
    lab.axes = (density, log_density, kl_axis)
    return lab


@pytest.fixture(scope="module")
def lab():
    lab = gaussian_lab()
    yield lab
    lab.close()


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def pixel(lab, ax, x, y):
    """The row and column of the picture at a point in data coordinates: matplotlib counts rows from below."""
    across, up = ax.transData.transform((x, y))
    return lab.frame().shape[0] - up, across


def coloured(pixels, name, columns):
    """Rows and columns of the pixels between two columns that have exactly a palette colour."""
    rgb = [int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5)]
    inside = np.zeros(pixels.shape[:2], bool)
    inside[:, int(columns[0]) : int(columns[1])] = True
    return np.argwhere((pixels[..., :3] == rgb).all(axis=-1) & inside)


def columns_of(lab, ax):
    return pixel(lab, ax, ax.get_xlim()[0], 0)[1], pixel(lab, ax, ax.get_xlim()[1], 0)[1]


def test_bar_is_as_high_as_the_divergence_at_every_position(lab):
    ax = lab.axes[2]
    for values, pixels, text in lab.sweep(num=7, grid=True):
        q = norm(values["mu"], np.exp(0.5 * values["log_var"]))
        z = np.linspace(-12, 12, 4001) * q.std() + q.mean()
        kl = np.trapezoid(q.pdf(z) * (q.logpdf(z) - norm.logpdf(z)), z)  # by quadrature, not by the closed form
        assert text == f"KL = {kl:.3f} nats"
        rows = coloured(pixels, "vermillion", columns_of(lab, ax))[:, 0]
        if kl > 0.2:
            assert rows.min() == pytest.approx(pixel(lab, ax, 0, kl)[0], abs=2)
        else:
            assert len(rows) == 0 or rows.min() > pixel(lab, ax, 0, 0.3)[0]


@pytest.mark.parametrize("mu", [-3.0, -1.2, 0.0, 2.45])
def test_peak_of_the_line_is_at_mu_and_as_high_as_the_density(lab, mu):
    ax = lab.axes[0]
    spots = coloured(lab.frame(mu=mu), "blue", columns_of(lab, ax))
    spots = spots[spots[:, 0] > pixel(lab, ax, 0, 0.7)[0]]  # the legend lies above
    top = spots[spots[:, 0] == spots[:, 0].min()]
    row, column = pixel(lab, ax, mu, norm.pdf(0))
    assert top[:, 1].mean() == pytest.approx(column, abs=2.5)
    assert top[:, 0].mean() == pytest.approx(row, abs=2.5)


def test_a_frame_equals_a_full_drawing(lab):
    lab.frame(mu=-2.0, log_var=0.0)  # what an earlier frame leaves must not shine through
    frame = lab.frame(mu=1.0, log_var=-1.0).astype(int)
    for artist in lab.moving:
        artist.set_animated(False)
    lab._canvas.draw()
    full = np.asarray(lab._canvas.buffer_rgba()).astype(int)
    for artist in lab.moving:
        artist.set_animated(True)
    # Moving artists lie above spines and legend in a frame: some edge pixels differ, no more.
    assert np.mean(np.abs(frame - full).max(axis=-1) > 8) < 0.005
    assert np.mean(np.abs(frame - lab.frame(mu=-2.0, log_var=0.0)).max(axis=-1) > 8) > 0.02


def test_the_background_is_drawn_once_and_nothing_drifts():
    lab = gaussian_lab()
    first = lab.frame()
    frames = list(lab.sweep(num=5))
    assert len(frames) == 10
    assert lab.num_background_draws == 1
    assert np.array_equal(first, lab.frame())
    lab.close()


def test_what_is_not_declared_as_moving_is_still_drawn_right():
    fig, ax = plt.subplots()
    (line,) = ax.plot([0, 1], [0, 1])

    def update(a, title):
        line.set_ydata([0, a])
        ax.set_title("changed" if title else "")
        return f"{a}"

    lab = FigureLab(fig, update, line, {"a": (0.0, 1.0, 0.1, 1.0), "title": False}, alt="A line.")
    without, with_title = lab.frame(title=False), lab.frame(title=True)
    assert not np.array_equal(without, with_title)
    assert np.array_equal(without, lab.frame(title=False))
    assert lab.num_background_draws > 1
    lab.close()


def test_images_and_texts_move_too():
    fig, ax = plt.subplots()
    image = ax.imshow(np.zeros((4, 4)), vmin=0, vmax=1, cmap="gray")
    label = fig.text(0.05, 0.05, "")

    def update(level):
        image.set_data(np.full((4, 4), level))
        label.set_text(f"{level:.1f}")
        return f"{level:.1f}"

    lab = FigureLab(fig, update, {"image": image, "label": label}, {"level": (0.0, 1.0, 0.5, 0.0)}, alt="A grey.")
    row, column = (int(value) for value in pixel(lab, ax, 1.2, 1.2))
    assert [lab.frame(level=level)[row, column, 0] for level in (0.0, 0.5, 1.0)] == [0, pytest.approx(128, abs=1), 255]
    assert lab.num_background_draws == 1
    lab.close()


def test_moving_a_slider_updates_image_and_readout():
    lab = gaussian_lab()
    assert all(control.continuous_update for control in lab.controls.values())
    assert lab.controls["mu"].description == "μ, the mean"
    assert lab.controls["log_var"].description == "log var"
    before = decoded(lab.image.value)
    lab.controls["mu"].value = 2.0
    assert np.array_equal(decoded(lab.image.value), lab.frame(mu=2.0)[..., :3])
    assert not np.array_equal(decoded(lab.image.value), before)
    assert "KL = 2.000 nats" in lab.readout.value
    lab.close()


def test_the_static_picture_is_the_same_picture_with_its_words(lab):
    static = lab.static(mu=1.0)
    data, metadata = static._repr_mimebundle_()
    assert np.array_equal(decoded(data["image/png"]), lab.frame(mu=1.0)[..., :3])
    assert data["text/plain"] == metadata["image/png"]["alt"]
    for part in (ALT, "μ, the mean = 1", "log var = 0", "KL = 0.500 nats"):
        assert part in data["text/plain"]
    assert lab.image.layout.width == f"{static.width}px"


def test_an_error_in_a_callback_shows_in_the_readout_and_passes():
    lab = gaussian_lab()
    sound = lab.update

    def update(mu, log_var):
        if mu > 2:
            raise ZeroDivisionError("no <q> there")
        return sound(mu, log_var)

    lab.update = update
    lab.controls["mu"].value = 1.0
    last = lab.image.value
    lab.controls["mu"].value = 2.5
    assert "ZeroDivisionError: no &lt;q&gt; there (at μ, the mean = 2.5" in lab.readout.value
    assert lab.image.value == last
    lab.controls["mu"].value = 1.5
    assert "Error" not in lab.readout.value
    assert lab.image.value != last
    with pytest.raises(ZeroDivisionError):  # headless, nothing is swallowed
        list(lab.sweep())
    lab.close()


def test_choices_whole_numbers_and_check_boxes():
    fig, ax = plt.subplots()
    (line,) = ax.plot([0, 1], [0, 1])
    seen = []

    def update(**values):
        seen.append(values)
        line.set_visible(values["shown"])
        return str(values)

    sliders = {"n": (1, 4, 1, 2), "kind": [("forward KL", "f"), ("reverse KL", "r")], "shown": True}
    lab = FigureLab(fig, update, [line], sliders, alt="A line.")
    assert isinstance(lab.controls["n"], ipywidgets.IntSlider)
    frames = list(lab.sweep(num=9))
    assert [frame.values["n"] for frame in frames[:4]] == [1, 2, 3, 4]
    assert [frame.values["kind"] for frame in frames[4:6]] == ["f", "r"]
    assert not np.array_equal(lab.frame(shown=True), lab.frame(shown=False))
    assert len(list(lab.sweep(grid=True))) == 4 * 2 * 2
    with pytest.raises(ValueError, match="kind must be one of"):
        lab.frame(kind="x")
    with pytest.raises(ValueError, match="shown must be True or False"):
        lab.frame(shown=1)
    lab.close()


def test_values_by_name_or_in_order(lab):
    assert np.array_equal(lab.frame([1.0, -1.0]), lab.frame({"mu": 1.0}, log_var=-1.0))
    for bad, message in [
        ({"mu": np.nan}, "mu must be a number from -3 to 3; received nan"),
        ({"mu": 3.5}, "mu must be a number from -3 to 3; received 3.5"),
        ({"sigma": 1.0}, "names of the sliders .*received 'sigma'"),
        ([1.0], "one entry per slider"),
    ]:
        with pytest.raises(ValueError, match=message):
            lab.frame(bad)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ((3.0, -3.0, 0.1, 0.0), "low < high"),
        ((-3.0, 3.0, 0.0, 0.0), "0 < step"),
        ((-3.0, 3.0, 0.1, 4.0), "start between low and high"),
        ((-3.0, 3.0, 0.1), r"\(low, high, step, start\)"),
        ((-3.0, np.nan, 0.1, 0.0), r"\(low, high, step, start\)"),
        ([], "list of choices"),
    ],
)
def test_ill_defined_sliders_are_refused(spec, message):
    fig = mpl.figure.Figure()
    with pytest.raises(ValueError, match=message):
        FigureLab(fig, lambda mu: "", [], {"mu": spec}, alt="Nothing.")


def test_wrong_arguments_are_refused():
    fig, other = mpl.figure.Figure(), mpl.figure.Figure()
    line = other.subplots().plot([0, 1])[0]
    slider = {"mu": (0.0, 1.0, 0.1, 0.0)}
    with pytest.raises(ValueError, match=r"update must take the sliders' names \['mu'\]"):
        FigureLab(fig, lambda sigma: "", [], slider, alt="Nothing.")
    with pytest.raises(ValueError, match="belongs to another one"):
        FigureLab(fig, lambda mu: "", [line], slider, alt="Nothing.")
    with pytest.raises(TypeError, match="moving must hold matplotlib artists; received 'line'"):
        FigureLab(fig, lambda mu: "", ["line"], slider, alt="Nothing.")
    with pytest.raises(TypeError, match="return the readout as text; received NoneType"):
        FigureLab(fig, lambda mu: None, [], slider, alt="Nothing.")
    with pytest.raises(ValueError, match="labels must use the names"):
        FigureLab(fig, lambda mu: "", [], slider, alt="Nothing.", labels={"nu": "ν"})
    with pytest.raises(ValueError, match="at least one"):
        FigureLab(fig, lambda: "", [], {}, alt="Nothing.")


def test_a_lab_that_fails_at_the_start_raises_and_leaves_no_widget():
    before = set(ipywidgets.widgets.widget._instances)
    with pytest.raises(ZeroDivisionError):
        FigureLab(mpl.figure.Figure(), lambda mu: 1 / mu, [], {"mu": (0.0, 1.0, 0.1, 0.0)}, alt="Nothing.")
    assert set(ipywidgets.widgets.widget._instances) == before


def test_two_labs_do_not_disturb_each_other():
    one, two = gaussian_lab(), gaussian_lab()
    image, readout = two.image.value, two.readout.value
    one.controls["mu"].value = 2.0
    assert (two.image.value, two.readout.value) == (image, readout)
    one.close()
    two.controls["mu"].value = 2.0
    assert two.image.value != image
    assert "2.000" in two.readout.value
    two.close()


def test_closing_frees_listeners_figure_and_pyplot():
    widgets = set(ipywidgets.widgets.widget._instances)
    assert plt.get_fignums() == []
    lab = gaussian_lab()
    assert plt.get_fignums() == []
    slider, image = lab.controls["mu"], lab.image.value
    figure = weakref.ref(lab.figure)
    lab.close()
    slider.value = 2.0
    assert lab.image.value == image
    del lab, slider
    gc.collect()
    assert figure() is None
    assert set(ipywidgets.widgets.widget._instances) == widgets


def test_running_a_cell_again_closes_what_it_made_before(monkeypatch):
    parent = {}
    shell = types.SimpleNamespace(get_parent=lambda: parent)
    monkeypatch.setattr(cells, "get_ipython", lambda: shell)
    monkeypatch.setattr(cells, "_of_cell", {})

    def run(cell, execution, count=1):
        parent.update(metadata={"cellId": cell}, header={"msg_id": execution})
        return [gaussian_lab() for _ in range(count)]

    first, second = run("a", "1", count=2)
    (elsewhere,) = run("b", "2")
    assert all(lab.box.comm is not None for lab in (first, second, elsewhere))
    figure = weakref.ref(first.figure)
    (third,) = run("a", "3")
    assert [lab.box.comm is None for lab in (first, second, elsewhere, third)] == [True, True, False, False]
    del first, second
    gc.collect()
    assert figure() is None
    third.close()
    elsewhere.close()


def test_a_headless_notebook_run_keeps_the_widget_and_the_static_figure():
    source = """
import matplotlib.pyplot as plt
from vaelib.widgets.figure_lab import FigureLab
fig, ax = plt.subplots()
(line,) = ax.plot([0, 1], [0, 1])
def update(a):
    line.set_ydata([0, a])
    return f"slope {a:.1f}"
lab = FigureLab(fig, update, [line], {"a": (0.0, 1.0, 0.1, 0.5)}, alt="A line.")
lab.show()
"""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("lab.static(a=1.0)")]
    )
    NotebookClient(notebook, kernel_name="python3").execute()
    (shown,), (static,) = (cell.outputs for cell in notebook.cells)
    assert "Interactive: A line. Sliders: a." in shown.data["text/plain"]
    view = shown.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert view in states
    assert "ImageModel" in {state["model_name"] for state in states.values()}
    assert static.data["text/plain"] == "A line. At a = 1: slope 1.0"
    assert static.data["image/png"]
    assert static.metadata["image/png"]["alt"] == static.data["text/plain"]


def test_labs_load_no_keras():
    code = "import sys, vaelib.widgets.figure_lab, vaelib.widgets.sliders; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
