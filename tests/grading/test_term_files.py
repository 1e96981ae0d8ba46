"""A term without grading: who is who, when work is due, what platforms export and import, what is alike."""

import csv
import datetime
import io
import os
import re
import shlex
import sys
import tarfile
import unicodedata
import warnings
import zipfile
import zoneinfo
from pathlib import Path

import nbformat
import numpy as np
import pytest
import scipy.stats
from answers import COURSE, ROOT, hand_in
from nbgrader.api import Gradebook
from nbgrader.apps import ExportApp, NbGraderApp
from sqlalchemy.exc import SAWarning
from test_classroom import ASSIGNMENTS, NAME, arithmetic

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.__main__ import main, parser
from vaelib.tools.grader.release.exchange import write_exchange
from vaelib.tools.grader.reporting import exports, similarity
from vaelib.tools.grader.reporting.statistics import NOT_ANSWERED, question_statistics
from vaelib.tools.grader.students import archives
from vaelib.tools.grader.students.collecting import collect
from vaelib.tools.grader.students.lateness import LatePenalty, penalty_config
from vaelib.tools.grader.students.names import COLUMNS, TABLE, Names
from vaelib.tools.grader.students.roster import Person, Roster, read_roster
from vaelib.tools.grader.students.submissions import find_submissions
from vaelib.tools.grader.students.terms import Policy, read_term, require_known
from vaelib.tools.grader.students.worksheet import read_worksheet

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NFD = unicodedata.normalize("NFD", "José")


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# Who is who.


def test_two_people_never_become_one_and_one_person_never_two(tmp_path):
    folders = ["a+b", "a_b", "A+B", "a-b", "José", NFD, "李明", "Łukasz", "A_B", "+++", "model_solution", "x" * 200]
    names = Names(tmp_path / TABLE)
    students = names.add(folders)
    assert students["José"] == students[NFD] == "José"
    assert students["李明"] == "李明" and {students["a_b"], students["A_B"]} == {"A_B", "a_b-2"}
    distinct = {student.casefold() for student in students.values()}
    assert len(distinct) == len(folders) - 1 and "model_solution" not in distinct
    names.write()
    # The table keeps them, whoever comes later and in whatever order.
    later = Names(tmp_path / TABLE).add([*reversed(folders), "a*b"])
    assert {folder: later[folder] for folder in folders} == students and later["a*b"] not in students.values()


def test_whoever_came_first_keeps_the_name(tmp_path):
    names = Names(tmp_path / TABLE)
    assert names.add(["a+b"]) == {"a+b": "a_b"}
    assert names.add(["a_b"]) == {"a_b": "a_b-2"}


@pytest.mark.parametrize("text, says", [("name,id\n", "line folder,student"), ("folder,student\nanna\n", "line 2")])
def test_a_broken_table_of_names_is_named(tmp_path, text, says):
    with pytest.raises(GraderError, match=says):
        Names(written(tmp_path / TABLE, text))
    assert COLUMNS == ["folder", "student"]


@pytest.mark.parametrize(
    "text",
    [
        "id,first_name,last_name,email,lms_user_id\nanna,Anna,Schmidt,anna@x.org,77\n",
        "\ufeffid;first_name;last_name;email;lms_user_id\r\nanna;Anna;Schmidt;anna@x.org;77\r\n",
        "First name,Surname,Username,ID number,Email address,Groups\nAnna,Schmidt,anna,77,anna@x.org,A\n",
        "Student,ID,SIS User ID,SIS Login ID,Section,Email\n    Points Possible,,,,,\n"
        '"Schmidt, Anna",77,,anna,One,anna@x.org\n"Student, Test",99,,t,One,\n',
    ],
    ids=["nbgrader", "spreadsheet", "Moodle", "Canvas"],
)
def test_roster_is_read_as_nbgrader_and_platforms_write_it(tmp_path, text):
    roster = read_roster(written(tmp_path / "roster.csv", text))
    assert roster.people == [Person("anna", "Anna", "Schmidt", "anna@x.org", "77")]
    for name in ("anna", "ANNA@x.org", "Anna  Schmidt", "Schmidt Anna", "77", "schmidtanna"):
        assert roster.find(name) == roster.people[0]
    assert roster.find("Anna Schmid") is None


