"""The initializers of an ONNX file (spec/model.md, section 13).  The graph is parsed and not run; no other file is opened."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from aeformat.errors import NetworkInvalid, UsageError
from aeformat.exchange.network_id import PIECE_BYTES, NetworkTensor, checked_type, not_covered

_TYPES: Final = {
    "BOOL": "bool", "UINT8": "u8", "UINT16": "u16", "UINT32": "u32", "UINT64": "u64", "INT8": "i8", "INT16": "i16",
    "INT32": "i32", "INT64": "i64", "FLOAT16": "f16", "FLOAT": "f32", "DOUBLE": "f64", "BFLOAT16": "bf16",
    "FLOAT8E4M3FN": "f8_e4m3fn", "FLOAT8E5M2": "f8_e5m2",
}  # fmt: skip


@contextlib.contextmanager
def open_initializers(path: Path) -> Iterator[list[NetworkTensor]]:
    """Its tensors.  Protobuf keeps the whole file in memory.  Raises UsageError, NetworkInvalid, Unsupported."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UsageError('reading .onnx needs its package: pip install "aeformat[export]"') from error
    try:
        model = onnx.load_model(path, load_external_data=False)
    except (DecodeError, UnicodeDecodeError) as error:
        raise NetworkInvalid("M13-1", 0, f"no whole ONNX file: {error}"[:300]) from None
    if model.graph.sparse_initializer:
        raise not_covered("M13-3", "it has sparse initializers")
    yield [_tensor(onnx, found) for found in model.graph.initializer]


def _tensor(onnx: Any, found: Any) -> NetworkTensor:
    if not isinstance(found.name, str):  # what protobuf makes of bytes that are none
        raise NetworkInvalid("M13-2", 0, f"the name {found.name!r} of a tensor is not UTF-8")
    if found.data_location == onnx.TensorProto.EXTERNAL or found.external_data:
        what = f"tensor {found.name!r} lies in another file, which is not opened; save the network as one file"
        raise not_covered("M13-6", what)
    numbers = onnx.TensorProto.DataType
    stated = numbers.Name(found.data_type) if found.data_type in numbers.values() else str(found.data_type)
    kind = checked_type(found.name, _TYPES.get(stated), stated)
    if any(size < 0 for size in found.dims):
        raise NetworkInvalid("M13-1", 0, f"tensor {found.name!r} has the shape {list(found.dims)}")
    return NetworkTensor(found.name, kind, tuple(found.dims), lambda: _pieces(onnx, found))


def _pieces(onnx: Any, found: Any) -> Iterator[memoryview]:
    data = memoryview(found.raw_data if found.HasField("raw_data") else _listed(onnx, found))
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


def _listed(onnx: Any, found: Any) -> bytes:
    """The numbers of a tensor that are a list of their own in the file.  Raises NetworkInvalid (M13-4)."""
    try:
        array = onnx.numpy_helper.to_array(found)
    except (ValueError, TypeError) as error:
        raise NetworkInvalid("M13-4", 0, f"tensor {found.name!r}: {error}"[:300]) from None
    data: bytes = (array.byteswap() if sys.byteorder == "big" else array).tobytes()
    return data
