"""The manifest: layers, tensors and endpoints of a network (spec/model.md, sections 2 and 3).

Owns bytes <-> Manifest, and every rule that can be checked with the manifest alone.  It has the shape, type and digest of each
tensor, but not its numbers.  A manifest that breaks a rule is refused before memory is allocated for the tensors.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from aeformat.container import canonical, limits
from aeformat.container.fields import Place, as_digest, as_integer, as_integers, as_list, as_map, one_of
from aeformat.container.prior import MAX_BITS, MIN_BITS, PRIOR_TENSORS, BadPrior, check_shapes
from aeformat.model.layers import BOTH, KINDS, TENSOR_KEYS, Layer, infer, read_layer
from aeformat.model.values import (
    DTYPES,
    ENDPOINT_TYPES,
    EXACT,
    INTEGER_RANGES,
    MAX_ELEMENTS,
    MAX_TENSOR_BYTES,
    Interval,
    Shape,
    TensorSpec,
    Value,
)

ENCODER: Final = "encoder"
DECODER: Final = "decoder"
MAX_LAYERS: Final = 1_024  # M2-2
MAX_TENSORS: Final = 4_096  # M2-2
MAX_GOLDEN_ROWS: Final = 64  # M6-1
_ENDPOINT_AXES: Final = range(1, 8)  # the golden set adds the row axis, and a tensor has at most 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The input or the output of a network.  shape: of one row.  range: (lo, hi), or None for all that the type holds."""

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
    """The tensors that hold the golden set, by number."""

    input: int
    output: int


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """One half of an autoencoder, without the numbers in its tensors.  values: the input, then each layer's output."""

    role: str
    profile: str
    input: Endpoint
    output: Endpoint
    layers: tuple[Layer, ...]
    tensors: tuple[TensorSpec, ...]
    golden: Golden
    decoder: bytes | None
    prior: PriorSpec | None
    values: tuple[Value, ...]

    @classmethod
    def parse(cls, data: bytes, at: int) -> Manifest:
        """Read the manifest whose payload begins at byte `at` of the file.

        Checks every rule that does not depend on the numbers in the tensors.  Raises ManifestInvalid, LimitExceeded.
        """
        place = Place(at)
        if len(data) > limits.MANIFEST_BYTES:
            raise place.over_limit("M1-1", f"{len(data)} bytes, allowed are {limits.MANIFEST_BYTES}")
        try:
            fields = canonical.unpack(data, max_depth=limits.MANIFEST_DEPTH)
        except canonical.NotCanonical as error:
            raise place.invalid("M2-1", str(error)) from None
        return _read(place, fields)

    @property
    def n_multiply_adds(self) -> int:
        """Multiplications for one row."""
        return sum(self.multiply_adds_of(number) for number in range(len(self.layers)))

    def multiply_adds_of(self, number: int) -> int:
        """Multiplications, or additions in a layer without them, of layer `number` for one row (M7-1)."""
        layer = self.layers[number]
        kind, x, made = KINDS[layer.kind], self.values[layer.inputs[0]], self.values[number + 1]
        weights = tensors_of(layer).get("weights")
        if weights is not None:
            return self.tensors[weights].n_elements * kind.n_uses(x.shape, made.shape)
        return made.n_elements * kind.n_steps(layer)

    @property
    def n_made(self) -> int:
        """Numbers that all layers together compute for one row."""
        return sum(value.n_elements for value in self.values[1:])

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return manifest_bytes(
            role=self.role, profile=self.profile, input=self.input, output=self.output, layers=self.layers,
            tensors=self.tensors, golden=self.golden, decoder=self.decoder, prior=self.prior,
        )  # fmt: skip


def manifest_bytes(
    *, role: str, profile: str, input: Endpoint, output: Endpoint, layers: tuple[Layer, ...],
    tensors: tuple[TensorSpec, ...], golden: Golden, decoder: bytes | None, prior: PriorSpec | None = None,
) -> bytes:  # fmt: skip
    """The canonical bytes of a manifest.  Its rules are not checked."""
    fields: dict[str, object] = {
        "role": role,
        "profile": profile,
        "input": input.to_map(),
        "output": output.to_map(),
        "layers": [layer.to_map() for layer in layers],
        "tensors": [{"shape": list(t.shape), "type": t.type, "sha256": t.sha256} for t in tensors],
        "golden": {"input": golden.input, "output": golden.output},
    }
    if decoder is not None:
        fields["decoder"] = decoder
    if prior is not None:
        fields["prior"] = prior.to_map()
    return canonical.pack(fields)


def model_id(manifest: bytes) -> bytes:
    """The model id: SHA-256 of the manifest's bytes (M1-2)."""
    return hashlib.sha256(manifest).digest()


