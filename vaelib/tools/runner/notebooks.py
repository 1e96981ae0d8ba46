"""The notebooks of a course: which there are, and which parameters they have."""

import ast
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat


class CourseError(ValueError):
    """A request that the course cannot fulfil: no such notebook, no such parameter."""


@dataclass(frozen=True)
class Notebook:
    """One notebook of the course; nothing is read until it is asked for."""

    path: Path

    @property
    def name(self) -> str:
        """File name without `.ipynb`, such as `07_vae_in_keras`."""
        return self.path.stem

    @cached_property
    def content(self) -> nbformat.NotebookNode:
        """The parsed file; an empty notebook where there is none, or a broken one."""
        try:
            return nbformat.read(self.path, as_version=4)
        except Exception:  # it fails when it is run, with its own message
            return nbformat.v4.new_notebook()

    @cached_property
    def title(self) -> str:
        """The first heading, or the name."""
        for cell in self.content.cells:
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
                if line.startswith("# "):
                    return line[2:].strip()
        return self.name

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Parameters in the order of the cell tagged `parameters`, name to default, as source text."""
        tagged = (cell for cell in self.content.cells if "parameters" in cell.metadata.get("tags", []))
        cell = next(tagged, None)
        try:
            statements = ast.parse(cell.source).body if cell else []
        except SyntaxError:  # shown when the notebook runs
            return {}
        return {name: default for statement in statements for name, default in _assigned(statement)}

    @property
    def num_code_cells(self) -> int:
        """How many cells a kernel has to run."""
        return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in self.content.cells)

    def answers_to(self, wanted: str) -> bool:
        """Return whether a reader may mean this notebook by `6`, `06`, its name, its file name or its path."""
        number = self.name.split("_")[0]
        names = {self.name, self.path.name, str(self.path), number}
        return wanted in names or (wanted.isdecimal() and number.isdecimal() and int(wanted) == int(number))


def _assigned(statement: ast.stmt) -> list[tuple[str, str]]:
    """The names that a statement gives a value, each with the value's source text."""
    targets: list[ast.expr]
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return []
    if statement.value is None:
        return []
    value = ast.unparse(statement.value)
    return [(target.id, value) for target in targets if isinstance(target, ast.Name)]


def find_notebooks(folder: str | os.PathLike) -> list[Notebook]:
    """Return all notebooks in a folder, in the order of their file names.

    Raises:
        CourseError: when the folder does not exist or holds no notebook.
    """
    folder = Path(folder)
    found = sorted(path for path in folder.glob("*.ipynb") if path.is_file() and not path.name.startswith("."))
    if not found:
        missing = "holds no notebook (*.ipynb)" if folder.is_dir() else "does not exist"
        raise CourseError(
            f"The folder {folder} {missing}. Run this where the course is, or name its folder with --notebooks."
        )
    return [Notebook(path) for path in found]


def choose(notebooks: Sequence[Notebook], wanted: Iterable[str]) -> list[Notebook]:
    """Return the notebooks that `wanted` names, in course order; all of them when it names none.

    Raises:
        CourseError: when a name fits no notebook, or more than one.
    """
    wanted = list(wanted)
    chosen = set()
    for name in wanted:
        fitting = [notebook for notebook in notebooks if notebook.answers_to(name)]
        if len(fitting) != 1:
            problem = f"{len(fitting)} notebooks are called '{name}'" if fitting else f"No notebook '{name}'"
            names = ", ".join(notebook.name for notebook in fitting or notebooks)
            raise CourseError(f"{problem}. Choose from: {names}.")
        chosen.add(fitting[0].path)
    return [notebook for notebook in notebooks if not wanted or notebook.path in chosen]
