"""Small valid manifests to break, as plain maps with the arrays they speak of."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from aeformat.container import canonical
from aeformat.model.manifest import Manifest
from aeformat.model.package import ModelPackage, read_tensor

TYPES = {"float32": "f32", "float16": "f16", "int8": "i8", "uint8": "u8", "int32": "i32"}


class Base:
    """A manifest's map and its arrays.  Change either, then `load`."""

    def __init__(self, fields: dict[str, Any], arrays: list[np.ndarray]) -> None:
        self.fields, self.arrays = fields, arrays
        self.list_tensors()

    def list_tensors(self) -> None:
        """Make the manifest's tensors those of `arrays`."""
        self.fields["tensors"] = [
            {
                "shape": list(array.shape),
                "type": TYPES[array.dtype.name],
                "sha256": hashlib.sha256(little(array)).digest(),
            }
            for array in self.arrays
        ]

    @property
    def layers(self) -> list[dict[str, Any]]:
        return self.fields["layers"]

    def to_bytes(self) -> bytes:
        return canonical.pack(self.fields)

    def load(self) -> ModelPackage:
        """Everything a reader checks, from the manifest's bytes on."""
        data = self.to_bytes()
        manifest = Manifest.parse(data, 0)
        pairs = enumerate(zip(manifest.tensors, self.arrays, strict=True))
        tensors = tuple(read_tensor(spec, i, little(array), 0) for i, (spec, array) in pairs)
        return ModelPackage.assemble(manifest, data, tensors, at=0, name=None)


