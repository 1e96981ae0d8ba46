"""Without the packages of its extra, a command names the extra in one line."""

import importlib
import subprocess
import sys

import pytest

from vaelib.tools.extras import naming_extras

# What `pip install vaelib` brings, and no more. A name with an underscore is part of the standard library.
BARE = """
import runpy, sys

BROUGHT = {"vaelib", "keras", "numpy", "lazy_loader", "packaging", *sys.stdlib_module_names}

class Bare:
    def find_spec(self, name, path=None, target=None):
        if name[0] != "_" and name.split(".")[0] not in BROUGHT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Bare())
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "words, extras",
    [
        ("runner --help", "course"),
        ("runner list", "course"),
        ("runner sweep --help", "course"),
        ("site --output build/none", "course,site"),
        ("grader release", "course,classroom"),
        ("lite --help", "course"),
        ("folding", "course"),
    ],
)
def test_a_command_names_the_extra_that_is_missing(words, extras):
    name, *arguments = words.split()
    command = [sys.executable, "-c", BARE, f"vaelib.tools.{name}", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    (line,) = run.stderr.splitlines() or [run.stdout]
    assert run.returncode == 2 and f'pip install "vaelib[{extras}]"' in line


def test_a_module_that_vaelib_lacks_is_no_matter_of_installing():
    with pytest.raises(ModuleNotFoundError, match="vaelib.no_such"), naming_extras("course"):
        importlib.import_module("vaelib.no_such")
