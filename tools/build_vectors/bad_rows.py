"""Invalid: text cells and numbers (section 5).  Every checksum is right."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Draft
from tools.build_vectors.latents import Latents
from tools.build_vectors.numbers import VALUE_BYTES, encode

_CELL = 27
_TEXT = Latents(blocks=[[[1.0, 0.1], [-2.5, 3.0]]], dims=[2], encoding="text19")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _grammar()
    yield from _rounding()
    yield from _not_finite()
    yield from _not_exact()
    yield from _order()


def _raw(base: Latents, raw: bytes) -> Draft:
    """The file of `base` with other bytes in its one chunk of rows."""
    draft = base.draft
    return replace(draft, chunks=(*draft.chunks[:-1], replace(draft.chunks[-1], payload=raw)))


def _text(number: int, name: str, at: int, new: bytes, rule: str, why: str, error_at: int | None = None) -> Case:
    """`new` in the place of what stands `at` bytes into the text; the error is at `error_at`, by default `at`."""
    good = encode(_TEXT.blocks[0], "text19")
    file = _raw(_TEXT, good[:at] + new + good[at + len(new) :]).build()
    return bad(number, f"text-{name}", file, rule, file.payload_at[0] + (at if error_at is None else error_at), why)


def _grammar() -> Iterator[Case]:
    second = _CELL
    for number, name, at, new, why in (
        (330, "underscore", second + 5, b"_", "Some languages allow underscores between digits."),
        (331, "space-in-cell", second + 5, b" ", "A space inside a cell."),
        (332, "full-width-digit", second + 3, "\uff11".encode(), "U+FF11, which some parsers take for 1."),
        (333, "arabic-indic-digit", second + 3, "\u0661".encode(), "U+0661, which some parsers take for 1."),
        (334, "capital-e", second + 21, b"E", "The exponent's letter is small."),
        (335, "no-sign", second, b" ", "A positive number without its sign."),
        (336, "comma", second + 2, b",", "A decimal comma."),
        (337, "cr", 2 * _CELL - 1, b"\r", "A line that ends with CR."),
        (338, "no-line-end", 4 * _CELL - 1, b" ", "The last line does not end."),
        (339, "line-end-too-early", _CELL - 1, b"\n", "A line with one cell of two."),
        (340, "line-end-too-late", 2 * _CELL - 1, b" ", "A line with more than two cells."),
        (341, "tab", _CELL - 1, b"\t", "A tab between cells."),
        (342, "nul", second + 10, b"\0", "A zero byte."),
        (343, "exponent-without-sign", second + 22, b"0", "The exponent has no sign."),
        (344, "two-digit-exponent", second + 25, b" ", "An exponent of two digits, as C prints it."),
        (345, "minus-sign-u2212", second, "\u2212".encode(), "U+2212, the typographic minus."),
    ):
        yield _text(number, name, at, new, "C5-1", why)
    for number, name, word, error_at in (
        (346, "nan", b"+nan" + b" " * 22, second + 1), (347, "infinity", b"-infinity" + b" " * 17, second + 1),
        (348, "hexadecimal", b"+0x1.999999999999ap-0004  ", second + 2),
    ):  # fmt: skip
        assert len(word) == 26
        yield _text(number, name, second, word, "C5-1", "A word that strtod reads.", error_at)
    crlf = encode(_TEXT.blocks[0], "text19").replace(b"\n", b"\r\n")
    file = _raw(_TEXT, crlf).build()
    yield bad(
        349, "text-crlf", file, "C4-8", file.chunk_at[0] + 20, "Lines that end with CR LF: the length is wrong already."
    )


def _rounding() -> Iterator[Case]:
    second = _CELL
    for number, name, text, rule, why in (
        (350, "one-up", "+1.000000000000000057e-001", "C5-2", "0.1 is ...056: the last digit is one too large."),
        (351, "one-down", "+1.000000000000000055e-001", "C5-2", "0.1 is ...056: the last digit is one too small."),
        (352, "17-digits", "+1.000000000000000000e-001", "C5-2", "0.1 as 17 digits and zeros."),
        (
            353,
            "tie-to-odd",
            "+3.725290298461914063e-009",
            "C5-2",
            "2^-28 ends in ...0625: half-way, rounded to the odd digit.",
        ),
        (354, "leading-zero", "+0.100000000000000000e+000", "C5-2", "Not normalised."),
        (355, "minus-zero-exponent", "+1.000000000000000000e-000", "C5-2", "Zero has a positive exponent."),
        (356, "zero-with-exponent", "+0.000000000000000000e+005", "C5-2", "Zero is written in one way."),
        (357, "underflow", "+1.000000000000000000e-400", "C5-2", "Reads as zero, which is written otherwise."),
        (
            358,
            "half-of-the-smallest",
            "+2.470328229206232721e-324",
            "C5-2",
            "Reads as the smallest number, which is 4.94e-324.",
        ),
        (360, "overflow", "+1.000000000000000000e+309", "C5-3", "Beyond the largest binary64."),
        (361, "overflow-999", "-9.999999999999999999e+999", "C5-3", "The largest exponent that the cell has room for."),
        (
            362,
            "overflow-by-rounding",
            "+1.797693134862315900e+308",
            "C5-3",
            "Nearer to 2^1024 than to the largest binary64.",
        ),
    ):
        yield _text(number, name, second, text.encode(), rule, why, second)


def _not_finite() -> Iterator[Case]:
    bits = {
        "f64le": ("000000000000f87f", "010000000000f07f", "000000000000f07f", "000000000000f0ff"),
        "f32le": ("0000c07f", "0100807f", "0000807f", "000080ff"),
        "f16le": ("007e", "017c", "007c", "00fc"),
        "bf16le": ("c07f", "817f", "807f", "80ff"),
    }
    names = ("quiet-nan", "signalling-nan", "infinity", "minus-infinity")
    number = 370
    for encoding, patterns in bits.items():
        width = VALUE_BYTES[encoding]
        for name, pattern in zip(names, patterns, strict=True):
            file = _raw(Latents(blocks=[[[1.0, 2.0, 3.0]]], dims=[3], encoding=encoding),
                        bytes(width) + bytes.fromhex(pattern) + bytes(width)).build()  # fmt: skip
            yield bad(
                number, f"{encoding}-{name}", file, "C5-3", file.payload_at[0] + width, f"The second value is {name}."
            )
            number += 1
    packed = Latents(blocks=[[[0.0] * 64]], dims=[64], encoding="f64le", codec="zstd", filter="none")
    raw = bytes(63 * 8) + bytes.fromhex(bits["f64le"][0])
    stored = packed.store(raw, 8)
    file = _raw(packed, stored).build()
    yield bad(
        386,
        "compressed-nan",
        file,
        "C5-3",
        file.payload_at[0],
        "In a compressed payload the byte is the payload's first.",
    )


def _not_exact() -> Iterator[Case]:
    for number, (encoding, values, value, why) in enumerate((
        ("f64le", "f32", 0.1, "0.1 is no binary32."), ("f64le", "f32", 1e300, "Too large for a binary32."),
        ("f64le", "f32", 1e-300, "Too small for a binary32."), ("f64le", "f16", 65_520.0, "Rounds to infinity in a binary16."),
        ("f64le", "f16", 2.0**-25, "Half the smallest binary16."), ("f64le", "bf16", 1 + 2.0**-8, "One bit too many for bf16."),
        ("f64le", "u8", 0.5, "No integer."), ("f64le", "u8", 256.0, "Too large."), ("f64le", "u8", -1.0, "Negative."),
        ("f64le", "u8", -0.0, "Integers have no negative zero."), ("f64le", "i8", 128.0, "Too large."),
        ("f64le", "i8", -129.0, "Too small."), ("f64le", "u16", 65_536.0, "Too large."), ("f32le", "f16", 1 + 2.0**-11, "One bit too many."),
        ("f32le", "bf16", 1 + 2.0**-8, "One bit too many."), ("f32le", "u16", -0.0, "Integers have no negative zero."),
        ("f16le", "u8", 256.0, "Too large."), ("f16le", "i8", -0.0, "Integers have no negative zero."),
        ("bf16le", "i8", -130.0, "Too small."), ("bf16le", "u8", 1.5, "No integer."), ("u16le", "u8", 256, "Too large."),
        ("text19", "f32", 0.1, "0.1 is no binary32."), ("text19", "u8", -0.0, "Integers have no negative zero."),
        ("f64le", "u8", 1e300, "Far too large: converting it to an integer is undefined in C."),
    ), 390):  # fmt: skip
        base = Latents(blocks=[[[1, 2, 3]]], dims=[3], encoding=encoding, values=values)
        raw = encode([[type(value)(1), value, type(value)(3)]], encoding)
        file = _raw(base, raw).build()
        at = file.payload_at[0] + VALUE_BYTES[encoding]
        yield bad(number, f"{encoding}-not-{values}-{number}", file, "C5-4", at, why)


def _order() -> Iterator[Case]:
    """Several faults in one payload: rule by rule, each over the whole payload."""
    good = encode(_TEXT.blocks[0], "text19")
    wrong = b"+1.000000000000000057e-001"
    over = b"+1.000000000000000000e+309"
    file = _raw(_TEXT, wrong + good[26 : 3 * _CELL + 5] + b"_" + good[3 * _CELL + 6 :]).build()
    yield bad(420, "order-grammar-before-rounding", file, "C5-1", file.payload_at[0] + 3 * _CELL + 5,
              "A wrong digit in the first cell, no digit in the last: C5-1 comes first.")  # fmt: skip
    file = _raw(_TEXT, over + good[26 : 3 * _CELL] + wrong + b"\n").build()
    yield bad(421, "order-rounding-before-finite", file, "C5-2", file.payload_at[0] + 3 * _CELL,
              "An overflow in the first cell, a wrong digit in the last: C5-2 comes first.")  # fmt: skip
    base = Latents(blocks=[[[1, 2, 3]]], dims=[3], encoding="f64le", values="f32")
    raw = struct.pack("<3d", 0.1, 2.0, float("nan"))
    file = _raw(base, raw).build()
    yield bad(
        422,
        "order-finite-before-exact",
        file,
        "C5-3",
        file.payload_at[0] + 16,
        "0.1 is no binary32, but NaN comes first.",
    )
    two = Latents(blocks=[[[1.0]], [[2.0]]], dims=[1], encoding="f64le").draft
    nan = struct.pack("<d", float("nan"))
    file = two.chunk(0, payload=nan).chunk(1, chunk_crc=0).build()
    yield bad(423, "order-first-chunk-first", file, "C5-3", file.payload_at[0],
              "NaN in the first chunk, a wrong checksum in the second: the first chunk is looked at first.")  # fmt: skip
