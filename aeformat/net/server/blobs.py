"""The answers to GET and HEAD of blobs (spec/transport.md, T2-1 to T2-4).

Owns the choice between 200, 206, 304 and 416, and a body that is read from its file only as fast as the client receives it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import BinaryIO, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aeformat.net.server.records import Record
from aeformat.net.server.request_cycle import SEND_FILE
from aeformat.net.server.request_fields import is_not_modified
from aeformat.transport import http_fields
from aeformat.transport.http_fields import ContentRange, Unsatisfiable
from aeformat.transport.problems import Problem

_PIECE_BYTES: Final = 1 << 18
_MAX_AGE: Final = 31_536_000


class BlobResponse(Response):
    """A response with some or all bytes of a blob; they are read piece by piece, never all at once (T7-1)."""

    def __init__(
        self, file: BinaryIO, span: tuple[int, int], *, status: int, named: dict[str, str], sent: Callable[[int], None]
    ) -> None:
        """Make a response with bytes start to stop - 1 of a blob, where span is (start, stop).

        file: gives these bytes; the kernel may send it if it is a file of this machine.  It is closed after sending.
        named: header fields.  sent: called with the size of each piece that was sent.
        """
        self._file, self._span, self._sent = file, span, sent
        self.body = b""
        self.status_code, self.background = status, None
        self.init_headers(named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response (ASGI): by the kernel if the HTTP protocol offers that, else piece by piece."""
        at, stop = self._span
        with self._file as file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            send_file = scope.get("extensions", {}).get(SEND_FILE)
            if send_file is not None and isinstance(file, io.FileIO):
                await send_file(file, at, stop, self._sent)
                return
            while at < stop:
                data = await asyncio.to_thread(file.read, min(_PIECE_BYTES, stop - at))
                if not data:
                    raise OSError("the blob is shorter than it was")
                at += len(data)
                await send({"type": "http.response.body", "body": data, "more_body": at < stop})
                self._sent(len(data))


async def blob_response(
    request: Request,
    record: Record,
    open_blob: Callable[[int, int], Awaitable[BinaryIO | None]],
    *,
    is_public: bool,
    sent: Callable[[int], None],
) -> Response:
    """The response to GET or HEAD of a blob.

    open_blob: gives bytes start to stop - 1 of the blob, None if it is not there with its length.  is_public: whether
    shared caches may keep it.  sent: called with the size of each piece that was sent.  Raises Problem (404, 416).
    """
    sha256 = bytes.fromhex(record.sha256)
    tag = http_fields.entity_tag(sha256)
    named = {
        "ETag": tag,
        "Repr-Digest": http_fields.repr_digest(sha256),
        "Accept-Ranges": "bytes",
        "Cache-Control": f"{'public' if is_public else 'private'}, max-age={_MAX_AGE}, immutable, no-transform",
        "Vary": "Accept",
    }
    if is_not_modified(request, tag):
        return Response(status_code=304, headers=named)
    span = _span(request, record.size, tag)
    named["Content-Type"] = http_fields.MEDIA_TYPE
    start, stop = (0, record.size) if span is None else (span.start, span.stop)
    named["Content-Length"] = str(stop - start)
    if span is not None:
        named["Content-Range"] = str(span)
    status = 200 if span is None else 206
    is_head = request.method == "HEAD"
    file = await open_blob(start, start if is_head else stop)
    if file is None:
        raise gone()
    if is_head:
        file.close()
        return Response(status_code=status, headers=named)
    return BlobResponse(file, (start, stop), status=status, named=named, sent=sent)


def gone() -> Problem:
    """The problem that answers a request for a blob that a record promises and that is not there (T2-12)."""
    return Problem("not-found", "the server does not have its bytes any more; they can be sent again")


def _span(request: Request, size: int, tag: str) -> ContentRange | None:
    asked = request.headers.get("range")
    if asked is None or request.method != "GET":
        return None
    if request.headers.get("if-range", tag).strip() != tag:
        return None
    try:
        return http_fields.parse_range(asked, size)
    except Unsatisfiable:
        where = {"Content-Range": f"bytes */{size}"}
        raise Problem("range-not-satisfiable", f"the blob has {size} bytes", fields=where) from None
