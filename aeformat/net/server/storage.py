"""The server's folder: blobs by digest, what each tenant has, and what is being uploaded.

    objects/<2 digits>/<sha256>           blobs; never change
    tenants/<tenant>/containers/<sha256>  a record: this tenant has stored that blob
    tenants/<tenant>/models/<model id>    a record that names the blob of a package
    uploads/<id>/{about,data,result}      an upload; `result` is written before the blob is moved to its place, `about` is
                                          removed after

Owns names and the order of a commit, and of a deletion.  `result` beside `about` is an intention: whatever a crash interrupts
there, the next start finishes.  A blob that no record names is rubbish, which the next start removes.  Knows nothing of HTTP.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
    """A blob that a tenant has stored."""

    sha256: str  # hexadecimal
    size: int


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an upload before its first byte."""

    tenant: str
    length: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """Where an upload's blob goes.  kind: CONTAINERS or MODELS.  name: its digest, or its model id."""

    tenant: str
    kind: str
    name: str
    sha256: str
    size: int


class Storage:
    """One folder.  Not safe for two servers at once."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        """Make the folder if it is not there, and finish what a crash interrupted.  Raises UsageError."""
        self.root, self.disk = root, disk or Disk()
        root.mkdir(parents=True, exist_ok=True)
        layout = root / "layout"
        if not layout.exists():
            if any(not path.name.startswith(TEMP_PREFIX) for path in root.iterdir()):
                raise UsageError(f"{root}: is not empty, and not a folder of aeformat serve")
            self.disk.record(layout, _LAYOUT.encode())
        elif layout.read_text(encoding="utf-8") != _LAYOUT:
            raise UsageError(f"{root}: was made by another version of aeformat")
        for name in ("objects", "tenants", "uploads"):
            (root / name).mkdir(exist_ok=True)
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()  # of records and blobs: one is stored or deleted at a time
        self._recover()

    def blob(self, sha256: str) -> Path:
        """Where a blob lies, or would lie."""
        return self.root / "objects" / sha256[:2] / sha256

    def find(self, tenant: str, kind: str, name: str) -> Record | None:
        """What a tenant has stored under a name."""
        found = _load(self._record(tenant, kind, name))
        return None if found is None else Record(**found)

    def used(self, tenant: str) -> int:
        """Bytes a tenant has stored, uploads not counted."""
        if tenant not in self._used:
            folder = self.root / "tenants" / tenant
            records = (_load(path) for path in folder.glob("*/*") if not path.name.startswith("."))
            self._used[tenant] = sum(int(found["size"]) for found in records if found is not None)
        return self._used[tenant]

    def _record(self, tenant: str, kind: str, name: str) -> Path:
        return self.root / "tenants" / tenant / kind / name

    # Uploads.

    def create(self, upload: str, about: About) -> None:
        """Begin an upload, or leave nothing of it.  Raises OSError."""
        folder = self._upload(upload)
        folder.mkdir()
        try:
            self.disk.record(folder / "about", _dump(about))
        except OSError:
            self.drop(upload)
            raise

    def open(self, upload: str) -> int:
        """A handle of its staging file."""
        return os.open(self.staging(upload), os.O_RDWR | os.O_CREAT, 0o600)

    def staging(self, upload: str) -> Path:
        """Where its staging file lies."""
        return self._upload(upload) / "data"

    def about(self, upload: str) -> About | None:
        """None where there is no such upload."""
        found = _load(self._upload(upload) / "about")
        return None if found is None else About(**found)

    def result(self, upload: str) -> Result | None:
        """None where the upload is not complete."""
        found = _load(self._upload(upload) / "result")
        return None if found is None else Result(**found)

    def staged_bytes(self, upload: str) -> int:
        """Length of its staging file."""
        try:
            return self.staging(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def uploads(self) -> Iterator[str]:
        """All that are there, complete ones too."""
        yield from sorted(path.name for path in (self.root / "uploads").iterdir() if UPLOAD_ID.fullmatch(path.name))

    def age(self, upload: str) -> float:
        """Seconds since it was last written to."""
        folder = self._upload(upload)
        times = [path.stat().st_mtime for path in (folder, *folder.iterdir())]
        return max(0.0, time.time() - max(times))

    def drop(self, upload: str) -> None:
        """Forget an upload, and what it staged."""
        self.disk.remove_folder(self._upload(upload))

    def _upload(self, upload: str) -> Path:
        return self.root / "uploads" / upload

    # Putting a blob in its place.

    def commit(self, upload: str, result: Result) -> None:
        """Move a staging file, synced and verified, to its place, and note that the tenant has it.

        What the tenant had under this name already is kept (T2-6, T4-13); what it stores counts in full, also where another
        tenant's blob is there (T10-3).  The blob is moved by rename, the result before it: a crash in between leaves it
        absent or whole (T4-10).  Raises OSError.
        """
        self.disk.record(self._upload(upload) / "result", _dump(result))
        with self._lock:
            self._finish(upload, result)
            self.disk.remove(self._upload(upload) / "about")

    def _finish(self, upload: str, result: Result) -> None:
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
        self.disk.record(record, _dump(Record(result.sha256, result.size)))
        self._used[result.tenant] += result.size

    def delete(self, tenant: str, kind: str, name: str) -> bool:
        """Take a blob from a tenant (T2-10); False where it has none.  No upload may have it as its result any more.

        The record goes first, for good: a crash after that leaves a blob without a record.  Raises OSError.
        """
        with self._lock:
            record = self.find(tenant, kind, name)
            if record is None:
                return False
            used = self.used(tenant)
            self.disk.forget(self._record(tenant, kind, name))
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
            is_intended = self.about(upload) is not None
            if result is not None and is_intended:
                self._finish(upload, result)
                self.disk.remove(self._upload(upload) / "about")
            elif not is_intended and (result is None or self.find(result.tenant, result.kind, result.name) is None):
                self.drop(upload)  # it was being created or dropped, or its blob was deleted
        records = (_load(path) for path in self.root.glob("tenants/*/*/*"))
        known = {found["sha256"] for found in records if found is not None}
        for blob in list(self.root.glob("objects/*/*")):
            if blob.name not in known:
                self.disk.remove(blob)


def _dump(value: Record | About | Result) -> bytes:
    return json.dumps(asdict(value)).encode()


def _load(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    assert isinstance(found, dict)  # this program wrote it, whole
    return found
