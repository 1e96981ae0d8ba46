"""Grade a folder of submissions: each in a process and a course directory of its own, then into one gradebook."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import nbformat

from vaelib.tools.grader import ClassroomError, preprocessors, scores  # noqa: F401 (imported once, before the processes)
from vaelib.tools.grader.course import CONFIG, assignment_names, build_course, open_course, source_notebook
from vaelib.tools.grader.submissions import Submission, find_submissions, mend
from vaelib.tools.grader.workers import limit_memory, run_jobs

MODEL = "model_solution"


class Limits(NamedTuple):
    """How long a submission may take, how much memory it may hold, how many run at a time.

    One cell is limited by `Execute.timeout` in nbgrader_config.py.
    """

    seconds: float = 600
    num_bytes: float = 3e9
    num_workers: int = 2


def grade(course, submitted, root, limits=None, on_graded=lambda submission: None):
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
        ClassroomError: nothing to grade, or a model solution does not earn full marks here; nobody gets a score then.
    """
    limits = limits or Limits()
    root, submitted = Path(root).resolve(), Path(submitted)
    if not submitted.is_dir():
        raise ClassroomError(f"No folder {submitted}: SUBMITTED must name a folder that holds one folder per student.")
    sources = {name: source_notebook(course, name) for name in assignment_names(course)}
    submissions = find_submissions(submitted, sources)
    if not submissions:
        raise ClassroomError(f"{submitted} holds no folder of a student: expected {submitted}/STUDENT/NAME.ipynb.")
    names = [name for name in sources if any(name == submission.assignment for submission in submissions)]
    if not names:
        raise ClassroomError(f"No notebook of {', '.join(sources)} was found in {submitted}.")
    with tempfile.TemporaryDirectory(prefix="vaelib-grading-") as work:
        check_environment(course, Path(work), sources, names, limits)
        api = build_course(course, root, names)
        url = api.coursedir.db_url
        jobs = [_prepare(submission, root, Path(work)) for submission in submissions if submission.notebook]
        for submission in submissions:
            if not submission.notebook and submission.assignment and submission.path:
                scores.enter_zero(url, submission.student, submission.assignment)
                on_graded(submission)
        for job, reason in _run(jobs, limits):
            submission = job.submission
            if reason:
                submission.status, _, detail = reason.partition(": ")
                submission.remarks += [detail] if detail else []
                scores.enter_zero(url, submission.student, submission.assignment)
            else:
                remarks, submission.cost = scores.look_at(job.autograded)
                submission.remarks += remarks
                scores.enter_scores(url, job.gradebook, submission.student, submission.assignment)
                _keep(job.folder, root, "autograded", submission)
            _keep(job.folder, root, "submitted", submission)
            shutil.rmtree(job.folder, ignore_errors=True)
            on_graded(submission)
    _write_feedback(api, submissions)
    write_reports(root, url, sources, submissions)
    return submissions


def check_environment(course, work, sources, names, limits):
    """Grade the model solutions: they must earn every point, or this environment cannot grade anybody.

    Raises:
        ClassroomError: they do not; the message names the questions and the errors.
    """
    root = work / MODEL
    build_course(course, root, names)
    models = [Submission(MODEL, name, Path(f"{name}.ipynb"), sources[name]) for name in names]
    problems = []
    for job, reason in _run([_prepare(model, root, work) for model in models], limits):
        name = job.submission.assignment
        lines = [reason] if reason else scores.failed_tests(job.autograded, job.gradebook, MODEL, name)
        problems += [f"    {name}: {line}" for line in lines]
    if problems:
        raise ClassroomError(
            "Nobody was graded: the model solutions do not earn full marks in this environment. "
            "Is a package missing, or a source notebook broken?\n" + "\n".join(problems)
        )


class _Job(NamedTuple):
    submission: Submission
    folder: Path
    num_bytes: float = 0

    @property
    def gradebook(self):
        return f"sqlite:///{self.folder / 'gradebook.db'}"

    @property
    def autograded(self):
        name = self.submission.assignment
        return self.folder / "autograded" / self.submission.student / name / f"{name}.ipynb"


