"""Carrying out what the client machines ask for, with asyncio: the twins of aeformat.net.client.transfer, see there."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future
from typing import TYPE_CHECKING

from aeformat.net.client.aio.async_http_client import BROKEN, AsyncLine
from aeformat.net.client.http_client import FileBody
from aeformat.net.client.transfer import (
    Behind,
    Note,
    Progress,
    Unwanted,
    answered,
    look,
    looked,
    over,
    recover,
    to_fetch,
    to_send,
)
from aeformat.transport.messages import Done, Hash, Request, Wait

if TYPE_CHECKING:
    from aeformat.transport.fetch_client import FetchClient
    from aeformat.transport.upload_client import UploadClient


async def upload(client: UploadClient, line: AsyncLine, body: FileBody, digest: Future[bytes], note: Note) -> Done:
    """See drive.upload."""
    while not isinstance(action := to_send(client, digest), Done):
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            client.go_on()
        elif isinstance(action, Hash):
            client.hashed(await asyncio.wrap_future(digest))
        else:
            with contextlib.suppress(Unwanted):
                found = await line.ask(action, body, lambda: _aside(client, line, digest))
                answered(client, found, body, note)
    return action


async def _aside(client: UploadClient, line: AsyncLine, digest: Future[bytes]) -> None:
    question = look(client, digest)
    if question is not None:
        looked(client, await line.ask(question))


async def fetch(client: FetchClient, line: AsyncLine, partial: int, progress: Progress) -> Done:
    """See drive.fetch."""
    await asyncio.to_thread(recover, client, partial)
    while not isinstance(action := to_fetch(client, partial), Done):
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            client.go_on()
        elif action.method == "HEAD":
            client.on(await line.ask(action))
        else:
            await _fetch_body(client, line, action, partial, progress)
    return action


async def _fetch_body(client: FetchClient, line: AsyncLine, request: Request, partial: int, progress: Progress) -> None:
    is_body, error = False, None
    with Behind(client, partial) as behind:
        try:
            async with line.exchange(request) as answering:
                if answering.response.status not in (200, 206):
                    client.on(await answering.small())
                elif is_body := client.on(answering.response):
                    async for piece in answering.body():
                        oldest = behind.write_and_check(piece)  # a disk may be slow, and others use this thread
                        if oldest is not None and not await asyncio.wrap_future(oldest):
                            break
                        progress(client.verified_at)
        except BROKEN as found:
            error = found
    over(client, error, progress, is_body=is_body)
