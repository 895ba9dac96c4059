"""What reading a container holds in memory between two pieces is known (T7-5 of spec/transport.md)."""

from __future__ import annotations

from aeformat.container.header import LatentsHeader
from aeformat.container.parser import ChunkRead, HeaderRead, Parser
from aeformat.container.payloads import RowReader
from aeformat.container.wire import INDEX_ENTRY_BYTES
from container.priors import random_prior
from container.test_rans import file


def test_a_parser_holds_what_is_not_whole_and_the_index_so_far():
    """An entry for each chunk of rows, and the bytes behind the last whole structure."""
    parser = Parser()
    assert parser.held_bytes == 0
    data = file()
    n_chunks = sum(isinstance(event, ChunkRead) and event.header.tag == b"ROWS" for event in parser.feed(data[:-64]))
    assert n_chunks and parser.held_bytes == n_chunks * INDEX_ENTRY_BYTES
    parser.feed(b"TAIL")
    assert parser.held_bytes == n_chunks * INDEX_ENTRY_BYTES + 4


def test_a_prior_holds_its_arrays_and_its_lookup_tables_once_they_are_made():
    """The tables have two bytes for each of their slots at least."""
    prior = random_prior(1)
    before = prior.held_bytes
    assert before == sum(array.nbytes for array in (prior.classes, prior.tables, prior.means, prior.picks))
    assert prior.lookup
    assert prior.held_bytes >= before + 2 * prior.n_tables * (1 << prior.bits)


def test_a_reader_of_rows_holds_the_embedded_decoder_and_its_prior():
    """Until whoever has no use for the decoder drops it."""
    reader = decoder = None
    for event in Parser().feed(file(embed=True)):
        if isinstance(event, HeaderRead):
            assert isinstance(event.header, LatentsHeader)
            reader = RowReader(event.header)
            assert reader.held_bytes == 0
        elif isinstance(event, ChunkRead):
            reader.check(event)
            decoder = decoder or reader.decoder
    assert reader.held_bytes > len(decoder)
    reader.decoder = None
    assert reader.held_bytes == reader._prior.held_bytes
