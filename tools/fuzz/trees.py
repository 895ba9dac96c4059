"""Trees of msgpack values, changed at random (spec/container.md, section 3.1).

Owns what a hostile header, manifest or list of names may hold.  Knows neither keys' meanings nor files.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgpack

_MOST_PLACES: Final = 2_000
_SIZES: Final = (0, 1, 2, 3, 7, 8, 9, 16, 17, 40, 41, 64, 65, 127, 128, 255, 256, 784, 1024, 1025, 4096, 65535, 65536)
_LARGE: Final = (2**28, 2**28 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63, 2**64 - 1)
_NEGATIVE: Final = (-1, -32, -33, -128, -129, -32768, -65536, -(2**31), -(2**53) + 1, -(2**53), -(2**63))
_INTEGERS: Final = _SIZES + _LARGE + _NEGATIVE
_WORDS: Final = (
    "", "x", "a/b", "../x", "C:/x", "nul\0", "é", "byte_order", "little", "none", "codec", "zstd", "filter", "shuffle",
    "decoder", "encoder", "dims", "encoding", "ext", "image", "kind", "latents", "model", "values", "name", "names", "labels",
    "sources", "text19", "f64le", "f32le", "f16le", "bf16le", "u8", "i8", "u16le", "f64", "f32", "f16", "bf16", "u16", "i32", "role",
    "profile", "exact", "float32", "input", "output", "layers", "tensors", "golden", "shape", "type", "range", "sha256",
    "inputs", "weights", "bias", "multiplier", "table", "strides", "padding", "crop", "num", "den", "shift", "dense", "conv2d",
    "conv2d_transpose", "reshape", "flatten", "scale", "relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus",
    "leaky_relu", "to_u8", "lookup", "acc", "affine", "add", "concat", "axis", "upsample", "slice", "start", "stop", "factors", "max_pool", "average_pool",
    "size", "pad", "value", "crop", "foreign_decoder", "foreign_encoder", "described", "colour", "srgb", "random", "sample", "mean",
    "resize", "fit", "resize_filter", "box", "seed", "software", "step", "value_range", "-1..1", "other: x", "other: ",
)  # fmt: skip


def load(data: bytes) -> Any:
    """The tree in these bytes, canonical or not; None where there is none."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException):
        return None


def dump(tree: object) -> bytes:
    """The tree in bytes: canonical, if it can be."""
    try:
        packed = msgpack.packb(_sorted(tree), use_bin_type=True)
    except (ValueError, TypeError, OverflowError, RecursionError):  # a lone surrogate, or too deep
        return b"\x80"
    return bytes(packed)


def _sorted(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _sorted(tree[key]) for key in sorted(tree, key=lambda key: str(key).encode("utf-8", "replace"))}
    if isinstance(tree, list | tuple):
        return [_sorted(item) for item in tree]
    return tree


def change(rng: Random, tree: Any) -> Any:
    """The tree with one place changed.  Changes it in place, too."""
    places = _places(tree)
    if not places:
        return _leaf(rng)
    holder, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 1:
            holder[rng.choice(_WORDS)] = holder[key]
        case 2:
            other, other_key = rng.choice(places)
            holder[key] = other[other_key]
        case 3:
            holder[key] = rng.choice(([], {}, [holder[key]], {rng.choice(_WORDS): holder[key]}, [holder[key]] * 17))
        case 4 if isinstance(holder[key], int):
            holder[key] += rng.choice((-2, -1, 1, 2))
        case 5 if isinstance(holder, list):
            rng.shuffle(holder)
        case _:
            holder[key] = _leaf(rng, holder[key])
    return tree if len(dump(tree)) < 1 << 16 else {}


def _leaf(rng: Random, like: object = None) -> object:
    if isinstance(like, int) and rng.random() < 0.8:
        return rng.choice(_SIZES if rng.random() < 0.6 else _INTEGERS)
    if isinstance(like, str) and rng.random() < 0.8:
        return rng.choice(_WORDS)
    return rng.choice((rng.choice(_INTEGERS), rng.choice(_WORDS), bytes(32), b"", True, False, None, 0.5, [], {}))


def _places(tree: object) -> list[tuple[Any, Any]]:
    """Every (list or map, index or key) of the tree, as far as there are not too many."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting and len(found) < _MOST_PLACES:
        holder = waiting.pop()
        if isinstance(holder, dict):
            keys: Any = list(holder)
        elif isinstance(holder, list):
            keys = range(len(holder))
        else:
            continue
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found
