"""Outputs go back into the notebooks: which may, and what of them stays."""

import nbformat
import pytest

from vaelib.mime import LAB_MIME
from vaelib.tools.runner.saving import refusal, save_outputs

GOOD = [
    "seed: int = 0",
    "print('one', flush=True)\nprint('two', flush=True)\nprint('three')",
    "",
    "import ipywidgets\nipywidgets.IntSlider()",
    "seed + 1",
    "from IPython.display import display\n"
    "from vaelib.mime import LAB_MIME\n"
    "view = {'model_id': 'x', 'version_major': 2, 'version_minor': 0}\n"
    "lab = {'text/plain': 'a lab', 'application/vnd.jupyter.widget-view+json': view, LAB_MIME: {'kind': 'bars'}}\n"
    "display(lab, raw=True)",
    "from vaelib.teaching.claims import claim_true\nclaim_true('it is', seed == 0)",
]
STAND_IN = """
from IPython.display import display
from vaelib.mime import DATA_MIME
display({"text/plain": "data", DATA_MIME: {"name": "synthetic", "origin": "test", "stand_in": True}}, raw=True)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory, write_notebook, run_here):
    folder = tmp_path_factory.mktemp("saved")
    write_notebook(folder / "01_good.ipynb", GOOD, tagged=0)
    write_notebook(folder / "02_fails.ipynb", ["1", "1 / 0"])
    write_notebook(folder / "03_stand_in.ipynb", [STAND_IN])
    before = {path.name: path.read_bytes() for path in folder.glob("*.ipynb")}
    done = run_here("save", "--notebooks", folder, "--output", folder / "out")
    return folder, before, done


def test_save_puts_clean_outputs_into_the_notebook(saved):
    folder, before, _ = saved
    notebook = nbformat.read(folder / "01_good.ipynb", as_version=4)
    old = nbformat.reads(before["01_good.ipynb"].decode(), as_version=4)
    assert [(c.id, c.source) for c in notebook.cells] == [(c.id, c.source) for c in old.cells]
    assert [c.metadata for c in notebook.cells[:-1]] == [c.metadata for c in old.cells[:-1]]
    assert notebook.cells[-1].metadata == {"jupyter": {"source_hidden": True}, "tags": ["check"]}, "it only checks"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, None, 3, 4, 5, 6]
    assert [(output.name, output.text) for output in code[1].outputs] == [("stdout", "one\ntwo\nthree\n")]
    assert code[3].outputs == []  # a slider without its kernel is only an error message
    assert code[4].outputs[0].data["text/plain"] == "1" and code[4].outputs[0].execution_count == 4
    assert code[5].outputs[0].data == {"text/plain": "a lab", LAB_MIME: {"kind": "bars"}}
    assert "papermill" not in str(notebook) and "widgets" not in notebook.metadata and str(folder) not in str(notebook)
    assert {path.name for path in folder.iterdir()} == {*before, "out"}


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
    assert refusal({**result, "passed": False, "status": "failed"}, allow_stand_in=True).endswith("it failed.")
    assert refusal({**result, "passed": False, "status": "interrupted"}).endswith("it was interrupted.")


def test_save_refuses_a_notebook_that_changed_meanwhile(tmp_path, write_notebook):
    write_notebook(tmp_path / "a.ipynb", ["2"])
    write_notebook(tmp_path / "ran.ipynb", ["1"])
    with pytest.raises(ValueError, match="has changed"):
        save_outputs(tmp_path / "a.ipynb", tmp_path / "ran.ipynb")
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[1].source == "2"
