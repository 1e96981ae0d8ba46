"""What a teacher should know of a notebook: what it lacked, what it cost, which tests failed, what looks unusual."""

import ast
import os
import re

import nbformat
from nbgrader.api import Gradebook


def look_at(autograded: str | os.PathLike) -> tuple[list[str], dict[str, float]]:
    """Return what a teacher should know of a notebook that ran.

    Args:
        autograded: path of the executed notebook.

    Returns:
        (remarks, cost): cells out of time or memory and packages it lacked, a list of sentences; and a dictionary
        with the seconds it took and the most megabytes its kernel held.
    """
    notebook, remarks = nbformat.read(autograded, as_version=4), []
    for number, cell in enumerate(notebook.cells, 1):
        place = cell.metadata.get("nbgrader", {}).get("grade_id") or f"cell {number}"
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if output.ename == "CellTimeoutError":
                remarks.append(f"out of time in {place}")
            elif output.ename in ("MemoryError", "_ArrayMemoryError"):  # Python's own, and NumPy's
                remarks.append(f"out of memory in {place}")
            elif output.ename == "ModuleNotFoundError":
                remarks.append(f"{output.evalue} in {place}")
    cost = dict(notebook.metadata.get("grading", {}))
    for question in cost.pop("tampered", []):
        remarks.append(f"look at this one: the tests of {question} passed whatever was answered")
    return remarks, cost


# What an honest answer has no use for: the callers' frames, the interpreter's insides, other processes, the network.
_MODULES = {
    "atexit", "builtins", "ctypes", "faulthandler", "gc", "importlib", "inspect", "linecache",
    "multiprocessing", "signal", "socket", "subprocess", "traceback",
}  # fmt: skip
_NAMES = {
    "In", "_ih", "__builtins__", "__import__", "compile", "eval", "exec", "get_ipython", "globals", "open", "setattr",
    "vars", "exit", "quit",
}  # fmt: skip
_ATTRIBUTES = {
    "__class__", "__closure__", "__code__", "__dict__", "__globals__", "__subclasses__", "__traceback__", "_exit",
    "_current_frames", "_getframe", "excepthook", "f_back", "f_globals", "f_locals", "fork", "kill", "modules", "popen",
    "setprofile", "settrace", "system",
}  # fmt: skip
_DEFINED = {
    "_run_tests",
    "compile",
    "exec",
    "globals",
    "__array__",
    "__array_function__",
    "__array_priority__",
    "__array_ufunc__",
    "__eq__",
    "__getattribute__",
}


def unusual(notebook: nbformat.NotebookNode) -> list[str]:
    """Return a remark on what an honest answer has no use for; a hint for the teacher's eye and no verdict.

    Args:
        notebook: as it was handed in.
    """
    found: dict[str, None] = {}
    for cell in notebook.cells:
        kind = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or kind.get("grade") or kind.get("locked"):
            continue
        found.update(dict.fromkeys(_unusual_names(cell.source)))
    return [f"look at this one: it uses {', '.join(found)}"] if found else []


def _unusual_names(source: str) -> list[str]:
    try:
        tree = ast.parse(re.sub(r"(?m)^\s*[%!?].*$", "pass", source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _NAMES:
            names.append(node.id)
        elif isinstance(node, ast.Attribute):
            if node.attr in _ATTRIBUTES:
                names.append(node.attr)
            # Another module's function replaced; an object's own attribute, such as self.layer, is nothing unusual.
            if isinstance(node.ctx, (ast.Store, ast.Del)) and _root(node) in _imported(tree):
                names.append(f"{ast.unparse(node)} = …")
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in _DEFINED:
            names.append(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            whole = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            names += [name for name in whole if name.split(".")[0] in _MODULES]
    return list(dict.fromkeys(names))


def _imported(tree: ast.Module) -> set[str]:
    """Names of modules: those imported here, and those that every assignment has at hand."""
    imports = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    here = {alias.asname or alias.name.split(".")[0] for node in imports for alias in node.names}
    return here | {"keras", "np", "ops", "plt", "tf", "vaelib"}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def failed_tests(autograded: str | os.PathLike, gradebook_url: str, student: str, assignment: str) -> list[str]:
    """Return one line for each autograded question that did not earn all its points, with the error it met."""
    with Gradebook(gradebook_url) as gradebook:
        grades = [g for notebook in gradebook.find_submission(assignment, student).notebooks for g in notebook.grades]
        short = {g.name: g for g in grades if g.auto_score is not None and g.auto_score < g.max_score}
        lines = {name: f"{name}: {grade.auto_score:g} of {grade.max_score:g} points" for name, grade in short.items()}
    for cell in nbformat.read(autograded, as_version=4).cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        for output in cell.get("outputs", []):
            if output.output_type == "error" and name in lines:
                lines[name] += f" ({output.ename}: {output.evalue})"
    return list(lines.values())
