"""Verifying a container as it passes (spec/transport.md, section 4).

Owns one pass over a container's bytes: framing, content, digest.  A chunk counts only when its checksum, its compression
and its values have been checked (T4-2).  What came after the last good structure can be forgotten, so that a resumed transfer
costs one chunk however long it is.  Memory is bounded by one chunk and one piece, for a package by its tensors.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

from aeformat import limits as container
from aeformat.errors import ChecksumMismatch, FormatError, LimitExceeded, NotAef
from aeformat.header import Header, LatentsHeader
from aeformat.model.file_io import PackageReader
from aeformat.parser import ChunkRead, Event, HeaderRead, Parser
from aeformat.payloads import RowReader
from aeformat.transport.limits import TransferLimits

# What a flipped bit can look like although all was well when it was sent: version before its checksum, padding, a
# piece of the stream that came twice.
_ALSO_DAMAGE: Final = frozenset({"C2-2", "C4-9", "C9-7"})


def is_damage(error: FormatError) -> bool:
    """Whether a broken rule can be the line's fault, so that sending the chunk again may help (T4-5)."""
    return isinstance(error, ChecksumMismatch | NotAef) or error.rule in _ALSO_DAMAGE


class Verifier:
    """Feed it a container from its first byte.  After damage it can `rewind`; after another error it is used up.

    `check` and `digest` together are `feed`.  They share nothing but a queue, so that one thread may digest what another has
    checked.
    """

    def __init__(self, limits: TransferLimits, *, checks_content: bool = True) -> None:
        self._limits, self._checks_content = limits, checks_content
        self._container_limits = container.Limits(chunk_bytes=limits.chunk_bytes, package_bytes=limits.model_bytes)
        self._parser = Parser(self._container_limits)
        self._sha256 = hashlib.sha256()
        self._undigested: deque[bytes] = deque()
        self._rows: RowReader | None = None
        self._package: PackageReader | None = None
        self._model_bytes = 0
        self.header: Header | None = None
        self.n_fed = 0

    @property
    def verified_at(self) -> int:
        """End of the last whole good structure."""
        return self._parser.verified_at

    @property
    def is_complete(self) -> bool:
        """Whether the container is whole and nothing follows it."""
        return self._parser.is_complete and self.n_fed == self.verified_at

    @property
    def is_aligned(self) -> bool:
        """Whether no byte was fed beyond the last good structure."""
        return self.n_fed == self.verified_at

    @property
    def sha256(self) -> bytes:
        """Of all bytes up to `verified_at`."""
        self.digest()
        return self._sha256.digest()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.  Raises FormatError at the first broken rule."""
        try:
            self.check(data)
        finally:
            self.digest()

    def check(self, data: bytes | memoryview) -> None:
        """`feed` without the digest: call `digest` once for each call of this, or memory is not bounded."""
        self.n_fed += len(data)
        events = self._parser.feed(data)
        for event in events:
            self._event(event)
        if events:
            self._parser.feed(b"")  # an error behind good structures is raised now, not with the next bytes

    def digest(self) -> None:
        """Take what was checked into the SHA-256.  It is of whole good structures only, so that it never has to go back."""
        while self._undigested:
            self._sha256.update(self._undigested.popleft())

    def rewind(self) -> None:
        """Forget what came after `verified_at`; the next bytes are the ones from there on."""
        self._parser.rewind()
        self.n_fed = self.verified_at

    def close(self) -> None:
        """Say that nothing follows.  Raises Truncated if something must."""
        self._parser.close()

    def _event(self, event: Event) -> None:
        self._undigested.append(event.front)
        if isinstance(event, HeaderRead):
            self.header = event.header
            if isinstance(event.header, LatentsHeader):
                self._rows = RowReader(event.header, limits=self._container_limits)
            else:
                self._package = PackageReader(event.header)
        elif isinstance(event, ChunkRead):
            self._undigested.append(event.stored)
            self._chunk(event)
        elif self._checks_content:
            if self._rows is not None:
                self._rows.trailer(event)
            elif self._package is not None:
                self._package.trailer(event)

    def _chunk(self, chunk: ChunkRead) -> None:
        if self._package is not None:
            self._model_bytes += chunk.header.raw_bytes
            if self._model_bytes > self._limits.model_bytes:
                what = f"a package of more than {self._limits.model_bytes} bytes"
                raise LimitExceeded("M2-6", chunk.at + 20, what)
        if not self._checks_content:
            return
        if self._rows is not None:
            self._rows.check(chunk)
        elif self._package is not None:
            self._package.chunk(chunk)
