"""The id of a network that is no package: a digest over its tensors (spec/model.md, section 13).

Owns the digest, and what goes in from which file.  Knows no file format; a module for each does.  Nothing from a file is run.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from aeformat.errors import LimitExceeded, NetworkInvalid, Unsupported, UsageError
from aeformat.model.identity import read_model_id
from aeformat.paths import checked_path, named
from aeformat.pipeline.progress import SILENT, Progress

TYPE_BYTES: Final = {  # M13-3
    "bool": 1, "u8": 1, "u16": 2, "u32": 4, "u64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8,
    "f16": 2, "f32": 4, "f64": 8, "bf16": 2, "f8_e4m3fn": 1, "f8_e5m2": 1,
}  # fmt: skip
PIECE_BYTES: Final = 1 << 20  # that a reader hands out at a time, about
_TAG: Final = b"aeformat network 1\n"
_MOST_TENSORS: Final = 1 << 20  # M13-5
_AEF: Final = ".aef"
_PICKLED: Final = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
_HOW_TO_SAVE: Final = (
    "such a file is a pickle, and loading one can run code from it, so it is not read; save its state dict once, with "
    'safetensors.torch.save_file(torch.load(name, weights_only=True), "network.safetensors"), and take that file'
)


class NetworkTensor(NamedTuple):
    """One tensor of a file.  type: a name of section 13.  pieces: its bytes, little-endian, in C order, piece by piece."""

    name: str
    type: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[bytes | memoryview]]

    @property
    def n_bytes(self) -> int:
        """As its shape and type say."""
        return math.prod(self.shape) * TYPE_BYTES[self.type]


class NetworkId(NamedTuple):
    """What a file is known by.  is_package: the id is the model id of a package, else a network id."""

    id: bytes
    is_package: bool
    n_tensors: int = 0
    n_bytes: int = 0


def model_id(path: str | os.PathLike[str]) -> bytes:
    """The 32 bytes that a network is known by: the model id of a package (.aef), the network id of any other file of tensors.

    path: .safetensors; .keras, .weights.h5 or .h5 (needs h5py); .onnx (needs onnx).  Nothing in the file is run.  A network id
    goes into `create(..., foreign_decoder=...)`.

    Raises UsageError (no such file, another kind of file, a library that is missing), FormatError (damage, M13-1 to M13-6).
    Source: spec/model.md, sections 1 and 13.
    """
    return identify(path).id


def identify(path: str | os.PathLike[str], progress: Progress = SILENT) -> NetworkId:
    """The same, with what was read.  progress: counts bytes of tensors."""
    name = checked_path(path)
    with named(name):
        if not Path(name).is_file():
            raise UsageError("there is no such file")
        if name.lower().endswith(_AEF):
            return NetworkId(read_model_id(Path(name)), is_package=True)
        with _opened(Path(name)) as tensors:
            return _identified(tensors, progress)


def network_id(tensors: Iterable[NetworkTensor], progress: Progress = SILENT) -> bytes:
    """The digest: each tensor is read once, in the order given.

    Raises NetworkInvalid (M13-2, M13-4, M13-5), LimitExceeded (M13-5).
    """
    records: dict[bytes, bytes] = {}
    for tensor in tensors:
        name = _name_bytes(tensor.name)
        if name in records:
            raise NetworkInvalid("M13-2", 0, f"two tensors have the name {tensor.name!r}")
        if len(records) == _MOST_TENSORS:
            raise LimitExceeded("M13-5", 0, f"more than {_MOST_TENSORS:,} tensors")
        records[name] = _record(name, tensor, progress)
    if not records:
        raise NetworkInvalid("M13-5", 0, "the file has no tensor")
    made = hashlib.sha256(_TAG + struct.pack("<I", len(records)))
    for name in sorted(records):
        made.update(records[name])
    return made.digest()


def _identified(tensors: list[NetworkTensor], progress: Progress) -> NetworkId:
    made = network_id(tensors, progress)
    return NetworkId(made, False, len(tensors), sum(tensor.n_bytes for tensor in tensors))


def _opened(path: Path) -> AbstractContextManager[list[NetworkTensor]]:
    """The tensors of a file, by what its name ends in; they can be read while it is open.  Raises UsageError."""
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        from aeformat.exchange.safetensors_read import open_safetensors

        return open_safetensors(path)
    if suffix in (".keras", ".h5", ".hdf5"):
        from aeformat.exchange.hdf5_read import open_weights

        return open_weights(path)
    if suffix == ".onnx":
        from aeformat.exchange.onnx_read import open_initializers

        return open_initializers(path)
    if suffix in _PICKLED:
        raise UsageError(_HOW_TO_SAVE)
    raise UsageError("the end of the name says what it is: .safetensors, .keras, .h5, .onnx or .aef")


def _name_bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8")
    except UnicodeEncodeError:
        raise NetworkInvalid("M13-2", 0, f"the name {name!r} is not UTF-8") from None


def _record(name: bytes, tensor: NetworkTensor, progress: Progress) -> bytes:
    digest, n_bytes = hashlib.sha256(), 0
    for piece in tensor.pieces():
        if tensor.type == "bool" and bytes(piece).strip(b"\0\1"):
            raise NetworkInvalid(
                "M13-4", 0, f"tensor {tensor.name!r} is of bools, and has bytes that are neither 0 nor 1"
            )
        digest.update(piece)
        n_bytes += len(piece)
        progress.update(len(piece))
    check_length(tensor.name, tensor.type, tensor.shape, n_bytes)
    kind, axes = tensor.type.encode("ascii"), len(tensor.shape)
    return b"".join((_counted(name), _counted(kind), struct.pack(f"<I{axes}Q", axes, *tensor.shape), digest.digest()))


def _counted(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def checked_type(name: str, kind: str | None, stated: str) -> str:
    """A type of section 13; kind: None where it has none for the one that the file states.  Raises Unsupported (M13-3)."""
    if kind is None:
        raise not_covered("M13-3", f"tensor {name!r} is of type {stated}")
    return kind


def not_covered(rule: str, what: str) -> Unsupported:
    """The error for what a network id does not cover, in any version."""
    error = Unsupported(rule, 0, f"{what}; a network id does not cover that")
    error.hint = None  # a newer aeformat would say the same
    return error


def check_length(name: str, kind: str, shape: tuple[int, ...], n_bytes: int) -> None:
    """Raises NetworkInvalid (M13-4)."""
    expected = math.prod(shape) * TYPE_BYTES[kind]
    if n_bytes != expected:
        raise NetworkInvalid(
            "M13-4", 0, f"tensor {name!r} has {n_bytes} bytes, and {kind} {list(shape)} takes {expected}"
        )
