"""Tests that run in the grader: the student's kernel gets arguments, gives numbers back, and never sees what is right.

So are questions asked whose answers are functions of plain numbers and arrays. What takes a function, a tensor or a
model cannot travel, and is tested within the kernel (`shield`).
"""

import ast
import base64
import builtins
import contextlib
import importlib
import inspect
import io
import json
import symtable
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import nbformat
import numpy as np

from vaelib.tools.grader.running.shield import new_token, questions_of, run_here

LONGEST_RESULT = 20 * 10**6  # characters
LONGEST_PRINT = 10_000  # of what an answer prints while it is tested
# What tests may import that need no tensors, beside the standard library.
_PLAIN = ("numpy", "scipy", "sklearn", "vaelib.theory", "vaelib.teaching", "vaelib.data")
_CALL = "{code}\n_call({name!r}, {arguments!r}, {token!r})"


class CannotTravelError(TypeError):
    """An argument is no plain number or array: the question has to be asked within the kernel."""


class _Stopped(BaseException):  # passes by the tests' own `except`
    """The kernel ended, or ran out of time."""


class Reply(NamedTuple):
    """What the kernel said to a piece of code: what it printed, and its error's name and words, or None."""

    printed: str
    error: tuple[str, str] | None = None


class Verdict(NamedTuple):
    """How tests went: what the parts printed, what the answer printed, and the first error with its line, or None."""

    printed: str
    said: str
    error: tuple[str, str, int] | None = None


def outside_tests(cells: list[nbformat.NotebookNode]) -> dict[str, str]:
    """Return the tests that can be run outside of the student's kernel, as far as their text tells.

    They ask for functions alone, need no tensors, and no name that another cell defines.

    Args:
        cells: of the source notebook, where the solutions stand.

    Returns:
        Dictionary from a question to the source of its tests.
    """
    found = {}
    for tests, answer in questions_of(cells):
        names = {statement.name for statement in answer if isinstance(statement, ast.FunctionDef)}
        plain = all(isinstance(statement, (ast.FunctionDef, ast.Import, ast.ImportFrom)) for statement in answer)
        if plain and names and _is_plain(tests.source) and not _missing(tests.source, names):
            found[tests.metadata.nbgrader.grade_id] = tests.source
    return found


def import_for(tests: Iterable[str]) -> None:
    """Import what tests will need, once: processes that are forked later have it."""
    for module in sorted({module for source in tests for module in _modules(source)}):
        importlib.import_module(module)


