"""Sizes that the format allows, and the lower ones that a reader may set (spec/container.md, section 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HEADER_BYTES: Final = 65_536  # C2-5
CHUNK_BYTES: Final = 268_435_456  # C4-4, raw
ROW_BYTES: Final = 268_435_456  # C3-13, raw
MANIFEST_BYTES: Final = 1_048_576  # M1-1
HEADER_DEPTH: Final = 4  # C3-5
MANIFEST_DEPTH: Final = 6  # spec/model.md, section 2
WINDOW_BYTES: Final = 8_388_608  # C6-5
NAME_BYTES: Final = 1_024  # C7-2
ALIGNMENT: Final = 64  # C4-9
WRITER_CHUNK_BYTES: Final = 1_048_576  # what a writer aims at; section 12


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reader accepts.  The defaults are the format's own; lower them to bound memory further."""

    chunk_bytes: int = CHUNK_BYTES


DEFAULT: Final = Limits()