def _read(place: Place, fields: dict[str, Any]) -> Manifest:
    """All checks, in the order of the spec: first each key by itself (M2-2), then the keys against each other."""
    required = ("role", "profile", "input", "output", "layers", "tensors", "golden")
    as_map(place, "M2-2", fields, required, ("decoder", "prior"))
    role = one_of(place.inside('key "role"'), "M2-2", fields["role"], (ENCODER, DECODER))
    profile = one_of(place.inside('key "profile"'), "M2-2", fields["profile"], BOTH)
    forms = {name: _read_endpoint(place.inside(name), fields[name]) for name in ("input", "output")}
    layer_maps = as_list(place.inside("layers"), "M2-2", fields["layers"])
    if not layer_maps:
        raise place.inside("layers").invalid("M2-2", "there are none")
    tensors = _read_tensors(place.inside("tensors"), fields["tensors"])
    golden = _read_golden(place.inside("golden"), fields["golden"], len(tensors))
    decoder = as_digest(place.inside('key "decoder"'), "M2-2", fields["decoder"]) if "decoder" in fields else None
    prior = _read_prior(place.inside("prior"), fields["prior"], len(tensors)) if "prior" in fields else None
    if len(layer_maps) > MAX_LAYERS:
        raise place.inside("layers").over_limit("M2-2", f"{len(layer_maps)} layers, allowed are {MAX_LAYERS}")
    if len(tensors) > MAX_TENSORS:
        raise place.inside("tensors").over_limit("M2-2", f"{len(tensors)} tensors, allowed are {MAX_TENSORS}")

    if (decoder is None) == (role == ENCODER):
        raise place.invalid("M2-3", 'key "decoder" must be present in an encoder and absent in a decoder')
    if prior is not None and role == ENCODER:
        raise place.invalid("M2-3", 'key "prior" must be absent in an encoder')
    image_name = "input" if role == ENCODER else "output"
    _check_image(place.inside(image_name), forms[image_name])
    ends = {name: _with_range(place.inside(name), form, fields[name]) for name, form in forms.items()}
    for number, tensor in enumerate(tensors):
        if tensor.n_bytes > MAX_TENSOR_BYTES:
            what = f"{tensor.n_bytes} bytes, allowed are {MAX_TENSOR_BYTES}"
            raise place.inside(f"tensor {number}").over_limit("M2-6", what)
    if profile == EXACT:
        for name, end in ends.items():
            if end.interval is None:
                raise place.inside(name).invalid("M2-7", f"profile exact takes no {end.type}")

    layers = tuple(read_layer(place, number, value, len(tensors)) for number, value in enumerate(layer_maps))
    values = _infer_values(place, profile, ends["input"], layers, tensors)
    _check_ends(place, layers, values, ends["output"])
    _check_all_used(place, layers, tensors, golden, prior)
    _check_golden(place.inside("golden"), golden, tensors, ends["input"], ends["output"])
    if prior is not None:
        _check_prior(place.inside("prior"), prior, tensors, ends["input"])
    return Manifest(role, profile, ends["input"], ends["output"], layers, tensors, golden, decoder, prior, values)


def _read_endpoint(place: Place, value: object) -> Endpoint:
    """Shape and type; whatever `range` holds is M2-5."""
    fields = as_map(place, "M2-2", value, ("shape", "type"), ("range",))
    shape = as_integers(place.inside('key "shape"'), "M2-2", fields["shape"], _ENDPOINT_AXES, 1, canonical.MAX_INT)
    kind = one_of(place.inside('key "type"'), "M2-2", fields["type"], ENDPOINT_TYPES)
    return Endpoint(shape, kind)


def _read_tensors(place: Place, value: object) -> tuple[TensorSpec, ...]:
    maps = as_list(place, "M2-2", value)
    tensors = []
    for number, item in enumerate(maps):
        where = place.inside(f"tensor {number}")
        fields = as_map(where, "M2-2", item, ("shape", "type", "sha256"))
        shape = as_integers(where.inside('key "shape"'), "M2-2", fields["shape"], range(1, 9), 1, canonical.MAX_INT)
        kind = one_of(where.inside('key "type"'), "M2-2", fields["type"], DTYPES)
        tensors.append(TensorSpec(shape, kind, as_digest(where.inside('key "sha256"'), "M2-2", fields["sha256"])))
    return tuple(tensors)


def _read_golden(place: Place, value: object, n_tensors: int) -> Golden:
    fields = as_map(place, "M2-2", value, ("input", "output"))
    keys = ("input", "output")
    return Golden(*(as_integer(place.inside(f'key "{key}"'), "M2-2", fields[key], 0, n_tensors - 1) for key in keys))


