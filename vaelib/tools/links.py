"""The project's public address, and the Binder and Colab links that are made from it.

`python -m vaelib.tools.links` (or `make links`) takes the address from the clone's own `origin`, keeps it below, and
writes every such link again: in README.md, in the notebooks and in the assignments. A notebook's links open the
notebook itself. In README.md the first Binder link and the first Colab link open the first notebook; a later one keeps
the notebook that it names.

Colab has its own environment, so a notebook needs vaelib there before anything else: `colab_install()` is the line
that a reader runs once in a new first cell. Colab brings TensorFlow and Jupyter, so only the package and what the
lessons import are missing.
"""

import argparse
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

# The repository's public address. `make links` writes it here, from the clone's origin.
REPOSITORY = "https://github.com/OWNER/REPOSITORY"
PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"  # leads nowhere
BRANCH = "main"

ROOT = Path(__file__).resolve().parents[2]

# Links are known by their host, whatever repository they name. Each ends where Markdown, HTML or JSON ends it.
_REST = r"""(?:[^\s"'<>()\[\]\\`]*[^\s"'<>()\[\]\\`.,;:!?*_])?"""
_BINDER = re.compile(r"https://mybinder\.org/v2/gh/" + _REST)
_COLAB = re.compile(r"https://colab\.research\.google\.com/github/" + _REST)
_SOURCE = re.compile(r"(git\+|git clone )https://github\.com/[\w.-]+/[\w-]+(?:\.[\w-]+)*")
_ORIGIN = re.compile(r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?")
# The words of a link, what they say while there is no address, and the link's beginning.
_NOT_YET = ", once `make links` has run"
_WORDS = re.compile(
    rf"(\[[^\[\]]*?)(?:{re.escape(_NOT_YET)})?"
    r"(\]\(https://(?:mybinder\.org/v2/gh|colab\.research\.google\.com/github)/)"
)
_NOTEBOOK = re.compile(r"(?:notebooks|assignments)/.+?\.ipynb")


def _name() -> str:
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", REPOSITORY)
    if match is None:
        raise ValueError(
            "REPOSITORY in vaelib/tools/links.py must read https://github.com/OWNER/NAME, without a closing slash; "
            f"received {REPOSITORY!r}."
        )
    return match[1]


def origin(root: Path = ROOT) -> str | None:
    """Return the public address of the clone's `origin`, or None where it has none on GitHub."""
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    try:
        url = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:  # no git
        return None
    return address_of(url)


def address_of(url: str) -> str | None:
    """Return the public address of a repository on GitHub that is given in any of git's ways, None for another."""
    match = _ORIGIN.fullmatch(url)
    return f"https://github.com/{match[1]}" if match else None


def move(address: str, root: Path = ROOT) -> None:
    """Keep another public address, in this file too."""
    global REPOSITORY
    file = root / "vaelib" / "tools" / "links.py"
    text = file.read_bytes().decode("utf-8")
    line = f'REPOSITORY = "{address}"'
    file.write_bytes(re.sub(r'^REPOSITORY = ".*"', lambda _: line, text, count=1, flags=re.M).encode("utf-8"))
    REPOSITORY = address


def readdress(address: str, root: Path) -> None:
    """Write the links of another copy of the project for an address; this one keeps its own."""
    global REPOSITORY
    own = REPOSITORY
    try:
        move(address, root)
        for path, text in outdated(root).items():
            path.write_bytes(text.encode("utf-8"))
    finally:
        REPOSITORY = own


def binder_link(notebook: str) -> str:
    """Return the address that opens a notebook in JupyterLab on Binder.

    Args:
        notebook: its path from the root of the repository, such as `notebooks/01_name.ipynb`.
    """
    return f"https://mybinder.org/v2/gh/{_name()}/HEAD?urlpath=lab/tree/{notebook}"


def colab_link(notebook: str) -> str:
    """Return the address that opens a notebook on Colab; the argument is that of `binder_link`."""
    return f"https://colab.research.google.com/github/{_name()}/blob/{BRANCH}/{notebook}"


def colab_install() -> str:
    """Return the line that a reader runs first on Colab."""
    return f'%pip install --quiet "vaelib[notebooks] @ git+https://github.com/{_name()}"'


def badges(notebook: str) -> str:
    """Return the Markdown of both launch badges of a notebook; the argument is that of `binder_link`."""
    binder = f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder_link(notebook)})"
    colab = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"{binder} [![Open in Colab]({colab})]({colab_link(notebook)})"


