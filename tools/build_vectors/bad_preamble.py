"""Invalid: the first 24 bytes, and what transfers do to them (sections 2 and 10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tools.build_vectors.case import Case, bad
from tools.build_vectors.latents import SMALL, Latents

_DRAFT = SMALL.draft
_GOOD = _DRAFT.build()
_TEXT = Latents(blocks=[[[1.0, 2.0], [3.0, 4.0]]], dims=[2], encoding="text19").draft.build().data


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _magic()
    yield from _fields()
    for bit in range(16):
        yield bad(40 + bit, f"flag-bit-{bit}", replace(_DRAFT, flags=1 << bit).build(), "C2-4", 10,
                  f"Flag bit {bit} is set: a change that this reader cannot live with.")  # fmt: skip


def _magic() -> Iterator[Case]:
    for number, n_bytes, why in (
        (1, 0, "An empty file: it ends inside the preamble."),
        (2, 1, "One byte, and it is the right one."),
        (3, 7, "The file ends inside the magic, which is right as far as it goes."),
        (4, 8, "The magic and nothing else."),
        (5, 23, "The file ends one byte before the preamble does."),
        (6, 24, "The file ends where its header should begin."),
        (7, 60, "The file ends inside its header."),
        (8, 24 + len(_DRAFT.header) - 1, "The file ends one byte before its header does."),
    ):
        yield bad(number, f"cut-at-{n_bytes}", _GOOD.cut(n_bytes), "C2-7", n_bytes, why)
    data = _GOOD.data
    for number, name, changed, why in (
        (10, "seven-bit", bytes(byte & 0x7F for byte in data), "A transfer cleared the upper bit of every byte."),
        (11, "lf-to-crlf", _TEXT.replace(b"\n", b"\r\n"), "A text-mode transfer turned every LF into CR LF."),
        (12, "crlf-to-lf", data.replace(b"\r\n", b"\n"), "A text-mode transfer turned every CR LF into LF."),
        (13, "stops-at-ctrl-z", data[:4] + b"\n\x1a", "The magic lost its CR, and the file was cut at 0x1A."),
        (
            14,
            "latin-1-to-utf-8",
            data.decode("latin-1").encode("utf-8"),
            "Bytes taken for Latin-1 and written as UTF-8.",
        ),
        (15, "png", b"\x89PNG\r\n\x1a\n" + data[8:], "Another format whose magic has the same form."),
        (16, "byte-in-front", b"\0" + data, "One byte in front of a good file."),
        (17, "byte-order-mark", b"\xef\xbb\xbf" + data, "A byte order mark in front of a good file."),
        (18, "zip", b"PK\x03\x04" + bytes(60), "A ZIP archive."),
        (19, "magic-cut-and-wrong", b"\x89AEX", "Four bytes, the last of which is wrong: they cannot begin the magic."),
    ):
        yield bad(number, name, changed, "C2-1", 0, why)


def _fields() -> Iterator[Case]:
    for number, major in ((20, 0), (21, 2), (22, 255)):
        yield bad(number, f"major-{major}", replace(_DRAFT, major=major).build(), "C2-2", 8, f"Major version {major}.")
    ahead = replace(_DRAFT, major=2, flags=0xFFFF, header_len=0, preamble_crc=0).build()
    yield bad(
        23, "major-2-and-all-else-wrong", ahead, "C2-2", 8, "Refused by its version before anything else is looked at."
    )
    yield bad(24, "preamble-crc-flipped", _GOOD.flip(20), "C2-3", 20, "A bit of preamble_crc is flipped.")
    yield bad(
        25, "minor-flipped", _GOOD.flip(9), "C2-3", 20, "A bit of the minor version is flipped: the checksum covers it."
    )
    yield bad(26, "header-len-flipped", _GOOD.flip(12), "C2-3", 20, "A bit of header_len is flipped.")
    yield bad(
        27, "header-crc-flipped", _GOOD.flip(16), "C2-3", 20, "A bit of header_crc is flipped: preamble_crc covers it."
    )
    yield bad(28, "header-len-0", replace(_DRAFT, header_len=0).build(), "C2-5", 12, "A header of no bytes.")
    yield bad(
        29, "header-len-65537", replace(_DRAFT, header_len=65_537).build(), "C2-5", 12, "One byte over the limit."
    )
    yield bad(30, "header-len-4-GiB", replace(_DRAFT, header_len=2**32 - 1).build(), "C2-5", 12,
              "Refused before memory is taken for it.")  # fmt: skip
    past = replace(_DRAFT, header_len=65_536).build()
    yield bad(
        31,
        "header-past-the-end",
        past,
        "C2-7",
        len(past.data),
        "An allowed length that reaches past the end of the file.",
    )
    wrong = replace(_DRAFT, header_crc=0x01020304).build()
    yield bad(
        32, "header-crc-wrong", wrong, "C2-6", 24, "header_crc is not that of the header; all else is bound to it."
    )
    yield bad(33, "header-byte-flipped", _GOOD.flip(40), "C2-6", 24, "A bit of the header is flipped.")
    yield bad(34, "all-zero", bytes(200), "C2-1", 0, "200 zero bytes: a file that was allocated and never written.")
