"""`make assignments` hands out nothing that it should not; `make grade` grades everybody, whatever one hands in."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from answers import (
    COURSE,
    UNPROTECTED,
    build_course,
    cell_of,
    classroom,
    grade,
    hand_in,
    points_of,
    read_export,
    source_of,
)
from nbgrader.api import Gradebook

from vaelib.tools.grader.__main__ import main
from vaelib.tools.grader.release.student_versions import find_leaks
from vaelib.tools.grader.running.mending import mend
from vaelib.tools.grader.students.submissions import Submission, find_submissions

ASSIGNMENTS = sorted(path.stem for path in COURSE.glob("source/*/*.ipynb"))

# A small assignment of its own, so that a submission costs a second.
NAME = "arithmetic"
AUTO, BY_HAND = {"twice": 5, "square": 6, "half": 7}, {"why": 8}
FULL = AUTO | dict.fromkeys(BY_HAND)
BODY = {"twice": "2 * x", "square": "x * x", "half": "x / 2"}
LOST = ["arithmetic_setup", "twice_answer", "twice", "why"]
HANGS = "import time\ndef square(x):\n    time.sleep(3600)"
HUNGRY = "import numpy as np\ndef half(x):\n    return np.ones(10**11)"
# Not even an interrupt ends it.
STUBBORN = """
import time
def wait():
    while True:
        try:
            time.sleep(3600)
        except:
            pass
wait()
"""


def arithmetic(question=None, answer=None):
    """The source of the small assignment, with one answer replaced."""

    def cell(make, grade_id, source, **kind):
        metadata = {"schema_version": 3, "grade": False, "locked": False, "solution": False, "task": False}
        return make(source, metadata={"nbgrader": metadata | {"grade_id": grade_id} | kind})

    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    cells = [text("# Arithmetic"), cell(code, "arithmetic_setup", "import math", locked=True)]
    for name, points in AUTO.items():
        solution = f"def {name}(x):\n    ### BEGIN SOLUTION\n    return {BODY[name]}\n    ### END SOLUTION"
        right = [eval(BODY[name], {"x": x}) for x in (3, -5)]
        tests = f'assert {name}(3) == {right[0]}, "try it with 3"\n### BEGIN HIDDEN TESTS\n'
        tests += f"assert {name}(-5) == {right[1]}\n### END HIDDEN TESTS"
        cells.append(cell(code, f"{name}_answer", answer if name == question else solution, solution=True))
        cells.append(cell(code, name, tests, grade=True, locked=True, points=points))
    cells.append(cell(text, "why", "Because.", grade=True, solution=True, points=8))
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course directory with the small assignment; a cell may take 20 seconds, and two students take them."""
    return build_course(tmp_path_factory.mktemp("course"), arithmetic(), NAME, seconds=20)


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_student_version_shows_neither_solution_nor_hidden_test(release, name):
    notebook = nbformat.read(release / name / f"{name}.ipynb", as_version=4)
    text = json.dumps(notebook, ensure_ascii=False)
    assert "BEGIN SOLUTION" not in text and "HIDDEN" not in text
    assert all(not cell.get("outputs") for cell in notebook.cells)
    for source in source_of(name).cells:
        kind = source.metadata.get("nbgrader", {})
        if not kind:
            continue
        cell = cell_of(notebook, kind.grade_id)
        if kind.solution and source.cell_type == "code":
            region, stub = (
                r"( *)### BEGIN SOLUTION.*?### END SOLUTION",
                r"\1# YOUR CODE HERE\n\1raise NotImplementedError()",
            )
            expected, count = re.subn(region, stub, source.source, flags=re.DOTALL)
            assert count and cell.source == expected
        elif kind.solution:
            assert cell.source == "YOUR ANSWER HERE"
        elif kind.grade:
            visible, hidden = source.source.split("### BEGIN HIDDEN TESTS")
            assert cell.source.strip() == visible.strip() and ("assert" in hidden or "require_answer(" in hidden)


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_assignment_says_what_it_is_worth(name):
    notebook = source_of(name)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    auto, by_hand = points_of(notebook)
    assert f"({sum(auto.values())} by tests, {sum(by_hand.values())} by hand)" in text
    for question, points in (auto | by_hand).items():
        assert re.search(rf"^## Question \d: .*\({points} points, `{question}`\)$", text, re.MULTILINE), question
    assert text.count("*How it is marked:") == len(by_hand)
    assert all(words in text for words in ("**Objectives.**", "**Honour rules.**", "120 minutes"))
    versions = {cell.metadata.nbgrader.schema_version for cell in notebook.cells if "nbgrader" in cell.metadata}
    assert versions == {3}


