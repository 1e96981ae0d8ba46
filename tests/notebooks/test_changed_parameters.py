"""Each notebook runs through the course runner with parameters that are not its defaults, in a folder of its own."""

import json
from pathlib import Path

import pytest

from vaelib.course.__main__ import main
from vaelib.course.notebooks import find_notebooks

FOLDER = Path(__file__).parents[2] / "notebooks"

CHANGED = {
    "06_vae_in_keras": dict(latent_dim=3, hidden_units=50, epochs=2, batch_size=256, learning_rate=2e-3, seed=1),
    "08_faces": dict(latent_dim=3, hidden_units=100, epochs=4, batch_size=60, num_seeds=2, seed=1),
}


@pytest.mark.parametrize("notebook", find_notebooks(FOLDER), ids=lambda notebook: notebook.name)
def test_other_parameters(notebook, tmp_path):
    changed = CHANGED.get(notebook.name, {"seed": 1})
    options = [word for name, value in changed.items() for word in ("-p", f"{name}={value}")]
    assert main(["run", notebook.name, "--notebooks", str(FOLDER), "--output", str(tmp_path), *options]) == 0
    (entry,) = json.loads((tmp_path / "report.json").read_text("utf-8"))["notebooks"]
    assert entry["passed"] and entry["parameters"] == changed
    assert entry["claims"] and all(claim["passed"] for claim in entry["claims"])
    assert entry["peak_rss_mb"] < 1.2 * 1.024**3 * 1000  # 1.2 GiB: Binder gives 2
