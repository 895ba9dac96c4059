"""Model packages (model.md): the package, the manifest, the layers, the bounds of the exact profile, the golden set.

What the manifest alone tells is checked before the first tensor is read, then the tensors as they stand, then the
trailer, then the numbers (section 1, "The order of checks").
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

from . import free, pass_layers, values
from .container import Chunk, File, read_chunk, read_trailer
from .errors import SpecError
from .msgpack import Node, read_canonical
from .passes import Passes
from .rans import Prior, check_prior_shapes, read_prior
from .sizes import count

MAX_MANIFEST = 1_048_576  # M1-1
MAX_LAYERS, MAX_TENSORS = 1_024, 4_096  # M2-2
MAX_TENSOR = 268_435_456  # M2-6
MAX_ELEMENTS = 2**28  # M3-5
RANGES = {"u8": (0, 255), "i8": (-128, 127)}


@dataclass
class Tensor:
    shape: list[int]
    type: str
    sha256: bytes
    values: list[values.Number] = field(default_factory=list)  # C order


@dataclass
class Model:
    manifest: dict[str, Any]
    model_id: bytes
    at: int  # first byte of the payload of MANF: the byte of nearly every error
    tensors: list[Tensor]
    shapes: list[list[int]] = field(default_factory=list)  # of value 0, 1, ...
    types: list[str] = field(default_factory=list)
    prior: Prior | Passes | None = None
    passes: Passes | None = None
    scale: free.Size | None = None  # with free sizes; `shapes` are then those for a latent of 1 x 1

    def error(self, rule: str, what: str, code: str | None = None) -> SpecError:
        return SpecError(rule, self.at, what, code)


# --- 1. The package ---------------------------------------------------------------------------------------------------


def read_package(file: File, max_work: int | None = None) -> Model:
    """A file of kind "model", its golden set not yet run.  max_work: the cap of M7-1."""
    model: Model | None = None
    n_tensors = 0  # passed

    def check_order(chunk: Chunk) -> None:
        # M1-1
        if (chunk.tag == b"MANF") != (model is None):
            raise SpecError("M1-1", chunk.at, "the first chunk, and no other, is MANF")

    def check_lengths(chunk: Chunk) -> None:
        """After C4-11, before the payload is looked into."""
        # M1-1
        if chunk.tag == b"MANF" and chunk.raw_len > MAX_MANIFEST:
            raise SpecError("M1-1", chunk.payload_at, f"manifest of {chunk.raw_len} bytes", "limit")
        if model and chunk.tag == b"TENS":
            # M1-3
            if n_tensors == len(model.tensors):
                raise SpecError("M1-3", chunk.at, "more TENS than tensors")
            # M1-4
            tensor = model.tensors[n_tensors]
            if chunk.raw_len != tensor_bytes(tensor):
                raise SpecError("M1-4", chunk.payload_at, f"{chunk.raw_len} bytes for {tensor.shape} {tensor.type}")

    def may_end() -> None:
        if model is None:
            raise SpecError("M1-1", file.at, "no MANF")

    def has_all() -> None:
        if model and n_tensors < len(model.tensors):
            raise SpecError("M1-3", file.at, f"{n_tensors} TENS for {len(model.tensors)} tensors")

    while chunk := read_chunk(file, check_order, check_lengths):
        if chunk.tag == b"MANF":
            model = read_manifest(file, chunk, max_work)
        elif chunk.tag == b"TENS" and model:
            read_tensor(file, chunk, model.tensors[n_tensors])
            n_tensors += 1
    # M1-2
    read_trailer(file, model.model_id if model else b"", may_end, has_all, content_rule="M1-2")
    assert model is not None, "may_end"
    check_numbers(model)
    if "prior" in model.manifest:
        model.prior = pass_layers.read(model, check_sums) if model.passes else read_prior(model)
    return model


def tensor_bytes(tensor: Tensor) -> int:
    return count(tensor.shape) * values.bytes_a_value(tensor.type)


def read_tensor(file: File, chunk: Chunk, tensor: Tensor) -> None:
    """The numbers of one TENS."""
    raw = chunk.raw(file.header, values.bytes_a_value(tensor.type))
    # M1-5
    if hashlib.sha256(raw).digest() != tensor.sha256:
        raise SpecError("M1-5", chunk.payload_at, "the tensor's sha256 does not match")
    tensor.values = values.unpack(raw, tensor.type)
    # M1-6
    if not all(map(math.isfinite, tensor.values)):
        raise SpecError("M1-6", chunk.payload_at, "a number of the tensor is not finite")


# --- 2. The manifest --------------------------------------------------------------------------------------------------

_KEYS = {"role", "profile", "input", "output", "layers", "tensors", "golden"}
_TENSOR_TYPES = ("f32", "f16", "i8", "u8", "i32")


def read_manifest(file: File, chunk: Chunk, max_work: int | None) -> Model:
    """The payload of MANF, and all that it alone tells."""
    raw = chunk.raw(file.header, 1)
    at = chunk.payload_at
    # M1-2
    model_id = hashlib.sha256(raw).digest()
    if model_id != file.header["model"]:
        raise SpecError("M1-2", at, "the header names another model id")
    # M2-1
    root = read_canonical(raw, 6, lambda offset: at, "M2-1")
    # M2-2
    _check_keys(root, at)
    manifest = root.plain()
    tensors = [Tensor(t["shape"], t["type"], t["sha256"]) for t in manifest["tensors"]]
    model = Model(manifest, model_id, at, tensors)
    # M2-3
    if ("decoder" in manifest) != (manifest["role"] == "encoder"):
        raise model.error("M2-3", "decoder is present in an encoder, absent in a decoder")
    if "prior" in manifest and manifest["role"] == "encoder":
        raise model.error("M2-3", "an encoder with a prior")
    # M2-4
    image = manifest["input" if manifest["role"] == "encoder" else "output"]
    if image["type"] != "u8" or len(image["shape"]) != 3:
        raise model.error("M2-4", "the image side is u8 of [height, width, channels]")
    # M2-5
    for end in ("input", "output"):
        if "range" in manifest[end] and not _range_fits(manifest[end]):
            raise model.error("M2-5", f"range of {end}")
    # M2-6
    for tensor in tensors:
        if tensor_bytes(tensor) > MAX_TENSOR:
            raise model.error("M2-6", f"a tensor of {tensor_bytes(tensor)} bytes", "limit")
    # M2-7
    if manifest["profile"] == "exact" and "f32" in (manifest["input"]["type"], manifest["output"]["type"]):
        raise model.error("M2-7", "profile exact has integer endpoints")
    # M2-8
    if free.is_free(manifest) and not free.ends_fit(manifest):
        raise model.error("M2-8", "free sizes of the endpoints")
    check_layers(model, file.flags)
    check_golden_shapes(model)
    if "prior" in manifest:
        # M10-6
        if bool(model.scale) != ("passes" in manifest["prior"]):
            raise model.error("M10-6", "passes go with free sizes")
        check_prior_shapes(model)
        if model.scale:
            pass_layers.check_shapes(model, check_layer)
    # M7-1
    if max_work is not None and work(model) > max_work:
        raise model.error("M7-1", f"a row takes {work(model)} operations", "limit")
    return model


def _check_keys(root: Node, at: int) -> None:
    """M2-2: the keys of section 2 with values of those types, and no other."""

    def need(holds: bool, what: str, code: str | None = None) -> None:
        if not holds:
            raise SpecError("M2-2", at, what, code)

    keys = {key.text() for key, _ in root.items()}
    need(keys >= _KEYS and keys <= _KEYS | {"decoder", "prior"}, "keys of the manifest")
    plain = root.plain()
    need(plain["role"] in ("encoder", "decoder"), "role")
    need(plain["profile"] in ("exact", "float32"), "profile")
    for end in ("input", "output"):
        endpoint = plain[end]
        need(isinstance(endpoint, dict) and {"shape", "type"} <= set(endpoint) <= {"shape", "type", "range"}, end)
        need(is_shape(endpoint["shape"], 7, least=0) and endpoint["type"] in ("u8", "i8", "f32"), end)
    layers, tensors = plain["layers"], plain["tensors"]
    need(isinstance(layers, list) and len(layers) >= 1, "layers")
    need(isinstance(tensors, list), "tensors")
    for tensor in tensors:
        need(isinstance(tensor, dict) and set(tensor) == {"shape", "type", "sha256"}, "a tensor")
        need(is_shape(tensor["shape"], 8) and tensor["type"] in _TENSOR_TYPES and is_hash(tensor["sha256"]), "a tensor")
    golden = plain["golden"]
    if free.is_free(plain):
        need(isinstance(golden, list) and 2 <= len(golden) <= 8, "golden")
    for one in golden if free.is_free(plain) else [golden]:
        need(isinstance(one, dict) and set(one) == {"input", "output"}, "golden")
        need(all(is_integer(one[end], 0, len(tensors) - 1) for end in ("input", "output")), "golden")
    need("decoder" not in plain or is_hash(plain["decoder"]), "decoder")
    if "prior" in plain:
        prior = plain["prior"]
        has_passes = isinstance(prior, dict) and "passes" in prior
        of_tensors = ("tables",) if has_passes else ("classes", "means", "picks", "tables")
        need(
            isinstance(prior, dict) and set(prior) == {"bits", *of_tensors, *(["passes"] if has_passes else [])},
            "prior",
        )
        need(is_integer(prior["bits"], 8, 16), "bits of the prior")
        need(all(is_integer(prior[key], 0, len(tensors) - 1) for key in of_tensors), "prior")
        need(not has_passes or pass_layers.form_fits(prior["passes"], is_integers), "passes")
    # the form of everything first, then the counts
    need(len(layers) <= MAX_LAYERS, "too many layers", "limit")
    need(len(passes_map(plain)["layers"]) <= MAX_LAYERS, "too many layers", "limit")
    need(len(tensors) <= MAX_TENSORS, "too many tensors", "limit")


def passes_map(manifest: dict[str, Any]) -> dict[str, Any]:
    """The passes of the prior, empty if there are none."""
    found: dict[str, Any] = manifest.get("prior", {}).get("passes", {"groups": [], "layers": []})
    return found


def is_integer(value: Any, lo: int, hi: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lo <= value <= hi


def is_integers(value: Any, n: int, lo: int, hi: float) -> bool:
    return isinstance(value, list) and len(value) == n and all(is_integer(entry, lo, hi) for entry in value)


def is_shape(value: Any, longest: int, largest: float = math.inf, least: int = 1) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= longest and is_integers(value, len(value), least, largest)


def is_hash(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _range_fits(endpoint: dict[str, Any]) -> bool:
    """M2-5."""
    whole = RANGES.get(endpoint["type"])
    range_ = endpoint["range"]
    if whole is None or not is_integers(range_, 2, *whole):
        return False
    return bool(range_[0] < range_[1]) and tuple(range_) != whole


# --- 3. Layers --------------------------------------------------------------------------------------------------------

_FLOAT_ACTIVATIONS = ("relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus", "leaky_relu")
WEIGHTED = ("dense", "conv2d", "conv2d_transpose", "affine")
JOINING = ("add", "concat")
POOLS = ("max_pool", "average_pool")
MOVING = (
    "concat",
    "upsample",
    "slice",
    "max_pool",
    "pad",
    "crop",
    "reshape",
    "flatten",
)  # take u8, i8 or f32 and give it
LAYER_KEYS = {
    "dense": ("weights", "bias"),
    "conv2d": ("weights", "bias", "strides", "padding"),
    "conv2d_transpose": ("weights", "bias", "strides", "crop"),
    "affine": ("weights", "bias"),
    "add": (),
    "concat": ("axis",),
    "upsample": ("factors",),
    "max_pool": ("size", "strides", "padding"),
    "average_pool": ("size", "strides", "padding"),
    "slice": ("start", "stop"),
    "pad": ("padding", "value"),
    "crop": ("crop",),
    "reshape": ("shape",),
    "flatten": (),
    "scale": ("num", "den"),
    **dict.fromkeys(_FLOAT_ACTIVATIONS, ()),
    "leaky_relu": ("num", "den"),
    "to_u8": (),
    "lookup": ("multiplier", "shift", "table"),
}


def _key_fits(key: str, value: Any, n_tensors: int) -> bool:
    """The first table of section 3."""
    if key in ("weights", "bias", "multiplier", "table"):
        return is_integer(value, 0, n_tensors - 1)
    return {
        "inputs": isinstance(value, list) and all(is_integer(entry, 0, math.inf) for entry in value),
        "strides": is_integers(value, 2, 1, 16),
        "factors": is_integers(value, 2, 1, 16),
        "size": is_integers(value, 2, 1, 1_024),
        "axis": is_integer(value, 0, 7),
        "value": is_integer(value, -128, 255),
        "start": is_integer(value, 0, 2**28),
        "stop": is_integer(value, 1, 2**28),
        "padding": is_integers(value, 4, 0, 64),
        "crop": is_integers(value, 4, 0, 64),
        "shape": is_shape(value, 8, 2**28),
        "num": is_integer(value, -65_536, 65_536) and value != 0,
        "den": is_integer(value, 1, 65_536),
        "shift": is_integer(value, 0, 40),
    }[key]


def check_layers(model: Model, flags: int = 0) -> None:
    """M3-1 to M3-11, and M1-7; finds the shape and type of every value."""
    manifest, layers = model.manifest, model.manifest["layers"]
    of_passes = passes_map(manifest)
    n_known = 5 * len(of_passes["groups"])
    for k, most, layer in [
        *((k, k, layer) for k, layer in enumerate(layers)),
        *((j, n_known + j - 1, layer) for j, layer in enumerate(of_passes["layers"])),
    ]:
        # M3-1
        kind = layer.get("kind") if isinstance(layer, dict) else None
        if not isinstance(kind, str) or kind not in LAYER_KEYS:
            raise model.error("M3-1", f"layer {k} has kind {kind!r}")
        # M3-2
        if set(layer) != {"kind", "inputs", *LAYER_KEYS[kind]}:
            raise model.error("M3-2", f"keys of layer {k} ({kind})")
        for key in layer:
            if key not in ("kind", "inputs") and not _key_fits(key, layer[key], len(model.tensors)):
                raise model.error("M3-2", f"{key} of layer {k} ({kind})")
        # M3-3
        inputs = layer["inputs"]
        if not _key_fits("inputs", inputs, 0) or not _takes(kind, len(inputs)) or max(inputs) > most:
            raise model.error("M3-3", f"inputs of layer {k} ({kind})")

    # M1-7
    if free.minor_of(manifest) != (flags >> 2 & 1):
        raise model.error("M1-7", f"a manifest of version 1.{free.minor_of(manifest)}, flags {flags:#06x}")
    first, last = manifest["input"]["shape"], manifest["output"]["shape"]
    if free.is_free(manifest):
        # M3-10
        model.scale = free.find_scale(manifest)
        if model.scale is None:
            raise model.error("M3-10", "layers that do not go with free sizes")
        unit = [*(model.scale if manifest["role"] == "encoder" else (1, 1)), first[2]]
        unit_last = [*(model.scale if manifest["role"] == "decoder" else (1, 1)), last[2]]
        first, last = unit, unit_last
    model.shapes, model.types = [first], [manifest["input"]["type"]]
    # M3-5, of the network's input
    if count(model.shapes[0]) > MAX_ELEMENTS:
        raise model.error("M3-5", "elements of the input", "limit")
    for k, layer in enumerate(layers):
        kind = layer["kind"]
        # M3-4
        if manifest["profile"] == "exact" and kind in ("scale", "to_u8", "average_pool", *_FLOAT_ACTIVATIONS):
            raise model.error("M3-4", f"{kind} with profile exact")
        if manifest["profile"] == "float32" and kind == "lookup":
            raise model.error("M3-4", "lookup with profile float32")
        shapes, types = [model.shapes[i] for i in layer["inputs"]], [model.types[i] for i in layer["inputs"]]
        shape, type_ = check_layer(model, k, layer, shapes, types)
        model.shapes.append(shape)
        model.types.append(type_)
        # M3-11
        kernel = model.tensors[layer["weights"]].shape if "weights" in layer else []
        if model.scale and not free.keeps_proportion(layer, shapes[0], kernel):
            raise model.error("M3-11", f"layer {k} ({kind}) does not keep proportions")
    # M3-7
    used = {source for layer in layers for source in layer["inputs"]}
    if used != set(range(len(layers))):
        raise model.error("M3-7", "a value is nobody's input")
    # M3-8
    if (model.shapes[-1], model.types[-1]) != (last, manifest["output"]["type"]):
        raise model.error("M3-8", f"the last value is {model.types[-1]} {model.shapes[-1]}")
    # M3-9
    numbers = {layer[key] for layer in layers for key in ("weights", "bias", "multiplier", "table") if key in layer}
    in_passes = of_passes["layers"]
    numbers |= {layer[key] for layer in in_passes for key in ("weights", "bias", "multiplier", "table") if key in layer}
    numbers |= {number for key, number in manifest.get("prior", {}).items() if key not in ("bits", "passes")}
    numbers |= {number for one in golden_maps(model) for number in one.values()}
    if numbers != set(range(len(model.tensors))):
        raise model.error("M3-9", "a tensor is not used")


def check_layer(
    model: Model, k: int, layer: dict[str, Any], shapes: list[list[int]], types: list[str]
) -> tuple[list[int], str]:
    """M3-5, M3-6, and of a lookup the shapes of M4-2 and M4-3; the shape and the type that a layer makes."""
    kind = layer["kind"]
    # M3-5
    shape = _joined_shape(layer, shapes) if kind in JOINING else _shape_after(model, layer, shapes[0])
    if shape is None or min(shape) < 1:
        raise model.error("M3-5", f"layer {k} ({kind}) does not fit {shapes}")
    if count(shape) > MAX_ELEMENTS:
        raise model.error("M3-5", f"layer {k} makes {count(shape)} elements", "limit")
    # M3-6
    type_ = _type_after(model, layer, types)
    if type_ is None:
        raise model.error("M3-6", f"layer {k} ({kind}) does not take {types}")
    if kind == "lookup":
        _check_lookup(model, k, layer, shape[-1])
    return shape, type_


def _takes(kind: str, n_inputs: int) -> bool:
    """The count of M3-3."""
    return 2 <= n_inputs <= 64 if kind in JOINING else n_inputs == 1


def _joined_shape(layer: dict[str, Any], shapes: list[list[int]]) -> list[int] | None:
    """Of add and concat."""
    if layer["kind"] == "add":
        return shapes[0] if all(shape == shapes[0] for shape in shapes) else None
    axis = layer["axis"]
    if any(axis >= len(shape) for shape in shapes):
        return None
    others = [shape[:axis] + shape[axis + 1 :] for shape in shapes]
    if any(other != others[0] for other in others):
        return None
    return [*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]]


def _moved_shape(layer: dict[str, Any], shape: list[int]) -> list[int] | None:
    """Of upsample, the pools, pad and crop."""
    if len(shape) != 3:
        return None
    height, width, channels = shape
    if layer["kind"] == "upsample":
        return [height * layer["factors"][0], width * layer["factors"][1], channels]
    top, bottom, left, right = layer["crop" if layer["kind"] == "crop" else "padding"]
    if layer["kind"] == "crop":
        return [height - top - bottom, width - left - right, channels]
    height, width = height + top + bottom, width + left + right
    if layer["kind"] == "pad":
        return [height, width, channels]
    (kh, kw), (sh, sw) = layer["size"], layer["strides"]
    if max(top, bottom) >= kh or max(left, right) >= kw:
        return None
    return [(height - kh) // sh + 1, (width - kw) // sw + 1, channels]


def _shape_after(model: Model, layer: dict[str, Any], shape: list[int]) -> list[int] | None:
    """The shape a layer makes; None if shapes do not fit.  Sizes may come out below 1."""
    kind = layer["kind"]
    if kind == "reshape":
        return layer["shape"] if count(layer["shape"]) == count(shape) else None
    if kind == "flatten":
        return [count(shape)]
    if kind in ("upsample", "pad", "crop", *POOLS):
        return _moved_shape(layer, shape)
    if kind == "slice":
        start, stop = layer["start"], layer["stop"]
        return [*shape[:-1], stop - start] if start < stop <= shape[-1] else None
    if kind not in WEIGHTED:
        return shape
    weights, bias = model.tensors[layer["weights"]].shape, model.tensors[layer["bias"]].shape
    if kind == "affine":
        return shape if weights == bias == shape[-1:] else None
    if kind == "dense":
        fits = len(shape) == 1 and len(weights) == 2 and weights[0] == shape[0] and bias == weights[1:]
        return weights[1:] if fits else None
    if len(shape) != 3 or len(weights) != 4:
        return None
    channels = weights[3] if kind == "conv2d" else weights[2]
    if shape[2] != (weights[2] if kind == "conv2d" else weights[3]) or bias != [channels]:
        return None
    sizes = []
    for axis in (0, 1):
        size, kernel, stride = shape[axis], weights[axis], layer["strides"][axis]
        before, after = layer["padding" if kind == "conv2d" else "crop"][2 * axis : 2 * axis + 2]
        if kind == "conv2d":
            sizes.append((size + before + after - kernel) // stride + 1)
        else:
            sizes.append((size - 1) * stride + kernel - before - after)
    return [*sizes, channels]


def _type_after(model: Model, layer: dict[str, Any], types: list[str]) -> str | None:
    """The type a layer makes; None if types do not fit."""
    kind, type_ = layer["kind"], types[0]
    is_exact = model.manifest["profile"] == "exact"
    if kind == "add":
        allowed = ("u8", "i8", "acc") if is_exact else ("f32",)
        return ("acc" if is_exact else "f32") if set(types) <= set(allowed) else None
    if kind == "lookup":
        return model.tensors[layer["table"]].type if type_ == "acc" else None
    if type_ == "acc":
        return None
    if kind in MOVING:
        if kind == "pad" and type_ in RANGES and not RANGES[type_][0] <= layer["value"] <= RANGES[type_][1]:
            return None
        return type_ if set(types) == {type_} else None
    if kind == "scale":
        return "f32" if type_ in ("u8", "i8") else None
    if kind in WEIGHTED:
        weights, bias = model.tensors[layer["weights"]].type, model.tensors[layer["bias"]].type
        if is_exact:
            exact_weights = "i32" if kind == "affine" else "i8"
            return "acc" if type_ in ("u8", "i8") and (weights, bias) == (exact_weights, "i32") else None
        return "f32" if type_ == "f32" and {weights, bias} <= {"f32", "f16"} else None
    if type_ != "f32":
        return None
    return "u8" if kind == "to_u8" else "f32"


def work(model: Model) -> int:
    """Multiply-adds plus elements, a row (M7-1)."""
    layers = range(len(model.manifest["layers"]))
    return sum(map(count, model.shapes[1:])) + sum(multiply_adds(model, k) for k in layers)


def multiply_adds(model: Model, k: int) -> int:
    """Those of layer k, a row."""
    layer, made = model.manifest["layers"][k], count(model.shapes[k + 1])
    if layer["kind"] == "add":
        return made * len(layer["inputs"])
    if layer["kind"] == "affine":
        return made
    if layer["kind"] in POOLS:
        return made * count(layer["size"])
    if layer["kind"] not in WEIGHTED:
        return 0
    pixels = {"dense": [], "conv2d": model.shapes[k + 1][:2]}.get(layer["kind"], model.shapes[layer["inputs"][0]][:2])
    return count(model.tensors[layer["weights"]].shape) * count(pixels)


# --- 4. The exact profile ---------------------------------------------------------------------------------------------


def _check_lookup(model: Model, k: int, layer: dict[str, Any], channels: int) -> None:
    """M4-2 and M4-3 of one lookup, as far as they speak of shapes and types."""
    multiplier, table = model.tensors[layer["multiplier"]], model.tensors[layer["table"]]
    if multiplier.type != "i32" or multiplier.shape not in ([1], [channels]):
        raise model.error("M4-2", f"multiplier of layer {k}")
    is_flat = len(table.shape) == 1 and table.shape[0] % 2 == 0 and 2 <= table.shape[0] <= 65_536
    if table.type not in RANGES or not is_flat:
        raise model.error("M4-3", f"table of layer {k}")


def weights_of_channels(model: Model, layer: dict[str, Any]) -> list[list[values.Number]]:
    """For each output channel, all weights that lead to it."""
    tensor = model.tensors[layer["weights"]]
    d, inner = tensor.shape[-1], 1  # [n, m], [kh, kw, c, d]: the channel is the last axis
    if layer["kind"] == "conv2d_transpose":  # [kh, kw, d, c]: the last but one
        d, inner = tensor.shape[-2:]
    of: list[list[values.Number]] = [[] for _ in range(d)]  # [c] of affine: each leads to its own
    for i, weight in enumerate(tensor.values):
        of[i // inner % d].append(weight)
    return of


def phases_of(model: Model, layer: dict[str, Any]) -> list[list[list[values.Number]]]:
    """Of a conv2d_transpose: for each phase what `weights_of_channels` is for all weights."""
    tensor, (sh, sw) = model.tensors[layer["weights"]], layer["strides"]
    _, kw, d, c = tensor.shape
    of: dict[tuple[int, int], list[list[values.Number]]] = {}
    for i, weight in enumerate(tensor.values):
        ky, kx, channel = i // (kw * d * c), i // (d * c) % kw, i // c % d
        of.setdefault((ky % sh, kx % sw), [[] for _ in range(d)])[channel].append(weight)
    return list(of.values())


def check_numbers(model: Model) -> None:
    """Section 4, layer after layer; then the numbers of the golden set (M6-1)."""
    manifest = model.manifest
    intervals = check_sums(model, [endpoint_range(manifest["input"])], by_phase=free.minor_of(manifest) >= 1)
    # M4-6
    last, range_ = intervals[-1], endpoint_range(manifest["output"])
    if last and range_ and not (range_[0] <= last[0] and last[1] <= range_[1]):
        raise model.error("M4-6", f"the last value is in {last}, output in {range_}")
    # M6-1
    for end in ("input", "output"):
        range_ = endpoint_range(manifest[end])
        numbers = [x for one in golden_maps(model) for x in model.tensors[one[end]].values]
        if range_ and not all(range_[0] <= x <= range_[1] for x in numbers):
            raise model.error("M6-1", f"golden {end} leaves its range")


def check_sums(model: Model, start: list[tuple[int, int] | None], *, by_phase: bool) -> list[tuple[int, int] | None]:
    """M4-1 to M4-5, layer after layer; the interval of every value.  start: those before the first layer's."""
    manifest, intervals = model.manifest, list(start)
    bounds: list[int | None] = [None] * len(start)
    for k, layer in enumerate(manifest["layers"]):
        source = layer["inputs"][0]
        interval, bound = intervals[source], None
        if layer["kind"] == "add" and manifest["profile"] == "exact":
            bound = sum(bounds[i] or max(map(abs, intervals[i] or (0, 0))) for i in layer["inputs"])
            interval = None
            # M4-1
            if bound >= 2**31:
                raise model.error("M4-1", f"layer {k} has bound {bound}")
        elif layer["kind"] in WEIGHTED:
            if manifest["profile"] == "exact" and interval:
                widest = max(map(abs, interval))
                bias = model.tensors[layer["bias"]].values
                groups = [weights_of_channels(model, layer)]
                if layer["kind"] == "conv2d_transpose" and by_phase:
                    groups = phases_of(model, layer)
                bound = max(
                    int(sum(map(abs, w)) * widest + abs(b)) for of in groups for w, b in zip(of, bias, strict=True)
                )
                # M4-1
                if bound >= 2**31:
                    raise model.error("M4-1", f"layer {k} has bound {bound}")
                # M4-5
                weights = model.tensors[layer["weights"]]
                if weights.type == "i8" and -128 in weights.values:
                    raise model.error("M4-5", f"layer {k} has a weight of -128")
            interval = None
        elif layer["kind"] == "lookup":
            multiplier, table = model.tensors[layer["multiplier"]].values, model.tensors[layer["table"]].values
            # M4-2
            if not all(1 <= m <= 2**24 for m in multiplier):
                raise model.error("M4-2", f"layer {k} has a multiplier out of range")
            # M4-4
            if (bounds[source] or 0) * max(multiplier) + half(layer["shift"]) >= 2**53:
                raise model.error("M4-4", f"products of layer {k} reach 2^53")
            interval = int(min(table)), int(max(table))
        elif layer["kind"] == "to_u8":
            interval = RANGES["u8"]
        elif layer["kind"] in MOVING and interval:
            reach = [end for i in layer["inputs"] for end in intervals[i] or ()]
            reach += [layer["value"]] if layer["kind"] == "pad" else []
            interval = min(reach), max(reach)
        else:
            interval = None
        intervals.append(interval)
        bounds.append(bound)
    return intervals


