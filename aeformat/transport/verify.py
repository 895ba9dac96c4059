"""Verifying a container while its bytes arrive (spec/transport.md, section 4).

Owns one pass over a container's bytes: framing, content, digest.  A chunk is verified when its checksum, its compression
and its values have been checked (T4-2).  The content id of latents is left to the reader of the rows.  The verifier can go
back to the end of the last good structure, so that resuming a transfer of any length costs one chunk.  Memory is bounded by
one chunk and one piece.  Of a package each tensor is checked and dropped: the rules that take all of them (section 4 and M6-1
of model.md) are for who reads the whole package (T7-5).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from aeformat.container import limits as container
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.parser import ChunkRead, Event, HeaderRead, Parser
from aeformat.container.payloads import RowReader
from aeformat.errors import ChecksumMismatch, FormatError, LimitExceeded, NotAef
from aeformat.transport.transfer_limits import TransferLimits

if TYPE_CHECKING:
    from aeformat.model.file_io import PackageReader

# Further rules that bytes damaged on their way can break: a version before its checksum, padding, a piece of the stream
# that arrived twice.
_ALSO_DAMAGE: Final = frozenset({"C2-2", "C4-9", "C9-7"})


class Verifier:
    """Verifies one container, fed from its first byte.

    After damage it can be used again from `rewind` on; after another error it cannot.  checks_content: False where checking
    the framing of chunks is enough (T5-6).
    """

    def __init__(self, limits: TransferLimits, *, checks_content: bool = True) -> None:
        self._limits, self._checks_content = limits, checks_content
        self._container_limits = container.Limits(
            chunk_bytes=limits.chunk_bytes, package_bytes=limits.model_bytes, rans_steps=limits.rans_steps
        )
        self._parser = Parser(self._container_limits)
        self._sha256 = hashlib.sha256()
        self._rows: RowReader | None = None
        self._package: PackageReader | None = None
        self._model_bytes = 0
        self.header: Header | None = None
        self.n_fed = 0

    @property
    def verified_at(self) -> int:
        """The offset where the last complete verified structure ends: header, chunk, index or trailer."""
        return self._parser.verified_at

    @property
    def is_complete(self) -> bool:
        """Whether the container is complete and no byte was fed beyond its end."""
        return self._parser.is_complete and self.n_fed == self.verified_at

    @property
    def is_aligned(self) -> bool:
        """Whether no byte was fed beyond `verified_at`."""
        return self.n_fed == self.verified_at

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of all bytes before `verified_at`."""
        return self._sha256.digest()

    @property
    def model_bytes(self) -> int | None:
        """The raw bytes of a model package's chunks so far; None for latents."""
        return None if self._package is None else self._model_bytes

    @property
    def held_bytes(self) -> int:
        """The memory that is held between two pieces: bytes of a chunk that is not whole, an index, a prior (T7-5)."""
        return self._parser.held_bytes + (0 if self._rows is None else self._rows.held_bytes)

    def feed(self, data: bytes | memoryview) -> None:
        """Verify the next bytes.  Raises FormatError at the first broken rule."""
        self.n_fed += len(data)
        events = self._parser.feed(data)
        for event in events:
            self._event(event)
        if events:
            self._parser.feed(b"")  # an error behind good structures is raised now, not with the next bytes

    def is_damage(self, error: FormatError) -> bool:
        """Whether an error that `feed` raised may come from the transfer, so that sending the chunk again may help (T4-5).

        An error before `verified_at` never does: the checksums there are right, so the sender's file is wrong.
        """
        is_kind = isinstance(error, ChecksumMismatch | NotAef) or error.rule in _ALSO_DAMAGE
        return is_kind and error.at >= self.verified_at

    def rewind(self) -> None:
        """Go back to `verified_at`: the next bytes to be fed are the ones from there on."""
        self._parser.rewind()
        self.n_fed = self.verified_at

    def close(self) -> None:
        """Take the end of the bytes.  Raises Truncated if the container is not complete."""
        self._parser.close()

    def _event(self, event: Event) -> None:
        self._sha256.update(event.front)  # whole good structures only, so that it never has to go back
        if isinstance(event, HeaderRead):
            self.header = event.header
            if isinstance(event.header, LatentsHeader):
                self._rows = RowReader(event.header, proves_content=False, limits=self._container_limits)
            else:
                from aeformat.model.file_io import PackageReader  # brings NumPy, which latents do not take

                self._package = PackageReader(event.header, keeps_tensors=False)
        elif isinstance(event, ChunkRead):
            self._sha256.update(event.stored)
            self._chunk(event)
        elif self._checks_content:
            if self._rows is not None:
                self._rows.trailer(event)
            elif self._package is not None:
                self._package.end(event)

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
            self._rows.decoder = None  # its prior is read; the rest is for who decodes images
        elif self._package is not None:
            self._package.chunk(chunk)