@pytest.mark.parametrize(
    "text, says",
    [
        ("id\nanna\nbert\nAnna\n", "line 4: the id Anna stands in line 2 too"),
        ("name,mail\nAnna,a@x\n", "line 1: no column for an id"),
        ("id,email\nanna,a@x,1\n", "line 2: 3 cells for 2 columns"),
        ("id,email\n,a@x\n", "line 2: no id"),
        ("id,id\na,b\n", "line 1: two columns are called id"),
        ('id,email\n"anna,a@x\n', "quotation mark"),
        ("id\n", "names nobody"),
        ("", "is empty"),
    ],
)
def test_a_bad_roster_is_refused_with_its_line(tmp_path, text, says):
    with pytest.raises(GraderError, match=says):
        read_roster(written(tmp_path / "roster.csv", text))


def test_a_roster_that_is_not_utf_8_says_where(tmp_path):
    (tmp_path / "roster.csv").write_bytes("id\nanna\nJosé\n".encode("latin-1"))
    with pytest.raises(GraderError, match="line 3: not UTF-8"):
        read_roster(tmp_path / "roster.csv")


def test_namesakes_are_nobody(tmp_path):
    roster = Roster([Person("a1", "Anna", "Schmidt", "a1@x"), Person("a2", "Anna", "Schmidt", "a2@x")])
    assert roster.find("Anna Schmidt") is None and roster.find("Anna Schmidt", "a2@x").id == "a2"


def test_roster_finds_the_folders_and_a_known_folder_keeps_its_name(tmp_path):
    roster = Roster([Person("anna", "Anna", "Schmidt"), Person("bert", "Bert", "Beck"), Person("zoe")])
    for folder in ("Anna Schmidt", "bert", "guest"):
        hand_in(tmp_path / "in", folder, NAME, arithmetic())
    names = Names()
    found = find_submissions(tmp_path / "in", {NAME: arithmetic()}, names, roster)
    assert {one.student: (one.status, one.notes) for one in found} == {
        "anna": ("graded", []), "bert": ("graded", []), "guest": ("graded", ["not on the roster"]),
        "zoe": ("missing", []),
    }  # fmt: skip
    early = Names()
    find_submissions(tmp_path / "in", {NAME: arithmetic()}, early)
    again = find_submissions(tmp_path / "in", {NAME: arithmetic()}, early, roster)
    assert {one.student for one in again} == {"Anna Schmidt", "bert", "guest", "zoe"}


# When work is due.


def test_dates_are_the_zones_and_the_gradebooks_are_utc(tmp_path):
    text = 'time_zone = "Europe/Berlin"\nlate = "zero"\n[due]\na = "2027-01-31 23:59"\nb = 2027-07-01T12:00:00Z\n'
    term = read_term(written(tmp_path / "term.toml", text), ["a", "b"])
    assert term.due["a"] == datetime.datetime(2027, 1, 31, 22, 59)
    assert term.due["b"] == datetime.datetime(2027, 7, 1, 12)
    assert term.local(term.due["a"]) == "2027-01-31 23:59:00+01:00" and not term.assumed
    assert read_term(written(tmp_path / "term.toml", "[due]\na = '2027-01-31 23:59'\n"), ["a"]).assumed


@pytest.mark.parametrize(
    "text, says",
    [
        ('time_zone = "Berlin"', "no time zone is called 'Berlin'"),
        ('late = "a little"', "late = 'a little' is no penalty"),
        ('late = "10% a day, at most 5 points"', "is no penalty"),
        ('grace = "soon"', "no span of time"),
        ('deadline = "x"', "deadline means nothing here"),
        ("due = 3", "must be a table"),
        ('[due]\na = "tomorrow"', r"\[due\] a: 'tomorrow' is no time"),
        ("[due]\na = 2027-01-31", "has no hour"),
        ('[due]\na = "2027-01-31"', "has no hour"),
        ('[due]\nelsewhere = "2027-01-31 23:59"', "no assignment is called elsewhere"),
        ('[extended.a]\nanna = "2027-01-31 23:59"', "has no date in"),
        ("[due\n", "line 1"),
    ],
)
def test_a_bad_term_is_refused_with_what_to_write(tmp_path, text, says):
    with pytest.raises(GraderError, match=says):
        read_term(written(tmp_path / "term.toml", text), ["a"])


def test_more_time_for_nobody_is_refused(tmp_path):
    text = '[due]\na = "2027-01-31 23:59"\n[extended.a]\nana = "2027-02-07 23:59"\n'
    term = read_term(written(tmp_path / "term.toml", text), ["a"])
    require_known(term, ["ana", "bert"])
    with pytest.raises(GraderError, match=r"\[extended.a\].* names ana, .* such as anna"):
        require_known(term, ["anna", "bert"])


