"""Carrying out what the client machines ask for: blocking and asyncio, line by line the same.

Owns partial files and waiting.  Knows nothing of when to ask again: the machines do.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

from aeformat.net.line import BROKEN, AsyncLine, Line, ReadAt, why
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.messages import Cut, Done, Failed, Lost, Request, Wait
from aeformat.transport.upload_client import UploadClient

_READ_BYTES: Final = 1 << 20

Progress = Callable[[int], None]  # told how many bytes are there
Note = Callable[[str], None]  # told where an upload is, so that a later run can resume it


def upload(client: UploadClient, line: Line, read_at: ReadAt, progress: Progress, note: Note) -> Done:
    """Send a file.  Raises TransferFailed."""
    while True:
        action = client.next()
        if isinstance(action, Done):
            return action
        if isinstance(action, Failed):
            raise action.error
        if isinstance(action, Wait):
            time.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Request):
            client.on(line.ask(action, _counting(read_at, progress)))
            progress(client.offset)
            note(client.upload or "")


async def upload_async(client: UploadClient, line: AsyncLine, read_at: ReadAt, progress: Progress, note: Note) -> Done:
    """See `upload`."""
    while True:
        action = client.next()
        if isinstance(action, Done):
            return action
        if isinstance(action, Failed):
            raise action.error
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Request):
            client.on(await line.ask(action, _counting(read_at, progress)))
            progress(client.offset)
            note(client.upload or "")


def _counting(read_at: ReadAt, progress: Progress) -> ReadAt:
    def counted(at: int, n_bytes: int) -> bytes:
        data = read_at(at, n_bytes)
        progress(at + len(data))
        return data

    return counted


def fetch(client: FetchClient, line: Line, partial: int, progress: Progress) -> Done:
    """Fetch a blob into an open file.  Raises TransferFailed, OSError of the disk."""
    recover(client, partial)
    while True:
        action = client.next()
        if isinstance(action, Done):
            return action
        if isinstance(action, Failed):
            raise action.error
        if isinstance(action, Wait):
            time.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Cut):
            cut(client, partial, action.at)
        elif action.method == "HEAD":
            client.on(line.ask(action))
        else:
            _fetch_body(client, line, action, partial, progress)


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


async def fetch_async(client: FetchClient, line: AsyncLine, partial: int, progress: Progress) -> Done:
    """See `fetch`."""
    await asyncio.to_thread(recover, client, partial)
    while True:
        action = client.next()
        if isinstance(action, Done):
            return action
        if isinstance(action, Failed):
            raise action.error
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Cut):
            await asyncio.to_thread(cut, client, partial, action.at)
        elif action.method == "HEAD":
            client.on(await line.ask(action))
        else:
            await _fetch_body_async(client, line, action, partial, progress)


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
    _restore(client, partial)
    cut_to = client.restored()
    os.ftruncate(partial, cut_to)
    if client.needs_restore:
        client.rewind()
        _restore(client, partial)
    os.lseek(partial, 0, os.SEEK_END)


def cut(client: FetchClient, partial: int, at: int) -> None:
    """Cut the partial file, as the client asks."""
    os.ftruncate(partial, at)
    if client.needs_restore:
        client.rewind()
        _restore(client, partial)
    os.lseek(partial, 0, os.SEEK_END)
    client.go_on()


def _restore(client: FetchClient, partial: int) -> None:
    os.lseek(partial, 0, os.SEEK_SET)
    while data := os.read(partial, _READ_BYTES):
        if not client.restore(data):
            return


def _append(partial: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(partial, view) :]
