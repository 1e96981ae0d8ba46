"""Steps that nbgrader runs in addition to its own; assignments/nbgrader_config.py names them."""

import re
import secrets
import time
from typing import Any

import nbformat
from nbconvert.filters import strip_ansi
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor
from nbgrader.preprocessors import Execute as NbGraderExecute
from nbgrader.utils import is_grade
from traitlets import Bool, Int
from traitlets import Dict as TraitDict

from vaelib.tools.grader.running.outside import Reply, as_outputs, reply_of, run_outside
from vaelib.tools.grader.running.shield import Ran, canary, judge, new_token, scored, shielded
from vaelib.tools.grader.running.wall import WalledKernel, require_wall
from vaelib.tools.kernels import KERNEL_START, KernelProcess, WatchedKernel, watched_kernel

LONGEST_MESSAGE = 500  # characters of an error on a feedback page
SHORTEST_SECRET = 12  # characters: a shorter line of a hidden test tells nothing
_FAILED_LINE = re.compile(r"File <tests>:(\d+)")


class Execute(NbGraderExecute):
    """Run the notebook behind a wall, on the interpreter that grades, and each test where no answer can see it.

    The notebook's metadata then say how long that took, how much memory the kernel held at most, and which tests passed
    whatever was answered.
    """

    protected = Bool(True, help="Run the kernel behind a wall; nothing is graded where none can be built.").tag(
        config=True
    )
    asked = TraitDict({}, help="The names that each question asks for: from `shield.answers_of`.").tag(config=True)

    outside = TraitDict({}, help="The tests that need not run in the kernel: from `outside.outside_tests`.").tag(
        config=True
    )
    seed = Int(0, help="The student's own, for the inputs of hidden tests: from `teaching.answers.seed_of`.").tag(
        config=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._process = KernelProcess()
        self._tests: dict[int, nbformat.NotebookNode] = {}  # by the identity of the cell in their place
        self._tampered: list[str] = []
        super().__init__(*args, **{"startup_timeout": KERNEL_START, **kwargs})
        kind = WalledKernel if self.protected else WatchedKernel
        self.kernel_manager_class = watched_kernel(self._process, kind=kind)

    def preprocess(
        self, nb: nbformat.NotebookNode, resources: dict, km: Any = None
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Run, take the points of what was tampered with, and note the cost."""
        if self.protected:
            require_wall()
        started, cells = time.monotonic(), nb.cells
        self._tests, self._tampered = {}, []
        nb.cells = []
        for cell in cells:
            if cell.cell_type == "code" and is_grade(cell) and cell.metadata.nbgrader.grade_id in self.asked:
                place = nbformat.v4.new_code_cell()
                self._tests[id(place)] = cell
                cell = place
            nb.cells.append(cell)
        try:
            nb, resources = super().preprocess(nb, resources, km)
        finally:
            nb.cells = cells
        seconds, megabytes = time.monotonic() - started, self._process.peak / 1e6
        cost = {"seconds": round(seconds, 1), "megabytes": round(megabytes), "tampered": self._tampered}
        nb.metadata["grading"] = cost
        return nb, resources

    def preprocess_cell(
        self, cell: nbformat.NotebookNode, resources: dict, index: int
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Run one cell; where a question's tests have their place, ask the question."""
        tests = self._tests.get(id(cell))
        if tests is None:
            return super().preprocess_cell(cell, resources, index)
        tests.outputs = self._ask_from_outside(tests, index) or self._ask_within(tests, index)
        return cell, resources

    def _ask_from_outside(self, tests: nbformat.NotebookNode, index: int) -> list[nbformat.NotebookNode] | None:
        question = tests.metadata.nbgrader.grade_id
        if self.outside.get(question) != tests.source:  # what runs in this process is the course's own text
            return None

        def execute(code: str) -> Reply:
            return reply_of(self._run(code, index).outputs)

        token = new_token()
        verdict = run_outside(tests.source, self.asked[question], token, self.seed, execute)
        if verdict is None:
            return None
        return scored(tests.metadata.nbgrader.points, Ran(tests.source, token, as_outputs(verdict)))

    def _ask_within(self, tests: nbformat.NotebookNode, index: int) -> list[nbformat.NotebookNode]:
        question = tests.metadata.nbgrader.grade_id
        tokens = [new_token(), new_token()]
        codes = [
            make(tests.source, self.asked[question], token, self.seed)
            for make, token in zip((shielded, canary), tokens, strict=True)
        ]
        # Whoever counts the runs cannot know which is which.
        ran = {number: self._run(codes[number], index).outputs for number in secrets.SystemRandom().sample((0, 1), 2)}
        test, check = (Ran(tests.source, token, ran[number]) for number, token in enumerate(tokens))
        outputs, tampered = judge(question, tests.metadata.nbgrader.points, test, check)
        self._tampered += [question] if tampered else []
        return outputs

    def _run(self, code: str, index: int) -> nbformat.NotebookNode:
        """Run code that leaves no trace in the history which later cells can read."""
        return self.execute_cell(nbformat.v4.new_code_cell(code), index, store_history=False)


class AllowStderr(NbGraderPreprocessor):
    """Turn stderr into stdout: nbgrader would take every point away for a mere warning."""

    def preprocess_cell(
        self, cell: nbformat.NotebookNode, resources: dict, cell_index: int
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Rename the stream."""
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.name = "stdout"
        return cell, resources


class HideHiddenTests(ClearHiddenTests):
    """Take hidden tests out of the feedback page; of an error leave the message, which is written for students.

    What the student's own code printed stays, except for lines of a hidden test that it got hold of.
    """

    def preprocess(self, nb: nbformat.NotebookNode, resources: dict) -> tuple[nbformat.NotebookNode, dict]:
        """Find what is hidden, then clear cell by cell."""
        self._secret = {line for cell in nb.cells for line in _hidden_lines(cell.source, self)}
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: nbformat.NotebookNode, resources: dict, cell_index: int
    ) -> tuple[nbformat.NotebookNode, dict]:
        """Clear the source, and the outputs that would show it."""
        if cell.cell_type != "code":
            return cell, resources
        if not is_grade(cell):
            cell.outputs = [_clean(output, self._secret) for output in cell.outputs]
            return cell, resources
        lines = cell.source.split("\n")
        begins = [number for number, line in enumerate(lines, 1) if self.begin_test_delimeter in line]
        self._remove_hidden_test_region(cell)
        cell.source = cell.source.rstrip()
        # What a test printed may show its inputs.
        cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
        for output in cell.outputs:
            failed = _FAILED_LINE.findall(strip_ansi("\n".join(output.traceback)))
            hidden = failed and begins and int(failed[-1]) > begins[0]
            says = f"{output.ename}: {output.evalue[:LONGEST_MESSAGE]}"
            if hidden and output.ename != "AssertionError":  # its words are the student's, and may quote the test
                says = output.ename
            output.traceback = [("In a hidden test: " if hidden else "") + _without(says, self._secret)]
            output.evalue = ""
        return cell, resources


def _hidden_lines(source: str, marks: ClearHiddenTests) -> list[str]:
    _, *regions = source.split(marks.begin_test_delimeter)
    lines = [line.strip() for region in regions for line in region.split(marks.end_test_delimeter)[0].splitlines()]
    return [line for line in lines if len(line) >= SHORTEST_SECRET]


def _clean(output: nbformat.NotebookNode, secret: set[str]) -> nbformat.NotebookNode:
    """An output of the student's own code as text and pictures: HTML of theirs could act for whoever opens the page."""
    if output.output_type == "stream":
        output.text = _without(output.text, secret)
    elif output.output_type == "error":
        output.traceback = [_without("\n".join(output.traceback), secret)]
    else:
        output.data = {mime: output.data[mime] for mime in ("image/png", "text/plain") if mime in output.data}
        output.data["text/plain"] = _without(str(output.data.get("text/plain", "")), secret)
    return output


def _without(text: str, secret: set[str]) -> str:
    for line in secret:
        # A text that was printed within another one has its quotation marks escaped, once or more.
        pattern = "".join(rf"\\*{re.escape(letter)}" if letter in "'\"\\" else re.escape(letter) for letter in line)
        text = re.sub(pattern, "(hidden)", text)
    return text
