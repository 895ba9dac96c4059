"""Invalid model packages: the container around the manifest, and the manifest's own map (model.md, sections 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import Pairs, Token, emit
from tools.build_vectors.frames import frame
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.network import Network
from tools.build_vectors.sample_networks import ENCODER, FLOAT_DECODER, FLOAT_ENCODER, TWO_PIXELS, WIDE

_GOOD = TWO_PIXELS.file()
_MIB = 1_048_576


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _chunks()
    yield from _tensors()
    yield from _msgpack()
    yield from _keys()
    yield from _endpoints()


def refused(number: int, name: str, network: Network, rule: str, why: str, code: str | None = None) -> Case:
    """A package that is refused by its manifest; the error is at the manifest's payload."""
    file = network.file().build()
    return bad(number, name, file, rule, file.payload_at[0], why, folder="model", code=code)


def _bad(number: int, name: str, draft: Draft, rule: str, at: int, why: str, code: str | None = None) -> Case:
    return bad(number, name, draft.build(), rule, at, why, folder="model", code=code)


def _chunks() -> Iterator[Case]:
    good = _GOOD.build()
    manifest, *tensors = _GOOD.chunks
    first = good.chunk_at[0]
    yield _bad(1, "tensor-first", replace(_GOOD, chunks=tuple(tensors)), "M1-1", first, "The manifest is missing.")
    skip = Chunk(b"teXt", b"hello")
    yield _bad(
        2,
        "unknown-first",
        replace(_GOOD, chunks=(skip, *_GOOD.chunks)),
        "M1-1",
        first,
        "The manifest is not the first chunk.",
    )
    twice = replace(_GOOD, chunks=(manifest, tensors[0], manifest, *tensors[1:]))
    yield _bad(3, "manifest-twice", twice, "M1-1", twice.build().chunk_at[2], "A second manifest.")
    none = replace(_GOOD, chunks=())
    yield _bad(4, "no-chunk", none, "M1-1", none.build().trailer_at, "No chunk at all.")
    large = TWO_PIXELS.file(codec="zstd", data=bytes(_MIB + 1), tensors=False)
    long = replace(large.chunks[0], payload=frame(bytes(_MIB + 1)))
    draft = replace(large, chunks=(long,))
    yield _bad(
        5, "manifest-over-1-mib", draft, "M1-1", draft.build().payload_at[0], "One byte over the limit.", code="limit"
    )
    wrong = replace(_GOOD, header=emit({"byte_order": "little", "codec": "none", "kind": "model", "model": bytes(32)}))
    yield _bad(6, "model-id-wrong", wrong, "M1-2", wrong.build().payload_at[0], "The header names another model.")
    other = _GOOD.end(content_id=bytes(32))
    yield _bad(
        7,
        "content-id-wrong",
        other,
        "M1-2",
        good.trailer_at + 28,
        "The content id is not the model id.",
        code="content",
    )
    missing = replace(_GOOD, chunks=_GOOD.chunks[:-1])
    yield _bad(8, "tensor-missing", missing, "M1-3", missing.build().trailer_at, "The last tensor is missing.")
    more = replace(_GOOD, chunks=(*_GOOD.chunks, tensors[0]))
    yield _bad(
        9, "tensor-too-many", more, "M1-3", more.build().chunk_at[-1], "One tensor more than the manifest lists."
    )
    alone = TWO_PIXELS.file(tensors=False)
    yield _bad(10, "no-tensors", alone, "M1-3", alone.build().trailer_at, "The manifest alone.")
    yield _bad(11, "rows-in-trailer", _GOOD.end(n_rows=1), "C9-3", good.trailer_at + 8, "A model has no rows.")
    packed = WIDE.file(codec="zstd")
    n_bias = 2
    assert packed.chunks[n_bias].raw_len != len(packed.chunks[n_bias].payload)
    broken = packed.chunk(n_bias, payload=packed.chunks[n_bias].payload + b"\0")
    yield _bad(
        12,
        "tensor-frame-broken",
        broken,
        "C6-6",
        broken.build().payload_at[n_bias],
        "A byte follows the frame of a tensor.",
    )


