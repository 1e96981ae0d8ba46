"""Grade a folder of submissions, each by itself, into one gradebook."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nbformat
from nbgrader.apps import NbGraderAPI

from vaelib.tools.grader import GraderError, scores
from vaelib.tools.grader.autograding import MODEL, Job, Limits, autograde, last_words, prepare
from vaelib.tools.grader.release import assignment_names, build_release, source_notebook
from vaelib.tools.grader.remarks import failed_tests, look_at
from vaelib.tools.grader.submissions import Submission, find_submissions
from vaelib.tools.results import write_csv

Sources = Mapping[str, nbformat.NotebookNode]  # name of an assignment to its source notebook


def grade(
    course: str | os.PathLike,
    submitted: str | os.PathLike,
    root: str | os.PathLike,
    limits: Limits | None = None,
    on_graded: Callable[[Submission], object] = lambda submission: None,
) -> list[Submission]:
    """Grade everything that students handed in.

    Args:
        course: the course directory, with `source/` and nbgrader_config.py.
        submitted: folder with one folder per student (see `find_submissions`).
        root: folder for the gradebook, scores.csv, submissions.csv, feedback/ and the graded notebooks.
        limits: Limits of one submission.
        on_graded: called with each Submission once its scores are in the gradebook.

    Returns:
        List of Submission, one per student and assignment.

    Raises:
        GraderError: nothing to grade, or a model solution does not earn full marks here; nobody gets a score then.
    """
    root = Path(root).resolve()
    sources, submissions = _handed_in(course, Path(submitted))
    names = [name for name in sources if any(name == submission.assignment for submission in submissions)]
    if not names:
        raise GraderError(f"No notebook of {', '.join(sources)} was found in {submitted}.")
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="vaelib-grading-") as work:
        check_environment(course, Path(work), sources, names, limits)
        api = build_release(course, root, names)
        gradebook = api.coursedir.db_url
        jobs = [prepare(submission, root, Path(work)) for submission in submissions if submission.notebook]
        for submission in submissions:
            if not submission.notebook and submission.assignment and submission.path:
                scores.enter_zero(gradebook, submission.student, submission.assignment)
                on_graded(submission)
        for job, reason in autograde(jobs, limits):
            _enter(job, reason, root, gradebook)
            on_graded(job.submission)
    _write_feedback(api, submissions)
    write_reports(root, gradebook, sources, submissions)
    return submissions


def check_environment(
    course: str | os.PathLike, work: Path, sources: Sources, names: Sequence[str], limits: Limits
) -> None:
    """Grade the model solutions: they must earn every point, or this environment cannot grade anybody.

    Args:
        course: the course directory.
        work: folder to grade them in.
        sources: the source notebooks, which are the model solutions.
        names: the assignments to check.
        limits: Limits of one submission.

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


def write_reports(root: Path, gradebook_url: str, sources: Sources, submissions: Sequence[Submission]) -> None:
    """Write scores.csv, one line per question, and submissions.csv, one line per submission."""
    rows = scores.read_scores(gradebook_url, sources)
    write_csv(root / "scores.csv", scores.QUESTION_COLUMNS, [list(row.values()) for row in rows])
    lines = [
        [
            submission.student, submission.assignment, submission.status,
            *scores.totals(rows, submission.student, submission.assignment),
            *(submission.cost.get(name, "") for name in ("seconds", "megabytes")),
            "; ".join(submission.remarks),
        ]
        for submission in submissions
    ]  # fmt: skip
    write_csv(root / "submissions.csv", scores.SUBMISSION_COLUMNS, lines)


def _handed_in(course: str | os.PathLike, submitted: Path) -> tuple[dict[str, nbformat.NotebookNode], list[Submission]]:
    """The sources of all assignments, and what the students handed in."""
    if not submitted.is_dir():
        raise GraderError(f"No folder {submitted}: SUBMITTED must name a folder that holds one folder per student.")
    sources = {name: source_notebook(course, name) for name in assignment_names(course)}
    submissions = find_submissions(submitted, sources)
    if not submissions:
        raise GraderError(f"{submitted} holds no folder of a student: expected {submitted}/STUDENT/NAME.ipynb.")
    return sources, submissions


def _enter(job: Job, reason: str, root: Path, gradebook: str) -> None:
    """Enter in the gradebook what a submission earned, and keep its notebooks."""
    submission = job.submission
    if reason:
        submission.status, _, detail = reason.partition(": ")
        submission.remarks += [detail] if detail else []
        scores.enter_zero(gradebook, submission.student, submission.assignment)
    else:
        remarks, submission.cost = look_at(job.autograded)
        submission.remarks += remarks
        scores.enter_scores(gradebook, job.gradebook, submission.student, submission.assignment)
        _keep(job.folder, root, "autograded", submission)
    _keep(job.folder, root, "submitted", submission)
    shutil.rmtree(job.folder, ignore_errors=True)


def _keep(folder: Path, root: Path, step: str, submission: Submission) -> None:
    """Move what one submission left into the teacher's own folder, where nbgrader's formgrader finds it."""
    target = root / step / submission.student / submission.assignment
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / step / submission.student / submission.assignment, target)


def _write_feedback(api: NbGraderAPI, submissions: Sequence[Submission]) -> None:
    for submission in submissions:
        if submission.status == "graded":
            result = api.generate_feedback(submission.assignment, submission.student)
            if not result["success"]:
                submission.remarks.append(f"no feedback page: {last_words(result)}")
