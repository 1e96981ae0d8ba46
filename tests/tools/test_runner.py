"""The course runner, on small notebooks made here: what it runs, refuses, reports and saves."""

import html
import json
import math
import os
import re
import subprocess
import sys
import time

import nbformat
import pytest

from vaelib.tools.kernels import KernelProcess
from vaelib.tools.runner import CourseError, choose, find_notebooks
from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.evidence import hash_widgets, recorded_widgets
from vaelib.tools.runner.parameters import assign_parameters
from vaelib.tools.runner.report import write_report
from vaelib.tools.runner.running import run_notebooks

PARAMETERS = "n: int = 3  # how many\nrate: float = 1e-3\nnote = 'as it comes'"
DATA = """
from IPython.display import display
from vaelib.mime import DATA_MIME
display({{"text/plain": "data", DATA_MIME: {{"name": "{0}", "origin": "test", "stand_in": {1}}}}}, raw=True)
"""
FIRST = [
    "import os, sys\nfrom vaelib.teaching.claims import *\nprint(sys.executable)\nprint(os.getcwd())",
    "print(n, rate, note)\nprint(*(os.environ.get(k) for k in ('TF_CPP_MIN_LOG_LEVEL', 'TF_ENABLE_ONEDNN_OPTS')))",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "claim_close('a < b & π', 1.25, 1.0, atol=0.5)\nclaim_true('no numbers', True)",
    "record_figure('test NELBO', 151.93125, 'nats')\nrecord_figure('n', n)",
    DATA.format("real digits", False) * 2,
    "big = bytearray(300_000_000)\nbig[::4096] = b'x' * len(big[::4096])\ndel big",
]
SECOND = [
    "from vaelib.teaching.claims import *\nclaim_close('holds', 1, 1, atol=1)",
    "claim_close('broken', 3.25, 1, atol=1)",
    "1",
]
THIRD = [
    "from vaelib.teaching.claims import *\ntry:\n    claim_true('caught', False)\nexcept ClaimError:\n    pass",
]
FOURTH = ["seed: int = 0", "seed + 1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_notebook):
    """A course whose second and third notebooks fail, in a folder with an awkward name."""
    folder = tmp_path_factory.mktemp("a {course}") / "notebooks"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    write_notebook(folder / "01_first.ipynb", [PARAMETERS, *FIRST], tagged=0)
    write_notebook(folder / "02_second.ipynb", SECOND, markdown=None)
    write_notebook(folder / "03_third.ipynb", THIRD)
    write_notebook(folder / "04_fourth.ipynb", FOURTH, tagged=0)
    write_notebook(folder / ".ipynb_checkpoints" / "01_first-checkpoint.ipynb", SECOND)
    return folder


@pytest.fixture(scope="module")
def whole_run(folder, run_command):
    # Another MPLBACKEND would keep the figures out of the cells; a kernel named python3 elsewhere must not be used.
    foreign = folder.parent / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "wrong", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    env = {"MPLBACKEND": "agg", "JUPYTER_PATH": str(folder.parent / "jupyter"), "JUPYTER_PREFER_ENV_PATH": "0"}
    env |= {"JUPYTER_DATA_DIR": str(folder.parent / "jupyter"), "TF_ENABLE_ONEDNN_OPTS": "1"}
    env["TF_CPP_MIN_LOG_LEVEL"] = ""  # set is set, even to nothing
    started = time.monotonic()
    done = run_command("-p", "n=7", "-p", "rate=2e-3", cwd=folder.parent, env=env)
    done.seconds = time.monotonic() - started
    return done


@pytest.fixture(scope="module")
def report(whole_run, folder):
    return json.loads((folder.parent / "build" / "course" / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def entries(report):
    return {entry["name"]: entry for entry in report["notebooks"]}


@pytest.fixture(scope="module")
def first(whole_run, folder):
    """The text that the cells of the executed first notebook printed, and its cells."""
    executed = nbformat.read(folder.parent / "build" / "course" / "01_first.ipynb", as_version=4)
    streams = [o.text for cell in executed.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    return "".join(streams), executed.cells


def test_a_failed_notebook_does_not_stop_the_course(whole_run, report):
    assert whole_run.returncode == 1
    assert [(entry["name"], entry["passed"]) for entry in report["notebooks"]] == [
        ("01_first", True),
        ("02_second", False),
        ("03_third", False),
        ("04_fourth", True),
    ]
    assert report["passed"] is False


def test_one_line_per_notebook_and_no_noise(whole_run, entries):
    lines = whole_run.stdout.splitlines()
    # In the order in which they ended: several run at once.
    assert {line[:10] for line in lines if line[0] in "✓✗"} == {
        "✓ 01_first", "✗ 02_second"[:10], "✗ 03_third", "✓ 04_fourth"[:10],
    }  # fmt: skip
    assert re.search(r"✓ 01_first +passed +\d+\.\d s +2 claims +\d+ MB", whole_run.stdout)
    assert "    cell 2 (In [2]): ClaimError: ✗ broken" in whole_run.stdout
    assert lines[-1].startswith("2 of 4 notebooks passed; 3 of 5 claims held.")
    assert whole_run.stderr == ""
    assert "\x1b" not in whole_run.stdout


def test_every_entry_has_what_the_report_promises(report, whole_run):
    promised = {"name": str, "passed": bool, "seconds": float, "peak_rss_mb": float, "data": list, "claims": list}
    for entry in report["notebooks"]:
        for key, kind in {**promised, "figures": dict}.items():
            assert type(entry[key]) is kind, key
        assert all(set(claim) == {"text", "passed", "difference", "tolerance"} for claim in entry["claims"])
        assert entry["seconds"] > 0
    assert max(entry["seconds"] for entry in report["notebooks"]) < whole_run.seconds


def test_claims_figures_and_data_are_collected(entries):
    first = entries["01_first"]
    assert first["claims"] == [
        {"text": "a < b & π", "passed": True, "difference": 0.25, "tolerance": 0.5},
        {"text": "no numbers", "passed": True, "difference": None, "tolerance": None},
    ]
    assert first["figures"] == {"test NELBO": 151.93125, "n": 7} and first["units"]["test NELBO"] == "nats"
    assert first["data"] == [{"name": "real digits", "origin": "test", "stand_in": False}]
    assert first["error"] is None and first["parameters"] == {"n": 7, "rate": 0.002}


def test_a_failed_notebook_keeps_its_claims_and_says_where_it_failed(entries):
    second = entries["02_second"]
    assert [(c["text"], c["passed"], c["difference"]) for c in second["claims"]] == [
        ("holds", True, 0.0),
        ("broken", False, 2.25),
    ]
    error = second["error"]
    assert (error["cell"], error["execution_count"], error["name"]) == (2, 2, "ClaimError")
    assert "3.25" in error["message"] and "claim_close" in error["traceback"]
    assert "\x1b" not in json.dumps(second) and "\\u001b" not in json.dumps(second)


def test_a_failed_claim_fails_the_notebook_even_when_caught(entries):
    third = entries["03_third"]
    assert third["error"]["name"] == "ClaimError" and "caught" in third["error"]["message"]


def test_the_executed_copy_says_which_code_of_the_widgets_it_shows(first, folder):
    executed = nbformat.read(folder.parent / "build" / "course" / "01_first.ipynb", as_version=4)
    assert recorded_widgets(executed) == hash_widgets() and len(hash_widgets()) == 64


def test_parameters_go_to_the_notebooks_that_have_them(first, whole_run, entries):
    assert "7 0.002 as it comes\n" in first[0]
    assert "n goes to 01_first; the other chosen notebooks do not have it." in whole_run.stdout
    assert entries["04_fourth"]["parameters"] == {}


def test_the_kernel_is_this_interpreter_in_the_notebooks_folder(first, folder):
    executable, directory = first[0].splitlines()[:2]
    assert executable == sys.executable
    assert os.path.realpath(directory) == os.path.realpath(folder)


def test_the_environment_of_the_kernel(first):
    text, cells = first
    assert "\n 1\n" in text  # the caller's own TensorFlow settings win over ours
    assert any("image/png" in o.get("data", {}) for cell in cells for o in cell.get("outputs", []))


def test_peak_memory_sees_memory_that_was_freed_again(entries):
    # Only the first notebook allocates 300 MB; it also loads matplotlib, some tens of MB.
    first, second = entries["01_first"]["peak_rss_mb"], entries["02_second"]["peak_rss_mb"]
    assert 30 < second < 300
    assert 290 < first - second < 450


def test_the_page_says_what_the_json_says(report, folder):
    page = html.unescape((folder.parent / "build" / "course" / "report.html").read_text(encoding="utf-8"))
    for entry in report["notebooks"]:
        section = page[page.index(f'<section id="{entry["name"]}">') :]
        section = section[: section.index("</section>")]
        rows = re.findall(
            r'<td>([✓✗])</td>\s*<td>(.*?)</td><td class="n">(.*?)</td>\s*<td class="n">(.*?)</td>', section
        )
        assert len(rows) == len(entry["claims"])
        for (mark, text, difference, tolerance), claim in zip(rows, entry["claims"], strict=True):
            assert (mark == "✓", text) == (claim["passed"], claim["text"])
            for shown, number in ((difference, claim["difference"]), (tolerance, claim["tolerance"])):
                assert shown == "–" if number is None else float(shown) == pytest.approx(number, rel=0.05)
        assert f">{entry['status']}</span>" in section and f'<a href="{entry["name"]}.ipynb">' in section
        assert all(f"<td>{name}</td>" in section for name in entry["figures"])
        assert str(entry["seconds"]) in page and str(entry["peak_rss_mb"]) in page
    overview = page[: page.index("<section")]
    assert [overview.index(f"#{name}") for name in ("02_second", "03_third", "01_first", "04_fourth")] == sorted(
        overview.index(f"#{name}") for name in ("01_first", "02_second", "03_third", "04_fourth")
    )
    assert "151.931" in page and "real digits" in page and "<script" not in page
    assert "a &lt; b &amp; π" in (folder.parent / "build" / "course" / "report.html").read_text(encoding="utf-8")


def test_the_notebooks_themselves_are_left_alone(whole_run, folder):
    for path in folder.glob("*.ipynb"):
        assert not any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)


@pytest.fixture(scope="module")
def broken_run(tmp_path_factory, write_notebook, run_command):
    folder = tmp_path_factory.mktemp("broken")
    dies = "import ctypes, faulthandler\nfaulthandler.enable()\nctypes.string_at(0)"
    write_notebook(folder / "01_dies.ipynb", ["x: int = 1", dies], tagged=0)
    (folder / "02_torn.ipynb").write_text('{"cells": [')
    write_notebook(folder / "03_typo.ipynb", ["x = = 1"], tagged=0)
    done = run_command("--notebooks", folder, "--output", folder / "out", "-p", "x=60", cwd=folder)
    return done, json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))["notebooks"]


def test_a_kernel_that_dies_and_a_torn_file_are_failures(broken_run):
    done, entries = broken_run
    assert done.returncode == 1 and done.stderr == ""
    dies, torn, typo = (entry["error"] for entry in entries)
    assert (dies["name"], dies["cell"]) == ("DeadKernelError", 3)  # not counting the injected cell
    assert "Fatal Python error" in dies["traceback"]
    assert torn["cell"] is None and torn["message"]
    assert (typo["name"], typo["cell"]) == ("SyntaxError", 2)
    assert entries[0]["peak_rss_mb"] > 20  # measured, although the kernel was gone at the end


def test_a_cell_that_hangs_is_a_failure(tmp_path, write_notebook, run_here):
    # It is the only cell: on the slowest machine no other one can be out of time.
    write_notebook(tmp_path / "01_hangs.ipynb", ["import time\ntime.sleep(600)"])
    done = run_here("--notebooks", tmp_path, "--output", tmp_path / "out", "--timeout", 1)
    (entry,) = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["notebooks"]
    assert done.returncode == 1 and done.stderr == ""
    assert (entry["error"]["name"], entry["error"]["cell"]) == ("CellTimeoutError", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupted_run_reports_what_ran(tmp_path, write_notebook, interrupt):
    write_notebook(tmp_path / "01_quick.ipynb", ["1"])
    # Renamed into place, so that who sees the file can read it.
    note = "import os, pathlib, time\npathlib.Path('note').write_text(str(os.getpid()))\nos.rename('note', 'started')"
    write_notebook(tmp_path / "02_slow.ipynb", [note + "\ntime.sleep(600)"])
    write_notebook(tmp_path / "03_never.ipynb", ["1"])
    done = interrupt("--jobs", "1", "--notebooks", ".", "--output", "out", cwd=tmp_path, when=tmp_path / "started")
    assert (done.returncode, done.stderr) == (130, "")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(e["name"], e["status"]) for e in report["notebooks"]] == [
        ("01_quick", "passed"),
        ("02_slow", "interrupted"),
    ]
    assert report["not_run"] == ["03_never"] and report["passed"] is False
    assert "Not run: 03_never" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


WAITS_FOR_THE_OTHER = """
import pathlib, time
pathlib.Path("{own}").write_text("here")
while not pathlib.Path("{other}").exists():
    time.sleep(0.05)
import vaelib
vaelib.claim_true("the other runs too", True)
"""


def test_notebooks_run_side_by_side_and_the_report_is_in_order(tmp_path, write_notebook, capsys):
    """Each of the first two waits for the other: one after the other they would never end."""
    write_notebook(tmp_path / "01_one.ipynb", [WAITS_FOR_THE_OTHER.format(own="one", other="two")])
    write_notebook(tmp_path / "02_two.ipynb", [WAITS_FOR_THE_OTHER.format(own="two", other="one")])
    write_notebook(tmp_path / "03_broken.ipynb", ["1 / 0"])
    assert main(["--jobs", "2", "--notebooks", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(e["name"], e["status"]) for e in report["notebooks"]] == [
        ("01_one", "passed"),
        ("02_two", "passed"),
        ("03_broken", "failed"),
    ]
    assert [len(e["claims"]) for e in report["notebooks"]] == [1, 1, 0] and report["not_run"] == []
    assert report["notebooks"][2]["error"]["name"] == "ZeroDivisionError"
    assert all((tmp_path / "out" / entry["executed"]).is_file() for entry in report["notebooks"])
    left = {path.name for path in (tmp_path / "out").iterdir() if not path.name.endswith((".ipynb", ".lock"))}
    assert left == {"report.html", "report.json"}


ALONE = """
import pathlib, time
if False:
    import keras
assert not pathlib.Path("busy").exists()
pathlib.Path("busy").write_text("here")
time.sleep(1)
pathlib.Path("busy").unlink()
"""


def test_notebooks_that_train_run_alone_and_last(tmp_path, write_notebook):
    output = tmp_path / "out"
    for name in ("01_trains", "02_trains"):
        write_notebook(tmp_path / f"{name}.ipynb", [ALONE])
    for name in ("03_light", "04_light"):
        write_notebook(tmp_path / f"{name}.ipynb", ["import time", "time.sleep(0.1)"])
    notebooks = find_notebooks(tmp_path)
    ended = []
    status = run_notebooks(
        notebooks,
        {notebook.name: {} for notebook in notebooks},
        output,
        jobs=2,
        save=lambda notebook, result: ended.append((notebook.name, result["passed"])),
    )
    assert status == 0 and {name for name, _ in ended[:2]} == {"03_light", "04_light"}
    assert ended[2:] == [("01_trains", True), ("02_trains", True)]


@pytest.mark.slow  # test_an_interrupted_run_reports_what_ran is quick
def test_an_interrupt_ends_all_that_run_side_by_side(tmp_path, write_notebook, interrupt, wait_until_gone):
    note = "import os, pathlib, time\npathlib.Path('{0}.part').write_text(str(os.getpid()))\n"
    note += "os.rename('{0}.part', '{0}')\ntime.sleep({1})"
    write_notebook(tmp_path / "01_first.ipynb", [note.format("first", 600)])
    write_notebook(tmp_path / "02_quick.ipynb", ["1"])
    write_notebook(tmp_path / "03_third.ipynb", [note.format("started", 600)])
    write_notebook(tmp_path / "04_never.ipynb", ["1"])
    done = interrupt("--jobs", "2", "--notebooks", ".", "--output", "out", cwd=tmp_path, when=tmp_path / "started")
    assert (done.returncode, done.stderr) == (130, "")
    for name in ("first", "started"):
        wait_until_gone(int((tmp_path / name).read_text()))
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(e["name"], e["status"]) for e in report["notebooks"]] == [("02_quick", "passed")]
    assert report["not_run"] == ["01_first", "03_third", "04_never"] and report["passed"] is False


def test_a_kernel_that_starts_after_the_interrupt_is_ended_too():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        process = KernelProcess()
        process.unwanted = True
        process.kill()  # nothing to end yet
        process.watch(child.pid)
        try:
            assert child.wait(timeout=600) != 0
        finally:
            child.kill()


def test_notebooks_are_chosen_by_number_name_or_file(folder):
    notebooks = find_notebooks(folder)
    assert [n.name for n in notebooks] == ["01_first", "02_second", "03_third", "04_fourth"]
    for wanted in ("03", "3", "03_third", "03_third.ipynb", str(folder / "03_third.ipynb")):
        assert [n.name for n in choose(notebooks, [wanted])] == ["03_third"]
    assert [n.name for n in choose(notebooks, ["03", "01", "3"])] == ["01_first", "03_third"]
    assert choose(notebooks, []) == notebooks


def test_requests_that_make_no_sense_exit_with_2(folder, tmp_path, capsys):
    refused = {
        ("07",): "No notebook '07'. Choose from: 01_first, 02_second, 03_third, 04_fourth.",
        ("01", "0"): "No notebook '0'",
        ("01", "-p", "epochs=1"): "01_first has no parameter 'epochs'. Parameters: 01_first has n, rate, note.",
        ("01", "-p", "rat=1"): "Did you mean 'rate'?",
        ("-p", "epochs=1"): "None of the chosen notebooks has a parameter 'epochs'",
        ("02", "03", "-p", "n=1"): "02_second has none; 03_third has none",
        ("01", "-p", "n"): "name=value; received 'n'",
        ("01", "-p", "1n=2"): "name=value; received '1n=2'",
        ("01", "-p", "n=1", "-p", "n=2"): "'n' is given twice",
        ("--output", str(folder)): "--output must not be",
        ("list", "9"): "No notebook '9'",
        ("save", "9"): "No notebook '9'",
    }
    for arguments, message in refused.items():
        command = arguments[:1] if arguments[0] in ("list", "save") else ("run",)
        rest = arguments[1:] if arguments[0] in ("list", "save") else arguments
        output = () if "--output" in rest or command == ("list",) else ("--output", str(tmp_path / "out"))
        assert main([*command, *rest, "--notebooks", str(folder), *output]) == 2, arguments
        assert message in capsys.readouterr().err, arguments
    assert not (tmp_path / "out").exists()  # refused before anything ran
    assert main(["--notebooks", str(tmp_path / "none")]) == 2
    assert main(["--notebooks", str(tmp_path)]) == 2
    assert "does not exist" in (err := capsys.readouterr().err) and "holds no notebook" in err
    with pytest.raises(SystemExit) as stopped:
        main(["--timeout", "-1"])
    assert stopped.value.code == 2
    with pytest.raises(SystemExit) as stopped:
        main(["save", "--notebooks", str(folder), "-p", "n=1"])  # saved outputs come from the defaults
    assert stopped.value.code == 2 and "unknown option: -p" in capsys.readouterr().err


def test_two_notebooks_of_one_number_are_ambiguous(tmp_path, write_notebook):
    for name in ("01_a", "01_b"):
        write_notebook(tmp_path / f"{name}.ipynb", ["1"])
    with pytest.raises(CourseError, match="2 notebooks are called '01'. Choose from: 01_a, 01_b"):
        choose(find_notebooks(tmp_path), ["01"])


def test_parameters_are_read_from_the_tagged_cell(folder, capsys):
    assert find_notebooks(folder)[0].parameters == {"n": "3", "rate": "0.001", "note": "'as it comes'"}
    assert main(["list", "01", "4", "--notebooks", str(folder)]) == 0
    listed = (
        "01_first   A title\n    n = 3\n    rate = 0.001\n    note = 'as it comes'\n04_fourth   A title\n    seed = 0\n"
    )
    assert capsys.readouterr().out == listed
    # Names after an option count too.
    assert main(["list", "01", "--notebooks", str(folder), "4"]) == 0
    assert capsys.readouterr().out == listed
    both = [find_notebooks(folder)[i] for i in (0, 3)]
    assert assign_parameters(both, {"n": 1, "seed": 2}) == {"01_first": {"n": 1}, "04_fourth": {"seed": 2}}


def test_a_report_is_valid_json_whatever_the_parameters(tmp_path):
    entry = {"name": "a", "title": "a", "passed": True, "status": "passed", "seconds": 1.0, "peak_rss_mb": 1.0}
    entry |= {"data": [], "claims": [], "figures": {}, "units": {}, "executed": None, "error": None}
    write_report(tmp_path, [{**entry, "parameters": {"beta": math.inf}}])
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["notebooks"][0]["parameters"] == {"beta": "inf"}