def notebooks(root: Path = ROOT) -> list[str]:
    """Return the paths of the course's notebooks from the root, in order."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("notebooks/*.ipynb"))


def relink(text: str, targets: Iterable[str] = (), *, own: str | None = None, where: str = "text") -> str:
    """Return the text with its links written again; without a public address their words say so.

    Args:
        text: Markdown, or the JSON text of a notebook. Nothing but the links changes.
        targets: the notebooks a link may name; the first link of each kind opens the first of them.
        own: the notebook whose text this is: all its links open itself, and `targets` is not used.
        where: the name for the text in an error.

    Raises:
        ValueError: a later link names none of `targets`.
    """
    known = list(targets)

    def rewrite(pattern: re.Pattern, make_link: Callable[[str], str], text: str) -> str:
        count = itertools.count()

        def replace(match: re.Match) -> str:
            first = next(count) == 0
            if own is not None:
                return make_link(own)
            if first and known:
                return make_link(known[0])
            named = _NOTEBOOK.search(unquote(match[0]))
            if named is None or named[0] not in known:
                raise ValueError(
                    f"{where}: a link must name a notebook of the course; received {match[0]}. "
                    f"Let it name one of: {', '.join(known) or 'none found'}."
                )
            return make_link(named[0])

        return pattern.sub(replace, text)

    text = rewrite(_BINDER, binder_link, text)
    text = rewrite(_COLAB, colab_link, text)
    not_yet = _NOT_YET if REPOSITORY == PLACEHOLDER else ""
    text = _WORDS.sub(lambda match: f"{match[1]}{not_yet}{match[2]}", text)
    return _SOURCE.sub(lambda match: f"{match[1]}https://github.com/{_name()}", text)


def outdated(root: Path = ROOT) -> dict[Path, str]:
    """Return the files whose links differ from what the address makes of them, each with its new text."""
    course = notebooks(root)
    # The sources; in a students' repository the assignments stand without them.
    places = ["assignments/source/**/*.ipynb", "assignments/*/*.ipynb"]
    assignments = sorted({path.relative_to(root).as_posix() for place in places for path in root.glob(place)})
    changed = {}
    for name in ["README.md", *course, *assignments]:
        path = root / name
        if not path.exists():
            continue
        # Bytes, so that line ends and everything else stay as they are.
        old = path.read_bytes().decode("utf-8")
        own = name if name.endswith(".ipynb") else None
        new = relink(old, targets=[*course, *assignments], own=own, where=name)
        if new != old:
            changed[path] = new
    return changed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit status: 0 when all is well, 1 when a file is out of date and only a check was asked for.

    Raises:
        SystemExit: a link or the address makes no sense, or this is no checkout (2).
    """
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.links",
        description="Write every Binder and Colab link again, from the address of the clone's origin on GitHub.",
    )
    parser.add_argument("--address", help="https://github.com/OWNER/NAME in place of the origin")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is out of date")
    options = parser.parse_args(argv)
    if not (ROOT / "pyproject.toml").exists():
        parser.error("the links are part of a checkout of the repository; run this there, not from an installed copy")
    address = None if options.check else options.address or origin(ROOT)
    try:
        if address and address != REPOSITORY:
            move(address, ROOT)
        changed = outdated()
    except ValueError as error:
        parser.error(str(error))
    for path, text in changed.items():
        if not options.check:
            path.write_bytes(text.encode("utf-8"))
        print(f"{'out of date' if options.check else 'rewritten'}: {path.relative_to(ROOT)}")
    print(f"{len(changed)} file(s) {'differ from' if options.check else 'changed to'} {REPOSITORY}")
    if REPOSITORY == PLACEHOLDER:
        print("That address is a placeholder, and the links lead nowhere: this clone has no origin on GitHub. Add one, "
              "or run `make links ARGS='--address https://github.com/OWNER/NAME'`.", file=sys.stderr)  # fmt: skip
    return int(options.check and bool(changed))


if __name__ == "__main__":
    raise SystemExit(main())
