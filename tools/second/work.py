"""The work of a file (container.md, C13-1)."""

from __future__ import annotations

from typing import Any

from .container import Chunk
from .free import latent_of
from .model import POOLS, Model, golden_maps, multiply_adds
from .sizes import count

_KNOWN = (b"fLDs", b"SIZE", b"nAMe", b"rCPT", b"ROWS", b"iNDX", b"MANF", b"TENS")  # a dECo is a file of its own


def file_work(got: dict[str, Any]) -> int:
    """The units of a file that `read_container` has read."""
    total = sum(_of_chunk(chunk, got["header"]) for chunk in got["chunks"] if chunk.tag in _KNOWN)
    return total + (_of_golden_set(got["model"]) if got.get("model") else 0)


def _of_chunk(chunk: Chunk, header: dict[str, Any]) -> int:
    units: int = 4 * chunk.raw_len
    if chunk.tag in (b"nAMe", b"SIZE"):
        units += 512 * chunk.raw_len
    if chunk.tag == b"fLDs":
        units += 28 * chunk.raw_len
    if chunk.tag == b"ROWS" and header["encoding"] == "text19":
        units += 4_096 * (chunk.raw_len // 27)
    if (
        chunk.tag == b"ROWS"
        and header["codec"] == "rans"
        and 0 not in header["dims"]
        and chunk.stored_len < chunk.raw_len
    ):
        symbols = count(header["dims"]) + 1  # of a row
        lanes = 2 ** chunk.stored[0]
        units += 256 * ((chunk.n_rows + lanes - 1) // lanes * symbols) + 16 * chunk.n_rows * symbols
    return units


def _of_golden_set(model: Model) -> int:
    layers, units = model.manifest["layers"], model.shapes
    total = 0
    for one in golden_maps(model):
        rows, *shape = model.tensors[one["input"]].shape
        if model.scale:
            h, w = latent_of(model.scale if model.manifest["role"] == "encoder" else (1, 1), (shape[0], shape[1]))
            model.shapes = [[f * h, g * w, c] for f, g, c in units]
        total += rows * sum(10_000 + _of_layer(model, k) for k in range(len(layers)))
        model.shapes = units
    proved = [k for k, layer in enumerate(layers) if model.types[k + 1] == "acc" or layer["kind"] == "lookup"]
    channels = sum(model.shapes[k + 1][-1] for k in proved)
    if model.passes:
        of = model.passes.layers
        first = len(of.shapes) - len(of.manifest["layers"])
        for j, layer in enumerate(of.manifest["layers"], first):
            if of.types[j] == "acc" or layer["kind"] == "lookup":
                channels += of.shapes[j][-1]
    return total + 2_048 * channels


def _of_layer(model: Model, k: int) -> int:
    """What one row costs in it, beside the 10,000."""
    layer, made = model.manifest["layers"][k], model.shapes[k + 1]
    is_float = model.manifest["profile"] == "float32"
    units: int = (32 if is_float else 8) * count(made)
    x = model.shapes[layer["inputs"][0]]
    if layer["kind"] in POOLS:
        kh, kw = layer["size"]
        units += 5 * (kh * kw * count(made) + kh * made[0] * x[1] * x[2]) + 4_096 * (kh + kw)
        return units
    factor: int = 16 if is_float else 1
    return units + factor * _multiply_adds(model, k, x)


def _multiply_adds(model: Model, k: int, x: list[int]) -> int:
    layer = model.manifest["layers"][k]
    if layer["kind"] != "conv2d_transpose":
        return multiply_adds(model, k)
    (kh, kw, *channels), (sh, sw) = model.tensors[layer["weights"]].shape, layer["strides"]
    tall, wide = -(-kh // sh), -(-kw // sw)
    windows: int = (x[0] + tall - 1) * (x[1] + wide - 1)
    spread: int = tall * sh * wide * sw * count(channels)
    return windows * spread
