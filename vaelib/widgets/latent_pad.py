"""LatentPad: a latent plane to drag on, its decoder running in the browser; with or without a kernel."""

import numpy as np
import traitlets

from vaelib.checks import positive_int
from vaelib.pretrained.networks import MEANS, UnsupportedDecoderError
from vaelib.widgets import bundles
from vaelib.widgets.browser import decoder_layers
from vaelib.widgets.cells import replace_widgets_of_this_cell
from vaelib.widgets.decoding import decode_function, decoded_image
from vaelib.widgets.directions import direction_between
from vaelib.widgets.export import write_page
from vaelib.widgets.film import checked_frames, time_colours
from vaelib.widgets.plane import Code, Codes, LatentPlane, checked_code, checked_codes


class NamedAxes(traitlets.TraitType):
    """Axes that the reader has named: dictionaries with name, low, high, frames and a unit direction."""

    default_value = ()

    def validate(self, pad, value):
        for axis in value:
            direction = np.asarray(axis["direction"], float)
            if direction.shape != (pad.latent_dim,) or not abs(np.linalg.norm(direction) - 1) < 1e-6:
                raise traitlets.TraitError(f"{self.name} must hold unit directions of {pad.latent_dim} numbers.")
        return tuple(value)


class LatentPad(LatentPlane):
    """A pad over the latent plane, the decoded image beside it, and a slider for each axis.

    The weights travel to the browser once, and the browser decodes. What it cannot run (a layer that it does not
    know, too many weights, a function of yours) the kernel decodes, and the pad says so, and why.

    Args:
        decode: a VAE, a NumpyDecoder, or a function from codes (n, latent_dim) to images (n, height, width),
            optionally with a last axis of 1 or 3 channels, pixels in [0, 1].
        names: one name per axis; z1, z2, ... by default, or direction 1, ... where axes are given.
        z: the code to start from, shape (latent_dim,); by default the first code of the path, or the prior's mean.
        latent_dim: number of latent dimensions; a VAE and a NumpyDecoder know theirs.
        points: codes of data points to draw under the pad, shape (n, latent_dim).
        labels: classes of these points, shape (n,), for their colours.
        axes: directions in latent space that the sliders move along, shape (k, latent_dim), one per row; brought to
            length 1, so that a slider counts standard deviations of the prior. The coordinates by default. Where two
            are not perpendicular, the one moves with the other.
        path: codes of a video's frames in the order of time, shape (n, latent_dim), drawn under the pad from dark to
            bright; the pad then plays the video.
        frames: these frames, shape (n, *data_shape), pixels in [0, 1] or uint8. They travel as uint8, at most 4 MB; the
            frame whose code is nearest then stands beside the decoded image, and the reader can name axes by
            pointing at frames.
        sides: what the two sides of an axis to be named are called at first.
        shown: the two axes that the pad shows (one, where there is one); the sliders move all.
        reach: half the width of the pad, in standard deviations of the prior; by default 3.5, or as far as all but
            0.5 % of points and path lie.
        scale: screen pixels per pixel of the image.
        smooth: enlarge the image smoothly; otherwise each pixel is a square.
        dtype: "float32", or "float16" for half the bytes.
        alt: what the image shows, in words.

    Attributes:
        z: the code shown, a tuple of latent_dim floats; set it, or `observe` it.
        marks: the marked codes that the walk visits, a tuple of such tuples.
        named: the axes that were named here or in the browser, dictionaries with `name`, `low` and `high` (the two
            sides' names), `frames` (the picked frames of each side) and `direction`, a unit vector.
        runs_in_browser: False when the kernel decodes; `reason` then says why.

    Raises:
        ValueError: an argument does not match the latent dimension, a weight or a point is not finite, or the frames
            are too many to travel.
        traitlets.TraitError: z or a mark, here or later, does not have one number within [-10, 10] per dimension.
    """

    _esm = bundles.module("latent_pad")
    _css = bundles.style("latent_pad")

    # What the browser needs once, and nobody changes afterwards.
    weights = traitlets.Bytes(read_only=True).tag(sync=True)
    still = traitlets.Bytes(read_only=True).tag(sync=True)
    path = traitlets.Bytes(read_only=True).tag(sync=True)
    frames = traitlets.Bytes(read_only=True).tag(sync=True)
    # What moves, in both directions.
    z = Code().tag(sync=True)
    marks = Codes().tag(sync=True)
    named = NamedAxes().tag(sync=True)

    def __init__(
        self, decode, names=None, z=None, latent_dim=None, points=None, labels=None, axes=None, path=None, frames=None,
        sides=("one side", "other side"), shown=(0, 1), reach=None, scale=10, smooth=True, dtype="float32",
        alt="The decoded image.",
    ):  # fmt: skip
        self.decode, latent_dim = decode_function(decode, latent_dim)
        self._path = np.zeros((0, latent_dim), "float32") if path is None else checked_codes("path", path, latent_dim)
        plane = self.set_plane(
            latent_dim, names=names, points=points, labels=labels, shown=shown, reach=reach, dtype=dtype, axes=axes,
            path=self._path,
        )  # fmt: skip
        start = self._path[0].clip(-plane["limit"], plane["limit"]) if len(self._path) else np.zeros(latent_dim)
        self.z = start if z is None else z
        self.reason, layers, weights = None, None, b""
        try:
            layers, weights = decoder_layers(self.decode, latent_dim, dtype)
        except UnsupportedDecoderError as error:
            self.reason = error.reason
        self.runs_in_browser = layers is not None
        image = self.image()
        self.set_trait("weights", weights)
        # The first picture, for a page without a kernel; where the browser decodes, it is not needed.
        self.set_trait("still", b"" if self.runs_in_browser else image.tobytes())
        self.set_trait("path", self._path.tobytes())
        self.set_trait("frames", checked_frames(frames, len(self._path), image.shape))
        self.set_trait(
            "spec",
            {
                **plane,
                "layers": layers,
                "mean": next(name for name, mean in MEANS.items() if mean is self.decode.mean) if layers else None,
                "spread": self._spread(points) if layers else None,
                "reason": self.reason,
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": 1 if image.ndim == 2 else 3,
                "scale": positive_int("scale", scale),
                "smooth": bool(smooth),
                "alt": str(alt),
                "sides": _checked_sides(sides),
                "time_colours": time_colours(),
            },
        )
        super().__init__()
        replace_widgets_of_this_cell(self)
        self.on_msg(self._answer)

    def image(self, z=None):
        """Return the decoded image, uint8 of shape (height, width) or (height, width, 3); at the pad's z by default."""
        z = self.z if z is None else checked_code(z, self.latent_dim, "z")
        return decoded_image(self.decode, z)

    def name_axis(self, low, high, low_frames, high_frames):
        """Name an axis by example, as the reader does in the browser: a slider from low to high appears.

        Args:
            low, high: names of the two sides, such as "sober" and "smiling".
            low_frames, high_frames: numbers of some frames of the path on each side, counted from 0.

        Returns:
            The unit direction from the mean code of the one side to that of the other, shape (latent_dim,).

        Raises:
            ValueError: there is no such frame, a side is empty, or both have the same mean.
        """
        frames = [[int(i) for i in side] for side in (low_frames, high_frames)]
        if not all(0 <= i < len(self._path) for side in frames for i in side):
            raise ValueError(f"frames must be numbers from 0 to {len(self._path) - 1}, places in path.")
        low, high = _checked_sides((low, high))
        direction = direction_between(*(self._path[side] for side in frames))
        axis = {"name": f"{low} to {high}", "low": low, "high": high, "frames": frames, "direction": direction.tolist()}
        self.named = (*(old for old in self.named if old["name"] != axis["name"]), axis)
        return direction

    def export(self, file, title="A latent space to move through", alt=None):
        """Write the pad as one HTML file that moves in any browser, without Python and without a network.

        Args:
            file: where to write it, such as "mine.html".
            title: the page's title and heading.
            alt: what the image shows, in words; the pad's own by default.

        Returns:
            The file's path, a pathlib.Path.

        Raises:
            ValueError: the browser cannot run the decoder; the error says which part and what to do.
        """
        if not self.runs_in_browser:
            raise ValueError(
                "a file has no kernel to ask, so its decoder must run in the browser, and this one cannot: "
                f"{self.reason} Build it from Dense and convolutional layers, with one of Keras's plain activations, "
                "under 4 million weights."
            )
        return write_page(self, file, title, {"alt": str(alt)} if alt is not None else {})

    def _spread(self, points):
        """Return how sure the decoder is: None, one number for all pixels, or bounds and the range of the colours."""
        log_var = self.decode.log_var
        if log_var is None or np.ndim(log_var) == 0:
            return None if log_var is None else {"same": float(np.exp(log_var / 2))}
        codes = self._path if len(self._path) or points is None else np.asarray(points, "float32")
        if not len(codes):
            codes = np.random.default_rng(0).standard_normal((100, self.latent_dim)).astype("float32")
        std = self.decode.std(codes[:: -(-len(codes) // 100)])
        return {"log_var": list(log_var), "from": float(std.min()), "to": float(std.max())}

    def _answer(self, widget, content, buffers):
        """Decode for a browser that cannot; an error is shown there as well, for a kernel's log is easily missed."""
        if content.get("kind") != "decode":
            return
        try:
            image = self.image(content.get("z"))
        except Exception as error:
            self.send({"kind": "error", "id": content.get("id"), "text": f"{type(error).__name__}: {error}"})
            raise
        self.send({"kind": "image", "id": content.get("id")}, buffers=[image.tobytes()])


def _checked_sides(sides):
    sides = [str(side).strip() for side in sides]
    if len(sides) != 2 or not all(sides) or sides[0] == sides[1]:
        raise ValueError(f"the two sides of an axis must have different names; received {sides}.")
    return sides
