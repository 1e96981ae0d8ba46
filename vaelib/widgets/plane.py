"""The latent plane that LatentPad and DrawDigit show in the browser; plane.js draws it."""

import anywidget
import numpy as np
import traitlets

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.widgets.decoding import checked_names, latent_names
from vaelib.widgets.directions import unit_axes

# Ten standard deviations of the prior: no code that means anything lies outside, so a number beyond is a mistake.
LIMIT = 10.0
REACH = 3.5  # standard deviations: all but 5 of 10,000 draws of the prior, along an axis
OUTSIDE = 0.005  # the share of the points that a plane may leave out to show the rest larger


class LatentPlane(anywidget.AnyWidget):
    """A widget over a latent space: the names of its dimensions, and points on the plane through two of them."""

    # What the browser needs once, and nobody changes afterwards.
    names = traitlets.Tuple(read_only=True).tag(sync=True)
    spec = traitlets.Dict(read_only=True).tag(sync=True)
    points = traitlets.Bytes(read_only=True).tag(sync=True)
    classes = traitlets.Bytes(read_only=True).tag(sync=True)

    def set_plane(self, latent_dim, *, names, points, labels, shown, reach, dtype, axes=None, path=None):
        """Set the names and the points; return what the plane adds to `spec`.

        Args:
            latent_dim: number of latent dimensions.
            names, points, labels, shown, reach, dtype: those of the widget, unchecked.
            axes: directions of the sliders, shape (k, latent_dim), of any length; the coordinates by default.
            path: more codes that the plane must hold, checked already.

        Raises:
            ValueError: one of them does not match the latent dimension, is not finite, or out of range.
        """
        self.latent_dim, directions = latent_dim, unit_axes(axes, latent_dim)
        shown = _checked_shown(shown, directions)
        points = _checked_points(points, latent_dim)
        classes, class_names = _checked_classes(points, labels)
        if axes is None:
            names = latent_names(names, latent_dim)
        else:
            default = [f"direction {i + 1}" for i in range(len(directions))]
            names = tuple(checked_names(names, default, f"{len(directions)} rows of axes"))
        places = points @ directions[shown].T
        seen = places if path is None else np.concatenate([places, path @ directions[shown].T])
        self.set_trait("names", names)
        self.set_trait("points", places.astype("float32").tobytes())
        self.set_trait("classes", classes)
        return {
            "dtype": _checked_dtype(dtype),
            "axes": directions.tolist(),
            "shown": shown,
            "reach": _checked_reach(reach, seen),
            "limit": LIMIT,
            "colours": list(CLASS_COLOURS if labels is not None else [COLOURS["blue"]]),
            "class_names": class_names,
        }


class Code(traitlets.TraitType):
    """A latent code: one finite number per latent dimension, kept as a tuple of floats."""

    default_value = ()

    def validate(self, pad, value):
        return checked_code(value, pad.latent_dim, self.name)


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
        return tuple(checked_code(value, pad.latent_dim, f"{self.name}[{i}]") for i, value in enumerate(values))


def checked_codes(name, codes, latent_dim):
    """Return codes as a float32 array of shape (n, latent_dim), or raise ValueError that names them."""
    codes = np.asarray(codes, "float32")
    if codes.ndim != 2 or codes.shape[1] != latent_dim:
        raise ValueError(f"{name} must have shape (n, {latent_dim}); received {codes.shape}.")
    if not np.isfinite(codes).all():
        raise ValueError(f"{name} must be finite; received NaN or infinity.")
    return codes


def _checked_dtype(dtype):
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16'; received {dtype!r}.")
    return dtype


def _checked_reach(reach, places):
    """Return half the width of the plane: the given one, or one that holds nearly all places, in halves."""
    if reach is None:
        far = np.quantile(np.abs(places).max(axis=1), 1 - OUTSIDE) if len(places) else 0.0
        return float(min(LIMIT, max(REACH, np.ceil(2 * far) / 2)))
    if not 0 < reach <= LIMIT:
        raise ValueError(f"reach must lie above 0 and at most at {LIMIT:g}; received {reach!r}.")
    return float(reach)


def _checked_shown(shown, axes):
    """Return the axes that a plane shows: two different ones, or the only one."""
    if len(axes) == 1:
        return [0]
    shown = list(shown)
    if len(shown) != 2 or len(set(shown)) != 2 or not all(i in range(len(axes)) for i in shown):
        raise ValueError(f"shown must be two different dimensions from 0 to {len(axes) - 1}; received {shown}.")
    first, second = axes[shown]
    if abs(first @ second) > 0.99:
        raise ValueError(
            f"the two shown axes must span a plane; these are nearly parallel (cosine {first @ second:.3f}). "
            "Show two others, or take another direction."
        )
    return [int(i) for i in shown]


def _checked_points(points, latent_dim):
    """Return the points, shape (n, latent_dim); none for None."""
    return np.zeros((0, latent_dim), "float32") if points is None else checked_codes("points", points, latent_dim)


def _checked_classes(points, labels):
    """Return one class index per point as bytes, and the classes' names."""
    if labels is None:
        return bytes(len(points)), []
    if not len(points):
        raise ValueError("labels colour the points; received labels without points.")
    if np.shape(labels) != (len(points),):
        raise ValueError(f"labels must have shape ({len(points)},), one per point; received {np.shape(labels)}.")
    values, classes = np.unique(labels, return_inverse=True)
    if len(values) > 256:
        raise ValueError(f"labels must hold at most 256 classes; received {len(values)}.")
    return classes.astype("uint8").tobytes(), [str(value) for value in values]
