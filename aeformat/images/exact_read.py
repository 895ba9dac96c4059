"""Images out of a forward stream of bytes: a file, a gzip or zip member, standard input.

Owns reading exactly as many bytes as a header states, and the error where the stream ends early, goes on, or is damaged.
Allocates no memory for bytes that have not arrived.
"""

from __future__ import annotations

import contextlib
import lzma
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from aeformat.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from aeformat.images.fit import Layout

_PIECE_BYTES: Final = 1 << 20  # read(n) may allocate n bytes before they arrive: never ask for more than this at once
_BLOCK_BYTES: Final = 64 << 20  # of images that are larger than the model's, so that resizing stays small in memory
_DAMAGE: Final = (
    EOFError,
    OSError,  # gzip.BadGzipFile is one
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,  # zipfile: an unknown compression
    UnicodeError,  # zipfile: a damaged name
    struct.error,
)


class Readable(Protocol):
    """A stream that can be read forward."""

    def read(self, n_bytes: int, /) -> bytes: ...


@contextlib.contextmanager
def damage_as_image_error(label: str) -> Iterator[None]:
    """Turn the errors of gzip, zipfile and the system about unreadable input into an ImageError that names the input."""
    try:
        yield
    except _DAMAGE as error:
        raise ImageError(f"{label}: cannot be read: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The message of an exception, on one line and without a path: the message around it names the input."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def read_images(file: Readable, layout: Layout, n_rows: int, label: str) -> Iterator[NDArray[np.uint8]]:
    """Yield (up to n_rows, h, w, c) until all images of the layout are read; the stream must end there.

    Raises ImageError where it does not end there, and whatever `file.read` raises.
    """
    at_once = max(1, min(n_rows, _BLOCK_BYTES // layout.image_bytes))
    for first in range(0, layout.n_rows, at_once):
        count = min(at_once, layout.n_rows - first)
        data = read_up_to(file, count * layout.image_bytes)
        n_whole = len(data) // layout.image_bytes
        if n_whole < count:
            raise ImageError(f"{label}: ends after {first + n_whole} of {layout.n_rows} images; get the whole file")
        yield np.frombuffer(data, dtype=np.uint8).reshape(count, *layout.image)
    if read_up_to(file, 1):  # also makes gzip and zip check their checksums
        raise ImageError(f"{label}: goes on after its {layout.n_rows} images")


def read_up_to(file: Readable, n_bytes: int) -> bytearray:
    """Read n_bytes, or fewer where the stream ends."""
    data = bytearray()
    while len(data) < n_bytes:
        piece = file.read(min(_PIECE_BYTES, n_bytes - len(data)))
        if not piece:
            break
        data += piece
    return data
