"""Architecture pictures of a live Keras model, with shapes, drawn from its graph by matplotlib alone."""

import math
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS

WIDTH, HEIGHT = 2.15, 0.56  # of a box, inches
GAP_ACROSS, GAP_DOWN = 0.2, 0.24  # between boxes, inches
PASSING = 0.3  # room for an arrow that passes a row of boxes, inches

# Pale fills, so that the text stays readable; one meaning each.
FILLS = {"input": COLOURS["orange"], "model": COLOURS["purple"], "weights": COLOURS["sky"], "plain": COLOURS["grey"]}


class Node(NamedTuple):
    """One use of a layer: a layer that the model uses twice gives two nodes.

    Attributes:
        name: the layer's name.
        kind: its class, for example "Dense".
        shapes: shapes of its outputs, the batch axis as None.
        weights: how many numbers it holds.
        inputs: positions in the list of the nodes that it reads.
        role: what it is in the picture: "input", "model" (one within the model), "weights" or "plain".
    """

    name: str
    kind: str
    shapes: tuple
    weights: int
    inputs: tuple
    role: str


def graph(model):
    """List a model's layers as the data pass them: each node after those that it reads.

    Args:
        model: a functional or a built Sequential keras.Model.

    Returns:
        List of Node.

    Raises:
        TypeError: the model has no graph of layers, as a subclass of keras.Model.
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise TypeError(
            "model must be a functional or a built Sequential keras.Model, whose layers form a graph; received a "
            f"{type(model).__name__}. Of a VAE, draw vae.encoder and vae.decoder."
        )
    nodes, position = [], {}

    def visit(tensor):
        layer, use, _ = tensor._keras_history
        key = (id(layer), use)
        if key not in position:
            source = layer._inbound_nodes[use]
            inputs = tuple(dict.fromkeys(visit(parent) for parent in source.input_tensors))
            shapes = tuple(tuple(output.shape) for output in source.output_tensors)
            weights = layer.count_params() if hasattr(layer, "count_params") else 0
            position[key] = len(nodes)
            nodes.append(Node(layer.name, type(layer).__name__, shapes, weights, inputs, _role(layer, weights)))
        return position[key]

    for tensor in [*model.inputs, *model.outputs]:
        visit(tensor)
    return nodes


def architecture(model, ax=None):
    """Draw a model: one box per layer with its kind, its number of weights and its output shapes; data flow downwards.

    Orange boxes are inputs, blue ones hold weights, grey ones hold none, purple ones are models of their own.

    Args:
        model: a functional or a built Sequential keras.Model.
        ax: the Axes to draw in; a new one of the right size by default.

    Returns:
        The Axes.

    Raises:
        TypeError: the model has no graph of layers, as a subclass of keras.Model.
    """
    nodes = graph(model)
    centres, roads, (width, height) = _layout(nodes)
    if ax is None:
        ax = plt.subplots(figsize=(width, height + 0.3))[1]
    for (start, end), road in roads.items():
        _arrow(ax, [centres[start], *road, centres[end]])
    for node, (x, y) in zip(nodes, centres, strict=True):
        fill = FILLS[node.role]
        ax.add_patch(
            plt.Rectangle(
                (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, facecolor=_pale(fill), edgecolor=fill, zorder=2
            )
        )
        holds = f", {node.weights:,} weights" if node.weights else ""
        kind = node.role if node.role in ("input", "model") else node.kind
        lines = [node.name, f"{kind}{holds}", " · ".join(map(shape_text, node.shapes))]
        for line, offset, weight in zip(lines, (0.16, 0, -0.16), ("bold", "normal", "normal"), strict=True):
            ax.text(x, y + offset, line, ha="center", va="center", fontsize=8, fontweight=weight, zorder=3)
    ax.set(xlim=(-width / 2, width / 2), ylim=(-height, 0), aspect="equal")
    ax.set_title(model.name, loc="center")
    ax.set_axis_off()
    return ax


def architectures(models):
    """Draw several models beside each other, boxes of the same size in all.

    Args:
        models: list of functional or built Sequential keras.Models.

    Returns:
        Array of Axes, one per model.

    Raises:
        TypeError: a model has no graph of layers.
    """
    sizes = [_layout(graph(model))[2] for model in models]
    widths = [width for width, _ in sizes]
    figsize = (sum(widths), max(height for _, height in sizes) + 0.3)
    axes = np.atleast_1d(plt.subplots(1, len(models), figsize=figsize, width_ratios=widths)[1])
    for model, ax in zip(models, axes, strict=True):
        architecture(model, ax).set_anchor("N")
    return axes


def shape_text(shape):
    """Write a shape with its batch axis by name, for example "(batch, 28, 28)"; another unknown size is "any"."""
    return f"({', '.join(['batch', *('any' if size is None else str(size) for size in shape[1:])])})"


def _role(layer, weights):
    import keras  # here only: who has a layer has loaded Keras

    if isinstance(layer, keras.layers.InputLayer):
        return "input"
    if isinstance(layer, keras.Model):
        return "model"
    return "weights" if weights else "plain"


def _pale(colour):
    return tuple(1 - 0.25 * (1 - channel) for channel in plt.matplotlib.colors.to_rgb(colour))


def _arrow(ax, points):
    """Draw an arrow from the foot of the first box, past the points between, to the head of the last box."""
    (x, y), *between, (end_x, end_y) = points
    path = [(x, y - HEIGHT / 2)]
    for across, middle in between:  # straight down through its gap in the row
        path += [(across, middle + HEIGHT / 2), (across, middle - HEIGHT / 2)]
    head = (end_x, end_y + HEIGHT / 2)
    ax.plot(*np.transpose(path), color=COLOURS["grey"], linewidth=1, zorder=1)
    ax.annotate(
        "", head, path[-1], arrowprops={"arrowstyle": "-|>", "color": COLOURS["grey"], "shrinkA": 0, "shrinkB": 0}
    )


def _layout(nodes):
    """Place the nodes in rows, inputs above what reads them.

    An arrow that passes a row gets a place of its own in it, so that none runs through a box.

    Returns:
        The centre of each node, the points that each arrow passes by (start, end), and the size: inches.
    """
    rows = _rows(nodes)
    places, chains = [[] for _ in range(max(rows) + 1)], {}
    for i, row in enumerate(rows):
        places[row].append(i)
    for end, node in enumerate(nodes):
        for start in node.inputs:
            passed = [(start, end, row) for row in range(rows[start] + 1, rows[end])]
            chains[start, end] = passed
            for place in passed:
                places[place[2]].append(place)
    neighbours = {place: [] for row in places for place in row}
    for (start, end), passed in chains.items():
        chain = [start, *passed, end]
        for above, below in zip(chain, chain[1:], strict=False):
            neighbours[above].append(below)
            neighbours[below].append(above)
    across = _across(places, neighbours)
    depth = {
        place: -(HEIGHT / 2 + 0.05) - row * (HEIGHT + GAP_DOWN) for row, group in enumerate(places) for place in group
    }
    width = 2 * max(abs(x) + _width(place) / 2 for place, x in across.items()) + 0.1
    height = len(places) * (HEIGHT + GAP_DOWN) - GAP_DOWN + 0.1
    roads = {key: [(across[place], depth[place]) for place in passed] for key, passed in chains.items()}
    return [(across[i], depth[i]) for i in range(len(nodes))], roads, (width, height)


def _rows(nodes):
    """The row of each node: below all that it reads, and an input right above the first that reads it."""
    rows = []
    for node in nodes:
        rows.append(1 + max((rows[i] for i in node.inputs), default=-1))
    for i, node in enumerate(nodes):
        readers = [rows[j] for j, reader in enumerate(nodes) if i in reader.inputs]
        if not node.inputs and readers:
            rows[i] = min(readers) - 1
    return rows


def _across(places, neighbours):
    """Order each row by the mean position of its neighbours, until few arrows cross; returns positions by place."""
    across, fewest = {}, (math.inf, math.inf)
    for sweep in range(9):
        trial = dict(across)
        rows = places if sweep % 2 == 0 else places[::-1]
        for row in rows:
            wanted = {p: [trial[n] for n in neighbours[p] if n in trial] for p in row}
            order = sorted(row, key=lambda p: float(np.mean(wanted[p] or [0.0])))
            start = -(sum(map(_width, row)) + GAP_ACROSS * (len(row) - 1)) / 2
            for place in order:
                trial[place] = start + _width(place) / 2
                start += _width(place) + GAP_ACROSS
        cost = _cost(trial, neighbours, places)
        if sweep == 0 or cost < fewest:
            fewest, best = cost, trial
        across = trial
    return best


def _cost(across, neighbours, places):
    """How many arrows cross, then how far they lean."""
    crossings, lean = 0, 0.0
    for upper, lower in zip(places, places[1:], strict=False):
        edges = [(across[a], across[b]) for a in upper for b in lower if b in neighbours[a]]
        lean += sum(abs(a - b) for a, b in edges)
        crossings += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(edges) for c, d in edges[:i])
    return crossings, lean


def _width(place):
    return WIDTH if isinstance(place, int) else PASSING
