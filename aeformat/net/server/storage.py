"""The server's folder: blobs by their digests, the records of each tenant, and the uploads.

    objects/<2 digits>/<sha256>           blobs; never change
    tenants/<tenant>/containers/<sha256>  a record: this tenant has stored that blob
    tenants/<tenant>/models/<model id>    a record that names the blob of a package
    uploads/<id>/{about,data,result}      an upload; `result` is written before the blob is moved to its place, `about` is
                                          removed after that

Owns the names, and the order of the steps of a commit and of a deletion.  A `result` beside an `about` means that a commit was
interrupted: the next start finishes it.  A blob that no record names is left over from a crash: the next start removes it.
Knows nothing of HTTP.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import TEMP_PREFIX
from aeformat.errors import UsageError
from aeformat.net.server.disk import Disk

CONTAINERS: Final = "containers"
MODELS: Final = "models"
TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}")
_LAYOUT: Final = "aeformat store 1\n"


@dataclass(frozen=True, slots=True)
class Record:
    """A blob that a tenant has stored; the contents of a record file."""

    sha256: str  # hexadecimal
    size: int


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """The facts of an upload that are known before its first byte: whose it is, and its Upload-Length if it has one.

    digests: those that it must have, by algorithm, in hexadecimal (T4-27).
    """

    tenant: str
    length: int | None
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadResult:
    """Where the blob of an upload is stored.  kind: CONTAINERS or MODELS.  name: the blob's digest, or its model id."""

    tenant: str
    kind: str
    name: str
    sha256: str
    size: int


