"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replace_file(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file beside its place, and move it there in one step when the block ends well.

    A reader, another process or an interrupt thus never meets half a file; after an error the old one still stands.

        with replace_file(folder / "result.json") as half:
            half.write_text(text, "utf-8")

    Args:
        path: where the file shall stand; its folder is made where it is missing.

    Yields:
        The path to write to: in a hidden folder of its own beside the place, under the same name.

    Raises:
        OSError: the folder cannot be made or written, or the block wrote nothing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent, ignore_cleanup_errors=True) as scratch:
        half = Path(scratch) / path.name
        yield half
        os.replace(half, path)
