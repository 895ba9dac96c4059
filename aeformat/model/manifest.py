"""The manifest: layers, tensors and endpoints of a network (spec/model.md, sections 2 and 3).

Owns bytes <-> Manifest, and every rule that can be checked with the manifest alone.  It has the shape, type and digest of each
tensor, but not its numbers.  A manifest that breaks a rule is refused before memory is allocated for the tensors.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from aeformat.container import canonical, limits
from aeformat.container.fields import Place, as_digest, as_list, as_map, one_of
from aeformat.container.prior import MAX_TABLES, PRIOR_TENSORS, BadPrior, check_shapes
from aeformat.model.free_sizes import Size, check_proportion, grown, is_free, latent_size, scale_of, sized
from aeformat.model.layers import BOTH, KINDS, TENSOR_KEYS, Layer, infer, read_layer
from aeformat.model.parts import Endpoint as Endpoint
from aeformat.model.parts import Golden as Golden
from aeformat.model.parts import PriorSpec as PriorSpec
from aeformat.model.parts import read_endpoint, read_golden, read_prior, read_tensors, with_range
from aeformat.model.passes import STAGES, PassGraph, check_passes
from aeformat.model.values import EXACT, MAX_ELEMENTS, MAX_TENSOR_BYTES, Shape, TensorSpec, Value

ENCODER: Final = "encoder"
DECODER: Final = "decoder"
MAX_LAYERS: Final = 1_024  # M2-2
MAX_TENSORS: Final = 4_096  # M2-2
MAX_GOLDEN_ROWS: Final = 64  # M6-1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One half of an autoencoder, without the numbers in its tensors.

    golden: one, or with free sizes one for each size.  values: the input, then each layer's output; with free sizes those for a
    latent of 1 x 1.  scale: image pixels for each of the latent, with free sizes.  passes: of a prior that has them.
    """

    role: str
    profile: str
    input: Endpoint
    output: Endpoint
    layers: tuple[Layer, ...]
    tensors: tuple[TensorSpec, ...]
    golden: tuple[Golden, ...]
    decoder: bytes | None
    prior: PriorSpec | None
    values: tuple[Value, ...]
    scale: Size | None = None
    passes: PassGraph | None = None

    @classmethod
    def parse(cls, data: bytes, at: int, *, minor: int | None = None) -> Manifest:
        """Read the manifest whose payload begins at byte `at` of the file.

        minor: N of the version 1.N that the file says it has (M1-7); None where there is no file.
        Checks every rule that does not depend on the numbers in the tensors.  Raises ManifestInvalid, LimitExceeded.
        """
        place = Place(at)
        if len(data) > limits.MANIFEST_BYTES:
            raise place.over_limit("M1-1", f"{len(data)} bytes, allowed are {limits.MANIFEST_BYTES}")
        try:
            fields = canonical.unpack(data, max_depth=limits.MANIFEST_DEPTH)
        except canonical.NotCanonical as error:
            raise place.invalid("M2-1", str(error)) from None
        return _read(place, fields, minor)

    @property
    def minor(self) -> int:
        """N of its version 1.N (section 12)."""
        return minor_of(self.input, self.output, self.layers)

    def at(self, latent: Size) -> Manifest:
        """The network of free sizes for latents of one size: endpoints and values have it."""
        assert self.scale is not None
        values = tuple(grown(value, latent) for value in self.values)
        ends = (replace(end, shape=value.shape) for end, value in ((self.input, values[0]), (self.output, values[-1])))
        input, output = ends
        return replace(self, input=input, output=output, values=values, scale=None)

    def latent_of(self, rows: Shape) -> Size:
        """The latents' size for an input of (height, width, channels), with free sizes."""
        assert self.scale is not None
        return latent_size(self.scale if self.role == ENCODER else (1, 1), (rows[0], rows[1]))

    @property
    def n_multiply_adds(self) -> int:
        """Multiplications for one row; with free sizes, for each pixel of its latent."""
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
        """Numbers that all layers together compute for one row; with free sizes, for each pixel of its latent."""
        return sum(value.n_elements for value in self.values[1:])

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return manifest_bytes(
            role=self.role, profile=self.profile, input=self.input, output=self.output, layers=self.layers,
            tensors=self.tensors, golden=self.golden, decoder=self.decoder, prior=self.prior,
        )  # fmt: skip


