"""One submission through nbgrader, in a process and a course directory of its own: nothing else can be hurt."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import nbformat

from vaelib.teaching.answers import seed_of
from vaelib.tools.grader.release.course import CONFIG, open_course
from vaelib.tools.grader.running import preprocessors  # noqa: F401 (imported once, before the processes)
from vaelib.tools.grader.running.mending import mend
from vaelib.tools.grader.running.outside import import_for, outside_tests
from vaelib.tools.grader.running.shield import answers_of
from vaelib.tools.grader.students.submissions import Submission
from vaelib.tools.processes import interrupt_when_orphaned, limit_files, limit_memory

MODEL = "model_solution"  # stands where a student's name stands
LONGEST_FILE = 64 * 10**6  # bytes


class Limits(NamedTuple):
    """How long a submission may take, how much memory it may hold, how many run at a time, and whether behind a wall.

    With a `scheduler` they run on the workers of its Dask cluster instead, one on each thread. One cell is limited by
    `Execute.timeout` in nbgrader_config.py.
    """

    seconds: float = 600
    num_bytes: float = 3e9
    num_workers: int = 2
    protected: bool = True
    scheduler: str | None = None


class Questions(NamedTuple):
    """By each question's name: the names it asks for, and its tests if they run outside of the student's kernel."""

    asked: dict[str, list[str]]
    outside: dict[str, str]


class Job(NamedTuple):
    """A submission, the course directory that holds it alone, and the questions of the assignment."""

    submission: Submission
    folder: Path
    questions: Questions

    @property
    def gradebook(self) -> str:
        """Address of the gradebook with this one submission."""
        return f"sqlite:///{self.folder / 'gradebook.db'}"

    @property
    def autograded(self) -> Path:
        """Path of the executed notebook."""
        name = self.submission.assignment
        return self.folder / "autograded" / self.submission.student / name / f"{name}.ipynb"


def prepare(submission: Submission, root: Path, work: Path) -> Job:
    """Set up a course directory that holds this one submission, its lost cells put back.

    Args:
        submission: with a notebook.
        root: a course directory with the student versions and a gradebook without grades, from `build_release`.
        work: folder for the new one.
    """
    folder = Path(tempfile.mkdtemp(dir=work))
    name = submission.assignment
    shutil.copy(root / CONFIG, folder / CONFIG)
    shutil.copy(root / "gradebook.db", folder / "gradebook.db")
    # Not the notebook: it holds the solutions.
    shutil.copytree(root / "source" / name, folder / "source" / name, ignore=shutil.ignore_patterns("*.ipynb"))
    cells = nbformat.read(root / "source" / name / f"{name}.ipynb", as_version=4).cells
    outside = outside_tests(cells)
    import_for(outside.values())
    handed_in = folder / "submitted" / submission.student / name
    handed_in.mkdir(parents=True)
    if submission.student != MODEL:
        mend(submission, nbformat.read(root / "release" / name / f"{name}.ipynb", as_version=4))
    nbformat.write(submission.notebook, handed_in / f"{name}.ipynb")
    return Job(submission, folder, Questions(answers_of(cells), outside))


def autograde_here(job: Job, limits: Limits) -> None:
    """Run nbgrader on one submission; in a process of its own, which is changed for good.

    Args:
        job: from `prepare`.
        limits: Limits.
    """
    interrupt_when_orphaned(os.getppid())
    log = os.open(job.folder / "log.txt", os.O_CREAT | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout = sys.stderr = open(log, "w", closefd=False)
    limit_memory(limits.num_bytes)
    limit_files(LONGEST_FILE)
    student, assignment = job.submission.student, job.submission.assignment
    seed = seed_of(student, assignment)
    options = {"Execute": {"protected": limits.protected, **job.questions._asdict(), "seed": seed}}
    result = open_course(job.folder, options).autograde(assignment, student)
    result["success"] = result["success"] and job.autograded.exists()
    (job.folder / "outcome.json").write_text(json.dumps(result))
