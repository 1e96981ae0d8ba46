"""The grader: student versions of the assignments, and their grading through nbgrader.

repository     the students' repository: the course without what solves the assignments
place          the folder that it is written to: what may be replaced there
release        read nbgrader's configuration, build the student versions, check that nothing leaked
collecting     a platform's export, sorted into folders by nbgrader's zip_collect
archives       zip files, looked at before they are unpacked
worksheet      Moodle's grading worksheet
names          what each student is called in the gradebook, all term
roster         who takes the course
terms          due dates, and what being late costs
lateness       nbgrader's late penalties by that policy
submissions    find what each student handed in, and recognise it
mending        put back the cells that a submission lost
autograding    one submission through nbgrader, in a process and a course directory of its own
wall           its kernel: no network, no file but the interpreter's, nothing that goes on afterwards
shield         its tests: out of the answer's sight, and shown to be able to fail
grading        grade a folder of submissions; stop when the model solutions do not pass here
workplace      the folder for that, which goes even where grading is killed
scores         the gradebook
reports        the CSV files, and the journal from which a broken run goes on
exports        grades for Canvas and Moodle: nbgrader's export plugins
statistics     how hard each question was, and what went wrong most often
similarity     which answers resemble each other, by copydetect
exchange       nbgrader's exchange on a JupyterHub
administration the commands for all of this
remarks        what a teacher should know of a notebook that ran
preprocessors  what nbgrader runs in addition (named in assignments/nbgrader_config.py)

On the command line: `python -m vaelib.tools.grader COMMAND`, with release, repository, grade, collect, export,
statistics, similarity and exchange.
It needs the extras `course` and `classroom`.
"""


class GraderError(Exception):
    """Something is wrong on the teacher's side: the message says what, and nobody was graded."""
