"""The forward parser: bytes in, verified chunks out (spec/container.md, sections 2 to 4, 8 and 9).

Owns where one structure ends and the next begins, and the order of checks.  Does no I/O: feed it bytes as they come, in pieces
of any size.  Knows nothing of what rows mean; payloads are handed out as stored, after their checksum was found
good.  Memory is bounded by the largest chunk that the limits allow, and is taken only as bytes arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple
from zlib import crc32

from aeformat.container import assigned, wire
from aeformat.container.header import Header, parse_header
from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.sequence import ChunkSequence, most_bytes, padding_bytes
from aeformat.container.sizes import RowSizes
from aeformat.container.wire import ChunkHeader, Preamble, Trailer
from aeformat.errors import ChecksumMismatch, FormatError, StructureInvalid, Truncated

_SMALL_BYTES: Final = 1 << 14


class HeaderRead(NamedTuple):
    """The header is known; its chunks come next.  front: preamble and header as they stand in the file."""

    header: Header
    header_crc: int
    end: int  # byte after the header
    front: bytes


class ChunkRead(NamedTuple):
    """One whole chunk.  stored: its payload as it stands in the file.  is_good: all of section 4 held.

    front: what stands before the payload, header and padding; nothing where the chunk was not read in passing.
    sizes: of the rows of a ROWS.
    """

    number: int
    at: int  # of the chunk header
    payload_at: int
    header: ChunkHeader
    stored: bytes
    is_good: bool = True
    front: bytes = b""
    sizes: RowSizes | None = None


class TrailerRead(NamedTuple):
    """The file is complete.  Whether its content id is right is for whoever decodes the rows (C9-6)."""

    trailer: Trailer
    at: int
    front: bytes


Event = HeaderRead | ChunkRead | TrailerRead  # `front`s and `stored`s in order are the file
OnProblem = Callable[[FormatError], None]


def raise_problem(error: FormatError) -> None:
    """What a reader does with a problem."""
    raise error


class _Buffer:
    """Bytes fed and not used up: large pieces as they came, small ones together."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self._small = bytearray()  # behind the pieces
        self.n_bytes = 0

    def add(self, data: bytes | memoryview) -> None:
        """Keep these bytes; a large piece is not copied."""
        self.n_bytes += len(data)
        if len(data) < _SMALL_BYTES:
            self._small += data
        else:
            self._gather()
            self._pieces.append(memoryview(data))
        if len(self._small) >= _SMALL_BYTES:
            self._gather()

    def _gather(self) -> None:
        if self._small:
            self._pieces.append(memoryview(self._small))
            self._small = bytearray()

    def peek(self, n_bytes: int) -> bytes:
        """The first n_bytes, fewer if there are not so many."""
        front = b""
        for piece in self._pieces:
            front += piece[: n_bytes - len(front)]
            if len(front) == n_bytes:
                return front
        return front + bytes(self._small[: n_bytes - len(front)])

    def take(self, n_bytes: int) -> bytes:
        """The first n_bytes, which must be there."""
        self.n_bytes -= n_bytes
        taken: list[memoryview] = []
        while n_bytes:
            if not self._pieces:
                self._gather()
            piece = self._pieces[0]
            if len(piece) > n_bytes:
                self._pieces[0] = piece[n_bytes:]
            else:
                self._pieces.popleft()
            taken.append(piece[:n_bytes])
            n_bytes -= len(taken[-1])
        return b"".join(taken)


