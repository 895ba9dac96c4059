"""fetch, and the steps that it shares with afetch (spec/transport.md, sections 5 and 9)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom
from typing import Final

from aeformat.atomic import check_target, put_in_place, sync_folder
from aeformat.destination import behind_links
from aeformat.errors import UsageError
from aeformat.model.identity import read_model_id
from aeformat.net.client import transfer
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.options import DEFAULTS, Fetched, Options, Progress, ignore
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.messages import Done
from aeformat.transport.problems import TransferFailed
from aeformat.transport.retry import Retry

_BLOB: Final = re.compile(r"(.*/)v1/(containers|models)/([0-9a-f]{64})")


def fetch(
    url: str, path: str | os.PathLike[str], options: Options = DEFAULTS, *, force: bool = False,
    progress: Progress = ignore,
) -> Fetched:  # fmt: skip
    """Fetch a container or a model package from its URL.  The file appears at `path` once its digest is verified.

    The bytes that an interrupted run left beside `path` are used.  force: replace a file that exists.  Raises
    TransferUnfinished (try again), TransferFailed, FormatError, UsageError, OSError.
    """
    address, kind, name = parse_blob_url(url, options)
    client = fetch_client(kind, name, options)
    with partial_file(Path(path), kind, name, force=force) as partial:
        with HttpClient.to(address, options) as http:
            done = transfer.fetch_file(client, http, partial, fetch_progress(progress, client))
        return finish(Path(path), kind, name, done, client.size, partial)


def parse_blob_url(url: str, options: Options) -> tuple[ServerAddress, str, str]:
    """Split a blob's URL into the server, "containers" or "models", and the name.  Raises UsageError."""
    match = _BLOB.fullmatch(url)
    if match is None:
        raise UsageError(f"{url}: is not the URL of a container or model, .../v1/containers/<64 hex digits>")
    return ServerAddress.parse(match[1], token=options.token, ca_file=options.ca_file), match[2], match[3]


def fetch_progress(progress: Progress, client: FetchClient) -> transfer.FileProgress:
    """The caller's progress callback, for the file that `client` fetches."""
    return lambda n_bytes: progress("fetching", n_bytes, client.size)


def fetch_client(kind: str, name: str, options: Options) -> FetchClient:
    """The state machine that fetches this blob."""
    sha256 = bytes.fromhex(name) if kind == "containers" else None
    return FetchClient(f"v1/{kind}/{name}", Retry(SystemRandom()), limits=options.limits, sha256=sha256)


def partial_path(path: Path, kind: str, name: str) -> Path:
    """The path of the partial file, which holds the bytes until all of them are there."""
    return path.parent / f".aeformat-part-{kind[:1]}-{name}"


@contextlib.contextmanager
def partial_file(path: Path, kind: str, name: str, *, force: bool) -> Iterator[int]:
    """Open and lock the partial file beside what `path` names in the end.  Yields its file descriptor.  Raises UsageError."""
    partial = partial_path(check_target(path, force=force), kind, name)
    try:
        handle = os.open(
            partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o666
        )
    except OSError as error:
        raise UsageError(f"cannot write {partial}: {error.strerror}") from error
    try:
        _lock(handle, partial)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, partial: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: the user must not fetch one blob into one folder twice at a time
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another process is fetching into {partial}") from None


def finish(path: Path, kind: str, name: str, done: Done, size: int, handle: int) -> Fetched:
    """Rename the complete partial file to what `path` names (T5-7).

    Raises TransferFailed if it is another model than `name`, UsageError if the target cannot be replaced, OSError.
    """
    target = behind_links(path)
    partial = partial_path(target, kind, name)
    if kind == "models" and read_model_id(partial) != bytes.fromhex(name):
        partial.unlink()
        raise TransferFailed("the server sent another model than the one asked for")
    os.fsync(handle)
    put_in_place(partial, target)
    sync_folder(target.parent)
    return Fetched(path, done.sha256, size)
