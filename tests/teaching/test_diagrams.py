"""Architecture pictures: what they show is what the live model is."""

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers

import vaelib
from vaelib.teaching import diagrams


@pytest.fixture(autouse=True)
def canvas():
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture
def two_heads():
    x = keras.Input((28, 28), name="x")
    h = layers.Dense(7, name="hidden")(layers.Flatten(name="pixels")(x))
    return keras.Model(x, [layers.Dense(3, name="mu")(h), layers.Dense(3, name="log_var")(h)], name="heads")


@pytest.fixture
def whole(two_heads):
    """Two heads, a noise input, an arrow that passes several rows, and a model within the model."""
    x, eps = keras.Input((28, 28), name="x"), keras.Input((None, 3), name="eps")
    mu, log_var = two_heads(x)
    sigma = layers.Activation("exponential", name="sigma")(layers.Rescaling(0.5, name="half")(log_var))
    z = layers.Add(name="z")([mu, layers.Multiply(name="sigma_eps")([sigma, eps])])
    return keras.Model([x, eps], layers.Dense(784, name="logits")(z), name="whole")


def readers(model):
    nodes = diagrams.graph(model)
    return {node.name: [nodes[i].name for i in node.inputs] for node in nodes}


def test_the_graph_is_the_models(whole):
    assert readers(whole) == {
        "x": [],
        "eps": [],
        "heads": ["x"],
        "half": ["heads"],
        "sigma": ["half"],
        "sigma_eps": ["sigma", "eps"],
        "z": ["heads", "sigma_eps"],
        "logits": ["z"],
    }


def test_two_heads_fork(two_heads):
    assert readers(two_heads)["mu"] == readers(two_heads)["log_var"] == ["hidden"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: vaelib.dense_encoder((28, 28), 4),
        lambda: vaelib.conv_encoder((28, 20), 6),
        lambda: vaelib.conv_decoder(2, (28, 20), 1120),
        lambda: keras.Sequential([keras.Input((5,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(1)]),
    ],
)
def test_shapes_and_weights_are_those_of_the_model_in_use(build):
    model = build()
    nodes = diagrams.graph(model)
    assert sum(node.weights for node in nodes) == model.count_params()
    assert all(max(node.inputs, default=-1) < i for i, node in enumerate(nodes))
    # What the picture says of a layer, held against what comes out of it.
    x = np.zeros((3, *model.input_shape[1:]), "float32")
    probe = keras.Model(model.inputs, [layer.output for layer in model.layers])
    by_name = dict(zip([layer.name for layer in model.layers], probe([x]), strict=True))
    for node in nodes[1:]:
        assert node.shapes == ((None, *by_name[node.name].shape[1:]),)


def test_a_layer_used_twice_is_drawn_twice():
    shared, z = layers.Dense(4, name="shared"), keras.Input((4,), name="z")
    once = shared(z)
    assert len(diagrams.graph(keras.Model(z, once))) == 2
    nodes = diagrams.graph(keras.Model(z, shared(once)))
    assert [node.name for node in nodes] == ["z", "shared", "shared"] and nodes[2].inputs == (1,)


def boxes(ax):
    return [patch for patch in ax.patches if isinstance(patch, plt.Rectangle)]


def arrows(ax):
    return [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]


def test_every_layer_has_a_box_and_every_use_an_arrow(whole):
    ax = diagrams.architecture(whole)
    written = {text.get_text() for text in ax.texts}
    assert {"x", "eps", "heads", "sigma_eps", "logits"} <= written
    assert {"(batch, 28, 28)", "(batch, any, 3)", "(batch, 3) · (batch, 3)", "(batch, any, 784)"} <= written
    assert {"Dense, 3,136 weights", "Multiply", "input"} <= written
    assert len(boxes(ax)) == 8 and len(arrows(ax)) == 8
    assert ax.get_title() == "whole" or ax.get_title(loc="center") == "whole"


def test_boxes_lie_apart_and_inside_and_data_flow_down(whole, two_heads):
    for model in (whole, two_heads):
        nodes, ax = diagrams.graph(model), diagrams.architecture(model)
        frames = [box.get_bbox() for box in boxes(ax)]
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        for i, frame in enumerate(frames):
            assert left <= frame.x0 and frame.x1 <= right and bottom <= frame.y0 and frame.y1 <= top
            assert not any(frame.overlaps(other) for other in frames[:i])
            assert all(frames[j].y0 > frame.y1 for j in nodes[i].inputs)


def test_no_arrow_runs_through_a_box(whole):
    ax = diagrams.architecture(whole)
    frames = [box.get_bbox().padded(-1e-6) for box in boxes(ax)]
    for line, arrow in zip(ax.lines, arrows(ax), strict=True):
        path = np.vstack([line.get_xydata(), arrow.xy])
        for start, end in zip(path, path[1:], strict=False):
            points = start + np.linspace(0, 1, 200)[:, None] * (end - start)
            assert not any(frame.contains(*point) for frame in frames for point in points)


def test_an_arrow_starts_and_ends_at_its_boxes(two_heads):
    ax = diagrams.architecture(two_heads)
    nodes, frames = diagrams.graph(two_heads), [box.get_bbox() for box in boxes(ax)]
    drawn = {
        (tuple(np.round(line.get_xydata()[0], 6)), tuple(np.round(a.xy, 6)))
        for line, a in zip(ax.lines, arrows(ax), strict=True)
    }
    middle = [(f.x0 + f.x1) / 2 for f in frames]
    expected = {
        ((round(middle[j], 6), round(frames[j].y0, 6)), (round(middle[i], 6), round(frames[i].y1, 6)))
        for i, node in enumerate(nodes)
        for j in node.inputs
    }
    assert drawn == expected


def test_the_fill_says_what_a_box_is(whole):
    ax = diagrams.architecture(whole)
    fill = {node.name: box.get_facecolor() for node, box in zip(diagrams.graph(whole), boxes(ax), strict=True)}
    assert fill["x"] == fill["eps"] and fill["half"] == fill["z"]
    assert len({fill[name] for name in ("x", "heads", "z", "logits")}) == 4


def test_several_models_stand_side_by_side(two_heads, whole):
    axes = diagrams.architectures([two_heads, whole])
    assert [len(boxes(ax)) for ax in axes] == [5, 8] and axes[0].figure is axes[1].figure
    assert len(diagrams.architectures([two_heads])) == 1


def test_it_draws_into_given_axes(two_heads):
    ax = plt.subplots()[1]
    assert diagrams.architecture(two_heads, ax) is ax


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="received a Own. Of a VAE, draw vae.encoder"):
        diagrams.architecture(Own())
