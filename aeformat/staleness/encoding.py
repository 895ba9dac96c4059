"""Latents from a caller's function, batch by batch.

Owns what such a function is given, and what it may give back.  Runs no network itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import ImageError, UsageError
from aeformat.images.files import load_pixels
from aeformat.images.fit import require_pillow
from aeformat.pipeline.progress import Progress
from aeformat.pipeline.sources import Source, read_source
from aeformat.staleness.folder import Image


@dataclass(frozen=True)
class Encoded:
    """What an encode function may return in place of plain latents.

    latents: one for each image: an array (n, *dims), or a list of n arrays.
    images: (height, width) of the image of each, if and only if the file leaves these free.
    fields: values by name, one for each image: an array of numbers, a list of str or of bytes.
    """

    latents: NDArray[Any] | Sequence[NDArray[Any]]
    images: Sequence[tuple[int, int]] | None = None
    fields: Mapping[str, Any] | None = None


Encode = Callable[[list[Any]], "Encoded | NDArray[Any] | Sequence[NDArray[Any]]"]


class Made(NamedTuple):
    """One row that was made.  source: of the file as it is now.  fields: what the function gave."""

    latents: NDArray[Any]
    size: tuple[int, int] | None
    fields: dict[str, Any]
    image: Image
    source: Source


class Encoder:
    """Rows for images in a fixed order, made in batches as they are taken.

    encode: is given a list of paths, or with `arrays` of images (h, w, c) uint8.  batch_rows: at most so many at a time.
    """

    def __init__(
        self, encode: Encode, images: Iterable[Image], *, batch_rows: int, arrays: bool, progress: Progress
    ) -> None:
        if not callable(encode):
            raise UsageError(f"encode is a function that takes a list of images, and this is a {type(encode).__name__}")
        if arrays:
            require_pillow("images as arrays")
        self._encode, self._images, self._arrays, self._progress = encode, iter(images), arrays, progress
        self._batch_rows = batch_rows
        self._ready: deque[Made] = deque()
        self.n_rows = 0  # that were made

    def take(self, n_rows: int) -> Iterator[list[Made]]:
        """The next rows, so many together, in batches."""
        while n_rows:
            if not self._ready:
                self._ready.extend(self._batch())
            batch = [self._ready.popleft() for _ in range(min(n_rows, len(self._ready)))]
            n_rows -= len(batch)
            yield batch

    def _batch(self) -> list[Made]:
        batch = list(islice(self._images, self._batch_rows))
        assert batch  # as many rows are taken as there are images
        made = self._checked(self._encode([self._given(image) for image in batch]), len(batch))
        sources = [_unchanged(image) for image in batch]
        self.n_rows += len(batch)
        self._progress.update(len(batch))
        fields = made.fields or {}
        return [
            Made(
                np.asarray(made.latents[row]),
                None if made.images is None else made.images[row],
                {name: values[row] for name, values in fields.items()},
                image,
                source,
            )
            for row, (image, source) in enumerate(zip(batch, sources, strict=True))
        ]

    def _given(self, image: Image) -> Any:
        return load_pixels(image.path) if self._arrays else image.path

    @staticmethod
    def _checked(returned: Any, n_rows: int) -> Encoded:
        made = returned if isinstance(returned, Encoded) else Encoded(returned)
        counts = {"latents": made.latents, "images": made.images} | dict(made.fields or {})
        for name, values in counts.items():
            if name == "images" and values is None:
                continue
            if not hasattr(values, "__len__") or len(values) != n_rows or isinstance(values, (str, bytes)):
                found = len(values) if hasattr(values, "__len__") else type(values).__name__
                raise UsageError(f"encode was given {n_rows} images, and returned {found} as {name}; one for each")
        return made


def _unchanged(image: Image) -> Source:
    """The file of an image that was encoded, if it is still what was compared.  Raises ImageError."""
    source = read_source(Path(image.path))
    if source.digest != image.source.digest:
        raise ImageError(f"{image.path} was changed while it was encoded; nothing was written, start again")
    return source
