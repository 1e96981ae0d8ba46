"""What every assignment is tested by: a table of answers goes through the grader, the exported scores come back."""

import csv
import html
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "assignments"


class Answer(NamedTuple):
    """One row of the table.

    Args:
        name: what is wrong with it, or what is different.
        question: the question it answers; `source` replaces the whole cell `QUESTION_answer`.
        source: code.
        says: what the test must tell the student, or part of it; "" to leave that open.
        hidden: whether the visible tests pass, and a hidden one must find it.
    """

    name: str
    question: str
    source: str
    says: str = ""
    hidden: bool = False


def source_of(assignment):
    """Read the source of an assignment."""
    return nbformat.read(COURSE / "source" / assignment / f"{assignment}.ipynb", as_version=4)


def points_of(notebook):
    """Return two dictionaries from a question to its points: graded by tests, marked by hand."""
    graded = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    split = [{c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points for c in graded if c.cell_type == kind}
             for kind in ("code", "markdown")]  # fmt: skip
    return tuple(split)


def cell_of(notebook, grade_id):
    """Return the one cell of that name."""
    (cell,) = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
    return cell


def answer(assignment, *answers):
    """Return the model solution with some answers replaced."""
    notebook = source_of(assignment)
    for row in answers:
        cell_of(notebook, f"{row.question}_answer").source = row.source.strip()
    return notebook


def hand_in(folder, student, assignment, notebook):
    """Write a submission."""
    (folder / student).mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / student / f"{assignment}.ipynb")


def classroom(*arguments, **options):
    """Run `python -m vaelib.tools.grader`, as the Makefile does."""
    command = [sys.executable, "-m", "vaelib.tools.grader", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def grade(submitted, output, *options, **more):
    """Grade a folder and return (scores, submissions) as exported, two dictionaries with student names as keys."""
    run = classroom("grade", submitted, "--output", output, "--jobs", 2, *options, **more)
    assert run.returncode == 0, run.stdout + run.stderr
    return read_export(output)


def read_export(output):
    """Read the exported files: {student: {question: score or None}} and {student: row}."""
    scores = {}
    with open(output / "scores.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores.setdefault(row["student"], {})[row["question"]] = float(row["score"]) if row["score"] else None
    with open(output / "submissions.csv", newline="", encoding="utf-8") as file:
        return scores, {row["student"]: row for row in csv.DictReader(file)}


def packs(rows, size=99):
    """Deal rows out, at most `size` to a pack, so that no two rows of a pack answer the same question."""
    dealt = []
    for row in rows:
        fits = (pack for pack in dealt if len(pack) < size and row.question not in [other.question for other in pack])
        pack = next(fits, None)
        if pack is None:
            dealt.append(pack := [])
        pack.append(row)
    return dealt


class AssignmentTests:
    """Inherit, and fill in the table.

    Wrong answers to three questions share one submission, with `share` to any number: each loses its own points, and
    the questions answered right beside them lose none.
    """

    assignment = None
    wrong = ()
    right = ()
    share = False

    @pytest.fixture(scope="class")
    @classmethod
    def graded(table, tmp_path_factory):
        """Grade the whole table: the exported scores and submissions, {row: (student, its pack)}, the output."""
        folder = tmp_path_factory.mktemp("grading")
        name = table.assignment
        release = classroom("release", "--output", folder / "build")
        assert release.returncode == 0, release.stderr
        stub = folder / "build" / "release" / name / f"{name}.ipynb"
        hand_in(folder / "in", "stub", name, nbformat.read(stub, as_version=4))
        hand_in(folder / "in", "model", name, source_of(name))
        students = {}
        wrong = packs(table.wrong) if table.share else packs(table.wrong, size=3)
        for number, pack in enumerate(wrong + packs(table.right)):
            student = f"student{number:02d}"
            hand_in(folder / "in", student, name, answer(name, *pack))
            students.update({row: (student, pack) for row in pack})
        scores, submissions = grade(folder / "in", folder / "out")
        return scores, submissions, students, folder / "out"

    def test_model_solution_earns_everything_in_time_and_memory(self, graded):
        scores, submissions, _, _ = graded
        auto, by_hand = points_of(source_of(self.assignment))
        assert len(auto) >= 5 and sum(auto.values()) + sum(by_hand.values()) == 100
        assert scores["model"] == auto | dict.fromkeys(by_hand)  # None: to be marked
        assert float(submissions["model"]["megabytes"]) < 1200
        # Two minutes are for a quiet machine; here a whole table runs beside it.
        assert 0 < float(submissions["model"]["seconds"]) < 600

    def test_untouched_stub_earns_nothing(self, graded):
        scores, submissions, _, _ = graded
        auto, by_hand = points_of(source_of(self.assignment))
        assert scores["stub"] == dict.fromkeys(auto | by_hand, 0.0)
        assert submissions["stub"]["status"] == "graded"

    def test_wrong_answer_loses_its_question_alone(self, graded, wrong):
        scores, _, students, folder = graded
        student, pack = students[wrong]
        auto, by_hand = points_of(source_of(self.assignment))
        broken = dict.fromkeys([row.question for row in pack], 0.0)
        assert wrong.question in auto
        assert scores[student] == auto | dict.fromkeys(by_hand) | broken
        notebook = folder / "autograded" / student / self.assignment / f"{self.assignment}.ipynb"
        cell = cell_of(nbformat.read(notebook, as_version=4), wrong.question)
        said = [output.evalue for output in cell.outputs if output.output_type == "error"]
        assert len(said) == 1 and wrong.says in said[0]
        if wrong.hidden:
            page = folder / "feedback" / student / self.assignment / f"{self.assignment}.html"
            assert f"In a hidden test: AssertionError: {html.escape(said[0], quote=False)}" in page.read_text("utf-8")

    def test_right_answer_loses_nothing(self, graded, right):
        scores, _, students, _ = graded
        student, _ = students[right]
        assert right.question in scores[student]
        assert scores[student] == scores["model"]
