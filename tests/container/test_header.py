"""aeformat.container.header: what a container says of itself (C3-6 to C3-13)."""

from __future__ import annotations

import pytest

from aeformat.container import canonical
from aeformat.container.assigned import ENCODINGS
from aeformat.container.header import LatentsHeader, ModelHeader, parse_header
from aeformat.errors import FormatError

from .files import DECODER, ENCODER, PAIRS

LATENTS = {
    "byte_order": "little",
    "codec": "none",
    "decoder": DECODER,
    "dims": [64],
    "encoding": "f32le",
    "image": [28, 28, 1, "u8"],
    "kind": "latents",
}
MODEL = {"byte_order": "little", "codec": "none", "kind": "model", "model": DECODER}
ZSTD = {"codec": "zstd", "filter": "shuffle"}
GONE = object()


def _bytes(base, changes):
    return canonical.pack({key: value for key, value in {**base, **changes}.items() if value is not GONE})


def test_a_latents_header_has_the_known_bytes():
    """Keys in order, and optional ones only where they say something."""
    header = LatentsHeader(DECODER, (64,), (28, 28, 1), "f32le")

    assert header.to_bytes() == _bytes(LATENTS, {})
    assert header._replace(encoder=ENCODER, codec="zstd", values="bf16", ext={"x": 1}).to_bytes() == _bytes(
        LATENTS, {"encoder": ENCODER, "codec": "zstd", "filter": "none", "values": "bf16", "ext": {"x": 1}}
    )


@pytest.mark.parametrize(("encoding", "values"), PAIRS)
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_every_header_comes_back(encoding, values, codec):
    """parse_header(h.to_bytes()) is h, for every encoding and every type it may hold."""
    header = LatentsHeader(
        DECODER, (4, 8, 8), (65_535, 1, 3), encoding, codec, "shuffle" if codec == "zstd" else "none", values=values
    )

    assert parse_header(header.to_bytes(), 24) == header
    assert ("values" in canonical.unpack(header.to_bytes(), max_depth=4)) == (values != ENCODINGS[encoding].own)


def test_a_model_header_comes_back():
    """The same for model packages."""
    for header in (ModelHeader(DECODER), ModelHeader(DECODER, "zstd", "shuffle", {"note": "x"})):
        assert parse_header(header.to_bytes(), 24) == header


def test_what_follows_from_a_header_is_computed_from_it():
    """Sizes of a row, and what the content id begins with (section 9): `values` always said, encoding and codec never."""
    header = LatentsHeader(DECODER, (2, 3), (28, 28, 1), "text19", values="f32")

    assert (header.n_values, header.row_bytes) == (6, 162)
    assert header.value_type.name == "f32"
    twin = header._replace(encoding="f32le", codec="zstd", encoder=ENCODER, ext={"a": 1})
    assert header.content_head == twin.content_head
    assert canonical.unpack(twin.content_head, max_depth=4) == {
        "decoder": DECODER,
        "dims": [2, 3],
        "image": [28, 28, 1, "u8"],
        "values": "f32",
    }


