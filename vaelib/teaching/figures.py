"""How a figure comes onto the page: sharp, with a caption, and with a text for those who do not see it.

`vaelib.teaching.plots.use_style` brings it into a kernel. Each figure is then drawn with twice the pixels, in as few
colours as it needs, and says in its metadata what a page asks for: its width, its alternative text, its caption, and
which parts of it are pictures, whose light and dark a dark page leaves as they are.
"""

import base64
import io
import re
import sys
import weakref
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

DPI = 160  # of the pixels; a page shows a figure at 80 to the inch, or wider
SHOWN_DPI = 80
PADDING = 0.08  # around what is drawn, inches


class Words(NamedTuple):
    """What was said about a figure."""

    caption: str | None
    alt: str | None


_words: weakref.WeakKeyDictionary[Figure, Words] = weakref.WeakKeyDictionary()


def show(caption, *, alt=None, figure=None):
    """Show the current figure with a caption below it: the last line of a cell that draws.

    Args:
        caption: what to see in it, one or two sentences. May hold formulas between dollar signs.
        alt: what is drawn, for those who do not see it; by default it is made of the titles, labels and legends.
        figure: a matplotlib Figure; the current one by default.

    Raises:
        TypeError: caption is not a text, as in `show(figure)`.
    """
    if not isinstance(caption, str) or not caption.strip():
        raise TypeError(f"caption must be a sentence that says what to see; received {caption!r}.")
    figure = figure or plt.gcf()
    _words[figure] = Words(" ".join(caption.split()), alt)
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        if mpl.get_backend().lower() != "agg":
            plt.show()
        return
    from IPython.display import display

    display(figure)
    plt.close(figure)
    text = {"text/plain": caption, "text/markdown": f"*{caption}*" if "*" not in caption else caption}
    # A page has the caption from the figure itself, and leaves this copy out.
    display(text, raw=True, metadata={"vaelib": "caption"})


def install():
    """Let this kernel show every figure in this way; elsewhere nothing happens."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell is None:
        return

    def shown(figure):
        # The inline backend registers formatters of its own when it starts, and those would go before this one.
        for formatter in shell.display_formatter.formatters.values():
            formatter.pop(Figure, None)
        return mimebundle(figure)

    shell.display_formatter.mimebundle_formatter.for_type(Figure, shown)


def mimebundle(figure):
    """Return a figure as the data and the metadata of an output."""
    caption, alt = _words.get(figure, Words(None, None))
    alt = alt or describe(figure)
    if not (figure.axes or figure.lines or figure.patches or figure.texts or figure.images):
        return {"text/plain": repr(figure)}, {}
    png, box = to_png(figure)
    about = {
        "width": round(SHOWN_DPI * box.width),
        "height": round(SHOWN_DPI * box.height),
        "alt": alt,
        "pictures": pictures(figure, box),
    }
    if caption:
        about["caption"] = caption
    return {"image/png": base64.b64encode(png).decode(), "text/plain": alt}, {"image/png": about}


def to_png(figure):
    """Draw a figure.

    Returns:
        (PNG bytes, Bbox of the part that holds anything, inches).
    """
    figure.canvas.draw()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    box = (
        box.padded(PADDING)
        if box is not None and np.isfinite(box.extents).all()
        else Bbox([[0, 0], figure.get_size_inches()])
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, bbox_inches=box)
    return with_few_colours(stream.getvalue()), box


def with_few_colours(png):
    """Return a PNG in the fewest bytes for what it shows: grey, or with a palette of 256 colours."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    pixels = np.asarray(image)
    if (pixels == pixels[..., :1]).all():
        image = image.convert("L")
    else:
        # A line with soft edges has a few hundred colours: no eye tells them from the nearest of 256.
        image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def pictures(figure, box):
    """Return where a figure shows images: left, top, right and bottom of each, as shares of the part `box` of it."""
    renderer = figure.canvas.get_renderer()
    found = []
    for ax in figure.axes:
        meshes = [part for part in ax.collections if isinstance(part, QuadMesh)]
        bar = getattr(ax, "_colorbar", None)  # it looks like what it explains
        if bar is not None and not hasattr(bar.mappable, "get_array"):
            continue
        if bar is not None and isinstance(bar.mappable, PathCollection):
            continue
        for part in [*ax.images, *meshes]:
            if not part.get_visible():
                continue
            extent = Bbox.intersection(part.get_window_extent(renderer), ax.get_window_extent(renderer))
            if extent is None or not np.isfinite(extent.extents).all():
                continue
            inches = extent.extents / figure.dpi
            left, right = (inches[[0, 2]] - box.x0) / box.width
            bottom, top = (inches[[1, 3]] - box.y0) / box.height
            found.append([round(float(v), 4) for v in np.clip([left, 1 - top, right, 1 - bottom], 0, 1)])
    return found


def describe(figure):
    """Return what a figure shows in words, made of its titles, the labels of its axes and its legends."""
    panels = [text for ax in figure.axes if ax.get_visible() and (text := _describe_axes(ax))]
    title = figure.get_suptitle()
    start = f"{_plain(title)}. " if title else ""
    if len(panels) == 1:
        return f"{start}{panels[0]}."
    return f"{start}{len(panels)} panels. " + " ".join(f"({i}) {panel}." for i, panel in enumerate(panels, 1))


def _describe_axes(ax):
    if getattr(ax, "_colorbar", None) is not None:
        label = _plain(ax.get_ylabel() or ax.get_xlabel())
        return f"Colour bar: {label}" if label else ""
    title = _plain(next((t for where in ("left", "center", "right") if (t := ax.get_title(loc=where))), ""))
    x, y = _plain(ax.get_xlabel()), _plain(ax.get_ylabel())
    axes = f"{y} against {x}" if x and y else f"along {x}" if x else y
    kinds = _kinds(ax)
    legend = ax.get_legend()
    names = [_plain(t.get_text()) for t in legend.get_texts()] if legend else [
        _plain(line.get_label()) for line in ax.lines if not str(line.get_label()).startswith("_")
    ]  # fmt: skip
    if not axes and ax.texts and not ax.images:  # a drawn diagram: its boxes say what it is
        kinds, names = [], [_plain(text.get_text()) for text in ax.texts]
    parts = [", ".join(part for part in (title, axes) if part), " and ".join(kinds), ", ".join(n for n in names if n)]
    return ": ".join(part for part in parts if part)


def _kinds(ax):
    curves = [line for line in ax.lines if line.get_linestyle() not in ("None", "", " ")]
    counts = {
        "image": len(ax.images) + sum(isinstance(c, QuadMesh) for c in ax.collections),
        "line": len(curves),
        "set of points": len(ax.lines) - len(curves) + sum(isinstance(c, PathCollection) for c in ax.collections),
        "area": sum(isinstance(c, PolyCollection) and not isinstance(c, PathCollection) for c in ax.collections),
        "set of bars": sum(isinstance(c, BarContainer) for c in ax.containers),
    }
    plural = {"set of points": "sets of points", "set of bars": "sets of bars"}
    return [f"{n} {kind if n == 1 else plural.get(kind, kind + 's')}" for kind, n in counts.items() if n]


def _plain(text):
    """A label without the marks of its formulas."""
    text = re.sub(r"\\(?:mathrm|mathbf|text|mathit|mathcal)\b", "", text.replace("\n", " "))
    text = re.sub(r"\\(\w+)", r"\1", text.replace(r"\mid", "|").replace(r"\|", "‖"))
    return re.sub(r"[${}]", "", text).strip().rstrip(".")
