"""Rows of their own size, as a mutator sees them: headers may be anything, and so may payloads.

Owns the entries of a SIZE and what follows from them.  Uses nothing of the package.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple


class Free(NamedTuple):
    """What a header leaves free."""

    dims: list[int]
    has_image: bool

    @classmethod
    def of(cls, header: dict[str, Any]) -> Free:
        """Of any header; nothing is free where dims and image make no sense."""
        dims, image = (value if isinstance(value, list) else [] for value in map(header.get, ("dims", "image")))
        if not all(type(size) is int for size in dims):
            dims = []
        return cls(dims, image[:1] == [0] or image[1:2] == [0])

    def __bool__(self) -> bool:
        return 0 in self.dims or self.has_image

    def entries(self, payload: bytes) -> list[tuple[int, ...]]:
        """Of a SIZE: how many rows, and their free sizes; what is left over is left out."""
        count = 1 + self.dims.count(0) + 2 * self.has_image
        whole = payload[: len(payload) // (4 * count) * 4 * count]
        return list(struct.iter_unpack(f"<{count}I", whole))

    def row_values(self, entry: tuple[int, ...]) -> int:
        """Values of each row of an entry."""
        return math.prod(size for size in self.dims if size) * math.prod(entry[1 : 1 + self.dims.count(0)])

    def runs(self, entries: list[tuple[int, ...]]) -> int:
        """Digests of receipts of these rows, which are few."""
        n_runs = rows = pixels = 0
        for n, *sizes in entries:
            of_row = sizes[-2] * sizes[-1] if self.has_image else 0
            for _ in range(n):
                if rows % 64 == 0 or pixels + of_row > 1_048_576:
                    n_runs, rows, pixels = n_runs + 1, 0, 0
                rows, pixels = rows + 1, pixels + of_row
        return n_runs
