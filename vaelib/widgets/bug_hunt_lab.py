"""The bug hunt of notebook 10: choose a case, ask what you can pay for, accuse; the score stands below."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from vaelib.teaching.bug_hunt import LOOKS, POINTS, PRICES, Hunt
from vaelib.teaching.bugs import BUGS, CASES
from vaelib.teaching.plots import tile
from vaelib.widgets.controls import Marks, Menu
from vaelib.widgets.lab import Lab

QUESTIONS = tuple(PRICES)
NOBODY, ACCUSED = ".", "abcdefghijklmnopqrst"  # a letter for each bug, in the order of BUGS
MARK = {None: "", True: "✓ ", False: "✗ "}
ALT = (
    "The bug hunt: twenty cases, the training log of the chosen one, what can be asked and for how many points, and a "
    "menu of twenty bugs to accuse."
)


class BugHuntLab(Lab):
    """The lab: twenty trained models, each with one bug. Every question costs points; one accusation closes a case.

        lab = BugHuntLab()
        lab.hunt(case="case 7").score     # where the reader stands, as a Hunt

    The state is text: `asked` has a 1 for each question that was asked, case by case, `accused` a letter for each case.
    """

    def __init__(self):
        hunt = Hunt()
        self.cases = {f"case {case}": case for case in hunt.asked}
        suspects = []
        for case, bug in enumerate(CASES, 1):
            answers = [hunt.answer(case, question) for question in QUESTIONS]
            run, right, _ = hunt.record.pair(bug)
            suspects.append(
                {
                    "bug": [other.name for other in BUGS].index(bug),
                    "log": hunt.log(case),
                    "data": hunt.data(case),
                    "found": [[MARK[answer.passed].strip(), answer.detail] for answer in answers],
                    "images": [_strip(run.images[k]) for k in (1, 2)],
                }
            )
        super().__init__(
            "bug_hunt",
            {
                "case": Menu("case", tuple(self.cases), hidden=True),
                "asked": Marks("what was asked", len(CASES) * len(QUESTIONS), "01"),
                "accused": Marks("who was accused", len(CASES), NOBODY + ACCUSED[: len(BUGS)]),
            },
            {
                "suspects": suspects,
                "questions": [[question, points] for question, points in PRICES.items()],
                "points": POINTS,
                "bugs": [[bug.name, bug.right, bug.wrong] for bug in BUGS],
                "letters": ACCUSED,
                "test": {
                    base: _strip(hunt.record.runs[name].images[0])
                    for base, name in (("black and white digits", "digits"), ("grey digits", "grey"))
                },
            },
            alt=ALT,
        )

    def hunt(self, **values):
        """Return where the reader stands, as a `Hunt`; values as for `numbers`."""
        values, hunt = self.checked(values), Hunt()
        for case in hunt.asked:
            row = values["asked"][(case - 1) * len(QUESTIONS) : case * len(QUESTIONS)]
            hunt.asked[case] = {question for question, mark in zip(QUESTIONS, row, strict=True) if mark == "1"}
            letter = values["accused"][case - 1]
            if letter != NOBODY:
                hunt.accused[case] = BUGS[ACCUSED.index(letter)].name
        return hunt

    def compute(self, case, asked, accused):
        hunt = self.hunt(case=case, asked=asked, accused=accused)
        return {
            "points": [hunt.points(each) for each in hunt.asked],
            "closed": [int(each in hunt.accused) for each in hunt.asked],
            "solved": len(hunt.solved),
            "score": hunt.score,
        }

    def draw(self, now, values):
        hunt, case = self.hunt(**values), self.cases[values["case"]]
        bug = CASES[case - 1]
        lines = [f"{question}  ·  {PRICES[question]}" for question in QUESTIONS]
        for k, question in enumerate(QUESTIONS):
            if question in hunt.asked[case]:
                passed, detail = hunt.answer(case, question)
                lines[k] = f"{MARK[passed]}{question}: {detail}"
        figure, (words, pictures) = plt.subplots(1, 2, figsize=(9.5, 3.6), width_ratios=[1.9, 1])
        left = f"{now['points'][case - 1]} points left, score {now['score']}"
        words.set_title(f"Case {case} of {len(CASES)}: {left}", fontsize=11)
        log = hunt.log(case).split(": ", 1)[1].replace(". Right model", ".\nRight model")
        words.text(0, 1, log, va="top", fontsize=9)
        words.text(0, 0.84, "Ask, for points:\n" + "\n".join(lines), va="top", fontsize=9, linespacing=1.4)
        words.axis("off")
        run = hunt.record.runs[bug]
        seen = [run.images[0], *(run.images[k] for k in (1, 2) if LOOKS[k - 1] in hunt.asked[case])]
        pictures.imshow(tile(np.concatenate(seen), rows=len(seen)), cmap="gray", vmin=0, vmax=1)
        pictures.set(xticks=[], yticks=[], anchor="N")
        pictures.set_title("test images" + " and what was asked" * (len(seen) > 1), fontsize=9)
        return figure


def _strip(images):
    """Images in a row as PNG, base64; 16 greys, for the page holds many of them."""
    row = tile(images, rows=1)
    picture = Image.fromarray((17 * (15 * row.clip(0, 1) + 0.5).astype("uint8")).astype("uint8"))
    stream = io.BytesIO()
    picture.quantize(16).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
