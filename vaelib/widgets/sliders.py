"""Latent sliders: plain ipywidgets sliders that move a decoded image, for any decoder."""

import math

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from vaelib.checks import positive_int, real_array
from vaelib.teaching.plots import STYLE
from vaelib.widgets.decoding import checked_names, decode_function, decoded_image
from vaelib.widgets.panel import Panel, StaticPicture
from vaelib.widgets.png import png_bytes, to_png

# Standard deviations of the prior on each side: 98.8 % of a standard normal coordinate. Beyond that a decoder has
# seen next to no codes in training, and its pictures show the network's extrapolation, not the data.
PRIOR_REACH = 2.5
# The kernel enlarges a smooth image this far, the browser does the rest: bicubic tenfold costs a millisecond.
MAX_SMOOTH_SCALE = 4


def latent_sliders(
    decode, latent_dim=None, names=None, ranges=None, start=None, axes=None, scale=10, smooth=True, alt=None
):
    """Make sliders that move through a latent space, with the decoded image below.

    Args:
        decode: a VAE, or a function from codes (1, latent_dim) to images (1, height, width), optionally with a last
            axis of 1 or 3 channels, pixels in [0, 1].
        latent_dim: number of latent dimensions; a VAE and a NumpyDecoder know theirs.
        names: one name per slider; z1, z2, ... by default.
        ranges: (low, high) for all sliders, or one pair per slider; by default 2.5 standard deviations of the prior
            on each side.
        start: the code to start from, shape (latent_dim,); the prior's mean by default.
        axes: directions in latent space, shape (latent_dim, number of sliders): z = start + axes @ values, the
            sliders start at 0. By default each slider is a coordinate of z.
        scale: screen pixels per pixel.
        smooth: enlarge smoothly; otherwise each pixel is a square.
        alt: one sentence on what the picture shows.

    Returns:
        LatentSliders, with `show`, `static`, `frame`, `text`, `sweep` and `close`.

    Raises:
        ValueError: names, ranges, start or axes do not match the latent dimension or are not finite; or decode gives
            no image.
    """
    return LatentSliders(decode, latent_dim, names, ranges, start, axes, scale, smooth, alt)


class LatentSliders(Panel):
    """Sliders over a latent space; made by `latent_sliders`."""

    def __init__(
        self, decode, latent_dim=None, names=None, ranges=None, start=None, axes=None, scale=10, smooth=True, alt=None
    ):
        self.decode, self.latent_dim = decode_function(decode, latent_dim)
        self.scale, self.smooth = positive_int("scale", scale), smooth

        start = np.zeros(self.latent_dim) if start is None else real_array("start", start)
        if start.shape != (self.latent_dim,):
            raise ValueError(f"start must have shape ({self.latent_dim},); received {start.shape}.")
        if axes is None:
            self.axes, self.offset, first = np.eye(self.latent_dim), np.zeros(self.latent_dim), start
        else:
            self.axes, self.offset = _checked_axes(axes, self.latent_dim), start
            first = np.zeros(self.axes.shape[1])
        names = checked_names(
            names,
            [f"{'z' if axes is None else 'direction '}{i + 1}" for i in range(self.axes.shape[1])],
            f"{self.latent_dim} latent dimensions" if axes is None else f"{self.axes.shape[1]} columns of axes",
        )

        lengths = np.linalg.norm(self.axes, axis=0)
        self._directions = self.axes / lengths
        if ranges is None:
            centre = self.offset @ self._directions
            ranges = np.stack([-PRIOR_REACH - centre, PRIOR_REACH - centre], axis=1) / lengths[:, None]
        ranges = np.broadcast_to(real_array("ranges", ranges), (len(names), 2))
        for name, value, (low, high) in zip(names, first, ranges, strict=True):
            if not low <= value <= high:
                raise ValueError(
                    f"start must lie within the sliders' ranges; {name} starts at {value:g}, "
                    f"outside [{low:g}, {high:g}]."
                )
        sliders = {
            name: (float(low), float(high), float(high - low) / 100, float(value))
            for name, value, (low, high) in zip(names, first, ranges, strict=True)
        }
        image = decoded_image(self.decode, self.offset + self.axes @ first)
        super().__init__(sliders, None, image.shape[1] * self.scale, alt or "The decoded image.")
        for control in self.controls.values():
            control.readout_format = ".2f"
        self.open()

    def code(self, values=None, **named):
        """Return the latent code z, shape (latent_dim,), for given slider values (those of `frame`)."""
        return self._code(self.checked(values, named))

    def static(self, values_list=None):
        """Return decoded images at several positions, side by side, as an ordinary output of a cell.

        Args:
            values_list: positions, each as in `frame`; by default one row per slider with five positions from end to
                end, the others at their start.

        Returns:
            A picture that displays itself as PNG, with the positions as text.
        """
        if values_list is None:
            rows = [[{name: float(value)} for value in np.linspace(slider.min, slider.max, 5)]
                    for name, slider in self.controls.items()]  # fmt: skip
        else:
            rows = [[given if isinstance(given, dict) else self.checked(given, {}) for given in values_list]]
            if not rows[0]:
                raise ValueError("values_list must hold at least one position; received none.")
        images = [[self.frame(given) for given in row] for row in rows]
        captions = [["\n".join(f"{name} {_signed(value)}" for name, value in given.items()) or "start" for given in row]
                    for row in rows]  # fmt: skip
        alt = f"{self.alt} " + "; ".join(caption.replace("\n", ", ") for row in captions for caption in row)
        return _image_table(images, captions, alt)

    def _code(self, values):
        return self.offset + self.axes @ np.array(list(values.values()))

    def draw(self, values):
        z = self._code(values)
        return decoded_image(self.decode, z), self._readout(values, z)

    def png(self, pixels):
        return to_png(pixels, min(self.scale, MAX_SMOOTH_SCALE) if self.smooth else self.scale, self.smooth)

    def _readout(self, values, z):
        # Under the prior, the coordinate of z along any unit direction is standard normal.
        places = zip(values.items(), z @ self._directions, strict=True)
        parts = [
            f"{name} {_signed(value)} ({100 * 0.5 * math.erfc(-place / math.sqrt(2)):.0f} % of the prior lies below)"
            for (name, value), place in places
        ]
        shown = ", ".join(_signed(value) for value in z[:6])
        more = f", and {len(z) - 6} more" if len(z) > 6 else ""
        return f"{'; '.join(parts)}\nz = ({shown}{more})"


def _checked_axes(axes, latent_dim):
    axes = real_array("axes", axes)
    if axes.ndim != 2 or axes.shape[0] != latent_dim or axes.shape[1] < 1:
        raise ValueError(
            f"axes must have shape ({latent_dim}, number of sliders), one direction per column; received {axes.shape}."
        )
    if not np.linalg.norm(axes, axis=0).all():
        raise ValueError("axes must hold no zero column: a slider along it would move nothing.")
    return axes


def _signed(value):
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")


def _image_table(images, captions, alt):
    """Draw rows of images with a caption above each, in the style of the course."""
    height, width = images[0][0].shape[:2]
    columns = len(images[0])
    size = min(1.3, 9 / columns)  # inches
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(size * columns, (size * height / width + 0.4) * len(images)))
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(len(images), columns, squeeze=False)
        for ax, image, caption in zip(axes.flat, sum(images, []), sum(captions, []), strict=True):
            ax.imshow(image, vmin=0, vmax=255, cmap="gray")
            ax.set_title(caption, loc="center", fontsize=8)
            ax.set_axis_off()
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    return StaticPicture(png_bytes(Image.fromarray(pixels).convert("RGB")), alt, pixels.shape[1])