def test_no_two_questions_share_a_name():
    names = [question for name in ASSIGNMENTS for part in points_of(source_of(name)) for question in part]
    assert len(names) == len(set(names)) >= 28


def test_release_that_shows_a_line_of_the_solution_is_refused(release, tmp_path):
    source = source_of("gradients")
    released = nbformat.read(release / "gradients" / "gradients.ipynb", as_version=4)
    path = tmp_path / "leak.ipynb"
    nbformat.write(released, path)
    assert find_leaks(source, path) == []
    cell_of(released, "score_answer").source += "\n    precision = np.exp(-log_var)"
    nbformat.write(released, path)
    assert find_leaks(source, path) == ["precision = np.exp(-log_var)"]
    cell_of(released, "score").source += "\n### BEGIN HIDDEN TESTS"
    nbformat.write(released, path)
    assert "### BEGIN HIDDEN TESTS" in find_leaks(source, path)


def _without(notebook, *grade_ids):
    keep = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in grade_ids]
    notebook.cells = keep
    return notebook


def _edited():
    """A student's own tests, worth 999 points."""
    notebook = arithmetic("twice", "def twice(x):\n    return 0")
    tests = cell_of(notebook, "twice")
    tests.source = "pass"
    tests.metadata.nbgrader.update(points=999, locked=False)
    cell_of(notebook, "square").metadata.nbgrader.grade = False
    cell_of(notebook, "half").cell_type = "raw"
    return notebook


def test_a_class_of_two(course, tmp_path):
    hand_in(tmp_path / "in", "fine", NAME, arithmetic())
    hand_in(tmp_path / "in", "typed in", NAME, arithmetic("twice", "def twice(x):\n    return 6"))
    scores, submissions = grade(tmp_path / "in", tmp_path / "out", "--course", course)
    assert scores == {"fine": FULL, "typed in": FULL | {"twice": 0.0}}
    assert [row["status"] for row in submissions.values()] == ["graded", "graded"]
    page = (tmp_path / "out" / "feedback" / "typed in" / NAME / f"{NAME}.html").read_text("utf-8")
    assert "In a hidden test: AssertionError" in page and "(-5)" not in page


@pytest.fixture(scope="module")
def trouble(course, tmp_path_factory):
    """Everything that goes wrong in a class, graded at once: scores, submissions, the folder of the output."""
    folder = tmp_path_factory.mktemp("trouble")
    school = folder / "in with a space"
    hand_in(school, "fine", NAME, arithmetic())
    hand_in(school / "nbgrader's layout", NAME, NAME, arithmetic())
    hand_in(school, "hangs", NAME, arithmetic("square", HANGS))
    hand_in(school, "hungry", NAME, arithmetic("half", HUNGRY))
    hand_in(school, "crashes", NAME, arithmetic("twice", "import os\nos._exit(1)"))
    hand_in(school, "stubborn", NAME, arithmetic("twice", STUBBORN))
    hand_in(school, "renamed", "homework (2) final", arithmetic())
    hand_in(school, "lost", NAME, _without(arithmetic(), *LOST))
    hand_in(school, "edited", NAME, _edited())
    hand_in(school, "imports", NAME, arithmetic("half", "import a_package_of_their_own"))
    hand_in(
        school,
        "warns",
        NAME,
        arithmetic("half", "import warnings\ndef half(x):\n    warnings.warn('x')\n    return x / 2"),
    )
    (school / "garbage").mkdir()
    (school / "garbage" / f"{NAME}.ipynb").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    (school / "essay").mkdir()
    (school / "essay" / "essay.docx").write_text("Dear teacher")
    (school / "empty").mkdir()
    (school / "notes.txt").write_text("a file beside the folders")
    scores, submissions = grade(school, folder / "out", "--course", course)
    return scores, submissions, folder / "out"


