"""The parts of a manifest by themselves: endpoints, tensors, golden set, prior (spec/model.md, section 2).

Owns their forms: M2-2 and M2-5.  How they fit together, and the layers, are manifest.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from aeformat.container import canonical
from aeformat.container.fields import Place, as_any_map, as_digest, as_integer, as_integers, as_list, as_map, one_of
from aeformat.container.prior import MAX_BITS, MIN_BITS, PRIOR_TENSORS
from aeformat.model.layers import Layer
from aeformat.model.values import (
    DTYPES,
    ENDPOINT_TYPES,
    INTEGER_RANGES,
    MAX_ELEMENTS,
    Interval,
    Shape,
    TensorSpec,
    Value,
)

_ENDPOINT_AXES: Final = range(1, 8)  # the golden set adds the row axis, and a tensor has at most 8
_GOLDEN_SIZES: Final = range(2, 9)  # M2-2, with free sizes
_GROUPS: Final = range(1, 257)  # M2-2, of passes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The input or the output of a network.

    shape: of one row; height and width are 0 where each row has its own.  range: (lo, hi), or None for all that the type holds.
    """

    shape: Shape
    type: str
    range: tuple[int, int] | None = None

    @property
    def interval(self) -> Interval | None:
        """The integers that may occur; None for f32."""
        if self.type not in INTEGER_RANGES:
            return None
        return Interval(*(self.range or INTEGER_RANGES[self.type]))

    @property
    def value(self) -> Value:
        """Shape and type alone."""
        return Value(self.shape, self.type)

    def to_map(self) -> dict[str, object]:
        """Its map in the manifest."""
        fields: dict[str, object] = {"shape": list(self.shape), "type": self.type}
        if self.range is not None:
            fields["range"] = list(self.range)
        return fields


@dataclass(frozen=True, slots=True)
class Golden:
    """The tensors that hold the golden set, or its part of one size, by number."""

    input: int
    output: int

    def to_map(self) -> dict[str, object]:
        """Its map in the manifest."""
        return {"input": self.input, "output": self.output}


