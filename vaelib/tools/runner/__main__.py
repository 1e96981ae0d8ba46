"""Command line of the course: `python -m vaelib.tools.runner`, `… list`, `… save`, `… sweep`."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from vaelib.tools.runner.execution import execute
from vaelib.tools.runner.notebooks import CourseError, assign_parameters, choose, find_notebooks, parse_parameter
from vaelib.tools.runner.report import place, write_report
from vaelib.tools.runner.saving import refusal, save_outputs
from vaelib.tools.runner.sweep import parse_grid, sweep


def main(argv=None):
    """Run the command line.

    Returns:
        Exit status: 0 when all is well, 1 when a notebook failed, 2 for a request that makes no sense, 130 after
        an interrupt.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ is no reason to fail
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in ("run", "list", "save", "sweep", "-h", "--help"):
        argv.insert(0, "run")
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    if unknown := [argument for argument in more if argument.startswith("-")]:
        parser.error(f"unknown option: {' '.join(unknown)}")
    arguments.names += more  # argparse loses the names that follow an option: `01 -p n=1 02`
    try:
        notebooks = choose(find_notebooks(arguments.notebooks), arguments.names)
        if arguments.command == "list":
            return _list(notebooks)
        if arguments.command == "sweep":
            return _sweep(notebooks, arguments)
        return _run(notebooks, arguments)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # between two notebooks, or a second time
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.runner",
        description="Run the course's notebooks headless, and report on every claim in them.",
        epilog="Without a command it runs. `COMMAND --help` lists the options of one command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("names", nargs="*", metavar="NOTEBOOK", help="number, name or file name; all by default")
    common.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR", help="default: %(default)s")
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument(
        "--output", type=Path, default=Path("build/course"), metavar="DIR", help="default: %(default)s"
    )
    running.add_argument(
        "--timeout", type=_seconds, default=1800, metavar="SECONDS", help="for one cell, 0 for no limit; default: 1800"
    )
    run = commands.add_parser("run", parents=[common, running], help="run notebooks and write the report (default)")
    run.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter, for each chosen notebook that has it; may be repeated",
    )  # fmt: skip
    commands.add_parser("list", parents=[common], help="show the notebooks and their parameters")
    save = commands.add_parser(
        "save", parents=[common, running], help="run with default parameters and write the outputs into the notebooks"
    )
    save.add_argument("--allow-stand-in", action="store_true", help="save outputs that come from stand-in data too")
    grid = commands.add_parser(
        "sweep", parents=[common], help="run one notebook over a grid of parameters; resumable",
        description="Run one notebook once for each combination of values. What passed before is not run again.",
    )  # fmt: skip
    grid.add_argument("--output", type=Path, metavar="DIR", help="default: build/sweeps/NOTEBOOK")
    grid.add_argument(
        "--timeout", type=_seconds, default=1800, metavar="SECONDS", help="for one cell, 0 for no limit; default: 1800"
    )
    grid.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE,VALUE",
        help="a parameter and its values; a value that holds a comma stands in brackets or quotes; may be repeated",
    )  # fmt: skip
    grid.add_argument("--seeds", metavar="SEED,SEED", help="the values of the parameter `seed`")
    grid.add_argument("--jobs", type=_jobs, metavar="N", help="runs at once; default: what processors and memory allow")
    return parser


def _seconds(text):
    seconds = int(text)
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0; received {text}")
    return seconds or None


def _jobs(text):
    jobs = int(text)
    if jobs < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; received {text}")
    return jobs


def _sweep(chosen, arguments):
    if len(chosen) != 1 or not arguments.names:
        raise CourseError(f"A sweep runs one notebook: name it, for example `sweep {chosen[0].name}`.")
    output = arguments.output or Path("build/sweeps") / chosen[0].name
    if output.resolve() == arguments.notebooks.resolve():
        raise CourseError(f"--output must not be the notebooks' own folder; received {output}.")
    grid = parse_grid(arguments.parameters, arguments.seeds)
    return sweep(chosen[0], grid, output, jobs=arguments.jobs, timeout=arguments.timeout)


def _list(notebooks):
    for notebook in notebooks:
        print(f"{notebook.name}   {notebook.title}")
        for name, default in notebook.parameters.items():
            print(f"    {name} = {default}")
    return 0


def _run(chosen, arguments):
    saving = arguments.command == "save"
    parameters = {}
    for name, value in map(parse_parameter, [] if saving else arguments.parameters):
        if name in parameters:
            raise CourseError(f"The parameter '{name}' is given twice.")
        parameters[name] = value
    if arguments.output.resolve() == arguments.notebooks.resolve():
        raise CourseError(f"--output must not be the notebooks' own folder; received {arguments.output}.")
    assigned = assign_parameters(chosen, parameters)
    for name in parameters:
        having = [notebook.name for notebook in chosen if name in notebook.parameters]
        if len(having) < len(chosen):
            print(f"{name} goes to {', '.join(having)}; the other chosen notebooks do not have it.")

    results, interrupted, unsaved = [], False, 0
    # papermill adds a cell for the parameters.
    cells = [notebook.num_code_cells + bool(assigned[notebook.name]) for notebook in chosen]
    # Silent unless someone watches: a log keeps the lines, not the bar.
    with tqdm(total=sum(cells), unit="cell", disable=None, leave=False) as bar:
        for notebook in chosen:
            bar.set_description(notebook.name)
            result = execute(
                notebook,
                assigned[notebook.name],
                arguments.output / notebook.path.name,
                timeout=arguments.timeout,
                on_cell=bar.update,
            )
            results.append(result)
            bar.n = sum(cells[: len(results)])  # a notebook that failed stopped short
            interrupted = result["status"] == "interrupted"
            # After each one, so that nothing that ran is lost.
            not_run = [other.name for other in chosen[len(results) :]] if interrupted else []
            report = write_report(arguments.output, results, not_run)
            bar.write(_line(result, width=max(len(n.name) for n in chosen)))
            if saving and (reason := _save(notebook, result, arguments)):
                unsaved += 1
                bar.write(reason)
            if interrupted:
                break
    print(f"{report['headline']}. Report: {arguments.output / 'report.html'}")
    return 130 if interrupted else 0 if report["passed"] and not unsaved else 1


def _save(notebook, result, arguments):
    """Save the outputs where they may be saved; else say why not."""
    try:
        if reason := refusal(result, arguments.allow_stand_in):
            return reason
        save_outputs(notebook.path, arguments.output / notebook.path.name)
    except (OSError, ValueError) as error:
        return str(error)


def _line(result, width):
    """One line per notebook; a second one says why it failed."""
    claims = result["claims"]
    held = sum(claim["passed"] for claim in claims)
    counted = f"{held} claim{'' if held == 1 else 's'}" if held == len(claims) else f"{held} of {len(claims)} claims"
    line = (
        f"{'✓' if result['passed'] else '✗'} {result['name']:{width}}   {result['status']:11} "
        f"{result['seconds']:7.1f} s   {counted:>15}   {result['peak_rss_mb']:6.0f} MB"
    )
    return line if result["passed"] else f"{line}\n    {place(result['error'])}"


if __name__ == "__main__":
    sys.exit(main())
