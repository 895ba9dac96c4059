"""send, and what its asyncio twin shares with it (spec/transport.md, sections 5 and 9)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from random import SystemRandom
from typing import Any, BinaryIO, Final

from aeformat.atomic import AtomicFile
from aeformat.container.header import LatentsHeader
from aeformat.errors import DecoderMismatch, FormatError, UsageError
from aeformat.model import places
from aeformat.model.identity import open_package, read_model_id
from aeformat.net.client import transfer
from aeformat.net.client.digest import Digest
from aeformat.net.client.http_client import FileBody, Line
from aeformat.net.client.http_messages import Base
from aeformat.net.client.options import DEFAULTS, Options, Progress, Say, Sent, quiet
from aeformat.net.client.scan import Survey, survey, verify
from aeformat.transport.messages import Lost, Request, Response
from aeformat.transport.policy import weigh
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import UploadClient

_log: Final = logging.getLogger("aeformat")
_SMALL_BYTES: Final = 1 << 24  # so many are hashed before they are sent; of a larger file, while it is (T5-10)
_PATIENT_SECONDS: Final = 0.2  # for the digest of a small file


def send(
    path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = quiet, say: Say = quiet,
) -> Sent:  # fmt: skip
    """Send a container or a model package to a server; its decoder too, if that is missing there and pays.

    model: the decoder's package, if it is not one of this machine's.  An interrupted upload is resumed, also by another
    process.  Raises TransferUnfinished (try again), TransferFailed, FormatError, UsageError, OSError.
    """
    with Digest(Path(path)) as digest:
        return send_beside(digest, path, url, options, model=model, progress=progress, say=say)


def send_beside(
    digest: Digest, path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = quiet, say: Say = quiet,
) -> Sent:  # fmt: skip
    """`send`, where the digest of the file is being computed already."""
    base = Base.parse(url, token=options.token, ca_file=options.ca_file)
    line = Line(base, options.patience)
    with Path(path).open("rb") as file:
        digest.require_same(file)
        seen = survey(file)
        found = line.ask(question(seen)) if asks(seen, options) else None
        decoder = wanted_decoder(seen, found, options, model, say)
        if decoder is not None:
            client, body, known = small(decoder, progress)
            transfer.upload(client, line, body, known, quiet)
        memo = Memo(base, seen)
        client = upload_client(seen, digest.known(patience(seen)), memo)
        with explaining(file, memo):
            done = transfer.upload(
                client, line, body_of(file, progress, "sending", seen.size), digest.future, memo.note
            )
        memo.forget()
    return Sent(base.url + done.path, done.sha256, seen.size)


def patience(seen: Survey) -> float:
    """Seconds to wait for the digest before a file is sent without it."""
    return _PATIENT_SECONDS if seen.size <= _SMALL_BYTES else 0.0


def upload_client(seen: Survey, sha256: bytes | None, memo: Memo) -> UploadClient:
    """The machine for this file; it goes on with what an earlier run began."""
    return UploadClient(seen.parcel(sha256), Retry(SystemRandom()), upload=memo.upload())


def body_of(file: BinaryIO, progress: Progress, what: str, size: int) -> FileBody:
    """The file as the body of requests."""
    return FileBody(file, lambda n_bytes: progress(what, n_bytes, size))


def small(package: bytes, progress: Progress) -> tuple[UploadClient, FileBody, Future[bytes]]:
    """What `transfer.upload` needs for a decoder."""
    known: Future[bytes] = Future()
    known.set_result(hashlib.sha256(package).digest())
    file = io.BytesIO(package)
    client = UploadClient(survey(file).parcel(known.result()), Retry(SystemRandom()))
    return client, body_of(file, progress, "decoder", len(package)), known


@contextlib.contextmanager
def explaining(file: BinaryIO, memo: Memo) -> Iterator[None]:
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


def asks(seen: Survey, options: Options) -> bool:
    """Whether the server may lack the decoder of this file, and is to have it."""
    return isinstance(seen.header, LatentsHeader) and not seen.has_decoder and options.policy != "never"


def question(seen: Survey) -> Request:
    """Whether it has it."""
    assert isinstance(seen.header, LatentsHeader)
    return Request("HEAD", f"v1/models/{seen.header.decoder.hex()}")


def wanted_decoder(
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


class Memo:
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
