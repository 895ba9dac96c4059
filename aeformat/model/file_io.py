"""Model packages in files (spec/model.md, section 1).

Owns ModelPackage <-> container bytes.  Knows nothing of folders, names or caches (store.py).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aeformat.atomic import AtomicFile
from aeformat.container import assigned
from aeformat.container.chunk_writer import ContainerWriter
from aeformat.container.header import ModelHeader
from aeformat.container.limits import DEFAULT, MANIFEST_BYTES, Limits
from aeformat.container.parser import ChunkRead, Event, TrailerRead
from aeformat.container.raw import raw_payload
from aeformat.errors import ContentMismatch, LimitExceeded, ManifestInvalid, StructureInvalid, UsageError
from aeformat.model.identity import open_package, package_header
from aeformat.model.manifest import Manifest, model_id
from aeformat.model.package import Array, ModelPackage, check_length, read_tensor
from aeformat.model.values import ITEM_BYTES
from aeformat.reader import events

DEFAULT_LEVEL: Final = 19  # a package is written once and sent often
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")


@dataclass(frozen=True, slots=True)
class Heading:
    """The header and the manifest of a package; its tensors have not been read or checked."""

    model_id: bytes
    name: str | None
    manifest: Manifest


def read_package(source: str | Path | bytes, *, limits: Limits = DEFAULT, max_work: int | None = None) -> ModelPackage:
    """The package in a file, or in the bytes of one; everything but the golden set (golden.py) is checked.

    max_work: the most that multiply-adds and computed numbers of one row may sum to (M7-1).  Raises FormatError; UsageError
    where there is no such file, or it holds latents.
    """
    with open_package(source) as file:
        seen = events(file, limits)
        reader = _reader(seen, max_work, limits)
        for event in seen:
            if isinstance(event, ChunkRead):
                reader.chunk(event)
            elif isinstance(event, TrailerRead):
                reader.end(event)
    return reader.package()  # the rules of the numbers come last, after C9-7


def read_heading(source: str | Path | bytes) -> Heading:
    """Header and manifest of a package, without its tensors.  Raises FormatError, UsageError."""
    with open_package(source) as file:
        seen = events(file, DEFAULT)
        reader = _reader(seen)
        chunk = next(seen)
        assert isinstance(chunk, ChunkRead)  # sequence.py: the first chunk is MANF
        reader.chunk(chunk)
        assert reader.manifest is not None
        return Heading(reader.header.model, reader.name, reader.manifest)


def package_bytes(package: ModelPackage, *, codec: str = "zstd", level: int = DEFAULT_LEVEL) -> bytes:
    """The container of a package.  The model id does not depend on codec and level."""
    sink = io.BytesIO()
    header = ModelHeader(
        model=package.model_id,
        codec=codec,
        filter="none" if codec == "none" else "shuffle",
        ext={} if package.name is None else {"name": checked_name(package.name)},
        minor=package.manifest.minor,
    )
    out = ContainerWriter(sink, header, level=level)
    out.chunk(assigned.MANIFEST, package.manifest_bytes)
    for spec, tensor in zip(package.manifest.tensors, package.tensors, strict=True):
        raw = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
        out.chunk(assigned.TENSOR, raw, value_bytes=ITEM_BYTES[spec.type])
    out.trailer(package.model_id)
    return sink.getvalue()


def write_package(
    package: ModelPackage, path: str | Path, *, force: bool = False, codec: str = "zstd", level: int = DEFAULT_LEVEL
) -> None:
    """Write the container of a package; the file appears whole or not at all.  Raises UsageError if it exists."""
    data = package_bytes(package, codec=codec, level=level)
    with AtomicFile(path, force=force) as file:
        file.write(data)


class PackageReader:
    """Turns the chunks of one model package, in order, into a package.

    max_work: see `read_package`.  keeps_tensors: False for who only checks each chunk, and cannot have the package.
    """

    def __init__(
        self,
        header: ModelHeader,
        *,
        max_work: int | None = None,
        limits: Limits = DEFAULT,
        keeps_tensors: bool = True,
    ) -> None:
        self.header = header
        name = header.ext.get("name")
        self.name = name if isinstance(name, str) and _NAME.fullmatch(name) else None
        self.manifest: Manifest | None = None
        self._max_work, self._limits, self._keeps_tensors = max_work, limits, keeps_tensors
        self._data = b""
        self._at = 0
        self._tensors: list[Array] = []
        self._n_tensors = 0

    def chunk(self, chunk: ChunkRead) -> None:
        """Take the next chunk, whose framing is good.  Raises FormatError."""
        if chunk.header.tag == assigned.MANIFEST:
            self._read_manifest(chunk)
        elif chunk.header.tag == assigned.TENSOR and self.manifest is not None:
            self._n_tensors += 1
            tensor = self._tensor(self.manifest, self._n_tensors - 1, chunk)
            if self._keeps_tensors:
                self._tensors.append(tensor)

    @property
    def at(self) -> int:
        """Where the manifest begins in the file."""
        return self._at

    def expects(self, chunk: ChunkRead) -> bool:
        """Whether the next tensor has the length of this chunk (M1-3, M1-4)."""
        tensors = () if self.manifest is None else self.manifest.tensors
        return self._n_tensors < len(tensors) and tensors[self._n_tensors].n_bytes == chunk.header.raw_bytes

    def _read_manifest(self, chunk: ChunkRead) -> None:
        """M1-1, M1-2 and M1-7, with the manifest's own rules."""
        if chunk.header.raw_bytes > MANIFEST_BYTES:
            what = f"a manifest of {chunk.header.raw_bytes} bytes, allowed are {MANIFEST_BYTES}"
            raise LimitExceeded("M1-1", chunk.payload_at, what)
        self._data, self._at = bytes(raw_payload(chunk, self.header)), chunk.payload_at
        if model_id(self._data) != self.header.model:
            raise ManifestInvalid("M1-2", chunk.payload_at, "not the manifest that the header's model id names")
        manifest = Manifest.parse(self._data, chunk.payload_at, minor=self.header.minor)
        work = manifest.n_multiply_adds + manifest.n_made
        if self._max_work is not None and work > self._max_work:
            raise LimitExceeded("M7-1", self._at, f"one row takes {work} operations, allowed are {self._max_work}")
        n_bytes = sum(tensor.n_bytes for tensor in manifest.tensors)
        if n_bytes > self._limits.package_bytes:
            what = f"tensors of {n_bytes} bytes together, allowed are {self._limits.package_bytes}"
            raise LimitExceeded("M2-6", self._at, what)
        self.manifest = manifest

    def _tensor(self, manifest: Manifest, number: int, chunk: ChunkRead) -> Array:
        if number >= len(manifest.tensors):
            raise StructureInvalid("M1-3", chunk.at, f"the manifest lists only {number} tensors")
        spec = manifest.tensors[number]
        check_length(spec, number, chunk.header.raw_bytes, chunk.payload_at)
        raw = raw_payload(chunk, self.header, ITEM_BYTES[spec.type])
        return read_tensor(spec, number, raw, chunk.payload_at)

    def trailer(self, event: TrailerRead) -> ModelPackage:
        """The package, all of whose chunks were taken without an error.  Raises FormatError."""
        self.end(event)
        return self.package()

    def end(self, event: TrailerRead) -> None:
        """Check the trailer against the manifest: M1-3, M1-2.  Raises FormatError."""
        assert self.manifest is not None
        if self._n_tensors < len(self.manifest.tensors):
            what = f"{self._n_tensors} tensors, the manifest lists {len(self.manifest.tensors)}"
            raise StructureInvalid("M1-3", event.at, what)
        if event.trailer.content_id != self.header.model:
            raise ContentMismatch("M1-2", event.at + 28, "the content id is not the model id")

    def package(self) -> ModelPackage:
        """The package after `end`: section 4 and the numbers of M6-1.  Raises FormatError."""
        assert self.manifest is not None and self._keeps_tensors
        return ModelPackage.assemble(self.manifest, self._data, tuple(self._tensors), at=self._at, name=self.name)


def _reader(seen: Iterator[Event], max_work: int | None = None, limits: Limits = DEFAULT) -> PackageReader:
    return PackageReader(package_header(seen), max_work=max_work, limits=limits)


def checked_name(name: str) -> str:
    """The name, if a package can have it (section 1).  Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a model's name is 1 to 64 letters, digits, dots, dashes, spaces or underscores, not {name!r}"
        )
    return name