def _tensors() -> Iterator[Case]:
    good = _GOOD.build()
    data = _GOOD.chunks[1].payload
    for number, name, payload, why in (
        (20, "short", data[:-1], "One byte short."),
        (21, "long", data + b"\0", "One byte too long."),
    ):
        yield _bad(number, f"tensor-{name}", _GOOD.chunk(1, payload=payload), "M1-4", good.payload_at[1], why)
    huge = TWO_PIXELS.file(codec="zstd").chunk(1, payload=frame(bytes(5)), raw_len=268_435_456)
    yield _bad(
        22, "tensor-256-mib", huge, "M1-4", huge.build().payload_at[1], "256 MiB are announced where 4 bytes belong."
    )
    swapped = replace(_GOOD, chunks=(_GOOD.chunks[0], *(_GOOD.chunks[i] for i in (2, 1, 3, 4, 5, 6))))
    yield _bad(
        23, "tensors-of-other-sizes-swapped", swapped, "M1-4", good.payload_at[1], "Weights and bias are swapped."
    )
    swapped = replace(_GOOD, chunks=(*_GOOD.chunks[:2], _GOOD.chunks[3], _GOOD.chunks[2], *_GOOD.chunks[4:]))
    yield _bad(
        24, "tensors-of-one-size-swapped", swapped, "M1-5", good.payload_at[2], "Bias and multiplier are swapped."
    )
    flipped = _GOOD.chunk(1, payload=bytes([data[0] ^ 1]) + data[1:])
    yield _bad(
        25, "weight-changed", flipped, "M1-5", good.payload_at[1], "One weight is another; every checksum is made anew."
    )
    for number, name, network, tensor, pattern in (
        (26, "f32-nan", FLOAT_DECODER, 0, "0000c07f"), (27, "f32-infinity", FLOAT_DECODER, 1, "000080ff"),
        (28, "f16-nan", FLOAT_ENCODER, 0, "017c"), (29, "f16-infinity", FLOAT_ENCODER, 1, "007c"),
    ):  # fmt: skip
        raw = network.tensors[tensor].raw
        item = bytes.fromhex(pattern)
        odd = network.tensor(tensor, payload=raw[: -len(item)] + item).with_(golden_output=_results(network))
        draft = odd.file()
        yield _bad(number, f"tensor-{name}", draft, "M1-6", draft.build().payload_at[tensor + 1], "Numbers are finite.")


def _results(network: Network) -> list[list[int | float]]:
    return [[0] * len(network.run(row)) for row in network.golden]


def _msgpack() -> Iterator[Case]:
    good = TWO_PIXELS.manifest_bytes
    deep = TWO_PIXELS.with_(manifest={"tensors": [[[[[[1]]]]]]})
    for number, name, data, why in (
        (40, "not-a-map", emit([1]), "A list."), (41, "trailing-byte", good + b"\0", "A byte follows the map."),
        (42, "cut", good[:-1], "The last byte is missing."), (43, "empty-map-cut", b"\x87", "Seven entries are announced."),
        (44, "float", TWO_PIXELS.with_(manifest={"profile": Token(b"\xca\0\0\0\0")}).manifest_bytes, "A float."),
        (45, "nil", TWO_PIXELS.with_(manifest={"golden": Token(b"\xc0")}).manifest_bytes, "nil."),
        (46, "longer-form", TWO_PIXELS.with_(manifest={"golden": {"input": Token(b"\xcc\x04"), "output": 5}}).manifest_bytes,
         "An integer in a longer form: the model id would depend on the writer."),
        (47, "repeated-key", emit(Pairs((*TWO_PIXELS.manifest_map.items(), ("role", "encoder")))), "Keys are repeated and not in order."),
        (48, "too-deep", deep.manifest_bytes, "Seven deep."),
        (49, "many-announced", TWO_PIXELS.with_(manifest={"tensors": Token(b"\xdd\xff\xff\xff\xff")}).manifest_bytes,
         "2^32 - 1 tensors are announced."),
    ):  # fmt: skip
        draft = TWO_PIXELS.file(data=data)
        yield _bad(number, f"manifest-{name}", draft, "M2-1", draft.build().payload_at[0], why)


