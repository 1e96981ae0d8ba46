"""Commands for what surrounds grading in a term: collecting, exports, statistics, similarity, the exchange of a hub."""

import argparse
import datetime
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING

from vaelib.tools.grader import GraderError

if TYPE_CHECKING:
    from collections.abc import Callable

GRADES = Path("build/assignments/grades")


def add_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    """Add the parser of each command; what it parses names the function that runs it, `run`.

    Args:
        commands: to add them to.
        common: options that every command has.
    """

    def add(name: str, run: "Callable[[argparse.Namespace], int]", says: str, more: str) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, parents=[common], help=says, description=more)
        parser.set_defaults(run=run)
        return parser

    collect = add(
        "collect", _collect, "sort a learning platform's export into folders",
        "Sort what Moodle or Canvas exports (a zip file, or the folder it was unpacked to) into "
        "SUBMITTED/STUDENT/ASSIGNMENT/, by nbgrader's zip_collect.",
    )  # fmt: skip
    collect.add_argument("export", type=Path, metavar="EXPORT", help="the zip file, or a folder")
    collect.add_argument("assignment", metavar="ASSIGNMENT", help="which one it is, such as elbo_and_kl")
    collect.add_argument("submitted", type=Path, metavar="SUBMITTED", help="folder to write to, for `grade`")
    collect.add_argument("--roster", type=Path, metavar="FILE", help="CSV file: tells who is meant by a name")
    collect.add_argument(
        "--worksheet", type=Path, metavar="FILE",
        help="Moodle's grading worksheet of the assignment: tells namesakes apart, and when the work came",
    )  # fmt: skip
    collect.add_argument(
        "--time-zone", default="UTC", metavar="ZONE", help="of the worksheet's times; default: %(default)s"
    )
    collect.add_argument(
        "--regexp", default="", metavar="REGEXP",
        help="for another platform: groups student_id and file_id, perhaps timestamp, as nbgrader's named_regexp",
    )  # fmt: skip

    export = add(
        "export", _export, "write grades for Canvas or Moodle",
        "Write the grades as Canvas or Moodle import them. A cell is empty where nothing was handed in, or where "
        "something waits to be marked by hand.",
    )  # fmt: skip
    export.add_argument("platform", choices=("canvas", "moodle"), help="which one")
    _add_grades(export)
    export.add_argument("--to", default="", metavar="FILE", help="default: PLATFORM.csv beside the gradebook")
    export.add_argument("--zeros", action="store_true", help="write 0 where nothing was handed in")
    export.add_argument("--unmarked", action="store_true", help="write points that lack what waits to be marked")

    statistics = add(
        "statistics", _statistics, "write a table and a picture of the questions",
        "Write statistics.csv and statistics.svg: how hard each question was, how well it tells students apart, and "
        "the commonest mistake in the tests' own words.",
    )  # fmt: skip
    _add_grades(statistics)

    similarity = add(
        "similarity", _similarity, "write which answers resemble each other",
        "Write similarity.csv and similarity/ASSIGNMENT.html by copydetect. What resembles is no proof: look at it.",
    )  # fmt: skip
    _add_grades(similarity)
    similarity.add_argument(
        "--threshold", type=float, default=0.5, metavar="SHARE",
        help="of one's code, from which a pair is named; default: %(default)s",
    )  # fmt: skip

    exchange = add(
        "exchange", _exchange, "set up nbgrader's exchange on a JupyterHub",
        "Make the folder of nbgrader's exchange and write nbgrader_config.py for everybody on the hub.",
    )  # fmt: skip
    exchange.add_argument("exchange", type=Path, metavar="EXCHANGE", help="folder that all of the hub's servers see")
    exchange.add_argument(
        "--config", type=Path, default=Path("/etc/jupyter"), metavar="DIR", help="for the file; default: %(default)s"
    )
    exchange.add_argument("--course-id", default="vae", metavar="NAME", help="default: %(default)s")


def _add_grades(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grades", type=Path, default=GRADES, metavar="DIR", help="what `grade` wrote; default: %(default)s"
    )


def _collect(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.release.course import assignment_names
    from vaelib.tools.grader.students.collecting import collect
    from vaelib.tools.grader.students.roster import read_roster
    from vaelib.tools.grader.students.worksheet import read_worksheet

    names = assignment_names(options.course)
    if options.assignment not in names:
        raise GraderError(f"No assignment is called {options.assignment}. Expected one of {', '.join(names)}.")
    try:
        zone: datetime.tzinfo = zoneinfo.ZoneInfo(options.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise GraderError(f"No time zone is called {options.time_zone!r}: write one such as Europe/Berlin.") from error
    roster = read_roster(options.roster) if options.roster else None
    worksheet = read_worksheet(options.worksheet, zone) if options.worksheet else None
    done = collect(options.export, options.assignment, options.submitted, roster, worksheet, options.regexp)
    for remark in done.remarks:
        print(f"! {remark}")
    if worksheet and options.time_zone == "UTC":
        print("The worksheet's times were taken as UTC: --time-zone names another zone.")
    print(f"{len(done.students)} students. Now: make grade SUBMITTED={options.submitted}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.reporting.exports import export

    settings = {"zeros": options.zeros, "unmarked": options.unmarked}
    path, waiting = export(options.grades, options.platform, options.to, **settings)
    for assignment, count in waiting.items():
        print(f"! {assignment}: {count} wait to be marked by hand, and their cells are empty")
    print(f"Import {path} in {options.platform.capitalize()}.")
    return 0


def _statistics(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.release.course import assignment_names, source_notebook
    from vaelib.tools.grader.reporting.exports import gradebook_of
    from vaelib.tools.grader.reporting.statistics import write_statistics

    sources = {name: source_notebook(options.course, name) for name in assignment_names(options.course)}
    write_statistics(options.grades, gradebook_of(options.grades), sources)
    print(f"{options.grades / 'statistics.csv'}, {options.grades / 'statistics.svg'}")
    return 0


def _similarity(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.reporting.similarity import write_similarity

    pairs = write_similarity(options.grades, options.threshold)
    for pair in pairs[:10]:
        print(f"{pair.assignment}: {pair.student} and {pair.other}, {pair.share:.0%} and {pair.other_share:.0%}")
    print(f"{len(pairs)} pairs in {options.grades / 'similarity.csv'}; the passages: {options.grades / 'similarity'}")
    return 0


def _exchange(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.release.exchange import write_exchange

    path = write_exchange(options.exchange, options.config, options.course_id)
    print(
        f"{path} names {options.exchange}. Release with `nbgrader release_assignment`, as assignments/README.md says."
    )
    return 0
