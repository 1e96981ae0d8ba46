"""Parameters and grids of them, as the command line gives them."""

import math

import pytest

from vaelib.tools.runner import CourseError, parse_parameter
from vaelib.tools.runner.parameters import parse_grid


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


@pytest.mark.parametrize(
    "texts, seeds, grid",
    [
        (["latent_dim=2,5,10", "beta=1,4.5"], None, {"latent_dim": [2, 5, 10], "beta": [1, 4.5]}),
        (["n=3"], "0,1", {"n": [3], "seed": [0, 1]}),
        (["sizes=[1,2],[3]"], None, {"sizes": [[1, 2], [3]]}),
        (["sizes=(1,2)"], None, {"sizes": [[1, 2]]}),
        (["name='a,b',c"], None, {"name": ["a,b", "c"]}),
        (["name=it's,[open"], None, {"name": ["it's", "[open"]}),
        (["flag=true,False,none"], None, {"flag": [True, False, "none"]}),
        (["folder="], None, {"folder": [""]}),
        (["rate=1e-3,inf"], None, {"rate": [0.001, math.inf]}),
        ([], None, {}),
    ],
)
def test_a_grid_is_read(texts, seeds, grid):
    read = parse_grid(texts, seeds)
    assert read == grid and list(read) == list(grid)
    assert [[type(v) for v in values] for values in read.values()] == [[type(v) for v in vs] for vs in grid.values()]


@pytest.mark.parametrize(
    "texts, seeds, message",
    [
        (["n"], None, "name=value; received 'n'"),
        (["n=1", "n=2"], None, r"'n' is given twice\. Give all its values at once"),
        (["seed=1"], "2", r"'seed' is given twice \(--seeds gives it too\)"),
        (["n=1,1"], None, "A value of 'n' is given twice"),
        (["n=1,,2"], None, "A value is missing between two commas"),
        (["n=1,"], None, "A value is missing"),
    ],
)
def test_a_grid_that_makes_no_sense(texts, seeds, message):
    with pytest.raises(CourseError, match=message):
        parse_grid(texts, seeds)
