"""An ONNX file as plain data: its nodes, its numbers, its ends.  Nothing in the file runs, and nothing is read but it.

Owns what is refused unseen: files that are too large, operators that are not ONNX's own, functions, control flow, and numbers
kept anywhere but in the file or in one beside it.  Knows nothing of what operators mean.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError

Array = NDArray[Any]
Shape = tuple[int | None, ...]

MAX_BYTES: Final = 1 << 30  # of the file; and so many numbers at most
MAX_NODES: Final = 10_000
_MAX_AXES: Final = 8
_OPSETS: Final = range(7, 32)
_FEWEST_BYTES: Final = 0.25  # of a number of any type
_MOST_BYTES: Final = 16
_CONTROL: Final = frozenset({"If", "Loop", "Scan", "SequenceMap"})


@dataclass(frozen=True, slots=True)
class Node:
    """One operator.  inputs: names of values, "" for one that is left out.  attributes: plain values, lists, and arrays."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called in an error: its name, or else what it makes."""
        return f"{self.name or next((name for name in self.outputs if name), '?')!r} ({self.op}"

    def integer(self, key: str, default: int = 0) -> int:
        """An attribute that is one integer."""
        return int(self.attributes.get(key, default))

    def number(self, key: str, default: float = 0.0) -> float:
        """An attribute that is one number."""
        return float(self.attributes.get(key, default))

    def text(self, key: str, default: str = "") -> str:
        """An attribute that is a word."""
        value = self.attributes.get(key, default)
        return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)

    def integers(self, key: str) -> tuple[int, ...] | None:
        """An attribute that is a list of integers, None where it is left out."""
        value = self.attributes.get(key)
        return None if value is None else tuple(int(one) for one in value)


@dataclass(frozen=True, slots=True)
class OnnxNet:
    """What a file holds.  input: its name; shape: of the input with the row axis, None where any size does."""

    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    input: str
    shape: Shape
    dtype: np.dtype[Any]
    outputs: tuple[str, ...]


def load_onnx() -> Any:
    """The onnx module.  Raises UsageError where it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise UsageError('ONNX files need the onnx package: pip install "aeformat[export]"') from error
    return onnx


def read_onnx(path: Path) -> OnnxNet:
    """The network in a file.  Raises UsageError: what is wrong with it, in one line."""
    onnx = load_onnx()
    data = _read_file(path, str(path))
    try:
        model = onnx.ModelProto.FromString(data)
    except _decode_errors() as error:
        raise UsageError(f"{path}: is no ONNX file") from error
    if not model.ir_version or not model.graph.node:
        raise UsageError(f"{path}: is no ONNX file, or one of no operator")
    try:
        return _net(onnx, model, path)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _decode_errors() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError

    return (DecodeError, UnicodeDecodeError, RecursionError)


def _read_file(path: Path, what: str, start: int = 0, length: int | None = None) -> bytes:
    """A plain file's bytes, or `length` of them from `start` on.  Raises UsageError."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise UsageError(f"{what}: is no plain file")
            n = about.st_size - start if length is None else length
            if n > MAX_BYTES:
                raise UsageError(f"{what}: {n:,} bytes, up to {MAX_BYTES:,} are taken")
            if start + n > about.st_size or n < 0:
                raise UsageError(f"{what} ends before them: is that the file it was saved with?")
            file.seek(start)
            return file.read(n)
    except FileNotFoundError:
        raise UsageError(f"{what}: no such file") from None
    except OSError as error:
        raise UsageError(f"{what}: {error.strerror}") from error


def _net(onnx: Any, model: Any, path: Path) -> OnnxNet:
    graph = model.graph
    opset = _checked_operators(model)
    numbers = _Numbers(onnx, path.parent)
    constants = {tensor.name: numbers.array(tensor, tensor.name) for tensor in graph.initializer}
    if graph.sparse_initializer:
        raise UsageError(f"{graph.sparse_initializer[0].values.name!r} is a sparse tensor; export dense ones")
    nodes = tuple(_node(onnx, node, numbers) for node in graph.node)
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(repr(one.name) for one in inputs) or "none"
        raise UsageError(f"the network takes {len(inputs)} inputs ({names}); here it takes one, the image")
    shape, dtype = _image_type(onnx, inputs[0])
    net = OnnxNet(
        opset, nodes, constants, inputs[0].name, shape, dtype, tuple(one.name for one in graph.output if one.name)
    )
    _check_names(net)
    return net


