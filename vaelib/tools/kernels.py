"""Kernels that run notebooks for the tools: of this very interpreter, quiet, and with their memory watched."""

import os
import sys
import threading
from typing import IO, Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from vaelib.tools.processes import Family

KERNEL_START = 600  # seconds that a kernel has to start: a machine may be busy
# TensorFlow writes to stderr from C, into the cells' outputs: this silences most of it, `vaelib.quiet` the rest.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


class KernelProcess:
    """Watches a kernel's process.

    Samples before each cell and twice a second. Linux keeps a process's own high-water mark: there no short peak
    is missed.

    Attributes:
        peak: the largest resident memory of the kernel with its children, in bytes.
        unwanted: whether the kernel is to end, even one that has yet to start.
    """

    def __init__(self) -> None:
        self.peak = 0
        self.unwanted = False
        self._family: Family | None = None
        self._done = threading.Event()

    def watch(self, pid: int) -> None:
        """Start to sample the process of this id."""
        self._family = Family(pid)
        threading.Thread(target=self._run, daemon=True).start()
        if self.unwanted:
            self.kill()

    def kill(self) -> None:
        """Stop to sample, and end the kernel and its children where they still run."""
        self._done.set()
        if self._family is not None:
            self._family.kill()

    def sample(self) -> None:
        """Measure now."""
        if self._family is not None:
            self._family.look()
            self.peak = max(self.peak, self._family.high_water_mark(), self._family.resident())

    def _run(self) -> None:
        self.sample()
        while not self._done.wait(0.5):
            self.sample()


class WatchedKernel(AsyncKernelManager):
    """A kernel of the interpreter that runs the tool, whatever kernels this machine has installed."""

    process: KernelProcess
    messages: IO[bytes] | None = None

    @property
    def kernel_spec(self) -> KernelSpec:
        """`python -m ipykernel_launcher` of this very interpreter."""
        spec = get_kernel_dict()
        spec["argv"] = [sys.executable, *spec["argv"][1:]]
        return KernelSpec(**spec)

    async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Start, with figures shown in their cells and TensorFlow quiet, and watch the memory."""
        inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        env = {**_QUIET, **kwargs.get("env", os.environ), **inline}
        # The kernel runs in the notebook's folder: a relative folder must mean what it means here.
        env |= {name: os.path.abspath(env[name]) for name in ("VAELIB_DATA", "VAELIB_CACHE") if env.get(name)}
        kwargs["env"] = env
        # What the kernel says outside its cells is noise, unless it dies: then it is all there is.
        await super().start_kernel(**kwargs, stderr=self.messages)
        assert isinstance(self.provisioner, LocalProvisioner) and self.provisioner.pid is not None  # it has started
        self.process.watch(self.provisioner.pid)

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """Take the last measurement while the process still is there."""
        self.process.sample()
        await super().shutdown_kernel(now=now, restart=restart)


def watched_kernel(
    process: KernelProcess, messages: IO[bytes] | None = None, kind: type[WatchedKernel] = WatchedKernel
) -> type[WatchedKernel]:
    """Return a kernel manager, as papermill and nbconvert take it, whose kernel is watched.

    Args:
        process: watches the kernel from its start.
        messages: a file for what the kernel says outside its cells; None lets it go where ours goes.
        kind: of kernel.
    """
    return type(kind.__name__, (kind,), {"process": process, "messages": messages})
