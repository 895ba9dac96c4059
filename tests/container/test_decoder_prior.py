"""aeformat.container.decoder_prior: what a reader of rows looks at in a decoder's package, and where it refuses one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from aeformat.container import canonical
from aeformat.container.compression import decompress
from aeformat.container.decoder_prior import read_decoder_prior
from aeformat.container.limits import MANIFEST_BYTES, Limits
from aeformat.errors import FormatError
from aeformat.model.file_io import package_bytes

from .files import Chunk, Parts, edges, header, split, write
from .priors import decoder_of, random_prior

DIMS = (2, 3)
DECODER = decoder_of(random_prior(5, dims=DIMS, n_classes=9), lo=-6, hi=9, dims=DIMS)
GOOD = split(package_bytes(DECODER))
PLACES = GOOD.places()


def tensor(number: int) -> Chunk:
    return GOOD.chunks[1 + number]


CLASSES, MEANS = (msgpack.unpackb(DECODER.manifest_bytes)["prior"][key] for key in ("classes", "means"))


def with_manifest(data: bytes) -> Parts:
    """The package with another manifest, and with the model id of that."""
    model = hashlib.sha256(data).digest()
    parts = GOOD.change(0, stored=data, raw_len=None)
    return replace(parts, head=GOOD.head.replace(DECODER.model_id, model), content_id=model)


def with_fields(change: Callable[[dict[str, Any]], None]) -> Parts:
    """The package whose manifest says something else."""
    fields = msgpack.unpackb(DECODER.manifest_bytes)
    change(fields)
    return with_manifest(canonical.pack(fields))


def put(key: str, *path: Any) -> Parts:
    """The package with a value at `path`, its last item, below `key`."""
    *keys, last, value = path

    def change(fields: dict[str, Any]) -> None:
        place = fields[key]
        for inner in keys:
            place = place[inner]
        place[last] = value

    return with_fields(change)


def test_the_prior_of_a_decoder_is_read_without_its_network():
    """Model id, what the network takes and makes, and the four tensors of the prior."""
    found = read_decoder_prior(GOOD.join())

    assert (found.model, found.type, found.dims, found.image) == (DECODER.model_id, "i8", DIMS, (2, 2, 1))
    assert (found.prior.bits, found.prior.lo, found.prior.hi) == (12, -6, 9)
    assert read_decoder_prior(package_bytes(decoder_of(None, lo=-6, hi=9, dims=DIMS))).prior is None


def test_an_input_without_a_range_takes_all_of_its_type():
    """0 to 255 for u8."""
    prior = random_prior(5, dims=DIMS, lo=0, hi=255)

    found = read_decoder_prior(package_bytes(decoder_of(prior, lo=0, hi=255, dims=DIMS))).prior

    assert (found.lo, found.hi) == (0, 255)


MANIFEST_AT = PLACES[0] + 32


def _free(fields, takes, makes):
    fields["input"]["shape"], fields["output"]["shape"], fields["golden"] = takes, makes, []


OF_MANIFEST = {
    "too long": (with_manifest(bytes(MANIFEST_BYTES + 1)), "M1-1"),
    "not canonical": (with_manifest(b"\x81\xa4role\xd9\x07decoder"), "M2-1"),
    "no input": (with_fields(lambda fields: fields.pop("input")), "M2-2"),
    "output is a list": (with_fields(lambda fields: fields.update(output=[])), "M2-2"),
    "shape is a number": (put("input", "shape", 6), "M2-2"),
    "shape of nothing": (put("input", "shape", []), "M2-2"),
    "shape with a zero": (put("output", "shape", [0, 2, 1]), "M2-2"),
    "free in one half": (with_fields(lambda fields: _free(fields, [0, 2, 1], [0, 0, 1])), "M2-8"),
    "free without passes": (with_fields(lambda fields: _free(fields, [0, 0, 1], [0, 0, 1])), "M10-6"),
    "passes of one size": (put("prior", "passes", {}), "M10-6"),
    "shape of texts": (put("input", "shape", ["2", "3"]), "M2-2"),
    "prior is a number": (with_fields(lambda fields: fields.update(prior=7)), "M2-2"),
    "prior with another key": (put("prior", "more", 1), "M2-2"),
    "prior of no bits": (put("prior", "bits", 0), "M2-2"),
    "prior of floats": (put("input", "type", "f32"), "M10-1"),
    "range of one number": (put("input", "range", [3]), "M2-5"),
    "range outside its type": (put("input", "range", [-129, 9]), "M2-5"),
    "range of all": (put("input", "range", [-128, 127]), "M2-5"),
    "tensor that is not listed": (put("prior", "means", 99), "M2-2"),
    "tensors are no list": (with_fields(lambda fields: fields.update(tensors=7)), "M2-2"),
    "tensor of another type": (put("tensors", MEANS, "type", "i8"), "M10-2"),
    "shapes that do not go together": (put("tensors", MEANS, "shape", [8, 2, 3]), "M10-2"),
}


@pytest.mark.parametrize(("parts", "rule"), OF_MANIFEST.values(), ids=OF_MANIFEST)
def test_a_manifest_is_refused_by_its_rule(parts, rule):
    """At the manifest, before any tensor is looked at."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(parts.join())

    assert (caught.value.rule, caught.value.at) == (rule, MANIFEST_AT)


