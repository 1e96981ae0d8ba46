"""A reader's answer beside the right one, and what is off: for "your turn" cells and for the tests of assignments."""

import hashlib

import numpy as np


def check_answer(answer, expected, *, mistakes=None, atol=1e-6, rtol=1e-5):
    """Compare the reader's answer with the right one and print what is off.

    Nothing is raised: a notebook that runs headless passes with its questions unanswered.

    Args:
        answer: the reader's number or array; `...` or None when there is none yet.
        expected: the right number or array.
        mistakes: dictionary from a sentence that names a classic mistake to the value it leads to.
        atol: absolute tolerance.
        rtol: tolerance relative to expected.

    Returns:
        True when right, False when wrong, None when unanswered.
    """
    if answer is None or answer is ...:
        print("Your turn: replace the ... by your answer and run the cell again.")
        return None
    off = _what_is_off(answer, expected, mistakes, atol, rtol)
    print(f"✗ Not yet: {off}" if off else "✓ Right.")
    return not off


def require_answer(answer, expected, *, mistakes=None, atol=1e-6, rtol=1e-5):
    """Compare for the tests of an assignment: silent when right, an error that says what is off.

    Args:
        answer, expected, mistakes, atol, rtol: as for `check_answer`.

    Raises:
        AssertionError: the answer is wrong, or there is none.
    """
    if answer is None or answer is ...:
        raise AssertionError("There is no answer: the function returned nothing. Does it end in `return`?")
    off = _what_is_off(answer, expected, mistakes, atol, rtol)
    if off:
        raise AssertionError(off)


def _what_is_off(answer, expected, mistakes, atol, rtol):
    """A sentence, or None when the answer is right."""
    try:
        answer = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return f"the answer must be a number or an array of numbers; this is a {type(answer).__name__}."
    expected = np.asarray(expected, dtype=float)
    if answer.shape != expected.shape:
        return f"the shape is {answer.shape}, and should be {expected.shape}.{_axis_hint(answer, expected)}"
    if np.allclose(answer, expected, rtol=rtol, atol=atol):
        return None
    for sentence, value in (mistakes or {}).items():
        if np.allclose(answer, value, rtol=rtol, atol=atol):
            return sentence
    return _difference(answer, expected)


def _axis_hint(answer, expected):
    if answer.ndim > expected.ndim:
        return " A sum over the last axis is missing."
    if answer.ndim < expected.ndim:
        return " There should be one value per example: sum over the last axis alone."
    return ""


def _difference(answer, expected):
    if not np.isfinite(answer).all():
        return "the answer holds NaN or infinity."
    if np.allclose(answer, -expected):
        return "the sign is the wrong way round."
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = answer / expected
        offset = answer - expected
    if np.isfinite(ratio).all() and np.ptp(ratio) < 1e-4 * np.abs(ratio).max():
        return f"every value is {ratio.flat[0]:.4g} times what it should be."
    if answer.size > 1 and np.ptp(offset) < 1e-4 * np.abs(offset).max():
        return f"every value is off by the same {offset.flat[0]:.4g}."
    return f"the largest difference is {np.abs(offset).max():.4g}."


def seed_of(student, assignment):
    """Return the number from which a student's own inputs and pictures are drawn, another one for each assignment.

    Args:
        student: the name in the gradebook.
        assignment: its name.

    Returns:
        Integer of 32 bits.
    """
    return int.from_bytes(hashlib.sha256(f"{student}/{assignment}".encode()).digest()[:4], "big")
