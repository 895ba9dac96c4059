"""A container taken apart, however damaged, and put together again with every checksum and id as it must be.

Owns bytes <-> Parts.  Uses the layout as tools/build_vectors knows it and nothing of the package, so that a fault of the
package cannot repair itself away.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import zstandard

from tools.build_vectors.framing import CHUNK_HEADER_BYTES, MAGIC, PREAMBLE_BYTES, TRAILER_BYTES, Chunk, Draft, Trailer
from tools.fuzz import trees
from tools.fuzz.sized import Free

MOST_RAW_BYTES: Final = 1 << 16  # what is unpacked to be changed; larger payloads are left as they are stored
WIDTHS: Final = {"f64le": 8, "f32le": 4, "f16le": 2, "bf16le": 2, "u16le": 2, "u8": 1, "i8": 1, "text19": 27}
_TENSOR_WIDTHS: Final = {"f32": 4, "f16": 2, "i8": 1, "u8": 1, "i32": 4}
_OWN: Final = {"f64le": "f64", "f32le": "f32", "f16le": "f16", "bf16le": "bf16", "u16le": "u16", "u8": "u8", "i8": "i8",
               "text19": "f64"}  # fmt: skip
_DTYPES: Final = {"f64": "<f8", "f32": "<f4", "f16": "<f2", "u16": "<u2", "u8": "|u1", "i8": "|i1"}


@dataclass(slots=True)
class Part:
    """One chunk.  raw: its payload before compression; frame: the zstd frame it came in, as long as that is the same.

    raw_len, stored_len and number are None for what they must be.
    """

    tag: bytes
    raw: bytes
    n_rows: int = 0
    first_row: int = 0
    is_packed: bool = False
    frame: bytes | None = None
    raw_len: int | None = None
    stored_len: int | None = None
    number: int | None = None
    padding: bytes | None = None


@dataclass(slots=True)
class Parts:
    """One file.  head: the header's bytes; `header` reads them.  What is None gets the value it must have."""

    head: bytes
    chunks: list[Part] = field(default_factory=list)
    content_id: bytes = bytes(32)
    has_trailer: bool = True
    minor: int = 0
    major: int = 1
    flags: int = 0
    n_chunks: int | None = None
    n_rows: int | None = None
    index_at: int | None = None
    after: bytes = b""

    @property
    def header(self) -> dict[str, Any]:
        """The header's map; empty if it is none."""
        tree = trees.load(self.head)
        return tree if isinstance(tree, dict) else {}

    def first(self, tag: bytes) -> Part | None:
        """The first chunk with this tag."""
        return next((part for part in self.chunks if part.tag == tag), None)


def take_apart(data: bytes) -> Parts | None:
    """What these bytes are, as far as they can be made out; None if they do not begin as a container does."""
    if data[:4] != MAGIC[:4] or len(data) < PREAMBLE_BYTES:
        return None
    at = PREAMBLE_BYTES + int.from_bytes(data[12:16], "little")
    parts = Parts(data[PREAMBLE_BYTES:at], minor=data[9], major=data[8], flags=int.from_bytes(data[10:12], "little"))
    parts.has_trailer = False
    header = parts.header
    widths = _widths(header, None)
    while at < len(data):
        if data[at : at + 4] == b"TAIL" and len(data) - at >= TRAILER_BYTES:
            parts.has_trailer, parts.content_id = True, data[at + 28 : at + 60]
            at += TRAILER_BYTES
            break
        if len(data) - at < CHUNK_HEADER_BYTES:
            break
        tag, n_rows, first_row, stored_len, raw_len = struct.unpack_from("<4sIQII", data, at)
        at += CHUNK_HEADER_BYTES
        at += -at % 64 if tag in _aligned(header) else 0
        part = _part(tag, data[at : at + stored_len], raw_len, next(widths(tag), 1))
        part.n_rows, part.first_row = n_rows, first_row
        parts.chunks.append(part)
        if tag == b"MANF":
            widths = _widths(header, part.raw)
        at += stored_len
    parts.after = data[at:]
    return parts


def put_together(parts: Parts, level: int = 3) -> bytes:
    """The file, with every checksum right."""
    header = parts.header
    widths = _widths(header, next((part.raw for part in parts.chunks if part.tag == b"MANF"), None))
    chunks = []
    for part in parts.chunks:
        width = next(widths(part.tag), 1)
        stored = part.frame
        if stored is None:
            stored = _pack(part.raw, width, level) if part.is_packed and header.get("codec") == "zstd" else part.raw
        raw_len = len(part.raw) if part.raw_len is None else part.raw_len
        chunks.append(
            Chunk(part.tag, stored, part.n_rows % 2**32, part.first_row % 2**64, raw_len % 2**32, part.stored_len,
                  part.padding, part.number)
        )  # fmt: skip
    trailer = Trailer(parts.content_id, parts.n_chunks, parts.n_rows, parts.index_at) if parts.has_trailer else None
    if trailer is not None and parts.n_rows is None:
        n_rows = sum(chunk.n_rows for chunk in chunks if chunk.tag == b"ROWS")
        trailer = Trailer(parts.content_id, parts.n_chunks, n_rows % 2**64, parts.index_at)
    draft = Draft(
        parts.head, tuple(chunks), trailer, _aligned(header), major=parts.major, minor=parts.minor, flags=parts.flags
    )
    return draft.build().data + parts.after