def manifest_bytes(
    *, role: str, profile: str, input: Endpoint, output: Endpoint, layers: tuple[Layer, ...],
    tensors: tuple[TensorSpec, ...], golden: tuple[Golden, ...], decoder: bytes | None, prior: PriorSpec | None = None,
) -> bytes:  # fmt: skip
    """The canonical bytes of a manifest.  Its rules are not checked."""
    fields: dict[str, object] = {
        "role": role,
        "profile": profile,
        "input": input.to_map(),
        "output": output.to_map(),
        "layers": [layer.to_map() for layer in layers],
        "tensors": [{"shape": list(t.shape), "type": t.type, "sha256": t.sha256} for t in tensors],
        "golden": [one.to_map() for one in golden] if is_free(input.shape) else golden[0].to_map(),
    }
    if decoder is not None:
        fields["decoder"] = decoder
    if prior is not None:
        fields["prior"] = prior.to_map()
    return canonical.pack(fields)


def model_id(manifest: bytes) -> bytes:
    """The model id: SHA-256 of the manifest's bytes (M1-2)."""
    return hashlib.sha256(manifest).digest()


def minor_of(input: Endpoint, output: Endpoint, layers: tuple[Layer, ...]) -> int:
    """N of the version 1.N that a manifest with these has (section 12)."""
    has_free_sizes = is_free(input.shape) or is_free(output.shape)
    return max(int(has_free_sizes), *(KINDS[layer.kind].minor for layer in layers))


def _read(place: Place, fields: dict[str, Any], minor: int | None) -> Manifest:
    """All checks, in the order of the spec: first each key by itself (M2-2), then the keys against each other."""
    required = ("role", "profile", "input", "output", "layers", "tensors", "golden")
    as_map(place, "M2-2", fields, required, ("decoder", "prior"))
    role = one_of(place.inside('key "role"'), "M2-2", fields["role"], (ENCODER, DECODER))
    profile = one_of(place.inside('key "profile"'), "M2-2", fields["profile"], BOTH)
    forms = {name: read_endpoint(place.inside(name), fields[name]) for name in ("input", "output")}
    layer_maps = as_list(place.inside("layers"), "M2-2", fields["layers"])
    if not layer_maps:
        raise place.inside("layers").invalid("M2-2", "there are none")
    tensors = read_tensors(place.inside("tensors"), fields["tensors"])
    has_free_sizes = any(is_free(form.shape) for form in forms.values())
    golden = read_golden(place.inside("golden"), fields["golden"], len(tensors), several=has_free_sizes)
    decoder = as_digest(place.inside('key "decoder"'), "M2-2", fields["decoder"]) if "decoder" in fields else None
    prior: PriorSpec | None = None
    pass_maps: list[Any] = []
    if "prior" in fields:
        prior, pass_maps = read_prior(place.inside("prior"), fields["prior"], len(tensors))
    for n_layers in (len(layer_maps), len(pass_maps)):
        if n_layers > MAX_LAYERS:
            raise place.inside("layers").over_limit("M2-2", f"{n_layers} layers, allowed are {MAX_LAYERS}")
    if len(tensors) > MAX_TENSORS:
        raise place.inside("tensors").over_limit("M2-2", f"{len(tensors)} tensors, allowed are {MAX_TENSORS}")

    if (decoder is None) == (role == ENCODER):
        raise place.invalid("M2-3", 'key "decoder" must be present in an encoder and absent in a decoder')
    if prior is not None and role == ENCODER:
        raise place.invalid("M2-3", 'key "prior" must be absent in an encoder')
    image_name = "input" if role == ENCODER else "output"
    _check_image(place.inside(image_name), forms[image_name])
    ends = {name: with_range(place.inside(name), form, fields[name]) for name, form in forms.items()}
    for number, tensor in enumerate(tensors):
        if tensor.n_bytes > MAX_TENSOR_BYTES:
            what = f"{tensor.n_bytes} bytes, allowed are {MAX_TENSOR_BYTES}"
            raise place.inside(f"tensor {number}").over_limit("M2-6", what)
    if profile == EXACT:
        for name, end in ends.items():
            if end.interval is None:
                raise place.inside(name).invalid("M2-7", f"profile exact takes no {end.type}")
    if has_free_sizes:
        _check_free(place, ends)

    layers = tuple(read_layer(place, number, value, len(tensors)) for number, value in enumerate(layer_maps))
    prior = _with_layers(place, prior, pass_maps, len(tensors))
    found = minor_of(ends["input"], ends["output"], layers)
    if minor not in (None, found):
        raise place.invalid("M1-7", f"a manifest of version 1.{found} in a file that says 1.{minor}")
    scale = scale_of(place, layers, is_decoder=role == DECODER) if has_free_sizes else None
    units = {image_name: scale or (1, 1)}  # the sizes of both sides for a latent of 1 x 1
    first, last = (Value(sized(ends[name].shape, units.get(name, (1, 1))), ends[name].type) for name in ends)
    values = _infer_values(place, profile, first, layers, tensors, has_free_sizes=has_free_sizes)
    _check_ends(place, layers, values, last)
    _check_all_used(place, layers, tensors, golden, prior)
    _check_golden(place.inside("golden"), golden, tensors, ends, scale=scale, image=image_name)
    passes = None
    if prior is not None:
        passes = _check_prior(place.inside("prior"), prior, tensors, ends["input"])
    return Manifest(
        role, profile, ends["input"], ends["output"], layers, tensors, golden, decoder, prior, values, scale, passes
    )


