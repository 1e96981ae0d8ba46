"""Submissions that do not play fair: what each tries, and what it may cost its author."""

from typing import NamedTuple

import nbformat

NAME = "attacked"
POINTS = {"twice": 5, "total": 6, "free": 7}
ALL = tuple(POINTS)
ANSWERS = {
    "twice": "def twice(x):\n    return 2 * x",
    "total": "def total(values):\n    return np.sum(values)",
    "free": "def free():\n    return 7",
}
HIDDEN = "assert twice(-5) == -10, 'the hidden number is minus ten'"
# The tests of `total` take np from another cell: they run within the kernel, the others in the grader.
TESTS = {
    "twice": f"expected = 6\nassert twice(3) == expected, 'try it with 3'\n### BEGIN HIDDEN TESTS\n{HIDDEN}\n",
    "total": (
        "from vaelib.teaching.answers import require_answer\nrequire_answer(total(np.ones(4)), 4.0)\n"
        "### BEGIN HIDDEN TESTS\nvalues = np.arange(5.0)\nrequire_answer(total(values), values.sum())\n"
    ),
    "free": "assert free() == 7\n### BEGIN HIDDEN TESTS\nassert free() + 1 == 8\n",
}  # fmt: skip


class Attack(NamedTuple):
    """One submission.

    Args:
        name: what it tries; also the student's.
        code: of a cell of its own, the first one.
        lost: the questions it must not be paid for.
        remark: words that the teacher must read; None for a submission without any.
        status: how it ends; "a or b" where that depends on the machine.
        answers: in place of the right ones.
        last: of a cell of its own, the last one.
    """

    name: str
    code: str = "pass"
    lost: tuple[str, ...] = ()
    remark: str | None = "look at this one"
    status: str = "graded"
    answers: dict[str, str] = {}
    last: str = "pass"


def source(answers=None, code=None, last=None):
    """The source of the small assignment; with `code` a submission: solutions replaced, and cells of its own."""

    def cell(grade_id, text, **kind):
        metadata = {"schema_version": 3, "grade": False, "locked": False, "solution": False, "task": False}
        return nbformat.v4.new_code_cell(text, metadata={"nbgrader": metadata | {"grade_id": grade_id} | kind})

    cells = [cell(f"{NAME}_setup", "import numpy as np", locked=True)]
    cells += [nbformat.v4.new_code_cell(code)] if code else []
    for name, points in POINTS.items():
        head, body = ANSWERS[name].split("\n", 1)
        solution = f"{head}\n    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION"
        cells.append(cell(f"{name}_answer", (answers or {}).get(name, solution), solution=True))
        cells.append(cell(name, f"{TESTS[name]}### END HIDDEN TESTS", grade=True, locked=True, points=points))
    cells += [nbformat.v4.new_code_cell(last)] if last else []
    return nbformat.v4.new_notebook(cells=cells)


