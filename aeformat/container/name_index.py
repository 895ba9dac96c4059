"""From the name of a row to its number.

Owns a table of 16 bytes a row, whatever the names are.  Knows nothing of files.  NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

_CHUNK: Final = 1 << 16  # names that are hashed before they become an array

Named = Iterable[tuple[int, tuple[str, ...]]]  # (first row, the names of rows from there on)


class NameIndex:
    """The numbers of rows by their names.  Rows may lack names."""

    def __init__(self, named: Named) -> None:
        import numpy as np

        hashes, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for first, names in named:
            for start in range(0, len(names), _CHUNK):
                part = names[start : start + _CHUNK]
                hashes.append(np.fromiter(map(hash, part), np.int64, len(part)))
                rows.append(np.arange(first + start, first + start + len(part), dtype=np.int64))
        all_hashes = np.concatenate(hashes)
        order = np.argsort(all_hashes, kind="stable")
        self._hashes, self._rows = all_hashes[order], np.concatenate(rows)[order]

    def row_of(self, name: str, name_of: Callable[[int], str | None]) -> int:
        """The first row of that name.  name_of: the name of a row, which is read again to be sure.  Raises KeyError."""
        import numpy as np

        wanted = np.int64(hash(name))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            row = int(self._rows[at])
            if name_of(row) == name:
                return row
            at += 1
        raise KeyError(f"no row is called {name!r}")
