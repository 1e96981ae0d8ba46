"""Labs: a matplotlib picture that follows sliders at a few milliseconds a frame."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from vaelib.teaching.plots import STYLE
from vaelib.widgets.panel import Panel, StaticPicture, check_arguments
from vaelib.widgets.png import png_bytes

# Drawn finer than shown, so that lines and text stay sharp on dense screens. Not finer still: three quarters of a
# frame's time go into the PNG, which grows with the pixels.
PIXEL_RATIO = 1.25


class FigureLab(Panel):
    """A figure that follows named sliders, with a text readout below.

    The figure is drawn once. What moves is drawn again on a kept copy of the rest (blitting), so that a frame costs a
    few milliseconds and not a hundred. Moving artists lie above all others. Axis limits stay as they are at the start:
    set them wide enough for the whole range. Text is slow to draw: put numbers in the readout, not in the picture.
    An update that changes anything else (a title, a tick, a fixed line) is still drawn right, but at the full cost;
    `num_background_draws` counts how often that happened (1 is the first drawing).

        fig, ax = plt.subplots()
        (line,) = ax.plot(x, density(x, 0.0, 0.0))

        def update(mu, log_var):
            line.set_ydata(density(x, mu, log_var))
            return f"peak {line.get_ydata().max():.3f}"

        lab = FigureLab(fig, update, moving=[line], sliders={"mu": (-3, 3, 0.05, 0.0), "log_var": (-2, 2, 0.05, 0.0)},
                  alt="The density of a normal distribution.")
        lab.show()            # in one cell
        lab.static(mu=1.0)    # in the next: the same picture where no kernel runs

    Args:
        figure: a matplotlib Figure, complete; from `plt.subplots` or made directly. The lab takes it over.
        update: function of the sliders' values, by name; changes the moving artists (`set_data`, `set_height`, ...)
            and returns the readout, plain text.
        moving: the artists that update changes; lists and containers such as the bars of `ax.bar` are taken apart.
        sliders: by name, (low, high, step, start) for a slider (whole numbers only make a slider of whole numbers),
            a list of choices or of (text, value) pairs for a menu, True or False for a check box.
        labels: descriptions shown beside the sliders, by name; the name by default. Say what the value is: screen
            readers have nothing else.
        alt: one sentence on what the picture shows; it goes with the static picture.

    Raises:
        ValueError: the sliders are ill-defined, update does not take their names, or something in moving is not
            part of the figure.
        TypeError: update returns no text, or something in moving is no artist.
    """

    def __init__(self, figure, update, moving, sliders, *, alt, labels=None):
        check_arguments(update, sliders)
        moving = sorted(_artists(moving, figure), key=lambda artist: artist.get_zorder())
        shown_width = figure.get_figwidth() * figure.get_dpi()
        plt.close(figure)  # out of pyplot's hands: else the cell shows it a second time, and it is kept for ever
        self.figure, self.update, self.moving = figure, update, moving
        self._canvas = FigureCanvasAgg(figure)
        self._background, self.num_background_draws = None, 0
        with mpl.rc_context(STYLE):
            figure.set_dpi(figure.get_dpi() * PIXEL_RATIO)
            figure.draw_without_rendering()  # settles the limits and the layout with everything in its place
            figure.set_layout_engine("none")
            for ax in figure.axes:
                ax.set_autoscale_on(False)
            for artist in moving:
                artist.set_animated(True)
        super().__init__(sliders, labels, shown_width, alt)
        self.open()

    def static(self, values=None, **named):
        """Return the picture for given values as an ordinary output of a cell.

        Args:
            values: values by name, or in the order of the sliders; those left out stay at their start.
            named: the same as keyword arguments.

        Returns:
            A picture that displays itself as PNG, with its description, the values and the readout as text.
        """
        values = self.checked(values, named)
        pixels, text = self.draw(values)
        return StaticPicture(self.png(pixels), f"{self.alt} At {self.describe(values)}: {text}", self.width)

    def draw(self, values):
        text = self.update(**values)
        if not isinstance(text, str):
            raise TypeError(
                f"update must return the readout as text; received {type(text).__name__}. The numbers in it are what "
                "a screen reader reads."
            )
        # Animated artists do not mark the figure stale; whatever else changes does.
        if self._background is None or self.figure.stale:
            with mpl.rc_context(STYLE):
                self._canvas.draw()
            self._background = self._canvas.copy_from_bbox(self.figure.bbox)
            self.num_background_draws += 1
        self._canvas.restore_region(self._background)
        renderer = self._canvas.get_renderer()
        for artist in self.moving:
            artist.draw(renderer)
        return np.array(self._canvas.buffer_rgba()), text

    @staticmethod
    def png(pixels):
        return png_bytes(Image.fromarray(pixels).convert("RGB"))


def _artists(moving, figure):
    if isinstance(moving, Artist):
        # Not `moving in figure.get_children()`: artists stand at any depth.
        if moving.get_figure(root=True) is not figure:
            raise ValueError(
                f"moving must hold artists of the lab's figure; {moving} belongs to another one or to none."
            )
        return [moving]
    if isinstance(moving, dict):
        moving = moving.values()
    elif not isinstance(moving, list | tuple | np.ndarray):
        raise TypeError(f"moving must hold matplotlib artists; received {moving!r}.")
    return [artist for part in moving for artist in _artists(part, figure)]
