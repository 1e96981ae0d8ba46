"""A sweep: one notebook over a grid of parameters, each run in a process of its own, resumable, gathered in one table.

`python -m vaelib.tools.runner sweep --help` is the way in. Each run has a folder, named by a hash of its parameters and
of the notebook's code. What stands there as passed is never run again.
"""

import ast
import contextlib
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from tqdm import tqdm

from vaelib.tools.runner.execution import execute
from vaelib.tools.runner.notebooks import CourseError, Notebook, assign_parameters, parse_parameter
from vaelib.tools.runner.report import _plain, place
from vaelib.tools.runner.sweep_results import draw, write_csv

MEMORY_OF_A_RUN = 1.5e9  # bytes: TensorFlow, the data and a few models, with room to spare


@dataclass(frozen=True)
class Run:
    """One point of the grid, and the folder that holds what came of it."""

    notebook: Notebook
    parameters: dict
    folder: Path

    @property
    def label(self):
        """The parameters in words."""
        return " ".join(f"{name}={value}" for name, value in self.parameters.items()) or "as it comes"

    def result(self):
        """What came of it, an entry as in the course report; None when it has not been run."""
        try:
            return json.loads((self.folder / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def keep(self, result):
        """Write the result: whole or not at all."""
        half = self.folder / "result.json.part"
        half.write_text(json.dumps(_plain(result), ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
        os.replace(half, self.folder / "result.json")


def parse_grid(parameters, seeds=None):
    """Read `name=value,value,...` for each parameter.

    A comma separates values, except within a list, a tuple, a dictionary or a quoted text: `sizes=[1,2],[3]` has two
    values. Each value is read as `run` reads it.

    Args:
        parameters: list of such texts.
        seeds: the values of `seed`, as a text; None when not given.

    Returns:
        dict of name to its list of values.

    Raises:
        CourseError: a text without `=`, a name or a value given twice, or an empty value among others.
    """
    grid = {}
    for text in [*parameters, *([] if seeds is None else [f"seed={seeds}"])]:
        name = parse_parameter(text)[0]
        if name in grid:
            also = " (--seeds gives it too)" if name == "seed" and seeds is not None else ""
            raise CourseError(f"The parameter '{name}' is given twice{also}. Give all its values at once: {name}=1,2.")
        pieces = _split(text.partition("=")[2])
        if len(pieces) > 1 and not all(piece.strip() for piece in pieces):
            raise CourseError(f"A value is missing between two commas, or at an end: '{text}'.")
        grid[name] = [parse_parameter(f"{name}={piece}")[1] for piece in pieces]
        if len({json.dumps(value, sort_keys=True) for value in grid[name]}) < len(pieces):
            raise CourseError(f"A value of '{name}' is given twice: '{text}'.")
    return grid


def _split(text):
    """Split at commas, but not inside a Python literal that begins with a bracket or a quote."""
    pieces, rest = [], text.split(",")
    while rest:
        count = 1
        if rest[0].lstrip()[:1] in tuple("[({'\""):
            lengths = range(1, len(rest) + 1)
            count = next((n for n in lengths if _is_literal(",".join(rest[:n]))), 1)
        pieces.append(",".join(rest[:count]))
        rest = rest[count:]
    return pieces


def _is_literal(text):
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def runs_of(notebook, grid, output):
    """Every combination of the grid's values as a Run, the last parameter changing fastest.

    Raises:
        CourseError: the notebook has no such parameter.
    """
    assign_parameters([notebook], grid)
    code = [cell.source for cell in notebook.content.cells if cell.cell_type == "code"]
    runs = []
    for values in itertools.product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        identity = json.dumps([notebook.name, code, parameters], sort_keys=True).encode()
        runs.append(Run(notebook, parameters, Path(output) / "runs" / hashlib.sha256(identity).hexdigest()[:16]))
    return runs


def default_jobs():
    """How many runs at once: half the processors, and no more than memory holds."""
    memory = psutil.virtual_memory().available
    return max(1, min((os.cpu_count() or 1) // 2, int(memory / MEMORY_OF_A_RUN)))


def sweep(notebook, grid, output, *, jobs=None, timeout=None):
    """Run a notebook over a grid; print a line per run; write results.csv and sweep.png.

    Args:
        notebook: Notebook.
        grid: dict of parameter to list of values, as `parse_grid` returns it.
        output: folder for the results; finished runs found in it are kept.
        jobs: how many runs at once; by default as many as processors and memory allow.
        timeout: seconds that one cell may take; None for no limit.

    Returns:
        Exit status: 0 when every run passed, 1 when one failed, 130 after an interrupt.

    Raises:
        CourseError: the notebook has no such parameter; nothing has run then.
    """
    output = Path(output)
    runs = runs_of(notebook, grid, output)
    waiting = [run for run in runs if not (run.result() or {}).get("passed")]
    jobs = min(jobs or default_jobs(), max(1, len(waiting)))
    print(f"{notebook.name}: {len(runs)} runs, {len(runs) - len(waiting)} of them finished before; {jobs} at a time.")
    width = max(len(run.label) for run in runs)
    interrupted = False
    # Silent unless someone watches: a log keeps the lines, not the bar.
    with tqdm(total=len(runs), initial=len(runs) - len(waiting), unit="run", disable=None, leave=False) as bar:
        try:
            with contextlib.closing(_run_all(waiting, jobs, timeout)) as finished:
                for run, result in finished:
                    bar.update()
                    bar.write(_line(run, result, width))
                    write_csv(output, runs)  # after each, so that nothing that ran is lost
        except KeyboardInterrupt:
            interrupted = True
    write_csv(output, runs)
    draw(output / "sweep.png", grid, [(run.parameters, run.result()) for run in runs], notebook.name)
    results = [run.result() for run in runs]
    passed, missing = sum(bool(r and r["passed"]) for r in results), sum(r is None for r in results)
    cut = f" Interrupted: {missing} not run; the same command goes on from here." if interrupted else ""
    print(f"{passed} of {len(runs)} runs passed.{cut} Results: {output / 'results.csv'}, {output / 'sweep.png'}")
    return 130 if interrupted else 0 if passed == len(runs) else 1


def _run_all(waiting, jobs, timeout):
    """Yield (run, result) as runs finish; end them all when the generator is left before its end."""
    waiting, active = list(waiting), {}
    with _stopped_by_signals():
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop(0)
                    active[_start(run, timeout)] = run
                time.sleep(0.05)
                for process in [process for process in active if process.poll() is not None]:
                    run = active.pop(process)
                    yield run, _outcome(run, process.returncode)
        finally:
            for process in active:
                _interrupt(process)
            for process in active:
                _wait(process)


def _start(run, timeout):
    """Start the process of one run. Ctrl-C does not reach it: we tell it to end."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "result.json").unlink(missing_ok=True)
    task = {"notebook": str(run.notebook.path.resolve()), "parameters": run.parameters, "timeout": timeout}
    (run.folder / "task.json").write_text(json.dumps(task), "utf-8")
    command = [sys.executable, "-m", "vaelib.tools.runner.sweep", str(run.folder.resolve()), str(os.getpid())]
    with open(run.folder / "log.txt", "wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _outcome(run, returncode):
    """The result of a run whose process has ended; one that left none, because it crashed, has failed."""
    result = run.result()
    if result is None:
        log = (run.folder / "log.txt").read_text("utf-8", errors="replace")
        message = f"the run's process ended with status {returncode}. {log.strip()[-300:]}".strip()
        error = {"cell": None, "execution_count": None, "name": "Crash", "message": message, "traceback": log}
        result = {"passed": False, "status": "failed", "seconds": 0.0, "peak_rss_mb": 0.0, "figures": {}, "units": {}}
        result |= {"name": run.notebook.name, "parameters": run.parameters, "claims": [], "error": error}
        run.keep(result)
    (run.folder / "log.txt").unlink(missing_ok=True)
    return result


def _interrupt(process):
    with contextlib.suppress(ProcessLookupError):
        process.terminate() if sys.platform == "win32" else process.send_signal(signal.SIGINT)


def _wait(process):
    """Wait for a process that was told to end, and insist after a while."""
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


@contextlib.contextmanager
def _stopped_by_signals():
    """Let SIGTERM end a sweep as Ctrl-C does: in good order."""

    def stop(signum, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread only
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(run, result, width):
    line = (
        f"{'✓' if result['passed'] else '✗'} {run.label:{width}}   {result['status']:8} "
        f"{result['seconds']:7.1f} s   {result['peak_rss_mb']:6.0f} MB"
    )
    return line if result["passed"] else f"{line}\n    {place(result['error'])}"


def _work(folder, parent):
    """What the process of one run does; it ends when the sweep that started it is gone."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    if sys.platform != "win32":
        threading.Thread(target=watch, daemon=True).start()
    task = json.loads((folder / "task.json").read_text("utf-8"))
    notebook = Notebook(Path(task["notebook"]))
    result = execute(notebook, task["parameters"], folder / notebook.path.name, timeout=task["timeout"])
    if result["status"] != "interrupted":  # one that was cut short is run again
        Run(notebook, task["parameters"], folder).keep(result)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _work(Path(sys.argv[1]), int(sys.argv[2]))
