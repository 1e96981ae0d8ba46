"""How the tests of a question run in a student's kernel: out of the answer's sight, and shown to be able to fail.

A test runs in a namespace of its own, so that an answer finds no `expected` among its globals. It calls each function
on copies of its inputs and takes plain numbers back. Then the same test runs once more with answers that are off: a
kernel in which that passes has been tampered with, and the question earns nothing.

A line `# PART name: 3 points` begins a part with points of its own, and `# PART name` goes on with it further down, in
the hidden tests for one. A part that fails costs its own points; what stands before the first such line is a part too.

A test may use `student_seed`, a number of the student's own: nobody can pass on what the hidden tests ask.
"""

import ast
import builtins
import inspect
import re
import secrets
import types
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import nbformat

TAMPERED = "Tampered"
_LOOK = "the tests of {question} pass whatever is answered"

_CALL = "{code}\n_run_tests({source!r}, {names!r}, {off!r}, {parts!r}, {token!r}, {seed!r})"
_PART = re.compile(r"# PART (\w[\w ]*?)(?:: (\d+) points?)?$")
FIRST = "first"  # the part of what stands before the first line that names one


def _run_tests(source, names, off, parts, token, seed):  # sent to the kernel as text
    import ast
    import builtins as b  # not by their bare names: a student may have called a variable `list`
    import functools
    import types

    import numpy as np

    def copied(value):
        if b.type(value) in (b.tuple, b.list):
            return b.type(value)(b.map(copied, value))
        return value.copy() if b.type(value) is np.ndarray else value

    def plain(value):
        if b.type(value) in (b.tuple, b.list):
            return b.type(value)(b.map(plain, value))
        if b.type(value).__module__ != "__main__":
            return value
        return np.array(np.asarray(value, dtype=b.float))  # no class of the student's own gets through

    def spoilt(value):
        if b.isinstance(value, (b.tuple, b.list)):
            return b.tuple(b.map(spoilt, value))
        if b.isinstance(value, (b.bool, b.str)) or value is None:
            return b.object()
        try:
            value = value * off[0] + off[1]
            return np.where(np.isinf(value), off[1], value) if np.any(np.isinf(value)) else value
        except b.TypeError:
            return b.object()

    def shielded(answer):
        if not b.isinstance(answer, types.FunctionType):  # a class, say
            return answer if off is None else b.object()

        @functools.wraps(answer)
        def call(*args, **kwargs):
            result = plain(answer(*b.map(copied, args), **{name: copied(value) for name, value in kwargs.items()}))
            return result if off is None else spoilt(result)

        return call

    known = {**_run_tests.__globals__, "student_seed": seed}
    known.update({name: shielded(known[name]) for name in names if name in known})
    if b.len(parts) == 1:
        b.exec(b.compile(source, "<tests>", "exec"), known)
        return
    first, failed = None, b.set()
    for statement in ast.parse(source).body:
        part = [name for line, name in parts if line < statement.lineno][-1]
        try:
            b.exec(b.compile(ast.Module([statement], []), "<tests>", "exec"), known)
        except b.Exception as error:
            first = error if first is None else first
            failed.add(part)
            for node in ast.walk(statement):  # or a later check would look at an earlier answer
                if b.isinstance(node, ast.Name) and b.isinstance(node.ctx, ast.Store):
                    known.pop(node.id, None)
    if first is not None:
        b.print(token + ",".join(name for name in b.dict.fromkeys(name for _, name in parts) if name not in failed))
        raise first


CODE = inspect.getsource(_run_tests)  # every test begins with it


def run_here(source: str, answers: Mapping[str, Callable], token: str, seed: int) -> None:
    """Run a cell of tests as `shielded` code does, but in this process and on these functions.

    Args:
        source: of the cell.
        answers: what stands for the functions that the question asks for, by their names.
        token, seed: as for `shielded`.
    """
    known = {"__builtins__": builtins, "__name__": "tests", **answers}
    run = known["_run_tests"] = types.FunctionType(_run_tests.__code__, known)
    run(source, list(answers), None, _lines(source), token, seed)


def answers_of(cells: list[nbformat.NotebookNode]) -> dict[str, list[str]]:
    """Return what each question asks for: the names that the answer cell before its tests defines.

    Args:
        cells: of the source notebook, where the solutions stand.

    Returns:
        Dictionary from a question (the name of its cell of tests) to names of functions, classes and values.
    """
    return {
        tests.metadata.nbgrader.grade_id: [name for statement in answer for name in _defined(statement)]
        for tests, answer in questions_of(cells)
    }


def questions_of(cells: list[nbformat.NotebookNode]) -> Iterator[tuple[nbformat.NotebookNode, list[ast.stmt]]]:
    """Walk through the questions that tests grade.

    Args:
        cells: of the source notebook, where the solutions stand.

    Yields:
        (cell of tests, the statements of the answer cell before it).
    """
    answer: list[ast.stmt] = []
    for cell in cells:
        kind = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not kind:
            continue
        if kind.get("grade"):
            yield cell, answer
            answer = []
        elif kind.get("solution"):
            answer = ast.parse(cell.source).body


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return []


