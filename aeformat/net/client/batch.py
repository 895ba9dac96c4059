"""Sending many files over a few connections that are kept (spec/transport.md, T5-18).

Owns the threads, the order of the results, and which failures end the batch because they would befall every file.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from aeformat.errors import AeformatError
from aeformat.net.client.digest import FileDigest
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.learned import Learned
from aeformat.net.client.options import DEFAULTS, Notify, Options, Progress, Sent, ignore
from aeformat.net.client.sending import send_open
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.upload_client import ONE_REQUEST_BYTES

_AHEAD: Final = 8  # files a connection that are begun before the result of the oldest one is taken
_FOR_ALL: Final = (401, 403, 407)  # statuses that hold for every file: it is the token, or the proxy

Failure = AeformatError | OSError


class Stopped(Exception):
    """The batch is over, so the transfer that is running ends here."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file.  sent: if the server has it.  error: why not; both None if it was not tried."""

    path: Path
    sent: Sent | None = None
    error: Failure | None = None


def send_many(
    paths: Sequence[Path], url: str, options: Options = DEFAULTS, *, jobs: int = 4, progress: Progress = ignore,
    notify: Notify = ignore,
) -> Iterator[FileResult]:  # fmt: skip
    """Send files to one server over at most `jobs` connections, and yield the results in the order of `paths`.

    A file that fails does not stop the others.  After a failure that would befall all (no answer in all tries, the token) those
    that are not begun are not tried.  progress: of all files together.  Raises UsageError.
    """
    address = ServerAddress.parse(url, token=options.token, ca_file=options.ca_file)
    with _Batch(address, options, min(jobs, max(1, len(paths))), Overall(paths, progress), notify) as batch:
        yield from batch.run(paths)


class Overall:
    """The progress of all files together, from that of each."""

    def __init__(self, paths: Sequence[Path], progress: Progress) -> None:
        self._size, self._done, self._progress = sum(map(_size, paths)), 0, progress
        self._lock = threading.Lock()

    def of_file(self) -> Progress:
        """The callback for the progress of one file."""
        before = 0

        def update(what: str, n_bytes: int, _size: int) -> None:
            nonlocal before
            if what == "sending":
                with self._lock:
                    self._done, before = self._done + n_bytes - before, n_bytes
                    self._progress(what, self._done, self._size)

        return update


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Batch:
    """The threads of one batch, each with a client of its own; leaving the block stops them."""

    def __init__(
        self, address: ServerAddress, options: Options, jobs: int, overall: Overall, notify: Notify
    ) -> None:  # fmt: skip
        self._options, self._overall, self._notify, self._jobs = options, overall, notify, jobs
        self._learned, self._stop = Learned(), threading.Event()
        self._first = HttpClient.to(address, options, sleep=self._sleep)
        self._clients: SimpleQueue[HttpClient] = SimpleQueue()
        for client in [self._first, *(self._first.twin() for _ in range(jobs - 1))]:
            self._clients.put(client)
        self._threads = ThreadPoolExecutor(jobs, "aeformat-send")

    def __enter__(self) -> _Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)
        while not self._clients.empty():
            self._clients.get().close()

    def run(self, paths: Sequence[Path]) -> Iterator[FileResult]:
        """Send the files.  The first one is sent alone: what it shows of the server and the decoder helps the others."""
        begun: deque[Future[FileResult]] = deque()
        for number, path in enumerate(paths):
            begun.append(self._threads.submit(self._send, path))
            if number == 0 or len(begun) > _AHEAD * self._jobs:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def _send(self, path: Path) -> FileResult:
        if self._stop.is_set():
            return FileResult(path)
        client = self._clients.get()
        try:
            return FileResult(path, sent=self._sent(client, path))
        except Stopped:
            return FileResult(path)
        except (AeformatError, OSError) as error:
            if isinstance(error, TransferUnfinished) or (
                isinstance(error, TransferFailed) and error.status in _FOR_ALL
            ):
                self._stop.set()
            return FileResult(path, error=error)
        finally:
            self._clients.put(client)

    def _sent(self, http: HttpClient, path: Path) -> Sent:
        progress = self._stopping(self._overall.of_file())
        if path.stat().st_size <= ONE_REQUEST_BYTES:  # a thread for its digest takes longer than the digest
            data, digest = path.read_bytes(), Future[bytes]()
            digest.set_result(hashlib.sha256(data).digest())
            return send_open(
                http, io.BytesIO(data), digest, self._options, self._learned, progress=progress, notify=self._notify
            )
        with path.open("rb") as file, FileDigest(path) as hashing:
            hashing.require_same(file)
            return send_open(
                http, file, hashing.future, self._options, self._learned, progress=progress, notify=self._notify
            )

    def _stopping(self, progress: Progress) -> Progress:
        def update(what: str, n_bytes: int, size: int) -> None:
            if self._stop.is_set():
                raise Stopped
            progress(what, n_bytes, size)

        return update

    def _sleep(self, seconds: float) -> None:
        """Wait before another try, but not after the batch is over."""
        if self._stop.wait(seconds):
            raise Stopped


def files_in(folder: Path) -> list[Path]:
    """All .aef files in a folder and in those below it, sorted.  Links to folders are not followed, pipes are no files."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(".aef")]
    return sorted(path for path in found if path.is_file() or not path.exists())