def repair_flags(parts: Parts) -> None:
    """The flag bits that the header takes, and the minor version that goes with them."""
    is_sized = bool(Free.of(parts.header))
    is_unknown = parts.header.get("kind") == "latents" and "decoder" not in parts.header
    is_described = parts.header.get("kind") == "latents" and "described" in parts.header
    parts.flags = parts.flags & ~19 | is_sized | 2 * is_unknown | 16 * is_described
    parts.minor = max(parts.minor, is_sized, is_unknown, is_described)


def repair_rows(parts: Parts) -> None:
    """Row numbers, lengths of rows of their own size, and an index, that go with one another."""
    row_bytes, first_row = _row_bytes(parts.header), 0
    waiting: list[Part] = []
    for part in parts.chunks:
        if part.tag == b"ROWS":
            sizes = next((front.raw for front in waiting if front.tag == b"SIZE"), None)
            if sizes is not None and part.raw_len is None:
                _fit_rows(part, Free.of(parts.header), sizes, parts.header)
            elif row_bytes and part.raw_len is None:
                part.n_rows = len(part.raw) // row_bytes
            part.first_row = first_row
            first_row += part.n_rows
            for front in waiting:
                front.n_rows, front.first_row = part.n_rows, part.first_row
                if front.tag == b"rCPT" and front.raw_len is None:
                    size = 32 * _n_runs(part.n_rows, parts.header, sizes)
                    front.raw = front.raw[:size].ljust(size, b"\0")
        waiting = [*waiting, part] if part.tag in (b"SIZE", b"nAMe", b"rCPT") else []
        if part.tag == b"iNDX":
            part.raw = b""  # the builder fills it in
            part.raw_len = None
    if parts.chunks and parts.chunks[-1].tag == b"iNDX":
        parts.chunks[-1].raw_len = 24 * sum(part.tag == b"ROWS" for part in parts.chunks)


