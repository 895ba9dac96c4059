"""Rows of their own size (container.md, section 5.1), and the runs of receipts that follow from them (section 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import SpecError

FREE_SIZES = 1  # flag bit 0
NO_DECODER = 2  # flag bit 1
DESCRIBED = 16  # flag bit 4
MAX_ROW = 268_435_456
MAX_IMAGE = 1_073_741_824
RUN_ROWS = 64
RUN_PIXELS = 1_048_576


@dataclass
class Entry:
    """Rows that follow one another and have the same sizes.  sizes: the free ones; dims, image: of each row."""

    n: int
    sizes: tuple[int, ...]
    dims: list[int]
    image: list[int]
    has_free_image: bool = False


def count(shape: list[int]) -> int:
    """How many elements a shape has."""
    n = 1
    for size in shape:
        n *= size
    return n


def free(header: dict[str, Any]) -> int:
    """k, the free sizes of a row."""
    return int(header["dims"].count(0) + image_of(header)[:2].count(0))


def image_of(header: dict[str, Any]) -> list[int]:
    """Height, width, channels; nothing where it is not known."""
    return list(header.get("image", ())[:3])


def entry_bytes(header: dict[str, Any]) -> int:
    return 4 + 4 * free(header)


def equal_rows(header: dict[str, Any], n_rows: int) -> list[Entry]:
    """Where nothing is free."""
    return [Entry(n_rows, (), header["dims"], image_of(header))]


def read_sizes(payload: bytes, n_rows: int, header: dict[str, Any], bytes_a_value: int, at: int) -> list[Entry]:
    """The payload of a SIZE, whole entries.  at: its byte."""
    size = entry_bytes(header)
    rows = [struct.unpack_from(f"<{size // 4}I", payload, i) for i in range(0, len(payload), size)]
    # C5-5
    total = 0
    for i, (n, *_) in enumerate(rows):
        total += n
        if n == 0 or total > n_rows:
            raise SpecError("C5-5", at + i * size, f"entry {i} of {n} rows", "structure")
    if total < n_rows:
        raise SpecError("C5-5", at + (len(rows) - 1) * size, f"sizes of {total} rows of {n_rows}", "structure")
    # C5-6
    for i in range(1, len(rows)):
        if rows[i][1:] == rows[i - 1][1:]:
            raise SpecError("C5-6", at + i * size, "the sizes of the entry before", "structure")
    # C5-7
    of_dims = header["dims"].count(0)
    for i, (_, *sizes) in enumerate(rows):
        for j, number in enumerate(sizes):
            where = at + i * size + 4 + 4 * j
            if number == 0:
                raise SpecError("C5-7", where, "a size of 0", "structure")
            if number > (2**31 - 1 if j < of_dims else 65_535):
                raise SpecError("C5-7", where, f"a size of {number}", "limit")
    # C5-8
    entries = []
    for i, (n, *sizes) in enumerate(rows):
        entry = Entry(n, tuple(sizes), *_shapes(header, sizes), image_of(header)[:1] == [0])
        if count(entry.dims) * bytes_a_value > MAX_ROW:
            raise SpecError("C5-8", at + i * size, f"a row of {entry.dims}", "limit")
        if image_of(header)[:1] == [0] and count(entry.image) > MAX_IMAGE:
            raise SpecError("C5-8", at + i * size, f"an image of {entry.image}", "limit")
        entries.append(entry)
    return entries


def _shapes(header: dict[str, Any], sizes: list[int]) -> tuple[list[int], list[int]]:
    """The free sizes, in the order of the axes, in the place of the zeros."""
    stated = iter(sizes)
    return [size or next(stated) for size in header["dims"]], [size or next(stated) for size in image_of(header)]


def n_values(entries: list[Entry]) -> int:
    return sum(entry.n * count(entry.dims) for entry in entries)


def rows_of(entries: list[Entry]) -> Iterator[Entry]:
    """The entry of each row."""
    for entry in entries:
        for _ in range(entry.n):
            yield entry


def n_runs(entries: list[Entry], header: dict[str, Any]) -> int:
    """The runs of receipts."""
    if image_of(header)[:1] != [0]:
        n_rows = sum(entry.n for entry in entries)
        return (n_rows + RUN_ROWS - 1) // RUN_ROWS
    return len(run_lengths(list(rows_of(entries))))


def run_lengths(of_rows: list[Entry]) -> list[int]:
    """Rows in each run.  of_rows: the entry of each row.  Where images have one size, pixels end no run."""
    lengths: list[int] = []
    pixels = 0
    for entry in of_rows:
        of_row = entry.image[0] * entry.image[1] if entry.has_free_image else 0
        if not lengths or lengths[-1] == RUN_ROWS or pixels + of_row > RUN_PIXELS:
            lengths.append(0)
            pixels = 0
        lengths[-1] += 1
        pixels += of_row
    return lengths
