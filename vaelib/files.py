"""Files that appear whole or not at all."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

A_DAY = 24 * 3600  # seconds


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
    _clear_leftovers(path.parent)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent, ignore_cleanup_errors=True) as scratch:
        half = Path(scratch) / path.name
        yield half
        os.replace(half, path)


def _clear_leftovers(folder):
    """Remove what a process left here that was killed as it wrote: nobody writes one file for a day."""
    with contextlib.suppress(OSError):
        for scratch in folder.glob(".partial-*"):
            if scratch.is_dir() and time.time() - scratch.stat().st_mtime > A_DAY:
                shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def only_writer(folder: str | os.PathLike) -> Iterator[None]:
    """Hold a folder for this process: of two that write their results there, the last would win.

    The folder is made where it is missing. It is free again when the process ends, however it ends. Systems without
    locks on folders (Windows) hold nothing.

    Raises:
        BlockingIOError: another process holds it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"another run writes into {folder}: wait until it has ended, or name another folder with --output."
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(held)
