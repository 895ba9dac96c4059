"""The sizes of rows (spec/container.md, section 5.1): how large each row is, and where it begins among the values.

Owns this arithmetic and the payload of a SIZE chunk.  Rows that follow one another and have the same sizes are one entry, in
the file and here: nothing is made for each row.  Where the header fixes all sizes, all rows are one entry without sizes.
Knows nothing of values; NumPy is imported for `row_ends` alone.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container import limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIZE_BYTES: Final = 4  # of each number of an entry
_MOST_IN_DIMS: Final = 2**31 - 1  # C5-7
_MOST_IN_IMAGE: Final = 65_535

Sizes = tuple[int, ...]  # the free sizes of one row: those of dims, then those of image


class BadSizes(ValueError):
    """Sizes that break section 5.1.  rule: "C5-7".  at: byte offset in the payload.  is_limit: too large, not malformed."""

    def __init__(self, rule: str, at: int, what: str, *, is_limit: bool = False) -> None:
        super().__init__(rule, at, what)
        self.rule, self.at, self.what, self.is_limit = rule, at, what, is_limit


class RowForm(NamedTuple):
    """What the header says of every row: dims and image, in which 0 is free; image is () where it is not known."""

    dims: tuple[int, ...]
    image: tuple[int, ...]

    @property
    def has_free_image(self) -> bool:
        """Whether each row states height and width of its image."""
        return self.image[:1] == (0,)

    @property
    def n_free_dims(self) -> int:
        """Free sizes in dims."""
        return self.dims.count(0)

    @property
    def n_free(self) -> int:
        """Numbers that state the sizes of one row."""
        return self.n_free_dims + (2 if self.has_free_image else 0)

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry of a SIZE chunk."""
        return _SIZE_BYTES * (1 + self.n_free)

    @property
    def n_values(self) -> int:
        """Values of a row whose free sizes are all 1."""
        return prod(size for size in self.dims if size)

    def dims_of(self, sizes: Sizes) -> tuple[int, ...]:
        """The shape of a latent with these free sizes."""
        free = iter(sizes)
        return tuple(size or next(free) for size in self.dims)

    def image_of(self, sizes: Sizes) -> tuple[int, ...]:
        """(height, width, channels) of the image of a row with these free sizes; () where it is not known."""
        return (*sizes[-2:], *self.image[2:]) if self.has_free_image else self.image

    def values_of(self, sizes: Sizes) -> int:
        """Values of a row with these free sizes."""
        return self.n_values * prod(sizes[: self.n_free_dims])

    def sizes_of(self, dims: tuple[int, ...], image: tuple[int, int] | None = None) -> Sizes:
        """The free sizes of a latent of this shape, whose image has that height and width.

        Raises ValueError where the shape is not one of this form, or the image is missing or superfluous.
        """
        if len(dims) != len(self.dims) or any(own and own != size for own, size in zip(self.dims, dims, strict=True)):
            raise ValueError(f"a row has shape {dims}, the header says {self.dims}, where 0 may be any size")
        if (image is not None) != self.has_free_image:
            raise ValueError(
                f"the images of this file {'have' if self.has_free_image else 'do not have'} sizes of their own"
            )
        return (*(size for own, size in zip(self.dims, dims, strict=True) if not own), *(image or ()))


class Run(NamedTuple):
    """Rows that follow one another and have the same sizes.  n_values: of each."""

    n_rows: int
    sizes: Sizes
    n_values: int