@pytest.mark.parametrize(
    "student, lost, status, remark",
    [
        ("fine", [], "graded", ""),
        ("nbgrader_s layout", [], "graded", ""),
        ("hangs", ["square"], "graded", "out of time in square"),
        ("hungry", ["half"], "graded", "out of memory in half"),
        ("crashes", [*FULL], "crashed", "died"),
        ("stubborn", [*FULL], "out of time", "A cell timed out"),
        ("renamed", [], "graded", "renamed: it came as homework (2) final.ipynb"),
        ("lost", ["twice", "why"], "graded", f"lost its cells: {', '.join(LOST)}"),
        ("edited", ["twice"], "graded", ""),
        ("imports", ["half"], "graded", "No module named 'a_package_of_their_own' in half_answer"),
        ("warns", [], "graded", ""),
        ("garbage", [*FULL], "not a notebook", "arithmetic.ipynb cannot be read"),
    ],
)  # fmt: skip
def test_trouble_costs_its_student_alone_and_is_named(trouble, student, lost, status, remark):
    scores, submissions, _ = trouble
    assert scores[student] == FULL | dict.fromkeys(lost, 0.0)
    assert submissions[student]["status"] == status
    assert remark in submissions[student]["remarks"]
    assert bool(remark) == bool(submissions[student]["remarks"])


@pytest.mark.parametrize("student, remark", [("essay", "not recognised: essay.docx"), ("empty", "the folder is empty")])
def test_student_without_a_notebook_is_named(trouble, student, remark):
    scores, submissions, _ = trouble
    assert submissions[student]["status"] == "missing" and remark in submissions[student]["remarks"]
    assert student not in scores


def test_feedback_pages_show_messages_and_no_hidden_test(trouble):
    _, submissions, out = trouble
    pages = {path.parent.parent.name: path.read_text(encoding="utf-8") for path in out.glob("feedback/*/*/*.html")}
    assert set(pages) == {student for student, row in submissions.items() if row["status"] == "graded"}
    for page in pages.values():
        assert "HIDDEN TESTS" not in page and "(-5)" not in page
    assert "AssertionError: try it with 3" in pages["edited"]
    assert "AssertionError" not in pages["fine"]


def test_edited_tests_are_restored(trouble):
    _, _, out = trouble
    graded = nbformat.read(out / "autograded" / "edited" / NAME / f"{NAME}.ipynb", as_version=4)
    for question in AUTO:
        assert cell_of(graded, question).source == cell_of(arithmetic(), question).source


