"""Submissions on a Dask cluster: each goes to a worker as a packed course directory and comes back as one.

`python -m vaelib.tools.grader.running.cluster FOLDER PARENT` is the process of one submission on a worker.
"""

import functools
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vaelib.tools.cluster import ClusterError, ended_there, run_on_workers
from vaelib.tools.grader import GraderError
from vaelib.tools.grader.running.job import Job, Limits, Questions, autograde_here
from vaelib.tools.grader.running.wall import is_available
from vaelib.tools.grader.students.submissions import Submission
from vaelib.tools.processes import interrupt_when_orphaned

TASK = "task.json"


def autograde_on_cluster(jobs: Iterable[Job], limits: Limits) -> Generator[tuple[Job, str], None, None]:
    """Yield (job, reason) as submissions end; the reason is "" where the process came through, else why it did not.

    Args:
        jobs: from `prepare`; what a worker leaves is put into each one's folder, here.
        limits: Limits, with the address of a scheduler.

    Raises:
        GraderError: the cluster cannot do it; see `run_on_workers`.
    """
    assert limits.scheduler, "a cluster is asked for by its scheduler"
    tasks = (
        (job, (_packed(job.folder), job.submission.student, job.submission.assignment, job.questions, limits))
        for job in jobs
    )
    try:
        same = functools.partial(_identity, limits.protected)
        for job, value in run_on_workers(limits.scheduler, _there, tasks, same):
            if isinstance(value, BaseException):
                (job.folder / "log.txt").write_text(f"its worker says {value!r}", "utf-8")
                yield job, "crashed"
            else:
                content, reason = value
                _unpack(content, job.folder)
                yield job, reason
    except ClusterError as error:
        raise GraderError(f"--scheduler: {error}") from error


def _identity(protected: bool) -> dict[str, Any]:
    """What must be alike on every worker: what grades, and that it grades behind a wall."""
    alike: dict[str, Any] = {f"version of {name}": version(name) for name in ("vaelib", "nbgrader", "keras")}
    return alike | ({"answer whether a wall can be built": is_available()} if protected else {})


def _there(
    call: str, content: bytes, student: str, assignment: str, questions: Questions, limits: Limits
) -> tuple[bytes, str]:
    """Grade one submission on a worker; return its course directory, and why its process ended, as `run_jobs` says."""
    with tempfile.TemporaryDirectory(prefix="vaelib-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _unpack(content, folder)
        task = {"student": student, "assignment": assignment, "questions": questions, "protected": limits.protected}
        (folder / TASK).write_text(json.dumps({**task, "num_bytes": limits.num_bytes}), "utf-8")
        command = [sys.executable, "-m", "vaelib.tools.grader.running.cluster", name, str(os.getpid())]

        def start() -> subprocess.Popen:
            with open(folder / "log.txt", "wb") as log:
                return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        ended = ended_there(call, start, seconds=limits.seconds, num_bytes=limits.num_bytes)
        (folder / TASK).unlink()
        return _packed(folder), ended.reason


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def _unpack(content: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")  # nothing beside the folder, no devices


def _main(folder: Path, parent: int) -> None:
    interrupt_when_orphaned(parent)
    task = json.loads((folder / TASK).read_text("utf-8"))
    limits = Limits(num_bytes=task["num_bytes"], protected=task["protected"])
    submission = Submission(task["student"], task["assignment"], folder / f"{task['assignment']}.ipynb")
    autograde_here(Job(submission, folder, Questions(*task["questions"])), limits)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
