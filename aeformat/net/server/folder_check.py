"""Checking a server's folder, and mending it: each blob against its digest, each record against its blob (T4-16 to T4-18).

Works beside a running server.  Whatever is changed is changed under the lock `changes`, after a second look: a blob that
was put there since the first look is another file, and is left alone.  What is damaged is set aside, never deleted.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aeformat.atomic import TEMP_PREFIX
from aeformat.errors import AeformatError, UsageError
from aeformat.model.identity import read_model_id
from aeformat.net.server.check_report import Report
from aeformat.net.server.disk import Disk
from aeformat.net.server.folder_lock import FolderLock
from aeformat.net.server.folder_store import blob_path, identity, records, size_of
from aeformat.net.server.quarantine import Quarantine
from aeformat.net.server.records import (
    CONTAINERS,
    MODELS,
    UNREADABLE,
    UPLOAD_ID,
    BrokenFile,
    Record,
    dump,
    load,
    parse_info,
    parse_record,
    parse_result,
)
from aeformat.net.server.storage import check_layout
from aeformat.transport.http_fields import DIGEST

_PIECE_BYTES: Final = 1 << 20
TEMP_SECONDS: Final = 3600.0  # a temporary file or a blob without a record, if it is younger, may be in use

Progress = Callable[[int, int], None]


class FolderCheck:
    """One check of the folder `root`.  report: what was found.  progress: called with the bytes checked, and of how many."""

    def __init__(self, root: Path, *, progress: Progress = lambda n_done, n_all: None) -> None:
        """Raises UsageError if it is not the folder of a server."""
        require_store(root)
        self.root, self.report = root, Report()
        self._progress = progress
        self._disk = Disk()
        self._quarantine = Quarantine(root, self._disk)
        self._lock: FolderLock | None = None  # None: nothing may be changed
        self._good: dict[str, int] = {}  # digest -> size
        self._named: set[str] = set()  # digests that a good record names

    def run(self, *, repairs: bool) -> Report:
        """Check all.  repairs: set aside what is damaged, and records that promise nothing; take back records that hold.

        Raises UsageError if it is to repair a folder that cannot be written to, OSError.
        """
        if repairs:
            require_owner(self.root)
            self._lock = FolderLock(self.root)
        try:
            self._check_blobs()
            for path, record in records(self.root):
                self._check_record(path, record)
            self._check_uploads()
            for path in self._quarantine.records():
                self._take_back(path)
            self._find_left_over()
        finally:
            if self._lock is not None:
                self._lock.close()
        return self.report

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    # Blobs.

    def _check_blobs(self) -> None:
        paths = [path for path in sorted(self.root.glob("objects/*/*")) if not path.name.startswith(TEMP_PREFIX)]
        n_all, n_done = sum(size_of(path) or 0 for path in paths), 0
        for path in paths:
            if path != blob_path(self.root, path.name) or not DIGEST.fullmatch(path.name):
                self.report.add("stray-file", self._name(path), "its name is not the digest of a blob")
                continue
            n_done += self._check_blob(path)
            self._progress(n_done, n_all)

    def _check_blob(self, path: Path) -> int:
        was, sha256, n_bytes = None, hashlib.sha256(), 0
        try:
            with path.open("rb", buffering=0) as file:
                was = identity(os.fstat(file.fileno()))
                while data := file.read(_PIECE_BYTES):
                    sha256.update(data)
                    n_bytes += len(data)
        except FileNotFoundError:  # it was deleted a moment ago
            return 0
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            self._damaged(path, was, f"it cannot be read: {error.strerror}")
            return n_bytes
        if sha256.hexdigest() != path.name:
            self._damaged(path, was, f"its SHA-256 is {sha256.hexdigest()}")
            return n_bytes
        self._good[path.name] = n_bytes
        self.report.n_blobs += 1
        self.report.n_bytes += n_bytes
        return n_bytes

    def _damaged(self, path: Path, was: tuple[int, ...] | None, why: str) -> None:
        done = ""
        if self._lock is not None:
            with self._lock.changing():
                done = self._set_blob_aside(path, was, why)
        self.report.add("damaged-blob", self._name(path), why, done)

    def _set_blob_aside(self, path: Path, was: tuple[int, ...] | None, why: str) -> str:
        try:
            if was is not None and identity(path.stat()) != was:
                return "left alone: a new upload has replaced it"
        except FileNotFoundError:
            return "left alone: it was deleted"
        return self._set_aside(path, why)

    def _set_aside(self, path: Path, why: str) -> str:
        assert self._lock is not None
        self._quarantine.put(path, why)
        self._lock.tell_others()
        return "set aside"

    # Records.

    def _check_record(self, path: Path, record: Record | None) -> None:
        self.report.n_records += 1
        fault = self._fault(path, record)
        if fault is None:
            assert record is not None
            self._named.add(record.sha256)
            return
        done = ""
        if self._lock is not None:
            with self._lock.changing():
                done = self._set_record_aside(path, fault[1])
        self.report.add(fault[0], self._name(path), fault[1], done)

    def _fault(self, path: Path, record: Record | None) -> tuple[str, str] | None:
        """The kind of finding that a record is, and its details; None if it is good."""
        kind, name = path.parts[-2:]
        if record is None:
            return "broken-record", _why_broken(path)
        if kind == CONTAINERS and record.sha256 != name:
            return "broken-record", f"it names another blob, {record.sha256}"
        n_bytes = size_of(blob_path(self.root, record.sha256))
        if n_bytes != record.size:
            is_what = "is missing" if n_bytes is None else f"has {n_bytes} bytes instead of {record.size}"
            return "missing-blob", f"its blob {record.sha256} {is_what}"
        if kind == MODELS and record.sha256 in self._good and self._model_of(record.sha256) != name:
            return "wrong-model", f"its blob {record.sha256} is not a package of this model"
        return None

    def _set_record_aside(self, path: Path, why: str) -> str:
        try:
            record = load(path, parse_record)
            if record is None:
                return "left alone: it was deleted"
        except BrokenFile:
            record = None
        if self._fault(path, record) is None:
            return "left alone: a new upload has mended it"
        return self._set_aside(path, why)

    def _model_of(self, sha256: str) -> str:
        """The model id that a blob states in its header; "" if it is no package."""
        try:
            return read_model_id(blob_path(self.root, sha256)).hex()
        except AeformatError:
            return ""

    # What was set aside before.

    def _take_back(self, path: Path) -> None:
        """Write a record again that was set aside, if a good blob is there that it must have named."""
        tenant, kind, name = path.parts[-3:]
        place = self.root / "tenants" / tenant / kind / name
        sha256 = name if kind == CONTAINERS else self._orphan_of(name)
        if self._lock is None or sha256 not in self._good:
            return
        with self._lock.changing():
            if not place.exists() and path.exists() and size_of(blob_path(self.root, sha256)) == self._good[sha256]:
                self._disk.make_folder(place.parent)
                self._disk.write_small_file(place, dump(Record(sha256, self._good[sha256])))
                self._lock.tell_others()
                self._named.add(sha256)
                self.report.add("set-aside", self._name(path), f"a record of the blob {sha256}", "taken back")
                self._disk.remove(path)

    def _orphan_of(self, model: str) -> str:
        return next((sha for sha in sorted(self._good.keys() - self._named) if self._model_of(sha) == model), "")

    # The rest.

    def _check_uploads(self) -> None:
        is_alone = self._lock is not None and self._lock.try_take()
        for folder in sorted(self.root.glob("uploads/*")):
            self.report.n_uploads += 1
            if not UPLOAD_ID.fullmatch(folder.name) and not folder.name.startswith(TEMP_PREFIX):
                self.report.add("stray-file", self._name(folder), "its name is not the id of an upload")
                continue
            for name, parse in (("about", parse_info), ("result", parse_result)):
                try:
                    load(folder / name, parse)
                except BrokenFile as error:
                    done = self._set_aside(folder / name, str(error)) if is_alone else ""
                    self.report.add("broken-upload", self._name(folder / name), str(error), done)
        if is_alone and self._lock is not None:
            self._lock.release()

    def _find_left_over(self) -> None:
        for path in sorted(self._quarantine.folder.glob("*/**/*")):
            if path.is_file():
                self.report.add("set-aside", self._name(path), f"{size_of(path)} bytes")
        for sha256, n_bytes in orphans(self.root, self._good, self._named):
            self.report.add("orphan-blob", self._name(blob_path(self.root, sha256)), f"{n_bytes} bytes")
        for path in old_temporary_files(self.root):
            self.report.add("temporary-file", self._name(path), f"{size_of(path)} bytes")


def require_store(root: Path) -> None:
    """Check that a folder is a server's, and keeps blobs.  Raises UsageError."""
    if not (root / "layout").exists():
        raise UsageError(f"{root}: is not the folder of a server")
    check_layout(root)


