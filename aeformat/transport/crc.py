"""CRC-32 by the fastest library that is installed.

Owns the choice of that library.  ISA-L computes the same numbers as zlib, several times as fast.  The extra [net] installs it
where there is a wheel; nothing depends on it.  The reader uses the standard library only.
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
