"""Every Binder and Colab link follows from the one address in vaelib/tools/links.py."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from vaelib.tools import links

ROOT = Path(__file__).resolve().parents[2]
OTHER_BINDER = "https://mybinder.org/v2/gh/someone/else/v1?filepath=old%2Fname.ipynb"
OTHER_COLAB = "https://colab.research.google.com/github/someone/else/blob/dev/old/name.ipynb"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A small checkout whose links name other repositories, and a public address to put in their place."""
    monkeypatch.setattr(links, "REPOSITORY", "https://github.com/ada/vae.course")
    for name in ["01_first", "02_second"]:
        cell = {
            "cell_type": "markdown",
            "source": [f"[a]({OTHER_BINDER}) é\n", f'<a href="{OTHER_COLAB}">b</a>'],
        }
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        # An indent and line ends that no formatter of notebooks would write.
        text = json.dumps({"cells": [cell], "nbformat": 4}, indent=3, ensure_ascii=False).replace("\n", "\r\n")
        path.write_bytes(text.encode())
    (tmp_path / "README.md").write_text(
        f"[![B](https://mybinder.org/badge_logo.svg)]({OTHER_BINDER}), <{OTHER_COLAB}>.\n"
        "Lesson 2: https://mybinder.org/v2/gh/x/y/HEAD?urlpath=lab%2Ftree%2Fnotebooks%2F02_second.ipynb.\n"
        "`pip install git+https://github.com/x/y` or `git clone https://github.com/x/y.git`, "
        "but https://github.com/keras-team/keras stays.\n"
    )
    return tmp_path


def rewritten(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): text for path, text in links.outdated(root).items()}


def test_every_link_of_the_project_agrees_with_the_address():
    stale = [path.relative_to(ROOT).as_posix() for path in links.outdated(ROOT)]
    assert not stale, f"run `make links`: {stale}"


def test_the_project_launches_on_its_first_notebook():
    # Read with the standard library, not with the patterns under test.
    readme = (ROOT / "README.md").read_text()
    course = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    first = next((part for part in re.split(r"[()\s<>\"]", readme) if "mybinder.org/v2/" in part), None)
    assert first is not None, "README.md has no Binder link"
    address = urlsplit(first)
    assert "https://github.com" + address.path.removeprefix("/v2/gh").removesuffix("/HEAD") == links.REPOSITORY
    assert parse_qs(address.query) == {"urlpath": [f"lab/tree/notebooks/{course[0]}"]}


@pytest.mark.parametrize("host", ["mybinder.org/v2/gh/", "colab.research.google.com/github/"])
def test_every_notebook_can_be_launched(host):
    missing = [name for name in links.notebooks(ROOT) if host not in (ROOT / name).read_text(encoding="utf-8")]
    assert not missing, "put vaelib.tools.links.badges(notebook) into its first cell"


def test_a_notebooks_links_open_the_notebook_itself_and_nothing_else_changes(course):
    name = "notebooks/02_second.ipynb"
    before = (course / name).read_bytes().decode()
    binder = "https://mybinder.org/v2/gh/ada/vae.course/HEAD?urlpath=lab/tree/notebooks/02_second.ipynb"
    colab = "https://colab.research.google.com/github/ada/vae.course/blob/main/notebooks/02_second.ipynb"
    assert rewritten(course)[name] == before.replace(OTHER_BINDER, binder).replace(OTHER_COLAB, colab)


def test_the_readme_launches_the_first_notebook_and_keeps_the_others(course):
    assert rewritten(course)["README.md"] == (
        "[![B](https://mybinder.org/badge_logo.svg)]"
        "(https://mybinder.org/v2/gh/ada/vae.course/HEAD?urlpath=lab/tree/notebooks/01_first.ipynb), "
        "<https://colab.research.google.com/github/ada/vae.course/blob/main/notebooks/01_first.ipynb>.\n"
        "Lesson 2: https://mybinder.org/v2/gh/ada/vae.course/HEAD?urlpath=lab/tree/notebooks/02_second.ipynb.\n"
        "`pip install git+https://github.com/ada/vae.course` or `git clone https://github.com/ada/vae.course`, "
        "but https://github.com/keras-team/keras stays.\n"
    )


def test_the_command_writes_what_the_check_misses_and_then_the_check_is_content(course, monkeypatch, capsys):
    monkeypatch.setattr(links, "ROOT", course)
    monkeypatch.setattr(links.outdated, "__defaults__", (course,))
    (course / "pyproject.toml").touch()
    before = (course / "README.md").read_text()
    assert links.main(["--check"]) == 1
    assert (course / "README.md").read_text() == before
    assert links.main([]) == 0
    assert capsys.readouterr().out.count("rewritten:") == 3
    assert links.main(["--check"]) == 0
    assert b"\r\n" in (course / "notebooks/01_first.ipynb").read_bytes()
    assert "someone" not in (course / "notebooks/01_first.ipynb").read_text()


