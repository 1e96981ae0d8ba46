"""vaelib as a wheel for the browser, and a stand-in for Keras, which loads in no browser."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from vaelib.tools.lite.pyodide import LiteError

ROOT = Path(__file__).resolve().parents[3]

STAND_IN = "vaelib-without-keras"
MESSAGE = (
    "Keras does not run in the browser, so this cell is left out here. "
    "Open the lesson in JupyterLab or on Binder to run it."
)

_PROJECT = f"""\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{STAND_IN}"
version = "1"
[tool.setuptools]
py-modules = ["keras"]
"""
# The browser's kernel stops at a cell that fails, whatever its tags say. So the error is one that IPython only prints.
_MODULE = f"""\
from IPython import get_ipython


class NotInBrowsers(ModuleNotFoundError):
    pass


def say(shell, kind, error, traceback, tb_offset=None):
    print(error)


if shell := get_ipython():
    shell.set_custom_exc((NotInBrowsers,), say)
raise NotInBrowsers({MESSAGE!r}, name=__name__)
"""


def build_vaelib(output: Path) -> Path:
    """Build the wheel of this checkout's vaelib, and return it.

    In a copy: setuptools leaves folders of its own beside what it builds.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, scratch)
        shutil.copytree(ROOT / "vaelib", Path(scratch) / "vaelib", ignore=_not_packaged)
        return _build(Path(scratch), output)


def build_stand_in(output: Path) -> Path:
    """Build the wheel whose module `keras` only says that it is missing, and return it."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "pyproject.toml").write_text(_PROJECT)
        (Path(scratch) / "keras.py").write_text(_MODULE)
        return _build(Path(scratch), output)


def _not_packaged(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in ("__pycache__", "node_modules")}


def _build(source: Path, output: Path) -> Path:
    before = set(output.glob("*.whl"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
    ]
    command += ["--no-build-isolation", "--wheel-dir", str(output), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LiteError(f"pip could not build a wheel:\n{done.stderr.strip()}")
    (wheel,) = set(output.glob("*.whl")) - before
    return wheel
