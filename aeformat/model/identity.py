"""The model id of a package, from its header alone (spec/model.md, section 1).

Needs no NumPy.  The header's claim is verified when the whole package is read (file_io.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from aeformat.container.header import ModelHeader
from aeformat.container.limits import DEFAULT
from aeformat.container.parser import Event, HeaderRead, Parser
from aeformat.errors import UsageError

_READ_BYTES: Final = 1 << 14


def read_model_id(source: str | Path | bytes) -> bytes:
    """The model id that the header of a package states, from its first bytes.  Raises FormatError, UsageError."""
    with open_package(source) as file:
        return package_header(_first_events(file)).model


def _first_events(file: BinaryIO) -> Iterator[Event]:
    """What the forward parser sees, in small steps.  (The reader's `events` would load what reads rows, which takes time.)"""
    parser = Parser(DEFAULT)
    while data := file.read(_READ_BYTES):
        yield from parser.feed(data)
    parser.close()


def open_package(source: str | Path | bytes) -> BinaryIO:
    """Open a package for reading: a file, or bytes in memory.  Raises UsageError."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}") from error


def package_header(seen: Iterator[Event]) -> ModelHeader:
    """The header, which comes first.  Raises FormatError; UsageError for a file of latents."""
    first = next(seen)
    assert isinstance(first, HeaderRead)
    if not isinstance(first.header, ModelHeader):
        raise UsageError("this file holds latents, not a model")
    return first.header
