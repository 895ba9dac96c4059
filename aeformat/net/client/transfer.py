"""Carrying out the actions of the client's state machines; aio.async_transfer does the same for asyncio.

Owns partial files and waiting.  The state machines of aeformat.transport decide what comes next, and when.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Final

from aeformat.net.client.events import Unanswered, Waiting
from aeformat.net.client.http_client import CONNECTION_ERRORS, FileBody, HttpClient, error_text
from aeformat.net.client.local_errors import local, unmarked
from aeformat.transport.messages import Cut, Done, Failed, Hash, Lost, Request, Response, Wait

if TYPE_CHECKING:  # at run time each direction imports its own state machine only
    from aeformat.transport.fetch_client import FetchClient
    from aeformat.transport.upload_client import UploadClient

_READ_BYTES: Final = 1 << 20
_UNVERIFIED_PIECES: Final = 4  # of a body, received and waiting to be verified: 4 MiB at most

FileProgress = Callable[[int], None]  # called with the number of bytes that are transferred
SaveUpload = Callable[[str], None]  # called with the path of the upload, so that a later run can resume it


class AlreadyStored(Exception):
    """The server has the file already, so the request that is sending it is aborted (T5-10)."""


def send_file(client: UploadClient, http: HttpClient, body: FileBody, digest: Future[bytes], save: SaveUpload) -> Done:
    """Send a file.  digest: the file's, which may become known while the file is sent.

    Raises TransferFailed; OSError if the file cannot be read; what the callbacks raise.  None of the latter is retried.
    """
    while not isinstance(action := next_upload_action(client, digest), Done):
        if isinstance(action, Wait):
            wait(http, action)
            client.go_on()
        elif isinstance(action, Hash):
            client.hashed(digest.result())
        else:
            with contextlib.suppress(AlreadyStored):
                found = http.request(action, body, lambda: _probe_while_sending(client, http, digest))
                report_upload(client, found, body, save)
    return action


def wait(http: HttpClient, action: Wait) -> None:
    """Wait before the next try, and tell of it (T8-4)."""
    http.tell(Waiting(action.seconds, action.reason))
    http.sleep(action.seconds)


def _probe_while_sending(client: UploadClient, http: HttpClient, digest: Future[bytes]) -> None:
    probe = probe_while_sending(client, digest)
    if probe is not None:
        report_probe(client, http.request(probe))


def probe_while_sending(client: UploadClient, digest: Future[bytes]) -> Request | None:
    """The request to send while a body is being sent (T5-10), None if there is none."""
    if digest.done():
        client.hashed(digest.result())
    return client.probe_while_sending()


def report_probe(client: UploadClient, found: Response | Lost) -> None:
    """Report the response to `probe_while_sending`.  Raises AlreadyStored if the server has the file."""
    client.on(found)
    if not client.is_sending:
        raise AlreadyStored


def next_upload_action(client: UploadClient, digest: Future[bytes]) -> Request | Wait | Hash | Done:
    """The next action of an upload.  Raises TransferFailed if the upload has failed."""
    if digest.done():
        client.hashed(digest.result())
    action = client.next()
    if isinstance(action, Failed):
        raise action.error
    return action


def report_upload(client: UploadClient, found: Response | Lost, body: FileBody, save: SaveUpload) -> None:
    """Report the response to a request of an upload; then report the progress and save the upload's path."""
    client.on(found)
    body.progress(client.offset)
    save(client.upload or "")


def fetch_file(client: FetchClient, http: HttpClient, partial: int, progress: FileProgress) -> Done:
    """Fetch a blob into a partial file.  partial: its file descriptor.

    Raises TransferFailed; OSError if the file cannot be written; what `progress` raises.  None of the latter is retried.
    """
    restore(client, partial)
    while not isinstance(action := next_fetch_action(client, partial), Done):
        if isinstance(action, Wait):
            wait(http, action)
            client.go_on()
        elif action.method == "HEAD":
            client.on(http.request(action))
        else:
            _fetch_body(client, http, action, partial, progress)
    return action