@pytest.mark.parametrize(
    "late, hours, lost",
    [
        ("none", 50, None),
        ("zero", 50, 80),
        ("10% a day", 0.1, None),  # within the grace of a quarter of an hour
        ("10% a day", 1, 8),
        ("10% a day", 24, 8),
        ("10% a day", 25, 16),
        ("10% per day, at most 50%", 1000, 40),
        ("1% an hour", 2.5, 2.4),
        ("5 points a week", 200, 10),
        ("5 points a day, at most 12 points", 72, 12),
    ],
)
def test_what_being_late_costs(tmp_path, late, hours, lost):
    policy = read_term(written(tmp_path / "term.toml", f'late = "{late}"\ngrace = "15 minutes"\n'), []).policy
    got = LatePenalty(config=penalty_config(policy)).late_submission_penalty("anna", 80, hours * 3600)
    assert got == (None if lost is None else pytest.approx(lost))
    assert penalty_config(Policy())["LatePenalty"]["penalty_method"] == "none"


def test_timestamps_are_read_wherever_nbgrader_puts_them(tmp_path):
    texts = {
        "utc": "2027-01-31 23:59:00",
        "zone": "2027-02-01 00:59:00.5 Europe/Berlin",
        "offset": "2027-07-01 12:00:00 +0200",
        "summer": "2027-07-01 12:00:00 CEST",
        "bad": "soon",
    }
    for student, text in texts.items():
        hand_in(tmp_path, f"{student}/{NAME}", NAME, arithmetic())
        written(tmp_path / student / NAME / "timestamp.txt", text)
    found = {one.student: one for one in find_submissions(tmp_path, {NAME: arithmetic()})}
    assert {student: one.handed_in for student, one in found.items()} == {
        "utc": datetime.datetime(2027, 1, 31, 23, 59),
        "zone": datetime.datetime(2027, 1, 31, 23, 59, 0, 500000),
        "offset": datetime.datetime(2027, 7, 1, 10),
        "summer": datetime.datetime(2027, 7, 1, 12),
        "bad": None,
    }
    assert "holds no time but 'soon'" in found["bad"].notes[0]
    assert "time zone CEST, which is not known: it was taken as UTC" in found["summer"].notes[0]
    assert all(one.remarks == [] for one in found.values()) and found["offset"].notes == []


# What platforms export.


