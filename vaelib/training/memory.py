"""Memory: what the C library keeps in hand while a model trains, and what models that are gone give back."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import keras

# glibc's names for `mallopt`.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MIB = 2**20


@contextlib.contextmanager
def kept_in_hand() -> Iterator[None]:
    """Let glibc keep freed memory while a model trains.

    Each matrix product of a training step takes scratch memory and frees it. glibc would hand it back to the system
    each time, and the page faults that follow cost a quarter of the training time: it keeps 64 MiB in hand instead.

    Any such setting ends glibc's own adjustment of the size above which an allocation becomes a mapping of its own.
    That size is therefore set to the largest that the adjustment reaches, 32 MiB. Otherwise NumPy's temporaries above
    128 KiB would be mapped and faulted in anew each time. glibc has no way back to the adjustment; what is left behind
    is the state in which it would be after a block of 32 MiB was freed.
    """
    _tell_glibc(_MMAP_THRESHOLD, 32 * _MIB)
    _tell_glibc(_TRIM_THRESHOLD, 64 * _MIB)
    _tell_glibc(_TOP_PAD, 64 * _MIB)
    try:
        yield
    finally:
        _tell_glibc(_TOP_PAD, 128 * 1024)  # its default


def forget_models() -> None:
    """Forget the Keras models that nobody holds any more, and hand their memory back to the system.

    For a notebook that trains one model after another. A model that a variable still holds stays as it is.
    """
    keras.backend.clear_session()  # collects the garbage too
    give_back()


def give_back() -> None:
    """Hand the memory that is free back to the system, where the C library has a call for it."""
    with contextlib.suppress(AttributeError, OSError):
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)


def _tell_glibc(parameter, value):
    with contextlib.suppress(AttributeError, OSError):
        if sys.platform == "linux":
            ctypes.CDLL(None).mallopt(parameter, value)