def _fit_rows(rows: Part, free: Free, sizes: bytes, header: dict[str, Any]) -> None:
    """Let a ROWS be as long as the sizes say, where that is not too much."""
    entries = free.entries(sizes)
    n_values = sum(entry[0] * free.row_values(entry) for entry in entries)
    n_bytes = n_values * WIDTHS.get(str(header.get("encoding")), 0)
    if not 0 < n_bytes <= MOST_RAW_BYTES or (rows.raw_len is None and not rows.raw):
        return
    if n_bytes != len(rows.raw):
        rows.raw, rows.frame = (rows.raw * (n_bytes // len(rows.raw) + 1))[:n_bytes], None
    rows.n_rows = sum(entry[0] for entry in entries)


def _n_runs(n_rows: int, header: dict[str, Any], sizes: bytes | None) -> int:
    """Digests of a rCPT; one where nobody could tell."""
    if n_rows >= MOST_RAW_BYTES:
        return 1
    entries = [] if sizes is None else Free.of(header).entries(sizes)
    is_told = Free.of(header).has_image and sum(entry[0] for entry in entries) == n_rows
    return Free.of(header).runs(entries) if is_told else -(-n_rows // 64)


def repair_ids(parts: Parts) -> None:
    """Tensor hashes, model id and content id that go with the content."""
    header = parts.header
    decoder = parts.first(b"dECo")
    manifest = parts.first(b"MANF")
    if header.get("kind") == "model" and manifest is not None:
        _repair_manifest(parts, manifest)
        parts.content_id = hashlib.sha256(manifest.raw).digest()
        parts.head = trees.dump(header | {"model": parts.content_id})
        return
    if decoder is not None:
        inner = take_apart(decoder.raw)
        if inner is not None:
            parts.head = trees.dump(header | {"decoder": inner.header.get("model", bytes(32))})
    parts.content_id = content_id(parts) or parts.content_id


def _repair_manifest(parts: Parts, manifest: Part) -> None:
    tree = trees.load(manifest.raw)
    tensors = tree.get("tensors") if isinstance(tree, dict) else None
    if not isinstance(tensors, list):
        return
    payloads = [part.raw for part in parts.chunks if part.tag == b"TENS"]
    was = [tensor.get("sha256") if isinstance(tensor, dict) else None for tensor in tensors]
    for tensor, payload in zip(tensors, payloads, strict=False):
        if isinstance(tensor, dict) and "sha256" in tensor:
            tensor["sha256"] = hashlib.sha256(payload).digest()
    if was != [tensor.get("sha256") if isinstance(tensor, dict) else None for tensor in tensors]:
        manifest.raw, manifest.frame = trees.dump(tree), None


def content_id(parts: Parts) -> bytes | None:
    """The content id of a latents file (section 9); None where its rows make no sense."""
    header = parts.header
    try:
        own = _OWN[header["encoding"]]
        values = header.get("values", own)
        keys = ("decoder", "dims", "foreign_decoder", "image")
        head = {key: header[key] for key in keys if key in header} | {"values": values} | _described(header)
        found = hashlib.sha256(trees.dump(head))
        sizes = None
        for part in parts.chunks:
            sizes = part.raw if part.tag == b"SIZE" else sizes
            if part.tag == b"ROWS":
                _add_rows(found, _narrow(part.raw, header["encoding"], own, values), Free.of(header), sizes)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return found.digest()


def _described(header: dict[str, Any]) -> dict[str, Any]:
    """What of a description is part of the content id."""
    said = header.get("described", {})
    kept = {key: said[key] for key in ("scale", "shift") if key in said}
    return kept | ({"axis": said["axis"]} if any(len(numbers) > 8 for numbers in kept.values()) else {})


def _add_rows(found: Any, values: bytes, free: Free, sizes: bytes | None) -> None:
    """Each row's sizes stand in front of its values."""
    if not free or sizes is None:
        found.update(values)
        return
    entries = free.entries(sizes)
    n_values = sum(entry[0] * free.row_values(entry) for entry in entries)
    width, at = len(values) // n_values if n_values else 0, 0
    if not width or len(values) > MOST_RAW_BYTES:
        raise ValueError("no rows of these sizes")
    for n, *of_row in entries:
        n_bytes = width * free.row_values((n, *of_row))
        for _ in range(n if n_bytes else 0):
            found.update(struct.pack(f"<{len(of_row)}I", *of_row) + values[at : at + n_bytes])
            at += n_bytes


def _narrow(raw: bytes, encoding: str, own: str, values: str) -> bytes:
    if encoding != "text19" and values == own:
        return raw
    if len(raw) > MOST_RAW_BYTES:
        raise ValueError("too large to look into")
    with np.errstate(all="ignore"):
        if encoding == "text19":
            wide = np.array(raw.split(), np.float64)
        elif encoding == "bf16le":
            wide = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            wide = np.frombuffer(raw, _DTYPES[own])
        if values == "bf16":
            return (wide.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
        wide = (
            wide if values in ("f64", "f32", "f16") else np.nan_to_num(wide).clip(-(2**31), 2**31 - 1).astype(np.int64)
        )
        return wide.astype(_DTYPES[values]).tobytes()


def _row_bytes(header: dict[str, Any]) -> int:
    """Raw bytes of a row, a free size taken for 1; 0 where the header does not tell."""
    dims, width = header.get("dims"), WIDTHS.get(str(header.get("encoding")))
    if not isinstance(dims, list) or width is None or not all(isinstance(size, int) for size in dims):
        return 0
    return max(0, math.prod(size or 1 for size in dims) * width)


def _aligned(header: dict[str, Any]) -> frozenset[bytes]:
    """Tags whose payloads are padded (C4-9)."""
    if header.get("codec") != "none":
        return frozenset()
    is_wide = WIDTHS.get(str(header.get("encoding")), 1) in (2, 4, 8)
    return frozenset({b"TENS", b"ROWS"} if is_wide else {b"TENS"})


def _widths(header: dict[str, Any], manifest: bytes | None) -> Any:
    """A function: tag -> iterator of the value size for the shuffle of the next chunk with that tag."""
    if header.get("filter") != "shuffle":
        return lambda _tag: iter((1,))
    tree = trees.load(manifest) if manifest is not None else None
    tensors = tree.get("tensors") if isinstance(tree, dict) else None
    types = [t.get("type") if isinstance(t, dict) else None for t in tensors] if isinstance(tensors, list) else []
    tensor_widths = iter([_TENSOR_WIDTHS.get(str(name), 1) for name in types])
    rows = WIDTHS.get(str(header.get("encoding")), 1)
    return lambda tag: tensor_widths if tag == b"TENS" else iter((rows if tag == b"ROWS" and rows != 27 else 1,))


def _part(tag: bytes, stored: bytes, raw_len: int, width: int) -> Part:
    """A chunk with its payload unpacked, if that can be done."""
    if raw_len == len(stored):
        return Part(tag, stored)
    try:
        frame = zstandard.get_frame_parameters(stored)
        if not frame.content_size == raw_len <= MOST_RAW_BYTES:
            raise ValueError("not to be unpacked")
        raw = zstandard.ZstdDecompressor(max_window_size=1 << 23).decompress(stored, max_output_size=raw_len)
        raw = np.frombuffer(raw, np.uint8).reshape(width, -1).T.tobytes()
    except (zstandard.ZstdError, ValueError):
        return Part(tag, stored, raw_len=raw_len)
    return Part(tag, raw, is_packed=True, frame=stored)


def _pack(raw: bytes, width: int, level: int) -> bytes:
    if len(raw) % width:
        width = 1
    shuffled = np.frombuffer(raw, np.uint8).reshape(-1, width).T.tobytes()
    frame = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress(shuffled)
    return frame if len(frame) < len(raw) else raw
