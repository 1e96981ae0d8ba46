"""Plots: arrays in, Axes out. What they draw is read back from the Axes."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import norm

from vaelib.teaching import plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_tile_puts_images_side_by_side_row_by_row():
    images = np.array([[[0.1, 0.2]], [[0.3, 0.4]], [[0.5, 0.6]]])  # three images, one pixel high, two wide
    expected = np.array(
        [
            [0.1, 0.2, 1.0, 0.3, 0.4],
            [1.0, 1.0, 1.0, 1.0, 1.0],
            [0.5, 0.6, 1.0, 1.0, 1.0],
        ]
    )
    np.testing.assert_array_equal(plots.tile(images, rows=2), expected)
    np.testing.assert_array_equal(plots.tile(images[..., None], rows=2), expected)
    colour = plots.tile(np.stack([images, 0 * images, images], axis=-1), rows=2)
    np.testing.assert_array_equal(colour[..., 0], expected)
    np.testing.assert_array_equal(colour[..., 1], np.where(np.isin(expected, images), 0, expected))
    np.testing.assert_array_equal(plots.tile(images, rows=1, gap=0), [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    np.testing.assert_array_equal(plots.tile(images, rows=3, gap=0), [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])


def test_tile_chooses_about_as_many_rows_as_columns():
    assert plots.tile(np.zeros((9, 4, 5)), gap=0).shape == (12, 15)
    assert plots.tile(np.zeros((10, 4, 5)), gap=2).shape == (3 * 6 - 2, 4 * 7 - 2)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5, 2), (0, 4, 5), (4,), ()])
def test_tile_refuses_what_is_no_list_of_images(shape):
    with pytest.raises(ValueError, match=r"images must have shape \(n, height, width\)"):
        plots.tile(np.zeros(shape))
    with pytest.raises(ValueError, match="rows must be a whole number of at least 1; received 0"):
        plots.tile(np.zeros((2, 4, 5)), rows=0)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_show_image_draws_the_pixels_on_the_full_grey_scale(shape):
    image = np.linspace(0.2, 0.4, 20).reshape(shape)
    ax = plots.show_image(image, title="a face")
    drawn = ax.get_images()[0]
    np.testing.assert_array_equal(drawn.get_array(), image.reshape(4, 5))
    assert drawn.get_clim() == (0, 1) and ax.get_title() == "a face"
    with pytest.raises(ValueError, match=r"image must have shape .* received \(4, 5, 2\)"):
        plots.show_image(np.zeros((4, 5, 2)))


def test_show_image_draws_colours():
    image = np.linspace(0, 1, 60).reshape(4, 5, 3)
    np.testing.assert_array_equal(plots.show_image(image).get_images()[0].get_array(), image)


def test_show_image_draws_in_the_axes_it_is_given():
    _, ax = plt.subplots()
    assert plots.show_image(np.zeros((2, 2)), ax) is ax


def test_image_row_draws_one_labelled_strip_per_row():
    rows = [np.zeros((3, 4, 5)), np.ones((3, 4, 5, 1))]
    axes = plots.image_row(rows, labels=["x", "mean"])
    assert axes.shape == (2,) and [ax.get_ylabel() for ax in axes] == ["x", "mean"]
    np.testing.assert_array_equal(axes[0].get_images()[0].get_array(), plots.tile(rows[0], rows=1))
    assert plots.image_row(rows[:1]).shape == (1,)


def test_image_row_refuses_rows_that_do_not_match():
    with pytest.raises(ValueError, match="rows must hold as many images of one size each"):
        plots.image_row([np.zeros((3, 4, 5)), np.zeros((2, 4, 5))])
    with pytest.raises(ValueError):
        plots.image_row([np.zeros((3, 4, 5))], labels=["a", "b"])


def test_training_curves_draw_the_loss_and_its_two_parts():
    curves = {"loss": [5.0, 3.0], "reconstruction": [4.0, 2.5], "kl": [1.0, 0.5], "val_loss": [6.0, 4.0]}

    class History:
        history = curves

    for given in (curves, History(), dict(sorted(curves.items()))):  # Keras sorts the names
        axes = plots.training_curves(given)
        assert len(axes) == 3 and axes[0].get_title() == "NELBO = reconstruction + KL"
        for ax, key in zip(axes, ["loss", "reconstruction", "kl"], strict=True):
            np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2])
            np.testing.assert_array_equal(ax.lines[0].get_ydata(), curves[key])
            assert ax.get_xlabel() == "epoch"
        np.testing.assert_array_equal(axes[0].lines[1].get_ydata(), [6.0, 4.0])
        assert [len(ax.lines) for ax in axes] == [2, 1, 1]
        assert axes[0].get_ylabel() == "nats per example"
        assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["training", "validation"]


def test_training_curves_draw_whatever_an_objective_reports():
    curves = {"loss": [5.0, 3.0], "nelbo": [6.0, 4.0], "learning_rate": [0.1, 0.01], "val_nelbo": [7.0, 5.0]}
    axes = plots.training_curves(curves)
    assert [ax.get_title() for ax in axes] == ["loss", "nelbo"]
    np.testing.assert_array_equal(axes[1].lines[1].get_ydata(), [7.0, 5.0])
    weighted = {"loss": [9.0, 5.0], "reconstruction": [4.0, 2.5], "kl": [1.0, 0.5]}  # beta is not 1: no NELBO
    assert plots.training_curves(weighted)[0].get_title() == "loss"


def test_the_scatters_legend_has_one_entry_per_class():
    z = np.arange(12.0).reshape(6, 2)
    ax = plots.latent_scatter(z, np.array([7, 1, 7, 3, 1, 7]))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["1", "3", "7"]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), z[[1, 4]])
    np.testing.assert_array_equal(ax.collections[2].get_offsets(), z[[0, 2, 5]])
    colours = {tuple(points.get_facecolor()[0]) for points in ax.collections}
    assert len(colours) == 3 and ax.get_xlabel() == "$z_1$" and ax.get_ylabel() == "$z_2$"


def test_ten_classes_have_ten_colours():
    assert len(set(plots.CLASS_COLOURS)) == 10
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS)


def test_the_scatter_is_coloured_by_time_with_a_colour_bar():
    z, times = np.arange(12.0).reshape(6, 2), np.arange(6)
    ax = plots.latent_scatter(z, times=times)
    np.testing.assert_array_equal(ax.collections[0].get_array(), times)
    assert ax.figure.axes[1].get_ylabel() == "frame" and ax.get_legend() is None


@pytest.mark.parametrize(
    "z, options, message",
    [
        (np.zeros((5, 3)), {}, r"z must have shape \(n, 2\) .* received \(5, 3\)"),
        (np.zeros(5), {}, r"z must have shape \(n, 2\)"),
        (np.zeros((5, 2)), {"labels": np.zeros(4)}, r"labels must have shape \(5,\).*received \(4,\)"),
        (np.zeros((5, 2)), {"labels": np.zeros((5, 10))}, r"labels must have shape \(5,\).*received \(5, 10\)"),
        (np.zeros((5, 2)), {"times": np.zeros(6)}, r"times must have shape \(5,\).*received \(6,\)"),
    ],
)
def test_the_scatter_refuses_wrong_shapes(z, options, message):
    with pytest.raises(ValueError, match=message):
        plots.latent_scatter(z, **options)


def test_manifold_codes_are_even_in_probability_and_laid_out_as_the_picture():
    z = plots.manifold_codes(5, coverage=0.9).reshape(5, 5, 2)
    probabilities = [0.05, 0.275, 0.5, 0.725, 0.95]
    for row in z:
        np.testing.assert_allclose(norm.cdf(row[:, 0]), probabilities, atol=1e-6)  # z_1 to the right
    for column in z.swapaxes(0, 1):
        np.testing.assert_allclose(norm.cdf(column[:, 1]), probabilities[::-1], atol=1e-6)  # z_2 upwards
    np.testing.assert_array_equal(plots.manifold_codes(1), [[0, 0]])


@pytest.mark.parametrize("options", [{"per_side": 0}, {"per_side": 2.5}, {"coverage": 0.0}, {"coverage": 1.0}])
def test_manifold_codes_refuse_bad_sizes(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        plots.manifold_codes(**options)


def test_the_manifold_is_decoded_in_one_call_and_its_ticks_name_the_codes():
    calls = []

    def decode(z):
        calls.append(z)
        return np.broadcast_to(norm.cdf(z[:, 0])[:, None, None], (len(z), 4, 2)) * norm.cdf(z[:, 1])[:, None, None]

    ax = plots.manifold(decode, per_side=3, coverage=0.8)
    assert len(calls) == 1 and calls[0].shape == (9, 2)
    picture = np.asarray(ax.get_images()[0].get_array())
    assert picture.shape == (12, 6)
    # One value per image: the product of the two probabilities, largest in the upper right corner.
    grid = np.outer([0.9, 0.5, 0.1], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(picture[::4, ::2], grid, atol=1e-6)
    assert ax.get_images()[0].get_extent() == [0, 3, 0, 3] and ax.get_ylim() == (0, 3)


@pytest.mark.parametrize(("per_side", "named"), [(1, [0]), (10, range(-2, 3)), (201, range(-2, 3))])
def test_the_manifolds_ticks_are_whole_numbers_where_those_codes_are(per_side, named):
    ax = plots.manifold(lambda z: np.zeros((len(z), 2, 2)), per_side)
    middles = np.arange(per_side) + 0.5  # of the images, whose codes are known
    codes = plots.manifold_codes(per_side)[:per_side, 0]
    for places, labels in ((ax.get_xticks(), ax.get_xticklabels()), (ax.get_yticks(), ax.get_yticklabels())):
        assert [int(label.get_text().replace("\N{MINUS SIGN}", "-")) for label in labels] == list(named)
        # Steps are even in probability, so what lies between two images does too.
        np.testing.assert_allclose(np.interp(places, middles, norm.cdf(codes)), norm.cdf(named), atol=1e-6)


def test_the_style_is_one_for_the_course():
    with matplotlib.rc_context():
        plots.use_style()
        assert plt.rcParams["image.cmap"] == "gray"
        assert plt.rcParams["axes.prop_cycle"].by_key()["color"][0] == plots.COLOURS["blue"]