def _keys() -> Iterator[Case]:
    for number, key in enumerate(("role", "profile", "input", "output", "layers", "tensors", "golden"), 50):
        yield refused(number, f"manifest-without-{key}", TWO_PIXELS.with_(manifest={key: None}), "M2-2", f"No {key}.")
    entries = [tensor.entry for tensor in TWO_PIXELS.all_tensors]

    def tensors(**changes: Any) -> dict[str, Any]:
        entry = {k: v for k, v in {**entries[0], **changes}.items() if v is not None}
        return {"tensors": [entry, *entries[1:]]}

    for number, name, changes, why in (
        (57, "unknown-key", {"author": "me"}, "A key that this version does not assign."),
        (58, "role-unknown", {"role": "both"}, "A role that there is not."),
        (59, "profile-unknown", {"profile": "int4"}, "A profile that there is not."),
        (60, "input-list", {"input": [2]}, "An endpoint is a map."),
        (61, "shape-empty", {"input": {"shape": [], "type": "u8"}}, "At least one axis."),
        (
            62,
            "shape-8-axes",
            {"input": {"shape": [1] * 7 + [2], "type": "u8"}},
            "The golden set adds an axis: at most 7 here.",
        ),
        (63, "shape-0", {"input": {"shape": [0], "type": "u8"}}, "A size of 0."),
        (64, "shape-boolean", {"input": {"shape": [True], "type": "u8"}}, "A boolean is no size."),
        (65, "endpoint-type", {"input": {"shape": [2], "type": "f64"}}, "A type that endpoints do not have."),
        (
            66,
            "endpoint-key",
            {"input": {"shape": [2], "type": "u8", "scale": 1}},
            "A key that an endpoint does not have.",
        ),
        (67, "layers-empty", {"layers": []}, "At least one layer."),
        (68, "tensor-without-sha256", tensors(sha256=None), "Every tensor has its digest."),
        (69, "tensor-sha256-short", tensors(sha256=bytes(31)), "A digest has 32 bytes."),
        (70, "tensor-type", tensors(type="i64"), "A type that tensors do not have."),
        (71, "tensor-shape-9", tensors(shape=[1] * 8 + [4]), "At most 8 axes."),
        (72, "tensor-shape-negative", tensors(shape=[-2, -2]), "Negative sizes whose product is right."),
        (73, "tensor-key", tensors(name="w"), "Tensors have no names."),
        (74, "golden-out-of-range", {"golden": {"input": 4, "output": 6}}, "There is no tensor 6."),
        (75, "golden-negative", {"golden": {"input": -2, "output": -1}}, "Counting from the end."),
        (76, "golden-without-output", {"golden": {"input": 4}}, "Golden input without output."),
        (77, "tensors-map", {"tensors": {}}, "tensors is no list."),
    ):
        yield refused(number, f"manifest-{name}", TWO_PIXELS.with_(manifest=changes), "M2-2", why)
    many = TWO_PIXELS.with_(manifest={"layers": [{"kind": "flatten", "inputs": [k]} for k in range(1_025)]})
    yield refused(78, "manifest-1025-layers", many, "M2-2", "One layer over the limit.", code="limit")
    yield refused(79, "manifest-decoder-short", ENCODER.with_(decoder=bytes(31)), "M2-2", "A model id has 32 bytes.")


def _endpoints() -> Iterator[Case]:
    yield refused(80, "encoder-without-decoder", ENCODER.with_(decoder=None), "M2-3", "An encoder names its decoder.")
    yield refused(81, "decoder-with-decoder", TWO_PIXELS.with_(decoder=bytes(32)), "M2-3", "A decoder names none.")
    signed = {"shape": [1, 2, 1], "type": "i8"}
    yield refused(82, "image-i8", TWO_PIXELS.with_(manifest={"output": signed}), "M2-4", "Pixels are u8.")
    flat = {"shape": [2], "type": "u8"}
    yield refused(83, "image-flat", TWO_PIXELS.with_(manifest={"output": flat}), "M2-4", "An image has three axes.")
    images = {"shape": [2, 2, 1], "type": "f32"}
    yield refused(
        84, "encoder-takes-f32", FLOAT_ENCODER.with_(manifest={"input": images}), "M2-4", "An encoder takes u8 pixels."
    )
    for number, name, bounds, why in (
        (85, "empty", [7, 7], "lo is not smaller than hi."), (86, "backwards", [9, 3], "hi is smaller than lo."),
        (87, "below", [-1, 9], "Below the type."), (88, "above", [0, 256], "Above the type."),
        (89, "whole", [0, 255], "All of u8: left out."),
    ):  # fmt: skip
        end = {"shape": [2], "type": "u8", "range": bounds}
        yield refused(number, f"range-{name}", TWO_PIXELS.with_(manifest={"input": end}), "M2-5", why)
    end = {"shape": [3], "type": "f32", "range": [0, 1]}
    yield refused(90, "range-of-f32", FLOAT_DECODER.with_(manifest={"input": end}), "M2-5", "f32 has no range.")
    entries = [tensor.entry for tensor in TWO_PIXELS.all_tensors]
    for number, name, changes, why in (
        (92, "256-mib-and-4", {"shape": [67_108_865], "type": "i32"}, "Four bytes too many."),
        (93, "overflows-64-bits", {"shape": [2**32, 2**32], "type": "i8"}, "2^64 bytes, which is 0 in 64 bits."),
        (94, "overflows-all", {"shape": [2**53 - 1] * 8, "type": "f32"}, "About 2^426 bytes."),
    ):
        sized = {"tensors": [*entries[:3], {**entries[3], **changes}, *entries[4:]]}
        yield refused(number, f"tensor-of-{name}", TWO_PIXELS.with_(manifest=sized), "M2-6", why)
    real = {"shape": [2], "type": "f32"}
    yield refused(
        96,
        "exact-takes-f32",
        TWO_PIXELS.with_(manifest={"input": real}),
        "M2-7",
        "The exact profile has integers only.",
    )