REFUSED = {
    "no-kind": (LATENTS, {"kind": GONE}, "header", "C3-6"),
    "kind-number": (LATENTS, {"kind": 1}, "header", "C3-6"),
    "kind-list": (LATENTS, {"kind": ["latents"]}, "header", "C3-6"),
    "kind-newer": (LATENTS, {"kind": "video"}, "unsupported", "C3-6"),
    **{f"no-{key}": (LATENTS, {key: GONE}, "header", "C3-7") for key in LATENTS if key != "kind"},
    **{f"model-no-{key}": (MODEL, {key: GONE}, "header", "C3-7") for key in MODEL if key != "kind"},
    "unknown-key": (LATENTS, {"tiles": 1}, "unsupported", "C3-7"),
    "key-of-the-other-kind": (LATENTS, {"model": DECODER}, "unsupported", "C3-7"),
    "model-with-dims": (MODEL, {"dims": [1]}, "unsupported", "C3-7"),
    "missing-before-unknown": (LATENTS, {"dims": GONE, "tiles": 1}, "header", "C3-7"),
    "decoder-text": (LATENTS, {"decoder": "x" * 32}, "header", "C3-8"),
    "decoder-short": (LATENTS, {"decoder": bytes(31)}, "header", "C3-8"),
    "encoder-long": (LATENTS, {"encoder": bytes(33)}, "header", "C3-8"),
    "model-short": (MODEL, {"model": b""}, "header", "C3-8"),
    "encoding-number": (LATENTS, {"encoding": 1}, "header", "C3-8"),
    "codec-list": (LATENTS, {"codec": []}, "header", "C3-8"),
    "filter-bool": (LATENTS, {"codec": "zstd", "filter": True}, "header", "C3-8"),
    "values-bytes": (LATENTS, {"values": b"f16"}, "header", "C3-8"),
    "byte-order-map": (LATENTS, {"byte_order": {}}, "header", "C3-8"),
    "dims-empty": (LATENTS, {"dims": []}, "header", "C3-8"),
    "dims-nine": (LATENTS, {"dims": [1] * 9}, "header", "C3-8"),
    "dims-zero": (LATENTS, {"dims": [64, 0]}, "header", "C3-8"),
    "dims-negative": (LATENTS, {"dims": [-1]}, "header", "C3-8"),
    "dims-2^31": (LATENTS, {"dims": [2**31]}, "header", "C3-8"),
    "dims-bool": (LATENTS, {"dims": [True]}, "header", "C3-8"),
    "dims-number": (LATENTS, {"dims": 64}, "header", "C3-8"),
    "image-short": (LATENTS, {"image": [28, 28, "u8"]}, "header", "C3-8"),
    "image-zero": (LATENTS, {"image": [28, 0, 1, "u8"]}, "header", "C3-8"),
    "image-65536": (LATENTS, {"image": [65_536, 28, 1, "u8"]}, "header", "C3-8"),
    "image-bool": (LATENTS, {"image": [28, 28, True, "u8"]}, "header", "C3-8"),
    "image-type": (LATENTS, {"image": [28, 28, 1, "u16"]}, "header", "C3-8"),
    "image-type-list": (LATENTS, {"image": [28, 28, 1, ["u8"]]}, "header", "C3-8"),
    "model-codec-number": (MODEL, {"codec": 0}, "header", "C3-8"),
    "model-filter-bool": (MODEL, {"codec": "zstd", "filter": False}, "header", "C3-8"),
    "model-ext-list": (MODEL, {"ext": []}, "header", "C3-8"),
    "ext-list": (LATENTS, {"ext": []}, "header", "C3-8"),
    "encoding-newer": (LATENTS, {"encoding": "f8"}, "unsupported", "C3-9"),
    "codec-newer": (LATENTS, {"codec": "brotli", "filter": "none"}, "unsupported", "C3-9"),
    "filter-newer": (LATENTS, {"codec": "zstd", "filter": "delta"}, "unsupported", "C3-9"),
    "model-codec-newer": (MODEL, {"codec": "brotli"}, "unsupported", "C3-9"),
    "byte-order-big": (LATENTS, {"byte_order": "big"}, "header", "C3-10"),
    "byte-order-none": (LATENTS, {"byte_order": "none"}, "header", "C3-10"),
    "byte-order-of-u8": (LATENTS, {"encoding": "u8"}, "header", "C3-10"),
    "byte-order-of-text": (LATENTS, {"encoding": "text19"}, "header", "C3-10"),
    "model-byte-order": (MODEL, {"byte_order": "none"}, "header", "C3-10"),
    "filter-without-codec": (LATENTS, {"filter": "shuffle"}, "header", "C3-11"),
    "filter-none-without-codec": (LATENTS, {"filter": "none"}, "header", "C3-11"),
    "codec-without-filter": (LATENTS, {"codec": "zstd"}, "header", "C3-11"),
    "values-unknown": (LATENTS, {"values": "f8"}, "header", "C3-12"),
    "values-empty": (LATENTS, {"values": ""}, "header", "C3-12"),
    "values-own": (LATENTS, {"values": "f32"}, "header", "C3-12"),
    "values-wider": (LATENTS, {"values": "f64"}, "header", "C3-12"),
    "u16-in-f16": (LATENTS, {"encoding": "f16le", "values": "u16"}, "header", "C3-12"),
    "row-too-large": (LATENTS, {"dims": [2**26 + 1]}, "limit", "C3-13"),
    "dims-product-overflows": (LATENTS, {"dims": [2**31 - 1] * 8}, "limit", "C3-13"),
}