class Storage:
    """The folder of one server.  Two servers must not use one folder at a time."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        """Open the folder, or make it, and finish the steps that a crash interrupted.

        Raises UsageError for a folder that is not a server's.
        """
        self.root, self.disk = root, disk or Disk()
        root.mkdir(parents=True, exist_ok=True)
        layout = root / "layout"
        if not layout.exists():
            if any(not path.name.startswith(TEMP_PREFIX) for path in root.iterdir()):
                raise UsageError(f"{root}: is not empty, and not the folder of a server")
            self.disk.write_small_file(layout, _LAYOUT.encode())
        elif layout.read_text(encoding="utf-8") != _LAYOUT:
            raise UsageError(f"{root}: was made by another version of aeformat")
        for name in ("objects", "tenants", "uploads"):
            (root / name).mkdir(exist_ok=True)
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()  # protects records and blobs: one is stored or deleted at a time
        self._recover()

    def blob(self, sha256: str) -> Path:
        """The path of a blob, whether or not it exists."""
        return self.root / "objects" / sha256[:2] / sha256

    def find(self, tenant: str, kind: str, name: str) -> Record | None:
        """The record of what a tenant has stored under a name; None if there is none."""
        found = _load(self._record(tenant, kind, name))
        return None if found is None else Record(**found)

    def used(self, tenant: str) -> int:
        """The bytes that a tenant has stored.  Uploads are not counted."""
        if tenant not in self._used:
            folder = self.root / "tenants" / tenant
            records = (_load(path) for path in folder.glob("*/*") if not path.name.startswith("."))
            self._used[tenant] = sum(int(found["size"]) for found in records if found is not None)
        return self._used[tenant]

    def _record(self, tenant: str, kind: str, name: str) -> Path:
        return self.root / "tenants" / tenant / kind / name

    # Uploads.

    def create(self, upload: str, info: UploadInfo) -> None:
        """Create the folder of an upload.  If that fails nothing is left of it.  Raises OSError."""
        folder = self._upload(upload)
        folder.mkdir()
        try:
            self.disk.write_small_file(folder / "about", _dump(info))
        except OSError:
            self.drop(upload)
            raise

    def open(self, upload: str) -> int:
        """Open the staging file of an upload, or make it.  Returns its file descriptor."""
        return os.open(self.staging(upload), os.O_RDWR | os.O_CREAT, 0o600)

    def staging(self, upload: str) -> Path:
        """The path of the staging file of an upload: the file that its bytes are received into."""
        return self._upload(upload) / "data"

    def info(self, upload: str) -> UploadInfo | None:
        """The facts of an unfinished upload; None if there is no such upload."""
        found = _load(self._upload(upload) / "about")
        return None if found is None else UploadInfo(**found)

    def result(self, upload: str) -> UploadResult | None:
        """The result of a complete upload; None if it is not complete."""
        found = _load(self._upload(upload) / "result")
        return None if found is None else UploadResult(**found)

    def staged_bytes(self, upload: str) -> int:
        """The size of the staging file of an upload; 0 if it does not exist."""
        try:
            return self.staging(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def uploads(self) -> Iterator[str]:
        """The ids of all uploads, complete ones too."""
        yield from sorted(path.name for path in (self.root / "uploads").iterdir() if UPLOAD_ID.fullmatch(path.name))

    def age(self, upload: str) -> float:
        """The seconds since an upload was last written to."""
        folder = self._upload(upload)
        times = [path.stat().st_mtime for path in (folder, *folder.iterdir())]
        return max(0.0, time.time() - max(times))

    def drop(self, upload: str) -> None:
        """Delete an upload and its staging file."""
        self.disk.remove_folder(self._upload(upload))

    def _upload(self, upload: str) -> Path:
        return self.root / "uploads" / upload

    # Putting a blob in its place.

    def commit(self, upload: str, result: UploadResult) -> None:
        """Move a staging file, which is synced and verified, to its final place, and write the tenant's record.

        A blob that the tenant has under this name already is kept (T2-6, T4-13).  The tenant's bytes count in full, even if
        another tenant has stored the same blob (T10-3).  The result is written first, then the blob is renamed: after a crash
        in between the blob is complete or absent (T4-10).  Raises OSError.
        """
        self.disk.write_small_file(self._upload(upload) / "result", _dump(result))
        with self._lock:
            self._finish(upload, result)
            self.disk.remove(self._upload(upload) / "about")

    def _finish(self, upload: str, result: UploadResult) -> None:
        data, blob = self.staging(upload), self.blob(result.sha256)
        record = self._record(result.tenant, result.kind, result.name)
        if record.exists():
            self.disk.remove(data)
            return
        if blob.exists():
            self.disk.remove(data)
        else:
            blob.parent.mkdir(exist_ok=True)
            self.disk.rename(data, blob)
        record.parent.mkdir(parents=True, exist_ok=True)
        self.used(result.tenant)
        self.disk.write_small_file(record, _dump(Record(result.sha256, result.size)))
        self._used[result.tenant] += result.size

    def delete(self, tenant: str, kind: str, name: str) -> bool:
        """Delete a tenant's blob (T2-10); False if the tenant has none.  Drop the uploads that have it as their result first.

        The record is deleted durably before the blob: a crash in between leaves a blob without a record.  Raises OSError.
        """
        with self._lock:
            record = self.find(tenant, kind, name)
            if record is None:
                return False
            used = self.used(tenant)
            self.disk.remove_durably(self._record(tenant, kind, name))
            self._used[tenant] = used - record.size
            tenants = [path.name for path in (self.root / "tenants").iterdir()]
            others = (self.find(other, kind, name) for other in tenants)
            if not any(other is not None and other.sha256 == record.sha256 for other in others):
                self.disk.remove(self.blob(record.sha256))
            return True

    def _recover(self) -> None:
        for folder in list(self.root.glob("**/")):
            for left in folder.glob(f"{TEMP_PREFIX}*"):
                self.disk.remove(left)
        for upload in list(self.uploads()):
            result = self.result(upload)
            is_unfinished = self.info(upload) is not None
            if result is not None and is_unfinished:
                self._finish(upload, result)
                self.disk.remove(self._upload(upload) / "about")
            elif not is_unfinished and (result is None or self.find(result.tenant, result.kind, result.name) is None):
                self.drop(upload)  # it was being created or dropped, or its blob was deleted
        records = (_load(path) for path in self.root.glob("tenants/*/*/*"))
        known = {found["sha256"] for found in records if found is not None}
        for blob in list(self.root.glob("objects/*/*")):
            if blob.name not in known:
                self.disk.remove(blob)


def _dump(value: Record | UploadInfo | UploadResult) -> bytes:
    return json.dumps(asdict(value)).encode()


def _load(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    assert isinstance(found, dict)  # this program wrote it, whole
    return found
