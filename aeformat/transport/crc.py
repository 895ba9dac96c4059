"""CRC-32 for what passes through: the fastest that is at hand.

Owns that choice.  ISA-L's gives the same numbers as zlib's, several times as fast; it comes with the extra [net] where there
is a wheel, and nothing needs it.  The reader keeps to the standard library.
"""

from __future__ import annotations

try:
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