def spoiled_frame() -> Parts:
    """The tensor of the classes in a frame whose content does not match its checksum."""
    stored = tensor(CLASSES).stored
    return GOOD.change(1 + CLASSES, stored=stored[:-1] + bytes([stored[-1] ^ 1]))


def other_classes(change: Callable[[bytearray], None]) -> Parts:
    """The tensor of the classes as it is not named by the manifest."""
    chunk = tensor(CLASSES)
    raw = bytearray(decompress(chunk.stored, raw_bytes=chunk.raw_len, value_bytes=4))
    change(raw)
    return GOOD.change(1 + CLASSES, stored=bytes(raw), raw_len=None)


N_TENSORS = len(GOOD.chunks) - 1
CLASSES_AT = PLACES[1 + CLASSES] + 32
OF_TENSORS = {
    "frame": (spoiled_frame(), "C6-6", CLASSES_AT),
    "length": (other_classes(lambda raw: raw.extend(bytes(4))), "M1-4", CLASSES_AT),
    "content": (other_classes(lambda raw: raw.__setitem__(0, raw[0] ^ 1)), "M1-5", CLASSES_AT),
    "one too many": (GOOD.insert(1 + N_TENSORS, Chunk(b"TENS", b"x")), "M1-3", PLACES[-1]),
    "one too few": (replace(GOOD, chunks=GOOD.chunks[:-1]), "M1-3", PLACES[-2]),
    "content id": (replace(GOOD, content_id=bytes(32)), "M1-2", PLACES[-1] + 28),
}


@pytest.mark.parametrize(("parts", "rule", "at"), OF_TENSORS.values(), ids=OF_TENSORS)
def test_tensors_are_refused_by_their_rule(parts, rule, at):
    """Where each stands, and the trailer."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(parts.join())

    assert (caught.value.rule, caught.value.at) == (rule, at)


UNKNOWN = Chunk(b"xXXx", b"?")
OF_ORDER = {
    "no chunk": (replace(GOOD, chunks=()), "M1-1", PLACES[0]),
    "a tensor first": (replace(GOOD, chunks=GOOD.chunks[1:]), "M1-1", PLACES[0]),
    "an unknown chunk first": (GOOD.insert(0, UNKNOWN), "M1-1", PLACES[0]),
    "two manifests": (GOOD.insert(1, GOOD.chunks[0]), "M1-1", PLACES[1]),
    "a second manifest behind": (GOOD.insert(1 + N_TENSORS, GOOD.chunks[0]), "M1-1", PLACES[-1]),
    "rows": (GOOD.insert(1, Chunk(b"ROWS", bytes(6), 1)), "C4-6", PLACES[1]),
}


@pytest.mark.parametrize(("parts", "rule", "at"), OF_ORDER.values(), ids=OF_ORDER)
def test_chunks_that_do_not_belong_there_are_refused(parts, rule, at):
    """One manifest, first; then tensors.  What is unknown may stand between them."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(parts.join())

    assert (caught.value.rule, caught.value.at) == (rule, at)
    assert read_decoder_prior(GOOD.insert(2, UNKNOWN).join()).model == DECODER.model_id


def test_frequencies_that_are_none_are_refused():
    """M10-3: they have the digest that the manifest names, and do not add up."""
    raw = bytes(36)

    def change(fields: dict[str, Any]) -> None:
        fields["tensors"][CLASSES]["sha256"] = hashlib.sha256(raw).digest()

    parts = with_fields(change).change(1 + CLASSES, stored=raw, raw_len=None)
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(parts.join())

    assert (caught.value.rule, caught.value.at) == ("M10-3", MANIFEST_AT)


def test_a_prior_larger_than_the_reader_takes_is_refused():
    """M2-6, before its tensors are unpacked."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(GOOD.join(), limits=Limits(package_bytes=300))

    assert (caught.value.code, caught.value.rule, caught.value.at) == ("limit", "M2-6", MANIFEST_AT)


def test_an_encoder_is_no_decoder():
    """C7-4, at the byte where the package stands in its file."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(with_fields(lambda fields: fields.update(role="encoder")).join(), at=77)

    assert (caught.value.rule, caught.value.at) == ("C7-4", 77)


def test_latents_are_no_decoder():
    """C7-4 as well: a file of latents stands where the package should."""
    with pytest.raises(FormatError) as caught:
        read_decoder_prior(write(edges("f32", 3), header()), at=77)

    assert (caught.value.rule, caught.value.at) == ("C7-4", 77)
