"""Nothing that a submission tries harms anybody else, reaches what it should not, or is paid for in silence."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from answers import ROOT, UNPROTECTED, build_course, grade, hand_in, read_export
from attacks import NAME, POINTS, attacks, source

from vaelib.tools.grader.running import wall

pytestmark = pytest.mark.slow
NO_WALL = not wall.is_available()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course directory with the small assignment; a cell may take 20 seconds."""
    return build_course(tmp_path_factory.mktemp("attacked-course"), source(), NAME, seconds=20)


def submit(school, attack):
    hand_in(school, attack.name, NAME, source(attack.answers, attack.code, attack.last))


@pytest.fixture(scope="module")
def attacked(course, tmp_path_factory):
    """All attacks at once, and files that are none: (scores, submissions, output folder, table)."""
    if NO_WALL:
        pytest.skip("no wall can be built on this machine")
    school = tmp_path_factory.mktemp("school")
    table = attacks(course, school)
    for attack in table:
        submit(school, attack)
    for name in ("a honest 0", "m honest 1", "z honest 2"):
        hand_in(school, name, NAME, source())
    for name in ("link", "device", "pipe", "large", "deep", "surrogate cell"):
        (school / name).mkdir()
    (school / "link" / f"{NAME}.ipynb").symlink_to(school / "a honest 0" / f"{NAME}.ipynb")
    (school / "device" / f"{NAME}.ipynb").symlink_to("/dev/zero")
    os.mkfifo(school / "pipe" / f"{NAME}.ipynb")
    with open(school / "large" / f"{NAME}.ipynb", "wb") as file:
        file.truncate(10**9)
    (school / "deep" / f"{NAME}.ipynb").write_text("[" * 10**5)
    text = nbformat.writes(source()).replace("return 7", "return 7  # \\ud800")
    (school / "surrogate cell" / f"{NAME}.ipynb").write_text(text)
    odd = os.path.join(os.fsencode(school), b"caf\xe9")
    os.mkdir(odd)
    with open(os.path.join(odd, b"attacked \xff.ipynb"), "w") as file:
        file.write(nbformat.writes(source()))
    out = tmp_path_factory.mktemp("attacked-out")
    environment = {**os.environ, "GRADERS_TOKEN": "secret"}
    options = ["--course", course, "--seconds", 60, "--gigabytes", 2]
    return *grade(school, out, *options, env=environment), out, {attack.name: attack for attack in table}


TABLE = [attack.name for attack in attacks("", "")]


@pytest.mark.parametrize("name", TABLE)
def test_an_attack_costs_its_author_alone(attacked, name):
    scores, submissions, _, table = attacked
    attack = table[name]
    assert submissions[name]["status"] in attack.status.split(" or "), submissions[name]
    wanted = {question: 0.0 if question in attack.lost else float(points) for question, points in POINTS.items()}
    assert scores[name] == wanted, submissions[name]
    assert (attack.remark or "") in submissions[name]["remarks"]
    if attack.status == "graded":
        assert bool(submissions[name]["remarks"]) == (attack.remark is not None)


@pytest.mark.parametrize("name", ["a honest 0", "m honest 1", "z honest 2"])
def test_an_honest_classmate_loses_nothing(attacked, name):
    scores, submissions, out, _ = attacked
    assert scores[name] == dict(POINTS)
    assert submissions[name]["status"] == "graded" and submissions[name]["remarks"] == ""
    assert (out / "feedback" / name / NAME / f"{NAME}.html").is_file()


@pytest.mark.parametrize(
    "name, remark",
    [
        ("link", "a link or a device"),
        ("device", "a link or a device"),
        ("pipe", "a link or a device"),
        ("large", "1000 MB, and may hold 50"),
        ("deep", "cannot be read as a notebook"),
    ],
)
def test_what_is_no_notebook_is_named(attacked, name, remark):
    scores, submissions, *_ = attacked
    assert scores[name] == dict.fromkeys(POINTS, 0.0)
    assert submissions[name]["status"] == "not a notebook" and remark in submissions[name]["remarks"]


