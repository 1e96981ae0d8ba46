"""The words that `python -m vaelib.tools.runner` understands."""

import argparse
from collections.abc import Sequence
from pathlib import Path

COMMANDS = ("run", "list", "save", "sweep")
_HOW_MANY = "how many at once; default: what processors and memory allow"
_CLUSTER = "run on the workers of a Dask cluster, such as tcp://HOST:8786"


def parse_options(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `run` is meant where no command is named.

    Raises:
        SystemExit: the words make no sense (2), or ask for help (0).
    """
    words = list(words)
    if not words or words[0] not in (*COMMANDS, "-h", "--help"):
        words.insert(0, "run")
    parser = _parser()
    options, more = parser.parse_known_args(words)
    if unknown := [word for word in more if word.startswith("-")]:
        parser.error(f"unknown option: {' '.join(unknown)}")
    options.names += more  # argparse loses the names that follow an option: `01 -p n=1 02`
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.runner",
        description="Run the course's notebooks headless, and report on every claim in them.",
        epilog="Without a command it runs. `COMMAND --help` lists the options of one command.",
    )
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    several, limited, into = _chosen("number, name or file name; all by default"), _limited(), _into()
    run = commands.add_parser(
        "run", parents=[several, into, limited], help="run notebooks and write the report (default)",
        description="Run notebooks; write the executed copies, report.html and report.json.",
    )  # fmt: skip
    run.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter, for each chosen notebook that has it; may be repeated",
    )  # fmt: skip
    run.add_argument("--jobs", type=_jobs, metavar="N", help=_HOW_MANY)
    run.add_argument("--scheduler", metavar="ADDRESS", help=_CLUSTER)
    commands.add_parser(
        "list", parents=[several], help="show the notebooks and their parameters",
        description="Show the notebooks, each with its title and the defaults of its parameters.",
    )  # fmt: skip
    save = commands.add_parser(
        "save", parents=[several, into, limited], help="run with default parameters and keep the outputs",
        description="Run notebooks with their default parameters and write the outputs into the notebooks themselves.",
    )  # fmt: skip
    save.add_argument("--allow-stand-in", action="store_true", help="save outputs that come from stand-in data too")
    sweep = commands.add_parser(
        "sweep", parents=[_chosen("the one: its number, name or file name"), limited],
        help="run one notebook over a grid of parameters; resumable",
        description="Run one notebook once for each combination of values. What passed before is not run again.",
    )  # fmt: skip
    sweep.add_argument("--output", type=Path, metavar="DIR", help="for all results; default: build/sweeps/NOTEBOOK")
    sweep.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE,VALUE",
        help="a parameter and its values; a value that holds a comma stands in brackets or quotes; may be repeated",
    )  # fmt: skip
    sweep.add_argument("--seeds", metavar="SEED,SEED", help="the values of the parameter `seed`")
    sweep.add_argument("--jobs", type=_jobs, metavar="N", help=_HOW_MANY)
    sweep.add_argument("--scheduler", metavar="ADDRESS", help=_CLUSTER)
    return parser


def _chosen(about: str) -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("names", nargs="*", metavar="NOTEBOOK", help=about)
    shared.add_argument(
        "--notebooks", type=Path, default=Path("notebooks"), metavar="DIR", help="where they are; default: %(default)s"
    )
    return shared


def _limited() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--timeout", type=_seconds, default=1800, metavar="SECONDS",
        help="that one cell may take, 0 for no limit; default: %(default)s",
    )  # fmt: skip
    return shared


def _into() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--output", type=Path, default=Path("build/course"), metavar="DIR",
        help="for the executed copies and the report; default: %(default)s",
    )  # fmt: skip
    return shared


def _seconds(text: str) -> int | None:
    seconds = int(text)
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0; received {text}")
    return seconds or None


def _jobs(text: str) -> int:
    jobs = int(text)
    if jobs < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; received {text}")
    return jobs
