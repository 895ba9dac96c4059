"""Bad manifests: each is refused by the rule it breaks, before anything is allocated for it (spec/model.md)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgpack
import numpy as np
import pytest

from aeformat.container import canonical
from aeformat.errors import FormatError, LimitExceeded, ManifestInvalid
from aeformat.model.manifest import Manifest
from model import bases
from model.bases import Base

Change = Callable[[Base], None]
_DELETE = object()


def put(path: str, value: object) -> Change:
    """Set what `path` leads to ("layers.0.kind"), or delete it."""

    def change(base: Base) -> None:
        at: object = base.fields
        *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in steps:
            at = at[step]
        if value is _DELETE:
            del at[last]
        else:
            at[last] = value

    return change


def array(number: int, value: np.ndarray) -> Change:
    def change(base: Base) -> None:
        base.arrays[number] = value
        base.list_tensors()

    return change


def both(*changes: Change) -> Change:
    def change(base: Base) -> None:
        for one in changes:
            one(base)

    return change


def i8(*shape: int) -> np.ndarray:
    return np.ones(shape, np.int8)


def huge(*shape: int, kind: str = "i8") -> dict[str, object]:
    return {"shape": list(shape), "type": kind, "sha256": bytes(32)}


DENSE = {"kind": "dense", "inputs": [0], "weights": 0, "bias": 1}
LIMIT, BAD = LimitExceeded, ManifestInvalid

# name: (a valid manifest, what is done to it, how it is refused)
CASES: dict[str, tuple[Callable[[], Base], Change, tuple[type[FormatError], str]]] = {
    "a key is missing": (bases.exact, put("golden", _DELETE), (BAD, "M2-2")),
    "an unknown key": (bases.exact, put("author", "me"), (BAD, "M2-2")),
    "an unknown role": (bases.exact, put("role", "both"), (BAD, "M2-2")),
    "a role that is no string": (bases.exact, put("role", 1), (BAD, "M2-2")),
    "an unknown profile": (bases.exact, put("profile", "float64"), (BAD, "M2-2")),
    "an endpoint that is a list": (bases.exact, put("input", [4]), (BAD, "M2-2")),
    "an endpoint with an unknown key": (bases.exact, put("input.name", "x"), (BAD, "M2-2")),
    "an endpoint without a shape": (bases.exact, put("input.shape", []), (BAD, "M2-2")),
    "an endpoint of 8 axes": (bases.exact, put("input.shape", [1] * 8), (BAD, "M2-2")),
    "a size of 0": (bases.exact, put("input.shape", [0]), (BAD, "M2-2")),
    "a negative size": (bases.exact, put("input.shape", [-4]), (BAD, "M2-2")),
    "a size that is a boolean": (bases.exact, put("input.shape", [True]), (BAD, "M2-2")),
    "an endpoint of a tensor's type": (bases.exact, put("input.type", "i32"), (BAD, "M2-2")),
    "a range of three": (bases.exact, put("input.range", [0, 1, 2]), (BAD, "M2-5")),
    "layers that are no list": (bases.exact, put("layers", {}), (BAD, "M2-2")),
    "no layers": (bases.exact, put("layers", []), (BAD, "M2-2")),
    "1,025 layers": (bases.exact, put("layers", [DENSE] * 1025), (LIMIT, "M2-2")),
    "4,097 tensors": (bases.exact, put("tensors", [huge(1)] * 4097), (LIMIT, "M2-2")),
    "a tensor with an unknown key": (bases.exact, put("tensors.0.scale", 1), (BAD, "M2-2")),
    "a tensor of an unknown type": (bases.exact, put("tensors.0.type", "f64"), (BAD, "M2-2")),
    "a tensor of 9 axes": (bases.exact, put("tensors.0.shape", [1] * 9), (BAD, "M2-2")),
    "a tensor of no axis": (bases.exact, put("tensors.0.shape", []), (BAD, "M2-2")),
    "a short digest": (bases.exact, put("tensors.0.sha256", bytes(31)), (BAD, "M2-2")),
    "a digest in hexadecimal": (bases.exact, put("tensors.0.sha256", "0" * 64), (BAD, "M2-2")),
    "golden names no tensor": (bases.exact, put("golden.input", 6), (BAD, "M2-2")),
    "golden counts from the end": (bases.exact, put("golden.input", -1), (BAD, "M2-2")),
    "a short decoder": (bases.encoder, put("decoder", bytes(20)), (BAD, "M2-2")),
    "a decoder that names a decoder": (bases.exact, put("decoder", bytes(32)), (BAD, "M2-3")),
    "an encoder without a decoder": (bases.encoder, put("decoder", _DELETE), (BAD, "M2-3")),
    "pixels of i8": (bases.exact, put("output.type", "i8"), (BAD, "M2-4")),
    "pixels of f32": (bases.float32, put("output.type", "f32"), (BAD, "M2-4")),
    "images without channels": (bases.exact, put("output.shape", [2, 3]), (BAD, "M2-4")),
    "an encoder of vectors": (bases.encoder, put("input.shape", [4]), (BAD, "M2-4")),
    "a range of floats": (bases.float32, put("input.range", [0, 1]), (BAD, "M2-5")),
    "a range backwards": (bases.exact, put("input.range", [9, 1]), (BAD, "M2-5")),
    "a range of one number": (bases.exact, put("input.range", [1, 1]), (BAD, "M2-5")),
    "a range outside the type": (bases.exact, put("input.range", [-1, 9]), (BAD, "M2-5")),
    "a range that is the whole type": (bases.exact, put("input.range", [0, 255]), (BAD, "M2-5")),
    "a tensor one byte too large": (bases.exact, put("tensors.0", huge(2**14, 2**14 + 1)), (LIMIT, "M2-6")),
    "a tensor too large by its type": (bases.exact, put("tensors.0", huge(2**27, kind="f32")), (LIMIT, "M2-6")),
    "a product of sizes beyond 64 bits": (bases.exact, put("tensors.0", huge(*[2**50] * 8)), (LIMIT, "M2-6")),
    "exact and floats": (bases.exact, put("input.type", "f32"), (BAD, "M2-7")),
    "an unknown kind": (bases.exact, put("layers.0.kind", "lambda"), (BAD, "M3-1")),
    "a kind that is a number": (bases.exact, put("layers.0.kind", 3), (BAD, "M3-1")),
    "a layer that is a list": (bases.exact, put("layers.0", []), (BAD, "M3-1")),
    "a layer without a kind": (bases.exact, put("layers.0.kind", _DELETE), (BAD, "M3-1")),
    "a layer's key is missing": (bases.exact, put("layers.0.bias", _DELETE), (BAD, "M3-2")),
    "a layer has another kind's key": (bases.exact, put("layers.0.strides", [1, 1]), (BAD, "M3-2")),
    "a layer has a name": (bases.exact, put("layers.0.name", "x"), (BAD, "M3-2")),
    "inputs are missing": (bases.exact, put("layers.0.inputs", _DELETE), (BAD, "M3-2")),
    "weights that are no tensor": (bases.exact, put("layers.0.weights", 6), (BAD, "M3-2")),
    "weights that are a boolean": (bases.exact, put("layers.0.weights", False), (BAD, "M3-2")),
    "a shift of 41": (bases.exact, put("layers.1.shift", 41), (BAD, "M3-2")),
    "a negative shift": (bases.exact, put("layers.1.shift", -1), (BAD, "M3-2")),
    "strides of 0": (bases.convolution, put("layers.0.strides", [0, 1]), (BAD, "M3-2")),
    "strides of 17": (bases.convolution, put("layers.0.strides", [1, 17]), (BAD, "M3-2")),
    "one stride": (bases.convolution, put("layers.0.strides", [1]), (BAD, "M3-2")),
    "padding of 65": (bases.convolution, put("layers.0.padding", [65, 0, 0, 0]), (BAD, "M3-2")),
    "negative padding": (bases.convolution, put("layers.0.padding", [-1, 0, 0, 0]), (BAD, "M3-2")),
    "crop of 65": (bases.convolution, put("layers.2.crop", [0, 0, 65, 0]), (BAD, "M3-2")),
    "a shape with a 0": (bases.exact, put("layers.2.shape", [0, 6]), (BAD, "M3-2")),
    "a shape with a hole": (bases.exact, put("layers.2.shape", [-1, 6]), (BAD, "M3-2")),
    "num of 0": (bases.float32, put("layers.1", {"kind": "leaky_relu", "inputs": [1], "num": 0, "den": 1}), (BAD, "M3-2")),
    "den of 0": (bases.float32, put("layers.1", {"kind": "leaky_relu", "inputs": [1], "num": 1, "den": 0}), (BAD, "M3-2")),
    "no input": (bases.exact, put("layers.0.inputs", []), (BAD, "M3-3")),
    "two inputs": (bases.exact, put("layers.1.inputs", [1, 1]), (BAD, "M3-3")),
    "an input that is no list": (bases.exact, put("layers.0.inputs", 0), (BAD, "M3-3")),
    "a layer that takes itself": (bases.exact, put("layers.0.inputs", [1]), (BAD, "M3-3")),
    "a layer that takes a later one": (bases.exact, put("layers.0.inputs", [2]), (BAD, "M3-3")),
    "a negative input": (bases.exact, put("layers.1.inputs", [-1]), (BAD, "M3-3")),
    "sigmoid and exact": (bases.exact, put("layers.1", {"kind": "sigmoid", "inputs": [1]}), (BAD, "M3-4")),
    "scale and exact": (bases.exact, put("layers.0", {"kind": "scale", "inputs": [0], "num": 1, "den": 1}), (BAD, "M3-4")),
    "to_u8 and exact": (bases.exact, put("layers.1", {"kind": "to_u8", "inputs": [1]}), (BAD, "M3-4")),
    "lookup and float32": (
        bases.float32,
        put("layers.1", {"kind": "lookup", "inputs": [1], "multiplier": 0, "shift": 0, "table": 1}),
        (BAD, "M3-4"),
    ),
    "weights of one axis": (bases.exact, array(0, i8(24)), (BAD, "M3-5")),
    "weights of another height": (bases.exact, array(0, i8(5, 6)), (BAD, "M3-5")),
    "a bias of another length": (bases.exact, array(1, np.zeros(7, np.int32)), (BAD, "M3-5")),
    "a bias of two axes": (bases.exact, array(1, np.zeros((1, 6), np.int32)), (BAD, "M3-5")),
    "dense on an image": (bases.exact, put("input.shape", [2, 2]), (BAD, "M3-5")),
    "conv2d on a vector": (bases.convolution, put("input.shape", [24]), (BAD, "M3-5")),
    "conv2d on other channels": (bases.convolution, put("input.shape", [3, 8, 1]), (BAD, "M3-5")),
    "a kernel larger than the image": (bases.convolution, array(0, i8(4, 3, 2, 3)), (BAD, "M3-5")),
    "conv2d_transpose on other channels": (bases.convolution, array(4, i8(2, 2, 1, 4)), (BAD, "M3-5")),
    "a crop that leaves nothing": (bases.convolution, put("layers.2.crop", [2, 2, 0, 0]), (BAD, "M3-5")),
    "a reshape to another count": (bases.exact, put("layers.2.shape", [7]), (BAD, "M3-5")),
    "a reshape that overflows": (bases.exact, put("layers.2.shape", [2**28] * 8), (BAD, "M3-5")),
    "an input of 2^28 + 1 numbers": (bases.exact, put("input.shape", [2**28 + 1]), (LIMIT, "M3-5")),
    "an input beyond 64 bits": (bases.exact, put("input.shape", [2**53 - 1] * 7), (LIMIT, "M3-5")),
    "a value of 2^28 + 2 numbers": (
        bases.convolution,
        both(put("input.shape", [11_585, 11_585, 2]), put("layers.0.padding", [64, 64, 64, 64])),
        (LIMIT, "M3-5"),
    ),
    "float weights and exact": (bases.exact, array(0, np.ones((4, 6), np.float32)), (BAD, "M3-6")),
    "an i8 bias and exact": (bases.exact, array(1, i8(6)), (BAD, "M3-6")),
    "i8 weights and float32": (bases.float32, array(0, i8(4, 6)), (BAD, "M3-6")),
    "an i32 bias and float32": (bases.float32, array(1, np.zeros(6, np.int32)), (BAD, "M3-6")),
    "integers into a float32 dense": (
        bases.float32,
        both(put("input.type", "u8"), array(0, i8(4, 6)), array(1, np.zeros(6, np.int32))),
        (BAD, "M3-6"),
    ),
    "floats into scale": (bases.float32, put("layers.1", {"kind": "scale", "inputs": [1], "num": 1, "den": 1}), (BAD, "M3-6")),
    "pixels into sigmoid": (bases.float32, put("input.type", "u8"), (BAD, "M3-6")),
    "pixels into to_u8": (bases.float32, put("layers.3", {"kind": "to_u8", "inputs": [3]}), (BAD, "M3-6")),
    "sums into reshape": (bases.exact, put("layers.1", {"kind": "reshape", "inputs": [1], "shape": [6]}), (BAD, "M3-6")),
    "sums into flatten": (bases.exact, put("layers.1", {"kind": "flatten", "inputs": [1]}), (BAD, "M3-6")),
    "sums into dense": (bases.exact, both(put("layers.1", DENSE | {"inputs": [1]}), array(0, i8(4, 4))), (BAD, "M3-5")),
    "pixels into lookup": (bases.exact, put("layers.1.inputs", [0]), (BAD, "M3-6")),
    "a value that nothing takes": (bases.exact, put("layers.2", DENSE), (BAD, "M3-7")),
    "a last value of another shape": (bases.exact, put("output.shape", [3, 2, 1]), (BAD, "M3-8")),
    "a last value of another type": (bases.encoder, put("output.type", "u8"), (BAD, "M3-8")),
    "a last value that is a sum": (bases.encoder, lambda base: base.layers.pop(), (BAD, "M3-8")),
    "a tensor that nothing uses": (bases.exact, lambda b: (b.arrays.append(i8(1)), b.list_tensors()), (BAD, "M3-9")),
    "a multiplier of u8": (bases.exact, array(2, np.ones(6, np.uint8)), (BAD, "M4-2")),
    "a multiplier of another length": (bases.exact, array(2, np.ones(2, np.int32)), (BAD, "M4-2")),
    "a table of i32": (bases.exact, array(3, np.zeros(256, np.int32)), (BAD, "M4-3")),
    "a table of an odd length": (bases.exact, array(3, np.zeros(255, np.uint8)), (BAD, "M4-3")),
    "a table of two axes": (bases.exact, array(3, np.zeros((2, 2), np.uint8)), (BAD, "M4-3")),
    "a table of 65,538 entries": (bases.exact, array(3, np.zeros(65_538, np.uint8)), (BAD, "M4-3")),
    "golden input of another type": (bases.exact, array(4, np.zeros((2, 4), np.int8)), (BAD, "M6-1")),
    "golden input of another shape": (bases.exact, array(4, np.zeros((2, 2, 2), np.uint8)), (BAD, "M6-1")),
    "golden output of other rows": (bases.exact, array(5, np.zeros((3, 1, 2, 3), np.uint8)), (BAD, "M6-1")),
    "65 golden rows": (
        bases.exact,
        both(array(4, np.zeros((65, 4), np.uint8)), array(5, np.zeros((65, 1, 2, 3), np.uint8))),
        (BAD, "M6-1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("base", [bases.exact, bases.float32, bases.convolution, bases.encoder])
def test_the_bases_are_valid(base: Callable[[], Base]) -> None:
    """What the cases break is whole before they do."""
    package = base().load()

    assert Manifest.parse(package.manifest.to_bytes(), 0) == package.manifest
    assert package.manifest.to_bytes() == package.manifest_bytes


@pytest.mark.parametrize("name", CASES)
def test_a_bad_manifest_is_refused_by_the_rule_it_breaks(name: str) -> None:
    """Each with its own error and rule, at the manifest's first byte, from the manifest alone."""
    make, change, (error, rule) = CASES[name]
    base = make()
    change(base)

    with pytest.raises(FormatError) as caught:
        Manifest.parse(base.to_bytes(), 4711)

    assert (type(caught.value), caught.value.rule, caught.value.at) == (error, rule, 4711), caught.value


