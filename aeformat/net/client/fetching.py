"""fetch, and what its asyncio twin shares with it (spec/transport.md, sections 5 and 9)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom
from typing import Final

from aeformat.atomic import check_target, sync_folder
from aeformat.errors import UsageError
from aeformat.model.identity import read_model_id
from aeformat.net.client import transfer
from aeformat.net.client.http_client import Line
from aeformat.net.client.http_messages import Base
from aeformat.net.client.options import DEFAULTS, Fetched, Options, Progress, quiet
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.messages import Done
from aeformat.transport.problems import TransferFailed
from aeformat.transport.retry import Retry

_BLOB: Final = re.compile(r"(.*/)v1/(containers|models)/([0-9a-f]{64})")


def fetch(
    url: str, path: str | os.PathLike[str], options: Options = DEFAULTS, *, force: bool = False,
    progress: Progress = quiet,
) -> Fetched:  # fmt: skip
    """Fetch a container or a model package from its URL.  It appears under `path` when its digest was verified.

    What an interrupted run left beside `path` is used.  Raises TransferUnfinished (try again), TransferFailed,
    FormatError, UsageError, OSError.
    """
    base, kind, name = blob_url(url, options)
    client = fetch_client(kind, name, options)
    with partial_file(Path(path), kind, name, force=force) as partial:
        done = transfer.fetch(client, Line(base, options.patience), partial, down(progress, client))
        return put(Path(path), kind, name, done, client.size, partial)


def blob_url(url: str, options: Options) -> tuple[Base, str, str]:
    """(server, "containers" or "models", name) of a blob's URL.  Raises UsageError."""
    match = _BLOB.fullmatch(url)
    if match is None:
        raise UsageError(f"{url}: is not the URL of a container or model, .../v1/containers/<64 hex digits>")
    return Base.parse(match[1], token=options.token, ca_file=options.ca_file), match[2], match[3]


def down(progress: Progress, client: FetchClient) -> transfer.Progress:
    """Progress of one blob."""
    return lambda n_bytes: progress("fetching", n_bytes, client.size)


def fetch_client(kind: str, name: str, options: Options) -> FetchClient:
    """The machine for this blob."""
    sha256 = bytes.fromhex(name) if kind == "containers" else None
    return FetchClient(f"v1/{kind}/{name}", Retry(SystemRandom()), limits=options.limits, sha256=sha256)


def part_path(path: Path, kind: str, name: str) -> Path:
    """Where the bytes are kept until they are all there."""
    return path.parent / f".aeformat-part-{kind[:1]}-{name}"


@contextlib.contextmanager
def partial_file(path: Path, kind: str, name: str, *, force: bool) -> Iterator[int]:
    """An open, locked partial file beside the target."""
    check_target(path, force=force)
    part = part_path(path, kind, name)
    try:
        handle = os.open(
            part, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o666
        )
    except OSError as error:
        raise UsageError(f"cannot write {part}: {error.strerror}") from error
    try:
        _lock(handle, part)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, part: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two fetches of one blob into one folder are the user's business
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another process is fetching into {part}") from None


def put(path: Path, kind: str, name: str, done: Done, size: int, partial: int) -> Fetched:
    """Move the partial file to its name (T5-7)."""
    part = part_path(path, kind, name)
    if kind == "models" and read_model_id(part) != bytes.fromhex(name):
        part.unlink()
        raise TransferFailed("the server sent another model than the one asked for")
    os.fsync(partial)
    part.replace(path)
    sync_folder(path.parent)
    return Fetched(path, done.sha256, size)
