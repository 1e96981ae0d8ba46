"""Each notebook runs through the course runner with parameters that are not its defaults, in a folder of its own."""

import json
from pathlib import Path

import pytest

from vaelib.tools.runner.__main__ import main
from vaelib.tools.runner.notebooks import find_notebooks

FOLDER = Path(__file__).parents[2] / "notebooks"

CHANGED = {
    "00_start_here": dict(num_points=300, seed=1),
    "06_vae_in_keras": dict(latent_dim=3, hidden_units=50, epochs=2, batch_size=256, learning_rate=2e-3, seed=1),
    "07_modular_vae": dict(
        latent_dim=3,
        hidden_units=40,
        num_train=400,
        num_test=80,
        epochs=2,
        batch_size=50,
        learning_rate=5e-3,
        num_seeds=2,
        num_importance_samples=10,
        pca_steps=1500,
        seed=1,
    ),  # fmt: skip
    "08_faces": dict(latent_dim=3, hidden_units=100, epochs=4, batch_size=60, num_seeds=2, seed=1),
    "09_wrong_losses": dict(num_train=3000, hidden_units=40, epochs=3, learning_rate=4e-3, seed=1),
    "10_bayesian_regression": dict(num_cases=30, num_train=60, prior_scale=1.0, num_steps=1000, num_draws=800, seed=1),
    "11_your_own_images": dict(
        likelihood="Normal", latent_dim=3, epochs=10, batch_size=25, learning_rate=3e-3, num_pictures=500, seed=1
    ),
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
