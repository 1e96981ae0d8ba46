"""One term of a small class, from a platform's export to its import, held against nbgrader's own tables."""

import csv
import datetime
import os
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import nbformat
import pytest
from answers import build_course, cell_of, grade
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin
from test_classroom import NAME, arithmetic

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.__main__ import main
from vaelib.tools.grader.release.student_versions import build_release
from vaelib.tools.grader.students.submissions import find_submissions

pytestmark = pytest.mark.slow

WRONG = "def half(x):\n    return x"
COPIED = """
def logsumexp(values):
    largest = values.max()
    shifted = [value - largest for value in values]
    total = 0.0
    for value in shifted:
        total = total + math.exp(value)
    return largest + math.log(total)
"""
ROSTER = """id,first_name,last_name,email,lms_user_id
ana,Ana,Núñez,ana@example.org,501
a+b,Plus,Person,plus@example.org,502
a_b,Under,Person,under@example.org,503
li,明,李,li@example.org,504
zoe,Zoe,Zero,zoe@example.org,505
"""
# Berlin is an hour ahead of UTC in January. Ana is a day and an hour late, Under ten minutes, Li has a week longer.
TERM = f"""time_zone = "Europe/Berlin"
late = "10% a day, at most 50%"
grace = "15 minutes"

[due]
{NAME} = "2027-01-31 23:59"

[extended.{NAME}]
li = "2027-02-07 23:59"
"""
WORKSHEET = """Identifier,Full name,Email address,Last modified (submission)
Participant 11,Ana Núñez,ana@example.org,"Tuesday, 2 February 2027, 12:59 AM"
Participant 12,Plus Person,plus@example.org,"Sunday, 31 January 2027, 8:00 PM"
Participant 13,Under Person,under@example.org,"Monday, 1 February 2027, 12:09 AM"
Participant 14,明 李,li@example.org,"Wednesday, 3 February 2027, 9:00 AM"
"""


def marks(folder, student, question="why"):
    """What the gradebook holds of a question marked by hand: the mark and the comment."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade(question, NAME, NAME, student)
        return grade.manual_score, gradebook.find_comment(question, NAME, NAME, student).manual_comment


def submission_of(folder, student):
    """The late penalty, the score and the time in UTC, as nbgrader's gradebook holds them."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        one = gradebook.find_submission(NAME, student)
        return one.late_submission_penalty, one.score, one.timestamp


def zipped(path, notebooks):
    """An export of Moodle: a folder for each participant."""
    with zipfile.ZipFile(path, "w") as file:
        for (name, number), notebook in notebooks.items():
            file.writestr(f"{name}_{number}_assignsubmission_file_/my work.ipynb", nbformat.writes(notebook))


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """The folder of a term: collected and graded; scores and submissions as exported."""
    folder = tmp_path_factory.mktemp("term")
    course = build_course(folder / "course", arithmetic(), NAME, seconds=60)
    for name, text in {"roster.csv": ROSTER, "term.toml": TERM, "worksheet.csv": WORKSHEET}.items():
        (folder / name).write_text(text, encoding="utf-8")
    notebooks = {
        (unicodedata.normalize("NFD", "Ana Núñez"), 11): arithmetic(),
        ("Plus Person", 12): arithmetic("half", WRONG + "\n" + COPIED),
        ("Under Person", 13): arithmetic("half", COPIED.replace("largest", "biggest") + WRONG),
        ("明 李", 14): arithmetic(),
    }
    zipped(folder / "moodle.zip", notebooks)
    options = ["--roster", folder / "roster.csv", "--course", course]
    more = ["--worksheet", folder / "worksheet.csv", "--time-zone", "Europe/Berlin"]
    assert main(["collect", *map(str, (folder / "moodle.zip", NAME, folder / "submitted", *options, *more))]) == 0
    scores, submissions = grade(folder / "submitted", folder / "out", *options, "--term", folder / "term.toml")
    return folder, scores, submissions


