"""Jobs in processes of their own: a few at a time, under limits, and ended together with whatever they started."""

import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, Protocol

from vaelib.tools.processes import Family

LOOK_EVERY = 0.1  # seconds: a look goes through all processes of the machine
MOST_PROCESSES = 200  # of one job


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


class Ended(NamedTuple):
    """How one job of `run_jobs` ended.

    Attributes:
        job: as it was given.
        reason: "" where its process ended with status 0, else "crashed", "out of time", "out of memory" or
            "too many processes".
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
        jobs: what to start, in this order; each is asked for when a place is free.
        num_workers: how many run at a time.
        seconds: how long one job may take.
        num_bytes: how much memory one job may hold, with everything it started.
        grace: seconds that a job has to end in good order when the generator is left; then it is killed.

    Yields:
        Ended, one for each job, as they end.
    """
    waiting, running = iter(jobs), list[_Running]()
    try:
        while True:
            for job in itertools.islice(waiting, num_workers - len(running)):
                running.append(_Running(job, start(job)))
            if not running:
                return
            time.sleep(LOOK_EVERY)
            for one in list(running):
                reason = one.reason_to_end(seconds, num_bytes)
                if reason is not None:
                    status = one.end()
                    running.remove(one)
                    yield Ended(one.job, reason, status)
    finally:
        for one in running if grace else ():
            one.family.interrupt()
        until = time.monotonic() + grace
        for one in running:
            while one.process.poll() is None and time.monotonic() < until:
                time.sleep(LOOK_EVERY)
            one.end()


class _Running:
    """A job and its process."""

    def __init__(self, job: Any, process: Process) -> None:
        self.job, self.process, self.family, self.started = job, process, Family(process.pid), time.monotonic()

    def reason_to_end(self, seconds: float, num_bytes: float) -> str | None:
        """Why the job ended or has to end; None while it may go on."""
        status = self.process.poll()
        if status is not None:
            return "crashed" if status else ""
        self.family.look()
        if time.monotonic() - self.started > seconds:
            return "out of time"
        if self.family.count() > MOST_PROCESSES:
            return "too many processes"
        # To tell shared pages apart takes time: only where it matters.
        too_much = self.family.resident() > num_bytes and self.family.proportional() > num_bytes
        return "out of memory" if too_much else None

    def end(self) -> int | None:
        """End the job and everything it started: a kernel outlives its parent otherwise. Return the exit status."""
        self.family.kill()
        self.process.wait()
        until = time.monotonic() + 10  # one that hangs in the system cannot be waited for
        while not self.family.is_gone() and time.monotonic() < until:
            time.sleep(0.01)
        return self.process.poll()
