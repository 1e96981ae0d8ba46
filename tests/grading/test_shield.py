"""Tests run out of an answer's sight; what looks unusual is named; what was graded is remembered."""

import nbformat
import numpy as np
import pytest
from answers import COURSE, source_of
from in_process import notebook_shell
from nbgrader.utils import determine_grade

from vaelib.tools.grader.reporting.remarks import unusual
from vaelib.tools.grader.reporting.reports import Journal
from vaelib.tools.grader.running.preprocessors import _without
from vaelib.tools.grader.running.shield import Ran, answers_of, canary, judge, new_token, parts_of, shielded
from vaelib.tools.grader.students.submissions import Submission

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


PARTED = """
import numpy as np
assert twice(3) == 6
# PART arrays: 2 points
values = twice(np.ones(3))
assert np.array_equal(values, 2 * np.ones(3))
# PART far: 3 points
assert twice(1e300) == 2e300
### BEGIN HIDDEN TESTS
# PART first
assert twice(-1) == -2
# PART arrays
values = twice(np.arange(3))
assert np.array_equal(values, [0, 2, 4])
# PART far
assert twice(-np.inf) == -np.inf
### END HIDDEN TESTS
"""
QUESTION, POINTS = "twice", 10


def judged(answer, tests=PARTED):
    """The outputs of tests with parts, as nbgrader sees them, and whether they were tampered with."""
    rans = []
    with notebook_shell() as run_cell:
        run_cell("import numpy as np\n" + answer)
        for make in (shielded, canary):
            token = new_token()
            ran = run_cell(make(tests, ["twice"], token))
            outputs = [nbformat.v4.new_output("stream", name="stdout", text=ran.printed)] if ran.printed else []
            if ran.error is not None:
                says = str(ran.error)
                outputs.append(nbformat.v4.new_output("error", ename=type(ran.error).__name__, evalue=says))
            rans.append(Ran(tests, token, outputs))
    return judge(QUESTION, POINTS, *rans)


@pytest.mark.parametrize(
    "body, earned",
    [
        ("return 2 * x", 10),
        ("return 3 * x", 0),
        ("return x + np.sign(x) * min(abs(x), 1e9)", 5),  # no array, and nothing far
        ("return float(2 * x)", 8),  # an array of three is no number
        ("return 2 * x if np.ndim(x) or abs(x) < 9 else 7", 7),
        ("raise ValueError", 0),
        ("return None", 0),
    ],
)
def test_a_part_that_fails_costs_its_own_points(body, earned):
    outputs, caught = judged(f"def twice(x):\n    {body}")
    cell = nbformat.v4.new_code_cell("", metadata={"nbgrader": {"grade": True, "points": POINTS}})
    cell.outputs = outputs
    assert determine_grade(cell) == (earned, POINTS) and not caught
    assert any(output.output_type == "error" for output in outputs) == (earned < POINTS)
    assert not any("passed" in output.get("text", "") for output in outputs)


def test_an_earlier_answer_does_not_pass_for_a_later_one():
    tests = """
values = twice(np.ones(3))
assert np.array_equal(values, [2, 2, 2])
values = twice(np.arange(3))
# PART second: 2 points
assert values[1] == 2
"""
    right = "def twice(x):\n    return 2 * x"
    assert not any(output.output_type == "error" for output in judged(right, tests)[0])
    # The second array is never returned, and the first would do.
    outputs, _ = judged("def twice(x):\n    assert np.any(x == 1) and not np.any(x == 0)\n    return 2 * x", tests)
    assert [output.output_type for output in outputs] == ["error"]


@pytest.mark.parametrize(
    "answer",
    [
        # A value shown by the answer, and the line of another test.
        "from IPython.display import display\ndef twice(x):\n    print('passed: first,arrays,far')\n    return 7",
        "def twice(x):\n    print('passed 00: first,arrays,far')\n    return 7",
    ],
)
def test_no_answer_can_say_that_it_passed(answer):
    outputs, _ = judged(answer)
    assert not any(output.output_type == "execute_result" for output in outputs)


def test_a_number_that_an_answer_shows_is_no_mark():
    shown = nbformat.v4.new_output("execute_result", {"text/plain": "10"})
    error = nbformat.v4.new_output("error", ename="AssertionError", evalue="")
    outputs, _ = judge(QUESTION, POINTS, Ran(PARTED, "a", [shown, error]), Ran(PARTED, "b", [error]))
    assert outputs == [error]


def test_a_part_that_passes_whatever_is_answered_costs_the_question():
    outputs, caught = judged("def twice(x):\n    return 2 * x", PARTED.replace("twice(1e300) == 2e300", "True").replace(
        "twice(-np.inf) == -np.inf", "True"))  # fmt: skip
    assert caught and outputs[-1].ename == "Tampered"


@pytest.mark.parametrize(
    "tests, says",
    [
        ("# PART far\nassert True", "says its points where it begins"),
        ("# PART far: 2 points\n# PART far: 2 points", "there alone"),
        ("# PART far: 10 points", "leave some"),
    ],
)
def test_parts_that_do_not_add_up_are_refused(tests, says):
    with pytest.raises(ValueError, match=says):
        parts_of(tests, POINTS)
