"""What running a network holds in memory, known from its manifest alone.

Owns the numbers that each layer holds for one row, the size of a block of rows that follows from them, and the bound that
C13-1 of spec/container.md is checked against.  Runs nothing; backends/numpy_backend.py holds what is counted here.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Final, NamedTuple

from aeformat.model.layers import Layer
from aeformat.model.manifest import Manifest, tensors_of
from aeformat.model.values import ACC, FLOAT32

NUMBER_BYTES: Final = 8  # of any number on its way, as a float64
UNFOLDED: Final = 1 << 18  # numbers of a convolution's windows that lie side by side at a time
TENSOR_BYTES: Final = 2  # for each byte of a tensor: as it was read, and as it is checked
ROW_BITS: Final = 24  # float32 layers: of the numbers of a row, in each of its parts
_BLOCK_NUMBERS: Final = 1 << 21  # that a block of rows holds, unless one row takes more
_CACHED_NUMBERS: Final = 1 << 20  # likewise of the rows of images that are computed at once, where others take more
_MAX_BLOCK: Final = 512
_WEIGHTED: Final = frozenset({"dense", "conv2d", "conv2d_transpose"})  # kinds whose weights all rows share
_SUM_BITS: Final = 53  # float64 counts every integer up to 2^53
_WEIGHT_BITS: Final = 26  # of a weight, all slices together, at least
_FLOAT_PARTS: Final = 3  # a row's first 24 bits, the next 24, and its infinities
_FLOAT_COPIES: Final = 4  # of the input of a float32 layer, and of what it makes
_CHANNEL_BYTES: Final = 256  # of its numbers as Python's own
_PREPARED: Final = 3  # the weights of one layer as they are made ready, beside those that are


def slice_bits(n_products: int) -> int:
    """Bits of a slice of weights, so that the sum of n_products products with 24 bits each is exact in float64."""
    bits = _SUM_BITS - ROW_BITS - n_products.bit_length()
    assert bits > 0  # a tensor of 2^28 numbers is more than a package may hold
    return bits


def n_slices(n_products: int) -> int:
    """Into how many slices weights are cut."""
    return -(-_WEIGHT_BITS // slice_bits(n_products))


class Stage(NamedTuple):
    """Layers start to stop - 1, which compute n_rows rows at once."""

    start: int
    stop: int
    n_rows: int


def block_rows(manifest: Manifest) -> int:
    """Rows that are computed at once, so that a block takes a few megabytes whatever the network; 1 at least."""
    return max(stage.n_rows for stage in stages(manifest))


def stages(manifest: Manifest) -> list[Stage]:
    """The layers in groups, each of which hands one value to the next.

    Dense layers want many rows at once, which share the way of the weights from memory.  Layers of images want few, which stay
    in the cache from one layer to the next.
    """
    groups: list[tuple[int, int, bool]] = []
    for start, stop in _cuts(manifest):
        kinds = _WEIGHTED.intersection(layer.kind for layer in manifest.layers[start:stop])
        wants_many = "dense" in kinds if kinds or not groups else groups[-1][2]
        if groups and groups[-1][2] == wants_many:
            start = groups.pop()[0]
        groups.append((start, stop, wants_many))
    if len(groups) == 1:
        return [Stage(0, len(manifest.layers), _rows_within(_BLOCK_NUMBERS, _row_numbers(manifest), _MAX_BLOCK))]
    held = sum(manifest.values[start].n_elements for start, _, _ in groups)
    held += sum(_held_by(manifest, start, stop) for start, stop, wants_many in groups if wants_many)
    n_block = _rows_within(_BLOCK_NUMBERS, held, _MAX_BLOCK)
    return [
        Stage(
            start,
            stop,
            n_block if wants_many else _rows_within(_CACHED_NUMBERS, _held_by(manifest, start, stop), n_block),
        )
        for start, stop, wants_many in groups
    ]


def _cuts(manifest: Manifest) -> list[tuple[int, int]]:
    """The smallest groups of layers, first and behind the last, of which each reads one value of those before."""
    n_layers = len(manifest.layers)
    cuts, earliest = [n_layers], n_layers
    for number in reversed(range(n_layers)):
        earliest = min(earliest, *manifest.layers[number].inputs)
        if earliest >= number:
            cuts.append(number)
    return list(pairwise(reversed(cuts)))


def _rows_within(n_numbers: int, of_row: int, most: int) -> int:
    return max(1, min(most, n_numbers // of_row))


def golden_bytes(manifest: Manifest) -> int:
    """An upper bound of the memory that the golden set takes, beside the tensors as they are."""
    if manifest.scale is None:
        return running_bytes(manifest)
    shapes = (manifest.tensors[golden.input].shape for golden in manifest.golden)
    return max(running_bytes(manifest.at(manifest.latent_of(shape[1:]))) for shape in shapes)


def running_bytes(manifest: Manifest) -> int:
    """An upper bound of the memory that a block takes on its way through, beside the tensors as they are.

    Of a network with free sizes: for what Manifest.at gives.
    """
    layers = range(len(manifest.layers))
    weights = [_ready_weights(manifest, number) for number in layers]
    unfolded = max(UNFOLDED, *(_unfolded(manifest, number) for number in layers))
    of_stages = stages(manifest)
    numbers = sum(stage.n_rows * _held_by(manifest, stage.start, stage.stop) for stage in of_stages) + 2 * unfolded
    numbers += block_rows(manifest) * sum(manifest.values[stage.start].n_elements for stage in of_stages)
    numbers += sum(weights) + _PREPARED * max(weights)
    return NUMBER_BYTES * numbers + _CHANNEL_BYTES * n_channels(manifest)


def n_channels(manifest: Manifest) -> int:
    """Of all layers that make sums or look them up, those of passes too: each has its bound, its bias and its multiplier."""
    made = [*zip(manifest.layers, manifest.values[1:], strict=True)]
    if manifest.passes is not None:
        layers = manifest.passes.spec.layers
        made += zip(layers, manifest.passes.values[-len(layers) :], strict=True)
    return sum(value.shape[-1] for layer, value in made if value.type == ACC or layer.kind == "lookup")


def _row_numbers(manifest: Manifest) -> int:
    """Numbers that one row holds on its way through all layers; each layer keeps its own."""
    return manifest.values[0].n_elements + _held_by(manifest, 0, len(manifest.layers))


def _held_by(manifest: Manifest, start: int, stop: int) -> int:
    """Numbers that layers start to stop - 1 hold for one row."""
    return sum(_held(manifest, number) for number in range(start, stop))


def _held(manifest: Manifest, number: int) -> int:
    """Numbers that one layer holds for one row: its input behind padding, what it makes, and what lies between."""
    layer = manifest.layers[number]
    x, made = manifest.values[layer.inputs[0]], manifest.values[number + 1]
    slices = _slices(manifest, layer)
    match layer.kind:
        case "dense":
            held = x.n_elements + slices * made.n_elements
        case "conv2d":
            held = _padded(x.shape, layer) + slices * made.n_elements
        case "conv2d_transpose":
            held = _spread_pixels(manifest, layer, 2) * x.shape[2]
            held += slices * (2 * full_pixels(manifest, number) * made.shape[2] + made.n_elements)
        case "lookup":
            return 3 * made.n_elements
        case "max_pool" | "average_pool":
            return made.n_elements + first_pass(manifest, number)
        case _:
            return made.n_elements
    return (
        held if manifest.profile != FLOAT32 else _FLOAT_PARTS * held + _FLOAT_COPIES * (x.n_elements + made.n_elements)
    )


def first_pass(manifest: Manifest, number: int) -> int:
    """Numbers that a pool makes along the columns of the image, before it goes along its rows."""
    x, made = manifest.values[manifest.layers[number].inputs[0]], manifest.values[number + 1]
    return made.shape[0] * x.shape[1] * x.shape[2]


def full_pixels(manifest: Manifest, number: int) -> int:
    """Pixels that a transposed convolution makes before it crops them, as whole strides."""
    layer = manifest.layers[number]
    return _spread_pixels(manifest, layer, 1) * prod(_two(layer, "strides"))


def spread_kernel(manifest: Manifest, number: int) -> int:
    """Numbers of the kernel of a transposed convolution, filled up to whole strides with zeros."""
    layer = manifest.layers[number]
    shape = _weights(manifest, layer)
    return prod(n * stride for n, stride in zip(_taps(shape, layer), _two(layer, "strides"), strict=True)) * prod(
        shape[2:]
    )


def windows(manifest: Manifest, number: int) -> int:
    """Of a transposed convolution: how often one row uses each number of that kernel."""
    return _spread_pixels(manifest, manifest.layers[number], 1)


def _spread_pixels(manifest: Manifest, layer: Layer, sides: int) -> int:
    """Pixels of the input of a transposed convolution with room for its kernel.  sides: on how many."""
    x = manifest.values[layer.inputs[0]].shape
    taps = _taps(_weights(manifest, layer), layer)
    return prod(size + sides * (n - 1) for size, n in zip(x[:2], taps, strict=True))


def _taps(shape: tuple[int, ...], layer: Layer) -> tuple[int, ...]:
    return tuple(-(-size // stride) for size, stride in zip(shape[:2], _two(layer, "strides"), strict=True))


def _padded(shape: tuple[int, ...], layer: Layer) -> int:
    top, bottom, left, right = _two(layer, "padding")
    height, width, channels = shape
    return (height + top + bottom) * (width + left + right) * channels


def _slices(manifest: Manifest, layer: Layer) -> int:
    """1 where the sums are of the weights as they are."""
    if manifest.profile != FLOAT32 or layer.kind not in ("dense", "conv2d", "conv2d_transpose"):
        return 1
    shape = _weights(manifest, layer)
    return n_slices(prod(shape) // shape[2 if layer.kind == "conv2d_transpose" else -1])


def _ready_weights(manifest: Manifest, number: int) -> int:
    """Each layer has its own copy, of a lookup's table, too."""
    layer = manifest.layers[number]
    if layer.kind == "lookup":
        return prod(manifest.tensors[tensors_of(layer)["table"]].shape)
    if "weights" not in tensors_of(layer):
        return 0
    n = spread_kernel(manifest, number) if layer.kind == "conv2d_transpose" else prod(_weights(manifest, layer))
    return n * _slices(manifest, layer)


def _unfolded(manifest: Manifest, number: int) -> int:
    """Numbers of the windows of one row of pixels, side by side."""
    layer = manifest.layers[number]
    if layer.kind not in ("conv2d", "conv2d_transpose"):
        return 0
    shape, made = _weights(manifest, layer), manifest.values[number + 1].shape
    if layer.kind == "conv2d":
        return made[1] * prod(shape[:3])
    tall, wide = _taps(shape, layer)
    return (manifest.values[layer.inputs[0]].shape[1] + wide - 1) * tall * wide * shape[3]


def _weights(manifest: Manifest, layer: Layer) -> tuple[int, ...]:
    return manifest.tensors[tensors_of(layer)["weights"]].shape


def _two(layer: Layer, key: str) -> tuple[int, ...]:
    numbers = layer.params[key]
    assert isinstance(numbers, tuple)
    return numbers
