"""This package, by its public interface.  bf16 is bits here, as in PyTorch: a writer gets float32 of the same values, a reader gives bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.bench.rivals.rival import Array, Names, Opened, Place, Rival

_ENCODINGS: Final = {"float64": "f64le", "float16": "f16le", "uint16": "bf16le", "uint8": "u8"}
_FILE: Final = "latents.aef"
_NOT_CACHED: Final = 1  # byte: a real set is larger than any cache, so only the chunk that was used last is kept


def _write(folder: Path, values: Array, names: Names, *, codec: str, encoding: str = "") -> None:
    import aeformat

    encoding = encoding or _ENCODINGS[values.dtype.name]
    with aeformat.create(folder / _FILE, dims=values.shape[1:], encoding=encoding, codec=codec) as file:
        file.append(_widened(values) if encoding == "bf16le" else values, names)


def _widened(bits: Array) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _opened(folder: Path, **more: Any) -> Any:
    import aeformat

    latents: Any = aeformat.open(folder / _FILE, **more)
    if latents.header.values != "bf16":
        return latents
    bits = latents.as_bits()
    latents.close()
    return bits


def _read(place: Place) -> tuple[Array, Names]:
    with _opened(place.folder) as latents:
        names = [name for _, some in latents.row_names() for name in some] if place.has_names else None
        return latents[:], names


def _read_forward(place: Place) -> tuple[Array, Names]:
    """Every byte and the content id are checked."""
    import aeformat

    pieces: list[Array] = []
    names: list[str] = []
    with aeformat.stream(place.folder / _FILE) as blocks:
        for block in blocks:
            pieces.append(block.values)
            if block.names is not None and block.names.names is not None:
                names += block.names.names
        is_wide = blocks.header.values == "bf16"
    values = np.concatenate(pieces)
    return _bits(values) if is_wide else values, names if place.has_names else None


def _bits(widened: NDArray[np.float32]) -> NDArray[np.uint16]:
    """A stream has no bits to give."""
    return (widened.view(np.uint32) >> 16).astype(np.uint16)


class _Opened(Opened):
    def __init__(self, folder: Path, *, is_mapped: bool) -> None:
        self._latents = _opened(folder, **({"mmap": True} if is_mapped else {"cache_bytes": _NOT_CACHED}))
        if is_mapped:
            for start in self._latents.chunk_starts():
                self._latents.block_of(start)  # checked here, once

    def row(self, number: int) -> Array:
        found: Array = self._latents[number]
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Array:
        found: Array = self._latents[numbers]
        return found

    def name(self, number: int) -> str:
        return str(self._latents.name_of(number))


def _open(place: Place, *, is_mapped: bool = False) -> _Opened:
    return _Opened(place.folder, is_mapped=is_mapped)


def _rival(settings: str, codec: str, *, read: Callable[[Place], tuple[Array, Names]] = _read) -> Rival:
    write = partial(_write, codec=codec)
    return Rival(
        write,
        read,
        _open,
        ("zstandard", "msgpack"),
        ("aeformat.pipeline.create",),
        settings,
        "a chunk of names beside each chunk of rows",
    )


RIVALS: Final = {
    "aef": _rival("as it is by default; read by `aeformat.open(path)[:]`: every chunk's CRC-32 is checked", "zstd"),
    "aef, forward": _rival(
        "the same file, read by `aeformat.stream`: the content id (SHA-256) is checked too", "zstd", read=_read_forward
    ),
    "aef, stored": _rival("codec none; as aef", "none"),
    "aef, stored, mapped": _rival("codec none, `mmap=True`; one row and 256 rows after each chunk was checked once", "none")._replace(
        open=partial(_open, is_mapped=True)
    ),
    "aef, text19": Rival(
        partial(_write, codec="none", encoding="text19"), _read, _open, (), ("aeformat.pipeline.create",), "19 digits, one row a line; each cell is checked",
        is_text=True, types=("float64",),
    ),
}  # fmt: skip