def packed(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def test_every_shape_of_an_export_becomes_a_folder_for_each_student(tmp_path):
    own = {"deep/hw.ipynb": "{}", "notes.pdf": "x", "__MACOSX/._hw.ipynb": "", ".ipynb_checkpoints/hw.ipynb": "{}"}
    inner = packed(tmp_path / "inner.zip", own).read_bytes()
    export = packed(tmp_path / "export.zip", {
        "Anna Schmidt_123_assignsubmission_file_/hw.ipynb": "1",
        "Anna Schmidt_123_assignsubmission_file_/b/hw.ipynb": "2",
        f"{NFD}_124_assignsubmission_file_hw (1).ipynb": "{}", "Bert_125_assignsubmission_file_/all.zip": inner,
        "Eve_126_assignsubmission_onlinetext/onlinetext.html": "<p>",
        "__MACOSX/x_1_assignsubmission_file_/._a.ipynb": "",
        "schmidtcarl_LATE_501_9001_gradients-2.ipynb": "{}", "schmidtcarl_501_9002_gradients-2.ipynb": "{}",
        "dora+d_gradients.ipynb": "{}", "emil/gradients.ipynb": "{}",
    })  # fmt: skip
    done = collect(export, "gradients", tmp_path / "in")
    assert {student: sorted(files) for student, files in done.students.items()} == {
        "Anna Schmidt": ["b/hw.ipynb", "hw.ipynb"], "José": ["hw (1).ipynb"], "Bert": ["all/deep/hw.ipynb"],
        "schmidtcarl": ["2/gradients-2.ipynb", "gradients-2.ipynb"], "dora+d": ["gradients.ipynb"],
        "emil": ["gradients.ipynb"],
    }  # fmt: skip
    assert done.remarks == ["schmidtcarl: Canvas calls it late"]
    files = {path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("*") if path.is_file()}
    assert "Bert/gradients/all/deep/hw.ipynb" in files and len(files) == 8


def test_the_worksheet_tells_namesakes_apart_and_says_when(tmp_path):
    sheet = "Identifier,Full name,Email address,Last modified (submission)\n"
    sheet += 'Participant 1,Anna Schmidt,a1@x,"Sunday, 31 January 2027, 11:59 PM"\nParticipant 2,Anna Schmidt,a2@x,-\n'
    worksheet = read_worksheet(written(tmp_path / "sheet.csv", sheet), BERLIN)
    # Canvas's number of somebody else is no participant's of Moodle.
    people = [Person("a1", "Anna", "Schmidt", "a1@x"), Person("a2", "Anna", "Schmidt", "a2@x")]
    roster = Roster([*people, Person("carl", lms_user_id="1")])
    files = {f"Anna Schmidt_{number}_assignsubmission_file_/hw.ipynb": "{}" for number in (1, 2)}
    export = packed(tmp_path / "export.zip", files)
    assert set(collect(export, "hw", tmp_path / "in", roster, worksheet).students) == {"a1", "a2"}
    assert (tmp_path / "in" / "a1" / "hw" / "timestamp.txt").read_text() == "2027-01-31 22:59:00"
    assert not (tmp_path / "in" / "a2" / "hw" / "timestamp.txt").exists()
    alone = collect(export, "hw", tmp_path / "other", roster)
    assert set(alone.students) == {"Anna Schmidt_1", "Anna Schmidt_2"} and "--worksheet" in alone.remarks[0]
    for said in ("gestern", "01/02/27, 23:59"):  # the second may be in January or in February
        written(tmp_path / "sheet.csv", f'{sheet.splitlines()[0]}\nParticipant 1,A,a,"{said}"\n')
        with pytest.raises(GraderError, match=f"line 2: '{said}' is no time"):
            read_worksheet(tmp_path / "sheet.csv", BERLIN)


def test_a_regexp_of_the_teachers_own_serves_another_platform(tmp_path):
    files = {
        "hw_anna_attempt_2027-01-31_hw.ipynb": "{}",
        "hw_bert_attempt_2027-01-31_x/hw_anna_attempt_2027-01-30_y.ipynb": "",
    }
    regexp = r".*?_(?P<student_id>\w+?)_attempt_(?P<timestamp>[-\d]+)_(?P<file_id>.+)"
    done = collect(packed(tmp_path / "x.zip", files), "hw", tmp_path / "in", regexp=regexp)
    # A student's own file name makes nobody of them.
    assert done.students == {"anna": ["hw.ipynb"], "bert": ["hw_anna_attempt_2027-01-30_y.ipynb"]}
    assert (tmp_path / "in" / "anna" / "hw" / "timestamp.txt").read_text() == "2027-01-31 00:00:00"
    for wrong in (r"(?P<student_id>.*)", "("):
        with pytest.raises(GraderError, match="must have groups|no regular expression"):
            collect(tmp_path / "x.zip", "hw", tmp_path / "in", regexp=wrong)


def test_a_dangerous_archive_costs_its_student_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "STUDENT_BYTES", 10**6)
    monkeypatch.setattr(archives, "STUDENT_ENTRIES", 20)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as file:
        (entry := tarfile.TarInfo("../../../evil.ipynb")).size = 2
        file.addfile(entry, io.BytesIO(b"{}"))
    bomb = packed(tmp_path / "b.zip", {"hw.ipynb": "0" * 2 * 10**6}).read_bytes()
    assert len(bomb) < 10**4
    sent = {
        "bomb.zip": bomb, "escape.tar.gz": tar.getvalue(), "torn.zip": bomb[:100],
        "many.zip": packed(tmp_path / "m.zip", {f"{number}.ipynb": "" for number in range(30)}).read_bytes(),
    }  # fmt: skip
    files = {f"S{n}_{n}_assignsubmission_file_/{name}": data for n, (name, data) in enumerate(sent.items())}
    done = collect(
        packed(tmp_path / "all.zip", files | {"A_9_assignsubmission_file_/hw.ipynb": "{}"}), "hw", tmp_path / "in"
    )
    assert set(done.students) == {"A"} and not list(tmp_path.rglob("evil.ipynb"))
    for name, says in {
        "bomb": "over 1 MB",
        "escape": "outside",
        "torn": "no zip file",
        "many": "over 20 files",
    }.items():
        assert any(name in remark and says in remark for remark in done.remarks), name


