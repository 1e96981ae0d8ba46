"""glibc keeps freed memory in hand from the first `fit` on, and not because vaelib was imported."""

import subprocess
import sys

import pytest

# A child process, so that this one's memory does not matter.
SCRIPT = """
import ctypes
import vaelib
from vaelib.training.memory import forget_models, keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
MIB = 2**20

def growth(size):
    "MiB by which the heap grows for a block of so many, and by which it is still larger when the block is freed."
    libc.malloc_trim(0)
    start = libc.sbrk(0)
    block = libc.malloc(size * MIB)
    top = libc.sbrk(0)
    libc.free(block)
    return (top - start) / MIB, (libc.sbrk(0) - start) / MIB

before = growth(20)
keep_freed_memory()
after, large = growth(20), growth(40)
growth(20)
start = libc.sbrk(0)
forget_models()
print(*before, *after, *large, (start - libc.sbrk(0)) / MIB)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_freed_memory_is_kept():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    numbers = [float(number) for number in done.stdout.split()]
    assert max(numbers[0:2]) < 1, "importing vaelib changes nothing: such a block is mapped apart"
    assert min(numbers[2:4]) > 19, "from the heap, and kept"
    assert max(numbers[4:6]) < 1, "a block above 32 MiB is mapped apart all the same"
    assert numbers[6] > 15, "forget_models hands it back"


def test_fit_asks_for_it(toy, rows, monkeypatch):
    from vaelib.training import steps

    calls = []
    monkeypatch.setattr(steps, "keep_freed_memory", lambda: calls.append(1))
    toy.evaluate(rows(4))
    assert calls == []
    toy.fit(rows(4), verbose=0)
    assert calls == [1]