def test_everybody_on_the_roster_is_in_the_tables_under_one_name(term):
    folder, scores, submissions = term
    students = {"ana", "a_b-2", "a_b", "li"}
    assert set(submissions) == students | {"zoe"} and set(scores) == students
    assert (submissions["zoe"]["status"], submissions["zoe"]["remarks"]) == ("missing", "handed in nothing")
    assert submissions["li"]["name"] == "明 李" and submissions["a_b-2"]["name"] == "Plus Person"
    with Gradebook(f"sqlite:///{folder / 'out' / 'gradebook.db'}") as gradebook:
        people = {one.id: (one.first_name, one.last_name, one.email, one.lms_user_id) for one in gradebook.students}
    assert set(people) == students | {"zoe"} and people["zoe"] == ("Zoe", "Zero", "zoe@example.org", "505")


def test_the_penalty_is_nbgraders_and_the_time_is_the_platforms(term):
    folder, _, submissions = term
    # 18 points by tests; two days are begun: 20% of them.
    assert submission_of(folder / "out", "ana")[0] == pytest.approx(0.2 * 18)
    assert submission_of(folder / "out", "ana")[2].isoformat() == "2027-02-01T23:59:00"
    for student in ("a_b", "a_b-2", "li"):
        assert submission_of(folder / "out", student)[0] == 0
    assert submissions["ana"]["submitted"] == "2027-02-02 00:59:00+01:00"
    assert float(submissions["ana"]["final"]) == pytest.approx(0.8 * 18)
    assert [float(submissions[one]["days_late"]) for one in ("a_b-2", "li")] == [0, 0]
    assert float(submissions["a_b"]["days_late"]) == pytest.approx(10 / 1440, abs=0.005)  # rounded to two places
    page = (folder / "out" / "feedback" / "ana" / NAME / f"{NAME}.html").read_text("utf-8")
    assert "Late submission penalty" in page


def test_exports_say_what_nbgraders_own_says(term):
    folder, _, _ = term
    grades = folder / "out"
    with Gradebook(f"sqlite:///{grades / 'gradebook.db'}") as gradebook:
        CsvExportPlugin(to=str(folder / "own.csv")).export(gradebook)
    with open(folder / "own.csv", newline="", encoding="utf-8") as file:
        own = {row["student_id"]: row for row in csv.DictReader(file)}
    assert own["zoe"]["score"] == "0.0"
    assert main(["export", "canvas", "--grades", str(grades), "--unmarked"]) == 0
    with open(grades / "canvas.csv", newline="", encoding="utf-8") as file:
        canvas = {row["SIS Login ID"]: row for row in csv.DictReader(file) if row["ID"]}
    assert canvas.keys() == own.keys() and canvas["zoe"][NAME] == ""
    for student in own.keys() - {"zoe"}:
        assert float(canvas[student][NAME]) == pytest.approx(float(own[student]["score"]))


def test_statistics_name_the_commonest_mistake(term):
    folder, _, _ = term
    assert main(["statistics", "--grades", str(folder / "out"), "--course", str(folder / "course")]) == 0
    with open(folder / "out" / "statistics.csv", newline="", encoding="utf-8") as file:
        rows = {row["question"]: row for row in csv.DictReader(file)}
    assert float(rows["half"]["share"]) == 0.5 and float(rows["twice"]["share"]) == 1
    assert (rows["half"]["commonest_mistake"], rows["half"]["made_by"]) == ("try it with 3", "2")
    assert rows["why"]["to_mark"] == "4" and rows["why"]["share"] == ""
    assert (folder / "out" / "statistics.svg").read_text("utf-8").count("half") > 0


