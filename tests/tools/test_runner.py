"""The course runner, on small notebooks made here: what it runs, refuses, reports and saves."""

import html
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vaelib.tools.runner import CourseError, choose, find_notebooks, parse_parameter
from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.execution import KernelProcess
from vaelib.tools.runner.notebooks import assign_parameters
from vaelib.tools.runner.report import write_report
from vaelib.tools.runner.saving import refusal, save_outputs

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
FOURTH = [
    "seed: int = 0",
    "print('one', flush=True)\nprint('two', flush=True)\nprint('three')",
    "",
    "import ipywidgets\nipywidgets.IntSlider()",
    "seed + 1",
]


def write_notebook(path, sources, tagged=None, markdown="# A title"):
    cells = [new_markdown_cell(markdown)] if markdown else []
    for index, source in enumerate(sources):
        cells.append(new_code_cell(source, metadata={"tags": ["parameters"]} if index == tagged else {}))
    nbformat.write(new_notebook(cells=cells), path)  # no kernelspec: the runner needs none


def run_course(*arguments, cwd, env=()):
    command = [sys.executable, "-m", "vaelib.tools.runner", *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **dict(env)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
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
def whole_run(folder):
    # Another MPLBACKEND would keep the figures out of the cells; a kernel named python3 elsewhere must not be used.
    foreign = folder.parent / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "wrong", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    env = {"MPLBACKEND": "agg", "JUPYTER_PATH": str(folder.parent / "jupyter"), "JUPYTER_PREFER_ENV_PATH": "0"}
    env |= {"JUPYTER_DATA_DIR": str(folder.parent / "jupyter"), "TF_ENABLE_ONEDNN_OPTS": "1"}
    env["TF_CPP_MIN_LOG_LEVEL"] = ""  # set is set, even to nothing
    return run_course("-p", "n=7", "-p", "rate=2e-3", cwd=folder.parent, env=env)


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
    assert [line[:10] for line in lines if line[0] in "✓✗"] == [
        "✓ 01_first", "✗ 02_second"[:10], "✗ 03_third", "✓ 04_fourth"[:10],
    ]  # fmt: skip
    assert re.search(r"✓ 01_first +passed +\d+\.\d s +2 claims +\d+ MB", whole_run.stdout)
    assert "    cell 2 (In [2]): ClaimError: ✗ broken" in whole_run.stdout
    assert lines[-1].startswith("2 of 4 notebooks passed; 3 of 5 claims held.")
    assert whole_run.stderr == ""
    assert "\x1b" not in whole_run.stdout


def test_every_entry_has_what_the_report_promises(report):
    promised = {"name": str, "passed": bool, "seconds": float, "peak_rss_mb": float, "data": list, "claims": list}
    for entry in report["notebooks"]:
        for key, kind in {**promised, "figures": dict}.items():
            assert type(entry[key]) is kind, key
        assert all(set(claim) == {"text", "passed", "difference", "tolerance"} for claim in entry["claims"])
        assert 0 < entry["seconds"] < 120


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
def broken_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    write_notebook(
        folder / "01_dies.ipynb", ["x = 1", "import ctypes, faulthandler\nfaulthandler.enable()\nctypes.string_at(0)"]
    )
    write_notebook(folder / "02_hangs.ipynb", ["x: int = 1", "import time\ntime.sleep(x)"], tagged=0)
    (folder / "03_torn.ipynb").write_text('{"cells": [')
    write_notebook(folder / "04_typo.ipynb", ["x = = 1"], tagged=0)
    done = run_course("--notebooks", folder, "--output", folder / "out", "--timeout", 3, "-p", "x=60", cwd=folder)
    return done, json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))["notebooks"]


