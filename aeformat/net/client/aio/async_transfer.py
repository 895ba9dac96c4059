"""Carrying out the actions of the client's state machines with asyncio: the counterpart of aeformat.net.client.transfer.

A received piece is written to the disk in the verifying thread; the blocking client writes it before it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future
from typing import TYPE_CHECKING

from aeformat.net.client.aio.async_http_client import CONNECTION_ERRORS, AsyncHttpClient
from aeformat.net.client.events import Unanswered, Waiting
from aeformat.net.client.http_client import FileBody, error_text
from aeformat.net.client.local_errors import local, unmarked
from aeformat.net.client.transfer import (
    AlreadyStored,
    BackgroundVerifier,
    FileProgress,
    SaveUpload,
    next_fetch_action,
    next_upload_action,
    probe_while_sending,
    report_body,
    report_probe,
    report_upload,
    restore,
)
from aeformat.transport.messages import Done, Hash, Request, Wait

if TYPE_CHECKING:
    from aeformat.transport.fetch_client import FetchClient
    from aeformat.transport.upload_client import UploadClient


async def send_file(
    client: UploadClient, http: AsyncHttpClient, body: FileBody, digest: Future[bytes], save: SaveUpload
) -> Done:
    """Send a file; see transfer.send_file."""
    while not isinstance(action := next_upload_action(client, digest), Done):
        if isinstance(action, Wait):
            await wait(http, action)
            client.go_on()
        elif isinstance(action, Hash):
            client.hashed(await asyncio.wrap_future(digest))
        else:
            with contextlib.suppress(AlreadyStored):
                found = await http.request(action, body, lambda: _probe_while_sending(client, http, digest))
                report_upload(client, found, body, save)
    return action


async def wait(http: AsyncHttpClient, action: Wait) -> None:
    """Wait before the next try, and tell of it (T8-4)."""
    http.tell(Waiting(action.seconds, action.reason))
    await asyncio.sleep(action.seconds)


async def _probe_while_sending(client: UploadClient, http: AsyncHttpClient, digest: Future[bytes]) -> None:
    probe = probe_while_sending(client, digest)
    if probe is not None:
        report_probe(client, await http.request(probe))


async def fetch_file(client: FetchClient, http: AsyncHttpClient, partial: int, progress: FileProgress) -> Done:
    """Fetch a blob into a partial file; see transfer.fetch_file."""
    await asyncio.to_thread(restore, client, partial)
    while not isinstance(action := next_fetch_action(client, partial), Done):
        if isinstance(action, Wait):
            await wait(http, action)
            client.go_on()
        elif action.method == "HEAD":
            client.on(await http.request(action))
        else:
            await _fetch_body(client, http, action, partial, progress)
    return action


async def _fetch_body(
    client: FetchClient, http: AsyncHttpClient, request: Request, partial: int, progress: FileProgress
) -> None:
    is_body, error = False, None
    with unmarked(), BackgroundVerifier(client, partial) as verifier:
        try:
            async with http.stream(request) as incoming:
                if incoming.response.status not in (200, 206):
                    client.on(await incoming.read_short())
                elif is_body := client.on(incoming.response):
                    async for piece in incoming.body():
                        with local():
                            oldest = verifier.write_and_check(piece)  # a slow disk must not block the event loop
                            if oldest is not None and not await asyncio.wrap_future(oldest):
                                break
                            progress(client.verified_at)
        except CONNECTION_ERRORS as found:
            error = found
            http.tell(Unanswered(error_text(found)))
    report_body(client, error, progress, is_body=is_body)
