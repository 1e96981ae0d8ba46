"""Where data comes from: the VAELIB_DATA folder, then the cache, then a download, and else a stand-in.

Every file is judged by the arrays in it (shape, dtype, SHA-256 of their bytes) and not by its own bytes, because
mirrors pack the same arrays in different files. No pickle is ever loaded.

Environment variables: VAELIB_DATA names a folder with the reader's own files; VAELIB_CACHE names the folder for
downloads (else the system's cache folder); VAELIB_OFFLINE=1 skips the download.
"""

import errno
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from vaelib.files import replace_file
from vaelib.mime import DATA_MIME

# How long a mirror may stay silent before the next one is asked: the first one, and each of the others. Without
# network this is the whole wait.
PATIENCE_SECONDS = (4.0, 1.0)
STALL_SECONDS = 10.0  # how long a download that has begun may pause
SLOWEST = 20_000  # bytes per second, over as many seconds: a mirror that only drips is left for the next one
TELL_SECONDS = 5.0  # after which a download says how far it is, and again each time as much has passed
LARGEST_FILE = 100_000_000  # bytes of one file, packed or unpacked: ten times what any of the data sets has
_DISK = {errno.ENOSPC, errno.EROFS, errno.EACCES, getattr(errno, "EDQUOT", errno.ENOSPC)}


class DataError(ValueError):
    """A data file or folder that cannot be used; the message says which, what was expected and what to do."""


@dataclass(frozen=True)
class Source:
    """Where arrays came from; a notebook shows it as one line and keeps a machine-readable copy.

    Attributes:
        name: the data set, for example "MNIST".
        origin: how it was found, for example "from the cache".
        stand_in: whether other data stands in for what was asked.
        size: how much it holds, in words.
    """

    name: str
    origin: str
    stand_in: bool
    size: str = ""

    def __str__(self):
        return "Data: " + ", ".join(part for part in (self.name, self.size, self.origin) if part)

    def _repr_mimebundle_(self, include=None, exclude=None):
        record = {"name": self.name, "origin": self.origin, "stand_in": self.stand_in}
        return {"text/plain": str(self), DATA_MIME: record}