def test_similarity_ranks_the_pairs_that_share_most(term):
    folder, _, _ = term
    assert main(["similarity", "--grades", str(folder / "out")]) == 0
    with open(folder / "out" / "similarity.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Two model solutions are one text; the copied function is most of what the other two wrote.
    assert [{row["student"], row["other"]} for row in rows[:2]] == [{"ana", "li"}, {"a_b", "a_b-2"}]
    shares = [min(float(row["share"]), float(row["other_share"])) for row in rows]
    assert shares[0] == 1 and 0.8 < shares[1] < 1 and max(shares[2:], default=0) < 0.5
    assert "biggest" in (folder / "out" / "similarity" / f"{NAME}.html").read_text("utf-8")


def test_marks_and_comments_survive_whatever_else_changes(term, tmp_path):
    folder = tmp_path / "term"
    shutil.copytree(term[0], folder)
    out = folder / "out"
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as gradebook:
        gradebook.find_grade("why", NAME, NAME, "ana").manual_score = 7
        gradebook.find_comment("why", NAME, NAME, "ana").manual_comment = "Well argued."
        gradebook.find_grade("why", NAME, NAME, "a_b-2").manual_score = 3
        gradebook.db.commit()
    changed = arithmetic()
    cell_of(changed, "twice").metadata.nbgrader.points = 10
    for number, cell in enumerate(changed.cells):
        cell["id"] = f"another-{number}"
    nbformat.write(changed, folder / "course" / "source" / NAME / f"{NAME}.ipynb")
    # Somebody new comes, whose folder sorts first; the roster and the dates are the kept ones.
    (folder / "submitted" / "a b").mkdir()
    nbformat.write(arithmetic("half", WRONG), folder / "submitted" / "a b" / f"{NAME}.ipynb")
    scores, submissions = grade(folder / "submitted", out, "--course", folder / "course")
    assert marks(out, "ana") == (7, "Well argued.") and marks(out, "a_b-2")[0] == 3 and marks(out, "a_b")[0] is None
    assert scores["ana"] == {"twice": 10, "square": 6, "half": 7, "why": 7}
    assert submission_of(out, "ana")[0] == pytest.approx(0.2 * 30)  # of the mark by hand too
    page = (out / "feedback" / "ana" / NAME / f"{NAME}.html").read_text("utf-8")
    assert "Well argued." in page
    assert submissions["a b"]["remarks"] == "not on the roster; it came without a time, so it is not late"

    # A mark entered after that: the next run grades nobody, and takes it into the tables and the page.
    before = (out / "graded.jsonl").read_text("utf-8").count("\n")
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as gradebook:
        gradebook.find_comment("why", NAME, NAME, "li").manual_comment = "Short, and right."
        gradebook.db.commit()
    grade(folder / "submitted", out, "--course", folder / "course")
    assert "Short, and right." in (out / "feedback" / "li" / NAME / f"{NAME}.html").read_text("utf-8")
    assert (out / "graded.jsonl").read_text("utf-8").count("\n") == before + 1

    # A question under another name: nbgrader refuses, and nothing is lost.
    cell_of(changed, "why").metadata.nbgrader.grade_id = "because"
    nbformat.write(changed, folder / "course" / "source" / NAME / f"{NAME}.ipynb")
    with pytest.raises(GraderError, match="could not build"):
        build_release(folder / "course", out, [NAME])
    assert marks(out, "ana") == (7, "Well argued.")


def test_a_hubs_exchange_carries_an_assignment_there_and_back(tmp_path):
    (etc := tmp_path / "etc").mkdir()
    assert main(["exchange", str(tmp_path / "exchange"), "--config", str(etc)]) == 0
    course = build_course(tmp_path / "course", arithmetic(), NAME, seconds=60)
    build_release(course, tmp_path / "teacher", [NAME])
    (home := tmp_path / "home").mkdir()
    place = {"HOME": str(home), "JUPYTER_CONFIG_PATH": str(etc), "JUPYTER_DATA_DIR": str(home / "data")}

    def nbgrader(folder, *arguments):
        command = [str(Path(sys.executable).parent / "nbgrader"), *arguments]
        done = subprocess.run(command, cwd=folder, env={**os.environ, **place}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    nbgrader(tmp_path / "teacher", "release_assignment", NAME)
    nbgrader(home, "fetch_assignment", NAME)
    assert (home / NAME / f"{NAME}.ipynb").exists()
    nbgrader(home, "submit", NAME, "--student=anna")
    nbgrader(tmp_path / "teacher", "collect", NAME)
    came = tmp_path / "teacher" / "submitted" / "anna" / NAME
    assert (came / f"{NAME}.ipynb").exists()
    (one,) = find_submissions(tmp_path / "teacher" / "submitted", {NAME: arithmetic()})
    assert (one.student, one.assignment, one.remarks, one.notes) == ("anna", NAME, [], [])
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    assert datetime.timedelta(0) < now - one.handed_in < datetime.timedelta(minutes=30)
