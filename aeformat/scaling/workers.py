"""Ranges made by the workers of a Dask cluster.  The one module that imports Dask.

Owns which ranges are on their way, and that each comes back once, whatever becomes of workers and of the scheduler: what is
lost is given out again.  Knows nothing of what a range is.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from aeformat.errors import AeformatError, UsageError

LOCAL: Final = "local"
_AHEAD: Final = 2  # ranges given out for each thread of the cluster
_POLL_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 10
_FIRST_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 300.0  # without a scheduler, or without a worker
Made = TypeVar("Made")


class DaskWorkers:
    """A cluster.  address: of its scheduler, or "local".  patience: seconds to wait for a scheduler that is gone.

    notify: told of that, in one line.

    Raises UsageError where Dask is not installed.
    """

    def __init__(self, address: str, *, notify: Callable[[str], object], patience: float = PATIENCE_SECONDS) -> None:
        try:
            import distributed
        except ImportError as error:
            raise UsageError('Dask is not installed: pip install "aeformat[dask]"') from error
        self._dask: Any = distributed
        self._address, self._notify, self._patience = address, notify, patience

    def run(
        self, task: Callable[[int], Made], numbers: Iterable[int]
    ) -> Iterator[tuple[int, Made | AeformatError | OSError]]:
        """Call the task with each number on some worker; results and errors, as they come.  Raises UsageError."""
        waiting = deque(numbers)
        with _quiet(), self._cluster() as address:
            patience = min(_FIRST_SECONDS, self._patience)  # an address that is wrong is said soon
            while waiting:
                client = self._connected(address, patience)
                patience = self._patience
                try:
                    yield from self._through(client, task, waiting)
                finally:
                    with contextlib.suppress(*self._lost()):
                        client.close(timeout=_CONNECT_SECONDS)
                if waiting:
                    self._notify(
                        f"{address}: the scheduler is gone; waiting for it, to give out {len(waiting):,} shards again"
                    )

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[str]:
        if self._address != LOCAL:
            yield self._address
            return
        with self._dask.LocalCluster(
            threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster:
            yield cluster.scheduler_address

    def _connected(self, address: str, patience: float) -> Any:
        """A client; waits as long as patience lasts.  Raises UsageError."""
        end = time.monotonic() + patience
        while True:
            try:
                return self._dask.Client(address, timeout=min(_CONNECT_SECONDS, patience), set_as_default=False)
            except self._lost() as error:
                if time.monotonic() > end:
                    raise UsageError(f"{address}: no Dask scheduler answers: {error}") from error
            except ValueError as error:
                raise UsageError(f"{address} is no address of a Dask scheduler: {error}") from error
            time.sleep(_POLL_SECONDS)

    def _lost(self) -> tuple[type[BaseException], ...]:
        """What says that the scheduler does not answer."""
        import asyncio
        import concurrent.futures as threads

        return (
            OSError,
            asyncio.TimeoutError,
            asyncio.CancelledError,
            threads.CancelledError,
        )  # CommClosedError is the first

    def _through(
        self, client: Any, task: Callable[[int], Made], waiting: deque[int]
    ) -> Iterator[tuple[int, Made | AeformatError | OSError]]:
        """As long as the scheduler is there.  What has not come back is in `waiting` in the end."""
        given: dict[int, Any] = {}
        idle_since = time.monotonic()
        try:
            while waiting or given:
                n_threads = _n_threads(client)
                if n_threads:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > self._patience:
                    raise UsageError(f"{self._address}: the scheduler has no worker")
                while waiting and len(given) < max(1, _AHEAD * n_threads):
                    number = waiting.popleft()
                    key = f"aeformat-{number}-{uuid.uuid4().hex}"
                    given[number] = client.submit(task, number, key=key, pure=False)
                with contextlib.suppress(self._dask.TimeoutError), client.as_current():
                    self._dask.wait(list(given.values()), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
                if client.status != "running" or any(
                    future.status in ("cancelled", "lost") for future in given.values()
                ):
                    return
                for number in [number for number, future in given.items() if future.status in ("finished", "error")]:
                    yield number, self._outcome(given[number])
                    del given[number]
        except self._lost():
            return
        finally:
            waiting.extendleft(sorted(given, reverse=True))
            if given and client.status == "running":
                with contextlib.suppress(*self._lost()):
                    client.cancel(list(given.values()))

    def _outcome(self, future: Any) -> Any:
        """What a worker has made, or its error.  Raises UsageError where workers died of it, or cannot run it."""
        if future.status == "finished":
            return future.result(timeout=_CONNECT_SECONDS)
        error = future.exception(timeout=_CONNECT_SECONDS)
        if isinstance(error, (AeformatError, OSError)):
            return error
        if isinstance(error, self._dask.scheduler.KilledWorker):
            raise UsageError(
                f"{self._address}: several workers died of one shard; have they memory enough?  {error}"
            ) from error
        if isinstance(error, ImportError):
            raise UsageError(f"{self._address}: a worker lacks what this takes: {error}") from error
        raise error


def _n_threads(client: Any) -> int:
    """Of all workers that there are.  Raises ConnectionError where the scheduler is gone."""
    scheduler = client.scheduler  # None from the moment that the client has lost it, in a thread of its own
    if scheduler is None:
        raise ConnectionError("the scheduler is gone")
    threads: dict[str, int] = client.sync(scheduler.ncores, workers=None)
    return sum(threads.values())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's client does not log that it lost its scheduler: that is said here, in one line."""
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