def _checked_operators(model: Any) -> int:
    """The opset of ONNX's own operators, if the file has no other ones."""
    if model.functions:
        what = model.functions[0].name
        raise UsageError(f"has functions of its own ({what!r}); export it with its functions inlined")
    if len(model.graph.node) > MAX_NODES:
        raise UsageError(f"{len(model.graph.node):,} operators, up to {MAX_NODES:,} are taken")
    for node in model.graph.node:
        label = repr(node.name or (node.output[0] if node.output else ""))
        if node.domain not in ("", "ai.onnx"):
            raise UsageError(
                f"{label} is the operator {node.domain}.{node.op_type}, which is not ONNX's own; export without it"
            )
        if node.op_type in _CONTROL or any(one.HasField("g") or one.graphs for one in node.attribute):
            raise UsageError(f"{label} ({node.op_type}) decides at run time what is computed; export without it")
    found = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if len(found) != 1 or found[0] not in _OPSETS:
        raise UsageError(f"is of opset {found[0] if found else 'none'}; {_OPSETS[0]} to {_OPSETS[-1]} are read here")
    return int(found[0])


def _image_type(onnx: Any, end: Any) -> tuple[Shape, np.dtype[Any]]:
    if not end.type.HasField("tensor_type"):
        raise UsageError(f"the input {end.name!r} is no tensor")
    tensor = end.type.tensor_type
    dims = tensor.shape.dim
    if not tensor.HasField("shape") or not 2 <= len(dims) <= 4:
        raise UsageError(f"the input {end.name!r} has {len(dims)} axes; an image has [rows, channels, height, width]")
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except KeyError:
        raise UsageError(f"the input {end.name!r} is of no known type") from None
    if dtype not in _INPUTS:
        raise UsageError(f"the input {end.name!r} is {dtype}; an image is float32, float16, float64 or uint8")
    shape = tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)
    return shape, dtype


_INPUTS: Final = tuple(np.dtype(kind) for kind in (np.float32, np.float16, np.float64, np.uint8))


def _check_names(net: OnnxNet) -> None:
    """Every value is made once, before it is used."""
    made = {"", net.input, *net.constants}
    for node in net.nodes:
        missing = next((name for name in node.inputs if name not in made), None)
        if missing is not None:
            raise UsageError(f"{node.label}) takes {missing!r}, which nothing before it makes")
        again = next((name for name in node.outputs if name and name in made), None)
        if again is not None:
            raise UsageError(f"{node.label}) makes {again!r}, which is there already")
        made.update(node.outputs)


def _node(onnx: Any, node: Any, numbers: _Numbers) -> Node:
    attributes: dict[str, Any] = {}
    for one in node.attribute:
        if one.ref_attr_name:
            raise UsageError(f"the attribute {one.name!r} of {node.name!r} belongs to no function")
        if one.HasField("t"):
            attributes[one.name] = numbers.array(one.t, node.name or one.name)
        else:
            attributes[one.name] = onnx.helper.get_attribute_value(one)
    return Node(node.op_type, node.name, tuple(node.input), tuple(node.output), attributes)


class _Numbers:
    """Reads tensors, and counts what they take together."""

    def __init__(self, onnx: Any, folder: Path) -> None:
        self._onnx, self._folder = onnx, folder
        self._n_numbers = 0

    def array(self, tensor: Any, name: str) -> Array:
        """The numbers of one tensor.  Raises UsageError."""
        shape = tuple(tensor.dims)
        if len(shape) > _MAX_AXES or any(size < 0 for size in shape) or prod(shape) > MAX_BYTES:
            raise UsageError(f"the tensor {name!r} has the impossible shape {list(shape)[:_MAX_AXES]}")
        self._n_numbers += prod(shape)
        if self._n_numbers > MAX_BYTES:
            raise UsageError(f"more than {MAX_BYTES:,} numbers in all")
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            tensor.raw_data = self._beside(tensor, name)
            tensor.data_location = self._onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
        try:
            made = np.asarray(self._onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise UsageError(f"the tensor {name!r} does not hold the numbers that its shape and type say") from error
        if made.shape != shape:
            raise UsageError(f"the tensor {name!r} does not hold the numbers that its shape and type say")
        return made

    def _beside(self, tensor: Any, name: str) -> bytes:
        """What the tensor's entry says of a file in the same folder: a name without a path, a place, a length."""
        entry = {one.key: one.value for one in tensor.external_data}
        location = entry.get("location", "")
        if not location or location in (".", "..") or PurePosixPath(location).name != location or "\\" in location:
            raise UsageError(
                f"the tensor {name!r} lies in {location!r}; only a file beside this one is read: export again"
            )
        path = self._folder / location
        if path.is_symlink():
            raise UsageError(f"{location!r} is a link; only a file beside this one is read")
        start, length = _count(entry.get("offset", "0"), name), None
        if "length" in entry:
            length = _count(entry["length"], name)
        data = _read_file(path, f"the numbers of {name!r}: {str(path)!r}", start, length)
        if not _FEWEST_BYTES <= len(data) / max(1, prod(tensor.dims)) <= _MOST_BYTES:
            raise UsageError(f"the tensor {name!r} does not hold the numbers that its shape and type say")
        return data


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UsageError(f"the tensor {name!r} has no place in its file: {text[:20]!r}")
    return int(text)


def value_names(net: OnnxNet) -> Iterator[str]:
    """All values that nodes make."""
    return (name for node in net.nodes for name in node.outputs if name)
