"""Receipts, valid and invalid (sections 4 and 7): digests of the pixels that a decoder makes, run by run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import emit
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.latents import Latents, Row
from tools.build_vectors.network import Network
from tools.build_vectors.sample_networks import FLOAT_DECODER, TWO_PIXELS

RUN_ROWS = 64
_SKIP = Chunk(b"teXt", b"skip me")
_DECODER = Chunk(b"dECo", TWO_PIXELS.file().build().data)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _order()
    yield from _counts()
    yield from _pixels()


def digests(network: Network, rows: Sequence[Row]) -> list[bytes]:
    """SHA-256 of the pixels of each run of 64 rows."""
    runs = [rows[i : i + RUN_ROWS] for i in range(0, len(rows), RUN_ROWS)]
    return [hashlib.sha256(bytes(int(x) for row in run for x in network.run(row))).digest() for run in runs]


def receipt(rows: Sequence[Row], first_row: int = 0, network: Network = TWO_PIXELS) -> Chunk:
    """The rCPT of a chunk with these rows."""
    return Chunk(b"rCPT", b"".join(digests(network, rows)), len(rows), first_row)


def _rows(n_rows: int, first: int = 0) -> list[list[int]]:
    return [[(7 * i) % 256, (i * i + 40) % 256] for i in range(first, first + n_rows)]


def _file(*sizes: int, embed: bool = True, **more: Any) -> Latents:
    """Chunks of these many rows, each with its receipts, and their decoder inside."""
    blocks, before, first = [], {}, 0
    for number, size in enumerate(sizes):
        blocks.append(_rows(size, first))
        before[number] = [receipt(blocks[-1], first)]
        first += size
    if embed:
        before[0].insert(0, _DECODER)
    fields: dict[str, Any] = {"dims": [2], "image": [1, 2, 1, "u8"], "decoder": TWO_PIXELS.model_id}
    return Latents(blocks=blocks, before=before, **fields, **more)


def _valid() -> Iterator[Case]:
    named = _file(3, 2, names=[{"labels": [1, 2, 3]}, {"labels": [4, 5]}])
    skipped = _file(2, 1, embed=False)
    skipped = skipped.with_(before={i: [_SKIP, *skipped.before[i]] for i in range(2)} | {2: [_SKIP]}, index=True)
    for number, name, file, about, rules in (
        (120, "receipt", _file(1), "One row, its receipt, and the decoder that proves it.", "C7-5 C7-6"),
        (121, "receipts-edges-of-runs", _file(63, 64, 65, 129, 1, index=True),
         "Chunks of 63, 64, 65, 129 and 1 rows: 1, 1, 2, 3 and 1 digests.", "C4-7 C4-8 C7-6"),
        (122, "receipts-and-names", named, "Receipts stand before names; names may be of some rows, receipts are of all.", "C4-6"),
        (123, "receipts-and-unknown", skipped, "Chunks to skip before receipts; the decoder is not inside.", "C4-5 C4-6"),
        (124, "receipts-zstd", _file(130, 66, codec="zstd"), "Rows are compressed, receipts never are.", "C4-8"),
        (125, "receipts-f64le", _file(3, encoding="f64le", values="u8"),
         "The pixels, and so the receipts, do not depend on the encoding.", "C7-6"),
    ):  # fmt: skip
        case = file.good(number, name, about, rules)
        case.expected["receipts"] = [
            [chunk.payload[i : i + 32].hex() for i in range(0, len(chunk.payload), 32)]
            for chunks in file.before.values()
            for chunk in chunks
            if chunk.tag == b"rCPT"
        ]
        yield case


def _bad_chunk(number: int, name: str, draft: Draft, chunk: int, offset: int, rule: str, why: str, **more: Any) -> Case:
    """The error is `offset` bytes into the header of chunk number `chunk`."""
    file = draft.build()
    return bad(number, f"receipts-{name}", file, rule, file.chunk_at[chunk] + offset, why, **more)


def _order() -> Iterator[Case]:
    names = Chunk(b"nAMe", emit({"labels": [1]}), 1)
    one = _file(1, embed=False)
    (own,) = one.before[0]
    for number, name, front, chunk, why in (
        (720, "twice", [own, own], 1, "A nAMe or a ROWS must follow rCPT."),
        (721, "after-names", [names, own], 1, "ROWS must follow nAMe."),
        (722, "then-unknown", [own, _SKIP], 1, "Nothing stands between rCPT and its rows but names."),
        (723, "then-decoder", [own, _DECODER], 1, "The decoder comes before the first rCPT."),
        (724, "then-names-twice", [own, names, names], 2, "ROWS must follow nAMe."),
    ):
        yield _bad_chunk(number, name, one.with_(before={0: front}).draft, chunk, 0, "C4-6", why)
    two = _file(1, 1, embed=False)
    first, second = two.before[0], two.before[1]
    second_names = [{"labels": [1]}, {"labels": [2]}]
    for number, name, file, chunk, why in (
        (725, "not-of-all", two.with_(before={0: first}), 2, "The second chunk of rows has none."),
        (726, "of-the-second-only", two.with_(before={1: second}), 1, "The first chunk of rows has none."),
        (727, "not-of-all-named", two.with_(before={0: first}, names=second_names), 3,
         "The second chunk of rows has names, but no receipts."),
        (728, "of-the-second-only-named", two.with_(before={1: second}, names=second_names[:1]), 2,
         "The first chunk of rows has names, but no receipts."),
    ):  # fmt: skip
        yield _bad_chunk(number, name, file.draft, chunk, 0, "C4-6", why)
    last = two.with_(before={0: first, 1: second, 2: [replace(second[0], first_row=2)]}).draft
    built = last.build()
    yield bad(729, "receipts-at-the-end", built, "C4-6", built.trailer_at, "No ROWS follows the last rCPT.")
    yield _bad_chunk(730, "then-index", replace(last, has_index=True), 5, 0, "C4-6", "ROWS must follow rCPT.",
                     seek="may accept")  # fmt: skip
    model = TWO_PIXELS.file()
    inside = replace(model, chunks=(*model.chunks[:2], own, *model.chunks[2:]))
    yield _bad_chunk(731, "in-model", inside, 2, 0, "C4-6", "A chunk of latents files in a model package.")


def _counts() -> Iterator[Case]:
    changes: dict[str, Any]
    file = _file(3, 66, embed=False)
    draft, digest = file.draft, bytes(32)
    for number, name, changes, offset, why in (
        (735, "of-fewer-rows", {"n_rows": 2}, 4, "Receipts of two rows before a chunk of three."),
        (736, "of-more-rows", {"n_rows": 64}, 4, "Receipts of 64 rows before a chunk of three."),
        (737, "of-other-rows", {"first_row": 3}, 8, "Receipts of row 3 before row 0."),
    ):
        yield _bad_chunk(number, name, draft.chunk(0, **changes), 0, offset, "C4-7", why)
    named = file.with_(names=[{"labels": [1, 2, 3]}, None]).draft
    both = named.chunk(0, n_rows=2).chunk(1, first_row=1)
    yield _bad_chunk(738, "and-names-of-others", both, 0, 4, "C4-7", "Neither fits: receipts stand first.")
    three = named.chunk(2, first_row=9).chunk(0, n_rows=2)
    yield _bad_chunk(739, "and-rows-out-of-order", three, 2, 8, "C4-7", "The ROWS itself is checked first.")
    for number, name, chunk, changes, offset, why in (
        (740, "31-bytes", 0, {"payload": digest[1:]}, 20, "A digest has 32 bytes."),
        (741, "33-bytes", 0, {"payload": digest + b"\0"}, 20, "A byte follows the digest."),
        (742, "too-many", 0, {"payload": digest * 2}, 20, "Two digests for three rows."),
        (743, "too-few", 2, {"payload": digest}, 20, "One digest for 66 rows."),
        (744, "one-a-row", 0, {"payload": digest * 3}, 20, "A digest for every row, not for every run."),
        (745, "of-no-rows", 0, {"n_rows": 0}, 20, "A digest of nothing."),
        (746, "2-to-32-rows", 0, {"n_rows": 2**32 - 1}, 20, "2^32 - 1 rows, which take 2 GiB of digests."),
    ):
        yield _bad_chunk(number, name, draft.chunk(chunk, **changes), chunk, offset, "C4-8", why)
    packed = _file(65, embed=False, codec="zstd").draft
    yield _bad_chunk(747, "compressed", packed.chunk(0, payload=digest, raw_len=64), 0, 16, "C4-8",
                     "Receipts are never compressed.")  # fmt: skip


def _pixels() -> Iterator[Case]:
    file = _file(3, 130)
    good = file.draft
    own = digests(TWO_PIXELS, file.blocks[1])
    pixels = [int(x) for row in file.blocks[0] for x in TWO_PIXELS.run(row)]
    of_pixels = bytes(pixels)
    other = TWO_PIXELS.tensor(1, numbers=[0, 0])
    for number, name, chunk, payload, run, why in (
        (750, "flipped", 1, bytes([own[0][0] ^ 1]) + own[0][1:], 0, "A bit of a digest is not that of the pixels."),
        (751, "swapped", 3, own[1] + own[0] + own[2], 0, "The digests of two runs, the wrong way round."),
        (752, "last-run", 3, own[0] + own[1] + bytes(32), 2, "The last run has two rows, and another digest."),
        (753, "second-run", 3, own[0] + own[0] + own[2], 1, "The second run has the digest of the first."),
        (754, "of-the-rows", 1, hashlib.sha256(bytes(x for row in _rows(3) for x in row)).digest(), 0,
         "A digest of the latents, not of the pixels."),
        (755, "of-another-decoder", 1, digests(other, file.blocks[0])[0], 0, "A digest of what another decoder makes."),
        (756, "of-padded-pixels", 1, hashlib.sha256(of_pixels + bytes(2 * 61)).digest(), 0,
         "A digest as if the last run had 64 rows."),
        (757, "of-pixels-by-column", 1, hashlib.sha256(of_pixels[::2] + of_pixels[1::2]).digest(), 0,
         "A digest of the pixels in another order."),
    ):  # fmt: skip
        made = good.chunk(chunk, payload=payload).build()
        at = made.payload_at[chunk] + 32 * run
        yield bad(number, f"receipts-{name}", made, "C7-6", at, why, only="validator")
    floats = Latents(
        blocks=[[[0.5, 1.0, -1.0]]], dims=[3], encoding="f32le", image=[1, 1, 2, "u8"], decoder=FLOAT_DECODER.model_id,
        before={0: [Chunk(b"dECo", FLOAT_DECODER.file().build().data), Chunk(b"rCPT", bytes(32), 1)]},
    ).draft.build()  # fmt: skip
    yield bad(760, "receipts-of-floats", floats, "C7-5", floats.payload_at[1],
              "The decoder has profile float32, so its pixels may differ by a grey level.", only="validator")  # fmt: skip
