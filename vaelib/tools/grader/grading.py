"""Grade a folder of submissions, each by itself, into one gradebook."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import nbformat
from nbgrader.apps import NbGraderAPI

from vaelib.tools.grader import GraderError
from vaelib.tools.grader.release.course import assignment_names, source_notebook
from vaelib.tools.grader.release.student_versions import build_release
from vaelib.tools.grader.release.workplace import workplace
from vaelib.tools.grader.reporting import scores
from vaelib.tools.grader.reporting.guide import write_guide
from vaelib.tools.grader.reporting.remarks import failed_tests, look_at, unusual
from vaelib.tools.grader.reporting.reports import Journal, Report, Sources
from vaelib.tools.grader.running.autograding import autograde, last_words
from vaelib.tools.grader.running.job import MODEL, Job, Limits, prepare
from vaelib.tools.grader.running.wall import require_wall
from vaelib.tools.grader.students.lateness import enter_term, settle
from vaelib.tools.grader.students.names import TABLE, Names
from vaelib.tools.grader.students.roster import FILE as ROSTER
from vaelib.tools.grader.students.roster import Roster, read_roster
from vaelib.tools.grader.students.submissions import Submission, find_submissions, printable
from vaelib.tools.grader.students.terms import FILE as TERM
from vaelib.tools.grader.students.terms import read_term, require_known


def grade(
    course: str | os.PathLike,
    submitted: str | os.PathLike,
    root: str | os.PathLike,
    limits: Limits | None = None,
    on_graded: Callable[[Submission], object] = lambda submission: None,
    again: bool = False,
    roster: str | os.PathLike | None = None,
    term: str | os.PathLike | None = None,
) -> list[Submission]:
    """Grade everything that students handed in, or what is left where an earlier run was broken off.

    Args:
        course: the course directory, with `source/` and nbgrader_config.py.
        submitted: folder with one folder per student (see `find_submissions`).
        root: folder for the gradebook, scores.csv, submissions.csv, feedback/ and the graded notebooks.
        limits: Limits of one submission.
        on_graded: called with each Submission once its scores are in the gradebook.
        again: grade those once more that were graded and have not changed since.
        roster: file with everybody who takes the course (see `read_roster`); by default the one that was given last.
        term: file with due dates and the cost of being late (see `read_term`); by default the one that was given last.

    Returns:
        List of Submission, one per student and assignment.

    Raises:
        GraderError: nothing to grade, a file that cannot be read, no wall, or a model solution does not earn full marks
            here; nobody gets a score then.
    """
    limits = limits or Limits()
    if limits.protected:
        require_wall()
    root = Path(root).resolve()
    roster, term = _given(root / ROSTER, roster), _given(root / TERM, term)
    people = read_roster(roster) if roster else None
    dates = read_term(term, assignment_names(course)) if term else None
    called = Names(root / TABLE)
    sources, submissions = _handed_in(course, Path(submitted), called, people)
    if dates:
        require_known(dates, called.students())
    names = [name for name in sources if any(name == submission.assignment for submission in submissions)]
    if not names:
        raise GraderError(f"No notebook of {', '.join(sources)} was found in {submitted}.")
    with workplace() as work:
        clean = check_environment(course, work, sources, names, limits)
        again |= not (root / "gradebook.db").exists()
        api = build_release(course, root, names)
        write_guide(root, {name: sources[name] for name in names})
        local = {"local": dates.local} if dates else {}
        report = Report(root, api.coursedir.db_url, sources, submissions, **local)
        students = {one.student: one.person for one in submissions}
        scores.enter_people(report.gradebook, {student: person for student, person in students.items() if person})
        if dates:
            enter_term(report.gradebook, dates)
        for path, kept in ((roster, root / ROSTER), (term, root / TERM)):
            if path and path.resolve() != kept:
                shutil.copyfile(path, kept)
        called.write()
        journal = Journal(root, sources, fresh=again)
        handed_in = [one for one in submissions if one.assignment and one.path]
        waiting = [one for one in handed_in if not journal.recall(one)]
        report.waiting = set(waiting)
        for one in waiting:
            shutil.rmtree(root / "feedback" / one.student / one.assignment, ignore_errors=True)  # of an earlier version

        def settle_and_show(one: Submission) -> None:
            settle(report.gradebook, dates, one.student, one.assignment, one.handed_in)
            if dates and one.assignment in dates.due and one.handed_in is None:
                one.notes.append("it came without a time, so it is not late")
            shown = scores.shown(report.gradebook, one.student, one.assignment)
            if one in report.waiting or shown != one.shown:
                one.shown = shown
                _write_feedback(api, one)
                journal.record(one)

        def finish(one: Submission) -> None:
            settle_and_show(one)
            report.waiting.remove(one)
            report.write_now_and_then()
            on_graded(one)

        for one in handed_in:  # marked by hand since, or the dates have changed
            if one not in report.waiting:
                settle_and_show(one)
        for job, reason in autograde(_prepared(waiting, clean, work, report.gradebook, finish), limits):
            with _charged(job.submission, report.gradebook):
                _enter(job, reason, root, report.gradebook)
            shutil.rmtree(job.folder, ignore_errors=True)
            finish(job.submission)
    report.write()
    return submissions


def _prepared(
    waiting: Iterable[Submission], clean: Path, work: Path, gradebook: str, finish: Callable[[Submission], None]
) -> Iterator[Job]:
    """Set each submission up when its turn comes; one that cannot be read or set up ends here."""
    for one in waiting:
        job = None
        if one.notebook:
            with _charged(one, gradebook):
                job = prepare(one, clean, work)
        else:
            scores.enter_zero(gradebook, one.student, one.assignment)
        if job:
            yield job
        else:
            finish(one)


@contextlib.contextmanager
def _charged(one: Submission, gradebook: str) -> Iterator[None]:
    """Whatever goes wrong within the block is that submission's loss alone."""
    try:
        yield
    except Exception as error:
        words = (str(error).splitlines() or [""])[0][:200]
        one.status = "crashed"
        one.remarks.append(printable(f"the grader could not go on with it: {type(error).__name__}: {words}"))
        scores.enter_zero(gradebook, one.student, one.assignment)