class RowSizes:
    """The sizes of rows that follow one another.  Takes memory for each entry, not for each row."""

    __slots__ = ("_ends", "_table", "_value_ends", "form")

    def __init__(self, form: RowForm, table: array[int], ends: array[int], value_ends: array[int]) -> None:
        self.form = form
        self._table = table  # the sizes of each entry, form.n_free numbers
        self._ends, self._value_ends = ends, value_ends  # of the rows and of the values up to each entry's end

    @classmethod
    def none(cls, form: RowForm) -> RowSizes:
        """No rows."""
        return cls(form, array("I"), array("Q"), array("Q"))

    @classmethod
    def equal(cls, form: RowForm, n_rows: int) -> RowSizes:
        """Rows of a form that leaves nothing free."""
        return cls(form, array("I"), array("Q", [n_rows]), array("Q", [n_rows * form.n_values]))

    @classmethod
    def of(cls, form: RowForm, rows: Iterable[Sizes]) -> RowSizes:
        """The sizes of these rows.  Raises BadSizes (C5-7, C5-8 as of one byte a value); `at` is in the payload they make."""
        entries = [(sizes, len(list(same))) for sizes, same in groupby(rows)]
        _check_range(form, (sizes for sizes, _ in entries))
        words = array("I", (word for sizes, n in entries for word in (n, *sizes)))
        return cls.parse(form, _little_endian(words).tobytes(), sum(n for _, n in entries), value_bytes=1)

    @classmethod
    def parse(cls, form: RowForm, payload: bytes, n_rows: int, *, value_bytes: int) -> RowSizes:
        """The payload of a SIZE chunk, whole entries, for n_rows rows of such values.  Raises BadSizes (C5-5 to C5-8)."""
        words = array("I")
        words.frombytes(payload)
        words = _little_endian(words)
        width = 1 + form.n_free
        counts = words[::width]
        _check_counts(counts, n_rows, form.entry_bytes)
        _check_different(payload, form.entry_bytes)
        columns = [words[i::width] for i in range(1, width)]
        if any(not 1 <= min(column) <= max(column) <= most for column, most in zip(columns, _most(form), strict=True)):
            _check_range(form, zip(*columns, strict=True))
        values = array("Q", _checked_values(form, zip(*columns, strict=True), value_bytes))
        table = array("I", (size for sizes in zip(*columns, strict=True) for size in sizes))
        value_ends = accumulate(n * each for n, each in zip(counts, values, strict=True))
        return cls(form, table, array("Q", accumulate(counts)), array("Q", value_ends))

    @classmethod
    def join(cls, parts: Sequence[RowSizes]) -> RowSizes:
        """Of the rows of all parts, which have one form."""
        runs = groupby((run for part in parts for run in part.runs()), key=lambda run: (run.sizes, run.n_values))
        entries = [Run(sum(run.n_rows for run in same), *of_row) for of_row, same in runs]
        table = array("I", (size for entry in entries for size in entry.sizes))
        ends = array("Q", accumulate(entry.n_rows for entry in entries))
        return cls(
            parts[0].form, table, ends, array("Q", accumulate(entry.n_rows * entry.n_values for entry in entries))
        )

    def to_bytes(self) -> bytes:
        """The payload of a SIZE chunk."""
        words = array("I", (word for run in self.runs() for word in (run.n_rows, *run.sizes)))
        return _little_endian(words).tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowSizes) and self.form == other.form and list(self.runs()) == list(other.runs())

    def __hash__(self) -> int:
        return hash((self.form, self.to_bytes()))

    def __repr__(self) -> str:
        return f"<sizes of {self.n_rows} rows of {self.form.dims}>"

    def __len__(self) -> int:
        return self.n_rows

    @property
    def n_rows(self) -> int:
        """Rows."""
        return self._ends[-1] if self._ends else 0

    @property
    def n_values(self) -> int:
        """Values of all rows."""
        return self._value_ends[-1] if self._value_ends else 0

    @property
    def image_bytes(self) -> int:
        """Bytes of all images as u8; 0 where they are not known."""
        if not self.form.image:
            return 0
        return sum(run.n_rows * prod(self.form.image_of(run.sizes)) for run in self.runs())

    def runs(self) -> Iterator[Run]:
        """The entries, in order."""
        start = 0
        for entry, end in enumerate(self._ends):
            yield Run(end - start, self._sizes(entry), self._row_values(entry))
            start = end

    def dims(self, row: int) -> tuple[int, ...]:
        """The shape of one latent."""
        return self.form.dims_of(self._sizes(self._entry(row)))

    def image(self, row: int) -> tuple[int, ...]:
        """(height, width, channels) of the image of one row; () where it is not known."""
        return self.form.image_of(self._sizes(self._entry(row)))

    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each latent."""
        return [dims for run in self.runs() for dims in [self.form.dims_of(run.sizes)] * run.n_rows]

    def image_sizes(self) -> list[tuple[int, ...]]:
        """(height, width) of the image of each row; () where it is not known."""
        return [size for run in self.runs() for size in [self.form.image_of(run.sizes)[:2]] * run.n_rows]

    def start(self, row: int) -> int:
        """Values before a row, which may be the one behind the last."""
        if row == self.n_rows:
            return self.n_values
        entry = self._entry(row)
        return self._before(self._value_ends, entry) + (row - self._before(self._ends, entry)) * self._row_values(entry)

    def row_of(self, value: int) -> int:
        """The row that a value belongs to, counted from the first here."""
        entry = bisect_right(self._value_ends, value)
        return self._before(self._ends, entry) + (value - self._before(self._value_ends, entry)) // self._row_values(
            entry
        )

    def row_ends(self) -> NDArray[Any]:
        """Where each row ends among the values: (n_rows,) int64."""
        import numpy as np

        runs = list(self.runs())
        each: NDArray[Any] = np.repeat([run.n_values for run in runs], [run.n_rows for run in runs])
        return each.astype(np.int64).cumsum()

    def slice(self, start: int, stop: int) -> RowSizes:
        """Those of rows start to stop - 1."""
        if start == stop:
            return RowSizes.none(self.form)
        first, last = self._entry(start), self._entry(stop - 1)
        ends = array("Q", [min(end, stop) - start for end in self._ends[first : last + 1]])
        value_start, value_stop = self.start(start), self.start(stop)
        value_ends = array("Q", [min(end, value_stop) - value_start for end in self._value_ends[first : last + 1]])
        width = self.form.n_free
        return RowSizes(self.form, self._table[first * width : (last + 1) * width], ends, value_ends)

    def stop_within(self, start: int, most_values: int, most_rows: int) -> int:
        """How far rows go from `start` on that have no more values than that, and are no more."""
        stop, left = min(start + most_rows, self.n_rows), self.start(start) + max(0, most_values)
        return stop if self.start(stop) <= left else self.row_of(left)

    def receipt_runs(self) -> Iterator[tuple[int, int]]:
        """(how many runs, rows of each), in order: the rows that one digest of a receipt is for (section 7)."""
        if not self.form.has_free_image:
            yield from ((n, rows) for n, rows in _runs_of_64(self.n_rows) if n)
            return
        rows = pixels = 0  # of the run that may go on
        for run in self.runs():
            height, width, _ = self.form.image_of(run.sizes)
            of_row, left = height * width, run.n_rows
            if rows:
                more = max(0, min(left, limits.RECEIPT_ROWS - rows, (limits.RECEIPT_PIXELS - pixels) // of_row))
                rows, pixels, left = rows + more, pixels + more * of_row, left - more
                if left:
                    yield 1, rows
            if left:
                each = max(1, min(limits.RECEIPT_ROWS, limits.RECEIPT_PIXELS // of_row))
                full = (left - 1) // each
                if full:
                    yield full, each
                rows = left - full * each
                pixels = rows * of_row
        yield 1, rows

    def _entry(self, row: int) -> int:
        return bisect_right(self._ends, row)

    def _sizes(self, entry: int) -> Sizes:
        width = self.form.n_free
        return tuple(self._table[entry * width : (entry + 1) * width])

    def _row_values(self, entry: int) -> int:
        return self.form.values_of(self._sizes(entry))

    @staticmethod
    def _before(ends: array[int], entry: int) -> int:
        return ends[entry - 1] if entry else 0


def _runs_of_64(n_rows: int) -> Iterator[tuple[int, int]]:
    full, rest = divmod(n_rows, limits.RECEIPT_ROWS)
    yield full, limits.RECEIPT_ROWS
    yield min(rest, 1), rest


def _little_endian(words: array[int]) -> array[int]:
    """The same numbers in the file's byte order, or back."""
    if sys.byteorder == "big":
        words = words[:]
        words.byteswap()
    return words


