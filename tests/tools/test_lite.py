"""The lessons for the browser: what is changed in them, the lock file of the browser's Python, what is refused."""

import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vaelib.tools.lite import LiteError, build_lite, contents, lock, pyodide, wheels
from vaelib.tools.lite.__main__ import main

ROOT = Path(__file__).parents[2]
# A lock file of two packages, one compiled and one pure, in the form of Pyodide's.
UPSTREAM = {
    "info": {"python": "3.14.0"},
    "packages": {
        "numpy": {
            "name": "numpy", "version": "2.4.3", "file_name": "numpy-2.4.3-wasm32.whl", "sha256": "0", "depends": [],
        },
        "Pure_Eval": {
            "name": "Pure_Eval", "version": "1.0", "file_name": "pure_eval-1.0-py3-none-any.whl", "sha256": "0",
            "depends": ["NumPy"],
        },
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What `fetch` would have filled, with the small lock file in place of Pyodide's."""
    monkeypatch.setattr(pyodide, "core_lock", lambda folder: UPSTREAM)
    monkeypatch.setattr(lock, "core_lock", lambda folder: UPSTREAM)
    monkeypatch.setattr(pyodide, "WANTED", ("pure-eval",))
    return tmp_path


def write_wheel(folder, name, version="1.0", requires=(), modules=("module.py",)):
    """A wheel with these requirements, as pip would read it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    with zipfile.ZipFile(path, "w") as file:
        for module in modules:
            file.writestr(module, "")
        file.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
    return path


def test_only_what_the_lessons_need_of_pyodide_is_taken(folder, monkeypatch):
    assert [entry["name"] for entry in pyodide.needed(folder)] == ["numpy", "Pure_Eval"]
    monkeypatch.setattr(pyodide, "WANTED", ("numpy",))
    assert [entry["name"] for entry in pyodide.needed(folder)] == ["numpy"]


def test_a_compiled_package_must_be_the_one_of_the_lock_file_and_a_pure_one_of_its_version(folder, monkeypatch):
    compiled, pure = pyodide.needed(folder)
    assert pyodide.find_package(folder, compiled) is None
    (folder / compiled["file_name"]).write_bytes(b"another file of this name")
    assert pyodide.find_package(folder, compiled) is None
    monkeypatch.setitem(compiled, "sha256", pyodide.sha256(folder / compiled["file_name"]))
    assert pyodide.find_package(folder, compiled) == folder / compiled["file_name"]
    write_wheel(folder, "pure_eval", "0.9")
    (folder / "no-wheel-none-any.whl").touch()
    assert pyodide.find_package(folder, pure) is None
    found = write_wheel(folder, "pure_eval", "1.0")
    assert pyodide.find_package(folder, pure) == found


def test_the_lock_file_says_where_each_package_lies(folder, monkeypatch):
    mine = write_wheel(folder, "mine", requires=["NumPy>=2", "tqdm; extra == 'progress'", "pywin32; os_name == 'nt'"])
    packages = lock.make_lock(folder, [mine], on_board=False)["packages"]
    assert packages["numpy"]["file_name"] == pyodide.CDN + "numpy-2.4.3-wasm32.whl"
    assert packages["mine"] == {
        "name": "mine", "version": "1.0", "file_name": mine.name, "sha256": pyodide.sha256(mine), "imports": ["module"],
        "depends": ["numpy"], "install_dir": "site", "package_type": "package", "unvendored_tests": False,
    }  # fmt: skip
    with pytest.raises(LiteError, match="lacks numpy"):
        lock.make_lock(folder, [mine], on_board=True)
    content = b"compiled"
    (folder / "numpy-2.4.3-wasm32.whl").write_bytes(content)
    monkeypatch.setitem(UPSTREAM["packages"]["numpy"], "sha256", pyodide.sha256(folder / "numpy-2.4.3-wasm32.whl"))
    pure = write_wheel(folder, "pure_eval")
    packages = lock.make_lock(folder, [mine], on_board=True)["packages"]
    assert packages["numpy"]["file_name"] == "numpy-2.4.3-wasm32.whl"
    assert packages["pure-eval"]["sha256"] == pyodide.sha256(pure) != "0"  # PyPI's file, not the one of the lock file


def test_a_package_that_is_nowhere_is_named(folder):
    with pytest.raises(LiteError, match="mine asks for tensorflow"):
        lock.make_lock(folder, [write_wheel(folder, "mine", requires=["tensorflow"])], on_board=False)


def test_vaelib_travels_with_what_the_lessons_import_and_without_keras(tmp_path):
    wheel = wheels.build_vaelib(tmp_path)
    entry = lock.entry_of(wheel, "3.14.0")
    assert {"keras", "sympy"}.isdisjoint(entry["depends"])
    assert {"numpy", "scipy", "matplotlib", "anywidget", wheels.STAND_IN} <= {*entry["depends"]}
    assert entry["imports"] == ["vaelib"]
    with zipfile.ZipFile(wheel) as file:
        names = {*file.namelist()}
    for needed in ("vaelib/widgets/bundles/labs.js", "vaelib/pretrained/mnist.npz", "vaelib/__init__.pyi"):
        assert needed in names
    assert not any("node_modules" in name for name in names)


def test_keras_says_that_it_is_missing_and_the_next_cell_runs(tmp_path):
    stand_in = wheels.build_stand_in(tmp_path)
    assert lock.entry_of(stand_in, "3.14.0")["imports"] == ["keras"]
    cells = ["import keras\nprint('not here')", "from keras import ops", "print('and on')"]
    code = f"""
import sys
sys.path.insert(0, {str(stand_in)!r})
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in {cells!r}:
    shell.run_cell(cell)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [wheels.MESSAGE, wheels.MESSAGE, "and on"]


def test_a_lesson_is_made_ready_for_the_browser():
    cells = [
        new_markdown_cell("# A title\n\n[next](01_next.ipynb), [aboard](02_aboard.ipynb#there), ![](../images/a.svg)"),
        new_code_cell("import numpy as np"),
        new_markdown_cell("## In Keras"),
        new_code_cell("import keras  # here\nfrom keras import ops"),
        new_markdown_cell("### And on"),
        new_code_cell("ops.ones(2)"),
        new_markdown_cell("Text.\n\n## What we did"),
        new_code_cell("summary()"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = contents.for_browser(new_notebook(cells=cells, metadata={"kernelspec": kernel}), {"02_aboard"})
    assert made.metadata["kernelspec"] == contents.KERNEL
    sources = [cell.source for cell in made.cells]
    assert "[aboard](02_aboard.ipynb#there)" in sources[0] and "](../images/a.svg)" in sources[0]
    assert "[next](https://mybinder.org/v2/gh/" in sources[0] and "notebooks/01_next.ipynb)" in sources[0]
    assert sources[1] == "import numpy as np"
    assert sources[3] == "import keras  # here\nfrom keras import ops"
    assert sources[5] == "import keras\n\nops.ones(2)"
    assert sources[7] == "summary()"


def test_images_are_the_same_in_ascii(tmp_path):
    contents.write_contents([ROOT / "notebooks" / "02_elbo.ipynb"], ROOT / "images", tmp_path)
    images = sorted((ROOT / "images").glob("*.svg"))
    assert images and any(not path.read_text("utf-8").isascii() for path in images)
    for path in images:
        copy = tmp_path / "images" / path.name
        assert copy.read_bytes().isascii()
        assert ElementTree.canonicalize(from_file=copy) == ElementTree.canonicalize(from_file=path)
    nbformat.validate(nbformat.read(tmp_path / "notebooks" / "02_elbo.ipynb", as_version=4))


def test_a_folder_that_is_no_earlier_build_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(LiteError, match="no earlier build"):
        build_lite(tmp_path, tmp_path, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_what_is_missing_is_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(LiteError, match=r"does not hold pyodide-\d"):
        pyodide.check(tmp_path)
    with pytest.raises(LiteError, match="whose name begins with 77_; found 0"):
        contents.find_lessons(ROOT / "notebooks", ["77"])
    monkeypatch.setenv("PATH", "")
    assert main(["--pyodide", str(tmp_path), "--output", str(tmp_path / "site")]) == 2
    assert "npm was not found" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
