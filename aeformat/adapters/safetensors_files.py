"""Folders of .safetensors.  Files are written as the library of that name writes them: largest types first, then by name.

Owns the writer.  The reader is the one that network ids have, which checks the whole header.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aeformat.adapters.items import Contents, FileFormat
from aeformat.adapters.tensors import Tensor
from aeformat.container.limits import ROW_BYTES
from aeformat.errors import CacheInvalid
from aeformat.exchange.safetensors_read import TYPES, open_with_metadata

_NAMES: Final = {ours: theirs for theirs, ours in TYPES.items()}
_ORDER: Final = (
    "u64", "i64", "f64", "f32", "u32", "i32", "bf16", "f16", "u16", "i16", "f8_e4m3fn", "f8_e5m2", "i8", "u8", "bool",
)  # fmt: skip
_ALIGNMENT: Final = 8
_ONLY: Final = "value"


class SafetensorsFiles(FileFormat):
    """A folder of .safetensors."""

    name, suffix = "safetensors", ".safetensors"

    def load(self, path: Path) -> Iterator[Contents]:
        """As FileFormat's."""
        with open_with_metadata(path) as (found, metadata):
            tensors = {
                one.name: Tensor(one.type, one.shape, lambda one=one: b"".join(one.pieces()))  # type: ignore[misc]
                for one in found
            }
            for name, tensor in tensors.items():
                if tensor.n_bytes > ROW_BYTES:
                    raise CacheInvalid(f"tensor {name!r} has {tensor.n_bytes:,} bytes; a row has {ROW_BYTES:,} at most")
            yield Contents(tensors, metadata or None)

    def kept_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Texts."""
        return {key: value for key, value in metadata.items() if isinstance(value, str)}

    def save(self, path: Path, contents: Contents) -> None:
        """As FileFormat's."""
        with path.open("wb") as file:
            for piece in file_pieces(contents.tensors, contents.metadata):
                file.write(piece)


def file_pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The bytes of a file.  metadata: texts."""
    head: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    ordered, at = sorted(tensors.items(), key=lambda item: (_ORDER.index(item[1].type), item[0])), 0
    for name, tensor in ordered:
        end = at + tensor.n_bytes
        head[name] = {"dtype": _NAMES[tensor.type], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json_text(head).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    yield struct.pack("<Q", len(text)) + text
    for _, tensor in ordered:
        yield tensor.read()


def json_text(value: Mapping[str, Any]) -> str:
    """As JSON, without spaces; surrogates, which UTF-8 has not, are escaped, and with them all that is no ASCII."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def packed(tensor: Tensor) -> bytes:
    """A tensor as a value of a field: a .safetensors file of its own, with one tensor, "value"."""
    return b"".join(file_pieces({_ONLY: tensor}))


def unpacked(data: bytes) -> Tensor:
    """The tensor in a value of a field.  Raises CacheInvalid."""
    try:
        (n_bytes,) = struct.unpack_from("<Q", data)
        entry = json.loads(data[8 : 8 + n_bytes])[_ONLY]
        tensor = Tensor(TYPES[entry["dtype"]], tuple(entry["shape"]), lambda: data[8 + n_bytes :])
    except (struct.error, ValueError, KeyError, TypeError):
        raise CacheInvalid('the value of a field is no .safetensors file with one tensor, "value"') from None
    if len(data) != 8 + n_bytes + tensor.n_bytes:
        raise CacheInvalid("the value of a field has another length than its head says")
    return tensor