class Parser:
    """Feed it a file from its first byte; it returns events, and raises FormatError at the first broken rule.

    What is fed must not be written over before it is used up.

    A validator that wants every problem passes `on_problem`: it is told of each problem after which the parser can go
    on.  What leaves the parser without a place to go on from is raised all the same.
    """

    def __init__(self, limits: Limits = DEFAULT, *, on_problem: OnProblem = raise_problem) -> None:
        self._limits, self._on_problem = limits, on_problem
        self._buffer = _Buffer()
        self._at = 0  # in the file, of the first byte that is not used up
        self._step: Callable[[], Event | None] = self._read_preamble
        self._preamble: Preamble | None = None
        self._header: Header | None = None
        self._sequence: ChunkSequence | None = None
        self._chunk: ChunkHeader | None = None  # the chunk whose payload is awaited
        self._chunk_at = 0
        self._front = b""  # of the structure that is not whole yet: what is used up of it
        self._before: dict[str, object] = {}  # the sequence, before that chunk
        self._is_good = True
        self._failed: FormatError | None = None  # found behind events that had to be handed out first
        self.verified_at = 0  # end of the last whole good structure: what a transfer may resume from
        self.is_complete = False

    def feed(self, data: bytes | memoryview) -> list[Event]:
        """Take the next bytes of the file, return what they complete.

        Raises FormatError; where good structures came before the broken one, they are returned first and the next call
        raises, so that what a reader sees does not depend on how the bytes were cut.
        """
        events: list[Event] = []
        try:
            for event in self.each(data):
                events.append(event)
        except FormatError:
            if not events:
                raise
        return events

    def each(self, data: bytes | memoryview) -> Iterator[Event]:
        """The same one by one, to be taken to the end: `on_problem` is told of a problem after the events before it."""
        self._raise_failed()
        self._buffer.add(data)
        try:
            while (event := self._step()) is not None:
                yield event
        except FormatError as error:
            self._failed = error
            raise

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed

    def rewind(self) -> None:
        """Forget what came after `verified_at`: the next bytes fed are the ones from there on.

        Takes the same time however long the file is.  Not after an error that `on_problem` did not raise.
        """
        self._buffer = _Buffer()
        self._failed = None
        self._at = self.verified_at
        if self._sequence is None:
            self._step, self._preamble = self._read_preamble, None
        elif not self.is_complete:
            if self._chunk is not None:
                self._sequence.rewind(self._before)
                self._chunk = None
            self._step = self._read_chunk_header

    @property
    def held_bytes(self) -> int:
        """The memory that it takes between two pieces: what is not used up, and the index that the chunks so far demand."""
        return self._buffer.n_bytes + (0 if self._sequence is None else self._sequence.held_bytes)

    def close(self) -> None:
        """Say that the file ends here.  Raises Truncated, by the rule of the place, if it must not end here."""
        self._raise_failed()
        end = self._at + self._buffer.n_bytes
        if self._preamble is None:
            Preamble.parse(self._buffer.peek(wire.PREAMBLE_BYTES))
        elif self._sequence is None:
            raise Truncated("C2-7", end, "the file ends inside its header")
        elif self._chunk is not None:
            raise Truncated("C4-10", end, f"the file ends inside chunk {self._sequence.n_chunks - 1}")
        elif not self.is_complete:
            if assigned.TRAILER.startswith(self._buffer.peek(4)):
                raise wire.incomplete(end)
            raise Truncated("C4-1", end, f"the file ends inside the header of chunk {self._sequence.n_chunks}")

    def _take(self, n_bytes: int) -> bytes | None:
        """The next n_bytes, or None while they are not all there."""
        if self._buffer.n_bytes < n_bytes:
            return None
        self._at += n_bytes
        return self._buffer.take(n_bytes)

    def _problems(self, errors: Iterable[FormatError]) -> None:
        for error in errors:
            self._is_good = False
            self._on_problem(error)

    # One step for each structure: the event it makes, or None while bytes are missing.

    def _read_preamble(self) -> Event | None:
        data = self._take(wire.PREAMBLE_BYTES)
        if data is None:
            wire.check_magic(self._buffer.peek(wire.PREAMBLE_BYTES))  # what is no .aef at all is refused at once
            return None
        self._preamble, self._front = Preamble.parse(data), data
        self._step = self._read_header
        return self._step()

    def _read_header(self) -> Event | None:
        assert self._preamble is not None
        data = self._take(self._preamble.header_bytes)
        if data is None:
            return None
        if crc32(data) != self._preamble.header_crc:
            raise ChecksumMismatch("C2-6", wire.PREAMBLE_BYTES, "the header's checksum does not match")
        self._header = parse_header(data, wire.PREAMBLE_BYTES, self._preamble.flags)
        self._sequence = ChunkSequence(self._header)
        self._step = self._read_chunk_header
        self.verified_at = self._at
        return HeaderRead(self._header, self._preamble.header_crc, self._at, self._front + data)

    def _read_chunk_header(self) -> Event | None:
        if self._buffer.peek(4) == assigned.TRAILER:
            return self._read_trailer()
        data = self._take(wire.CHUNK_HEADER_BYTES)
        if data is None:
            return None
        assert self._preamble is not None and self._sequence is not None
        at = self._at - len(data)
        chunk = ChunkHeader.parse(data, at, self._preamble.header_crc, self._sequence.n_chunks)
        chunk.check_sizes(at, most_bytes(chunk.tag, self._limits))
        self._is_good = True
        self._chunk, self._chunk_at, self._front = chunk, at, data
        self._before = self._sequence.mark()
        self._problems(self._sequence.check(chunk, at))
        self._step = self._read_payload
        return self._step()

    def _read_payload(self) -> Event | None:
        chunk = self._chunk
        assert chunk is not None and self._header is not None
        assert self._preamble is not None and self._sequence is not None
        padding = padding_bytes(self._header, chunk.tag, self._at)
        if self._buffer.n_bytes < padding + chunk.stored_bytes:
            return None
        zeros, stored = self._take(padding), self._take(chunk.stored_bytes)
        assert zeros is not None and stored is not None
        payload_at = self._at - chunk.stored_bytes
        if any(zeros):
            first = next(i for i, byte in enumerate(zeros) if byte)
            self._problems([StructureInvalid("C4-9", payload_at - padding + first, "padding is not zero")])
        number = self._sequence.n_chunks - 1
        if wire.bound_crc(self._preamble.header_crc, number, stored) != chunk.payload_crc:
            what = f"the checksum of chunk {number}'s payload does not match"
            self._problems([ChecksumMismatch("C4-11", payload_at, what)])
        elif chunk.tag == assigned.INDEX:
            self._problems(self._sequence.check_index(stored, payload_at))
        elif chunk.tag == assigned.SIZES and self._header.flags & assigned.FREE_SIZES:
            self._problems(self._sequence.take_sizes(stored, payload_at))
        sizes = self._sequence.row_sizes if chunk.tag == assigned.ROWS else None
        is_good = self._is_good and (sizes is not None or chunk.tag != assigned.ROWS)  # a SIZE before it was bad
        self._chunk = None
        self._step = self._read_chunk_header
        self.verified_at = self._at
        return ChunkRead(number, self._chunk_at, payload_at, chunk, stored, is_good, self._front + zeros, sizes)

    def _read_trailer(self) -> Event | None:
        data = self._take(wire.TRAILER_BYTES)
        if data is None:
            return None
        assert self._preamble is not None and self._sequence is not None
        at = self._at - len(data)
        trailer = Trailer.parse(data, at, self._preamble.header_crc)
        self._problems(self._sequence.check_trailer(trailer, at))
        self.is_complete = True
        self.verified_at = self._at
        self._step = self._after_trailer
        return TrailerRead(trailer, at, data)

    def _after_trailer(self) -> Event | None:
        if self._buffer.n_bytes:
            raise StructureInvalid("C9-7", self._at, "there are bytes after the trailer")
        return None