def _modules(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def _is_plain(source: str) -> bool:
    plain = (*_PLAIN, *sys.stdlib_module_names)
    return all(module in plain or module.startswith(tuple(f"{name}." for name in plain)) for module in _modules(source))


def _missing(source: str, names: Iterable[str]) -> set[str]:
    """The names that tests take from elsewhere."""
    whole = symtable.symtable(source, "<tests>", "exec")
    known = {symbol.get_name() for symbol in whole.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    scopes, used = [whole], set()
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        top = scope is whole
        used |= {s.get_name() for s in scope.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return used - known - set(names) - set(dir(builtins)) - {"student_seed"}


def run_outside(
    source: str, names: list[str], token: str, seed: int, execute: Callable[[str], Reply]
) -> Verdict | None:
    """Run a cell of tests here, on answers that stand in the student's kernel.

    Args:
        source: of the cell: the course's own text, for it runs with all that the grader may do.
        names: of the functions that the question asks for.
        token: from `shield.new_token`; as for `shield.shielded`.
        seed: from `teaching.answers.seed_of`.
        execute: runs code in the kernel; what it raises ends the tests and is raised again.

    Returns:
        A Verdict, or None where an argument cannot travel.
    """
    said: list[str] = []

    def proxy(name: str) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            mark = new_token()
            arguments = json.dumps([packed(args), {key: packed(value) for key, value in kwargs.items()}])
            try:
                reply = execute(_CALL.format(code=CODE, name=name, arguments=arguments, token=mark))
            except Exception as error:
                raise _Stopped from error
            lines = reply.printed.splitlines(keepends=True)
            said.extend(line for line in lines if not line.startswith(mark))
            if reply.error is not None:
                if reply.error[0] == "CellTimeoutError":
                    raise _Stopped(*reply.error)
                raise _as_error(*reply.error)
            results = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
            if not results or len(results[-1]) > LONGEST_RESULT:
                raise ValueError("the function's result did not come back, or is too large.")
            return unpacked(json.loads(results[-1]))

        call.__name__ = name
        return call

    printed, error = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(printed), np.errstate(all="ignore"):
            run_here(source, {name: proxy(name) for name in names}, token, seed)
    except CannotTravelError:
        return None
    except _Stopped as stopped:
        if stopped.__cause__ is not None:
            raise stopped.__cause__ from None
        error = (*stopped.args, 0)
    except Exception as failed:
        lines = [
            frame.lineno or 0 for frame in traceback.extract_tb(failed.__traceback__) if frame.filename == "<tests>"
        ]
        error = type(failed).__name__, str(failed), (lines or [0])[-1]
    return Verdict(printed.getvalue(), "".join(said)[:LONGEST_PRINT], error)


def reply_of(outputs: list[nbformat.NotebookNode]) -> Reply:
    """Return what a cell's outputs say."""
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    errors = [(output.ename, output.evalue) for output in outputs if output.output_type == "error"]
    return Reply(printed, errors[-1] if errors else None)


def as_outputs(verdict: Verdict) -> list[nbformat.NotebookNode]:
    """Return a verdict as the outputs of the cell of tests."""
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=text) for text in (verdict.said, verdict.printed) if text
    ]
    if verdict.error is not None:
        name, words, line = verdict.error
        frames = [f"File <tests>:{line}", f"{name}: {words}"]
        outputs.append(nbformat.v4.new_output("error", ename=name, evalue=words, traceback=frames))
    return outputs


def _as_error(name: str, words: str) -> Exception:
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = type(name if name.isidentifier() else "Error", (Exception,), {})
    with contextlib.suppress(TypeError):  # a UnicodeError, say, takes more than words
        return kind(words)
    return type(name, (Exception,), {})(words)


def packed(value: Any) -> Any:
    """Return an argument as JSON takes it.

    Raises:
        CannotTravelError: it is not made of plain numbers, arrays, texts, lists and tuples.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return {type(value).__name__: [packed(item) for item in value]}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        array = {"dtype": value.dtype.str, "shape": value.shape, "data": data}
        return array | {"scalar": isinstance(value, np.generic)}
    raise CannotTravelError(f"{type(value).__name__} cannot travel")


def unpacked(value: Any) -> Any:
    """Return a result that came as JSON; whatever a kernel sends, only numbers, texts, lists and tuples come of it.

    Raises:
        ValueError: it is not what the kernel was told to send.
    """
    if not isinstance(value, dict):
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
    elif set(value) in ({"list"}, {"tuple"}):
        [(kind, items)] = value.items()
        return {"list": list, "tuple": tuple}[kind](map(unpacked, items))
    elif set(value) == {"other"}:  # its type's name is all that an error tells
        return type(str(value["other"])[:50], (), {})()
    elif set(value) == {"shape", "data"}:
        return np.frombuffer(base64.b64decode(value["data"])).reshape(value["shape"]).copy()
    raise ValueError("the function's result came back in no known form.")


def _call(name, arguments, token):  # sent to the kernel as text
    import base64
    import builtins as b  # not by their bare names: a student may have called a variable `list`
    import json

    import numpy as np

    def unpacked(value):
        if b.type(value) is not b.dict:
            return value
        if "data" not in value:
            [(kind, items)] = value.items()
            return b.tuple(b.map(unpacked, items)) if kind == "tuple" else b.list(b.map(unpacked, items))
        array = np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"])).reshape(value["shape"]).copy()
        return array[()] if value["scalar"] else array

    def packed(value):
        if value is None or b.type(value) in (b.bool, b.int, b.float, b.str):
            return value
        if b.type(value) in (b.list, b.tuple):
            return {b.type(value).__name__: b.list(b.map(packed, value))}
        try:
            array = np.array(np.asarray(value, dtype=b.float))
        except (b.TypeError, b.ValueError):
            return {"other": b.type(value).__name__}
        return {"shape": array.shape, "data": base64.b64encode(array.tobytes()).decode()}

    args, kwargs = json.loads(arguments)
    known = _call.__globals__
    if name not in known:
        raise b.NameError(f"name {name!r} is not defined")
    result = known[name](*unpacked(args), **{key: unpacked(value) for key, value in kwargs.items()})
    b.print("\n" + token + json.dumps(packed(result)))


CODE = inspect.getsource(_call)
