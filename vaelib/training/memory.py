"""Memory: what the C library keeps in hand while a model trains, and what models that are gone give back."""

import contextlib
import ctypes
import sys

import keras

# glibc's names for `mallopt`.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MIB = 2**20


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a training step frees, up to 64 MiB, and take blocks up to 32 MiB from it.

    TensorFlow takes scratch memory for each product and frees it. At first glibc maps each larger block apart and hands
    it back, and every page faults anew: convolutional epochs took up to 120,000 page faults, a seventh of their time.
    glibc raises both thresholds by itself as it sees larger blocks freed, up to the values that are set here; so this
    is where it would end, and there is nothing to set back. NumPy's temporaries gain as well.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # C libraries other than glibc do not have the call
            libc = ctypes.CDLL(None)
            libc.mallopt(_MMAP_THRESHOLD, 32 * _MIB)
            libc.mallopt(_TRIM_THRESHOLD, 64 * _MIB)


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
