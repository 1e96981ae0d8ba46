"""Results as files that other programs read: each appears whole or not at all."""

import csv
import json
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

from vaelib.files import replace_file


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as JSON; a number that JSON cannot hold, such as an infinite one, is written as its name."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replace_file(path) as half:
        half.write_text(text, encoding="utf-8")


def write_csv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table.

    Args:
        path: of the file.
        columns: the header.
        rows: each as long as the header.
    """
    with replace_file(path) as half, open(half, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
