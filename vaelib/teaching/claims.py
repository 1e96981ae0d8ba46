"""Claims: one line that shows both sides of an equation and fails loudly when they differ.

The claims of a cell fold into one line of its output ("5 of 5 hold"), with a machine-readable copy of each beside it
(a custom MIME type), so that a headless run can collect every claim into one report. Outside a notebook each prints
its line.
"""

import html
import math
import sys
from dataclasses import dataclass, field

import numpy as np

from vaelib.mime import CLAIM_MIME, FIGURE_MIME

SUMMARY_CLASS = "vaelib-summary"  # of the table's HTML: the site lays it out by section


class ClaimError(AssertionError):
    """A claim that does not hold; the message carries both values."""


@dataclass(frozen=True)
class Claim:
    """One claim as it was made. `difference` and `tolerance` are None where the claim has none."""

    text: str
    passed: bool
    difference: float | None
    tolerance: float | None


@dataclass(frozen=True)
class _Line:
    """One claim with the numbers behind it, as the reader sees it."""

    claim: Claim
    detail: str

    def __str__(self):
        return f"{_mark(self.claim.passed)} {self.claim.text}   {self.detail}".rstrip()


@dataclass
class _Cell:
    """The claims of the cell that runs now, and the one output that shows them."""

    number: int | None = None
    lines: list[_Line] = field(default_factory=list)
    display: object = None


_claims: dict[str, Claim] = {}  # by text: a cell that runs again replaces its claims
_cell = _Cell()


def claim_close(text, actual, expected, *, atol=0.0, rtol=0.0):
    """Claim that two numbers or arrays agree within `atol + rtol * |expected|`.

    Args:
        text: the claim in words or as a formula, one line.
        actual: number or array.
        expected: array of the same shape, or one number for all of `actual`.
        atol, rtol: absolute and relative tolerance, at least 0. With both 0 the sides must be equal.

    Raises:
        ClaimError: when any element differs by more than its tolerance, or is NaN or infinite.
        ValueError: when shapes differ, an array is empty or a tolerance is negative, NaN or infinite.
    """
    _check_text(text)
    atol, rtol = _tolerance("atol", atol), _tolerance("rtol", rtol)
    actual, expected = _paired(actual, expected)
    _compare(text, actual, expected, atol, rtol, "|difference| {difference} {sign} {tolerance}")


def claim_equal(text, actual, expected):
    """Claim that two values are exactly equal: numbers, arrays, strings, shapes.

    Raises:
        ClaimError: when they differ, in value or in shape, or are NaN or infinite.
    """
    _check_text(text)
    passed, difference = _exactly_equal(actual, expected)
    sides = [_abridged(actual), _abridged(expected)]
    if any(len(side) > 40 or "\n" in side for side in sides):
        detail = "both sides equal" if passed else "the sides differ"
    else:
        detail = f"{sides[0]} {'=' if passed else '≠'} {sides[1]}"
    _make(Claim(text, passed, difference, None if difference is None else 0.0), detail, actual, expected)


def claim_true(text, condition, detail=""):
    """Claim that a condition holds; for an array of booleans, that all of them do.

    Args:
        text: the claim, one line.
        condition: bool, or a non-empty array of bools. Anything else is refused: Python takes a NaN for true.
        detail: what the reader sees after the claim, usually the numbers behind it.

    Raises:
        ClaimError: when the condition is false.
        TypeError: when the condition is not boolean.
    """
    _check_text(text)
    values = np.asarray(condition)
    if values.dtype != bool or values.size == 0:
        raise TypeError(
            f"condition must be True, False or a non-empty array of them; received {_abridged(condition)}. "
            "Write a comparison such as `error < 0.1`."
        )
    passed = bool(values.all())
    if not passed and values.ndim:
        detail = f"{detail}  ({int((~values).sum())} of {values.size} do not hold)".strip()
    _make(Claim(text, passed, None, None), str(detail), condition, True)


