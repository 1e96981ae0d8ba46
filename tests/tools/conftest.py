"""What the tests of the tools share: small notebooks, runs of the course on them, and processes to wait for.

Every limit of time here is generous: it costs only when something is broken.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

LIMIT = 600  # seconds


class Done:
    """What a run left: its exit status and what it printed."""

    def __init__(self, returncode, stdout, stderr):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


def _write_notebook(path, sources, tagged=None, markdown="# A title"):
    cells = [new_markdown_cell(markdown)] if markdown else []
    for index, source in enumerate(sources):
        cells.append(new_code_cell(source, metadata={"tags": ["parameters"]} if index == tagged else {}))
    nbformat.write(new_notebook(cells=cells), path)  # no kernelspec: the runner needs none


def _wait_until(true, process=None):
    """Wait; not longer than a process runs, where one is given."""
    until = time.monotonic() + LIMIT
    while not true() and time.monotonic() < until and (process is None or process.poll() is None):
        time.sleep(0.02)
    assert true(), "it did not happen"


def _is_gone(pid):
    """Whether a process has ended, though nobody may have asked for its exit status."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="session")
def write_notebook():
    """`write_notebook(path, sources, tagged=None)`: code cells, one of them tagged `parameters`."""
    return _write_notebook


@pytest.fixture(scope="session")
def wait_until():
    """`wait_until(condition, process=None)`."""
    return _wait_until


@pytest.fixture(scope="session")
def wait_until_gone():
    """`wait_until_gone(pid)`."""
    return lambda pid: _wait_until(lambda: _is_gone(pid))


@pytest.fixture(scope="session")
def run_command():
    """`run_command("run", "01", cwd=folder)`: the course runner in a process of its own."""

    def run(*arguments, cwd, env=()):
        command = [sys.executable, "-m", "vaelib.tools.runner", *map(str, arguments)]
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **dict(env)}
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT
        )

    return run


@pytest.fixture(scope="session")
def run_here():
    """`run_here("run", "01")`: the course runner in this process, which has its imports behind it."""
    from vaelib.tools.runner.__main__ import main

    def run(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([*map(str, arguments)])
        return Done(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def interrupt():
    """`interrupt(*arguments, cwd=folder, when=path)`: start the course runner, and press Ctrl-C once the file is there.

    The file holds the id of the kernel's process; that one must be gone when the runner is.
    """

    def run(*arguments, cwd, when):
        command = [sys.executable, "-m", "vaelib.tools.runner", *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        try:
            _wait_until(when.exists, process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
        _wait_until(lambda: _is_gone(int(when.read_text())))
        return Done(process.returncode, out, err)

    return run