def next_fetch_action(client: FetchClient, partial: int) -> Request | Wait | Done:
    """The next action of a fetch, after the partial file was truncated where the client asked for that.

    Raises TransferFailed if the fetch has failed.
    """
    while isinstance(action := client.next(), Cut):
        _truncate(partial, action.at)
        client.go_on()
    if isinstance(action, Failed):
        raise action.error
    return action


def _fetch_body(client: FetchClient, http: HttpClient, request: Request, partial: int, progress: FileProgress) -> None:
    is_body, error = False, None
    with unmarked(), BackgroundVerifier(client, partial) as verifier:
        try:
            with http.stream(request) as incoming:
                if incoming.response.status not in (200, 206):
                    client.on(incoming.read_short())
                elif is_body := client.on(incoming.response):
                    for piece in incoming.body():
                        with local():
                            if not verifier.write(piece):
                                break
                            if (oldest := verifier.check(piece)) is not None and not oldest.result():
                                break
                            progress(client.verified_at)
        except CONNECTION_ERRORS as found:
            error = found
            http.tell(Unanswered(error_text(found)))
    report_body(client, error, progress, is_body=is_body)


def report_body(client: FetchClient, error: Exception | None, progress: FileProgress, *, is_body: bool) -> None:
    """Report the end of a response.

    error: the error of the connection that ended it, if there was one.  is_body: whether its body was for the partial file.
    """
    if not is_body:
        if error is not None:
            client.on(Lost(error_text(error)))
        return
    if error is None:
        client.ended()
    else:
        client.ended(error_text(error))
    progress(client.verified_at)


class BackgroundVerifier:
    """Verifies the pieces of a body in a thread, in order, while the next ones are received; use it in a `with` block.

    It bounds the number of pieces that wait: the receiver waits for the result of the oldest one when there are too many.  When
    the block is left, all pieces are verified.  An error of the disk is raised then, so that it is not taken for an error of
    the connection.
    """

    def __init__(self, client: FetchClient, partial: int) -> None:
        self._client, self._partial = client, partial
        self._thread = ThreadPoolExecutor(1, "aeformat-verify")
        self._results: deque[Future[bool]] = deque()
        self._disk_error: OSError | None = None

    def __enter__(self) -> BackgroundVerifier:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._thread.shutdown()
        if error is not None:
            return
        if self._disk_error is not None:
            raise self._disk_error
        for result in self._results:
            result.result()

    def write(self, piece: bytes) -> bool:
        """Append a piece to the partial file.  False if the disk has failed."""
        try:
            _append(self._partial, piece)
        except OSError as error:
            self._disk_error = error
        return self._disk_error is None

    def check(self, piece: bytes) -> Future[bool] | None:
        """Have a piece verified.  If too many pieces wait, return the result of the oldest: False means stop receiving."""
        return self._submit(self._client.data, piece)

    def write_and_check(self, piece: bytes) -> Future[bool] | None:
        """Have a piece written and then verified, both in the thread; returns what `check` returns."""
        return self._submit(
            lambda data: self._disk_error is None and self.write(data) and self._client.data(data), piece
        )

    def _submit(self, work: Callable[[bytes], bool], piece: bytes) -> Future[bool] | None:
        self._results.append(self._thread.submit(work, piece))
        return self._results.popleft() if len(self._results) > _UNVERIFIED_PIECES else None


def restore(client: FetchClient, partial: int) -> None:
    """Verify the bytes that an earlier run left in the partial file, and truncate it to the good ones."""
    os.lseek(partial, 0, os.SEEK_SET)
    while data := os.read(partial, _READ_BYTES):
        if not client.restore(data):
            break
    _truncate(partial, client.restored())


def _truncate(partial: int, at: int) -> None:
    os.ftruncate(partial, at)
    os.lseek(partial, at, os.SEEK_SET)


def _append(partial: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(partial, view) :]
