"""Removing from a server's folder what nobody can ask for: blobs without a record, what was set aside, old uploads.

Safe beside a running server.  A blob that an upload is about to name is not removed: blobs are listed before the records
are read, no change is under way between the two, and every upload of a blob puts another file in its place.  Old uploads
are the server's own business while one is running.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from aeformat.atomic import TEMP_PREFIX
from aeformat.errors import Hint, UsageError
from aeformat.net.server.check_report import Report
from aeformat.net.server.disk import Disk
from aeformat.net.server.folder_check import old_temporary_files, require_owner, require_store
from aeformat.net.server.folder_lock import FolderLock
from aeformat.net.server.folder_store import blob_path, identity, records, size_of
from aeformat.net.server.quarantine import Quarantine
from aeformat.net.server.records import CONTAINERS, UPLOAD_ID
from aeformat.transport.http_fields import DIGEST
from aeformat.transport.transfer_limits import DEFAULT


class FolderGc:
    """One clean-up of the folder `root`.  is_dry: only say what would be removed."""

    def __init__(self, root: Path, *, is_dry: bool) -> None:
        """Raises UsageError if it is not the folder of a server."""
        require_store(root)
        require_owner(root)
        self.root, self.report = root, Report()
        self._is_dry = is_dry
        self._disk = Disk()

    def run(self) -> Report:
        """Remove.  Raises UsageError where a check could take back what would be removed, OSError."""
        self._refuse_what_can_be_mended()
        lock = FolderLock(self.root)
        try:
            self._remove_set_aside(lock)
            self._remove_orphans(lock)
            if lock.try_take():
                self._remove_old_uploads()
                self._remove_temporary_files()
            else:
                self.report.notes.append("a server is running: it drops old uploads itself")
        finally:
            lock.close()
        return self.report

    def _refuse_what_can_be_mended(self) -> None:
        set_aside = Quarantine(self.root, self._disk).records()
        can_be = [p for p in set_aside if p.parts[-2] == CONTAINERS and blob_path(self.root, p.name).exists()]
        broken = [path for path, record in records(self.root) if record is None]
        if can_be or broken:
            where = (can_be or broken)[0].relative_to(self.root)
            raise UsageError(f"{self.root}: {where} may be mended", hint=Hint.REPAIR_STORE)

    def _found(self, kind: str, path: Path, what: str) -> None:
        done = "" if self._is_dry else "removed"
        self.report.add(kind, path.relative_to(self.root).as_posix(), what, done)

    def _remove_set_aside(self, lock: FolderLock) -> None:
        for folder in sorted((self.root / "quarantine").glob("*")):
            n_bytes = sum(size_of(path) or 0 for path in folder.glob("**/*") if path.is_file())
            with lock.changing():
                if not self._is_dry:
                    shutil.rmtree(folder)
            self._found("set-aside", folder, f"{n_bytes} bytes")

    def _remove_orphans(self, lock: FolderLock) -> None:
        blobs = {path: path.stat() for path in sorted(self.root.glob("objects/*/*")) if DIGEST.fullmatch(path.name)}
        with lock.changing():
            pass  # a blob that was in its place without its record has it now
        known = {record.sha256 for _path, record in records(self.root) if record is not None}
        for path, was in blobs.items():
            if path.name not in known:
                with lock.changing():
                    self._remove_orphan(path, identity(was))

    def _remove_orphan(self, path: Path, was: tuple[int, ...]) -> None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return
        if identity(found) == was:  # else a new upload has brought it once more, and names it
            if not self._is_dry:
                self._disk.remove(path)
            self._found("orphan-blob", path, f"{found.st_size} bytes")

    def _remove_old_uploads(self) -> None:
        for folder in sorted(self.root.glob("uploads/*")):
            if not UPLOAD_ID.fullmatch(folder.name):
                continue
            age = time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if age > DEFAULT.max_age:
                n_bytes = size_of(folder / "data") or 0
                if not self._is_dry:
                    self._disk.remove_folder(folder)
                self._found("old-upload", folder, f"{n_bytes} bytes, {age / 3600:.0f} hours old")

    def _remove_temporary_files(self) -> None:
        for path in old_temporary_files(self.root):
            n_bytes = size_of(path)
            if not self._is_dry and path.name.startswith(TEMP_PREFIX):
                self._disk.remove(path)
            self._found("temporary-file", path, f"{n_bytes} bytes")
