"""Contenders in processes of their own, as their users run them, take turns; the median of each one's turns counts.

What slows the machine for a minute slows all of them, and none inherits another's threads or memory.
"""

import contextlib
import dataclasses
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from contenders import CONTENDERS, Setting


def race(path, setting, rounds, names=None):
    """Let the contenders train in turns on the images in the file path.

    Args:
        path: a .npy file of float32 images, (n, 28, 28).
        setting: a Setting.
        rounds: turns that count; one more, which compiles, does not.
        names: contenders; all by default.

    Returns:
        name -> {"seconds": median per epoch, "fastest": least, "turns": all of them}, or {"missing": why} where a
        library is not installed or the contender failed.
    """
    results, workers, complaints = {}, {}, {}
    with contextlib.ExitStack() as stack:
        for name in names or CONTENDERS:
            missing = [module for module in CONTENDERS[name][1] if importlib.util.find_spec(module) is None]
            if missing:
                results[name] = {"missing": f"{', '.join(missing)} not installed"}
                continue
            command = [sys.executable, __file__, name, str(path), json.dumps(dataclasses.asdict(setting))]
            complaints[name] = stack.enter_context(tempfile.TemporaryFile("w+"))  # a pipe would fill up
            pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints[name], text=True)
            workers[name] = stack.enter_context(subprocess.Popen(command, **pipes))
            results[name] = {"turns": []}
        for turn in range(rounds + 1):
            for name, worker in list(workers.items()):
                seconds = _one_turn(worker)
                if seconds is None:
                    complaints[name].seek(0)
                    last_words = complaints[name].read().strip().splitlines() or [f"exit status {worker.wait()}"]
                    results[name] = {"missing": f"failed: {last_words[-1]}"}
                    del workers[name]
                elif turn:
                    results[name]["turns"].append(seconds)
        for worker in workers.values():
            worker.stdin.close()
    for name in workers:
        turns = results[name]["turns"]
        results[name].update(seconds=statistics.median(turns), fastest=min(turns))
    return {name: results[name] for name in names or CONTENDERS}


def _one_turn(worker):
    """Return the seconds per epoch of one turn, or None when the worker has ended."""
    try:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return None
    answer = worker.stdout.readline()
    return float(answer) if answer else None


def work(name, path, setting):
    """Train for each line that arrives, and answer with the seconds per epoch."""
    setting = Setting(**json.loads(setting))
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    contender = CONTENDERS[name][0](np.load(path)[: setting.num_examples], setting)
    for _ in sys.stdin:
        start = time.perf_counter()
        contender.train()
        print((time.perf_counter() - start) / setting.epochs, file=answers, flush=True)


if __name__ == "__main__":
    work(*sys.argv[1:])
