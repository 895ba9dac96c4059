"""Packing images of their own sizes: rows are gathered to what a chunk holds, and written together.

Owns which rows stand in one chunk, and the digests of receipts over runs of them (spec/container.md, section 7): both depend on
the images alone, not on the blocks that they come in.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aeformat.container import limits
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.container.header import LatentsHeader
    from aeformat.container.writer import LatentsWriter


class RunDigests:
    """The digests of receipts, run by run, of images that come one after the other."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._begin()

    def _begin(self) -> None:
        self._hash, self._n_rows, self._n_pixels = sha256(), 0, 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """image: (h, w, c), decoded."""
        n_pixels = image.shape[0] * image.shape[1]
        is_full = self._n_rows == limits.RECEIPT_ROWS or self._n_pixels + n_pixels > limits.RECEIPT_PIXELS
        if self._n_rows and is_full:
            self._end()
        self._hash.update(image.data)
        self._n_rows, self._n_pixels = self._n_rows + 1, self._n_pixels + n_pixels

    def _end(self) -> None:
        self._done.append(self._hash.digest())
        self._begin()

    def take(self) -> bytes:
        """The digests of all images so far; the next image begins a run."""
        if self._n_rows:
            self._end()
        digests, self._done = b"".join(self._done), []
        return digests


class SizedRows:
    """Gathers rows of their own size for a writer."""

    def __init__(self, writer: LatentsWriter, header: LatentsHeader) -> None:
        self._writer, self._header = writer, header
        self._rows: list[NDArray[Any]] = []
        self._sizes: list[tuple[int, int]] = []
        self._names: list[RowNames] = []
        self._digests = RunDigests()
        self._n_bytes = 0

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._writer.n_rows + self._writer.n_waiting + len(self._rows)

    def add(
        self,
        latents: NDArray[Any],
        size: tuple[int, int],
        names: RowNames | None,
        decoded: NDArray[np.uint8] | None,
    ) -> None:
        """Rows (n, *dims) of images of one size.  decoded: what the decoder makes of them, for receipts."""
        row_bytes = latents[0].size * self._header.encoding_spec.n_bytes
        for number, row in enumerate(latents):
            is_full = self._n_bytes + row_bytes > self._writer.chunk_bytes or len(self._rows) == self._writer.chunk_rows
            if self._rows and is_full:
                self.flush()
            self._rows.append(row)
            self._sizes.append(size)
            self._n_bytes += row_bytes
            if names is not None:
                self._names.append(names.slice(number, number + 1))
            if decoded is not None:
                self._digests.add(decoded[number])

    def flush(self) -> None:
        """Hand what was gathered to the writer."""
        if not self._rows:
            return
        rows = RaggedRows.of(self._header.form, self._rows, self._sizes)
        names = RowNames.join(self._names) if self._names else None
        self._writer.write(rows, names, self._digests.take() or None)
        self._rows, self._sizes, self._names, self._n_bytes = [], [], [], 0
