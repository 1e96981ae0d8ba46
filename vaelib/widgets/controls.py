"""What a lab's reader can set: sliders, menus, check boxes and drawings, each over one named value."""

import math
from dataclasses import dataclass

import numpy as np

from vaelib.widgets.strokes import strokes_of


@dataclass(frozen=True)
class Slider:
    """A number within a range, on steps from its lower end.

    Args:
        label: what the value is, in words; it is all that a screen reader has.
        low, high: the ends, both included.
        step: the grid that dragging snaps to.
        start: the value at first, and after a reset.
        key: how far an arrow key moves; one step by default.
        hidden: no row of its own below the picture, which has handles for it.
        counts: the value is the log10 of a whole number, and that number is what the reader sees: see `count`.

    Raises:
        ValueError: the numbers do not fit together.
    """

    label: str
    low: float
    high: float
    step: float
    start: float
    key: float | None = None
    hidden: bool = False
    counts: bool = False

    def __post_init__(self):
        numbers = (self.low, self.high, self.step, self.start)
        fits = all(is_finite(number) for number in numbers)
        if not (fits and self.low < self.high and 0 < self.step <= self.high - self.low):
            raise ValueError(f"a slider needs finite low < high and 0 < step <= high - low; received {self}.")
        self.check("start", self.start)

    def check(self, name, value):
        """Return the value as a plain number, or raise ValueError."""
        if not (is_finite(value) and self.low <= value <= self.high):
            raise ValueError(f"{name} must be a number from {self.low:g} to {self.high:g}; received {value!r}.")
        return int(value) if self.is_whole else float(value)

    @property
    def is_whole(self):
        """Whether the slider moves over whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step))

    def positions(self, num):
        """Return at most num values on the slider's steps, from one end to the other."""
        steps = np.unique(np.round(np.linspace(0, round((self.high - self.low) / self.step), num)))
        return [self.check("value", min(self.high, round(self.low + k * self.step, 10))) for k in steps]

    def spec(self, name):
        """Return what the browser needs, as JSON."""
        numbers = {key: getattr(self, key) for key in ("low", "high", "step", "start")}
        return {
            "kind": "slider",
            "name": name,
            "label": self.label,
            **numbers,
            "key": self.key or self.step,
            "hidden": self.hidden,
            **({"counts": True} if self.counts else {}),
        }


@dataclass(frozen=True)
class Menu:
    """One of several texts.

    Args:
        label: what is chosen, in words.
        options: the texts, each once.
        start: the one chosen at first; the first by default.
        hidden: as for a slider.

    Raises:
        ValueError: no options, one twice, or a start that is none of them.
    """

    label: str
    options: tuple[str, ...]
    start: str | None = None
    hidden: bool = False

    def __post_init__(self):
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options or len(set(self.options)) != len(self.options):
            raise ValueError(f"options must be texts, each once; received {self.options!r}.")
        object.__setattr__(self, "start", self.options[0] if self.start is None else self.start)
        self.check("start", self.start)

    def check(self, name, value):
        """Return the value, or raise ValueError."""
        if not (isinstance(value, str) and value in self.options):
            raise ValueError(f"{name} must be one of {list(self.options)}; received {value!r}.")
        return value

    def positions(self, num):
        """Return all options."""
        return list(self.options)

    def spec(self, name):
        """Return what the browser needs, as JSON."""
        options = list(self.options)
        about = {"label": self.label, "options": options, "start": self.start, "hidden": self.hidden}
        return {"kind": "menu", "name": name, **about}


@dataclass(frozen=True)
class Toggle:
    """True or False.

    Args:
        label: what is on when it is True, in words.
        start: the value at first.
        hidden: as for a slider.
    """

    label: str
    start: bool = False
    hidden: bool = False

    def check(self, name, value):
        """Return the value as a bool, or raise ValueError."""
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False; received {value!r}.")
        return bool(value)

    def positions(self, num):
        """Return False and True."""
        return [False, True]

    def spec(self, name):
        """Return what the browser needs, as JSON."""
        return {"kind": "toggle", "name": name, "label": self.label, "start": self.start, "hidden": self.hidden}


@dataclass(frozen=True)
class Drawing:
    """Pen strokes, as the text that `vaelib.widgets.strokes.strokes_of` reads; drawn on the picture itself.

    Args:
        label: what is drawn, in words.
        start: the drawing at first; none by default.
    """

    label: str
    start: str = ""
    hidden: bool = True

    def __post_init__(self):
        self.check("start", self.start)

    def check(self, name, value):
        """Return the value, or raise ValueError."""
        try:
            strokes_of(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return value

    def positions(self, num):
        """Return a few drawings, from none to a digit of two strokes."""
        slants = [f"{x:02}15{99 - x:02}85" for x in np.linspace(10, 89, max(1, min(num, 40) - 3)).astype(int)]
        return ["", "5050", *slants, "70153012303550407060408025708575-10901590"]

    def spec(self, name):
        """Return what the browser needs, as JSON."""
        return {"kind": "drawing", "name": name, "label": self.label, "start": self.start, "hidden": self.hidden}


@dataclass(frozen=True)
class Marks:
    """One letter for each of several places: what has been chosen at each, kept by the picture itself.

    Args:
        label: what is marked, in words.
        length: how many places.
        letters: the letters that a place can take; at first each has the first one.

    Raises:
        ValueError: no places, or fewer than two letters.
    """

    label: str
    length: int
    letters: str
    hidden: bool = True

    def __post_init__(self):
        if self.length < 1 or len(set(self.letters)) < 2 or len(set(self.letters)) != len(self.letters):
            raise ValueError(f"marks need a place and two letters, each once; received {self}.")

    @property
    def start(self):
        """The first letter everywhere."""
        return self.letters[0] * self.length

    def check(self, name, value):
        """Return the value, or raise ValueError."""
        if not (isinstance(value, str) and len(value) == self.length and set(value) <= set(self.letters)):
            raise ValueError(f"{name} must be {self.length} letters of {self.letters!r}; received {value!r}.")
        return value

    def positions(self, num):
        """Return at most num texts, from the start to the last letter everywhere, the others at random."""
        rng = np.random.default_rng(0)
        mixed = ["".join(rng.choice(list(self.letters), self.length)) for _ in range(min(num, 40) - 2)]
        return [self.start, *mixed, self.letters[-1] * self.length]

    def spec(self, name):
        """Return what the browser needs, as JSON."""
        about = {"label": self.label, "length": self.length, "letters": self.letters, "start": self.start}
        return {"kind": "marks", "name": name, **about, "hidden": self.hidden}


def count(log10):
    """Return the whole number whose log10 a slider that counts holds, rounded as the browser does."""
    return math.floor(10.0**log10 + 0.5)


def is_finite(value):
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
