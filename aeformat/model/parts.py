"""The parts of a manifest by themselves: endpoints, tensors, golden set, prior (spec/model.md, section 2).

Owns their forms: M2-2 and M2-5.  How they fit together, and the layers, are manifest.py's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from aeformat.container import canonical
from aeformat.container.fields import Place, as_digest, as_integer, as_integers, as_list, as_map, one_of
from aeformat.container.prior import MAX_BITS, MIN_BITS, PRIOR_TENSORS
from aeformat.model.values import DTYPES, ENDPOINT_TYPES, INTEGER_RANGES, Interval, Shape, TensorSpec, Value

_ENDPOINT_AXES: Final = range(1, 8)  # the golden set adds the row axis, and a tensor has at most 8
_GOLDEN_SIZES: Final = range(2, 9)  # M2-2, with free sizes


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
class PriorSpec:
    """The tensors that hold the prior, by number.  bits: its frequencies sum to 2^bits (section 10)."""

    bits: int
    classes: int
    means: int
    picks: int
    tables: int

    def to_map(self) -> dict[str, object]:
        """Its map in the manifest."""
        return {"bits": self.bits, **self.tensors}

    @property
    def tensors(self) -> dict[str, int]:
        """The numbers of its tensors, by key."""
        return {key: getattr(self, key) for key in PRIOR_TENSORS}


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


def read_prior(place: Place, value: object, n_tensors: int) -> PriorSpec:
    """The prior's map.  Raises ManifestInvalid."""
    fields = as_map(place, "M2-2", value, ("bits", *PRIOR_TENSORS))
    bits = as_integer(place.inside('key "bits"'), "M2-2", fields["bits"], MIN_BITS, MAX_BITS)
    numbers = {
        key: as_integer(place.inside(f'key "{key}"'), "M2-2", fields[key], 0, n_tensors - 1) for key in PRIOR_TENSORS
    }
    return PriorSpec(bits, **numbers)


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
