"""asend and afetch: send and fetch for asyncio.

They take the same steps as aeformat.net.client.sending and fetching.  Work on local files runs in threads, so that the event
loop is not blocked.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aeformat.net.client.aio import async_transfer
from aeformat.net.client.aio.async_http_client import AsyncHttpClient
from aeformat.net.client.digest import FileDigest, digest_after
from aeformat.net.client.fetching import fetch_client, fetch_progress, finish, parse_blob_url, partial_file
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.learned import Learned
from aeformat.net.client.options import DEFAULTS, Fetched, Notify, Options, Progress, Sent, ignore
from aeformat.net.client.scan import scan_file
from aeformat.net.client.sending import (
    ResumeRecord,
    decoder_probe,
    decoder_to_send,
    decoder_upload,
    digest_wait_seconds,
    explaining_refusal,
    file_body,
    finished,
    needs_decoder_probe,
    upload_client,
)

__all__ = ["afetch", "asend"]


async def asend(
    path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = ignore, notify: Notify = ignore,
) -> Sent:  # fmt: skip
    """Send a container or a model package to a server, with asyncio; see `send`."""
    address = ServerAddress.parse(url, token=options.token, ca_file=options.ca_file)
    learned = Learned()
    async with AsyncHttpClient.to(address, options) as http:
        with Path(path).open("rb") as file, FileDigest(Path(path)) as digest:
            digest.require_same(file)
            scan = await asyncio.to_thread(scan_file, file)
            found = await http.request(decoder_probe(scan)) if needs_decoder_probe(scan, options, learned) else None
            decoder = await asyncio.to_thread(decoder_to_send, scan, found, options, model, notify, learned)
            if decoder is not None:
                client, body, known = decoder_upload(decoder, progress)
                await async_transfer.send_file(client, http, body, known, ignore)
            record = ResumeRecord(address, scan)
            sha256 = await asyncio.to_thread(digest_after, digest.future, digest_wait_seconds(scan))
            client = upload_client(scan, sha256, record, learned)
            with explaining_refusal(file, record):
                body = file_body(file, progress, "sending", scan.size)
                done = await async_transfer.send_file(client, http, body, digest.future, record.save)
    return finished(client, done, scan, address, record, learned)


async def afetch(
    url: str, path: str | os.PathLike[str], options: Options = DEFAULTS, *, force: bool = False,
    progress: Progress = ignore,
) -> Fetched:  # fmt: skip
    """Fetch a container or a model package from its URL, with asyncio; see `fetch`."""
    address, kind, name = parse_blob_url(url, options)
    client = fetch_client(kind, name, options)
    with partial_file(Path(path), kind, name, force=force) as partial:
        async with AsyncHttpClient.to(address, options) as http:
            done = await async_transfer.fetch_file(client, http, partial, fetch_progress(progress, client))
        return await asyncio.to_thread(finish, Path(path), kind, name, done, client.size, partial)
