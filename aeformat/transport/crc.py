"""CRC-32 for what passes through: the fastest that is at hand.

Owns that choice.  ISA-L's gives the same numbers as zlib's, several times as fast; it comes with the extra [net] where there
is a wheel, and nothing needs it.  The reader keeps to the standard library.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from aeformat.container.wire import Crc32

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None  # type: ignore[assignment]

__all__ = ["crc32"]


def _fast(data: bytes | memoryview, value: int = 0, /) -> int:
    found: int = isal_zlib.crc32(data, value)
    # ISA-L leaves the upper halves of vector registers marked as used (it does not run VZEROUPPER), and until something
    # clears them OpenSSL's SHA-256 is a third slower on AMD's Zen 4.  Its SHA-512 clears them, in half a microsecond.
    hashlib.sha512(b"").digest()
    return found


crc32: Final[Crc32] = zlib.crc32 if isal_zlib is None else _fast
