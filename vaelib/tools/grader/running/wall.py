"""A wall around a student's kernel: bubblewrap shows it the interpreter, vaelib and an empty folder, and nothing else.

The kernel has no network, sees no other process, writes to no disk, and everything it started ends with it. It speaks
with the grader through sockets in a folder that the two share.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import vaelib
from vaelib.tools.grader import GraderError
from vaelib.tools.kernels import WatchedKernel

HOME = "/home/student"
SCRATCH_BYTES = 256 * 10**6  # of each folder that it may write to: they lie in memory
SOCKETS_BYTES = 10**6  # of the one folder outside that it may write to
MISSING = (
    "Submissions run behind a wall, and it cannot be built here: {why}. Install bubblewrap (Debian and Ubuntu: "
    "`apt install bubblewrap`), grade in the container that assignments/README.md describes, or add --unprotected to "
    "run students' code with all that you yourself may read, write and send."
)

# All that a kernel gets of the teacher's environment: a token or a password would stand there too.
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "KERAS_BACKEND", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
_SET = {"HOME": HOME, "PATH": "/usr/bin:/bin", "VAELIB_OFFLINE": "1", "VAELIB_CACHE": f"{HOME}/.cache"}


def require_wall() -> None:
    """Refuse to grade where no wall can be built.

    Raises:
        GraderError: says what is missing and what to do.
    """
    if why := _missing():
        raise GraderError(MISSING.format(why=why))


@functools.cache
def _missing() -> str:
    """Why no wall can be built here; empty where it can."""
    if sys.platform != "linux":
        return "bubblewrap needs Linux"
    if not shutil.which("bwrap"):
        return "the program bwrap was not found"
    try:
        command = ["bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap does not run ({error})"
    return f"bwrap says: {tried.stderr.strip()}" if tried.returncode else ""


def is_available() -> bool:
    """Return whether a wall can be built on this machine."""
    return not _missing()


def behind_wall(command: list[str], sockets: Path, files: Iterable[Path] = (), extra: Iterable[Path] = ()) -> list[str]:
    """Return the command that runs another one behind the wall.

    Args:
        command: of the kernel.
        sockets: folder that both sides may write to.
        files: what lies beside the notebook; shown in its home, to be read alone.
        extra: more folders that may be read, such as the data's.
    """
    wall = ["bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    wall += ["--die-with-parent", "--new-session", "--hostname", "grader", "--proc", "/proc", "--dev", "/dev"]
    for scratch in ("/tmp", "/dev/shm", HOME):
        wall += ["--size", str(SCRATCH_BYTES), "--tmpfs", scratch]
    for place in map(Path, ("/bin", "/sbin", "/lib", "/lib32", "/lib64")):  # links into /usr, on most systems
        if place.is_symlink():
            wall += ["--symlink", os.readlink(place), str(place)]
        elif place.exists():
            wall += ["--ro-bind", str(place), str(place)]
    system = ["/usr", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/etc/ssl"]
    course = [sys.base_prefix, sys.prefix, str(Path(vaelib.__file__).parent)]
    for path in dict.fromkeys([*system, *course, *map(str, extra)]):
        if os.path.exists(path):
            wall += ["--ro-bind", path, path]
    for file in files:
        wall += ["--ro-bind", str(file), f"{HOME}/{file.name}"]
    # The kernel would look for its parent by a number that means nothing in there.
    wall += ["--unsetenv", "JPY_PARENT_PID"]
    wall += ["--bind", str(sockets), str(sockets), "--remount-ro", "/dev", "--remount-ro", "/"]
    return [*wall, "--chdir", HOME, *command]


class WalledKernel(WatchedKernel):
    """A kernel behind the wall; `cwd` names the folder whose other files it may read."""

    def __init__(self, **kwargs: Any) -> None:
        # A socket's path has at most about 100 characters.
        self._sockets = Path(tempfile.mkdtemp(prefix="kernel-", dir="/tmp"))
        self._files: list[Path] = []
        self._readable: list[Path] = []
        connection = str(self._sockets / "kernel.json")
        super().__init__(**{**kwargs, "transport": "ipc", "connection_file": connection})

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The kernel's command with the wall around it."""
        command = super().format_kernel_cmd(extra_arguments)
        return behind_wall(command, self._sockets, self._files, self._readable)

    @property
    def kernel_spec(self) -> Any:
        """An interrupt comes as a message: a signal would end the wall itself."""
        spec = super().kernel_spec
        spec.interrupt_mode = "message"
        return spec

    async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Start with an environment of its own, the teacher's data, and what lies beside the notebook."""
        beside = Path(kwargs.get("cwd") or ".").iterdir()
        self._files = [path for path in beside if path.is_file() and not path.is_symlink() and path.suffix != ".ipynb"]
        given = kwargs.get("env", os.environ)
        env = {**_SET, **{name: given[name] for name in _KEPT if name in given}}
        packages = _packages(given)
        if packages:
            env["PYTHONPATH"] = os.pathsep.join(packages)
        data = [given["VAELIB_DATA"]] if given.get("VAELIB_DATA") else []
        if data:
            env["VAELIB_DATA"] = os.path.abspath(data[0])
        self._readable = [Path(folder).resolve() for folder in (*packages, *data)]
        await super().start_kernel(**{**kwargs, "env": env})
        threading.Thread(target=self._watch_sockets, daemon=True).start()

    def _watch_sockets(self) -> None:
        """End a kernel that puts more than its sockets into the one folder of the disk that it may write to."""
        with contextlib.suppress(OSError):  # the folder is gone: so is the kernel
            while sum(entry.stat().st_size + 4096 for entry in os.scandir(self._sockets)) <= SOCKETS_BYTES:
                time.sleep(0.2)
            self.process.kill()

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """Take the shared folder away as well."""
        await super().shutdown_kernel(now=now, restart=restart)
        if not restart:
            shutil.rmtree(self._sockets, ignore_errors=True)


def _packages(env: Any) -> list[str]:
    """Folders of PYTHONPATH that hold packages; one that holds a whole course would show its solutions."""
    folders = [os.path.abspath(folder) for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    course = ("nbgrader_config.py", "*/nbgrader_config.py")
    return [folder for folder in folders if not any(any(Path(folder).glob(name)) for name in course)]
