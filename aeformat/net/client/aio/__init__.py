"""send and fetch for asyncio: the twins of those of aeformat.net."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aeformat.net.client.aio import async_transfer
from aeformat.net.client.aio.async_http_client import AsyncLine
from aeformat.net.client.digest import Digest
from aeformat.net.client.fetching import blob_url, down, fetch_client, partial_file, put
from aeformat.net.client.http_messages import Base
from aeformat.net.client.options import DEFAULTS, Fetched, Options, Progress, Say, Sent, quiet
from aeformat.net.client.scan import survey
from aeformat.net.client.sending import (
    Memo,
    asks,
    body_of,
    explaining,
    patience,
    question,
    small,
    upload_client,
    wanted_decoder,
)

__all__ = ["afetch", "asend"]


async def asend(
    path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = quiet, say: Say = quiet,
) -> Sent:  # fmt: skip
    """`send` for asyncio."""
    base = Base.parse(url, token=options.token, ca_file=options.ca_file)
    line = AsyncLine(base, options.patience)
    with Path(path).open("rb") as file, Digest(Path(path)) as digest:
        digest.require_same(file)
        seen = await asyncio.to_thread(survey, file)
        found = await line.ask(question(seen)) if asks(seen, options) else None
        decoder = await asyncio.to_thread(wanted_decoder, seen, found, options, model, say)
        if decoder is not None:
            client, body, known = small(decoder, progress)
            await async_transfer.upload(client, line, body, known, quiet)
        memo = Memo(base, seen)
        client = upload_client(seen, await asyncio.to_thread(digest.known, patience(seen)), memo)
        with explaining(file, memo):
            body = body_of(file, progress, "sending", seen.size)
            done = await async_transfer.upload(client, line, body, digest.future, memo.note)
        memo.forget()
    return Sent(base.url + done.path, done.sha256, seen.size)


async def afetch(
    url: str, path: str | os.PathLike[str], options: Options = DEFAULTS, *, force: bool = False,
    progress: Progress = quiet,
) -> Fetched:  # fmt: skip
    """`fetch` for asyncio."""
    base, kind, name = blob_url(url, options)
    client = fetch_client(kind, name, options)
    with partial_file(Path(path), kind, name, force=force) as partial:
        done = await async_transfer.fetch(client, AsyncLine(base, options.patience), partial, down(progress, client))
        return await asyncio.to_thread(put, Path(path), kind, name, done, client.size, partial)
