"""Reading a set: rows of many files as if they were of one (spec/sets.md, section 3).

Owns which shard holds which row, and how many shards are open.  Nothing is listed:
the manifest says all (S3-3).  NumPy comes with the first array.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate
from types import TracebackType
from typing import Any

from aeformat.container.columns import RowFields
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.field_views import Fields
from aeformat.container.name_index import NameIndex
from aeformat.container.names import RowNames
from aeformat.container.payloads import Block
from aeformat.container.reader import CACHE_BYTES, Latents
from aeformat.container.recent import ForkLock
from aeformat.container.row_access import RowAccess
from aeformat.container.sizes import RowSizes
from aeformat.errors import SetInvalid, UsageError
from aeformat.paths import absolute, named
from aeformat.remote import read_whole
from aeformat.sets.manifest import Manifest, Shard, parse_manifest
from aeformat.sets.opening import OPEN_FILES
from aeformat.sets.places import beside, manifest_path, opener


class LatentsSet(RowAccess):
    """Random access to the rows of a set, for several threads and processes, as Latents is to those of a file.

    path: the manifest, or the folder it lies in, or the URL of either.  Shards are opened when a row of theirs is wanted,
    at most open_files of them at a time.  It stays with the manifest that it has read, whatever is committed later.
    find_prior: as of Latents.
    Raises FormatError, OSError; when a shard is opened, SetInvalid where it is not the one that the manifest names (S3-1).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        cache_bytes: int = CACHE_BYTES,
        mmap: bool = False,
        open_files: int = OPEN_FILES,
        find_prior: Callable[[Latents], DecoderPrior] | None = None,
    ) -> None:
        if open_files < 1:
            raise UsageError(f"open_files is {open_files}, and must be 1 or more")
        place = manifest_path(path)
        with named(place):
            manifest = parse_manifest(read_whole(place))
        self._begin(
            place,
            manifest,
            {
                "cache_bytes": cache_bytes,
                "mmap": mmap,
                "open_files": open_files,
                "find_prior": find_prior,
                "bf16_bits": False,
            },
        )

    def _begin(self, place: str, manifest: Manifest, options: dict[str, Any]) -> None:
        self.name, self.manifest, self._options = place, manifest, options
        self.has_bf16_bits = options["bf16_bits"]
        self.header, self.n_rows = manifest.header, manifest.n_rows
        self._ends = list(accumulate(shard.rows for shard in manifest.shards))
        self._lock = ForkLock()
        self._open: OrderedDict[int, Latents] = OrderedDict()
        self._names: NameIndex | None = None
        self._is_closed = False

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The files, in the order of their rows."""
        return self.manifest.shards

    def __repr__(self) -> str:
        return (
            f"<aeformat.LatentsSet {self.name}, {self.n_rows} rows in {len(self.shards)} shards, {self.header.values}>"
        )

    def _shard(self, number: int) -> Latents:
        """A shard, opened."""
        with self._lock:
            if self._is_closed:
                raise UsageError("this reader is closed")
            latents = self._open.get(number) or self._opened(number)
            self._open[number] = latents
            self._open.move_to_end(number)
            while len(self._open) > self._options["open_files"]:
                self._open.popitem(last=False)  # it is closed when nobody reads from it any more
            return latents

    def _opened(self, number: int) -> Latents:
        shard = self.shards[number]
        share = self._options["cache_bytes"] // min(self._options["open_files"], len(self.shards))
        name = beside(self.name, shard.name)
        latents = Latents(
            name,
            cache_bytes=share,
            mmap=self._options["mmap"],
            find_prior=self._options["find_prior"],
            bf16_bits=self.has_bf16_bits,
            open_file=opener(name),
        )
        with named(latents.name):
            check_shard(latents, shard, self.manifest)
        return latents

    def _place(self, row: int) -> tuple[int, int]:
        """(number of the shard, rows before it)."""
        number = bisect_right(self._ends, row)
        return number, self._ends[number - 1] if number else 0

    def _block(self, row: int) -> Block:
        number, before = self._place(row)
        block = self._shard(number).block_of(row - before)
        return block._replace(first_row=block.first_row + before)

    def chunk_starts(self) -> list[int]:
        """The first row of each chunk of rows, in order.  No row is read; each shard is opened.  Raises FormatError."""
        befores = [0, *self._ends]
        return [
            befores[number] + start
            for number in range(len(self.shards))
            for start in self._shard(number).chunk_starts()
        ]

    def as_bits(self) -> LatentsSet:
        """The same set, opened again: bf16 comes as its bits, uint16, and is not widened."""
        return _restored(self.name, self.manifest.to_bytes(), {**self._options, "bf16_bits": True})

    def sizes(self, start: int = 0, stop: int | None = None) -> RowSizes:
        """The sizes of rows start to stop - 1, by default of all.  No row is read.  Raises IndexError, FormatError."""
        stop = self.n_rows if stop is None else stop
        self._check_range(start, stop)
        parts, row = [], start
        while row < stop:
            number, before = self._place(row)
            end = min(stop, self._ends[number])
            parts.append(self._shard(number).sizes(row - before, end - before))
            row = end
        return RowSizes.join(parts)

    def index_of(self, name: str) -> int:
        """The number of the first row of that name.  The first call reads all row names, and keeps 16 bytes for each.

        Raises KeyError (no row of that name), FormatError.
        """
        with self._lock:
            if self._names is None:
                self._names = NameIndex(self._named())
            return self._names.row_of(name, self._name_of)

    def _named(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        for number in range(len(self.shards)):
            before = self._ends[number - 1] if number else 0
            for first, names in self._shard(number).row_names():
                yield before + first, names

    def all_names(self) -> Iterator[tuple[int, int, RowNames | None]]:
        """(first row, rows, their names, labels and sources) of each chunk.  No row is read.  Raises FormatError."""
        for number in range(len(self.shards)):
            before = self._ends[number - 1] if number else 0
            for first, n_rows, names in self._shard(number).all_names():
                yield before + first, n_rows, names

    def _name_of(self, row: int) -> str | None:
        number, before = self._place(row)
        return self._shard(number).name_of(row - before)

    @property
    def fields(self) -> Fields:
        """What stands beside the rows, by name: fields["caption"][10:20].  No row is read.  Raises FormatError."""
        return Fields(self.manifest.field_types, self.n_rows, self._fields_at)

    def _fields_at(self, row: int) -> tuple[int, RowFields]:
        number, before = self._place(row)
        start, fields = self._shard(number).fields_at(row - before)
        return before + start, fields

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (absolute(self.name), self.manifest.to_bytes(), self._options)

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            self._is_closed = True
            for latents in self._open.values():
                latents.close()
            self._open.clear()

    def __enter__(self) -> LatentsSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _restored(name: str, manifest: bytes, options: dict[str, Any]) -> LatentsSet:
    latents = LatentsSet.__new__(LatentsSet)
    latents._begin(name, parse_manifest(manifest), options)
    return latents


def check_shard(latents: Latents, shard: Shard, manifest: Manifest) -> None:
    """S3-1: a file is the one that the manifest names, as far as its ends and its first fields show.  Raises SetInvalid."""
    for what, found, stated in (
        ("header", latents.header, manifest.header),
        ("length", latents.n_bytes, shard.bytes),
        ("number of rows", latents.n_rows, shard.rows),
        ("content id", latents.content_id, shard.content_id),
        ("fields", dict(latents.field_types), dict(manifest.field_types)),
    ):
        if found != stated:
            raise SetInvalid("S3-1", 0, f"the shard has another {what} than the manifest says")
