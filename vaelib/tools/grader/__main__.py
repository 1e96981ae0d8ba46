"""The classroom on the command line: `python -m vaelib.tools.grader --help`."""

import argparse
import os
import sys
from pathlib import Path

from vaelib.tools.grader import ClassroomError


def main(argv=None):
    """Run one command and return its exit status: 0, or 1 when nothing could be built or graded."""
    arguments = _parser().parse_args(argv)
    try:
        return _release(arguments) if arguments.command == "release" else _grade(arguments)
    except ClassroomError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser():
    parser = argparse.ArgumentParser(prog="python -m vaelib.tools.grader", description="Set and grade the assignments.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--course", type=Path, default=Path("assignments"), metavar="DIR", help="default: %(default)s")
    release = commands.add_parser("release", parents=[common], help="write the student versions")
    release.add_argument("--output", type=Path, default=Path("build/assignments"), metavar="DIR")
    grade = commands.add_parser("grade", parents=[common], help="grade what the students handed in")
    grade.add_argument("submitted", type=Path, metavar="SUBMITTED", help="a folder with one folder per student")
    grade.add_argument("--output", type=Path, default=Path("build/assignments/grades"), metavar="DIR")
    grade.add_argument("--seconds", type=float, default=600, help="for one submission; default: %(default)s")
    grade.add_argument("--gigabytes", type=float, default=3.0, help="for one submission; default: %(default)s")
    grade.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="at a time; default: %(default)s")
    return parser


def _release(arguments):
    from vaelib.tools.grader.course import assignment_names, build_course

    names = assignment_names(arguments.course)
    build_course(arguments.course, arguments.output, names)
    print(f"{', '.join(names)}: no solution and no hidden test left. Hand out {arguments.output / 'release'}")
    return 0


def _grade(arguments):
    from vaelib.tools.grader.grading import Limits, grade

    limits = Limits(arguments.seconds, arguments.gigabytes * 1e9, arguments.jobs)
    print("First the model solutions, then the students:", flush=True)
    submissions = grade(arguments.course, arguments.submitted, arguments.output, limits, _show)
    troubled = [submission for submission in submissions if submission.status != "graded"]
    for submission in troubled:
        if submission.status == "missing":
            _show(submission)
    print(f"{len(submissions) - len(troubled)} of {len(submissions)} submissions graded.")
    print(f"Scores: {arguments.output / 'scores.csv'}; remarks: {arguments.output / 'submissions.csv'}; ", end="")
    print(f"pages for the students: {arguments.output / 'feedback'}")
    return 0


def _show(submission):
    mark = "✓" if submission.status == "graded" and not submission.remarks else "!"
    said = [submission.status, *submission.remarks]
    print(f"{mark} {submission.student}   {submission.assignment}   {'; '.join(said)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
