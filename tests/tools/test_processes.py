"""Processes of the tools: limits of time and memory, and an end that leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from vaelib.tools.jobs import Ended, Forked, run_jobs
from vaelib.tools.processes import Family, on_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

# Starts a child that no signal to the group reaches, writes its id down, and goes on.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(child.pid))
os.rename(sys.argv[1] + ".part", sys.argv[1])  # so that who sees the file can read it
time.sleep(1000)
"""
ORDERLY = """
import sys, time
try:
    open(sys.argv[1] + ".ready", "w").close()
    time.sleep(1000)
except KeyboardInterrupt:
    open(sys.argv[1], "w").close()
"""


def python(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])


def test_each_job_is_run_and_a_crash_is_told():
    def start(status):
        return python(f"raise SystemExit({status})")

    ended = set(run_jobs(start, [0, 3, 0], num_workers=2))
    assert ended == {Ended(0, "", 0), Ended(3, "crashed", 3)}


def test_a_function_in_a_copy_of_this_process(tmp_path):
    def note(name):
        (tmp_path / name).write_text(str(os.getpid()))
        if name == "b":
            os._exit(5)

    ended = list(run_jobs(lambda job: Forked(note, job), ["a", "b"], num_workers=1))
    assert ended == [Ended("a", "", 0), Ended("b", "crashed", 5)]
    assert {int((tmp_path / name).read_text()) for name in "ab"}.isdisjoint({os.getpid()})


def test_never_more_at_a_time_than_asked_for(tmp_path):
    running = set()

    def start(job):
        running.add(job)
        assert len(running) <= 2
        return python("pass")

    for job, _, _ in run_jobs(start, range(5), num_workers=2):
        running.remove(job)
    assert not running


def test_memory_beyond_the_limit_ends_the_job_alone():
    def start(size):
        return python(f"block = bytearray({size})\nwhile len(block) > 10**8: block[0] = 1")

    reasons = {job: reason for job, reason, _ in run_jobs(start, [10, 10**9], num_workers=2, num_bytes=6e8)}
    assert reasons == {10: "", 10**9: "out of memory"}


def test_a_job_out_of_time_ends_with_everything_it_started(tmp_path, wait_until, wait_until_gone):
    path = tmp_path / "child"

    def start(job):
        process = python(PARENT, path)
        wait_until(path.exists, process)  # the clock starts when the child is there, however slow the machine
        return process

    assert list(run_jobs(start, ["a"], num_workers=1, seconds=0)) == [Ended("a", "out of time", -signal.SIGKILL)]
    wait_until_gone(int(path.read_text()))


def test_a_child_that_nobody_has_looked_for_ends_too(tmp_path, wait_until, wait_until_gone):
    process = python(PARENT, tmp_path / "child")
    family = Family(process.pid)
    wait_until((tmp_path / "child").exists, process)
    family.kill()
    process.wait()
    wait_until_gone(int((tmp_path / "child").read_text()))


def test_a_child_outlives_its_parent_but_not_the_family(tmp_path, wait_until, wait_until_gone):
    process = python(PARENT, tmp_path / "child")
    family = Family(process.pid)
    wait_until((tmp_path / "child").exists, process)
    family.look()
    process.kill()
    process.wait()
    assert not family.is_gone()
    family.kill()
    wait_until_gone(int((tmp_path / "child").read_text()))
    wait_until(family.is_gone)


@pytest.fixture
def leave_early(tmp_path, wait_until):
    """Leave the jobs while one still runs; return the exit status of that one, and whether it ended in good order."""

    def leave(**options):
        slow = []

        def start(job):
            if job != "slow":
                return python("pass")
            slow.append(python(ORDERLY, tmp_path / "orderly"))
            wait_until((tmp_path / "orderly.ready").exists, slow[0])
            return slow[0]

        with contextlib.closing(run_jobs(start, ["slow", "quick", "never"], num_workers=2, **options)) as jobs:
            assert next(jobs).job == "quick"
        return slow[0].poll(), (tmp_path / "orderly").exists()

    return leave


def test_what_runs_when_the_jobs_are_left_has_time_to_end_in_good_order(leave_early):
    assert leave_early(grace=600) == (0, True)


def test_without_a_grace_it_is_killed(leave_early):
    assert leave_early() == (-signal.SIGKILL, False)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux keeps the mark")
def test_the_peak_is_seen_after_the_memory_was_freed(tmp_path, wait_until):
    code = (
        "import sys, time\nblock = bytearray(200_000_000)\ndel block\nopen(sys.argv[1], 'w').close()\ntime.sleep(1000)"
    )
    with python(code, tmp_path / "freed") as process:
        family = Family(process.pid)
        wait_until((tmp_path / "freed").exists, process)
        assert family.high_water_mark() > 200_000_000 > 2 * family.resident()
        process.kill()


def test_a_signal_is_answered_within_the_block_alone():
    answered = []
    before = signal.getsignal(signal.SIGTERM)
    with on_signals(lambda number, frame: answered.append(number), signal.SIGTERM):
        signal.raise_signal(signal.SIGTERM)
    assert answered == [signal.SIGTERM] and signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_no_signal_is_touched():
    seen = []

    def work():
        with on_signals(lambda number, frame: None, signal.SIGTERM):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