@pytest.mark.parametrize(
    "files, says", [({"../x.ipynb": ""}, "outside of its folder"), ({"readme.txt": ""}, "no notebook of anybody")]
)
def test_an_export_that_is_none_is_refused(tmp_path, files, says):
    with pytest.raises(GraderError, match=says):
        collect(packed(tmp_path / "x.zip", files), "hw", tmp_path / "in")
    with pytest.raises(GraderError, match="there is no such file"):
        collect(tmp_path / "nothing.zip", "hw", tmp_path / "in")


# What platforms import.


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory):
    """A gradebook made by hand: two assignments, three students, one late, one to mark."""
    folder = tmp_path_factory.mktemp("grades")
    environment = pytest.MonkeyPatch()  # nbgrader calls alembic by its bare name
    environment.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with warnings.catch_warnings(), Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way to enter a submission
        for name in ("one", "two"):
            book.add_assignment(name)
            book.add_notebook(name, name)
            book.add_grade_cell(f"{name}_q", name, name, max_score=10, cell_type="code")
        book.add_student("anna", first_name="Anna", last_name="Schmidt", email="a@x", lms_user_id="77")
        book.add_student("bert", first_name="Bert", last_name='O"Neill, Jr.')
        book.add_student("zoe")
        for student, score, penalty in [("anna", 8, 1.5), ("bert", None, None)]:
            submission = book.add_submission("one", student)
            submission.notebooks[0].late_submission_penalty = penalty
            submission.notebooks[0].grades[0].auto_score = score
        book.db.commit()
    environment.undo()
    return folder


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_canvas_gets_its_columns_and_no_unfinished_grade(gradebook, tmp_path):
    path, waiting = exports.export(gradebook, "canvas")
    assert read(path) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "one", "two"],
        ["    Points Possible", "", "", "", "", "10.0", "10.0"],
        ["zoe", "", "", "zoe", "", "", ""],
        ['O"Neill, Jr., Bert', "", "", "bert", "", "", ""],
        ["Schmidt, Anna", "77", "", "anna", "", "6.5", ""],
    ]
    assert waiting == {"one": 1}
    exports.export(gradebook, "canvas", str(tmp_path / "all.csv"), zeros=True, unmarked=True)
    assert [row[5:] for row in read(tmp_path / "all.csv")[2:]] == [["0.0", "0.0"], ["0.0", "0.0"], ["6.5", "0.0"]]


def test_moodle_gets_its_columns_through_nbgraders_own_command(gradebook, tmp_path):
    plugin = "vaelib.tools.grader.reporting.exports.MoodleExport"
    app = ExportApp()
    app.initialize(
        [f"--db=sqlite:///{gradebook / 'gradebook.db'}", f"--exporter={plugin}", f"--to={tmp_path / 'm.csv'}"]
    )
    app.start()
    columns = ["First name", "Last name", "ID number", "Email address", "Username"]
    rows = read(tmp_path / "m.csv")
    assert rows[0] == [*columns, "Assignment: one (Real)", "Assignment: two (Real)"]
    assert rows[3] == ["Anna", "Schmidt", "77", "a@x", "anna", "6.5", ""]


def test_no_gradebook_no_export(tmp_path, capsys):
    assert main(["export", "canvas", "--grades", str(tmp_path)]) == 1
    assert "holds no gradebook" in capsys.readouterr().err


# What a class made of it.


def test_statistics_are_the_textbooks():
    rng = np.random.default_rng(0)
    points = {"a": rng.integers(0, 5, 12), "b": rng.integers(0, 9, 12), "c": rng.integers(0, 3, 12)}
    most = {"a": 4, "b": 8, "c": 2}
    rows = [
        {"student": f"s{n}", "assignment": "hw", "question": q, "score": points[q][n], "max_score": most[q]}
        for q in points for n in range(12)
    ]  # fmt: skip
    rows.append({"student": "open", "assignment": "hw", "question": "a", "score": "", "max_score": 4})
    said = ["your KL is 2.00 times the right one", "your KL is 2.01 times the right one", "wrong sign"]
    mistakes = {("s0", "hw", "a"): said[0], ("s1", "hw", "a"): said[1], ("s2", "hw", "a"): said[2]}
    mistakes |= {(f"s{n}", "hw", "a"): NOT_ANSWERED for n in range(3, 9)}
    a, b, c = question_statistics(rows, mistakes)
    assert (a.students, a.to_mark, b.students) == (13, 1, 12)
    assert a.share == pytest.approx(np.mean(points["a"]) / 4) and b.sd == pytest.approx(np.std(points["b"], ddof=1))
    rest = points["a"] + points["b"]
    assert c.discrimination == pytest.approx(scipy.stats.pearsonr(points["c"], rest).statistic)
    assert c.full == np.mean(points["c"] == 2) and c.none == np.mean(points["c"] == 0)
    assert (a.commonest_mistake, a.made_by) == (said[0], 2) and b.commonest_mistake == ""
    few = question_statistics([row for row in rows if row["student"] in ("s0", "s1", "s2", "s3")], {})
    assert all(np.isnan(one.discrimination) for one in few)


