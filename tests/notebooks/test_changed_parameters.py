"""Each notebook runs through the course runner, in a kernel, with parameters that are not its defaults."""

import json
from pathlib import Path

import pytest
from small_runs import CHANGED

from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.notebooks import find_notebooks

FOLDER = Path(__file__).parents[2] / "notebooks"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("notebook", find_notebooks(FOLDER), ids=lambda notebook: notebook.name)
def test_other_parameters(notebook, tmp_path):
    changed = CHANGED[notebook.name]
    options = [word for name, value in changed.items() for word in ("-p", f"{name}={value}")]
    assert main(["run", notebook.name, "--notebooks", str(FOLDER), "--output", str(tmp_path), *options]) == 0
    (entry,) = json.loads((tmp_path / "report.json").read_text("utf-8"))["notebooks"]
    assert entry["passed"] and entry["parameters"] == changed
    assert entry["claims"] and all(claim["passed"] for claim in entry["claims"])
    assert entry["peak_rss_mb"] < 1.2 * 1.024**3 * 1000  # 1.2 GiB: Binder gives 2
