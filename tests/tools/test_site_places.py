"""Where the site writes: its pages and its runs may lie anywhere, for a checkout that nobody may write to."""

import re
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vaelib.tools.site.__main__ import main


@pytest.fixture
def lessons(tmp_path):
    """A folder with one lesson that has never run."""
    notebook = new_notebook(cells=[new_markdown_cell("# A lesson"), new_code_cell("6 * 7")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / "01_a.ipynb")
    return tmp_path / "notebooks"


@pytest.mark.parametrize("closed", ["--output", "--runs"])
def test_a_folder_that_cannot_be_written_is_named_with_the_options(closed, lessons, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder can be made in a file, not even by root")
    run = [] if closed == "--runs" else ["--run", "none"]
    status = main(["--notebooks", str(lessons), closed, "file/folder", *run])
    said = capsys.readouterr().err
    assert status == 1 and 'ARGS="--output DIR --runs DIR"' in said
    assert re.match(r"The pages cannot be written\. .*file", said), "which one it is"


def test_nothing_is_written_but_where_the_options_say(lessons, tmp_path, monkeypatch):
    """The pages show what only a run can give: 42 stands in no committed notebook."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.move(lessons, checkout)
    before = sorted(checkout.rglob("*"))
    monkeypatch.chdir(checkout)
    assert main(["--output", str(tmp_path / "pages"), "--runs", str(tmp_path / "runs")]) == 0
    assert sorted(checkout.rglob("*")) == before
    assert (tmp_path / "runs" / "01_a.ipynb").exists()
    assert "42" in (tmp_path / "pages" / "01_a.html").read_text()