def check_environment(
    course: str | os.PathLike, work: Path, sources: Sources, names: Sequence[str], limits: Limits
) -> Path:
    """Grade the model solutions: they must earn every point, or this environment cannot grade anybody.

    Args:
        course: the course directory.
        work: folder to grade them in.
        sources: the source notebooks, which are the model solutions.
        names: the assignments to check.
        limits: Limits of one submission.

    Returns:
        A course directory with the student versions, and a gradebook that holds no grade.

    Raises:
        GraderError: they do not; the message names the questions and the errors.
    """
    root = work / MODEL
    build_release(course, root, names)
    models = [Submission(MODEL, name, Path(f"{name}.ipynb"), sources[name]) for name in names]
    problems = []
    for job, reason in autograde([prepare(model, root, work) for model in models], limits):
        name = job.submission.assignment
        lines = [reason] if reason else failed_tests(job.autograded, job.gradebook, MODEL, name)
        problems += [f"    {name}: {line}" for line in lines]
    if problems:
        raise GraderError(
            "Nobody was graded: the model solutions do not earn full marks in this environment. "
            "Is a package missing, or a source notebook broken?\n" + "\n".join(problems)
        )
    return root


def _given(kept: Path, path: str | os.PathLike | None) -> Path | None:
    """A file that was given, or else the copy that an earlier run kept."""
    return Path(path) if path else kept if kept.exists() else None


def _handed_in(
    course: str | os.PathLike, submitted: Path, names: Names, roster: Roster | None
) -> tuple[dict[str, nbformat.NotebookNode], list[Submission]]:
    """The sources of all assignments, and what the students handed in."""
    if not submitted.is_dir():
        raise GraderError(f"No folder {submitted}: SUBMITTED must name a folder that holds one folder per student.")
    sources = {name: source_notebook(course, name) for name in assignment_names(course)}
    submissions = find_submissions(submitted, sources, names, roster)
    if not submissions:
        raise GraderError(f"{submitted} holds no folder of a student: expected {submitted}/STUDENT/NAME.ipynb.")
    return sources, submissions


def _enter(job: Job, reason: str, root: Path, gradebook: str) -> None:
    """Enter in the gradebook what a submission earned, and keep its notebooks."""
    submission = job.submission
    assert submission.notebook is not None  # it ran
    if reason:
        submission.status, _, detail = reason.partition(": ")
        submission.remarks += [detail] if detail else []
        scores.enter_zero(gradebook, submission.student, submission.assignment)
    else:
        remarks, submission.cost = look_at(job.autograded)
        submission.remarks += remarks + unusual(submission.notebook)
        scores.enter_scores(gradebook, job.gradebook, submission.student, submission.assignment)
        _keep(job.folder, root, "autograded", submission)
    _keep(job.folder, root, "submitted", submission)


def _keep(folder: Path, root: Path, step: str, submission: Submission) -> None:
    """Move what one submission left into the teacher's own folder, where nbgrader's formgrader finds it."""
    target = root / step / submission.student / submission.assignment
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / step / submission.student / submission.assignment, target)


def _write_feedback(api: NbGraderAPI, submission: Submission) -> None:
    if submission.status == "graded":
        result = api.generate_feedback(submission.assignment, submission.student)
        if not result["success"]:
            submission.remarks.append(printable(f"no feedback page: {last_words(result)}"))
