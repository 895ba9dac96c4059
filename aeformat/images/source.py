"""Images in: what a person names becomes blocks of uint8.

Owns the choice of a reader for each INPUT, their concatenation into blocks of one size, and the names of the rows.
Knows no format itself.
"""

from __future__ import annotations

import stat
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from aeformat.errors import ImageError, UsageError
from aeformat.images import idx
from aeformat.images.file_names import IMAGE_SUFFIXES, check_name
from aeformat.images.files import FilesInput
from aeformat.images.fit import ImageBlock, ImageFit
from aeformat.images.listing import Listing, is_image_name, list_images
from aeformat.images.mnist import PREFIX, locate_mnist
from aeformat.images.named_arrays import NamedArraysInput, has_several_arrays
from aeformat.images.npy import NAMED_ARRAY, NpyInput, NpyStream, NpzInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["ImageBlock", "ImageFit", "ImageSource", "open_source"]

_KINDS: Final = (
    "IDX (.gz too), .npy, .npz or one of its arrays (FILE.npz:ARRAY), image files, folders of them, mnist:train, mnist:test, "
    "- for .npy on stdin"
)
_NPY_MAGIC: Final = b"\x93N"
_JOINED_BYTES: Final = 1 << 22  # of images of one size that are handed on together


class ImageSource(Protocol):
    """Images that can be read once from front to back (and again, unless they come from a pipe)."""

    n_rows: int | None  # images in all, where the input says so up front
    label: str  # what a person calls this input
    files: Sequence[str | Path]  # all that is read; "-" for standard input
    left_out: Sequence[str]  # what was found in folders and is no image: a line for each folder
    has_paths: bool  # whether each image is a file of its own

    def blocks(self, n_rows: int) -> Iterator[ImageBlock]:
        """Yield blocks of exactly n_rows images; the last may have fewer.  Raises ImageError.

        For a model that takes any size: blocks of images of one size, n_rows at most, of a few megabytes unless one image
        has more.
        """
        ...


class Input(Protocol):
    """One of the inputs."""

    n_rows: int
    label: str
    names: list[str] | None
    files: list[str | Path]

    def pieces(self, n_rows: int) -> Iterator[NDArray[np.uint8]]:
        """Yield (1..n_rows, h, w, c), as the model takes them, until all n_rows images are out."""
        ...


def open_source(inputs: Sequence[str], fit: ImageFit, *, fetch_mnist: Callable[[], None] | None = None) -> ImageSource:
    """Open one or more INPUTs, to be read one after the other.

    Rows have names where an input is of image files; then the rows of the others get "<stem>/00000.png" and so on.
    Where two rows would be called the same ("a/x.png" and "b/x.png" given as files), each gets its folder in front.
    A named pipe is read as standard input is: .npy, forward, once.
    fetch_mnist: see `locate_mnist`.  Raises UsageError (not found, not installed), ImageError (unreadable, misfit).
    """
    if not inputs:
        raise UsageError(f"no input; possible are {_KINDS}")
    if list(inputs).count("-") > 1:
        raise UsageError("standard input (-) can be read only once")
    fit.check()
    left_out: list[str] = []
    parts = [_open(name, fit, fetch_mnist, left_out) for name in inputs]
    return Concatenation(parts, _row_names(inputs, parts), left_out, takes_any_size=fit.takes_any_size)


