"""The digest of a file that is to be sent, computed in a thread, beside the sending of a large file (T5-10)."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet  # the builtin one since Python 3.11
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from aeformat.errors import UsageError

_READ_BYTES: Final = 1 << 20


class Digest:
    """The SHA-256 of a file, computed in a thread.  Leaving the block gives it up."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be opened."""
        self._file, self._is_wanted = path.open("rb", buffering=0), True
        self.future: Future[bytes] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Digest:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_wanted = False
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        sha256, room = hashlib.sha256(), memoryview(bytearray(_READ_BYTES))
        try:
            while self._is_wanted and (n_bytes := self._file.readinto(room)):
                sha256.update(room[:n_bytes])
        except OSError as error:
            self.future.set_exception(error)
            return
        if self._is_wanted:
            self.future.set_result(sha256.digest())

    def require_same(self, file: BinaryIO) -> None:
        """Raises UsageError where this is another file by now, under the same name."""
        if not os.path.sameopenfile(self._file.fileno(), file.fileno()):
            raise UsageError(f"{self._file.name}: was replaced while it was being read; send it again")

    def known(self, seconds: float = 0.0) -> bytes | None:
        """The digest, if it comes in this time.  Raises OSError."""
        try:
            return self.future.result(seconds)
        except NotYet:
            return None
