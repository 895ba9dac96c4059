"""Latents whose decoder is not known, valid and invalid (C3-19, format 1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Chunk
from tools.build_vectors.latents import SMALL, UNKNOWN, Latents
from tools.build_vectors.sample_networks import TWO_PIXELS
from tools.build_vectors.sized import PHOTO, SIZED, sized

_KNOWN_IMAGE = SMALL.with_(decoder=None)
_UNKNOWN_IMAGE = Latents(blocks=[[[1.5, -2.0]], [[0.25, 3.0]]], dims=[2], encoding="bf16le", decoder=None, image=None)
_MODEL = TWO_PIXELS.file()


def cases() -> Iterator[Case]:
    """All of them."""
    buckets = sized([4, 0, 0], ((2, 3), (3, 2)), ((1, 1),), image=None, decoder=None)
    photos = sized([0, 0, 2], ((1, 2, 8, 9), (2, 1, 16, 1)), decoder=None)
    for number, name, file, about, rules in (
        (177, "image", _KNOWN_IMAGE, "The decoder is not known; the size of its images is.", "C2-4 C3-7 C3-19"),
        (178, "no-image", _UNKNOWN_IMAGE.with_(index=True), "Neither is known.", "C3-7 C3-19"),
        (179, "sized", buckets, "Rows of their own size of a decoder that is not known: two flag bits.", "C3-17 C3-19"),
        (180, "sized-images", photos, "The same, with the sizes of their images.", "C3-17 C3-19"),
    ):
        case = file.good(number, f"unknown-{name}", about, rules)
        case.expected["format"] = "1.1"
        yield case
    yield from _bad_header()
    for number, tag in ((995, b"dECo"), (996, b"rCPT")):
        payload = _MODEL.build().data if tag == b"dECo" else bytes(32)
        chunk = Chunk(tag, payload, 1 if tag == b"rCPT" else 0)
        built = _KNOWN_IMAGE.with_(before={0: [chunk]}).draft.build()
        why = "A decoder, or what it makes, in a file that names none."
        yield bad(number, f"unknown-with-{tag.decode()}", built, "C4-6", built.chunk_at[0], why)


def _bad_header() -> Iterator[Case]:
    flagged = SMALL.draft
    coded = Latents(blocks=[[[1, 2, 3]]], dims=[3], codec="rans", decoder=None)
    for number, name, draft, rule, at, why in (
        (990, "named", replace(flagged, minor=1, flags=UNKNOWN), "C3-19", 24, "Flag bit 1, and a decoder."),
        (991, "rans", coded.draft, "C3-19", 24, "Codec rans takes the decoder."),
        (992, "model", replace(_MODEL, minor=1, flags=UNKNOWN), "C3-19", 24, "Flag bit 1 in a model package."),
        (993, "without-flag", replace(_KNOWN_IMAGE.draft, flags=0), "C3-7", 24, "No decoder without flag bit 1."),
        (994, "image-without-flag", SMALL.with_(image=None).draft, "C3-7", 24, "No image without flag bit 1."),
        (997, "minor-0", replace(_KNOWN_IMAGE.draft, minor=0), "C2-4", 10, "Flag bit 1 came with minor version 1."),
        (998, "nothing-free", replace(_UNKNOWN_IMAGE.draft, flags=SIZED | UNKNOWN), "C3-17", 24, "No size is free."),
        (
            999,
            "image-free-alone",
            SMALL.with_(decoder=None, image=PHOTO).draft,
            "C3-8",
            24,
            "Free sizes without flag bit 0.",
        ),
    ):
        yield bad(number, f"unknown-{name}", draft.build(), rule, at, why)
