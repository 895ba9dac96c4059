"""CRC-32 by the fastest library that is installed: zlib's, or that of ISA-L, several times as fast (extra [fast]).

Owns the choice of that library; both compute the same numbers.  ISA-L is loaded with the first bytes that are worth it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_LARGE_BYTES: Final = 1 << 13  # less takes zlib about as long as it takes to ask ISA-L


def checksum(data: bytes | memoryview, before: int = 0) -> int:
    """zlib.crc32(data, before)."""
    return zlib.crc32(data, before) if len(data) < _LARGE_BYTES else _of_large()(data, before)


@lru_cache(maxsize=1)
def _of_large() -> Callable[[bytes | memoryview, int], int]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32

    def by_isal(data: bytes | memoryview, before: int) -> int:
        found: int = isal_zlib.crc32(data, before)
        # ISA-L leaves the upper halves of vector registers marked as used (it does not run VZEROUPPER), and until something
        # clears them OpenSSL's SHA-256 is a third slower on AMD's Zen 4.  Its SHA-512 clears them, in half a microsecond.
        hashlib.sha512(b"").digest()
        return found

    return by_isal
