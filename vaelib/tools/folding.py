"""Cells that only check: their code is folded, in JupyterLab and on the site; what they show stays open.

`python -m vaelib.tools.folding` marks them in the lessons, and takes the mark from those that are none any more. The
mark is the tag `check` and JupyterLab's own `source_hidden`. A cell only checks when

- it makes claims or records figures, and makes no answer of the reader's;
- it shows nothing but those: no picture, no text, no table;
- no other cell needs a name that it gives, unless that one only checks as well.

A cell with the tag `open` is never folded: its code is what the reader is to see. One with the tag `answer` computes a
worked answer: both its code and what it shows are folded, where the reader opens them.
"""

import argparse
import ast
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaelib.files import replace_file
from vaelib.mime import CLAIM_MIME, FIGURE_MIME
from vaelib.tools.extras import naming_extras

if TYPE_CHECKING:  # only the command needs it, to read and write
    import nbformat

TAG, ANSWER = "check", "answer"
CHECKS = {"claim_close", "claim_equal", "claim_true", "claim_monte_carlo", "record_figure"}
ANSWERS = {"check_answer", "require_answer"}
HIDDEN = {"source_hidden": True, "outputs_hidden": True}


def is_folded(cell: "nbformat.NotebookNode") -> bool:
    """Return whether a cell's code is folded."""
    return TAG in cell.metadata.get("tags", []) or bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def is_answer(cell: "nbformat.NotebookNode") -> bool:
    """Return whether a cell computes a worked answer."""
    return ANSWER in cell.metadata.get("tags", [])


def find_checks(notebook: "nbformat.NotebookNode") -> set[int]:
    """Return the places of the cells that only check."""
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    names = {i: _Names(notebook.cells[i].source) for i in code}
    found: set[int] = set()
    needed: set[str] = set()  # by open cells that come later
    for i in reversed(code):
        cell = notebook.cells[i]
        kept_open = {"open", "parameters", ANSWER} & set(cell.metadata.get("tags", []))
        if not kept_open and names[i].checks and _shows_checks_alone(cell.outputs) and not names[i].given & needed:
            found.add(i)
        else:
            # A name given here is not asked of an earlier cell any more, unless this one reads it first.
            needed = (needed - names[i].given) | names[i].read
    return found


def mark(notebook: "nbformat.NotebookNode") -> bool:
    """Fold the cells that only check, and unfold those that no longer do; return whether anything changed."""
    checks, changed = find_checks(notebook), False
    for i, cell in enumerate(notebook.cells):
        jupyter = cell.metadata.get("jupyter", {})
        if is_answer(cell) and jupyter != jupyter | HIDDEN:
            cell.metadata["jupyter"], changed = jupyter | HIDDEN, True
        if cell.cell_type != "code" or (i in checks) == (TAG in cell.metadata.get("tags", [])):
            continue
        changed = True
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != TAG]
        jupyter = {key: value for key, value in cell.metadata.get("jupyter", {}).items() if key != "source_hidden"}
        if i in checks:
            tags.append(TAG)
            jupyter["source_hidden"] = True
        for key, value in (("tags", tags), ("jupyter", jupyter)):
            cell.metadata.pop(key, None)
            if value:
                cell.metadata[key] = value
    return changed


class _Names:
    """What a cell's code gives to other cells and reads from them, and whether it checks.

    An import counts as nothing given: a cell that checks may be the first to need it.
    """

    def __init__(self, source: str) -> None:
        self.given: set[str] = set()
        self.read: set[str] = set()
        called: set[str] = set()
        lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
        self.checks = False
        try:
            statements = ast.parse("\n".join(lines)).body
        except SyntaxError:  # a cell of another language, or one that a reader is to mend
            return
        for statement in statements:
            given, read = _given_and_read(statement)
            self.read |= read - self.given
            self.given |= given
            for node in ast.walk(statement):
                if isinstance(node, ast.Call):
                    called.add(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
        self.checks = bool(called & CHECKS) and not called & ANSWERS


def _given_and_read(statement: ast.stmt) -> tuple[set[str], set[str]]:
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    given = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    given |= {node.name for node in ast.walk(statement) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
        read.add(statement.target.id)
    elif not isinstance(statement, ast.Assign):  # variables of loops and of functions are their own
        read -= given
    own = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
    for node in ast.walk(statement):
        if isinstance(node, ast.comprehension):
            own |= {name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)}
    return given - own, read - own


def _shows_checks_alone(outputs: Iterable["nbformat.NotebookNode"]) -> bool:
    return all({CLAIM_MIME, FIGURE_MIME} & set(output.get("data", {})) for output in outputs)


@naming_extras("course")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit status: 0 when all is well, 1 when a notebook is out of date and only a check was asked for.
    """
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.folding", description="Fold the cells that only check, by their committed outputs."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a notebook is out of date")
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(Path("notebooks").glob("*.ipynb")))
    options = parser.parse_args(argv)
    import nbformat

    outdated = False
    for path in options.notebooks:
        notebook = nbformat.read(path, as_version=4)
        if not mark(notebook):
            continue
        outdated = True
        if not options.check:
            with replace_file(path) as half:
                nbformat.write(notebook, half)
        print(f"{'out of date' if options.check else 'marked'}: {path}")
    return int(options.check and outdated)


if __name__ == "__main__":
    sys.exit(main())
