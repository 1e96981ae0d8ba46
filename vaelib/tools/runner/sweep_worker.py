"""The process of one run of a sweep: `python -m vaelib.tools.runner.sweep_worker FOLDER PARENT`."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from vaelib.tools.processes import interrupt_when_orphaned
from vaelib.tools.runner.notebooks import Notebook
from vaelib.tools.runner.sweep_runs import Run


def start(run: Run, timeout: float | None) -> subprocess.Popen:
    """Start the process of one run. Ctrl-C does not reach it: the sweep tells it to end.

    Args:
        run: what to run.
        timeout: seconds that one cell may take; None for no limit.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "result.json").unlink(missing_ok=True)
    task = {"notebook": str(run.notebook.path.resolve()), "parameters": run.parameters, "timeout": timeout}
    (run.folder / "task.json").write_text(json.dumps(task), "utf-8")
    command = [sys.executable, "-m", "vaelib.tools.runner.sweep_worker", str(run.folder.resolve()), str(os.getpid())]
    with open(run.folder / "log.txt", "wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def take_log(run: Run) -> str:
    """Return what the process of a run that has ended said, and remove it; "" where it was never started."""
    path = run.folder / "log.txt"
    said = path.read_text("utf-8", errors="replace") if path.exists() else ""
    path.unlink(missing_ok=True)
    return said


def work(folder: Path) -> None:
    """Do the run that `start` has described in its folder."""
    from vaelib.tools.runner.execution import execute  # papermill: the sweep itself runs nothing

    task = json.loads((folder / "task.json").read_text("utf-8"))
    notebook = Notebook(Path(task["notebook"]))
    result = execute(notebook, task["parameters"], folder / notebook.path.name, timeout=task["timeout"])
    if result["status"] != "interrupted":  # one that was cut short is run again
        Run(notebook, task["parameters"], folder).keep(result)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        interrupt_when_orphaned(int(sys.argv[2]))
        work(Path(sys.argv[1]))