class Concatenation:
    """Inputs one after the other, in blocks of so many images, or of images of one size.

    names, digests: of all images; or lists that the inputs fill as they hand images out.
    """

    def __init__(
        self,
        parts: Sequence[Input],
        names: list[str] | None,
        left_out: Sequence[str],
        *,
        takes_any_size: bool,
        digests: list[bytes] | None = None,
    ) -> None:
        self.n_rows: int | None = sum(part.n_rows for part in parts)
        self.label = parts[0].label if len(parts) == 1 else f"{parts[0].label} and {len(parts) - 1} more"
        self.files: Sequence[str | Path] = [file for part in parts for file in part.files]
        self.left_out = left_out
        self.has_paths = digests is not None or all(isinstance(part, FilesInput) for part in parts)
        self._parts, self._names, self._digests = parts, names, digests
        self._in_blocks = _of_one_size if takes_any_size else _in_blocks

    def blocks(self, n_rows: int) -> Iterator[ImageBlock]:
        if n_rows < 1:
            raise ValueError(f"a block has at least 1 image, not {n_rows}")
        at = 0
        for images in self._in_blocks(chain.from_iterable(part.pieces(n_rows) for part in self._parts), n_rows):
            first, at = at, at + len(images)
            has_paths = self.has_paths and self._digests is None
            paths = [Path(file) for file in self.files[first:at]] if has_paths else None
            digests = None if self._digests is None else self._digests[first:at]
            ready = [ImageBlock(images, None if self._names is None else self._names[first:at], paths, digests)]
            del images  # a photograph takes much memory: only the caller holds it
            yield ready.pop()


def _in_blocks(pieces: Iterator[NDArray[np.uint8]], n_rows: int) -> Iterator[NDArray[np.uint8]]:
    """Cut and join pieces of any length into blocks of n_rows; a piece of just that length is passed on uncopied."""
    pending: list[NDArray[np.uint8]] = []
    n_pending = 0
    for piece in pieces:
        while n_pending + len(piece) >= n_rows:
            n_taken = n_rows - n_pending
            pending.append(piece[:n_taken])
            yield pending[0] if len(pending) == 1 else np.concatenate(pending)
            piece, pending, n_pending = piece[n_taken:], [], 0
        if len(piece):
            pending.append(piece)
            n_pending += len(piece)
    if pending:
        yield np.concatenate(pending)


def _of_one_size(pieces: Iterator[NDArray[np.uint8]], n_rows: int) -> Iterator[NDArray[np.uint8]]:
    """Join pieces of at most n_rows images that have one size, as long as they take little memory together."""
    pending: list[NDArray[np.uint8]] = []
    for piece in pieces:
        if pending and not _go_together(pending, piece, n_rows):
            yield _joined(pending)
        pending.append(piece)
        del piece  # a photograph takes much memory, and the next one is read while this name still stands
        if sum(waiting.nbytes for waiting in pending) >= _JOINED_BYTES:
            yield _joined(pending)
    if pending:
        yield _joined(pending)


def _go_together(pending: Sequence[NDArray[np.uint8]], piece: NDArray[np.uint8], n_rows: int) -> bool:
    return piece.shape[1:] == pending[0].shape[1:] and sum(map(len, pending)) + len(piece) <= n_rows