WRONG = {"twice": "def twice(x):\n    return 0", "total": "def total(values):\n    return 0.0"}
PAID = ("twice", "total")  # what a cheat with these answers hopes to be paid for
ALWAYS = """
class Always:
    def __eq__(self, other):
        return True
    def __sub__(self, other):
        return 0
"""
FLOAT = "class Always(float):\n    def __eq__(self, other):\n        return True\n    __hash__ = None"
FUNCTION = "class Zero(np.ndarray):\n    def __array_function__(self, *a, **k):\n        return True"
CHECKS = "import vaelib.teaching.answers as checks\nchecks.require_answer = lambda *a, **k: None"
ARRAY = "class Always(np.ndarray):\n    def __eq__(self, other):\n        return np.array(True)"
NO_ASSERTS = """
import ast
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
    def visit_Constant(self, node):
        if isinstance(node.value, str) and 'assert ' in node.value:
            return ast.Constant('pass')
        return node
get_ipython().ast_transformers.append(NoAsserts())
"""
EAVESDROP = """
heard = []
get_ipython().events.register('pre_run_cell', lambda info: heard.append(info.raw_cell))
"""
FORGE = """
import builtins, sys
def say(text):
    sys.stdout.write(text.split(': ')[0] + ': JSON\\n')
builtins.print = say
"""
FRAMES = """
import sys
def peek(name):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            if name in names:
                return names[name]
        frame = frame.f_back
    return 0
"""
KILL = """
import os
for pid in range(1, 300000):
    try:
        os.kill(pid, 9)
    except OSError:
        pass
"""
STAY = """
import subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(4242)'], start_new_session=True)
"""
UNLINK = "import glob, os\nfor path in glob.glob('/tmp/kernel-*/*'):\n    os.unlink(path)"
FORK = "import os, time\nfor i in range(400):\n    if os.fork() == 0:\n        time.sleep(3600)"
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"
FLOOD = """
import glob, os
folder = os.path.dirname(glob.glob('/tmp/kernel-*/kernel.json')[0])
for i in range(50):
    open(f'{folder}/{i}', 'wb').write(bytes(10**6))
import time
time.sleep(3600)
"""
FILL = """
import os
def fill(folder):
    try:
        with open(f'{folder}/large', 'wb') as file:
            for i in range(2000):
                file.write(bytes(10**6))
        print('WROTE', folder)
    except OSError as error:
        print(error)
for folder in ('/tmp', '/home/student', '/dev/shm', '/dev', '/', '/usr'):
    fill(folder)
"""


def reaching(course, others):
    """Code that tries to reach files it should not see, and says so where it can.

    Args:
        course: the course directory. others: folder of the submissions.
    """
    return f"""
import os
wanted = ({str(course)!r}, {str(others)!r}, '/etc/passwd', '/etc/shadow', '/root/.ssh')
found = [path for path in wanted if os.path.exists(path)]
for top, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if os.path.join(top, name) not in ('/proc', '/usr', '/dev')]
    folders[:] = [name for name in folders if name != 'site-packages']
    paths = [os.path.join(top, name) for name in files]
    found += [path for path in paths if path.endswith('gradebook.db') or 'attacked' in path]
print('REACHED', found) if found else print('nothing')
"""