NOT_CANONICAL = {
    "empty": b"",
    "not a map": msgpack.packb([1]),
    "keys out of order": msgpack.packb({"b": 1, "a": 1}),
    "a float": msgpack.packb({"a": 1.0}),
    "nil": msgpack.packb({"a": None}),
    "trailing bytes": canonical.pack(bases.exact().fields) + b"\0",
    "cut off": canonical.pack(bases.exact().fields)[:-1],
    "an array of 2^32 - 1 entries": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "nested 7 deep": canonical.pack({"a": [[[[[[1]]]]]]}),
    "nested 100,000 deep": b"\x81\xa1a" + b"\x91" * 100_000 + b"\x01",
}


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_bytes_that_are_no_canonical_map_are_refused(name: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        Manifest.parse(NOT_CANONICAL[name], 9)

    assert (caught.value.rule, caught.value.at) == ("M2-1", 9)


def test_a_manifest_above_a_mebibyte_is_refused_unread() -> None:
    with pytest.raises(LimitExceeded) as caught:
        Manifest.parse(b"\x80" * (2**20 + 1), 0)

    assert caught.value.rule == "M1-1"


def test_every_single_change_of_a_byte_is_refused_or_still_valid() -> None:
    """No byte of a manifest can make the checks fail in any other way than by name."""
    data = bytearray(bases.convolution().to_bytes())
    for at in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            data[at] ^= flip
            try:
                Manifest.parse(bytes(data), 0)
            except FormatError:
                pass
            finally:
                data[at] ^= flip


def test_a_refusal_takes_no_memory_for_what_the_manifest_promises() -> None:
    """The largest tensors a manifest can list cost nothing until their bytes are there."""
    base = bases.exact()
    base.fields["tensors"] = [huge(2**28) for _ in range(4096)]
    data = base.to_bytes()
    tracemalloc.start()
    with pytest.raises(ManifestInvalid):
        Manifest.parse(data, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20 * len(data)


def test_an_error_says_where_and_what() -> None:
    base = bases.exact()
    base.layers[1]["shift"] = 77

    with pytest.raises(ManifestInvalid) as caught:
        base.load()

    expected = 'manifest: layer 1 (lookup): key "shift": expected an integer from 0 to 40, found 77 (rule M3-2, byte 0)'
    assert str(caught.value) == expected
