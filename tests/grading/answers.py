"""What every assignment is tested by: a table of answers goes through the grader, the exported scores come back."""

import csv
import functools
import html
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from in_process import notebook_shell

from vaelib.teaching.answers import seed_of
from vaelib.tools.grader.reporting.remarks import unusual
from vaelib.tools.grader.running.outside import Reply, Verdict, outside_tests, run_outside
from vaelib.tools.grader.running.shield import answers_of, canary, parts_of, passed_parts, shielded
from vaelib.tools.grader.running.wall import is_available

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "assignments"
TOKEN = "passed: "
UNPROTECTED = [] if is_available() else ["--unprotected"]


class Answer(NamedTuple):
    """One row of the table.

    Args:
        name: what is wrong with it, or what is different.
        question: the question it answers; `source` replaces the whole cell `QUESTION_answer`.
        source: code.
        says: what the test must tell the student, or part of it; "" to leave that open.
        hidden: whether the visible tests pass, and a hidden one must find it.
        earns: points for the parts of the tests that a wrong answer passes all the same.
    """

    name: str
    question: str
    source: str
    says: str = ""
    hidden: bool = False
    earns: float = 0


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


def build_course(folder, notebook, name, seconds):
    """Write a course directory with one small assignment, of which each cell may take so many seconds."""
    (folder / "source" / name).mkdir(parents=True)
    nbformat.write(notebook, folder / "source" / name / f"{name}.ipynb")
    config = (COURSE / "nbgrader_config.py").read_text(encoding="utf-8")
    assert "c.Execute.timeout = 120" in config
    (folder / "nbgrader_config.py").write_text(
        config.replace("timeout = 120", f"timeout = {seconds}"), encoding="utf-8"
    )
    return folder


