"""Where the students' repository lies: what a release may replace there, and how it does.

A release keeps the names of its files and their SHA-256 beside them. The next one takes away these files alone: it
refuses where a file is nobody's it knows, or was changed since.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vaelib.tools.grader import GraderError

MANIFEST = ".release.json"
# What students may not read; the folder's history must not hold it either.
SECRET = ("assignments/source", "tests/grading")


def refuse_in_students_repository(course: str | os.PathLike) -> None:
    """Say in a sentence why nothing can be released or graded in a students' repository.

    Raises:
        GraderError: the course directory lies in one.
    """
    if (Path(course).resolve().parent / MANIFEST).exists() and not Path(course, "source").exists():
        raise GraderError(
            "This is the students' repository: it holds the assignments without their sources, so nothing can be "
            "released or graded here. Run this in the course's own repository, which wrote it by `make release`."
        )


def check_place(folder: Path) -> None:
    """See whether a release may be written to a folder.

    Raises:
        GraderError: it holds files that no release wrote or that were changed since, or a history with solutions.
    """
    if folder.exists() and not folder.is_dir():
        raise GraderError(f"{folder} is a file: name a folder for the students' repository, new or empty.")
    if (folder / ".git").exists():
        # A release writes a page into the folder of the tests.
        command = ["git", "-C", str(folder), "rev-list", "--all", "--max-count=1", "--", SECRET[0], f"{SECRET[1]}/*.py"]
        log = subprocess.run(command, capture_output=True, text=True)
        if log.returncode or log.stdout:
            found = log.stderr.strip() or f"commit {log.stdout[:10]} holds {' or '.join(SECRET)}"
            raise GraderError(
                f"The history of {folder} must hold no solutions, because whoever clones it can read all of it; "
                f"found: {found}. Name a folder with a history of its own (`git init`)."
            )
    known = _manifest(folder)
    foreign = sorted(name for name, digest in _digests(folder) if known.get(name) != digest)
    if foreign:
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise GraderError(
            f"{folder} must hold nothing but an earlier release and its .git; these no release wrote, or somebody "
            f"changed them since: {shown}. Move them away, or name another folder. "
            "(A change for the students belongs into the course's own repository.)"
        )


def install(stage: Path, folder: Path, commit: str) -> int:
    """Put a finished release into its folder, in place of an earlier one, and return the number of its files.

    Whatever git ignores there, an environment for example, stays. If it fails on the way, the earlier release is back.

    Args:
        stage: the finished files.
        folder: where they go; `check_place` has seen it.
        commit: what they were made from.
    """
    files = dict(sorted(_digests(stage)))
    text = json.dumps({"commit": commit, "files": files}, indent=1, ensure_ascii=False) + "\n"
    earlier = {name.split("/")[0] for name in _manifest(folder)} | {MANIFEST}
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside,
        _undone_on_error() as undo,
    ):
        new, old = Path(beside, "new"), Path(beside, "old")
        shutil.copytree(stage, new, symlinks=True)
        (new / MANIFEST).write_text(text, "utf-8")
        old.mkdir()
        moves = [(folder / name, old / name) for name in sorted(earlier)]
        moves += [(path, folder / path.name) for path in sorted(new.iterdir())]
        for source, target in moves:
            if os.path.lexists(source):
                source.rename(target)
                undo.callback(target.rename, source)
    return len(files)


@contextlib.contextmanager
def _undone_on_error() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as undo:
        yield undo
        undo.pop_all()


def _manifest(folder: Path) -> dict[str, str]:
    """The files that an earlier release wrote, with their digests."""
    try:
        return json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise GraderError(
            f"{folder / MANIFEST} must be what the last release wrote, and it cannot be read ({error}). "
            "Take it back from git, or name another folder."
        ) from None


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder with its SHA-256, without git's own, the manifest, and the folders that git ignores."""
    patterns = folder / ".gitignore"
    lines = patterns.read_text("utf-8").splitlines() if patterns.exists() else []
    ignored = [line.rstrip("/") for line in lines if line.endswith("/")]
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = [name for name in folders if not any(Path(name).match(pattern) for pattern in ignored)]
        links = [name for name in folders if (here / name).is_symlink()]
        if here == folder:
            folders[:] = [name for name in folders if name != ".git"]
            files = [name for name in files if name not in (".git", MANIFEST)]
        for path in (here / name for name in [*files, *links]):
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            yield path.relative_to(folder).as_posix(), hashlib.sha256(content).hexdigest()
