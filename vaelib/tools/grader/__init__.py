"""The classroom: student versions of the assignments, and their grading through nbgrader.

course         the course directory: read its configuration, build the student versions, check that nothing leaked
submissions    find what each student handed in, recognise it, put lost cells back
workers        one process per submission, with a limit of time and of memory
grading        grade a folder of submissions; stop when the model solutions do not pass here
scores         the gradebook, the CSV files and the remarks
preprocessors  what nbgrader runs in addition (named in assignments/nbgrader_config.py)

On the command line: `python -m vaelib.tools.grader release` and `python -m vaelib.tools.grader grade FOLDER`.
It needs the extras `course` and `classroom`.
"""


class ClassroomError(Exception):
    """Something is wrong on the teacher's side: the message says what, and nobody was graded."""
