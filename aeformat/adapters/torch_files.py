"""Folders of .pt: a tensor, or a dict of tensors and plain values, loaded as weights alone: no pickle in them runs.

The only module here that imports torch.  SimpleTuner's caches are such files, compressed with gzip where it was told so: as of
simpletuner/helpers/data_backend/local.py and base.py of bghira/SimpleTuner, commit 06b96af6803a6ad7723b4d75a56d94dad1a06dfa.
"""

from __future__ import annotations

import gzip
import io
import pickle
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aeformat.adapters.items import Contents, FileFormat, Item
from aeformat.adapters.tensors import Tensor
from aeformat.container.limits import ROW_BYTES
from aeformat.errors import CacheInvalid, UsageError

_TYPES: Final = {
    "bool": "bool", "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "int8": "i8", "int16": "i16",
    "int32": "i32", "int64": "i64", "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
    "float8_e4m3fn": "f8_e4m3fn", "float8_e5m2": "f8_e5m2",
}  # fmt: skip
_NAMES: Final = {ours: theirs for theirs, ours in _TYPES.items()}
_FORM: Final = "torch.form"  # "tensor" if the file is no dict
_VALUES: Final = "torch.values"  # what else the dict holds
_GZIP: Final = "torch.gzip"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ALONE: Final = "latents"


class PtFiles(FileFormat):
    """A folder of .pt."""

    name, suffix = "pt", ".pt"
    may_be_gzip = False

    def load(self, path: Path) -> Iterator[Contents]:
        """As FileFormat's."""
        if path.stat().st_size > 4 * ROW_BYTES:
            raise CacheInvalid(f"a file of {path.stat().st_size:,} bytes; a row has {ROW_BYTES:,} at most")
        data, about = path.read_bytes(), {}
        if self.may_be_gzip and data.startswith(_GZIP_MAGIC):
            data, about = _unzipped(data), {_GZIP: True}
        yield contents_of(loaded(data), about)

    def kept_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """What `load` has made."""
        return {key: metadata[key] for key in (_FORM, _VALUES, _GZIP) if key in metadata}

    def save(self, path: Path, contents: Contents) -> None:
        """As FileFormat's."""
        data = saved(contents)
        path.write_bytes(gzip.compress(data, mtime=0) if (contents.metadata or {}).get(_GZIP) else data)


class SimpleTunerFiles(PtFiles):
    """A folder cache/vae of SimpleTuner: in a dict the latent is "latents"."""

    name = "simpletuner"
    may_be_gzip = True

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        yield from super().items(path, file, key or _ALONE)


def _torch() -> Any:
    """Raises UsageError where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise UsageError('.pt files need torch: pip install "aeformat[torch]"') from error
    return torch


def saved(contents: Contents) -> bytes:
    """What torch.save writes: the tensor alone, or a dict, as it was."""
    about, file = contents.metadata or {}, io.BytesIO()
    tensors = {key: _to_torch(tensor) for key, tensor in contents.tensors.items()}
    is_alone = about.get(_FORM) == "tensor" and len(tensors) == 1
    _torch().save(next(iter(tensors.values())) if is_alone else {**tensors, **about.get(_VALUES, {})}, file)
    return file.getvalue()


def _unzipped(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            found = file.read(4 * ROW_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CacheInvalid(f"no whole gzip file: {error}") from None
    if len(found) > 4 * ROW_BYTES:
        raise CacheInvalid(f"a file that becomes more than {4 * ROW_BYTES:,} bytes")
    return found


def loaded(data: bytes) -> Any:
    """What torch.save has written, as weights alone.  Raises CacheInvalid."""
    torch = _torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused all the same
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CacheInvalid("it is damaged, or holds other objects than tensors, which are not loaded") from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error).strip().splitlines()[:1]
        raise CacheInvalid(
            f"no file of tensors alone: {why[0].partition('. ')[0][:200] if why else type(error).__name__}"
        ) from None


def contents_of(held: Any, about: dict[str, Any]) -> Contents:
    """Of a tensor, or a dict.  about: more metadata.  Raises CacheInvalid."""
    torch = _torch()
    if isinstance(held, torch.Tensor):
        return Contents({_ALONE: _of_torch(_ALONE, held)}, {**about, _FORM: "tensor"})
    if not isinstance(held, Mapping) or not all(isinstance(key, str) for key in held):
        raise CacheInvalid(f"it holds a {type(held).__name__}, and no tensor or dict of tensors")
    tensors = {key: _of_torch(key, value) for key, value in held.items() if isinstance(value, torch.Tensor)}
    values = {key: _plain(key, value) for key, value in held.items() if key not in tensors}
    return Contents(tensors, ({**about, _VALUES: values} if values else about) or None)


def _plain(key: str, value: Any) -> Any:
    """A value that JSON has.  Raises CacheInvalid."""
    if isinstance(value, list):
        return [_plain(key, one) for one in value]
    if value is None or type(value) in (bool, int, str) or (type(value) is float and value - value == 0):
        return value
    raise CacheInvalid(f"{key!r} is a {type(value).__name__}, which cannot be kept")


def _of_torch(key: str, tensor: Any) -> Tensor:
    torch = _torch()
    kind = _TYPES.get(str(tensor.dtype).removeprefix("torch."))
    if kind is None or tensor.layout != torch.strided or tensor.is_quantized:
        raise CacheInvalid(f"tensor {key!r} is {tensor.dtype}, {tensor.layout}, which cannot be kept")
    flat = tensor.detach().contiguous().reshape(-1)
    return Tensor(kind, tuple(tensor.shape), lambda: flat.view(torch.uint8).numpy().tobytes())


def _to_torch(tensor: Tensor) -> Any:
    torch = _torch()
    kind = getattr(torch, _NAMES[tensor.type])
    data = bytearray(tensor.read())
    flat = torch.frombuffer(data, dtype=torch.uint8).view(kind) if data else torch.empty(0, dtype=kind)
    return flat.reshape(tensor.shape)
