"""Tests that run in the grader: which may, what travels, and what can come back."""

import base64
import json
import os

import nbformat
import numpy as np
import pytest
from answers import COURSE, Reply, outside_tests, run_outside, source_of
from attacks import source
from in_process import notebook_shell

from vaelib.tools.grader.running.outside import CannotTravelError, as_outputs, import_for, packed, unpacked
from vaelib.tools.grader.running.preprocessors import Execute
from vaelib.tools.grader.running.shield import Ran, answers_of, scored

WITHIN = {
    "faces_trained",
    "faces_r2",
    "vae_reparameterise",
    "vae_kl_layer",
    "vae_log_likelihood",
    "vae_compute_loss",
    "vae_trained",
}
TAKES_A_FUNCTION = {
    "elbo_estimate", "pathwise_gradient", "score_function_gradient", "central_differences", "doubly_gradient",
    "straight_through",
}  # fmt: skip
TOKEN = "passed: "
TESTS = """
import numpy as np
values = np.array([[1, 2], [3, 4]])
assert np.array_equal(twice(values), 2 * values), 'not twice'
# PART zeros: 2 points
### BEGIN HIDDEN TESTS
assert twice(0) == 0, f"twice nothing is {twice(0)}"
"""


def ask(answer, tests=TESTS, name="twice"):
    """Run tests here on an answer in a shell of its own."""
    with notebook_shell() as run:
        run(answer)

        return run_outside(tests, [name], TOKEN, 7, executed(run))


def executed(run):
    """What sends code to a shell and tells what came of it."""

    def execute(code):
        ran = run(code)
        return Reply(ran.printed, ran.error and (type(ran.error).__name__, str(ran.error)))

    return execute


def points(verdict):
    """What nbgrader would read: None for all points, or none; else the parts'."""
    outputs = scored(5, Ran(TESTS, TOKEN, as_outputs(verdict)))
    return [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]


def test_all_questions_are_asked_from_outside_but_those_on_tensors_and_models():
    within = set()
    for path in COURSE.glob("source/*/*.ipynb"):
        cells = source_of(path.stem).cells
        within |= set(answers_of(cells)) - set(outside_tests(cells))
    assert within == WITHIN


@pytest.mark.slow
def test_of_these_only_what_takes_a_function_goes_within_after_all():
    taking = set()
    for assignment in ("elbo_and_kl", "gradients", "importance_weighting", "discrete_gradients"):
        cells = source_of(assignment).cells
        outside = outside_tests(cells)
        with notebook_shell() as run:
            for cell in cells:
                question = cell.metadata.get("nbgrader", {}).get("grade_id")
                if cell.cell_type == "code" and question not in answers_of(cells):
                    run(cell.source)
                elif question in outside:
                    verdict = run_outside(cell.source, answers_of(cells)[question], TOKEN, 7, executed(run))
                    assert verdict is None or verdict.error is None
                    taking |= {question} if verdict is None else set()
    assert taking == TAKES_A_FUNCTION


def test_tests_that_need_another_cell_stay_within():
    assert set(outside_tests(source().cells)) == {"twice", "free"}


@pytest.mark.parametrize(
    "literal",
    [
        "None", "True", "3", "-0.5", "float('inf')", "'text'", "[1, (2.0, 'three')]", "np.float64(0.1)", "np.int32(7)",
        "np.array(2.5)", "np.arange(6.0).reshape(2, 3)[:, ::2]", "np.zeros((0, 3))", "np.array([True, False])",
        "np.ones(2, 'float32')",
    ],
)  # fmt: skip
def test_an_argument_arrives_as_it_was(literal):
    describe = (
        "def describe(value):\n    return f\"{type(value)} {getattr(value, 'dtype', '')} "
        "{getattr(value, 'shape', '')} {value!r}\""
    )
    here = {"np": np}
    exec(describe, here)
    expected = here["describe"](eval(literal, here))
    verdict = ask(describe, f"import numpy as np\nassert describe({literal}) == {expected!r}", "describe")
    assert verdict.error is None


def test_a_function_cannot_travel():
    with pytest.raises(CannotTravelError):
        packed([1, len])
    assert ask("def twice(f):\n    return f(1)", "assert twice(lambda x: 2 * x) == 2") is None


def test_right_answers_pass_and_leave_the_inputs_alone():
    verdict = ask("def twice(x):\n    print('here')\n    x *= 2\n    return x")
    assert verdict.error is None and set(verdict.said.split()) == {"here"}  # and no marks
    assert [output.output_type for output in as_outputs(verdict)] == ["stream"]