def attacks(course, others):
    """Return the table: list of Attack."""
    return [
        Attack("honest", remark=None),
        Attack("wrong", remark=None, lost=PAID, answers=WRONG),
        # Answers that would be right whatever they are compared with.
        Attack("equal object", ALWAYS, PAID, answers=_all("Always()")),
        Attack("equal float", FLOAT, PAID, answers=_all("Always(0)")),
        Attack("equal array", ARRAY, PAID, answers=_all("np.zeros(()).view(Always)")),
        Attack("array function", FUNCTION, PAID, answers=_all("np.zeros(()).view(Zero)")),
        # The tests' own names and inputs.
        Attack("globals", lost=PAID, answers=_all("globals().get('expected', 0)")),
        Attack("inputs", "pass", ("total",), None,
               answers={"total": "def total(values):\n    values[:] = 0\n    return 0.0"}),
        Attack("history", "pass", PAID, answers=_all("len(In) and 0"), last="print(In, _ih)"),
        # Tests that cannot fail any more.
        Attack("no asserts", NO_ASSERTS, PAID, answers=WRONG),
        Attack("no exec", "exec = lambda *a: None", PAID, answers=WRONG),
        Attack("no compile", "import builtins\nbuiltins.compile = lambda *a, **k: 'pass'", ALL, None,
               "out of time or crashed", answers=WRONG),  # the kernel runs no code any more, nor the interrupt's
        Attack("no builtin exec", "import builtins\nbuiltins.exec = lambda *a: None", ALL, "passed whatever",
               answers=WRONG),
        Attack("own globals", "def globals():\n    return {'twice': lambda x: 2 * x}", PAID, answers=WRONG),
        Attack("own names", "list = map = type = tuple = float = object = str = dict = isinstance = None", remark=None),
        Attack("patched allclose", "np.allclose = lambda *a, **k: True", ("twice", "total"), "passed whatever",
               answers=WRONG),
        Attack("patched checks", CHECKS, ("twice", "total"), "passed whatever", answers=WRONG),
        Attack("patched wraps", "import functools\nfunctools.wraps = lambda f: lambda g: lambda *a, **k: 6", PAID,
               answers=WRONG),
        Attack("quiet errors", "get_ipython().showtraceback = lambda *a, **k: None", PAID, answers=WRONG),
        Attack("quiet shell", "get_ipython().run_cell = lambda *a, **k: None", ALL, None,
               "out of time or crashed", answers=WRONG),
        Attack("swallows", "import sys\nsys.excepthook = lambda *a: None", PAID, answers=WRONG),
        Attack("exits", "import sys", ("twice",), None, answers={"twice": "def twice(x):\n    sys.exit(0)"}),
        # Feedback that would tell hidden tests.
        Attack("eavesdrops", EAVESDROP, last="print(heard)\nheard"),
        Attack("cites", EAVESDROP, ("twice",),
               answers={"twice": "def twice(x):\n    if x < 0:\n        raise ValueError(heard)\n    return 2 * x"}),
        Attack("page", last="from IPython.display import HTML, display\ndisplay(HTML('<script>alert(1)</script>'))",
               remark=None),
        # Ends, loops, hunger.
        Attack("leaves", "import os\nos._exit(0)", ALL, "died", "crashed"),
        Attack("kills", KILL, ALL, "died", "crashed"),
        Attack("segfault", "import ctypes\nctypes.string_at(0)", ALL, "died", "crashed"),
        Attack("forks", FORK, ALL, None, "too many processes"),
        Attack("deaf", DEAF, ALL, None, "out of time"),
        Attack("hungry", "held = [bytearray(10**8) for i in range(100)]", remark="out of memory"),
        Attack("floods", FLOOD, ALL, None, "crashed"),
        Attack("shouts", "print('x' * 3 * 10**8)", ALL, None, "crashed or out of time"),
        Attack("recursion", "def f():\n    return f()", last="f()", remark=None),
        Attack("asks", last="input('points? ')", remark=None),
        Attack("stays", STAY),
        # What lies outside.
        Attack("reaches", reaching(course, others), remark=None),
        Attack("fills", FILL),
        Attack("writes", "import vaelib, os\nprint(os.access(vaelib.__file__, os.W_OK))\n"
               "open(vaelib.__file__, 'a').write('WROTE')"),
        Attack("calls", "import socket\nfor address in (('127.0.0.1', 22), ('10.0.0.1', 80), ('1.1.1.1', 53)):\n"
               "    try:\n        socket.create_connection(address, 2)\n        print('REACHED', address)\n"
               "    except OSError as error:\n        print(error)"),
        Attack("environment", "import os\n'GRADERS_TOKEN' in os.environ and print('REACHED')", remark=None),
        Attack("surrogates", "print('\\ud800')\nprint(chr(0xdfff), chr(0))", remark=None),
        Attack("unlinks", UNLINK, remark=None),
        # The tests that run in the grader: what comes back to them is numbers, whatever was sent.
        Attack("frames", FRAMES, ("twice",), answers={"twice": "def twice(x):\n    return peek('expected') * x / 3"}),
        Attack("forged result", FORGE.replace("JSON", '{"dtype": "O"}'), ("twice", "free"),
               answers={"twice": WRONG["twice"]}),
        Attack("deep result", FORGE.replace("JSON", "[" * 10**5), ("twice", "free"),
               answers={"twice": WRONG["twice"]}),
        Attack("large result", "class Large:\n    def __array__(self, *a, **k):\n        return np.ones(10**7)",
               ("twice",), answers={"twice": "def twice(x):\n    return Large()"}),
        Attack("no result", "import builtins", ("twice", "free"),
               answers={"twice": "def twice(x):\n    builtins.print = lambda *a: None\n    return 2 * x"}),
        # What a determined cheat still can do, where tests run beside the answer: the remark is the defence.
        Attack("frames within", FRAMES, (), answers={"total": "def total(values):\n    return peek('np').sum(values)"}),
        Attack("encodes", EAVESDROP, last="import base64\nprint(base64.b64encode(str(heard).encode()))"),
    ]  # fmt: skip


def _all(value):
    return {"twice": f"def twice(x):\n    return {value}", "total": f"def total(values):\n    return {value}"}
