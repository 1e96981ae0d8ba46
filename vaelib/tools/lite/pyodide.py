"""Pyodide, the Python of the browser: which version, and where its files come from.

npm carries its core and its lock file, which names its packages, each with its SHA-256. The browser takes them from
Pyodide's CDN. Who wants them on board gets those of pure Python from PyPI; those that were compiled for the browser
must be put into the folder, and the lock file's hashes say whether they are the right ones.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from vaelib.files import replace_file

VERSION = "314.0.3"  # the Pyodide kernel of JupyterLite 0.8 starts any 314.0
ARCHIVE = f"pyodide-{VERSION}.tgz"  # as npm packs it
ARCHIVE_SHA256 = "d7f7d24f8db486c7eda7280f3b0f7517524c8e43e8b086c6ee6ae8016658b484"
CDN = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"
LOCK = "pyodide-lock.json"
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")

# What Pyodide does not have: pure Python, in the version of this environment, which also holds their browser side.
ADDED = ("anywidget", "comm", "ipywidgets", "mlxtend", "pooch", "psygnal")
# What the kernel starts with, what vaelib imports, what ADDED ask for, and what single lessons import.
WANTED = (
    *("micropip", "ipython", "jedi"),
    *("numpy", "scipy", "matplotlib", "contourpy", "pillow", "lazy-loader"),
    *("packaging", "platformdirs", "requests", "typing-extensions"),
    *("scikit-learn", "sympy"),
)

HOW = 'CONTRIBUTING.md, "The lessons in the browser", tells where each comes from.'


class LiteError(RuntimeError):
    """Something that the build needs is missing or wrong; the message says what, and what to do."""


def fetch(folder: Path, on_board: bool = False) -> None:
    """Fill a folder with what a build needs; files that are there and right are left alone.

    Args:
        folder: where the files lie; made where it is missing.
        on_board: fetch what the browser would otherwise take from Pyodide's CDN too.

    Raises:
        LiteError: npm or PyPI does not bring a file, or another one than expected. Also where compiled packages are
            missing, which neither of them has: the message names them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_right(folder / ARCHIVE, ARCHIVE_SHA256):
        _fetch_core(folder)
    missing = [(name, version) for name, version in _pure(folder, on_board) if not _wheel(folder, name, version)]
    _download([f"{name}=={version}" for name, version in missing], folder)
    if on_board:
        check(folder)


def check(folder: Path) -> None:
    """Raise LiteError unless the folder holds all that a build with everything on board needs."""
    if not _is_right(folder / ARCHIVE, ARCHIVE_SHA256):
        raise LiteError(f"{folder} does not hold {ARCHIVE} as npm has it. {HOW}")
    lacking = [entry["file_name"] for entry in needed(folder) if find_package(folder, entry) is None]
    lacking += [f"{name} {metadata.version(name)}" for name in ADDED if find_added(folder, name) is None]
    if lacking:
        raise LiteError(f"{folder} lacks these, or holds other files of their names: {', '.join(lacking)}. {HOW}")


def core_lock(folder: Path) -> dict[str, Any]:
    """Return Pyodide's own lock file, out of npm's archive."""
    return json.loads(read_core(folder, LOCK))


def needed(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of Pyodide's lock file for WANTED and all that these need in turn, by name."""
    by_name = {normal(entry["name"]): entry for entry in core_lock(folder)["packages"].values()}
    found: dict[str, dict[str, Any]] = {}
    waiting = list(WANTED)
    while waiting:
        name = normal(waiting.pop())
        if name not in found:
            found[name] = by_name[name]
            waiting += found[name]["depends"]
    return [found[name] for name in sorted(found)]


def find_package(folder: Path, entry: Mapping[str, Any]) -> Path | None:
    """Return the wheel of an entry of the lock file, or None.

    Pyodide packs some of the pure ones again, which changes their hash: PyPI's wheel of the same version will do.
    """
    if _is_right(folder / entry["file_name"], entry["sha256"]):
        return folder / entry["file_name"]
    return _wheel(folder, entry["name"], entry["version"])


def find_added(folder: Path, name: str) -> Path | None:
    """Return the wheel of one of ADDED, in the version of this environment, or None."""
    return _wheel(folder, name, metadata.version(name))


def read_core(folder: Path, name: str) -> bytes:
    """Return a file of npm's archive: one of CORE, or LOCK."""
    with tarfile.open(folder / ARCHIVE) as archive:
        file = archive.extractfile(f"package/{name}")
        assert file is not None, f"{name} is no file of {ARCHIVE}"
        return file.read()


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_right(path: Path, expected: str) -> bool:
    return path.is_file() and sha256(path) == expected


def _is_pure(entry: Mapping[str, Any]) -> bool:
    return entry["file_name"].endswith("-none-any.whl")


def _pure(folder: Path, on_board: bool) -> list[tuple[str, str]]:
    """Name and version of each package that PyPI shall bring."""
    upstream = [entry for entry in needed(folder) if _is_pure(entry)] if on_board else []
    return [(name, metadata.version(name)) for name in ADDED] + [(e["name"], e["version"]) for e in upstream]


def _wheel(folder: Path, name: str, version: str) -> Path | None:
    """The wheel of pure Python of this name and version in a folder."""
    for path in folder.glob("*-none-any.whl"):
        try:
            found, its_version, _, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if found == normal(name) and its_version == Version(version):
            return path
    return None


def _fetch_core(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _run(["npm", "pack", f"pyodide@{VERSION}", "--silent", "--pack-destination", scratch])
        if (received := sha256(Path(scratch) / ARCHIVE)) != ARCHIVE_SHA256:
            raise LiteError(f"npm brought another {ARCHIVE}: expected SHA-256 {ARCHIVE_SHA256}, received {received}.")
        with replace_file(folder / ARCHIVE) as half:
            half.write_bytes((Path(scratch) / ARCHIVE).read_bytes())


def _download(requirements: Iterable[str], folder: Path) -> None:
    """Let pip download wheels of pure Python for the Python of the browser, on any platform."""
    if not requirements:
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--implementation", "py", "--abi", "none", "--platform", "any"]
    _run([*command, "--python-version", core_lock(folder)["info"]["python"], "--dest", str(folder), *requirements])


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise LiteError(f"{command[0]} was not found. It comes with Node.js: install version 20 or newer.") from None
    if done.returncode:
        raise LiteError(f"{' '.join(command)} failed:\n{(done.stderr + done.stdout).strip()[-3000:]}")
