"""Grading on a Dask cluster gives what grading here gives, whatever a submission or a worker does."""

import signal
import subprocess
import sys

import pytest
from answers import ROOT, UNPROTECTED, build_course, grade, hand_in, read_export
from machines import Cluster, free_port
from test_classroom import HANGS, NAME, arithmetic

from vaelib.tools import cluster
from vaelib.tools.grader import GraderError
from vaelib.tools.grader.autograding import Limits, autograde

pytestmark = pytest.mark.slow
pytest.importorskip("distributed")

HANDED_IN = {
    "right": (),
    "wrong": ("twice", "def twice(x):\n    return 3 * x"),
    "dies": ("square", "import os\ndef square(x):\n    os._exit(1)"),
    "hangs": ("square", HANGS),
}


@pytest.fixture
def dask(tmp_path):
    one = Cluster(tmp_path)
    yield one
    one.close()


@pytest.fixture
def course(tmp_path):
    (tmp_path / "course").mkdir()
    for student, change in HANDED_IN.items():
        hand_in(tmp_path / "in", student, NAME, arithmetic(*change))
    return build_course(tmp_path / "course", arithmetic(), NAME, seconds=5)


def test_a_cluster_gives_what_this_machine_gives(tmp_path, course, dask):
    for _ in range(2):
        dask.add_worker()
    there = grade(tmp_path / "in", tmp_path / "there", "--course", course, "--scheduler", dask.address)
    here = grade(tmp_path / "in", tmp_path / "here", "--course", course)
    assert there[0] == here[0] and there[0]["right"]["twice"] == 5.0 and there[0]["wrong"]["twice"] == 0.0
    told = [{student: (row["status"], row["score"]) for student, row in each[1].items()} for each in (there, here)]
    assert told[0] == told[1] and told[0]["dies"][0] == "crashed"
    for student in HANDED_IN.keys() - {"dies"}:
        assert (tmp_path / "there" / "feedback" / student / NAME / f"{NAME}.html").exists()


def test_a_worker_that_dies_costs_nobody_a_mark(tmp_path, course, dask):
    first, _ = dask.add_worker(), dask.add_worker()
    command = [sys.executable, "-m", "vaelib.tools.grader", "grade", tmp_path / "in", "--output", tmp_path / "out"]
    command += ["--course", course, "--scheduler", dask.address, *UNPROTECTED]
    grading = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while "✓" not in (line := grading.stdout.readline()) and line:  # the model solutions, and one student, are through
        pass
    first.send_signal(signal.SIGKILL)
    said, _ = grading.communicate()
    assert grading.returncode == 0, said
    scores, submissions = read_export(tmp_path / "out")
    assert scores["right"]["twice"] == 5.0 and scores["wrong"]["twice"] == 0.0
    assert {student: row["status"] for student, row in submissions.items()} == {
        "right": "graded", "wrong": "graded", "hangs": "graded", "dies": "crashed"
    }  # fmt: skip


def test_without_a_cluster_nobody_is_graded(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    limits = Limits(scheduler=f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(GraderError, match="no Dask scheduler answers at tcp://127.0.0.1"):
        list(autograde([], limits))
