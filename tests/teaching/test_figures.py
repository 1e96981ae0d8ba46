"""Figures on the page: sharp, with caption and text; where their pictures lie; what a dark page makes of them."""

import base64
import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from IPython.utils.capture import capture_output
from PIL import Image

from vaelib.teaching import figures, plots
from vaelib.tools.site.figures import darken_png


@pytest.fixture(autouse=True)
def close_figures():
    with matplotlib.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def opened(data):
    return Image.open(io.BytesIO(base64.b64decode(data["image/png"])))


def test_a_figure_has_twice_the_pixels_of_its_place():
    plt.subplots(figsize=(5, 3))[1].plot([1, 2], [3, 4])
    data, metadata = figures.mimebundle(plt.gcf())
    about, image = metadata["image/png"], opened(data)
    np.testing.assert_allclose(image.size, (2 * about["width"], 2 * about["height"]), atol=2)
    assert abs(about["width"] - 5 * 80) < 20
    assert image.mode == "P" and data["text/plain"] == about["alt"]


def test_few_colours_are_the_same_colours():
    plt.subplots()[1].imshow(np.linspace(0, 1, 256).reshape(16, 16), cmap="gray")
    stream = io.BytesIO()
    plt.gcf().savefig(stream, format="png")
    full = np.asarray(Image.open(stream).convert("RGB")).astype(int)
    grey = Image.open(io.BytesIO(figures.with_few_colours(stream.getvalue())))
    assert grey.mode == "L" and (np.asarray(grey.convert("RGB")) == full).all()
    plt.gca().plot([0, 15], [0, 15], color="red")
    plt.gcf().savefig(stream := io.BytesIO(), format="png")
    full = np.asarray(Image.open(stream).convert("RGB")).astype(int)
    few = Image.open(io.BytesIO(figures.with_few_colours(stream.getvalue()))).convert("RGB")
    assert np.abs(np.asarray(few) - full).mean() < 1


def test_what_a_figure_says_of_itself():
    fig, axes = plt.subplots(1, 3)
    axes[0].plot([1, 2], label="$q_\\phi(z|x)$")
    axes[0].plot([2, 1], label="posterior")
    axes[0].fill_between([0, 1], [0, 1])
    axes[0].set(title="Two densities", xlabel="$z$", ylabel="density")
    axes[0].legend()
    axes[1].scatter([1, 2], [1, 2], c=[1, 2])
    axes[1].bar([1], [1])
    axes[2].imshow(np.eye(3))
    fig.colorbar(axes[2].images[0], label="nats")
    fig.suptitle("A title")
    assert figures.describe(fig) == (
        "A title. 4 panels. (1) Two densities, density against z: 2 lines and 1 area: q_phi(z|x), posterior. "
        "(2) 1 set of points and 1 set of bars. (3) 1 image. (4) Colour bar: nats."
    )


def test_where_the_pictures_lie_and_what_a_dark_page_leaves_alone():
    fig, (left, right) = plt.subplots(1, 2, figsize=(6, 3))
    left.plot([0, 1], [0, 1], color="black")
    right.imshow(np.eye(4), cmap="gray")
    data, metadata = figures.mimebundle(fig)
    ((x0, y0, x1, y1),) = metadata["image/png"]["pictures"]
    light = np.asarray(opened(data).convert("RGB"))
    height, width = light.shape[:2]
    dark = np.asarray(
        Image.open(io.BytesIO(darken_png(base64.b64decode(data["image/png"]), [[x0, y0, x1, y1]]))).convert("RGB")
    )
    assert light[2, 2].min() == 255 and dark[2, 2].max() < 40, "the paper"
    inside = np.s_[int(y0 * height) + 2 : int(y1 * height) - 2, int(x0 * width) + 2 : int(x1 * width) - 2]
    assert (light[inside].reshape(-1, 3).max(axis=1) > 250).mean() == pytest.approx(0.25, abs=0.02), (
        "the four white squares"
    )
    np.testing.assert_array_equal(light[inside], dark[inside])
    line = light[:, : width // 3].max(axis=2) < 30
    assert line.sum() > 100 and dark[:, : width // 3][line].min() > 200, "what is black on white is white on black"


def test_a_caption_stands_in_the_figure_and_below_it():
    shell = InteractiveShell.instance()
    try:
        select_figure_formats(shell, {"png"})  # as the inline backend does
        with capture_output() as captured:
            shell.run_cell(
                "import matplotlib.pyplot as plt\nfrom vaelib.teaching import plots\nplots.use_style()\n"
                "plt.plot([1, 2])\nplots.show('The line $y$\\n  rises.', alt='A line')"
            )
        figure, caption = captured.outputs
        about = figure.metadata["image/png"]
        assert opened(figure.data).width == pytest.approx(2 * about["width"], abs=2)
        assert about["caption"] == "The line $y$ rises." and about["alt"] == "A line" == figure.data["text/plain"]
        assert "rises." in caption.data["text/markdown"] and caption.metadata == {"vaelib": "caption"}
        assert not plt.get_fignums(), "it is not shown once more at the end of the cell"
        # A figure without a caption speaks for itself.
        plt.subplots()[1].set(xlabel="epoch", ylabel="nats")
        data, metadata = shell.display_formatter.format(plt.gcf())
        assert metadata["image/png"]["alt"] == "nats against epoch." and "caption" not in metadata["image/png"]
    finally:
        InteractiveShell.clear_instance()


def test_outside_a_notebook_nothing_is_shown_and_a_caption_is_a_text():
    plt.plot([1, 2])
    plots.show("A line.")
    with pytest.raises(TypeError, match="caption must be a sentence"):
        plots.show(plt.gcf())
    assert figures.mimebundle(plt.figure())[1] == {}, "an empty figure is no picture"
