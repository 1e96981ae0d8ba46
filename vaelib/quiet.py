"""Modules that write to stderr from C while they are imported: what is known to mean nothing is taken out.

TensorFlow says that it uses oneDNN, and that it says so before its log is set up. Its log level does not reach these
lines. Switching oneDNN off silences them too, and convolutional networks then take twice the time.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

TENSORFLOW = (b"oneDNN custom operations are on", b"All log messages before absl::InitializeLog()")


def quieten(name: str, lines: Sequence[bytes]) -> None:
    """Keep lines out of stderr when a module is imported, whoever imports it; all others pass.

    Args:
        name: of the module; nothing happens where it is imported already.
        lines: parts of the lines to keep out.
    """
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, lines))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module as the others do, with another loader."""

    def __init__(self, name: str, lines: Sequence[bytes]) -> None:
        self._name, self._lines = name, lines

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        for finder in sys.meta_path:
            if not isinstance(finder, _Finder) and (spec := finder.find_spec(fullname, path, target)) is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._lines)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Loads as the module's own loader does, and leaves that one behind."""

    def __init__(self, loader: importlib.abc.Loader, lines: Sequence[bytes]) -> None:
        self._loader, self._lines = loader, lines

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with _stderr_without(self._lines):
            self._loader.exec_module(module)


@contextlib.contextmanager
def _stderr_without(lines: Sequence[bytes]) -> Iterator[None]:
    try:
        stderr = os.dup(2)
    except OSError:  # a process without one
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            for line in said:
                if not any(part in line for part in lines):
                    os.write(2, line)
