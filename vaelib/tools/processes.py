"""Processes that the tools start: a few at a time, under limits, and ended together with whatever they started."""

import contextlib
import math
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple, Protocol

import psutil

LOOK_EVERY = 0.1  # seconds: a look goes through all processes of the machine


class Process(Protocol):
    """What `run_jobs` asks of a process; `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""

    def wait(self) -> Any:
        """Wait for its end."""


class Forked:
    """A function in a copy of this process: its imports are done, so that it starts in milliseconds. Unix only.

    Args:
        function: what to call. job: its argument.
    """

    def __init__(self, function: Callable[[Any], object], job: Any) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=function, args=(job,))
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> None:
        self._process.join()


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

    def high_water_mark(self) -> int:
        """Return the most memory that the process itself ever held, in bytes; 0 where the system keeps no such mark."""
        first = self._members[0]
        try:
            status = Path(f"/proc/{first.pid}/status").read_text() if first.is_running() else ""
        except OSError:  # not Linux, or ended
            return 0
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def interrupt(self) -> None:
        """Ask the process itself to end in good order."""
        first = self._members[0]
        with contextlib.suppress(psutil.Error):
            # Windows has no signal that a process could answer.
            first.terminate() if sys.platform == "win32" else first.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End them all, and those that they are about to start."""
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


class Ended(NamedTuple):
    """How one job of `run_jobs` ended.

    Attributes:
        job: as it was given.
        reason: "" where its process ended with status 0, else "crashed", "out of time" or "out of memory".
        status: the exit status of its process.
    """

    job: Any
    reason: str
    status: int | None


def run_jobs(
    start: Callable[[Any], Process],
    jobs: Iterable[Any],
    *,
    num_workers: int,
    seconds: float = math.inf,
    num_bytes: float = math.inf,
    grace: float = 0.0,
) -> Generator[Ended, None, None]:
    """Start each job in a process of its own, a few at a time, and end those that go beyond a limit.

    Leave the generator with `contextlib.closing`: that ends what still runs.

    Args:
        start: called with a job; starts its process and returns it, a `subprocess.Popen` or a `Forked`.
        jobs: what to start, in this order.
        num_workers: how many run at a time.
        seconds: how long one job may take.
        num_bytes: how much memory one job may hold, with everything it started.
        grace: seconds that a job has to end in good order when the generator is left; then it is killed.

    Yields:
        Ended, one for each job, as they end.
    """
    waiting, running = deque(jobs), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < num_workers:
                job = waiting.popleft()
                running.append(_Running(job, start(job)))
            sleep(LOOK_EVERY)
            for one in list(running):
                reason = one.reason_to_end(seconds, num_bytes)
                if reason is not None:
                    status = one.end()
                    running.remove(one)
                    yield Ended(one.job, reason, status)
    finally:
        for one in running if grace else ():
            one.family.interrupt()
        until = monotonic() + grace
        for one in running:
            while one.process.poll() is None and monotonic() < until:
                sleep(LOOK_EVERY)
            one.end()


class _Running:
    """A job and its process."""

    def __init__(self, job: Any, process: Process) -> None:
        self.job, self.process, self.family, self.started = job, process, Family(process.pid), monotonic()

    def reason_to_end(self, seconds: float, num_bytes: float) -> str | None:
        """Why the job ended or has to end; None while it may go on."""
        status = self.process.poll()
        if status is not None:
            return "crashed" if status else ""
        self.family.look()
        if monotonic() - self.started > seconds:
            return "out of time"
        return "out of memory" if self.family.resident() > num_bytes else None

    def end(self) -> int | None:
        """End the job and everything it started: a kernel outlives its parent otherwise. Return the exit status."""
        self.family.kill()
        self.process.wait()
        until = monotonic() + 10  # one that hangs in the system cannot be waited for
        while not self.family.is_gone() and monotonic() < until:
            sleep(0.01)
        return self.process.poll()


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
            sleep(1)
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


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has ended
        return 0


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
