"""aeformat.container.fields: each value has its form, or the place says what it found instead."""

from __future__ import annotations

import io

import pytest

from aeformat.container import fields
from aeformat.container.decoder_prior import read_decoder_prior
from aeformat.container.header import parse_header
from aeformat.container.stream import stream_latents
from aeformat.errors import FormatError, UsageError
from aeformat.model.file_io import package_bytes

from .files import edges, header, write
from .priors import decoder_of

MISTAKES = {
    "a key too few": (lambda p: fields.as_map(p, "M2-2", {}, ("a",)), "missing"),
    "a key too many": (lambda p: fields.as_map(p, "M2-2", {"a": 1, "b": 2}, ("a",)), "unknown key"),
    "another word": (lambda p: fields.one_of(p, "M2-2", "c", ("a", "b")), "one of a, b"),
    "no digest": (lambda p: fields.as_digest(p, "M2-2", b"short"), "32 bytes"),
    "a boolean": (lambda p: fields.as_integer(p, "M2-2", True, 0, 9), "from 0 to 9"),
}


@pytest.mark.parametrize(("read", "what"), MISTAKES.values(), ids=MISTAKES)
def test_a_field_of_another_form_is_refused(read, what):
    """By the rule that the caller names."""
    with pytest.raises(FormatError, match=what) as caught:
        read(fields.Place(24))

    assert (caught.value.rule, caught.value.at) == ("M2-2", 24)


def test_a_digest_comes_back():
    assert fields.as_digest(fields.Place(24), "M2-2", bytes(32)) == bytes(32)


FILE = write(edges("f32", 4), header())
PACKAGE = package_bytes(decoder_of(None, lo=-6, hi=9, dims=(2,)))


def test_a_file_is_read_forward_by_its_path(tmp_path):
    """It is closed at the end of the `with`, and where it is no file of latents."""
    path = tmp_path / "x.aef"
    path.write_bytes(FILE)
    with stream_latents(path) as stream:
        assert sum(len(block.values) for block in stream) == 4
    with stream_latents(io.BytesIO(FILE)) as stream:
        assert stream.header.dims == (3,)

    path.write_bytes(PACKAGE)
    with pytest.raises(UsageError):
        stream_latents(path)


def test_latents_are_no_decoder():
    """C7-4, at the byte where they stand."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(FILE, at=5)

    assert (caught.value.rule, caught.value.at) == ("C7-4", 5)


@pytest.mark.parametrize(("data", "before"), [(FILE, b"none"), (PACKAGE, b"zstd")], ids=["latents", "model"])
def test_codec_rans_goes_with_one_byte_latents_only(data, before):
    """C3-15."""
    head = data[24 : 24 + int.from_bytes(data[12:16], "little")].replace(b"codec\xa4" + before, b"codec\xa4rans")
    head = head.replace(b"\x85\xaabyte_order", b"\x84\xaabyte_order").replace(b"\xa6filter\xa7shuffle", b"")

    with pytest.raises(FormatError) as caught:
        parse_header(head, 24)

    assert caught.value.rule == "C3-15"
