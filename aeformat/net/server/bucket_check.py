"""Checking a bucket, and cleaning it up, beside any number of servers (T4-16 to T4-18).

Records are set aside on condition that they are still those that were found.  An object without a record may be about to
be named: it is left alone until it is a day old, and so is an upload in parts (bucket_store.py says why that is enough).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Final

from aeformat.errors import AeformatError, Hint, UsageError
from aeformat.model.identity import read_model_id
from aeformat.net.server.bucket import Bucket, Listed
from aeformat.net.server.bucket_store import Found, object_key, open_layout, read_record, set_record_aside
from aeformat.net.server.check_report import Report
from aeformat.net.server.records import CONTAINERS, MODELS, TENANT, UPLOAD_ID
from aeformat.transport.http_fields import DIGEST

YOUNG_SECONDS: Final = 86_400.0
_PIECE_BYTES: Final = 1 << 20
_HEADER_BYTES: Final = 1 << 20  # a package's header is in them

Progress = Callable[[int, int], None]


class BucketCheck:
    """One check of a bucket.  report: what was found.  progress: called with the bytes checked, and of how many."""

    def __init__(self, bucket: Bucket, *, progress: Progress = lambda n_done, n_all: None) -> None:
        """Raises UsageError if it is not the bucket of a server."""
        require_ours(bucket)
        self._bucket, self.report, self._progress = bucket, Report(), progress
        self._sizes: dict[str, int] = {}  # key of an object -> its size
        self._bad: dict[str, str] = {}  # key of a damaged object -> why

    def run(self, *, repairs: bool) -> Report:
        """Check all.  repairs: set aside the records that are broken, or promise what is damaged or not there."""
        named: set[str] = set()
        objects = list(self._bucket.listed("objects/"))
        self._check_objects(objects)
        for entry in self._bucket.listed("tenants/"):
            key = self._check_record(entry, repairs=repairs)
            if key is not None:
                named.add(key)
        self._find_left_over([entry for entry in objects if entry.key not in named and entry.key in self._sizes])
        return self.report

    def _check_objects(self, objects: list[Listed]) -> None:
        n_all, n_done = sum(entry.size for entry in objects), 0
        for entry in objects:
            if not is_object(entry.key):
                self.report.add("stray-file", entry.key, "its name is not that of a blob")
                continue
            self._sizes[entry.key] = entry.size
            self._check_object(entry)
            n_done += entry.size
            self._progress(n_done, n_all)

    def _check_object(self, entry: Listed) -> None:
        found = self._bucket.stream(entry.key, 0, entry.size) if entry.size else None
        sha256 = hashlib.sha256()
        if found is not None:
            with found[0] as body:
                while data := body.read(_PIECE_BYTES):
                    sha256.update(data)
        elif self._bucket.size(entry.key) is None:  # it was deleted a moment ago
            del self._sizes[entry.key]
            return
        if sha256.hexdigest() != entry.key.split("/")[2].split(".")[0]:
            self._bad[entry.key] = f"its SHA-256 is {sha256.hexdigest()}"
            return
        self.report.n_blobs += 1
        self.report.n_bytes += entry.size

    def _check_record(self, entry: Listed, *, repairs: bool) -> str | None:
        """Check one record.  Returns the key of the object that it names, if that is there."""
        parts = entry.key.split("/")
        if len(parts) != 4 or parts[2] not in (CONTAINERS, MODELS) or not DIGEST.fullmatch(parts[3]):
            self.report.add("stray-file", entry.key, "its name is not that of a record")
            return None
        found = read_record(self._bucket, entry.key)
        if found is None:  # it was deleted a moment ago
            return None
        self.report.n_records += 1
        fault = self._fault(parts[1], parts[2], parts[3], found)
        if fault is not None:
            if repairs:
                set_record_aside(self._bucket, entry.key, found)
            self.report.add(fault[0], entry.key, fault[1], "set aside" if repairs else "")
        return None if found.record is None else object_key(parts[1], found.record)

    def _fault(self, tenant: str, kind: str, name: str, found: Found) -> tuple[str, str] | None:
        record = found.record
        if record is None:
            return "broken-record", "it is not what a server wrote"
        if kind == CONTAINERS and record.sha256 != name:
            return "broken-record", f"it names another blob, {record.sha256}"
        key = object_key(tenant, record)
        if key in self._bad:
            return "damaged-blob", f"{key}: {self._bad[key]}"
        n_bytes = self._sizes[key] if key in self._sizes else self._bucket.size(key)  # it may be newer than the listing
        if n_bytes != record.size:
            is_what = "is missing" if n_bytes is None else f"has {n_bytes} bytes instead of {record.size}"
            return "missing-blob", f"{key} {is_what}"
        if kind == MODELS and self._model_of(key, record.size) != name:
            return "wrong-model", f"{key} is not a package of this model"
        return None

    def _model_of(self, key: str, size: int) -> str:
        """The model id that an object states in its header; "" if it is no package."""
        found = self._bucket.stream(key, 0, min(size, _HEADER_BYTES))
        if found is None:
            return ""
        with found[0] as body:
            data = body.read()
        try:
            return read_model_id(data).hex()
        except AeformatError:
            return ""

    def _find_left_over(self, unnamed: list[Listed]) -> None:
        for entry in old(unnamed):
            self.report.add("orphan-blob", entry.key, f"{entry.size} bytes")
        for entry in self._bucket.listed("quarantine/"):
            self.report.add("set-aside", entry.key, f"{entry.size} bytes")
        for upload in self._bucket.unfinished():
            if upload.when < time.time() - YOUNG_SECONDS:
                self.report.add("temporary-file", upload.key, "an upload in parts that was not completed")


class BucketGc:
    """One clean-up of a bucket.  is_dry: only say what would be removed."""

    def __init__(self, bucket: Bucket, *, is_dry: bool) -> None:
        """Raises UsageError if it is not the bucket of a server."""
        require_ours(bucket)
        self._bucket, self._is_dry = bucket, is_dry
        self.report = Report()

    def run(self) -> Report:
        """Remove old objects without a record, uploads in parts that were not completed, and what was set aside."""
        objects = old([entry for entry in self._bucket.listed("objects/") if is_object(entry.key)])
        named = self._named() if objects else set()
        for entry in objects:
            if entry.key not in named:
                self._remove("orphan-blob", entry)
        for upload in self._bucket.unfinished():
            if upload.when < time.time() - YOUNG_SECONDS:
                if not self._is_dry:
                    self._bucket.abort(upload.key, upload.upload)
                self.report.add("temporary-file", upload.key, "an upload in parts", "" if self._is_dry else "removed")
        for entry in list(self._bucket.listed("quarantine/")):
            self._remove("set-aside", entry)
        return self.report

    def _named(self) -> set[str]:
        named = set()
        for entry in self._bucket.listed("tenants/"):
            found = read_record(self._bucket, entry.key)
            if found is not None and found.record is None:
                raise UsageError(f"{self._bucket.url}: {entry.key} is broken", hint=Hint.REPAIR_STORE)
            if found is not None and found.record is not None:
                named.add(object_key(entry.key.split("/")[1], found.record))
        return named

    def _remove(self, kind: str, entry: Listed) -> None:
        if not self._is_dry:
            self._bucket.delete(entry.key)
        self.report.add(kind, entry.key, f"{entry.size} bytes", "" if self._is_dry else "removed")


def require_ours(bucket: Bucket) -> None:
    """Check that a bucket is a server's.  Raises UsageError."""
    if bucket.read("layout") is None:
        raise UsageError(f"{bucket.url}: is not the bucket of a server")
    open_layout(bucket)


def is_object(key: str) -> bool:
    """Whether this is the key of a blob's object."""
    parts = key.split("/")
    sha256, _, copy = parts[-1].partition(".")
    has_form = len(parts) == 3 and TENANT.fullmatch(parts[1]) and DIGEST.fullmatch(sha256) and UPLOAD_ID.fullmatch(copy)
    return bool(has_form)


def old(objects: list[Listed]) -> list[Listed]:
    """The objects that are so old that no upload is about to name them."""
    return [entry for entry in objects if entry.when < time.time() - YOUNG_SECONDS]
