"""Invalid: index and trailer (sections 8 and 9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Chunk, Draft, File, index_entry
from tools.build_vectors.latents import SMALL, Latents

_ENTRY = 24
_THREE = Latents(blocks=[[[i, i + 1, 255 - i]] for i in range(3)], dims=[3], index=True)
_PLAIN = _THREE.with_(index=False).draft


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _index()
    yield from _trailer()
    yield from _content()


def _with_index(payload: bytes) -> File:
    return replace(_PLAIN, chunks=(*_PLAIN.chunks, Chunk(b"iNDX", payload))).build()


def _index() -> Iterator[Case]:
    good = _THREE.draft.build()
    starts = good.chunk_at
    entries = [index_entry(starts[i], i, 1, i) for i in range(3)]
    for number, name, changed, entry, why in (
        (560, "reordered", [entries[1], entries[0], entries[2]], 0, "The first two entries are swapped."),
        (561, "entry-missing", entries[:2], 2, "The last entry is missing."),
        (562, "middle-missing", [entries[0], entries[2]], 1, "The middle entry is missing."),
        (563, "entry-twice", [*entries, entries[2]], 3, "The last entry comes twice."),
        (
            564,
            "offset-off-by-one",
            [entries[0], index_entry(starts[1] + 1, 1, 1, 1), entries[2]],
            1,
            "An offset is off by one.",
        ),
        (
            565,
            "offset-past-the-end",
            [entries[0], index_entry(10**9, 1, 1, 1), entries[2]],
            1,
            "An offset outside the file.",
        ),
        (
            566,
            "offset-2-to-64",
            [entries[0], index_entry(2**64 - 1, 1, 1, 1), entries[2]],
            1,
            "The largest offset there is.",
        ),
        (567, "offset-in-preamble", [index_entry(0, 0, 1, 0), *entries[1:]], 0, "An offset before the first chunk."),
        (
            568,
            "offset-of-trailer",
            [*entries[:2], index_entry(good.trailer_at, 2, 1, 2)],
            2,
            "An offset of the trailer.",
        ),
        (
            569,
            "same-chunk-twice",
            [entries[0], index_entry(starts[0], 1, 1, 0), entries[2]],
            1,
            "Two entries lead to one chunk.",
        ),
        (570, "first-row-wrong", [entries[0], index_entry(starts[1], 2, 1, 1), entries[2]], 1, "Another first row."),
        (
            571,
            "rows-overlap",
            [index_entry(starts[0], 0, 2, 0), *entries[1:]],
            0,
            "The first entry has two rows of a chunk of one.",
        ),
        (572, "number-wrong", [entries[0], index_entry(starts[1], 1, 1, 2), entries[2]], 1, "Another chunk number."),
        (
            573,
            "number-2-to-32",
            [*entries[:2], index_entry(starts[2], 2, 1, 2**32 - 1)],
            2,
            "The largest chunk number there is.",
        ),
        (574, "part-of-an-entry", [*entries, b"\0" * 7], 3, "Seven bytes too many: no whole number of entries."),
        (575, "cut-entry", [*entries[:2], entries[2][:-1]], 2, "The last entry is one byte short."),
        (576, "zero", [bytes(_ENTRY)] * 3, 0, "Zero bytes."),
    ):
        file = _with_index(b"".join(changed))
        yield bad(number, f"index-{name}", file, "C8-1", file.payload_at[3] + entry * _ENTRY, why)


def _in_trailer(number: int, name: str, draft: Draft, offset: int, rule: str, why: str, **more: Any) -> Case:
    file = draft.build()
    return bad(number, f"trailer-{name}", file, rule, file.trailer_at + offset, why, **more)


def _trailer() -> Iterator[Case]:
    draft = _THREE.draft
    good = draft.build()
    at = good.trailer_at
    for number, name, offset in (
        (580, "crc", 60), (581, "n-chunks", 4), (582, "n-rows", 8), (583, "index-at", 16), (584, "chain-crc", 24), (585, "content-id", 28),
    ):  # fmt: skip
        yield bad(
            number, f"trailer-{name}-flipped", good.flip(at + offset), "C9-2", at + 60, f"A bit of {name} is flipped."
        )
    yield _in_trailer(586, "of-another-file", draft.end(header_crc=1), 60, "C9-2", "A trailer bound to another header.")
    for number, name, changes, offset, rule, why in (
        (590, "n-chunks-short", {"n_chunks": 3}, 4, "C9-3", "One chunk too few."),
        (591, "n-chunks-0", {"n_chunks": 0}, 4, "C9-3", "No chunk, although there is an index."),
        (592, "n-chunks-2-to-32", {"n_chunks": 2**32 - 1}, 4, "C9-3", "The largest count there is."),
        (593, "n-rows-long", {"n_rows": 4}, 8, "C9-3", "One row too many."),
        (594, "n-rows-2-to-64", {"n_rows": 2**64 - 1}, 8, "C9-3", "The largest count there is."),
        (595, "index-at-off", {"index_at": good.chunk_at[3] + 1}, 16, "C9-4", "Off by one."),
        (596, "index-at-rows", {"index_at": good.chunk_at[0]}, 16, "C9-4", "Leads to rows."),
        (597, "index-at-past-the-end", {"index_at": 2**64 - 1}, 16, "C9-4", "The largest offset there is."),
        (598, "index-at-0", {"index_at": 0}, 16, "C9-4", "0, although there is an index."),
    ):
        yield _in_trailer(number, name, draft.end(**changes), offset, rule, why)
    yield _in_trailer(
        599, "index-at-without-index", _PLAIN.end(index_at=good.chunk_at[1]), 16, "C9-4", "There is no index."
    )
    empty = replace(_PLAIN, chunks=())
    yield _in_trailer(600, "no-rows", empty, 8, "C9-3", "A latents file without a row.")
    skipped = replace(_PLAIN, chunks=(Chunk(b"teXt", b"hello"),))
    yield _in_trailer(601, "only-unknown-chunks", skipped, 8, "C9-3", "Chunks, but no row.")
    yield _in_trailer(
        602, "n-rows-0-and-no-chunk", empty.end(n_rows=3), 8, "C9-3", "Three rows are stated, none is there."
    )


def _content() -> Iterator[Case]:
    draft = _THREE.draft
    wrong = draft.build()
    seek = {"seek": "may accept"}
    yield _in_trailer(610, "chain-crc-wrong", draft.end(chain_crc=0), 24, "C9-5", "chain_crc is wrong.", **seek)
    others = Latents(blocks=[[[9, 9, 9]]] * 3, dims=[3], index=True)
    file = File(
        wrong.data[: wrong.trailer_at] + others.draft.build().data[wrong.trailer_at :], trailer_at=wrong.trailer_at
    )
    yield bad(611, "trailer-of-other-rows", file, "C9-5", file.trailer_at + 24,
              "The trailer of a file with the same header and sizes: only chain_crc tells.", **seek)  # fmt: skip
    yield _in_trailer(
        612, "content-id-wrong", draft.end(content_id=bytes(32)), 28, "C9-6", "content_id is zero.", **seek
    )
    yield _in_trailer(613, "content-id-of-the-encoding", _hashed_as_stored(), 28, "C9-6",
                      "The values were hashed as they are stored, not in the type that `values` names.", **seek)  # fmt: skip
    swapped = draft.chunk(0, payload=draft.chunks[1].payload).chunk(1, payload=draft.chunks[0].payload)
    yield _in_trailer(
        614, "content-swapped", swapped, 28, "C9-6", "Two payloads are swapped and every checksum is made anew.", **seek
    )
    dims = SMALL.with_(dims=[1, 3])
    yield _in_trailer(615, "content-id-of-other-dims", dims.draft.end(content_id=SMALL.content_id), 28, "C9-6",
                      "The content id of the same bytes in another shape.", **seek)  # fmt: skip


def _hashed_as_stored() -> Draft:
    wide = Latents(blocks=[[[1.0, 2.0]]], dims=[2], encoding="f64le", values="f32")
    return wide.draft.end(content_id=wide.with_(values=None).content_id)
