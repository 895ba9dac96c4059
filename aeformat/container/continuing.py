"""Going on with a file that was written before, complete or cut (spec/container.md, sections 9 and 10).

Owns how far a file is whole, and what a writer must know of it: a pass over all its rows, because the
content id is computed over them.  Knows nothing of locks and disks.
"""

from __future__ import annotations

from typing import BinaryIO, Final, NamedTuple

from aeformat.container import assigned
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.field_types import FieldTypes
from aeformat.container.header import LatentsHeader
from aeformat.container.parser import ChunkRead, Event, HeaderRead, Parser, TrailerRead
from aeformat.container.payloads import Block, RowReader
from aeformat.container.ragged import RaggedRows
from aeformat.container.sequence import ChunkSequence, raise_first
from aeformat.container.stream import latents_header
from aeformat.errors import FormatError

_READ_BYTES: Final = 1 << 20


class WrittenSoFar(NamedTuple):
    """What is whole of a file.  end: byte behind it.  damage: what comes there, if the file does not end or is complete.

    front: preamble and header as they stand in the file.  rows: what has read them, with content id and budget so far.
    """

    header: LatentsHeader
    header_crc: int
    front: bytes
    end: int
    sequence: ChunkSequence
    rows: RowReader
    n_values: int
    n_chunks: int
    has_receipts: bool
    field_types: FieldTypes | None
    damage: FormatError | None


def read_written(file: BinaryIO, prior: DecoderPrior | None = None) -> WrittenSoFar:
    """Read a file of latents from its beginning, as far as it is whole.  prior: of its decoder, for codec rans.

    Raises FormatError where there is no whole header, UsageError (a model package), DecoderMissing.
    """
    reading: _Written | None = None
    parser = Parser()
    try:
        while data := file.read(_READ_BYTES):
            for event in parser.each(data):
                if isinstance(event, HeaderRead):
                    reading = _Written(event, prior)
                elif reading is not None:
                    reading.take(event)
        parser.close()
    except FormatError as error:
        if reading is None:
            raise
        return reading.result(error)
    assert reading is not None  # the parser would have raised
    return reading.result(None)


class _Written:
    def __init__(self, first: HeaderRead, prior: DecoderPrior | None) -> None:
        self._first, self._header = first, latents_header(first.header)
        self._sequence, self._rows = ChunkSequence(self._header), RowReader(self._header)
        if prior is not None and self._header.codec == "rans":
            self._rows.give_prior(prior)
        self._end, self._mark = first.end, self._sequence.mark()
        self._n_values = self._n_chunks = 0
        self._has_receipts = False

    def take(self, event: Event) -> None:
        """The next chunk; raises what is broken in it."""
        if isinstance(event, TrailerRead):
            self._rows.trailer(event)
            return
        assert isinstance(event, ChunkRead)
        raise_first(self._sequence.check(event.header, event.at))
        if event.header.tag == assigned.SIZES:
            raise_first(self._sequence.take_sizes(event.stored, event.payload_at))
        block = self._rows.chunk(event)
        if block is not None:
            self._count(block)
        if event.header.tag != assigned.INDEX and not self._sequence.is_waiting:
            self._end, self._mark = event.payload_at + len(event.stored), self._sequence.mark()

    def _count(self, block: Block) -> None:
        values = block.values.flat if isinstance(block.values, RaggedRows) else block.values
        self._n_values += int(values.size)
        self._n_chunks += 1
        self._has_receipts |= block.receipts is not None

    def result(self, damage: FormatError | None) -> WrittenSoFar:
        """What was whole."""
        self._sequence.rewind(self._mark)
        return WrittenSoFar(
            self._header, self._first.header_crc, self._first.front, self._end, self._sequence, self._rows,
            self._n_values, self._n_chunks, self._has_receipts, self._rows.field_types if self._n_chunks else None, damage,
        )  # fmt: skip
