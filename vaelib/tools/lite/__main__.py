"""Command line of the lessons in the browser: `python -m vaelib.tools.lite`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vaelib.tools.extras import naming_extras

with naming_extras("course"):
    from vaelib.tools.lite.build import build_lite
    from vaelib.tools.lite.pyodide import LiteError, fetch


@naming_extras("course")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit status: 0 when the site is written, 2 when something is missing or wrong.
    """
    options = _parser().parse_args(argv)
    try:
        fetch(options.pyodide, on_board=options.offline)
        build_lite(options.pyodide, options.output, options.jupyterlite, options.notebooks, on_board=options.offline)
    except LiteError as error:
        print(error, file=sys.stderr)
        return 2
    size = sum(file.stat().st_size for file in options.output.rglob("*") if file.is_file())
    print(f"{options.output}, {size / 1e6:.0f} MB. A browser opens it over HTTP only, not from a file:")
    print(f"  {Path(sys.executable).name} -m http.server --directory {options.output} --bind 127.0.0.1 8000")
    print("  http://127.0.0.1:8000/notebooks/index.html?path=notebooks/02_elbo.ipynb")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.lite",
        description="Write the lessons 00 to 06 as a JupyterLite site, where they run whole in the browser: any server "
        "of files will do, and no Python is needed behind it.",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/lite"), metavar="DIR", help="the site; default: %(default)s"
    )
    parser.add_argument(
        "--notebooks", type=Path, default=Path("notebooks"), metavar="DIR", help="the lessons; default: %(default)s"
    )
    parser.add_argument(
        "--pyodide", type=Path, default=Path(os.environ.get("VAELIB_PYODIDE") or "build/pyodide"), metavar="DIR",
        help="what is downloaded is kept here; default: the folder named by VAELIB_PYODIDE, or build/pyodide",
    )  # fmt: skip
    parser.add_argument(
        "--jupyterlite", type=Path, default=Path("build/jupyterlite"), metavar="DIR",
        help="the environment that holds JupyterLite; `make lite` makes it; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--offline", action="store_true",
        help="put everything on board, for a place without the internet; without this the browser takes Pyodide and "
        "its packages from their CDN",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
