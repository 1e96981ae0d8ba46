"""Named sliders over one picture that the kernel draws, updated in place, and a text readout."""

import html
import itertools
import math
import traceback
from typing import NamedTuple

import ipywidgets
import numpy as np
from IPython.display import display

from vaelib.widgets.cells import replace_widgets_of_this_cell
from vaelib.widgets.controls import is_finite


class Frame(NamedTuple):
    """One position of the sliders: their values by name, the picture as an array, the readout."""

    values: dict
    pixels: np.ndarray
    text: str


class StaticPicture:
    """A PNG that shows itself in a cell's output, with its description as plain text.

    Args:
        png: the PNG's bytes.
        alt: what the picture shows, in words.
        width: width on the page, CSS pixels.
        caption: a sentence that a page shows below it.
    """

    def __init__(self, png, alt, width, caption=None):
        self.png, self.alt, self.width, self.caption = png, alt, width, caption

    def _repr_mimebundle_(self, include=None, exclude=None):
        about = {"width": self.width, "alt": self.alt}
        if self.caption:
            about["caption"] = self.caption
        return {"image/png": self.png, "text/plain": self.alt}, {"image/png": about}

    def __repr__(self):
        return self.alt


class Panel:
    """Sliders, an image and a text under each other; a subclass gives `draw` and `png`.

    Args:
        sliders: by name, (low, high, step, start).
        labels: descriptions shown beside the sliders, by name; the name itself by default.
        width: width of the picture on the page, CSS pixels.
        alt: what the picture shows, in words.
    """

    def __init__(self, sliders, labels, width, alt):
        if not sliders:
            raise ValueError("sliders must name at least one value; received none.")
        unknown = set(labels or {}) - set(sliders)
        if unknown:
            raise ValueError(f"labels must use the names of the sliders {list(sliders)}; received {sorted(unknown)}.")
        self.width, self.alt = int(width), alt
        self.labels = {name: (labels or {}).get(name, name.replace("_", " ")) for name in sliders}
        self.controls = {name: _control(name, spec, self.labels[name]) for name, spec in sliders.items()}
        self.start = self.values
        self.image = ipywidgets.Image(format="png", layout={"width": f"{self.width}px", "max_width": "100%"})
        self.readout = ipywidgets.HTML()
        self.box = ipywidgets.VBox([*self.controls.values(), self.image, self.readout])

    def draw(self, values):
        """Return the picture, an array of uint8, and the readout for all values by name; a subclass gives it."""
        raise NotImplementedError

    def png(self, pixels):
        """Return a picture of `draw` as PNG bytes; a subclass gives it."""
        raise NotImplementedError

    def open(self):
        """Draw the first frame (an error here stops the cell, as it should) and listen to the sliders."""
        try:
            self._update()
        except Exception:
            self.close()
            raise
        for control in self.controls.values():
            control.observe(self._on_change, names="value")
        replace_widgets_of_this_cell(self)

    @property
    def values(self):
        """The sliders' present values, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def frame(self, values=None, **named):
        """Draw the picture for given values, without moving the sliders.

        Args:
            values: values by name, or in the order of the sliders; those left out stay at their start.
            named: the same as keyword arguments.

        Returns:
            Array of uint8 of shape (height, width) or (height, width, 3 or 4).

        Raises:
            ValueError: an unknown name, or a value that the slider cannot take.
        """
        return self.draw(self.checked(values, named))[0]

    def text(self, values=None, **named):
        """Return the readout for given values, which are those of `frame`."""
        return self.draw(self.checked(values, named))[1]

    def sweep(self, num=9, grid=False):
        """Drive the sliders over their whole ranges.

        Args:
            num: number of values per slider, evenly spaced from end to end.
            grid: every combination of values; by default one slider at a time, the others at their start.

        Yields:
            A Frame (values, pixels, text) per position.
        """
        spans = {name: np.linspace(control.min, control.max, num).tolist() for name, control in self.controls.items()}
        if grid:
            positions = [
                dict(zip(spans, combination, strict=True)) for combination in itertools.product(*spans.values())
            ]
        else:
            positions = [{**self.start, name: value} for name, span in spans.items() for value in span]
        for values in positions:
            yield Frame(values, *self.draw(values))

    def show(self):
        """Display the sliders, the picture and the readout in the cell's output."""
        if self.box.comm is None:
            print("These sliders are closed: run the cell that makes them again.")
            return
        data = self.box._repr_mimebundle_()
        names = ", ".join(self.labels.values())
        # Shown where no kernel runs, in place of the widget's class names.
        data["text/plain"] = f"[Interactive: {self.alt} Sliders: {names}. Run the notebook to move them.]"
        display(data, raw=True)

    def _ipython_display_(self):
        self.show()

    def close(self):
        """Free the sliders' listeners and take the panel off the page."""
        for control in self.controls.values():
            control.unobserve_all()
        for widget in (self.box, *self.controls.values(), self.image, self.readout):
            # Layouts and styles are widgets of their own, which nobody else closes.
            for part in (widget, widget.layout, getattr(widget, "style", None)):
                if part is not None:
                    part.close()

    def _update(self):
        pixels, text = self.draw(self.values)
        self.image.value = self.png(pixels)
        self.readout.value = _paragraph(text)

    def _on_change(self, _):
        try:
            self._update()
        except Exception as error:
            # An exception in a callback would otherwise vanish in the kernel's log.
            details = "".join(traceback.format_exception(error))
            at = self.describe(self.values)
            summary = f"{type(error).__name__}: {error} (at {at}; the picture is that of the last good values)"
            self.readout.value = (
                f'<div style="color: #b00020; white-space: pre-wrap">{html.escape(summary)}</div>'
                f"<details><summary>Where it happened</summary><pre>{html.escape(details)}</pre></details>"
            )

    def describe(self, values):
        """Return the values in words, by the sliders' labels."""
        return ", ".join(f"{self.labels[name]} = {_readable(value)}" for name, value in values.items())

    def checked(self, values, named):
        """Return all values by name, those left out at their start; arguments and errors as `frame`."""
        if values is None:
            values = {}
        elif not isinstance(values, dict):
            values = np.atleast_1d(values).tolist()
            if len(values) != len(self.controls):
                raise ValueError(
                    f"values must have one entry per slider {list(self.controls)}; received {len(values)}."
                )
            values = dict(zip(self.controls, values, strict=True))
        values = {**values, **named}
        for name, value in values.items():
            if name not in self.controls:
                raise ValueError(f"values must use the names of the sliders {list(self.controls)}; received {name!r}.")
            _check_value(name, value, self.controls[name])
        return {**self.start, **values}


