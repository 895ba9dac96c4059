"""Carrying out what the client machines ask for; aio.drive has the twins, which differ in how they wait and in nothing else.

Owns partial files and waiting.  Knows nothing of when to ask again: the machines do.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Final

from aeformat.net.client.http_client import BROKEN, FileBody, Line, why
from aeformat.transport.messages import Cut, Done, Failed, Hash, Lost, Request, Response, Wait

if TYPE_CHECKING:  # each brings what only one of the two directions takes
    from aeformat.transport.fetch_client import FetchClient
    from aeformat.transport.upload_client import UploadClient

_READ_BYTES: Final = 1 << 20
_PIECES_BEHIND: Final = 4  # of a body, received and not yet verified: 4 MiB at most

Progress = Callable[[int], None]  # told how many bytes are there
Note = Callable[[str], None]  # told where an upload is, so that a later run can resume it


class Unwanted(Exception):
    """The server has the file already: the request that is sending it is broken off (T5-10)."""


def upload(client: UploadClient, line: Line, body: FileBody, digest: Future[bytes], note: Note) -> Done:
    """Send a file.  digest: of the file, perhaps later.  Raises TransferFailed, OSError of the file."""
    while not isinstance(action := to_send(client, digest), Done):
        if isinstance(action, Wait):
            time.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Hash):
            client.hashed(digest.result())
        else:
            with contextlib.suppress(Unwanted):
                answered(client, line.ask(action, body, lambda: _aside(client, line, digest)), body, note)
    return action


def _aside(client: UploadClient, line: Line, digest: Future[bytes]) -> None:
    question = look(client, digest)
    if question is not None:
        looked(client, line.ask(question))


def look(client: UploadClient, digest: Future[bytes]) -> Request | None:
    """What is to be asked while a body is sent."""
    if digest.done():
        client.hashed(digest.result())
    return client.aside()


def looked(client: UploadClient, found: Response | Lost) -> None:
    """What was found.  Raises Unwanted."""
    client.on(found)
    if not client.is_sending:
        raise Unwanted


def to_send(client: UploadClient, digest: Future[bytes]) -> Request | Wait | Hash | Done:
    """What is to be waited for next, or the end."""
    if digest.done():
        client.hashed(digest.result())
    action = client.next()
    if isinstance(action, Failed):
        raise action.error
    return action


def answered(client: UploadClient, answer: Response | Lost, body: FileBody, note: Note) -> None:
    """A request is over; what is told of how far it came."""
    client.on(answer)
    body.progress(client.offset)
    note(client.upload or "")


def fetch(client: FetchClient, line: Line, partial: int, progress: Progress) -> Done:
    """Fetch a blob into an open file.  Raises TransferFailed, OSError of the disk."""
    recover(client, partial)
    while not isinstance(action := to_fetch(client, partial), Done):
        if isinstance(action, Wait):
            time.sleep(action.seconds)
            client.go_on()
        elif action.method == "HEAD":
            client.on(line.ask(action))
        else:
            _fetch_body(client, line, action, partial, progress)
    return action


def to_fetch(client: FetchClient, partial: int) -> Request | Wait | Done:
    """What is to be waited for next, or the end; the file is cut on the way."""
    while isinstance(action := client.next(), Cut):
        _cut(partial, action.at)
        client.go_on()
    if isinstance(action, Failed):
        raise action.error
    return action


def _fetch_body(client: FetchClient, line: Line, request: Request, partial: int, progress: Progress) -> None:
    is_body, error = False, None
    with Behind(client, partial) as behind:
        try:
            with line.exchange(request) as answering:
                if answering.response.status not in (200, 206):
                    client.on(answering.small())
                elif is_body := client.on(answering.response):
                    for piece in answering.body():
                        if not behind.write(piece):
                            break
                        if (oldest := behind.check(piece)) is not None and not oldest.result():
                            break
                        progress(client.verified_at)
        except BROKEN as found:
            error = found
    over(client, error, progress, is_body=is_body)


def over(client: FetchClient, error: Exception | None, progress: Progress, *, is_body: bool) -> None:
    """A response is over.  error: what broke it.  is_body: whether any of it was for the file."""
    if not is_body:
        if error is not None:
            client.on(Lost(why(error)))
        return
    if error is None:
        client.ended()
    else:
        client.ended(why(error))
    progress(client.verified_at)


class Behind:
    """Verifies a body in a thread beside its receiving, piece by piece, in order, and never far behind.

    Whoever receives looks at the answer for the oldest piece where there are too many; at the end, all have been verified.
    An error of the disk is kept apart from those of the line.
    """

    def __init__(self, client: FetchClient, partial: int) -> None:
        self._client, self._partial = client, partial
        self._thread = ThreadPoolExecutor(1, "aeformat-verify")
        self._checked: deque[Future[bool]] = deque()
        self._disk_error: OSError | None = None

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._thread.shutdown()
        if error is not None:
            return
        if self._disk_error is not None:
            raise self._disk_error
        for checked in self._checked:
            checked.result()

    def write(self, piece: bytes) -> bool:
        """Append it to the partial file.  False: the disk does not take it."""
        try:
            _append(self._partial, piece)
        except OSError as error:
            self._disk_error = error
        return self._disk_error is None

    def check(self, piece: bytes) -> Future[bool] | None:
        """Have it verified; where too many wait, whether to go on after the oldest."""
        return self._put(self._client.data, piece)

    def write_and_check(self, piece: bytes) -> Future[bool] | None:
        """Both in the thread."""
        return self._put(lambda data: self._disk_error is None and self.write(data) and self._client.data(data), piece)

    def _put(self, work: Callable[[bytes], bool], piece: bytes) -> Future[bool] | None:
        self._checked.append(self._thread.submit(work, piece))
        return self._checked.popleft() if len(self._checked) > _PIECES_BEHIND else None


def recover(client: FetchClient, partial: int) -> None:
    """Take over what an earlier run left in the partial file."""
    os.lseek(partial, 0, os.SEEK_SET)
    while data := os.read(partial, _READ_BYTES):
        if not client.restore(data):
            break
    _cut(partial, client.restored())


def _cut(partial: int, at: int) -> None:
    os.ftruncate(partial, at)
    os.lseek(partial, at, os.SEEK_SET)


def _append(partial: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(partial, view) :]
