"""Checks of what comes in: each error names the argument, what was expected, what came, and what to do."""

import math
import operator

import numpy as np


def positive_int(name, value):
    """Return value as an int, or raise ValueError when it is not a whole number of at least 1."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number of at least 1; received {value!r}.")
    return whole


def positive_float(name, value):
    """Return value as a float, or raise ValueError when it is not a finite number above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be a finite number above 0; received {value!r}.")
    return number


def nonnegative_float(name, value):
    """Return value as a float, or raise ValueError when it is not a finite number of at least 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0; received {value!r}.")
    return number


def labels(name, value, num_classes, missing=None):
    """Return value as an int64 array of shape (n,) of classes, or raise ValueError.

    Args:
        name: the argument's name, for the error.
        value: labels, shape (n,), or (n, 1).
        num_classes: how many classes there are; labels run from 0 to num_classes - 1.
        missing: a number that stands for a label that nobody knows; by default each must be known.
    """
    unmasked(name, value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.size == 0 or array.shape not in ((len(array),), (len(array), 1)):
        raise ValueError(
            f"{name} must be one whole number per row, shape (n,); received {array.dtype} of shape {array.shape}."
            + (" Of rows of zeros and a one pass the argmax." if array.shape[1:] == (num_classes,) else "")
        )
    array = array.reshape(-1)
    known = np.ones(len(array), bool) if missing is None else array != missing
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(known & ~((array >= 0) & (array < num_classes) & (array == np.floor(array))))
    if len(wrong):
        choice = "" if missing is None else f", or {missing} where the label is missing"
        advice = " A missing label is no class: leave its row out, or train with SemiSupervised."
        advice = advice if missing is None and array[wrong[0]] < 0 else ""
        more = f" ({len(wrong) - 1} more are wrong)" if len(wrong) > 1 else ""
        raise ValueError(
            f"{name} must hold whole numbers from 0 to {num_classes - 1}{choice}; "
            f"row {wrong[0]} holds {array[wrong[0]]:g}{more}.{advice}"
        )
    return array.astype("int64")


def sizes(name, value):
    """Return value, one size or several, as a tuple of positive ints, or raise ValueError."""
    if not np.iterable(value):
        return (positive_int(name, value),)
    return tuple(positive_int(f"{name}[{i}]", size) for i, size in enumerate(value))


def data_shape(name, value):
    """Return value as a tuple of at least one positive int, or raise ValueError."""
    shape = sizes(name, value)
    if not shape:
        raise ValueError(f"{name} must hold at least one size, for example (28, 28); received ().")
    return shape


def increasing_pair(name, value):
    """Return value as two finite, increasing floats, or raise ValueError."""
    if np.shape(value) != (2,) or not -np.inf < value[0] < value[1] < np.inf:
        raise ValueError(f"{name} must be two finite, increasing numbers; received {value!r}.")
    return float(value[0]), float(value[1])


def trailing_size(name, tensor, size, meaning):
    """Raise ValueError unless the last axis of tensor has the given size."""
    if len(tensor.shape) == 0 or tensor.shape[-1] != size:
        raise ValueError(
            f"{name} must have {size} numbers on its last axis ({meaning}); received shape {tuple(tensor.shape)}."
        )


def unmasked(name, values):
    """Raise ValueError where an array hides entries: whoever reads it as plain numbers would see them all."""
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries, which the model would read like any other: fill or remove them.")


def batch(name, values, shape):
    """Return values as a NumPy array of shape (n, *shape) with n >= 1 and finite entries.

    Args:
        name: the argument's name, for the error.
        values: an array, or what NumPy makes one of.
        shape: the shape of one example.

    Returns:
        The array: float32, unless it came as integers, which are left for the likelihood to judge.

    Raises:
        ValueError: another shape, no example, or NaN or infinity (says in which example).
    """
    unmasked(name, values)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be one array; received rows of different lengths ({error}).") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers; received dtype {array.dtype}.")
    if array.shape[1:] != tuple(shape) or array.ndim == 0:
        expected = ", ".join(["n", *map(str, shape)])
        raise ValueError(
            f"{name} must have shape ({expected}); received {array.shape}. "
            f"A single example needs a batch axis: {name}[None]."
        )
    if len(array) == 0:
        raise ValueError(f"{name} holds no example; at least one is needed.")
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is infinite, and is named below
        array = array.astype("float32", copy=False)
        extremes = array.min(), array.max()
    # NaN goes through both, infinity is one of them: no temporary the size of the data.
    if not np.isfinite(extremes).all():
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{name} must be finite; example {bad[0]} holds NaN or infinity"
                f"{f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''}. Remove or repair it."
            )
    return array


def _float64(name, value):
    unmasked(name, value)
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number or an array of numbers; received {value!r}.") from error


def real_array(name, value):
    """Return value as a float64 array, or raise ValueError when it is not numeric or holds NaN or infinity."""
    array = _float64(name, value)
    if not np.all(np.isfinite(array)):
        bad = array[~np.isfinite(array)].flat[0]
        raise ValueError(f"{name} must be finite; received a value {bad}. Check how it was computed.")
    return array


def finite_float(name, value):
    """Return value as a float, or raise ValueError when it is not one finite number."""
    array = real_array(name, value)
    if array.ndim:
        raise ValueError(f"{name} must be one number; received shape {array.shape}.")
    return float(array)


def log_array(name, value):
    """Return logarithms as a float64 array, −inf allowed, or raise ValueError for what is no number below infinity."""
    array = _float64(name, value)
    if np.any(np.isnan(array)) or np.any(array == np.inf):
        raise ValueError(f"{name} must hold numbers below infinity; received NaN or +inf. Check how it was computed.")
    return array


def representable(names, *results):
    """Return the results, or raise ValueError, with the arguments' names, where one leaves the range of a float."""
    if not all(np.all(np.isfinite(result)) for result in results):
        raise ValueError(f"{names}: their size takes the result out of the range of a float. Check their scale.")
    return results[0] if len(results) == 1 else results