def require_owner(root: Path) -> None:
    """Check that this process runs as the user whose folder it is: what it writes, the server must read.  Raises UsageError."""
    if hasattr(os, "geteuid") and os.geteuid() != (root / "layout").stat().st_uid:
        raise UsageError(f"{root}: belongs to another user; run this as the user of the server")


def orphans(root: Path, blobs: dict[str, int], named: set[str]) -> list[tuple[str, int]]:
    """The blobs, with their sizes, that no record names, and that are not so young that one may be about to."""
    left = blobs.keys() - named
    if left:
        left -= {record.sha256 for _path, record in records(root) if record is not None}
    young = time.time() - TEMP_SECONDS
    return [(sha256, blobs[sha256]) for sha256 in sorted(left) if _changed(blob_path(root, sha256)) < young]


def old_temporary_files(root: Path) -> list[Path]:
    """The temporary files that a crash has left."""
    young = time.time() - TEMP_SECONDS
    return [path for path in sorted(root.glob(f"**/{TEMP_PREFIX}*")) if _changed(path) < young]


def _changed(path: Path) -> float:
    """When a file was last changed or renamed; never, for one that is gone."""
    try:
        return path.stat().st_ctime
    except FileNotFoundError:
        return float("inf")


def _why_broken(path: Path) -> str:
    try:
        load(path, parse_record)
    except BrokenFile as error:
        return str(error)
    return "it was broken a moment ago"
