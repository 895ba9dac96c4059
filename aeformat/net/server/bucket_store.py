"""Blobs and records in a bucket, which many servers may share.

    objects/<tenant>/<sha256>.<copy>  a blob, as one try of one upload brought it; copy: 32 random digits
    tenants/<tenant>/<kind>/<name>    a record, which names one of them

Owns these keys, and why nothing is lost without a lock.  Each try to store a blob writes an object of its own, which one
record alone can name.  So who deletes what a record named takes it from nobody else, and what is about to be named is
young: nobody deletes an object without a record before it is a day old (T4-17).  A record is written on condition: that
there is none, or that it is still the one that was found to promise what is not there (T4-16).  What a crash leaves is an
object without a record; the clean-up removes it when it is old (bucket_check.py).
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from aeformat.atomic import TEMP_PREFIX
from aeformat.errors import UsageError
from aeformat.net.server.bucket import Bucket
from aeformat.net.server.records import (
    CONTAINERS,
    BrokenFile,
    Record,
    Stored,
    UploadResult,
    dump,
    parse_record,
)
from aeformat.net.server.store import StoreFailed

log = logging.getLogger("aeformat.server")
_LAYOUT: Final = b"aeformat bucket 1\n"
_COUNTED_SECONDS: Final = 60.0  # so long a count of what a tenant has is good
_COUNT_SHARE: Final = 20  # and so many times as long as the counting took
_AT_A_TIME: Final = 16  # requests for many records
_PIECE_BYTES: Final = 1 << 20
_TRIES: Final = 10
_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(slots=True)
class _Count:
    """What a tenant has in the bucket.  good_until: of a monotonic clock."""

    n_bytes: int
    good_until: float


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it lies in the bucket.  record: None if it is broken.  etag: what a write that replaces it must name."""

    record: Record | None
    etag: str
    data: bytes


class BucketStore:
    """The blobs and records of one bucket (see BlobStore).  staging: a folder for copies of blobs that are decoded."""

    is_local = False

    def __init__(self, bucket: Bucket, staging: Path) -> None:
        """Raises UsageError if the bucket cannot be used: not there, no access, not written by us, no conditional
        writes."""
        self._bucket, self._staging = bucket, staging
        self._counts: dict[str, _Count] = {}
        self.n_missing = 0
        self.n_set_aside = 0
        open_layout(bucket)

    # Reading.

    def find(self, tenant: str, kind: str, name: str) -> Record | None:
        """The record of what a tenant has stored under a name; None if there is none, or it is broken: then it is set
        aside."""
        key = record_key(tenant, kind, name)
        found = read_record(self._bucket, key)
        if found is None:
            return None
        if found.record is None:
            self.n_set_aside += 1
            set_record_aside(self._bucket, key, found)
        return found.record

    def known(self, tenant: str, kind: str, names: Sequence[str]) -> set[str]:
        """Those of the names under which the tenant has a blob that is there (T2-12)."""

        def is_known(name: str) -> bool:
            record = self.find(tenant, kind, name)
            return record is not None and self.holds(record, tenant)

        return {name for name, is_so in zip(names, _all(is_known, names), strict=True) if is_so}

    def containers(self, tenant: str, after: str, n_most: int) -> list[Stored]:
        """The first n_most containers of a tenant whose digest comes after `after`, in order of the digests (T2-11)."""
        prefix = record_key(tenant, CONTAINERS, "")
        listed = self._bucket.listed(prefix, prefix + after if after else "")
        stored: list[Stored] = []
        while len(stored) < n_most:
            some = list(islice(listed, n_most - len(stored)))
            if not some:
                break
            found = _all(lambda entry: self.find(tenant, CONTAINERS, entry.key.removeprefix(prefix)), some)
            stored += [Stored(r, entry.when) for r, entry in zip(found, some, strict=True) if r is not None]
        return stored

    def holds(self, record: Record, tenant: str) -> bool:
        """Whether the blob of a record is there, with its length (T2-12)."""
        n_bytes = self._bucket.size(object_key(tenant, record))
        return n_bytes == record.size or self._miss(record, tenant)

    def _miss(self, record: Record, tenant: str) -> bool:
        self.n_missing += 1
        log.warning(
            "blob %s of tenant %s is missing or has another length; sending it again mends it", record.sha256, tenant
        )
        return False

    def open(self, record: Record, tenant: str, start: int, stop: int) -> BinaryIO | None:
        """Bytes start to stop - 1 of a blob, to be read from here on; None if the blob is missing or has another length."""
        if start == stop:
            return io.BytesIO() if self.holds(record, tenant) else None
        found = self._bucket.stream(object_key(tenant, record), start, stop)
        if found is not None and found[1] == record.size:
            return found[0]
        if found is not None:
            found[0].close()
        self._miss(record, tenant)
        return None

    @contextlib.contextmanager
    def local_file(self, record: Record, tenant: str) -> Iterator[Path | None]:
        """A copy of the blob in the folder for staging, deleted at the end of the `with` block."""
        body = self.open(record, tenant, 0, record.size)
        if body is None:
            yield None
            return
        with tempfile.NamedTemporaryFile(dir=self._staging, prefix=TEMP_PREFIX) as file:
            with body:
                while data := body.read(_PIECE_BYTES):
                    file.write(data)
            file.flush()
            yield Path(file.name)

    def used(self, tenant: str) -> int:
        """The bytes that a tenant has in the bucket, as of the last count, and what this server has changed since."""
        if tenant not in self._counts:
            self.count(tenant)
        return self._counts[tenant].n_bytes

    def count(self, tenant: str) -> None:
        """Count what a tenant has in the bucket, if the last count is too old."""
        begun = time.monotonic()
        known = self._counts.get(tenant)
        if known is not None and begun < known.good_until:
            return
        n_bytes = sum(entry.size for entry in self._bucket.listed(object_prefix(tenant)))
        now = time.monotonic()
        self._counts[tenant] = _Count(n_bytes, now + max(_COUNTED_SECONDS, _COUNT_SHARE * (now - begun)))

    def _counted(self, tenant: str, n_bytes: int) -> None:
        if tenant in self._counts:
            self._counts[tenant].n_bytes += n_bytes

    # Changing.

    def recover(self) -> None:
        """Nothing: no object is anybody's to remove at a start."""

    def put(self, result: UploadResult, path: Path) -> None:
        """Write an object, then the record on condition.  After a crash between the two, the same call begins anew."""
        key, tenant = record_key(result.tenant, result.kind, result.name), result.tenant
        record = Record(result.sha256, result.size, secrets.token_hex(16))
        if self._is_kept(read_record(self._bucket, key), tenant):
            return
        self._bucket.put_file(object_key(tenant, record), path, record.sha256)
        for _ in range(_TRIES):
            found = read_record(self._bucket, key)
            if found is not None and found.record == record:
                break  # written, though the answer was lost
            if self._is_kept(found, tenant):
                self._bucket.delete(object_key(tenant, record))  # another server was faster; nobody else can name it
                return
            if self._bucket.put(key, dump(record), replaces=None if found is None else found.etag):
                break
        else:
            raise StoreFailed(errno.EIO, f"{key}: other servers were faster each time")
        if not self.holds(record, tenant):
            raise StoreFailed(errno.EIO, f"{object_key(tenant, record)} was removed while it was stored")
        self._counted(tenant, record.size)

    def _is_kept(self, found: Found | None, tenant: str) -> bool:
        """Whether what the tenant has under the name is good: it came first, and stays (T2-6, T4-13)."""
        return found is not None and found.record is not None and self.holds(found.record, tenant)

    def delete(self, tenant: str, kind: str, name: str) -> bool:
        """Delete a tenant's record, then the object that it named; a crash in between leaves the object alone."""
        key = record_key(tenant, kind, name)
        found = read_record(self._bucket, key)
        if found is None:
            return False
        self._bucket.delete(key)
        if found.record is not None:
            self._bucket.delete(object_key(tenant, found.record))
            self._counted(tenant, -found.record.size)
        return True