def test_a_kernel_that_dies_a_cell_that_hangs_and_a_torn_file_are_failures(broken_run):
    done, entries = broken_run
    assert done.returncode == 1 and done.stderr == ""
    dies, hangs, torn, typo = (entry["error"] for entry in entries)
    assert (dies["name"], dies["cell"]) == ("DeadKernelError", 3)
    assert (hangs["name"], hangs["cell"]) == ("CellTimeoutError", 3)  # not counting the injected cell
    assert "Fatal Python error" in dies["traceback"]
    assert torn["cell"] is None and torn["message"]
    assert (typo["name"], typo["cell"]) == ("SyntaxError", 2)
    assert entries[0]["peak_rss_mb"] > 20  # measured, although the kernel was gone at the end
    assert entries[1]["seconds"] < 60


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupted_run_reports_what_ran(tmp_path):
    write_notebook(tmp_path / "01_quick.ipynb", ["1"])
    started = tmp_path / "started"
    # Renamed into place, so that who sees the file can read it.
    note = "import os, pathlib, time\npathlib.Path('note').write_text(str(os.getpid()))\nos.rename('note', 'started')"
    write_notebook(tmp_path / "02_slow.ipynb", [note + "\ntime.sleep(600)"])
    write_notebook(tmp_path / "03_never.ipynb", ["1"])
    command = [sys.executable, "-m", "vaelib.tools.runner", "--notebooks", ".", "--output", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not started.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert err == ""
    assert not psutil.pid_exists(int(started.read_text()))  # no kernel is left behind
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(e["name"], e["status"]) for e in report["notebooks"]] == [
        ("01_quick", "passed"),
        ("02_slow", "interrupted"),
    ]
    assert report["not_run"] == ["03_never"] and report["passed"] is False
    assert "Not run: 03_never" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_kernel_that_starts_after_the_interrupt_is_ended_too():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        process = KernelProcess()
        process.unwanted = True
        process.kill()  # nothing to end yet
        process.watch(child.pid)
        try:
            assert child.wait(timeout=30) != 0
        finally:
            child.kill()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    write_notebook(folder / "01_good.ipynb", FOURTH, tagged=0)
    write_notebook(folder / "02_fails.ipynb", ["1", "1 / 0"])
    write_notebook(folder / "03_stand_in.ipynb", [DATA.format("synthetic", True)])
    before = {path.name: path.read_bytes() for path in folder.glob("*.ipynb")}
    done = run_course("save", "--notebooks", folder, "--output", folder / "out", cwd=folder)
    return folder, before, done


def test_save_puts_clean_outputs_into_the_notebook(saved):
    folder, before, _ = saved
    notebook = nbformat.read(folder / "01_good.ipynb", as_version=4)
    old = nbformat.reads(before["01_good.ipynb"].decode(), as_version=4)
    assert [(c.id, c.source, c.metadata) for c in notebook.cells] == [(c.id, c.source, c.metadata) for c in old.cells]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, None, 3, 4]
    assert [(output.name, output.text) for output in code[1].outputs] == [("stdout", "one\ntwo\nthree\n")]
    assert code[3].outputs == []  # a slider without its kernel is only an error message
    assert code[4].outputs[0].data["text/plain"] == "1" and code[4].outputs[0].execution_count == 4
    text = (folder / "01_good.ipynb").read_text(encoding="utf-8")
    assert "papermill" not in text and "widget" not in text.replace("ipywidgets", "") and str(folder) not in text
    assert not list(folder.glob(".*.part"))


def test_save_refuses_failures_and_stand_ins(saved):
    folder, before, done = saved
    assert done.returncode == 1
    for name in ("02_fails.ipynb", "03_stand_in.ipynb"):
        assert (folder / name).read_bytes() == before[name]
        assert f"{name.removesuffix('.ipynb')} is left as it was" in done.stdout
    assert "--allow-stand-in" in done.stdout


def test_what_may_be_saved():
    result = {"name": "x", "passed": True, "status": "passed", "data": [{"name": "d", "stand_in": True}]}
    assert "stand-in" in refusal(result) and refusal(result, allow_stand_in=True) is None
    assert refusal({**result, "data": [{"name": "d", "stand_in": False}]}) is None
    assert refusal({**result, "passed": False, "status": "failed"}, allow_stand_in=True)


def test_save_refuses_a_notebook_that_changed_meanwhile(tmp_path):
    write_notebook(tmp_path / "a.ipynb", ["2"])
    write_notebook(tmp_path / "ran.ipynb", ["1"])
    with pytest.raises(ValueError, match="has changed"):
        save_outputs(tmp_path / "a.ipynb", tmp_path / "ran.ipynb")
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[1].source == "2"


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


def test_two_notebooks_of_one_number_are_ambiguous(tmp_path):
    for name in ("01_a", "01_b"):
        write_notebook(tmp_path / f"{name}.ipynb", ["1"])
    with pytest.raises(CourseError, match="2 notebooks are called '01'. Choose from: 01_a, 01_b"):
        choose(find_notebooks(tmp_path), ["01"])


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3), ("-3", -3), ("1e-3", 0.001), ("True", True), ("true", True), ("False", False), ("None", None),
        ("null", None), ("relu", "relu"), ("'3'", "3"), ("[1, 2]", [1, 2]), ("(1, 2)", [1, 2]), ("a=b", "a=b"),
        ("", ""), ("inf", math.inf), ("__import__('os')", "__import__('os')"), ("yes", "yes"),
    ],
)  # fmt: skip
def test_values_of_parameters(text, value):
    name, parsed = parse_parameter(f"n={text}")
    assert name == "n" and parsed == value and type(parsed) is type(value)


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
