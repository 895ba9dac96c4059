"""Valid latents files: every encoding and type, every way to cut and to store, every edge that is still allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.build_vectors import frames, sample_networks
from tools.build_vectors.case import Case
from tools.build_vectors.framing import Chunk
from tools.build_vectors.latents import SMALL, Latents

_MAX = {"f64": 1.7976931348623157e308, "f32": 3.4028234663852886e38, "f16": 65504.0, "bf16": 3.3895313892515355e38}
_TINY = {"f64": 5e-324, "f32": 2.0**-149, "f16": 2.0**-24, "bf16": 2.0**-133}
_TWIN = [[1.0, -0.0], [5e-324, -1.7976931348623157e308], [1 / 3, -0.1], *([0.0, 0.0] for _ in range(10))]
_TIE = 2.0**-28  # 20 digits, the last of which is 5
_RGBA = [1, 65_535, 65_535, "u8"]


def cases() -> Iterator[Case]:
    """All of them."""
    yield SMALL.good(1, "small", "One row of three bytes: the file of the annotated dump in section 15.", "C2-1 C9-6")
    yield from _encodings()
    yield from _values()
    yield from _stored()
    yield from _structure()
    yield from _headers()
    yield from _names()


def _encodings() -> Iterator[Case]:
    twin = Latents(blocks=[_TWIN], dims=[2], encoding="f64le")
    same = "The same latents as 010 to 014: one content id."
    yield twin.good(10, "twin-f64le", same + " Payload at a multiple of 64, padding zero.", "C4-9")
    yield twin.with_(encoding="text19").good(11, "twin-text19", same, "C5-1 C5-2")
    yield twin.with_(codec="zstd").good(12, "twin-f64le-zstd-shuffle", same, "C6-1 C6-2 C6-3")
    yield twin.with_(codec="zstd", filter="none").good(13, "twin-f64le-zstd", same, "C3-11")
    yield twin.with_(encoding="text19", codec="zstd").good(
        14, "twin-text19-zstd", same + " Shuffle changes nothing in text.", "C3-10"
    )
    for number, (encoding, type) in enumerate((("f32le", "f32"), ("f16le", "f16"), ("bf16le", "bf16")), 15):
        row = [_MAX[type], -_MAX[type], _TINY[type], -_TINY[type], -0.0, 0.0]
        yield Latents(blocks=[[row]], dims=[2, 3], encoding=encoding).good(
            number, encoding, "Extremes, both zeros.", "C5-3"
        )
    yield Latents(blocks=[[[-128, 127, 0]]], dims=[3], encoding="i8").good(18, "i8", "Extremes.", "C3-10")
    yield Latents(blocks=[[[0, 65_535, 256]]], dims=[3], encoding="u16le").good(19, "u16le", "Extremes.", "C3-10")
    row = [_TIE, -_TIE, 1e23, 9007199254740993.0, 2.2250738585072014e-308, 1e300, 123456789.0, 9.999999999999999e22]
    yield Latents(blocks=[[row]], dims=[8], encoding="text19").good(
        20,
        "text19-rounding",
        "Cells that a careless printf rounds wrongly: ties, the smallest normal, neighbours of 1e23.",
        "C5-2",
    )


def _values() -> Iterator[Case]:
    wide: tuple[tuple[str, str, list[int] | list[float]], ...] = (
        ("text19", "f32", [_MAX["f32"], -0.0]), ("text19", "f16", [_MAX["f16"], _TINY["f16"]]),
        ("text19", "bf16", [_MAX["bf16"], _TINY["bf16"]]), ("text19", "u8", [0, 255]), ("text19", "i8", [-128, 127]),
        ("text19", "u16", [0, 65_535]), ("f64le", "f32", [_MAX["f32"], _TINY["f32"]]), ("f64le", "f16", [-0.0, 65504.0]),
        ("f64le", "bf16", [_TINY["bf16"], 1.0]), ("f64le", "u8", [0, 255]), ("f64le", "i8", [-128, -1]),
        ("f64le", "u16", [65_535, 1]), ("f32le", "f16", [_TINY["f16"], -0.0]), ("f32le", "bf16", [_MAX["bf16"], 0.0]),
        ("f32le", "u8", [255, 1]), ("f32le", "i8", [-128, 127]), ("f32le", "u16", [65_535, 0]), ("f16le", "u8", [255, 0]),
        ("f16le", "i8", [-128, 127]), ("bf16le", "u8", [255, 0]), ("bf16le", "i8", [-128, 127]), ("u16le", "u8", [255, 0]),
    )  # fmt: skip
    for number, (encoding, values, row) in enumerate(wide, 30):
        file = Latents(blocks=[[row]], dims=[2], encoding=encoding, values=values)
        yield file.good(number, f"{encoding}-of-{values}", f"{values} widened to {encoding}.", "C3-12 C5-4")


def _stored() -> Iterator[Case]:
    rows = [[(i * 37 + j * 11) % 101 / 8 - 6 for j in range(4)] for i in range(16)]
    yield Latents(
        blocks=[rows], dims=[4], encoding="f32le", codec="zstd", frames={0: frames.LIBRARY_FRAMES["f32"]}
    ).good(60, "zstd-shuffle-level-19", "A frame that zstd made at level 19, of shuffled float32.", "C6-6")
    rows = [[(2 * i + j + 1) / 7 for j in range(2)] for i in range(4)]
    yield Latents(
        blocks=[rows], dims=[2], encoding="text19", codec="zstd", frames={0: frames.LIBRARY_FRAMES["text19"]}
    ).good(61, "zstd-text19", "A frame that zstd made at level 3, of text.", "C6-6")
    flat = [[(i * i // 7) & 15 for i in range(300)]]
    u8 = Latents(blocks=[flat], dims=[300], codec="zstd", filter="none", frames={0: frames.LIBRARY_FRAMES["u8"]})
    yield u8.good(62, "zstd-u8", "A frame that zstd made at level 1; its content size field has two bytes.", "C6-2")
    zeros = Latents(blocks=[[[0] * 300]], dims=[300], codec="zstd")
    raw = bytes(300)
    for number, name, frame, about in (
        (63, "window-at-the-limit", frames.frame(raw, window=13 << 3), "Not a single segment; a window of exactly 8 MiB."),
        (64, "content-size-in-8-bytes", frames.frame(raw, size_bytes=8), "The content size in more bytes than it needs."),
        (65, "dictionary-id-0", frames.frame(raw, dictionary=bytes(4)), "A dictionary id that says: none."),
        (66, "two-blocks", frames.frame(raw, blocks=frames.block(1, 299, b"\0") + frames.block(0, 1, b"\0", is_last=True)),
         "A repeated block and a raw one."),
        (67, "empty-last-block", frames.frame(raw, blocks=frames.block(1, 300, b"\0") + frames.block(0, 0, b"", is_last=True)),
         "An empty block ends the frame."),
    ):  # fmt: skip
        yield zeros.with_(frames={0: frame}).good(number, f"zstd-{name}", about, "C6-4" if number == 65 else "C6-5")
    looks = [frames.frame(bytes(300))[:12]]
    yield Latents(blocks=[looks], dims=[12], codec="zstd").good(
        68,
        "zstd-stored-as-it-is",
        "stored_len equals raw_len: the bytes are the values, whatever they look like.",
        "C4-8",
    )
    yield Latents(blocks=[[[1.5, -2.0]], [[0.0] * 2] * 16], dims=[2], encoding="f64le", codec="zstd").good(
        69, "zstd-mixed", "One chunk stored as it is and not shuffled, one shuffled and compressed.", "C4-4"
    )
    yield Latents(blocks=[[[0] * 65_536]], dims=[65_536], codec="zstd").good(
        70, "zstd-64-KiB-row", "A row much larger than its file.", "C3-13"
    )


def _structure() -> Iterator[Case]:
    rows = [[[i, i + 1, 255 - i]] for i in range(3)]
    three = Latents(blocks=rows, dims=[3])
    yield three.good(80, "three-chunks", "No index: it is optional.", "C4-7")
    yield three.with_(index=True).good(81, "three-chunks-index", "The same with an index.", "C8-1 C9-4")
    uneven = Latents(blocks=[rows[0], rows[1] + rows[2], rows[0] * 5], dims=[3], index=True)
    yield uneven.good(82, "uneven-chunks", "Chunks of one, two and five rows.", "C8-1")
    floats = Latents(blocks=[[[0.5]], [[1.5]], [[2.5]]], dims=[1], encoding="f32le", index=True)
    yield floats.good(83, "padding-in-every-chunk", "Payloads at multiples of 64, the index without padding.", "C4-9")
    many = Latents(blocks=[[[i % 256, i // 256]] for i in range(300)], dims=[2], index=True)
    yield many.good(84, "300-chunks", "Chunk numbers beyond one byte.", "C4-2 C9-5")
    other = [Chunk(b"teXt", b"skip me"), Chunk(b"xxZx", b"\0" * 5, 7, 9, raw_len=100)]
    skipped = three.with_(before={0: other[:1], 1: other, 3: other[1:]}, index=True)
    yield skipped.good(
        85,
        "unknown-ancillary",
        "Chunks to skip: at the start, between rows, before the index; their rows fields mean nothing.",
        "C4-5",
    )
    yield three.good(86, "minor-7", "A later minor version: any is accepted.", minor=7)
    yield SMALL.with_(before={0: [Chunk(b"dECo", sample_networks.TWO_PIXELS.file().build().data)]}, dims=[2], blocks=[[[3, 9]]],
                      image=[1, 2, 1, "u8"], decoder=sample_networks.TWO_PIXELS.model_id).good(
        87, "embedded-decoder", "The decoder travels inside: model/valid/001.", "C7-4 C3-14"
    )  # fmt: skip
    yield three.with_(index=True, codec="zstd").good(88, "zstd-index", "The index is never compressed.", "C4-8")


def _headers() -> Iterator[Case]:
    edges = [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1,
             -1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, 1 - 2**53]  # fmt: skip
    ext: dict[str, Any] = {
        "integers": edges,
        "strings": ["", "a" * 31, "b" * 32, "c" * 255, "d" * 256, "\u00e9\U0001f600\uffff"],
        "bytes": [b"", b"\0" * 255, b"\xff" * 256],
        "lists": [[True] * 15, [False] * 16],
        "maps": {"m15": {f"{i:02}": i for i in range(15)}, "m16": {f"{i:02}": i for i in range(16)}},
        "": {"": [], "a": {}, "aa": 1, "b": 2, "\uffff": 3, "\U00010000": 4},
    }
    yield SMALL.with_(ext=ext).good(
        100, "ext-edges", "Every form of msgpack on both sides of each edge.", "C3-2 C3-3 C3-4 C3-5"
    )
    yield SMALL.with_(ext={"a": {"b": [0]}}).good(101, "ext-depth-4", "Four deep: the header, ext, a, b.", "C3-5")
    long = SMALL.with_(ext={"pad": ""})
    room = 65_536 - len(long.header_bytes) - 2  # a longer string has a longer head
    yield SMALL.with_(ext={"pad": "p" * room}).good(102, "header-65536", "A header of the largest size.", "C2-5")
    yield SMALL.with_(encoder=bytes(range(32, 64))).good(103, "encoder", "The encoder is named too.", "C3-7")
    yield Latents(blocks=[[[5]]], dims=[1] * 8).good(104, "dims-8", "Eight dimensions.", "C3-8")
    yield SMALL.with_(image=_RGBA).good(105, "image-65535", "The largest width and number of channels.", "C3-8")


def _names() -> Iterator[Case]:
    two = Latents(blocks=[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9]]], dims=[3])
    source = [bytes([i]) * 32 for i in range(3)]
    full: list[dict[str, Any] | None] = [
        {"names": ["a/1.png", "a/2.png"], "labels": [7, 0], "sources": source[:2]},
        {"names": ["b.png"], "labels": [2**32 - 1], "sources": source[2:]},
    ]
    yield two.with_(names=full, index=True).good(110, "names", "Names, labels and sources of every row.", "C7-1")
    yield two.with_(names=[{"labels": [3, 4]}, None]).good(
        111, "names-of-some", "Labels only, and for the first chunk only.", "C4-6 C4-7"
    )
    odd = [
        "x" * 1_024,
        "\u00e9" * 512,
        ".hidden",
        "...",
        "a/..b/c..",
        "ab:c",
        "\u00e9:",
        "1:",
        " ",
        "-rf",
        "\u0080",
        "~/x",
        "CON",
        "a\u2215b",
    ]
    yield Latents(blocks=[[[i] for i in range(len(odd))]], dims=[1], names=[{"names": odd}]).good(
        112,
        "names-allowed",
        "Names that look odd but keep the rule: at most 1,024 bytes, dots, colons further in.",
        "C7-2",
    )
    same: list[dict[str, Any] | None] = [{"names": ["a", "b"]}, {"names": ["a"]}]
    yield two.with_(names=same).good(113, "names-repeated", "Unique within a chunk is enough.", "C7-3")
    rows = [[i, 0, 0] for i in range(20)]
    yield Latents(blocks=[rows], dims=[3], codec="zstd", names=[{"labels": [0] * 20}]).good(
        114, "names-compressed", "Row names go through the codec too.", "C6-6"
    )
