"""Run one notebook in a kernel of its own, watch its memory, and say what came of it."""

import contextlib
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import papermill
import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError

from vaelib.tools.runner.notebooks import Notebook, collect_evidence

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# TensorFlow writes to stderr from C, into the cells' outputs: these two silence it.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}


def execute(notebook, parameters, output, *, timeout=None, on_cell=lambda: None):
    """Run one notebook from its own folder and write the executed copy.

    Args:
        notebook: Notebook to run; its file is left as it is.
        parameters: dict for the cell after the one tagged `parameters`.
        output: path of the executed copy, also written when the notebook fails.
        timeout: seconds that one cell may take; None for no limit.
        on_cell: called after each code cell that ran.

    Returns:
        dict, one entry of the course report. `status` is "passed", "failed" or "interrupted".
    """
    output = Path(output).resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would say stands in the report
    process, log, started, failure = KernelProcess(), tempfile.TemporaryFile(), time.monotonic(), None
    try:
        with _ctrl_c_kills(process):
            papermill.execute_notebook(
                _no_template(notebook.path.resolve()),
                _no_template(output),
                parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=notebook.path.resolve().parent,
                execution_timeout=timeout,
                kernel_manager_class=type("WatchedKernel", (CourseKernel,), {"process": process, "messages": log}),
                on_cell_start=lambda **_: process.sample(),
                on_cell_executed=lambda **_: on_cell(),
            )
    except (Exception, KeyboardInterrupt) as error:
        failure = error
    finally:
        process.kill()
    if process.unwanted:
        failure = KeyboardInterrupt()
    seconds = time.monotonic() - started
    executed = Notebook(output).content
    evidence = collect_evidence(executed)
    with log:
        log.seek(0)
        error = None if failure is None else _describe(failure, executed, log.read().decode(errors="replace"))
    broken = [claim["text"] for claim in evidence["claims"] if not claim["passed"]]
    if error is None and broken:  # a claim that failed is a failure, even where a cell caught its error
        message = f"{len(broken)} failed and did not stop the notebook: {'; '.join(broken)}"
        error = {"cell": None, "execution_count": None, "name": "ClaimError", "message": message, "traceback": ""}
    interrupted = isinstance(failure, KeyboardInterrupt)
    return {
        "name": notebook.name,
        "passed": error is None,
        "status": "interrupted" if interrupted else "passed" if error is None else "failed",
        "seconds": round(seconds, 2),
        "peak_rss_mb": round(process.peak / 1e6, 1),
        **evidence,
        "title": notebook.title,
        "parameters": parameters,
        "executed": output.name if output.exists() else None,
        "error": error,
    }


class CourseKernel(AsyncKernelManager):
    """A kernel of the interpreter that runs the course, whatever kernels this machine has installed."""

    process = None
    messages = None

    @property
    def kernel_spec(self):
        """`python -m ipykernel_launcher` of this very interpreter."""
        spec = get_kernel_dict()
        spec["argv"] = [sys.executable, *spec["argv"][1:]]
        return KernelSpec(**spec)

    async def start_kernel(self, **kwargs):
        """Start, with figures shown in their cells and TensorFlow quiet, and watch the memory."""
        inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        env = {**_QUIET, **kwargs.get("env", os.environ), **inline}
        # The kernel runs in the notebook's folder: a relative folder must mean what it means here.
        env |= {name: os.path.abspath(env[name]) for name in ("VAELIB_DATA", "VAELIB_CACHE") if env.get(name)}
        kwargs["env"] = env
        # What the kernel says outside its cells is noise, unless it dies: then it is all there is.
        await super().start_kernel(**kwargs, stderr=self.messages)
        self.process.watch(self.provisioner.pid)

    async def shutdown_kernel(self, now=False, restart=False):
        """Take the last measurement while the process still is there."""
        self.process.sample()
        await super().shutdown_kernel(now=now, restart=restart)


class KernelProcess:
    """Watches a kernel: `peak` is its largest resident memory, with its children, in bytes.

    Samples before each cell and twice a second. Linux keeps a process's own high-water mark: there no short peak
    is missed.
    """

    def __init__(self):
        self.peak = 0
        self.unwanted = False
        self._process = None
        self._done = threading.Event()

    def watch(self, pid):
        """Start to sample the process."""
        self._process = psutil.Process(pid)
        threading.Thread(target=self._run, daemon=True).start()
        if self.unwanted:
            self.kill()

    def kill(self):
        """Stop to sample, and end the kernel and its children where they still run."""
        self._done.set()
        try:
            family = [self._process, *self._process.children(recursive=True)] if self._process else []
        except psutil.Error:  # the kernel has ended by itself, as it should
            return
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def sample(self):
        """Measure now."""
        if self._process is None:
            return
        try:
            family = [self._process, *self._process.children(recursive=True)]
            self.peak = max(self.peak, _high_water_mark(self._process.pid), sum(map(_resident, family)))
        except psutil.Error:  # the kernel has ended
            pass

    def _run(self):
        self.sample()
        while not self._done.wait(0.5):
            self.sample()


@contextlib.contextmanager
def _ctrl_c_kills(process):
    """Let Ctrl-C end the kernel, and so the notebook, in good order; a second one ends the runner.

    A KeyboardInterrupt would strike anywhere in the client's event loop, and may leave a kernel behind.
    """

    def on_interrupt(signum, frame):
        if process.unwanted:
            raise KeyboardInterrupt
        process.unwanted = True
        process.kill()

    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread only
        yield
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _resident(process):
    try:
        return process.memory_info().rss
    except psutil.Error:  # a child that has just ended
        return 0


def _high_water_mark(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # not Linux, or ended
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _describe(failure, executed, log):
    """Where and why a notebook failed, in plain text."""
    name, message, traceback = type(failure).__name__, str(failure), log[-10_000:]
    if isinstance(failure, PapermillExecutionError):
        name, message, traceback = failure.ename, failure.evalue, "\n".join(failure.traceback)
    elif isinstance(failure, KeyboardInterrupt):
        message, traceback = "interrupted from the keyboard", ""
    # papermill stops at the cell that fails, so it is the last one it started. It also adds cells of its own.
    position, cell, count = 0, None, None
    for candidate in executed.cells:
        tags = candidate.metadata.get("tags", [])
        position += not {"injected-parameters", "papermill-error-cell-tag"} & set(tags)
        if candidate.cell_type == "code" and candidate.metadata.get("papermill", {}).get("start_time"):
            cell, count = position, candidate.execution_count
    plain = {"name": name, "message": message, "traceback": traceback}
    return {"cell": cell, "execution_count": count, **{key: _ANSI.sub("", text) for key, text in plain.items()}}


def _no_template(path):
    """A path that papermill takes as it is: braces would be filled in with parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")