def _most(form: RowForm) -> list[int]:
    """The largest value of each free size, C5-7."""
    of_image = [_MOST_IN_IMAGE] * (form.n_free - form.n_free_dims)
    return [_MOST_IN_DIMS] * form.n_free_dims + of_image


def _check_counts(counts: array[int], n_rows: int, entry_bytes: int) -> None:
    """C5-5."""
    total = 0
    for entry, n in enumerate(counts):
        total += n
        if not n or total > n_rows:
            what = "no rows" if not n else f"{total} rows or more, {n_rows} stated"
            raise BadSizes("C5-5", entry * entry_bytes, f"entry {entry} makes {what}")
    if total < n_rows:
        raise BadSizes("C5-5", (len(counts) - 1) * entry_bytes, f"sizes of {total} rows, {n_rows} stated")


def _check_different(payload: bytes, entry_bytes: int) -> None:
    """C5-6."""
    before = b""
    for at in range(0, len(payload), entry_bytes):
        sizes = payload[at + _SIZE_BYTES : at + entry_bytes]
        if sizes == before:
            raise BadSizes("C5-6", at, "an entry has the sizes of the one before it")
        before = sizes


def _check_range(form: RowForm, entries: Iterable[Sizes]) -> None:
    """C5-7."""
    most = _most(form)
    for entry, sizes in enumerate(entries):
        for i, (size, largest) in enumerate(zip(sizes, most, strict=True), 1):
            if not 1 <= size <= largest:
                at = entry * form.entry_bytes + i * _SIZE_BYTES
                raise BadSizes("C5-7", at, f"a size of {size}, allowed are 1 to {largest}", is_limit=size > 0)


def _checked_values(form: RowForm, entries: Iterable[Sizes], value_bytes: int) -> Iterator[int]:
    """The values of a row of each entry.  C5-8."""
    for entry, sizes in enumerate(entries):
        n_values = form.values_of(sizes)
        n_bytes, n_elements = n_values * value_bytes, prod(form.image_of(sizes))
        at = entry * form.entry_bytes
        if n_bytes > limits.ROW_BYTES:
            what = f"a row of {form.dims_of(sizes)} takes {n_bytes} bytes, allowed are {limits.ROW_BYTES}"
            raise BadSizes("C5-8", at, what, is_limit=True)
        if form.has_free_image and n_elements > limits.IMAGE_ELEMENTS:
            what = f"an image of {n_elements} elements, allowed are {limits.IMAGE_ELEMENTS}"
            raise BadSizes("C5-8", at, what, is_limit=True)
        yield n_values
