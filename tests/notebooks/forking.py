"""Run a notebook once for all of its breaks: each goes on from where it first matters, in a copy of the process.

runs = runs_of("02_elbo", [Case(function(gaussian, "kl_standard_normal", scaled(-1)), "the last claim to look at")])
assert "the ELBO is log p(x) minus the gap" in runs.broken[...]  # by the break's key
"""

import contextlib
import functools
import os
import pickle
import signal
import traceback
import warnings
from typing import NamedTuple
from unittest import mock

from breaking import Break, Reached, left_out, sources_of, watched_claims


class Case(NamedTuple):
    """One of many breaks: what is broken, the last claim it must break, and cells that it can do without."""

    broken: Break
    last: str | None = None
    without: tuple = ()


class Runs(NamedTuple):
    """The claims that the sound notebook made, those of them that failed, and those that fail, by a break's key."""

    made: list
    failed: list
    broken: dict


def runs_of(notebook, cases, *, parameters=None, source=None, without=()):
    """Run a notebook once, and its breaks from where each of them first matters.

    The process forks before the cell whose code a break changes, or at the first call of the function it replaces; the
    copy goes on, broken, to its last claim. What comes before runs once for all. No copy may use TensorFlow: it has
    none of its threads, and would wait for them.

    Args:
        notebook: the file's name without .ipynb.
        cases: list of Case; each breaks a function or pieces of code, and has a key of its own.
        parameters, source, without: as in `run_until`, of the sound notebook.

    Returns:
        Runs.
    """
    made, failed, namespace, broken = [], [], {"__name__": "__main__"}, {}
    sources = functools.partial(sources_of, notebook, parameters or {})
    sound, todo, begun = sources(source or {}), [], 0
    mine = []  # in a copy: its case, and where it says what became of it

    def forks(case):
        """Whether this is the copy now; the original waits until the copy is done."""
        receiver, sender = os.pipe()
        pid = os.fork()
        if not pid:
            mine.extend((case, sender))
            signal.alarm(1800)  # ends what waits for a thread that is not there
            changed = sources({**(source or {}), **case.broken.source})
            todo[:] = [cell for cell in left_out(changed, case.without) if cell[0] > begun]
            return True
        os.close(sender)
        with open(receiver, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        if not said:
            raise RuntimeError(f"{notebook}, {case.broken.name}: the copy died, or waited for a thread of TensorFlow's")
        broken[case.broken.key] = pickle.loads(said)
        return False

    def crossing(target, name, ways):
        """The function; at its first call there is a copy for each of the ways to break it."""
        original = now = getattr(target, name)

        @functools.wraps(original)
        def call(*args, **named):
            nonlocal now
            while ways and not mine:
                case = ways.pop(0)
                if forks(case):
                    now = case.broken.key[2](original)
                    setattr(target, name, now)  # whoever took it from there before comes through here
            return now(*args, **named)

        call.stands_for = original
        return call

    def reached(text):
        if mine and text == mine[0].last:
            raise Reached

    changes, functions = [], {}
    assert len({case.broken.key for case in cases}) == len(cases)
    for case in cases:
        broken[case.broken.key] = set()  # where it never matters
        if case.broken.source:
            pairs = zip(sound, sources({**(source or {}), **case.broken.source}), strict=True)
            changes.append((next(n for n, (old, new) in enumerate(pairs, 1) if old != new), case))
        else:
            functions.setdefault(case.broken.key[:2], []).append(case)
    todo += left_out(sound, without)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(watched_claims(made, failed, reached))
            stack.enter_context(contextlib.suppress(Reached))
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            for (target, name), ways in functions.items():
                stack.enter_context(mock.patch.object(target, name, crossing(target, name, ways)))
            while todo:
                here = [case for n, case in changes if begun < n <= todo[0][0]]
                any(forks(case) for case in here if not mine)
                begun, text = todo.pop(0)
                exec(compile(text, f"{notebook}, code cell {begun}", "exec"), namespace)
    except BaseException:
        if not mine:
            raise
        failed[:] = [traceback.format_exc()]  # which the test then shows
    finally:
        if mine:
            with open(mine[1], "wb") as pipe:
                pickle.dump(set(failed), pipe)
            os._exit(0)
    return Runs(made, failed, broken)
