"""The tested versions stand in requirements.txt alone; everything else takes them from there."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKE = shutil.which("make")
LOCKED = re.findall(r"--extra (\w+)", (ROOT / "Makefile").read_text())  # the extras that requirements.txt holds
needs_make = pytest.mark.skipif(MAKE is None, reason="make is not installed")


def pins() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def asked_for(*extras: str) -> list[Requirement]:
    """Return what the package and these extras ask for."""
    requirements, names = list(map(Requirement, PROJECT["dependencies"])), list(extras)
    while names:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][names.pop()]):
            if requirement.name == PROJECT["name"]:  # an extra that holds another
                names.extend(requirement.extras)
            else:
                requirements.append(requirement)
    return requirements


def pip_lines(environment: str) -> list[str]:
    dependencies = yaml.safe_load((ROOT / environment).read_text())["dependencies"]
    (lines,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return lines


def platform(system: str, machine: str, python: str) -> dict[str, str]:
    """Return the marker environment of a machine that need not be this one."""
    names = {"linux": ("Linux", "posix"), "darwin": ("Darwin", "posix"), "win32": ("Windows", "nt")}
    platform_system, os_name = names[system]
    return default_environment() | {
        "sys_platform": system,
        "platform_system": platform_system,
        "os_name": os_name,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.9",
    }


def test_every_pin_is_one_exact_version_and_nothing_else():
    assert "://" not in (ROOT / "requirements.txt").read_text(), "an address of a package index"
    assert len(pins()) > 50
    for pin in pins():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), f"{pin} is not one exact version"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    "system, machine", [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]
)
def test_the_pins_satisfy_pyproject_on_every_platform(system, machine, python):
    here = platform(system, machine, python)
    pinned = {}
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate(here):
            name = canonicalize_name(pin.name)
            assert name not in pinned, f"two versions of {name} for {system} {machine} {python}"
            (pinned[name],) = [specifier.version for specifier in pin.specifier]
    for requirement in asked_for(*LOCKED):
        if requirement.marker is None or requirement.marker.evaluate(here):
            version = pinned.get(canonicalize_name(requirement.name))
            assert version is not None, f"requirements.txt has no {requirement.name}; run `make lock`"
            assert requirement.specifier.contains(version), f"{requirement} against {version}; run `make lock`"


def test_the_lock_holds_every_extra_but_the_peers_and_the_gpu():
    assert {*LOCKED, "notebooks"} == {*PROJECT["optional-dependencies"]} - {"bench", "gpu", "lite"}


def test_the_package_itself_asks_for_no_more_than_the_model_needs():
    # tests/test_rooms.py shows that with these three the model imports, trains and reconstructs.
    assert {Requirement(line).name for line in PROJECT["dependencies"]} == {"keras", "numpy", "lazy_loader"}


@pytest.mark.parametrize("room", sorted(path.parent.name for path in (ROOT / "vaelib").glob("*/__init__.py")))
def test_the_extras_hold_all_that_a_room_imports(room):
    """What `import` statements name, by the distribution that brings it on the machine that runs the tests."""
    extras = {"model": [], "training": [], "tools": LOCKED}.get(room, ["notebooks"])
    asked = {canonicalize_name(requirement.name) for requirement in asked_for(*extras)}
    # These come with ipywidgets, papermill and nbgrader, and have to: they are the face these show to their users.
    asked |= {"ipython", "traitlets", "ipykernel", "jupyter-client", "nbformat", "sqlalchemy"}
    bringing = importlib.metadata.packages_distributions()
    for path in sorted((ROOT / "vaelib" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"vaelib"}:
                if top not in ("tensorflow", "jax", "torch"):  # a backend is the user's choice
                    names = {canonicalize_name(name) for name in bringing.get(top, [top])}
                    assert names & asked, f"{path.relative_to(ROOT)} imports {top}; name it in pyproject.toml"


def test_only_one_of_the_two_tensorflow_packages_is_installed():
    # Both own the folder tensorflow/, and the one that comes second wins.
    for system, machine in [("linux", "x86_64"), ("darwin", "arm64")]:
        here = platform(system, machine, "3.12")
        chosen = [p.name for p in pins() if p.name.startswith("tensorflow") and p.marker.evaluate(here)]
        assert chosen == ["tensorflow-cpu" if system == "linux" else "tensorflow"]


def test_the_gpu_extra_allows_the_tested_tensorflow():
    (gpu,) = map(Requirement, PROJECT["optional-dependencies"]["gpu"])
    versions = {str(pin.specifier) for pin in pins() if pin.name.startswith("tensorflow")}
    assert len(versions) == 1, "the CPU and the other TensorFlow are not the same version"
    assert gpu.specifier.contains(versions.pop().removeprefix("=="))


def test_these_tests_run_on_the_pinned_versions():
    wrong = []
    for pin in pins():
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        name = pin.name
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name != "tensorflow-cpu":
                raise
            version = importlib.metadata.version("tensorflow")  # the environment of GPU=1
        if not pin.specifier.contains(version, prereleases=True):
            wrong.append(f"{name} {version}, tested {pin.specifier}")
    assert not wrong, f"run `pip install -r requirements.txt`: {wrong}"


@pytest.mark.parametrize("environment", ["environment.yml", "binder/environment.yml"])
def test_conda_environments_name_no_version_but_pythons(environment):
    content = yaml.safe_load((ROOT / environment).read_text())
    assert content["name"] == "vaelib"
    # Exactly this spelling: Binder does not understand a range and takes another Python in silence.
    assert content["dependencies"][:2] == ["python=3.11", "pip"]
    assert "3.11.9" in SpecifierSet(PROJECT["requires-python"])
    references = [line.split(maxsplit=1) for line in pip_lines(environment)]
    assert {option for option, _ in references} <= {"-r", "-e"}, "only references, no package of its own"
    # pip reads them from the folder of the environment file.
    files = [(ROOT / environment).parent / value for option, value in references if option == "-r"]
    assert [file.resolve() for file in files] == [ROOT / "requirements.txt"]


def test_the_conda_environment_installs_vaelib_and_binders_leaves_it_to_post_build():
    assert "-e ." in pip_lines("environment.yml")
    assert not [line for line in pip_lines("binder/environment.yml") if line.startswith("-e")]


def test_the_makefile_names_no_version_of_a_package():
    # Comments aside, and without sed's patterns, which carry no number.
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in lines if re.search(r"[a-z\]][=<>~!]=+ *[0-9]", line)]
    asked = re.findall(r"\$\(call INSTALL,(.*)\)", "\n".join(lines))
    assert asked == ["-r requirements.txt -e .", "-r .venv-gpu/requirements.txt -e ."]
    (lowest,) = re.findall(r"--python-version (\S+)", "\n".join(lines))
    assert PROJECT["requires-python"] == f">={lowest}"


@needs_make
@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_make_lists_every_target(arguments):
    output = subprocess.run([MAKE, *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert re.findall(r"^make ([a-z-]+) +\S", output, re.M) == phony.split()


@pytest.fixture
def checkout(tmp_path):
    """An empty checkout with a Makefile, and a folder of programs that is all of PATH."""
    for name in ["Makefile", "requirements.txt", "pyproject.toml"]:
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    return tmp_path


def add_python(checkout: Path, name: str, version: str | None):
    """Put a program on PATH that answers as that Python does; None: as a version manager's dead shim does."""
    program = checkout / "bin" / name
    if version is None:
        program.write_text("#!/bin/sh\nexit 127\n")
    else:
        # The Makefile's own question, asked of a Python that claims to be another version.
        numbers = tuple(map(int, version.split(".")))
        claim = f"import sys; sys.version_info = {numbers}; exec(sys.argv[1])"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{claim}" "$2"\n')
    program.chmod(0o755)


