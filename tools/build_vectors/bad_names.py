"""Invalid: row names and embedded decoders (section 7).  Errors in names are at the payload's first byte."""

from __future__ import annotations

from collections.abc import Iterator

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import Pairs, Token, emit
from tools.build_vectors.framing import Chunk, File
from tools.build_vectors.latents import SMALL, Latents
from tools.build_vectors.sample_networks import ENCODER, TWO_PIXELS

_TWO = Latents(blocks=[[[1, 2, 3], [4, 5, 6]]], dims=[3])
_PIXELS = Latents(blocks=[[[3, 9]]], dims=[2], image=[1, 2, 1, "u8"], decoder=TWO_PIXELS.model_id)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _msgpack()
    yield from _maps()
    yield from _unsafe()
    yield from _decoders()


def _names(number: int, name: str, raw: bytes, rule: str, why: str) -> Case:
    file = _TWO.with_(before={0: [Chunk(b"nAMe", raw, 2)]}).draft.build()
    return bad(number, f"names-{name}", file, rule, file.payload_at[0], why, code="names")


def _msgpack() -> Iterator[Case]:
    good = emit({"labels": [1, 2]})
    for number, name, raw, rule, why in (
        (480, "not-a-map", emit([1, 2]), "C3-1", "A list."),
        (481, "trailing-byte", good + b"\0", "C3-1", "A byte follows the map."),
        (482, "cut", good[:-1], "C3-1", "The last label is missing."),
        (
            483,
            "many-announced",
            emit({"labels": Token(b"\xdd\xff\xff\xff\xff\0")}),
            "C3-1",
            "2^32 - 1 labels are announced.",
        ),
        (484, "nil", emit({"labels": [1, Token(b"\xc0")]}), "C3-2", "No label: nil is not allowed."),
        (485, "nul", emit({"names": ["a", "b\0c"]}), "C3-2", "A name with a NUL: C would cut it there."),
        (486, "not-utf-8", emit({"names": ["a", Token(b"\xa1\xff")]}), "C3-2", "A name that is not UTF-8."),
        (487, "longer-form", emit({"labels": [1, Token(b"\xcc\x02")]}), "C3-3", "There is a shorter form."),
        (488, "repeated-key", emit(Pairs((("labels", [1, 2]), ("labels", [3, 4])))), "C3-4", "The last would win."),
        (489, "unsorted", emit(Pairs((("names", ["a", "b"]), ("labels", [3, 4])))), "C3-4", "Keys are not in order."),
        (490, "too-deep", emit({"labels": [[[[1]]]]}), "C3-5", "A list five deep."),
    ):
        yield _names(number, name, raw, rule, why)


def _maps() -> Iterator[Case]:
    digest = bytes(32)
    for number, name, fields, why in (
        (492, "empty-map", {}, "No key at all."),
        (493, "unknown-key", {"captions": ["a", "b"]}, "A key that is not assigned."),
        (494, "unknown-key-beside", {"labels": [1, 2], "zoom": 1}, "A key that is not assigned, beside one that is."),
        (495, "too-few", {"labels": [1]}, "One label for two rows."),
        (496, "too-many", {"names": ["a", "b", "c"]}, "Three names for two rows."),
        (497, "not-a-list", {"labels": 7}, "labels is no list."),
        (498, "label-negative", {"labels": [1, -1]}, "A negative label."),
        (499, "label-2-to-32", {"labels": [1, 2**32]}, "A label over the limit."),
        (500, "label-boolean", {"labels": [True, False]}, "A boolean is no integer."),
        (501, "label-string", {"labels": ["1", "2"]}, "A label that is a string."),
        (502, "name-binary", {"names": ["a", b"b"]}, "A name that is a binary string."),
        (503, "source-31-bytes", {"sources": [digest, digest[1:]]}, "A digest has 32 bytes."),
        (504, "source-hex", {"sources": [digest, digest.hex()[:32]]}, "A digest is no string."),
    ):
        yield _names(number, name, emit(fields), "C7-1", why)


