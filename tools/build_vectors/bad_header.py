"""Invalid: headers whose keys or values break section 3.2.  All these errors are at the header's first byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import emit
from tools.build_vectors.framing import Draft
from tools.build_vectors.latents import DECODER_ID, SMALL, Latents
from tools.build_vectors.sample_networks import TWO_PIXELS

_AT = 24
_FLOATS = Latents(blocks=[[[0.5]]], dims=[1], encoding="f32le")
_ZEROS = Latents(blocks=[[[0] * 99]], dims=[99], codec="zstd")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _kinds()
    yield from _present()
    yield from _types()
    yield from _assigned()
    yield from _row_sizes()


def _with(
    number: int,
    name: str,
    changes: dict[str, Any],
    rule: str,
    why: str,
    base: Latents = SMALL,
    code: str | None = None,
) -> Case:
    return bad(number, f"header-{name}", base.with_(header=changes).draft.build(), rule, _AT, why, code=code)


def _model(**changes: Any) -> Draft:
    """A model package with other keys in its header."""
    fields = {"byte_order": "little", "codec": "none", "kind": "model", "model": TWO_PIXELS.model_id, **changes}
    return replace(TWO_PIXELS.file(), header=emit({k: v for k, v in fields.items() if v is not None}))


def _kinds() -> Iterator[Case]:
    yield _with(
        140, "kind-unknown", {"kind": "images"}, "C3-6", "A kind that a later version may have.", code="unsupported"
    )
    yield _with(141, "kind-missing", {"kind": None}, "C3-6", "No kind.", code="header")
    yield _with(142, "kind-integer", {"kind": 1}, "C3-6", "A kind that is no string.", code="header")
    yield _with(
        143, "kind-binary", {"kind": b"latents"}, "C3-6", "The right letters as a binary string.", code="header"
    )


def _present() -> Iterator[Case]:
    for number, key in enumerate(("byte_order", "codec", "decoder", "dims", "encoding", "image"), 145):
        yield _with(number, f"without-{key}", {key: None}, "C3-7", f"No {key}.")
    unknown = {"code": "unsupported", "why": "A key that this version does not assign."}
    yield _with(151, "unknown-key", {"zoom": 1}, "C3-7", base=SMALL, **unknown)
    yield _with(152, "key-in-capitals", {"Dims": [3]}, "C3-7", base=SMALL, **unknown)
    yield _with(153, "model-key-in-latents", {"model": DECODER_ID}, "C3-7", base=SMALL, **unknown)
    yield bad(154, "header-dims-in-model", _model(dims=[2]).build(), "C3-7", _AT, unknown["why"], code="unsupported")
    yield bad(
        155, "header-without-model", _model(model=None).build(), "C3-7", _AT, "A model package without its model id."
    )


def _types() -> Iterator[Case]:
    wrong: tuple[tuple[int, str, dict[str, Any], str], ...] = (
        (160, "byte-order-integer", {"byte_order": 0}, "byte_order is no string."),
        (161, "codec-binary", {"codec": b"none"}, "codec is a binary string."),
        (162, "encoding-integer", {"encoding": 8}, "encoding is no string."),
        (163, "filter-boolean", {"filter": False}, "filter is no string."),
        (164, "values-list", {"values": ["u8"]}, "values is no string."),
        (165, "decoder-31-bytes", {"decoder": bytes(31)}, "A model id has 32 bytes."),
        (166, "decoder-hex", {"decoder": DECODER_ID.hex()}, "A model id is not written in hex."),
        (167, "encoder-empty", {"encoder": b""}, "The encoder is optional, not empty."),
        (168, "dims-empty", {"dims": []}, "At least one dimension."),
        (169, "dims-9", {"dims": [1] * 9}, "At most 8 dimensions."),
        (170, "dims-0", {"dims": [3, 0]}, "A size of 0."),
        (171, "dims-negative", {"dims": [-3]}, "A negative size."),
        (172, "dims-2-to-31", {"dims": [2**31]}, "A size over the limit."),
        (173, "dims-boolean", {"dims": [True]}, "A boolean is no size, although some languages count it as 1."),
        (174, "dims-integer", {"dims": 3}, "dims is no list."),
        (175, "dims-string", {"dims": ["3"]}, "A size that is a string."),
        (176, "image-3-entries", {"image": [28, 28, "u8"]}, "The channels are missing."),
        (177, "image-height-0", {"image": [0, 28, 1, "u8"]}, "A height of 0."),
        (178, "image-65536", {"image": [28, 65_536, 1, "u8"]}, "A width over the limit."),
        (179, "image-u16", {"image": [28, 28, 1, "u16"]}, "This version knows u8 only."),
        (180, "image-binary-type", {"image": [28, 28, 1, b"u8"]}, "The type as a binary string."),
        (181, "ext-list", {"ext": []}, "ext is a map."),
    )
    for number, name, changes, why in wrong:
        yield _with(number, name, changes, "C3-8", why)
    yield bad(182, "header-model-16-bytes", _model(model=bytes(16)).build(), "C3-8", _AT, "A model id has 32 bytes.")


def _assigned() -> Iterator[Case]:
    yield _with(190, "encoding-unknown", {"encoding": "f128le"}, "C3-9", "An encoding that is not assigned.")
    yield _with(191, "encoding-in-capitals", {"encoding": "U8"}, "C3-9", "Names are exact.")
    yield _with(192, "codec-unknown", {"codec": "brotli", "filter": "none"}, "C3-9", "A codec that is not assigned.")
    yield _with(193, "filter-unknown", {"filter": "delta"}, "C3-9", "A filter that is not assigned.", _ZEROS)
    yield _with(194, "filter-unknown-and-not-allowed", {"filter": "delta"}, "C3-9", "C3-9 comes before C3-11.")
    yield bad(
        195, "header-model-codec-unknown", _model(codec="xz", filter="none").build(), "C3-9", _AT, "In a model package."
    )
    yield _with(200, "byte-order-big", {"byte_order": "big"}, "C3-10", "Big-endian values are never stored.", _FLOATS)
    yield _with(201, "byte-order-none-for-f32le", {"byte_order": "none"}, "C3-10", "f32le has a byte order.", _FLOATS)
    yield _with(202, "byte-order-little-for-u8", {"byte_order": "little"}, "C3-10", "One byte has no order.")
    text = Latents(blocks=[[[0.5]]], dims=[1], encoding="text19")
    yield _with(203, "byte-order-little-for-text", {"byte_order": "little"}, "C3-10", "Text has no byte order.", text)
    yield bad(
        204,
        "header-model-byte-order",
        _model(byte_order="none").build(),
        "C3-10",
        _AT,
        "A model package is little-endian.",
    )
    yield _with(
        205, "filter-without-codec", {"filter": "none"}, "C3-11", "A filter without a codec, even if it is none."
    )
    yield _with(206, "codec-without-filter", {"filter": None}, "C3-11", "zstd needs a filter, if only none.", _ZEROS)
    yield _with(207, "values-own-type", {"values": "u8"}, "C3-12", "The encoding's own type is not written down.")
    yield _with(208, "values-wider", {"values": "f64"}, "C3-12", "f32le cannot hold f64.", _FLOATS)
    half = Latents(blocks=[[[0.5]]], dims=[1], encoding="f16le")
    yield _with(209, "values-bf16-in-f16", {"values": "bf16"}, "C3-12", "f16le cannot hold every bf16.", half)
    yield _with(210, "values-unknown", {"values": "f8"}, "C3-12", "A type that is not assigned.", _FLOATS)
    for number, encoding, values in (
        (212, "u8", "i8"),
        (213, "i8", "u8"),
        (214, "u16le", "i8"),
        (215, "bf16le", "f16"),
        (216, "f16le", "u16"),
        (217, "bf16le", "u16"),
    ):
        base = Latents(blocks=[[[1]]], dims=[1], encoding=encoding)
        why = f"{encoding} cannot hold every {values}."
        yield _with(number, f"values-{values}-in-{encoding}", {"values": values}, "C3-12", why, base)
    yield _with(211, "values-encoding-name", {"values": "f16le"}, "C3-12", "An encoding's name is no type's.", _FLOATS)


def _row_sizes() -> Iterator[Case]:
    for number, name, dims, why, base in (
        (220, "row-2-to-28-and-1", [268_435_457], "One byte too many.", SMALL),
        (221, "row-f32-2-to-26-and-1", [67_108_865], "Four bytes too many: the size counts, not the number.", _FLOATS),
        (222, "row-overflows-32-bits", [65_536, 65_536], "2^32, which is 0 in 32 bits.", SMALL),
        (223, "row-overflows-64-bits", [65_536] * 4, "2^64, which is 0 in 64 bits.", SMALL),
        (224, "row-overflows-doubles", [2**31 - 1] * 8, "About 2^248.", SMALL),
        (225, "row-wraps-to-3", [3, 641, 6_700_417], "3 * (2^32 + 1), which is 3 in 32 bits.", SMALL),
    ):
        yield _with(number, name, {"dims": dims}, "C3-13", why, base)
