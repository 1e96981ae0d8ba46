"""Command line of the course runner: `python -m vaelib.tools.runner`, `… list`, `… save`, `… sweep`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaelib.tools.extras import naming_extras
from vaelib.tools.runner.options import parse_options

with naming_extras("course"):
    from vaelib.tools.runner.notebooks import CourseError, Notebook, choose, find_notebooks
    from vaelib.tools.runner.parameters import (
        absolute_paths,
        assign_parameters,
        check_kinds,
        parse_grid,
        parse_parameters,
    )


@naming_extras("course")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit status: 0 when all is well, 1 when a notebook failed, 2 for a request that makes no sense, 130 after
        an interrupt.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ is no reason to fail
    options = parse_options(sys.argv[1:] if argv is None else argv)
    command = {"run": _run, "list": _list, "save": _save, "sweep": _sweep}[options.command]
    try:
        return command(choose(find_notebooks(options.notebooks), options.names), options)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except BlockingIOError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that nobody may write to
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"The results cannot be written. {where}{error.strerror or error}. Make room, or name a folder that can be "
            "written with --output.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:  # between two notebooks, or a second time
        return 130


def _run(chosen: list[Notebook], options: argparse.Namespace) -> int:
    from vaelib.tools.runner.at_once import default_jobs
    from vaelib.tools.runner.running import run_notebooks  # papermill: only where something runs

    parameters = absolute_paths(parse_parameters(options.parameters))
    check_kinds(chosen, {name: [value] for name, value in parameters.items()})
    output = _output(options.output, options)
    assigned = assign_parameters(chosen, parameters)
    for name in parameters:
        having = [notebook.name for notebook in chosen if name in notebook.parameters]
        if len(having) < len(chosen):
            print(f"{name} goes to {', '.join(having)}; the other chosen notebooks do not have it.")
    jobs, training = options.jobs or default_jobs(), options.jobs or default_jobs(each=2)
    how = {"timeout": options.timeout, "jobs": jobs, "training_jobs": training, "scheduler": options.scheduler}
    return run_notebooks(chosen, assigned, output, **how)


def _list(chosen: list[Notebook], options: argparse.Namespace) -> int:
    for notebook in chosen:
        print(f"{notebook.name}   {notebook.title}")
        for name, default in notebook.parameters.items():
            print(f"    {name} = {default}")
    return 0


def _save(chosen: list[Notebook], options: argparse.Namespace) -> int:
    from vaelib.tools.runner.running import run_notebooks
    from vaelib.tools.runner.saving import refusal, save_outputs

    output = _output(options.output, options)

    def save(notebook: Notebook, result: dict[str, Any]) -> str | None:
        try:
            if reason := refusal(result, options.allow_stand_in):
                return reason
            save_outputs(notebook.path, output / notebook.path.name)
        except (OSError, ValueError) as error:
            return str(error)
        return None

    return run_notebooks(chosen, assign_parameters(chosen, {}), output, timeout=options.timeout, save=save)


def _sweep(chosen: list[Notebook], options: argparse.Namespace) -> int:
    from vaelib.tools.runner.sweep import sweep

    if len(chosen) != 1 or not options.names:
        raise CourseError(f"A sweep runs one notebook: name it, for example `sweep {chosen[0].name}`.")
    output = _output(options.output or Path("build/sweeps") / chosen[0].name, options)
    grid = parse_grid(options.parameters, options.seeds)
    check_kinds(chosen, grid)
    how = {"jobs": options.jobs, "timeout": options.timeout, "scheduler": options.scheduler}
    return sweep(chosen[0], grid, output, **how)


def _output(folder: Path, options: argparse.Namespace) -> Path:
    if folder.resolve() == options.notebooks.resolve():
        raise CourseError(f"--output must not be the notebooks' own folder; received {folder}.")
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"--output must name a folder; {folder} is a file.")
    return folder


if __name__ == "__main__":
    sys.exit(main())
