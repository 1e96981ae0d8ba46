"""Jobs in processes of their own, each under a limit of time and of memory: what one does, the others never feel."""

import contextlib
import multiprocessing
import resource
import time

import psutil


def limit_memory(num_bytes):
    """Let an allocation beyond the limit fail with MemoryError, here and in every process started from here.

    A cell that asks for too much then costs its own question alone. Not every system enforces it: `run_jobs` watches.
    """
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (int(num_bytes), int(num_bytes)))


def run_jobs(function, jobs, *, num_workers, seconds, num_bytes):
    """Call `function(job)` for every job, each in a process of its own.

    Args:
        function: what to call. jobs: list of arguments, each used once.
        num_workers: how many run at a time.
        seconds: how long one job may take.
        num_bytes: how much memory one job may hold, all its processes together.
    Yields:
        (job, reason) as they end; the reason is "" when the function returned, else "crashed", "out of time" or
        "out of memory".
    """
    context = multiprocessing.get_context("fork")  # the imports are done: a new process costs milliseconds
    waiting, running = list(reversed(jobs)), []
    try:
        while waiting or running:
            while waiting and len(running) < num_workers:
                running.append(_Running(context, function, waiting.pop()))
            time.sleep(0.05)
            for one in list(running):
                reason = one.ended(seconds, num_bytes)
                if reason is not None:
                    one.kill()
                    running.remove(one)
                    yield one.job, reason
    finally:
        for one in running:
            one.kill()


class _Running:
    def __init__(self, context, function, job):
        self.job = job
        self.process = context.Process(target=function, args=(job,))
        self.process.start()
        self.started = time.monotonic()
        self.family = [psutil.Process(self.process.pid)]

    def ended(self, seconds, num_bytes):
        """Why the job ended or has to end; None while it may go on."""
        if not self.process.is_alive():
            return "" if self.process.exitcode == 0 else "crashed"
        with contextlib.suppress(psutil.Error):
            known = set(self.family)
            self.family += [child for child in self.family[0].children(recursive=True) if child not in known]
        if time.monotonic() - self.started > seconds:
            return "out of time"
        return "out of memory" if sum(map(_resident, self.family)) > num_bytes else None

    def kill(self):
        """End the job and everything it started: a kernel outlives its parent otherwise."""
        for process in reversed(self.family):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.join()
        psutil.wait_procs(self.family, timeout=10)


def _resident(process):
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has ended
        return 0
