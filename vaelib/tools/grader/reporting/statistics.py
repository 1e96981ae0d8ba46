"""Which questions are hard, which tell students apart, and what goes wrong most often."""

import collections
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
from matplotlib.figure import Figure

from vaelib.tools.grader.reporting.reports import Sources
from vaelib.tools.grader.reporting.scores import read_scores
from vaelib.tools.results import write_csv

COLUMNS = [
    "assignment", "question", "students", "to_mark", "max_score", "mean", "sd", "share", "full", "none",
    "discrimination", "commonest_mistake", "made_by",
]  # fmt: skip
FEWEST = 5  # students: below that a correlation says nothing
NOT_ANSWERED = "not answered"
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Question(NamedTuple):
    """What a class made of one question; a line of statistics.csv.

    `share` is the mean over the points, that is how easy it was. `discrimination` is the correlation of its score with
    the share earned of all other questions of the assignment, nan where it is not defined or under FEWEST students.
    """

    assignment: str
    question: str
    students: int
    to_mark: int
    max_score: float
    mean: float
    sd: float
    share: float
    full: float
    none: float
    discrimination: float
    commonest_mistake: str
    made_by: int


def question_statistics(
    rows: Sequence[Mapping[str, Any]], mistakes: Mapping[tuple[str, str, str], str]
) -> list[Question]:
    """Describe every question.

    Args:
        rows: of `scores.read_scores`.
        mistakes: what went wrong, by student, assignment and question (see `named_mistakes`).

    Returns:
        List of Question, in the order of the rows.

    Source: the corrected item-total correlation, Crocker and Algina, Introduction to Classical and Modern Test Theory
        (1986), chapter 14.
    """
    scores: dict[tuple[str, str], dict[str, float | None]] = {}
    most: dict[tuple[str, str], float] = {}
    for row in rows:
        place = row["assignment"], row["question"]
        scores.setdefault(place, {})[row["student"]] = None if row["score"] == "" else float(row["score"])
        most[place] = float(row["max_score"])
    found = []
    for (assignment, question), by_student in scores.items():
        marked = {student: score for student, score in by_student.items() if score is not None}
        others = [place for place in scores if place[0] == assignment and place[1] != question]
        rest = [_share(student, others, scores, most) for student in marked]
        points = np.array(list(marked.values()))
        counted = collections.Counter(
            _kind(mistakes[student, assignment, question])
            for student in marked
            if (student, assignment, question) in mistakes
        )
        named = [(kind, count) for kind, count in counted.most_common() if kind != NOT_ANSWERED] or counted.most_common(
            1
        )
        kind, count = named[0] if named else ("", 0)
        said = [
            text for (_, *place), text in mistakes.items() if place == [assignment, question] and _kind(text) == kind
        ]
        full = most[assignment, question]
        some = bool(marked)
        found.append(
            Question(
                assignment, question, len(by_student), len(by_student) - len(marked), full,
                float(points.mean()) if some else np.nan,
                float(points.std(ddof=1)) if len(marked) > 1 else np.nan,
                float(points.mean() / full) if some and full else np.nan,
                float((points >= full).mean()) if some else np.nan, float((points <= 0).mean()) if some else np.nan,
                _correlation(points, np.array(rest)),
                collections.Counter(said).most_common(1)[0][0] if said else "", count,
            )
        )  # fmt: skip
    return found


def named_mistakes(root: Path, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], str]:
    """Read what the failed tests said from the graded notebooks.

    Args:
        root: folder of the grades, with autograded/.
        rows: of `scores.read_scores`.

    Returns:
        Dictionary from (student, assignment, question) to the first line of the message.
    """
    found = {}
    for student, assignment in dict.fromkeys((row["student"], row["assignment"]) for row in rows):
        path = root / "autograded" / student / assignment / f"{assignment}.ipynb"
        if not path.exists():
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            question = cell.metadata.get("nbgrader", {})
            errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
            if question.get("grade") and errors:
                found[student, assignment, question.grade_id] = _says(errors[0])
    return found


def write_statistics(root: Path, gradebook: str, sources: Sources) -> list[Question]:
    """Write statistics.csv and statistics.svg.

    Args:
        root: folder of the grades.
        gradebook: its address.
        sources: the assignments.

    Returns:
        What stands in the table.
    """
    rows = read_scores(gradebook, sources)
    questions = question_statistics(rows, named_mistakes(root, rows))
    lines = [
        ["" if isinstance(cell, float) and np.isnan(cell) else round(cell, 3) if isinstance(cell, float) else cell
         for cell in question]
        for question in questions
    ]  # fmt: skip
    write_csv(root / "statistics.csv", COLUMNS, lines)
    if questions:
        draw(questions).savefig(root / "statistics.svg", metadata={"Date": None})
    return questions


def draw(questions: Sequence[Question]) -> Figure:
    """Return a figure: how much of its points each question earned, and how well it tells students apart."""
    height = 1.2 + 0.3 * len(questions)
    figure = Figure(figsize=(9, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = np.arange(len(questions))
    labels = [f"{one.assignment}: {one.question}" for one in questions]
    share = np.nan_to_num([one.share for one in questions])
    left.barh(places, share, color="0.55")
    for place, one in zip(places, questions, strict=True):
        text = "to mark" if np.isnan(one.share) else f"{one.share:.0%}"
        left.annotate(text, (share[place], place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    left.set(xlim=(0, 1.15), xticks=[0, 0.5, 1], xlabel="mean share of the points", yticks=places)
    left.set_yticklabels(labels, fontsize=8)
    left.invert_yaxis()
    right.axvline(0, color="0.7", linewidth=0.8)
    right.plot([one.discrimination for one in questions], places, "o", color="C0")
    right.set(xlim=(-1.05, 1.05), xlabel="correlation with the other questions")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _says(error: nbformat.NotebookNode) -> str:
    if error.ename == "NotImplementedError":
        return NOT_ANSWERED
    first = (error.evalue.strip().splitlines() or [""])[0][:200]
    return first if error.ename == "AssertionError" and first else f"{error.ename}: {first}".rstrip(": ")


def _kind(text: str) -> str:
    """A mistake whatever the figures in it."""
    return _NUMBER.sub("…", text)


def _share(
    student: str,
    places: Sequence[tuple[str, str]],
    scores: Mapping[tuple[str, str], Mapping[str, float | None]],
    most: Mapping[tuple[str, str], float],
) -> float:
    """The part that a student earned of the points in these questions, of those that are marked."""
    marked = [place for place in places if scores[place].get(student) is not None]
    full = sum(most[place] for place in marked)
    return sum(scores[place][student] or 0.0 for place in marked) / full if full else 0.0


def _correlation(points: np.ndarray, rest: np.ndarray) -> float:
    if len(points) < FEWEST or points.std() == 0 or rest.std() == 0:
        return float("nan")
    return float(np.corrcoef(points, rest)[0, 1])
