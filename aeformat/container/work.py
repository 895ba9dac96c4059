"""The work of a file: what checking it costs, counted before it is done (spec/container.md, C13-1).

Owns the units and the budget.  Sees chunk headers, and of a code its first byte.  What a network costs is model/work.py's
business; who refuses a file, the validator's.
"""

from __future__ import annotations

from typing import Final

from aeformat.container import assigned, rans
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.limits import DEFAULT, WORK_A_BYTE, Limits
from aeformat.container.parser import ChunkRead
from aeformat.errors import LimitExceeded

RAW_BYTE: Final = 4
NAME_BYTE: Final = 512
FIELDS_BYTE: Final = 28
TEXT_CELL: Final = 4_096
RANS_STEP: Final = 256
RANS_SYMBOL: Final = 16


def work_of(chunk: ChunkRead, header: Header) -> int:
    """The units of one chunk whose framing is good; 0 for a code that is refused at its first bytes (C6-7 to C6-10)."""
    tag, raw_bytes = chunk.header.tag, chunk.header.raw_bytes
    if tag not in assigned.KIND_OF_TAG or tag == assigned.DECODER:  # skipped; a file of its own
        return 0
    units = RAW_BYTE * raw_bytes
    if tag in (assigned.NAME, assigned.SIZES):
        units += NAME_BYTE * raw_bytes
    elif tag == assigned.FIELDS:
        units += FIELDS_BYTE * raw_bytes
    elif tag == assigned.ROWS and isinstance(header, LatentsHeader):
        try:
            units += _of_rows(chunk, header)
        except rans.BadCode:
            return 0
    return units


def _of_rows(chunk: ChunkRead, header: LatentsHeader) -> int:
    """What rows cost beside their raw bytes.  Raises BadCode."""
    if header.encoding_spec.is_text:
        return TEXT_CELL * (chunk.header.raw_bytes // header.encoding_spec.n_bytes)
    n_rows, n_values = chunk.header.n_rows, header.n_values
    if header.codec != "rans" or chunk.header.stored_bytes == chunk.header.raw_bytes:
        return 0
    if header.has_free_sizes:  # what passes take is known once their decoder is at hand
        return 0
    n_lanes = rans.check_code(chunk.stored, n_rows=n_rows, n_values=n_values)
    return RANS_STEP * rans.n_steps(n_rows, n_lanes, n_values) + RANS_SYMBOL * n_rows * (n_values + 1)


class WorkBudget:
    """What one file may cost: Limits.work, and a share for each of its bytes."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self.n_used = 0

    def charge(self, units: int, *, n_bytes: int, at: int, what: str) -> None:
        """Count work that is about to be done.  n_bytes: of the file so far.  Raises LimitExceeded (C13-1)."""
        allowed = self._limits.work + WORK_A_BYTE * n_bytes
        if self.n_used + units > allowed:
            left = max(allowed - self.n_used, 0)
            raise LimitExceeded(
                "C13-1", at, f"{what} takes {units} units of work, {left} are left for a file this small"
            )
        self.n_used += units