@pytest.mark.parametrize(("base", "changes", "code", "rule"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_header_is_refused_by_its_rule(base, changes, code, rule):
    """Every key has a rule, and what a newer version might assign is told apart from what is wrong."""
    with pytest.raises(FormatError) as caught:
        parse_header(_bytes(base, changes), 24)

    assert (caught.value.code, caught.value.rule) == (code, rule)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"dims": [0], "encoding": "f8", "byte_order": "big"}, "C3-8"),
        ({"encoding": "f8", "byte_order": "big"}, "C3-9"),
        ({"codec": "brotli", "byte_order": "big"}, "C3-9"),
        ({"byte_order": "big", "filter": "none", "values": "f64"}, "C3-10"),
        ({"filter": "none", "values": "f64"}, "C3-11"),
        ({"values": "f64", "dims": [2**27]}, "C3-12"),
    ],
)
def test_of_several_broken_rules_the_first_is_named(changes, rule):
    """All readers report the same (section "The order of checks")."""
    with pytest.raises(FormatError) as caught:
        parse_header(_bytes(LATENTS, changes), 24)

    assert caught.value.rule == rule


def test_a_header_at_its_limits_is_read():
    """The largest row, eight dims, four levels of nesting."""
    parse_header(_bytes(LATENTS, {"dims": [2**26]}), 24)
    parse_header(_bytes(LATENTS, {"dims": [1] * 8, "ext": {"a": {"b": [0]}}}), 24)
    with pytest.raises(FormatError, match="C3-5"):
        parse_header(_bytes(LATENTS, {"ext": {"a": {"b": [[]]}}}), 24)


def test_errors_of_the_msgpack_count_from_the_files_first_byte():
    """A header begins at byte 24."""
    with pytest.raises(FormatError) as caught:
        parse_header(b"\x81\xa1a\xc0", 24)

    assert (caught.value.code, caught.value.rule, caught.value.at) == ("header", "C3-2", 27)


def test_an_error_does_not_repeat_a_header_of_60_kilobytes():
    """Errors are one line that a person reads."""
    with pytest.raises(FormatError) as caught:
        parse_header(_bytes(LATENTS, {"dims": ["x" * 60_000]}), 24)

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "fields",
    [
        {"encoding": "f8"},
        {"codec": "brotli"},
        {"dims": (-1,)},
        {"values": "f64"},
        {"decoder": b"short"},
        {"dims": (2**31 - 1,) * 2},
    ],
    ids=str,
)
def test_a_header_that_breaks_the_spec_is_not_written(fields):
    """to_bytes reads back what it made."""
    with pytest.raises(FormatError):
        LatentsHeader(DECODER, (64,), (28, 28, 1), "f32le")._replace(**fields).to_bytes()


FREE = {"dims": [0, 4], "image": [0, 0, 3, "u8"]}


def test_a_header_with_free_sizes_comes_back():
    """With flag bit 0; without it the same bytes are refused (C3-8)."""
    header = LatentsHeader(DECODER, (0, 4), (0, 0, 3), "f32le")

    assert header.to_bytes() == _bytes(LATENTS, FREE) and header.flags == 1
    assert parse_header(header.to_bytes(), 24, 1) == header
    assert (header.n_values, header.row_bytes) == (4, 16)
    with pytest.raises(FormatError, match="C3-8"):
        parse_header(header.to_bytes(), 24)


