from .build import build_lite as build_lite
from .pyodide import LiteError as LiteError
from .pyodide import fetch as fetch
