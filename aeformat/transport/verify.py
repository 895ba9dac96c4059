"""Verifying a container as it passes (spec/transport.md, section 4).

Owns one pass over a container's bytes: framing, content, digest.  A chunk counts only when its checksum, its compression
and its values have been checked (T4-2); the content id of latents is for whoever reads the rows.  What came after the last
good structure can be forgotten, so that a resumed transfer costs one chunk however long it is.  Memory is bounded by one
chunk and one piece, for a package by its tensors.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from aeformat.container import limits as container
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.parser import ChunkRead, Event, HeaderRead, Parser
from aeformat.container.payloads import RowReader
from aeformat.errors import ChecksumMismatch, FormatError, LimitExceeded, NotAef
from aeformat.transport.crc import crc32
from aeformat.transport.transfer_limits import TransferLimits

if TYPE_CHECKING:
    from aeformat.model.file_io import PackageReader

# What a flipped bit can look like although all was well when it was sent: version before its checksum, padding, a
# piece of the stream that came twice.
_ALSO_DAMAGE: Final = frozenset({"C2-2", "C4-9", "C9-7"})


class Verifier:
    """Feed it a container from its first byte.  After damage it can `rewind`; after another error it is used up.

    checks_content: False where the framing of chunks is enough (T5-6).
    """

    def __init__(self, limits: TransferLimits, *, checks_content: bool = True) -> None:
        self._limits, self._checks_content = limits, checks_content
        self._container_limits = container.Limits(
            chunk_bytes=limits.chunk_bytes, package_bytes=limits.model_bytes, rans_steps=limits.rans_steps
        )
        self._parser = Parser(self._container_limits, crc32=crc32)
        self._sha256 = hashlib.sha256()
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
        return self._sha256.digest()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.  Raises FormatError at the first broken rule."""
        self.n_fed += len(data)
        events = self._parser.feed(data)
        for event in events:
            self._event(event)
        if events:
            self._parser.feed(b"")  # an error behind good structures is raised now, not with the next bytes

    def is_damage(self, error: FormatError) -> bool:
        """Whether what `feed` raised can be the line's fault, so that sending the chunk again may help (T4-5).

        Never behind `verified_at`: the checksums held there, and what a payload says is the sender's word.
        """
        is_kind = isinstance(error, ChecksumMismatch | NotAef) or error.rule in _ALSO_DAMAGE
        return is_kind and error.at >= self.verified_at

    def rewind(self) -> None:
        """Forget what came after `verified_at`; the next bytes are the ones from there on."""
        self._parser.rewind()
        self.n_fed = self.verified_at

    def close(self) -> None:
        """Say that nothing follows.  Raises Truncated if something must."""
        self._parser.close()

    def _event(self, event: Event) -> None:
        self._sha256.update(event.front)  # whole good structures only, so that it never has to go back
        if isinstance(event, HeaderRead):
            self.header = event.header
            if isinstance(event.header, LatentsHeader):
                self._rows = RowReader(event.header, proves_content=False, limits=self._container_limits)
            else:
                from aeformat.model.file_io import PackageReader  # brings NumPy, which latents do not take

                self._package = PackageReader(event.header)
        elif isinstance(event, ChunkRead):
            self._sha256.update(event.stored)
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
