"""`make release REPO=folder` writes a students' repository that holds no answer, and takes away nothing of others."""

import json
import shutil
import subprocess
import sys

import nbformat
import pytest
from answers import COURSE, ROOT, cell_of, classroom

from vaelib.tools import links
from vaelib.tools.grader import GraderError
from vaelib.tools.grader.__main__ import main
from vaelib.tools.grader.release.course import source_notebook
from vaelib.tools.grader.release.place import MANIFEST, check_place, install
from vaelib.tools.grader.release.repository import find_answers, write_repository
from vaelib.tools.grader.release.student_versions import secrets

ASSIGNMENTS = sorted(path.stem for path in COURSE.glob("source/*/*.ipynb"))
ADDRESS = "https://github.com/ada/students"
NOT_MINE = "no release wrote"


def git(folder, *arguments):
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", folder, *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(folder):
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--message", "all")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small checkout of the project with one assignment; nbgrader's part is done by hand, which takes seconds."""
    root = tmp_path / "course"
    for name in ["README.md", ".gitignore", "assignments/nbgrader_config.py", "vaelib/tools/links.py"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for name in ["assignments/README.md", "assignments/submitted/eve/gradients.ipynb", "tests/grading/answers.py"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("### BEGIN SOLUTION")
    shutil.copytree(COURSE / "source/gradients", root / "assignments/source/gradients")
    (root / "notebooks").mkdir()
    for name in ["00_start_here", "01_latent_variable_models"]:  # their text does not count here
        text = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        (root / f"notebooks/{name}.ipynb").write_text(text)
    (root / "binder").mkdir()
    (root / "binder/start").write_text("#!/bin/bash\n")
    (root / "binder/start").chmod(0o755)
    commit(root)

    def build(course, folder, names):
        for name in names:
            notebook = source_notebook(course, name)
            for cell in notebook.cells:
                if cell.metadata.get("nbgrader", {}).get("solution"):
                    cell.source = "YOUR ANSWER HERE"
                cell.source = cell.source.split("### BEGIN HIDDEN TESTS")[0]
            (folder / "release" / name).mkdir(parents=True)
            nbformat.write(notebook, folder / "release" / name / f"{name}.ipynb")

    monkeypatch.setattr("vaelib.tools.grader.release.repository.build_release", build)
    return root


def files_of(folder):
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != ".git"}


def test_it_holds_the_course_without_what_solves_the_assignments(checkout, tmp_path):
    written = write_repository(checkout / "assignments", tmp_path / "students")
    tracked = set(git(checkout, "ls-files").splitlines())
    secret = {name for name in tracked if name.startswith(("assignments/source", "assignments/sub", "tests/grading"))}
    new = {"assignments/gradients/gradients.ipynb", "tests/grading/README.md", MANIFEST}
    new |= files_of(tmp_path / "students") & {"assignments/.ruff.toml"}
    assert files_of(tmp_path / "students") == tracked - secret | new
    assert written.files == len(tracked - secret | new) - 1 and written.address is None
    assert (tmp_path / "students/binder/start").stat().st_mode & 0o100
    assert not list(tmp_path.glob(".students*"))  # nothing is left beside it


def test_students_read_of_assignments_and_of_no_grader(checkout, tmp_path):
    write_repository(checkout / "assignments", tmp_path / "students", ADDRESS)
    readme = (tmp_path / "students/README.md").read_text("utf-8")
    assert "make grade" not in readme and "make assignments" not in readme and "\n## For owners" in readme
    link = "lab/tree/assignments/gradients/gradients.ipynb"
    assert f"[on Binder](https://mybinder.org/v2/gh/ada/students/HEAD?urlpath={link})" in readme
    page = (tmp_path / "students/assignments/README.md").read_text("utf-8")
    assert "[Assignment 2: gradients of expectations](gradients/gradients.ipynb)" in page


def test_every_link_opens_the_students_repository(checkout, tmp_path):
    own = links.REPOSITORY
    write_repository(checkout / "assignments", tmp_path / "students", "git@github.com:ada/students.git")
    assert links.REPOSITORY == own
    readme = (tmp_path / "students/README.md").read_text("utf-8")
    assert readme.count("mybinder.org/v2/gh/ada/students/") == readme.count("mybinder.org/v2/gh/") > 1
    assert "OWNER" not in readme and f'"{ADDRESS}"' in (tmp_path / "students/vaelib/tools/links.py").read_text("utf-8")


def test_without_an_address_the_folders_origin_counts_and_never_the_teachers(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(links, "REPOSITORY", "https://github.com/ada/older")
    git(checkout, "remote", "add", "origin", "https://github.com/ada/course")
    students = tmp_path / "students"
    assert write_repository(checkout / "assignments", students).address is None
    readme = (students / "README.md").read_text("utf-8")
    assert "OWNER/REPOSITORY" in readme and "ada/" not in readme
    git(students, "init", "-q")
    git(students, "remote", "add", "origin", f"{ADDRESS}.git")
    assert write_repository(checkout / "assignments", students).address == ADDRESS
    assert f"{ADDRESS}/HEAD".replace("https://github.com", "v2/gh") in (students / "README.md").read_text("utf-8")
    for own in ["https://github.com/ada/course", "git@github.com:Ada/Course.git"]:
        with pytest.raises(GraderError, match="another one than this"):
            write_repository(checkout / "assignments", students, own)


@pytest.mark.parametrize("address", ["ada/students", "https://gitlab.com/ada/students", "", "https://github.com/ada"])
def test_an_address_that_is_none_is_refused(checkout, tmp_path, address):
    with pytest.raises(GraderError, match=r"must read https://github.com/OWNER/NAME; received "):
        write_repository(checkout / "assignments", tmp_path / "students", address)
    assert not (tmp_path / "students").exists()


def test_what_is_not_committed_is_refused_in_the_sources_and_named_elsewhere(checkout, tmp_path):
    (checkout / "README.md").write_text("changed")
    written = write_repository(checkout / "assignments", tmp_path / "students")
    assert written.uncommitted == ["README.md"] and len((tmp_path / "students/README.md").read_text("utf-8")) > 99
    new = checkout / "assignments/source/new/néw.ipynb"
    new.parent.mkdir()
    new.write_text("{}")
    with pytest.raises(GraderError, match=r"assignments/source must hold nothing .* received: assignments/source/new/"):
        write_repository(checkout / "assignments", tmp_path / "students")


def test_a_folder_that_is_no_checkout_is_refused(checkout, tmp_path, capsys):
    shutil.rmtree(checkout / ".git")
    assert main(["repository", str(tmp_path / "students"), "--course", str(checkout / "assignments")]) == 1
    said = capsys.readouterr().err
    assert f"{checkout} must be a git checkout of the course; git says: fatal: not a git" in said and "Clone" in said


def test_a_release_takes_the_place_of_an_earlier_one_and_keeps_git_and_the_environment(checkout, tmp_path):
    students = tmp_path / "students"
    write_repository(checkout / "assignments", students)
    commit(students)
    (students / ".venv").mkdir()
    (students / ".venv/python").write_text("mine")
    (students / "notebooks/__pycache__").mkdir()
    (students / "notebooks/__pycache__/x.pyc").write_text("mine")
    first = json.loads((students / MANIFEST).read_text())["files"]
    (checkout / "new.md").write_text("new")
    (checkout / "binder/start").unlink()
    commit(checkout)
    write_repository(checkout / "assignments", students)
    second = json.loads((students / MANIFEST).read_text())["files"]
    assert set(second) - set(first) == {"new.md"} and set(first) - set(second) == {"binder/start"}
    assert all(first[name] == second[name] for name in first.keys() & second.keys())  # git sees what changed, alone
    assert (students / ".venv/python").read_text() == "mine" and not (students / "binder").exists()
    assert git(students, "log", "--format=%s").split() == ["all"]


@pytest.mark.parametrize("name", ["notes.txt", "notebooks/mine.ipynb", "README.md"])
def test_a_file_that_no_release_wrote_or_that_was_changed_is_refused(checkout, tmp_path, name):
    students = tmp_path / "students"
    write_repository(checkout / "assignments", students)
    (students / name).write_text("mine")
    before = files_of(students)
    with pytest.raises(GraderError, match=rf"{NOT_MINE}.*: {name}\. Move"):
        write_repository(checkout / "assignments", students)
    assert files_of(students) == before and (students / name).read_text() == "mine"


def test_the_courses_own_folder_is_refused(checkout):
    before = files_of(checkout)
    with pytest.raises(GraderError, match="history of .* must hold no solutions"):
        write_repository(checkout / "assignments", checkout)
    assert files_of(checkout) == before


def test_a_history_with_solutions_is_refused_though_they_are_gone(checkout, tmp_path):
    git(tmp_path, "clone", "-q", checkout, "students")
    students = tmp_path / "students"
    git(students, "rm", "-r", "-q", ".")
    git(students, "commit", "-q", "--message", "nothing")
    with pytest.raises(GraderError, match="history of .* must hold no solutions"):
        write_repository(checkout / "assignments", students)


def test_an_error_on_the_way_leaves_the_earlier_release(tmp_path, monkeypatch):
    stage, folder = tmp_path / "stage", tmp_path / "students"
    for number in range(2):
        (stage / "a").mkdir(parents=True, exist_ok=True)
        (stage / "a/x").write_text(f"{number}")
        (stage / f"b{number}").write_text("")
        if number == 0:
            install(stage, folder, "first")
    before = files_of(folder)
    rename, count = type(stage).rename, iter(range(4))

    def fails(path, target):
        if next(count, None) is None and not fails.failed:
            fails.failed = True
            raise OSError("no space")
        return rename(path, target)

    fails.failed = False
    monkeypatch.setattr(type(stage), "rename", fails)
    with pytest.raises(OSError, match="no space"):
        install(stage, folder, "second")
    assert files_of(folder) == before and (folder / "a/x").read_text() == "0"
    check_place(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stage", "students"]


# What no student may read ------------------------------------------------------------------------------------------


def model(notebook, name):
    """The lines between the marks of a cell."""
    lines = cell_of(notebook, name).source.splitlines()
    begin = next(number for number, line in enumerate(lines) if "BEGIN" in line)
    end = next(number for number, line in enumerate(lines) if "END" in line)
    return lines[begin + 1 : end]


@pytest.mark.parametrize(
    "name, text",
    [
        ("notes.md", "As ### BEGIN SOLUTION says"),
        ("helper.py", 'TEXT = "x\\n### END HIDDEN TESTS"'),
        ("gradebook.db", b"\x00\xff# BEGIN HIDDEN TESTS\x00"),
        ("hidden.py", lambda source: "\n    ".join(model(source, "reparameterise"))),
        ("explain.txt", lambda source: "\n".join(["Look:", *model(source, "explain_choice")])),
        ("explain.ipynb", lambda source: json.dumps({"cells": [{"source": model(source, "explain_variance")}]})),
        ("two.py", lambda source: "\n".join(model(source, "pathwise_gradient_answer") + model(source, "score_answer"))),
    ],
)
def test_an_answer_is_found_wherever_it_stands_and_nothing_is_written(checkout, tmp_path, name, text):
    text = text(source_notebook(COURSE, "gradients")) if callable(text) else text
    (checkout / "images").mkdir()
    (checkout / "images" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    commit(checkout)
    with pytest.raises(GraderError, match=rf"Nothing was written: (.|\n)*images/{name}: "):
        write_repository(checkout / "assignments", tmp_path / "students")
    assert not (tmp_path / "students").exists() and not list(tmp_path.glob(".students*"))


def test_what_a_lesson_shows_is_no_leak(tmp_path):
    """Lesson 07 writes the layer that assignment 3 asks for: that is the course, and short."""
    shutil.copy(ROOT / "notebooks/07_vae_in_keras.ipynb", tmp_path)
    assert not list(find_answers(tmp_path, [source_notebook(COURSE, name) for name in ASSIGNMENTS]))


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_every_source_is_found_in_itself(tmp_path, name):
    source = source_notebook(COURSE, name)
    for cell in source.cells:
        cell.source = cell.source.replace("BEGIN", "").replace("END", "")  # the marks alone would tell
    nbformat.write(source, tmp_path / "copy.ipynb")
    original = source_notebook(COURSE, name)
    found = {line.partition(": ")[2] for line in find_answers(tmp_path, [original])}
    assert found == {part.name for part in secrets(original)} and len(found) > 12


def test_an_answer_cell_without_marks_is_secret_as_a_whole():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Because it is so.")])
    notebook.cells[0].metadata["nbgrader"] = {"solution": True, "grade_id": "why"}
    assert [tuple(part) for part in secrets(notebook)] == [
        ("the solution of why", frozenset({"Because it is so."}), False)
    ]


# The whole course --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_last_commit_of_the_course_makes_a_repository_that_works(tmp_path):
    """Only a checkout without changes in the sources can be released; a copy without git cannot be tested so."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{ROOT}", "course")
    students = tmp_path / "students"
    run = classroom("repository", students, "--course", tmp_path / "course/assignments", "--address", ADDRESS)
    assert run.returncode == 0, run.stderr
    assert "no solution and no hidden test" in run.stdout and f"open {ADDRESS}" in run.stdout
    for name in ASSIGNMENTS:
        nbformat.validate(nbformat.read(students / f"assignments/{name}/{name}.ipynb", as_version=4))
    # Its links, its style, and what it says to a teacher who is in the wrong folder.
    checks = [("vaelib.tools.links", "--check"), ("ruff", "check", "."), ("ruff", "format", "--check", ".")]
    for module, *arguments in checks:
        command = [sys.executable, "-m", module, *arguments]
        run = subprocess.run(command, cwd=students, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
    for command in (["release"], ["grade", "notebooks"], ["repository", "x"]):
        run = subprocess.run(
            [sys.executable, "-m", "vaelib.tools.grader", *command], cwd=students, capture_output=True, text=True
        )
        assert run.returncode == 1 and run.stderr.startswith("This is the students' repository: "), run.stderr
        assert "Traceback" not in run.stderr
