"""Formats of arrays beside one another: bytes, speed, memory, and what becomes of flipped bits.  See __main__.py."""