def _joined(pending: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """All of them as one array; the list is empty then."""
    joined = pending[0] if len(pending) == 1 else np.concatenate(pending)
    pending.clear()
    return joined


def _open(name: str, fit: ImageFit, fetch_mnist: Callable[[], None] | None, left_out: list[str]) -> Input:
    if not name:
        raise UsageError("an INPUT has no name; is a shell variable empty?")
    if name == "-":
        return NpyStream(sys.stdin.buffer, fit, "standard input", ["-"])
    if name.startswith(PREFIX):
        place = locate_mnist(name.removeprefix(PREFIX), fetch_mnist)
        if place.key is None:
            return idx.IdxInput(place.path, fit, name)
        return NpzInput(place.path, fit, name, place.key)
    path = Path(name)
    try:
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            return _open_folder(path, fit, name, left_out)
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            if is_image_name(path.name) or path.suffix.lower() == ".npz":
                raise UsageError(f"{name}: is a pipe or a device; from these only .npy can be read")
            return NpyStream(path.open("rb"), fit, name, [path])
        if stat.S_ISREG(mode):
            return _open_file(path, fit, name)
    except OSError as error:
        raise UsageError(f"{name}: cannot be opened: {error.strerror}") from error
    if mode:
        raise UsageError(f"{name}: is neither a file nor a pipe nor a folder; possible inputs are {_KINDS}")
    array = NAMED_ARRAY.fullmatch(name)
    if array and Path(array["file"]).is_file():
        return NpzInput(Path(array["file"]), fit, name, array["key"])
    raise UsageError(f"{name}: no such file; possible inputs are {_KINDS}")


def _mode(path: Path) -> int:
    """0 where nothing has that name."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _open_folder(path: Path, fit: ImageFit, label: str, left_out: list[str]) -> Input:
    found: Listing = list_images(path)
    rest = found.describe_left_out()
    if not found.files:
        what = f" ({' '.join(sorted(IMAGE_SUFFIXES))})" + (f"; {rest}" if rest else "")
        raise ImageError(f"{label}: holds no image file{what}")
    if rest:
        left_out.append(f"{label}: {rest}")
    return FilesInput(found.files, fit, label)


def _open_file(path: Path, fit: ImageFit, label: str) -> Input:
    if is_image_name(path.name):
        return FilesInput([(path.name, path)], fit, label)
    if path.suffix.lower() == ".npz":
        has_one_each = fit.takes_any_size and has_several_arrays(path)
        return NamedArraysInput(path, fit, label) if has_one_each else NpzInput(path, fit, label)
    with path.open("rb") as file:
        start = file.read(2)
    if path.suffix.lower() == ".npy" or start == _NPY_MAGIC:
        return NpyInput(path, fit, label)
    if start in (idx.MAGIC, idx.GZIP_MAGIC):
        return idx.IdxInput(path, fit, label)
    raise ImageError(f"{label}: is none of the possible inputs: {_KINDS}")


def _row_names(inputs: Sequence[str], parts: Sequence[Input]) -> list[str] | None:
    """One safe name per row, all different, or None where no input has any.  Raises ImageError, UsageError."""
    if all(part.names is None for part in parts):
        return None
    pairs = list(zip(inputs, parts, strict=True))
    with_folder = [[f"{_stem(name)}/{row}" for row in _own_names(part)] for name, part in pairs]
    short = [part.names or long for part, long in zip(parts, with_folder, strict=True)]
    for candidate in (short, with_folder):
        names = [name for part in candidate for name in part]
        counts = Counter(names)
        repeated = [name for name in names if counts[name] > 1]
        if not repeated:
            for name in names:
                check_name(name)
            return names
    name = repeated[0]
    places = [place for part in parts for place in _places(part)]
    first, second = [place for place, other in zip(places, names, strict=True) if other == name][:2]
    if first == second:
        raise UsageError(f"two images have one name, {name}: {first} is given twice; give it once")
    raise UsageError(
        f"two images have one name, {name}: {first} and {second}; rename one, or give the folder above them"
    )


def _places(part: Input) -> list[str]:
    """Where each row comes from, for people."""
    if part.names is not None:
        return [str(file) for file in part.files]
    return [f"row {row} of {part.label}" for row in range(part.n_rows)]


def _own_names(part: Input) -> list[str]:
    width = max(5, len(str(part.n_rows - 1)))
    return part.names or [f"{row:0{width}d}.png" for row in range(part.n_rows)]


def _stem(name: str) -> str:
    """The folder that an input's rows go under when they need one: its own name, for a single image its folder's."""
    if name == "-":
        return "stdin"
    if name.startswith(PREFIX):
        return name.replace(":", "-")
    array = NAMED_ARRAY.fullmatch(name)
    if array and not Path(name).exists():
        return f"{Path(array['file']).stem}-{array['key']}"
    path = Path(name).resolve()
    if path.is_dir():
        return path.name
    return path.parent.name if is_image_name(path.name) else path.name.removesuffix(".gz").removesuffix(path.suffix)
