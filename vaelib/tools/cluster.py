"""Work on a Dask cluster: what runs elsewhere travels as arguments and comes back as a value, so no disk is shared.

`dask scheduler` on one machine, `dask worker tcp://HOST:8786 --nthreads 1` on each.
"""

import contextlib
import itertools
import signal
import subprocess
import uuid
from collections.abc import Callable, Generator, Iterable
from typing import Any

from vaelib.tools.jobs import Ended, run_jobs

PATIENCE = 30  # seconds for the scheduler to answer, and for a first worker
_AHEAD = 2  # tasks per thread of the cluster that wait beside the one that runs
_processes: dict[str, list[subprocess.Popen]] = {}  # on a worker: those of each call, so that Ctrl-C reaches them


class ClusterError(RuntimeError):
    """The cluster cannot do it: Dask is missing, nobody answers, or a worker is not what this machine is."""


def run_on_workers(
    scheduler: str,
    function: Callable[..., Any],
    tasks: Iterable[tuple[Any, tuple]],
    same: Callable[[], dict[str, Any]],
) -> Generator[tuple[Any, Any], None, None]:
    """Yield (key, value) as workers finish; end what still runs when the generator is left before its end.

    A worker that dies costs nothing but time: Dask gives its task to another, three times at most.

    Args:
        scheduler: address of the Dask scheduler, such as "tcp://10.0.0.7:8786".
        function: called on a worker as function(call, *arguments); `call` is for `ended_there`.
        tasks: (key, arguments); each is asked for when its turn is near.
        same: called here and on each worker; returns what must be alike, by a name for it.

    Yields:
        key and what the function returned, or the exception where it raised one.

    Raises:
        ClusterError: Dask is not installed, no scheduler or worker answers, or a worker is not the same.
    """
    try:
        import distributed
    except ImportError as error:
        raise ClusterError("a scheduler needs Dask: `pip install distributed`, here and on the workers.") from error
    call, waiting, running = uuid.uuid4().hex, iter(tasks), dict[Any, Any]()  # the key of each future
    with _connected(scheduler) as client:
        _require_same(same(), client.run(same))
        at_once = (1 + _AHEAD) * sum(client.nthreads().values())

        def submitted(number: int) -> list[Any]:
            new = {}
            for key, arguments in itertools.islice(waiting, number):
                new[client.submit(function, call, *arguments, pure=False)] = key
            running.update(new)
            return list(new)

        try:
            finished = distributed.as_completed(submitted(at_once), loop=client.loop)
            for future in finished:
                yield running.pop(future), future.result() if future.status == "finished" else future.exception()
                finished.update(submitted(1))
        finally:
            if running:
                client.cancel(list(running))
                client.run(_stop, call)


def ended_there(call: str, start: Callable[[], subprocess.Popen], **limits: float) -> Ended:
    """On a worker: start a process, wait for its end, and return how it ended.

    Args:
        call: as `run_on_workers` gave it: when its generator is left, the process is interrupted.
        start: starts the process.
        limits: as for `run_jobs`.
    """

    def begin(job: None) -> subprocess.Popen:
        process = start()
        _processes.setdefault(call, []).append(process)
        return process

    with contextlib.closing(run_jobs(begin, [None], num_workers=1, **limits)) as jobs:
        (ended,) = jobs
    return ended


@contextlib.contextmanager
def _connected(scheduler: str) -> Generator[Any, None, None]:
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {scheduler}. Start one with `dask scheduler`.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            tip = f"`dask worker {scheduler} --nthreads 1`"
            raise ClusterError(f"the Dask scheduler at {scheduler} has no worker. Start some with {tip}.") from error
        yield client


def _require_same(here: dict[str, Any], workers: dict[str, dict[str, Any]]) -> None:
    for address, there in workers.items():
        for what, mine in here.items():
            if there[what] != mine:
                raise ClusterError(
                    f"the worker at {address} has another {what}: {there[what]}; here it is {mine}. "
                    "Results that stand side by side must come from the same."
                )


def _stop(call: str) -> None:
    for process in _processes.pop(call, []):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