def little(array: np.ndarray) -> bytes:
    """C-order little-endian bytes."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def exact() -> Base:
    """u8 [4] -> dense 6 -> lookup -> u8 [1, 2, 3], exact."""
    arrays = [
        np.arange(-12, 12, dtype=np.int8).reshape(4, 6),
        np.arange(6, dtype=np.int32) * 100,
        np.array([3, 1, 4, 1, 5, 9], np.int32),
        np.arange(256, dtype=np.uint8),
        np.arange(8, dtype=np.uint8).reshape(2, 4),
        np.zeros((2, 1, 2, 3), np.uint8),
    ]
    layers = [
        {"kind": "dense", "inputs": [0], "weights": 0, "bias": 1},
        {"kind": "lookup", "inputs": [1], "multiplier": 2, "shift": 7, "table": 3},
        {"kind": "reshape", "inputs": [2], "shape": [1, 2, 3]},
    ]
    return Base(_fields("exact", "u8", [4], [1, 2, 3], layers, 4, 5), arrays)


def float32() -> Base:
    """f32 [4] -> dense 6 -> sigmoid -> to_u8 -> u8 [1, 2, 3], float32."""
    arrays = [
        np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6),
        np.linspace(-1, 1, 6).astype(np.float16),
        np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4),
        np.zeros((2, 1, 2, 3), np.uint8),
    ]
    layers = [
        {"kind": "dense", "inputs": [0], "weights": 0, "bias": 1},
        {"kind": "sigmoid", "inputs": [1]},
        {"kind": "to_u8", "inputs": [2]},
        {"kind": "reshape", "inputs": [3], "shape": [1, 2, 3]},
    ]
    return Base(_fields("float32", "f32", [4], [1, 2, 3], layers, 2, 3), arrays)


def convolution() -> Base:
    """u8 [3, 4, 2] -> conv2d -> lookup -> conv2d_transpose -> lookup -> u8 [4, 8, 1], exact."""
    arrays = [
        np.ones((2, 3, 2, 3), np.int8),
        np.zeros(3, np.int32),
        np.array([1], np.int32),
        np.arange(256, dtype=np.uint8),
        np.ones((2, 2, 1, 3), np.int8),
        np.zeros(1, np.int32),
        np.zeros((1, 3, 4, 2), np.uint8),
        np.zeros((1, 4, 8, 1), np.uint8),
    ]
    layers = [
        {"kind": "conv2d", "inputs": [0], "weights": 0, "bias": 1, "strides": [1, 1], "padding": [0, 0, 1, 1]},
        {"kind": "lookup", "inputs": [1], "multiplier": 2, "shift": 7, "table": 3},
        {"kind": "conv2d_transpose", "inputs": [2], "weights": 4, "bias": 5, "strides": [2, 2], "crop": [0, 0, 0, 0]},
        {"kind": "lookup", "inputs": [3], "multiplier": 2, "shift": 7, "table": 3},
    ]
    return Base(_fields("exact", "u8", [3, 4, 2], [4, 8, 1], layers, 6, 7), arrays)


def encoder() -> Base:
    """u8 [1, 2, 2] -> flatten -> dense 3 -> lookup -> i8 [3], an exact encoder."""
    arrays = [
        np.ones((4, 3), np.int8),
        np.zeros(3, np.int32),
        np.array([1], np.int32),
        np.arange(-128, 128).astype(np.int8),
        np.zeros((1, 1, 2, 2), np.uint8),
        np.zeros((1, 3), np.int8),
    ]
    layers = [
        {"kind": "flatten", "inputs": [0]},
        {"kind": "dense", "inputs": [1], "weights": 0, "bias": 1},
        {"kind": "lookup", "inputs": [2], "multiplier": 2, "shift": 2, "table": 3},
    ]
    fields = _fields("exact", "u8", [1, 2, 2], [3], layers, 4, 5)
    fields["output"]["type"] = "i8"
    return Base(fields | {"role": "encoder", "decoder": bytes(32)}, arrays)


def free() -> Base:
    """i8 [0, 0, 2] -> conv2d_transpose, stride 2 -> lookup -> u8 [0, 0, 1], exact; golden sets of 1 x 2 and 4 x 3 pixels."""
    arrays = [
        np.ones((4, 4, 1, 2), np.int8),
        np.zeros(1, np.int32),
        np.array([1], np.int32),
        np.arange(256, dtype=np.uint8),
        np.zeros((1, 1, 1, 2), np.int8),
        np.zeros((1, 1, 2, 1), np.uint8),
        np.zeros((2, 2, 2, 2), np.int8),
        np.zeros((2, 4, 3, 1), np.uint8),
    ]
    layers = [
        {"kind": "conv2d_transpose", "inputs": [0], "weights": 0, "bias": 1, "strides": [2, 2], "crop": [1, 1, 2, 0]},
        {"kind": "lookup", "inputs": [1], "multiplier": 2, "shift": 7, "table": 3},
    ]
    fields = _fields("exact", "i8", [0, 0, 2], [0, 0, 1], layers, 4, 5)
    return Base(fields | {"golden": [{"input": 4, "output": 5}, {"input": 6, "output": 7}]}, arrays)


def free_encoder() -> Base:
    """u8 [0, 0, 1] -> conv2d, stride 2 x 1 -> lookup -> i8 [0, 0, 2], an exact encoder."""
    arrays = [
        np.ones((3, 3, 1, 2), np.int8),
        np.zeros(2, np.int32),
        np.array([1], np.int32),
        np.arange(-128, 128).astype(np.int8),
        np.zeros((1, 1, 2, 1), np.uint8),
        np.zeros((1, 1, 2, 2), np.int8),
        np.zeros((2, 5, 3, 1), np.uint8),
        np.zeros((2, 3, 3, 2), np.int8),
    ]
    layers = [
        {"kind": "conv2d", "inputs": [0], "weights": 0, "bias": 1, "strides": [2, 1], "padding": [1, 1, 0, 2]},
        {"kind": "lookup", "inputs": [1], "multiplier": 2, "shift": 2, "table": 3},
    ]
    fields = _fields("exact", "u8", [0, 0, 1], [0, 0, 2], layers, 4, 5)
    fields["output"]["type"] = "i8"
    golden = [{"input": 4, "output": 5}, {"input": 6, "output": 7}]
    return Base(fields | {"role": "encoder", "decoder": bytes(32), "golden": golden}, arrays)


def _fields(
    profile: str, kind: str, start: list[int], end: list[int], layers: list[dict[str, Any]], golden: int, expected: int
) -> dict[str, Any]:
    return {
        "role": "decoder",
        "profile": profile,
        "input": {"shape": start, "type": kind},
        "output": {"shape": end, "type": "u8"},
        "layers": layers,
        "golden": {"input": golden, "output": expected},
    }