def claim_monte_carlo(text, estimate, expected, *, standard_error=None, num_errors=5.0, expected_error=0.0):
    """Claim that a Monte Carlo estimate agrees with a value, within a number of its standard errors.

    Args:
        text: the claim, one line.
        estimate: an estimate (with `standard_error`), or independent samples, shape `(n, ...)`, whose mean
            and standard error are computed here.
        expected: what the estimate should be: shape `(...)` or one number.
        standard_error: of `estimate`, same shape or one number; None when `estimate` holds samples.
        num_errors: how many standard errors the difference may be. With 5, a right formula is called wrong once in 1.7
            million claims; with 4 it would be once in 16,000, which a sweep over many seeds meets.
        expected_error: standard error of `expected`, when that is an independent estimate too.

    Raises:
        ClaimError: when the difference is larger, or a value is NaN or infinite.
        ValueError: when a standard error is missing, zero, negative or NaN, or shapes differ.
    """
    _check_text(text)
    num_errors = _tolerance("num_errors", num_errors)
    if num_errors == 0:
        raise ValueError("num_errors must be above 0; received 0. The usual value is 5.")
    estimate = _numbers("estimate", estimate)
    if standard_error is None:
        estimate, standard_error = _mean_and_error(estimate)
    else:
        standard_error = _numbers("standard_error", standard_error)
    estimate, expected = _paired(estimate, expected)
    expected_error = _numbers("expected_error", expected_error)
    for name, error in (("standard_error", standard_error), ("expected_error", expected_error)):
        if error.shape not in ((), estimate.shape):
            raise ValueError(f"{name} must be one number or of shape {estimate.shape}; received {error.shape}.")
    # NaN samples are a claim that fails, not a wrong call: only then may the error be NaN.
    if np.isfinite(estimate).all() and not (np.isfinite(standard_error) & (standard_error > 0)).all():
        raise ValueError(
            f"standard_error must be above 0; received {_abridged(standard_error)}. "
            "A value without noise is no Monte Carlo estimate: use claim_close."
        )
    if not (np.isfinite(expected_error) & (expected_error >= 0)).all():
        raise ValueError(f"expected_error must be at least 0; received {_abridged(expected_error)}.")
    error = np.broadcast_to(np.hypot(standard_error, expected_error), estimate.shape)
    shown = f"difference {{difference}} {{sign}} {num_errors:g} × {{error}} (standard error)"
    _compare(text, estimate, expected, num_errors * error, 0.0, shown, error)


def record_figure(name, value, unit=""):
    """Record a number for the course report and show it in one line, such as `test NELBO: 151.93 nats`.

    Raises:
        ValueError: when the value is not one finite number.
    """
    _check_text(name, "name")
    number = _numbers("value", value)
    if number.size != 1 or not np.isfinite(number).all():
        raise ValueError(f"value of the figure '{name}' must be one finite number; received {_abridged(value)}.")
    number = number.item()
    whole = np.asarray(value).dtype.kind in "biu"
    shown = f"{number:.0f}" if whole else f"{number:.2f}" if abs(number) >= 1 else f"{number:.4g}"
    line = f"{name}: {shown} {unit}".rstrip()
    if _notebook() is None:
        _print(line)
    else:
        _display({"text/plain": line, FIGURE_MIME: {"name": name, "value": number, "unit": unit}})


def summary():
    """Return the claims made in this kernel so far, as a table in text and HTML."""
    return Summary(tuple(_claims.values()))


@dataclass(frozen=True)
class Summary:
    """A table of claims; `print` shows text, a notebook shows HTML."""

    claims: tuple[Claim, ...]

    def headline(self):
        """How many claims were made, and how many held."""
        held = sum(claim.passed for claim in self.claims)
        return f"{len(self.claims)} claim{'' if len(self.claims) == 1 else 's'} made, {held} held"

    def _rows(self):
        for claim in self.claims:
            numbers = (f"{n:.2g}" if n is not None else "–" for n in (claim.difference, claim.tolerance))
            yield _mark(claim.passed), claim.text, *numbers

    def __repr__(self):
        rows = [("", "claim", "difference", "tolerance"), *self._rows()]
        width = max(len(row[1]) for row in rows)
        table = [f"{mark:1} {text:{width}}  {diff:>10}  {tol:>9}" for mark, text, diff, tol in rows]
        return "\n".join([*(table if self.claims else []), self.headline()])

    def _repr_html_(self):
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self._rows())
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        head = "<tr><th>held</th><th>claim</th><th>difference</th><th>tolerance</th></tr>"
        table = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
        return f'<details class="{SUMMARY_CLASS}"><summary>{self.headline()}</summary>{table}</details>'


def _compare(text, actual, expected, absolute, relative, shown, error=None):
    """Make the claim |actual - expected| <= tolerance for every element; the one furthest outside counts."""
    with np.errstate(invalid="ignore", over="ignore"):
        tolerance = absolute + (relative * np.abs(expected) if relative else np.zeros_like(expected))
        difference = np.abs(actual - expected)
        broken = ~(np.isfinite(actual) & np.isfinite(expected) & np.isfinite(difference))
        worst = np.argmax(np.where(broken, np.inf, difference - tolerance))
    worst = np.unravel_index(worst, difference.shape)
    largest, allowed = float(difference[worst]), float(tolerance[worst])
    passed = not broken.any() and largest <= allowed
    # Six digits where it fails: "0.01 > 0.01" would help nobody.
    digits = "{:.2g}" if passed else "{:.6g}"
    detail = shown.format(
        difference=digits.format(largest),
        tolerance=f"{allowed:.3g}" if passed else digits.format(allowed),
        error=digits.format(float(error[worst])) if error is not None else "",
        sign="≤" if passed else ">" if largest > allowed else "is not ≤",
    )
    if not passed and difference.ndim:
        detail += f" at index {tuple(map(int, worst))} of shape {difference.shape}"
    claim = Claim(text, passed, _json_number(largest), _json_number(allowed))
    _make(claim, detail, actual[worst], expected[worst])


