"""What the runner does when the world misbehaves: cells that leave, signals, full disks, two at once, mixed data."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from vaelib import files
from vaelib.data.download import expects_real
from vaelib.data.mnist import DATASET
from vaelib.tools.runner import CourseError, find_notebooks
from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.sweep_runs import runs_of

WAITS = """
import os, pathlib, time
pathlib.Path("note").write_text(str(os.getpid()))
os.rename("note", "started")
time.sleep(600)
"""
HOLD = """
import sys, time
from vaelib.files import only_writer
with only_writer(sys.argv[1]):
    print(1, flush=True)
    time.sleep(600)
"""


def report_in(folder):
    return json.loads((folder / "report.json").read_text("utf-8"))


# Cells that leave ---------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["import sys; sys.exit(0)", pytest.param("raise SystemExit", marks=pytest.mark.slow)])
def test_a_cell_that_exits_fails_the_notebook(tmp_path, write_notebook, run_here, leave):
    write_notebook(tmp_path / "01_exits.ipynb", ["1", leave, "raise ValueError", "2"])
    done = run_here("--notebooks", tmp_path, "--output", tmp_path / "out")
    (entry,) = report_in(tmp_path / "out")["notebooks"]
    assert done.returncode == 1 and entry["status"] == "failed"
    error = entry["error"]
    assert (error["name"], error["cell"], error["execution_count"]) == ("SystemExit", 3, 2)
    assert "cells not run: 4, 5" in error["message"] and "cells not run: 4, 5" in done.stdout
    before = (tmp_path / "01_exits.ipynb").read_bytes()
    assert run_here("save", "--notebooks", tmp_path, "--output", tmp_path / "out").returncode == 1
    assert (tmp_path / "01_exits.ipynb").read_bytes() == before


# Signals ------------------------------------------------------------------------------------------


def test_the_report_holds_every_chosen_notebook_from_the_start(tmp_path, write_notebook, monkeypatch):
    """Seen when the first begins, and when the second does: whatever ends the process then leaves it so."""
    from vaelib.tools.runner import running

    seen = []

    def execute(notebook, *_, **__):
        seen.append(report_in(tmp_path / "out"))
        if len(seen) == 2:
            raise KeyboardInterrupt
        entry = {"name": notebook.name, "title": "", "passed": True, "status": "passed", "seconds": 1.0, "data": []}
        entry |= {"peak_rss_mb": 1.0, "claims": [], "figures": {}, "units": {}, "executed": None, "error": None}
        return {**entry, "parameters": {}}

    monkeypatch.setattr(running, "execute", execute)
    for name in ("01_a", "02_b", "03_c"):
        write_notebook(tmp_path / f"{name}.ipynb", ["1"])
    assert main(["--jobs", "1", "--notebooks", str(tmp_path), "--output", str(tmp_path / "out")]) == 130
    assert [report["not_run"] for report in seen] == [["01_a", "02_b", "03_c"], ["02_b", "03_c"]]
    assert not any(report["passed"] for report in seen)
    assert seen[1]["headline"].startswith("1 of 3 notebooks passed")
    assert "Not run: 02_b, 03_c" in (tmp_path / "out" / "report.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_runner_no_chosen_notebook_is_forgotten(
    tmp_path, write_notebook, wait_until, wait_until_gone, number
):
    write_notebook(tmp_path / "01_quick.ipynb", ["1"])
    write_notebook(tmp_path / "02_slow.ipynb", [WAITS])
    write_notebook(tmp_path / "03_never.ipynb", ["1"])
    command = [sys.executable, "-m", "vaelib.tools.runner", "--jobs", "1", "--notebooks", ".", "--output", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            wait_until((tmp_path / "started").exists, process)
            kernel = int((tmp_path / "started").read_text())
            early = report_in(tmp_path / "out")
            process.send_signal(number)
            process.wait(600)
            if number == signal.SIGTERM:
                wait_until_gone(kernel)
        finally:
            process.kill()
            if number == signal.SIGKILL:
                os.kill(kernel, signal.SIGKILL)
    assert early["not_run"] == ["02_slow", "03_never"] and early["passed"] is False
    report = report_in(tmp_path / "out")
    assert report["passed"] is False and report["headline"].startswith("1 of 3 notebooks passed")
    assert "03_never" in report["not_run"]
    if number == signal.SIGTERM:
        assert [entry["status"] for entry in report["notebooks"]] == ["passed", "interrupted"]


# Two at once, full disks, what is in the way ------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders")
def test_two_runs_into_one_folder(tmp_path, write_notebook, capsys):
    write_notebook(tmp_path / "01_a.ipynb", ["1"])
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        for command in (["run"], ["sweep", "1"]):
            assert main([*command, "--notebooks", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
            assert "another run writes into" in (said := capsys.readouterr().err) and "--output" in said
        assert os.listdir(tmp_path / "out") == []
    finally:
        other.kill()
        other.communicate()
    with files.only_writer(tmp_path / "out"):  # free again, though it was killed
        pass


def test_a_full_disk_is_said_in_a_line(tmp_path, write_notebook, monkeypatch, capsys):
    write_notebook(tmp_path / "01_a.ipynb", ["1"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "out/report.json")

    monkeypatch.setattr(files.os, "replace", full)
    assert main(["--notebooks", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("The results cannot be written. out/report.json: No space left on device. Make room")
    assert len(said.splitlines()) == 1 and (tmp_path / "out" / "report.json").read_text() == "old"


def test_an_output_that_is_a_file(tmp_path, write_notebook, capsys):
    write_notebook(tmp_path / "01_a.ipynb", ["1"])
    (tmp_path / "file").write_text("")
    assert main(["--notebooks", str(tmp_path), "--output", str(tmp_path / "file")]) == 2
    assert "--output must name a folder" in capsys.readouterr().err
    assert main(["--notebooks", str(tmp_path), "--output", str(tmp_path / "file" / "below")]) == 1
    assert "The results cannot be written" in capsys.readouterr().err


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    for name, age in ((".partial-old", 2 * files.A_DAY), (".partial-new", 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with files.replace_file(tmp_path / "result") as half:
        half.write_text("1")
    assert sorted(os.listdir(tmp_path)) == [".partial-new", "result"]


# Parameters ---------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path, write_notebook):
    (tmp_path / "notebooks").mkdir()
    cells = ["epochs: int = 3\nrate: float = 0.1\nquick: bool = False\nfolder: str = ''", "print(folder)"]
    write_notebook(tmp_path / "notebooks" / "01_a.ipynb", cells, tagged=0)
    return tmp_path / "notebooks"


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("epochs=abc", "'epochs' of 01_a must be a number, as its default 3 is; received 'abc'"),
        ("epochs=2.5", "must be a whole number"),
        ("epochs=true", "must be a number"),
        ("rate=fast", "must be a number, as its default 0.1"),
        ("quick=1", "'quick' of 01_a must be true or false"),
        ("epochs={1,2}", "must be a number, a text, true, false, null, a list or a dictionary; received '{1,2}'"),
    ],
)
def test_a_value_of_another_kind_is_refused_before_anything_runs(course, tmp_path, capsys, text, wanted):
    for command in ("run", "sweep"):
        arguments = [command, "1", "-p", text, "--notebooks", str(course), "--output", str(tmp_path / "out")]
        assert main(arguments) == 2
        assert wanted in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_kinds_that_fit(course):
    from vaelib.tools.runner.parameters import check_kinds, parse_grid

    check_kinds(find_notebooks(course), parse_grid(["epochs=1,2", "rate=1,0.5,inf", "quick=true", "folder=7,abc"]))


def test_sets_among_the_values_of_a_sweep(course, tmp_path, capsys):
    arguments = ["sweep", "1", "-p", "epochs={1,2},{3}", "--notebooks", str(course), "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "Write several values as a list" in capsys.readouterr().err


def test_a_folder_that_stands_here_is_found_from_the_notebooks_folder(monkeypatch, tmp_path):
    from vaelib.tools.runner.parameters import absolute_paths

    (tmp_path / "pics").mkdir()
    monkeypatch.chdir(tmp_path)
    given = {"folder": "pics", "note": "pics", "image_folder": "elsewhere", "epochs": 3, "data_path": ""}
    assert absolute_paths(given) == {**given, "folder": str(tmp_path / "pics")}


# Sweeps -------------------------------------------------------------------------------------------

DATA = """
from IPython.display import display
from vaelib.mime import DATA_MIME
from vaelib.data.download import expects_real
from vaelib.data.mnist import DATASET
from vaelib.teaching.claims import record_figure
real = expects_real(DATASET)
display({"text/plain": "", DATA_MIME: {"name": "MNIST", "origin": "test", "stand_in": not real}}, raw=True)
record_figure("images", 60_000 if real else 4_000)
"""


@pytest.fixture
def learner(tmp_path, write_notebook, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    write_notebook(tmp_path / "notebooks" / "01_learns.ipynb", ["n: int = 1", DATA], tagged=0)
    monkeypatch.delenv("VAELIB_DATA", raising=False)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    return tmp_path / "notebooks"


@pytest.mark.slow
def test_a_sweep_does_not_mix_data_in_one_table(learner, tmp_path, monkeypatch, run_here):
    output = tmp_path / "out"
    common = ["--notebooks", learner, "--output", output, "--jobs", "1"]
    assert run_here("sweep", "1", "-p", "n=1", *common).returncode == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / DATASET.file).write_bytes(b"there")
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "mine"))
    done = run_here("sweep", "1", "-p", "n=1,2", *common)
    assert "2 runs, 0 of them finished before" in done.stdout and "The rows differ" not in done.stdout
    with open(output / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["images"], row["data"]) for row in rows] == [("60000.0", "MNIST")] * 2
    assert {row["vaelib"] for row in rows} == {__import__("vaelib").__version__}


def test_rows_that_differ_all_the_same_are_told(learner, tmp_path, run_here):
    """Where the network failed in between, only the runs themselves know."""
    output = tmp_path / "out"
    common = ["--notebooks", learner, "--output", output]
    real = [{"name": "MNIST", "origin": "test", "stand_in": False}]
    for run, data in zip(runs_of(find_notebooks(learner)[0], {"n": [1, 2]}, output), (real, []), strict=True):
        entry = {"passed": True, "status": "passed", "seconds": 1.0, "peak_rss_mb": 1.0, "figures": {}, "units": {}}
        run.keep({**entry, "error": None, "claims": [], "data": data or [{**real[0], "stand_in": True}]})
    done = run_here("sweep", "1", "-p", "n=1,2", *common)
    assert "2 runs, 2 of them finished before" in done.stdout
    assert "The rows differ in data (MNIST, MNIST (stand-in)): compare only those that agree" in done.stdout


def test_the_identity_of_a_run_holds_the_version_and_the_data(learner, tmp_path, monkeypatch):
    import vaelib

    notebook = find_notebooks(learner)[0]
    (before,) = runs_of(notebook, {"n": [1]}, tmp_path)
    monkeypatch.setattr(vaelib, "__version__", "99")
    (after,) = runs_of(notebook, {"n": [1]}, tmp_path)
    monkeypatch.setenv("VAELIB_OFFLINE", "0")
    (online,) = runs_of(notebook, {"n": [1]}, tmp_path)
    assert len({run.folder for run in (before, after, online)}) == 3
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(CourseError, match="VAELIB_DATA must name a folder"):
        runs_of(notebook, {"n": [1]}, tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "3", '{"passed": "yes"}', '{"passed": true}', '{"passed": true, "figures": 1}', "{"]
)
def test_a_result_that_something_else_wrote_is_no_result(learner, tmp_path, text):
    (run,) = runs_of(find_notebooks(learner)[0], {"n": [1]}, tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / "result.json").write_text(text)
    assert run.result() is None and not run.passed()


def test_where_the_data_would_come_from(tmp_path, monkeypatch):
    monkeypatch.delenv("VAELIB_DATA", raising=False)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    assert not expects_real(DATASET)
    monkeypatch.setenv("VAELIB_OFFLINE", "0")
    assert expects_real(DATASET)
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    (tmp_path / DATASET.file).write_bytes(b"")
    assert expects_real(DATASET)
