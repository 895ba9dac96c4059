"""What a server keeps: the staged uploads of this machine, and the store of blobs and records behind them.

Owns the layout of the server's folder, its lock (T4-17), and the step from a verified upload to a stored blob.  A
`result` beside an `about` means that this step was interrupted: the next start finishes it.  Knows nothing of HTTP.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aeformat.atomic import TEMP_PREFIX
from aeformat.errors import UsageError
from aeformat.net.server.disk import Disk
from aeformat.net.server.folder_lock import LOCK_FILES, FolderLock
from aeformat.net.server.folder_store import FolderStore
from aeformat.net.server.quarantine import Quarantine
from aeformat.net.server.records import CONTAINERS as CONTAINERS
from aeformat.net.server.records import MODELS as MODELS
from aeformat.net.server.records import TENANT as TENANT
from aeformat.net.server.records import UPLOAD_ID as UPLOAD_ID
from aeformat.net.server.records import Record as Record
from aeformat.net.server.records import UploadInfo as UploadInfo
from aeformat.net.server.records import UploadResult as UploadResult
from aeformat.net.server.records import dump
from aeformat.net.server.staging import Staging
from aeformat.net.server.store import BlobStore

log = logging.getLogger("aeformat.server")
_LAYOUT: Final = "aeformat store 1\n"
_STAGING_LAYOUT: Final = "aeformat staging 1\n"
_NOT_WRITABLE: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


class Storage(Staging):
    """The folder of one server, and its store: in the same folder, or elsewhere.  store: see BlobStore."""

    store: BlobStore

    def __init__(
        self, root: Path, disk: Disk | None = None, *, elsewhere: Callable[[], BlobStore] | None = None
    ) -> None:
        """Open the folder, or make it, take its lock, and finish the steps that a crash interrupted.

        elsewhere: opens the store, where blobs and records are not kept in this folder.  Raises UsageError for a folder
        that is not a server's, that another server uses, or that cannot be written to.
        """
        disk = disk or Disk()
        self._layout = _LAYOUT if elsewhere is None else _STAGING_LAYOUT
        _make(root)
        check_layout(root, self._layout)
        self.lock = FolderLock(root)
        try:
            self.lock.take()
            super().__init__(root, disk, Quarantine(root, disk))
            if elsewhere is None:
                self.store = FolderStore(root, disk, self.lock, self.quarantine)
            else:
                self.store = elsewhere()
            with self.lock.changing():
                self._lay_out()
                self._recover()
        except BaseException:
            self.lock.close()
            raise

    def close(self) -> None:
        """Release the folder."""
        self.lock.close()

    def _lay_out(self) -> None:
        try:
            check_layout(self.root, self._layout)  # another server may have been faster
            if not (self.root / "layout").exists():
                self.disk.write_small_file(self.root / "layout", self._layout.encode())
            for name in ("uploads", "objects", "tenants") if self.store.is_local else ("uploads",):
                self.disk.make_folder(self.root / name)
        except OSError as error:
            if error.errno in _NOT_WRITABLE:
                raise UsageError(f"{self.root}: cannot be written to: {error.strerror}") from error
            raise

    def commit(self, upload: str, result: UploadResult) -> None:
        """Put a staging file, which is synced and verified, in its final place, and write the tenant's record.

        The result is written first: after a crash in between, the next start does the rest (T4-10).  Raises OSError.
        """
        self.disk.write_small_file(self.folder(upload) / "result", dump(result))
        self._finish(upload, result)

    def _finish(self, upload: str, result: UploadResult) -> None:
        self.store.put(result, self.staging(upload))
        self.disk.remove(self.staging(upload))
        self.disk.remove(self.folder(upload) / "about")

    @property
    def n_set_aside(self) -> int:
        """How many broken small files were set aside since the start (T4-18)."""
        return self.quarantine.n_files + self.store.n_set_aside

    # The store.

    def find(self, tenant: str, kind: str, name: str) -> Record | None:
        """The record of what a tenant has stored under a name; None if there is none."""
        return self.store.find(tenant, kind, name)

    def has(self, tenant: str, kind: str, name: str) -> bool:
        """Whether the tenant has a blob under this name, and it is there (T2-12)."""
        record = self.store.find(tenant, kind, name)
        return record is not None and self.store.holds(record, tenant)

    def used(self, tenant: str) -> int:
        """The bytes that a tenant has stored.  Uploads are not counted."""
        return self.store.used(tenant)

    def delete(self, tenant: str, kind: str, name: str) -> bool:
        """Delete a tenant's blob (T2-10); False if the tenant has none.  Drop the uploads that have it as their result
        first.

        Raises OSError.
        """
        return self.store.delete(tenant, kind, name)

    # After a crash.

    def _recover(self) -> None:
        for folder in list(self.root.glob("**/")):
            for left in folder.glob(f"{TEMP_PREFIX}*"):
                self.disk.remove(left)
        for upload in list(self.uploads()):
            self._recover_upload(upload)
        self.store.recover()

    def _recover_upload(self, upload: str) -> None:
        result, info = self.result(upload), self.info(upload)
        if result is None:
            if info is None:
                self.drop(
                    upload
                )  # it was being created or dropped, or `about` is broken: then nobody knows whose it is
        elif info is not None or self.staging(upload).exists():
            try:
                self._finish(upload, result)
            except FileNotFoundError:
                self.quarantine.put(self.folder(upload), "its bytes are gone")
        elif self.store.is_local and self.store.find(result.tenant, result.kind, result.name) is None:
            self.drop(upload)  # its blob was deleted


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{root}: cannot be made: {error.strerror}") from error


def check_layout(root: Path, expected: str = _LAYOUT) -> None:
    """Check that a folder is empty, or that of a server.  Raises UsageError."""
    try:
        found = (root / "layout").read_bytes()
    except FileNotFoundError:
        if any(path.name not in LOCK_FILES and not path.name.startswith(TEMP_PREFIX) for path in root.iterdir()):
            raise UsageError(f"{root}: is not empty, and not the folder of a server") from None
        return
    except OSError as error:
        raise UsageError(f"{root}: cannot be read: {error.strerror}") from error
    if found in (_LAYOUT.encode(), _STAGING_LAYOUT.encode()) and found != expected.encode():
        what = "keeps blobs; give another folder for staging" if found == _LAYOUT.encode() else "stages for a bucket"
        raise UsageError(f"{root}: {what}")
    if found != expected.encode():
        raise UsageError(f"{root}: was made by another version of aeformat, or its file `layout` is damaged")
