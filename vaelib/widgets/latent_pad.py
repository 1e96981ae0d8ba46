"""LatentPad: a latent plane to drag on, its decoder running in the browser; with or without a kernel."""

import numpy as np
import traitlets

from vaelib.checks import positive_int
from vaelib.pretrained.networks import UnsupportedDecoderError
from vaelib.widgets.browser import decoder_layers, read_together
from vaelib.widgets.decoding import decode_function, decoded_image
from vaelib.widgets.plane import Code, Codes, LatentPlane, checked_code


class LatentPad(LatentPlane):
    """A pad over the latent plane, the decoded image beside it, and a slider for each latent dimension.

    The weights travel to the browser once, and the browser decodes. What it cannot run (a convolution, a function of
    yours) the kernel decodes, and the pad says so.

    Args:
        decode: a VAE, a NumpyDecoder, or a function from codes (n, latent_dim) to images (n, height, width),
            optionally with a last axis of 1 or 3 channels, pixels in [0, 1].
        names: one name per latent dimension; z1, z2, ... by default.
        z: the code to start from, shape (latent_dim,); the prior's mean by default.
        latent_dim: number of latent dimensions; a VAE and a NumpyDecoder know theirs.
        points: codes of data points to draw under the pad, shape (n, latent_dim).
        labels: classes of these points, shape (n,), for their colours.
        shown: the two dimensions that the pad shows (one, where the latent space has one); the sliders move all.
        reach: half the width of the pad, in standard deviations of the prior.
        scale: screen pixels per pixel of the image.
        smooth: enlarge the image smoothly; otherwise each pixel is a square.
        dtype: "float32", or "float16" for half the bytes.
        alt: what the image shows, in words.

    Attributes:
        z: the code shown, a tuple of latent_dim floats; set it, or `observe` it.
        marks: the marked codes that the walk visits, a tuple of such tuples.
        runs_in_browser: False when the kernel decodes.

    Raises:
        ValueError: an argument does not match the latent dimension, or a weight or a point is not finite.
        traitlets.TraitError: z or a mark, here or later, does not have one number within [-10, 10] per dimension.
    """

    _esm = read_together("network.js", "plane.js", "latent_pad.js")
    _css = read_together("latent_pad.css")

    # What the browser needs once, and nobody changes afterwards.
    weights = traitlets.Bytes(read_only=True).tag(sync=True)
    still = traitlets.Bytes(read_only=True).tag(sync=True)
    # What moves, in both directions.
    z = Code().tag(sync=True)
    marks = Codes().tag(sync=True)

    def __init__(
        self, decode, names=None, z=None, latent_dim=None, points=None, labels=None, shown=(0, 1), reach=3.5,
        scale=10, smooth=True, dtype="float32", alt="The decoded image.",
    ):  # fmt: skip
        self.decode, latent_dim = decode_function(decode, latent_dim)
        plane = self.set_plane(
            latent_dim, names=names, points=points, labels=labels, shown=shown, reach=reach, dtype=dtype
        )
        self.z = np.zeros(latent_dim) if z is None else z
        try:
            layers, weights = decoder_layers(self.decode, latent_dim, dtype)
        except UnsupportedDecoderError:
            layers, weights = None, b""
        self.runs_in_browser = layers is not None
        image = self.image()
        self.set_trait("weights", weights)
        # The first picture, for a page without a kernel; where the browser decodes, it is not needed.
        self.set_trait("still", b"" if self.runs_in_browser else image.tobytes())
        self.set_trait(
            "spec",
            {
                **plane,
                "layers": layers,
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": 1 if image.ndim == 2 else 3,
                "scale": positive_int("scale", scale),
                "smooth": bool(smooth),
                "alt": str(alt),
            },
        )
        super().__init__()
        self.on_msg(self._answer)

    def image(self, z=None):
        """Return the decoded image, uint8 of shape (height, width) or (height, width, 3); at the pad's z by default."""
        z = self.z if z is None else checked_code(z, len(self.names), "z")
        return decoded_image(self.decode, z)

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
