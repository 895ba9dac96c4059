"""The size of a network with its weights as float32, float16 or int8, and its output with such weights.

Owns the rounding of float weights and the count of their bytes.  A network of profile float32 can be sent with float32 or
float16 tensors; int8 with a float32 scale for each channel is computed for comparison: no package holds it.  A network of
profile exact is int8 already: for the other types only the bytes of its numbers are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import compression
from aeformat.model.layers import KINDS
from aeformat.model.manifest import tensors_of
from aeformat.model.values import EXACT, ITEM_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.model.package import ModelPackage, Step

FLOAT32: Final = "float32"
FLOAT16: Final = "float16"
INT8: Final = "int8"
TYPES: Final = (FLOAT32, FLOAT16, INT8)

_LEVELS: Final = 127
_CHUNK_BYTES: Final = 32  # a chunk without its payload (spec/container.md, section 4)
_SCALE_BYTES: Final = 4
_PACKAGE_LEVEL: Final = 19  # as packages are written


@dataclass(frozen=True, slots=True)
class WeightCost:
    """One half's bytes with one type of weights.

    numbers_bytes: weights and biases in memory; with int8 their scales too.  package_bytes: of the whole
    container, compressed; None where no package holds that type.
    """

    type: str
    numbers_bytes: int
    package_bytes: int | None


def weight_costs(package: ModelPackage, package_bytes: int) -> tuple[WeightCost, ...]:
    """One for each of TYPES.  package_bytes: of the package as it is."""
    n_params = package.n_params
    floats = {FLOAT32: 4 * n_params, FLOAT16: 2 * n_params}
    if package.profile == EXACT:
        numbers = {number for layer in package.manifest.layers for number in tensors_of(layer).values()}
        own = WeightCost(INT8, sum(package.tensors[number].nbytes for number in numbers), package_bytes)
        return (*(WeightCost(name, size, None) for name, size in floats.items()), own)
    as_it_is = sum(_stored_bytes(package, number) for number in _float_tensors(package))
    rest = package_bytes - as_it_is
    costs = [
        WeightCost(name, size, rest + sum(_float_bytes(package.tensors[n], name) for n in _float_tensors(package)))
        for name, size in floats.items()
    ]
    scaled, kept = set(_scaled_tensors(package)), set(_float_tensors(package))
    numbers_bytes = packed = 0
    for number in sorted(kept):
        tensor = package.tensors[number]
        if number in scaled:
            levels, scale = to_int8(tensor, scaled_axis(package, number))
            numbers_bytes += levels.size + _SCALE_BYTES * scale.size
            packed += _compressed(levels, 1) + _CHUNK_BYTES + _compressed(scale, _SCALE_BYTES)
        else:
            numbers_bytes += 4 * tensor.size
            packed += _float_bytes(tensor, FLOAT32)
    return (*costs, WeightCost(INT8, numbers_bytes, rest + packed))


def rounded(package: ModelPackage, type: str) -> ModelPackage:
    """The network with its weights rounded to `type`, to be measured; its model id and golden set are not its own.

    A network of profile exact is int8 and stays as it is.
    """
    import numpy as np

    if package.profile == EXACT or type == FLOAT32:
        return package
    scaled = set(_scaled_tensors(package))
    tensors = list(package.tensors)
    for number in _float_tensors(package):
        tensor = tensors[number]
        if type == FLOAT16:
            tensors[number] = tensor.astype(np.float16).astype(np.float32)
        elif number in scaled:
            levels, scale = to_int8(tensor, scaled_axis(package, number))
            tensors[number] = (levels * scale).astype(np.float32)
    plan = []
    for layer, step in zip(package.manifest.layers, package.plan, strict=True):
        arrays = {key: tensors[number] for key, number in tensors_of(layer).items()}
        plan.append(replace(step, arrays=arrays))
    return replace(package, tensors=tuple(tensors), plan=tuple(plan))


def to_int8(tensor: NDArray[Any], channel_axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(levels int8, -127..127; scale float32, broadcasting against them): tensor is about levels * scale."""
    import numpy as np

    axes = tuple(axis for axis in range(tensor.ndim) if axis != channel_axis)
    values = tensor.astype(np.float32)
    peak = np.abs(values).max(axis=axes, keepdims=True)
    scale = (np.where(peak > 0, peak, 1) / _LEVELS).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def scaled_axis(package: ModelPackage, number: int) -> int:
    """The axis of a weights tensor for the output channels."""
    step = next(step for found, step in _weights(package) if found == number)
    axis = KINDS[step.kind].channel_axis
    assert axis is not None  # it has weights
    return axis


def _weights(package: ModelPackage) -> Iterator[tuple[int, Step]]:
    """Number of the weights, and its step: of every layer whose weights are more than one a channel."""
    for layer, step in zip(package.manifest.layers, package.plan, strict=True):
        numbers = tensors_of(layer)
        if "weights" in numbers and step.arrays["weights"].ndim > 1:
            yield numbers["weights"], step


def _scaled_tensors(package: ModelPackage) -> list[int]:
    return sorted({number for number, _ in _weights(package)})


def _float_tensors(package: ModelPackage) -> list[int]:
    """Numbers of the layers' tensors; of profile float32 they are all floats."""
    return sorted({number for layer in package.manifest.layers for number in tensors_of(layer).values()})


def _stored_bytes(package: ModelPackage, number: int) -> int:
    spec = package.manifest.tensors[number]
    return _compressed(package.tensors[number], ITEM_BYTES[spec.type])


def _float_bytes(tensor: NDArray[Any], type: str) -> int:
    return _compressed(tensor.astype("<f4" if type == FLOAT32 else "<f2"), 4 if type == FLOAT32 else 2)


def _compressed(array: NDArray[Any], value_bytes: int) -> int:
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return len(compression.compress(raw, level=_PACKAGE_LEVEL, value_bytes=value_bytes))
