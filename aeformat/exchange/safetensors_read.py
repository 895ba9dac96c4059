"""The tensors of a safetensors file, read piece by piece (M13-1, M13-2 of spec/model.md).

Owns the check of the whole header: the library of that name checks less where JSON has a key twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from aeformat.errors import NetworkInvalid
from aeformat.exchange.network_id import PIECE_BYTES, NetworkTensor, check_length, checked_type

TYPES: Final = {
    "BOOL": "bool", "U8": "u8", "U16": "u16", "U32": "u32", "U64": "u64", "I8": "i8", "I16": "i16", "I32": "i32",
    "I64": "i64", "F16": "f16", "F32": "f32", "F64": "f64", "BF16": "bf16", "F8_E4M3": "f8_e4m3fn", "F8_E5M2": "f8_e5m2",
}  # fmt: skip
_LENGTH: Final = struct.Struct("<Q")
_MOST_HEADER_BYTES: Final = 100_000_000
_KEYS: Final = {"dtype", "shape", "data_offsets"}


@contextlib.contextmanager
def open_safetensors(path: Path) -> Iterator[list[NetworkTensor]]:
    """Its tensors, in the order of the file.  Raises NetworkInvalid, Unsupported, OSError."""
    with open_with_metadata(path) as (tensors, _):
        yield tensors


@contextlib.contextmanager
def open_with_metadata(path: Path) -> Iterator[tuple[list[NetworkTensor], dict[str, str]]]:
    """The same, and what stands under __metadata__."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise _bad("it ends inside the length of its header")
        (n_bytes,) = _LENGTH.unpack(head)
        if not 2 <= n_bytes <= _MOST_HEADER_BYTES:
            raise _bad(f"its header states {n_bytes} bytes, which is not 2 to {_MOST_HEADER_BYTES:,}")
        text = file.read(n_bytes)
        if len(text) < n_bytes:
            raise _bad("it ends inside its header")
        start = _LENGTH.size + n_bytes
        header = _json(text)
        metadata = _metadata(header)
        yield list(_tensors(header, file, start, size - start)), metadata


def _bad(what: str) -> NetworkInvalid:
    return NetworkInvalid("M13-1", 0, f"no whole safetensors file: {what}")


def _json(text: bytes) -> dict[str, Any]:
    """Raises NetworkInvalid."""
    try:
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number
        )
    except NetworkInvalid:
        raise
    except (ValueError, RecursionError) as error:
        raise _bad(f"its header is no JSON of the right form ({error})"[:300]) from None
    if not isinstance(value, dict):
        raise _bad("its header is no JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NetworkInvalid("M13-2", 0, f"its header has the key {key!r} twice")
        found[key] = value
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no integer")


def _metadata(header: dict[str, Any]) -> dict[str, str]:
    """Taken out of a header."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _bad("its __metadata__ is no object of strings")
    return metadata


def _tensors(header: dict[str, Any], file: BinaryIO, start: int, n_bytes: int) -> Iterator[NetworkTensor]:
    """Checked against each other: they cover the rest of the file, of n_bytes."""
    found = {name: _entry(name, entry) for name, entry in header.items()}
    at = 0
    for name, (kind, shape, first, end) in sorted(found.items(), key=lambda item: item[1][2:]):
        if first != at:
            raise _bad(f"tensor {name!r} begins at byte {first} of the data, the one before it ends at {at}")
        at = end
        if at > n_bytes:
            break
        ours = checked_type(name, TYPES.get(kind), kind)
        check_length(name, ours, shape, end - first)
        yield NetworkTensor(name, ours, shape, partial(_pieces, file, start + first, end - first))
    if at != n_bytes:
        raise _bad(f"its tensors take {at} bytes, and {n_bytes} follow its header")


def _entry(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Type, shape, and where the bytes begin and end."""
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        raise _bad(f"the entry of tensor {name!r} has not the keys {', '.join(sorted(_KEYS))}")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or not _is_sizes(shape) or not _is_sizes(offsets) or len(offsets) != 2:
        raise _bad(f"the entry of tensor {name!r} has values of another type")
    if offsets[0] > offsets[1]:
        raise _bad(f"tensor {name!r} ends before it begins")
    return kind, tuple(shape), offsets[0], offsets[1]


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 1 << 64 for size in value)


def _pieces(file: BinaryIO, at: int, n_bytes: int) -> Iterator[bytes]:
    file.seek(at)
    while n_bytes:
        piece = file.read(min(n_bytes, PIECE_BYTES))
        if not piece:
            raise _bad("it was cut while it was read")
        n_bytes -= len(piece)
        yield piece
