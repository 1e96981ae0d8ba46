"""A process with everything it started, and what ends one in good order: signals, limits, the end of its parent."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil


class Family:
    """A process and everything it started.

    When a parent ends, the system forgets whose child a process was: what `look` has seen once is remembered.
    """

    def __init__(self, pid: int) -> None:
        self._members = [psutil.Process(pid)]

    def look(self) -> None:
        """Remember what the process has started since."""
        self._remember_children(self._members[:1])

    def resident(self) -> int:
        """Return the resident memory of all together, in bytes."""
        return sum(map(_resident, self._members))

    def proportional(self) -> int:
        """Return the memory of all together in bytes, each shared page counted once; `resident` counts it each time."""
        return sum(map(_proportional, self._members))

    def count(self) -> int:
        """Return how many of them run."""
        return sum(not _is_gone(process) for process in self._members)

    def high_water_mark(self) -> int:
        """Return the most memory that any one of them ever held, in bytes; 0 where the system keeps no such mark."""
        return max(map(_high_water_mark, self._members))

    def interrupt(self) -> None:
        """Ask the process itself to end in good order."""
        first = self._members[0]
        with contextlib.suppress(psutil.Error):
            # Windows has no signal that a process could answer.
            first.terminate() if sys.platform == "win32" else first.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End them all, and those that they are about to start."""
        for process in self._members:  # with a wall ends all that runs behind it, however fast that multiplies
            with contextlib.suppress(psutil.Error):
                if process.name() == "bwrap":
                    process.kill()
        stopped = 0
        while stopped < len(self._members):  # a process that stands still starts no other
            new, stopped = self._members[stopped:], len(self._members)
            for process in new:
                with contextlib.suppress(psutil.Error):
                    process.suspend()
            self._remember_children(new)
        for process in self._members:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def is_gone(self) -> bool:
        """Return whether none of them runs any more."""
        return all(map(_is_gone, self._members))

    def _remember_children(self, parents: list[psutil.Process]) -> None:
        for parent in parents:
            with contextlib.suppress(psutil.Error):
                known = set(self._members)
                self._members += [child for child in parent.children(recursive=True) if child not in known]


@contextlib.contextmanager
def on_signals(handler: Callable[[int, Any], None], *numbers: int) -> Iterator[None]:
    """Let a function answer signals within the block; outside the main thread, which alone gets them, do nothing.

    Args:
        handler: called as `signal.signal` calls it.
        numbers: of the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def interrupt_when_orphaned(parent: int) -> None:
    """Interrupt this process, as Ctrl-C does, once the one that started it is gone.

    Args:
        parent: id of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    if sys.platform != "win32":  # where an orphan keeps its parent's number
        threading.Thread(target=watch, daemon=True).start()


def limit_memory(num_bytes: float) -> None:
    """Let an allocation beyond the limit fail with MemoryError, here and in every process started from here. Unix only.

    A cell that asks for too much then costs its own question alone. Not every system enforces it: `run_jobs` watches.
    """
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (int(num_bytes), int(num_bytes)))


def limit_files(num_bytes: float) -> None:
    """Let no file grow beyond the limit, and no core dump be written, here and in every process started from here."""
    import resource

    for kind, most in ((resource.RLIMIT_FSIZE, int(num_bytes)), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has ended
        return 0


def _proportional(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return getattr(full, "pss", full.rss)  # Linux alone knows what is shared
    except psutil.Error:
        return _resident(process)


def _high_water_mark(process: psutil.Process) -> int:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text() if process.is_running() else ""
    except OSError:  # not Linux, or ended
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
