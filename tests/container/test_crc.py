"""aeformat.container.crc: the faster library computes the same, and is not needed."""

from __future__ import annotations

import subprocess
import sys
import zlib
from random import Random

import numpy as np
import pytest

from aeformat.container.crc import checksum

from .files import header, write

_FILE = write(np.random.default_rng(0).random((500, 64)), header("f64le", (64,)))


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 8, 63, 1000, 5000, 8191, 8192, 8193, 100_001])
@pytest.mark.parametrize("at", [0, 1])
def test_the_faster_checksum_is_the_same(n_bytes, at):
    """For each length, each alignment in memory, and each value before."""
    data = memoryview(Random(n_bytes).randbytes(n_bytes + at))[at:]
    for before in (0, 1, 0xFFFFFFFF):
        assert checksum(data, before) == zlib.crc32(data, before)
    assert checksum(data) == zlib.crc32(data)


@pytest.mark.parametrize("is_there", [False, True])
def test_the_faster_checksum_is_not_needed(is_there):
    """With and without ISA-L the same files are accepted and refused; if it is installed it is used."""
    if is_there:
        pytest.importorskip("isal")
    code = (
        "import sys\n"
        f"if not {is_there}: sys.modules['isal'] = None\n"
        "from aeformat.container.parser import Parser\n"
        "from aeformat.errors import FormatError\n"
        "data = bytearray(sys.stdin.buffer.read())\n"
        "parser = Parser()\n"
        "parser.feed(data)\n"
        f"good = parser.is_complete and bool(sys.modules.get('isal')) == {is_there}\n"
        "data[len(data) // 2] ^= 1\n"
        "try:\n"
        "    parser = Parser()\n"
        "    parser.feed(data)\n"
        "    parser.close()\n"
        "except FormatError as error:\n"
        "    good = good and error.rule == 'C4-11'\n"
        "sys.exit(not good or parser.is_complete)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], input=_FILE).returncode == 0