def test_odd_characters_cost_nothing(attacked):
    scores, submissions, *_ = attacked
    assert scores["surrogate cell"] == scores["caf_udce9"] == dict(POINTS)
    assert "renamed" in submissions["caf_udce9"]["remarks"]


def test_nothing_outside_was_reached(attacked):
    *_, out, table = attacked
    for name in table:
        for path in (out / "autograded" / name).rglob("*.ipynb"):
            for cell in nbformat.read(path, as_version=4).cells:
                for output in cell.get("outputs", []):
                    said = str(output.get("text", ""))
                    assert "REACHED" not in said and "WROTE" not in said, (name, said[:300])
    assert "WROTE" not in (ROOT / "vaelib" / "__init__.py").read_text("utf-8")


def test_no_page_tells_a_hidden_test(attacked):
    *_, out, table = attacked
    for name in table:
        for page in (out / "feedback" / name).rglob("*.html"):
            text = page.read_text("utf-8")
            assert "twice(-5)" not in text and "<script>alert(1)" not in text, name


def test_nothing_goes_on_afterwards(attacked):
    # Another test may be grading at this moment: what it runs comes and goes.
    for _ in range(60):
        commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
        left = [line for line in commands if "time.sleep(4242)" in line or "bwrap" in line.split(" ")[0]]
        if not left:
            return
        time.sleep(5)
    raise AssertionError(left)


def test_without_a_wall_nothing_is_graded_unless_asked(course, tmp_path):
    hand_in(tmp_path / "in", "anna", NAME, source())
    # A path on which bwrap is not found.
    (tmp_path / "bin").mkdir()
    environment = {**os.environ, "PATH": str(tmp_path / "bin")}
    command = [sys.executable, "-m", "vaelib.tools.grader", "grade", str(tmp_path / "in"), "--course", str(course)]
    run = subprocess.run([*command, "--output", str(tmp_path / "out")], env=environment, capture_output=True, text=True)
    assert run.returncode == 1 and "bwrap was not found" in run.stderr and "--unprotected" in run.stderr
    assert not (tmp_path / "out").exists()
    run = subprocess.run(
        [*command, "--output", str(tmp_path / "out"), "--unprotected"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert read_export(tmp_path / "out")[0] == {"anna": dict(POINTS)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_killed_goes_on_where_it_stopped(course, tmp_path, number):
    students = [f"student {i}" for i in range(6)]
    for student in students:
        hand_in(tmp_path / "in", student, NAME, source())
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-m", "vaelib.tools.grader", "grade", str(tmp_path / "in"), "--course", str(course)]
    command += ["--output", str(tmp_path / "out"), "--jobs", "2", *UNPROTECTED]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=ROOT) as run:
        journal, until = tmp_path / "out" / "graded.jsonl", time.monotonic() + 300
        while not (journal.exists() and journal.read_text().count("\n") >= 2) and time.monotonic() < until:
            time.sleep(0.1)
        run.send_signal(number)
    held = journal.read_text().count("\n")
    assert 2 <= held < len(students)
    assert len(read_export(tmp_path / "out")[0]) >= 1  # the tables are there already
    until = time.monotonic() + 60  # no model solution stays behind
    while list((tmp_path / "tmp").glob("vaelib-grading-*")) and time.monotonic() < until:
        time.sleep(0.2)
    assert not list((tmp_path / "tmp").glob("vaelib-grading-*"))
    scores, submissions = grade(tmp_path / "in", tmp_path / "out", "--course", course)
    assert scores == dict.fromkeys(students, dict(POINTS))
    assert {row["status"] for row in submissions.values()} == {"graded"}
    lines = journal.read_text().splitlines()
    assert len(lines) == len(students), "nobody was graded twice"
