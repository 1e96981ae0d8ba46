"""The first lessons as a JupyterLite site: they run whole in the browser, with no server behind them.

pyodide    the Python of the browser: which version, and where its files come from
wheels     vaelib itself, and what it needs besides
lock       which package needs which, and where the browser finds each
contents   the lessons and their images, as JupyterLite can show them
build      all of it together, written by JupyterLite

On the command line: `python -m vaelib.tools.lite --help`. It needs npm, and
JupyterLite in an environment of its own, which `make lite` sets up.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
