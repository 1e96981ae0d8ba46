"""The students' repository: the course as its last commit has it, without what solves the assignments."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat

from vaelib.tools import links
from vaelib.tools.grader import GraderError
from vaelib.tools.grader.release.course import CONFIG, assignment_names, source_notebook
from vaelib.tools.grader.release.place import SECRET, check_place, install
from vaelib.tools.grader.release.student_versions import build_release, secrets
from vaelib.tools.grader.release.workplace import workplace

# Of assignments/ students get these files, the notebooks and a page of their own: a teacher may keep anything there.
_KEPT = {".ruff.toml", CONFIG}
_MARK = re.compile(rb"#\s*(?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)")
# A solution shorter than this may rightly stand in a lesson: the assignments ask for what the lessons show.
_LINES = 4
_TEACHERS = re.compile(r"^## For teachers\n.*?(?=^## )", re.M | re.S)

_PAGE = """# Assignments

{list}

Each notebook begins with its rules and says how it is marked. Work in the course's environment (`make lab`) or on
Binder. Write into the answer cells and run the tests below them, which say what is off. Hand in the notebook under the
name that it has here, with all its cells.
"""
_SECTION = """## Assignments

Each begins with its rules; [assignments/README.md](assignments/README.md) says how to work on them and hand them in.

{list}

"""
_FOR_ANSWERS = """
[lint]
ignore = ["F401"]  # an answer will use what its cell imports
"""
_NO_TESTS = "The tests of the assignments hold right answers. They stand in the course's own repository.\n"


class Release(NamedTuple):
    """What was written.

    Args:
        files: how many.
        commit: the commit that they were made from, in short.
        address: the repository that the links open; None where no address is known.
        uncommitted: changed files of the checkout, whose changes are not in the release.
    """

    files: int
    commit: str
    address: str | None
    uncommitted: list[str]


def write_repository(course: str | os.PathLike, folder: str | os.PathLike, address: str | None = None) -> Release:
    """Write a folder that can be pushed as the students' repository.

    Args:
        course: the course directory, in a git checkout of the project.
        folder: where to write. A `.git` there stays, an earlier release is replaced.
        address: the students' repository on GitHub; by default the origin of `folder`.

    Raises:
        GraderError: no git checkout, changes in the sources that are not committed, an address that is none or that
            is the checkout's own, foreign files in the folder, or a solution or a hidden test in what was written.
    """
    root, folder = Path(course).resolve().parent, Path(folder).resolve()
    sources = f"{Path(course).name}/source"
    commit = _git(root, "rev-parse", "--short", "HEAD").strip()
    changed = [line[3:] for line in _git(root, "status", "--porcelain", "--", sources).splitlines()]
    if changed:
        raise GraderError(
            f"A release is made from the last commit, so {sources} must hold nothing that is not in it; received: "
            f"{', '.join(changed)}. Commit these changes, or take them back."
        )
    check_place(folder)
    address = _students_address(root, folder, address)
    with workplace() as work:
        checkout, students, built = work / "checkout", work / "students", work / "built"
        with tarfile.open(fileobj=io.BytesIO(_archive(root))) as archive:
            archive.extractall(checkout, filter="data")
        course = checkout / Path(course).name
        names = assignment_names(course)
        build_release(course, built, names)
        shutil.copytree(checkout, students, symlinks=True, ignore=_left_out(checkout))
        for name in names:
            shutil.copytree(built / "release" / name, students / "assignments" / name)
        _write_pages(students, names)
        links.readdress(address or links.PLACEHOLDER, students)
        leaks = list(find_answers(students, [source_notebook(course, name) for name in names]))
        if leaks:
            raise GraderError(
                "Nothing was written: a students' repository must show no solution and no hidden test, and would show "
                "these. Take them out, and commit.\n" + "\n".join(f"    {leak}" for leak in leaks)
            )
        files = install(students, folder, commit)
    uncommitted = _git(root, "diff", "--name-only", "HEAD").splitlines()
    return Release(files, commit, address, uncommitted)


def find_answers(folder: Path, sources: Iterable[nbformat.NotebookNode]) -> Iterator[str]:
    """Search every file below a folder for what solves the assignments, and say in a line each where something stands.

    A file must hold no mark of nbgrader's regions, no hidden test and no model text as a whole, and no solutions that
    have four lines or more together. Code in a file that is not a notebook is found line by line, whatever its indent.

    Args:
        folder: the folder to search.
        sources: the source notebooks.
    """
    regions = [region for source in sources for region in secrets(source)]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        if mark := _MARK.search(content):
            yield f"{name}: {mark[0].decode()}"
        lines = _lines(path, content)
        held = [region for region in regions if region.lines <= lines]
        short = [region for region in held if region.is_code]
        if sum(len(region.lines) for region in short) >= _LINES:
            short = []
        for region in held:
            if region not in short:
                yield f"{name}: {region.name}"


def _lines(path: Path, content: bytes) -> set[str]:
    """The lines of a file, stripped; of a notebook those of its cells and their outputs."""
    text = content.decode("utf-8", errors="replace")
    if path.suffix in (".ipynb", ".json"):
        try:
            text = "\n".join(_strings(json.loads(text)))
        except ValueError:  # no JSON after all
            pass
    return set(map(str.strip, text.splitlines()))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        # The source of a cell is a string, or its lines.
        for part in value:
            yield from _strings(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)


def _git(root: Path, *arguments: str) -> str:
    return _run_git(root, *arguments).decode("utf-8", errors="replace")


def _archive(root: Path) -> bytes:
    return _run_git(root, "archive", "--format=tar", "HEAD")


def _run_git(root: Path, *arguments: str) -> bytes:
    try:
        run = subprocess.run(["git", "-C", root, "-c", "core.quotePath=false", *arguments], capture_output=True)
    except FileNotFoundError:
        raise GraderError("A release is made from the last commit, and no `git` was found: install it.") from None
    if run.returncode:
        said = run.stderr.decode("utf-8", errors="replace").strip()
        raise GraderError(
            f"A release is made from the last commit, so {root} must be a git checkout of the course; git says: "
            f"{said or 'nothing'}. Clone the course in place of copying its files, or `git init` and commit them."
        )
    return run.stdout


def _students_address(root: Path, folder: Path, address: str | None) -> str | None:
    """The public address of the students' repository, None where it has none yet."""
    if address is not None:
        given, address = address, links.address_of(address)
        if address is None:
            raise GraderError(
                f"The students' address must read https://github.com/OWNER/NAME; received {given!r}. "
                "Give it so, or leave it out: the folder's own origin counts then."
            )
    elif (folder / ".git").exists():
        address = links.origin(folder)
    if address and address.lower() in (str(links.origin(root)).lower(), links.REPOSITORY.lower()):
        raise GraderError(
            f"The students' repository must be another one than this, which holds the sources; received {address} "
            "for both. Make an empty repository on GitHub and give its address."
        )
    return address


