"""The notebooks of a course: which there are, which parameters they have, what an executed one says."""

import ast
import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from vaelib.mime import CLAIM_MIME, DATA_MIME, FIGURE_MIME


class CourseError(ValueError):
    """A request that the course cannot fulfil: no such notebook, no such parameter."""


@dataclass(frozen=True)
class Notebook:
    """One notebook of the course; nothing is read until it is asked for."""

    path: Path

    @property
    def name(self):
        """File name without `.ipynb`, such as `06_vae_in_keras`."""
        return self.path.stem

    @cached_property
    def content(self):
        """The parsed file; an empty notebook where there is none, or a broken one."""
        try:
            return nbformat.read(self.path, as_version=4)
        except Exception:  # it fails when it is run, with its own message
            return nbformat.v4.new_notebook()

    @cached_property
    def title(self):
        """The first heading, or the name."""
        for cell in self.content.cells:
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
                if line.startswith("# "):
                    return line[2:].strip()
        return self.name

    @cached_property
    def parameters(self):
        """Parameters in the order of the cell tagged `parameters`, name to default, as source text."""
        tagged = (cell for cell in self.content.cells if "parameters" in cell.metadata.get("tags", []))
        cell = next(tagged, None)
        try:
            statements = ast.parse(cell.source).body if cell else []
        except SyntaxError:  # shown when the notebook runs
            return {}
        found = {}
        for statement in statements:
            if isinstance(statement, ast.AnnAssign) and statement.value is not None:
                targets = [statement.target]
            else:
                targets = statement.targets if isinstance(statement, ast.Assign) else []
            for target in targets:
                if isinstance(target, ast.Name):
                    found[target.id] = ast.unparse(statement.value)
        return found

    @property
    def num_code_cells(self):
        """How many cells a kernel has to run."""
        return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in self.content.cells)

    def answers_to(self, wanted):
        """Whether a reader may mean this notebook by `6`, `06`, its name, its file name or its path."""
        number = self.name.split("_")[0]
        names = {self.name, self.path.name, str(self.path), number}
        return wanted in names or (wanted.isdecimal() and number.isdecimal() and int(wanted) == int(number))


def find_notebooks(folder):
    """All notebooks in a folder, in the order of their file names.

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


def choose(notebooks, wanted):
    """The notebooks that `wanted` names, in course order; all of them when it names none.

    Raises:
        CourseError: when a name fits no notebook, or more than one.
    """
    chosen = set()
    for name in wanted:
        fitting = [notebook for notebook in notebooks if notebook.answers_to(name)]
        if len(fitting) != 1:
            problem = f"{len(fitting)} notebooks are called '{name}'" if fitting else f"No notebook '{name}'"
            names = ", ".join(notebook.name for notebook in fitting or notebooks)
            raise CourseError(f"{problem}. Choose from: {names}.")
        chosen.add(fitting[0].path)
    return [notebook for notebook in notebooks if not wanted or notebook.path in chosen]


def parse_parameter(text):
    """Split `name=value`; the value is a Python literal, `true`, `false`, `null`, `inf`, `nan`, or else a string.

    Raises:
        CourseError: when there is no `=`, or no Python name before it.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise CourseError(f"A parameter is given as name=value; received '{text}'.")
    for read in (ast.literal_eval, {"true": True, "false": False, "null": None}.__getitem__, float):
        try:
            parsed = read(value.strip())
        except (ValueError, SyntaxError, KeyError, MemoryError, RecursionError):
            continue
        # Of what Python can write down, a notebook is given what JSON can write down too.
        return name, list(parsed) if isinstance(parsed, tuple) else parsed
    return name, value


def assign_parameters(chosen, parameters):
    """Give each chosen notebook those of the parameters that it has.

    Returns:
        dict of notebook name to its parameters.

    Raises:
        CourseError: when a parameter belongs to none of the chosen notebooks.
    """
    for name in parameters:
        if any(name in notebook.parameters for notebook in chosen):
            continue
        known = [f"{notebook.name} has {', '.join(notebook.parameters) or 'none'}" for notebook in chosen]
        similar = difflib.get_close_matches(name, {p for notebook in chosen for p in notebook.parameters}, 1)
        which = chosen[0].name if len(chosen) == 1 else "None of the chosen notebooks"
        hint = f" Did you mean '{similar[0]}'?" if similar else ""
        has = "has no" if len(chosen) == 1 else "has a"
        raise CourseError(f"{which} {has} parameter '{name}'.{hint} Parameters: {'; '.join(known)}.")
    return {
        notebook.name: {name: value for name, value in parameters.items() if name in notebook.parameters}
        for notebook in chosen
    }


def collect_evidence(notebook):
    """What the cells of an executed notebook recorded: claims, figures with their units, data sources."""
    claims, figures, units, data = [], {}, {}, []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            copies = output.get("data", {})
            if CLAIM_MIME in copies:
                claims.append({k: copies[CLAIM_MIME].get(k) for k in ("text", "passed", "difference", "tolerance")})
            if FIGURE_MIME in copies:
                figure = copies[FIGURE_MIME]
                figures[figure["name"]], units[figure["name"]] = figure["value"], figure.get("unit", "")
            if DATA_MIME in copies:
                source = {key: copies[DATA_MIME].get(key) for key in ("name", "origin", "stand_in")}
                data += [source] if source not in data else []
    return {"data": data, "claims": claims, "figures": figures, "units": units}
