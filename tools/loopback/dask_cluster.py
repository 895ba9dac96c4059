"""A Dask cluster on loopback whose processes can be killed and started again.  Imports nothing of aeformat."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final

_START_SECONDS: Final = 300.0  # on a machine that is very busy


class Cluster:
    """A scheduler and workers of one thread, each a process.  address: of the scheduler, the same after a restart."""

    def __init__(self, n_workers: int, environment: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address, self._port, self._n_workers = f"tcp://127.0.0.1:{port}", port, n_workers
        path = os.pathsep.join(sys.path)
        self._environment = {**os.environ, **environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.n_killed = 0
        self._start_scheduler()
        self.start_workers(n_workers)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _start_scheduler(self) -> None:
        arguments = ("--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard")
        self._scheduler = self._start("distributed.cli.dask_scheduler", *arguments)
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
            except OSError:
                if time.monotonic() > end or self._scheduler.poll() is not None:
                    raise
                time.sleep(0.1)
            else:
                return

    def start_workers(self, n_workers: int) -> None:
        """Start more workers; they come when they are ready."""
        arguments = (self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "120")
        self.workers += [self._start("distributed.cli.dask_worker", *arguments) for _ in range(n_workers)]

    def kill_worker(self) -> None:
        """SIGKILL the worker that has been there longest."""
        worker = self.workers.pop(0)
        worker.kill()
        worker.wait()
        self.n_killed += 1

    def restart_scheduler(self) -> None:
        """SIGKILL the scheduler and start another one in its place; workers, which end with theirs, are started again."""
        self._scheduler.kill()
        self._scheduler.wait()
        self._end_workers()
        self._start_scheduler()
        self.start_workers(self._n_workers)

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_workers()
        self._scheduler.kill()
        self._scheduler.wait()
