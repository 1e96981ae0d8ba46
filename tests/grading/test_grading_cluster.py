"""Grading on a Dask cluster gives what grading here gives, though a submission kills its kernel and a worker dies."""

import signal
import subprocess
import sys

import pytest
from answers import ROOT, UNPROTECTED, build_course, grade, hand_in, read_export
from machines import Cluster, free_port
from test_classroom import NAME, arithmetic

from vaelib.tools import cluster
from vaelib.tools.grader import GraderError
from vaelib.tools.grader.running.autograding import autograde
from vaelib.tools.grader.running.job import Limits

pytestmark = pytest.mark.slow
pytest.importorskip("distributed")

HANDED_IN = {
    "right": (),
    "wrong": ("twice", "def twice(x):\n    return 3 * x"),
    "dies": ("square", "import os\ndef square(x):\n    os._exit(1)"),
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


def test_a_cluster_gives_what_this_machine_gives_though_a_worker_dies(tmp_path, course, dask):
    first, _ = dask.add_worker(), dask.add_worker()
    command = [sys.executable, "-m", "vaelib.tools.grader", "grade", tmp_path / "in", "--output", tmp_path / "there"]
    command += ["--course", course, "--scheduler", dask.address, *UNPROTECTED]
    grading = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while "First the model solutions" not in (line := grading.stdout.readline()) and line:
        pass
    while (line := grading.stdout.readline()) and line[:1] not in "✓!":  # one student is through
        pass
    first.send_signal(signal.SIGKILL)
    said, _ = grading.communicate()
    assert grading.returncode == 0, said
    there, here = read_export(tmp_path / "there"), grade(tmp_path / "in", tmp_path / "here", "--course", course)
    assert there[0] == here[0] and there[0]["right"]["twice"] == 5.0 and there[0]["wrong"]["twice"] == 0.0
    told = [{student: (row["status"], row["score"]) for student, row in each[1].items()} for each in (there, here)]
    assert told[0] == told[1] and told[0]["dies"][0] == "crashed"
    for student in ("right", "wrong"):
        assert (tmp_path / "there" / "feedback" / student / NAME / f"{NAME}.html").exists()


def test_without_a_cluster_nobody_is_graded(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    limits = Limits(scheduler=f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(GraderError, match="no Dask scheduler answers at tcp://127.0.0.1"):
        list(autograde([], limits))