def test_marks_given_by_hand_stay_when_graded_again(course, trouble, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(trouble[2], out)
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as gradebook:
        gradebook.find_grade("why", NAME, NAME, "fine").manual_score = 7
        gradebook.db.commit()
    hand_in(tmp_path / "in", "fine", NAME, arithmetic("half", "def half(x):\n    return x"))
    scores, submissions = grade(tmp_path / "in", out, "--course", course)
    assert scores["fine"] == FULL | {"half": 0.0, "why": 7.0}
    assert submissions["fine"]["score"] == "18.0" and submissions["fine"]["to_mark"] == "0"
    assert scores["renamed"] == FULL  # graded before, and not handed in this time
    with open(out / "scores.csv", newline="", encoding="utf-8") as file:
        graded = {row["question"]: row["graded"] for row in csv.DictReader(file) if row["student"] == "fine"}
    assert graded == dict.fromkeys(AUTO, "tests") | {"why": "by hand"}


@pytest.mark.slow
def test_missing_package_stops_grading_and_leaves_the_scores_as_they_were(course, tmp_path):
    hand_in(tmp_path / "in", "anna", NAME, arithmetic())
    broken = tmp_path / "environment" / "pooch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'pooch'\", name='pooch')")
    (tmp_path / "course" / "source" / NAME).mkdir(parents=True)
    shutil.copy(course / "nbgrader_config.py", tmp_path / "course")
    needy = arithmetic()
    cell_of(needy, "twice").source = "import pooch\n" + cell_of(needy, "twice").source
    nbformat.write(needy, tmp_path / "course" / "source" / NAME / f"{NAME}.ipynb")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.csv").write_text("as they were")
    environment = {**os.environ, "PYTHONPATH": str(broken.parent)}
    options = ["--course", tmp_path / "course", "--output", tmp_path / "out"]
    run = classroom("grade", tmp_path / "in", *UNPROTECTED, *options, env=environment)
    assert run.returncode == 1
    assert "Nobody was graded" in run.stderr and "twice: 0 of 5 points (ModuleNotFoundError" in run.stderr
    assert (tmp_path / "out" / "scores.csv").read_text() == "as they were"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("folder, words", [("nowhere", "No folder"), ("", "holds no folder of a student")])
def test_nothing_to_grade_is_an_error(tmp_path, folder, words, capsys):
    assert main(["grade", str(tmp_path / folder), "--course", str(COURSE), "--output", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err


def test_recognised_by_cells_first_then_by_name_and_one_notebook_counts(tmp_path):
    sources = {name: source_of(name) for name in ("elbo_and_kl", "gradients")}
    hand_in(tmp_path, "swapped", "elbo_and_kl", source_of("gradients"))
    hand_in(tmp_path, "twice", "gradients", source_of("gradients"))
    hand_in(tmp_path, "twice", "gradients-Copy1", source_of("gradients"))
    hand_in(tmp_path, "broken", "gradients (1)", source_of("gradients"))
    (tmp_path / "broken" / "gradients.ipynb").write_text("{}")
    (tmp_path / "broken" / ".DS_Store").write_text("")
    hand_in(tmp_path, "bare", "gradients", nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]))
    found = {submission.student: submission for submission in find_submissions(tmp_path, sources)}
    assert {student: submission.assignment for student, submission in found.items()} == dict.fromkeys(
        found, "gradients"
    )
    assert "renamed: it came as elbo_and_kl.ipynb" in found["swapped"].remarks[0]
    assert found["twice"].path.name == "gradients.ipynb"
    assert found["twice"].remarks == ["gradients-Copy1.ipynb was handed in too and was not graded"]
    assert found["broken"].path.name == "gradients (1).ipynb" and found["broken"].status == "graded"
    assert "gradients.ipynb cannot be read" in found["broken"].remarks[-1] and len(found["broken"].remarks) == 2
    mend(found["bare"], source_of("gradients"))
    assert found["bare"].remarks[0].startswith("lost its cells: gradients_setup, reparameterise_answer")


def test_a_notebook_that_lost_its_metadata_keeps_its_tests():
    notebook = arithmetic()
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
    mend(Submission("anna", NAME, Path(f"{NAME}.ipynb"), notebook), arithmetic())
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in arithmetic().cells]
    assert cell_of(notebook, "square").metadata.nbgrader.points == AUTO["square"]


def test_exported_files_open_as_tables(trouble):
    _, _, out = trouble
    scores, submissions = read_export(out)
    for student in scores:
        total = sum(score or 0 for score in scores[student].values())
        assert float(submissions[student]["score"]) == total
        assert float(submissions[student]["max_score"]) == 26
