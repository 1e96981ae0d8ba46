"""The bug hunt of lesson 10: twenty trained models, checks that cost points, an accusation each. No Keras here."""

import base64
import functools
import json
import zlib
from typing import NamedTuple

import numpy as np

from vaelib.pretrained.weights import FOLDER
from vaelib.teaching.bugs import BUGS, BY_NAME, CASES
from vaelib.teaching.runs import Pair, Run

FILE = "bug_hunt.json"
POINTS = 10  # what a case is worth before anything is asked
COPIES, NEW, CODES = LOOKS = ("its copies of test images", "new images from it", "its codes")
# What can be asked, and for how many points. The looks show something; the checks say whether they passed.
PRICES = {
    **dict.fromkeys(LOOKS, 1),
    # The parts against their definitions: no training.
    "the likelihood adds up to 1": 1,
    "draws, mean and density of the likelihood agree": 1,
    "the sampler takes any batch size": 1,
    "the noise has mean 0 and variance 1": 1,
    "the noise is new at each call and for each example": 1,
    "the KL is the mean of log q − log p": 1,
    "the evaluated loss is minus the ELBO": 1,
    # A trained model, and a training of its own.
    "the loss reports what the networks are worth": 2,
    "two images can be learned by heart": 3,
}
CHECKS = tuple(PRICES)[len(LOOKS) :]


class Answer(NamedTuple):
    """What an asked question brings: whether the check passed (None for a look), and what was seen, a sentence."""

    passed: bool | None
    detail: str

    def __repr__(self):
        return f"{ {None: '·', True: '✓', False: '✗'}[self.passed] } {self.detail}"


class Record:
    """What the script kept of the trained models, read once.

    Attributes:
        runs: by the name of a bug or of a right model, a Run.
        found: by the same name, the checks: by name, (passed, detail).
        recipe: how they were trained.
    """

    def __init__(self, file=FOLDER / FILE):
        record = json.loads(file.read_text("utf-8"))
        self.recipe, labels = record["recipe"], np.array(record["labels"])
        grey = unpacked_bytes(record["test"]) / 255
        self.runs, self.found = {}, {}
        for name, kept in record["runs"].items():
            base = BY_NAME[name].base if name in BY_NAME else name
            test = (grey > 0.5).astype(float) if base == "digits" else grey
            images = np.stack([test, *(unpacked_bytes(kept["images"]) / 255)])
            curves = {f"val_{part}": np.array(values) for part, values in kept["curves"].items()}
            codes = unpacked_bytes(kept["codes"]).astype("float32")
            self.runs[name] = Run(curves, codes, labels, images, kept["worth"], kept["active"])
            self.found[name] = {check: tuple(result) for check, result in kept["checks"].items()}

    def pair(self, bug, notice=""):
        """Return the run with this bug beside the right one, a Pair; the bug by its name."""
        return Pair(self.runs[bug], self.runs[BY_NAME[bug].base], notice)

    def matrix(self):
        """Return which check finds which bug, booleans of shape (bugs, checks), in the orders of BUGS and CHECKS."""
        return np.array([[not self.found[bug.name][check][0] for check in CHECKS] for bug in BUGS])


@functools.cache
def load_record():
    """Return the Record that ships with the package."""
    return Record()


class Hunt:
    """A hunt in progress: ask about a case, accuse a bug, read the score.

        hunt = Hunt()
        hunt.log(7)                                          # what training itself has printed: free
        hunt.ask(7, "the likelihood adds up to 1")           # costs points, see PRICES
        hunt.accuse(7, "mean over the pixels")               # once for each case

    Attributes:
        asked: by case, what was asked, a set. accused: by case, the bug that was accused.
    """

    def __init__(self):
        self.record = load_record()
        self.asked = {case: set() for case in range(1, len(CASES) + 1)}
        self.accused = {}

    def log(self, case):
        """Return what the case learned from, and what its training and its right model's have reported at last."""
        run, right, _ = self._pair(case)
        return f"case {case}, {self.data(case)}: {_log(run)}. Right model, same data: {_log(right)}."

    def data(self, case):
        """Return what the case learned from: "black and white digits" or "grey digits"."""
        return "black and white digits" if BY_NAME[self._pair(case)[2]].base == "digits" else "grey digits"

    def ask(self, case, question):
        """Return the Answer to a question, one of PRICES; it costs points once.

        Raises:
            ValueError: there is no such case or question, or the case is closed.
        """
        run, right, bug = self._pair(case)
        if question not in PRICES:
            raise ValueError(f"question must be one of {list(PRICES)}; received {question!r}.")
        if case in self.accused:
            raise ValueError(f"case {case} is closed: it was {bug}.")
        self.asked[case].add(question)
        return self.answer(case, question)

    def answer(self, case, question):
        """Return the Answer without asking for points."""
        run, right, bug = self._pair(case)
        if question == CODES:
            spreads = [np.sqrt(np.mean(each.codes.astype(float) ** 2)) for each in (run, right)]
            units = f"{run.active_units} of {run.codes.shape[1]} units active"
            return Answer(None, f"{units}; root mean square {spreads[0]:.2f}, of the right model {spreads[1]:.2f}")
        if question in LOOKS:
            images = run.images[1 + LOOKS.index(question)]
            return Answer(None, f"grey values from {images.min():.2f} to {images.max():.2f}")
        passed, detail = self.record.found[bug][question]
        return Answer(passed, detail.replace("-", "−"))

    def accuse(self, case, bug):
        """Close a case and return the verdict, a sentence.

        Raises:
            ValueError: there is no such case or bug, or the case is closed.
        """
        truth = self._pair(case)[2]
        if bug not in BY_NAME:
            raise ValueError(f"bug must be one of {list(BY_NAME)}; received {bug!r}.")
        if case in self.accused:
            raise ValueError(f"case {case} is closed: it was {truth}.")
        self.accused[case] = bug
        if bug == truth:
            return f"Solved, {self.points(case)} points. It runs {BY_NAME[truth].wrong}"
        return f"No. It is {truth}: it runs {BY_NAME[truth].wrong}"

    def points(self, case):
        """Return what the case brings if it is solved now, from 0 to POINTS; 0 where the accusation was wrong."""
        if self.accused.get(case, CASES[case - 1]) != CASES[case - 1]:
            return 0
        return max(0, POINTS - sum(PRICES[question] for question in self.asked[case]))

    @property
    def solved(self):
        """The cases whose bug was named, a list."""
        return [case for case, bug in self.accused.items() if bug == CASES[case - 1]]

    @property
    def score(self):
        """The points of all solved cases."""
        return sum(self.points(case) for case in self.solved)

    def _pair(self, case):
        if case not in self.asked:
            raise ValueError(f"case must be a whole number from 1 to {len(CASES)}; received {case!r}.")
        bug = CASES[case - 1]
        return (*self.record.pair(bug)[:2], bug)


def _log(run):
    loss, reconstruction, kl = (_nats(run.curves[f"val_{name}"][-1]) for name in ("loss", "reconstruction", "kl"))
    return f"reconstruction {reconstruction} + KL {kl}, loss {loss} nats after {len(run.curves['val_kl'])} epochs"


def _nats(number):
    return (f"{number:,.2f}" if abs(number) < 1e4 else f"{number:.1e}").replace("-", "−")


def packed_bytes(array):
    """Return an array as JSON: {dtype, shape, zlib + base64}."""
    array = np.ascontiguousarray(array)
    text = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "zlib": text}


def unpacked_bytes(packed):
    """Return the array that `packed_bytes` was given."""
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"])), packed["dtype"]).reshape(packed["shape"])
