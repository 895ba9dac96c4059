"""Invalid: chunk headers, their order and their counts, padding (section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import emit
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.latents import SMALL, Latents
from tools.build_vectors.sample_networks import TWO_PIXELS

_ROWS = [[[i, i + 1, 255 - i]] for i in range(3)]
_THREE = Latents(blocks=_ROWS, dims=[3])
_NAMED = Latents(blocks=_ROWS[:2], dims=[3], names=[{"labels": [1]}, {"labels": [2]}])
_DECODER = Chunk(b"dECo", TWO_PIXELS.file().build().data)
_PIXELS = Latents(blocks=[[[3, 9]]], dims=[2], image=[1, 2, 1, "u8"], decoder=TWO_PIXELS.model_id)
_FLOATS = Latents(blocks=[[[0.5, 1.5]]], dims=[2], encoding="f32le")
_MODEL = TWO_PIXELS.file()
_SKIP = Chunk(b"teXt", b"skip me")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _checksums()
    yield from _tags()
    yield from _sizes()
    yield from _order()
    yield from _counts()
    yield from _lengths()
    yield from _padding()


def _in_chunk(
    number: int,
    name: str,
    draft: Draft,
    chunk: int,
    offset: int,
    rule: str,
    why: str,
    code: str | None = None,
    **more: Any,
) -> Case:
    """The error is `offset` bytes into the header of chunk number `chunk`."""
    file = draft.build()
    return bad(number, name, file, rule, file.chunk_at[chunk] + offset, why, code=code, **more)


def _checksums() -> Iterator[Case]:
    draft = _THREE.draft
    good = draft.build()
    at = good.chunk_at[1]
    crc = "C4-2", at + 28
    yield bad(230, "chunk-crc-flipped", good.flip(at + 28), *crc, "A bit of chunk_crc is flipped.")
    yield bad(231, "chunk-rows-flipped", good.flip(at + 4), *crc, "A bit of n_rows is flipped.")
    yield bad(
        232,
        "chunk-tag-flipped",
        good.flip(at, 0x20),
        *crc,
        "A bit of the tag is flipped: ROWS becomes rOWS, ancillary.",
    )
    yield bad(
        233, "payload-crc-flipped", good.flip(at + 24), *crc, "A bit of payload_crc is flipped: chunk_crc covers it."
    )
    yield _in_chunk(
        234, "chunk-of-another-position", draft.chunk(1, number=2), 1, 28, "C4-2", "Checksums bound to chunk number 2."
    )
    yield _in_chunk(
        235, "chunk-of-another-file", draft.chunk(1, header_crc=1), 1, 28, "C4-2", "Checksums bound to another header."
    )
    payload_at = good.payload_at[1]
    yield bad(
        236, "payload-flipped", good.flip(payload_at + 2), "C4-11", payload_at, "A bit of the payload is flipped."
    )
    wrong = draft.chunk(1, payload_crc=0xDEADBEEF).build()
    yield bad(
        237,
        "payload-crc-wrong",
        wrong,
        "C4-11",
        wrong.payload_at[1],
        "payload_crc is wrong, chunk_crc over it is right.",
    )
    unknown = _THREE.with_(before={1: [_SKIP]}).draft.build()
    yield bad(238, "skipped-payload-flipped", unknown.flip(unknown.payload_at[1]), "C4-11", unknown.payload_at[1],
              "A chunk that is skipped is checked all the same.", seek="may accept")  # fmt: skip
    both = _FLOATS.draft.build()
    at = both.payload_at[0]
    yield bad(
        239,
        "padding-and-payload",
        both.flip(at).flip(at - 1),
        "C4-9",
        at - 1,
        "Padding and payload are damaged: padding is first.",
    )


def _tags() -> Iterator[Case]:
    for number, tag, why in (
        (240, b"ROW1", "A digit."), (241, b"ro t", "A space."), (242, b"R\xd6WS", "A letter that is not ASCII."),
        (243, b"ROwS", "The third letter is small."), (244, b"\0\0\0\0", "Zero bytes."), (245, b"texT", "Ancillary, the third is small."),
    ):  # fmt: skip
        yield _in_chunk(number, f"tag-{tag.hex()}", _THREE.draft.chunk(1, tag=tag), 1, 0, "C4-3", why)
    for number, tag, why in (
        (246, b"GRID", "A critical tag of a later version."), (247, b"RxWS", "A private critical tag."),
        (248, b"ROWs", "Case counts: this is not ROWS."), (249, b"TAIl", "Case counts: this is not a trailer."),
    ):  # fmt: skip
        yield _in_chunk(number, f"tag-{tag.decode()}", _THREE.draft.chunk(1, tag=tag), 1, 0, "C4-5", why)


def _sizes() -> Iterator[Case]:
    draft = _THREE.draft
    for number, name, sizes, offset, why, code in (
        (250, "empty", {"payload": b"", "stored_len": 0, "raw_len": 0}, 20, "A chunk of no bytes.", None),
        (251, "raw-2-to-28-and-1", {"raw_len": 268_435_457}, 20, "One byte over the limit.", "limit"),
        (252, "raw-4-GiB", {"raw_len": 2**32 - 1}, 20, "Refused before memory is taken for it.", "limit"),
        (253, "stored-0", {"payload": b"", "stored_len": 0, "raw_len": 3}, 16, "Nothing is stored.", None),
        (
            254,
            "stored-larger-than-raw",
            {"payload": b"abcd", "raw_len": 3},
            16,
            "Compression that made it larger.",
            None,
        ),
    ):
        yield _in_chunk(number, f"chunk-{name}", draft.chunk(1, **sizes), 1, offset, "C4-4", why, code)
    unknown = _THREE.with_(before={1: [replace(_SKIP, raw_len=3)]}).draft
    yield _in_chunk(
        255, "chunk-to-skip-stored-larger", unknown, 1, 16, "C4-4", "C4-4 concerns chunks that are skipped, too."
    )
    far = draft.chunk(2, stored_len=4_000, raw_len=4_000, n_rows=1)
    far = replace(far, chunks=(*far.chunks[:2], replace(far.chunks[2], tag=b"teXt", n_rows=0)))
    file = far.build()
    yield bad(
        256, "chunk-past-the-end", file, "C4-10", len(file.data), "A length that reaches past the end of the file."
    )


def _order() -> Iterator[Case]:
    one = _THREE.with_(blocks=_ROWS[:1])
    for number, name, before, chunk, why in (
        (260, "manifest-in-latents", {0: [Chunk(b"MANF", b"x")]}, 0, "A model's chunk in a latents file."),
        (261, "tensor-in-latents", {1: [Chunk(b"TENS", b"x")]}, 1, "A model's chunk in a latents file."),
        (262, "decoder-after-rows", {1: [_DECODER]}, 1, "The decoder comes before the rows."),
        (
            263,
            "decoder-after-names",
            {0: [Chunk(b"nAMe", emit({"labels": [1]}), 1), _DECODER]},
            1,
            "ROWS must follow nAMe.",
        ),
        (265, "names-twice", {0: [Chunk(b"nAMe", emit({"labels": [1]}), 1)] * 2}, 1, "ROWS must follow nAMe."),
        (
            266,
            "unknown-after-names",
            {0: [Chunk(b"nAMe", emit({"labels": [1]}), 1), _SKIP]},
            1,
            "ROWS must follow nAMe.",
        ),
    ):
        yield _in_chunk(number, f"order-{name}", one.with_(before=before).draft, chunk, 0, "C4-6", why)
    yield _in_chunk(
        264,
        "order-two-decoders",
        _PIXELS.with_(before={0: [_DECODER, _DECODER]}).draft,
        1,
        0,
        "C4-6",
        "At most one decoder.",
    )
    names = Chunk(b"nAMe", emit({"labels": [1]}), 1)
    for number, name, front, chunk, offset, rule, why in (
        (257, "size-before-tag", [Chunk(b"GRID", b"")], 0, 20, "C4-4", "An empty chunk with an unknown critical tag."),
        (275, "tag-before-place", [names, Chunk(b"GRID", b"x")], 1, 0, "C4-5", "An unknown critical tag behind nAMe."),
        (
            276,
            "place-before-rows",
            [names, replace(names, first_row=5)],
            1,
            0,
            "C4-6",
            "Names twice, the second of other rows.",
        ),
        (
            277,
            "rows-before-length",
            [replace(_DECODER, n_rows=1, raw_len=99_999)],
            0,
            4,
            "C4-7",
            "A decoder with rows, compressed.",
        ),
    ):
        yield _in_chunk(number, f"order-{name}", one.with_(before={0: front}).draft, chunk, offset, rule, why)
    draft = one.with_(before={1: [Chunk(b"nAMe", emit({"labels": [1]}), 1, 1)]}).draft
    file = draft.build()
    yield bad(267, "order-names-at-the-end", file, "C4-6", file.trailer_at, "No ROWS follows the last nAMe.")
    indexed = replace(draft, has_index=True)
    yield _in_chunk(268, "order-index-after-names", indexed, 2, 0, "C4-6", "ROWS must follow nAMe.", seek="may accept")
    yield _in_chunk(
        269, "order-rows-after-index", _after_index(Chunk(b"ROWS", b"abc", 1, 3)), 4, 0, "C4-6", "The index is last."
    )
    yield _in_chunk(
        270, "order-two-indexes", _after_index(Chunk(b"iNDX", b"")), 4, 0, "C4-6", "Two indexes.", seek="may accept"
    )
    yield _in_chunk(271, "order-unknown-after-index", _after_index(_SKIP), 4, 0, "C4-6", "Nothing follows an index.")
    for number, tag in ((272, b"ROWS"), (273, b"iNDX"), (274, b"dECo")):
        chunks = (*_MODEL.chunks[:2], Chunk(tag, b"abc"), *_MODEL.chunks[2:])
        yield _in_chunk(number, f"order-{tag.decode()}-in-model", replace(_MODEL, chunks=chunks), 2, 0, "C4-6",
                        "A chunk of latents files in a model package.")  # fmt: skip


def _after_index(chunk: Chunk) -> Draft:
    draft = _THREE.draft
    return replace(draft, chunks=(*draft.chunks, Chunk(b"iNDX", b""), chunk))


def _counts() -> Iterator[Case]:
    draft = _THREE.draft
    for number, name, chunk, changes, offset, why in (
        (280, "zero-rows", 1, {"n_rows": 0}, 4, "A chunk of no rows, with bytes."),
        (281, "rows-do-not-begin-at-0", 0, {"first_row": 1}, 8, "The first chunk begins at row 1."),
        (282, "gap", 1, {"first_row": 2}, 8, "Row 1 is missing."),
        (283, "overlap", 2, {"first_row": 1}, 8, "Row 1 comes twice."),
        (284, "first-row-2-to-64", 1, {"first_row": 2**64 - 1}, 8, "The largest row number there is."),
    ):
        yield _in_chunk(number, f"rows-{name}", draft.chunk(chunk, **changes), chunk, offset, "C4-7", why)
    names = _NAMED.draft
    longer = names.chunk(0, payload=emit({"labels": [1, 2]}), n_rows=2)
    yield _in_chunk(285, "names-of-more-rows", longer, 0, 4, "C4-7", "Names of two rows before a chunk of one.")
    yield _in_chunk(
        286, "names-of-other-rows", names.chunk(2, first_row=0), 2, 8, "C4-7", "Names of row 0 before row 1."
    )
    wrong: tuple[tuple[int, str, dict[str, Any], int], ...] = (
        (287, "n-rows", {"n_rows": 1}, 4),
        (288, "first-row", {"first_row": 1}, 8),
    )
    for number, name, fields, offset in wrong:
        with_decoder = _THREE.with_(before={0: [replace(_DECODER, **fields)]})
        yield _in_chunk(number, f"decoder-{name}", with_decoder.draft, 0, offset, "C4-7", "A decoder has no rows.")
        indexed = replace(draft, chunks=(*draft.chunks, Chunk(b"iNDX", b"", **fields)))
        yield _in_chunk(number + 2, f"index-{name}", indexed, 3, offset, "C4-7", "An index has no rows.")
        yield _in_chunk(
            number + 4, f"manifest-{name}", _MODEL.chunk(0, **fields), 0, offset, "C4-7", "A manifest has no rows."
        )
        yield _in_chunk(
            number + 6, f"tensor-{name}", _MODEL.chunk(2, **fields), 2, offset, "C4-7", "A tensor has no rows."
        )


def _lengths() -> Iterator[Case]:
    draft = _THREE.draft
    yield _in_chunk(
        300, "rows-too-long", draft.chunk(1, payload=b"abcd"), 1, 20, "C4-8", "Four bytes for a row of three."
    )
    yield _in_chunk(
        301, "rows-too-short", draft.chunk(1, payload=b"ab"), 1, 20, "C4-8", "Two bytes for a row of three."
    )
    yield _in_chunk(
        302, "rows-too-many", draft.chunk(1, n_rows=2**32 - 1), 1, 20, "C4-8", "2^32 - 1 rows in three bytes."
    )
    zeros = Latents(blocks=[[[0] * 65_536]], dims=[65_536], codec="zstd").draft
    yield _in_chunk(303, "rows-overflow-32-bits", zeros.chunk(0, n_rows=65_537), 0, 20, "C4-8",
                    "65,537 rows of 65,536 bytes, which is 65,536 in 32 bits.")  # fmt: skip
    yield _in_chunk(
        304, "raw-len-wrong", zeros.chunk(0, raw_len=65_535), 0, 20, "C4-8", "raw_len is one short; the frame is right."
    )
    yield _in_chunk(305, "stored-shorter-without-codec", draft.chunk(1, payload=b"ab", raw_len=3), 1, 16, "C4-8",
                    "Compressed, with codec none.")  # fmt: skip
    names = _NAMED.draft
    yield _in_chunk(
        306, "names-shorter-without-codec", names.chunk(0, raw_len=99), 0, 16, "C4-8", "Compressed, with codec none."
    )
    packed = Latents(blocks=[[[0] * 99]], dims=[99], codec="zstd")
    indexed = replace(packed.draft, chunks=(*packed.draft.chunks, Chunk(b"iNDX", b"", raw_len=99)))
    yield _in_chunk(307, "index-compressed", indexed, 1, 16, "C4-8", "An index is never compressed.")
    carried = packed.with_(before={0: [replace(_DECODER, raw_len=99_999)]}).draft
    yield _in_chunk(308, "decoder-compressed", carried, 0, 16, "C4-8", "A decoder is never compressed.")
    yield _in_chunk(
        309, "tensor-shorter-without-codec", _MODEL.chunk(2, raw_len=99), 2, 16, "C4-8", "Compressed, with codec none."
    )


def _padding() -> Iterator[Case]:
    for number, name, draft, chunk in ((310, "rows", _FLOATS.draft, 0), (313, "tensor", _MODEL, 2)):
        good = draft.build()
        first, last = good.chunk_at[chunk] + 32, good.payload_at[chunk] - 1
        assert first < last
        for step, at in enumerate((first, (first + last) // 2, last)):
            yield bad(
                number + step,
                f"padding-of-{name}-byte-{at - first}",
                good.flip(at, 0x80),
                "C4-9",
                at,
                "Padding is not zero.",
            )
    missing = _FLOATS.draft.chunk(0, padding=b"").build()
    value_at = missing.payload_at[0] + 3  # 0.5 is 00 00 00 3f
    yield bad(
        316, "padding-left-out", missing, "C4-9", value_at, "No padding: the first value stands where zeros must."
    )
    extra = SMALL.draft.chunk(0, padding=bytes(5)).build()
    yield bad(
        317,
        "padding-of-bytes",
        extra,
        "C4-11",
        extra.chunk_at[0] + 32,
        "u8 is not padded: zeros are taken for the payload.",
    )