@dataclass(frozen=True, slots=True)
class PassesSpec:
    """The passes of a prior (section 10.1).  groups: channels of each.  outputs: values that are mean and pick of each pass."""

    groups: tuple[int, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[tuple[int, int], ...]

    def to_map(self) -> dict[str, object]:
        """Its map in the manifest."""
        return {
            "groups": list(self.groups),
            "layers": [layer.to_map() for layer in self.layers],
            "outputs": [list(pair) for pair in self.outputs],
        }


@dataclass(frozen=True, slots=True)
class PriorSpec:
    """The tensors that hold the prior: key -> number.  bits: its frequencies sum to 2^bits (section 10)."""

    bits: int
    tensors: Mapping[str, int]
    passes: PassesSpec | None = None

    def to_map(self) -> dict[str, object]:
        """Its map in the manifest."""
        fields: dict[str, object] = {"bits": self.bits, **self.tensors}
        if self.passes is not None:
            fields["passes"] = self.passes.to_map()
        return fields


def read_endpoint(place: Place, value: object) -> Endpoint:
    """Shape and type; whatever `range` holds is M2-5.  Raises ManifestInvalid."""
    fields = as_map(place, "M2-2", value, ("shape", "type"), ("range",))
    shape = as_integers(place.inside('key "shape"'), "M2-2", fields["shape"], _ENDPOINT_AXES, 0, canonical.MAX_INT)
    kind = one_of(place.inside('key "type"'), "M2-2", fields["type"], ENDPOINT_TYPES)
    return Endpoint(shape, kind)


def read_tensors(place: Place, value: object) -> tuple[TensorSpec, ...]:
    """The list of tensors.  Raises ManifestInvalid."""
    maps = as_list(place, "M2-2", value)
    tensors = []
    for number, item in enumerate(maps):
        where = place.inside(f"tensor {number}")
        fields = as_map(where, "M2-2", item, ("shape", "type", "sha256"))
        shape = as_integers(where.inside('key "shape"'), "M2-2", fields["shape"], range(1, 9), 1, canonical.MAX_INT)
        kind = one_of(where.inside('key "type"'), "M2-2", fields["type"], DTYPES)
        tensors.append(TensorSpec(shape, kind, as_digest(where.inside('key "sha256"'), "M2-2", fields["sha256"])))
    return tuple(tensors)


def read_golden(place: Place, value: object, n_tensors: int, *, several: bool) -> tuple[Golden, ...]:
    """The golden set: one map, or a list of several.  Raises ManifestInvalid."""
    keys = ("input", "output")
    items = as_list(place, "M2-2", value) if several else [value]
    if several and len(items) not in _GOLDEN_SIZES:
        raise place.invalid("M2-2", f"expected {_GOLDEN_SIZES[0]} to {_GOLDEN_SIZES[-1]} maps, found {len(items)}")
    found = []
    for item in items:
        fields = as_map(place, "M2-2", item, keys)
        numbers = (as_integer(place.inside(f'key "{key}"'), "M2-2", fields[key], 0, n_tensors - 1) for key in keys)
        found.append(Golden(*numbers))
    return tuple(found)


def read_prior(place: Place, value: object, n_tensors: int) -> tuple[PriorSpec, list[Any]]:
    """The prior's map, and the maps of the layers of its passes, which are read later.  Raises ManifestInvalid."""
    has_passes = "passes" in as_any_map(place, "M2-2", value)
    keys = ("tables",) if has_passes else tuple(PRIOR_TENSORS)
    fields = as_map(place, "M2-2", value, ("bits", *keys, *(("passes",) if has_passes else ())))
    bits = as_integer(place.inside('key "bits"'), "M2-2", fields["bits"], MIN_BITS, MAX_BITS)
    numbers = {key: as_integer(place.inside(f'key "{key}"'), "M2-2", fields[key], 0, n_tensors - 1) for key in keys}
    if not has_passes:
        return PriorSpec(bits, numbers), []
    passes, layers = _read_passes(place.inside("passes"), fields["passes"])
    return PriorSpec(bits, numbers, passes), layers


def _read_passes(place: Place, value: object) -> tuple[PassesSpec, list[Any]]:
    """The same of the passes, without their layers."""
    fields = as_map(place, "M2-2", value, ("groups", "layers", "outputs"))
    groups = as_integers(place.inside("groups"), "M2-2", fields["groups"], _GROUPS, 1, MAX_ELEMENTS)
    layers = as_list(place.inside("layers"), "M2-2", fields["layers"])
    if not layers:
        raise place.inside("layers").invalid("M2-2", "there are none")
    where = place.inside("outputs")
    pairs = as_list(where, "M2-2", fields["outputs"])
    outputs = tuple(as_integers(where, "M2-2", pair, range(2, 3), 0, canonical.MAX_INT) for pair in pairs)
    return PassesSpec(groups, (), tuple((mean, pick) for mean, pick in outputs)), layers


def with_range(place: Place, end: Endpoint, fields: dict[str, Any]) -> Endpoint:
    """The endpoint with its range, if the map has one: M2-5.  Raises ManifestInvalid."""
    if "range" not in fields:
        return end
    if end.type not in INTEGER_RANGES:
        raise place.invalid("M2-5", f"{end.type} has no range")
    whole = Interval(*INTEGER_RANGES[end.type])
    where = place.inside('key "range"')
    lo, hi = as_integers(where, "M2-5", fields["range"], range(2, 3), -canonical.MAX_INT, canonical.MAX_INT)
    if lo >= hi or not whole.holds(Interval(lo, hi)):
        raise place.invalid("M2-5", f"range {[lo, hi]} is not an interval within {whole}")
    if Interval(lo, hi) == whole:
        raise place.invalid("M2-5", f"range {[lo, hi]} is all of {end.type} and must be left out")
    return replace(end, range=(lo, hi))