@dataclass(frozen=True)
class Expected:
    """What one array of a data set must be: uint8 of this shape, with this SHA-256 of its bytes in C order."""

    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Mirror:
    """One place to download from: its URLs, and the function that turns their files into the arrays."""

    urls: tuple[str, ...]
    read: Callable[[list[Path]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Dataset:
    """A data set that can be downloaded.

    Attributes:
        name: for the reader, for example "MNIST".
        file: its file in the VAELIB_DATA folder and in the cache.
        read: from a list with one path to the arrays by name; raises anything when it cannot.
        write: from arrays and a path to the file, for a mirror that keeps another format.
        expected: what the arrays must be.
        mirrors: where to download it, in the order in which they are tried.
    """

    name: str
    file: str
    read: Callable[[list[Path]], dict[str, np.ndarray]]
    write: Callable[[dict[str, np.ndarray], Path], None]
    expected: dict[str, Expected]
    mirrors: tuple[Mirror, ...]


_failed: dict[str, str] = {}  # by name: why the download failed, so that a second call does not wait again


def find(dataset):
    """Find a data set: in the VAELIB_DATA folder, in the cache, or by download.

    Returns:
        (arrays, origin, ""): the checked arrays by name and how they were found, or
        (None, "", reason): not found, and why the download did not bring them.

    Raises:
        DataError: VAELIB_DATA is no folder, or its file is not the data set.
    """
    folder = _data_folder()
    if folder is not None and (folder / dataset.file).exists():
        return read_checked(dataset, folder / dataset.file), "from the VAELIB_DATA folder", ""
    cached = cache_folder() / dataset.file
    if _is_file(cached):
        try:
            return read_checked(dataset, cached), "from the cache", ""
        except DataError as error:
            print(f"The {dataset.file} in the cache is not used, and fetched again: {error.__cause__}")
    if _offline():
        return None, "", "VAELIB_OFFLINE is set, so nothing was downloaded"
    if dataset.name in _failed:
        return None, "", f"{_failed[dataset.name]} (earlier; restart the kernel to try again)"
    arrays, result = _download(dataset, cached)
    if arrays is None:
        _failed[dataset.name] = result
        return None, "", result
    return arrays, f"downloaded from {result}", ""


def expects_real(dataset):
    """Whether `find` would look for the real data: they are in a folder, or may be downloaded.

    Raises:
        DataError: VAELIB_DATA is no folder.
    """
    folder = _data_folder()
    if (folder is not None and _is_file(folder / dataset.file)) or _is_file(cache_folder() / dataset.file):
        return True
    return not _offline()


def notice(dataset, stand_in, reason):
    """Print what is missing, what stands in for it, and how to get the real data."""
    print(
        f"{dataset.name} is missing. In its place: {stand_in}.\n"
        f"  Why: {reason}.\n"
        f"  To get it: put {dataset.file} in a folder and set VAELIB_DATA to that folder, or run once with network."
    )


def read_checked(dataset, path):
    """Read a file and return its arrays, or raise DataError when they are not the data set's."""
    try:
        return _read(dataset.read, [path], dataset.expected)
    except DataError as problem:
        raise DataError(
            f"{path} is not {dataset.name}: {problem} "
            f"Replace the file, or take it out of the folder so that {dataset.name} is looked for elsewhere."
        ) from problem


def _read(read, paths, expected):
    try:
        arrays = read(paths)
    except DataError:
        raise
    except PermissionError as error:
        raise DataError("the file may not be read: permission denied.") from error
    except Exception as error:  # a damaged file can make its reader raise anything
        raise DataError(
            f"the file cannot be read ({type(error).__name__}); it is cut off, damaged or of another kind."
        ) from error
    check(arrays, expected)
    return arrays


def check(arrays, expected):
    """Raise DataError unless arrays has each expected array, with its shape, dtype and content."""
    for name, want in expected.items():
        if name not in arrays:
            raise DataError(f"{name} is missing; the file holds {', '.join(sorted(arrays)) or 'nothing'}.")
        array = np.asarray(arrays[name])
        if array.shape != want.shape or array.dtype != np.uint8:
            raise DataError(f"{name} must be uint8 {want.shape}; received {array.dtype} {array.shape}.")
        digest = sha256(array)
        if digest != want.sha256:
            raise DataError(f"{name} has other content: expected SHA-256 {want.sha256}, received {digest}.")


def sha256(array):
    """SHA-256 of an array's bytes in C order, as hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def cache_folder():
    """The folder that keeps downloads: VAELIB_CACHE, or the system's cache folder."""
    if os.environ.get("VAELIB_CACHE"):
        return expanded("VAELIB_CACHE", os.environ["VAELIB_CACHE"]).absolute()
    import pooch

    return Path(pooch.os_cache("vaelib"))


def _offline():
    return os.environ.get("VAELIB_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def _data_folder():
    value = os.environ.get("VAELIB_DATA", "")
    if not value:
        return None
    folder = expanded("VAELIB_DATA", value)
    if not folder.is_dir():
        raise DataError(
            f"VAELIB_DATA must name a folder; received {value!r}, which is "
            f"{'a file' if folder.exists() else 'not there'}. Name the folder that holds the data files, or unset it."
        )
    return folder


def expanded(name, value):
    """Return a path with its ~ filled in, or raise DataError where nobody has that name."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise DataError(f"{name} must name a folder; received {str(value)!r}, and there is no such user.") from error


def _download(dataset, cached):
    """Try the mirrors in turn. Returns (arrays, host), or (None, what went wrong)."""
    try:
        return _try_mirrors(dataset, cached)
    except OSError as error:  # none of the mirrors' doing
        return None, f"the download could not be written to {tempfile.gettempdir()}: {_reason(error)}"


def _try_mirrors(dataset, cached):
    problems = []
    with tempfile.TemporaryDirectory(prefix="vaelib-", ignore_cleanup_errors=True) as scratch:
        for number, mirror in enumerate(dataset.mirrors):
            host = urlsplit(mirror.urls[0]).hostname
            paths = []
            try:
                for i, url in enumerate(mirror.urls):
                    paths.append(Path(scratch) / f"{number}-{i}")
                    patience = PATIENCE_SECONDS[min(number, 1)]
                    _fetch(url, paths[-1], patience if i == 0 else STALL_SECONDS, f"{dataset.name} from {host}")
                arrays = _read(mirror.read, paths, dataset.expected)
            except Exception as error:  # whatever went wrong here, the next mirror may be well
                if isinstance(error, OSError) and error.errno in _DISK:
                    raise
                problems.append(f"{host}: {_reason(error)}")
                continue
            _keep(dataset, mirror, arrays, paths[0], cached)
            return arrays, host
    return None, "no mirror brought it (" + "; ".join(problems) + ")"


class _Watch:
    """Counts what a download brings, in the place of pooch's progress bar, and ends it where it shall not go on."""

    def __init__(self):
        self.total, self.bytes, self.unwanted = 0, 0, False

    def update(self, count):
        self.bytes += count
        if self.unwanted:
            raise TimeoutError("left")
        if max(self.bytes, self.total) > LARGEST_FILE:
            raise DataError(f"the file is larger than {LARGEST_FILE / 1e6:.0f} MB")

    def reset(self):
        pass

    def close(self):
        pass


def _fetch(url, path, patience, what):
    """Download one file, in a thread: looking up a host's name can hang far beyond any time limit of its own."""
    import pooch

    problem, watch = [], _Watch()

    def work():
        try:
            pooch.HTTPDownloader(timeout=(STALL_SECONDS, STALL_SECONDS), progressbar=watch)(url, str(path), None)
        except Exception as error:
            problem.append(error)

    thread = threading.Thread(target=work, daemon=True)
    started = time.monotonic()
    thread.start()
    looked, had, told = started, 0, started
    try:
        while thread.is_alive():
            now = time.monotonic()
            if not watch.bytes and now - started > patience:
                raise TimeoutError("no answer")
            if watch.bytes and now - looked > STALL_SECONDS:
                if watch.bytes - had < SLOWEST * STALL_SECONDS:
                    raise TimeoutError(f"too slow, {(watch.bytes - had) / STALL_SECONDS / 1000:.1f} kB a second")
                looked, had = now, watch.bytes
            if watch.bytes and now - told > TELL_SECONDS:
                told = now
                of = f" of {watch.total / 1e6:.1f}" if watch.total else ""
                print(f"Downloading {what}: {watch.bytes / 1e6:.1f}{of} MB", flush=True)
            thread.join(0.02)
    finally:
        watch.unwanted = True  # a thread that is left must not go on to fill the disk
    if problem:
        raise problem[0]


def _keep(dataset, mirror, arrays, downloaded, cached):
    """Put the file into the cache."""
    try:
        with replace_file(cached) as half:
            if mirror.read is dataset.read:
                shutil.copyfile(downloaded, half)
            else:  # this mirror packs the arrays in another format
                dataset.write(arrays, half)
    except OSError as error:
        print(f"{dataset.name} was downloaded but not kept in the cache: {_reason(error)}.")
        print("  The next call downloads it again, unless VAELIB_CACHE names a folder that can be written.")


def _is_file(path):
    try:
        return path.is_file()
    except OSError:
        return False


def _reason(error):
    """One phrase for the reader: no path, no address in memory."""
    if isinstance(error, DataError) or (isinstance(error, TimeoutError) and not error.errno):
        return str(error).rstrip(".")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    return getattr(error, "strerror", None) or type(error).__name__
