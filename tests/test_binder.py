"""What Binder will make of binder/: repo2docker writes the Dockerfile without a Docker daemon."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = ["binder", "environment.yml", "requirements.txt", "pyproject.toml"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="repo2docker and the scripts are for Unix")


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    """The Dockerfile, and what repo2docker says about it, for a copy of the files that decide it."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in FILES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, checkout / name)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "."]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


def position(text: str, pattern: str) -> int:
    """Return where the only match of the pattern begins."""
    matches = list(re.finditer(pattern, text, re.M))
    assert len(matches) == 1, f"{pattern!r} stands {len(matches)} times in the Dockerfile"
    return matches[0].start()


def test_python_is_the_one_that_the_environment_names(dockerfile):
    text, log = dockerfile
    assert "Building conda environment for python=3.11" in log
    assert "Python version unspecified" not in log
    # Each byte that is not a letter or digit is written as a dash and its code: environment.py-3.11-linux-64.lock
    base = re.findall(r"^COPY .*environment-2epy-2d(\d+)-2e(\d+)-2d", text, re.M)
    assert base == [("3", "11")]


def test_the_environment_file_is_binders_and_finds_the_pins_in_place(dockerfile):
    text, _ = dockerfile
    copied = position(text, r"^COPY \S+ src/ \$\{REPO_DIR\}/$")
    updated = position(text, r'env update -p \$\{NB_PYTHON_PREFIX\} --file "binder/environment\.yml"')
    assert copied < updated, "the reference to requirements.txt would not be there yet"
    assert not re.search(r"^COPY \S+ src/\S", text, re.M), "a part of the repository is copied on its own"
    # pip reads references from the folder of the environment file; nothing may keep the target out of the image.
    (reference,) = yaml.safe_load((ROOT / "binder/environment.yml").read_text())["dependencies"][-1]["pip"]
    assert (ROOT / "binder" / reference.removeprefix("-r ")).resolve() == ROOT / "requirements.txt"
    for ignore in [".dockerignore", ".containerignore"]:
        assert not (ROOT / ignore).exists() and not (ROOT / "binder" / ignore).exists()


def test_post_build_runs_after_the_environment_and_start_is_the_entry(dockerfile):
    text, _ = dockerfile
    updated = position(text, r"env update -p")
    assert updated < position(text, r"^RUN \./binder/postBuild$")
    position(text, r'^ENV R2D_ENTRYPOINT="\$\{REPO_DIR\}/binder/start"$')


@pytest.mark.parametrize("name", ["binder/postBuild", "binder/start", ".ci/run"])
def test_scripts_can_be_executed(name):
    path = ROOT / name
    assert os.access(path, os.X_OK), f"run: git add --chmod=+x {name}"
    assert path.read_text().startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n", str(path)], check=True)


def run_post_build(tmp_path: Path, python: str) -> subprocess.CompletedProcess:
    """Run postBuild with a stand-in for Python that notes its folder and arguments."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$PWD: $*" >> "{tmp_path}/calls"\n{python}\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([ROOT / "binder/postBuild"], cwd=tmp_path, env=environment, capture_output=True, text=True)


def test_post_build_installs_vaelib_alone_and_imports_it_from_elsewhere(tmp_path):
    assert run_post_build(tmp_path, "exit 0").returncode == 0
    install, check = (tmp_path / "calls").read_text().splitlines()
    assert install.startswith(f"{tmp_path}: -m pip install") and install.endswith("--no-deps -e .")
    assert check.startswith("/: -c import ") and "vaelib" in check


@pytest.mark.slow
def test_what_post_build_imports_is_there():
    code = re.search(r'^python -c "(.*)"$', (ROOT / "binder/postBuild").read_text(), re.M)[1]
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)
    broken = code.replace("LatentPad", "LatentPed")
    assert subprocess.run([sys.executable, "-c", broken], cwd="/", capture_output=True).returncode == 1


@pytest.mark.parametrize("step", ["install", "import"])
def test_post_build_fails_when_a_step_fails(tmp_path, step):
    result = run_post_build(tmp_path, f'case "$*" in *{step}*) exit 3;; esac')
    assert result.returncode == 3


def test_start_quietens_tensorflow_and_hands_over_to_the_command():
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    show = 'printf "%s|" "$TF_CPP_MIN_LOG_LEVEL" "$@"; exit 7'
    command = [ROOT / "binder/start", "sh", "-c", show, "sh", "two words", "*"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stdout == "3|two words|*|"
    assert result.returncode == 7


def test_start_leaves_no_shell_between_the_server_and_its_signals():
    # exec: the command takes over the process, so a signal to it reaches the server.
    with subprocess.Popen([ROOT / "binder/start", "sh", "-c", "echo $$"], stdout=subprocess.PIPE, text=True) as start:
        assert int(start.stdout.read()) == start.pid
