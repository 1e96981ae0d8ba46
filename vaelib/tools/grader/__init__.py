"""The grader: student versions of the assignments, and their grading through nbgrader.

__main__, administration    the command line: what is done once for the assignments, and what surrounds a term
grading                     grade a folder of submissions; stop when the model solutions do not pass here
reporting/                  the gradebook, and what is read from it
running/                    a submission behind the wall
students/                   who takes the course, and what they handed in
release/                    the course directory, and what students get of it

Imports go down this list only: `reporting` and `running` use `students`, `running` uses `release` too, and these two
use no other room.

On the command line: `python -m vaelib.tools.grader COMMAND`, with release, repository, grade, collect, export,
statistics, similarity and exchange.
It needs the extras `course` and `classroom`.
"""


class GraderError(Exception):
    """Something is wrong on the teacher's side: the message says what, and nobody was graded."""
