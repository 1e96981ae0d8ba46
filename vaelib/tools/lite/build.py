"""Build the JupyterLite site."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vaelib.tools.lite.contents import find_lessons, write_contents
from vaelib.tools.lite.lock import make_lock
from vaelib.tools.lite.pyodide import (
    ADDED,
    CDN,
    CORE,
    HOW,
    LOCK,
    LiteError,
    check,
    find_added,
    needed,
    normal,
    read_core,
)
from vaelib.tools.lite.wheels import build_stand_in, build_vaelib

LESSONS = ("00", "01", "02", "03", "04", "05", "06")  # they import no Keras, but for the last section of 05
KERNEL = "@jupyterlite/pyodide-kernel-extension"
APPS = ("notebooks", "lab")  # a lesson alone, which fits a phone; and all of JupyterLab
WIDGETS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")  # the browser side of what ADDED holds
EXTENSIONS = Path("share") / "jupyter" / "labextensions"
PYTHON = "static/python"  # in the site: the lock file, and all that does not come from the CDN
KERNEL_WHEELS = ("ipykernel", "piplite", "pyodide_kernel")
# Loaded together while the kernel starts; what a lesson imports follows with its first cell.
PRELOADED = ["micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython"]
# HOME as Pyodide sets it, which gives all or none. A page may download no data set: other sites do not allow it.
ENVIRONMENT = {"HOME": "/home/pyodide", "VAELIB_OFFLINE": "1"}


def build_lite(
    folder: Path, output: Path, jupyterlite: Path, notebooks: Path = Path("notebooks"), on_board: bool = False,
    lessons: Sequence[str] = LESSONS,
) -> None:  # fmt: skip
    """Write the lessons as a JupyterLite site; what an earlier build left in the output goes.

    JupyterLite builds into an empty folder each time: over an earlier build it may silently leave the settings as they
    are by default, which take everything from the network.

    Args:
        folder: what `fetch` filled.
        output: folder of the site. A folder that holds anything but such a site is refused.
        jupyterlite: the environment that holds JupyterLite and its Pyodide kernel. It is one of its own: the kernel
            would put itself into the JupyterLab of every reader.
        notebooks: folder of the lessons; their images lie in images/ beside it.
        on_board: whether everything lies in the output, or Pyodide and its packages come from its CDN.
        lessons: the numbers of the lessons.

    Raises:
        LiteError: something is missing or wrong, or JupyterLite failed.
    """
    if output.exists() and any(output.iterdir()) and not (output / "jupyter-lite.json").is_file():
        raise LiteError(f"{output} holds something that is no earlier build of the lessons. Name another folder.")
    if on_board:
        check(folder)
    kernel = _extension(jupyterlite, KERNEL)
    widgets = [_extension(Path(sys.prefix), name) for name in WIDGETS]
    with tempfile.TemporaryDirectory() as scratch:
        source, site = Path(scratch) / "source", Path(scratch) / "site"
        write_contents(find_lessons(notebooks, lessons), notebooks.parent / "images", source / "contents")
        # Not in the folder that JupyterLite knows as Pyodide's own: it would put itself in charge of it.
        _write_python(folder, kernel, Path(scratch) / "python", on_board)
        _write_settings(source, on_board)
        _run_jupyterlite(jupyterlite, source, site, [kernel, *widgets])
        shutil.copytree(Path(scratch) / "python", site / PYTHON)
        if output.exists():
            shutil.rmtree(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site, output)


def _extension(environment: Path, name: str) -> Path:
    """The folder of one of JupyterLab's extensions."""
    if not (environment / EXTENSIONS / name / "package.json").is_file():
        raise LiteError(f"JupyterLab's extension {name} is not installed in {environment}. `make lite` brings it.")
    return (environment / EXTENSIONS / name).absolute()


def _write_python(folder: Path, kernel: Path, output: Path, on_board: bool) -> None:
    """Write the wheels, the lock file, and with everything on board Pyodide itself."""
    output.mkdir(parents=True)
    build_vaelib(output)
    build_stand_in(output)
    for name in KERNEL_WHEELS:
        (wheel,) = (kernel / "static" / "pypi").glob(f"{name}-*.whl")
        shutil.copy(wheel, output)
    for name in ADDED:
        if (added := find_added(folder, name)) is None:
            raise LiteError(f"{folder} lacks {name} as a wheel. {HOW}")
        shutil.copy(added, output)
    lock = make_lock(folder, sorted(output.glob("*.whl")), on_board)
    (output / LOCK).write_text(json.dumps(lock, indent=1))
    if on_board:
        for name in CORE:
            (output / name).write_bytes(read_core(folder, name))
        for entry in needed(folder):
            shutil.copy(folder / lock["packages"][normal(entry["name"])]["file_name"], output)


def _write_settings(source: Path, on_board: bool) -> None:
    here = f"./{PYTHON}/"
    kernel = {
        "pyodideUrl": (here if on_board else CDN) + CORE[0],
        "disablePyPIFallback": on_board,
        "loadPyodideOptions": {"lockFileURL": here + LOCK, "packages": PRELOADED, "env": ENVIRONMENT},
    }
    data = {"appName": "vaelib", "litePluginSettings": {f"{KERNEL}:kernel": kernel}, "exposeAppInBrowser": True}
    settings = {"jupyter-lite-schema-version": 0, "jupyter-config-data": data}
    (source / "jupyter-lite.json").write_text(json.dumps(settings, indent=1))
    # Light or dark, as the reader's system is.
    themes = {"@jupyterlab/apputils-extension:themes": {"adaptive-theme": True}}
    (source / "overrides.json").write_text(json.dumps(themes, indent=1))


def _run_jupyterlite(jupyterlite: Path, source: Path, output: Path, extensions: list[Path]) -> None:
    python = str((jupyterlite / "bin" / "python").absolute())
    command = [python, "-m", "jupyterlite_core", "build", "--ignore-sys-prefix", "--no-sourcemaps"]
    command += ["--no-unused-shared-packages", "--no-libarchive", *(f"--apps={app}" for app in APPS)]
    command += ["--lite-dir", str(source), "--output-dir", str(output), "--contents", str(source / "contents")]
    command += [f"--LiteBuildConfig.federated_extensions={path}" for path in extensions]
    # No setting of this user, nor of this environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYODIDE"))}
    done = subprocess.run(command, env=environment, cwd=source, capture_output=True, text=True)
    if done.returncode:
        raise LiteError(f"JupyterLite failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
