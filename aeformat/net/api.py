"""send, fetch and their asyncio twins (spec/transport.md, sections 5 and 9)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any, BinaryIO, Final

from aeformat.atomic import AtomicFile, check_target, sync_folder
from aeformat.errors import DecoderMismatch, FormatError, UsageError
from aeformat.header import LatentsHeader
from aeformat.model import places
from aeformat.model.identity import open_package, read_model_id
from aeformat.net import drive
from aeformat.net.line import PATIENT, AsyncLine, FileBody, Line, Patience
from aeformat.net.survey import Digest, Survey, survey, verify
from aeformat.net.wire import Base
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.limits import DEFAULT, TransferLimits
from aeformat.transport.messages import Done, Lost, Request, Response
from aeformat.transport.policy import weigh
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import UploadClient

_log: Final = logging.getLogger("aeformat")
_SMALL_BYTES: Final = 1 << 24  # so many are hashed before they are sent; of a larger file, while it is (T5-10)
_PATIENT_SECONDS: Final = 0.2  # for the digest of a small file
_BLOB: Final = re.compile(r"(.*/)v1/(containers|models)/([0-9a-f]{64})")

Progress = Callable[[str, int, int], None]  # what, bytes there, bytes in all
Say = Callable[[str], None]  # for people: why a decoder moves or does not


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach a server.  policy: for decoders, "auto", "always" or "never".  image_bytes: of one image sent
    otherwise, for the sum; its raw pixels if None.
    """

    token: str | None = None
    ca_file: str | None = None
    policy: str = "auto"
    image_bytes: float | None = None
    patience: Patience = PATIENT
    limits: TransferLimits = DEFAULT


DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that the server has, whole and verified."""

    url: str
    sha256: bytes
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here, whole and verified."""

    path: Path
    sha256: bytes
    n_bytes: int


def _quiet(*_: object) -> None:
    pass


def send(
    path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = _quiet, say: Say = _quiet,
) -> Sent:  # fmt: skip
    """Send a container or a model package to a server; its decoder too, if that is missing there and pays.

    model: the decoder's package, if it is not one of this machine's.  An interrupted upload is resumed, also by another
    process.  Raises TransferUnfinished (try again), TransferFailed, FormatError, UsageError, OSError.
    """
    base = Base.parse(url, token=options.token, ca_file=options.ca_file)
    line = Line(base, options.patience)
    with Path(path).open("rb") as file, Digest(Path(path)) as digest:
        seen = survey(file)
        found = line.ask(_question(seen)) if _asks(seen, options) else None
        decoder = _wanted_decoder(seen, found, options, model, say)
        if decoder is not None:
            client, body, known = _small(decoder, progress)
            drive.upload(client, line, body, known, _quiet)
        memo = _Memo(base, seen)
        client = _client(seen, digest.known(_patience(seen)), memo)
        with _explaining(file, memo):
            done = drive.upload(client, line, _body(file, progress, "sending", seen.size), digest.future, memo.note)
        memo.forget()
    return Sent(base.url + done.path, done.sha256, seen.size)


async def asend(
    path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = _quiet, say: Say = _quiet,
) -> Sent:  # fmt: skip
    """`send` for asyncio."""
    base = Base.parse(url, token=options.token, ca_file=options.ca_file)
    line = AsyncLine(base, options.patience)
    with Path(path).open("rb") as file, Digest(Path(path)) as digest:
        seen = await asyncio.to_thread(survey, file)
        found = await line.ask(_question(seen)) if _asks(seen, options) else None
        decoder = await asyncio.to_thread(_wanted_decoder, seen, found, options, model, say)
        if decoder is not None:
            client, body, known = _small(decoder, progress)
            await drive.upload_async(client, line, body, known, _quiet)
        memo = _Memo(base, seen)
        client = _client(seen, await asyncio.to_thread(digest.known, _patience(seen)), memo)
        with _explaining(file, memo):
            body = _body(file, progress, "sending", seen.size)
            done = await drive.upload_async(client, line, body, digest.future, memo.note)
        memo.forget()
    return Sent(base.url + done.path, done.sha256, seen.size)


def fetch(
    url: str, path: str | os.PathLike[str], options: Options = DEFAULTS, *, force: bool = False,
    progress: Progress = _quiet,
) -> Fetched:  # fmt: skip
    """Fetch a container or a model package from its URL.  It appears under `path` when its digest was verified.

    What an interrupted run left beside `path` is used.  Raises TransferUnfinished (try again), TransferFailed,
    FormatError, UsageError, OSError.
    """
    base, kind, name = blob_url(url, options)
    client = _fetch_client(kind, name, options)
    with _partial(Path(path), kind, name, force=force) as partial:
        done = drive.fetch(client, Line(base, options.patience), partial, _down(progress, client))
        return _put(Path(path), kind, name, done, client.size, partial)


async def afetch(
    url: str, path: str | os.PathLike[str], options: Options = DEFAULTS, *, force: bool = False,
    progress: Progress = _quiet,
) -> Fetched:  # fmt: skip
    """`fetch` for asyncio."""
    base, kind, name = blob_url(url, options)
    client = _fetch_client(kind, name, options)
    with _partial(Path(path), kind, name, force=force) as partial:
        done = await drive.fetch_async(client, AsyncLine(base, options.patience), partial, _down(progress, client))
        return await asyncio.to_thread(_put, Path(path), kind, name, done, client.size, partial)


def blob_url(url: str, options: Options) -> tuple[Base, str, str]:
    """(server, "containers" or "models", name) of a blob's URL.  Raises UsageError."""
    match = _BLOB.fullmatch(url)
    if match is None:
        raise UsageError(f"{url}: is not the URL of a container or model, .../v1/containers/<64 hex digits>")
    return Base.parse(match[1], token=options.token, ca_file=options.ca_file), match[2], match[3]


