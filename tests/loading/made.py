"""Files and sets to load batches from: every row tells its number.  Knows nothing of pytest, PyTorch or TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import aeformat
from aeformat.container import encodings

N_ROWS, PER_FLUSH = 530, 23
SHAPES = ((4, 2, 2), (4, 2, 4), (4, 6, 2))
FIELDS = {"label": int, "caption": str, "crop": ("int32", (4,))}


def caption_of(row: int) -> str | None:
    return None if row % 7 == 0 else f"no. {row} — ü"


def beside(rows: range) -> dict[str, object]:
    """Names and fields of rows."""
    return {
        "names": [f"{row}.png" for row in rows],
        "label": list(rows),
        "caption": [caption_of(row) for row in rows],
        "crop": [[row, 1, 2, 3] for row in rows],
    }


def values_of(row: int) -> np.ndarray:
    """(4, 2, 2) float32, each exact in bf16."""
    return encodings.round_to(np.arange(16, dtype=np.float32).reshape(4, 2, 2) + row * 1.37, "bf16")


def shaped(row: int) -> np.ndarray:
    """A row of a shape of its own."""
    return np.full(SHAPES[row * row % 11 % 3], row, np.float16)


def write_file(path: Path, *, encoding: str = "bf16le", codec: str = "zstd", n_rows: int = N_ROWS) -> Path:
    """One file of many small chunks, the last of which is short."""
    with aeformat.create(path, append=True, dims=(4, 2, 2), encoding=encoding, codec=codec, fields=FIELDS) as file:
        for first in range(0, n_rows, PER_FLUSH):
            rows = range(first, min(first + PER_FLUSH, n_rows))
            file.write(np.stack([values_of(row) for row in rows]), **beside(rows))
            file.flush()
    return path


def write_shapes(path: Path) -> Path:
    """Rows of their own size."""
    with aeformat.create(path, append=True, dims=(4, None, None), encoding="f16le", fields=FIELDS) as file:
        for first in range(0, N_ROWS, PER_FLUSH):
            rows = range(first, min(first + PER_FLUSH, N_ROWS))
            file.write([shaped(row) for row in rows], **beside(rows))
            file.flush()
    return path


def write_set(folder: Path) -> Path:
    """The rows of write_file, a shard for each chunk."""
    writing = aeformat.create_set(folder, dims=(4, 2, 2), encoding="bf16le", fields=FIELDS)
    for first in range(0, N_ROWS, PER_FLUSH):
        rows = range(first, min(first + PER_FLUSH, N_ROWS))
        with writing.writer() as file:
            file.write(np.stack([values_of(row) for row in rows]), **beside(rows))
    writing.commit()
    return folder


def damage(path: Path, row: int) -> None:
    """Flip a bit of the values of the chunk that holds a row."""
    with aeformat.open(path) as latents:
        at = latents.block_of(row).place.at
    data = bytearray(path.read_bytes())
    data[at + 40] ^= 1
    path.write_bytes(data)
