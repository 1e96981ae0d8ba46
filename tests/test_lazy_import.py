"""The public names stand in the stubs, load on first use, and never bring Keras in where nothing needs it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vaelib

PACKAGE = Path(vaelib.__file__).parent
STUBS = sorted(PACKAGE.rglob("__init__.pyi"))


def names_in(stub: Path) -> list[str]:
    """Return the public names of a stub; each must be written `as` itself, or type checkers take it for private."""
    names = []
    for node in ast.parse(stub.read_text("utf-8")).body:
        assert isinstance(node, ast.ImportFrom) and node.level == 1, f"{stub}: {ast.unparse(node)}"
        for alias in node.names:
            assert alias.asname == alias.name, f"{stub}: {ast.unparse(node)}"
            names.append(alias.name)
    return names


def module_of(stub: Path) -> str:
    return ".".join(stub.parent.relative_to(PACKAGE.parent).parts)


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(
    "modules",
    ["vaelib", "vaelib.theory, vaelib.teaching.claims, vaelib.data, vaelib.teaching.plots, vaelib.tools.runner"],
)
def test_the_import_brings_neither_keras_nor_tensorflow(modules):
    check = "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules), sorted(sys.modules)"
    result = run(f"import sys, {modules}; {check}")
    assert result.returncode == 0, result.stderr


def test_a_public_name_brings_in_only_its_own_module():
    code = (
        "import sys, vaelib; vaelib.claim_equal, vaelib.theory.gaussian, vaelib.load_mnist;"
        "assert 'keras' not in sys.modules and 'vaelib.model.vae' not in sys.modules"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_the_stub_is_the_one_list_of_public_names():
    names = names_in(PACKAGE / "__init__.pyi")
    assert len(names) == len(set(names)) and sorted(names) == vaelib.__all__ == dir(vaelib)
    assert {"VAE", "Bernoulli", "claim_close", "load_mnist", "theory", "teaching", "pretrained"} <= set(names)
    for name in names:
        assert getattr(vaelib, name) is not None, name
    with pytest.raises(AttributeError, match="VEA"):
        vaelib.VEA  # noqa: B018


def test_every_room_has_a_stub_that_names_its_files():
    rooms = {path.parent for path in PACKAGE.glob("*/__init__.py")}
    assert {stub.parent for stub in STUBS} >= rooms - {PACKAGE / "data"}  # data's names are functions, and light
    for room in {stub.parent for stub in STUBS} & {PACKAGE / name for name in ("theory", "teaching", "model")}:
        files = {path.stem for path in room.glob("*.py")} - {"__init__"}
        assert files <= set(names_in(room / "__init__.pyi")), room


@pytest.mark.slow
def test_every_name_of_a_room_loads_by_attribute_after_import_vaelib_alone():
    # In a process of its own: here another test may have imported the file that the attribute stands for.
    lines = ["import vaelib"]
    for stub in STUBS:
        names, module = names_in(stub), module_of(stub)
        lines += [f"assert {module}.{name} is not None" for name in names]
        lines += [f"assert sorted({names}) == dir({module}), '{module}'"]
    result = run("\n".join(lines))
    assert result.returncode == 0, result.stderr


TYPED = """
import vaelib
from vaelib import VAE, claim_close
from vaelib.pretrained import NumpyDecoder

reveal_type(VAE)
reveal_type(claim_close)
reveal_type(vaelib.teaching.answers.check_answer)
reveal_type(NumpyDecoder)
vaelib.VEA
"""


def test_a_type_checker_sees_the_public_names(tmp_path):
    user = tmp_path / "user.py"
    user.write_text(TYPED)
    # From the root, with what `make test` has just found out about the package: from nothing it takes half a minute.
    command = [sys.executable, "-m", "mypy", str(user)]
    result = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    seen = [line for line in result.stdout.splitlines() if "user.py:" in line]
    assert len(seen) == 5, result.stdout + result.stderr
    for line, words in zip(
        seen, ["vaelib.model.vae.VAE", "def (", "def (", "networks.NumpyDecoder", '"VEA"'], strict=True
    ):
        assert words in line and "Any" != line.split('"')[1], line
