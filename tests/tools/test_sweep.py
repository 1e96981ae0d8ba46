"""Sweeps over a grid of parameters, on small notebooks made here: what is run, refused, kept, gathered and resumed."""

import csv
import json
import math
import shutil
import sys

import nbformat
import pytest
from PIL import Image

from vaelib.tools.runner import find_notebooks
from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.sweep_results import draw
from vaelib.tools.runner.sweep_runs import runs_of

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


def table(output):
    with open(output / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def stamps(output):
    return {path.parent.name: path.stat().st_mtime_ns for path in output.glob("runs/*/result.json")}


@pytest.fixture(scope="module")
def course(tmp_path_factory, write_notebook):
    folder = tmp_path_factory.mktemp("a {course}") / "notebooks"
    folder.mkdir()
    write_notebook(folder / "06_small.ipynb", [PARAMETERS, BODY], tagged=0)
    return folder


@pytest.fixture(scope="module")
def swept(course, tmp_path_factory, run_here):
    """A sweep with a claim that fails, for n = 5, and a kernel that dies, for n = 7."""
    output = tmp_path_factory.mktemp("swept")
    done = run_here(
        "sweep", "6", "-p", "n=2,5,7", "--seeds", "1", "--jobs", 2, "--notebooks", course, "--output", output
    )  # fmt: skip
    return output, done


def test_failures_are_reported_and_the_rest_go_on(swept):
    _, done = swept
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "06_small: 3 runs, 0 of them finished before; 2 at a time."
    assert sorted(line[:12] for line in lines if line[0] in "✓✗") == ["✓ n=2 seed=1", "✗ n=5 seed=1", "✗ n=7 seed=1"]
    assert sum("n is not 5" in line for line in lines) == 1
    assert lines[-1].startswith("1 of 3 runs passed. Results:")


def test_the_table_has_a_row_per_run(swept):
    rows = table(swept[0])
    assert [(row["n"], row["seed"], row["passed"]) for row in rows] == [
        ("2", "1", "True"),
        ("5", "1", "False"),
        ("7", "1", "False"),
    ]
    assert [row["product (nats)"] for row in rows] == ["2.01", "", ""]
    assert rows[0]["figure n"] == "2.0"  # a figure with the name of a parameter
    for row in rows:
        assert float(row["seconds"]) > 0 and (swept[0] / "runs" / row["run"] / "06_small.ipynb").exists()
    assert float(rows[0]["peak_memory_mb"]) > 10
    assert not rows[0]["error"] and "n is not 5" in rows[1]["error"] and "died" in rows[2]["error"]


def test_the_picture_is_there(swept):
    with Image.open(swept[0] / "sweep.png") as picture:
        assert picture.width > 500 and len(picture.convert("RGB").getcolors(100_000)) > 10


def test_finished_runs_are_kept_and_failed_ones_tried_again(swept, course, tmp_path, capsys):
    output = tmp_path / "out"
    shutil.copytree(swept[0], output)
    before = stamps(output)
    command = ["sweep", "06", "-p", "n=2,5", "--seeds", "1", "--notebooks", str(course), "--output", str(output)]
    assert main(command) == 1
    assert "2 runs, 1 of them finished before" in capsys.readouterr().out
    rows, after = table(output), stamps(output)
    assert [row["passed"] for row in rows] == ["True", "False"]
    assert after[rows[0]["run"]] == before[rows[0]["run"]]
    assert after[rows[1]["run"]] > before[rows[1]["run"]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupted_sweep_goes_on_where_it_stopped(course, tmp_path, interrupt, capsys):
    started, output = tmp_path / "started", tmp_path / "out"
    arguments = ["sweep", "6", "-p", "n=1,2", "-p", f"wait={started}", "--jobs", "1"]
    arguments += ["--notebooks", str(course), "--output", str(output)]
    done = interrupt(*arguments, cwd=tmp_path, when=started)
    assert (done.returncode, done.stderr) == (130, "")
    assert "1 of 2 runs passed. Interrupted: 1 not run; the same command goes on from here." in done.stdout
    assert [row["passed"] for row in table(output)] == ["True", ""]
    before = stamps(output)
    assert len(before) == 1

    (tmp_path / "started.go").touch()
    assert main(arguments) == 0
    assert "2 runs, 1 of them finished before" in capsys.readouterr().out
    assert [row["passed"] for row in table(output)] == ["True", "True"]
    after = stamps(output)
    assert len(after) == 2 and before.items() <= after.items()


def test_a_run_whose_process_crashes_has_failed(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # no Python starts with this
    command = ["sweep", "06", "-p", "n=1", "--notebooks", str(course), "--output", str(tmp_path / "out")]
    assert main(command) == 1
    assert "the run's process ended with status" in capsys.readouterr().out
    assert "the run's process ended with status" in table(tmp_path / "out")[0]["error"]


def test_other_code_is_another_run_and_other_outputs_are_not(tmp_path, write_notebook):
    path = tmp_path / "1_a.ipynb"

    def names():
        (notebook,) = find_notebooks(tmp_path)
        return [run.folder.name for run in runs_of(notebook, {"n": [1, 2], "seed": [0]}, tmp_path)]

    write_notebook(path, [PARAMETERS, BODY], tagged=0, markdown=None)
    first = names()
    assert len(set(first)) == 2
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("prose"))
    nbformat.write(notebook, path)
    assert names() == first
    write_notebook(path, [PARAMETERS, BODY + "1\n"], tagged=0, markdown=None)
    assert not set(names()) & set(first)


def test_every_combination_is_a_run_and_the_last_parameter_changes_fastest(course, tmp_path):
    runs = runs_of(find_notebooks(course)[0], {"n": [2, 5], "seed": [0, 1]}, tmp_path)
    assert [run.parameters for run in runs] == [
        {"n": 2, "seed": 0},
        {"n": 2, "seed": 1},
        {"n": 5, "seed": 0},
        {"n": 5, "seed": 1},
    ]
    assert [run.label for run in runs][:2] == ["n=2 seed=0", "n=2 seed=1"]
    assert len({run.folder for run in runs}) == 4


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
