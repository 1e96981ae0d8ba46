"""The latent plane that LatentPad and DrawDigit show in the browser; plane.js draws it."""

import anywidget
import numpy as np
import traitlets

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.widgets.decoding import latent_names

# Ten standard deviations of the prior: no code that means anything lies outside, so a number beyond is a mistake.
LIMIT = 10.0


class LatentPlane(anywidget.AnyWidget):
    """A widget over a latent space: the names of its dimensions, and points on the plane through two of them."""

    # What the browser needs once, and nobody changes afterwards.
    names = traitlets.Tuple(read_only=True).tag(sync=True)
    spec = traitlets.Dict(read_only=True).tag(sync=True)
    points = traitlets.Bytes(read_only=True).tag(sync=True)
    classes = traitlets.Bytes(read_only=True).tag(sync=True)

    def set_plane(self, latent_dim, *, names, points, labels, shown, reach, dtype):
        """Set the names and the points; return what the plane adds to `spec`.

        Args:
            latent_dim: number of latent dimensions.
            names, points, labels, shown, reach, dtype: those of the widget, unchecked.

        Raises:
            ValueError: one of them does not match the latent dimension, is not finite, or out of range.
        """
        _check_view(dtype, reach)
        shown = _checked_shown(shown, latent_dim)
        places, classes, class_names = _checked_points(points, labels, latent_dim, shown)
        self.set_trait("names", latent_names(names, latent_dim))
        self.set_trait("points", places)
        self.set_trait("classes", classes)
        return {
            "dtype": dtype,
            "shown": shown,
            "reach": float(reach),
            "limit": LIMIT,
            "colours": list(CLASS_COLOURS if labels is not None else [COLOURS["blue"]]),
            "class_names": class_names,
        }


class Code(traitlets.TraitType):
    """A latent code: one finite number per latent dimension, kept as a tuple of floats."""

    default_value = ()

    def validate(self, pad, value):
        return checked_code(value, len(pad.names), self.name)


def checked_code(value, latent_dim, name):
    """Return a code as a tuple of floats, or raise a TraitError that names it."""
    try:
        code = np.asarray(value, float)
    except (TypeError, ValueError):
        raise traitlets.TraitError(f"{name} must hold {latent_dim} numbers; received {value!r}.") from None
    if code.shape != (latent_dim,):
        raise traitlets.TraitError(
            f"{name} must hold {latent_dim} numbers, one per latent dimension; received shape {code.shape}."
        )
    if not np.isfinite(code).all():
        raise traitlets.TraitError(f"{name} must be finite; received {code.tolist()}.")
    if np.abs(code).max() > LIMIT:
        raise traitlets.TraitError(
            f"{name} must lie within [-{LIMIT:g}, {LIMIT:g}] (standard deviations of the prior); "
            f"received {code.tolist()}."
        )
    return tuple(code.tolist())


class Codes(traitlets.TraitType):
    """Several latent codes, kept as a tuple of tuples."""

    default_value = ()

    def validate(self, pad, values):
        if not np.iterable(values):
            raise traitlets.TraitError(f"{self.name} must be a list of codes; received {values!r}.")
        return tuple(checked_code(value, len(pad.names), f"{self.name}[{i}]") for i, value in enumerate(values))


def _check_view(dtype, reach):
    """Raise ValueError unless weights can travel as dtype and a plane can reach that far."""
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16'; received {dtype!r}.")
    if not 0 < reach <= LIMIT:
        raise ValueError(f"reach must lie above 0 and at most at {LIMIT:g}; received {reach!r}.")


def _checked_shown(shown, latent_dim):
    """Return the dimensions that a plane shows: two different ones, or the only one."""
    if latent_dim == 1:
        return [0]
    shown = list(shown)
    if len(shown) != 2 or len(set(shown)) != 2 or not all(i in range(latent_dim) for i in shown):
        raise ValueError(f"shown must be two different dimensions from 0 to {latent_dim - 1}; received {shown}.")
    return [int(i) for i in shown]


def _checked_points(points, labels, latent_dim, shown):
    """Return the shown coordinates as float32 bytes, one class index per point as bytes, and the classes' names."""
    if points is None:
        if labels is not None:
            raise ValueError("labels colour the points; received labels without points.")
        return b"", b"", []
    points = np.asarray(points, "float32")
    if points.ndim != 2 or points.shape[1] != latent_dim:
        raise ValueError(f"points must have shape (n, {latent_dim}); received {points.shape}.")
    if not np.isfinite(points).all():
        raise ValueError("points must be finite; received NaN or infinity.")
    classes, class_names = np.zeros(len(points), "uint8"), []
    if labels is not None:
        if np.shape(labels) != (len(points),):
            raise ValueError(f"labels must have shape ({len(points)},), one per point; received {np.shape(labels)}.")
        values, classes = np.unique(labels, return_inverse=True)
        if len(values) > 256:
            raise ValueError(f"labels must hold at most 256 classes; received {len(values)}.")
        class_names = [str(value) for value in values]
    return points[:, shown].tobytes(), classes.astype("uint8").tobytes(), class_names
