"""Reading a set forward: its shards one after the other, every byte of them checked.

Owns that a shard is the file that the manifest names, to its last byte (spec/sets.md, S3-1 and S3-2).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar, cast

from aeformat import remote
from aeformat.container.payloads import Block
from aeformat.container.reader import Latents
from aeformat.container.stream import LatentStream
from aeformat.errors import SetInvalid
from aeformat.model.match import check_named
from aeformat.paths import named
from aeformat.pipeline.unpack import Decoded, give_prior, rows_array, unpack
from aeformat.sets.manifest import Manifest, Shard, parse_manifest
from aeformat.sets.places import beside, manifest_path, opener
from aeformat.sets.set_reader import check_shard

if TYPE_CHECKING:
    from aeformat.pipeline.decoders import FindDecoder, LoadNetwork
    from aeformat.pipeline.unpack import Numbers

Given = TypeVar("Given")
Made = TypeVar("Made")


class SetStream:
    """A set as it is read forward, once.  path: its manifest, its folder, a URL.  Raises FormatError, OSError, UsageError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = manifest_path(path)
        with named(self.name):
            self.manifest: Manifest = parse_manifest(remote.read_whole(self.name))
        self.header, self.n_rows = self.manifest.header, self.manifest.n_rows
        self.n_bytes = sum(shard.bytes for shard in self.manifest.shards)

    def shards(self) -> Iterator[LatentStream]:
        """Each shard, to be read to its end before the next one.  Raises FormatError, OSError."""
        for shard in self.manifest.shards:
            name = beside(self.name, shard.name)
            with named(name), remote.open_forward(name) as file:
                hashed = _Hashed(file)
                with LatentStream(cast("BinaryIO", hashed), name=name) as stream:
                    self._check_header(stream)
                    yield stream
                    self._check_end(stream, hashed, shard)

    def _check_header(self, stream: LatentStream) -> None:
        if stream.header != self.header:
            raise SetInvalid("S3-1", 0, "the shard has another header than the manifest says")

    def _check_end(self, stream: LatentStream, hashed: _Hashed, shard: Shard) -> None:
        if stream.trailer is None:  # nobody wanted all of it
            return
        found = hashed.n_bytes, stream.trailer.content_id
        if found != (shard.bytes, shard.content_id):
            raise SetInvalid("S3-1", 0, "the shard has another length or content id than the manifest says")
        if hashed.digest() != shard.digest:
            raise SetInvalid("S3-2", 0, "the shard's SHA-256 is not the one in the manifest")

    def images(self, find: FindDecoder, load: LoadNetwork, rows: Numbers | None = None) -> Iterator[Decoded]:
        """The images of all rows, or of some in ascending order; the decoder is found and loaded once.

        Raises as `unpack` of one file does, IndexError.
        """
        with named(self.name):
            check_named(self.header)
        return self._images(Once(find), Once(load), rows)

    def _images(self, found: FindDecoder, loaded: LoadNetwork, rows: Numbers | None) -> Iterator[Decoded]:
        if rows is None:
            for stream in self.shards():
                yield from unpack(stream, found, loaded)
            return
        for latents, part in self._parts(rows):
            with latents:
                yield from unpack(latents, found, loaded, part)

    def _parts(self, rows: Numbers) -> Iterator[tuple[Latents, Numbers]]:
        """The shards that some rows are in, opened, and which of their rows these are."""
        if len(rows) and rows[-1] >= self.n_rows:
            raise IndexError(f"row {rows[-1]} of a set of {self.n_rows}")
        before = 0
        for shard in self.manifest.shards:
            here = _between(rows, before, before + shard.rows)
            before += shard.rows
            if len(here):
                name = beside(self.name, shard.name)
                latents = Latents(name, open_file=opener(name))
                with named(name):
                    check_shard(latents, shard, self.manifest)
                yield latents, here

    def blocks(self, find: FindDecoder | None) -> Iterator[Block]:
        """The rows of all shards.  find: for rows of codec rans, finds the decoder.  Raises FormatError, OSError."""
        found = None if find is None else Once(find)
        for stream in self.shards():
            if found is not None and stream.needs_prior:
                give_prior(stream, found)
            yield from stream


def _between(rows: Numbers, start: int, stop: int) -> Numbers:
    """Those of ascending rows that lie there, counted from its beginning."""
    if isinstance(rows, range) and rows.step == 1:
        return range(max(rows.start - start, 0), max(min(rows.stop, stop) - start, 0))
    first, last = rows_array(rows).searchsorted((start, stop))
    return rows_array(rows)[first:last] - start


class Once(Generic[Given, Made]):
    """A function of one argument that is called once, and gives the same ever after: all shards have one decoder."""

    def __init__(self, make: Callable[[Given], Made]) -> None:
        self._make = make
        self._made: list[Made] = []

    def __call__(self, given: Given, /) -> Made:
        if not self._made:
            self._made.append(self._make(given))
        return self._made[0]


class _Hashed(io.RawIOBase):
    """A file that is hashed as it is read forward."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self.n_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, n_bytes: int = -1, /) -> bytes:
        data = self._file.read(n_bytes)
        self._hash.update(data)
        self.n_bytes += len(data)
        return data

    def digest(self) -> bytes:
        return self._hash.digest()