COPIED = """def logsumexp(values):
    largest = values.max()
    shifted = values - largest
    total = 0.0
    for value in shifted:
        total = total + np.exp(value)
    return largest + np.log(total)
"""
OTHER = """def logsumexp(values):
    if not len(values):
        raise ValueError("nothing to add up")
    answer = values[0]
    while len(values) > 1:
        values = values[1:]
        answer = np.logaddexp(answer, values[0])
    return answer
"""


def test_a_renamed_copy_is_named_and_what_all_were_given_is_not():
    given = "import numpy as np\n" + "\n".join(f"def given_{n}(x):\n    return x * {n} + [{n}, {n}]" for n in range(9))
    renamed = COPIED.replace("largest", "m").replace("shifted", "s").replace("total", "t  ").replace("value ", "v ")
    answers = {"anna": given + COPIED, "bert": given + renamed + "# mine\n", "carl": given + OTHER, "dora": "x = 1\n"}
    page, pairs = similarity.compare("hw", answers, given, threshold=0.5)
    assert [{pair.student, pair.other} for pair in pairs] == [{"anna", "bert"}]
    assert pairs[0].share > 0.9 and "anna.py" in page and "/tmp/" not in page
    assert similarity.compare("hw", {"anna": given + COPIED}, given, 0.5) == ("", [])


def test_only_what_students_write_in_is_compared():
    notebook = arithmetic("half", "def half(x):\n    return 'mine'")
    notebook.cells.append(nbformat.v4.new_code_cell("scratch = 1"))
    code = similarity.own_code(notebook)
    assert "mine" in code and "scratch" in code and "assert" not in code and "import math" not in code


# The exchange of a hub.


def test_exchange_refuses_what_nbgrader_could_not_use(tmp_path):
    for name in ("", "a+b", "a/b"):
        with pytest.raises(GraderError, match="name may hold"):
            write_exchange(tmp_path / "x", tmp_path, name)
    path = write_exchange(tmp_path / "x", tmp_path / "etc", "vae")
    assert write_exchange(tmp_path / "x", tmp_path / "etc", "vae") == path  # its own it replaces
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o777
    path.write_text("c.Exchange.root = '/elsewhere'\n")
    with pytest.raises(GraderError, match="somebody else's"):
        write_exchange(tmp_path / "x", tmp_path / "etc", "vae")


# The teacher's page.


def commands():
    """Every command of the page, one line each."""
    page = (COURSE / "README.md").read_text("utf-8")
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines]


@pytest.mark.parametrize(
    "line", [line for line in commands() if re.match(r"make |nbgrader |\S*python -m vaelib", line)]
)
def test_every_command_of_the_teachers_page_is_one(line):
    words = shlex.split(line)
    if words[0] == "make":
        given = dict(word.split("=", 1) for word in words[2:])
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        targets = {"assignments": ["release"], "release": ["repository", given.get("REPO")],
                   "grade": ["grade", given.get("SUBMITTED"), "--output", given.get("GRADES", "x")]}  # fmt: skip
        parser().parse_args([*targets[words[1]], *shlex.split(given.get("ARGS", ""))])
    elif words[0] == "nbgrader":
        assert words[1] in NbGraderApp.subcommands and (words[2] in ASSIGNMENTS or words[2].startswith("-"))
    else:
        options = parser().parse_args(words[words.index("vaelib.tools.grader") + 1 :])
        assert getattr(options, "assignment", "elbo_and_kl") in ASSIGNMENTS


def test_the_term_of_the_teachers_page_can_be_read(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", (COURSE / "README.md").read_text("utf-8"), re.DOTALL)
    term = read_term(written(tmp_path / "term.toml", text), ASSIGNMENTS)
    assert term.policy == Policy("rate", 0.1, 0, 86400, 0.5, 900) and len(term.due) == 2 and len(term.extended) == 1
