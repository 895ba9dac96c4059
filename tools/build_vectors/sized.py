"""Rows of their own size, valid and invalid (section 5.1, format 1.1)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import emit
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.latents import DECODER_ID, SMALL, Latents, Row
from tools.build_vectors.numbers import pack
from tools.build_vectors.sample_networks import TWO_PIXELS

SIZED = 1  # the flag bit
PHOTO = [0, 0, 3, "u8"]
_SKIP = Chunk(b"teXt", b"skip me")
Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sized(Latents):
    """A file whose rows state their sizes: for each row of each block the free sizes of dims, then those of image.

    entries: the payload of a SIZE chunk, where it is not what the sizes make.
    """

    sizes: Sequence[Sequence[Sizes]] = ()

    @property
    def content_id(self) -> bytes:
        """Each row's sizes stand in front of its values (section 9)."""
        made = hashlib.sha256(self.content_head)
        for rows, sizes in zip(self.blocks, self.sizes, strict=True):
            for row, of_row in zip(rows, sizes, strict=True):
                made.update(words(*of_row) + pack(row, self.value_type))
        return made.digest()

    @property
    def draft(self) -> Draft:
        """Each SIZE stands before what belongs to its ROWS."""
        chunks, first = [], 0
        before = dict(self.before)
        for number, sizes in enumerate(self.sizes):
            size = Chunk(b"SIZE", b"".join(words(*entry) for entry in entries(sizes)), len(sizes), first)
            mine = before.get(number, [])
            behind = [chunk for chunk in mine if chunk.tag == b"rCPT"]
            before[number] = [*(chunk for chunk in mine if chunk not in behind), size, *behind]
            first += len(sizes)
        chunks = Latents.draft.fget(replace(self, before=before))  # type: ignore[attr-defined]
        assert isinstance(chunks, Draft)
        return replace(chunks, minor=1, flags=SIZED | chunks.flags)

    def good(self, number: int, name: str, about: str, rules: str = "", **draft: Any) -> Case:
        """The JSON has the version and the entries too."""
        case = Latents.good(self, number, name, about, rules, **draft)
        case.expected["format"] = "1.1"
        case.expected["sizes"] = [[list(entry) for entry in entries(sizes)] for sizes in self.sizes]
        return case


def words(*numbers: int) -> bytes:
    """u32 each."""
    return struct.pack(f"<{len(numbers)}I", *numbers)


def entries(sizes: Sequence[Sizes]) -> list[Sizes]:
    """Rows that follow one another and have the same sizes are one entry."""
    return [(len(list(same)), *of_row) for of_row, same in groupby(sizes)]


def of_dims(dims: Sequence[int], sizes: Sizes) -> int:
    """Values of a row."""
    free = iter(sizes)
    return prod(size or next(free) for size in dims)


def sized(dims: Sequence[int], *blocks: Sequence[Sizes], **more: Any) -> Sized:
    """A file of rows of these sizes; values count up, row after row."""
    made: list[list[Row]] = []
    n = 0
    for block in blocks:
        rows: list[Row] = []
        for sizes in block:
            count = of_dims(dims, sizes)
            rows.append([(7 * i) % 251 for i in range(n, n + count)])
            n += count
        made.append(rows)
    fields: dict[str, Any] = {"image": PHOTO, "decoder": DECODER_ID} | more
    return Sized(blocks=made, dims=dims, sizes=blocks, **fields)


