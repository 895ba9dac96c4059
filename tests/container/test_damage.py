"""Flip any bit, cut at any byte: refused, by name.  Never silently different (sections 2 to 10)."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.errors import FormatError, Truncated
from aeformat.reader import open_latents, stream_latents

from .files import DECODER, ENCODER, FEEDS, Chunk, Stream, edges, header, read, row_names, same_bits, split, write

_ZSTD = {"codec": "zstd", "filter": "shuffle"}
_SMOOTH = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
_RARE = LatentsHeader(DECODER, (2, 1, 2), (1, 65_535, 3), "i8", encoder=ENCODER, ext={"note": "x", "deep": {"a": [1]}})


def _with_unknown_chunk() -> bytes:
    parts = split(write(edges("u16", 2), header("u16le")))
    return parts.insert(1, Chunk(b"xXXx", b"something new", 1, 2, 99)).join()


FILES = {
    "u8": (write(edges("u8", 2), header("u8"))),
    "f32le-chunks-index": write(edges("f32", 5), header(), chunk_rows=2),
    "f64le-of-f32": write(edges("f32", 2), header("f64le", values="f32")),
    "text19-chunks": write(edges("f64", 3), header("text19"), chunk_rows=2),
    "f16le": write(edges("f16", 3), header("f16le")),
    "bf16le-of-i8": write(edges("i8", 3), header("bf16le", values="i8")),
    "u16le-unknown-chunk": _with_unknown_chunk(),
    "zstd-f32le-chunks": write(_SMOOTH, header(dims=(8,), **_ZSTD), chunk_rows=4),
    "zstd-text19-names": write(_SMOOTH, header("text19", (8,), values="f32", **_ZSTD), row_names(6), chunk_rows=4),
    "zstd-not-smaller": write(edges("f64", 1), header("f64le", **_ZSTD)),
    "names-labels": write(edges("u8", 4), header("u8"), RowNames(("a", "b", "c/d", "e"), (1, 2, 3, 4)), chunk_rows=3),
    "decoder-inside": write(edges("f32", 2), header(), decoder=b"the bytes of a decoder"),
    "i8-encoder-ext": write(edges("i8", 2, (2, 1, 2)), _RARE),
}
MASKS = (0x01, 0x80, 0xFF)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """One file, overwritten again and again."""
    return tmp_path_factory.mktemp("damage") / "x.aef"


def _flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def _outcome(pieces: list[bytes]) -> tuple[str, int]:
    with pytest.raises(FormatError) as caught:
        read(pieces)
    assert not isinstance(caught.value, Truncated), "a flipped byte is no end of file"
    return caught.value.rule, caught.value.at


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_every_flipped_byte_is_refused_by_the_forward_reader(data):
    """There is no byte outside a checksum or a fixed value, and a flip is never taken for a cut."""
    for at in range(len(data)):
        rules = {_outcome([_flipped(data, at, mask)]) for mask in MASKS}
        assert all(place <= at + 32 or rule in ("C2-3", "C2-6", "C4-2", "C4-11", "C9-2") for rule, place in rules)


@pytest.mark.parametrize("feed", ["bytes", "halves"])
@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_flipped_byte_is_the_same_error_however_it_arrives(data, feed):
    """The rule and the byte do not depend on how the file was cut into reads."""
    for at in range(0, len(data), 29):
        bad = _flipped(data, at, 0x01)
        assert _outcome(FEEDS[feed](bad)) == _outcome([bad])


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_no_flipped_byte_changes_what_random_access_reads(data, path):
    """Refused, or in a part that was not wanted: the rows, names and decoder that come out are the right ones."""
    path.write_bytes(data)
    with open_latents(path) as latents:
        good = _everything(latents)
    n_refused = 0
    for at in range(len(data)):
        path.write_bytes(_flipped(data, at, MASKS[at % 3]))
        try:
            with open_latents(path) as latents:
                assert _everything(latents) == good
        except FormatError as error:
            assert not isinstance(error, Truncated) or error.rule == "C9-1"  # TAIL itself was hit: no trailer
            n_refused += 1
    unread = len(b"something new") if b"xXXx" in data else 0
    assert n_refused == len(data) - unread


def _everything(latents):
    rows = range(latents.n_rows)
    return (
        latents.header,
        latents.rows(0, latents.n_rows).tobytes(),
        [latents.names(row) for row in rows],
        latents.embedded_decoder,
        latents.trailer.content_id,
    )


def _rule_of_cut(data: bytes, n_bytes: int) -> str:
    """The rule of the structure that a cut there goes through (section 10)."""
    parts = split(data)
    places = parts.places()
    if n_bytes < places[0]:
        return "C2-7"
    if n_bytes in places or n_bytes > places[-1]:
        return "C9-1"
    start = max(place for place in places if place < n_bytes)
    return "C4-1" if n_bytes - start < 32 else "C4-10"


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_every_cut_file_is_incomplete(data, path):
    """However short, and by either reader: Truncated, exit code 3, and no other word for it."""
    for n_bytes in range(len(data)):
        cut = data[:n_bytes]
        for pieces in ([cut], FEEDS["halves"](cut)):
            with pytest.raises(Truncated) as caught:
                read(pieces)
            assert (caught.value.rule, caught.value.at) == (_rule_of_cut(data, n_bytes), n_bytes)
        if n_bytes % 7 == 0:
            path.write_bytes(cut)
            with pytest.raises(Truncated):
                open_latents(path)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_recovery_gives_the_right_rows_or_none(data):
    """Cut anywhere or flipped anywhere, with recover=True the rows that come out are the first ones, to the bit."""
    rows = read([data])
    for at in range(24 + len(split(data).head), len(data), 3):
        for bad in (data[:at], _flipped(data, at, 0x10)):
            stream = stream_latents(Stream([bad]), recover=True)
            found = np.concatenate([rows[:0], *(block.values for block in stream)])
            assert same_bits(found, rows[: len(found)])
            assert stream.damage is not None


TAILS = {
    "zero": b"\0",
    "line-end": b"\n",
    "magic": b"\x89AEF\r\n\x1a\n",
    "zip": b"PK\x05\x06" + bytes(18),
    "trailer-again": None,
    "file-again": None,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_trailing_byte_is_refused(data, feed, tail, path):
    """C9-7, right behind the trailer; by random access too."""
    longer = data + {"trailer-again": data[-64:], "file-again": data}.get(tail, TAILS[tail] or b"")

    assert _outcome(feed(longer)) == ("C9-7", len(data))
    path.write_bytes(longer)
    with pytest.raises(FormatError):
        open_latents(path)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_text_mode_transfer_is_noticed(data):
    """Line ends changed either way: C2-1, in the first eight bytes."""
    for mangled in (data.replace(b"\n", b"\r\n"), data.replace(b"\r\n", b"\n"), bytes(byte & 0x7F for byte in data)):
        assert _outcome([mangled]) == ("C2-1", 0)