def _read_prior(place: Place, value: object, n_tensors: int) -> PriorSpec:
    fields = as_map(place, "M2-2", value, ("bits", *PRIOR_TENSORS))
    bits = as_integer(place.inside('key "bits"'), "M2-2", fields["bits"], MIN_BITS, MAX_BITS)
    numbers = {
        key: as_integer(place.inside(f'key "{key}"'), "M2-2", fields[key], 0, n_tensors - 1) for key in PRIOR_TENSORS
    }
    return PriorSpec(bits, **numbers)


def _check_image(place: Place, end: Endpoint) -> None:
    """M2-4."""
    if end.type != "u8" or len(end.shape) != 3:
        raise place.invalid("M2-4", f"expected u8 [height, width, channels], found {end.value}")


def _with_range(place: Place, end: Endpoint, fields: dict[str, Any]) -> Endpoint:
    """The endpoint with its range, if the map has one: M2-5."""
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


def _infer_values(
    place: Place, profile: str, start: Endpoint, layers: tuple[Layer, ...], tensors: tuple[TensorSpec, ...]
) -> tuple[Value, ...]:
    """The shape and type of every value: M3-4 to M3-6."""
    values = [start.value]
    if values[0].n_elements > MAX_ELEMENTS:
        what = f"{values[0].n_elements} numbers a row, allowed are {MAX_ELEMENTS}"
        raise place.inside("input").over_limit("M3-5", what)
    for number, layer in enumerate(layers):
        where = place.inside(f"layer {number} ({layer.kind})")
        named = {key: tensors[number] for key, number in tensors_of(layer).items()}
        values.append(infer(where, profile, layer, tuple(values[i] for i in layer.inputs), named))
    return tuple(values)


def tensors_of(layer: Layer) -> dict[str, int]:
    """The numbers of the tensors that a layer names, by key."""
    return {key: number for key, number in layer.params.items() if key in TENSOR_KEYS and isinstance(number, int)}


def _check_ends(place: Place, layers: tuple[Layer, ...], values: tuple[Value, ...], output: Endpoint) -> None:
    """M3-7 and M3-8."""
    used = {number for layer in layers for number in layer.inputs}
    for number in range(len(layers)):
        if number not in used:
            raise place.invalid("M3-7", f"value {number} is no layer's input")
    if values[-1] != output.value:
        raise place.invalid("M3-8", f"the last layer makes {values[-1]}, the output is {output.value}")


def _check_golden(
    place: Place, golden: Golden, tensors: tuple[TensorSpec, ...], input: Endpoint, output: Endpoint
) -> None:
    """M6-1, for shapes and types; the numbers are checked with the tensors."""
    n_rows = tensors[golden.input].shape[0]
    for name, number, end in (("input", golden.input, input), ("output", golden.output, output)):
        tensor = tensors[number]
        if tensor.type != end.type or tensor.shape[1:] != end.shape or tensor.shape[0] != n_rows:
            found = f"{tensor.type} {list(tensor.shape)}"
            what = f"expected {end.type} {[n_rows, *end.shape]}, found {found}"
            raise place.inside(name).invalid("M6-1", what)
    if n_rows > MAX_GOLDEN_ROWS:
        raise place.invalid("M6-1", f"{n_rows} rows, allowed are {MAX_GOLDEN_ROWS}")


def _check_prior(place: Place, prior: PriorSpec, tensors: tuple[TensorSpec, ...], input: Endpoint) -> None:
    """M10-1 and M10-2."""
    if input.interval is None:
        raise place.invalid("M10-1", f"the input is {input.type}; only integers can have one")
    named = {key: tensors[number] for key, number in prior.tensors.items()}
    for key, tensor in named.items():
        if tensor.type != PRIOR_TENSORS[key]:
            raise place.inside(key).invalid("M10-2", f"expected {PRIOR_TENSORS[key]}, found {tensor.type}")
    n_symbols = input.interval.hi - input.interval.lo + 1
    try:
        check_shapes(n_symbols, input.shape, {key: tensor.shape for key, tensor in named.items()})
    except BadPrior as error:
        raise place.invalid(error.rule, error.what) from None


def _check_all_used(
    place: Place,
    layers: tuple[Layer, ...],
    tensors: tuple[TensorSpec, ...],
    golden: Golden,
    prior: PriorSpec | None,
) -> None:
    """M3-9."""
    used = {number for layer in layers for number in tensors_of(layer).values()} | {golden.input, golden.output}
    if prior is not None:
        used.update(prior.tensors.values())
    for number in range(len(tensors)):
        if number not in used:
            raise place.inside(f"tensor {number}").invalid("M3-9", "nothing uses it")
