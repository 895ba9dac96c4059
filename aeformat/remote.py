"""Files at URLs such as s3://bucket/name: read at any place or forward, listed, written whole, replaced on a condition.

The one module that imports fsspec.  Owns what a URL is, and that whatever goes wrong there is an OSError with the URL.  Where a
service is, and who asks, stand in the environment: for S3 in AWS's own variables and files.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from aeformat.errors import UsageError
from aeformat.paths import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATTERN: Final = re.compile(r"[*?\[]")
_S3: Final = ("s3", "s3a")
_AT_A_TIME: Final = 16  # files that are fetched together
_BLOCK_BYTES: Final = 1 << 16  # small reads at random are rounded to this
_N_BLOCKS: Final = 16  # of an open file that are kept
_FORWARD_BYTES: Final = 8 << 20
_CONFLICTS: Final = 5  # tries of a conditional write that met another one
_REFUSED: Final = ("PreconditionFailed", "412", "NoSuchKey", "404")
_RANGE_REFUSED: Final = 416  # HTTP's
_CONFLICT: Final = ("ConditionalRequestConflict", "OperationAborted", "409")
_S3_OPTIONS: Final[dict[str, Any]] = {  # SlowDown and lost connections: again, after a pause that grows
    "config_kwargs": {"retries": {"mode": "standard", "max_attempts": 6}, "connect_timeout": 10, "read_timeout": 60}
}


class Listed(NamedTuple):
    """One file of a listing.  name: below the fixed beginning of what was listed, with slashes."""

    name: str
    url: str


def is_pattern(name: str) -> bool:
    """Whether a name stands for all files that match it: it has *, ? or [."""
    return _PATTERN.search(name) is not None


def below(url: str, name: str) -> str:
    """The URL of what is called `name` below another one."""
    return f"{url.rstrip('/')}/{name}"


def _filesystem(url: str) -> tuple[Any, str]:
    """What reads that kind of URL, and the path there.  Raises UsageError where it is not installed."""
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(f'{url}: URLs take fsspec: pip install "aeformat[dask]"') from error
    scheme = url.partition("://")[0].lower()
    options = _S3_OPTIONS if scheme in _S3 else {}
    try:
        with _named(url):
            system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        raise UsageError(f"{url}: {error}") from error
    except ValueError as error:
        raise UsageError(f"{url}: {error}") from error
    return system, path


def _errors() -> tuple[type[BaseException], ...]:
    """What fsspec's file systems raise about a service or the way there."""
    import asyncio

    found: list[type[BaseException]] = [OSError, asyncio.TimeoutError]
    with contextlib.suppress(ImportError):
        from botocore.exceptions import BotoCoreError, ClientError

        found += [BotoCoreError, ClientError]
    with contextlib.suppress(ImportError):
        from aiohttp import ClientError as HttpError

        found.append(HttpError)
    return tuple(found)


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Whatever goes wrong with a file there is an OSError with the URL."""
    try:
        yield
    except _errors() as error:
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else getattr(error, "errno", None) or errno.EIO
        code, text = _code(error), getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise OSError(number, " ".join(f"{code}: {text}".removeprefix(": ").split()), url) from error


def _code(error: BaseException | None) -> str:
    """What an S3 service calls the error; "" where it was none of it."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


class RemoteFile:
    """A file at a URL, read at any place by several threads.  size: in bytes, when it was opened.

    Raises OSError, UsageError.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self._url = os.fspath(url)
        self._system, self._path = _filesystem(self._url)
        self.size = _size(self._url, self._system, self._path)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._is_closed = False

    def read(self, at: int, n_bytes: int) -> bytes:
        """A copy of n_bytes from byte `at` on, fewer where the file ends.  Raises UsageError once it is closed, OSError."""
        if self._is_closed:
            raise UsageError("this reader is closed")
        n_bytes = max(0, min(n_bytes, self.size - at))
        if n_bytes > _BLOCK_BYTES:
            return self._fetched(at, n_bytes)
        first, last = at // _BLOCK_BYTES, (at + max(n_bytes, 1) - 1) // _BLOCK_BYTES
        data = b"".join(self._block(number) for number in range(first, last + 1)) if n_bytes else b""
        return data[at - first * _BLOCK_BYTES :][:n_bytes]

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number in self._blocks:
                self._blocks.move_to_end(number)
                return self._blocks[number]
        start = number * _BLOCK_BYTES
        data = self._fetched(start, min(_BLOCK_BYTES, self.size - start))
        with self._lock:
            self._blocks[number] = data
            while len(self._blocks) > _N_BLOCKS:
                self._blocks.popitem(last=False)
        return data

    def _fetched(self, at: int, n_bytes: int) -> bytes:
        with _named(self._url):
            data: bytes = self._system.cat_file(self._path, start=at, end=at + n_bytes)
        if len(data) != n_bytes:
            raise OSError(errno.EIO, f"{len(data):,} bytes came, {n_bytes:,} were asked for", self._url)
        return data

    def view(self) -> memoryview:
        """Raises UsageError: no file elsewhere is mapped."""
        raise UsageError("a file at a URL cannot be mapped into memory; open it without mmap")

    def close(self) -> None:
        """Let go of what is kept of it."""
        self._is_closed = True
        self._blocks.clear()


class _Forward(io.BufferedIOBase):
    """A file at a URL, read forward."""

    def __init__(self, url: str) -> None:
        system, path = _filesystem(url)
        self._url = url
        with _named(url):
            self._file = system.open(path, "rb", block_size=_FORWARD_BYTES, cache_type="readahead")

    def readable(self) -> bool:
        return True

    def read(self, n_bytes: int | None = -1, /) -> bytes:
        """The next bytes, at most n_bytes; b"" at the end.  Raises OSError."""
        with _named(self._url):
            data: bytes = self._file.read(-1 if n_bytes is None else n_bytes)
        return data

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def open_forward(name: str) -> BinaryIO:
    """A file at a URL or a path, to be read forward.  Raises OSError, UsageError."""
    return cast("BinaryIO", _Forward(name)) if is_url(name) else Path(name).open("rb")


def read_whole(name: str) -> bytes:
    """The bytes of a file at a URL or a path.  Raises OSError, UsageError."""
    if not is_url(name):
        return Path(name).read_bytes()
    system, path = _filesystem(name)
    with _named(name):
        try:
            data: bytes = system.cat_file(path, start=0)  # asked for a whole object, s3fs first asks for its length
        except _errors() as error:
            if not _is_of_no_bytes(error):
                raise
            data = system.cat_file(path)
    return data


def _is_of_no_bytes(error: BaseException) -> bool:
    """Whether a range was refused: a file of no bytes has none."""
    return _code(error) == "InvalidRange" or getattr(error, "status", None) == _RANGE_REFUSED


def read_start(name: str, n_bytes: int) -> bytes:
    """The first bytes of a file at a URL or a path; fewer where it ends.  Raises OSError, UsageError."""
    if is_url(name):
        return RemoteFile(name).read(0, n_bytes)
    with Path(name).open("rb") as file:
        return file.read(n_bytes)


def read_many(names: Sequence[str]) -> list[bytes | OSError]:
    """The bytes of files at URLs or paths, several at a time; in place of one that cannot be read, its error."""
    if not any(map(is_url, names)):
        return [_read_or_error(name) for name in names]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(_read_or_error, names))


def _read_or_error(name: str) -> bytes | OSError:
    try:
        return read_whole(name)
    except OSError as error:
        return error


def copy_here(url: str, path: Path) -> None:
    """Copy a file at a URL into a file of this machine.  Raises OSError, UsageError."""
    system, there = _filesystem(url)
    with _named(url):
        system.get_file(there, str(path))


def put_file(path: Path, url: str) -> None:
    """Copy a file of this machine to a URL, where it appears whole or not at all.  Raises OSError, UsageError."""
    system, there = _filesystem(url)
    with _named(url):
        system.put_file(str(path), there)
    found, expected = size_of(url), path.stat().st_size
    if found != expected:
        raise OSError(errno.EIO, f"it has {found} bytes, and {expected} were written", url)


def size_of(url: str) -> int | None:
    """The length of a file at a URL; None where there is none.  Raises OSError, UsageError."""
    try:
        return _size(url, *_filesystem(url))
    except FileNotFoundError:
        return None


def _size(url: str, system: Any, path: str) -> int:
    with _named(url):
        found = system.info(path)
    if found.get("type") == "directory":
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), url)
    if found.get("size") is None:
        raise UsageError(f"{url}: the service does not say how long it is")
    return int(found["size"])


def listed(name: str) -> list[Listed]:
    """All files below a URL, or that match a pattern (a URL or a path), by name; one file alone by its own name.

    Raises OSError, UsageError.
    """
    system, path = _filesystem(name if is_url(name) else f"file://{Path(name).absolute()}")
    fixed, is_tree = _fixed_part(path)
    with _named(name):
        is_tree = is_tree or not is_pattern(path)
        found = system.find(fixed, detail=True) if is_tree else system.glob(path, detail=True)
    base = fixed.rstrip("/") + "/"
    files = (place for place, info in found.items() if info["type"] == "file" and not place.endswith("/"))
    own = [(place.removeprefix(base) if place != fixed else place.rpartition("/")[2], place) for place in files]
    return [Listed(key, _url_of(system, place, name)) for key, place in sorted(own)]


def _url_of(system: Any, place: str, name: str) -> str:
    return system.unstrip_protocol(place) if is_url(name) else place


def _fixed_part(path: str) -> tuple[str, bool]:
    """The parts before the first one with a pattern in it, and whether the rest is "**": all that is below."""
    parts = path.split("/")
    first = next((number for number, part in enumerate(parts) if is_pattern(part)), len(parts))
    return "/".join(parts[:first]), parts[first:] == ["**"]


# Conditional writes, which fsspec has no words for.


def read_tagged(url: str) -> tuple[bytes, str] | None:
    """The contents of a small object in a bucket, and its entity tag; None where there is none.  Raises OSError, UsageError."""
    from fsspec.asyn import sync

    system, where = _object(url)
    try:
        with _named(url):
            return cast("tuple[bytes, str]", sync(system.loop, _get, system, where))
    except FileNotFoundError:
        return None


async def _get(system: Any, where: dict[str, str]) -> tuple[bytes, str]:
    found = await system._call_s3("get_object", **where)
    async with found["Body"] as body:
        return await body.read(), found["ETag"]


def put_if(url: str, data: bytes, *, replaces: str | None) -> bool:
    """Write a small object where there is none, or where it still has the entity tag `replaces`.  False if that is not so.

    Raises OSError, UsageError.
    """
    system, where = _object(url)
    condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")
    for _ in range(_CONFLICTS):
        try:
            with _named(url):
                system.call_s3("put_object", **where, **condition, Body=data, ChecksumSHA256=digest)
        except OSError as error:
            code = _code(error)
            if code in _REFUSED or isinstance(error.__cause__, FileExistsError):
                return False
            if code not in _CONFLICT:
                raise
        else:
            return True
    raise OSError(errno.EBUSY, "other writers were faster each time", url)


def check_conditional(url: str) -> None:
    """That a set can be committed there: by writes on a condition.  Raises UsageError."""
    scheme = url.partition("://")[0].lower()
    if scheme not in _S3:
        raise UsageError(
            f"{url}: a set is written into a folder or below s3://; {scheme}:// has no conditional writes here"
        )


def _object(url: str) -> tuple[Any, dict[str, str]]:
    check_conditional(url)
    system, path = _filesystem(url)
    bucket, _, key = path.partition("/")
    if not key:
        raise UsageError(f"{url} is not of the form s3://bucket/name")
    return system, {"Bucket": bucket, "Key": key}