def work_of(file: Latents) -> int:
    """C13-1, of a file without an index whose chunks are stored as they are."""
    total = 0
    for chunk in file.draft.chunks:
        total += 4 * len(chunk.payload) if chunk.tag != b"teXt" else 0
        total += 512 * len(chunk.payload) if chunk.tag in (b"SIZE", b"nAMe") else 0
        total += 4_096 * (len(chunk.payload) // 27) if chunk.tag == b"ROWS" and file.encoding == "text19" else 0
    return total


def same_rows(file: Sized, dims: Sequence[int]) -> Latents:
    """The rows of a file whose sizes are all the same, by a header that has them."""
    return Latents(blocks=file.blocks, dims=dims, image=file.image, decoder=file.decoder)


SMALLEST = sized([0, 3], ((1,),), image=[28, 28, 1, "u8"])
# Images of 3 x 5, twice 1 x 1, a strip of 1 x 40, odd sizes; latents of an eighth of that, rounded up.
_PHOTOS: Sequence[Sizes] = ((1, 1, 3, 5), (1, 1, 1, 1), (1, 1, 1, 1), (1, 5, 1, 40))
_MORE: Sequence[Sizes] = ((2, 3, 9, 17), (3, 2, 17, 9))
_TWO = sized([0, 0, 2], _PHOTOS, _MORE)
_BUCKETS = sized([2, 0, 0], ((3, 2), (3, 2), (2, 3)), ((2, 3),), image=[28, 28, 1, "u8"])
_MODEL = TWO_PIXELS.file()
_RUNS: Sequence[tuple[Sequence[Sizes], int]] = (  # rows of one latent each, and the digests of their receipts
    (((1, 1024, 512), (1, 512, 1024), (1, 1, 1)), 2),
    (((1, 1024, 1025), (1, 1, 1), (1, 1, 1)), 2),
    (((1, 1, 1),) * 65, 2),
    (((1, 128, 129),) * 64, 2),
    (((1, 128, 128),) * 64 + ((1, 1, 1),), 2),
    (((1, 4000, 3000), (1, 3000, 4000), (1, 4000, 3000)), 3),
)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _valid_receipts()
    yield from _flags_and_header()
    yield from _order()
    yield from _fields()
    yield from _lengths()
    yield from _entries()
    yield from _sizes()
    yield from _content()


def _valid() -> Iterator[Case]:
    alone = sized([0, 0, 2], *((sizes,) for sizes in (*_PHOTOS, *_MORE)))
    long = sized([0, 0, 2], ((10, 20, 80, 160), (20, 10, 160, 80)), encoding="f32le", values="u8", codec="zstd")
    names = [{"names": ["a.png", "b.png", "c.png", "d.png"]}, None]
    same = sized([0, 4], ((2,), (2,), (2,)), ((2,),), image=[28, 28, 1, "u8"])
    for number, name, file, about, rules in (
        (160, "small", SMALLEST, "One row with one free size: the file of the annotated dump in section 20.", "C2-4 C3-17 C4-6"),
        (161, "photographs", _TWO.with_(index=True), "Images of 3 x 5, twice 1 x 1, a strip of 1 x 40, odd sizes.",
         "C4-6 C4-7 C4-8 C5-5 C5-6 C5-7 C8-1 C9-6"),
        (162, "photographs-alone", alone, "The rows of 161, one a chunk: the same content id.", "C9-6"),
        (163, "text19", _TWO.with_(encoding="text19", values="u8"), "161 as text: a row is a line, however long.", "C5-1 C9-6"),
        (164, "f64le", _TWO.with_(encoding="f64le", values="u8"), "161 as f64le: padding before the rows only.", "C4-9 C9-6"),
        (165, "zstd-shuffle", long, "Shuffle goes over all values of the chunk; SIZE is not compressed.", "C4-8"),
        (166, "buckets", _BUCKETS.with_(encoding="bf16le", values="u8"), "Latents of two shapes; images of one.", "C3-17 C5-6"),
        (167, "eight-axes", sized([0] * 8, ((1, 2) * 4, (2, 1) * 4), image=[1, 1, 1, "u8"]), "All eight axes are free.", "C5-7"),
        (168, "named", _TWO.with_(names=names, before={0: [_SKIP], 1: [_SKIP], 2: [_SKIP]}),
         "SIZE stands before names; chunks to skip stand before SIZE.", "C4-5 C4-6"),
        (169, "all-the-same", same, "All rows have one size, which the header leaves free.", "C5-5 C5-6"),
        (171, "widest-image", sized([0], ((7, 1, 65_535), (7, 65_535, 1))), "Strips of 65,535 pixels.", "C5-7"),
        (173, "300-rows", sized([0], ((1,),) * 300, image=[28, 28, 1, "u8"]), "300 rows are one entry.", "C5-5"),
        (174, "largest-image", sized([0], ((1, 16_384, 16_384),), image=[0, 0, 4, "u8"]), "2^30 elements.", "C5-8"),
    ):  # fmt: skip
        case = file.good(number, f"sized-{name}", about, rules)
        if name in ("text19", "named"):
            case.expected["rules"].append("C13-1")
            case.expected["file_work"] = work_of(file)
        yield case
    yield same_rows(same, [2, 4]).good(
        170, "not-sized", "The rows of 169 by a header that has their size: another content id.", "C9-6"
    )
    yield _TWO.good(172, "sized-minor-7", "A later minor version, which has the flag bit too.", "C2-4", minor=7)


def _receipted(blocks: Sequence[tuple[Sequence[Sizes], int]], image: Sequence[object] = tuple(PHOTO)) -> Sized:
    """Files with receipts of a decoder that is not here: their digests are any bytes."""
    dims = [0, 1]
    file, before, first = sized(dims, *(sizes for sizes, _ in blocks), image=list(image)), {}, 0
    for number, (sizes, n_digests) in enumerate(blocks):
        digests = b"".join(hashlib.sha256(words(number, run)).digest() for run in range(n_digests))
        before[number] = [Chunk(b"rCPT", digests, len(sizes), first)]
        first += len(sizes)
    return replace(file, before=before)


def _valid_receipts() -> Iterator[Case]:
    fixed = tuple(((size,),) * n for size, n in ((3, 64), (2, 65), (1, 1)))
    for number, name, file, about in (
        (175, "receipts", _receipted(_RUNS), "Runs end at 64 rows, or before more than 1,048,576 pixels."),
        (176, "receipts-of-one-image-size", _receipted(list(zip(fixed, (1, 2, 1), strict=True)), [28, 28, 1, "u8"]),
         "Only latents have sizes of their own: runs have 64 rows."),
    ):  # fmt: skip
        case = file.good(number, f"sized-{name}", about, "C4-6 C4-8")
        case.expected["receipts"] = [
            [chunk.payload[i : i + 32].hex() for i in range(0, len(chunk.payload), 32)]
            for (chunk,) in file.before.values()
        ]
        yield case


def _flags_and_header() -> Iterator[Case]:
    small = SMALL.draft
    for number, name, draft, why in (
        (900, "minor-0", replace(_TWO.draft, minor=0), "Flag bit 0 came with minor version 1."),
        (901, "and-bit-3", replace(_TWO.draft, flags=9), "Flag bit 3 is not assigned."),
        (902, "but-bit-3", replace(small, minor=1, flags=8), "Flag bit 3 is not assigned."),
        (903, "but-bit-15", replace(small, minor=255, flags=0x8000), "A flag bit of a later version."),
    ):
        yield bad(number, f"sized-flag-{name}", draft.build(), "C2-4", 10, why)
    flagged: dict[str, Any] = {"minor": 1, "flags": SIZED}
    free = sized([0, 0, 2], _PHOTOS).draft
    for number, name, draft, rule, why, code in (
        (904, "nothing-free", replace(small, **flagged), "C3-17", "No size of dims is 0.", None),
        (905, "without-flag", replace(free, minor=0, flags=0), "C3-8", "Sizes 0 without flag bit 0.", None),
        (
            906,
            "image-without-flag",
            SMALL.with_(image=PHOTO).draft,
            "C3-8",
            "An image of 0 x 0 without flag bit 0.",
            None,
        ),
        (907, "height-only", _header_of(_TWO, image=[0, 5, 3, "u8"]), "C3-17", "Only the height is free.", None),
        (908, "width-only", _header_of(_TWO, image=[5, 0, 3, "u8"]), "C3-17", "Only the width is free.", None),
        (909, "image-only", _header_of(_TWO, dims=[2, 2, 2]), "C3-17", "The image is free, and nothing of dims.", None),
        (910, "channels", _header_of(_TWO, image=[0, 0, 0, "u8"]), "C3-8", "Channels are never free.", None),
        (911, "model", replace(_MODEL, **flagged), "C3-17", "Flag bit 0 in a model package.", None),
        (
            913,
            "rans-f32le",
            _TWO.with_(codec="rans", encoding="f32le", values="u8").draft,
            "C3-15",
            "C3-15 comes first.",
            None,
        ),
        (
            914,
            "fixed-part-too-large",
            _header_of(_TWO, dims=[0, 2**14, 2**14 + 1]),
            "C3-13",
            "Even a 1 is too much.",
            None,
        ),
        (915, "nine-axes", _header_of(_TWO, dims=[0] * 9), "C3-8", "Nine axes.", None),
        (918, "negative", _header_of(_TWO, dims=[0, -1, 2]), "C3-8", "A size of -1.", None),
    ):
        yield bad(number, f"sized-{name}", draft.build(), rule, 24, why, code=code)
    unflagged = SMALL.with_(before={0: [Chunk(b"SIZE", words(1, 3), 1)]}).draft
    yield _in_chunk(916, "chunk-without-flag", unflagged, 0, 0, "C4-5", "Without flag bit 0 SIZE is no known tag.")
    model = replace(_MODEL, chunks=(*_MODEL.chunks[:2], Chunk(b"SIZE", words(1, 3)), *_MODEL.chunks[2:]))
    yield _in_chunk(917, "chunk-in-model", model, 2, 0, "C4-5", "Without flag bit 0 SIZE is no known tag.")


def _header_of(file: Sized, **fields: Any) -> Draft:
    """The same chunks behind a header with other fields."""
    return file.with_(header=fields).draft


def _in_chunk(number: int, name: str, draft: Draft, chunk: int, offset: int, rule: str, why: str, **more: Any) -> Case:
    """The error is `offset` bytes into the header of chunk number `chunk`."""
    file = draft.build()
    return bad(number, f"sized-{name}", file, rule, file.chunk_at[chunk] + offset, why, **more)


def _in_payload(
    number: int, name: str, draft: Draft, chunk: int, offset: int, rule: str, why: str, **more: Any
) -> Case:
    """The error is `offset` bytes into the payload of chunk number `chunk`."""
    file = draft.build()
    return bad(number, f"sized-{name}", file, rule, file.payload_at[chunk] + offset, why, **more)


def _arranged(draft: Draft, *order: int | Chunk) -> Draft:
    """The chunks of a file in another order, some left out or twice, and others among them."""
    chunks = tuple(draft.chunks[item] if isinstance(item, int) else item for item in order)
    return replace(draft, chunks=chunks)


def _order() -> Iterator[Case]:
    two = sized([0, 3], ((1,),), ((2,),), image=[28, 28, 1, "u8"]).draft  # SIZE ROWS SIZE ROWS
    names = Chunk(b"nAMe", emit({"labels": [1]}), 1)
    receipt = Chunk(b"rCPT", bytes(32), 1)
    decoder = Chunk(b"dECo", _MODEL.build().data)
    for number, name, draft, chunk, why in (
        (920, "missing", _arranged(two, 1, 2, 3), 0, "Rows without their sizes."),
        (921, "after-names", _arranged(two, names, 0, 1, 2, 3), 0, "SIZE stands before nAMe."),
        (922, "of-the-first-only", _arranged(two, 0, 1, 3), 2, "The second chunk of rows has no sizes."),
        (923, "twice", _arranged(two, 0, 0, 1, 2, 3), 1, "A SIZE behind a SIZE."),
        (924, "between-names-and-rows", _arranged(two, 0, names, 0, 1, 2, 3), 2, "ROWS must follow nAMe."),
        (925, "after-receipts", _arranged(two, receipt, 0, 1, 2, 3), 0, "SIZE stands before rCPT."),
        (926, "then-unknown", _arranged(two, 0, _SKIP, 1, 2, 3), 1, "A chunk to skip between SIZE and ROWS."),
        (927, "then-decoder", _arranged(two, 0, decoder, 1, 2, 3), 1, "The decoder comes before the first SIZE."),
        (930, "receipts-of-the-first-only", _arranged(two, 0, receipt, 1, 2, 3), 4, "The second chunk of rows has no rCPT."),
        (931, "receipts-of-the-second-only", _arranged(two, 0, 1, 2, replace(receipt, first_row=1), 3), 3,
         "The first chunk of rows has no rCPT."),
        (932, "after-index", _arranged(two, 0, 1, Chunk(b"iNDX", b""), 2, 3), 3, "The index is last."),
        (933, "receipts-then-index", _arranged(two, 0, receipt, 1, 2, Chunk(b"iNDX", b"")), 4, "rCPT or more must follow."),
    ):  # fmt: skip
        more = {"seek": "may accept"} if number == 933 else {}
        yield _in_chunk(number, f"order-{name}", draft, chunk, 0, "C4-6", why, **more)
    last = replace(two, chunks=two.chunks[:3], has_index=True)
    yield _in_chunk(928, "order-then-index", last, 3, 0, "C4-6", "ROWS or what belongs to it must follow SIZE.",
                    seek="may accept")  # fmt: skip
    file = replace(last, has_index=False).build()
    yield bad(929, "sized-order-at-the-end", file, "C4-6", file.trailer_at, "No ROWS follows the last SIZE.")


def _fields() -> Iterator[Case]:
    file = _receipted(((((1, 8, 8), (2, 8, 8)), 1), (((3, 8, 8),), 1))).with_(
        names=[{"labels": [1, 2]}, {"labels": [3]}]
    )
    draft = file.draft  # SIZE rCPT nAMe ROWS, twice
    changes: dict[str, Any]
    for number, name, chunk, changes, offset, why in (
        (935, "size-no-rows", 0, {"n_rows": 0}, 4, "A SIZE of no rows."),
        (936, "size-first-row", 4, {"first_row": 3}, 8, "Sizes of row 3, and row 2 comes."),
        (937, "rows-n-rows", 3, {"n_rows": 3}, 4, "Three rows, and sizes of two."),
        (938, "rows-first-row", 3, {"first_row": 1}, 8, "Rows from 1 on, and sizes from 0 on."),
        (939, "names-n-rows", 2, {"n_rows": 1}, 4, "Names of one row, and sizes of two."),
        (940, "receipts-first-row", 5, {"first_row": 0}, 8, "Receipts of row 0, and sizes of row 2."),
        (941, "receipts-n-rows", 1, {"n_rows": 1}, 4, "Receipts of one row, and sizes of two."),
    ):
        yield _in_chunk(number, name, draft.chunk(chunk, **changes), chunk, offset, "C4-7", why)
    swapped = _arranged(draft, 4, 1, 2, 3, 0, 5, 6, 7)
    yield _in_chunk(942, "swapped", swapped, 0, 8, "C4-7", "The two SIZE change places, their checksums made anew.")
    moved = _arranged(draft, replace(draft.chunks[4], number=4), 1, 2, 3, replace(draft.chunks[0], number=0), 5, 6, 7)
    yield _in_chunk(
        943, "swapped-as-they-are", moved, 0, 28, "C4-2", "The two SIZE change places with their checksums."
    )


def _lengths() -> Iterator[Case]:
    draft = _TWO.draft  # SIZE ROWS SIZE ROWS
    sizes, rows = draft.chunks[0].payload, draft.chunks[1].payload
    for number, name, changed, chunk, offset, rule, why in (
        (945, "size-cut", draft.chunk(0, payload=sizes[:-4]), 0, 20, "C4-8", "The last entry lacks its last size."),
        (946, "size-longer", draft.chunk(0, payload=sizes + bytes(1)), 0, 20, "C4-8", "A byte behind the last entry."),
        (
            947,
            "size-of-dims-only",
            draft.chunk(0, payload=words(1, 1, 1)),
            0,
            20,
            "C4-8",
            "An entry without the image.",
        ),
        (
            948,
            "size-more-entries",
            draft.chunk(2, payload=words(1, 2, 3, 9, 17) * 3),
            2,
            20,
            "C4-8",
            "Three entries of two rows.",
        ),
        (949, "size-compressed", draft.chunk(0, raw_len=len(sizes) + 20), 0, 16, "C4-8", "SIZE is never compressed."),
        (950, "size-empty", draft.chunk(0, payload=b""), 0, 20, "C4-4", "A SIZE of no bytes."),
        (951, "rows-longer", draft.chunk(1, payload=rows + b"a"), 1, 20, "C4-8", "A byte more than the sizes make."),
        (952, "rows-shorter", draft.chunk(1, payload=rows[:-1]), 1, 20, "C4-8", "A byte less than the sizes make."),
        (
            953,
            "rows-as-if-equal",
            draft.chunk(3, payload=bytes(2)),
            3,
            20,
            "C4-8",
            "n_rows times a row whose free sizes are 1.",
        ),
    ):
        yield _in_chunk(number, name, changed, chunk, offset, rule, why)
    receipts = _receipted(_RUNS).draft
    for number, name, at, digests, why in (
        (954, "one-digest", 1, 1, "One digest for three rows of more than 1,048,576 pixels together."),
        (955, "one-a-row", 1, 3, "A digest for every row."),
        (956, "as-if-by-64", 16, 1, "One digest for three images of 12,000,000 pixels."),
    ):
        changed = receipts.chunk(at, payload=bytes(32 * digests))
        yield _in_chunk(number, f"receipts-{name}", changed, at, 20, "C4-8", why)
    many = sized([0], ((65_536,),), image=[28, 28, 1, "u8"]).draft
    many = many.chunk(0, payload=words(65_537, 65_536), n_rows=65_537).chunk(1, n_rows=65_537)
    yield _in_chunk(957, "rows-overflow-32-bits", many, 1, 20, "C4-8",
                    "65,537 rows of 65,536 bytes, which is 65,536 in 32 bits.")  # fmt: skip


def _entries() -> Iterator[Case]:
    draft = _TWO.draft
    a, b, c = (1, 1, 1, 3, 5), (2, 1, 1, 1, 1), (1, 1, 5, 1, 40)
    for number, name, changed, offset, rule, why in (
        (960, "none-first", ((0, 1, 1, 3, 5), b, c), 0, "C5-5", "The first entry is of no rows."),
        (961, "none-second", (a, (0, 1, 1, 1, 1), c), 20, "C5-5", "The second entry is of no rows."),
        (962, "too-few", (a, b), 20, "C5-5", "Sizes of three rows of four: the last entry is short."),
        (963, "too-many", (a, b, (2, 1, 5, 1, 40)), 40, "C5-5", "Sizes of five rows of four: the last entry is long."),
        (964, "too-many-early", ((5, 1, 1, 3, 5), b, c), 0, "C5-5", "The first entry has more rows than there are."),
        (965, "2-to-32-less-1", (a, (2**32 - 1, 1, 1, 1, 1), c), 20, "C5-5", "The sum goes beyond 32 bits."),
        (966, "again", (a, (1, 1, 1, 1, 1), (1, 1, 1, 1, 1), c), 40, "C5-6", "The entry of two rows written as two."),
        (
            967,
            "again-at-the-end",
            (a, b, (1, 1, 1, 1, 1)),
            40,
            "C5-6",
            "The last entry has the sizes of the one before.",
        ),
        (
            968,
            "count-before-size",
            ((1, 0, 1, 3, 5), b, (0, 1, 5, 1, 40)),
            40,
            "C5-5",
            "A size 0 in front, but C5-5 comes first.",
        ),
        (969, "again-before-size", ((1, 0, 1, 3, 5), (1, 0, 1, 3, 5), b), 20, "C5-6", "Sizes 0, but C5-6 comes first."),
    ):
        payload = b"".join(words(*entry) for entry in changed)
        yield _in_payload(
            number, f"entry-{name}", draft.chunk(0, payload=payload), 0, offset, rule, why, code="structure"
        )


def _sizes() -> Iterator[Case]:
    a, c = (3, 1, 1, 3, 5), (1, 1, 5, 1, 40)
    for number, name, last, offset, rule, code, why in (
        (970, "0-in-dims", (1, 1, 0, 1, 40), 28, "C5-7", "structure", "A row without a value."),
        (971, "0-height", (1, 1, 5, 0, 40), 32, "C5-7", "structure", "An image of no lines."),
        (972, "0-width", (1, 1, 5, 1, 0), 36, "C5-7", "structure", "An image of no columns."),
        (973, "2-to-31", (1, 2**31, 5, 1, 40), 24, "C5-7", "limit", "A size of 2^31."),
        (974, "2-to-32-less-1", (1, 1, 2**32 - 1, 1, 40), 28, "C5-7", "limit", "The largest number there is: no -1."),
        (975, "65536-height", (1, 1, 5, 65_536, 40), 32, "C5-7", "limit", "An image one line too high."),
        (976, "65536-width", (1, 1, 5, 1, 65_536), 36, "C5-7", "limit", "An image one column too wide."),
        (977, "row-too-large", (1, 2**14, 2**13 + 1, 1, 40), 20, "C5-8", "limit", "A row of 2^28 + 2^15 bytes."),
        (978, "row-2-to-63", (1, 2**31 - 1, 2**31 - 1, 1, 40), 20, "C5-8", "limit", "A row of nearly 2^63 bytes."),
        (
            979,
            "image-too-large",
            (1, 1, 5, 65_535, 16_385),
            20,
            "C5-8",
            "limit",
            "An image of more than 2^30 elements.",
        ),
        (
            980,
            "0-before-too-large",
            (1, 0, 5, 65_536, 40),
            24,
            "C5-7",
            "structure",
            "Two sizes are wrong: the first counts.",
        ),
        (
            981,
            "size-before-row",
            (1, 2**14, 2**14, 0, 40),
            32,
            "C5-7",
            "structure",
            "A row is too large, but C5-7 comes first.",
        ),
    ):
        changed = _TWO.draft.chunk(0, payload=words(*a) + words(*last))
        yield _in_payload(number, f"size-{name}", changed, 0, offset, rule, why, code=code)
    first = _TWO.draft.chunk(0, payload=words(3, 2**15, 2**15, 3, 5) + words(*c))
    yield _in_payload(982, "size-row-too-large-first", first, 0, 0, "C5-8", "A row of 2^31 bytes.", code="limit")
    eight = sized([0] * 8, ((1, 2) * 4,), image=[1, 1, 1, "u8"]).draft
    huge = eight.chunk(0, payload=words(1, *[2**31 - 1] * 8))
    yield _in_payload(983, "size-row-2-to-248", huge, 0, 0, "C5-8", "Eight sizes of 2^31 - 1.", code="limit")


def _content() -> Iterator[Case]:
    turned = sized([2, 0, 0], ((3, 2),), image=[28, 28, 1, "u8"]).draft.chunk(0, payload=words(1, 2, 3))
    photo = sized([0, 0, 2], ((1, 1, 3, 5),)).draft.chunk(0, payload=words(1, 1, 1, 5, 3))
    moved = sized([0], ((1,), (2,)), image=[28, 28, 1, "u8"]).draft.chunk(0, payload=words(1, 2) + words(1, 1))
    plain = _TWO.draft.end(content_id=Latents.content_id.fget(_TWO))  # type: ignore[attr-defined]
    for number, name, draft, why in (
        (985, "latent-turned", turned, "Another shape of as many values."),
        (986, "image-turned", photo, "Height and width of the image, the wrong way round."),
        (987, "border-moved", moved, "Two rows share the same values in another way."),
        (988, "content-id-without-sizes", plain, "A content id over the values alone."),
    ):
        file = draft.build()
        yield bad(number, f"sized-{name}", file, "C9-6", file.trailer_at + 28, why, seek="may accept")
    text = sized([0], ((1,), (2,)), image=[28, 28, 1, "u8"], encoding="text19").draft
    other = text.chunk(0, payload=words(1, 2) + words(1, 1))
    yield _in_payload(989, "line-of-another-row", other, 1, 26, "C5-1", "The line ends where another row's would.")
