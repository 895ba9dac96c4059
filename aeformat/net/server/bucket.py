"""A bucket of an S3 service, as this package uses it: whole small objects, large ones in parts, conditional writes.

The one module that imports boto3.  Where the service is, and who asks, stand in AWS's own environment variables and
files.  Owns the checksums that go with the bytes, the parts of a large object, and what an answer that was lost means.
Knows nothing of what the objects mean.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from aeformat.errors import UsageError
from aeformat.net.server.store import StoreFailed

PART_BYTES: Final = 16 << 20  # objects up to this size are put whole; S3 takes at most 10,000 parts
_MOST_PARTS: Final = 10_000
_PARTS_AT_A_TIME: Final = 4
_CONFLICTS: Final = 5  # tries of a conditional write that met another one
_URL: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


class _Absent(StoreFailed):
    """There is no such object, or no such upload in parts."""


class _Refused(StoreFailed):
    """The condition of a write does not hold."""


class _Conflict(StoreFailed):
    """Another conditional write was under way; the same request may be sent again."""


_KINDS: Final[dict[str, type[StoreFailed]]] = {
    "NoSuchKey": _Absent,
    "NoSuchUpload": _Absent,
    "404": _Absent,  # HEAD has no body that could say more
    "PreconditionFailed": _Refused,
    "412": _Refused,
    "ConditionalRequestConflict": _Conflict,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing.  when: seconds since 1970, when it was last written."""

    key: str
    size: int
    when: float


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload in parts that was begun and not completed.  when: seconds since 1970."""

    key: str
    upload: str
    when: float


class Bucket:
    """The objects below a prefix of one bucket; keys are relative to it.  Safe for several threads.

    All methods raise StoreFailed where the service does not answer as it must.
    """

    def __init__(self, url: str) -> None:
        """url: s3://bucket/prefix.  Raises UsageError for one that is malformed."""
        match = _URL.fullmatch(url)
        if match is None:
            raise UsageError(f"{url} is not of the form s3://bucket/prefix")
        self.url, self._name = url, match[1]
        prefix = (match[2] or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._part_bytes = PART_BYTES
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            max_pool_connections=64,
            request_checksum_calculation="when_required",  # the SHA-256 is there; other services know no newer ones
            response_checksum_validation="when_required",
        )
        try:
            self._client: Any = boto3.client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise UsageError(f"{url}: {error}") from error

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._prefix + key}

    def _call(self, operation: str, **named: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = getattr(self._client, operation)(**named)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise _KINDS.get(code, StoreFailed)(errno.EIO, f"{self.url}: {error}") from error
        except BotoCoreError as error:
            raise StoreFailed(errno.EIO, f"{self.url}: {error}") from error
        return found

    # Objects.

    def read(self, key: str) -> tuple[bytes, str] | None:
        """The contents of a small object, and its entity tag; None if there is none."""
        try:
            found = self._call("get_object", **self._at(key))
        except _Absent:
            return None
        return _Body(found["Body"]).readall(), found["ETag"]

    def size(self, key: str) -> int | None:
        """The size of an object; None if there is none."""
        try:
            return int(self._call("head_object", **self._at(key))["ContentLength"])
        except _Absent:
            return None

    def stream(self, key: str, start: int, stop: int) -> tuple[BinaryIO, int] | None:
        """Bytes start to stop - 1 of an object, at least one, to be read as they come, and its size; None if it is not
        there.

        None also if it ends before `stop`.
        """
        try:
            found = self._call("get_object", **self._at(key), Range=f"bytes={start}-{stop - 1}")
        except _Absent:
            return None
        size = int(found.get("ContentRange", "/-1").rsplit("/", 1)[1])
        body = cast("BinaryIO", _Body(found["Body"]))
        if found["ContentLength"] != stop - start:
            body.close()
            return None
        return body, size

    def listed(self, prefix: str, after: str = "") -> Iterator[Listed]:
        """The objects whose keys begin with `prefix` and come after `after`, in order of the keys."""
        named: dict[str, Any] = {"Bucket": self._name, "Prefix": self._prefix + prefix}
        if after:
            named["StartAfter"] = self._prefix + after
        while True:
            found = self._call("list_objects_v2", **named)
            for entry in found.get("Contents", ()):
                key = entry["Key"].removeprefix(self._prefix)
                yield Listed(key, entry["Size"], entry["LastModified"].timestamp())
            if not found.get("IsTruncated"):
                return
            named["ContinuationToken"] = found["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        self._call("delete_object", **self._at(key))

    def delete_if(self, key: str, etag: str) -> bool:
        """Delete an object if it still has this entity tag.  False if it does not."""
        return self._conditionally("delete_object", **self._at(key), IfMatch=etag)

    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> bool:
        """Write a small object if there is none, or if it still has the entity tag `replaces`.  False if that is not so."""
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        digest = _base64(hashlib.sha256(data).digest())
        return self._conditionally("put_object", **self._at(key), **condition, Body=data, ChecksumSHA256=digest)

    def _conditionally(self, operation: str, **named: Any) -> bool:
        """A write with a condition; False if the condition does not hold."""
        for _ in range(_CONFLICTS):
            try:
                self._call(operation, **named)
            except (_Refused, _Absent):
                return False
            except _Conflict:
                continue
            return True
        raise StoreFailed(errno.EIO, f"{self.url}: {named['Key']}: other writers were faster each time")

    # Files.

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Write an object that is not there yet from a file, whole or not at all.

        sha256: hexadecimal, of the file.  Raises StoreFailed also if the file has other bytes than that, OSError.
        """
        with path.open("rb") as file:
            size = path.stat().st_size
            if size <= self._part_bytes:
                data = file.read()
                _require(hashlib.sha256(data).hexdigest(), sha256, path)
                is_written = self.put(key, data)
            else:
                is_written = self._put_parts(key, file, size, sha256)
        if not is_written and self.size(key) != size:  # else it was written, though the answer was lost
            raise StoreFailed(errno.EIO, f"{self.url}: {key} is there with another size")

    def _put_parts(self, key: str, file: BinaryIO, size: int, sha256: str) -> bool:
        where = self._at(key)
        upload = self._call("create_multipart_upload", **where, ChecksumAlgorithm="SHA256")["UploadId"]
        try:
            parts = self._send_parts(where | {"UploadId": upload}, file, size, sha256)
            done = {"Parts": parts}
            is_written = self._conditionally(
                "complete_multipart_upload", **where, UploadId=upload, MultipartUpload=done, IfNoneMatch="*"
            )
        except BaseException:
            self._abort_quietly(key, upload)
            raise
        if not is_written:
            self._abort_quietly(key, upload)
        return is_written

    def _send_parts(self, where: dict[str, str], file: BinaryIO, size: int, sha256: str) -> list[dict[str, Any]]:
        part_bytes = max(self._part_bytes, -(-size // _MOST_PARTS))
        whole = hashlib.sha256()
        under_way: deque[Future[dict[str, Any]]] = deque()
        parts: list[dict[str, Any]] = []
        with ThreadPoolExecutor(_PARTS_AT_A_TIME) as pool:
            number = 0
            while data := file.read(part_bytes):
                number += 1
                whole.update(data)
                under_way.append(pool.submit(self._send_part, where, number, data))
                if len(under_way) == _PARTS_AT_A_TIME:  # so many are in memory
                    parts.append(under_way.popleft().result())
            parts += [future.result() for future in under_way]
        _require(whole.hexdigest(), sha256, Path(file.name))
        return parts

    def _send_part(self, where: dict[str, str], number: int, data: bytes) -> dict[str, Any]:
        digest = _base64(hashlib.sha256(data).digest())
        found = self._call("upload_part", **where, PartNumber=number, Body=data, ChecksumSHA256=digest)
        return {"PartNumber": number, "ETag": found["ETag"], "ChecksumSHA256": digest}

    def unfinished(self) -> Iterator[Unfinished]:
        """The uploads in parts that were begun and not completed."""
        named: dict[str, Any] = {"Bucket": self._name, "Prefix": self._prefix}
        while True:
            found = self._call("list_multipart_uploads", **named)
            for entry in found.get("Uploads", ()):
                key = entry["Key"].removeprefix(self._prefix)
                yield Unfinished(key, entry["UploadId"], entry["Initiated"].timestamp())
            if not found.get("IsTruncated"):
                return
            named |= {"KeyMarker": found["NextKeyMarker"], "UploadIdMarker": found["NextUploadIdMarker"]}

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload in parts: its parts are deleted."""
        with contextlib.suppress(_Absent):
            self._call("abort_multipart_upload", **self._at(key), UploadId=upload)

    def _abort_quietly(self, key: str, upload: str) -> None:
        with contextlib.suppress(StoreFailed):  # the clean-up finds it later (bucket_check.py)
            self.abort(key, upload)


class _Body(io.RawIOBase):
    """The body of an answer.  Errors of the connection are StoreFailed."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, n_bytes: int = -1, /) -> bytes:
        """The next bytes, at most n_bytes; b"" at the end."""
        try:
            data: bytes = self._body.read(None if n_bytes < 0 else n_bytes)
        except (BotoCoreError, HTTPError) as error:
            raise StoreFailed(errno.EIO, f"the body of an answer broke off: {error}") from error
        return data

    def readall(self) -> bytes:
        """All bytes that are left."""
        return self.read()

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()
        super().close()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _require(found: str, expected: str, path: Path) -> None:
    if found != expected:
        raise StoreFailed(errno.EIO, f"{path} has been damaged on its disk: its SHA-256 is {found}")