def object_prefix(tenant: str) -> str:
    """What the keys of a tenant's objects begin with."""
    return f"objects/{tenant}/"


def object_key(tenant: str, record: Record) -> str:
    """The key of the object that a record names."""
    return f"{object_prefix(tenant)}{record.sha256}.{record.copy}"


def record_key(tenant: str, kind: str, name: str) -> str:
    """The key of a record."""
    return f"tenants/{tenant}/{kind}/{name}"


def read_record(bucket: Bucket, key: str) -> Found | None:
    """A record as it lies in the bucket, good or broken; None if there is none."""
    found = bucket.read(key)
    if found is None:
        return None
    data, etag = found
    try:
        record = parse_record(data)
        return Found(record if record.copy else None, etag, data)
    except BrokenFile:
        return Found(None, etag, data)


def set_record_aside(bucket: Bucket, key: str, found: Found) -> None:
    """Move a record to quarantine/, unless it has been replaced meanwhile (T4-18)."""
    target = f"quarantine/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}/{key}"
    bucket.put(target, found.data)
    bucket.delete_if(key, found.etag)
    log.warning("set aside %s; it is now %s", key, target)


def open_layout(bucket: Bucket) -> None:
    """Check that a bucket can be used, and is ours; an empty one is made ours.  Raises UsageError."""
    try:
        bucket.put("layout", _LAYOUT)
        found = bucket.read("layout")
        if found is None or found[0] != _LAYOUT:
            raise UsageError(f"{bucket.url}: was made by another version of aeformat, or by another program")
        if bucket.put("layout", _LAYOUT):
            raise UsageError(f"{bucket.url}: this service ignores the condition of a write; it takes no If-None-Match")
    except StoreFailed as error:
        raise UsageError(str(error.strerror)) from error


def _all(work: Callable[[_T], _U], items: Iterable[_T]) -> list[_U]:
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(work, items))
