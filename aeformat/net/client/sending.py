"""send, and the steps that it shares with asend (spec/transport.md, sections 5 and 9)."""

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
from aeformat.net.client.digest import FileDigest, digest_after
from aeformat.net.client.http_client import FileBody, HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.learned import Learned
from aeformat.net.client.options import DEFAULTS, Notify, Options, Progress, Sent, ignore
from aeformat.net.client.scan import FileScan, scan_file, verify
from aeformat.transport.messages import Done, Lost, Request, Response
from aeformat.transport.policy import decide_transfer
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.retry import Retry
from aeformat.transport.upload_client import UploadClient

_log: Final = logging.getLogger("aeformat")
_SMALL_BYTES: Final = 1 << 24  # a file up to this size is hashed before it is sent, a larger one meanwhile (T5-10)
_DIGEST_SECONDS: Final = 0.2  # longest wait for the digest of a small file


def send(
    path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *, model: bytes | None = None,
    progress: Progress = ignore, notify: Notify = ignore,
) -> Sent:  # fmt: skip
    """Send a container or a model package to a server; also its decoder, if the server lacks it and the policy allows it.

    model: the decoder's package, if it is not one of this machine's.  An interrupted upload is resumed, also by another
    process.  Raises TransferUnfinished (try again), TransferFailed, FormatError, UsageError, OSError.
    """
    with FileDigest(Path(path)) as digest:
        return send_with_digest(digest, path, url, options, model=model, progress=progress, notify=notify)


def send_with_digest(
    digest: FileDigest, path: str | os.PathLike[str], url: str, options: Options = DEFAULTS, *,
    model: bytes | None = None, progress: Progress = ignore, notify: Notify = ignore,
) -> Sent:  # fmt: skip
    """Send a file whose digest is being computed already; see `send`."""
    address = ServerAddress.parse(url, token=options.token, ca_file=options.ca_file)
    with HttpClient.to(address, options) as http, Path(path).open("rb") as file:
        digest.require_same(file)
        return send_open(http, file, digest.future, options, Learned(), model=model, progress=progress, notify=notify)


def send_open(
    http: HttpClient, file: BinaryIO, digest: Future[bytes], options: Options, learned: Learned, *,
    model: bytes | None = None, progress: Progress = ignore, notify: Notify = ignore,
) -> Sent:  # fmt: skip
    """Send an open file; see `send`.  digest: of it, which may become known meanwhile."""
    scan = scan_file(file)
    with learned.decoder_lock:  # a decoder is sent at most once (T9-3)
        found = http.request(decoder_probe(scan)) if needs_decoder_probe(scan, options, learned) else None
        decoder = decoder_to_send(scan, found, options, model, notify, learned)
        if decoder is not None:
            client, body, known = decoder_upload(decoder, progress)
            transfer.send_file(client, http, body, known, ignore)
            assert isinstance(scan.header, LatentsHeader)
            learned.decoders.add(scan.header.decoder)
    record = ResumeRecord(http.address, scan)
    client = upload_client(scan, digest_after(digest, digest_wait_seconds(scan)), record, learned)
    with explaining_refusal(file, record):
        body = file_body(file, progress, "sending", scan.size)
        done = transfer.send_file(client, http, body, digest, record.save)
    return finished(client, done, scan, http.address, record, learned)


def finished(
    client: UploadClient, done: Done, scan: FileScan, address: ServerAddress, record: ResumeRecord, learned: Learned
) -> Sent:
    """The file is on the server: forget the upload, and note what it has shown."""
    record.delete()
    learned.note(client)
    return Sent(address.url + done.path, done.sha256, scan.size, client.was_there)


def digest_wait_seconds(scan: FileScan) -> float:
    """How long to wait for the digest before sending the file without it."""
    return _DIGEST_SECONDS if scan.size <= _SMALL_BYTES else 0.0


def upload_client(scan: FileScan, sha256: bytes | None, record: ResumeRecord, learned: Learned) -> UploadClient:
    """The state machine that sends this file.  It resumes the upload that an earlier run began, if there is one."""
    upload = record.load()
    is_new = upload is None and sha256 is not None and learned.expects_new(scan.size)
    return UploadClient(scan.source(sha256), Retry(SystemRandom()), upload=upload, most=learned.most, is_new=is_new)


def file_body(file: BinaryIO, progress: Progress, what: str, size: int) -> FileBody:
    """The file as the body of requests.  what: the first argument of `progress`."""
    return FileBody(file, lambda n_bytes: progress(what, n_bytes, size))