def test_assignments_open_themselves(course):
    path = course / "assignments/source/ps1/elbo.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(f'"({OTHER_COLAB})\\n"')
    link = "https://colab.research.google.com/github/ada/vae.course/blob/main/assignments/source/ps1/elbo.ipynb"
    assert rewritten(course)["assignments/source/ps1/elbo.ipynb"] == f'"({link})\\n"'


def test_badges_and_the_colab_line_are_links_that_the_command_leaves_alone(course):
    name = "notebooks/01_first.ipynb"
    text = f"{links.badges(name)}\n{links.colab_install()}"
    assert links.relink(text, own=name) == text
    assert links.relink(text.replace("ada/vae.course", "x/y"), own=name) == text
    assert text.count("ada/vae.course") == 3


def test_a_link_to_a_notebook_that_is_gone_is_an_error(course):
    with (course / "README.md").open("a") as readme:
        readme.write("https://mybinder.org/v2/gh/x/y/HEAD?urlpath=lab/tree/notebooks/03_gone.ipynb\n")
    with pytest.raises(ValueError, match=r"README\.md: .*03_gone\.ipynb.*01_first\.ipynb, notebooks/02_second"):
        links.outdated(course)


def test_without_an_address_the_words_of_a_link_say_so(course, monkeypatch):
    monkeypatch.setattr(links, "REPOSITORY", links.PLACEHOLDER)
    for path, text in links.outdated(course).items():
        path.write_bytes(text.encode())
    notebook = (course / "notebooks" / "01_first.ipynb").read_bytes().decode()
    assert "[a, once `make links` has run](https://mybinder.org/v2/gh/OWNER/REPOSITORY/HEAD?" in notebook
    assert links.outdated(course) == {}  # said once
    monkeypatch.setattr(links, "REPOSITORY", "https://github.com/ada/vae.course")
    assert "[a](https://mybinder.org/v2/gh/ada/vae.course/HEAD?" in rewritten(course)["notebooks/01_first.ipynb"]


URLS = {
    "https://github.com/ada/vae.course": "https://github.com/ada/vae.course",
    "https://github.com/ada/vae.course.git": "https://github.com/ada/vae.course",
    "https://token@github.com/ada/course/": "https://github.com/ada/course",
    "git@github.com:ada/course.git": "https://github.com/ada/course",
    "ssh://git@github.com/ada/course.git": "https://github.com/ada/course",
    "https://example.org/ada/course.git": None,
    "../elsewhere": None,
}


@pytest.mark.parametrize("url", URLS)
def test_the_address_is_that_of_the_clones_origin(tmp_path, url):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert links.origin(tmp_path) is None
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", url], check=True)
    assert links.origin(tmp_path) == URLS[url]


def test_a_fork_moves_its_links_with_one_command(course, monkeypatch, capsys):
    monkeypatch.setattr(links, "ROOT", course)
    monkeypatch.setattr(links.outdated, "__defaults__", (course,))
    (course / "pyproject.toml").touch()
    file = course / "vaelib" / "tools" / "links.py"
    file.parent.mkdir(parents=True)
    file.write_bytes((ROOT / "vaelib" / "tools" / "links.py").read_bytes())
    subprocess.run(["git", "init", "--quiet", course], check=True)
    subprocess.run(["git", "-C", course, "remote", "add", "origin", "git@github.com:grace/fork.git"], check=True)
    assert links.main([]) == 0
    assert "changed to https://github.com/grace/fork" in capsys.readouterr().out
    assert file.read_text("utf-8").count('REPOSITORY = "https://github.com/grace/fork"\n') == 1
    assert "github/grace/fork/blob/main/notebooks/01_first.ipynb" in (course / "README.md").read_text()
    assert links.main(["--address", "https://github.com/ada/other"]) == 0
    assert "gh/ada/other/HEAD" in (course / "README.md").read_text()


@pytest.mark.parametrize("address", ["", "github.com/a/b", "https://github.com/a", "https://github.com/a/b/"])
def test_an_address_that_is_none_is_an_error(monkeypatch, address):
    monkeypatch.setattr(links, "REPOSITORY", address)
    with pytest.raises(ValueError, match="REPOSITORY in vaelib/tools/links.py must read"):
        links.binder_link("notebooks/01_first.ipynb")
