"""Who may import whom: the rooms of the package as ARCHITECTURE.md draws them, read from the import statements."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "vaelib"
GROUND = {"checks", "mime", "files", "quiet"}  # the modules that stand beside the rooms, below all of them
BACKENDS = {"tensorflow", "jax", "torch"}

BELOW = {
    "theory": GROUND,
    "data": GROUND,
    "training": GROUND,
    "model": {"training"} | GROUND,
    "pretrained": {"data", "model", "training"} | GROUND,
    "teaching": {"model", "training", "theory", "data", "pretrained"} | GROUND,
    "widgets": {"teaching", "model", "training", "theory", "data", "pretrained"} | GROUND,
    "tools": {"widgets", "teaching", "model", "training", "theory", "data", "pretrained"} | GROUND,
}
# What a room may need besides NumPy and the standard library; the others may need anything. IPython is asked for only
# where a notebook runs, which brings it.
OUTSIDE = {"theory": {"scipy"}, "model": {"keras"}, "training": {"keras", "IPython"} | BACKENDS}
ALWAYS = {"numpy", "lazy_loader", *sys.stdlib_module_names}

# The grader has rooms of its own; what is allowed to whom, as its docstring draws it.
GRADER = {"release": set(), "students": set(), "running": {"release", "students"}, "reporting": {"students"}}
COMMANDS = {"grading": {*GRADER}, "administration": {*GRADER}, "__main__": {*GRADER, "grading", "administration"}}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> list[tuple[str, str]]:
    """Return (module, name) of each import of a file, inside functions too, but not those for type checkers alone."""
    found = []

    def visit(node):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.extend((node.module, alias.name) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(parsed(path))
    return found


def room_of(module: str, name: str) -> str:
    """Return the room that an import reaches; "" for a public name of the package itself."""
    parts = [*module.split("."), name]
    return parts[1] if parts[1] in {*BELOW, *GROUND} else ""


FILES = sorted(path for room in BELOW for path in (PACKAGE / room).rglob("*.py"))


def test_every_folder_and_module_of_the_package_has_its_place():
    found = {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "_." and path.suffix in ("", ".py")}
    found = {name for name in found if (PACKAGE / f"{name}.py").exists() or any((PACKAGE / name).glob("*.py"))}
    assert found == {*BELOW, *GROUND}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down_only(path):
    room = path.relative_to(PACKAGE).parts[0]
    allowed = BELOW[room] | {room}
    if room in ("pretrained", "tools"):  # one writes the version into what it trains, the others use the public names
        allowed = allowed | {""}
    for module, name in imports(path):
        top = module.split(".")[0]
        if top == "vaelib":
            assert room_of(module, name) in allowed, f"{room} must not import {module} {name}"
            assert not name.startswith("_") or name == "__version__", f"{name} is private to its file"
            continue
        assert top not in BACKENDS or room == "training", f"only training may name {top}"
        assert room not in OUTSIDE or top in OUTSIDE[room] | ALWAYS, f"{room} must not need {top}"


def grader_imports(path: Path) -> list[list[str]]:
    """Return the way from the grader down to each thing that a file of it imports from it: room, module, name."""
    names = (f"{module}.{name}".rstrip(".") for module, name in imports(path))
    return [name.split(".")[3:] for name in names if name.startswith("vaelib.tools.grader.")]


def test_the_graders_rooms_import_one_way():
    files = sorted((PACKAGE / "tools/grader").rglob("*.py"))
    assert {path.parent.name for path in files} == {"grader", *GRADER}
    for path in files:
        room = path.parent.name if path.parent.name in GRADER else path.stem
        allowed = {room, "GraderError"} | (GRADER | COMMANDS).get(room, set())
        assert {way[0] for way in grader_imports(path)} <= allowed, f"{path.name}: {room} may import {allowed}"


def test_no_file_of_the_grader_imports_itself_by_a_detour():
    files = sorted((PACKAGE / "tools/grader").glob("*/*.py"))
    graph = {f"{path.parent.name}.{path.stem}": {".".join(way[:2]) for way in grader_imports(path)} for path in files}
    graphlib.TopologicalSorter(graph).prepare()  # raises a CycleError that names the circle


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@functools.cache
def private_names(path: Path) -> set[str]:
    """Return the names with one leading underscore that a file defines; `_repr_html_` and its like are a protocol's."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if name.startswith("_") and not name.startswith("__") and not name.endswith("_")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_file_reaches_for_what_is_private_to_another(path):
    """Neither through a module, nor through an object, nor through `self` from a base class in another file."""
    theirs = set().union(*map(private_names, FILES)) - private_names(path)
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in theirs, f"line {node.lineno}: {ast.unparse(node)} is private to another file"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_backend_is_named_in_a_string_either(path):
    if path.relative_to(PACKAGE).parts[0] != "training":
        texts = [node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)]
        assert not BACKENDS & {text for text in texts if isinstance(text, str)}


KERAS_AND_NUMPY_ALONE = """
import importlib, pkgutil, sys

BLOCKED = set("{blocked}".split())

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import vaelib, vaelib.model, vaelib.training

for room in (vaelib.model, vaelib.training):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name not in {backends}:
                raise

import numpy as np

posterior, likelihood = vaelib.DiagonalNormal(2), vaelib.Bernoulli((4,))
encoder = vaelib.dense_encoder((4,), posterior.params_size, 3)
decoder = vaelib.dense_decoder(2, likelihood.params_size, 3)
vae = vaelib.VAE(encoder, decoder, posterior, likelihood, vaelib.StandardNormal(2))
vae.compile("adam")
x = np.random.default_rng(0).random((8, 4)).astype("float32")
vae.fit(x, epochs=1, batch_size=4, validation_data=x)
assert vae.reconstruct(x).shape == x.shape
print(sorted(BLOCKED & {{name.split(".")[0] for name in sys.modules}}))
"""
# What the extras bring, by the names that are imported.
EXTRAS = (
    "scipy matplotlib contourpy ipywidgets anywidget traitlets IPython PIL pooch mlxtend sklearn pandas sympy tqdm "
    "psutil papermill nbformat nbconvert nbgrader jupyter_client jupyterlab jinja2 yaml"
)


def test_the_model_and_its_training_need_keras_and_numpy_alone():
    code = KERAS_AND_NUMPY_ALONE.format(blocked=EXTRAS, backends=BACKENDS)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", sorted(GROUND))
def test_the_ground_stands_on_numpy_alone(name):
    assert all(module.split(".")[0] in ALWAYS for module, _ in imports(PACKAGE / f"{name}.py"))
