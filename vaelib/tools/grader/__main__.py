"""Command line of the grader: `python -m vaelib.tools.grader`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaelib.tools.extras import naming_extras
from vaelib.tools.grader import GraderError
from vaelib.tools.grader.administration import GRADES, add_commands
from vaelib.tools.grader.release.place import refuse_in_students_repository

if TYPE_CHECKING:  # nbgrader: only where something is built or graded
    from vaelib.tools.grader.students.submissions import Submission


@naming_extras("course,classroom")
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 1 when nothing could be built or graded."""
    options = parser().parse_args(argv)
    try:
        refuse_in_students_repository(options.course)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except GraderError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.tools.grader",
        description="Set and grade the assignments.",
        epilog="`COMMAND --help` lists the options of one command.",
    )
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--course", type=Path, default=Path("assignments"), metavar="DIR",
        help="with nbgrader_config.py and source/; default: %(default)s",
    )  # fmt: skip
    release = commands.add_parser(
        "release", parents=[common], help="write the student versions",
        description="Write the student versions of all assignments; refuse where a solution or a hidden test is left.",
    )  # fmt: skip
    release.add_argument(
        "--output", type=Path, default=Path("build/assignments"), metavar="DIR",
        help="the student versions go to release/ in it; default: %(default)s",
    )  # fmt: skip
    repository = commands.add_parser(
        "repository", parents=[common], help="write the students' repository",
        description="Write a folder to push as the students' repository: the course as its last commit has it, with "
        "the student versions, and without sources, solutions and hidden tests.",
    )  # fmt: skip
    repository.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where to write; a .git there stays, an earlier release is replaced"
    )
    repository.add_argument(
        "--address", metavar="URL",
        help="the students' repository, https://github.com/OWNER/NAME, which Binder and Colab open; default: "
        "the origin of FOLDER",
    )  # fmt: skip
    grade = commands.add_parser(
        "grade", parents=[common], help="grade what the students handed in",
        description="Grade the model solutions first, which must earn every point here, then every submission.",
    )  # fmt: skip
    grade.add_argument("submitted", type=Path, metavar="SUBMITTED", help="a folder with one folder per student")
    grade.add_argument(
        "--output", type=Path, default=GRADES, metavar="DIR",
        help="for the gradebook, scores.csv, submissions.csv and feedback/; default: %(default)s",
    )  # fmt: skip
    grade.add_argument(
        "--roster", type=Path, metavar="FILE",
        help="CSV file with everybody who takes the course; kept beside the gradebook for the next time",
    )  # fmt: skip
    grade.add_argument(
        "--term", type=Path, metavar="FILE",
        help="TOML file with due dates and what being late costs; kept beside the gradebook for the next time",
    )  # fmt: skip
    grade.add_argument(
        "--seconds", type=float, default=600, metavar="N", help="that one submission may take; default: %(default)s"
    )
    grade.add_argument(
        "--gigabytes",
        type=float,
        default=3.0,
        metavar="N",
        help="of memory that one submission may hold; default: %(default)s",
    )
    grade.add_argument(
        "--jobs",
        type=int,
        default=min(4, os.cpu_count() or 1),
        metavar="N",
        help="submissions at a time; default: %(default)s",
    )
    grade.add_argument("--again", action="store_true", help="grade once more what has not changed since it was graded")
    grade.add_argument(
        "--unprotected", action="store_true",
        help="run students' code without a wall: it may read, write and send all that you may",
    )  # fmt: skip
    grade.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="grade on the workers of a Dask cluster, such as tcp://HOST:8786, one submission on each thread",
    )  # fmt: skip
    add_commands(commands, common)
    for command, run in {release: _release, repository: _repository, grade: _grade}.items():
        command.set_defaults(run=run)
    return parser


def _release(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.release.course import assignment_names
    from vaelib.tools.grader.release.student_versions import build_release

    names = assignment_names(options.course)
    build_release(options.course, options.output, names)
    print(f"{', '.join(names)}: no solution and no hidden test left. Hand out {options.output / 'release'}")
    return 0


def _repository(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.release.repository import write_repository

    written = write_repository(options.course, options.folder, options.address)
    print(
        f"{options.folder}: {written.files} files of commit {written.commit}, no solution and no hidden test in them."
    )
    if written.uncommitted:
        some = ", ".join(written.uncommitted[:5]) + (", ..." if len(written.uncommitted) > 5 else "")
        print(f"Not in it, because it is not committed here: what was changed in {some}")
    if written.address:
        print(f"Binder and Colab open {written.address}. Commit and push the folder there.")
    else:
        print("No address is known, so its links to Binder and Colab lead nowhere yet. Give the folder an origin on "
              "GitHub, or --address, and run this again.")  # fmt: skip
    return 0


def _grade(options: argparse.Namespace) -> int:
    from vaelib.tools.grader.grading import grade
    from vaelib.tools.grader.release.course import assignment_names
    from vaelib.tools.grader.running.job import Limits
    from vaelib.tools.grader.students.terms import read_term

    limits = Limits(options.seconds, options.gigabytes * 1e9, options.jobs, not options.unprotected, options.scheduler)
    if options.term and read_term(options.term, assignment_names(options.course)).assumed:
        print(f'The times in {options.term} are taken as UTC: a line time_zone = "Europe/Berlin" names another zone.')
    print("First the model solutions, then the students:", flush=True)
    submissions = grade(
        options.course, options.submitted, options.output, limits, _show, options.again, options.roster, options.term
    )
    troubled = [submission for submission in submissions if submission.status != "graded"]
    for submission in troubled:
        if submission.status == "missing":
            _show(submission)
    print(f"{len(submissions) - len(troubled)} of {len(submissions)} submissions graded.")
    print(f"Scores: {options.output / 'scores.csv'}; remarks: {options.output / 'submissions.csv'}; ", end="")
    print(f"pages for the students: {options.output / 'feedback'}")
    return 0


def _show(submission: "Submission") -> None:
    mark = "✓" if submission.status == "graded" and not submission.remarks else "!"
    said = [submission.status, *submission.remarks, *submission.notes]
    print(f"{mark} {submission.student}   {submission.assignment}   {'; '.join(said)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
