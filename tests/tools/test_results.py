"""Results as files that other programs read."""

import csv
import json
import math

from vaelib.tools.results import write_csv, write_json


def test_json_holds_what_json_cannot(tmp_path):
    value = {"beta": math.inf, "rates": (1e-3, math.nan), "n": 3, "none": None, 7: True, "path": tmp_path}
    write_json(tmp_path / "new" / "a.json", value)
    read = json.loads((tmp_path / "new" / "a.json").read_text("utf-8"), parse_constant=lambda name: 1 / 0)
    assert read == {"beta": "inf", "rates": [1e-3, "nan"], "n": 3, "none": None, "7": True, "path": str(tmp_path)}


def test_a_table_comes_back_as_it_was(tmp_path):
    rows = [["é", "a,b"], ['say "x"', "two\nlines"]]
    write_csv(tmp_path / "a.csv", ["one", "two"], rows)
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["one", "two"], *rows]
