"""Reading latents forward, from any stream: files, pipes, sockets; every byte is checked.

Owns what LatentStream hands out and when; framing is parser.py's, what rows mean is payloads.py's.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import BinaryIO, Final

from aeformat.container import assigned
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.described import Described
from aeformat.container.header import Header, LatentsHeader, ModelHeader
from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.parser import ChunkRead, Event, HeaderRead, Parser, TrailerRead
from aeformat.container.payloads import Block, RowReader
from aeformat.container.wire import Trailer
from aeformat.errors import FormatError, Hint, UsageError
from aeformat.paths import named

_READ_BYTES: Final = 1 << 18  # a quarter of a usual chunk


def events(file: BinaryIO, limits: Limits = DEFAULT) -> Iterator[Event]:
    """What the forward parser sees in a stream, to its end.  Raises FormatError."""
    parser = Parser(limits)
    while data := file.read(_READ_BYTES):
        yield from parser.feed(data)
    parser.close()


class LatentStream:
    """The blocks of a latents file, read forward.  Iterate once (UsageError after that); memory is bounded by one chunk.

    recover: stop quietly at the first broken byte instead of raising; `damage` then says what it was.  Everything before it has
    been checked.  Rows of codec rans take the decoder's prior: from the embedded decoder, else from `give_prior`.
    closes: whether `close`, or the end of a `with`, closes the file too.  name: of the file, for errors.
    find_prior: asked for the prior of the file's decoder when rows first take one that is not inside the file.
    Raises FormatError on iteration, and on construction if there is no good header; DecoderMissing for rows without prior.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        recover: bool = False,
        limits: Limits = DEFAULT,
        closes: bool = False,
        name: str | None = None,
        find_prior: Callable[[LatentStream], DecoderPrior] | None = None,
    ) -> None:
        self.name = name
        self._events = events(file, limits)
        self._recover = recover
        self._closed_with = file if closes else None
        self.damage: FormatError | None = None
        self.trailer: Trailer | None = None
        with named(name):
            first = next(self._events)
            assert isinstance(first, HeaderRead)
            self.header = latents_header(first.header)
        find = None if find_prior is None else partial(find_prior, self)
        self._rows = RowReader(self.header, limits=limits, find_prior=find)
        self._ahead: Event | None = None  # looked at before its turn
        self._is_ahead = False  # whether the place where a decoder can stand has been passed
        self._has_begun = self._is_closed = False

    @property
    def described(self) -> Described | None:
        """What the latents are, where the header says it (spec/container.md, section 3.3)."""
        return self.header.described

    @property
    def needs_prior(self) -> bool:
        """Whether the rows cannot be read before `give_prior`: codec rans, and no decoder inside, or one with passes."""
        if self.header.codec != "rans":
            return False
        _ = self.embedded_decoder  # whose prior the rows take
        return self._rows.needs_prior

    def give_prior(self, prior: DecoderPrior) -> None:
        """The prior of the file's decoder (decoder_prior.py).  Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16)."""
        self._rows.give_prior(prior)

    @property
    def embedded_decoder(self) -> bytes | None:
        """The container of the decoder that travels in this file, if one does: it stands before the first row."""
        if not self._is_ahead:
            self._is_ahead = True
            try:
                self._ahead = next(filter(self._is_known, self._events), None)
            except FormatError as error:
                self._note(error)
            if isinstance(self._ahead, ChunkRead) and self._ahead.header.tag == assigned.DECODER:
                self._rows.chunk(self._ahead)
        return self._rows.decoder

    @staticmethod
    def _is_known(event: Event) -> bool:
        return not isinstance(event, ChunkRead) or event.header.tag in assigned.KIND_OF_TAG

    def __iter__(self) -> Iterator[Block]:
        """The blocks.  Raises UsageError where they have been asked for before, or the stream is closed; FormatError again."""
        if self.damage is not None and not self._recover:
            raise self.damage
        if self._has_begun or self._is_closed:
            what = "is closed" if self._is_closed else "has been read already"
            raise UsageError(f"this stream {what}; make another one with aeformat.stream")
        self._has_begun = True
        return self._checked_blocks()

    def _checked_blocks(self) -> Iterator[Block]:
        try:
            if self.damage is not None:  # found earlier, and what comes after it is not to be had
                raise self.damage
            yield from self._blocks()
        except FormatError as error:
            self._note(error)

    def _note(self, error: FormatError) -> None:
        """What the damage is.  Raises it, unless the rows before it are wanted."""
        error.source = error.source or self.name
        self.damage = error
        if not self._recover:
            raise error

    def _blocks(self) -> Iterator[Block]:
        self._is_ahead = True
        if self._ahead is not None:
            event, self._ahead = self._ahead, None
            yield from self._block(event)
        for event in self._events:
            yield from self._block(event)

    def _block(self, event: Event) -> Iterator[Block]:
        if isinstance(event, TrailerRead):
            self._rows.trailer(event)
            self.trailer = event.trailer
        elif isinstance(event, ChunkRead):
            block = self._rows.chunk(event)
            if block is not None:
                yield block

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._is_closed = True
        if self._closed_with is not None:
            self._closed_with.close()

    def __enter__(self) -> LatentStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream_latents(
    source: BinaryIO | str | os.PathLike[str],
    *,
    recover: bool = False,
    limits: Limits = DEFAULT,
    find_prior: Callable[[LatentStream], DecoderPrior] | None = None,
) -> LatentStream:
    """The blocks of a latents file, read forward: from a binary stream, or from a path.  See LatentStream.

    A file that is opened by its path is closed at the end of a `with`.  Raises OSError, FormatError, UsageError.
    """
    if not isinstance(source, (str, os.PathLike)):
        _check_stream(source)
        return LatentStream(source, recover=recover, limits=limits, find_prior=find_prior)
    file = open(source, "rb")  # noqa: PTH123, SIM115 - pathlib costs start-up time that embedders would pay
    try:
        name = os.fspath(source)
        return LatentStream(file, recover=recover, limits=limits, closes=True, name=name, find_prior=find_prior)
    except BaseException:
        file.close()
        raise


def _check_stream(source: object) -> None:
    if isinstance(source, (bytes, bytearray, memoryview)):
        raise UsageError("bytes are no stream: give io.BytesIO(data), or the path as a str")
    if not callable(getattr(source, "read", None)):
        raise UsageError(
            f"a stream is a path or a file that is open for reading, and this is of type {type(source).__name__}"
        )
    if isinstance(source, io.TextIOBase):
        raise UsageError('the file is open as text; open it with "rb"')
    if getattr(source, "closed", False):
        raise UsageError("the file is closed")


def latents_header(header: Header) -> LatentsHeader:
    """The header, if it is that of a latents file.  Raises UsageError for a model package."""
    if isinstance(header, ModelHeader):
        raise UsageError("this is a model package, not a file of latents", hint=Hint.OPEN_AS_MODEL)
    return header
