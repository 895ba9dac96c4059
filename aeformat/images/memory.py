"""Images that are already in memory, as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeformat.images.fit import ImageBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class ArraySource:
    """images: (n, h, w, c) uint8.  label: what a person calls them."""

    def __init__(self, images: NDArray[np.uint8], label: str = "the images") -> None:
        self._images = images
        self.n_rows: int | None = len(images)
        self.label = label
        self.files: Sequence[str | Path] = ()
        self.left_out: Sequence[str] = ()

    def blocks(self, n_rows: int) -> Iterator[ImageBlock]:
        """Yield blocks of exactly n_rows images; the last may have fewer."""
        for start in range(0, len(self._images), n_rows):
            yield ImageBlock(self._images[start : start + n_rows], None)