def positive_array(name, value):
    """Return value as a float64 array, or raise ValueError unless every entry is finite and above zero."""
    array = real_array(name, value)
    if not np.all(array > 0.0):
        raise ValueError(
            f"{name} must be positive; received values down to {array.min():g}. "
            "Pass the value itself, not its logarithm."
        )
    return array


def counts(name, value):
    """Return value as a float64 array, or raise ValueError unless every entry is a whole number of at least 0."""
    array = real_array(name, value)
    if not np.all((array >= 0) & (array == np.floor(array))):
        bad = array[(array < 0) | (array != np.floor(array))].flat[0]
        raise ValueError(f"{name} must hold counts, whole numbers of at least 0; received {bad:g}.")
    return array


def open_unit_array(name, value):
    """Return value as a float64 array, or raise ValueError unless every entry lies strictly between 0 and 1."""
    array = real_array(name, value)
    if not np.all((array > 0) & (array < 1)):
        raise ValueError(f"{name} must lie strictly between 0 and 1; received {array.min():g} to {array.max():g}.")
    return array


def common_shape(**arrays):
    """Return the shape that the named arrays broadcast to, or raise ValueError with all their shapes."""
    try:
        return np.broadcast_shapes(*(np.shape(array) for array in arrays.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {np.shape(array)}" for name, array in arrays.items())
        raise ValueError(f"shapes must broadcast together; received {shapes}.") from error


def vectors(**arrays):
    """Return the named arrays in float64; ValueError unless all share the last axis and broadcast before it."""
    values = {name: real_array(name, array) for name, array in arrays.items()}
    dims = {value.shape[-1] if value.ndim else None for value in values.values()}
    if None in dims or len(dims) > 1:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in values.items())
        raise ValueError(f"arguments must all have the same last axis, the dimension d; received {shapes}.")
    common_shape(**values)
    return tuple(values.values())


def values_of(name, function, z, shape):
    """Return function(z) as a float64 array, or raise ValueError unless it is finite and of the given shape."""
    values = real_array(f"the values of {name}", function(z))
    if values.shape != shape:
        raise ValueError(f"{name} must map shape {z.shape} to {shape}; it returned {values.shape}.")
    return values
