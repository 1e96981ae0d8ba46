"""Lab: a picture that the reader takes hold of, computed in the browser, with or without a kernel."""

import base64
import io

import anywidget
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from PIL import Image

from vaelib.mime import LAB_MIME
from vaelib.teaching.palette import css_variables
from vaelib.teaching.plots import STYLE
from vaelib.widgets import bundles
from vaelib.widgets.cells import replace_widgets_of_this_cell

# What a page needs once for all its labs.
MODULE = bundles.module("labs")
STYLE_SHEET = css_variables(".vaelib-lab") + bundles.style("labs")
SHARPNESS = 2  # pixels of a still picture per CSS pixel


class Lab(anywidget.AnyWidget):
    """The base of the course's labs; each is a Python class and a module of the same kind in js/labs.

    The browser computes what moves. Python holds the same formulas (`numbers`), so that a test can compare the two,
    and draws one still picture for pages without JavaScript.

        lab = ElboLab(model, x)
        lab                        # at the end of a cell
        lab.values = {"mu": 0.5}   # moves it on the page; the values not named stay
        lab.numbers(mu=0.5)        # what the page shows there

    Args:
        kind: name of the module in js/labs/index.js.
        controls: by name, a `Slider`, `Menu` or `Toggle`.
        data: what the module needs, JSON; arrays through `packed`.
        alt: one or two sentences on what the picture shows.

    Attributes:
        values: the controls' present values by name; set some of them to move the picture.

    Raises:
        traitlets.TraitError: values, here or later, hold an unknown name or a value that its control cannot take.
    """

    _esm = MODULE
    _css = STYLE_SHEET

    kind = traitlets.Unicode(read_only=True).tag(sync=True)
    spec = traitlets.Dict(read_only=True).tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(self, kind, controls, data, alt):
        self.controls, self.alt = dict(controls), alt
        self.set_trait("kind", kind)
        specs = [control.spec(name) for name, control in self.controls.items()]
        self.set_trait("spec", {"controls": specs, "data": data, "alt": alt})
        self.values = self.start
        super().__init__()
        replace_widgets_of_this_cell(self)

    def close(self):
        """Take the lab off the page and forget it."""
        if self.layout is not None:
            self.layout.close()  # a widget of its own, which nobody else closes
        super().close()

    @property
    def start(self):
        """The controls' values at the start, by name."""
        return {name: control.start for name, control in self.controls.items()}

    def numbers(self, **values):
        """Return what the picture shows at given values, by name, numbers and arrays; those left out as they are now.

        Raises:
            ValueError: an unknown name, or a value that its control cannot take.
        """
        return self.compute(**self.checked(values))

    def figure(self, **values):
        """Return the picture at given values as a matplotlib Figure; errors as `numbers`."""
        values = self.checked(values)
        with mpl.rc_context(STYLE):
            figure = self.draw(self.compute(**values), values)
        plt.close(figure)  # out of pyplot's hands: else the cell shows it a second time
        return figure

    def compute(self, **values):
        """Return the numbers at all values; each lab gives its own, and its module the same in the browser."""
        raise NotImplementedError

    def draw(self, now, values):
        """Return a Figure of these numbers; each lab gives its own."""
        raise NotImplementedError

    def checked(self, values):
        """Return all values, those not given as they are now, each as its control takes it."""
        unknown = set(values) - set(self.controls)
        if unknown:
            raise ValueError(f"values must use the names {list(self.controls)}; received {sorted(unknown)}.")
        return {**self.values, **{name: self.controls[name].check(name, value) for name, value in values.items()}}

    @traitlets.validate("values")
    def _check_values(self, proposal):
        try:
            return self.checked(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        # In both forms that the display machinery knows: the data alone, or with their metadata.
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        figure = self.figure()
        picture = {"width": int(figure.get_figwidth() * figure.get_dpi()), "alt": self.alt}
        still = {
            LAB_MIME: {"kind": self.kind, "spec": self.spec, "values": self.values},
            "image/png": png_of(figure),
            "text/plain": self.alt,
        }
        return {**data, **still}, {**metadata, "image/png": picture}


def png_of(figure):
    """Return a Figure as PNG, base64, sharp on dense screens."""
    file = io.BytesIO()
    with mpl.rc_context(STYLE):  # the layout is settled when the figure is drawn
        figure.savefig(file, format="png", dpi=SHARPNESS * figure.get_dpi())
    # A palette: a third of the bytes, which a committed notebook holds.
    picture = Image.open(file).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=0)
    small = io.BytesIO()
    picture.save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def packed(array):
    """Return an array as JSON that the browser unpacks: {dtype, shape, base64}.

    Args:
        array: float64, float32, int32 or uint8.
    Raises:
        ValueError: another type, or a number that is not finite.
    """
    array = np.ascontiguousarray(array)
    if array.dtype.name not in ("float64", "float32", "int32", "uint8"):
        raise ValueError(f"array must be of float64, float32, int32 or uint8; received {array.dtype}.")
    if not np.all(np.isfinite(array)):
        raise ValueError("array must hold finite numbers; received NaN or infinity.")
    bytes_ = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "base64": base64.b64encode(bytes_).decode()}
