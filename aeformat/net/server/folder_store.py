"""Blobs and records in a folder of this machine.

    objects/<2 digits>/<sha256>           blobs; one for all tenants that have it
    tenants/<tenant>/containers/<sha256>  a record: this tenant has stored that blob
    tenants/<tenant>/models/<model id>    a record that names the blob of a package

Owns these names, and the order of the steps of `put` and `delete`.  All changes are made under the lock `changes`, so that
checks and clean-ups may work beside a server (folder_check.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from aeformat.net.server.disk import Disk
from aeformat.net.server.folder_lock import FolderLock
from aeformat.net.server.quarantine import Quarantine
from aeformat.net.server.records import (
    CONTAINERS,
    BrokenFile,
    Record,
    Stored,
    UploadResult,
    dump,
    load,
    parse_record,
)
from aeformat.transport.http_fields import DIGEST

log = logging.getLogger("aeformat.server")


class FolderStore:
    """The blobs and records of one folder (see BlobStore)."""

    is_local = True

    def __init__(self, root: Path, disk: Disk, lock: FolderLock, quarantine: Quarantine) -> None:
        self.root, self._disk, self._lock, self._quarantine = root, disk, lock, quarantine
        self._used: dict[str, int] = {}
        self._n_missing = 0

    @property
    def n_missing(self) -> int:
        """How often a blob was asked for that a record promises and that is not there."""
        return self._n_missing

    @property
    def n_set_aside(self) -> int:
        """0: the folder's quarantine counts them."""
        return 0

    def blob(self, sha256: str) -> Path:
        """The path of a blob, whether or not it exists."""
        return blob_path(self.root, sha256)

    def record(self, tenant: str, kind: str, name: str) -> Path:
        """The path of a record, whether or not it exists."""
        return self.root / "tenants" / tenant / kind / name

    # Reading.

    def find(self, tenant: str, kind: str, name: str) -> Record | None:
        """The record of what a tenant has stored under a name; None if there is none, or it is broken: then it is set
        aside."""
        path = self.record(tenant, kind, name)
        try:
            return load(path, parse_record)
        except BrokenFile:
            return self._find_broken(path)

    def _find_broken(self, path: Path) -> Record | None:
        with self._lock.changing():
            try:
                return load(path, parse_record)  # a good one may have come in between
            except BrokenFile as error:
                self._quarantine.put(path, str(error))
                self._used.clear()
                return None

    def known(self, tenant: str, kind: str, names: Sequence[str]) -> set[str]:
        """Those of the names under which the tenant has a blob that is there (T2-12)."""
        found = ((name, self.find(tenant, kind, name)) for name in names)
        return {name for name, record in found if record is not None and self.holds(record, tenant)}

    def containers(self, tenant: str, after: str, n_most: int) -> list[Stored]:
        """The first n_most containers of a tenant whose digest comes after `after`, in order of the digests (T2-11)."""
        folder = self.root / "tenants" / tenant / CONTAINERS
        try:
            names = sorted(path.name for path in folder.iterdir() if path.name > after)
        except FileNotFoundError:
            return []
        found = (self._stored(tenant, name) for name in names if DIGEST.fullmatch(name))
        return list(islice((stored for stored in found if stored is not None), n_most))

    def _stored(self, tenant: str, name: str) -> Stored | None:
        """What the list says of a container; None for one that was deleted a moment ago, or is not there (T2-12)."""
        record = self.find(tenant, CONTAINERS, name)
        if record is None or size_of(self.blob(record.sha256)) != record.size:
            return None
        try:
            return Stored(record, self.record(tenant, CONTAINERS, name).stat().st_mtime)
        except FileNotFoundError:
            return None

    def holds(self, record: Record, tenant: str) -> bool:
        """Whether the blob of a record is there, with its length (T2-12)."""
        n_bytes = size_of(self.blob(record.sha256))
        return n_bytes == record.size or self._miss(record, tenant, n_bytes)

    def _miss(self, record: Record, tenant: str, n_bytes: int | None) -> bool:
        self._n_missing += 1
        is_what = "missing" if n_bytes is None else f"{n_bytes} bytes long instead of {record.size}"
        log.warning("blob %s of tenant %s is %s; sending it again mends it", record.sha256, tenant, is_what)
        return False

    def open(self, record: Record, tenant: str, start: int, stop: int) -> BinaryIO | None:
        """Bytes start to stop - 1 of a blob, to be read from here on; None if the blob is missing or has another length."""
        if not self.holds(record, tenant):
            return None
        try:
            file = self.blob(record.sha256).open("rb", buffering=0)
        except FileNotFoundError:  # it was deleted a moment ago
            return None
        file.seek(start)
        return file

    @contextlib.contextmanager
    def local_file(self, record: Record, tenant: str) -> Iterator[Path | None]:
        """The blob's own file; None if it is missing or has another length."""
        yield self.blob(record.sha256) if self.holds(record, tenant) else None

    def used(self, tenant: str) -> int:
        """The bytes that a tenant has stored."""
        if self._lock.was_told():
            self._used.clear()
        if tenant not in self._used:
            self._used[tenant] = sum(record.size for _path, record in records(self.root, tenant) if record is not None)
        return self._used[tenant]

    def count(self, tenant: str) -> None:
        """Count what a tenant has stored, if that is not known."""
        self.used(tenant)

    # Changing.

    def put(self, result: UploadResult, path: Path) -> None:
        """Move a verified file to its place, then write the tenant's record.

        The file replaces what is at that place: a blob with the right name and length can still be damaged (T4-16).
        After a crash between the two steps the blob is complete (T4-10).  The tenant's bytes count in full, even if
        another tenant has stored the same blob (T10-3).
        """
        with self._lock.changing():
            held = self.find(result.tenant, result.kind, result.name)
            if held is not None and held.sha256 != result.sha256 and self.holds(held, result.tenant):
                self._disk.remove(path)  # another package of this model, which came first (T2-6)
                return
            record = Record(result.sha256, result.size)
            self._put_blob(path, record)
            self._quarantine.forget(self.record(result.tenant, result.kind, result.name))
            if held == record:
                return
            used = self.used(result.tenant)
            place = self.record(result.tenant, result.kind, result.name)
            self._disk.make_folder(place.parent)
            self._disk.write_small_file(place, dump(record))
            self._used[result.tenant] = used + record.size - (0 if held is None else held.size)

    def _put_blob(self, path: Path, record: Record) -> None:
        blob = self.blob(record.sha256)
        if path.exists() or size_of(blob) != record.size:
            self._disk.make_folder(blob.parent)
            self._disk.rename(path, blob)
        else:  # it was moved before a crash
            os.utime(blob)  # a clean-up that found it without its record now finds another file (T4-17)

    def delete(self, tenant: str, kind: str, name: str) -> bool:
        """Delete a tenant's record durably, then the blob if nobody else has it; a crash in between leaves the blob alone.

        A broken record is deleted too; which blob it named is known if it was a container's.
        """
        with self._lock.changing():
            path, used = self.record(tenant, kind, name), self.used(tenant)
            self._quarantine.forget(path)
            try:
                record = load(path, parse_record)
            except BrokenFile:
                self._remove_broken(path)
                record = Record(name, 0) if kind == CONTAINERS else None
            else:
                if record is None:
                    return False
                self._disk.remove_durably(path)
                self._used[tenant] = used - record.size
            if record is not None and not self._is_named(record.sha256, kind, name):
                self._disk.remove(self.blob(record.sha256))
            return True

    def _remove_broken(self, path: Path) -> None:
        if path.is_dir():
            self._disk.remove_folder(path)
        self._disk.remove_durably(path)
        self._used.clear()

    def _is_named(self, sha256: str, kind: str, name: str) -> bool:
        """Whether any tenant's record names the blob; a broken one may.  All records of a blob have the same kind and
        name."""
        for path in self.root.glob(f"tenants/*/{kind}/{name}"):
            try:
                record = load(path, parse_record)
            except BrokenFile:
                return True
            if record is not None and record.sha256 == sha256:
                return True
        return False

    def recover(self) -> None:
        """Finish what a crash interrupted, at the start, while this process alone uses the folder: remove blobs that
        nobody has.

        Broken records are set aside first.  As long as one is, no blob is removed: it may be the one that was named.
        """
        known: set[str] = set()
        for path, record in list(records(self.root)):
            if record is None:
                self._find_broken(path)
            else:
                known.add(record.sha256)
                tenant = path.parent.parent.name
                self._used[tenant] = self._used.get(tenant, 0) + record.size
        if self._quarantine.records():
            log.warning("records are set aside: blobs without a record are kept until the store is checked and mended")
            return
        for blob in list(self.root.glob("objects/*/*")):
            if blob.name not in known:
                self._disk.remove(blob)


def blob_path(root: Path, sha256: str) -> Path:
    """The path of a blob in a folder, whether or not it exists."""
    return root / "objects" / sha256[:2] / sha256


def size_of(path: Path) -> int | None:
    """The size of a file; None if there is none."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def identity(status: os.stat_result) -> tuple[int, ...]:
    """What differs between a file and one that has taken its place, also where the number of its inode is used again."""
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def records(root: Path, tenant: str = "*") -> Iterator[tuple[Path, Record | None]]:
    """All records of a tenant, or of all, with their paths; None for a broken one, which stays where it is."""
    for path in sorted(root.glob(f"tenants/{tenant}/*/*")):
        if path.name.startswith("."):
            continue
        try:
            record = load(path, parse_record)
        except BrokenFile:
            yield path, None
        else:
            if record is not None:  # else it was deleted a moment ago
                yield path, record
