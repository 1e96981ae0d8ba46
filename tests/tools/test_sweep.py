"""Sweeps over a grid of parameters, on small notebooks made here: what is run, refused, kept, gathered and resumed."""

import csv
import json
import math
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from vaelib.tools.runner import CourseError, find_notebooks
from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.sweep import parse_grid, runs_of
from vaelib.tools.runner.sweep_results import draw

PARAMETERS = "n: int = 3\nbeta: float = 1.0\nseed: int = 0\nwait: str = ''"
BODY = """
import os, pathlib, time
from vaelib.teaching.claims import claim_true, record_figure
if n == 7:
    os._exit(3)
claim_true("n is not 5", n != 5)
if wait and n > 1:
    pathlib.Path(wait + ".part").write_text(str(os.getpid()))
    os.rename(wait + ".part", wait)  # so that who sees the file can read it
    while not os.path.exists(wait + ".go"):
        time.sleep(0.1)
record_figure("product", n * beta + seed / 100, "nats")
record_figure("n", n)
"""


def write_notebook(path, body=BODY):
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(body)]
    nbformat.write(new_notebook(cells=cells), path)


def table(output):
    with open(output / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def stamps(output):
    return {path.parent.name: path.stat().st_mtime_ns for path in output.glob("runs/*/result.json")}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a {course}") / "notebooks"
    folder.mkdir()
    write_notebook(folder / "06_small.ipynb")
    return folder


@pytest.fixture(scope="module")
def swept(course, tmp_path_factory):
    """A sweep with a claim that fails, for n = 5."""
    output = tmp_path_factory.mktemp("swept")
    command = [sys.executable, "-m", "vaelib.tools.runner", "sweep", "6", "-p", "n=2,5", "--seeds", "0,1"]
    command += ["--jobs", "2", "--notebooks", str(course), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
    return output, done


def test_failures_are_reported_and_the_rest_go_on(swept):
    output, done = swept
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "06_small: 4 runs, 0 of them finished before; 2 at a time."
    assert sorted(line[:12] for line in lines if line[0] in "✓✗") == [
        "✓ n=2 seed=0",
        "✓ n=2 seed=1",
        "✗ n=5 seed=0",
        "✗ n=5 seed=1",
    ]
    assert sum("n is not 5" in line for line in lines) == 2
    assert lines[-1].startswith("2 of 4 runs passed. Results:")


def test_the_table_has_a_row_per_run(swept):
    rows = table(swept[0])
    assert [(row["n"], row["seed"], row["passed"]) for row in rows] == [
        ("2", "0", "True"),
        ("2", "1", "True"),
        ("5", "0", "False"),
        ("5", "1", "False"),
    ]
    assert [row["product (nats)"] for row in rows] == ["2.0", "2.01", "", ""]
    assert [row["figure n"] for row in rows[:2]] == ["2.0", "2.0"]  # a figure with the name of a parameter
    for row in rows:
        assert float(row["seconds"]) > 0 and (swept[0] / "runs" / row["run"] / "06_small.ipynb").exists()
    assert all(float(row["peak_memory_mb"]) > 10 for row in rows[:2])
    assert "n is not 5" in rows[2]["error"] and not rows[0]["error"]


def test_the_picture_is_there(swept):
    with Image.open(swept[0] / "sweep.png") as picture:
        assert picture.width > 500 and len(picture.convert("RGB").getcolors(100_000)) > 10


def test_finished_runs_are_kept_and_failed_ones_tried_again(swept, course, capsys):
    output, _ = swept
    before = stamps(output)
    # One more value, which kills the kernel, and one that failed: what passed stands.
    command = ["sweep", "06", "-p", "n=2,5,7", "--seeds", "0", "--notebooks", str(course), "--output", str(output)]
    assert main(command) == 1
    assert "3 runs, 1 of them finished before" in capsys.readouterr().out
    rows, after = table(output), stamps(output)
    assert [row["passed"] for row in rows] == ["True", "False", "False"]
    assert "died" in rows[2]["error"]
    assert after[rows[0]["run"]] == before[rows[0]["run"]]
    assert after[rows[1]["run"]] > before[rows[1]["run"]]
    assert rows[2]["run"] not in before


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupted_sweep_goes_on_where_it_stopped(course, tmp_path, capsys):
    started, output = tmp_path / "started", tmp_path / "out"
    arguments = ["sweep", "6", "-p", "n=1,2,3", "-p", f"wait={started}", "--jobs", "1"]
    arguments += ["--notebooks", str(course), "--output", str(output)]
    command = [sys.executable, "-m", "vaelib.tools.runner", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        deadline = time.monotonic() + 120
        while not started.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and err == ""
    assert "1 of 3 runs passed. Interrupted: 2 not run; the same command goes on from here." in out
    assert not psutil.pid_exists(int(started.read_text()))  # no kernel is left behind
    assert [row["passed"] for row in table(output)] == ["True", "", ""]
    before = stamps(output)
    assert len(before) == 1

    (tmp_path / "started.go").touch()
    assert main(arguments) == 0
    assert "3 runs, 1 of them finished before" in capsys.readouterr().out
    assert [row["passed"] for row in table(output)] == ["True", "True", "True"]
    after = stamps(output)
    assert len(after) == 3 and before.items() <= after.items()


def test_a_run_whose_process_crashes_has_failed(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # no Python starts with this
    command = ["sweep", "06", "-p", "n=1", "--notebooks", str(course), "--output", str(tmp_path / "out")]
    assert main(command) == 1
    assert "the run's process ended with status" in capsys.readouterr().out
    assert "the run's process ended with status" in table(tmp_path / "out")[0]["error"]


def test_other_code_is_another_run_and_other_outputs_are_not(tmp_path):
    path = tmp_path / "1_a.ipynb"

    def names():
        (notebook,) = find_notebooks(tmp_path)
        return [run.folder.name for run in runs_of(notebook, {"n": [1, 2], "seed": [0]}, tmp_path)]

    write_notebook(path)
    first = names()
    assert len(set(first)) == 2
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("prose"))
    nbformat.write(notebook, path)
    assert names() == first
    write_notebook(path, BODY + "1\n")
    assert not set(names()) & set(first)


@pytest.mark.parametrize(
    "texts, seeds, grid",
    [
        (["latent_dim=2,5,10", "beta=1,4.5"], None, {"latent_dim": [2, 5, 10], "beta": [1, 4.5]}),
        (["n=3"], "0,1", {"n": [3], "seed": [0, 1]}),
        (["sizes=[1,2],[3]"], None, {"sizes": [[1, 2], [3]]}),
        (["sizes=(1,2)"], None, {"sizes": [[1, 2]]}),
        (["name='a,b',c"], None, {"name": ["a,b", "c"]}),
        (["name=it's,[open"], None, {"name": ["it's", "[open"]}),
        (["flag=true,False,none"], None, {"flag": [True, False, "none"]}),
        (["folder="], None, {"folder": [""]}),
        (["rate=1e-3,inf"], None, {"rate": [0.001, math.inf]}),
        ([], None, {}),
    ],
)
def test_a_grid_is_read(texts, seeds, grid):
    read = parse_grid(texts, seeds)
    assert read == grid and list(read) == list(grid)
    assert [[type(v) for v in values] for values in read.values()] == [[type(v) for v in vs] for vs in grid.values()]


@pytest.mark.parametrize(
    "texts, seeds, message",
    [
        (["n"], None, "name=value; received 'n'"),
        (["n=1", "n=2"], None, r"'n' is given twice\. Give all its values at once"),
        (["seed=1"], "2", r"'seed' is given twice \(--seeds gives it too\)"),
        (["n=1,1"], None, "A value of 'n' is given twice"),
        (["n=1,,2"], None, "A value is missing between two commas"),
        (["n=1,"], None, "A value is missing"),
    ],
)
def test_a_grid_that_makes_no_sense(texts, seeds, message):
    with pytest.raises(CourseError, match=message):
        parse_grid(texts, seeds)


def test_requests_that_make_no_sense_exit_with_2_before_anything_runs(course, tmp_path, capsys):
    refused = {
        ("06", "-p", "betta=1,4"): "06_small has no parameter 'betta'. Did you mean 'beta'?",
        ("07",): "No notebook '07'",
        (): "A sweep runs one notebook: name it, for example `sweep 06_small`.",
        ("06", "-p", "n=1,1"): "given twice",
    }
    for arguments, message in refused.items():
        command = ["sweep", *arguments, "--notebooks", str(course), "--output", str(tmp_path / "out")]
        assert main(command) == 2, arguments
        assert message in capsys.readouterr().err, arguments
    assert main(["sweep", "06", "--notebooks", str(course), "--output", str(course)]) == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "06", "--jobs", "0"])
    assert stopped.value.code == 2


def test_run_and_save_keep_their_own_default_folder(capsys):
    for command in ("run", "save"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "build/course" in capsys.readouterr().out


def test_the_picture_takes_any_grid(tmp_path):
    def result(value):
        return {"passed": True, "figures": {"a": value}, "units": {"a": "nats"}, "seconds": 1.0, "peak_rss_mb": 2.0}

    cases = {
        ("n", "beta"): ({"n": [1, 2], "beta": [1, 4], "seed": [0, 1]}, {"n": 2, "beta": 4, "seed": 1}),
        ("n", None): ({"n": [1, 2], "seed": [0, 1]}, {"n": 2, "seed": 1}),
        ("seed", None): ({"n": [1], "seed": [0, 1]}, {"n": 1, "seed": 1}),
        ("name", None): ({"name": ["a", "b"]}, {"name": "b"}),
        ("rate", None): ({"rate": [1.0, math.inf]}, {"rate": math.inf}),
        (None, None): ({}, {}),
    }
    for axes, (grid, parameters) in cases.items():
        path = tmp_path / "out" / "sweep.png"
        assert draw(path, grid, [(parameters, result(1.5)), (parameters, None)], "title") == axes
        assert path.read_bytes()[:4] == b"\x89PNG"


def test_results_are_valid_json(swept):
    for path in swept[0].glob("runs/*/result.json"):
        json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
