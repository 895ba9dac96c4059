"""The work of a file (container.md, C13-1)."""

from __future__ import annotations

from typing import Any

from .container import Chunk, count
from .model import Model
from .model import work as work_of_a_row

_KNOWN = (b"nAMe", b"rCPT", b"ROWS", b"iNDX", b"MANF", b"TENS")  # a dECo is a file of its own


def file_work(got: dict[str, Any]) -> int:
    """The units of a file that `read_container` has read."""
    total = sum(_of_chunk(chunk, got["header"]) for chunk in got["chunks"] if chunk.tag in _KNOWN)
    return total + (_of_golden_set(got["model"]) if got.get("model") else 0)


def _of_chunk(chunk: Chunk, header: dict[str, Any]) -> int:
    units: int = 4 * chunk.raw_len
    if chunk.tag == b"nAMe":
        units += 512 * chunk.raw_len
    if chunk.tag == b"ROWS" and header["encoding"] == "text19":
        units += 1_024 * (chunk.raw_len // 27)
    if chunk.tag == b"ROWS" and header["codec"] == "rans" and chunk.stored_len < chunk.raw_len:
        symbols = count(header["dims"]) + 1  # of a row
        lanes = 2 ** chunk.stored[0]
        units += 256 * ((chunk.n_rows + lanes - 1) // lanes * symbols) + 16 * chunk.n_rows * symbols
    return units


def _of_golden_set(model: Model) -> int:
    rows: int = model.tensors[model.manifest["golden"]["input"]].shape[0]
    made = sum(map(count, model.shapes[1:]))
    proved = [
        k
        for k, layer in enumerate(model.manifest["layers"])
        if model.types[k + 1] == "acc" or layer["kind"] == "lookup"
    ]
    channels = sum(model.shapes[k + 1][-1] for k in proved)
    return rows * (work_of_a_row(model) - made + 8 * made) + 2_048 * channels
