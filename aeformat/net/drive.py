"""Carrying out what the client machines ask for: blocking and asyncio, which differ in how they wait and in nothing else.

Owns partial files and waiting.  Knows nothing of when to ask again: the machines do.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from aeformat.net.line import BROKEN, AsyncLine, FileBody, Line, why
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.messages import Cut, Done, Failed, Hash, Lost, Request, Response, Wait
from aeformat.transport.upload_client import UploadClient

_READ_BYTES: Final = 1 << 20

Progress = Callable[[int], None]  # told how many bytes are there
Note = Callable[[str], None]  # told where an upload is, so that a later run can resume it


def upload(client: UploadClient, line: Line, body: FileBody, digest: Future[bytes], note: Note) -> Done:
    """Send a file.  digest: of the file, perhaps later.  Raises TransferFailed, OSError of the file."""
    while not isinstance(action := _to_send(client, digest), Done):
        if isinstance(action, Wait):
            time.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Hash):
            client.hashed(digest.result())
        else:
            _answered(client, line.ask(action, body), body, note)
    return action


async def upload_async(
    client: UploadClient, line: AsyncLine, body: FileBody, digest: Future[bytes], note: Note
) -> Done:
    """See `upload`."""
    while not isinstance(action := _to_send(client, digest), Done):
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Hash):
            client.hashed(await asyncio.wrap_future(digest))
        else:
            _answered(client, await line.ask(action, body), body, note)
    return action


def _to_send(client: UploadClient, digest: Future[bytes]) -> Request | Wait | Hash | Done:
    """What is to be waited for next, or the end."""
    if digest.done():
        client.hashed(digest.result())
    action = client.next()
    if isinstance(action, Failed):
        raise action.error
    return action


def _answered(client: UploadClient, answer: Response | Lost, body: FileBody, note: Note) -> None:
    client.on(answer)
    body.progress(client.offset)
    note(client.upload or "")


def fetch(client: FetchClient, line: Line, partial: int, progress: Progress) -> Done:
    """Fetch a blob into an open file.  Raises TransferFailed, OSError of the disk."""
    recover(client, partial)
    while not isinstance(action := _to_fetch(client, partial), Done):
        if isinstance(action, Wait):
            time.sleep(action.seconds)
            client.go_on()
        elif action.method == "HEAD":
            client.on(line.ask(action))
        else:
            _fetch_body(client, line, action, partial, progress)
    return action


async def fetch_async(client: FetchClient, line: AsyncLine, partial: int, progress: Progress) -> Done:
    """See `fetch`."""
    await asyncio.to_thread(recover, client, partial)
    while not isinstance(action := _to_fetch(client, partial), Done):
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            client.go_on()
        elif action.method == "HEAD":
            client.on(await line.ask(action))
        else:
            await _fetch_body_async(client, line, action, partial, progress)
    return action


def _to_fetch(client: FetchClient, partial: int) -> Request | Wait | Done:
    """What is to be waited for next, or the end; the file is cut on the way."""
    while isinstance(action := client.next(), Cut):
        _cut(partial, action.at)
        client.go_on()
    if isinstance(action, Failed):
        raise action.error
    return action


def _fetch_body(client: FetchClient, line: Line, request: Request, partial: int, progress: Progress) -> None:
    is_body = False
    try:
        with line.exchange(request) as answering:
            if answering.response.status not in (200, 206):
                client.on(answering.small())
                return
            is_body = client.on(answering.response)
            if not is_body:
                return
            for piece in answering.body():
                _append(partial, piece)
                if not client.data(piece):
                    return
                progress(client.verified_at)
    except BROKEN as error:
        _broke(client, error, is_body=is_body)
    else:
        client.ended()


async def _fetch_body_async(
    client: FetchClient, line: AsyncLine, request: Request, partial: int, progress: Progress
) -> None:
    is_body = False
    try:
        async with line.exchange(request) as answering:
            if answering.response.status not in (200, 206):
                client.on(await answering.small())
                return
            is_body = client.on(answering.response)
            if not is_body:
                return
            async for piece in answering.body():
                _append(partial, piece)
                if not client.data(piece):
                    return
                progress(client.verified_at)
    except BROKEN as error:
        _broke(client, error, is_body=is_body)
    else:
        client.ended()


def _broke(client: FetchClient, error: Exception, *, is_body: bool) -> None:
    if is_body:
        client.ended(why(error))
    else:
        client.on(Lost(why(error)))


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
