"""The container (container.md): preamble, header, chunks, row names, index, trailer.

Every check stands where a forward reader meets it; the comment in front of it is the rule it carries out.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from . import msgpack, passes, values
from .described import check_described
from .described import content as described_content
from .errors import SpecError
from .fields import Order
from .msgpack import Node
from .rans import Prior, count_steps, read_code
from .sizes import (
    DESCRIBED,
    FREE_SIZES,
    NO_DECODER,
    Entry,
    count,
    entry_bytes,
    equal_rows,
    n_runs,
    n_values,
    read_sizes,
    rows_of,
    run_lengths,
)
from .zstdframe import read_frame

# --- 2. Preamble ------------------------------------------------------------------------------------------------------

MAGIC = b"\x89AEF\r\n\x1a\n"
_PREAMBLE = struct.Struct("<8sBBHIII")
MAX_HEADER = 65_536

NEW_MANIFEST = 4  # flag bit 2


@dataclass
class File:
    """Where a forward reader stands, and what it must remember of what it has passed."""

    data: bytes
    minor: int
    header_crc: int
    header: dict[str, Any]
    flags: int
    at: int  # the next byte to read
    chunks: list[Chunk] = field(default_factory=list)  # those passed
    n_rows: int = 0
    index_at: int = 0
    waiting: list[Chunk] = field(default_factory=list)  # the SIZE, rCPT and nAMe whose ROWS is still to come
    sizes: list[Entry] = field(default_factory=list)  # what that SIZE says
    fields: Order = field(default_factory=Order)

    @property
    def n_chunks(self) -> int:
        return len(self.chunks)

    def crc(self, number: int, data: bytes) -> int:
        """crc32(header_crc | number | data): section 4 and section 9."""
        return zlib.crc32(struct.pack("<II", self.header_crc, number) + data)


def read_preamble(data: bytes) -> File:
    """Preamble and header."""
    # C2-1: as far as the bytes go
    if data[:8] != MAGIC[: len(data)]:
        raise SpecError("C2-1", 0, "the file does not begin with the magic")
    # C2-7: and no other rule of the preamble
    if len(data) < 24:
        raise SpecError("C2-7", len(data), "the file ends inside the preamble")
    # C2-2
    if data[8] != 1:
        raise SpecError("C2-2", 8, f"major version {data[8]}")
    _, _, minor, flags, header_len, header_crc, preamble_crc = _PREAMBLE.unpack(data[:24])
    # C2-3
    if preamble_crc != zlib.crc32(data[:20]):
        raise SpecError("C2-3", 20, "preamble_crc does not match")
    # C2-4: the four bits came with minor version 1
    if flags & ~(FREE_SIZES | NO_DECODER | NEW_MANIFEST | DESCRIBED if minor >= 1 else 0):
        raise SpecError("C2-4", 10, f"flags {flags:#06x} in minor version {minor}")
    # C2-5
    if not 1 <= header_len <= MAX_HEADER:
        raise SpecError("C2-5", 12, f"header_len {header_len}")
    # C2-7, C2-6
    header = data[24 : 24 + header_len]
    if len(header) < header_len:
        raise SpecError("C2-7", len(data), "the file ends inside the header")
    if header_crc != zlib.crc32(header):
        raise SpecError("C2-6", 24, "header_crc does not match")
    return File(data, minor, header_crc, read_header(header, flags), flags, at=24 + header_len)


# --- 3. Header --------------------------------------------------------------------------------------------------------

_NEEDED = {
    "latents": {"byte_order", "codec", "decoder", "dims", "encoding", "image", "kind"},
    "model": {"byte_order", "codec", "kind", "model"},
}
_ALLOWED = {  # C3-7 leaves `filter` to C3-11, `values` to C3-12
    "latents": _NEEDED["latents"] | {"encoder", "ext", "filter", "values"},
    "model": _NEEDED["model"] | {"ext", "filter"},
}
MAX_RAW = 268_435_456


def read_header(data: bytes, flags: int) -> dict[str, Any]:
    """The header, which begins at byte 24; from C3-6 on that is the byte of every error."""
    root = msgpack.read_canonical(data, 4, where=lambda at: 24 + at)  # C3-1 to C3-5

    # C3-6
    kind_node = root.get("kind")
    if kind_node is None or kind_node.kind != "str":
        raise SpecError("C3-6", 24, "kind is not there, or no string", "header")
    kind = kind_node.text()
    if kind not in _NEEDED:
        raise SpecError("C3-6", 24, f"kind {kind!r}", "unsupported")

    # C3-7
    keys = {key.text() for key, _ in root.items()}
    needed, allowed = set(_NEEDED[kind]), set(_ALLOWED[kind])
    if kind == "latents" and flags & NO_DECODER:
        needed -= {"decoder", "image"}
        allowed |= {"foreign_decoder"}
    if kind == "latents" and flags & DESCRIBED:
        needed |= {"described"}
        allowed |= {"described"}
    if missing := needed - keys:
        raise SpecError("C3-7", 24, f"missing {sorted(missing)}")
    if unknown := keys - allowed:
        raise SpecError("C3-7", 24, f"unknown {sorted(unknown)}", "unsupported")

    # C3-8
    for key, value in root.items():
        if not _value_fits(key.text(), value, 0 if flags & FREE_SIZES else 1):
            raise SpecError("C3-8", 24, f"wrong value of {key.text()}")

    header: dict[str, Any] = root.plain()
    encoding = header.get("encoding", "u8")
    # C3-9
    if encoding not in values.ENCODINGS:
        raise SpecError("C3-9", 24, f"encoding {encoding!r}")
    if header["codec"] not in ("none", "zstd", "rans"):
        raise SpecError("C3-9", 24, f"codec {header['codec']!r}")
    if header.get("filter", "none") not in ("none", "shuffle"):
        raise SpecError("C3-9", 24, f"filter {header['filter']!r}")
    # C3-10
    order = "none" if kind == "latents" and encoding in values.NO_BYTE_ORDER else "little"
    if header["byte_order"] != order:
        raise SpecError("C3-10", 24, f"byte_order {header['byte_order']!r}")
    # C3-11
    if ("filter" in header) != (header["codec"] == "zstd"):
        raise SpecError("C3-11", 24, "filter if and only if the codec is zstd")
    # C3-12
    if "values" in header and header["values"] not in values.ENCODINGS[encoding][1][1:]:
        raise SpecError("C3-12", 24, f"values {header['values']!r} of {encoding}")
    # C3-13
    if kind == "latents" and row_bytes(header) > MAX_RAW:
        raise SpecError("C3-13", 24, f"a row of {row_bytes(header)} bytes")
    # C3-15
    if header["codec"] == "rans" and (kind == "model" or encoding not in ("u8", "i8")):
        raise SpecError("C3-15", 24, f"codec rans of {encoding}")
    # C3-17
    if flags & NEW_MANIFEST and kind != "model":
        raise SpecError("C3-17", 24, "flag bit 2 in a file of latents")
    if flags & FREE_SIZES:
        if kind == "model":
            raise SpecError("C3-17", 24, "flag bit 0 in a model package")
        if 0 not in header["dims"] or header.get("image", [])[:2].count(0) == 1:
            raise SpecError("C3-17", 24, "nothing free, or half of the image")
        # C3-18
        dims = header["dims"]
        if header["codec"] == "rans" and not (
            len(dims) == 3 and dims[:2] == [0, 0] and dims[2] and not header.get("image", [0])[0]
        ):
            raise SpecError("C3-18", 24, f"codec rans with dims {dims}, and sizes of images")
    # C3-19
    if flags & NO_DECODER and (kind == "model" or "decoder" in header or header["codec"] == "rans"):
        raise SpecError("C3-19", 24, "flag bit 1 beside what takes or names a decoder")
    # C3-20
    if flags & DESCRIBED and kind == "model":
        raise SpecError("C3-20", 24, "flag bit 4 in a model package")
    # C3-21 to C3-26
    if (described := root.get("described")) is not None:
        check_described(described, header)
    return header


def _value_fits(key: str, value: Node, least: int) -> bool:
    """Does the value have the type and range of section 3.2's table (C3-8)?  Names are left to C3-9, C3-10, C3-12.

    least: what a size that may be free must be.
    """
    if key in ("byte_order", "codec", "encoding", "filter", "kind", "values"):
        return value.kind == "str"
    if key in ("decoder", "encoder", "foreign_decoder", "model"):
        return value.kind == "bin" and len(value.value) == 32
    if key == "dims":
        return is_integers(value, least, 2**31 - 1) and 1 <= len(value.children) <= 8
    if key == "image":
        if value.kind != "array" or len(value.children) != 4:
            return False
        *sizes, type_ = value.children
        return (
            all(n.kind == "int" and low <= n.value <= 65_535 for n, low in zip(sizes, (least, least, 1), strict=True))
            and type_.kind == "str"
            and type_.text() == "u8"
        )
    return value.kind == "map"  # described, ext


def is_integers(node: Node, lo: int, hi: int) -> bool:
    """A list of integers of that range?"""
    return node.kind == "array" and all(child.kind == "int" and lo <= child.value <= hi for child in node.children)


def row_bytes(header: dict[str, Any]) -> int:
    """Raw size of one row, a free size taken for 1."""
    return count([size or 1 for size in header["dims"]]) * values.ENCODINGS[header["encoding"]][0]


# --- 4. Chunks --------------------------------------------------------------------------------------------------------

_CHUNK = struct.Struct("<4sIQIIII")
_KIND_OF_TAG = {
    b"dECo": "latents", b"fLDs": "latents", b"SIZE": "latents", b"nAMe": "latents", b"rCPT": "latents", b"ROWS": "latents", b"iNDX": "latents",
    b"MANF": "model", b"TENS": "model",
}  # fmt: skip
_NEVER_COMPRESSED = (b"dECo", b"iNDX", b"rCPT", b"SIZE")
_OF_ROWS = (b"SIZE", b"rCPT", b"nAMe", b"ROWS")  # what belongs to one ROWS, in this order


@dataclass
class Chunk:
    at: int
    number: int
    tag: bytes
    n_rows: int
    first_row: int
    stored_len: int
    raw_len: int
    payload_crc: int
    chunk_crc: int
    payload_at: int = 0
    stored: bytes = b""

    def where(self, offset: int) -> int:
        """The byte of the file that an offset in the raw payload stands for."""
        return self.payload_at + (offset if self.stored_len == self.raw_len else 0)

    def raw(self, header: dict[str, Any], bytes_a_value: int) -> bytes:
        """The payload before compression (section 6)."""
        if self.stored_len == self.raw_len:
            return self.stored
        raw = read_frame(self.stored, self.raw_len, self.payload_at)
        return unshuffle(raw, bytes_a_value) if header.get("filter") == "shuffle" else raw


Check = Callable[[Chunk], None]


def read_chunk(file: File, check_order: Check, check_model: Check) -> Chunk | None:
    """The next chunk, its stored payload checked; None where the trailer begins.

    check_order: C4-6 as far as it is about order (in a model M1-1).  check_model: M1-1, M1-3 and M1-4, of what was framed well.
    """
    data, at = file.data, file.at
    left = len(data) - at
    if left == 0:
        raise SpecError("C9-1", at, "no trailer")
    if data[at : at + 4] == b"TAIL":
        return None
    # C4-1, C9-1: fewer than 4 bytes could be either; the beginning of TAIL is taken for a trailer
    if left < 4 and b"TAIL".startswith(data[at:]):
        raise SpecError("C9-1", len(data), "the file ends inside the trailer")
    if left < 32:
        raise SpecError("C4-1", len(data), "the file ends inside a chunk header")
    chunk = Chunk(at, file.n_chunks, *_CHUNK.unpack(data[at : at + 32]))
    # C4-2
    if chunk.chunk_crc != file.crc(chunk.number, data[at : at + 28]):
        raise SpecError("C4-2", at + 28, "chunk_crc does not match")
    # C4-3
    tag = chunk.tag
    if not re.fullmatch(rb"[A-Za-z]{2}[A-Z][A-Za-z]", tag):
        raise SpecError("C4-3", at, f"tag {tag!r}")
    # C4-4
    if not 1 <= chunk.raw_len <= MAX_RAW:
        raise SpecError("C4-4", at + 20, f"raw_len {chunk.raw_len}", "limit" if chunk.raw_len else None)
    if not 1 <= chunk.stored_len <= chunk.raw_len:
        raise SpecError("C4-4", at + 16, f"stored_len {chunk.stored_len}, raw_len {chunk.raw_len}")
    # C4-5
    is_sized = bool(file.flags & FREE_SIZES)
    known = tag in _KIND_OF_TAG and (tag != b"SIZE" or is_sized)
    if not known and tag[:1].isupper():
        raise SpecError("C4-5", at, f"unknown critical tag {tag!r}")
    # C4-6
    if known and _KIND_OF_TAG[tag] != file.header["kind"]:
        raise SpecError("C4-6", at, f"{tag!r} in a file of kind {file.header['kind']}")
    check_order(chunk)
    # C4-7
    leads = tag == (b"SIZE" if is_sized else b"ROWS")  # the others of its rows go by it
    if leads and chunk.n_rows == 0:
        raise SpecError("C4-7", at + 4, f"{tag!r} without rows")
    alone = tag not in _OF_ROWS and tag != b"fLDs" and known
    if alone and chunk.n_rows != 0:
        raise SpecError("C4-7", at + 4, f"n_rows {chunk.n_rows} in {tag!r}")
    if known and (leads or alone) and chunk.first_row != (file.n_rows if leads else 0):
        raise SpecError("C4-7", at + 8, f"first_row {chunk.first_row}")
    if is_sized and tag in _OF_ROWS[1:]:
        _check_same_rows(chunk, file.waiting[0])
    for front in file.waiting if tag == b"ROWS" and not is_sized else []:  # after the ROWS's own
        _check_same_rows(front, chunk)
    # C4-8
    if known and file.header["kind"] == "latents":
        _check_length(file, chunk, file.sizes if is_sized else equal_rows(file.header, chunk.n_rows))
    never = tag in _NEVER_COMPRESSED or (known and file.header["codec"] == "none")
    if never and chunk.stored_len != chunk.raw_len:
        raise SpecError("C4-8", at + 16, "a chunk that is not compressed has stored_len = raw_len")
    # C22-1, C22-2
    if file.header["kind"] == "latents":
        file.fields.check(chunk, known and tag in _OF_ROWS, file.n_rows)
    encoding = file.header.get("encoding", "u8")
    wide = encoding != "text19" and values.ENCODINGS[encoding][0] > 1
    padding = 0
    if file.header["codec"] == "none" and (tag == b"TENS" or (tag == b"ROWS" and wide)):
        padding = -(at + 32) % 64
    chunk.payload_at = at + 32 + padding
    # C4-10: the payload is looked at when it is all there
    chunk.stored = data[chunk.payload_at : chunk.payload_at + chunk.stored_len]
    if len(chunk.stored) < chunk.stored_len:
        raise SpecError("C4-10", len(data), "the file ends inside padding or payload")
    # C4-9
    for i in range(at + 32, chunk.payload_at):
        if data[i] != 0:
            raise SpecError("C4-9", i, "padding is not zero")
    # C4-11
    if chunk.payload_crc != file.crc(chunk.number, chunk.stored):
        raise SpecError("C4-11", chunk.payload_at, "payload_crc does not match")
    if known and tag == b"SIZE":
        width = values.ENCODINGS[file.header["encoding"]][0]
        file.sizes = read_sizes(chunk.stored, chunk.n_rows, file.header, width, chunk.payload_at)
    # M1-1, M1-3, M1-4
    check_model(chunk)

    file.at = chunk.payload_at + chunk.stored_len
    file.chunks.append(chunk)
    file.waiting = [*file.waiting, chunk] if tag in _OF_ROWS[:3] else []
    return chunk


def _check_same_rows(chunk: Chunk, of: Chunk) -> None:
    """C4-7: a chunk speaks of the rows of another."""
    if chunk.n_rows != of.n_rows:
        raise SpecError("C4-7", chunk.at + 4, f"{chunk.tag!r} of {chunk.n_rows} rows with {of.n_rows}")
    if chunk.first_row != of.first_row:
        raise SpecError("C4-7", chunk.at + 8, f"{chunk.tag!r} of row {chunk.first_row} with {of.first_row}")


def _check_length(file: File, chunk: Chunk, entries: list[Entry]) -> None:
    """C4-8: raw_len of what belongs to rows.  entries: their sizes."""
    header, fits = file.header, True
    if chunk.tag == b"ROWS":
        fits = chunk.raw_len == n_values(entries) * values.ENCODINGS[header["encoding"]][0]
    elif chunk.tag == b"rCPT":
        fits = chunk.raw_len == 32 * n_runs(entries, header)
    elif chunk.tag == b"SIZE":
        size = entry_bytes(header)
        fits = chunk.raw_len % size == 0 and chunk.raw_len // size <= chunk.n_rows
    if not fits:
        raise SpecError("C4-8", chunk.at + 20, f"raw_len {chunk.raw_len} of {chunk.tag!r} of {chunk.n_rows} rows")


# --- 6. Filter --------------------------------------------------------------------------------------------------------


def unshuffle(data: bytes, bytes_a_value: int) -> bytes:
    """First bytes of all values, then all second bytes, ... -> values."""
    n = len(data) // bytes_a_value
    return bytes(data[j * n + i] for i in range(n) for j in range(bytes_a_value))


# --- 7. Ancillary chunks ----------------------------------------------------------------------------------------------

_PART = re.compile(r"[^/\\\x00-\x1f\x7f]+")


def read_names(raw: bytes, n_rows: int, at: int) -> dict[str, list[Any]]:
    """Row names: labels, names, sources.  at: the payload, the byte of every error here."""
    root = msgpack.read_canonical(raw, 4, lambda offset: at, code="names")  # C3-1 to C3-5
    # C7-1
    if not root.children:
        raise SpecError("C7-1", at, "row names without a key")
    for key, value in root.items():
        if key.text() not in ("labels", "names", "sources"):
            raise SpecError("C7-1", at, f"unknown key {key.text()!r}")
        if value.kind != "array" or len(value.children) != n_rows:
            raise SpecError("C7-1", at, f"{key.text()} is not a list of {n_rows}")
        for entry in value.children:
            fits = {
                "labels": entry.kind == "int" and 0 <= entry.value <= 2**32 - 1,
                "names": entry.kind == "str",
                "sources": entry.kind == "bin" and len(entry.value) == 32,
            }[key.text()]
            if not fits:
                raise SpecError("C7-1", at, f"wrong entry in {key.text()}")
    plain: dict[str, list[Any]] = root.plain()
    names = plain.get("names", [])
    # C7-2
    for name in names:
        if not is_name(name):
            raise SpecError("C7-2", at, f"{name!r} is no relative path")
    # C7-3
    if len(set(names)) < len(names):
        raise SpecError("C7-3", at, "a name occurs twice")
    return plain


def is_name(name: str) -> bool:
    """A relative path in POSIX form (C7-2)?"""
    if not 1 <= len(name.encode()) <= 1_024 or re.match("[A-Za-z]:", name):
        return False
    return all(_PART.fullmatch(part) and part not in (".", "..") for part in name.split("/"))


# --- 8. Index ---------------------------------------------------------------------------------------------------------

_INDEX_ENTRY = struct.Struct("<QQII")


def check_index(chunk: Chunk, raw: bytes, rows_chunks: list[Chunk]) -> None:
    """C8-1: one entry for every ROWS, in order."""
    for i, rows in enumerate(rows_chunks):
        entry = raw[24 * i : 24 * i + 24]
        if entry != _INDEX_ENTRY.pack(rows.at, rows.first_row, rows.n_rows, rows.number):
            raise SpecError("C8-1", chunk.where(24 * i), f"entry {i} is not that of its ROWS")
    if len(raw) != 24 * len(rows_chunks):
        raise SpecError("C8-1", chunk.where(24 * len(rows_chunks)), "more entries than ROWS")


# --- 9. Trailer -------------------------------------------------------------------------------------------------------

_TRAILER = struct.Struct("<4sIQQI32sI")


def read_trailer(
    file: File,
    content_id: bytes,
    may_end: Callable[[], None],
    has_all: Callable[[], None] = lambda: None,
    content_rule: str = "C9-6",
) -> None:
    """The trailer, and that nothing follows.  may_end: C4-6, M1-1.  has_all: M1-3."""
    data, at = file.data, file.at
    # C9-1
    if len(data) - at < 64:
        raise SpecError("C9-1", len(data), "the file ends inside the trailer")
    _, n_chunks, n_rows, index_at, chain_crc, stated_id, trailer_crc = _TRAILER.unpack(data[at : at + 64])
    # C9-2
    if trailer_crc != file.crc(n_chunks, data[at : at + 60]):
        raise SpecError("C9-2", at + 60, "trailer_crc does not match")
    # C4-6, M1-1
    may_end()
    # C9-3
    if n_chunks != file.n_chunks:
        raise SpecError("C9-3", at + 4, f"n_chunks {n_chunks}, the file has {file.n_chunks}")
    if n_rows != file.n_rows or (file.header["kind"] == "latents" and n_rows == 0):
        raise SpecError("C9-3", at + 8, f"n_rows {n_rows}, the file has {file.n_rows}")
    # C9-4: "or 0" is for a file without an index (section 9's table)
    if index_at != file.index_at:
        raise SpecError("C9-4", at + 16, f"index_at {index_at}, the index is at {file.index_at}")
    # C9-5
    if chain_crc != zlib.crc32(b"".join(struct.pack("<I", c.chunk_crc) for c in file.chunks)):
        raise SpecError("C9-5", at + 24, "chain_crc does not match")
    # M1-3
    has_all()
    # C9-6; in a model M1-2
    if stated_id != content_id:
        raise SpecError(content_rule, at + 28, "content_id does not match", "content")
    # C9-7
    if len(data) > at + 64:
        raise SpecError("C9-7", at + 64, "something follows the trailer")


# --- A latents file ---------------------------------------------------------------------------------------------------


Decode = Callable[[list[values.Number], Entry], list[values.Number]]


def check_receipts(
    rows: list[list[values.Number]], entries: list[Entry], receipts: Chunk, decoder: Decoder, stored: Chunk, size: int
) -> None:
    """M3-12, M4-7 and C7-6 of the rows of one chunk, run by run.  stored: their ROWS, with `size` bytes a value."""
    assert decoder.decode
    starts = [0, *accumulate(map(len, rows))]
    n_before = 0
    for number, n in enumerate(run_lengths(entries)):
        of_run = range(n_before, n_before + n)
        n_before += n
        for j in of_run:
            try:
                decoder.check_sizes(entries[j])
            except SpecError as error:  # M3-12
                raise SpecError("M3-12", stored.where(starts[j] * size), error.what, error.code) from None
        run = hashlib.sha256()
        for j in of_run:
            try:
                run.update(bytes(int(pixel) for pixel in decoder.decode(rows[j], entries[j])))
            except SpecError as error:  # M4-7; one byte a value
                raise SpecError("M4-7", stored.where((starts[j] + error.at) * size), error.what) from None
        if run.digest() != receipts.stored[32 * number : 32 * number + 32]:
            raise SpecError("C7-6", receipts.payload_at + 32 * number, f"not the pixels of {of_run} of the chunk")


@dataclass
class Decoder:
    """An embedded decoder.  decode: what decodes a row exactly, None if it is not exact.  prior: None if it has none."""

    decode: Decode | None
    prior: Prior | passes.Passes | None
    check_sizes: Callable[[Entry], None]  # M3-12


def read_latents(file: File, check_decoder: Callable[[File, Chunk], Decoder] | None) -> dict[str, Any]:
    """Everything of a file of kind "latents".  check_decoder: C7-4, for a validator and for codec rans."""
    header = file.header
    encoding = header["encoding"]
    own_type = values.ENCODINGS[encoding][1][0]
    type_ = header.get("values", own_type)
    row_values = count(header["dims"])  # of codec rans, where no size is free
    is_sized = bool(file.flags & FREE_SIZES)
    identity = {key: header[key] for key in ("decoder", "dims", "foreign_decoder", "image") if key in header}
    content = hashlib.sha256(msgpack.pack(identity | described_content(header) | {"values": type_}))
    rows: list[list[values.Number]] = []
    labels: dict[str, list[Any] | None] = {"labels": None, "names": None, "sources": None}
    names_of_rows: list[dict[str, list[Any]] | None] = []  # one for every ROWS
    names: dict[str, list[Any]] | None = None  # of the ROWS that follows
    receipts_of_rows: list[Chunk | None] = []  # one for every ROWS
    sizes_of_rows: list[list[list[int]]] = []  # one for every SIZE
    decoder: Decoder | None = None
    embedded: bytes | None = None
    rans_steps = 0

    def check_order(chunk: Chunk) -> None:  # C4-6
        if file.flags & NO_DECODER and chunk.tag in (b"dECo", b"rCPT"):
            raise SpecError("C4-6", chunk.at, f"{chunk.tag!r} where the decoder is not known")
        before = file.waiting[-1].tag if file.waiting else None
        if before and chunk.tag not in _OF_ROWS[_OF_ROWS.index(before) + 1 :]:
            raise SpecError("C4-6", chunk.at, f"{chunk.tag!r} after {before!r}")
        if is_sized and before is None and chunk.tag in _OF_ROWS[1:]:
            raise SpecError("C4-6", chunk.at, f"{chunk.tag!r} without a SIZE")
        if file.index_at:
            raise SpecError("C4-6", chunk.at, "nothing follows an iNDX but the trailer")
        if chunk.tag == b"dECo" and any(c.tag in (b"dECo", *_OF_ROWS) for c in file.chunks):
            raise SpecError("C4-6", chunk.at, "dECo comes first, at most once")
        begins = before == (b"SIZE" if is_sized else None) and chunk.tag in _OF_ROWS[1:]
        if begins and receipts_of_rows and (chunk.tag == b"rCPT") != (receipts_of_rows[0] is not None):
            raise SpecError("C4-6", chunk.at, "every ROWS has a rCPT, or none")

    def may_end() -> None:  # C4-6
        if file.waiting:
            raise SpecError("C4-6", file.at, "after a SIZE, a rCPT or a nAMe comes a ROWS")
        file.fields.may_end(file.at)  # C22-1

    while True:
        front = file.waiting
        chunk = read_chunk(file, check_order, lambda chunk: None)
        if chunk is None:
            break
        if chunk.tag == b"dECo":
            embedded = chunk.raw(header, 1)
            if check_decoder:
                decoder = check_decoder(file, chunk)  # C7-4, C3-14, C3-16
        elif chunk.tag == b"rCPT":
            if check_decoder and decoder and decoder.decode is None:
                raise SpecError("C7-5", chunk.payload_at, "receipts of a decoder that is not exact")
        elif chunk.tag == b"fLDs":
            file.fields.take(chunk.raw(header, 1), chunk.n_rows, chunk.payload_at)
        elif chunk.tag == b"nAMe":
            names = read_names(chunk.raw(header, 1), chunk.n_rows, chunk.payload_at)
            for key, entries in names.items():
                so_far = labels[key] or []
                labels[key] = so_far + [None] * (file.n_rows - len(so_far)) + entries
        elif chunk.tag == b"ROWS":
            width = 1 if encoding == "text19" else values.ENCODINGS[encoding][0]
            if header["codec"] == "rans" and chunk.stored_len < chunk.raw_len:
                prior = decoder.prior if decoder else None
                stored, where = chunk.stored, chunk.payload_at
                if is_sized:
                    assert not isinstance(prior, Prior), "C3-14"
                    passes.count_lanes(stored, file.sizes, where)
                    if prior:
                        rans_steps = passes.count_steps(prior, stored, file.sizes, rans_steps, where)
                    raw = passes.read_code(stored, file.sizes, prior, where)
                else:
                    assert not isinstance(prior, passes.Passes), "C3-14"
                    rans_steps = count_steps(stored, chunk.n_rows, row_values, rans_steps, where)
                    raw = read_code(stored, chunk.n_rows, row_values, prior, where)
            else:
                raw = chunk.raw(header, width)
            entries = file.sizes if is_sized else equal_rows(header, chunk.n_rows)
            counts = [count(entry.dims) for entry in rows_of(entries)]
            numbers = values.read_rows(raw, encoding, type_, counts, chunk.where)
            for entry, n, end in zip(rows_of(entries), counts, accumulate(counts), strict=True):
                row = numbers[end - n : end]
                content.update(struct.pack(f"<{len(entry.sizes)}I", *entry.sizes) + values.pack(row, type_))
                rows.append(row)
            if is_sized:
                sizes_of_rows.append([[entry.n, *entry.sizes] for entry in entries])
            file.n_rows += chunk.n_rows
            names_of_rows.append(names)
            names = None
            receipts = next((c for c in front if c.tag == b"rCPT"), None)
            receipts_of_rows.append(receipts)
            if receipts and decoder and decoder.decode:
                of_rows = list(rows_of(entries))
                check_receipts(rows[-chunk.n_rows :], of_rows, receipts, decoder, chunk, values.ENCODINGS[encoding][0])
        elif chunk.tag == b"iNDX":
            file.index_at = chunk.at
            check_index(chunk, chunk.raw(header, 1), [c for c in file.chunks if c.tag == b"ROWS"])
    read_trailer(file, content.digest(), may_end)
    for key, known in labels.items():
        if known is not None:
            labels[key] = known + [None] * (file.n_rows - len(known))
    return {
        "header": header,
        "minor": file.minor,
        "values": type_,
        "rows": rows,
        **labels,
        "names_of_rows": names_of_rows,
        "receipts_of_rows": [receipts.stored.hex() if receipts else None for receipts in receipts_of_rows],
        "sizes_of_rows": sizes_of_rows,
        "fields_of_rows": file.fields.of_rows,
        "embedded": embedded,
        "n_rows": file.n_rows,
        "n_chunks": file.n_chunks,
        "chunks": file.chunks,
        "index_at": file.index_at,
        "trailer_at": file.at,
        "values_sha256": hashlib.sha256(b"".join(values.pack(row, type_) for row in rows)).hexdigest(),
        "content_id": content.hexdigest(),
    }
