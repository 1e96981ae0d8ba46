"""A temporary folder for grading, with model solutions in it: it goes when grading ends, even where that is killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from vaelib.tools.processes import on_signals

# Its standard input closes when the grader and everything it started have ended, in whatever way.
_REMOVE = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Make a folder for the block, and remove it when the block ends, on SIGTERM, or when this process is killed."""
    folder, owner = Path(tempfile.mkdtemp(prefix="vaelib-grading-")), os.getpid()

    # No exception: nbgrader catches whatever is raised while it works, and would go on.
    def stop(number: int, frame: object) -> None:
        if os.getpid() == owner:  # a job that was started from here has the same handler
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(128 + number)

    command = [sys.executable, "-I", "-S", "-c", _REMOVE, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as remover:
        try:
            with on_signals(stop, signal.SIGTERM):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            assert remover.stdin is not None  # it is a pipe
            remover.stdin.close()
