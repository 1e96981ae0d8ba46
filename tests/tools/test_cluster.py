"""A sweep on a Dask cluster of this machine: what workers do, a worker that dies, Ctrl-C, and what is refused."""

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest
from machines import Cluster, free_port

from vaelib.tools import cluster
from vaelib.tools.runner.cluster import _identity

pytest.importorskip("distributed")

PARAMETERS = "n: int = 3\nwait: str = ''"
BODY = """
import os, pathlib, time
from vaelib.teaching.claims import claim_true, record_figure
if n == 7:
    os._exit(3)
claim_true("n is not 5", n != 5)
if wait:
    path = pathlib.Path(f"{wait}.{n}")
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)  # so that who sees the file can read it
    while not os.path.exists(wait + ".go"):
        time.sleep(0.1)
record_figure("twice", 2 * n, "nats")
"""


@pytest.fixture
def dask(tmp_path):
    one = Cluster(tmp_path)
    yield one
    one.close()


@pytest.fixture
def course(tmp_path, write_notebook):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write_notebook(folder / "06_small.ipynb", [PARAMETERS, BODY], tagged=0)
    return folder


def arguments(course, output, dask, *more):
    return ["sweep", "6", *more, "--notebooks", str(course), "--output", str(output), "--scheduler", dask.address]


def table(output):
    with open(output / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_workers_do_the_runs_and_their_files_come_back(course, tmp_path, dask, run_command):
    for _ in range(2):
        dask.add_worker()
    output = tmp_path / "out"
    done = run_command(*arguments(course, output, dask, "-p", "n=2,5,7"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"06_small: 3 runs, 0 of them finished before; on {dask.address}.")
    rows = table(output)
    assert [(row["n"], row["passed"], row["twice (nats)"]) for row in rows] == [
        ("2", "True", "4.0"),
        ("5", "False", ""),
        ("7", "False", ""),
    ]
    assert "n is not 5" in rows[1]["error"] and "died" in rows[2]["error"]
    for row in rows:
        folder = output / "runs" / row["run"]
        assert {file.name for file in folder.iterdir()} == {"06_small.ipynb", "result.json"}
    again = run_command(*arguments(course, output, dask, "-p", "n=2"), cwd=tmp_path)
    assert "1 runs, 1 of them finished before" in again.stdout and again.returncode == 0
    course_run = run_command("run", *arguments(course, tmp_path / "course", dask, "-p", "n=2")[1:], cwd=tmp_path)
    assert (course_run.returncode, course_run.stderr) == (0, "")
    assert {file.name for file in (tmp_path / "course").iterdir()} >= {"06_small.ipynb", "report.html"}


@pytest.mark.slow
def test_a_worker_that_dies_costs_no_run(course, tmp_path, dask, wait_until, wait_until_gone):
    first, second = dask.add_worker(), dask.add_worker()
    wait = tmp_path / "wait"
    command = arguments(course, tmp_path / "out", dask, "-p", "n=1,2,3", "-p", f"wait={wait}")
    sweep = subprocess.Popen(
        [sys.executable, "-m", "vaelib.tools.runner", *command], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: sum(path.exists() for path in tmp_path.glob("wait.[123]")) == 2, sweep)
    kernels = [int(path.read_text()) for path in tmp_path.glob("wait.[123]")]
    (lost,) = [pid for pid in kernels if first.pid in (parent.pid for parent in psutil.Process(pid).parents())]
    first.send_signal(signal.SIGKILL)
    wait_until_gone(lost)  # what it had started ends too
    assert second.poll() is None
    (tmp_path / "wait.go").touch()
    said, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, said
    assert [row["passed"] for row in table(tmp_path / "out")] == ["True"] * 3


@pytest.mark.slow
def test_ctrl_c_ends_what_runs_on_the_workers(course, tmp_path, dask, interrupt, run_command):
    dask.add_worker()
    wait = tmp_path / "wait"
    command = arguments(course, tmp_path / "out", dask, "-p", "n=1,2", "-p", f"wait={wait}")
    done = interrupt(*command, cwd=tmp_path, when=tmp_path / "wait.1")  # its kernel must be gone afterwards
    assert done.returncode == 130 and "Interrupted: 2 not run; the same command goes on from here." in done.stdout
    (tmp_path / "wait.go").touch()
    assert run_command(*command, cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_a_worker_that_would_run_something_else_is_refused(course, tmp_path, dask, run_command):
    dask.add_worker(VAELIB_DATA="", VAELIB_OFFLINE="1", VAELIB_CACHE=str(tmp_path / "empty"))
    (tmp_path / "data").mkdir()

    images, labels = np.zeros((10, 28, 28), "uint8"), np.zeros(10, "uint8")
    np.savez(tmp_path / "data" / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    env = {"VAELIB_DATA": str(tmp_path / "data")}
    done = run_command(*arguments(course, tmp_path / "out", dask, "-p", "n=1"), cwd=tmp_path, env=env)
    assert done.returncode == 2 and "has another choice of data" in done.stderr
    assert not list((tmp_path / "out").glob("runs/*"))


def test_a_cluster_that_is_not_there_is_named(course, tmp_path, monkeypatch, capsys, run_here):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    nowhere = type("Nowhere", (), {"address": f"tcp://127.0.0.1:{free_port()}"})
    done = run_here(*arguments(course, tmp_path / "out", nowhere, "-p", "n=1"))
    assert done.returncode == 2 and "no Dask scheduler answers at tcp://127.0.0.1" in done.stderr


def test_every_worker_must_be_the_same():
    here = _identity()
    cluster._require_same(here, {"tcp://a": here})
    other = {**here, "version of vaelib": "0.0.1"}
    with pytest.raises(cluster.ClusterError, match="tcp://b has another version of vaelib: 0.0.1"):
        cluster._require_same(here, {"tcp://a": here, "tcp://b": other})
    assert json.loads(other["choice of data"])


def test_without_dask_the_way_to_get_it_is_said(course, tmp_path, monkeypatch, run_here):
    monkeypatch.setitem(sys.modules, "distributed", None)
    nowhere = type("Nowhere", (), {"address": "tcp://nowhere:1"})
    done = run_here(*arguments(course, tmp_path / "out", nowhere, "-p", "n=1"))
    assert done.returncode == 2 and "pip install distributed" in done.stderr