def _make(claim, detail, actual, expected):
    """Remember the claim, show it, and raise when it does not hold."""
    _claims[claim.text] = claim
    line = _Line(claim, detail)
    _show(line)
    if not claim.passed:
        raise ClaimError(f"{line}\n  actual:   {_abridged(actual)}\n  expected: {_abridged(expected)}")


def _show(line):
    """Show a claim: print it, or put it into the one output that holds all claims of its cell."""
    ipython = _notebook()
    if ipython is None:
        _print(str(line))
    elif getattr(ipython, "kernel", None) is None:  # a shell whose output cannot be changed once it is there
        _display(_folded([line]))
    elif _cell.number != ipython.execution_count:
        _cell.number, _cell.lines = ipython.execution_count, [line]
        _cell.display = _display(_folded(_cell.lines), display_id=True)
    else:
        _cell.lines.append(line)
        _cell.display.update(_folded(_cell.lines), raw=True)


def _folded(lines):
    """The claims of one cell as its output: for readers, for terminals, for machines."""
    held = sum(line.claim.passed for line in lines)
    items = "".join(f"<li>{_item(line)}</li>" for line in lines)
    folded = (
        f"<details{'' if held == len(lines) else ' open'}><summary>{_mark(held == len(lines))} "
        f'{held} of {len(lines)} hold</summary><ul style="list-style: none; margin: 0">{items}</ul></details>'
    )
    return {
        "text/plain": "\n".join(map(str, lines)),
        "text/html": f'<div class="vaelib-claims">{folded if len(lines) > 1 else _item(lines[0])}</div>',
        CLAIM_MIME: [{**vars(line.claim), "detail": line.detail} for line in lines],
    }


def _item(line):
    return f"{_mark(line.claim.passed)} {html.escape(line.claim.text)} <small>{html.escape(line.detail)}</small>"


def _mark(passed):
    return "✓" if passed else "✗"


def _notebook():
    """The IPython shell that this runs in, None elsewhere."""
    ipython = sys.modules.get("IPython")  # a kernel has it loaded; nobody else needs it
    return ipython and ipython.get_ipython()


def _display(data, **options):
    from IPython.display import display

    return display(data, raw=True, **options)


def _print(line):
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding))  # a terminal without ✓ is no reason to fail


def _paired(actual, expected):
    """Both sides as float64 arrays of one shape; one number may stand for a whole array of equal ones."""
    actual, expected = _numbers("actual", actual), _numbers("expected", expected)
    if expected.shape not in ((), actual.shape):
        raise ValueError(
            f"expected must be one number or of the shape of the actual values, {actual.shape}; "
            f"received {expected.shape}. Reshape one side: nothing is broadcast."
        )
    if actual.size == 0:
        raise ValueError(f"actual must hold at least one value; received an empty array, shape {actual.shape}.")
    return actual, np.broadcast_to(expected, actual.shape)


def _numbers(name, value):
    try:
        array = np.asarray(value)
        if value is None or array.dtype.kind in "USc":
            raise TypeError(f"a {array.dtype} array")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a real number or an array of them; received {_abridged(value)}.") from error


def _tolerance(name, value):
    number = _numbers(name, value)
    if number.ndim or not np.isfinite(number) or number < 0:
        raise ValueError(f"{name} must be one finite number of at least 0; received {_abridged(value)}.")
    return float(number)


def _mean_and_error(samples):
    if samples.ndim == 0 or len(samples) < 2:
        raise ValueError(
            "estimate must hold at least two independent samples when standard_error is None; "
            f"received shape {samples.shape}. Pass the samples, or the estimate with its standard_error."
        )
    with np.errstate(invalid="ignore", over="ignore"):
        error = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
        # Equal samples can have a rounding-sized spread; that is no error bar.
        return samples.mean(axis=0), np.where(np.ptp(samples, axis=0) == 0, 0.0, error)


def _exactly_equal(actual, expected):
    """Whether two values are equal, and the largest difference where they are numbers of one shape."""
    try:
        a, b = np.asarray(actual), np.asarray(expected)
    except ValueError:  # ragged lists
        return bool(actual == expected), None
    if a.dtype.kind == "O" and b.dtype.kind == "O" and not (a.ndim or b.ndim):
        return bool(actual == expected), None
    if a.shape != b.shape:
        return False, None
    passed = bool(np.all(a == b))
    if not all(array.dtype.kind in "biuf" for array in (a, b)):
        return passed, None
    finite = bool(np.isfinite(a).all() and np.isfinite(b).all())
    difference = np.abs(a.astype(float) - b.astype(float)).max(initial=0.0) if finite else math.nan
    return passed and finite, _json_number(float(difference))


def _check_text(text, name="text"):
    if not isinstance(text, str) or not text.strip() or "\n" in text:
        raise TypeError(f"{name} must be a non-empty string of one line; received {text!r}.")


def _json_number(number):
    return number if math.isfinite(number) else None  # JSON has no NaN


def _abridged(value):
    """A value for a message: numbers to full precision, long arrays abridged."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    text = np.array2string(value, threshold=20) if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 300 else text[:297] + "..."
