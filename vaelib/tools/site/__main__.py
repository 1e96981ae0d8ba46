"""Command line of the site: `python -m vaelib.tools.site`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaelib.tools.extras import naming_extras

if TYPE_CHECKING:  # nbconvert and more: only where a site is built
    from vaelib.tools.site.sources import Source


@naming_extras("course,site")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit status: 0 when the site is whole; 1 when a notebook failed in its run or changed meanwhile, or the pages
        cannot be written; 2 for a request that makes no sense.
    """
    options = _parser().parse_args(argv)
    from vaelib.tools.runner.notebooks import CourseError
    from vaelib.tools.site.build import build_site
    from vaelib.tools.site.sources import find_sources

    try:
        sources = find_sources(options.notebooks, (options.course, options.runs))
        failed = _run([s for s in sources if s.executed is None and (s.needs_run or options.run == "all")], options)
        sources = find_sources(options.notebooks, (options.course, options.runs))
        pages = build_site(sources, options.output, images=options.notebooks.parent / "images", lite=options.lite)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that nobody may write to
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"The pages cannot be written. {where}{error.strerror or error}. Make room, or name folders that can be "
            'written: `--output DIR` for the pages and `--runs DIR` for the runs, `make site ARGS="--output DIR --runs '
            'DIR"` with make.',
            file=sys.stderr,
        )
        return 1
    for source in sources:
        print(f"{source.notebook.name}   from {source.executed or source.notebook.path}")
    size = sum(file.stat().st_size for file in options.output.rglob("*") if file.is_file())
    print(f"{len(pages)} pages, {size / 1e6:.1f} MB. Open {options.output / 'index.html'}")
    still = [source.notebook.name for source in sources if source.needs_run] if options.run != "none" else []
    if still and not failed:
        print(
            f"No copy fits {', '.join(still)}: the notebook, or vaelib/widgets, changed while it ran. Its explorers "
            "stand still. Build the site again.",
            file=sys.stderr,
        )
    return int(failed or bool(still))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.site",
        description="Write the course as web pages that need no network. A page shows the executed copy of its "
        "notebook where one fits, from `make course` or from an earlier build; otherwise the notebook itself. "
        "Markdown, HTML and SVG of a notebook reach its page as they are: build pages of notebooks that you trust.",
    )
    parser.add_argument(
        "--notebooks", type=Path, default=Path("notebooks"), metavar="DIR", help="the lessons; default: %(default)s"
    )
    parser.add_argument(
        "--course", type=Path, default=Path("build/course"), metavar="DIR",
        help="executed copies of them; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("build/site"), metavar="DIR", help="the pages; default: %(default)s"
    )
    parser.add_argument(
        "--lite", type=Path, default=Path("build/lite"), metavar="DIR",
        help="lessons that run in the browser, from `make lite`: pages link to those; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--run", choices=("needed", "all", "none"), default="needed",
        help="which notebooks without a fitting copy to run first: those whose page needs one, for its "
        "explorers or for any outputs at all (needed, the default), all of them, or none: explorers then stand still",
    )  # fmt: skip
    parser.add_argument(
        "--runs", type=Path, default=Path("build/site-runs"), metavar="DIR",
        help="where the copies that they leave are kept; default: %(default)s",
    )  # fmt: skip
    return parser


def _run(sources: Sequence["Source"], options: argparse.Namespace) -> bool:
    """Run what is to be run; say so, for it takes minutes. Return whether one failed."""
    if options.run == "none" or not sources:
        return False
    from vaelib.tools.runner.execution import execute  # papermill: only where something runs

    failed = False
    for source in sources:
        print(f"running {source.notebook.name} ...", flush=True)
        result = execute(source.notebook, {}, options.runs / source.notebook.path.name, timeout=1800)
        if not result["passed"]:
            failed = True
            print(f"{source.notebook.name} {result['status']}: {result['error']['message']}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
