"""How the tests of a question run in a student's kernel: out of the answer's sight, and shown to be able to fail.

A test runs in a namespace of its own, so that an answer finds no `expected` among its globals. It calls each function
on copies of its inputs and takes plain numbers back. Then the same test runs once more with answers that are off: a
kernel in which that passes has been tampered with, and the question earns nothing.
"""

import ast
import inspect
import secrets

import nbformat

TAMPERED = "Tampered"
_LOOK = "the tests of {question} pass whatever is answered"

_CALL = "{code}\n_run_tests({source!r}, {names!r}, {off!r})"


def _run_tests(source, names, off):  # sent to the kernel as text
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
            return value * off[0] + off[1]
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

    known = {**_run_tests.__globals__}
    known.update({name: shielded(known[name]) for name in names if name in known})
    b.exec(b.compile(source, "<tests>", "exec"), known)


CODE = inspect.getsource(_run_tests)  # every test begins with it


def answers_of(cells: list[nbformat.NotebookNode]) -> dict[str, list[str]]:
    """Return what each question asks for: the names that the answer cell before its tests defines.

    Args:
        cells: of the source notebook, where the solutions stand.

    Returns:
        Dictionary from a question (the name of its cell of tests) to names of functions, classes and values.
    """
    asked: dict[str, list[str]] = {}
    names: list[str] = []
    for cell in cells:
        kind = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not kind:
            continue
        if kind.get("grade"):
            asked[kind["grade_id"]] = names
            names = []
        elif kind.get("solution"):
            body = ast.parse(cell.source).body
            names = [name for node in body for name in _defined(node)]
    return asked


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return []


def shielded(source: str, names: list[str]) -> str:
    """Return the code that runs a cell of tests in a namespace of its own.

    Args:
        source: of the cell.
        names: of the functions that the question asks for.
    """
    return _CALL.format(code=CODE, source=source, names=names, off=None)


def canary(source: str, names: list[str]) -> str:
    """Return the code that runs the same tests with answers that are off: it must raise.

    Args:
        source, names: as for `shielded`.
    """
    random = secrets.SystemRandom()
    off = (random.uniform(1.2, 1.8), random.uniform(0.3, 0.9))
    return _CALL.format(code=CODE, source=source, names=names, off=off)


def tampered(question: str) -> nbformat.NotebookNode:
    """Return the error that takes the points of a question whose tests cannot fail any more."""
    says = _LOOK.format(question=question)
    return nbformat.v4.new_output("error", ename=TAMPERED, evalue=says, traceback=[f"{TAMPERED}: {says}"])
