"""Containers changed at random, in ways that get past the checksums.

Owns which changes there are and how often each is tried.  How a file is taken apart and made whole again is in parts.py,
what becomes of msgpack in trees.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tools.fuzz import trees
from tools.fuzz.parts import Part, Parts, put_together, repair_flags, repair_ids, repair_rows, take_apart

BytesChange = Callable[[bytes, Random], bytes]

_TAGS: Final = (
    b"ROWS",
    b"SIZE",
    b"nAMe",
    b"rCPT",
    b"dECo",
    b"iNDX",
    b"MANF",
    b"TENS",
    b"TAIL",
    b"eXTa",
    b"ABCD",
    b"abCd",
    b"abcd",
    b"a1Cd",
)
_NUMBERS: Final = (0, 1, 2, 23, 24, 25, 63, 64, 255, 65535, 65536, 2**28, 2**28 + 1, 2**31, 2**32 - 1)
_WIDE_NUMBERS: Final = (*_NUMBERS, 2**53, 2**63, 2**64 - 1)
_VALUES: Final = tuple(
    bytes.fromhex(text)
    for text in (
        "000000000000f07f", "000000000000f8ff", "0000000000000080", "0100000000000000", "ffffffffffffef7f", "0000807f",
        "0000c0ff", "00000080", "01000000", "ffff7f7f", "007c", "007e", "0080", "807f", "c07f", "ff", "80", "7f", "00",
        "28b52ffd", "502a4d18",
    )
)  # fmt: skip
_TEXTS: Final = (
    b"+",
    b"-",
    b".",
    b"e",
    b" ",
    b"\n",
    b"9",
    b"0",
    b"5",
    b"e+308",
    b"e-324",
    b"e+999",
    b"_",
    b"\r\n",
    b"inf",
    b"nan",
)


def plain_change(data: bytes, rng: Random) -> bytes:
    """Bytes flipped, overwritten, inserted, deleted or copied; what a mutator that knows nothing does."""
    out = bytearray(data)
    at = rng.randrange(len(out) + 1)
    match rng.randrange(7):
        case 0 if out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        case 1 if out:
            out[at % len(out)] = rng.randrange(256)
        case 2:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        case 3:
            del out[at : at + rng.randrange(1, 17)]
        case 4:
            value = rng.choice(_VALUES)
            out[at : at + len(value)] = value
        case 5:
            value = rng.choice(_TEXTS)
            out[at : at + len(value)] = value
        case _:
            start = rng.randrange(len(out) + 1)
            piece = out[start : start + rng.randrange(1, 33)]
            out[at : at + len(piece)] = piece
    return bytes(out)


class Mutator:
    """Makes the next input from one that there is.  others: files to take chunks from.  change_bytes: for payloads."""

    def __init__(self, others: Sequence[bytes] = (), change_bytes: BytesChange = plain_change) -> None:
        self._others, self._change_bytes = others, change_bytes

    def map(self, data: bytes, seed: int) -> bytes:
        """For targets that take one msgpack map: the first byte is left alone, it says what the map is."""
        rng = Random(seed)
        front, body = data[:1] or b"\0", data[1:]
        tree = trees.load(body)
        if tree is None or rng.random() < 0.25:
            return front + self._change_bytes(body, rng)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            tree = trees.change(rng, tree)
        return front + trees.dump(tree)

    def container(self, data: bytes, seed: int) -> bytes:
        """For targets that take a file."""
        rng = Random(seed)
        parts = take_apart(data)
        if parts is None or rng.random() < 0.03:
            return self._change_bytes(data, rng)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            self._change(parts, rng)
        if rng.random() < 0.9:
            repair_flags(parts)
        if rng.random() < 0.9:
            repair_rows(parts)
        if rng.random() < 0.95:
            repair_ids(parts)
        built = put_together(parts, level=rng.choice((1, 3, 19)))
        return _damage(built, rng) if rng.random() < 0.08 else built

    def _change(self, parts: Parts, rng: Random) -> None:
        roll = rng.random()
        if roll < 0.18:
            self._header(parts, rng)
        elif roll < 0.70 and parts.chunks:
            self._payload(rng.choice(parts.chunks), rng)
        elif roll < 0.82 and parts.chunks:
            _fields(rng.choice(parts.chunks), rng)
        elif roll < 0.94:
            self._order(parts, rng)
        else:
            _frame(parts, rng)

    def _header(self, parts: Parts, rng: Random) -> None:
        tree = trees.load(parts.head)
        if tree is None or rng.random() < 0.15:
            parts.head = self._change_bytes(parts.head, rng)[:65_536]
        elif isinstance(tree, dict) and rng.random() < 0.25:
            parts.head = trees.dump(_other_codec(parts, tree, rng))
        else:
            parts.head = trees.dump(trees.change(rng, tree))

    def _payload(self, part: Part, rng: Random) -> None:
        if part.frame is not None and rng.random() < 0.2:  # the frame itself, with all checksums around it right
            part.frame = self._change_bytes(part.frame, rng)[: max(1, len(part.raw) - 1)] or b"\0"
            part.raw_len = len(part.raw)
            return
        part.frame = None
        tree = trees.load(part.raw) if part.tag in (b"nAMe", b"MANF") else None
        if part.tag == b"dECo" and rng.random() < 0.9:
            part.raw = self.container(part.raw, rng.getrandbits(32))
        elif tree is not None and rng.random() < 0.85:
            part.raw = trees.dump(trees.change(rng, tree))
        elif part.tag == b"SIZE" and rng.random() < 0.9:
            part.raw = _other_sizes(part.raw, rng)
        else:
            changed = self._change_bytes(part.raw, rng)
            if part.tag in (b"ROWS", b"TENS") and rng.random() < 0.8:  # of the same length, so that it still fits
                changed = (changed + part.raw[len(changed) :])[: len(part.raw)]
            part.raw = changed

    def _order(self, parts: Parts, rng: Random) -> None:
        chunks = parts.chunks
        at = rng.randrange(len(chunks) + 1)
        match rng.randrange(6):
            case 0 if chunks:
                del chunks[at % len(chunks)]
            case 1 if chunks:
                twin = chunks[at % len(chunks)]
                chunks.insert(at, Part(twin.tag, twin.raw, twin.n_rows, twin.first_row, twin.is_packed, twin.frame))
            case 2 if len(chunks) > 1:
                i, j = rng.sample(range(len(chunks)), 2)
                chunks[i], chunks[j] = chunks[j], chunks[i]
            case 3 if self._others:
                other = take_apart(rng.choice(self._others))
                if other is not None and other.chunks:
                    chunks.insert(at, rng.choice(other.chunks))
            case 4 if chunks and chunks[-1].tag != b"iNDX":
                chunks.append(Part(b"iNDX", b""))
            case _:
                chunks.insert(at, Part(rng.choice(_TAGS), rng.randbytes(rng.randrange(1, 40))))


def _other_sizes(raw: bytes, rng: Random) -> bytes:
    """Another number in one place, most often a small one; or a few numbers again."""
    at = 4 * rng.randrange(max(1, len(raw) // 4))
    if rng.random() < 0.2:
        return raw[:at] + raw[max(0, at - 4 * rng.randrange(6)) : at] + raw[at:]
    number = rng.randrange(5) if rng.random() < 0.8 else rng.choice(_NUMBERS)
    return raw[:at] + struct.pack("<I", number) + raw[at + 4 :]


def _other_codec(parts: Parts, header: dict[str, object], rng: Random) -> dict[str, object]:
    """The header with another codec or filter; the payloads are stored that way."""
    header.pop("filter", None)
    header["codec"] = rng.choice(("none", "zstd"))
    if header["codec"] == "zstd":
        header["filter"] = rng.choice(("none", "shuffle"))
    for part in parts.chunks:
        part.frame, part.is_packed = None, part.tag not in (b"dECo", b"iNDX", b"rCPT", b"SIZE")
    return header


def _fields(part: Part, rng: Random) -> None:
    match rng.randrange(7):
        case 0:
            part.tag = rng.choice(_TAGS)
        case 1:
            part.n_rows = rng.choice(_NUMBERS)
        case 2:
            part.first_row = rng.choice(_WIDE_NUMBERS)
        case 3:
            part.raw_len = rng.choice((*_NUMBERS, len(part.raw) + 1, max(0, len(part.raw) - 1)))
        case 4:
            part.stored_len = rng.choice((*_NUMBERS, len(part.raw) + 1))
        case 5:
            part.number = rng.choice(_NUMBERS)
        case _:
            part.padding = rng.choice((b"", bytes(64), b"\1", bytes(31) + b"\1"))


def _frame(parts: Parts, rng: Random) -> None:
    match rng.randrange(9):
        case 0:
            parts.minor = rng.randrange(256)
        case 1:
            parts.major = rng.randrange(3)
        case 2:
            parts.flags = 1 << rng.randrange(16)
        case 3:
            parts.n_chunks = rng.choice(_NUMBERS)
        case 4:
            parts.n_rows = rng.choice(_WIDE_NUMBERS)
        case 5:
            parts.index_at = rng.choice(_WIDE_NUMBERS)
        case 6:
            parts.content_id = rng.randbytes(32)
        case 7:
            parts.after = rng.randbytes(rng.randrange(1, 70))
        case _:
            parts.has_trailer = not parts.has_trailer


def _damage(data: bytes, rng: Random) -> bytes:
    """What happens to a file on its way, its checksums left behind."""
    match rng.randrange(4):
        case 0:
            return data[: rng.randrange(len(data) + 1)]
        case 1:
            at = rng.randrange(len(data))
            return data[:at] + struct.pack("B", data[at] ^ (1 << rng.randrange(8))) + data[at + 1 :]
        case 2:
            return data.replace(b"\r\n", b"\n")
        case _:
            return plain_change(data, rng)
