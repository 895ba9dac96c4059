"""What a network costs whoever proves it, known from its manifest alone (spec/container.md, C13-1; M7-1).

Owns the work of rows and of a golden set, and the memory that running a row takes.  Runs nothing.
"""

from __future__ import annotations

from math import prod
from typing import Final

from aeformat.container.limits import Limits
from aeformat.errors import LimitExceeded
from aeformat.model.layers import Layer
from aeformat.model.manifest import Manifest, tensors_of
from aeformat.model.values import ACC

MADE: Final = 8  # units of a number that a layer makes; a multiply-add is 1
CHANNEL: Final = 2_048  # units of a channel whose bound is proved
_CHANNEL_BYTES: Final = 256  # of its numbers as Python's own
_NUMBER_BYTES: Final = 24  # of a value on its way: what it is, as a float64, and once more behind padding
_WEIGHT_BYTES: Final = 8  # of a weight, ready for a product
_WORKING_NUMBERS: Final = 1 << 20  # what a backend holds however small the network is
TENSOR_BYTES: Final = 2  # for each byte of a tensor: as it was read, and as it is checked
BYTES_A_BYTE: Final = 8  # what each byte of a file pays for, beside Limits.memory_bytes


def row_work(manifest: Manifest) -> int:
    """The units of one row."""
    return manifest.n_multiply_adds + MADE * manifest.n_made


def golden_work(manifest: Manifest) -> int:
    """The units of the golden set, and of the proofs of section 4."""
    return manifest.tensors[manifest.golden.input].shape[0] * row_work(manifest) + CHANNEL * _n_channels(manifest)


def _n_channels(manifest: Manifest) -> int:
    """Of all layers that make sums or look them up: each channel has its bound, its bias and its multiplier."""
    made = zip(manifest.layers, manifest.values[1:], strict=True)
    return sum(value.shape[-1] for layer, value in made if value.type == ACC or layer.kind == "lookup")


def running_bytes(manifest: Manifest) -> int:
    """An upper bound of the memory that one row takes on its way through, beside the tensors as they are."""
    numbers = manifest.values[0].n_elements + manifest.n_made
    weights = sum(_ready_weights(manifest, number) for number in range(len(manifest.layers)))
    unfolded = max((_unfolded(manifest, number) for number in range(len(manifest.layers))), default=0)
    of_channels = _CHANNEL_BYTES * _n_channels(manifest)
    return _NUMBER_BYTES * max(numbers, _WORKING_NUMBERS) + _WEIGHT_BYTES * (weights + unfolded) + of_channels


def _ready_weights(manifest: Manifest, number: int) -> int:
    """Each layer has its own copy; a transposed convolution fills its kernel up to whole strides."""
    layer = manifest.layers[number]
    weights = tensors_of(layer).get("weights")
    if weights is None:
        return 0
    shape = manifest.tensors[weights].shape
    if layer.kind != "conv2d_transpose":
        return prod(shape)
    return prod(-(-size // stride) * stride for size, stride in zip(shape[:2], _strides(layer), strict=True)) * prod(
        shape[2:]
    )


def _strides(layer: Layer) -> tuple[int, ...]:
    strides = layer.params["strides"]
    assert isinstance(strides, tuple)
    return strides


def _unfolded(manifest: Manifest, number: int) -> int:
    """Numbers of the windows of one row of pixels, side by side."""
    layer = manifest.layers[number]
    if layer.kind not in ("conv2d", "conv2d_transpose"):
        return 0
    height, width, *channels = manifest.tensors[tensors_of(layer)["weights"]].shape
    made = manifest.values[number + 1].shape
    n_channels = channels[0] if layer.kind == "conv2d" else channels[1]
    return made[1] * height * width * n_channels


def check_memory(n_bytes: int, limits: Limits, *, file_bytes: int, at: int, what: str) -> None:
    """That this much may be taken for a file of this size.  Raises LimitExceeded (C13-1)."""
    allowed = limits.memory_bytes + BYTES_A_BYTE * file_bytes
    if n_bytes > allowed:
        raise LimitExceeded("C13-1", at, f"{what} takes {n_bytes} bytes of memory, allowed are {allowed} for this file")
