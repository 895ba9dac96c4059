"""Invalid: good files that were cut, joined, or had their chunks moved (sections 4, 9 and 10)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Chunk, Draft, File
from tools.build_vectors.latents import Latents
from tools.build_vectors.sample_networks import TWO_PIXELS

_ROWS = [[[float(i), i + 0.5]] for i in range(3)]
_THREE = Latents(blocks=_ROWS, dims=[2], encoding="f32le", index=True)
_NAMED = _THREE.with_(names=[{"labels": [7]}, {"labels": [8]}, None], before={0: [Chunk(b"teXt", b"hello")]})
_END_OF_ZIP = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _cut()
    yield from _appended()
    yield from _moved()


def _cut() -> Iterator[Case]:
    """One file, cut at and inside every structure: an unknown chunk, names, rows, names, rows, rows, index, trailer."""
    file = _NAMED.draft.build()
    number = 630
    for chunk, (at, payload_at) in enumerate(zip(file.chunk_at, file.payload_at, strict=True)):
        end = [*file.chunk_at, file.trailer_at][chunk + 1]
        tag = file.data[at : at + 4].decode()
        places = [
            (at, "C9-1", "begins"), (at + 1, "C4-1", "is cut after one byte"), (at + 31, "C4-1", "is cut before its last header byte"),
            (at + 32, "C4-10", "is cut behind its header"), (end - 1, "C4-10", "is cut before its last byte"),
        ]  # fmt: skip
        if payload_at > at + 32:
            places.append((payload_at - 1, "C4-10", "is cut inside its padding"))
            places.append((payload_at, "C4-10", "is cut behind its padding"))
        for n_bytes, rule, what in places:
            yield bad(
                number,
                f"cut-{chunk}-{tag}-{n_bytes - at}",
                file.cut(n_bytes),
                rule,
                n_bytes,
                f"The file ends where chunk {chunk}, {tag}, {what}.",
            )
            number += 1
    for more, what in ((0, "should begin"), (1, "has one byte"), (4, "has its tag"), (63, "lacks its last byte")):
        n_bytes = file.trailer_at + more
        yield bad(
            number,
            f"cut-trailer-{more}",
            file.cut(n_bytes),
            "C9-1",
            n_bytes,
            f"The file ends where the trailer {what}.",
        )
        number += 1
    model = TWO_PIXELS.file().build()
    n_bytes = model.chunk_at[1] + 1
    yield bad(
        680, "cut-T-of-TENS", model.cut(n_bytes), "C9-1", n_bytes, "One byte of a TENS, which TAIL begins with, too."
    )
    yield bad(
        681,
        "cut-TE-of-TENS",
        model.cut(n_bytes + 1),
        "C4-1",
        n_bytes + 1,
        "Two bytes of a TENS, which TAIL does not begin with.",
    )


def _appended() -> Iterator[Case]:
    file = _THREE.draft.build()
    end = len(file.data)
    for number, name, more, why in (
        (685, "byte", b"\0", "One byte follows the trailer."),
        (686, "line-feed", b"\n", "A line feed follows, as an editor adds it."),
        (687, "zip", _END_OF_ZIP, "An empty ZIP archive follows: unzip would read the file as one."),
        (688, "copy", file.data, "The same file once more."),
        (689, "trailer", file.data[file.trailer_at :], "The trailer once more."),
        (690, "chunk-and-trailer", file.data[file.chunk_at[2] :], "The last chunks and the trailer once more."),
    ):
        yield bad(number, f"appended-{name}", file.data + more, "C9-7", end, why)
    plain = _THREE.with_(index=False).draft.build()
    yield bad(
        691,
        "appended-copy-without-index",
        plain.data * 2,
        "C9-7",
        len(plain.data),
        "Two files in one, without an index.",
    )


def _spliced(file: File, order: list[tuple[File, int]]) -> tuple[bytes, list[int]]:
    """Chunks by (file, number), bytes as they are, behind the file's header and in front of its trailer; their places."""
    out, places = file.data[: file.chunk_at[0]], []
    for source, number in order:
        ends = [*source.chunk_at, source.trailer_at]
        places.append(len(out))
        out += source.data[ends[number] : ends[number + 1]]
    return out + file.data[file.trailer_at :], places


def _moved() -> Iterator[Case]:
    u8 = Latents(blocks=[[[i, i + 1, 255 - i]] for i in range(3)], dims=[3])
    file = u8.draft.build()
    other = u8.with_(blocks=[[[9, 9, 9]]] * 3)
    foreign = u8.with_(encoder=bytes(32)).draft.build()
    for number, name, order, broken, why in (
        (695, "swapped", [(file, 1), (file, 0), (file, 2)], 0, "The first two chunks are swapped."),
        (696, "duplicated", [(file, 0), (file, 1), (file, 1), (file, 2)], 2, "The second chunk comes twice."),
        (697, "missing", [(file, 0), (file, 2)], 1, "The second chunk is missing."),
        (698, "first-missing", [(file, 1), (file, 2)], 0, "The first chunk is missing."),
        (
            699,
            "from-another-file",
            [(file, 0), (foreign, 1), (file, 2)],
            1,
            "The second chunk is from a file with another header.",
        ),
    ):
        data, places = _spliced(file, order)
        yield bad(number, f"chunk-{name}", data, "C4-2", places[broken] + 28, why)
    data, _ = _spliced(file, [(file, 0), (file, 1)])
    trailer_at = len(data) - 64
    yield bad(
        700, "chunk-last-missing", data, "C9-3", trailer_at + 4, "The last chunk is missing: no other chunk has moved."
    )
    data, _ = _spliced(file, [(file, 0), (other.draft.build(), 1), (file, 2)])
    yield bad(701, "chunk-from-a-twin", data, "C9-5", len(data) - 64 + 24,
              "The second chunk is from a file with the same header, at the same position.", seek="may accept")  # fmt: skip
    yield from _renumbered(u8.draft)


def _renumbered(draft: Draft) -> Iterator[Case]:
    first, second, third = draft.chunks
    for number, name, chunks, broken, why in (
        (705, "swapped", (second, first, third), 0, "Two chunks are swapped and every checksum is made anew."),
        (706, "duplicated", (first, second, second, third), 2, "A chunk comes twice, with new checksums."),
        (707, "missing", (first, third), 1, "A chunk is missing, with new checksums."),
    ):
        file = replace(draft, chunks=chunks).build()
        yield bad(number, f"renumbered-{name}", file, "C4-7", file.chunk_at[broken] + 8, why)
    file = replace(draft, chunks=(first, second)).build()
    yield bad(708, "renumbered-last-missing", file, "C9-6", file.trailer_at + 28,
              "The last chunk is missing, and counts and checksums are made anew.", seek="may accept")  # fmt: skip
