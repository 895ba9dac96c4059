"""The network id of a safetensors file (model.md, section 13).  Every error is at byte 0."""

from __future__ import annotations

import hashlib
import json
import struct
from math import prod
from typing import Any

from .errors import SpecError

_TYPES = {
    "BOOL": "bool 1", "U8": "u8 1", "U16": "u16 2", "U32": "u32 4", "U64": "u64 8", "I8": "i8 1", "I16": "i16 2", "I32": "i32 4",
    "I64": "i64 8", "F16": "f16 2", "F32": "f32 4", "F64": "f64 8", "BF16": "bf16 2", "F8_E4M3": "f8_e4m3fn 1", "F8_E5M2": "f8_e5m2 1",
}  # fmt: skip


def network_id(data: bytes) -> str:
    """In hex."""
    entries, numbers = _parts(data)
    records, covered = [], []
    for name, entry in entries.items():
        type_, shape, (first, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        # M13-3
        if type_ not in _TYPES:
            raise SpecError("M13-3", 0, f"type {type_}", "unsupported")
        ours, size = _TYPES[type_].split(" ")
        # M13-4
        tensor = numbers[first:end]
        if prod(shape) * int(size) != end - first or (ours == "bool" and tensor.translate(None, b"\0\1")):
            raise SpecError("M13-4", 0, f"{name}: {end - first} bytes", "network")
        covered.append((first, end))
        key, kind = name.encode(), ours.encode()
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        records.append((key, _string(key) + _string(kind) + sizes + hashlib.sha256(tensor).digest()))
    # M13-1: neither a hole nor an overlap
    covered.sort()
    if [0, *(end for _, end in covered)] != [*(first for first, _ in covered), len(numbers)]:
        raise SpecError("M13-1", 0, "the tensors do not cover the file", "network")
    # M13-5
    if not records:
        raise SpecError("M13-5", 0, "no tensor", "network")
    front = b"aeformat network 1\n" + struct.pack("<I", len(records))
    return hashlib.sha256(front + b"".join(record for _, record in sorted(records))).hexdigest()


def _string(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The entries of the header, each of the right form, and the bytes behind it: M13-1, M13-2."""
    broken = SpecError("M13-1", 0, "not a whole safetensors file", "network")
    twice = SpecError("M13-2", 0, "a key twice, or no UTF-8", "network")
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= 100_000_000 or len(data) < 8 + length:
        raise broken

    def refuse(_text: str) -> None:
        raise broken

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) < len(found):
            raise twice
        return dict(found)

    try:
        text = data[8 : 8 + length].decode("utf-8")
        header = json.loads(text, object_pairs_hook=pairs, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise broken from None
    if not isinstance(header, dict):
        raise broken
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise broken
    for name, entry in header.items():
        if not isinstance(entry, dict) or sorted(entry) != ["data_offsets", "dtype", "shape"]:
            raise broken
        offsets = entry["data_offsets"]
        if not isinstance(entry["dtype"], str) or not _are_sizes(entry["shape"]) or not _are_sizes(offsets):
            raise broken
        if len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(data) - 8 - length:
            raise broken
        if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
            raise twice
    return header, data[8 + length :]


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 1 << 64 for size in value)