def _control(name, spec, label):
    if not (isinstance(spec, tuple) and len(spec) == 4 and all(is_finite(value) for value in spec)):
        raise ValueError(f"sliders[{name!r}] must be (low, high, step, start); received {spec!r}.")
    low, high, step, start = spec
    if not (low < high and 0 < step <= high - low and low <= start <= high):
        raise ValueError(
            f"sliders[{name!r}] must be (low, high, step, start) with low < high, 0 < step <= high - low and start "
            f"between low and high; received {spec!r}."
        )
    return ipywidgets.FloatSlider(
        min=float(low),
        max=float(high),
        step=float(step),
        value=float(start),
        continuous_update=True,
        readout_format=f".{_decimals(step)}f",
        description=label,
        style={"description_width": "12em"},
        layout={"width": "36em", "max_width": "100%"},
    )


def _decimals(step):
    return next((places for places in range(6) if math.isclose(round(step, places), step, rel_tol=1e-6)), 6)


def _check_value(name, value, control):
    if not (is_finite(value) and control.min <= value <= control.max):
        raise ValueError(f"{name} must be a number from {control.min:g} to {control.max:g}; received {value!r}.")


def _readable(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _paragraph(text):
    # Figures of one width, so that the text does not tremble while a slider moves.
    style = "white-space: pre-wrap; font-variant-numeric: tabular-nums; line-height: 1.4"
    return f'<div style="{style}">{html.escape(text)}</div>'
