"""Parameters as the command line gives them: one value, or a grid of values, for the notebooks that have them."""

import ast
import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaelib.tools.runner.notebooks import CourseError, Notebook

_NOT_A_LITERAL = (ValueError, SyntaxError, KeyError, MemoryError, RecursionError)
_READERS: tuple[Callable[[str], Any], ...] = (
    ast.literal_eval,
    {"true": True, "false": False, "null": None}.__getitem__,
    float,
)


def parse_parameter(text: str) -> tuple[str, Any]:
    """Split `name=value`; the value is a Python literal, `true`, `false`, `null`, `inf`, `nan`, or else a string.

    Raises:
        CourseError: when there is no `=`, or no Python name before it.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise CourseError(f"A parameter is given as name=value; received '{text}'.")
    for read in _READERS:
        try:
            parsed = read(value.strip())
        except _NOT_A_LITERAL:
            continue
        if not isinstance(parsed, bool | int | float | str | list | tuple | dict | None):
            raise CourseError(
                f"The value of '{name}' must be a number, a text, true, false, null, a list or a dictionary; received "
                f"'{value.strip()}'. Write several values as a list, [1,2]."
            )
        # Of what Python can write down, a notebook is given what JSON can write down too.
        return name, list(parsed) if isinstance(parsed, tuple) else parsed
    return name, value


def parse_parameters(texts: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` for each parameter.

    Raises:
        CourseError: a text that `parse_parameter` refuses, or a name given twice.
    """
    parameters: dict[str, Any] = {}
    for name, value in map(parse_parameter, texts):
        if name in parameters:
            raise CourseError(f"The parameter '{name}' is given twice.")
        parameters[name] = value
    return parameters


def parse_grid(texts: Iterable[str], seeds: str | None = None) -> dict[str, list]:
    """Read `name=value,value,...` for each parameter.

    A comma separates values, except within a list, a tuple, a dictionary or a quoted text: `sizes=[1,2],[3]` has two
    values. Each value is read as `parse_parameter` reads it.

    Args:
        texts: one for each parameter.
        seeds: the values of `seed`, as a text; None when not given.

    Returns:
        dict of name to its list of values.

    Raises:
        CourseError: a text without `=`, a name or a value given twice, or an empty value among others.
    """
    grid: dict[str, list] = {}
    for text in [*texts, *([] if seeds is None else [f"seed={seeds}"])]:
        name = parse_parameter(text)[0]
        if name in grid:
            also = " (--seeds gives it too)" if name == "seed" and seeds is not None else ""
            raise CourseError(f"The parameter '{name}' is given twice{also}. Give all its values at once: {name}=1,2.")
        pieces = _split(text.partition("=")[2])
        if len(pieces) > 1 and not all(piece.strip() for piece in pieces):
            raise CourseError(f"A value is missing between two commas, or at an end: '{text}'.")
        grid[name] = [parse_parameter(f"{name}={piece}")[1] for piece in pieces]
        if len({json.dumps(value, sort_keys=True) for value in grid[name]}) < len(pieces):
            raise CourseError(f"A value of '{name}' is given twice: '{text}'.")
    return grid


def assign_parameters(chosen: Sequence[Notebook], parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give each chosen notebook those of the parameters that it has.

    Returns:
        dict of notebook name to its parameters.

    Raises:
        CourseError: when a parameter belongs to none of the chosen notebooks.
    """
    for name in parameters:
        if not any(name in notebook.parameters for notebook in chosen):
            raise CourseError(_unknown(name, chosen))
    return {
        notebook.name: {name: value for name, value in parameters.items() if name in notebook.parameters}
        for notebook in chosen
    }


def check_kinds(chosen: Sequence[Notebook], grid: Mapping[str, Sequence]) -> None:
    """Refuse a value that is not of the kind of its default: a lesson would meet it minutes later, in some cell.

    Args:
        chosen: notebooks.
        grid: dict of parameter to the values that it shall take.

    Raises:
        CourseError: a number was expected and something else came, or a whole number and a fraction, or a truth value.
    """
    for notebook in chosen:
        for name in grid.keys() & notebook.parameters.keys():
            try:
                default = ast.literal_eval(notebook.parameters[name])
            except _NOT_A_LITERAL:
                continue
            for value in grid[name]:
                if (wanted := _misses(default, value)) is not None:
                    raise CourseError(
                        f"'{name}' of {notebook.name} must be {wanted}, as its default {default!r} is; "
                        f"received {value!r}."
                    )


def absolute_paths(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, folders and files that stand here as absolute paths: a notebook runs in its own folder."""
    return {name: _absolute(name, value) for name, value in parameters.items()}


def _absolute(name, value):
    is_path = isinstance(value, str) and any(word in name for word in ("folder", "path", "file", "directory"))
    if not is_path or not value or not Path(value).exists():
        return value
    return str(Path(value).absolute())


def _misses(default, value):
    """What a value must be and is not; None where it fits."""
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, int | float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "a number"
        return "a whole number" if isinstance(default, int) and not isinstance(value, int) else None
    return None


def _unknown(name: str, chosen: Sequence[Notebook]) -> str:
    known = [f"{notebook.name} has {', '.join(notebook.parameters) or 'none'}" for notebook in chosen]
    similar = difflib.get_close_matches(name, {p for notebook in chosen for p in notebook.parameters}, 1)
    which = f"{chosen[0].name} has no" if len(chosen) == 1 else "None of the chosen notebooks has a"
    hint = f" Did you mean '{similar[0]}'?" if similar else ""
    return f"{which} parameter '{name}'.{hint} Parameters: {'; '.join(known)}."


def _split(text: str) -> list[str]:
    """Split at commas, but not inside a Python literal that begins with a bracket or a quote."""
    pieces, rest = [], text.split(",")
    while rest:
        count = 1
        if rest[0].lstrip()[:1] in tuple("[({'\""):
            lengths = range(1, len(rest) + 1)
            count = next((n for n in lengths if _is_literal(",".join(rest[:n]))), 1)
        pieces.append(",".join(rest[:count]))
        rest = rest[count:]
    return pieces


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text.strip())
    except _NOT_A_LITERAL:
        return False
    return True
