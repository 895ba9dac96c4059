"""What a server's folder sets aside: broken small files, damaged blobs (spec/transport.md, T4-18).

    quarantine/<time>-<number>/<its path in the folder>

Nothing is deleted here.  A check that repairs takes back what it can prove (folder_check.py), a clean-up removes the rest
(folder_gc.py).
"""

from __future__ import annotations

import logging
import secrets
import time
from pathlib import Path

from aeformat.net.server.disk import Disk

log = logging.getLogger("aeformat.server")


class Quarantine:
    """The quarantine of one folder.  n_files: how many files were set aside since this was made."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root, self._disk = root, disk
        self.folder = root / "quarantine"
        self.n_files = 0

    def put(self, path: Path, why: str) -> Path:
        """Move a file or a folder here, durably, and log it.  Returns where it is now.  Raises OSError."""
        inside = path.relative_to(self._root)
        target = self.folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}" / inside
        self._disk.make_folder(target.parent)
        self._disk.rename(path, target)
        self.n_files += 1
        log.warning("set aside %s: %s; it is now %s", inside, why, target.relative_to(self._root))
        return target

    def forget(self, record: Path) -> None:
        """Delete what is set aside of a record, because the tenant has now stored or deleted what it names."""
        for path in list(self.folder.glob(f"*/{record.relative_to(self._root)}")):
            self._disk.remove(path)

    def records(self) -> list[Path]:
        """The records that are set aside."""
        return sorted(self.folder.glob("*/tenants/*/*/*"))
