"""Notebook 13 on a reader's own folder: colour photographs of several sizes, named on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelib.tools.runner.__main__ import main

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "notebooks"
SMALL = dict(size=12, colour=True, epochs=12, batch_size=25, photo_epochs=8, num_seeds=2)


def test_the_notebook_trains_on_the_folder_it_is_given(tmp_path):
    mine, rng = tmp_path / "my pictures", np.random.default_rng(0)
    mine.mkdir()
    for i in range(80):
        shape = (*rng.integers(16, 30, 2), 3)
        Image.fromarray((rng.uniform(0.5, 1, shape) * rng.integers(50, 256, 3)).astype("uint8")).save(mine / f"{i}.jpg")
    options = [word for name, value in {"folder": mine, **SMALL}.items() for word in ("-p", f"{name}={value}")]
    assert main(["run", "13", "--notebooks", str(FOLDER), "--output", str(tmp_path / "out"), *options]) == 0
    (entry,) = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["notebooks"]
    assert entry["parameters"] == {"folder": str(mine), **SMALL}
    assert [source["name"] for source in entry["data"]][1] == "my pictures"
    assert "held-out NELBO" in entry["figures"] and "R² of the length from z" not in entry["figures"]
    executed = (tmp_path / "out" / "13_your_own_images.ipynb").read_text("utf-8")
    assert "my pictures, 56 + 8 + 16 images of 12 × 12 in colour, from a folder; resized to 12 × 12" in executed
