"""The package's readers, one call each, for any file of either kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aeformat.backends.numpy_passes import prior_of
from aeformat.container.assigned import DECODER
from aeformat.container.columns import RowFields
from aeformat.container.encodings import content_bytes
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.parser import Event, HeaderRead, Parser, TrailerRead
from aeformat.container.payloads import RowReader
from aeformat.container.ragged import RaggedRows
from aeformat.container.receipts import Receipts
from aeformat.container.wire import Trailer
from aeformat.model.file_io import PackageReader, read_package
from aeformat.model.package import ModelPackage


@dataclass
class Reading:
    """What a forward reader has seen.  values: as the content id is computed over.  The lists have one entry for each ROWS."""

    header: Header | None = None
    values: bytes = b""
    names: list[RowNames | None] = field(default_factory=list)
    receipts: list[Receipts | None] = field(default_factory=list)
    sizes: list[list[list[int]] | None] = field(default_factory=list)
    fields: list[RowFields | None] = field(default_factory=list)
    package: ModelPackage | None = None
    trailer: Trailer | None = None
    _rows: RowReader | None = None
    _model: PackageReader | None = None

    def event(self, event: Event) -> None:
        """Take what the parser found."""
        if isinstance(event, HeaderRead):
            self.header = event.header
            if isinstance(event.header, LatentsHeader):
                self._rows = RowReader(event.header)
            else:
                self._model = PackageReader(event.header)
        elif isinstance(event, TrailerRead):
            self.trailer = event.trailer
            if self._rows is not None:
                self._rows.trailer(event)
            else:
                assert self._model is not None
                self._model.end(event)
        elif self._rows is not None:
            assert isinstance(self.header, LatentsHeader)
            block = self._rows.chunk(event)
            if event.header.tag == DECODER and self.header.codec == "rans" and self._rows.needs_prior:
                self._rows.give_prior(prior_of(read_package(event.stored)))
            if block is not None:
                self.values += plain_values(block.values, self.header)
                self.sizes.append(plain_sizes(block.values))
                self.names.append(block.names)
                self.receipts.append(block.receipts)
                self.fields.append(block.fields)
        else:
            assert self._model is not None
            self._model.chunk(event)

    def end(self) -> None:
        """What takes the whole file."""
        if self._model is not None:
            self.package = self._model.package()


def with_prior(latents: Any) -> Any:
    """A reader of latents; with the prior of its embedded decoder, if that takes a network."""
    if latents.needs_prior and latents.embedded_decoder is not None:
        latents.give_prior(prior_of(read_package(latents.embedded_decoder)))
    return latents


def read_forward(pieces: Iterable[bytes]) -> Reading:
    """Read a file that arrives in pieces.  Raises FormatError."""
    parser, reading = Parser(), Reading()
    for piece in pieces:
        for event in parser.feed(piece):
            reading.event(event)
    parser.close()
    reading.end()
    return reading


def plain_values(values: Any, header: LatentsHeader) -> bytes:
    """The values of rows as the vectors' JSON has them, without their sizes."""
    return bytes(content_bytes(values.flat if isinstance(values, RaggedRows) else values, header))


def plain_sizes(values: Any) -> list[list[int]] | None:
    """The entries of the SIZE of rows of their own size."""
    return [[run.n_rows, *run.sizes] for run in values.sizes.runs()] if isinstance(values, RaggedRows) else None


def plain_names(names: RowNames | None) -> dict[str, Any] | None:
    """Row names as the vectors' JSON has them."""
    if names is None:
        return None
    columns = {"labels": names.labels, "names": names.names, "sources": names.sources}
    return {
        key: [{"hex": item.hex()} if isinstance(item, bytes) else item for item in column]
        for key, column in columns.items()
        if column is not None
    }


def plain_fields(fields: RowFields | None) -> dict[str, Any] | None:
    """Fields as the vectors' JSON has them."""
    if fields is None:
        return None
    return {name: [_plain_value(value) for value in fields[name]] for name in sorted(fields.types, key=str.encode)}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, np.ndarray):
        return [_plain_value(item) for item in value.reshape(-1)]
    if isinstance(value, np.floating) and not np.isfinite(value):
        return {"hex": np.array(value, "<f8").tobytes().hex()}
    return value.item() if isinstance(value, np.generic) else value