def half(shift: int) -> int:
    """h of the lookup."""
    return 2 ** (shift - 1) if shift > 0 else 0


def endpoint_range(endpoint: dict[str, Any]) -> tuple[int, int] | None:
    """Both inclusive; None for f32."""
    lo_hi = endpoint.get("range") or RANGES.get(endpoint["type"])
    return (lo_hi[0], lo_hi[1]) if lo_hi else None


# --- 6. The golden set ------------------------------------------------------------------------------------------------


def golden_maps(model: Model) -> list[dict[str, int]]:
    """One, or with free sizes one for each size."""
    golden = model.manifest["golden"]
    return golden if isinstance(golden, list) else [golden]


def check_golden_shapes(model: Model) -> None:
    """M6-1 as far as it speaks of shapes and types."""
    manifest = model.manifest
    total, images = 0, []
    image_side = "input" if manifest["role"] == "encoder" else "output"
    for one in golden_maps(model):
        sizes = {}
        if model.scale:
            shape = model.tensors[one[image_side]].shape
            if len(shape) != 4:
                raise model.error("M6-1", f"golden {image_side} of shape {shape}")
            image = (shape[1], shape[2])
            latent = free.latent_of(model.scale, image)
            sizes = {end: list(image if end == image_side else latent) for end in ("input", "output")}
            images.append(image)
        rows = []
        for end in ("input", "output"):
            tensor = model.tensors[one[end]]
            k, *shape = tensor.shape
            wanted = [*sizes[end], manifest[end]["shape"][2]] if model.scale else manifest[end]["shape"]
            if shape != wanted or tensor.type != manifest[end]["type"] or k > 64:
                raise model.error("M6-1", f"golden {end}")
            rows.append(k)
        if rows[0] != rows[1]:
            raise model.error("M6-1", f"golden input of {rows[0]} rows, output of {rows[1]}")
        total += rows[0]
    if total > 64 or len(set(images)) < len(images):
        raise model.error("M6-1", f"{total} golden rows of images {images}")


def rows_of(model: Model, tensor_number: int) -> list[list[values.Number]]:
    """The rows of a golden input or output."""
    tensor = model.tensors[tensor_number]
    size = count(tensor.shape[1:])
    return [tensor.values[at : at + size] for at in range(0, len(tensor.values), size)]
