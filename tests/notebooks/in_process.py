"""Run a notebook's cells in this process, through IPython but without a kernel: what is imported serves them all.

A kernel takes seconds to start, and TensorFlow in it more. `make test-all` runs the same notebooks in kernels.
"""

import atexit
import contextlib
import gc
import sys
import warnings
from typing import NamedTuple

import matplotlib.pyplot as plt
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from IPython.utils.capture import capture_output
from matplotlib import get_backend, rc_context
from matplotlib_inline.backend_inline import flush_figures
from traitlets.config import Config

INLINE = "module://matplotlib_inline.backend_inline"


class Ran(NamedTuple):
    """What came of one cell: what it displayed (MIME type to content), what it printed, its error or None."""

    displayed: list
    printed: str
    error: BaseException | None


class _Shell(InteractiveShell):
    """IPython that keeps a cell's error instead of printing it: that of its code, or of its pictures."""

    error = None

    def showtraceback(self, *args, **kwargs):
        self.error = sys.exc_info()[1]

    showsyntaxerror = showtraceback


@contextlib.contextmanager
def notebook_shell():
    """Context manager: a function from a cell's source to Ran, with a namespace of its own for all of its calls."""
    with contextlib.ExitStack() as stack:
        stack.callback(sys.modules.__setitem__, "__main__", sys.modules["__main__"])  # the shell puts its own there
        stack.enter_context(rc_context())
        stack.callback(plt.switch_backend, get_backend())
        stack.callback(plt.close, "all")
        plt.switch_backend(INLINE)
        shell = _Shell.instance(config=Config(HistoryManager={"enabled": False}))
        stack.callback(_Shell.clear_instance)
        stack.callback(atexit.unregister, shell.atexit_operations)
        stack.callback(shell.atexit_operations)
        select_figure_formats(shell, {"png"})
        shell.events.register("post_execute", flush_figures)

        def run(source):
            shell.error = None
            with capture_output() as captured:
                shell.run_cell(source)
            return Ran([output.data for output in captured.outputs], captured.stdout, shell.error)

        yield run

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # a notebook may leave its folders to the end of the kernel
            shell.reset(new_session=False)
            gc.collect()