def _prepare(submission, root, work):
    """Set up a course directory that holds this one submission, so that nothing else can be hurt."""
    folder = Path(tempfile.mkdtemp(dir=work))
    name = submission.assignment
    shutil.copy(root / CONFIG, folder / CONFIG)
    shutil.copy(root / "gradebook.db", folder / "gradebook.db")
    # Not the notebook: it holds the solutions.
    shutil.copytree(root / "source" / name, folder / "source" / name, ignore=shutil.ignore_patterns("*.ipynb"))
    handed_in = folder / "submitted" / submission.student / name
    handed_in.mkdir(parents=True)
    if submission.student != MODEL:
        mend(submission, nbformat.read(root / "release" / name / f"{name}.ipynb", as_version=4))
    nbformat.write(submission.notebook, handed_in / f"{name}.ipynb")
    return _Job(submission, folder)


def _run(jobs, limits):
    """Yield (job, reason) for each, the reason "" where nbgrader came through."""
    jobs = [job._replace(num_bytes=limits.num_bytes) for job in jobs]
    settings = {"num_workers": limits.num_workers, "seconds": limits.seconds, "num_bytes": limits.num_bytes}
    for job, reason in run_jobs(_autograde, jobs, **settings):
        outcome = job.folder / "outcome.json"
        if reason == "crashed" or not (reason or outcome.exists()):
            reason = f"crashed: {_last_line((job.folder / 'log.txt').read_text(errors='replace'))}"
        elif not reason:
            result = json.loads(outcome.read_text())
            words = "" if result["success"] else _last_words(result)
            # A cell that cannot even be interrupted ends the notebook.
            reason = words and f"{'out of time' if 'CellTimeoutError' in words else 'crashed'}: {words}"
        yield job, reason


def _autograde(job):
    """Run nbgrader on one submission; in a process of its own."""
    log = os.open(job.folder / "log.txt", os.O_CREAT | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout = sys.stderr = open(log, "w", closefd=False)
    limit_memory(job.num_bytes)
    result = open_course(job.folder).autograde(job.submission.assignment, job.submission.student)
    result["success"] = result["success"] and job.autograded.exists()
    (job.folder / "outcome.json").write_text(json.dumps(result))


def _last_words(result):
    """The line of nbgrader's log that names the error."""
    lines = [line for line in result.get("log", "").splitlines() if "Error: " in line or "died" in line]
    return _last_line("\n".join(lines) or result.get("error", ""))


def _last_line(text):
    return ([line for line in text.splitlines() if line.strip()] or ["no reason given"])[-1].strip()[:300]


def _keep(folder, root, step, submission):
    """Move what one submission left into the course's own folder, where nbgrader's formgrader finds it."""
    target = root / step / submission.student / submission.assignment
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / step / submission.student / submission.assignment, target)


def _write_feedback(api, submissions):
    for submission in submissions:
        if submission.status == "graded":
            result = api.generate_feedback(submission.assignment, submission.student)
            if not result["success"]:
                submission.remarks.append(f"no feedback page: {_last_words(result)}")


def write_reports(root, gradebook_url, sources, submissions):
    """Write scores.csv, one line per question, and submissions.csv, one line per submission."""
    rows = scores.read_scores(gradebook_url, sources)
    scores.write_csv(root / "scores.csv", scores.QUESTION_COLUMNS, rows)
    lines = []
    for submission in submissions:
        values = [submission.student, submission.assignment, submission.status]
        values += [*scores.totals(rows, submission.student, submission.assignment)]
        values += [submission.cost.get(name, "") for name in ("seconds", "megabytes")]
        values += ["; ".join(submission.remarks)]
        lines.append(dict(zip(scores.SUBMISSION_COLUMNS, values, strict=True)))
    scores.write_csv(root / "submissions.csv", scores.SUBMISSION_COLUMNS, lines)
