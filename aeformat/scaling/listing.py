"""What a person names becomes rows: image files and arrays in folders, below URLs, or that match a pattern.

Owns which files count, their order, their names, and the count of what is left out: nothing is passed over without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aeformat.errors import ImageError, UsageError
from aeformat.images.elsewhere import image_files
from aeformat.images.file_names import name_problem
from aeformat.images.fit import ImageFit
from aeformat.images.listing import list_images
from aeformat.images.mnist import PREFIX, locate_mnist
from aeformat.images.ranged import ARRAY_SUFFIXES, ArrayFile, ArrayRows, ImageFiles, Piece
from aeformat.paths import absolute, is_url
from aeformat.remote import is_pattern, listed


class Found(NamedTuple):
    """The rows of all inputs, in order, and what was left out: a line for each input that had more."""

    pieces: list[Piece]
    left_out: tuple[str, ...]


def find_rows(inputs: Sequence[str], fit: ImageFit) -> Found:
    """List the inputs, once.

    Raises UsageError, ImageError (no image, an array that does not fit, two rows of one name), OSError.
    """
    if not inputs:
        raise UsageError(
            "no input; possible are image files, folders of them, .npy, IDX (.gz too), URLs, patterns with *"
        )
    pieces: list[Piece] = []
    left_out: list[str] = []
    for name in inputs:
        pieces += _rows_of(name, fit, left_out)
    _check_names(pieces)
    return Found(pieces, tuple(left_out))


def named_once(name: str) -> str:
    """An input by a name that means the same on each machine that has it: a path from the root, or a URL."""
    if name == "-":
        raise UsageError("standard input (-) is here only; give files that all processes can read")
    return name if name.startswith(PREFIX) else absolute(name)


def _rows_of(name: str, fit: ImageFit, left_out: list[str]) -> list[Piece]:
    if name.startswith(PREFIX):
        place = locate_mnist(name.removeprefix(PREFIX))
        return _array(str(place.path), name.replace(":", "-"), fit)
    if not is_url(name) and Path(name).is_dir():
        found = list_images(Path(name))
        files = [(key, str(path)) for key, path in found.files]
        return _files(name, files, found.describe_left_out(), left_out)
    if not is_url(name) and not is_pattern(name) and not Path(name).exists():
        raise UsageError(f"{name}: no such file or folder")
    return _listed_rows(name, fit, left_out)


def _listed_rows(name: str, fit: ImageFit, left_out: list[str]) -> list[Piece]:
    """Of a URL, a pattern, or one file.  Arrays are taken where the name says so: in a tree only image files are."""
    there = listed(name)
    last = name.rpartition("/")[2].lower()
    if last.endswith(ARRAY_SUFFIXES):
        if not there:
            raise ImageError(f"{name}: there is no such file")
        return [piece for file in there for piece in _array(file.url, _stem(file.name), fit)]
    return _files(name, *image_files(there), left_out)


def _files(name: str, files: list[tuple[str, str]], rest: str | None, left_out: list[str]) -> list[Piece]:
    """rest: what else was there."""
    if not files:
        raise ImageError(f"{name}: there is no image file{f'; {rest}' if rest else ''}")
    if rest:
        left_out.append(f"{name}: {rest}")
    return [ImageFiles(tuple(files))]


def _array(url: str, stem: str, fit: ImageFit) -> list[Piece]:
    n_rows = ArrayFile(url, fit).n_rows
    return [ArrayRows(url, 0, n_rows, stem, max(5, len(str(n_rows - 1))))]


def _stem(name: str) -> str:
    path = PurePosixPath(name.removesuffix(".gz"))
    stem = path.with_suffix("").as_posix()
    if problem := name_problem(stem):
        raise ImageError(f"{name}: no row can be called by this file: its name {problem}")
    return stem


def _check_names(pieces: Iterable[Piece]) -> None:
    """S5-2: all rows have names of their own.  Raises ImageError."""
    stems = Counter(piece.stem for piece in pieces if isinstance(piece, ArrayRows))
    if stems and (stem := stems.most_common(1)[0])[1] > 1:
        raise ImageError(
            f"two arrays would give their rows one name, {stem[0]}/00000.png; give the folder above as a pattern"
        )
    seen: dict[str, str] = {}
    for piece in pieces:
        if isinstance(piece, ImageFiles):
            for name, url in piece.files:
                if name in seen:
                    raise ImageError(
                        f"two images have one name, {name}: {seen[name]} and {url}; give the folder above them"
                    )
                if name.rpartition("/")[0] in stems:
                    raise ImageError(f"{url}: a row of an array could have its name, {name}")
                seen[name] = url


def cut(pieces: Iterable[Piece], n_rows: int) -> list[list[Piece]]:
    """The rows in ranges of n_rows, the last one shorter."""
    ranges: list[list[Piece]] = []
    room = 0
    for piece in pieces:
        start = 0
        while start < piece.n_rows:
            if not room:
                ranges.append([])
                room = n_rows
            stop = min(piece.n_rows, start + room)
            ranges[-1].append(_part(piece, start, stop))
            room -= stop - start
            start = stop
    return ranges


def _part(piece: Piece, start: int, stop: int) -> Piece:
    if isinstance(piece, ImageFiles):
        return ImageFiles(piece.files[start:stop])
    return ArrayRows(piece.url, piece.first + start, stop - start, piece.stem, piece.digits)