def _left_out(checkout: Path) -> Callable[[str, list[str]], set[str]]:
    """What `shutil.copytree` is to leave out."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        here = Path(folder).relative_to(checkout).as_posix()
        if here == "assignments":
            return set(names) - _KEPT
        return {name for name in names if f"{here}/{name}" in SECRET}

    return ignore


def _write_pages(students: Path, names: Iterable[str]) -> None:
    """Write the pages that say to students what those left out say to teachers."""
    titles = {name: _title(students / "assignments" / name / f"{name}.ipynb") for name in names}
    ordered = sorted(titles, key=lambda name: titles[name])
    near = [f"- [{titles[name]}]({name}/{name}.ipynb)" for name in ordered]
    (students / "assignments" / "README.md").write_text(_PAGE.format(list="\n".join(near)), "utf-8")
    paths = [(titles[name], f"assignments/{name}/{name}.ipynb") for name in ordered]
    far = [f"- [{title}]({path}), or [on Binder]({links.binder_link(path)})" for title, path in paths]
    readme = students / "README.md"
    text, count = _TEACHERS.subn(lambda _: _SECTION.format(list="\n".join(far)), readme.read_text("utf-8"))
    if count != 1:
        raise GraderError(
            "README.md must have one section `## For teachers`, with another section after it: students get the list "
            f"of assignments in its place. Found {count}."
        )
    readme.write_text(text, "utf-8")
    with open(students / "assignments" / ".ruff.toml", "a", encoding="utf-8") as file:
        file.write(_FOR_ANSWERS)
    (students / "tests" / "grading").mkdir(parents=True, exist_ok=True)
    (students / "tests" / "grading" / "README.md").write_text(_NO_TESTS, "utf-8")


def _title(path: Path) -> str:
    """The first heading of a notebook."""
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.+)$", text, re.M)
    return heading[1] if heading else path.stem
