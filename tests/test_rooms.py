"""Who may import whom: the rooms of the package as ARCHITECTURE.md draws them, read from the import statements."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "vaelib"
GROUND = {"checks", "mime", "files"}  # the modules that stand beside the rooms, below all of them
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

    visit(ast.parse(path.read_text("utf-8")))
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


@pytest.mark.parametrize("name", sorted(GROUND))
def test_the_ground_stands_on_numpy_alone(name):
    assert all(module.split(".")[0] in ALWAYS for module, _ in imports(PACKAGE / f"{name}.py"))
