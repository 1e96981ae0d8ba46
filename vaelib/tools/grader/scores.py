"""The gradebook: enter what one submission earned, and write everything to CSV files."""

import csv
import warnings

import nbformat
from nbgrader.api import Gradebook
from nbgrader.utils import is_grade
from sqlalchemy.exc import SAWarning

# nbgrader's own way to enter a submission makes SQLAlchemy warn, to no effect.
warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")

QUESTION_COLUMNS = ["student", "assignment", "question", "score", "max_score", "graded"]
SUBMISSION_COLUMNS = [
    "student",
    "assignment",
    "status",
    "score",
    "max_score",
    "to_mark",
    "seconds",
    "megabytes",
    "remarks",
]


def enter_scores(gradebook_url, private_url, student, assignment):
    """Copy the scores of the tests from a submission's own gradebook into the course's; marks given by hand stay."""
    with Gradebook(private_url) as private, Gradebook(gradebook_url) as gradebook:
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(assignment, student)
        for notebook in private.find_submission(assignment, student).notebooks:
            for grade in notebook.grades:
                mine = gradebook.find_grade(grade.name, notebook.name, assignment, student)
                mine.auto_score, mine.needs_manual_grade = grade.auto_score, grade.needs_manual_grade
            for comment in notebook.comments:
                mine = gradebook.find_comment(comment.name, notebook.name, assignment, student)
                mine.auto_comment = comment.auto_comment
        gradebook.db.commit()


def enter_zero(gradebook_url, student, assignment):
    """Enter a submission that could not be graded; marks given by hand stay."""
    with Gradebook(gradebook_url) as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(assignment, student)
        for grade in [grade for notebook in submission.notebooks for grade in notebook.grades]:
            grade.auto_score, grade.needs_manual_grade = 0, False
        gradebook.db.commit()


def read_scores(gradebook_url, order):
    """Read every score in a gradebook.

    Args:
        gradebook_url: as in nbgrader's configuration.
        order: dictionary from an assignment to its source notebook, whose order the questions get.
    Returns:
        List of dictionaries with QUESTION_COLUMNS; `score` is "" where nobody has marked yet, and `graded` is
        "tests", "by hand" or "to mark".
    """
    rows = []
    with Gradebook(gradebook_url) as gradebook:
        for assignment in gradebook.assignments:
            if assignment.name not in order:
                continue
            places = [cell.metadata.nbgrader.grade_id for cell in order[assignment.name].cells if is_grade(cell)]
            for submission in sorted(assignment.submissions, key=lambda submission: submission.student_id):
                grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                for grade in sorted(grades, key=lambda grade: places.index(grade.name)):
                    open_question = grade.auto_score is None and grade.manual_score is None
                    by_hand = grade.manual_score is not None
                    score = "" if open_question else grade.score
                    graded = "to mark" if open_question else "by hand" if by_hand else "tests"
                    values = [submission.student_id, assignment.name, grade.name, score, grade.max_score, graded]
                    rows.append(dict(zip(QUESTION_COLUMNS, values, strict=True)))
    return rows


def write_csv(path, columns, rows):
    """Write rows, a list of dictionaries, under a header line."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def totals(rows, student, assignment):
    """Return (score, max_score, number of questions to mark) of one submission, from the rows of `read_scores`."""
    theirs = [row for row in rows if (row["student"], row["assignment"]) == (student, assignment)]
    score = sum(row["score"] for row in theirs if row["score"] != "")
    return score, sum(row["max_score"] for row in theirs), sum(row["graded"] == "to mark" for row in theirs)


def look_at(autograded):
    """Return what a teacher should know of a notebook that ran.

    Args:
        autograded: path of the executed notebook.
    Returns:
        (remarks, cost): cells out of time or memory and packages it lacked, a list of sentences; and a dictionary
        with the seconds it took and the most megabytes its kernel held.
    """
    notebook, remarks = nbformat.read(autograded, as_version=4), []
    for number, cell in enumerate(notebook.cells, 1):
        place = cell.metadata.get("nbgrader", {}).get("grade_id") or f"cell {number}"
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if output.ename == "CellTimeoutError":
                remarks.append(f"out of time in {place}")
            elif output.ename in ("MemoryError", "_ArrayMemoryError"):  # Python's own, and NumPy's
                remarks.append(f"out of memory in {place}")
            elif output.ename == "ModuleNotFoundError":
                remarks.append(f"{output.evalue} in {place}")
    return remarks, dict(notebook.metadata.get("grading", {}))


def failed_tests(autograded, gradebook_url, student, assignment):
    """Return one line for each autograded question that did not earn all its points, with the error it met."""
    with Gradebook(gradebook_url) as gradebook:
        grades = [g for notebook in gradebook.find_submission(assignment, student).notebooks for g in notebook.grades]
        short = {g.name: g for g in grades if g.auto_score is not None and g.auto_score < g.max_score}
        lines = {name: f"{name}: {grade.auto_score:g} of {grade.max_score:g} points" for name, grade in short.items()}
    for cell in nbformat.read(autograded, as_version=4).cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        for output in cell.get("outputs", []):
            if output.output_type == "error" and name in lines:
                lines[name] += f" ({output.ename}: {output.evalue})"
    return list(lines.values())