def decoder_upload(package: bytes, progress: Progress) -> tuple[UploadClient, FileBody, Future[bytes]]:
    """The arguments of `transfer.send_file` for a decoder's package: state machine, body and digest."""
    known: Future[bytes] = Future()
    known.set_result(hashlib.sha256(package).digest())
    file = io.BytesIO(package)
    client = UploadClient(scan_file(file).source(known.result()), Retry(SystemRandom()))
    return client, file_body(file, progress, "decoder", len(package)), known


@contextlib.contextmanager
def explaining_refusal(file: BinaryIO, record: ResumeRecord) -> Iterator[None]:
    """If the server refuses the file in this block: delete the resume record, and look for the damage in the file.

    Raises FormatError if the file is damaged on this machine, else the server's TransferFailed.
    """
    try:
        yield
    except TransferUnfinished:
        raise
    except TransferFailed as error:
        record.delete()
        if error.status == 422:
            verify(file)
        raise


def needs_decoder_probe(scan: FileScan, options: Options, learned: Learned) -> bool:
    """Whether to ask the server for the decoder: the file needs one that is not embedded, and the policy allows sending."""
    if not isinstance(scan.header, LatentsHeader) or scan.has_decoder or options.policy == "never":
        return False
    if not scan.header.decoder:
        return False
    return scan.header.decoder not in learned.decoders and scan.header.decoder not in learned.packages


def decoder_probe(scan: FileScan) -> Request:
    """The request that asks whether the server has the decoder of a file of latents."""
    assert isinstance(scan.header, LatentsHeader)
    return Request("HEAD", f"v1/models/{scan.header.decoder.hex()}")


def decoder_to_send(
    scan: FileScan, found: Response | Lost | None, options: Options, model: bytes | None, notify: Notify,
    learned: Learned,
) -> bytes | None:  # fmt: skip
    """The decoder's package, if the server lacks it and the policy decides to send it (T9-2, T9-3); else None.

    found: the response to `decoder_probe`, None if that was not sent.  Raises DecoderMismatch if `model` is another decoder.
    """
    header = scan.header
    if not isinstance(header, LatentsHeader) or scan.has_decoder or not header.decoder:
        return None
    is_known = header.decoder in learned.packages
    if isinstance(found, Response) and found.status == 200:
        learned.decoders.add(header.decoder)
    elif isinstance(found, Response) and found.status == 404:
        learned.packages[header.decoder] = _package(header.decoder, model)
    if header.decoder in learned.decoders or header.decoder not in learned.packages:
        return None
    package = learned.packages[header.decoder]
    lacks = f"the server lacks decoder {header.decoder.hex()[:12]}"
    if package is None:
        if not is_known:
            notify(f"{lacks}, and so does this machine; it is not sent")
        return None
    decision = decide_transfer(
        options.policy,
        n_rows=scan.n_rows,
        image_bytes=scan.image_bytes / scan.n_rows if options.image_bytes is None else options.image_bytes,
        container_bytes=scan.size,
        model_bytes=len(package),
    )
    if decision.should_transfer or not is_known:
        notify(f"{lacks}: {decision.reason}")
    return package if decision.should_transfer else None


def _package(model_id: bytes, model: bytes | None) -> bytes | None:
    """The package of a decoder: the one given, else this machine's.  Raises DecoderMismatch if `model` is another decoder."""
    if model is None:
        return local_package(model_id)
    if read_model_id(model) != model_id:
        raise DecoderMismatch(f"the file names decoder {model_id.hex()[:12]}, the one given is another")
    return model


def local_package(model_id: bytes) -> bytes | None:
    """This machine's package of a model, its checksums verified.  The server verifies the rest of it (T4-2)."""
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


class ResumeRecord:
    """A small file that holds the path of an unfinished upload, so that the next run of the program can resume it."""

    def __init__(self, address: ServerAddress, scan: FileScan) -> None:
        key = hashlib.sha256(f"{address.url}\n{scan.key.hex()}".encode()).hexdigest()
        self._path = places.cache_folder().parent / "uploads" / f"{key}.json"
        self._saved = ""

    def load(self) -> str | None:
        """The path of the upload that an earlier run began, None if there is none."""
        try:
            found: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        upload = found.get("upload") if isinstance(found, dict) else None
        return upload if isinstance(upload, str) and upload else None

    def save(self, upload: str) -> None:
        """Write the path of the upload.  If the disk fails, the upload cannot be resumed later, but it goes on."""
        if upload and upload != self._saved:
            self._saved = upload
            with contextlib.suppress(OSError, UsageError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with AtomicFile(self._path, force=True) as file:
                    file.write(json.dumps({"upload": upload}).encode())

    def delete(self) -> None:
        """Delete the record, because the upload is over."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
