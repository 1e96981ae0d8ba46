"""glibc keeps freed memory in hand from the first `fit` on, and not because vaelib was imported."""

import subprocess
import sys

import pytest

# In child processes, so that this one's memory does not matter; each measures once, for glibc learns from what it sees.
MEASURE = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]

def growth(size):
    "MiB by which the heap grows for a block of so many, and by which it is still larger when the block is freed."
    libc.malloc_trim(0)
    start = libc.sbrk(0)
    block = libc.malloc(size * 2**20)
    top = libc.sbrk(0)
    libc.free(block)
    return (top - start) / 2**20, (libc.sbrk(0) - start) / 2**20
"""
BEFORE = "import vaelib.training; print(*growth(20))"
AFTER = """
from vaelib.training.memory import forget_models, keep_freed_memory
keep_freed_memory()
first, large = growth(20), growth(40)
growth(20)
start = libc.sbrk(0)
forget_models()
print(*first, *large, (start - libc.sbrk(0)) / 2**20)
"""


def measured(script):
    command = [sys.executable, "-c", MEASURE + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(number) for number in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_freed_memory_is_kept():
    assert max(measured(BEFORE)) < 1, "importing vaelib changes nothing: such a block is mapped apart"
    taken, kept, large, large_kept, given_back = measured(AFTER)
    assert taken > 19 and kept > 19, "from the heap, and kept"
    assert large < 1 and large_kept < 1, "a block above 32 MiB is mapped apart all the same"
    assert given_back > 15, "forget_models hands it back"


def test_fit_asks_for_it(toy, rows, monkeypatch):
    from vaelib.training import steps

    calls = []
    monkeypatch.setattr(steps, "keep_freed_memory", lambda: calls.append(1))
    toy.evaluate(rows(4))
    assert calls == []
    toy.fit(rows(4), verbose=0)
    assert calls == [1]