@pytest.mark.parametrize(
    ("base", "changes", "rule", "code"),
    [
        (LATENTS, {}, "C3-17", "header"), (LATENTS, {"image": [0, 0, 3, "u8"]}, "C3-17", "header"),
        (LATENTS, FREE | {"image": [0, 9, 3, "u8"]}, "C3-17", "header"), (MODEL, {}, "C3-17", "header"),
        (LATENTS, FREE | {"image": [9, 0, 3, "u8"]}, "C3-17", "header"), (LATENTS, FREE | {"dims": [0] * 9}, "C3-8", "header"),
        (LATENTS, FREE | {"image": [0, 0, 0, "u8"]}, "C3-8", "header"), (LATENTS, FREE | {"dims": [0, 2**27]}, "C3-13", "limit"),
        (LATENTS, FREE | {"codec": "rans", "encoding": "u8", "byte_order": "none"}, "C3-18", "header"),
    ],
)  # fmt: skip
def test_what_is_no_header_with_free_sizes_is_refused(base, changes, rule, code):
    """Flag bit 0 is set in all of them."""
    with pytest.raises(FormatError) as caught:
        parse_header(_bytes(base, changes), 24, 1)

    assert (caught.value.rule, caught.value.code, caught.value.at) == (rule, code, 24)


def test_a_package_says_whether_its_manifest_is_new():
    """Flag bit 2; it is for packages alone (C3-17)."""
    header = ModelHeader(DECODER, minor=1)

    assert header.flags == 4 and ModelHeader(DECODER).flags == 0
    assert parse_header(header.to_bytes(), 24, 4) == header
    assert parse_header(header.to_bytes(), 24).minor == 0
    with pytest.raises(FormatError, match="C3-17"):
        parse_header(_bytes(LATENTS, {}), 24, 4)
    with pytest.raises(FormatError, match="C3-17"):
        parse_header(_bytes(LATENTS, FREE), 24, 5)


@pytest.mark.parametrize("fields", [{"image": (0, 0, 3)}, {"dims": (0, 2), "image": (0, 9, 3)}], ids=str)
def test_half_free_sizes_are_not_written(fields):
    """to_bytes reads back what it made."""
    with pytest.raises(FormatError, match="C3-17"):
        LatentsHeader(DECODER, (64,), (28, 28, 1), "f32le")._replace(**fields).to_bytes()


UNKNOWN = {"decoder": GONE}


@pytest.mark.parametrize("image", [(28, 28, 1), ()])
@pytest.mark.parametrize("dims", [(4,), (4, 0)])
def test_a_header_without_a_decoder_comes_back(image, dims):
    """With flag bit 1; without it a missing key is refused (C3-7)."""
    header = LatentsHeader(b"", dims, image, "f32le")

    assert header.flags == (3 if 0 in dims else 2)
    assert parse_header(header.to_bytes(), 24, header.flags) == header
    with pytest.raises(FormatError, match="C3-7"):
        parse_header(header.to_bytes(), 24, header.flags & 1)
    assert canonical.unpack(header.content_head, max_depth=4).keys() == {
        "dims",
        "values",
        *(["image"] if image else []),
    }


@pytest.mark.parametrize(
    ("base", "changes", "rule"),
    [
        (LATENTS, {}, "C3-19"), (MODEL, {}, "C3-19"),
        (LATENTS, UNKNOWN | {"codec": "rans", "encoding": "u8", "byte_order": "none"}, "C3-19"),
        (LATENTS, UNKNOWN | {"image": [0, 0, 3, "u8"]}, "C3-8"), (LATENTS, UNKNOWN | {"dims": GONE}, "C3-7"),
    ],
)  # fmt: skip
def test_what_is_no_header_without_a_decoder_is_refused(base, changes, rule):
    """Flag bit 1 is set in all of them."""
    with pytest.raises(FormatError) as caught:
        parse_header(_bytes(base, changes), 24, 2)

    assert (caught.value.rule, caught.value.code, caught.value.at) == (rule, "header", 24)


def test_height_width_and_channels():
    """Of a file that says them."""
    assert LatentsHeader(DECODER, (4,), (28, 30, 1), "f32le").image_shape == (28, 30, 1)
