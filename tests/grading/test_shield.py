"""Tests run out of an answer's sight; what looks unusual is named; what was graded is remembered."""

import nbformat
import numpy as np
import pytest
from answers import COURSE, source_of

from vaelib.tools.grader.preprocessors import _without
from vaelib.tools.grader.remarks import unusual
from vaelib.tools.grader.reports import Journal
from vaelib.tools.grader.shield import answers_of, canary, shielded
from vaelib.tools.grader.submissions import Submission

TESTS = """
expected = 6.0
assert twice(3) == expected
values = np.ones(3)
assert np.array_equal(twice(values), 2 * values)
assert np.array_equal(values, np.ones(3))
"""


def run(code, answer, make=shielded):
    """Run tests as a kernel does, on the answer to the question `twice`; return the kernel's namespace."""
    names = {"np": np, "__name__": "__main__"}
    exec(answer, names)
    exec(make(code, ["twice"]), names)
    return names


RIGHT = {
    "plain": "def twice(x):\n    return 2 * x",
    "in place": "def twice(x):\n    x *= 2\n    return x",
    "names of builtins": "list = type = map = tuple = object = None\ndef twice(x):\n    return x + x",
    "default of its own": "def twice(x, factor=2):\n    return factor * x",
}
WRONG = {
    "not twice": "def twice(x):\n    return 3 * x",
    "nothing": "def twice(x):\n    pass",
    "the tests' own name": "def twice(x):\n    return expected",
    "always equal": (
        "class E:\n    def __eq__(self, other):\n        return True\n    def __array__(self, *a, **k):\n"
        "        return np.zeros(())\ndef twice(x):\n    return E()"
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes_and_the_same_one_off_does_not(name):
    names = run(TESTS, RIGHT[name])
    assert "expected" not in names and "values" not in names
    for _ in range(5):
        with pytest.raises(AssertionError):
            run(TESTS, RIGHT[name], canary)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("make", [shielded, canary])
def test_a_wrong_answer_fails(name, make):
    with pytest.raises((AssertionError, NameError, TypeError)):
        run(TESTS, WRONG[name], make)


def test_tests_that_pass_without_the_answer_pass_when_it_is_off():
    run("assert True", RIGHT["plain"], canary)  # what tells the grader of a test that cannot fail


@pytest.mark.parametrize("name", sorted(path.stem for path in COURSE.glob("source/*/*.ipynb")))
def test_every_question_asks_for_something(name):
    asked = answers_of(source_of(name).cells)
    graded = [
        c.metadata.nbgrader.grade_id for c in source_of(name).cells if c.metadata.get("nbgrader", {}).get("grade")
    ]
    code = [cell for cell in source_of(name).cells if cell.cell_type == "code"]
    assert set(asked) == {c.metadata.nbgrader.grade_id for c in code if c.metadata.get("nbgrader", {}).get("grade")}
    assert set(asked) <= set(graded) and all(asked.values())


def notebook(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


@pytest.mark.parametrize(
    "source, said",
    [
        ("import sys\nsys._getframe(1)", "_getframe"),
        ("import numpy as np\nnp.allclose = lambda *a: True", "np.allclose = …"),
        ("import inspect", "inspect"),
        ("from gc import get_objects", "gc"),
        ("%matplotlib inline\nexec('1')", "exec"),
        ("class A:\n    def __eq__(self, other):\n        return True", "__eq__"),
        ("get_ipython()", "get_ipython"),
    ],
)
def test_what_an_honest_answer_has_no_use_for_is_named(source, said):
    (remark,) = unusual(notebook("1 + 1", source))
    assert remark.startswith("look at this one") and said in remark


def test_what_is_usual_or_no_python_is_not():
    honest = "import keras\nclass A(keras.layers.Layer):\n    def build(self, shape):\n        self.kernel = 1\n"
    assert unusual(notebook(honest, "%timeit 1\n!ls", "def (", "x.y = 2", "np.stack([1, 2])")) == []


def test_a_hidden_line_is_taken_out_however_it_is_quoted():
    line = "assert f(-5) == \"a\\n\", 'minus ten'"
    said = f"{line} and {[line]!r} and {[str([line])]!r}"
    assert "minus ten" not in _without(said, {line}) and _without(said, {line}).count("(hidden)") == 3


def test_the_journal_recalls_what_has_not_changed(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("{}")
    sources = {"a": notebook("1")}

    def made():
        return Submission("anna", "a", path)

    graded = made()
    graded.remarks, graded.cost = ["renamed"], {"seconds": 1.0}
    Journal(tmp_path, sources).record(graded)
    with open(tmp_path / "graded.jsonl", "a") as file:
        file.write('{"student": "be')  # where a run was killed
    again = made()
    assert Journal(tmp_path, sources).recall(again) and (again.remarks, again.cost) == (["renamed"], {"seconds": 1.0})
    assert not Journal(tmp_path, sources).recall(Submission("bert", "a", path))
    assert not Journal(tmp_path, {"a": notebook("2")}).recall(made())
    assert not Journal(tmp_path, sources, fresh=True).recall(made())
    Journal(tmp_path, sources).record(graded)
    path.write_text('{"cells": []}')
    assert not Journal(tmp_path, sources).recall(made())