def _with_layers(place: Place, prior: PriorSpec | None, maps: list[Any], n_tensors: int) -> PriorSpec | None:
    """The prior with the layers of its passes: M3-1 to M3-3."""
    if prior is None or prior.passes is None:
        return prior
    where, n_before = place.inside("prior: passes"), STAGES * len(prior.passes.groups)
    layers = tuple(read_layer(where, number, value, n_tensors, n_before=n_before) for number, value in enumerate(maps))
    return replace(prior, passes=replace(prior.passes, layers=layers))


def _check_image(place: Place, end: Endpoint) -> None:
    """M2-4."""
    if end.type != "u8" or len(end.shape) != 3:
        raise place.invalid("M2-4", f"expected u8 [height, width, channels], found {end.value}")


def _check_free(place: Place, ends: dict[str, Endpoint]) -> None:
    """M2-8."""
    for name, end in ends.items():
        if len(end.shape) != 3 or any(end.shape[:2]) or not end.shape[2]:
            what = f"expected [0, 0, channels], as a size of an endpoint is free, found {list(end.shape)}"
            raise place.inside(name).invalid("M2-8", what)


def _infer_values(
    place: Place, profile: str, start: Value, layers: tuple[Layer, ...], tensors: tuple[TensorSpec, ...],
    *, has_free_sizes: bool,
) -> tuple[Value, ...]:  # fmt: skip
    """The shape and type of every value: M3-4 to M3-6, M3-11."""
    values = [start]
    if values[0].n_elements > MAX_ELEMENTS:
        what = f"{values[0].n_elements} numbers a row, allowed are {MAX_ELEMENTS}"
        raise place.inside("input").over_limit("M3-5", what)
    for number, layer in enumerate(layers):
        where = place.inside(f"layer {number} ({layer.kind})")
        named = {key: tensors[number] for key, number in tensors_of(layer).items()}
        values.append(infer(where, profile, layer, tuple(values[i] for i in layer.inputs), named))
        if has_free_sizes:
            check_proportion(
                where, layer, values[layer.inputs[0]], named["weights"].shape if "weights" in named else ()
            )
    return tuple(values)


def tensors_of(layer: Layer) -> dict[str, int]:
    """The numbers of the tensors that a layer names, by key."""
    return {key: number for key, number in layer.params.items() if key in TENSOR_KEYS and isinstance(number, int)}