class Parts(NamedTuple):
    """How the points of a cell of tests are shared out.

    Args:
        lines: where each part begins or goes on, (line, name), from the top; the first is (0, FIRST).
        points: by the part's name.
    """

    lines: list[tuple[int, str]]
    points: dict[str, float]


def parts_of(source: str, points: float) -> Parts:
    """Read how the points of a cell of tests are shared out: FIRST has what the others leave.

    Args:
        source: of the cell, whole: with its hidden tests.
        points: of the question.

    Raises:
        ValueError: a part goes on that never began, begins twice, or nothing is left for the first.
    """
    lines, shared = [(0, FIRST)], {FIRST: points}
    for number, line in enumerate(source.split("\n"), 1):
        if match := _PART.match(line.strip()):
            name, worth = match.groups()
            if (name in shared) == bool(worth):
                raise ValueError(f"{line.strip()!r}: a part says its points where it begins, and there alone.")
            if worth:
                shared[name] = float(worth)
                shared[FIRST] -= float(worth)
            lines.append((number, name))
    if shared[FIRST] <= 0:
        raise ValueError(f"the parts of these tests are worth {points - shared[FIRST]:g} of {points:g} points; "
                         "leave some to what stands before them.")  # fmt: skip
    return Parts(lines, shared)


class Ran(NamedTuple):
    """A cell of tests that ran: its source without the shield, its token, and its outputs."""

    source: str
    token: str
    outputs: list[nbformat.NotebookNode]


def new_token() -> str:
    """Return what no answer can guess: behind it a test says which of its parts passed."""
    return f"passed {secrets.token_hex(16)}: "


def shielded(source: str, names: list[str], token: str = "passed: ", seed: int = 0) -> str:
    """Return the code that runs a cell of tests in a namespace of its own; it raises the first error there was.

    Args:
        source: of the cell.
        names: of the functions that the question asks for.
        token: from `new_token`; before an error it is printed, with the parts that passed, if there are several.
        seed: from `teaching.answers.seed_of`.
    """
    return _CALL.format(code=CODE, source=source, names=names, off=None, parts=_lines(source), token=token, seed=seed)


def canary(source: str, names: list[str], token: str = "passed: ", seed: int = 0) -> str:
    """Return the code that runs the same tests with answers that are off: it must raise, and no part may pass.

    Args:
        source, names, token, seed: as for `shielded`.
    """
    random = secrets.SystemRandom()
    off = (random.uniform(1.2, 1.8), random.uniform(0.3, 0.9))
    return _CALL.format(code=CODE, source=source, names=names, off=off, parts=_lines(source), token=token, seed=seed)


def _lines(source: str) -> list[tuple[int, str]]:
    return parts_of(source, float("inf")).lines


def passed_parts(printed: str, token: str) -> list[str]:
    """Return the parts that a test, or its canary, says have passed; those of the last such line.

    Args:
        printed: what the cell printed.
        token: that it was given.
    """
    said = [line.removeprefix(token) for line in printed.splitlines() if line.startswith(token)]
    return said[-1].split(",") if said and said[-1] else []


def judge(question: str, points: float, test: Ran, check: Ran) -> tuple[list[nbformat.NotebookNode], bool]:
    """Return the outputs of a question's tests as nbgrader reads them, and whether the tests were tampered with.

    nbgrader gives nothing where the first output that counts is an error, a part of the points where it is a number,
    and else all of them.

    Args:
        question: its name, for the error that takes the points of one whose tests cannot fail any more.
        points: of the question.
        test, check: the test and its canary, as they ran.
    """
    failed, caught = (any(output.output_type == "error" for output in ran.outputs) for ran in (test, check))
    outputs = scored(points, test)
    if passed_parts(_printed(check), check.token) or not (failed or caught):
        says = _LOOK.format(question=question)
        error = nbformat.v4.new_output("error", ename=TAMPERED, evalue=says, traceback=[f"{TAMPERED}: {says}"])
        return [*(o for o in outputs if o.output_type != "execute_result"), error], True
    return outputs, False


def scored(points: float, test: Ran) -> list[nbformat.NotebookNode]:
    """Return the outputs of a question's tests with the points of the parts that passed, as nbgrader reads them.

    Args:
        points: of the question.
        test: as it ran.
    """
    # A test shows no value of its own: one that stands there is the answer's, and nbgrader would take it for points.
    outputs = [o for o in test.outputs if o.output_type != "execute_result" and not _says_token(o, test.token)]
    worth = parts_of(test.source, points).points
    earned = sum(worth[name] for name in passed_parts(_printed(test), test.token))
    if earned and any(output.output_type == "error" for output in outputs):
        outputs.insert(0, nbformat.v4.new_output("execute_result", {"text/plain": f"{earned:g}"}))
    return outputs


def _printed(ran: Ran) -> str:
    return "".join(output.text for output in ran.outputs if output.output_type == "stream")


def _says_token(output: nbformat.NotebookNode, token: str) -> bool:
    return output.output_type == "stream" and token in output.text
