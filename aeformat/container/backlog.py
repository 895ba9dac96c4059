"""Chunks of rows that wait to be written: made by several threads, handed out in order.

Owns what can be done for many chunks at once: their payloads as they are stored, and the content id beside them.
Knows nothing of what stands around a payload in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container import threads
from aeformat.container.columns import RowFields
from aeformat.container.content import ContentId
from aeformat.container.encodings import BadValue, encode
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_BYTES: Final = 1 << 22  # of rows, raw

Compress = Callable[[bytes | memoryview], bytes | memoryview]


class Made(NamedTuple):
    """The payload of rows.  stored: what the codec makes of it; None with codec rans, which goes chunk by chunk."""

    raw: bytes | memoryview
    stored: bytes | memoryview | None


@dataclass(slots=True)
class WaitingChunk:
    """A chunk that is to be written.  made: its payload, or why there is none; None as long as nobody has made it."""

    values: Any  # an array, or RaggedRows
    names: RowNames | None
    receipts: bytes
    fields: RowFields | None
    made: Made | BadValue | None = None


class Backlog:
    """The chunks that wait.  content: of the rows.  compress: raw payload -> stored one; None with codec rans."""

    def __init__(self, header: LatentsHeader, content: ContentId, compress: Compress | None) -> None:
        self._header, self._content, self._compress = header, content, compress
        self._chunks: list[WaitingChunk] = []
        self._n_bytes = 0

    def add(self, chunk: WaitingChunk, n_bytes: int) -> None:
        """One more chunk.  n_bytes: its payload, raw."""
        self._chunks.append(chunk)
        self._n_bytes += n_bytes

    @property
    def is_full(self) -> bool:
        """Whether it is time to write them."""
        return self._n_bytes >= _MOST_BYTES

    def take(self) -> list[WaitingChunk]:
        """All chunks that wait, made.  Their rows are then part of the content."""
        chunks, self._chunks, self._n_bytes = self._chunks, [], 0

        def make(number: int) -> None:
            if number:
                chunks[number - 1].made = self._made(chunks[number - 1].values)
                return
            for chunk in chunks:
                self._content.add(chunk.values)

        threads.each(make, len(chunks) + 1 if chunks else 0)
        return chunks

    def _made(self, values: NDArray[Any] | RaggedRows) -> Made | BadValue:
        try:
            raw = encode(values, self._header)
        except BadValue as error:
            return error
        return Made(raw, None if self._compress is None else self._compress(raw))
