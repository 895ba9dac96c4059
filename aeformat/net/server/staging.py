"""The uploads of a server, in a folder of this machine.

    uploads/<id>/{about,data,result}      an upload; `result` is written before the blob is put in its place, `about` is
    removed after that

Owns these names.  A `result` beside an `about` means that a commit was interrupted.  A broken small file makes its upload
unusable, and nothing else (T4-18): it is set aside.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from aeformat.net.server.disk import Disk
from aeformat.net.server.quarantine import Quarantine
from aeformat.net.server.records import (
    UPLOAD_ID,
    BrokenFile,
    UploadInfo,
    UploadResult,
    dump,
    load,
    parse_info,
    parse_result,
)

_T = TypeVar("_T")


class Staging:
    """The uploads of one folder."""

    def __init__(self, root: Path, disk: Disk, quarantine: Quarantine) -> None:
        self.root, self.disk, self.quarantine = root, disk, quarantine

    def create(self, upload: str, info: UploadInfo) -> None:
        """Create the folder of an upload.  If that fails nothing is left of it.  Raises OSError."""
        folder = self.folder(upload)
        self.disk.make_folder(folder)
        try:
            self.disk.write_small_file(folder / "about", dump(info))
        except OSError:
            self.drop(upload)
            raise

    def tell(self, upload: str) -> None:
        """Write down that a client is told the id of an unfinished upload.  Raises OSError."""
        info = self.info(upload)
        if info is not None:  # None: somebody has removed it under the running server
            self.disk.write_small_file(self.folder(upload) / "about", dump(replace(info, is_told=True)))

    def free_bytes(self) -> int:
        """The bytes that the disk of the uploads has left."""
        return self.disk.free_bytes(self.root)

    def open(self, upload: str) -> int:
        """Open the staging file of an upload, or make it.  Returns its file descriptor."""
        return os.open(self.staging(upload), os.O_RDWR | os.O_CREAT, 0o600)

    def staging(self, upload: str) -> Path:
        """The path of the staging file of an upload: the file that its bytes are received into."""
        return self.folder(upload) / "data"

    def is_there(self, upload: str) -> bool:
        """Whether the folder of an upload is there; somebody may have removed it."""
        return self.folder(upload).is_dir()

    def info(self, upload: str) -> UploadInfo | None:
        """The facts of an unfinished upload; None if there is no such upload."""
        return self._load(self.folder(upload) / "about", parse_info)

    def result(self, upload: str) -> UploadResult | None:
        """The result of a complete upload; None if it is not complete."""
        return self._load(self.folder(upload) / "result", parse_result)

    def _load(self, path: Path, parse: Callable[[bytes], _T]) -> _T | None:
        """Read a small file.  A broken one is set aside, and counts as if it were not there."""
        try:
            return load(path, parse)
        except BrokenFile as error:
            self.quarantine.put(path, str(error))
            return None

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
        folder = self.folder(upload)
        times = [path.stat().st_mtime for path in (folder, *folder.iterdir())]
        return max(0.0, time.time() - max(times))

    def drop(self, upload: str) -> None:
        """Delete an upload and its staging file."""
        self.disk.remove_folder(self.folder(upload))

    def folder(self, upload: str) -> Path:
        """The folder of an upload, whether or not it exists."""
        return self.root / "uploads" / upload