def _unsafe() -> Iterator[Case]:
    for number, name, text, why in (
        (510, "empty", "", "No byte."), (511, "absolute", "/etc/passwd", "An absolute path."),
        (512, "parent", "../../etc/passwd", "A path that leaves its folder."), (513, "parent-inside", "a/../b", "`..` as a part."),
        (514, "dot", ".", "`.` as a part."), (515, "dot-inside", "a/./b", "`.` as a part."),
        (516, "double-slash", "a//b", "An empty part."), (517, "slash-at-the-end", "a/", "An empty part at the end."),
        (518, "backslash", "..\\..\\boot.ini", "A separator on Windows."), (519, "drive", "C:evil.txt", "A drive on Windows."),
        (520, "small-drive", "c:/x", "A drive on Windows."), (521, "line-feed", "a\nb", "A control character."),
        (522, "escape", "\x1b[2Ja", "A control character that clears a terminal."), (523, "delete", "a\x7f", "U+007F."),
        (524, "1025-bytes", "x" * 1_025, "One byte over the limit."),
        (525, "1026-bytes-of-513", "\u00e9" * 513, "513 characters, but 1,026 bytes."),
        (526, "parent-at-the-end", "a/..", "`..` as the last part."), (527, "tab", "a\tb", "A control character."),
    ):  # fmt: skip
        yield _names(number, f"unsafe-{name}", emit({"names": ["fine", text]}), "C7-2", why)
    yield _names(530, "twice", emit({"names": ["a", "a"]}), "C7-3", "One would overwrite the other.")


def _decoders() -> Iterator[Case]:
    def carrying(decoder: bytes, base: Latents = _PIXELS) -> File:
        return base.with_(before={0: [Chunk(b"dECo", decoder)]}).draft.build()

    package = TWO_PIXELS.file()
    good = package.build()
    other = carrying(TWO_PIXELS.tensor(1, numbers=[0, 0]).file().build().data)
    for number, name, file, why in (
        (540, "another-model", other, "A good package, but not the one that the header names."),
        (541, "an-encoder", carrying(ENCODER.file().build().data, _PIXELS.with_(decoder=ENCODER.model_id)),
         "A good package with the right model id, but an encoder."),
        (542, "latents", carrying(SMALL.draft.build().data), "A good container, but of latents."),
    ):  # fmt: skip
        yield bad(number, f"decoder-is-{name}", file, "C7-4", file.payload_at[0], why, only="validator")
    nested = carrying(carrying(b"not a container").data)
    yield bad(543, "decoder-is-latents-with-a-decoder", nested, "C7-4", nested.payload_at[0],
              "Latents with a decoder inside: not looked into, it could go on for ever.", only="validator")  # fmt: skip
    for number, name, changes, why in (
        (550, "dims", {"dims": [1, 2]}, "The decoder takes rows of shape [2]."),
        (551, "image", {"image": [2, 1, 1, "u8"]}, "The decoder makes images of one row, not of two."),
        (552, "values", {"encoding": "f32le"}, "The decoder takes u8, not f32."),
    ):
        file = carrying(good.data, _PIXELS.with_(**changes))
        yield bad(number, f"decoder-other-{name}", file, "C3-14", 24, why, only="validator")
    broken = good.flip(good.payload_at[2])
    for number, name, inner, rule, at, why in (
        (545, "garbage", b"not a container", "C2-1", 0, "No container."),
        (546, "cut", good.data[:-10], "C9-1", len(good.data) - 10, "The embedded container ends inside its trailer."),
        (
            547,
            "flipped",
            broken.data,
            "C4-11",
            good.payload_at[2],
            "A bit of a tensor is flipped; the outer checksums are right.",
        ),
        (548, "trailing-byte", good.data + b"\0", "C9-7", len(good.data), "A byte follows the embedded container."),
    ):
        yield bad(number, f"decoder-{name}", carrying(inner), rule, at, why, inside="dECo", only="validator")
