"""The digest of a file that is to be sent.  A thread computes it, for a large file while the file is being sent (T5-10)."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotReady  # the builtin one since Python 3.11
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from aeformat.errors import UsageError

_READ_BYTES: Final = 1 << 20


class FileDigest:
    """Computes the SHA-256 of a file in a thread, in a `with` block.  Leaving the block stops the thread."""

    def __init__(self, path: Path) -> None:
        """Open the file.  Raises OSError."""
        self._file, self._is_stopped = path.open("rb", buffering=0), False
        self.future: Future[bytes] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FileDigest:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopped = True
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        sha256, buffer = hashlib.sha256(), memoryview(bytearray(_READ_BYTES))
        try:
            while not self._is_stopped and (n_bytes := self._file.readinto(buffer)):
                sha256.update(buffer[:n_bytes])
        except OSError as error:
            self.future.set_exception(error)
            return
        if not self._is_stopped:
            self.future.set_result(sha256.digest())

    def require_same(self, file: BinaryIO) -> None:
        """Check that `file` is the file whose digest is computed.  Raises UsageError if another one has replaced it."""
        if not os.path.sameopenfile(self._file.fileno(), file.fileno()):
            raise UsageError(f"{self._file.name}: was replaced while it was being read; send it again")


def digest_after(digest: Future[bytes], seconds: float) -> bytes | None:
    """The digest, None if it is not known after this time.  Raises OSError if the file cannot be read."""
    try:
        return digest.result(seconds)
    except NotReady:
        return None
