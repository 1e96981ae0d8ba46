"""A Dask cluster on this machine, each process of it as on a machine of its own."""

import os
import socket
import subprocess
import sys


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Cluster:
    """A scheduler and its workers, each a process as on machines of their own: no folder is shared on purpose."""

    def __init__(self, folder):
        self.folder, self.address = folder, f"tcp://127.0.0.1:{free_port()}"
        self.log = open(folder / "log.txt", "wb")
        port = self.address.rpartition(":")[2]
        self.started = [self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")]
        self.workers = []

    def _start(self, kind, *options, env=()):
        command = [sys.executable, "-m", "distributed.cli.dask_" + kind, *options]
        return subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **dict(env)}, stdout=self.log, stderr=subprocess.STDOUT
        )

    def add_worker(self, **env):
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder))
        self.workers.append(self._start("worker", self.address, *options, env=env))
        return self.workers[-1]

    def close(self):
        for process in (*self.workers, *self.started):
            process.kill()
            process.wait()
        self.log.close()
