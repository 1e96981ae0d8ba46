"""Many submissions through nbgrader, side by side, here or on a cluster; and why one did not come through."""

import contextlib
import json
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from vaelib.tools.grader.running.job import Job, Limits, autograde_here
from vaelib.tools.jobs import Forked, run_jobs


def autograde(jobs: Iterable[Job], limits: Limits) -> Iterator[tuple[Job, str]]:
    """Run nbgrader on every job.

    Yields:
        (job, reason) as they end; the reason is "" where nbgrader came through, else "out of time", "out of memory" or
        "crashed", often with a colon and nbgrader's own words behind it.
    """

    with contextlib.closing(_ended(jobs, limits)) as ended:
        for job, reason in ended:
            yield job, _reason(job, reason)


def _ended(jobs: Iterable[Job], limits: Limits) -> Generator[tuple[Job, str], None, None]:
    if limits.scheduler:
        from vaelib.tools.grader.running.cluster import autograde_on_cluster

        yield from autograde_on_cluster(jobs, limits)
        return

    def start(job: Job) -> Forked:
        return Forked(lambda job: autograde_here(job, limits), job)

    running = run_jobs(
        start, jobs, num_workers=limits.num_workers, seconds=limits.seconds, num_bytes=limits.num_bytes
    )  # fmt: skip
    with contextlib.closing(running):
        for job, reason, _ in running:
            yield job, reason


def last_words(result: dict[str, Any]) -> str:
    """Return the line of nbgrader's log that names the error.

    Args:
        result: what nbgrader's API returned.
    """
    lines = [line for line in result.get("log", "").splitlines() if "Error: " in line or "died" in line]
    return _last_line("\n".join(lines) or result.get("error", ""))


def _reason(job: Job, reason: str) -> str:
    outcome = job.folder / "outcome.json"
    if reason == "crashed" or not (reason or outcome.exists()):
        return f"crashed: {_last_line((job.folder / 'log.txt').read_text(errors='replace'))}"
    if reason:
        return reason
    result = json.loads(outcome.read_text())
    if result["success"]:
        return ""
    words = last_words(result)
    # A cell that cannot even be interrupted ends the notebook.
    return f"{'out of time' if 'CellTimeoutError' in words else 'crashed'}: {words}"


def _last_line(text: str) -> str:
    return ([line for line in text.splitlines() if line.strip()] or ["no reason given"])[-1].strip()[:300]
