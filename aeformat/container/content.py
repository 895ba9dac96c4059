"""The content id: what a latents file holds, however it is stored (spec/container.md, section 9).

Owns what goes into the digest, in which order.  The caller says what rows come.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final

from aeformat.container.encodings import content_bytes
from aeformat.container.header import LatentsHeader
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import Run, Sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIECE: Final = 1 << 20  # values that go in at a time: the bytes of values of another size or order are a copy


class ContentId:
    """The content id of the rows that were added so far."""

    def __init__(self, header: LatentsHeader) -> None:
        self._header = header
        self._made = hashlib.sha256(header.content_head)

    def add(self, values: NDArray[Any] | RaggedRows) -> None:
        """The next rows."""
        if isinstance(values, RaggedRows):
            start = 0
            for run in values.sizes.runs():
                stop = start + run.n_rows * run.n_values
                self._add_run(run, values.flat[start:stop])
                start = stop
        else:
            self._add_values(values.reshape(-1))

    def digest(self) -> bytes:
        """32 bytes."""
        return self._made.digest()

    def _add_values(self, flat: NDArray[Any]) -> None:
        for start in range(0, flat.size, _PIECE):
            self._made.update(content_bytes(flat[start : start + _PIECE], self._header))

    def _add_run(self, run: Run, flat: NDArray[Any]) -> None:
        """Rows of the same sizes, which stand in front of the values of each."""
        sizes = _packed(run.sizes)
        if run.n_values > _PIECE or run.n_rows == 1:
            for start in range(0, flat.size, run.n_values):
                self._made.update(sizes)
                self._add_values(flat[start : start + run.n_values])
            return
        step = _PIECE // run.n_values * run.n_values
        for start in range(0, flat.size, step):
            self._made.update(self._rows(sizes, flat[start : start + step], run.n_values))

    def _rows(self, sizes: bytes, flat: NDArray[Any], n_values: int) -> bytes:
        """Many rows at once: their sizes and values side by side."""
        import numpy as np

        n_rows = flat.size // n_values
        values = np.frombuffer(content_bytes(flat, self._header), np.uint8).reshape(n_rows, -1)
        front = np.tile(np.frombuffer(sizes, np.uint8), (n_rows, 1))
        return np.concatenate([front, values], axis=1).tobytes()


def _packed(sizes: Sizes) -> bytes:
    return struct.pack(f"<{len(sizes)}I", *sizes)