def add_uv(checkout: Path, *, works: bool):
    """Put a uv on PATH that has every package or none."""
    program = checkout / "bin" / "uv"
    program.write_text(f'#!/bin/sh\necho "uv $*" >> said\n[ "$1" = --version ] || exit {0 if works else 2}\n')
    program.chmod(0o755)


def plan(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Return what make would do, without doing it."""
    environment = {"PATH": str(checkout / "bin")}
    return subprocess.run([MAKE, "-n", *arguments], cwd=checkout, env=environment, capture_output=True, text=True)


@needs_make
@pytest.mark.parametrize(
    "pythons, chosen",
    [
        ({"python3.12": None, "python3.11": "3.11.0", "python3": "3.10.4"}, "python3.11"),
        ({"python3.12": "3.12.1", "python3.11": "3.11.0"}, "python3.12"),
        ({"python3": "3.11.2"}, "python3"),
        ({"python3": "3.13.0"}, "python3"),
    ],
)
def test_make_takes_the_first_python_that_runs_and_fits(checkout, pythons, chosen):
    for name, version in pythons.items():
        add_python(checkout, name, version)
    result = plan(checkout, "course")
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if "-m venv" in line] == [f"{chosen} -m venv .venv"]


@needs_make
@pytest.mark.parametrize("pythons", [{}, {"python3.12": None, "python3": "3.10.4"}, {"python3": "3.14.0"}])
def test_make_says_in_one_sentence_that_no_python_fits(checkout, pythons):
    for name, version in pythons.items():
        add_python(checkout, name, version)
    result = plan(checkout, "course")
    assert result.returncode != 0
    assert len(result.stderr.splitlines()) == 1
    assert "Python 3.11, 3.12 or 3.13 with its venv module is needed and was not found" in result.stderr


@needs_make
@pytest.mark.parametrize("target", ["course", "test", "test-all", "lab", "outputs", "links"])
def test_make_sets_the_environment_up_once_and_again_when_the_pins_change(checkout, target):
    python = ["PYTHON=python3"]
    assert "-r requirements.txt" in plan(checkout, target, *python).stdout
    stamp = checkout / ".venv" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    second = plan(checkout, target, *python).stdout
    assert "pip install" not in second and ".venv/bin/python -m" in second
    for name in ["requirements.txt", "pyproject.toml"]:
        later = stamp.stat().st_mtime + 10
        os.utime(checkout / name, (later, later))
        assert "pip install" in plan(checkout, target, *python).stdout
        os.utime(checkout / name, (0, 0))


@needs_make
@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="no folder is closed to root")
def test_make_says_what_to_do_where_it_may_not_write(checkout):
    add_python(checkout, "python3", "3.12.1")
    environment = {"PATH": f"{checkout / 'bin'}"}
    checkout.chmod(0o555)
    try:
        command = [MAKE, "course"]
        result = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    finally:
        checkout.chmod(0o755)
    assert result.returncode != 0
    assert "let its owner run `make .venv/.installed` once" in result.stderr


@needs_make
@pytest.mark.parametrize("uv, asked", [(None, ["pip"]), (True, ["uv"]), (False, ["uv", "pip"])])
@pytest.mark.parametrize("folder", [".venv", ".venv-gpu"])
def test_make_sets_up_with_uv_where_it_is_and_with_pip_where_it_is_not_or_cannot(checkout, uv, asked, folder):
    """No package is installed: the programs write down what they were asked."""
    if uv is not None:
        add_uv(checkout, works=uv)
    python = checkout / "bin" / "python3"
    # As `python -m venv` does, it makes an environment whose Python answers in the same way.
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"\n'
        'else echo "$0 $*" >> said; fi\n'
    )
    python.chmod(0o755)
    for program in ["mkdir", "cp", "sed", "touch"]:
        (checkout / "bin" / program).symlink_to(shutil.which(program))
    environment = {"PATH": str(checkout / "bin")}
    command = [MAKE, f"{folder}/.installed", f"PYTHON={python}"]
    subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=True)
    assert (checkout / folder / ".installed").exists()
    said = [line for line in (checkout / "said").read_text().splitlines() if not line.endswith("--version")]
    (wanted,) = {line.split("install ")[1].split("-r ")[1] for line in said}  # the same of both
    assert wanted == f"{'' if folder == '.venv' else folder + '/'}requirements.txt -e ."
    starts = {"uv": "uv pip install", "pip": f"{folder}/bin/python -m pip install"}
    assert [line.startswith(starts[name]) for line, name in zip(said, asked, strict=True)] == [True] * len(asked)
    assert all(f"--python {folder}/bin/python " in line for line in said if line.startswith("uv"))


@needs_make
def test_make_with_gpu_keeps_to_an_environment_of_its_own_and_to_the_same_versions(checkout):
    lines = plan(checkout, "course", "GPU=1", "PYTHON=python3").stdout.replace("\\\n", "").splitlines()
    assert lines[-1].startswith(".venv-gpu/bin/python -m vaelib.tools.runner")
    assert not [line for line in lines if ".venv/" in line]
    (sed,) = [line.strip() for line in lines if line.strip().startswith("sed")]
    (checkout / ".venv-gpu").mkdir()
    subprocess.run(sed, shell=True, cwd=checkout, check=True)
    before = (checkout / "requirements.txt").read_text().splitlines()
    after = (checkout / ".venv-gpu" / "requirements.txt").read_text().splitlines()
    (cpu,) = [line for line in before if line.startswith("tensorflow-cpu==")]
    version = cpu.removeprefix("tensorflow-cpu==").split(" ")[0]
    assert [line for line in after if line not in before] == [f"tensorflow[and-cuda]=={version}"]
    assert not [line for line in after if line.startswith("tensorflow-cpu")]
    assert len(after) == len(before) - 1


@needs_make
def test_make_turns_a_relative_data_folder_into_an_absolute_one(checkout):
    with (checkout / "Makefile").open("a") as makefile:
        makefile.write("\nshow:\n\t@echo $$VAELIB_DATA\n")
    for arguments, environment in [(["VAELIB_DATA=../data"], {}), ([], {"VAELIB_DATA": "../data"})]:
        command = [MAKE, "show", *arguments]
        result = subprocess.run(
            command,
            cwd=checkout,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
        )
        assert result.stdout.strip() == str(checkout.parent / "data")


def test_the_licence_says_what_it_covers():
    text = (ROOT / "LICENSE").read_text()
    assert "MIT License" in text and "CC BY 4.0" in text
    assert "https://creativecommons.org/licenses/by/4.0/" in text
    assert 'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND' in text
    assert PROJECT["license"] == "MIT"