# What both twins of `send` share.


def _patience(seen: Survey) -> float:
    return _PATIENT_SECONDS if seen.size <= _SMALL_BYTES else 0.0


def _client(seen: Survey, sha256: bytes | None, memo: _Memo) -> UploadClient:
    return UploadClient(seen.parcel(sha256), Retry(SystemRandom()), upload=memo.upload())


def _body(file: BinaryIO, progress: Progress, what: str, size: int) -> FileBody:
    return FileBody(file, lambda n_bytes: progress(what, n_bytes, size))


def _small(package: bytes, progress: Progress) -> tuple[UploadClient, FileBody, Future[bytes]]:
    """What `drive.upload` needs for a decoder."""
    known: Future[bytes] = Future()
    known.set_result(hashlib.sha256(package).digest())
    file = io.BytesIO(package)
    client = UploadClient(survey(file).parcel(known.result()), Retry(SystemRandom()))
    return client, _body(file, progress, "decoder", len(package)), known


@contextlib.contextmanager
def _explaining(file: BinaryIO, memo: _Memo) -> Iterator[None]:
    """Where the server does not want the file, say what is wrong with it, if that shows here; and forget the upload.

    Raises FormatError, TransferFailed.
    """
    try:
        yield
    except TransferUnfinished:
        raise
    except TransferFailed as error:
        memo.forget()
        if error.status == 422:
            verify(file)
        raise


def _down(progress: Progress, client: FetchClient) -> drive.Progress:
    return lambda n_bytes: progress("fetching", n_bytes, client.size)


def _asks(seen: Survey, options: Options) -> bool:
    return isinstance(seen.header, LatentsHeader) and not seen.has_decoder and options.policy != "never"


def _question(seen: Survey) -> Request:
    assert isinstance(seen.header, LatentsHeader)
    return Request("HEAD", f"v1/models/{seen.header.decoder.hex()}")


def _wanted_decoder(
    seen: Survey, found: Response | Lost | None, options: Options, model: bytes | None, say: Say
) -> bytes | None:
    """The decoder's package, if the server lacks it and sending it is worth it (T9-2, T9-3)."""
    if found is None or not isinstance(found, Response) or found.status != 404:
        return None
    header = seen.header
    assert isinstance(header, LatentsHeader)
    if model is not None:
        if read_model_id(model) != header.decoder:
            raise DecoderMismatch(f"the file names decoder {header.decoder.hex()[:12]}, the one given is another")
        package = model
    else:
        here = _package_here(header.decoder)
        if here is None:
            say(f"the server lacks decoder {header.decoder.hex()[:12]}, and so does this machine; it is not sent")
            return None
        package = here
    height, width, channels = header.image
    weighed = weigh(
        options.policy,
        n_rows=seen.n_rows,
        image_bytes=height * width * channels if options.image_bytes is None else options.image_bytes,
        container_bytes=seen.size,
        model_bytes=len(package),
    )
    say(f"the server lacks decoder {header.decoder.hex()[:12]}: {weighed.why}")
    return package if weighed.moves else None


def _package_here(model_id: bytes) -> bytes | None:
    """The package of a model as it lies on this machine, its checksums verified; the server proves the rest of it (T4-2)."""
    for path in places.files_of(model_id):
        with open_package(path) as file:
            package = file.read()
        try:
            verify(io.BytesIO(package))
            if read_model_id(package) == model_id:
                return package
        except FormatError as error:
            _log.warning("%s is damaged: %s", path, error)
    return None


class _Memo:
    """Where an upload is, kept on disk for the next run of the program."""

    def __init__(self, base: Base, seen: Survey) -> None:
        key = hashlib.sha256(f"{base.url}\n{seen.key.hex()}".encode()).hexdigest()
        self._path = places.cache_folder().parent / "uploads" / f"{key}.json"
        self._noted = ""

    def upload(self) -> str | None:
        """The path of the upload that an earlier run began."""
        try:
            found: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        where = found.get("upload") if isinstance(found, dict) else None
        return where if isinstance(where, str) and where else None

    def note(self, upload: str) -> None:
        """Keep it.  A disk that does not take it costs the resuming, not the transfer."""
        if upload and upload != self._noted:
            self._noted = upload
            with contextlib.suppress(OSError, UsageError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with AtomicFile(self._path, force=True) as file:
                    file.write(json.dumps({"upload": upload}).encode())

    def forget(self) -> None:
        """The upload is complete."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


# What both twins of `fetch` share.


def _fetch_client(kind: str, name: str, options: Options) -> FetchClient:
    sha256 = bytes.fromhex(name) if kind == "containers" else None
    return FetchClient(f"v1/{kind}/{name}", Retry(SystemRandom()), limits=options.limits, sha256=sha256)


def part_path(path: Path, kind: str, name: str) -> Path:
    """Where the bytes are kept until they are all there."""
    return path.parent / f".aeformat-part-{kind[:1]}-{name}"


@contextlib.contextmanager
def _partial(path: Path, kind: str, name: str, *, force: bool) -> Iterator[int]:
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


def _put(path: Path, kind: str, name: str, done: Done, size: int, partial: int) -> Fetched:
    """Move the partial file to its name (T5-7)."""
    part = part_path(path, kind, name)
    if kind == "models" and read_model_id(part) != bytes.fromhex(name):
        part.unlink()
        raise TransferFailed("the server sent another model than the one asked for")
    os.fsync(partial)
    part.replace(path)
    sync_folder(path.parent)
    return Fetched(path, done.sha256, size)


def unfinished(found: Lost) -> TransferUnfinished:
    """A question that got no answer."""
    return TransferUnfinished(f"no answer from the server: {found.why}")