def classroom(*arguments, **options):
    """Run `python -m vaelib.tools.grader`, as the Makefile does."""
    command = [sys.executable, "-m", "vaelib.tools.grader", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def grade(submitted, output, *options, **more):
    """Grade a folder and return (scores, submissions) as exported, two dictionaries with student names as keys."""
    run = classroom("grade", submitted, "--output", output, "--jobs", 2, *UNPROTECTED, *options, **more)
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


class Result(NamedTuple):
    """What the tests of one question said: points, the error's type and message or "", its place."""

    earned: float
    kind: str = ""
    says: str = ""
    hidden: bool = False


def run(notebook, shield=shielded, seeds=(0,)):
    """Run a notebook as the grader does, in this process: what fails is noted, and the next cell runs.

    Args:
        notebook: with the tests of the source.
        shield: `shielded`, or `canary` to have every answer off.
        seeds: of the hidden tests, which run once with each; the last error counts.
    Returns:
        {question: Result}, of the questions that are graded by tests.
    """
    results = {}
    with notebook_shell() as run_cell, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a student's warning costs nothing
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            question = cell.metadata.get("nbgrader", {})
            if not question.get("grade"):
                run_cell(cell.source)
                continue
            worth = parts_of(cell.source, question.points).points
            results[question.grade_id] = Result(question.points)
            for seed in seeds:
                names = asked()[question.grade_id]
                verdict = None
                if shield is shielded and question.grade_id in from_outside():
                    verdict = run_outside(cell.source, names, TOKEN, seed, lambda code: _reply(run_cell(code)))
                if verdict is None:
                    verdict = _verdict(run_cell(shield(cell.source, names, TOKEN, seed)))
                if verdict.error is not None:
                    earned = sum(worth[part] for part in passed_parts(verdict.printed, TOKEN))
                    hidden = verdict.error[2] > cell.source.split("### BEGIN HIDDEN TESTS")[0].count("\n")
                    results[question.grade_id] = Result(earned, *verdict.error[:2], hidden)
    return results


def _reply(ran):
    return Reply(ran.printed, ran.error and (type(ran.error).__name__, str(ran.error)))


def _verdict(ran):
    """What a test said that ran where the answers are."""
    if ran.error is None:
        return Verdict(ran.printed, "")
    frames = traceback.extract_tb(ran.error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<tests>"]
    return Verdict(ran.printed, "", (type(ran.error).__name__, str(ran.error), (lines or [0])[0]))


@functools.cache
def asked():
    """The names that each question of the course asks for."""
    sources = (source_of(path.stem) for path in COURSE.glob("source/*/*.ipynb"))
    return {question: names for source in sources for question, names in answers_of(source.cells).items()}


@functools.cache
def from_outside():
    """The questions of the course whose tests run in the grader."""
    return set().union(*(outside_tests(source_of(path.stem).cells) for path in COURSE.glob("source/*/*.ipynb")))


class AssignmentTests:
    """Inherit, and fill in the table.

    Wrong answers to three questions share one notebook, with `share` to any number: each loses its own points, and
    the questions answered right beside them lose none. All run in this process; some of them also go through nbgrader,
    which must say the same. Where a notebook trains a model, `slow` leaves the table to `make test-all`.

    The model solution is tried with the hidden tests of so many `students`.
    """

    assignment = None
    wrong = ()
    right = ()
    share = False
    slow = False
    students = 100

    @pytest.fixture(scope="class")
    @classmethod
    def ran(table):
        """A function from a row of the table to the results of the notebook that holds it, and to its whole pack."""
        dealt = packs(table.wrong, size=99 if table.share else 3) + packs(table.right)
        results = {}

        def ran(row):
            number, pack = next((number, pack) for number, pack in enumerate(dealt) if row in pack)
            if number not in results:
                results[number] = run(answer(table.assignment, *pack))
            return results[number], pack

        return ran

    def test_model_solution_passes_every_test(self):
        auto, by_hand = points_of(source_of(self.assignment))
        assert len(auto) >= 5 and sum(auto.values()) + sum(by_hand.values()) == 100
        assert run(source_of(self.assignment)) == {question: Result(points) for question, points in auto.items()}

    @pytest.mark.slow
    def test_the_model_solution_passes_whatever_the_hidden_tests_draw(self):
        seeds = [seed_of(f"student {number}", self.assignment) for number in range(self.students)]
        results = run(source_of(self.assignment), seeds=seeds)
        assert {question: result for question, result in results.items() if result.kind} == {}

    def test_no_part_of_the_tests_passes_when_the_answer_is_off(self):
        results = run(source_of(self.assignment), canary)
        assert {question for question, result in results.items() if result.earned or not result.kind} == set()

    def test_every_part_of_the_tests_holds_something_hidden(self):
        for cell in source_of(self.assignment).cells:
            question = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and question.get("grade"):
                hidden = cell.source[: cell.source.index("### BEGIN HIDDEN TESTS")].count("\n")
                lines, points = parts_of(cell.source, question.points)
                last = [name for line, name in lines if line <= hidden + 1][-1]
                assert {last, *(name for line, name in lines if line > hidden)} == set(points), question.grade_id

    def test_untouched_stub_passes_no_test(self, release):
        stub = nbformat.read(release / self.assignment / f"{self.assignment}.ipynb", as_version=4)
        auto, _ = points_of(source_of(self.assignment))
        # As the grader does, with the tests of the source.
        for question in auto:
            cell_of(stub, question).source = cell_of(source_of(self.assignment), question).source
        results = run(stub)
        assert set(results) == set(auto) and all(result.kind and not result.earned for result in results.values())

    def test_honest_answers_hold_nothing_unusual(self):
        for row in (*self.right, *self.wrong):
            assert unusual(answer(self.assignment, row)) == [], row.name

    def test_wrong_answer_loses_its_question_alone(self, ran, wrong):
        results, pack = ran(wrong)
        assert {question for question, result in results.items() if result.kind} == {row.question for row in pack}
        result = results[wrong.question]
        assert wrong.says in result.says and result.earned == wrong.earns
        if wrong.hidden:
            assert result.hidden and result.kind == "AssertionError"

    def test_right_answer_loses_nothing(self, ran, right):
        results, _ = ran(right)
        assert right.question in results
        assert {question: result for question, result in results.items() if result.kind} == {}

    @pytest.fixture(scope="class")
    @classmethod
    def graded(table, release, tmp_path_factory):
        """Grade the stub and a mixture through nbgrader: scores, submissions, the wrong answers, the output's folder.

        The model solution is graded before them, and must earn every point.
        """
        folder, name = tmp_path_factory.mktemp("grading"), table.assignment
        hand_in(folder / "in", "stub", name, nbformat.read(release / name / f"{name}.ipynb", as_version=4))
        # The wrong answers that only a hidden test finds are among them; other questions are answered right.
        hidden_first = sorted(table.wrong, key=lambda row: not row.hidden)
        wrong = packs(hidden_first, size=99 if table.share else 3)[0]
        right = [row for row in packs(table.right)[0] if row.question not in [other.question for other in wrong]]
        hand_in(folder / "in", "mixed", name, answer(name, *wrong, *right))
        scores, submissions = grade(folder / "in", folder / "out")
        return scores, submissions, wrong, folder / "out"

    def test_nbgrader_gives_the_same_scores(self, graded):
        scores, submissions, wrong, _ = graded
        auto, by_hand = points_of(source_of(self.assignment))
        assert scores["stub"] == dict.fromkeys(auto | by_hand, 0.0)
        assert scores["mixed"] == auto | dict.fromkeys(by_hand) | {row.question: row.earns for row in wrong}
        assert {row["status"] for row in submissions.values()} == {"graded"}
        assert 0 < float(submissions["mixed"]["seconds"])
        assert float(submissions["mixed"]["megabytes"]) < 1200

    def test_the_marker_gets_a_guide(self, graded, release):
        name, (*_, folder) = self.assignment, graded
        guide = "\n".join(cell.source for cell in nbformat.read(folder / "marking_guide.ipynb", as_version=4).cells)
        handed_out = nbformat.read(release / name / f"{name}.ipynb", as_version=4)
        said = "\n".join(cell.source for cell in handed_out.cells)
        for question in points_of(source_of(name))[1]:
            solution = cell_of(source_of(name), question).source.replace("### BEGIN SOLUTION\n", "").split("\n###")[0]
            assert solution in guide and solution.split("\n")[0] not in said
            assert f"`{question}`)" in guide and f"`{question}`)" in said

    def test_the_feedback_says_what_is_off_and_marks_hidden_tests(self, graded):
        _, _, wrong, folder = graded
        name = self.assignment
        notebook = nbformat.read(folder / "autograded" / "mixed" / name / f"{name}.ipynb", as_version=4)
        page = (folder / "feedback" / "mixed" / name / f"{name}.html").read_text("utf-8")
        assert any(row.hidden for row in wrong)
        for row in wrong:
            cell = cell_of(notebook, row.question)
            (said,) = [output.evalue for output in cell.outputs if output.output_type == "error"]
            assert row.says in said
            if row.hidden:
                assert f"In a hidden test: AssertionError: {html.escape(said, quote=False)}" in page