def _check_ends(place: Place, layers: tuple[Layer, ...], values: tuple[Value, ...], output: Value) -> None:
    """M3-7 and M3-8."""
    used = {number for layer in layers for number in layer.inputs}
    for number in range(len(layers)):
        if number not in used:
            raise place.invalid("M3-7", f"value {number} is no layer's input")
    if values[-1] != output:
        raise place.invalid("M3-8", f"the last layer makes {values[-1]}, the output is {output}")


def _check_golden(
    place: Place, golden: tuple[Golden, ...], tensors: tuple[TensorSpec, ...], ends: dict[str, Endpoint],
    *, scale: Size | None, image: str,
) -> None:  # fmt: skip
    """M6-1, for shapes and types; the numbers are checked with the tensors."""
    n_rows, images = 0, set()
    for one in golden:
        pair = {"input": tensors[one.input], "output": tensors[one.output]}
        sizes: dict[str, Size] = {}
        if scale is not None:
            sizes = _golden_sizes(place, pair, scale, image)
            images.add(sizes[image])
        count = pair["input"].shape[0]
        for name, end in ends.items():
            shape = (count, *(sized(end.shape, sizes[name]) if sizes else end.shape))
            if pair[name].type != end.type or pair[name].shape != shape:
                found = f"{pair[name].type} {list(pair[name].shape)}"
                raise place.inside(name).invalid("M6-1", f"expected {end.type} {list(shape)}, found {found}")
        n_rows += count
    if len(images) not in (0, len(golden)):
        raise place.invalid("M6-1", "images of one size stand in two maps")
    if n_rows > MAX_GOLDEN_ROWS:
        raise place.invalid("M6-1", f"{n_rows} rows, allowed are {MAX_GOLDEN_ROWS}")


def _golden_sizes(place: Place, pair: dict[str, TensorSpec], scale: Size, image: str) -> dict[str, Size]:
    """The sizes of both sides, as those of the image ask for them."""
    shape = pair[image].shape
    if len(shape) != 4:
        raise place.inside(image).invalid("M6-1", f"expected [rows, height, width, channels], found {list(shape)}")
    size = shape[1], shape[2]
    return {name: size if name == image else latent_size(scale, size) for name in pair}


def _check_prior(place: Place, prior: PriorSpec, tensors: tuple[TensorSpec, ...], input: Endpoint) -> PassGraph | None:
    """M10-6, M10-1 and M10-2; then those of passes."""
    if is_free(input.shape) != (prior.passes is not None):
        raise place.invalid("M10-6", "passes go with free sizes, and nothing else does")
    if input.interval is None:
        raise place.invalid("M10-1", f"the input is {input.type}; only integers can have one")
    named = {key: tensors[number] for key, number in prior.tensors.items()}
    for key, tensor in named.items():
        if tensor.type != PRIOR_TENSORS[key]:
            raise place.inside(key).invalid("M10-2", f"expected {PRIOR_TENSORS[key]}, found {tensor.type}")
    n_symbols = input.interval.hi - input.interval.lo + 1
    if prior.passes is not None:
        shape = named["tables"].shape
        if len(shape) != 2 or shape[0] > MAX_TABLES or shape[1] != n_symbols + 1:
            what = f"tables has the shape {list(shape)}, not 1 to {MAX_TABLES} rows of {n_symbols + 1}"
            raise place.invalid("M10-2", what)
        return check_passes(place.inside("passes"), prior.passes, tensors, input)
    try:
        check_shapes(n_symbols, input.shape, {key: tensor.shape for key, tensor in named.items()})
    except BadPrior as error:
        raise place.invalid(error.rule, error.what) from None
    return None


def _check_all_used(
    place: Place,
    layers: tuple[Layer, ...],
    tensors: tuple[TensorSpec, ...],
    golden: tuple[Golden, ...],
    prior: PriorSpec | None,
) -> None:
    """M3-9."""
    used = {number for layer in layers for number in tensors_of(layer).values()}
    used |= {number for one in golden for number in (one.input, one.output)}
    if prior is not None:
        used.update(prior.tensors.values())
        if prior.passes is not None:
            used |= {number for layer in prior.passes.layers for number in tensors_of(layer).values()}
    for number in range(len(tensors)):
        if number not in used:
            raise place.inside(f"tensor {number}").invalid("M3-9", "nothing uses it")