@pytest.mark.parametrize(
    "answer, error, line, earned",
    [
        ("def twice(x):\n    return 3 * x", "AssertionError", 4, ["2"]),
        ("def twice(x):\n    return 2 * x + (np.ndim(x) == 0)\nimport numpy as np", "AssertionError", 7, ["3"]),
        ("pass", "NameError", 4, []),
        ("def twice(x):\n    raise ValueError('no')", "ValueError", 4, []),
        ("class Odd(Exception):\n    pass\ndef twice(x):\n    raise Odd('no')", "Odd", 4, []),
        ("def twice(x):\n    return twice", "AssertionError", 4, []),
    ],
)
def test_a_wrong_answer_fails_where_it_is_wrong(answer, error, line, earned):
    verdict = ask(answer)
    assert verdict.error[0] == error and verdict.error[2] == line
    assert points(verdict) == earned
    assert f"File <tests>:{line}" in as_outputs(verdict)[-1].traceback


def replies(*printed):
    """An `execute` that ignores the code and prints this, behind the mark of the call."""

    def execute(code):
        mark = code.rsplit(", ", 1)[1].strip("')")
        return Reply("".join(text.replace("MARK", mark) for text in printed))

    return execute


FORGED = {
    "nothing": "",
    "no mark": "nothing marked\n",
    "cut": "MARK[\n",
    "deep": "MARK" + "[" * 10**6 + "\n",
    "unknown": 'MARK{"dtype": "O"}\n',
    "two": 'MARK{"list": 1, "tuple": 2}\n',
    "too few": 'MARK{"shape": [1000000000], "data": ""}\n',
    "no shape": 'MARK{"shape": ["a"], "data": "AAAAAAAA"}\n',
    "too long": 'MARK"' + "1" * 30_000_000 + '"\n',
}


@pytest.mark.parametrize("printed", FORGED.values(), ids=FORGED)
def test_what_is_no_result_fails_the_tests(printed):
    verdict = run_outside(TESTS, ["twice"], TOKEN, 0, replies(printed))
    assert verdict.error is not None and points(verdict) == []
    assert ("is too large" in verdict.error[1]) == (len(printed) > 2 * 10**7 or "MARK" not in printed)


def test_a_result_is_made_of_plain_types():
    data = base64.b64encode(np.arange(4.0).tobytes()).decode()
    values = unpacked(json.loads(json.dumps({"tuple": [{"shape": [2, 2], "data": data}, None, 1, {"other": "Thing"}]})))
    assert type(values) is tuple and type(values[0]) is np.ndarray and values[0].flags.writeable
    assert np.array_equal(values[0], [[0, 1], [2, 3]]) and values[1:3] == (None, 1)
    assert type(values[3]).__name__ == "Thing" and vars(type(values[3])).keys() <= vars(type("T", (), {})).keys()


def test_a_kernel_that_ends_ends_the_tests():
    def execute(code):
        raise RuntimeError("Kernel died")

    with pytest.raises(RuntimeError, match="died"):
        run_outside(TESTS, ["twice"], TOKEN, 0, execute)


def test_one_call_out_of_time_is_the_last():
    calls = []

    def execute(code):
        calls.append(code)
        return Reply("", ("CellTimeoutError", ""))

    verdict = run_outside(TESTS, ["twice"], TOKEN, 0, execute)
    assert len(calls) == 1 and verdict.error[0] == "CellTimeoutError" and points(verdict) == []


def test_the_number_of_the_student_is_the_tests_own():
    assert ask("def twice(x):\n    return student_seed", "assert student_seed == 7\ntwice(1)").error[0] == "NameError"


def test_the_modules_of_tests_are_imported_beforehand():
    import_for(["import numpy as np\nfrom scipy.special import softmax"])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_for(["from no_such_module import x"])


@pytest.mark.slow
@pytest.mark.parametrize("handed_in", ["as it was", "changed"])
def test_only_the_courses_own_text_runs_in_the_grader(tmp_path, handed_in):
    """Tests that somebody changed run in the student's kernel, if at all."""
    told = f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))"
    tests = f"import os, pathlib\n{told}\nassert twice(1) == 2"
    kind = {"schema_version": 3, "grade": True, "locked": True, "solution": False, "task": False, "points": 5}
    metadata = {"nbgrader": kind | {"grade_id": "twice"}}
    cells = [
        nbformat.v4.new_code_cell("def twice(x):\n    return 2 * x"),
        nbformat.v4.new_code_cell(tests, metadata=metadata),
    ]
    course = tests if handed_in == "as it was" else tests.replace("twice(1)", "twice(2)")
    run = Execute(asked={"twice": ["twice"]}, outside={"twice": course}, protected=False, timeout=60)
    run.preprocess(nbformat.v4.new_notebook(cells=cells), {"metadata": {"path": str(tmp_path)}})
    here = (tmp_path / "pid").read_text() == str(os.getpid())
    assert here == (handed_in == "as it was")
